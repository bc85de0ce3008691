"""What every service keeps of a subject that was erased: that it was, by a hash. Nothing can be written of it again.

The database guards it: a trigger on every table that names a subject. An event that comes late, or a request that was
under way, fails with `ERASED`; a consumer is then done with it, and a page says so.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import TIMESTAMP, Column, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Database, row_level_security
from shared.events.routing import ErasureReason
from shared.ledger.entry import Entry
from shared.messaging.dead_letters import DUE_REPLAY, end_letter
from shared.messaging.due import unschedule

# PostgreSQL leaves classes from I on to us.
ERASED = "SE001"
# Everything that was ever told of a subject is looked through, which is much in a large town.
ERASING_TIMEOUT_MS = 60_000
LETTERS_MAX = 1_000
ERASED_MAX = 10_000

PURPOSES: dict[ErasureReason, str] = {
    "resident": "ご本人の求めにより消すため",
    "operator": "役場の判断により消すため",
    "retention": "保存期間が過ぎたため",
}
STEP = "erasure"

_TIMEOUT = text(f"SET LOCAL statement_timeout = {ERASING_TIMEOUT_MS}")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:subject, 0))")
_BURY = """
    INSERT INTO {schema}.erased_subject (municipality, subject_hash, erased_at)
    VALUES (:municipality, :subject_hash, :now) ON CONFLICT DO NOTHING RETURNING erased_at
"""
# Its deliveries go with it. Whoever has not heard it yet need not: they are told of the erasure.
_TOLD = """
    DELETE FROM {schema}.outbox
    WHERE municipality = :municipality AND position(CAST(:subject AS bytea) IN payload) > 0
"""
_LETTERS = """
    SELECT event_id, publisher FROM {schema}.dead_letter
    WHERE municipality = :municipality AND position(CAST(:subject AS bytea) IN payload) > 0
    ORDER BY event_id LIMIT {most}
"""
_KNOWN = """
    SELECT 1 FROM {schema}.erased_subject WHERE (municipality, subject_hash) = (:municipality, :subject_hash)
"""
_DISCARD = "UPDATE {schema}.inbox SET outcome = 'discarded' WHERE (municipality, event_id) = (:municipality, :event_id)"


class _About(msgspec.Struct):
    subject_ref: UUID | None = None


def erased_subject_table(metadata: MetaData) -> Table:
    """The table, attached to a service's metadata. The application's role may add to it, and nothing else."""
    return Table(
        "erased_subject",
        metadata,
        Column("municipality", Text, primary_key=True),
        Column("subject_hash", LargeBinary, primary_key=True),
        Column("erased_at", TIMESTAMP(timezone=True), nullable=False),
    )


def subject_hash(subject_ref: UUID) -> bytes:
    """What is kept of a subject. It is random, so nobody finds it by trying; the ledger has it and tells no more."""
    return hashlib.sha256(str(subject_ref).encode()).digest()


def is_erased(error: BaseException) -> bool:
    """Whether the database refused to write of a subject that was erased."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == ERASED


async def is_about_erased(db: Database, municipality: str, payload: str) -> bool:
    """Whether an event, as it travels, is about a subject that was erased here."""
    try:
        about = msgspec.json.decode(payload, type=_About).subject_ref
    except (msgspec.DecodeError, RecursionError):
        about = None
    if about is None:
        return False
    key = {"municipality": municipality, "subject_hash": subject_hash(about)}
    async with db.begin(municipality) as session:
        return (await session.execute(text(_KNOWN.format(schema=db.service)), key)).one_or_none() is not None


async def bury(session: AsyncSession, schema: str, municipality: str, subject_ref: UUID, *, now: datetime) -> bool:
    """From here on nothing of this subject can be written, and who was at it has finished. True: it was not so before.

    The caller has locked the subject's rows first, as whoever writes one does: so nobody waits for each other.
    """
    await session.execute(_TIMEOUT)
    await session.execute(_LOCK, {"subject": f"erasure/{municipality}/{subject_ref}"})
    buried = {"municipality": municipality, "subject_hash": subject_hash(subject_ref), "now": now}
    return (await session.execute(text(_BURY.format(schema=schema)), buried)).one_or_none() is not None


async def forget_told(
    session: AsyncSession, schema: str, municipality: str, subject_ref: UUID, *, now: datetime
) -> None:
    """Forget what this service told of a subject, and what it was told and could not apply."""
    # What is about them, and not what names them as somebody's family.
    about = {"municipality": municipality, "subject": f'"subject_ref":"{subject_ref}"'.encode()}
    await session.execute(text(_TOLD.format(schema=schema)), about)
    letters = (await session.execute(text(_LETTERS.format(schema=schema, most=LETTERS_MAX)), about)).all()
    for letter in letters:
        ref = str(letter.event_id)
        await unschedule(session, schema, municipality=municipality, kind=DUE_REPLAY, ref=ref)
        key = {"municipality": municipality, "event_id": letter.event_id}
        await session.execute(text(_DISCARD.format(schema=schema)), key)
        await end_letter(session, schema, municipality, letter.event_id, letter.publisher, "discarded", now=now)


def erased_entry(
    service: str,
    municipality: str,
    subject_ref: UUID,
    items: Iterable[str],
    reason: ErasureReason,
    *,
    guest_ref: str | None = None,
    case_id: UUID | None = None,
    procedure: str | None = None,
    now: datetime,
) -> Entry:
    """What was erased here: of all the subject's, which is the last entry about them, or of one case.

    `guest_ref`: they asked for it themselves, here.
    """
    return Entry(
        entry_id=uuid4(),
        municipality=municipality,
        occurred_at=now,
        entry_type="erased",
        subject_ref=subject_ref,
        actor_kind="system" if guest_ref is None else "guest",
        actor_ref=guest_ref or service,
        target_service=service,
        target_procedure=procedure,
        target_case=case_id,
        target_step=STEP,
        items=tuple(sorted(items)),
        purpose=PURPOSES[reason],
        explicit_request=reason == "resident",
        outcome=reason,
    )


async def list_risen(session: AsyncSession, schema: str, municipality: str, tables: tuple[str, ...]) -> list[UUID]:
    """Erased subjects that rows of these tables name all the same: after older data was restored."""
    named = " UNION ".join(
        f"SELECT subject_ref FROM {schema}.{table} WHERE municipality = :municipality AND subject_ref IS NOT NULL"
        for table in tables
    )
    rows = await session.execute(
        text(f"""
            SELECT named.subject_ref FROM ({named}) AS named JOIN {schema}.erased_subject e
              ON e.municipality = :municipality
             AND e.subject_hash = sha256(convert_to(named.subject_ref::text, 'UTF8'))
            ORDER BY 1 LIMIT {ERASED_MAX}
        """),
        {"municipality": municipality},
    )
    return list(rows.scalars())


def erasure_v1(schema: str, tables: tuple[str, ...], application_role: str) -> list[str]:
    """The statements of the migration with which these tables, which name subjects, take no erased one."""
    # The lock is held until the transaction ends: an erasure waits for it, and then sees what was written.
    guard = f"""CREATE FUNCTION {schema}.guard_erased() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.subject_ref IS NULL THEN
                RETURN NEW;
            END IF;
            PERFORM pg_advisory_xact_lock_shared(
                hashtextextended('erasure/' || NEW.municipality || '/' || NEW.subject_ref, 0));
            IF EXISTS (SELECT 1 FROM {schema}.erased_subject e WHERE e.municipality = NEW.municipality
                       AND e.subject_hash = sha256(convert_to(NEW.subject_ref::text, 'UTF8'))) THEN
                RAISE EXCEPTION 'this subject was erased' USING ERRCODE = '{ERASED}';
            END IF;
            RETURN NEW;
        END $$"""
    return [
        f"""CREATE TABLE {schema}.erased_subject (
            municipality text NOT NULL, subject_hash bytea NOT NULL, erased_at timestamptz NOT NULL,
            CONSTRAINT erased_subject_pkey PRIMARY KEY (municipality, subject_hash))""",
        *row_level_security(schema, "erased_subject"),
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {schema}.erased_subject FROM {application_role}",
        guard,
        *(
            f"""CREATE TRIGGER guard_erased BEFORE INSERT OR UPDATE OF subject_ref ON {schema}.{table}
                FOR EACH ROW EXECUTE FUNCTION {schema}.guard_erased()"""
            for table in tables
        ),
    ]


def erasure_v1_undone(schema: str, tables: tuple[str, ...]) -> list[str]:
    """The way back."""
    return [
        *(f"DROP TRIGGER guard_erased ON {schema}.{table}" for table in reversed(tables)),
        f"DROP FUNCTION {schema}.guard_erased()",
        f"DROP TABLE {schema}.erased_subject",
    ]
