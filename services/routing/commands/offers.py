"""Offers (提示): an item is shown before it is used elsewhere, and the person says yes or no; no answer is a no."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import ColumnElement, Row, Text, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.contact import contact_source
from services.routing.commands.subjects import as_givers
from services.routing.commands.uses import case_use
from services.routing.commands.vault import (
    Source,
    System,
    by_source,
    list_sources,
    read_values,
    seen_again,
    write_use,
)
from services.routing.domain.handover import EXPIRED, OFFER_LIFETIME, STALE, Decision, Offer, Step, target_service
from services.routing.tables import SERVICE, case_file, offer
from shared.crypto import SubjectVault
from shared.ledger.entry import LegalBasis
from shared.messaging.due import schedule
from shared.tokens import Identity

# An offer that nobody answered in time becomes a decline: the worker writes it, or whoever opens the case before.
DUE_OFFERS = "offers_expired"
OFFERS_MAX = 200
TARGETS = ("booking", "notifications", SERVICE)


class ShownOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the preview, with the purpose and law that a yes is for.

    `value` None: a contact that was handed over before and is no longer kept here, or that is not shown.
    """

    offer_id: str
    item: str
    target: str
    value: str | None
    purpose: str
    legal_basis: LegalBasis
    answer: Literal["yes", "no", ""]


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """The answers do not suffice: some are missing, or what was shown no longer stands and must be shown again."""

    missing: tuple[str, ...]
    is_stale: bool


async def preview_offers(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    passable: Mapping[str, str],
    *,
    step: Step = "handover",
    now: datetime,
) -> tuple[ShownOffer, ...]:
    """Offer these items (with the commitments to their values) where no offer stands yet, and show them all.

    A new offer is written to the ledger as offered and previewed, once; looking again is kept out of the person's
    history, unless it is staff who look. The caller holds the case's lock.
    """
    town = identity.municipality
    standing = {shown.item: shown for shown in await standing_offers(session, case, passable, now, step=step)}
    uses = {key: case_use(case, "offered", target_service(key, step)) for key in passable}
    fresh = [key for key in passable if key not in standing]
    for key in fresh:
        expires_at = now + OFFER_LIFETIME
        standing[key] = Offer(
            offer_id=str(uuid4()), item=key, state="previewed", approval_id=None, expires_at=expires_at
        )
        await session.execute(
            insert(offer).values(
                municipality=town,
                offer_id=UUID(standing[key].offer_id),
                case_id=case.case_id,
                step=step,
                item=key,
                commitment=passable[key],
                purpose=uses[key].purpose,
                legal_basis=uses[key].legal_basis,
                state="previewed",
                offered_at=now,
                expires_at=expires_at,
            )
        )
    if fresh:
        due_at = now + OFFER_LIFETIME
        await schedule(session, SERVICE, municipality=town, kind=DUE_OFFERS, ref=str(case.case_id), due_at=due_at)
    for service in TARGETS:
        chosen = {key: passable[key] for key in fresh if target_service(key, step) == service}
        if chosen:
            await write_use(session, identity, case.subject_ref, case_use(case, "offered", service), chosen, now=now)
    again = [key for key in passable if key not in fresh]
    values = await _show(session, vault, identity, case, fresh, step, now, is_first=True)
    values |= await _show(session, vault, identity, case, again, step, now, is_first=False)
    answers: dict[str, Literal["yes", "no", ""]] = {"approved": "yes", "declined": "no"}
    return tuple(
        ShownOffer(
            offer_id=standing[key].offer_id,
            item=key,
            target=target_service(key, step),
            value=values.get(key),
            purpose=uses[key].purpose,
            legal_basis=uses[key].legal_basis,
            answer=answers.get(standing[key].state, ""),
        )
        for key in passable
    )


async def expire_offers(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: a preview that nobody answered is declined."""
    query = select(case_file).where(case_file.c.municipality == municipality, case_file.c.case_id == UUID(ref))
    case = (await session.execute(query.with_for_update())).one_or_none()
    if case is not None:
        await decline_expired(session, case, now)


async def decline_expired(session: AsyncSession, case: Row[Any], now: datetime) -> None:
    """Decline what was offered and not answered in time, once. The caller holds the case's lock."""
    await _decline(session, case, offer.c.expires_at <= now, now)


async def decline_open(session: AsyncSession, case: Row[Any], now: datetime) -> None:
    """Decline whatever waits for an answer: its preview is closed. The caller holds the case's lock."""
    await _decline(session, case, true(), now)


async def _decline(session: AsyncSession, case: Row[Any], which: ColumnElement[bool], now: datetime) -> None:
    rows = await session.execute(
        update(offer)
        .where(
            offer.c.municipality == case.municipality,
            offer.c.case_id == case.case_id,
            offer.c.state.in_(("offered", "previewed")),
            which,
        )
        .values(state="declined", decided_at=now)
        .returning(offer.c.item, offer.c.step, offer.c.commitment)
    )
    expired: dict[tuple[str, bool], dict[str, str]] = {}
    for row in rows:
        expired.setdefault((target_service(row.item, row.step), row.step == "family"), {})[row.item] = row.commitment
    for (service, is_given), chosen in sorted(expired.items()):
        whose = await as_givers(session, case) if is_given else case
        if whose is not None:
            use = msgspec.structs.replace(case_use(whose, "declined", service), outcome=EXPIRED)
            await write_use(session, System(municipality=case.municipality), whose.subject_ref, use, chosen, now=now)


async def refuse_stale(
    session: AsyncSession,
    identity: Identity,
    case: Row[Any],
    passable: Mapping[str, str],
    answers: Mapping[str, str],
    shown: Mapping[str, str],
    now: datetime,
    *,
    step: Step = "handover",
) -> None:
    """Write, once, which items have another value by now than the one that was said yes to: they are not used.

    The caller holds the case's lock.
    """
    agreed = [offer_id for item, offer_id in shown.items() if answers.get(item) == "yes"]
    rows = await session.execute(
        select(offer.c.offer_id, offer.c.item, offer.c.commitment)
        .where(
            offer.c.municipality == case.municipality,
            offer.c.case_id == case.case_id,
            offer.c.step == step,
            # As text: what a form sends need not be a reference.
            offer.c.offer_id.cast(Text).in_(agreed),
            offer.c.state.in_(("offered", "previewed")),
        )
        .limit(OFFERS_MAX)
    )
    changed = [row for row in rows if row.item in passable and passable[row.item] != row.commitment]
    if not changed:
        return
    await session.execute(
        update(offer)
        .where(offer.c.municipality == case.municipality, offer.c.offer_id.in_([row.offer_id for row in changed]))
        .values(state="declined", decided_at=now)
    )
    for service in TARGETS:
        chosen = {row.item: row.commitment for row in changed if target_service(row.item, step) == service}
        if chosen:
            use = msgspec.structs.replace(case_use(case, "refused", service), outcome=STALE)
            await write_use(session, identity, case.subject_ref, use, chosen, now=now)


async def standing_offers(
    session: AsyncSession, case: Row[Any], passable: Mapping[str, str], now: datetime, *, step: Step = "handover"
) -> list[Offer]:
    """The newest offer of each item that is neither expired nor about another value or purpose."""
    rows = await session.execute(
        select(offer)
        .where(
            offer.c.municipality == case.municipality,
            offer.c.case_id == case.case_id,
            offer.c.step == step,
            offer.c.expires_at > now,
        )
        .order_by(offer.c.offered_at.desc())
        .limit(OFFERS_MAX)
    )
    newest: dict[str, Offer] = {}
    for row in rows:
        if passable.get(row.item) == row.commitment and is_same_use(case, row) and row.item not in newest:
            newest[row.item] = Offer(
                offer_id=str(row.offer_id),
                item=row.item,
                state=row.state,
                approval_id=str(row.approval_id) if row.approval_id else None,
                expires_at=row.expires_at,
            )
    return [newest[key] for key in passable if key in newest]


def is_same_use(case: Row[Any], row: Row[Any]) -> bool:
    """Whether an offer was shown for the purpose, and by the law, that the item would be used for now."""
    use = case_use(case, "approved", target_service(row.item, row.step))
    return (row.purpose, row.legal_basis) == (use.purpose, use.legal_basis)


async def write_decisions(
    session: AsyncSession,
    identity: Identity,
    case: Row[Any],
    passable: Mapping[str, str],
    decisions: Sequence[Decision],
    now: datetime,
    *,
    step: Step = "handover",
) -> dict[str, UUID]:
    """Write what is newly approved or declined; return the approval of every approved item."""
    approvals: dict[str, UUID] = {}
    for service in TARGETS:
        group = [decision for decision in decisions if target_service(decision.offer.item, step) == service]
        approval_id = uuid4()
        for decision in group:
            if not decision.approved:
                continue
            before = decision.offer.approval_id
            is_same = decision.offer.state == "approved" and before is not None
            approvals[decision.offer.item] = UUID(before) if is_same and before else approval_id
        for is_approved, state in ((True, "approved"), (False, "declined")):
            changed = [
                decision.offer
                for decision in group
                if decision.approved is is_approved and decision.offer.state != state
            ]
            if not changed:
                continue
            await session.execute(
                update(offer)
                .where(
                    offer.c.municipality == identity.municipality,
                    offer.c.offer_id.in_([UUID(changed_offer.offer_id) for changed_offer in changed]),
                )
                .values(state=state, approval_id=approval_id if is_approved else None, decided_at=now, applied_at=None)
            )
            chosen = {changed_offer.item: passable[changed_offer.item] for changed_offer in changed}
            use = case_use(
                case, "approved" if is_approved else "declined", service, approval_id if is_approved else None
            )
            for source, part in await _with_sources(session, case, service, chosen, is_approved=is_approved):
                await write_use(session, identity, case.subject_ref, use, part, source=source, now=now)
    return approvals


async def _with_sources(
    session: AsyncSession, case: Row[Any], service: str, chosen: Mapping[str, str], *, is_approved: bool
) -> list[tuple[Source | None, Mapping[str, str]]]:
    """What was decided, grouped by where it came from: one entry names one source."""
    if service == "notifications":
        return [(await contact_source(session, case), chosen)]
    if service != SERVICE and not is_approved:
        return [(None, chosen)]
    sources = await list_sources(session, case.municipality, case.subject_ref)
    groups = by_source([source for source in sources if source.key in chosen])
    return [(group[0], {source.key: chosen[source.key] for source in group}) for group in groups]


async def _show(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    items: Sequence[str],
    step: Step,
    now: datetime,
    *,
    is_first: bool,
) -> dict[str, str]:
    values: dict[str, str] = {}
    for service in TARGETS:
        chosen = [key for key in items if target_service(key, step) == service]
        if chosen:
            use = case_use(case, "previewed", service)
            if not is_first:
                use = seen_again(identity, msgspec.structs.replace(use, outcome="shown_again"))
            read = await read_values(
                session, vault, identity=identity, subject_ref=case.subject_ref, keys=chosen, use=use, now=now
            )
            values |= {key: value.value for key, value in read.items()}
    return values
