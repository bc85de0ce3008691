"""The proxy in production sends each path to the same service as the local front."""

import re
from pathlib import Path

from shared.web.prefixes import PREFIXES, service_for

MATCHER = re.compile(r"^\s*@(booking|notifications|routing) path (.+)$", re.MULTILINE)
HANDLE = re.compile(r"handle(?: @(\w+))? \{\s*reverse_proxy ([a-z]+)-web:8000", re.MULTILINE)


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
    assert service_for("/bookings/1") == "routing"
    assert service_for("/") == "routing"
    assert service_for("/notifications/api/receipts/x") == "notifications"
