"""What a helper can explain, and whether in sign language. Their languages are the account's."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.help_returns import match_at
from services.booking.commands.shifts import check_on_roster
from services.booking.queries.own import list_topics
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity

_SET = text("""
    UPDATE helper SET topics = :topics, signs = :signs
    WHERE (municipality, helper_ref) = (:municipality, :helper_ref)
""")


async def tell_skills(
    session: AsyncSession, actor: Identity, *, topics: Sequence[str], signs: bool, now: datetime
) -> None:
    """These topics of the town and no others, in sign language or not.

    Raises:
        Refusal: `roster_missing` (409), `topic_unknown` (422).
    """
    await check_on_roster(session, actor)
    known = {topic.code for topic in await list_topics(session, actor.municipality)}
    if not known.issuperset(topics):
        raise Refusal("topic_unknown", 422)
    told = {"topics": sorted(set(topics)), "signs": signs}
    await session.execute(_SET, {"municipality": actor.municipality, "helper_ref": actor.ref} | told)
    await record_deed(session, actor, "tell-skills", actor.ref, now=now)
    await match_at(session, actor.municipality, now)
