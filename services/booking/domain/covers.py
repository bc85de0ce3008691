"""Asking several helpers at once whether they can come instead (代わりの募集): when there is time, and who suits."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

# Whoever cannot come so shortly before is followed by whoever else can, on shift or not.
SHORT_NOTICE = timedelta(hours=24)
# Nobody need look at their phone at once; and the resident is told before they set out.
ANSWER_WITHIN = timedelta(hours=24)
ANSWER_AT_LEAST = timedelta(minutes=15)
TELL_BEFORE, TELL_BEFORE_AT_LEAST = timedelta(hours=2), timedelta(minutes=30)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A helper who is free then."""

    helper_ref: str
    languages: tuple[str, ...]
    topics: tuple[str, ...]


def cover_by(*, asked_at: datetime, starts_at: datetime) -> datetime | None:
    """Until when helpers may answer; None: there is no time left to ask them."""
    if asked_at + ANSWER_AT_LEAST > starts_at - TELL_BEFORE_AT_LEAST:
        return None
    return max(asked_at + ANSWER_AT_LEAST, min(asked_at + ANSWER_WITHIN, starts_at - TELL_BEFORE))


def who_suits(free: Sequence[Candidate], *, language: str, topic: str) -> list[str]:
    """Who speaks the language and explains the topic; where nobody does both, who speaks it; else whoever is free.

    やさしい日本語 is spoken by whoever speaks Japanese. Without a topic it is for a procedure, which all explain.
    """
    spoken = language.partition("-")[0]
    speak = [each for each in free if spoken in each.languages]
    explain = [each for each in speak if not topic or topic in each.topics]
    return [each.helper_ref for each in explain or speak or free]
