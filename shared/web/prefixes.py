"""Which service answers which path: for the local front, the proxy (`deploy/Caddyfile`) and a structure test."""

PREFIXES: dict[str, str] = {
    "/booking": "booking",
    "/counter": "booking",
    "/board": "booking",
    "/kiosk": "booking",
    "/helpers": "booking",
    "/open-data/draws": "booking",
    "/open-data/events": "booking",
    "/open-data/events.csv": "booking",
    "/open-data/events.json": "booking",
    "/notices": "notifications",
    "/notifications": "notifications",
    "/": "routing",
}


def service_for(path: str) -> str:
    """The service that answers a path: the longest prefix of whole segments wins."""
    matches = [prefix for prefix in PREFIXES if prefix == "/" or path == prefix or path.startswith(prefix + "/")]
    return PREFIXES[max(matches, key=len)]
