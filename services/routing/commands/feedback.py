"""Feedback (ご意見) after the end of a case: given once, changed for a week, answered by the office, and published in
the words of staff or not at all."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.looking import look_at_items
from services.routing.commands.online import procedure_of
from services.routing.commands.progress import refuse_other_office
from services.routing.commands.quality import month_of
from services.routing.commands.subjects import mint_subject
from services.routing.commands.vault import Use, find_source, keep_items, read_values, seen_again
from services.routing.domain.quality import CHANGEABLE_FOR, FEEDBACK, FEEDBACK_ANSWER
from services.routing.queries.quality import is_done
from services.routing.tables import SERVICE, case_file, feedback, voice
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

STEP = "feedback"
PURPOSE = "ご意見を聞いて、手続きをよくするため"

Ease = Literal["easy", "fair", "hard"]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of a case that is done."""

    ease: Ease
    worked: bool
    text: str = ""


class OwnFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """A case that is done, what its person has said of it, and the office's answer."""

    procedure: str
    procedure_name: str
    said: Said | None
    answer: str
    may_change: bool


async def give_feedback(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, said: Said, now: datetime
) -> None:
    """Say how a case went, or say it anew within a week. Sent twice, it is said once.

    Raises:
        Refusal: `case_unknown` (404), `feedback_early` (409) before its end, `feedback_answered` (409) once the office
            has answered, `feedback_late` (409) after the week.
    """
    case, known = await _find_own(session, identity, case_id, lock=True, now=now)
    if known is not None and not _may_change(known, now):
        raise Refusal("feedback_answered" if known.answered_at is not None else "feedback_late", 409)
    await _keep(session, vault, identity, case, known, said, now=now)


async def give_once(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, said: Said, now: datetime
) -> None:
    """Say how a case went, by the link of its last notice or whoever else opened it: once. Sent twice, it is said once.

    What was said before is neither shown nor changed: who holds a link need not be who said it.

    Raises:
        Refusal: `case_unknown` (404), `feedback_early` (409), `feedback_given` (409).
    """
    query = select(case_file).where(case_file.c.municipality == identity.municipality, case_file.c.case_id == case_id)
    case = (await session.execute(query.with_for_update())).one_or_none()
    if case is None:
        raise Refusal("case_unknown", 404)
    if not await is_done(session, case.municipality, case_id):
        raise Refusal("feedback_early", 409)
    if await _find_row(session, case.municipality, case_id) is not None:
        raise Refusal("feedback_given", 409)
    await _keep(session, vault, identity, case, None, said, now=now)


async def find_asked(session: AsyncSession, municipality: str, case_id: UUID) -> tuple[str, bool]:
    """The name of a case's procedure, and whether it was said how it went: what a bearer's page shows.

    Raises:
        Refusal: `case_unknown` (404), `feedback_early` (409).
    """
    query = select(case_file).where(case_file.c.municipality == municipality, case_file.c.case_id == case_id)
    case = (await session.execute(query)).one_or_none()
    if case is None:
        raise Refusal("case_unknown", 404)
    if not await is_done(session, municipality, case_id):
        raise Refusal("feedback_early", 409)
    name: str = (await procedure_of(session, case)).name_ja
    return name, await _find_row(session, municipality, case_id) is not None


async def read_own(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> OwnFeedback:
    """What one said of a case of one's own. The reading is in the ledger, and not in the history.

    Raises:
        Refusal: `case_unknown` (404), `feedback_early` (409).
    """
    case, known = await _find_own(session, identity, case_id, now=now)
    name = (await procedure_of(session, case)).name_ja
    if known is None:
        return OwnFeedback(procedure=case.procedure, procedure_name=name, said=None, answer="", may_change=True)
    versions = _versions(known)
    use = Use(
        entry_type="previewed",
        case_id=case_id,
        procedure=case.procedure,
        target_service=SERVICE,
        target_step=STEP,
        purpose=PURPOSE,
        acting_for=case.acting_for,
    )
    texts = await read_values(
        session,
        vault,
        identity=identity,
        subject_ref=known.subject_ref,
        keys=list(versions),
        use=seen_again(identity, use),
        versions=versions,
        now=now,
    )
    values = {key: value.value for key, value in texts.items()}
    return OwnFeedback(
        procedure=case.procedure,
        procedure_name=name,
        said=Said(ease=known.ease, worked=known.worked, text=values.get(FEEDBACK, "")),
        answer=values.get(FEEDBACK_ANSWER, ""),
        may_change=_may_change(known, now),
    )


async def read_for_staff(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, case_id: UUID, now: datetime
) -> tuple[Row[Any], dict[str, str], Row[Any] | None]:
    """Feedback as its office reads it, its texts by item, and what of it is published. Told once a day, audited always.

    Raises:
        Refusal: `feedback_unknown` (404), `other_office` (403).
    """
    row = await _find(session, identity, case_id)
    versions = _versions(row)
    seen = await look_at_items(
        session,
        vault,
        identity=identity,
        case=row,
        keys=list(versions),
        versions=versions,
        purpose=PURPOSE,
        step=STEP,
        office=identity.office or row.office,
        now=now,
    )
    published = None
    if row.voice_id is not None:
        query = select(voice).where(voice.c.municipality == row.municipality, voice.c.voice_id == row.voice_id)
        published = (await session.execute(query)).one_or_none()
    return row, {item.key: item.value for item in seen}, published


async def answer_feedback(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    case_id: UUID,
    version: int,
    text: str,
    now: datetime,
) -> None:
    """The office answers what it saw in `version`; the person reads it on their page.

    Raises:
        Refusal: `feedback_unknown` (404), `other_office` (403), `feedback_moved` (409).
    """
    row = await _lock_seen(session, identity, case_id, version)
    kept = await keep_items(
        session,
        vault,
        identity=identity,
        subject_ref=row.subject_ref,
        values={FEEDBACK_ANSWER: text},
        case_id=case_id,
        procedure=row.procedure,
        purpose=PURPOSE,
        step=STEP,
        stands_alone=True,
        now=now,
    )
    await _change(session, row, answer_version=kept.versions[FEEDBACK_ANSWER], answered_at=now)
    await record_deed(session, identity, "answer_feedback", case_id, version=row.version + 1, now=now)


async def publish_feedback(
    session: AsyncSession, *, identity: Identity, case_id: UUID, version: int, said: str, answer: str, now: datetime
) -> None:
    """Publish what staff wrote of it: once, and anew when it is published again. It stays when its person is erased.

    Raises:
        Refusal: `feedback_unknown` (404), `other_office` (403), `feedback_moved` (409).
    """
    row = await _lock_seen(session, identity, case_id, version)
    voice_id = row.voice_id or uuid4()
    await session.execute(
        upsert(voice)
        .values(municipality=row.municipality, voice_id=voice_id, month=month_of(now), said=said, answer=answer)
        .on_conflict_do_update(index_elements=["municipality", "voice_id"], set_={"said": said, "answer": answer})
    )
    await _change(session, row, voice_id=voice_id)
    await record_deed(session, identity, "publish_feedback", case_id, version=row.version + 1, now=now)


async def withdraw_feedback(
    session: AsyncSession, *, identity: Identity, case_id: UUID, version: int, now: datetime
) -> None:
    """Take back what was published of it.

    Raises:
        Refusal: `feedback_unknown` (404), `other_office` (403), `feedback_moved` (409).
    """
    row = await _lock_seen(session, identity, case_id, version)
    await session.execute(
        delete(voice).where(voice.c.municipality == row.municipality, voice.c.voice_id == row.voice_id)
    )
    await _change(session, row, voice_id=None)
    await record_deed(session, identity, "withdraw_feedback", case_id, version=row.version + 1, now=now)


async def _keep(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    case: Row[Any],
    known: Row[Any] | None,
    said: Said,
    *,
    now: datetime,
) -> None:
    subject_ref = case.subject_ref or await _mint(session, identity, case, now=now)
    text_version = None
    if said.text:
        before = None
        if known is not None and known.text_version is not None:
            before = await find_source(session, case.municipality, subject_ref, FEEDBACK, known.text_version)
        kept = await keep_items(
            session,
            vault,
            identity=identity,
            subject_ref=subject_ref,
            values={FEEDBACK: said.text},
            case_id=case.case_id,
            procedure=case.procedure,
            purpose=PURPOSE,
            step=STEP,
            acting_for=case.acting_for,
            usable={FEEDBACK: before} if before else None,
            stands_alone=True,
            now=now,
        )
        text_version = kept.versions[FEEDBACK]
    values = {"ease": said.ease, "worked": said.worked, "text_version": text_version}
    if known is not None and all(known._mapping[name] == value for name, value in values.items()):
        return
    await session.execute(
        upsert(feedback)
        .values(
            municipality=case.municipality,
            case_id=case.case_id,
            subject_ref=subject_ref,
            procedure=case.procedure,
            office=(await procedure_of(session, case)).office,
            channel=case.channel,
            version=1,
            given_at=now,
            **values,
        )
        .on_conflict_do_update(
            index_elements=["municipality", "case_id"], set_=values | {"version": feedback.c.version + 1}
        )
    )


async def _find_own(
    session: AsyncSession, identity: Identity, case_id: UUID, *, lock: bool = False, now: datetime
) -> tuple[Row[Any], Row[Any] | None]:
    """One's own case, once it is done, and what was said of it. Staff who acted for somebody say nothing for them."""
    if identity.kind != "guest":
        raise Refusal("case_unknown", 404)
    case = await get_own_case(session, identity, case_id, lock=lock, now=now)
    if not await is_done(session, case.municipality, case_id):
        raise Refusal("feedback_early", 409)
    return case, await _find_row(session, case.municipality, case_id, lock=lock)


async def _find(session: AsyncSession, identity: Identity, case_id: UUID, *, lock: bool = False) -> Row[Any]:
    row = await _find_row(session, identity.municipality, case_id, lock=lock)
    if row is None:
        raise Refusal("feedback_unknown", 404)
    refuse_other_office(identity, row.office)
    return row


async def _find_row(session: AsyncSession, municipality: str, case_id: UUID, *, lock: bool = False) -> Row[Any] | None:
    query = select(feedback).where(feedback.c.municipality == municipality, feedback.c.case_id == case_id)
    row: Row[Any] | None = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    return row


async def _lock_seen(session: AsyncSession, identity: Identity, case_id: UUID, version: int) -> Row[Any]:
    row = await _find(session, identity, case_id, lock=True)
    if row.version != version:
        raise Refusal("feedback_moved", 409)
    return row


async def _change(session: AsyncSession, row: Row[Any], **values: Any) -> None:
    await session.execute(
        update(feedback)
        .where(feedback.c.municipality == row.municipality, feedback.c.case_id == row.case_id)
        .values(**values, version=row.version + 1)
    )


async def _mint(session: AsyncSession, identity: Identity, case: Row[Any], *, now: datetime) -> UUID:
    subject_ref = await mint_subject(session, identity, now=now)
    await session.execute(
        update(case_file)
        .where(case_file.c.municipality == case.municipality, case_file.c.case_id == case.case_id)
        .values(subject_ref=subject_ref)
    )
    return subject_ref


def _versions(row: Row[Any]) -> dict[str, int]:
    texts = {FEEDBACK: row.text_version, FEEDBACK_ANSWER: row.answer_version}
    return {key: version for key, version in texts.items() if version is not None}


def _may_change(row: Row[Any], now: datetime) -> bool:
    """Within a week, until it is counted, and until it is answered: the answer is one to what was read."""
    return row.counted_at is None and row.answered_at is None and now < row.given_at + CHANGEABLE_FOR
