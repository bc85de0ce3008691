"""Not asking twice (再利用): what a person's earlier cases hold is offered to the form of another, item by item."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, lock_open_case
from services.routing.commands.contact import update_case
from services.routing.commands.offers import (
    ShownOffer,
    Undecided,
    decline_expired,
    is_same_use,
    preview_offers,
    refuse_stale,
    standing_offers,
    write_decisions,
)
from services.routing.commands.online import procedure_of
from services.routing.commands.own_items import stopped_keys
from services.routing.commands.protection import askable
from services.routing.commands.subjects import find_subject_of
from services.routing.commands.vault import STEP_FORM, Source, list_sources
from services.routing.domain.handover import Step, read_answers
from services.routing.domain.items import attached_items, typed_items
from services.routing.queries.attachments import without_emptied
from services.routing.tables import SERVICE, offer
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.tokens import Identity

OFFERS_MAX = 200


async def preview_reuse(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> tuple[ShownOffer, ...]:
    """Offer what the person's earlier cases hold and this form needs, and show it; empty when there is nothing.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    await decline_expired(session, case, now)
    case, reusable = await reusable_items(session, identity, case, now)
    if not reusable:
        return ()
    await record_deed(session, identity, "view_reuse", case_id, now=now)
    return await preview_offers(session, vault, identity, case, reusable, step=STEP_FORM, now=now)


async def decide_reuse(
    session: AsyncSession,
    *,
    identity: Identity,
    case_id: UUID,
    answers: Mapping[str, str],
    shown: Mapping[str, str],
    now: datetime,
) -> Undecided | None:
    """Write what the person approved and declined; None when everything is answered.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    await decline_expired(session, case, now)
    case, reusable = await reusable_items(session, identity, case, now)
    offers = await standing_offers(session, case, reusable, now, step=STEP_FORM)
    decisions, missing, is_stale = read_answers(offers, answers, shown, now)
    if is_stale or missing or len(offers) < len(reusable):
        await refuse_stale(session, identity, case, reusable, answers, shown, now, step=STEP_FORM)
        return Undecided(missing=tuple(missing), is_stale=is_stale or len(offers) < len(reusable))
    approvals = await write_decisions(session, identity, case, reusable, decisions, now, step=STEP_FORM)
    declined = {decision.offer.item for decision in decisions if not decision.approved}
    items = sorted((set(case.items or ()) | set(approvals)) - declined)
    await session.execute(update_case(case).values(items=items, updated_at=now, version=case.version + 1))
    await record_deed(session, identity, "decide_reuse", case_id, now=now)
    return None


async def usable_sources(
    session: AsyncSession, case: Row[Any], *, steps: Sequence[Step] = (STEP_FORM,)
) -> dict[str, Source]:
    """The items that the case may use now: another case's as it was approved, else what was typed in this one.

    What changed elsewhere since it was approved, or was never offered here, is not among them: it is asked again.
    Nor is what a protected person gave elsewhere, unless it tells nothing of where they are. `steps`: where a yes
    counts.
    """
    if case.subject_ref is None or not case.items:
        return {}
    approved = await approved_offers(session, case, steps=steps)
    covered = await askable(session, case.municipality, case.subject_ref, tuple(approved), SERVICE)
    usable = {}
    own = {
        source.key: source
        for source in await list_sources(session, case.municipality, case.subject_ref, case_id=case.case_id)
    }
    for source in await list_sources(session, case.municipality, case.subject_ref):
        if source.key not in case.items:
            continue
        known = approved.get(source.key)
        is_approved = known is not None and known.commitment == source.commitment and source.key in covered
        if source.case_id == case.case_id or is_approved:
            usable[source.key] = source
        elif source.key in own:
            usable[source.key] = own[source.key]
    return usable


async def reusable_items(
    session: AsyncSession, identity: Identity, case: Row[Any], now: datetime
) -> tuple[Row[Any], dict[str, str]]:
    """What earlier cases hold and this form needs, with the commitment to its value; the case belongs to them then."""
    subject_ref = await find_subject_of(session, identity, case)
    if subject_ref is None or case.guest_ref != identity.ref:
        # What the person's other cases hold is not for another device.
        return case, {}
    if case.subject_ref is None:
        await session.execute(update_case(case).values(subject_ref=subject_ref))
        case = await get_own_case(session, identity, case.case_id, lock=True, now=now)
    stopped = await stopped_keys(session, case.municipality, subject_ref)
    row = await procedure_of(session, case)
    asked = (*typed_items(row.items), *attached_items(row.items, row.attach))
    wanted = [key for key in asked if key not in stopped]
    needed = await askable(session, case.municipality, subject_ref, wanted, SERVICE)
    sources = {source.key: source for source in await list_sources(session, case.municipality, subject_ref)}
    found = {key: sources[key].commitment for key in needed if key in sources and sources[key].case_id != case.case_id}
    newest = {key: sources[key].version for key in found}
    found = await without_emptied(session, case.municipality, subject_ref, found, newest)
    answered = {known.item for known in await standing_offers(session, case, found, now, step=STEP_FORM)}
    usable = await usable_sources(session, case)
    return case, {key: commitment for key, commitment in found.items() if key in answered or key not in usable}


async def open_questions(session: AsyncSession, identity: Identity, case: Row[Any], now: datetime) -> set[str]:
    """Items that earlier cases hold, that this form needs, and that the person was not asked about yet."""
    case, reusable = await reusable_items(session, identity, case, now)
    standing = await standing_offers(session, case, reusable, now, step=STEP_FORM)
    return set(reusable) - {known.item for known in standing if known.state in ("approved", "declined")}


async def approved_offers(
    session: AsyncSession, case: Row[Any], *, steps: Sequence[Step] = (STEP_FORM,)
) -> dict[str, Row[Any]]:
    """The newest answer to each offer of this form (or of other steps), where it is a yes."""
    rows = await session.execute(
        select(offer)
        .where(
            offer.c.municipality == case.municipality,
            offer.c.case_id == case.case_id,
            offer.c.step.in_(steps),
            offer.c.decided_at.is_not(None),
        )
        .order_by(offer.c.decided_at.desc(), offer.c.offered_at.desc())
        .limit(OFFERS_MAX)
    )
    newest: dict[str, Row[Any]] = {}
    for row in rows:
        newest.setdefault(row.item, row)
    return {key: row for key, row in newest.items() if row.state == "approved" and is_same_use(case, row)}
