"""Whose words a notice is told in: an office's own, the town's, those of its pack, or ours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from shared.town_pack.templates import Channel

# In this order: who is nearest to the person speaks first.
Whose = Literal["office", "town", "pack", "ours"]
ORDER: tuple[Whose, ...] = ("office", "town", "pack", "ours")
# What is to be said where a notice goes by a way.
CHANNELS_OF_WAYS: Mapping[str, tuple[Channel, ...]] = {
    "email": ("email_subject", "email"),
    "sms": ("sms",),
    "line": ("line",),
    "letter": ("letter",),
}


class OwnText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that does not come from us, with `{names}` in it. A version counts within its place."""

    whose: Whose
    text: str
    office: str = ""
    version: int


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Which words one text of an attempt was told in; ours have no version."""

    channel: str
    language: str
    whose: Whose
    office: str = ""
    version: int = 0


# Of one kind and language: what may be said by each channel, the nearest first.
OwnTexts = Mapping[str, Sequence[OwnText]]


def choose(texts: Iterable[tuple[str, OwnText]], office: str) -> OwnTexts:
    """Of all that is said of a kind in a language, by channel, what a notice of an office may be told in.

    An empty text is one that was taken back: the next speaks.
    """
    chosen: dict[str, list[OwnText]] = {}
    for channel, own in texts:
        if own.text and own.office in ("", office):
            chosen.setdefault(channel, []).append(own)
    return {channel: sorted(found, key=lambda own: ORDER.index(own.whose)) for channel, found in chosen.items()}
