"""The pass: what a person approved, sealed for booking, in their own browser's hands."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.handover import passable_items
from services.routing.commands.offers import standing_offers
from services.routing.commands.uses import case_use
from services.routing.commands.vault import Value, read_values
from services.routing.domain.handover import CONTACT, SAME_PASS_TIME
from services.routing.domain.open_pages import FORM
from services.routing.keys import Keys
from services.routing.tables import case_switch, offer, pass_issued
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.passes import BOOKING_ITEMS, PASS_LIFETIME, Pass, PassedItem, seal_pass
from shared.tokens import Identity

PASS_PURPOSE = "book"  # noqa: S105  a purpose, not a secret


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The pass that the browser carries to booking, and what is in it, or given to notifications with it."""

    sealed_pass: str
    items: tuple[str, ...]


async def make_pass(
    session: AsyncSession,
    keys: Keys,
    *,
    identity: Identity,
    case_id: UUID,
    titles: Mapping[str, str],
    language: str,
    now: datetime,
) -> HandedOver | None:
    """Make the pass of what the person decided. None: something is to be decided, or said, first.

    `titles` are what the parts of its form are called, by their keys: booking does not know the form.

    Made again soon, it is the same pass (`SAME_PASS_TIME`); the history of the resident has the approval once, and the
    ledger each time that the values were opened. After another decision it is another pass.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    passable = await passable_items(session, identity, case) if case.state == "handed_over" else None
    if passable is None:
        return None
    offers = await standing_offers(session, case, passable, now)
    if len(offers) < len(passable) or any(shown.state not in ("approved", "declined") for shown in offers):
        return None
    approvals = {shown.item: UUID(shown.approval_id) for shown in offers if shown.approval_id is not None}
    pass_id, issued_at, is_again = await _issue_pass(session, case, list(approvals), now)
    contact_ref = case.contact_ref if CONTACT in approvals else None
    ticket = Pass(
        pass_id=pass_id,
        municipality=identity.municipality,
        guest_ref=identity.ref,
        subject_ref=case.subject_ref,
        case_id=case_id,
        procedure=case.procedure,
        items=await _open_for_pass(session, keys.vault, identity, case, approvals, now, is_again=is_again),
        contact_ref=contact_ref,
        reach=case.reach if contact_ref is not None else "none",
        channel="helper" if case.channel == "helper" else "counter",
        language=language,
        behalf=case.behalf,
        from_step=await _step_left_online(session, case, titles),
        # Booked for one visit: what is done at counters.
        errands=tuple(case.together) if case.channel == "counter" else (),
        issued_at=issued_at,
        expires_at=now + PASS_LIFETIME,
    )
    await record_deed(session, identity, "make_pass", case_id, now=now)
    return HandedOver(sealed_pass=seal_pass(keys.box, "booking", PASS_PURPOSE, ticket), items=tuple(approvals))


async def _step_left_online(session: AsyncSession, case: Row[Any], titles: Mapping[str, str]) -> str:
    """Where the case was online when it last went on with somebody: the page that was open, or how far it had come.
    Empty: it did not come from there."""
    last = (
        select(case_switch.c.from_channel, case_switch.c.step, case_switch.c.page)
        .where(case_switch.c.municipality == case.municipality, case_switch.c.case_id == case.case_id)
        .order_by(case_switch.c.version.desc())
        .limit(1)
    )
    found = (await session.execute(last)).one_or_none()
    if found is None or found.from_channel != "online":
        return ""
    if found.page is not None and found.page.startswith(FORM):
        return FORM + titles[found.page] if found.page in titles else str(found.step)
    return str(found.page or found.step)


async def _issue_pass(
    session: AsyncSession, case: Row[Any], items: list[str], now: datetime
) -> tuple[UUID, datetime, bool]:
    """Note that a pass with these items is made: its id, since when there is this one, and whether it is made again."""
    mine = (pass_issued.c.municipality == case.municipality, pass_issued.c.case_id == case.case_id)
    decided_since = exists().where(
        offer.c.municipality == case.municipality,
        offer.c.case_id == case.case_id,
        offer.c.decided_at >= pass_issued.c.issued_at,
    )
    # What an older pass had opened was given back when the case went another way.
    switched_since = exists().where(
        case_switch.c.municipality == case.municipality,
        case_switch.c.case_id == case.case_id,
        case_switch.c.switched_at >= pass_issued.c.issued_at,
    )
    query = (
        select(pass_issued.c.pass_id, pass_issued.c.issued_at)
        .where(
            *mine,
            pass_issued.c["items"] == items,
            pass_issued.c.channel == case.channel,
            pass_issued.c.issued_at > now - SAME_PASS_TIME,
            ~decided_since,
            ~switched_since,
        )
        .order_by(pass_issued.c.issued_at.desc())
        .limit(1)
    )
    known = (await session.execute(query)).one_or_none()
    expires_at = now + PASS_LIFETIME
    if known is not None:
        again = update(pass_issued).where(*mine, pass_issued.c.pass_id == known.pass_id)
        await session.execute(again.values(expires_at=expires_at))
        return known.pass_id, known.issued_at, True
    pass_id = uuid4()
    await session.execute(
        insert(pass_issued).values(
            municipality=case.municipality,
            pass_id=pass_id,
            case_id=case.case_id,
            items=items,
            channel=case.channel,
            issued_at=now,
            expires_at=expires_at,
        )
    )
    return pass_id, now, False


async def _open_for_pass(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    approvals: Mapping[str, UUID],
    now: datetime,
    *,
    is_again: bool,
) -> tuple[PassedItem, ...]:
    """The values of what was approved for booking. Each reading is an entry that cites the approval."""
    values: dict[str, Value] = {}
    purpose = case_use(case, "approved", "booking").purpose
    for approval_id in dict.fromkeys(approvals.values()):
        chosen = [key for key in BOOKING_ITEMS if approvals.get(key) == approval_id]
        if not chosen:
            continue
        use = msgspec.structs.replace(
            case_use(case, "approved", "booking", approval_id),
            outcome="another_pass" if is_again else "handed_over",
            visibility="internal",
        )
        values |= await read_values(
            session, vault, identity=identity, subject_ref=case.subject_ref, keys=chosen, use=use, now=now
        )
    return tuple(
        PassedItem(key=key, value=values[key].value, approval_id=approvals[key], purpose=purpose)
        for key in BOOKING_ITEMS
        if key in values
    )
