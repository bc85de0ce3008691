"""Following booking's appointments: the projection, the notices that its newest state asks for, and the reminders."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.by_hand import take_back_overtaken
from services.notifications.commands.closings import NO_CONTACT, NOT_MOVED, ask_staff, take_back_closure
from services.notifications.commands.subjects import ACCESS, seal_for_subject
from services.notifications.domain.notices import (
    MAY_BE_MISSED,
    TOLD_BY_STAFF_TOO,
    WAITING,
    Kind,
    Matter,
    due_kind,
    is_beside,
    occasion_of,
    useful_until,
)
from services.notifications.domain.quiet_hours import quiet_of
from services.notifications.domain.reminders import ReminderRule, remind_again_at, reminder_time
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE
from shared.crypto import SealBroken
from shared.db import Prepared
from shared.errors import Poison
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    SealedAccess,
)
from shared.messaging.due import Due, schedule, schedule_all, unschedule
from shared.messaging.outbox import is_bulk

AppointmentEvent = AppointmentBooked | AppointmentChanged | AppointmentCancelled | AppointmentProgressed

ENDED = ("done", "no_show", "cancelled")
# An appointment whose end nobody reported: its link and code are forgotten so long after it.
FORGET_AFTER = timedelta(days=1)
RULES_MAX = 10
# Only what progresses can be closed: what moves or ends is not.
NOT_CLOSED = {"closure": "none", "offer_starts_at": None, "offer_until": None}

# A whole town's bookings come by here at once: each statement is put together once (`shared.db.Prepared`).
# Locked, so that two events of one appointment are followed one after the other.
_FIND = Prepared("""
    SELECT version, sequence, state, helper, contact_ref, booked_at, starts_at, ends_at, closure, offer_starts_at,
           offer_until, chain_id, number
    FROM notifications.appointment
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
_PROJECT = Prepared("""
    INSERT INTO notifications.appointment AS known (
        municipality, appointment_id, version, number, subject_ref, contact_ref, case_id, procedure, office, counter,
        starts_at, ends_at, state, sequence, helper, closure, offer_starts_at, offer_until, chain_id, minutes,
        booked_at)
    VALUES (:municipality, :appointment_id, :version, :number, :subject_ref, :contact_ref, :case_id, :procedure,
            :office, :counter, :starts_at, :ends_at, :state, :sequence, :helper, :closure, :offer_starts_at,
            :offer_until, :chain_id, :minutes, :occurred_at)
    ON CONFLICT (municipality, appointment_id) DO UPDATE
    SET (version, number, subject_ref, contact_ref, case_id, procedure, office, counter, starts_at, ends_at, state,
         sequence, helper, closure, offer_starts_at, offer_until, chain_id, minutes)
      = (excluded.version, excluded.number, excluded.subject_ref, excluded.contact_ref, excluded.case_id,
         excluded.procedure, excluded.office, excluded.counter, excluded.starts_at, excluded.ends_at, excluded.state,
         excluded.sequence, excluded.helper, excluded.closure, excluded.offer_starts_at, excluded.offer_until,
         excluded.chain_id, excluded.minutes),
        booked_at = least(known.booked_at, excluded.booked_at),
        access_sealed = CASE WHEN excluded.state = ANY (CAST(:ended AS text[])) THEN NULL ELSE known.access_sealed END
    WHERE known.version < excluded.version
    RETURNING version
""")
_KEEP_ACCESS = Prepared("""
    UPDATE notifications.appointment SET access_sealed = :sealed, access_version = :version
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
      AND access_version < :version AND state <> ALL (CAST(:ended AS text[]))
""")
_FORGET_ACCESS = Prepared("""
    UPDATE notifications.appointment SET access_sealed = NULL
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND ends_at < :now
""")
_SUPERSEDE = Prepared("""
    UPDATE notifications.notice SET state = 'superseded', reason = 'overtaken', settled_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
      AND kind <> 'cancellation' AND (kind <> 'turn_near' OR NOT CAST(:waits AS boolean))
      AND state = ANY (CAST(:waiting AS text[])) AND sequence < :before
    RETURNING kind, together, together_until
""")
# The first that stands of the rest of an arrival.
_FIRST_OF_REST = Prepared("""
    SELECT appointment_id, version, sequence, contact_ref, starts_at FROM notifications.appointment
    WHERE (municipality, chain_id) = (:municipality, :chain_id) AND appointment_id <> :appointment_id
      AND state = 'booked' AND closure = 'none'
    ORDER BY starts_at, number LIMIT 1
""")
# What of the same arrival is on the same day: before, and still to come after.
_BESIDE = Prepared("""
    SELECT count(*) FILTER (WHERE (starts_at, number) < (:starts_at, :number)) AS before,
           count(*) FILTER (WHERE (starts_at, number) > (:starts_at, :number) AND state = 'booked') AS after
    FROM notifications.appointment
    WHERE (municipality, chain_id) = (:municipality, :chain_id) AND state <> 'cancelled' AND closure = 'none'
      AND CAST(starts_at AT TIME ZONE 'Asia/Tokyo' AS date)
          = CAST(CAST(:starts_at AS timestamptz) AT TIME ZONE 'Asia/Tokyo' AS date)
""")
_HAS_CLOSURE = Prepared("""
    SELECT 1 FROM notifications.notice
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id) AND kind = 'closure' LIMIT 1
""")
_NOT_KEPT = Prepared("""
    UPDATE notifications.notice SET state = 'superseded', reason = 'overtaken', settled_at = :now
    WHERE (municipality, appointment_id) = (:municipality, :appointment_id)
      AND kind = 'earlier_offer' AND state = 'pending'
""")
_ADD_NOTICE = Prepared("""
    INSERT INTO notifications.notice (
        municipality, notice_id, kind, appointment_id, occasion, sequence, appointment_version, contact_ref, reach,
        state, keeps_quiet, bulk, created_at, useful_until, settled_at, together, together_until)
    VALUES (:municipality, :notice_id, :kind, :appointment_id, :occasion, :sequence, :version, :contact_ref, :reach,
            :state, :keeps_quiet, :bulk, :now, :useful_until, :settled_at, :together, :together_until)
    ON CONFLICT DO NOTHING RETURNING notice_id
""")
_RULES = Prepared(f"""
    SELECT rule, before_min, after_booking_s FROM notifications.reminder_rule
    WHERE municipality = :municipality LIMIT {RULES_MAX}
""")
# With the hours of who is to be reminded.
_RULES_FOR = Prepared(f"""
    SELECT r.rule, r.before_min, r.after_booking_s, c.quiet_from, c.quiet_to FROM notifications.reminder_rule r
    LEFT JOIN notifications.contact_point c ON (c.municipality, c.contact_ref) = (r.municipality, :contact_ref)
    WHERE r.municipality = :municipality LIMIT {RULES_MAX}
""")
# Larger than any sequence.
_ALL = 2**31 - 1


async def follow_appointment(session: AsyncSession, keys: Keys, event: AppointmentEvent, *, now: datetime) -> None:
    """Take over the newest state. What an event tells too late changes nothing but the access that it alone carries.

    Raises:
        Poison: the sealed access cannot be opened.
    """
    known = await _find(session, event.municipality, event.appointment_id)
    is_newest = await _project(session, event)
    plans: list[Due] = []
    if event.sealed is not None and event.subject_ref is not None and event.contact_ref is not None:
        await _keep_access(session, keys, event, event.subject_ref, event.sealed, now=now)
        plans.append(_forgetting(event, event.ends_at if is_newest or known is None else known.ends_at))
    elif is_newest and isinstance(event, AppointmentChanged) and event.contact_ref is not None:
        # Link and code stay what they were, and are needed until after the new time.
        plans.append(_forgetting(event, event.ends_at))
    if is_newest:
        plans += await _supersede(session, event, now=now)
        if known is not None:
            matter = Matter(appointment_id=event.appointment_id)
            await take_back_overtaken(session, event.municipality, matter, now=now)
        await _take_back_offer(session, event, known, now=now)
        kind = await _follow_closure(session, event, known, _kind_of(event, known), now=now)
        if kind is not None and event.together:
            occasion = occasion_of(kind, sequence=event.sequence, rule=str(event.aggregate_version))
            keeps_quiet = kind in MAY_BE_MISSED
            plans += await _add_notice(
                session, event.municipality, _newest(event), kind, occasion=occasion, keeps_quiet=keeps_quiet, now=now
            )
            if kind in TOLD_BY_STAFF_TOO and event.contact_ref is None:
                await ask_staff(
                    session, event.municipality, event.appointment_id, event.number, kind, NO_CONTACT, now=now
                )
        if _closure_of(event) == "staff" and event.state == "booked" and event.together:
            await ask_staff(
                session, event.municipality, event.appointment_id, event.number, "closure", NOT_MOVED, now=now
            )
        booked_at = known.booked_at if known else event.occurred_at
        plans += await _plan_reminders(session, event, booked_at=booked_at, now=now)
    await schedule_all(session, SERVICE, event.municipality, plans)


async def remind(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """A reminder's time has come: tell it, if the appointment still stands, has not begun, and the rule still holds.

    When a town changes its rules, `commands/rules.py` plans the reminders of what is booked anew.
    """
    appointment_text, _, rule_name = ref.partition(":")
    appointment_id = UUID(appointment_text)
    known = await _find(session, municipality, appointment_id)
    rule = next((rule for rule in await list_rules(session, municipality) if rule.rule == rule_name), None)
    if known is None or rule is None or known.state != "booked" or known.closure != "none" or now >= known.starts_at:
        return
    later = remind_again_at(rule, starts_at=known.starts_at, now=now)
    if later is not None:
        await schedule(session, SERVICE, municipality=municipality, kind="reminder", ref=ref, due_at=later)
        return
    newest = _Newest(appointment_id, known.version, known.sequence, known.contact_ref, known.starts_at)
    if known.chain_id is not None:
        mine = {"chain_id": known.chain_id, "starts_at": known.starts_at, "number": known.number}
        beside = await _BESIDE.row(session, {"municipality": municipality} | mine)
        # Of an arrival, the first is reminded of.
        if beside.before:
            return
        newest = newest._replace(together=1 + beside.after)
    occasion = occasion_of("reminder", sequence=known.sequence, rule=rule.rule)
    notices = await _add_notice(
        session, municipality, newest, "reminder", occasion=occasion, keeps_quiet=rule.keeps_quiet, now=now
    )
    await schedule_all(session, SERVICE, municipality, notices)


async def forget_access(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Forget the link and the code of an appointment that is long over."""
    await _FORGET_ACCESS.row(session, _key(municipality, UUID(ref)) | {"now": now})


async def list_rules(session: AsyncSession, municipality: str) -> list[ReminderRule]:
    """The town's reminder rules."""
    return [_rule(row) for row in await _RULES.rows(session, {"municipality": municipality})]


class _Known(msgspec.Struct, frozen=True):
    version: int
    sequence: int
    state: str
    helper: str
    contact_ref: UUID | None
    booked_at: datetime
    starts_at: datetime
    ends_at: datetime
    closure: str
    offer_starts_at: datetime | None
    offer_until: datetime | None
    chain_id: UUID | None
    number: str


class _Newest(NamedTuple):
    """What a notice is of; of how many appointments of one arrival, and when they are done."""

    appointment_id: UUID
    version: int
    sequence: int
    contact_ref: UUID | None
    starts_at: datetime
    together: int = 1
    until: datetime | None = None
    offer_until: datetime | None = None


def _newest(event: AppointmentEvent) -> _Newest:
    return _Newest(
        event.appointment_id,
        event.aggregate_version,
        event.sequence,
        event.contact_ref,
        event.starts_at,
        max(event.together, 1),
        event.together_until,
        event.offer_until if isinstance(event, AppointmentProgressed) else None,
    )


async def _find(session: AsyncSession, municipality: str, appointment_id: UUID) -> _Known | None:
    row = await _FIND.row(session, _key(municipality, appointment_id))
    return None if row is None else _Known(*row)


def _key(municipality: str, appointment_id: UUID) -> dict[str, object]:
    return {"municipality": municipality, "appointment_id": appointment_id}


async def _project(session: AsyncSession, event: AppointmentEvent) -> bool:
    """Write the state unless a newer one is there; return whether it was written."""
    told = {"version": event.aggregate_version, "ended": ENDED}
    state = NOT_CLOSED | msgspec.structs.asdict(event) | told
    return await _PROJECT.row(session, state) is not None


async def _keep_access(
    session: AsyncSession, keys: Keys, event: AppointmentEvent, subject_ref: UUID, sealed: str, *, now: datetime
) -> None:
    try:
        body = keys.box.open_from("booking", "access", sealed)
        access = msgspec.msgpack.decode(body, type=SealedAccess)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
    kept = await seal_for_subject(
        session,
        keys.vault,
        municipality=event.municipality,
        subject_ref=subject_ref,
        field=f"{ACCESS}/{event.appointment_id}",
        value=msgspec.json.encode(access).decode(),
        now=now,
    )
    access_now = {"sealed": kept, "version": event.aggregate_version, "ended": ENDED}
    await _KEEP_ACCESS.row(session, _key(event.municipality, event.appointment_id) | access_now)


def _forgetting(event: AppointmentEvent, ends_at: datetime) -> Due:
    return Due("forget", str(event.appointment_id), ends_at + FORGET_AFTER)


async def _supersede(session: AsyncSession, event: AppointmentEvent, *, now: datetime) -> list[Due]:
    """What was still to be told is not true any more; of the rest of an arrival it is told all the same."""
    # What ended overtakes everything that was still to be said of it.
    before = event.sequence if event.state == "booked" else _ALL
    if before == 0:  # the first word of it
        return []
    town = event.municipality
    waits = event.state in ("booked", "checked_in")
    overtaken = _key(town, event.appointment_id) | {"waiting": WAITING, "before": before, "waits": waits, "now": now}
    told_of_more = [row for row in await _SUPERSEDE.rows(session, overtaken) if row.together > 1]
    # Whoever tells of one alone does not tell of the others.
    if event.together != 1 or event.chain_id is None or not told_of_more:
        return []
    first = await _FIRST_OF_REST.row(session, _key(town, event.appointment_id) | {"chain_id": event.chain_id})
    plans: list[Due] = []
    for row in told_of_more:
        if first is not None and row.kind in ("confirmation", "change"):
            rest = _Newest(*first)._replace(together=row.together - 1, until=row.together_until)
            occasion = occasion_of(row.kind, sequence=rest.sequence)
            plans += await _add_notice(session, town, rest, row.kind, occasion=occasion, now=now)
    return plans


def _kind_of(event: AppointmentEvent, known: _Known | None) -> Kind | None:
    if isinstance(event, AppointmentCancelled):
        return "cancellation"
    if event.state != "booked":
        return None
    if isinstance(event, AppointmentBooked):
        return "draw_won" if event.drawn else "confirmation"
    if isinstance(event, AppointmentChanged):
        return "change" if known is None or event.sequence > known.sequence else None
    was = known.closure if known else "none"
    if event.closure == "none":
        if was != "none":
            return "reopened"
        if event.offer_until is not None and (known is None or _kept_for(known) != _kept_for(event)):
            return "earlier_offer"
    elif was == "none" or (event.closure == "asked" and known and known.offer_starts_at != event.offer_starts_at):
        return "closure"
    is_new = known is None or known.helper != "accepted"
    return "helper_found" if event.helper == "accepted" and is_new else None


def _kept_for(told: _Known | AppointmentProgressed) -> tuple[datetime | None, datetime | None]:
    return told.offer_starts_at, told.offer_until


def _closure_of(event: AppointmentEvent) -> str:
    return event.closure if isinstance(event, AppointmentProgressed) else "none"


async def _take_back_offer(
    session: AsyncSession, event: AppointmentEvent, known: _Known | None, *, now: datetime
) -> None:
    """What waits to be told of an earlier time that is not kept any more is not told."""
    if known is None or known.offer_until is None or known.closure != "none":
        return
    if not isinstance(event, AppointmentProgressed) or _kept_for(event) != _kept_for(known):
        await _NOT_KEPT.row(session, _key(event.municipality, event.appointment_id) | {"now": now})


async def _follow_closure(
    session: AsyncSession, event: AppointmentEvent, known: _Known | None, kind: Kind | None, *, now: datetime
) -> Kind | None:
    """The notice that is asked for, once what a closing has changed or ended is taken back."""
    was = known.closure if known else "none"
    if kind is None and _closure_of(event) != "none" and event.state == "booked" and event.chain_id is not None:
        # Another of the arrival told of it, which has moved meanwhile.
        has_notice = await _HAS_CLOSURE.row(session, _key(event.municipality, event.appointment_id))
        kind = None if has_notice else "closure"
    if was != "none" and (kind == "closure" or _closure_of(event) == "none"):
        has_heard = await take_back_closure(session, event.municipality, event.appointment_id, now=now)
        if kind == "reopened" and not has_heard:
            return None
    return kind


def _first_state(kind: Kind, *, is_slip: bool) -> str:
    if not is_slip:
        return "pending"
    return "undeliverable" if kind in TOLD_BY_STAFF_TOO else "printed_slip"


async def _add_notice(
    session: AsyncSession,
    municipality: str,
    newest: _Newest,
    kind: Kind,
    *,
    occasion: str,
    keeps_quiet: bool = False,
    now: datetime,
) -> list[Due]:
    """Add a notice of an appointment's newest state, unless it is there; when it is to be sent."""
    # Nobody to tell: what is on the page and the printed slip is all that the person wanted.
    is_slip = newest.contact_ref is None
    bulk = is_beside(kind, bulk=is_bulk(session))
    if is_slip and (kind == "reminder" or kind in MAY_BE_MISSED):
        return []
    values = _key(municipality, newest.appointment_id) | {
        "notice_id": uuid4(),
        "kind": kind,
        "occasion": occasion,
        "sequence": newest.sequence,
        "version": newest.version,
        "contact_ref": newest.contact_ref,
        "reach": "none" if is_slip else None,
        "state": _first_state(kind, is_slip=is_slip),
        "keeps_quiet": keeps_quiet,
        "bulk": bulk,
        "now": now,
        "useful_until": useful_until(kind, starts_at=newest.starts_at, offer_until=newest.offer_until, now=now),
        "settled_at": now if is_slip else None,
        "together": newest.together,
        "together_until": newest.until,
    }
    added = await _ADD_NOTICE.row(session, values)
    return [] if added is None or is_slip else [Due(due_kind(bulk=bulk), str(added.notice_id), now)]


async def _plan_reminders(
    session: AsyncSession, event: AppointmentEvent, *, booked_at: datetime, now: datetime
) -> list[Due]:
    """Take back the reminders that have lost their time; when the others are to be told."""
    plans: list[Due] = []
    whose = {"municipality": event.municipality, "contact_ref": event.contact_ref}
    for row in await _RULES_FOR.rows(session, whose):
        rule, quiet = _rule(row), quiet_of(row.quiet_from, row.quiet_to)
        ref = f"{event.appointment_id}:{rule.rule}"
        due_at = None
        if event.state == "booked" and _closure_of(event) == "none" and event.contact_ref is not None:
            due_at = reminder_time(rule, booked_at=booked_at, starts_at=event.starts_at, quiet=quiet, now=now)
        if due_at is None:
            await unschedule(session, SERVICE, municipality=event.municipality, kind="reminder", ref=ref)
        else:
            plans.append(Due("reminder", ref, due_at))
    return plans


def _rule(row: Any) -> ReminderRule:
    return ReminderRule(rule=row.rule, before_min=row.before_min, after_booking_s=row.after_booking_s)
