"""What a provider of the identity step says of a person is offered to their form, and taken over only with a yes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import lock_open_case
from services.routing.commands.contact import update_case
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.online import procedure_of
from services.routing.commands.protection import is_protected
from services.routing.commands.reuse import usable_sources
from services.routing.commands.vault import (
    Use,
    ensure_subject_key,
    keep_items,
    read_values,
    seen_again,
    subject_context,
    write_use,
)
from services.routing.domain.identity import FROM_PROVIDER, STEP_IDENTITY
from services.routing.domain.items import typed_items, unpack_value
from services.routing.domain.protection import may_open
from services.routing.tables import SERVICE, identity_proof
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.events.ledger import EntryType
from shared.tokens import Identity

ADDRESS = "address"


async def offer_claims(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    values: Mapping[str, str],
    now: datetime,
) -> tuple[str, ...]:
    """The items that the provider says differently from the form, and that may be taken over; the ledger has that they
    were offered. Nothing of them is kept. A case for somebody of the family has another person's items.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    if case.subject_ref is None or case.acting_for is not None:
        return ()
    needed = typed_items((await procedure_of(session, case)).items)
    usable = await usable_sources(session, case)
    offered = {key: text for key, text in values.items() if key in needed}
    if await is_protected(session, case.municipality, case.subject_ref):
        # The page is no safer place for where they are than any other.
        offered = {key: text for key, text in offered.items() if may_open(key, SERVICE)}
    said = await _commitments(session, vault, case, offered, now)
    differing = {key: text for key, text in said.items() if key not in usable or usable[key].commitment != text}
    if differing:
        await write_use(session, identity, case.subject_ref, _use(case, "offered"), differing, now=now)
    return tuple(key for key in needed if key in differing)


async def read_postal_code(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> str:
    """The postal code of the address that one's own form has; empty: none, or it is held back.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    source = (await usable_sources(session, case)).get(ADDRESS)
    if case.subject_ref is None or source is None:
        return ""
    use = msgspec.structs.replace(_use(case, "previewed"), outcome="own_form")
    values = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        keys=(ADDRESS,),
        use=seen_again(identity, use),
        versions={ADDRESS: source.version},
        now=now,
    )
    return unpack_value(ADDRESS, values[ADDRESS].value).get("postal_code", "") if ADDRESS in values else ""


async def take_claims(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    proof_id: UUID,
    values: Mapping[str, str],
    accepted: Collection[str],
    now: datetime,
) -> None:
    """Take over what the person said yes to, and write what they said no to.

    The proof holds for what is sent then, too: nothing in it has changed but what the same provider says.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    if case.subject_ref is None:
        return
    declined = {key: text for key, text in values.items() if key not in accepted}
    if declined:
        said = await _commitments(session, vault, case, declined, now)
        await write_use(session, identity, case.subject_ref, _use(case, "declined"), said, now=now)
    taken = {key: text for key, text in values.items() if key in accepted}
    if not taken:
        return
    kept = await keep_items(
        session,
        vault,
        identity=identity,
        subject_ref=case.subject_ref,
        values=taken,
        case_id=case_id,
        procedure=case.procedure,
        purpose=PURPOSE_APPLY,
        step=STEP_IDENTITY,
        usable=await usable_sources(session, case),
        outcome=FROM_PROVIDER,
        how=FROM_PROVIDER,
        now=now,
    )
    items = sorted({*(case.items or ()), *taken})
    await session.execute(update_case(case).values(items=items, updated_at=now, version=case.version + 1))
    mine = (
        identity_proof.c.municipality == case.municipality,
        identity_proof.c.proof_id == proof_id,
        identity_proof.c.case_id == case_id,
    )
    proof = (await session.execute(select(identity_proof.c["items"]).where(*mine).with_for_update())).one_or_none()
    if proof is not None:
        await session.execute(update(identity_proof).where(*mine).values(items={**proof[0], **kept.versions}))
    await record_deed(session, identity, "take_claims", case_id, now=now)


async def _commitments(
    session: AsyncSession, vault: SubjectVault, case: Row[Any], values: Mapping[str, str], now: datetime
) -> dict[str, str]:
    town, context = case.municipality, subject_context(case.municipality, case.subject_ref)
    key = await ensure_subject_key(session, vault, municipality=town, subject_ref=case.subject_ref, now=now)
    return {name: vault.commitment(key, context, name, value) for name, value in values.items()}


def _use(case: Row[Any], entry_type: EntryType) -> Use:
    return Use(
        entry_type=entry_type,
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP_IDENTITY,
        purpose=PURPOSE_APPLY,
        outcome=FROM_PROVIDER,
    )
