"""A process dies at the step that a trial names, and nowhere else; in production nobody can ask for it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.faults import STEPS, VARIABLE, Fault, armed, pass_step

PASS_TWICE = """
from shared.faults import pass_step
for count in range(1, 3):
    pass_step("relay.published")
    print(count, flush=True)
"""


def run(root_dir: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHOUDO_")}
    return subprocess.run(
        [sys.executable, "-c", PASS_TWICE],
        cwd=root_dir,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("fault", "printed"), [("relay.published", ""), ("relay.published:2", "1\n")])
def test_a_process_is_killed_at_the_step_and_the_pass_that_were_asked_for(
    root_dir: Path, fault: str, printed: str
) -> None:
    done = run(root_dir, CHOUDO_ENVIRONMENT="local", **{VARIABLE: fault})
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, printed)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"CHOUDO_ENVIRONMENT": "local", VARIABLE: "relay.claimed"},
        {"CHOUDO_ENVIRONMENT": "production", VARIABLE: "relay.published"},
        {VARIABLE: "relay.published"},
    ],
)
def test_nobody_dies_who_was_not_asked_to(root_dir: Path, environ: dict[str, str]) -> None:
    done = run(root_dir, **environ)
    assert (done.returncode, done.stdout) == (0, "1\n2\n"), done.stderr


def test_a_step_that_does_not_exist_is_no_trial(root_dir: Path) -> None:
    done = run(root_dir, CHOUDO_ENVIRONMENT="local", **{VARIABLE: "relay.publishd"})
    assert "there is no step relay.publishd" in done.stderr


def test_every_step_stands_once_in_the_code(root_dir: Path) -> None:
    sources = [path for folder in ("services", "shared") for path in (root_dir / folder).rglob("*.py")]
    passed = re.findall(r'pass_step\("([a-z.]+)"\)', "\n".join(path.read_text("utf-8") for path in sources))
    assert sorted(passed) == sorted(STEPS)


def test_within_one_process_a_trial_dies_in_its_own_way_and_only_in_its_block() -> None:
    class Dead(BaseException):
        pass

    def die() -> None:
        raise Dead

    with armed(Fault("relay.published", 2, die=die)):
        pass_step("relay.published")
        pass_step("relay.claimed")
        with pytest.raises(Dead):
            pass_step("relay.published")
        # Nobody of a dead process goes on.
        with pytest.raises(Dead):
            pass_step("relay.claimed")
    pass_step("relay.published")
