"""Files that go with an application: kept sealed, listed by an item of the vault, opened behind its door.

An item of files is a list of them (`domain/attachments.py`), with the provenance, versions and ledger entries of every
item. What is not listed there cannot be opened: whoever wants a file reads its item first (`read_values`), which
writes that, and holds it back where it must.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.attachments.cleaning import Cleaned
from services.routing.commands.cases import lock_open_case
from services.routing.commands.contact import update_case
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.online import procedure_of
from services.routing.commands.reuse import usable_sources
from services.routing.commands.subjects import subject_of_case
from services.routing.commands.vault import (
    STEP_FORM,
    ensure_subject_key,
    find_wrapped_key,
    keep_items,
    subject_context,
)
from services.routing.domain.attachments import (
    FILES_PER_CASE_MAX,
    NO_FILES,
    ListedFile,
    free_slot,
    pack_files,
    unpack_files,
)
from services.routing.domain.behalf import SAID
from services.routing.domain.items import attached_items, is_attached
from services.routing.queries.attachments import list_files
from services.routing.tables import attachment, attachment_chunk, attachment_use
from shared.audit import record_deed
from shared.crypto import SealBroken, SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

# What is sealed at once, and a row of its own.
CHUNK_BYTES = 262_144
CHUNKS_MAX = 64
# Of one item there are no more files than of a case; and there are few such items.
LISTED_MAX = 100

# What no application was sent with, and is not the newest any more: taken out, it is gone at once.
_PRUNE = text("""
    DELETE FROM item i
    WHERE (i.municipality, i.subject_ref, i.key, i.case_id) = (:municipality, :subject_ref, :key, :case_id)
      AND i.version < :version AND NOT EXISTS (
        SELECT FROM application a WHERE a.municipality = i.municipality AND a.subject_ref = i.subject_ref
          AND (a.items ->> i.key)::integer = i.version)
""")


class _About(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    sha256: str


class OpenedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of a file, and its small picture (empty of a PDF). The file itself is not read."""

    key: str
    file_id: UUID
    kind: str
    size_bytes: int
    pages: int
    label: str
    sha256: str
    small: bytes


async def list_attached(
    session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime
) -> tuple[UUID | None, dict[str, int], dict[str, list[ListedFile]]]:
    """Whose one's own open case is, the version of each item of files that it has, and the files that they list.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    return case.subject_ref, *await _attached_of(session, case)


async def add_file(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    key: str,
    cleaned: Cleaned,
    label: str,
    send_key: UUID,
    replaces: UUID | None = None,
    now: datetime,
) -> None:
    """Attach a file that was looked at and made anew, as one more or instead of another. Twice with one key is once.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409), `attachment_unknown` (404), `attachment_too_many`
            (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    await _refuse_unknown(session, case, key)
    if await _was_sent(session, case, send_key):
        return
    subject_ref = await subject_of_case(session, identity, case, now=now)
    _, files = await _attached_of(session, case)
    mine = files.get(key, [])
    if replaces is not None and replaces not in [file.file_id for file in mine]:
        raise Refusal("attachment_unknown", 404)
    if sum(map(len, files.values())) - (replaces is not None) >= FILES_PER_CASE_MAX:
        raise Refusal("attachment_too_many", 409)
    if replaces is not None:
        await _leave_slot(session, case, replaces)
    listed = await _store(session, vault, case, subject_ref, cleaned, label, send_key, now)
    wanted = [listed if file.file_id == replaces else file for file in mine]
    if replaces is None:
        wanted.append(listed)
    await _keep(session, vault, identity, case, subject_ref, key, wanted, now)


async def remove_file(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, file_id: UUID, now: datetime
) -> None:
    """Take a file out. What was sent keeps it; otherwise it is gone. Twice is once.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    case = await lock_open_case(session, identity, case_id, now=now)
    _, files = await _attached_of(session, case)
    for key, mine in files.items():
        wanted = [file for file in mine if file.file_id != file_id]
        if len(wanted) < len(mine):
            await _leave_slot(session, case, file_id)
            await _keep(session, vault, identity, case, case.subject_ref, key, wanted, now)


async def forget_replaced(
    session: AsyncSession, municipality: str, subject_ref: UUID, case_id: UUID, versions: Mapping[str, int]
) -> None:
    """Remove what files' items were before `versions`, where nothing that was sent cites it."""
    for key, version in versions.items():
        if is_attached(key):
            who = {"municipality": municipality, "subject_ref": subject_ref, "case_id": case_id}
            await session.execute(_PRUNE, who | {"key": key, "version": version})


async def open_files(
    session: AsyncSession, vault: SubjectVault, municipality: str, subject_ref: UUID, values: Mapping[str, str]
) -> list[OpenedFile]:
    """Names and small pictures of the files that these items list. `values` are what `read_values` has opened.

    Raises:
        SealBroken: a stored value was altered.
    """
    listed = [(key, file) for key, value in values.items() if is_attached(key) for file in unpack_files(value)]
    wrapped = await find_wrapped_key(session, municipality, subject_ref) if listed else None
    if wrapped is None:
        return []
    rows = await session.execute(
        select(attachment)
        .where(
            attachment.c.municipality == municipality,
            attachment.c.file_id.in_([file.file_id for _key, file in listed]),
        )
        .limit(LISTED_MAX)
    )
    sealed = {row.file_id: row for row in rows}
    context = subject_context(municipality, subject_ref)
    opened = []
    for key, file in listed:
        row = sealed.get(file.file_id)
        if row is None:
            continue
        about = msgspec.json.decode(
            vault.open_bytes(wrapped, context, _field(file.file_id, "about"), bytes(row.sealed_about)), type=_About
        )
        if vault.commitment(wrapped, context, _field(file.file_id, "file"), about.sha256) != file.hash:
            raise SealBroken("file")
        small = (
            vault.open_bytes(wrapped, context, _field(file.file_id, "small"), bytes(row.sealed_small))
            if row.sealed_small is not None
            else b""
        )
        opened.append(
            OpenedFile(
                key=key,
                file_id=file.file_id,
                kind=file.kind,
                size_bytes=file.size_bytes,
                pages=file.pages,
                label=about.label,
                sha256=about.sha256,
                small=small,
            )
        )
    return opened


async def open_body(
    session: AsyncSession, vault: SubjectVault, municipality: str, subject_ref: UUID, file: OpenedFile
) -> bytes:
    """A file that `open_files` has told of, all of it.

    Raises:
        SealBroken: a part of it was altered, or is missing.
    """
    wrapped = await find_wrapped_key(session, municipality, subject_ref)
    rows = await session.execute(
        select(attachment_chunk.c.position, attachment_chunk.c.sealed)
        .where(attachment_chunk.c.municipality == municipality, attachment_chunk.c.file_id == file.file_id)
        .order_by(attachment_chunk.c.position)
        .limit(CHUNKS_MAX)
    )
    context = subject_context(municipality, subject_ref)
    body = b"".join(
        vault.open_bytes(wrapped or b"", context, _field(file.file_id, str(row.position)), bytes(row.sealed))
        for row in rows
    )
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise SealBroken("file")
    return body


async def _attached_of(session: AsyncSession, case: Row[Any]) -> tuple[dict[str, int], dict[str, list[ListedFile]]]:
    usable = await usable_sources(session, case)
    versions = {key: source.version for key, source in usable.items() if is_attached(key)}
    return versions, await list_files(session, case.municipality, case.subject_ref, versions)


async def _refuse_unknown(session: AsyncSession, case: Row[Any], key: str) -> None:
    row = await procedure_of(session, case)
    if key not in attached_items(row.items, row.attach):
        raise Refusal("attachment_unknown", 404)


async def _was_sent(session: AsyncSession, case: Row[Any], send_key: UUID) -> bool:
    query = select(attachment.c.file_id).where(
        attachment.c.municipality == case.municipality,
        attachment.c.case_id == case.case_id,
        attachment.c.send_key == send_key,
    )
    return (await session.execute(query)).one_or_none() is not None


async def _leave_slot(session: AsyncSession, case: Row[Any], file_id: UUID) -> None:
    await session.execute(
        update(attachment)
        .where(
            attachment.c.municipality == case.municipality,
            attachment.c.case_id == case.case_id,
            attachment.c.file_id == file_id,
        )
        .values(slot=None)
    )


async def _store(
    session: AsyncSession,
    vault: SubjectVault,
    case: Row[Any],
    subject_ref: UUID,
    cleaned: Cleaned,
    label: str,
    send_key: UUID,
    now: datetime,
) -> ListedFile:
    town, context = case.municipality, subject_context(case.municipality, subject_ref)
    wrapped = await ensure_subject_key(session, vault, municipality=town, subject_ref=subject_ref, now=now)
    taken = await session.execute(
        select(attachment.c.slot).where(
            attachment.c.municipality == town,
            attachment.c.case_id == case.case_id,
            attachment.c.slot.is_not(None),
        )
    )
    file_id, sha256 = uuid4(), hashlib.sha256(cleaned.body).hexdigest()
    listed = ListedFile(
        file_id=file_id,
        kind=cleaned.kind,
        size_bytes=len(cleaned.body),
        pages=cleaned.pages,
        hash=vault.commitment(wrapped, context, _field(file_id, "file"), sha256),
    )

    def seal(part: str, value: bytes) -> bytes:
        return vault.seal_bytes(wrapped, context, _field(file_id, part), value)

    # Two that found the same place free: the database lets one have it. No place is free: neither.
    stored = await session.execute(
        upsert(attachment)
        .values(
            municipality=town,
            case_id=case.case_id,
            slot=free_slot(taken.scalars()) or FILES_PER_CASE_MAX,
            send_key=send_key,
            sealed_about=seal("about", msgspec.json.encode(_About(label=label, sha256=sha256))),
            sealed_small=seal("small", cleaned.small) if cleaned.small else None,
            stored_at=now,
            **msgspec.structs.asdict(listed),
        )
        .on_conflict_do_nothing()
        .returning(attachment.c.file_id)
    )
    if stored.one_or_none() is None:
        raise Refusal("attachment_too_many", 409)
    for position, start in enumerate(range(0, len(cleaned.body), CHUNK_BYTES)):
        sealed = seal(str(position), cleaned.body[start : start + CHUNK_BYTES])
        await session.execute(
            insert(attachment_chunk).values(municipality=town, file_id=file_id, position=position, sealed=sealed)
        )
    return listed


async def _keep(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    subject_ref: UUID,
    key: str,
    files: Sequence[ListedFile],
    now: datetime,
) -> None:
    """The next version of an item of files. An empty one keeps its number from being used again, and is the case's no
    more."""
    kept = await keep_items(
        session,
        vault,
        identity=identity,
        subject_ref=subject_ref,
        values={key: pack_files(files) if files else NO_FILES},
        case_id=case.case_id,
        procedure=case.procedure,
        purpose=PURPOSE_APPLY,
        step=STEP_FORM,
        outcome=SAID[case.behalf],
        acting_for=case.acting_for,
        now=now,
    )
    for position, file in enumerate(files):
        await session.execute(
            insert(attachment_use).values(
                municipality=case.municipality,
                subject_ref=subject_ref,
                key=key,
                version=kept.versions[key],
                position=position,
                file_id=file.file_id,
            )
        )
    items = {*(case.items or ()), key} if files else {*(case.items or ())} - {key}
    await session.execute(
        update_case(case).values(subject_ref=subject_ref, items=sorted(items), updated_at=now, version=case.version + 1)
    )
    await forget_replaced(session, case.municipality, subject_ref, case.case_id, kept.versions)
    await record_deed(session, identity, "save_attachments", case.case_id, now=now)


def _field(file_id: UUID, part: str) -> str:
    """What a part of a file is bound to: nothing opens in another's place."""
    return f"file/{file_id}/{part}"
