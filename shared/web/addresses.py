"""Where a request comes from, for counting how often somebody tries something."""

from ipaddress import IPv6Address, ip_address
from typing import Any

from litestar import Request

# Whoever has one IPv6 address has a whole network of them.
IPV6_NETWORK_BITS = 64


def network_of_visitor(request: Request[Any, Any, Any]) -> str:
    """What counts as one visitor's address; behind the proxy the one that it forwards (deploy/front.py)."""
    return network_of(request.client.host if request.client else "")


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(int(parsed) >> (parsed.max_prefixlen - IPV6_NETWORK_BITS))
