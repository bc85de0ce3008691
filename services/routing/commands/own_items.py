"""What a person gave, in their own hands: read, corrected, and kept from their other procedures."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.vault import (
    ITEMS_MAX,
    STEP_FORM,
    Source,
    Use,
    keep_items,
    list_sources,
    read_values,
    write_use,
)
from services.routing.domain.attachments import NO_FILES
from services.routing.domain.handover import WITHDRAWN
from services.routing.domain.items import in_order, is_attached, parts_of
from services.routing.queries.mine import find_subject
from services.routing.tables import SERVICE, case_file, offer, reuse_stop
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

PURPOSE_OWN = "ご自分の情報を確かめるため"
PURPOSE_CORRECT = "ご自分の情報をなおすため"
STEP_OWN = "own_page"
USES_MAX = 500


class OwnItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item as it stands. `used_by`: the procedures that have a yes; `is_stopped`: no others will ask for one."""

    key: str
    value: str
    version: int
    case_id: UUID
    procedure: str
    collected_at: datetime
    used_by: tuple[str, ...]
    is_stopped: bool


async def list_own_items(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, now: datetime
) -> tuple[OwnItem, ...]:
    """Everything that a visitor typed, in the order of forms. The ledger has the reading, their history has not."""
    subject_ref = await find_subject(session, identity)
    if subject_ref is None:
        return ()
    known = await _own_sources(session, identity.municipality, subject_ref)
    use = Use(
        entry_type="previewed",
        case_id=None,
        procedure=None,
        target_service=SERVICE,
        target_step=STEP_OWN,
        purpose=PURPOSE_OWN,
        visibility="internal",
    )
    values = await read_values(
        session, vault, identity=identity, subject_ref=subject_ref, keys=tuple(known), use=use, now=now
    )
    stopped = await stopped_keys(session, identity.municipality, subject_ref)
    uses = await _uses(session, identity.municipality, subject_ref)
    return tuple(
        OwnItem(
            key=key,
            value=values[key].value,
            version=known[key].version,
            case_id=known[key].case_id,
            procedure=known[key].procedure,
            collected_at=known[key].collected_at,
            used_by=tuple(uses.get((key, known[key].commitment), ())),
            is_stopped=key in stopped,
        )
        for key in in_order(values)
        if values[key].value != NO_FILES
    )


async def correct_item(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, key: str, value: str, now: datetime
) -> None:
    """Keep a corrected value as the next version. What was sent keeps the one it was sent with.

    Raises:
        Refusal: `item_unknown` (404).
    """
    subject_ref, source = await _own_source(session, identity, key)
    await keep_items(
        session,
        vault,
        identity=identity,
        subject_ref=subject_ref,
        values={key: value},
        case_id=source.case_id,
        procedure=source.procedure,
        purpose=PURPOSE_CORRECT,
        step=STEP_OWN,
        now=now,
    )


async def stop_reuse(session: AsyncSession, *, identity: Identity, key: str, now: datetime) -> None:
    """Withdraw every yes to an item that has not been sent with, and have no procedure ask for one again.

    Stopping twice is stopping once.

    Raises:
        Refusal: `item_unknown` (404).
    """
    subject_ref, source = await _own_source(session, identity, key)
    town = identity.municipality
    # Whoever says yes in one of these cases right now has done so before, or finds it stopped.
    cases = await session.execute(
        select(case_file.c.case_id, case_file.c.state, case_file.c.subject_ref)
        .where(
            case_file.c.municipality == town,
            or_(case_file.c.subject_ref == subject_ref, case_file.c.guest_ref == identity.ref),
        )
        .order_by(case_file.c.case_id)
        .with_for_update()
    )
    unsent = [row for row in cases if row.state != "submitted"]
    own = [row.case_id for row in unsent if row.subject_ref == subject_ref]
    # What I give to my family is mine; what one of them uses of their own is not.
    given_to = [row.case_id for row in unsent if row.subject_ref != subject_ref]
    stopped = await session.execute(
        upsert(reuse_stop)
        .values(municipality=town, subject_ref=subject_ref, key=key, stopped_at=now)
        .on_conflict_do_nothing()
        .returning(reuse_stop.c.key)
    )
    if stopped.one_or_none() is None:
        return
    await session.execute(
        update(offer)
        .where(
            offer.c.municipality == town,
            offer.c.item == key,
            or_(
                and_(offer.c.step == STEP_FORM, offer.c.case_id.in_(own)),
                and_(offer.c.step == "family", offer.c.case_id.in_(given_to)),
            ),
            offer.c.state.in_(("offered", "previewed", "approved")),
        )
        .values(state="declined", approval_id=None, decided_at=now, applied_at=None)
    )
    use = Use(
        entry_type="declined",
        case_id=None,
        procedure=None,
        target_service=SERVICE,
        target_step=STEP_FORM,
        purpose=PURPOSE_OWN,
        legal_basis="appi_69_2_1",
        explicit_request=True,
        outcome=WITHDRAWN,
    )
    await write_use(session, identity, subject_ref, use, {key: source.commitment}, source=source, now=now)


async def allow_reuse(session: AsyncSession, *, identity: Identity, key: str, now: datetime) -> None:
    """Let procedures ask for an item again. Each still needs its own yes.

    Raises:
        Refusal: `item_unknown` (404).
    """
    subject_ref, _source = await _own_source(session, identity, key)
    await session.execute(
        update(reuse_stop)
        .where(
            reuse_stop.c.municipality == identity.municipality,
            reuse_stop.c.subject_ref == subject_ref,
            reuse_stop.c.key == key,
            reuse_stop.c.ended_at.is_(None),
        )
        .values(ended_at=now)
    )


async def stopped_keys(session: AsyncSession, municipality: str, subject_ref: UUID) -> frozenset[str]:
    """The items that no other procedure may ask for."""
    rows = await session.execute(
        select(reuse_stop.c.key)
        .where(
            reuse_stop.c.municipality == municipality,
            reuse_stop.c.subject_ref == subject_ref,
            reuse_stop.c.ended_at.is_(None),
        )
        .limit(ITEMS_MAX)
    )
    return frozenset(rows.scalars())


async def _own_sources(session: AsyncSession, municipality: str, subject_ref: UUID) -> dict[str, Source]:
    """What the person typed, or staff for them; not what an office wrote to them."""
    sources = await list_sources(session, municipality, subject_ref)
    return {source.key: source for source in sources if parts_of(source.key) or is_attached(source.key)}


async def _own_source(session: AsyncSession, identity: Identity, key: str) -> tuple[UUID, Source]:
    subject_ref = await find_subject(session, identity)
    known = await _own_sources(session, identity.municipality, subject_ref) if subject_ref else {}
    if subject_ref is None or key not in known:
        raise Refusal("item_unknown", 404)
    return subject_ref, known[key]


async def _uses(session: AsyncSession, municipality: str, subject_ref: UUID) -> dict[tuple[str, str], list[str]]:
    """The procedures that have a yes, by item and the commitment to the value that it was given for."""
    rows = await session.execute(
        select(offer.c.item, offer.c.commitment, case_file.c.procedure)
        .join(
            case_file,
            (case_file.c.municipality == offer.c.municipality) & (case_file.c.case_id == offer.c.case_id),
        )
        .where(
            offer.c.municipality == municipality, case_file.c.subject_ref == subject_ref, offer.c.state == "approved"
        )
        .distinct()
        .order_by(offer.c.item, case_file.c.procedure)
        .limit(USES_MAX)
    )
    uses: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        uses.setdefault((row.item, row.commitment), []).append(row.procedure)
    return uses
