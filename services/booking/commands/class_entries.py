"""Entering a class, taking a seat that is offered, and leaving: by one's own hand, or through staff."""

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.access import FAILURES_MAX, LOCKED_FOR, Found, oldest_day
from services.booking.commands.appointments import BookAppointment, applied_entries, seal_names
from services.booking.commands.class_rows import lock_class, lock_entry
from services.booking.commands.class_seats import leave, look_again, set_entry, take_seat
from services.booking.commands.class_telling import tell_entries
from services.booking.commands.help_returns import settle_entered_soon
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.visits import open_draft
from services.booking.domain.classes import ENTRIES_MAX, QUEUED, EntryState, Stage, offer_until, stage_of
from services.booking.keys import Keys
from services.booking.queries.slots import start_of_day
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.crypto import token_hash
from shared.errors import Refusal
from shared.ledger.entry import Entry
from shared.reference_number import TICKET_LENGTH, make_number, read_code, read_number
from shared.tokens import Identity


class EnterClass(msgspec.Struct, frozen=True, kw_only=True):
    """The order to enter a class: with what a visit brought, or without name and contact, as a walk-in."""

    municipality: str
    course_id: UUID
    visitor: str
    key: str
    language: str
    visit_id: UUID | None = None
    staff: Identity | None = None


_VISIT = text("""
    SELECT v.guest_ref, v.subject_ref, v.case_id, v.contact_ref, v.procedure, v.language, v.behalf, v.draft_sealed,
           v.passed_at, v.arrived_at, v.expires_at, k.wrapped_key, '' AS office, 'asked' AS helper
    FROM visit v
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id) FOR UPDATE OF v
""")
_KNOWN = text("""
    SELECT number, guest_ref FROM course_entry
    WHERE (municipality, course_id) = (:municipality, :course_id) AND state NOT IN ('withdrawn', 'called_off')
      AND (subject_ref = :subject_ref OR guest_ref = :guest_ref AND came_by = 'web' AND :came_by = 'web') LIMIT 1
""")
_COUNTS = text("""
    SELECT (SELECT count(*) FROM course_seat s
            WHERE (s.municipality, s.course_id) = (:municipality, :course_id) AND s.entry_id IS NULL) AS free,
           count(*) FILTER (WHERE state IN ('waiting', 'lost')) AS waiting, count(*) AS entries
    FROM course_entry WHERE (municipality, course_id) = (:municipality, :course_id)
      AND state NOT IN ('withdrawn', 'called_off')
""")
_ENTER = text("""
    INSERT INTO course_entry (municipality, entry_id, course_id, number, lot, state, came_by, guest_ref, subject_ref,
                              case_id, contact_ref, procedure, language, name_sealed, kana_sealed, passed_at,
                              code_hash, offer_until, request_id, reasons, decided_by, version, entered_at, changed_at)
    VALUES (:municipality, :entry_id, :course_id, :number, :lot, :state, :came_by, :guest_ref, :subject_ref, :case_id,
            :contact_ref, :procedure, :language, :name_sealed, :kana_sealed, :passed_at, :code_hash, :offer_until,
            :request_id, :reasons, :decided_by, 1, :now, :now)
    RETURNING *
""")
# Of who comes without a pass, and without a request for help.
OF_NOBODY: dict[str, Any] = {
    "lot": None, "subject_ref": None, "case_id": None, "contact_ref": None, "procedure": "", "name_sealed": None,
    "kana_sealed": None, "offer_until": None, "request_id": None, "reasons": [], "decided_by": None,
}  # fmt: skip
_BY_NUMBER = text("""
    SELECT e.entry_id, e.number, e.code_hash, e.code_failures, e.locked_until FROM course_entry e
    WHERE (e.municipality, e.number) = (:municipality, :number) AND e.code_hash IS NOT NULL
      AND EXISTS (SELECT 1 FROM course_session s
                  WHERE (s.municipality, s.course_id) = (e.municipality, e.course_id) AND s.ends_at >= :oldest)
    FOR UPDATE OF e
""")
_FAILED = text("""
    UPDATE course_entry SET code_failures = :failures, locked_until = :locked_until
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
_BY_LINK = text("""
    SELECT e.entry_id, e.number FROM course_entry e
    WHERE (e.municipality, e.link_hash) = (:municipality, :link_hash)
      AND EXISTS (SELECT 1 FROM course_session s
                  WHERE (s.municipality, s.course_id) = (e.municipality, e.course_id) AND s.ends_at >= :oldest)
""")


async def enter_class(session: AsyncSession, order: EnterClass, keys: Keys, *, now: datetime) -> str:
    """Enter, and return the entry's number. Who has entered already gets the same number again.

    Raises:
        Refusal: `class_unknown` (404), `class_closed`, `class_full` (409), `class_entered` (409, somebody else entered
            for this person); `visit_unknown` (404), `visit_over` (410); `key_reused` (422).
    """

    async def enter() -> str:
        return await _enter(session, order, keys, now=now)

    hashed = request_hash("class", order.course_id, order.visit_id)
    owner = f"class:{order.visitor}"
    return await do_once(session, order.municipality, owner, order.key, hashed, enter, str, now=now)


async def _enter(session: AsyncSession, order: EnterClass, keys: Keys, *, now: datetime) -> str:
    # The class before all else, as whoever erases a person, or calls it off.
    course = await lock_class(session, order.municipality, order.course_id, shared=True, now=now)
    entry_id = uuid4()
    values = OF_NOBODY | {
        "municipality": order.municipality,
        "entry_id": entry_id,
        "course_id": order.course_id,
        "guest_ref": order.visitor,
        "came_by": "web" if order.staff is None else "desk",
        "language": order.language,
        "passed_at": now,
        "now": now,
    }
    facts: list[Entry] = []
    if order.visit_id is not None:
        visit = await _read_visit(session, order, now=now)
        wrapped_key, sealed = visit.wrapped_key, visit.draft_sealed
        draft = open_draft(keys, order.municipality, visit.subject_ref, order.visit_id, wrapped_key, sealed)
        brought = ("subject_ref", "case_id", "contact_ref", "procedure", "language", "passed_at")
        values |= {name: getattr(visit, name) for name in brought} | {"came_by": visit.behalf or "web"}
        values |= seal_names(keys, order.municipality, entry_id, visit, draft)
        # The names are for calling here, as in an appointment.
        applied = BookAppointment(
            municipality=order.municipality,
            visit_id=order.visit_id,
            visitor=order.visitor,
            key=order.key,
            staff=order.staff,
        )
        facts = applied_entries(applied, visit, draft, keys, now=now)
    known = await find_known(session, values)
    if known is not None:
        if known.guest_ref != order.visitor:
            raise Refusal("class_entered", 409)
        return str(known.number)
    state = await _find_room(session, order, course, entry_id, now=now)
    lot = make_number(secrets.choice, length=TICKET_LENGTH) if state == "applied" else None
    row = await add_entry(session, values | {"state": state, "lot": lot}, keys)
    if facts:
        await ledger.write(session, *facts)
    # Until it is drawn there is nothing to tell, as with any draw.
    if state != "applied":
        await tell_entries(session, order.municipality, course, [row], keys, now=now)
    await settle_entered_soon(session, order.municipality, [entry_id], now=now)
    await record_deed(session, order.staff, "class-enter", entry_id, version=1, now=now)
    return str(row.number)


async def find_known(session: AsyncSession, values: dict[str, Any]) -> Any:
    """The entry that this person, or this browser, has in the class already; None: none."""
    return (await session.execute(_KNOWN, values)).one_or_none()


async def add_entry(session: AsyncSession, values: dict[str, Any], keys: Keys) -> Any:
    """A new entry with its number and code. The class is locked by the caller."""
    code_hash = keys.code_hash(values["entry_id"], keys.entry_code(values["entry_id"]))
    made = {"number": make_number(secrets.choice), "code_hash": code_hash}
    return (await session.execute(_ENTER, values | made)).one()


async def stage_now(session: AsyncSession, municipality: str, course: Any, *, now: datetime) -> tuple[Stage, int]:
    """How far a locked class is, and how many have entered."""
    counts = (await session.execute(_COUNTS, {"municipality": municipality, "course_id": course.course_id})).one()
    stage = stage_of(
        course.state, course.mode, closes_at=course.closes_at, begins_at=course.begins_at,
        is_drawn=course.drawn_at is not None, free=counts.free, waiting=counts.waiting, now=now,
    )  # fmt: skip
    return stage, counts.entries


async def _read_visit(session: AsyncSession, order: EnterClass, *, now: datetime) -> Any:
    found = await session.execute(_VISIT, {"municipality": order.municipality, "visit_id": order.visit_id})
    visit = found.one_or_none()
    if visit is None or visit.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if visit.expires_at <= now or visit.draft_sealed is None or visit.wrapped_key is None:
        raise Refusal("visit_over", 410)
    return visit


async def _find_room(
    session: AsyncSession, order: EnterClass, course: Any, entry_id: UUID, *, now: datetime
) -> EntryState:
    """How they are in it: with a seat, on the list, or in the draw."""
    stage, entries = await stage_now(session, order.municipality, course, now=now)
    if stage not in ("applying", "free", "full"):
        raise Refusal("class_closed", 409)
    if entries >= ENTRIES_MAX:
        raise Refusal("class_full", 409)
    if stage == "applying":
        return "applied"
    if stage == "full":
        return "waiting"
    if await take_seat(session, order.municipality, course.course_id, entry_id):
        return "entered"
    # Others are just taking the last ones. Should one of them not, it is for who waits.
    await look_again(session, order.municipality, course.course_id, now=now)
    return "waiting"


async def leave_class(
    session: AsyncSession,
    municipality: str,
    entry_id: UUID,
    keys: Keys,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> None:
    """They do not come. Said again, nothing more happens.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409).
    """
    course, entry = await lock_entry(session, municipality, entry_id, now=now)
    if entry.state in ("withdrawn", "called_off"):
        return
    if course.state == "over":
        raise Refusal("class_off", 409)
    await leave(session, municipality, course, entry_id, keys, now=now)
    await record_deed(session, staff, "class-leave", entry_id, version=entry.version + 1, now=now)


async def take_offer(
    session: AsyncSession,
    municipality: str,
    entry_id: UUID,
    keys: Keys,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> None:
    """The seat that is offered is theirs. Shortly before the class nothing is offered any more: what is free then is
    for whoever takes it first. One that is kept for a request for help meets it: `help_classes.take_seat_offered`.

    Raises:
        Refusal: `class_unknown` (404), `class_offer_over` (409).
    """
    course, entry = await lock_entry(session, municipality, entry_id, now=now)
    if entry.state == "entered":
        return
    if not await _may_take(session, municipality, course, entry, now=now):
        raise Refusal("class_offer_over", 409)
    await set_entry(session, municipality, course, entry_id, "entered", keys, now=now)
    await settle_entered_soon(session, municipality, [entry_id], now=now)
    await record_deed(session, staff, "class-take", entry_id, version=entry.version + 1, now=now)


async def _may_take(session: AsyncSession, municipality: str, course: Any, entry: Any, *, now: datetime) -> bool:
    if course.state not in ("open", "closed"):
        return False
    if entry.state == "offered":
        return bool(now < entry.offer_until)
    is_late = offer_until(course.begins_at, now=now) is None and now < course.begins_at
    return (
        entry.state in QUEUED and is_late and await take_seat(session, municipality, course.course_id, entry.entry_id)
    )


async def try_class_code(
    session: AsyncSession, municipality: str, typed_number: str, typed_code: str, keys: Keys, *, now: datetime
) -> Found:
    """Check an entry's number and code as typed, as `try_code` does an appointment's."""
    number, code = read_number(typed_number), read_code(typed_code)
    if number is None or code is None:
        return Found(outcome="wrong")
    asked = {"municipality": municipality, "number": number, "oldest": start_of_day(oldest_day(now))}
    row = (await session.execute(_BY_NUMBER, asked)).one_or_none()
    if row is None:
        return Found(outcome="wrong", nobodys=number)
    if row.locked_until is not None and row.locked_until > now:
        return Found(outcome="locked", locked_until=row.locked_until)
    mine = {"municipality": municipality, "entry_id": row.entry_id}
    if keys.is_code(row.entry_id, code, bytes(row.code_hash)):
        if row.code_failures or row.locked_until:
            await session.execute(_FAILED, mine | {"failures": 0, "locked_until": None})
        return Found(outcome="open", appointment_id=row.entry_id, number=row.number)
    failures = row.code_failures + 1
    is_locked = failures >= FAILURES_MAX
    locked_until = now + LOCKED_FOR if is_locked else None
    await session.execute(_FAILED, mine | {"failures": 0 if is_locked else failures, "locked_until": locked_until})
    return Found(outcome="locked" if is_locked else "wrong", locked_until=locked_until)


async def open_class_link(session: AsyncSession, municipality: str, token: str, *, now: datetime) -> Found:
    """The entry that the link of a message opens."""
    oldest = start_of_day(oldest_day(now))
    key = {"municipality": municipality, "link_hash": token_hash(token), "oldest": oldest}
    row = (await session.execute(_BY_LINK, key)).one_or_none()
    if row is None:
        return Found(outcome="wrong")
    return Found(outcome="open", appointment_id=row.entry_id, number=row.number)
