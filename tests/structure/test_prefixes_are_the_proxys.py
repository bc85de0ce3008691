"""The proxy in production sends each path to the same service as the local front."""

import re
from pathlib import Path

import pytest

from shared.web.prefixes import PREFIXES, service_for

MATCHER = re.compile(r"^\s*@(booking|notifications|routing) path (.+)$", re.MULTILINE)
INTERNAL = re.compile(r"^\s*@internal path (.+)$", re.MULTILINE)
HANDLE = re.compile(r"handle(?: @(\w+))? \{\s*reverse_proxy \{\$CHOUDO_[A-Z]+_WEB:([a-z]+)-web:8000\}", re.MULTILINE)


def test_caddy_and_the_front_have_the_same_prefixes(root_dir: Path) -> None:
    text = (root_dir / "deploy" / "Caddyfile").read_text("utf-8")
    found = {path: service for service, paths in MATCHER.findall(text) for path in paths.split()}
    expected = {prefix: service for prefix, service in PREFIXES.items() if prefix != "/"}
    assert found == expected | {f"{prefix}/*": service for prefix, service in expected.items()}
    assert dict(HANDLE.findall(text)) == {"booking": "booking", "notifications": "notifications", "": PREFIXES["/"]}


def test_a_prefix_is_whole_segments() -> None:
    assert service_for("/counter") == "booking"
    assert service_for("/counter/line") == "booking"
    assert service_for("/counters") == "routing"
    assert service_for("/office/applications") == "routing"
    assert service_for("/bookings/1") == "routing"
    assert service_for("/") == "routing"
    assert service_for("/notifications/api/receipts/x") == "notifications"


def is_internal(caddyfile: str, path: str) -> bool:
    """As Caddy matches: one star at the end takes all the rest, any other one segment."""
    [patterns] = INTERNAL.findall(caddyfile)
    for pattern in patterns.split():
        rest = pattern.count("*") == 1 and pattern.endswith("*")
        if re.fullmatch(re.escape(pattern).replace(r"\*", ".*" if rest else "[^/]*"), path):
            return True
    return False


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
@pytest.mark.parametrize("end", ["", "/"])
def test_the_proxy_shows_nobody_the_insides(root_dir: Path, prefix: str, end: str) -> None:
    """Litestar answers a path with a slash at its end like the one without."""
    text = (root_dir / "deploy" / "Caddyfile").read_text("utf-8")
    assert is_internal(text, f"{prefix.rstrip('/')}/readyz{end}")
    for path in ("/", prefix, f"{prefix.rstrip('/')}/healthz", f"{prefix.rstrip('/')}/x"):
        assert not is_internal(text, path)


def test_the_proxys_log_has_no_paths(root_dir: Path) -> None:
    """A link's token is in the path; Caddy logs the request of every error unless it is told not to."""
    options = (root_dir / "deploy" / "Caddyfile").read_text("utf-8").split("\n}\n")[0]
    for field in ("request>uri", "request>headers"):
        assert f"{field} delete" in options
