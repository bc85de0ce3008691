"""The person's own items: sealed with the subject's key, with provenance and versions.

Values are opened in one function only, `read_values`, which writes the ledger entry in the same transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import and_, insert, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.protection import note_refused, protected
from services.routing.domain.handover import CONTACT
from services.routing.domain.protection import NOT_COVERED, Despite, may_open
from services.routing.tables import SERVICE, case_file, item, ledger, subject_key
from shared.crypto import SubjectVault
from shared.events.ledger import EntryType
from shared.ledger.entry import Entry, LegalBasis
from shared.tokens import Identity

ITEMS_MAX = 100
STEP_YOU: Final = "you"
STEP_FORM: Final = "form"
STEP_OFFICE: Final = "office"

How = Literal["typed_by_resident", "typed_by_staff", "given_in_family", "from_provider"]


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a reading or a decision is for: becomes ledger entries. `approval_id` is cited by whoever applies later."""

    entry_type: EntryType
    # None: the person looks after their items themselves, apart from any case.
    case_id: UUID | None
    procedure: str | None
    target_service: str
    target_step: str
    purpose: str
    legal_basis: LegalBasis = "appi_69_1"
    explicit_request: bool = False
    outcome: str = "done"
    visibility: Literal["subject", "internal"] = "subject"
    approval_id: UUID | None = None
    # The member of the family whose case it is, when another acts for them.
    acting_for: UUID | None = None
    # Why a protected person's item is opened all the same: only for these items, and only where it is said.
    despite: Despite | None = None


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Ourselves, where nobody acted: what became of something by the passing of time."""

    municipality: str
    kind: Literal["system"] = "system"
    ref: str = SERVICE
    office: str | None = None


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One item as it stands: the value and where it came from."""

    value: str
    commitment: str
    procedure: str
    case_id: UUID
    collected_at: datetime


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where an item came from, without its value."""

    key: str
    version: int
    commitment: str
    procedure: str
    case_id: UUID
    step: str
    collected_at: datetime


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of kept values: the version that holds each now, and those of other cases that stayed."""

    versions: dict[str, int]
    unchanged: tuple[Source, ...]


async def ensure_subject_key(
    session: AsyncSession, vault: SubjectVault, *, municipality: str, subject_ref: UUID, now: datetime
) -> bytes:
    """The subject's wrapped data key, made if there is none. Its row stays locked: versions are given in turn."""
    made = vault.new_key(subject_context(municipality, subject_ref))
    await session.execute(
        upsert(subject_key)
        .values(municipality=municipality, subject_ref=subject_ref, wrapped_key=made, made_at=now)
        .on_conflict_do_nothing()
    )
    query = _key_of(municipality, subject_ref).with_for_update()
    return bytes((await session.execute(query)).scalar_one())


async def keep_items(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    subject_ref: UUID,
    values: Mapping[str, str],
    case_id: UUID,
    procedure: str,
    purpose: str,
    step: str = STEP_YOU,
    usable: Mapping[str, Source] | None = None,
    outcome: str = "done",
    acting_for: UUID | None = None,
    stands_alone: bool = False,
    how: How | None = None,
    now: datetime,
) -> Kept:
    """Keep what a person typed: new items, new versions of changed ones, and nothing for what is the same.

    `usable` are the versions that a form was filled with (None: the newest of all that there are; of what stands
    alone, none). What of other cases' was left as it was is not asked again: the caller writes so (`write_reused`).
    Whatever else equals a former value was typed again, and has this case as its source.
    """
    town, context = identity.municipality, subject_context(identity.municipality, subject_ref)
    key = await ensure_subject_key(session, vault, municipality=town, subject_ref=subject_ref, now=now)
    known = {source.key: source for source in await list_sources(session, town, subject_ref)}
    collected: list[str] = []
    corrected: list[str] = []
    unchanged: list[Source] = []
    commitments: dict[str, str] = {}
    versions: dict[str, int] = {}
    for name, value in values.items():
        commitments[name] = vault.commitment(key, context, name, value)
        before = known.get(name)
        is_same = before is not None and before.commitment == commitments[name]
        filled = before if usable is None or (before and before.case_id == case_id) else usable.get(name)
        filled = (usable or {}).get(name) if stands_alone else filled
        if filled is not None and filled.commitment == commitments[name]:
            versions[name] = filled.version
            if filled.case_id != case_id:
                unchanged.append(filled)
            continue
        versions[name] = before.version + 1 if before else 1
        (corrected if before and not is_same and not stands_alone else collected).append(name)
        await session.execute(
            insert(item).values(
                municipality=town,
                subject_ref=subject_ref,
                key=name,
                version=versions[name],
                sealed=vault.seal(key, context, f"{name}/{versions[name]}", value),
                commitment=commitments[name],
                procedure=procedure,
                case_id=case_id,
                step=step,
                how=how or ("typed_by_staff" if identity.kind == "staff" else "typed_by_resident"),
                collected_at=now,
            )
        )

    def use(entry_type: EntryType) -> Use:
        return Use(
            entry_type=entry_type,
            case_id=case_id,
            procedure=procedure,
            target_service=SERVICE,
            target_step=step,
            purpose=purpose,
            outcome=outcome,
            acting_for=acting_for,
        )

    typed: tuple[tuple[EntryType, list[str]], ...] = (("collected", collected), ("corrected", corrected))
    for entry_type, names in typed:
        if names:
            chosen = {name: commitments[name] for name in names}
            await write_use(session, identity, subject_ref, use(entry_type), chosen, now=now)
    return Kept(versions=versions, unchanged=tuple(unchanged))


async def write_reused(
    session: AsyncSession, identity: Identity, subject_ref: UUID, use: Use, sources: Sequence[Source], *, now: datetime
) -> None:
    """Write that items of other cases were used without being asked again: an entry for each source."""
    for group in by_source(sources):
        await _write_group(session, identity, subject_ref, use, group, now=now)


async def list_sources(
    session: AsyncSession, municipality: str, subject_ref: UUID, *, case_id: UUID | None = None
) -> list[Source]:
    """The newest version of every item of a subject, without values; with `case_id`, of those typed in that case."""
    rows = await session.execute(
        select(item)
        .where(
            item.c.municipality == municipality,
            item.c.subject_ref == subject_ref,
            true() if case_id is None else item.c.case_id == case_id,
        )
        .ext(distinct_on(item.c.key))
        .order_by(item.c.key, item.c.version.desc())
        .limit(ITEMS_MAX)
    )
    return [_source(row) for row in rows]


async def find_source(
    session: AsyncSession, municipality: str, subject_ref: UUID, key: str, version: int
) -> Source | None:
    """One version of an item, without its value."""
    mine = (item.c.municipality == municipality, item.c.subject_ref == subject_ref)
    rows = await session.execute(select(item).where(*mine, item.c.key == key, item.c.version == version))
    row = rows.one_or_none()
    return _source(row) if row is not None else None


async def read_values(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    subject_ref: UUID,
    keys: Sequence[str],
    use: Use,
    versions: Mapping[str, int] | None = None,
    now: datetime,
) -> dict[str, Value]:
    """The newest values of items (or `versions` of them), and `contact` from the case's draft. Nothing else opens any.

    The use is written to the ledger in this transaction. Items that are not there are missing from the answer, and so
    are those of a protected person that this use does not cover: that they were refused is written once a day.

    Raises:
        SealBroken: a stored value was altered.
    """
    town, context = identity.municipality, subject_context(identity.municipality, subject_ref)
    sealed = await _sealed_items(session, town, subject_ref, keys, use, versions or {})
    if not sealed:
        return {}
    wrapped = await find_wrapped_key(session, town, subject_ref)
    if wrapped is None:
        # Erased just now.
        return {}
    if (await session.execute(select(protected(town, subject_ref)))).scalar_one():
        held_back = [source for source, _, _ in sealed if not may_open(source.key, use.target_service, use.despite)]
        await write_refused(session, identity, subject_ref, use, held_back, now=now)
        sealed = [each for each in sealed if each[0] not in held_back]
    values = {
        source.key: Value(
            value=vault.open(wrapped, context, field, text),
            commitment=source.commitment,
            procedure=source.procedure,
            case_id=source.case_id,
            collected_at=source.collected_at,
        )
        for source, field, text in sealed
    }
    uses = [use]
    if identity.kind in ("staff", "helper") and use.entry_type == "previewed":
        # Read aloud for somebody: they are told that it was said to them; that staff saw it is written beside that.
        uses.append(msgspec.structs.replace(seen_again(identity, use), visibility="internal"))
    for each in uses:
        for group in by_source([source for source, _, _ in sealed]):
            await _write_group(session, identity, subject_ref, each, group, now=now)
    return values


async def write_refused(
    session: AsyncSession, identity: Identity, subject_ref: UUID, use: Use, sources: Sequence[Source], *, now: datetime
) -> None:
    """Write that items were not used, once a day for each reader and step. In nobody's history: nothing happened."""
    if not sources:
        return
    keys = [source.key for source in sources]
    case_id = use.case_id or sources[0].case_id
    first = await note_refused(session, identity, case_id, use.target_step, keys, now=now)
    refusal = msgspec.structs.replace(
        use, entry_type="refused", outcome=NOT_COVERED, explicit_request=False, visibility="internal", approval_id=None
    )
    for group in by_source([source for source in sources if source.key in first]):
        await _write_group(session, identity, subject_ref, refusal, group, now=now)


def seen_again(identity: Identity, use: Use) -> Use:
    """A page with somebody's items that is opened once more: one's own stays out of the history, staff's never does."""
    if identity.kind == "guest":
        return msgspec.structs.replace(use, entry_type="previewed", visibility="internal")
    return msgspec.structs.replace(
        use,
        entry_type="staff_viewed",
        target_service=SERVICE,
        legal_basis="appi_69_1",
        outcome="done",
        visibility="subject",
    )


async def write_use(
    session: AsyncSession,
    identity: Identity | System,
    subject_ref: UUID,
    use: Use,
    commitments: Mapping[str, str],
    *,
    source: Source | None = None,
    now: datetime,
) -> None:
    """Write one ledger entry about items, by key, with salted commitments to their values."""
    entry = Entry(
        entry_id=uuid4(),
        municipality=identity.municipality,
        occurred_at=now,
        entry_type=use.entry_type,
        subject_ref=subject_ref,
        acting_for=use.acting_for,
        actor_kind=identity.kind,
        actor_ref=identity.ref,
        office=identity.office,
        source_procedure=source.procedure if source else None,
        source_case=source.case_id if source else None,
        source_step=source.step if source else None,
        source_collected_at=source.collected_at if source else None,
        target_service=use.target_service,
        target_procedure=use.procedure,
        target_case=use.case_id,
        target_step=use.target_step,
        requested_at=now,
        provided_at=now,
        items=tuple(commitments),
        commitments=dict(commitments),
        purpose=use.purpose,
        legal_basis=use.legal_basis,
        explicit_request=use.explicit_request,
        outcome=use.outcome,
        visibility=use.visibility,
        correlation=use.approval_id,
    )
    await ledger.write(session, entry)


def subject_context(municipality: str, subject_ref: UUID) -> str:
    """What a subject's key is bound to."""
    return f"{municipality}/{subject_ref}"


def contact_field(case_id: UUID) -> str:
    """What a contact's draft is bound to: it opens for its own case only."""
    return f"{CONTACT}/{case_id}"


async def _sealed_items(
    session: AsyncSession,
    municipality: str,
    subject_ref: UUID,
    keys: Sequence[str],
    use: Use,
    versions: Mapping[str, int],
) -> list[tuple[Source, str, bytes]]:
    newest = [key for key in keys if key not in versions]
    wanted = or_(item.c.key.in_(newest), tuple_(item.c.key, item.c.version).in_(list(versions.items())))
    rows = await session.execute(
        select(item)
        .where(item.c.municipality == municipality, item.c.subject_ref == subject_ref, wanted)
        .ext(distinct_on(item.c.key))
        .order_by(item.c.key, item.c.version.desc())
        .limit(ITEMS_MAX)
    )
    sealed = [(_source(row), f"{row.key}/{row.version}", bytes(row.sealed)) for row in rows]
    if CONTACT in keys:
        draft = (
            await session.execute(
                select(case_file).where(
                    case_file.c.municipality == municipality,
                    case_file.c.case_id == use.case_id,
                    case_file.c.subject_ref == subject_ref,
                    case_file.c.contact_sealed.is_not(None),
                )
            )
        ).one_or_none()
        if draft is not None:
            source = Source(
                key=CONTACT,
                version=1,
                commitment=draft.contact_commitment,
                procedure=draft.procedure,
                case_id=draft.case_id,
                step=STEP_YOU,
                collected_at=draft.contact_given_at,
            )
            sealed.append((source, contact_field(draft.case_id), bytes(draft.contact_sealed)))
    return sealed


async def find_wrapped_key(session: AsyncSession, municipality: str, subject_ref: UUID) -> bytes | None:
    """The subject's wrapped data key; None when there is none, or none any more."""
    wrapped: bytes | None = (await session.execute(_key_of(municipality, subject_ref))).scalar_one_or_none()
    return wrapped


def _key_of(municipality: str, subject_ref: UUID) -> Any:
    return select(subject_key.c.wrapped_key).where(
        and_(subject_key.c.municipality == municipality, subject_key.c.subject_ref == subject_ref)
    )


async def _write_group(
    session: AsyncSession, identity: Identity, subject_ref: UUID, use: Use, group: list[Source], *, now: datetime
) -> None:
    commitments = {source.key: source.commitment for source in group}
    await write_use(session, identity, subject_ref, use, commitments, source=group[0], now=now)


def by_source(sources: Sequence[Source]) -> list[list[Source]]:
    """Together what was collected in the same step of the same case: one entry names one source."""
    groups: dict[tuple[UUID, str], list[Source]] = {}
    for source in sources:
        groups.setdefault((source.case_id, source.step), []).append(source)
    return list(groups.values())


def _source(row: Any) -> Source:
    return Source(
        key=row.key,
        version=row.version,
        commitment=row.commitment,
        procedure=row.procedure,
        case_id=row.case_id,
        step=row.step,
        collected_at=row.collected_at,
    )
