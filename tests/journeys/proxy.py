"""The proxy of production, as a process, in front of web processes that run apart."""

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.local.servers import die_with_parent, free_port
from tests.stack import ROOT

needs_caddy = pytest.mark.skipif(
    shutil.which("caddy") is None, reason="Caddy is not installed: sh deploy/local/packages.sh caddy"
)
HOST = "ninomiya.localhost"
# The proxy answers for it, and no town does.
STRANGE_HOST = "nobody.localhost"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.05


class ToHost(httpx.HTTPTransport):
    """Reaches a host name on this machine, whatever the resolver thinks of it, from an address of one's own."""

    def __init__(self, host: str, port: int, trusted: ssl.SSLContext, *, address: str = "127.0.0.1") -> None:
        super().__init__(verify=trusted, local_address=address)
        self._host, self._port = host, port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["host"] = f"{self._host}:{self._port}"
        request.extensions["sni_hostname"] = self._host
        return super().handle_request(request)


@dataclass
class Proxy:
    """A running Caddy with certificates of its own."""

    http_port: int
    https_port: int
    folder: Path

    @property
    def url(self) -> str:
        """As a link in a message has it."""
        return f"https://{HOST}:{self.https_port}"

    @property
    def local_url(self) -> str:
        """The same, for a client whose transport knows the host."""
        return f"https://127.0.0.1:{self.https_port}"

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / "caddy.log").read_text("utf-8", errors="replace")

    def transport(self, host: str = HOST, *, address: str = "127.0.0.1") -> ToHost:
        """For a client of one host."""
        authority = self.folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        return ToHost(host, self.https_port, ssl.create_default_context(cafile=authority), address=address)

    def client(self, host: str = HOST, *, address: str = "127.0.0.1") -> httpx.Client:
        """A browser without JavaScript."""
        return httpx.Client(
            base_url=self.local_url,
            transport=self.transport(host, address=address),
            headers={"sec-fetch-site": "same-origin"},
            timeout=60,
        )


def new_proxy(folder: Path) -> Proxy:
    """One that is not running yet: what is behind it wants to know its address first."""
    return Proxy(free_port(), free_port(), folder)


@contextlib.contextmanager
def running(proxy: Proxy, web_ports: Mapping[str, str]) -> Iterator[None]:
    """Run it in front of web processes that are apart: their ports by name, `booking-web` and so on."""
    (proxy.folder / "data").mkdir(parents=True)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(proxy.folder),
        "XDG_DATA_HOME": str(proxy.folder / "data"),
        "XDG_CONFIG_HOME": str(proxy.folder / "config"),
        "CHOUDO_SITE": f"https://{HOST}, https://{STRANGE_HOST}",
        "CHOUDO_HTTP_PORT": str(proxy.http_port),
        "CHOUDO_HTTPS_PORT": str(proxy.https_port),
        # Everything it could ever write, so that a test finds what should not be there.
        "CHOUDO_PROXY_LOG_LEVEL": "DEBUG",
        "CHOUDO_PROXY_PAGES": str(ROOT / "deploy" / "proxy_pages"),
        **{f"CHOUDO_{name.removesuffix('-web').upper()}_WEB": f"127.0.0.1:{port}" for name, port in web_ports.items()},
    }
    with (proxy.folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which("caddy") or "caddy", "run", "--config", ROOT / "deploy" / "Caddyfile"],
            env=environ,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError, httpx.TransportError), proxy.client() as client:
                if client.get("/healthz").status_code == httpx.codes.OK:
                    break
            assert process.poll() is None, proxy.log
            assert time.monotonic() < deadline, proxy.log
            time.sleep(POLL_S)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
