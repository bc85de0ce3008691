"""What attempts at a notice by one way say about which provider takes the next one."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

# Of a practice town; the database takes no other there.
SIMULATED = "simulated"
# What staff carry: letters that they print, and calls that they make. They are there in every installation.
PRINT_QUEUE, CALL_LIST = "print_queue", "call_list"
# Written to an attempt by a way that leads nowhere in this installation.
NO_PROVIDER = "none"


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How often a provider was asked to carry a notice by one way, and failed, or left us not knowing."""

    provider: str
    temporary: int = 0
    unknown: int = 0


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


def held_by(tried: Sequence[Tried]) -> str | None:
    """The provider that may have accepted it: only that one can tell a repetition from a second message."""
    return next((each.provider for each in tried if each.unknown), None)


def least_failed(providers: Sequence[Named], tried: Sequence[Tried]) -> list[Named]:
    """Those that have failed this notice least, in their order: each of them is asked before one is asked again."""
    failures = {each.provider: each.temporary for each in tried}
    least = min(failures.get(provider.name, 0) for provider in providers)
    return [provider for provider in providers if failures.get(provider.name, 0) == least]
