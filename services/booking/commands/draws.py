"""A draw is announced with the commitment to its seed, drawn when it closes, and its seats are passed on."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import BookAppointment, book_appointment
from services.booking.commands.draw_telling import tell_entries
from services.booking.commands.keyed import do_once, request_hash
from services.booking.commands.marks import mark_availability
from services.booking.commands.slots import SEAT_GIVEN_BACK
from services.booking.commands.visits import END_VISIT, VISIT_LIFETIME
from services.booking.commands.webhooks import tell_webhooks
from services.booking.domain.closings import CLOSING
from services.booking.domain.draw import SEED_BYTES, Seats, Ticket, allocate, commitment_of, digest_of
from services.booking.keys import Keys, draw_context
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import Due, DueHandler, schedule, schedule_all
from shared.messaging.outbox import work_in_bulk
from shared.tokens import Identity

# Kinds of `due`, each for a draw's id.
DRAW, PASS_ON, FORGET_ENTRIES = "draw", SEAT_GIVEN_BACK, "draw_forget"
TITLE_MAX_LENGTH = 60
SEATS_MAX = 500
SESSIONS_MAX = 200
# Nobody enters beyond; those who were just entering then are drawn all the same.
ENTRIES_MAX = 20_000
WINDOW_MIN = timedelta(hours=1)
WINDOW_MAX = timedelta(days=60)
# A draw is announced for no later than that.
AHEAD_MAX = 2 * WINDOW_MAX
# Between the draw and the first session, so that everybody can read what they got, and seats can be passed on.
REST_MIN = timedelta(hours=24)
# A seat that is given back later than this is open to everybody: not everybody reads a message within the day.
PASSED_ON_UNTIL = timedelta(hours=24)


class AnnounceDraw(msgspec.Struct, frozen=True, kw_only=True):
    """The order to give out, by a draw, every free public place of a counter that begins from `first` to `until`.

    `opens_at` None: at once. Ordered again with the same `key`, it is the draw that was made.
    """

    title_ja: str
    procedure: str
    counter: str
    first: datetime
    until: datetime
    opens_at: datetime | None
    closes_at: datetime
    key: str


# A venue's places come and go with the helpers: nobody could say how many seats there are.
_FITS = text("""
    SELECT p.minutes FROM procedure p
    JOIN counter_rule r ON (r.municipality, r.counter) = (p.municipality, :counter)
    WHERE (p.municipality, p.code) = (:municipality, :procedure) AND :counter = ANY (p.counters) AND r.kind = 'counter'
""")
# Locked, so that whoever is just taking one is waited for.
_PLACES = text(f"""
    SELECT p.slot_id, p.place_no, s.starts_at, s.ends_at
    FROM slot s JOIN place p ON (p.municipality, p.slot_id) = (s.municipality, s.slot_id)
    WHERE s.municipality = :municipality AND s.counter = :counter AND NOT s.withdrawn
      AND s.starts_at >= :first AND s.starts_at < :until
      AND NOT EXISTS (SELECT 1 FROM draw_session d
                      WHERE (d.municipality, d.slot_id) = (s.municipality, s.slot_id) AND d.is_kept)
      AND p.audience = 'public' AND p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)
    ORDER BY p.slot_id, p.place_no LIMIT {SEATS_MAX + 1} FOR UPDATE OF p
""")
_ANNOUNCE = text("""
    INSERT INTO draw (municipality, draw_id, title_ja, procedure, counter, opens_at, closes_at, seed_commitment,
                      seed_sealed, wrapped_key, state, announced_at)
    VALUES (:municipality, :draw_id, :title_ja, :procedure, :counter, :opens_at, :closes_at, :seed_commitment,
            :seed_sealed, :wrapped_key, 'announced', :now)
""")
_SESSION = text("""
    INSERT INTO draw_session (municipality, draw_id, slot_id, starts_at, ends_at, seats)
    VALUES (:municipality, :draw_id, :slot_id, :starts_at, :ends_at, :seats)
""")
_KEEP_PLACES = text("""
    UPDATE place p SET audience = 'draw', hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL,
                       changed_at = :now
    FROM unnest(CAST(:slots AS uuid[]), CAST(:numbers AS integer[])) AS kept(slot_id, place_no)
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (kept.slot_id, kept.place_no)
""")
_LOCK = text("""
    SELECT d.draw_id, d.procedure, d.counter, d.closes_at, d.state, d.seed_sealed, d.wrapped_key,
           coalesce((SELECT r.office FROM counter_rule r
                     WHERE (r.municipality, r.counter) = (d.municipality, d.counter)), '') AS office
    FROM draw d
    WHERE (d.municipality, d.draw_id) = (:municipality, :draw_id) FOR UPDATE OF d
""")
_SESSIONS = text(f"""
    SELECT slot_id, starts_at, seats FROM draw_session
    WHERE (municipality, draw_id) = (:municipality, :draw_id) ORDER BY slot_id LIMIT {SESSIONS_MAX}
""")
_ENTRIES = text(f"""
    SELECT entry_id, ticket, preferences, guest_ref, came_by, subject_ref, contact_ref, case_id FROM draw_entry
    WHERE (municipality, draw_id) = (:municipality, :draw_id) AND state = 'entered'
    ORDER BY ticket LIMIT {2 * ENTRIES_MAX}
""")
_RESULT = text("""
    INSERT INTO draw_result (municipality, draw_id, ticket, rank, slot_id)
    SELECT :municipality, :draw_id, drawn.* FROM unnest(
        CAST(:tickets AS text[]), CAST(:ranks AS integer[]), CAST(:slots AS uuid[])) AS drawn
""")
_DRAWN = text("""
    UPDATE draw SET state = 'drawn', seed = :seed, entries_digest = :entries_digest, drawn_at = :now
    WHERE (municipality, draw_id) = (:municipality, :draw_id)
""")
# Held for an instant by a visit of its own, so that the seat becomes an appointment as any other place does.
# Locked: a name that is withdrawn just now is withdrawn before, or from the appointment.
_VISIT = text("""
    INSERT INTO visit (municipality, visit_id, pass_id, guest_ref, subject_ref, case_id, contact_ref, procedure, reach,
                       language, draft_sealed, passed_at, arrived_at, expires_at)
    SELECT municipality, entry_id, entry_id, guest_ref, subject_ref, case_id, contact_ref, :procedure, reach, language,
           draft_sealed, passed_at, entered_at, :ends_at
    FROM draw_entry WHERE (municipality, entry_id) = (:municipality, :entry_id) FOR UPDATE
""")
_HOLD = text("""
    UPDATE place p SET hold_id = :hold_id, held_by = :visitor, held_until = :ends_at, visit_id = :entry_id,
                       part = 1, parts = 1, changed_at = :now
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (
        SELECT f.slot_id, f.place_no FROM place f
        WHERE f.municipality = :municipality AND f.slot_id = :slot_id AND f.audience = 'draw'
          AND f.appointment_id IS NULL AND f.hold_id IS NULL
        ORDER BY f.place_no LIMIT 1 FOR UPDATE)
    RETURNING p.place_no
""")
_WON = text("""
    UPDATE draw_entry SET appointment_id = :appointment_id, draft_sealed = NULL
    WHERE (municipality, entry_id) = (:municipality, :entry_id)
""")
_OPEN_REST = text("""
    UPDATE place p SET audience = 'public', changed_at = :now
    WHERE p.municipality = :municipality AND p.slot_id = ANY (CAST(:slots AS uuid[])) AND p.audience = 'draw'
      AND p.appointment_id IS NULL AND p.hold_id IS NULL
""")
_FREE_SEATS = text("""
    SELECT s.slot_id, s.starts_at, count(*) AS seats
    FROM draw_session s JOIN slot t ON (t.municipality, t.slot_id) = (s.municipality, s.slot_id) AND NOT t.withdrawn
    JOIN place p ON (p.municipality, p.slot_id) = (s.municipality, s.slot_id)
    WHERE (s.municipality, s.draw_id) = (:municipality, :draw_id) AND s.starts_at > :now
      AND p.audience = 'draw' AND p.appointment_id IS NULL AND p.hold_id IS NULL
    GROUP BY s.slot_id, s.starts_at ORDER BY s.starts_at, s.slot_id
""")
_NEXT = text("""
    SELECT e.entry_id, e.ticket, e.guest_ref, e.came_by, e.subject_ref, e.contact_ref, e.case_id
    FROM draw_result r
    JOIN draw_entry e ON (e.municipality, e.draw_id, e.ticket) = (r.municipality, r.draw_id, r.ticket)
    WHERE (r.municipality, r.draw_id) = (:municipality, :draw_id) AND r.slot_id IS NULL
      AND e.state = 'entered' AND e.appointment_id IS NULL AND e.draft_sealed IS NOT NULL
      AND :slot_id = ANY (e.preferences)
    ORDER BY r.rank LIMIT 1 FOR UPDATE OF e
""")
_PASSED_ON = text("""
    INSERT INTO draw_passed_on (municipality, draw_id, ticket, slot_id, passed_at)
    VALUES (:municipality, :draw_id, :ticket, :slot_id, :now)
""")
_OF_PLACE = text("""
    SELECT d.draw_id FROM draw_session d
    JOIN place p ON (p.municipality, p.slot_id) = (d.municipality, d.slot_id)
    WHERE d.municipality = :municipality AND d.slot_id = :slot_id AND d.is_kept
      AND p.place_no = :place_no AND p.audience = 'draw'
""")
# Whoever won in a time that was closed meanwhile is asked to move, like everybody who has an appointment then.
_CLOSED = text("""
    SELECT DISTINCT c.closing_id FROM closing c
    JOIN draw d ON d.municipality = c.municipality
    JOIN draw_session s ON (s.municipality, s.draw_id) = (d.municipality, d.draw_id)
    WHERE (d.municipality, d.draw_id) = (:municipality, :draw_id) AND c.reopened_at IS NULL
      AND (c.counter IS NULL OR c.counter = d.counter) AND c.during && tstzrange(s.starts_at, s.ends_at)
    ORDER BY c.closing_id LIMIT 100
""")
_FORGET = text("""
    UPDATE draw_entry SET draft_sealed = NULL, code_sealed = NULL
    WHERE (municipality, draw_id) = (:municipality, :draw_id)
""")


async def announce_draw(
    session: AsyncSession, actor: Identity, order: AnnounceDraw, keys: Keys, *, now: datetime
) -> UUID:
    """Make the seed, publish its commitment, and keep the places from everybody until it is drawn.

    Raises:
        Refusal: `draw_window` (422), the times do not follow one another, or lie too far ahead; `draw_unfit` (409), the
            procedure is not done at this counter, or takes longer than one of the slots; `draw_no_seats`,
            `draw_too_large` (409); `key_reused` (422).
    """

    async def announce() -> UUID:
        return await _announce(session, actor, order, keys, now=now)

    hashed = request_hash("draw", *(value for name, value in msgspec.structs.asdict(order).items() if name != "key"))
    owner = f"staff:{actor.ref}"
    return await do_once(session, actor.municipality, owner, order.key, hashed, announce, UUID, now=now)


async def _announce(session: AsyncSession, actor: Identity, order: AnnounceDraw, keys: Keys, *, now: datetime) -> UUID:
    opens_at = order.opens_at or now
    # The whole of the last day; and nothing so far that no date can be counted from it.
    latest = now + AHEAD_MAX + timedelta(days=1)
    if not all(now <= each < latest for each in (opens_at, order.closes_at, order.first, order.until)):
        raise Refusal("draw_window", 422)
    if not opens_at <= order.closes_at - WINDOW_MIN or order.closes_at - opens_at > WINDOW_MAX:
        raise Refusal("draw_window", 422)
    if order.first < order.closes_at + REST_MIN or order.until <= order.first:
        raise Refusal("draw_window", 422)
    town = {"municipality": actor.municipality}
    what = town | {"procedure": order.procedure, "counter": order.counter}
    procedure = (await session.execute(_FITS, what)).one_or_none()
    if procedure is None:
        raise Refusal("draw_unfit", 409)
    wanted = what | {"first": order.first, "until": order.until, "now": now}
    places = (await session.execute(_PLACES, wanted)).all()
    sessions = _count(places)
    if not places:
        raise Refusal("draw_no_seats", 409)
    if len(places) > SEATS_MAX or len(sessions) > SESSIONS_MAX:
        raise Refusal("draw_too_large", 409)
    # A seat is a place of one slot: whoever won would have to leave before it is done.
    if any(row.ends_at - row.starts_at < timedelta(minutes=procedure.minutes) for row in places):
        raise Refusal("draw_unfit", 409)
    draw_id, seed = uuid4(), secrets.token_bytes(SEED_BYTES)
    context = draw_context(actor.municipality, draw_id)
    wrapped_key = keys.vault.new_key(context)
    mine = town | {"draw_id": draw_id, "now": now}
    values = {
        "title_ja": order.title_ja,
        "opens_at": opens_at,
        "closes_at": order.closes_at,
        "seed_commitment": bytes.fromhex(commitment_of(seed)),
        "seed_sealed": keys.vault.seal(wrapped_key, context, "seed", seed.hex()),
        "wrapped_key": wrapped_key,
    }
    await session.execute(_ANNOUNCE, mine | what | values)
    await session.execute(_SESSION, [mine | each for each in sessions])
    slots, numbers = [row.slot_id for row in places], [row.place_no for row in places]
    await session.execute(_KEEP_PLACES, mine | {"slots": slots, "numbers": numbers})
    await mark_availability(session, actor.municipality, [order.counter], now=now)
    last = max(each["starts_at"] for each in sessions)
    plans = [Due(DRAW, str(draw_id), order.closes_at), Due(FORGET_ENTRIES, str(draw_id), last)]
    await schedule_all(session, "booking", actor.municipality, plans)
    await record_deed(session, actor, "draw-announce", draw_id, now=now)
    return draw_id


def _count(places: Sequence[Any]) -> list[dict[str, Any]]:
    sessions: dict[UUID, dict[str, Any]] = {}
    for row in places:
        times = {"slot_id": row.slot_id, "starts_at": row.starts_at, "ends_at": row.ends_at, "seats": 0}
        sessions.setdefault(row.slot_id, times)["seats"] += 1
    return list(sessions.values())


def draw_handlers(keys: Keys) -> dict[str, DueHandler]:
    """What is done of draws when it is due, and needs our keys."""

    async def on_draw_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await draw(session, municipality, UUID(ref), keys, now=now)

    async def on_pass_on_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await pass_on(session, municipality, UUID(ref), keys, now=now)

    return {DRAW: on_draw_due, PASS_ON: on_pass_on_due}


async def draw(session: AsyncSession, municipality: str, draw_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Due kind `draw`: tell the seed, write down what it gives, and turn seats into appointments: all, or nothing.

    What is drawn already, or called off, stays. Seats that nobody wants are open to everybody.
    """
    mine = {"municipality": municipality, "draw_id": draw_id, "now": now}
    # Whoever is just entering is waited for, and whoever comes later finds it drawn.
    found = (await session.execute(_LOCK, mine)).one()
    if found.state != "announced":
        return
    work_in_bulk(session)
    sessions = (await session.execute(_SESSIONS, mine)).all()
    entries = (await session.execute(_ENTRIES, mine)).all()
    seats = [Seats(str(each.slot_id), each.seats) for each in sessions]
    tickets = [Ticket(row.ticket, tuple(str(slot_id) for slot_id in row.preferences)) for row in entries]
    seed = _open_seed(keys, municipality, found)
    outcomes = allocate(seed, seats, tickets)
    drawn = [(each.ticket, UUID(each.session_id) if each.session_id else None) for each in outcomes]
    result = {
        "tickets": [ticket for ticket, _ in drawn],
        "ranks": list(range(1, len(drawn) + 1)),
        "slots": [slot_id for _, slot_id in drawn],
    }
    await session.execute(_RESULT, mine | result)
    digest = bytes.fromhex(digest_of(seats, tickets))
    await session.execute(_DRAWN, mine | {"seed": seed, "entries_digest": digest})
    by_ticket = {row.ticket: row for row in entries}
    for ticket, slot_id in drawn:
        if slot_id is not None:
            await _give_seat(session, mine, found, by_ticket[ticket], slot_id, keys, now=now)
    waiting = [by_ticket[ticket] for ticket, slot_id in drawn if slot_id is None]
    await tell_entries(session, municipality, found, waiting, "lost", keys, now=now)
    await session.execute(_OPEN_REST, mine | {"slots": [each.slot_id for each in sessions]})
    closed = (await session.execute(_CLOSED, mine)).scalars().all()
    await schedule_all(session, "booking", municipality, [Due(CLOSING, str(each), now) for each in closed])
    await mark_availability(session, municipality, [found.counter], now=now)
    facts = {"procedure": found.procedure, "counter": found.counter, "entries": len(entries)}
    facts["seats"] = sum(each.seats for each in sessions)
    await tell_webhooks(session, municipality, "draw.drawn", draw_id, facts, version=1, now=now)


async def pass_on(session: AsyncSession, municipality: str, draw_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Due kind `draw_pass_on`: a seat was given back. The next who would take it gets it; if nobody would, it is open
    to everybody."""
    mine = {"municipality": municipality, "draw_id": draw_id, "now": now}
    found = (await session.execute(_LOCK, mine)).one()
    for free in (await session.execute(_FREE_SEATS, mine)).all():
        for _ in range(free.seats):
            entry = None
            if free.starts_at >= now + PASSED_ON_UNTIL:
                entry = (await session.execute(_NEXT, mine | {"slot_id": free.slot_id})).one_or_none()
            if entry is None:
                await session.execute(_OPEN_REST, mine | {"slots": [free.slot_id]})
                break
            await session.execute(_PASSED_ON, mine | {"ticket": entry.ticket, "slot_id": free.slot_id})
            await _give_seat(session, mine, found, entry, free.slot_id, keys, now=now)
            await tell_entries(session, municipality, found, [entry], "won", keys, now=now)
    await mark_availability(session, municipality, [found.counter], now=now)


async def pass_on_later(
    session: AsyncSession, municipality: str, slot_id: UUID | None, place_no: int | None, *, now: datetime
) -> None:
    """A place was given back: if a draw gave it out, the next in its waiting order shall get it."""
    place = {"municipality": municipality, "slot_id": slot_id, "place_no": place_no}
    draw_id = (await session.execute(_OF_PLACE, place)).scalar_one_or_none()
    if draw_id is not None:
        await schedule(session, "booking", municipality=municipality, kind=PASS_ON, ref=str(draw_id), due_at=now)


async def on_forget_due(session: AsyncSession, municipality: str, ref: str, _now: datetime) -> None:
    """Due kind `draw_forget`: the last session has begun. What was kept for those who wait is forgotten."""
    await session.execute(_FORGET, {"municipality": municipality, "draw_id": UUID(ref)})


async def _give_seat(
    session: AsyncSession, mine: dict[str, Any], found: Any, entry: Any, slot_id: UUID, keys: Keys, *, now: datetime
) -> None:
    ends_at = now + VISIT_LIFETIME
    seat = mine | {
        "entry_id": entry.entry_id,
        "slot_id": slot_id,
        "hold_id": uuid4(),
        "visitor": entry.guest_ref,
        "procedure": found.procedure,
        "ends_at": ends_at,
    }
    await session.execute(_VISIT, seat)
    (await session.execute(_HOLD, seat)).one()
    municipality, ref = mine["municipality"], str(entry.entry_id)
    await schedule(session, "booking", municipality=municipality, kind=END_VISIT, ref=ref, due_at=ends_at)
    order = BookAppointment(
        municipality=municipality,
        visit_id=entry.entry_id,
        visitor=entry.guest_ref,
        key=DRAW,
        given_to="guest" if entry.came_by == "web" else "staff",
        drawn=True,
    )
    booked = await book_appointment(session, order, keys, now=now)
    await session.execute(_WON, seat | {"appointment_id": booked.appointment_id})


def _open_seed(keys: Keys, municipality: str, found: Any) -> bytes:
    context = draw_context(municipality, found.draw_id)
    return bytes.fromhex(keys.vault.open(found.wrapped_key, context, "seed", found.seed_sealed))
