"""The online form of a case: filled with what may be used, and kept in the vault as it is typed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.about_you import PURPOSE_PREFILL
from services.routing.commands.cases import get_own_case, lock_open_case
from services.routing.commands.contact import update_case
from services.routing.commands.reuse import approved_offers, open_questions, usable_sources
from services.routing.commands.subjects import find_subject_of, subject_of_case
from services.routing.commands.vault import (
    STEP_FORM,
    Source,
    Use,
    ensure_subject_key,
    keep_items,
    list_sources,
    read_values,
    seen_again,
    subject_context,
    write_refused,
    write_reused,
)
from services.routing.domain.behalf import SAID
from services.routing.domain.items import is_attached
from services.routing.domain.town_items import form_of
from services.routing.tables import SERVICE, offer
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.tokens import Identity

PURPOSE_APPLY = "申請の手続きをするため"


class FilledItems(msgspec.Struct, frozen=True, kw_only=True):
    """What the form starts with. `reused` came from earlier cases; `can_reuse`: there is more that could.

    `versions` are those of the values: whoever saves says which they saw.
    """

    values: dict[str, str]
    reused: tuple[str, ...]
    can_reuse: bool
    versions: dict[str, int] = {}


async def fill_items(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    only: Collection[str] | None = None,
    now: datetime,
) -> FilledItems:
    """What the form starts with: what this case was told before, and what the person approved from earlier ones.

    `only`: the items that are asked for it; None: all of its procedure's.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    subject_ref = await find_subject_of(session, identity, case)
    if subject_ref is None:
        return FilledItems(values={}, reused=(), can_reuse=False)
    usable = await usable_sources(session, case)
    if only is not None:
        usable = {key: source for key, source in usable.items() if key in only}
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_FORM,
        purpose=PURPOSE_APPLY,
        outcome="own_form",
        acting_for=case.acting_for,
    )
    await record_deed(session, identity, "view_form", case_id, now=now)
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=subject_ref,
        keys=tuple(usable),
        use=seen_again(identity, use),
        versions={key: source.version for key, source in usable.items()},
        now=now,
    )
    approved = await approved_offers(session, case)
    unused = [
        source
        for source in await list_sources(session, case.municipality, subject_ref)
        if source.key in approved and source.key not in usable and (only is None or source.key in only)
    ]
    # What had a yes and is not filled in all the same: another value by now, or nothing that this yes covers.
    await write_refused(session, identity, subject_ref, use, unused, now=now)
    return FilledItems(
        values={key: value.value for key, value in values.items()},
        reused=tuple(key for key, source in usable.items() if source.case_id != case_id),
        can_reuse=bool(await open_questions(session, identity, case, now)),
        versions={key: source.version for key, source in usable.items()},
    )


async def changed_meanwhile(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    seen: Mapping[str, int],
    values: Mapping[str, str],
    now: datetime,
) -> tuple[str, ...]:
    """The items that were saved differently since a form was filled with the versions `seen`: at another device, or in
    another window. Saving would undo them. The case is locked until the transaction ends.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    usable = await usable_sources(session, case)
    newer = [key for key in values if key in usable and usable[key].version != seen.get(key)]
    if not newer or case.subject_ref is None:
        return ()
    town, context = identity.municipality, subject_context(identity.municipality, case.subject_ref)
    key = await ensure_subject_key(session, vault, municipality=town, subject_ref=case.subject_ref, now=now)
    return tuple(
        name for name in newer if vault.commitment(key, context, name, values[name]) != usable[name].commitment
    )


async def saved_versions(session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime) -> dict[str, int]:
    """The versions of the items that a case may use.

    Raises:
        Refusal: `case_unknown` (404).
    """
    usable = await usable_sources(session, await get_own_case(session, identity, case_id, now=now))
    return {key: source.version for key, source in usable.items()}


async def is_of_version(
    session: AsyncSession, identity: Identity, case_id: UUID, version: str, *, now: datetime
) -> bool:
    """Whether a case is still as it was when a page was made of it; until the transaction ends, it stays so.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    return str((await lock_open_case(session, identity, case_id, now=now)).version) == version


async def save_form(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    values: Mapping[str, str],
    beside: Mapping[str, str] | None = None,
    now: datetime,
) -> None:
    """Keep checked values, but not of what does not apply by them. What was approved and left as it was is `applied` by
    that approval, once.

    `beside`: what was answered in one form with other cases, and decides here too unless it was typed here.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    decides = values
    if beside:
        own = {key for key, source in (await usable_sources(session, case)).items() if source.case_id == case_id}
        decides = {key: text for key, text in beside.items() if key not in own} | dict(values)
    not_asked = form_of(case.procedure).not_asked(decides, case.not_asked)
    if not values:
        if not_asked != tuple(case.not_asked):
            items = sorted({*(case.items or ())} - {*not_asked})
            changed = {"items": items, "not_asked": list(not_asked), "updated_at": now, "version": case.version + 1}
            await session.execute(update_case(case).values(**changed))
        return
    values = {item: value for item, value in values.items() if item not in not_asked}
    subject_ref = await subject_of_case(session, identity, case, now=now)
    approved = await approved_offers(session, case)
    usable = await usable_sources(session, case)
    kept = await keep_items(
        session,
        vault,
        identity=identity,
        subject_ref=subject_ref,
        values=values,
        case_id=case_id,
        procedure=case.procedure,
        purpose=PURPOSE_APPLY,
        step=STEP_FORM,
        usable=usable,
        outcome=SAID[case.behalf],
        acting_for=case.acting_for,
        now=now,
    )
    # What is attached is in no field: used as it is, until a file is added or taken out.
    files = [source for key, source in usable.items() if is_attached(key) and source.case_id != case_id]
    for approval_id in sorted({row.approval_id for row in approved.values() if row.applied_at is None}, key=str):
        sources = [
            source
            for source in (*kept.unchanged, *files)
            if (row := approved.get(source.key)) is not None
            and row.approval_id == approval_id
            and row.applied_at is None
        ]
        if sources:
            await _write_applied(session, identity, case, subject_ref, approval_id, sources, now)
    await session.execute(
        update_case(case).values(
            subject_ref=subject_ref,
            items=sorted({*(case.items or ()), *values} - set(not_asked)),
            not_asked=list(not_asked),
            updated_at=now,
            version=case.version + 1,
        )
    )
    await record_deed(session, identity, "save_form", case_id, now=now)


async def apply_approved(
    session: AsyncSession, *, identity: Identity, case_id: UUID, items: Collection[str] | None = None, now: datetime
) -> None:
    """Write that what the person approved from other cases is used in this one as it stands, once for each approval.

    `items`: of these only; None: of all.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    if case.subject_ref is None:
        return
    approved = await approved_offers(session, case)
    usable = await usable_sources(session, case)
    by_approval: dict[UUID, list[Source]] = {}
    for key, row in approved.items():
        source = usable.get(key)
        if source is None or source.case_id == case_id or row.applied_at is not None:
            continue
        if items is None or key in items:
            by_approval.setdefault(row.approval_id, []).append(source)
    for approval_id in sorted(by_approval, key=str):
        await _write_applied(session, identity, case, case.subject_ref, approval_id, by_approval[approval_id], now)


async def _write_applied(
    session: AsyncSession,
    identity: Identity,
    case: Row[Any],
    subject_ref: UUID,
    approval_id: UUID,
    sources: Sequence[Source],
    now: datetime,
) -> None:
    use = Use(
        entry_type="applied",
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_FORM,
        purpose=PURPOSE_PREFILL,
        legal_basis="appi_69_2_1",
        approval_id=approval_id,
        acting_for=case.acting_for,
    )
    await write_reused(session, identity, subject_ref, use, sources, now=now)
    await session.execute(
        update(offer)
        .where(
            offer.c.municipality == case.municipality,
            offer.c.case_id == case.case_id,
            offer.c.approval_id == approval_id,
            offer.c.item.in_([source.key for source in sources]),
        )
        .values(applied_at=now)
    )
