"""Where webhooks may be sent: by https to public addresses, and to what the deployment lists of its own network."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from shared.errors import Refusal

URL_MAX_LENGTH = 300

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Of the new kind, only these are given to anybody.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_V4_IN_V6 = (
    # As a translator (NAT64) writes an address of the old kind into one of the new: the last 32 bits.
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
)


class Destinations(msgspec.Struct, frozen=True):
    """Where webhooks may be sent: by https to public addresses, and to what the deployment lists of its own network."""

    https_only: bool = True
    # As `read_networks` gives them.
    allowed: tuple[str, ...] = ()

    def may_reach(self, address: str) -> bool:
        """Whether an address, as the resolver says it, may be connected to."""
        found = ipaddress.ip_address(address.partition("%")[0])
        meant = _plain(found)
        networks = [ipaddress.ip_network(listed) for listed in self.allowed]
        return any(each in network for each in (found, meant) for network in networks) or _is_public(meant)

    def check(self, url: str) -> None:
        """Look at the address that somebody typed. Its host's name is looked up when something is sent.

        Raises:
            Refusal: `webhook_url_unfit` (422), not an https URL without user, password and fragment;
                `webhook_url_inside` (422), an address in a network that nothing may be sent to.
        """
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Refusal("webhook_url_unfit", 422) from error
        schemes = ("https",) if self.https_only else ("https", "http")
        is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
        is_bare = parts.username is None and parts.password is None and not parts.fragment
        if not (is_plain and is_bare and host) or parts.scheme not in schemes or len(url) > URL_MAX_LENGTH:
            raise Refusal("webhook_url_unfit", 422)
        if not self.may_be_host(host):
            raise Refusal("webhook_url_inside", 422)

    def may_be_host(self, host: str) -> bool:
        """Whether a host as it stands in a URL may be asked for; of a name, its addresses are still to be looked at."""
        try:
            return self.may_reach(host)
        except ValueError:
            # Old ways to write an address (127.1, 0x7f000001) are no names.
            return not host.rstrip(".").rpartition(".")[2].startswith(tuple("0123456789")) and host != "localhost"


def read_networks(listed: str) -> tuple[str, ...]:
    """The networks of a setting, separated by commas: `10.20.0.0/16,192.168.5.7`.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(str(ipaddress.ip_network(each.strip())) for each in listed.split(",") if each.strip())


def _plain(address: Address) -> Address:
    """The address that is meant, if it is wrapped in one of another kind."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if wrapped is None and any(address in network for network in _V4_IN_V6):
        wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return wrapped or address


def _is_public(address: Address) -> bool:
    is_unicast = isinstance(address, ipaddress.IPv4Address) or address in _UNICAST
    return is_unicast and address.is_global and not address.is_multicast
