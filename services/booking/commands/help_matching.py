"""Matching requests with helpers: planned for all at once, then each asked in a transaction of its own.

A plan (`help_match` without an appointment) says who, when and where. Whoever carries it out holds the place, books it
and asks the helper as if their owner had chosen it, or drops the plan: a resident was faster, the helper is busy, the
request was withdrawn. It is planned again when something changes: somebody asks, or a place or a helper comes free;
and by the clock, less and less often (`domain/help_requests.py`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import BookAppointment, Made, make_appointment
from services.booking.commands.help_classes import class_help_handlers, plan_seats
from services.booking.commands.help_requests import (
    drop_appointment,
    lock_request,
    on_help_deadline_due,
    refuse_asked_again,
)
from services.booking.commands.help_returns import HELP_DEADLINE, MATCH_HELP, match_at
from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.commands.marks import SETTLE
from services.booking.commands.visits import END_VISIT, VISIT_LIFETIME, open_draft, seal_draft
from services.booking.domain.class_seats import match_with_classes
from services.booking.domain.help_requests import next_look, next_plan
from services.booking.domain.matching import can_be_there, monday_of
from services.booking.domain.shifts import week_time
from services.booking.keys import Keys
from services.booking.queries.help_candidates import REQUESTS_MAX, list_candidates, list_free_places, list_wanted
from services.booking.queries.help_classes import list_open_classes
from services.booking.tables import ledger
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import Due, DueHandler, schedule, schedule_all
from shared.tokens import Identity

# Kind of `due`, for a plan: it is carried out.
ASK_MATCHED = "ask_matched"
KEY = "matched"

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('match_help/' || CAST(:municipality AS text), 0))")
_PLAN = text("""
    INSERT INTO help_match (municipality, match_id, request_id, helper_ref, slot_id, reasons, decided_by, matched_at)
    VALUES (:municipality, :match_id, :request_id, :helper_ref, :slot_id, :reasons, :decided_by, :now)
    ON CONFLICT DO NOTHING RETURNING match_id
""")
# While nobody waits, a look at a venue's free places asks for nothing; and where only time has passed since `lapsed`,
# only if somebody's hold has run out.
_IS_WORTH = text("""
    SELECT EXISTS (SELECT FROM help_request r
                   WHERE r.municipality = :municipality AND r.state = 'open' AND r.appointment_id IS NULL)
       AND EXISTS (SELECT FROM counter_rule c
                   WHERE (c.municipality, c.counter) = (:municipality, :counter) AND c.kind = 'venue')
       AND (CAST(:lapsed AS timestamptz) IS NULL
            OR EXISTS (SELECT FROM place p JOIN slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
                       WHERE p.municipality = :municipality AND p.held_until > CAST(:lapsed AS timestamptz)
                         AND p.held_until <= :now AND s.counter = :counter))
""")
# Who still waits, and since when; of whom a plan was dropped, when they are planned for again.
_WAITING = text(f"""
    SELECT r.changed_at, r.until, r.plan_again_at FROM help_request r
    WHERE r.municipality = :municipality AND r.state = 'open' AND r.appointment_id IS NULL AND r.until > :now
      AND NOT EXISTS (SELECT FROM help_match m
                      WHERE (m.municipality, m.request_id) = (r.municipality, r.request_id)
                        AND m.appointment_id IS NULL)
    ORDER BY r.opened_at, r.request_id LIMIT {REQUESTS_MAX}
""")
_MATCH = text("""
    SELECT request_id, helper_ref, slot_id, decided_by FROM help_match
    WHERE (municipality, match_id) = (:municipality, :match_id) AND appointment_id IS NULL
""")
_DROP = text("""
    DELETE FROM help_match WHERE (municipality, match_id) = (:municipality, :match_id) AND appointment_id IS NULL
""")
_DROPPED = text("""
    UPDATE help_request SET plans_dropped = :dropped, plan_again_at = :plan_again_at
    WHERE (municipality, request_id) = (:municipality, :request_id)
""")
_FORGET_PLANNED = text("""
    DELETE FROM help_match
    WHERE (municipality, request_id) = (:municipality, :request_id) AND appointment_id IS NULL
""")
_LOCK_HELPER = text("""
    SELECT 1 FROM helper WHERE (municipality, helper_ref) = (:municipality, :helper_ref) FOR NO KEY UPDATE
""")
# Whoever books at this slot, or is matched to it, comes one after another (`commands/asking.py`).
_LOCK_SLOT = text("""
    SELECT slot_id, counter AS venue, starts_at, ends_at FROM slot
    WHERE (municipality, slot_id) = (:municipality, :slot_id) FOR NO KEY UPDATE
""")
_WRAPPED_KEY = text("""
    SELECT wrapped_key FROM subject_key WHERE (municipality, subject_ref) = (:municipality, :subject_ref)
""")
# Held for an instant by a visit of its own, so that it becomes an appointment as any other place does.
_VISIT = text("""
    INSERT INTO visit (municipality, visit_id, pass_id, guest_ref, subject_ref, case_id, contact_ref, procedure, reach,
                       channel, language, behalf, from_step, draft_sealed, passed_at, arrived_at, expires_at)
    SELECT municipality, :visit_id, :visit_id, guest_ref, subject_ref, case_id, contact_ref, procedure, reach, 'helper',
           language, nullif(came_by, 'web'), from_step, :draft_sealed, passed_at, opened_at, :ends_at
    FROM help_request WHERE (municipality, request_id) = (:municipality, :request_id)
""")
_ASKED = text("""
    UPDATE help_request
    SET state = 'open', appointment_id = :appointment_id, access_sealed = :access_sealed, version = version + 1,
        changed_at = :now, plans_dropped = 0, plan_again_at = NULL
    WHERE (municipality, request_id) = (:municipality, :request_id)
""")
_CARRIED_OUT = text("""
    UPDATE help_match SET appointment_id = :appointment_id WHERE (municipality, match_id) = (:municipality, :match_id)
""")
_IS_FIRST = text("""
    SELECT NOT EXISTS (SELECT FROM help_match WHERE (municipality, request_id) = (:municipality, :request_id)
                         AND appointment_id IS NOT NULL)
""")


async def ask_for_matching(
    session: AsyncSession, municipality: str, counter: str, *, lapsed: datetime | None = None, now: datetime
) -> None:
    """Something changed at a venue, or a hold has `lapsed` there since: if anybody is looked for, it is matched.

    A moment later, when whatever is just changing there is settled (`commands/marks.py`).
    """
    asked = {"municipality": municipality, "counter": counter, "lapsed": lapsed, "now": now}
    if (await session.execute(_IS_WORTH, asked)).scalar_one():
        await match_at(session, municipality, now + SETTLE)


def help_handlers(keys: Keys) -> dict[str, DueHandler]:
    """What is done of requests for help when it is due."""

    async def on_ask_matched_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await carry_out(session, municipality, UUID(ref), keys, now=now)

    return {
        MATCH_HELP: on_match_help_due,
        ASK_MATCHED: on_ask_matched_due,
        HELP_DEADLINE: on_help_deadline_due,
        **class_help_handlers(keys),
    }


async def on_match_help_due(session: AsyncSession, municipality: str, _ref: str, now: datetime) -> None:
    """Due kind `match_help`: plan who is asked for which open request, when and where; and whom a class may help."""
    await session.execute(_ALONE, {"municipality": municipality})
    await _plan_all(session, municipality, now=now)
    waiting = (await session.execute(_WAITING, {"municipality": municipality, "now": now})).all()
    looks = [
        row.plan_again_at
        if row.plan_again_at is not None and row.plan_again_at > now
        else next_look(waits_since=row.changed_at, until=row.until, now=now)
        for row in waiting
    ]
    if looks:
        await match_at(session, municipality, min(looks))


async def _plan_all(session: AsyncSession, municipality: str, *, now: datetime) -> None:
    wanted = await list_wanted(session, municipality, now=now)
    if not wanted:
        return
    helpers = await list_candidates(session, municipality, now=now)
    places = await list_free_places(session, municipality, [each.window for each in wanted], now=now)
    classes = await list_open_classes(session, municipality, now=now)
    matched, offers = match_with_classes(wanted, helpers, places, classes)
    plans = []
    for each in matched:
        match_id = uuid4()
        values = msgspec.structs.asdict(each) | {"reasons": list(each.reasons)}
        planned = {"municipality": municipality, "match_id": match_id, "decided_by": None, "now": now}
        if (await session.execute(_PLAN, values | planned)).one_or_none() is not None:
            plans.append(Due(ASK_MATCHED, str(match_id), now))
    await schedule_all(session, "booking", municipality, plans)
    await plan_seats(session, municipality, offers, now=now)


async def carry_out(session: AsyncSession, municipality: str, match_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Due kind `ask_matched`: book the place that was planned, and ask the helper; or drop the plan."""
    mine = {"municipality": municipality, "match_id": match_id}
    plan = (await session.execute(_MATCH, mine)).one_or_none()
    if plan is None:
        return
    row = await lock_request(session, municipality, plan.request_id)
    if (await session.execute(_MATCH, mine)).one_or_none() is None:
        return
    try:
        # What was begun of it is undone when the place is somebody else's.
        async with session.begin_nested():
            await _ask(session, row, plan, match_id, keys, now=now)
    except Refusal:
        await session.execute(_DROP, mine)
        if row.state != "open" or row.appointment_id is not None:
            return
        dropped = row.plans_dropped + 1
        again_at = next_plan(dropped=dropped, until=row.until, now=now)
        changed = {"request_id": plan.request_id, "dropped": dropped, "plan_again_at": again_at}
        await session.execute(_DROPPED, mine | changed)
        await match_at(session, municipality, again_at)


async def assign_request(
    session: AsyncSession,
    actor: Identity,
    request_id: UUID,
    helper_ref: str,
    slot_id: UUID,
    keys: Keys,
    *,
    now: datetime,
) -> None:
    """A coordinator chooses who is asked, and when. Nobody else is asked for it any more, unless they decline.

    Raises:
        Refusal: `help_unknown`, `helper_unknown`, `slot_unknown` (404); `help_over` (409), it is met or withdrawn, or
            they have asked again; `helper_busy` (409), they are not there then; as `hold_place`.
    """
    row = await lock_request(session, actor.municipality, request_id)
    if row.state not in ("open", "unmet") or row.subject_ref is None or row.draft_sealed is None:
        raise Refusal("help_over", 409)
    await refuse_asked_again(session, row)
    await drop_appointment(session, row, now=now)
    match_id = uuid4()
    mine = {"municipality": actor.municipality, "request_id": request_id, "match_id": match_id, "now": now}
    chosen = {"helper_ref": helper_ref, "slot_id": slot_id, "reasons": [], "decided_by": actor.ref}
    await session.execute(_FORGET_PLANNED, mine)
    if not helper_ref.isprintable() or (await session.execute(_LOCK_HELPER, mine | chosen)).one_or_none() is None:
        raise Refusal("helper_unknown", 404)
    (await session.execute(_PLAN, mine | chosen)).one()
    plan = (await session.execute(_MATCH, mine)).one()
    await _ask(session, row, plan, match_id, keys, now=now)
    await record_deed(session, actor, "help-assign", request_id, now=now)


async def _ask(session: AsyncSession, row: Any, plan: Any, match_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Hold the place, make the appointment, ask the helper. The caller has locked the request.

    Raises:
        Refusal: the helper cannot come, or the place cannot be had.
    """
    mine = {"municipality": row.municipality, "request_id": row.request_id, "match_id": match_id, "now": now}
    if plan.decided_by is None and (row.state != "open" or row.appointment_id is not None):
        raise Refusal("help_over", 409)
    await _refuse_busy(session, row.municipality, plan, match_id, now=now)
    is_first = (await session.execute(_IS_FIRST, mine)).scalar_one()
    made = await _make(session, row, plan, keys, now=now)
    if is_first and made.entries:
        # What was used is written once, however many helpers are asked.
        await ledger.write(session, *made.entries)
    appointment = {"appointment_id": made.booked.appointment_id}
    sealed = made.fact.sealed if made.fact is not None else None
    await session.execute(_CARRIED_OUT, mine | appointment)
    await session.execute(_ASKED, mine | appointment | {"access_sealed": sealed})


async def _make(session: AsyncSession, row: Any, plan: Any, keys: Keys, *, now: datetime) -> Made:
    town, subject_ref, visit_id = row.municipality, row.subject_ref, uuid4()
    key = {"municipality": town, "subject_ref": subject_ref, "request_id": row.request_id}
    wrapped_key = (await session.execute(_WRAPPED_KEY, key)).scalar_one_or_none()
    if wrapped_key is None or row.draft_sealed is None:
        raise Refusal("help_over", 409)
    draft = open_draft(keys, town, subject_ref, row.request_id, wrapped_key, row.draft_sealed)
    ends_at = now + VISIT_LIFETIME
    brought = {
        "visit_id": visit_id,
        "draft_sealed": seal_draft(keys, town, subject_ref, visit_id, wrapped_key, draft),
        "ends_at": ends_at,
    }
    await session.execute(_VISIT, key | brought)
    await schedule(session, "booking", municipality=town, kind=END_VISIT, ref=str(visit_id), due_at=ends_at)
    hold = HoldPlace(municipality=town, visit_id=visit_id, visitor=row.guest_ref, slot_id=plan.slot_id, key=KEY)
    await hold_place(session, hold, now=now)
    order = BookAppointment(
        municipality=town,
        visit_id=visit_id,
        visitor=row.guest_ref,
        key=KEY,
        given_to="guest" if row.came_by == "web" else "staff",
    )
    return await make_appointment(session, order, keys, helper_ref=plan.helper_ref, now=now)


async def _refuse_busy(session: AsyncSession, municipality: str, plan: Any, match_id: UUID, *, now: datetime) -> None:
    """Whether the helper still can: the slot and their row are locked, so that nobody else asks them meanwhile."""
    town = {"municipality": municipality}
    slot = (await session.execute(_LOCK_SLOT, town | {"slot_id": plan.slot_id})).one_or_none()
    if slot is None:
        raise Refusal("slot_unknown", 404)
    await session.execute(_LOCK_HELPER, town | {"helper_ref": plan.helper_ref})
    helpers = await list_candidates(session, municipality, without=match_id, now=now)
    helper = next((each for each in helpers if each.helper_ref == plan.helper_ref), None)
    if helper is None:
        raise Refusal("helper_unknown", 404)
    time = week_time(slot.starts_at, slot.ends_at)
    has_enough = helper.taken.get(monday_of(time.day), 0) >= helper.visits_per_week
    # A coordinator has spoken with them, and may ask for one visit more.
    if not can_be_there(helper, slot, time) or (has_enough and plan.decided_by is None):
        raise Refusal("helper_busy", 409)
