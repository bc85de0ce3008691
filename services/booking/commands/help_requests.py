"""Asking for help without choosing a time: with what a visit brought; leaving it again; and when its time is over."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.changes import end_appointment
from services.booking.commands.facts import seal_access
from services.booking.commands.help_returns import HELP_DEADLINE, match_at, settle_seat_soon, tell_request
from services.booking.commands.locking import lock_appointments, lock_places
from services.booking.commands.marks import mark_availability
from services.booking.commands.visits import open_draft, release_places, seal_draft
from services.booking.domain.help_requests import VENUES_MAX, deadline_of
from services.booking.domain.matching import HelpWindow, InClass, Need
from services.booking.domain.rules import policy_for
from services.booking.keys import Keys, subject_context
from services.booking.queries.help_classes import list_hints
from services.booking.queries.rules import get_rules
from shared.audit import record_deed
from shared.crypto import new_code, new_link_token, token_hash
from shared.errors import Refusal
from shared.events.booking import SealedAccess
from shared.messaging.due import schedule
from shared.reference_number import CODE_LENGTH, make_number
from shared.tokens import Identity

# Somebody is matched, or their helper answers, just while they leave: looked at again.
LOCK_TRIES = 3


class HelpWish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for: a topic of the town (empty: the procedure of their case), when, where, and how."""

    window: HelpWindow
    topic: str = ""
    venues: tuple[str, ...] = ()
    only_there: bool = False
    in_class: InClass = "no"
    language: str = "ja"
    language_need: Need = "wished"
    sign_need: Need = "none"


class AskForHelp(msgspec.Struct, frozen=True, kw_only=True):
    """The order to look for a helper with what a visit brought."""

    municipality: str
    visit_id: UUID
    visitor: str
    wish: HelpWish
    staff: Identity | None = None


_VISIT = text("""
    SELECT v.guest_ref, v.subject_ref, v.case_id, v.contact_ref, v.procedure, v.channel, v.reach, v.behalf,
           v.from_step, v.draft_sealed, v.passed_at, v.expires_at, v.appointment_id, k.wrapped_key, p.with_helper,
           p.notice_min, p.horizon_days,
           ARRAY(SELECT t.code FROM topic t WHERE t.municipality = v.municipality LIMIT 1000) AS topics,
           ARRAY(SELECT r.counter FROM counter_rule r
                 WHERE r.municipality = v.municipality AND r.kind = 'venue' LIMIT 1000) AS venues
    FROM visit v
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (v.municipality, v.subject_ref)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (v.municipality, v.procedure)
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id) FOR UPDATE OF v
""")
_ASK = text("""
    INSERT INTO help_request
        (municipality, request_id, number, state, version, came_by, guest_ref, subject_ref, case_id, contact_ref, reach,
         procedure, from_step, topic, venues, only_there, first_day, last_day, weekdays, from_min, to_min, in_class,
         language, language_need, sign_need, draft_sealed, passed_at, link_hash, code_hash, code_sealed, opened_at,
         changed_at, until)
    VALUES
        (:municipality, :request_id, :number, 'open', 1, :came_by, :guest_ref, :subject_ref, :case_id, :contact_ref,
         :reach, :procedure, :from_step, :topic, :venues, :only_there, :first_day, :last_day, :weekdays, :from_min,
         :to_min, :in_class, :language, :language_need, :sign_need, :draft_sealed, :passed_at, :link_hash, :code_hash,
         :code_sealed, :now, :now, :until)
    ON CONFLICT (municipality, case_id) WHERE state = 'open' DO NOTHING
    RETURNING *
""")
_OF_CASE = text("""
    SELECT number FROM help_request
    WHERE (municipality, case_id) = (:municipality, :case_id) AND guest_ref = :guest_ref AND state = 'open'
""")
_WHICH = text("SELECT appointment_id FROM help_request WHERE (municipality, request_id) = (:municipality, :request_id)")
_LOCK = text("""
    SELECT * FROM help_request WHERE (municipality, request_id) = (:municipality, :request_id) FOR UPDATE
""")
_END = text("""
    UPDATE help_request
    SET state = :state, version = version + 1, appointment_id = NULL, access_sealed = NULL,
        -- A coordinator may still find somebody (`UNMET_KEPT`).
        draft_sealed = CASE WHEN CAST(:state AS text) = 'unmet' THEN draft_sealed END, changed_at = :now
    WHERE (municipality, request_id) = (:municipality, :request_id) RETURNING *
""")
FORGET_PLAN = text("""
    DELETE FROM help_match
    WHERE (municipality, request_id) = (:municipality, :request_id) AND appointment_id IS NULL
""")
# The visit, or the class, that met it. One that is called off is settled in a moment (`help_classes.settle_seat`).
_BEGINS = text("""
    SELECT starts_at FROM appointment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND state = 'booked'
    UNION ALL
    SELECT min(s.starts_at) FROM course_entry e
    JOIN course_session s ON (s.municipality, s.course_id) = (e.municipality, e.course_id)
    WHERE (e.municipality, e.entry_id) = (:municipality, :entry_id) AND e.state <> 'withdrawn'
    GROUP BY e.entry_id
""")
# What was kept for looking again is not needed any more.
_FORGET_DRAFT = text("""
    UPDATE help_request SET draft_sealed = NULL WHERE (municipality, request_id) = (:municipality, :request_id)
""")
# They have asked again since this was not met.
_ASKED_AGAIN = text("""
    SELECT EXISTS (SELECT FROM help_request
                   WHERE (municipality, case_id) = (:municipality, :case_id) AND state = 'open'
                     AND request_id <> :request_id)
""")
# Who can still be met: somebody is looked for, or a coordinator may find somebody.
_CAN_BE_MET = "(r.state = 'open' OR r.state = 'unmet' AND r.draft_sealed IS NOT NULL)"
_OPEN_OF_CASE = text(f"""
    SELECT r.request_id FROM help_request r
    WHERE (r.municipality, r.case_id) = (:municipality, :case_id) AND {_CAN_BE_MET} AND r.opened_at <= :at
""")
_CASE_OF_VISIT = text(f"""
    SELECT r.request_id FROM visit v
    JOIN help_request r ON (r.municipality, r.case_id) = (v.municipality, v.case_id) AND {_CAN_BE_MET}
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id)
""")


async def ask_for_help(session: AsyncSession, order: AskForHelp, keys: Keys, *, now: datetime) -> str:
    """Look for a helper; returns the request's number. Whoever asks again for the same case gets the same one.

    Raises:
        Refusal: `visit_unknown` (404), `visit_booked` (409), `visit_over` (410); `help_unfit` (409), there are no
            helpers for this; `help_window`, `help_wish` (422); `help_asked` (409), somebody else asked for this case.
    """
    town, wish = {"municipality": order.municipality}, order.wish
    visit = (await session.execute(_VISIT, town | {"visit_id": order.visit_id})).one_or_none()
    if visit is None or visit.guest_ref != order.visitor:
        raise Refusal("visit_unknown", 404)
    if visit.appointment_id is not None:
        raise Refusal("visit_booked", 409)
    if visit.expires_at <= now or visit.draft_sealed is None or visit.wrapped_key is None:
        raise Refusal("visit_over", 410)
    if visit.channel != "helper" or not visit.with_helper or not visit.venues:
        raise Refusal("help_unfit", 409)
    venues = sorted(set(wish.venues))
    is_known = set(venues) <= set(visit.venues) and (not wish.topic or wish.topic in visit.topics)
    if not is_known or len(venues) > VENUES_MAX:
        raise Refusal("help_wish", 422)
    policy = policy_for(
        (await get_rules(session, order.municipality)).policy,
        notice_min=visit.notice_min,
        horizon_days=visit.horizon_days,
    )
    until = deadline_of(wish.window, policy, now=now)
    request_id = uuid4()
    access = SealedAccess(link_token=new_link_token(), code=new_code(CODE_LENGTH))
    subject_ref, wrapped_key = visit.subject_ref, bytes(visit.wrapped_key)
    draft = open_draft(keys, order.municipality, subject_ref, order.visit_id, wrapped_key, visit.draft_sealed)
    context = subject_context(order.municipality, subject_ref)
    wished = msgspec.structs.asdict(wish) | msgspec.structs.asdict(wish.window)
    row = (
        await session.execute(
            _ASK,
            town
            | wished
            | {
                "request_id": request_id,
                "number": make_number(secrets.choice),
                "came_by": visit.behalf or "web",
                "guest_ref": order.visitor,
                "subject_ref": subject_ref,
                "case_id": visit.case_id,
                "contact_ref": visit.contact_ref,
                "reach": visit.reach,
                "procedure": visit.procedure,
                "from_step": visit.from_step,
                "venues": venues,
                "only_there": wish.only_there and bool(venues),
                "weekdays": sorted(set(wish.window.weekdays)),
                "draft_sealed": seal_draft(keys, order.municipality, subject_ref, request_id, wrapped_key, draft),
                "passed_at": visit.passed_at,
                "link_hash": token_hash(access.link_token),
                "code_hash": keys.code_hash(request_id, access.code),
                "code_sealed": keys.vault.seal(wrapped_key, context, f"code/{request_id}", access.code),
                "until": until,
                "now": now,
            },
        )
    ).one_or_none()
    if row is None:
        known = (
            await session.execute(_OF_CASE, town | {"case_id": visit.case_id, "guest_ref": order.visitor})
        ).scalar()
        if known is None:
            raise Refusal("help_asked", 409)
        return str(known)
    # The place that the visit held is for somebody who chooses.
    await _give_back(session, order, now=now)
    sealed = seal_access(keys, access) if visit.contact_ref is not None else None
    await tell_request(session, row, sealed=sealed, now=now)
    await match_at(session, order.municipality, now)
    ref = str(request_id)
    await schedule(session, "booking", municipality=order.municipality, kind=HELP_DEADLINE, ref=ref, due_at=until)
    await record_deed(session, order.staff, "help-ask", request_id, now=now)
    return str(row.number)


async def withdraw_request(
    session: AsyncSession, municipality: str, request_id: UUID, *, staff: Identity | None = None, now: datetime
) -> None:
    """No help is needed any more; whoever was asked need not come. Said again, nothing more happens.

    Raises:
        Refusal: `help_unknown` (404); `help_met` (409), they have an appointment or a seat, which can be cancelled.
    """
    row = await lock_request(session, municipality, request_id)
    if row.state == "withdrawn":
        return
    if row.state == "met":
        raise Refusal("help_met", 409)
    await _end(session, row, "withdrawn", now=now)
    await record_deed(session, staff, "help-withdraw", request_id, now=now)


async def leave_requests(
    session: AsyncSession, municipality: str, *, case_id: UUID, at: datetime, now: datetime
) -> None:
    """A case goes on in another way since `at`: what was asked for in it before is not needed any more."""
    asked = {"municipality": municipality, "case_id": case_id, "at": at}
    for request_id in (await session.execute(_OPEN_OF_CASE, asked)).scalars().all():
        await withdraw_request(session, municipality, request_id, now=now)


async def leave_request_of_visit(session: AsyncSession, municipality: str, visit_id: UUID, *, now: datetime) -> None:
    """Somebody has booked a time themselves: nobody needs to look for one."""
    mine = {"municipality": municipality, "visit_id": visit_id}
    for request_id in (await session.execute(_CASE_OF_VISIT, mine)).scalars().all():
        await withdraw_request(session, municipality, request_id, now=now)


async def on_help_deadline_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `help_deadline`: nobody was found in time, and they are told. Who is just asked may still answer.

    Of one that is met, what was brought is kept until it begins: its helper may not come after all, or its class may be
    called off.
    """
    row = await lock_request(session, municipality, UUID(ref))
    if row.state == "open" and row.appointment_id is None:
        await _end(session, row, "unmet", now=now)
    elif row.state == "met":
        mine = {"municipality": municipality, "request_id": row.request_id}
        mine |= {"appointment_id": row.appointment_id, "entry_id": row.entry_id}
        begins_at = (await session.execute(_BEGINS, mine)).scalar_one_or_none()
        if begins_at is not None and begins_at > now:
            await schedule(session, "booking", municipality=municipality, kind=HELP_DEADLINE, ref=ref, due_at=begins_at)
        else:
            await session.execute(_FORGET_DRAFT, mine)


async def lock_request(session: AsyncSession, municipality: str, request_id: UUID) -> Any:
    """A request with its appointment, the appointment first (`commands/locking.py`).

    Raises:
        Refusal: `help_unknown` (404); `help_busy` (409), its appointment changes all the time.
    """
    mine = {"municipality": municipality, "request_id": request_id}
    for _ in range(LOCK_TRIES):
        found = (await session.execute(_WHICH, mine)).one_or_none()
        if found is None:
            raise Refusal("help_unknown", 404)
        appointments = [found.appointment_id] if found.appointment_id is not None else []
        await lock_appointments(session, municipality, appointments)
        row = (await session.execute(_LOCK, mine)).one()
        if row.appointment_id == found.appointment_id:
            return row
    raise Refusal("help_busy", 409)


async def refuse_asked_again(session: AsyncSession, row: Any) -> None:
    """Met is what they asked for last; else a helper would come for the one, and for the other too.

    Raises:
        Refusal: `help_over` (409).
    """
    mine = {"municipality": row.municipality, "case_id": row.case_id, "request_id": row.request_id}
    if (await session.execute(_ASKED_AGAIN, mine)).scalar_one():
        raise Refusal("help_over", 409)


async def drop_appointment(session: AsyncSession, row: Any, *, now: datetime) -> None:
    """The appointment of a locked, open request is not needed: nobody was told of it, so nobody is told now."""
    if row.appointment_id is None:
        return
    (appointment,) = await lock_appointments(session, row.municipality, [row.appointment_id])
    await lock_places(session, row.municipality, appointments=[row.appointment_id])
    if appointment.state == "booked":
        await end_appointment(session, appointment, now=now)


async def _end(session: AsyncSession, row: Any, state: str, *, now: datetime) -> None:
    mine = {"municipality": row.municipality, "request_id": row.request_id, "now": now}
    await drop_appointment(session, row, now=now)
    await session.execute(FORGET_PLAN, mine)
    ended = (await session.execute(_END, mine | {"state": state})).one()
    if state == "withdrawn":
        await settle_seat_soon(session, row.municipality, row.request_id, now=now)
    classes = await list_hints(session, row.municipality, row.request_id, now=now) if state == "unmet" else []
    await tell_request(session, ended, classes=classes, now=now)


async def _give_back(session: AsyncSession, order: AskForHelp, *, now: datetime) -> None:
    counters: Sequence[str] = await release_places(session, order.municipality, order.visit_id, now=now)
    if counters:
        await mark_availability(session, order.municipality, counters, now=now)
