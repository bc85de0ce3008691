"""For somebody of the family (家族の分): a subject of their own, and what whoever acts offers to their form.

What one person gave is offered to another only here, item by item, and only what a household shares. Once approved, it
is the other person's too, sealed with their key. Nothing of, or for, a protected person passes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Integer, Row, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, lock_open_case
from services.routing.commands.contact import update_case
from services.routing.commands.devices import forget_devices
from services.routing.commands.offers import (
    ShownOffer,
    Undecided,
    decline_expired,
    decline_open,
    preview_offers,
    refuse_stale,
    standing_offers,
    write_decisions,
)
from services.routing.commands.online import may_choose_person, procedure_of
from services.routing.commands.own_items import stopped_keys
from services.routing.commands.protection import is_protected
from services.routing.commands.subjects import as_givers, inherit_protection
from services.routing.commands.uses import case_use
from services.routing.commands.vault import ensure_subject_key, list_sources, read_values, subject_context
from services.routing.domain.family import PERSONS_MAX, STEP_FAMILY, shared_items
from services.routing.domain.handover import read_answers
from services.routing.domain.items import typed_items
from services.routing.tables import SERVICE, application, item, offer, session_person, session_table
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity


async def choose_person(
    session: AsyncSession, *, identity: Identity, case_id: UUID, person: int | Literal["me", "new"], now: datetime
) -> None:
    """Say whose a case is, before anything is typed in it. Pressed twice, somebody new is one person.

    Raises:
        Refusal: `case_unknown` (404), `person_fixed` (409), `person_unknown` (404), `too_many_persons` (409).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    if person == "new" and case.acting_for is not None:
        return
    if not await may_choose_person(session, identity, case):
        raise Refusal("person_fixed", 409)
    acting_for = None
    if person == "new":
        acting_for = await _add_person(session, identity, now=now)
    elif person != "me":
        acting_for = (
            await session.execute(
                select(session_person.c.subject_ref).where(
                    session_person.c.municipality == identity.municipality,
                    session_person.c.session_id == identity.session_id,
                    session_person.c.position == person,
                )
            )
        ).scalar_one_or_none()
        if acting_for is None:
            raise Refusal("person_unknown", 404)
    # What was asked of another person is no question any more, and a device that had one's case has not another's.
    await decline_open(session, case, now)
    await forget_devices(session, case, now=now)
    await session.execute(
        update_case(case).values(
            acting_for=acting_for, subject_ref=acting_for, items=None, updated_at=now, version=case.version + 1
        )
    )


async def preview_family(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> tuple[ShownOffer, ...]:
    """Offer what the person who acts gave for themselves and this form needs too; empty when there is nothing.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    await decline_expired(session, case, now)
    given = await _giver(session, case)
    if given is None:
        return ()
    giver, passable = given
    return await preview_offers(session, vault, identity, giver, passable, step="family", now=now)


async def decide_family(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    answers: Mapping[str, str],
    shown: Mapping[str, str],
    now: datetime,
) -> Undecided | None:
    """Write what was approved and declined, and give what was approved; None when everything is answered.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    await decline_expired(session, case, now)
    given = await _giver(session, case)
    if given is None:
        return None
    giver, passable = given
    offers = await standing_offers(session, giver, passable, now, step="family")
    decisions, missing, is_stale = read_answers(offers, answers, shown, now)
    if is_stale or missing or len(offers) < len(passable):
        await refuse_stale(session, identity, giver, passable, answers, shown, now, step="family")
        return Undecided(missing=tuple(missing), is_stale=is_stale or len(offers) < len(passable))
    approvals = await write_decisions(session, identity, giver, passable, decisions, now, step="family")
    for approval_id in dict.fromkeys(approvals.values()):
        approved = [item for item in approvals if approvals[item] == approval_id]
        await _give(session, vault, identity, case, giver, approval_id, approved, now)
    declined = {decision.offer.item for decision in decisions if not decision.approved}
    # A yes that became a no: it is not theirs any more, in no other case either. What was sent keeps its version.
    cited = exists().where(
        application.c.municipality == item.c.municipality,
        application.c.subject_ref == item.c.subject_ref,
        application.c["items"].op("->>")(item.c.key).cast(Integer) == item.c.version,
    )
    await session.execute(
        delete(item).where(
            item.c.municipality == case.municipality,
            item.c.subject_ref == case.acting_for,
            item.c.case_id == case_id,
            item.c.step == STEP_FAMILY,
            item.c.key.in_(declined),
            ~cited,
        )
    )
    items = sorted((set(case.items or ()) | set(approvals)) - declined)
    await session.execute(update_case(case).values(items=items, updated_at=now, version=case.version + 1))
    return None


async def _giver(session: AsyncSession, case: Row[Any]) -> tuple[Row[Any], dict[str, str]] | None:
    """The case as one of the person who gives (its `subject_ref` is theirs), and what they could give to it now."""
    giver = await as_givers(session, case)
    # What was sent stays as it was sent, while a correction is asked for too.
    if giver is None or case.state == "submitted":
        return None
    town, own = case.municipality, giver.subject_ref
    if await is_protected(session, town, own) or await is_protected(session, town, case.acting_for):
        return None
    # What the other person has of their own is theirs to offer (`reuse.py`).
    theirs = {
        source.key
        for source in await list_sources(session, town, case.acting_for)
        if (source.case_id, source.step) != (case.case_id, STEP_FAMILY)
    }
    stopped = await stopped_keys(session, town, own)
    mine = {
        source.key: source.commitment for source in await list_sources(session, town, own) if source.key not in stopped
    }
    needed = shared_items(typed_items((await procedure_of(session, case)).items))
    passable = {item: mine[item] for item in needed if item in mine and item not in theirs}
    return (giver, passable) if passable else None


async def _give(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    giver: Row[Any],
    approval_id: UUID,
    items: list[str],
    now: datetime,
) -> None:
    """Give approved items to the other person, once for each approval; the ledger says so to the one who gave."""
    fresh = (
        await session.execute(
            update(offer)
            .where(
                offer.c.municipality == case.municipality,
                offer.c.case_id == case.case_id,
                offer.c.approval_id == approval_id,
                offer.c.item.in_(items),
                offer.c.applied_at.is_(None),
            )
            .values(applied_at=now)
            .returning(offer.c.item)
        )
    ).scalars()
    use = case_use(giver, "applied", SERVICE, approval_id)
    values = await read_values(
        session, vault, identity=identity, subject_ref=giver.subject_ref, keys=sorted(fresh), use=use, now=now
    )
    plain = {item: value.value for item, value in values.items()}
    await _keep_given(session, vault, subject_ref=case.acting_for, values=plain, case=case, step=STEP_FAMILY, now=now)


async def _keep_given(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    subject_ref: UUID,
    values: Mapping[str, str],
    case: Row[Any],
    step: str,
    now: datetime,
) -> None:
    """Keep what somebody else of the family gave to a person's case: that person's from now on, with its own source."""
    town, context = case.municipality, subject_context(case.municipality, subject_ref)
    key = await ensure_subject_key(session, vault, municipality=town, subject_ref=subject_ref, now=now)
    known = {source.key: source.version for source in await list_sources(session, town, subject_ref)}
    for name, value in values.items():
        version = known.get(name, 0) + 1
        await session.execute(
            insert(item).values(
                municipality=town,
                subject_ref=subject_ref,
                key=name,
                version=version,
                sealed=vault.seal(key, context, f"{name}/{version}", value),
                commitment=vault.commitment(key, context, name, value),
                procedure=case.procedure,
                case_id=case.case_id,
                step=step,
                how="given_in_family",
                collected_at=now,
            )
        )


async def _add_person(session: AsyncSession, identity: Identity, *, now: datetime) -> UUID:
    mine = (
        session_person.c.municipality == identity.municipality,
        session_person.c.session_id == identity.session_id,
    )
    # The session's row locks the list: two at once have two numbers.
    await session.execute(
        select(session_table.c.session_id)
        .where(session_table.c.municipality == identity.municipality, session_table.c.session_id == identity.session_id)
        .with_for_update()
    )
    taken = set((await session.execute(select(session_person.c.position).where(*mine))).scalars())
    position = next((number for number in range(1, PERSONS_MAX + 1) if number not in taken), None)
    if position is None:
        raise Refusal("too_many_persons", 409)
    subject_ref = uuid4()
    await session.execute(
        insert(session_person).values(
            municipality=identity.municipality,
            session_id=identity.session_id,
            position=position,
            subject_ref=subject_ref,
        )
    )
    await inherit_protection(session, identity, subject_ref, now=now)
    return subject_ref
