"""All providers of an installation, by way and in their order: which of them takes a message.

One of these per process, for both lanes. What it remembers is its own: a breaker that two processes shared would cost a
transaction for each message, to learn what each of them finds out by itself with five.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from services.notifications.domain.outcomes import Outcome
from services.notifications.domain.providers import NO_PROVIDER, Tried, held_by, least_failed
from services.notifications.providers.provider import Health, Provider
from services.notifications.senders.text_limit import UCS2_PARTS, TextLimit


class Chosen(msgspec.Struct, frozen=True):
    """This provider takes the message."""

    name: str


class Busy(msgspec.Struct, frozen=True):
    """None takes it now: it asks again in so many seconds, and no try is used up."""

    wait_s: float


class Providers:
    """In the order in which they are asked."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._all = {provider.name: provider for provider in providers}

    def choose(self, way: str, tried: Sequence[Tried], *, bulk: bool) -> Chosen | Busy:
        """Who takes one more message by this way, after these attempts at it.

        What one of them may have accepted goes to no other. Of the rest, those that are up, that do not hang if there
        are such, and that have failed it least.
        What somebody waits for goes by the next one when the first has no room for it; bulk waits.
        """
        asked = self._asked(way, tried)
        if not asked:
            # A way that nobody serves here, or whoever may have it is no longer one of ours.
            return Chosen(held_by(tried) or NO_PROVIDER)
        up = [provider for provider in asked if provider.is_up(bulk=bulk)]
        up = [provider for provider in up if not provider.hangs] or up
        least = least_failed(up, tried) if up else []
        for provider in least[:1] if bulk else least:
            if provider.take(bulk=bulk):
                return Chosen(provider.name)
        return Busy(min(provider.next_turn_s(bulk=bulk) for provider in least[:1] or asked))

    def has_other(self, name: str, way: str, tried: Sequence[Tried], *, bulk: bool) -> bool:
        """Whether a message that `name` has just failed once more goes by another at once.

        `tried` are the attempts before that one.
        """
        if held_by(tried) is not None:
            return False
        failures = {each.provider: each.temporary for each in tried}
        mine = failures.get(name, 0) + 1
        others = [each for each in self._asked(way, tried) if each.name != name and each.is_up(bulk=bulk)]
        return any(failures.get(each.name, 0) < mine for each in others)

    def may_ask_again(self, name: str) -> bool:
        """Whether a message that it may have accepted can be given to it again: it recognises repetitions."""
        return name not in self._all or self._all[name].is_idempotent

    def text_limit(self, name: str) -> TextLimit:
        """How it counts a text, so that what is written down as said is what it is given."""
        return self._all[name].text_limit if name in self._all else UCS2_PARTS

    def hear(self, name: str, outcome: Outcome, *, bulk: bool, took_s: float, now: datetime) -> None:
        """Learn what became of a message at a provider."""
        if name in self._all:
            self._all[name].hear(outcome, bulk=bulk, took_s=took_s, now=now)

    def healths(self, now: datetime) -> list[Health]:
        """How each of them does."""
        return [provider.health(now) for provider in self._all.values()]

    def _asked(self, way: str, tried: Sequence[Tried]) -> list[Provider]:
        held = held_by(tried)
        return [each for each in self._all.values() if (each.name == held if held else each.way == way)]
