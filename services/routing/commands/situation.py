"""What a visitor says of their situation while they compare channels: kept for the visit, as codes, and nowhere else.

Not in the ledger either: it is no item, no procedure uses it, and no office sees it. And which items they need not
write again: what a comparison is for.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.routing.commands.own_items import stopped_keys
from services.routing.commands.protection import askable
from services.routing.commands.subjects import subject_of_guest
from services.routing.commands.vault import list_sources
from services.routing.domain.channels import NOTHING_GIVEN, NOTHING_SAID, Given
from services.routing.domain.items import typed_items
from services.routing.domain.situation import SITUATION_LIFETIME, Situation
from services.routing.tables import SERVICE, session_table, situation
from shared.passes import BOOKING_ITEMS
from shared.tokens import Identity


async def tell_situation(session: AsyncSession, identity: Identity, told: Situation, *, now: datetime) -> None:
    """Keep the answers in place of those before; none at all forgets them.

    With a session that has ended meanwhile nothing is kept.
    """
    if not told.is_said:
        await forget_situation(session, identity)
        return
    live = select(
        session_table.c.municipality,
        session_table.c.session_id,
        literal(told.until, Text),
        literal(told.phone, Text),
        literal(list(told.needs), ARRAY(Text)),
        literal(now, TIMESTAMP(timezone=True)),
    ).where(
        session_table.c.municipality == identity.municipality,
        session_table.c.session_id == identity.session_id,
        session_table.c.ended_at.is_(None),
    )
    names = ["municipality", "session_id", "until", "phone", "needs", "told_at"]
    statement = insert(situation).from_select(names, live)
    changed = {name: statement.excluded[name] for name in names[2:]}
    await session.execute(statement.on_conflict_do_update(index_elements=["municipality", "session_id"], set_=changed))


async def forget_situation(session: AsyncSession, identity: Identity) -> None:
    """Forget the answers. Forgetting twice changes nothing."""
    await session.execute(
        delete(situation).where(
            situation.c.municipality == identity.municipality, situation.c.session_id == identity.session_id
        )
    )


async def find_situation(session: AsyncSession, identity: Identity | None, now: datetime) -> Situation:
    """The answers of this visit. Staff have none: whoever asks them is another person each time."""
    if identity is None or identity.kind != "guest":
        return NOTHING_SAID
    row = (
        await session.execute(
            select(situation.c.until, situation.c.phone, situation.c.needs).where(
                situation.c.municipality == identity.municipality,
                situation.c.session_id == identity.session_id,
                situation.c.told_at > now - SITUATION_LIFETIME,
            )
        )
    ).one_or_none()
    return Situation(until=row.until, phone=row.phone, needs=tuple(row.needs)) if row is not None else NOTHING_SAID


async def find_given(session: AsyncSession, identity: Identity | None, items: Sequence[str]) -> Given:
    """Which of a procedure's items would be offered from earlier ones, by name: no value is opened.

    As `reusable_items` finds them: nothing that the person keeps from other procedures, nothing that may not be asked.
    """
    subject_ref = await subject_of_guest(session, identity) if identity is not None else None
    if identity is None or subject_ref is None:
        return NOTHING_GIVEN
    town = identity.municipality
    stopped = await stopped_keys(session, town, subject_ref)
    known = {source.key for source in await list_sources(session, town, subject_ref)} - stopped
    form = [key for key in typed_items(items) if key in known]
    booking = [key for key in BOOKING_ITEMS if key in known]
    return Given(
        form=await askable(session, town, subject_ref, form, SERVICE),
        booking=await askable(session, town, subject_ref, booking, "booking"),
    )
