"""The made-up identity provider beside the stack, for the pages of the identity step."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from deploy.local.identity_provider import CLIENT_ID
from deploy.local.sample_procedure import PROVIDER, with_sample
from deploy.local.servers import free_port
from tests.stack import POLL_S, ROOT, START_TIMEOUT_S, Stack, run_cli

SECRET = "a-secret-of-the-test"


@pytest.fixture(scope="module")
def provider(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The made-up provider as `make run` starts it, and a town with the sample procedure."""
    port = free_port()
    environ = stack.environ | {
        "CHOUDO_LOCAL_IDENTITY_PORT": str(port),
        "CHOUDO_LOCAL_IDENTITY_SECRET": SECRET,
        "CHOUDO_ROUTING_IDENTITY_PROVIDERS": f"""[{PROVIDER}]
            label = "見本の本人確認（本物ではありません）"
            issuer = "http://127.0.0.1:{port}"
            client_id = "{CLIENT_ID}"
            client_secret = "{SECRET}"
        """,
    }
    folder = tmp_path_factory.mktemp("sample") / "town"
    run_cli(environ, "town", "load", str(with_sample(ROOT / "deploy" / "towns" / "ninomiya", folder)))
    stack.stop("front")
    stack.own_environ["front"] = environ
    stack.start("front")
    running = subprocess.Popen([sys.executable, "-m", "deploy.local.identity_provider"], cwd=ROOT, env=environ)
    stack.wait_until_ready()
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/keys", trust_env=False)
            break
        time.sleep(POLL_S)
    yield url
    running.terminate()
    running.wait(10)
