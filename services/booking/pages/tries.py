"""How often one address may try number and code: kept in memory, beside the lock of each appointment's code.

The lock alone would let one address lock the codes of many strangers, one number after another.
"""

from ipaddress import IPv6Address, ip_address

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

PER_ADDRESS = parse("30 per 15 minutes")
# Whoever has one IPv6 address has a whole network of them.
IPV6_NETWORK_BITS = 64


class CodeTries:
    """Counts tries. One per process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, municipality: str, address: str) -> bool:
        """Count one try; False if there were too many."""
        return self._limiter.hit(PER_ADDRESS, "code", municipality, network_of(address))


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
