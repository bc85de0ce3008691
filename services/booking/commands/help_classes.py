"""A seat in a class (教室) for whoever asked for help: offered, taken, and given back.

An offer takes nothing away: a helper is looked for all the same, and who does not answer, or says no, has lost nothing.
Met is the request by whichever comes first; the database lets it be one of both (triggers of 0045). Until they take it,
nothing of what they approved is used: the name for calling is written then.

Locked is the request (with its appointment) before the class (`commands/locking.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import BookAppointment, applied_entries, seal_names
from services.booking.commands.class_entries import (
    OF_NOBODY,
    add_entry,
    find_known,
    stage_now,
    take_offer,
)
from services.booking.commands.class_rows import lock_class, lock_entry
from services.booking.commands.class_seats import CLASS_OFFER, leave, take_seat
from services.booking.commands.class_telling import tell_entries
from services.booking.commands.help_requests import (
    FORGET_PLAN,
    drop_appointment,
    lock_request,
    refuse_asked_again,
    withdraw_request,
)
from services.booking.commands.help_returns import HELP_DEADLINE, SETTLE_SEAT, has_entered, match_at, tell_request
from services.booking.commands.visits import open_draft
from services.booking.domain.class_seats import SeatOffer
from services.booking.domain.classes import offer_until
from services.booking.domain.matching import Reason
from services.booking.keys import Keys
from services.booking.queries.help_classes import list_fitting_request
from services.booking.queries.help_requests import get_request
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import Due, DueHandler, schedule, schedule_all
from shared.tokens import Identity

# Kind of `due`, for a request and a class: a seat there is offered.
OFFER_SEAT = "offer_seat"
KEY = "class"
CAN_BE_MET = ("open", "unmet")

_REQUEST_OF = text("SELECT request_id FROM course_entry WHERE (municipality, entry_id) = (:municipality, :entry_id)")
_LIVE = text("""
    SELECT entry_id, course_id, state FROM course_entry
    WHERE (municipality, request_id) = (:municipality, :request_id) AND state NOT IN ('withdrawn', 'called_off')
""")
_STATE = text("SELECT state FROM course_entry WHERE (municipality, entry_id) = (:municipality, :entry_id)")
# What the pass of a request was, as an entry takes it from a visit.
_BROUGHT = text("""
    SELECT r.guest_ref, r.subject_ref, r.case_id, r.contact_ref, r.procedure, r.language, r.came_by, r.passed_at,
           r.opened_at AS arrived_at, r.draft_sealed, k.wrapped_key, '' AS office, 'asked' AS helper,
           EXISTS (SELECT FROM help_match m
                   WHERE (m.municipality, m.request_id) = (r.municipality, r.request_id)
                     AND m.appointment_id IS NOT NULL) AS is_applied
    FROM help_request r
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (r.municipality, r.subject_ref)
    WHERE (r.municipality, r.request_id) = (:municipality, :request_id)
""")
_SET_NAMES = text("""
    UPDATE course_entry SET name_sealed = :name_sealed, kana_sealed = :kana_sealed
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
_MET = text("""
    UPDATE help_request
    SET state = 'met', entry_id = :entry_id, appointment_id = NULL, access_sealed = NULL, version = version + 1,
        changed_at = :now
    WHERE (municipality, request_id) = (:municipality, :request_id) RETURNING *
""")
# Its class does not take place. After its deadline it is not looked again, but for the coordinators.
_LOOK_AGAIN = text("""
    UPDATE help_request r
    SET state = CASE WHEN r.until > :now AND r.draft_sealed IS NOT NULL AND NOT EXISTS (
                         SELECT FROM help_request o
                         WHERE (o.municipality, o.case_id) = (r.municipality, r.case_id) AND o.state = 'open')
                     THEN 'open' ELSE 'unmet' END,
        entry_id = NULL, version = r.version + 1, changed_at = :now
    WHERE (r.municipality, r.request_id) = (:municipality, :request_id) RETURNING *
""")


def class_help_handlers(keys: Keys) -> dict[str, DueHandler]:
    """What is done of seats for requests when it is due."""

    async def on_offer_seat_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        request_id, _slash, course_id = ref.partition("/")
        await offer_seat(session, municipality, UUID(request_id), UUID(course_id), keys, now=now)

    async def on_settle_seat_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await settle_seat(session, municipality, UUID(ref), keys, now=now)

    return {OFFER_SEAT: on_offer_seat_due, SETTLE_SEAT: on_settle_seat_due}


async def plan_seats(session: AsyncSession, municipality: str, offers: Sequence[SeatOffer], *, now: datetime) -> None:
    """Each is offered in a transaction of its own; whoever was faster there is asked about again."""
    plans = [Due(OFFER_SEAT, f"{each.request_id}/{each.course_id}", now) for each in offers]
    await schedule_all(session, "booking", municipality, plans)


async def offer_seat(
    session: AsyncSession,
    municipality: str,
    request_id: UUID,
    course_id: UUID,
    keys: Keys,
    *,
    now: datetime,
) -> None:
    """Due kind `offer_seat`: keep a seat for whoever asked, and tell them; or nothing, when it came otherwise."""
    row = await lock_request(session, municipality, request_id)
    if row.state != "open" or row.appointment_id is not None or row.in_class == "no":
        return
    if await _find_live(session, municipality, request_id) is not None:
        return
    reasons = await _reasons(session, municipality, request_id, course_id, now=now)
    if reasons is not None:
        await _keep_seat(session, row, course_id, reasons, None, keys, now=now)


async def offer_class(
    session: AsyncSession, actor: Identity, request_id: UUID, course_id: UUID, keys: Keys, *, now: datetime
) -> None:
    """A coordinator has a seat kept for them, in this class instead of any other; a helper is still looked for.

    Raises:
        Refusal: `help_unknown`, `class_unknown` (404); `help_over` (409), it is met or withdrawn, or they have asked
            again; `class_taken` (409), there is no seat, or no time to ask them; `class_entered` (409), they are in it.
    """
    row = await lock_request(session, actor.municipality, request_id)
    await _refuse_over(session, row)
    live = await _find_live(session, actor.municipality, request_id)
    if live is not None and live.course_id == course_id:
        return
    if live is not None:
        await _give_back(session, row, live, keys, now=now)
    reasons = await _reasons(session, actor.municipality, request_id, course_id, now=now) or ()
    if not await _keep_seat(session, row, course_id, reasons, actor.ref, keys, now=now):
        raise Refusal("class_taken", 409)
    await record_deed(session, actor, "help-offer-class", request_id, now=now)


async def enter_by_request(
    session: AsyncSession,
    municipality: str,
    request_id: UUID,
    course_id: UUID,
    keys: Keys,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> str:
    """A seat in this class, with what the request brought: it is met, and nobody is looked for any more. Returns the
    number of the entry; pressed again, the same.

    Raises:
        Refusal: `help_unknown`, `class_unknown` (404); `help_over` (409); `class_taken` (409), there is no seat that
            nobody waits for; `class_entered` (409), they are in it already; `class_offer_over` (409).
    """
    row = await lock_request(session, municipality, request_id)
    live = await _find_live(session, municipality, request_id)
    if live is not None and live.course_id == course_id:
        return await _take(session, row, live.entry_id, keys, staff=staff, now=now)
    await _refuse_over(session, row)
    await drop_appointment(session, row, now=now)
    if live is not None:
        await _give_back(session, row, live, keys, now=now)
    course, values = await _enterable(session, row, course_id, now=now)
    if not await take_seat(session, municipality, course_id, values["entry_id"]):
        raise Refusal("class_taken", 409)
    names = await _use_names(session, row, values["entry_id"], keys, staff=staff, now=now)
    entry = await add_entry(session, values | names | {"state": "entered", "reasons": []}, keys)
    await _meet(session, row, entry.entry_id, course.begins_at, staff=staff, now=now)
    await tell_entries(session, municipality, course, [entry], keys, now=now)
    return str(entry.number)


async def take_seat_offered(
    session: AsyncSession,
    municipality: str,
    entry_id: UUID,
    keys: Keys,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> None:
    """The seat that is offered is theirs (`take_offer`); if it is kept for a request, that is met.

    Raises:
        Refusal: `class_unknown` (404), `class_offer_over` (409); `help_over` (409), a helper was faster.
    """
    mine = {"municipality": municipality, "entry_id": entry_id}
    request_id = (await session.execute(_REQUEST_OF, mine)).scalar_one_or_none()
    if request_id is None:
        await take_offer(session, municipality, entry_id, keys, staff=staff, now=now)
        return
    row = await lock_request(session, municipality, request_id)
    await _take(session, row, entry_id, keys, staff=staff, now=now)


async def settle_seat(session: AsyncSession, municipality: str, request_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Due kind `settle_seat`: what is kept for a request that has ended is for the next; whose class does not take
    place is looked for again, and told; and who is in a class by themselves is not looked for."""
    try:
        row = await lock_request(session, municipality, request_id)
    except Refusal:
        return
    if await has_entered(session, municipality, request_id):
        await withdraw_request(session, municipality, request_id, now=now)
        row = await lock_request(session, municipality, request_id)
    live = await _find_live(session, municipality, request_id)
    if live is not None and live.state == "offered" and row.state not in CAN_BE_MET:
        await _give_back(session, row, live, keys, now=now)
    if row.entry_id is None:
        return
    state = (await session.execute(_STATE, {"municipality": municipality, "entry_id": row.entry_id})).scalar_one()
    if state == "called_off":
        mine = {"municipality": municipality, "request_id": request_id, "now": now}
        again = (await session.execute(_LOOK_AGAIN, mine)).one()
        await match_at(session, municipality, now)
        await tell_request(session, again, now=now)


async def _refuse_over(session: AsyncSession, row: Any) -> None:
    if row.state not in CAN_BE_MET or row.subject_ref is None:
        raise Refusal("help_over", 409)
    await refuse_asked_again(session, row)


async def _find_live(session: AsyncSession, municipality: str, request_id: UUID) -> Any:
    mine = {"municipality": municipality, "request_id": request_id}
    return (await session.execute(_LIVE, mine)).one_or_none()


async def _reasons(
    session: AsyncSession, municipality: str, request_id: UUID, course_id: UUID, *, now: datetime
) -> tuple[Reason, ...] | None:
    """What speaks for this class; None: it does not fit, or they are in it."""
    found = await get_request(session, municipality, request_id)
    fitting = await list_fitting_request(session, municipality, found, stages=("free",), now=now)
    return next((each.reasons for each in fitting if each.course.course_id == course_id), None)


async def _enterable(session: AsyncSession, row: Any, course_id: UUID, *, now: datetime) -> tuple[Any, dict[str, Any]]:
    """The class, locked, and a new entry's values, if they can have a seat there that nobody waits for."""
    course = await lock_class(session, row.municipality, course_id, shared=True, now=now)
    names = ("guest_ref", "subject_ref", "case_id", "contact_ref", "procedure", "language", "came_by", "passed_at")
    values = OF_NOBODY | {name: getattr(row, name) for name in names}
    values |= {
        "municipality": row.municipality,
        "entry_id": uuid4(),
        "course_id": course_id,
        "request_id": row.request_id,
        "now": now,
    }
    if await find_known(session, values) is not None:
        raise Refusal("class_entered", 409)
    stage, _entries = await stage_now(session, row.municipality, course, now=now)
    if stage != "free":
        raise Refusal("class_taken", 409)
    return course, values


async def _keep_seat(
    session: AsyncSession,
    row: Any,
    course_id: UUID,
    reasons: Sequence[Reason],
    decided_by: str | None,
    keys: Keys,
    *,
    now: datetime,
) -> bool:
    """A seat is kept for them as for somebody who waited; whether there was one, and time to ask."""
    try:
        course, values = await _enterable(session, row, course_id, now=now)
    except Refusal:
        if decided_by is not None:
            raise
        return False
    until = offer_until(course.begins_at, now=now)
    if until is None or not await take_seat(session, row.municipality, course_id, values["entry_id"]):
        return False
    kept = {"state": "offered", "offer_until": until, "reasons": list(reasons), "decided_by": decided_by}
    entry = await add_entry(session, values | kept, keys)
    ref = str(entry.entry_id)
    await schedule(session, "booking", municipality=row.municipality, kind=CLASS_OFFER, ref=ref, due_at=until)
    await tell_entries(session, row.municipality, course, [entry], keys, now=now)
    return True


async def _take(
    session: AsyncSession, row: Any, entry_id: UUID, keys: Keys, *, staff: Identity | None, now: datetime
) -> str:
    """The seat that is kept for a locked request is theirs."""
    if row.entry_id != entry_id:
        await _refuse_over(session, row)
        await drop_appointment(session, row, now=now)
    course, entry = await lock_entry(session, row.municipality, entry_id, now=now)
    if entry.state != "entered":
        names = await _use_names(session, row, entry_id, keys, staff=staff, now=now)
        await session.execute(_SET_NAMES, {"municipality": row.municipality, "entry_id": entry_id} | names)
        await take_offer(session, row.municipality, entry_id, keys, staff=staff, now=now)
        await _meet(session, row, entry_id, course.begins_at, staff=staff, now=now)
    return str(entry.number)


async def _use_names(
    session: AsyncSession, row: Any, entry_id: UUID, keys: Keys, *, staff: Identity | None, now: datetime
) -> dict[str, bytes | None]:
    """The names that were approved for calling, sealed for this entry, and written that they are used. A request whose
    draft is gone comes with its number alone."""
    mine = {"municipality": row.municipality, "request_id": row.request_id}
    brought = (await session.execute(_BROUGHT, mine)).one()
    if brought.draft_sealed is None or brought.wrapped_key is None:
        return {"name_sealed": None, "kana_sealed": None}
    key = bytes(brought.wrapped_key)
    draft = open_draft(keys, row.municipality, row.subject_ref, row.request_id, key, brought.draft_sealed)
    order = BookAppointment(
        municipality=row.municipality,
        visit_id=row.request_id,
        visitor=brought.guest_ref,
        key=KEY,
        staff=staff,
        given_to="guest" if brought.came_by == "web" else "staff",
    )
    facts = [] if brought.is_applied else applied_entries(order, brought, draft, keys, now=now)
    if facts:
        await ledger.write(session, *facts)
    return seal_names(keys, row.municipality, entry_id, brought, draft)


async def _meet(
    session: AsyncSession, row: Any, entry_id: UUID, begins_at: datetime, *, staff: Identity | None, now: datetime
) -> None:
    mine = {"municipality": row.municipality, "request_id": row.request_id, "entry_id": entry_id, "now": now}
    await session.execute(FORGET_PLAN, mine)
    met = (await session.execute(_MET, mine)).one()
    if met.until <= now:
        # Its deadline was worked off (as in `help_returns.note_met`).
        ref = str(row.request_id)
        await schedule(session, "booking", municipality=row.municipality, kind=HELP_DEADLINE, ref=ref, due_at=begins_at)
    await tell_request(session, met, now=now)
    await record_deed(session, staff, "help-class", row.request_id, now=now)


async def _give_back(session: AsyncSession, row: Any, live: Any, keys: Keys, *, now: datetime) -> None:
    course, entry = await lock_entry(session, row.municipality, live.entry_id, now=now)
    if entry.state == "offered":
        await leave(session, row.municipality, course, entry.entry_id, keys, now=now)
