"""What residents do: from the first step of a case to a booked time, and to changing their minds."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import combinations
from typing import Any
from uuid import uuid4

from services.booking.commands.appointments import BookAppointment, book_appointment
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.holds import Hold, HoldPlace, hold_place
from services.booking.commands.visits import arrive, release_hold
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import OpenSlot, find_procedure, list_slots
from services.booking.queries.visits import get_visit
from services.routing.commands.about_you import AboutYou, tell_about_you
from services.routing.commands.cases import open_case
from services.routing.commands.form import save_form
from services.routing.commands.handover import Decided, decide_handover, preview_handover
from services.routing.commands.passes import make_pass
from services.routing.commands.progress import withdraw_application
from services.routing.commands.submit import Checked, Sent, check_application, submit_application
from shared.clock import jst_day
from shared.errors import Refusal
from shared.passes import open_pass
from tests.simulation.helpers import ask_another, list_live_requests
from tests.simulation.overlap import overlap
from tests.simulation.town import CHILD, FAMILY, PHONE_HELP
from tests.simulation.world import Booked, Resident, World, action

PROCEDURES = ((CHILD, "counter"), (CHILD, "counter"), (FAMILY, "counter"), (PHONE_HELP, "helper"), (CHILD, "online"))
HELP_WANTED = ((PHONE_HELP, "helper"), (PHONE_HELP, "helper"), (PHONE_HELP, "helper"), (CHILD, "counter"))
STEPS_AT_ONCE = 4
# From a case to a held place.
STEPS_TO_HOLD = 4
# Answers are kept for two days: a key that old is a new order.
KEYS_KEPT = timedelta(hours=24)
REACHES = ("email", "email", "sms", "none")


@action(24)
async def a_resident_goes_on(world: World) -> str | None:
    """One of them takes their next steps."""
    resident = world.rng.choice(world.residents)
    did = [await _NEXT[resident.phase](world, resident) for _ in range(world.rng.randint(1, STEPS_AT_ONCE))]
    return f"{resident.label} {', '.join(did)}"


@action(1)
async def a_resident_begins_again(world: World) -> str | None:
    """Whatever they were at, they leave it."""
    resident = world.rng.choice(world.residents)
    resident.phase = "idle"
    return f"{resident.label}: {await begin(world, resident)}"


@action(3)
async def somebody_taps_twice(world: World) -> str | None:
    """The same order with the same key gets the same answer (§5: a double tap, a retry, or a back button)."""
    now = world.now("booking")
    who = [one for one in world.residents if one.again is not None and now < one.again[2]]
    if not who:
        return None
    resident = world.rng.choice(who)
    assert resident.again is not None
    repeat, answer, _ = resident.again
    try:
        told = await repeat()
    except Refusal as refusal:
        told = refusal.code
    world.expect(told == answer, f"idempotency: {resident.label} got another answer to the same order")
    return f"{resident.label}: the same again"


@action(5, dies_at=())
async def two_want_the_same_place(world: World) -> str | None:
    """Both hold at once; as many win as there are places."""
    ready = [one for one in world.residents if one.phase in ("arrived", "holding")]
    pairs = [
        (a, b) for a in ready for b in ready if a is not b and (a.procedure, a.channel) == (b.procedure, b.channel)
    ]
    if not pairs:
        return None
    first, second = world.rng.choice(pairs)
    slots = [slot for slot in await _slots(world, first) if slot.free]
    if not slots:
        return None
    slot = min(slots, key=lambda slot: (slot.free, slot.starts_at))
    free = await _free_places(world, slot, first, second)
    orders = [_hold_order(world, one, slot) for one in (first, second)]
    took = await overlap(world, *(in_booking(world, order) for order in orders))
    for one, answer in zip((first, second), took, strict=True):
        one.answered("hold")
        one.again = None
        if isinstance(answer, Hold):
            one.phase, one.held_until = "holding", answer.held_until
    won = sum(isinstance(answer, Hold) for answer in took)
    # Who may not hold any place at all is no racer.
    racers = sum(not isinstance(answer, Refusal) or answer.code == "slot_taken" for answer in took)
    world.expect(won == min(racers, free), f"race: {won} of {racers} won {free} places")
    return f"{first.label} and {second.label} at {slot.counter} {slot.starts_at:%d %H}: {won} of {free}"


@action(2, dies_at=())
async def two_taps_at_once(world: World) -> str | None:
    """One visit is booked twice at the same moment: one appointment, told twice."""
    ready = [one for one in world.residents if one.phase == "holding"]
    if not ready:
        return None
    resident = world.rng.choice(ready)
    order = _book_order(world, resident)
    resident.held_until = resident.again = None
    both = await overlap(world, in_booking(world, order), in_booking(world, order))
    world.expect(
        _said(both[0]) == _said(both[1]), f"idempotency: two taps, two answers: {_said(both[0])}, {_said(both[1])}"
    )
    if isinstance(both[0], Refusal):
        return f"{resident.label}: both no, {both[0].code}"
    await _is_booked(world, resident, both[0], order)
    return f"{resident.label}: booked once"


@action(2, dies_at=())
async def somebody_books_in_two_tabs(world: World) -> str | None:
    """Two visits of one person are booked at the same moment: no more of them than they may have."""
    pairs = [
        (a, b) for a, b in combinations(world.residents, 2)
        if a.identity.ref == b.identity.ref and {a.channel, b.channel}.isdisjoint(("online",))
    ]  # fmt: skip
    if not pairs:
        return None
    both = pairs[0]
    for one in both:
        for _ in range(STEPS_TO_HOLD):
            if one.phase == "holding":
                break
            await _NEXT[one.phase](world, one)
    if any(one.phase != "holding" for one in both):
        return f"{both[0].label} does not hold two places"
    orders = [_book_order(world, one) for one in both]
    for one in both:
        one.held_until = one.again = None
    answers = await overlap(world, *(in_booking(world, order) for order in orders))
    for one, order, answer in zip(both, orders, answers, strict=True):
        one.answered("book")
        if isinstance(answer, Refusal):
            one.phase = "arrived"
        else:
            await _is_booked(world, one, answer, order)
    return f"{both[0].label}: {', '.join(map(_word, answers))}"


@action(5, dies_at=())
async def a_helper_is_asked_for_two_at_once(world: World) -> str | None:
    """A coordinator asks another helper to come to somebody, and somebody else books then: nobody is in two places."""
    ready = [one for one in world.residents if one.channel == "helper" and one.phase in ("arrived", "holding")]
    live = await list_live_requests(world)
    if not ready or not live:
        return None
    resident, request = world.rng.choice(ready), world.rng.choice(live)
    slot = next(
        (slot for slot in await _slots(world, resident) if slot.slot_id == request["slot_id"] and slot.free), None
    )
    if slot is None:
        return None
    said = await _hold(world, resident, slot)
    if resident.phase != "holding":
        return f"{resident.label} {said}"
    order = _book_order(world, resident)
    resident.held_until = resident.again = None
    orders = [in_booking(world, order), lambda: ask_another(world, request)]
    booked_first = world.rng.random() < 0.5
    answers = await overlap(world, *(orders if booked_first else reversed(orders)))
    booked, asked = answers if booked_first else reversed(answers)
    resident.answered("book")
    if isinstance(booked, Refusal):
        resident.phase = "arrived"
    else:
        await _is_booked(world, resident, booked, order)
    return f"{resident.label} {_word(booked)}, another helper {_word(asked)}"


@action(1)
async def a_pass_comes_again(world: World) -> str | None:
    """§4: "the same browser presenting it again gets the same draft, another is refused"."""
    having = [one for one in world.residents if one.sealed_pass and one.visit_id is not None]
    if not having:
        return None
    resident = world.rng.choice(having)
    keys, now = world.services["booking"].keys, world.now("booking")
    ticket = open_pass(keys.box, "routing", "book", resident.sealed_pass, municipality=world.code, now=now)
    who = world.rng.choice(world.residents)
    is_theirs = who.identity.ref == resident.identity.ref
    try:
        async with world.at("booking") as session:
            visit_id = await arrive(session, ticket, who.identity.ref, keys, now=now)
    except Refusal as refusal:
        world.expect(not is_theirs, "pass: refused to the browser that it was given to")
        return f"{resident.label}'s, from {who.label}: {refusal.code}"
    world.expect(is_theirs and visit_id == resident.visit_id, "pass: opened a second time")
    return f"{resident.label}'s: the same visit"


@action(5)
async def a_resident_moves_their_appointment(world: World) -> str | None:
    """To any slot of the list that is shown now."""
    return await _with_appointment(world, _change)


@action(2)
async def a_resident_cancels(world: World) -> str | None:
    """They need not come."""
    return await _with_appointment(world, _cancel)


@action(1)
async def a_resident_gives_back_their_hold(world: World) -> str | None:
    """They look for another time."""
    ready = [one for one in world.residents if one.phase == "holding"]
    if not ready:
        return None
    resident = world.rng.choice(ready)
    assert resident.visit_id is not None
    resident.held_until = resident.again = None
    async with world.at("booking") as session:
        await release_hold(session, world.code, resident.visit_id, resident.identity.ref, now=world.now("booking"))
    resident.phase = "arrived"
    resident.answered("hold")
    return f"{resident.label}: held nothing any more"


@action(3)
async def a_hold_lapses(world: World) -> str | None:
    """§5: "expiry is in the predicate, not in a clean-up job": the moment that it is over, another has the place."""
    pairs = [
        (a, b) for a in world.residents for b in world.residents
        if a.held_until is not None and world.now("booking") < a.held_until
        and b.phase == "arrived" and (a.procedure, a.channel) == (b.procedure, b.channel)
    ]  # fmt: skip
    if not pairs:
        return None
    first, second = world.rng.choice(pairs)
    assert first.held_until is not None
    world.clock.move(first.held_until - world.now("booking"))
    held = await world.ask(
        "SELECT slot_id FROM booking.place WHERE municipality = $1 AND visit_id = $2 AND hold_id IS NOT NULL",
        first.visit_id,
    )  # fmt: skip
    slot = next((slot for slot in await _slots(world, second) if slot.slot_id == held[0][0]), None)
    if slot is None:
        return f"{first.label} held what nobody can have any more"
    return f"{first.label} waited too long, {second.label} {await _hold(world, second, slot)}"


@action(3)
async def a_resident_changes_their_mind(world: World) -> str | None:
    """They go back to the preview and answer it again."""
    ready = [one for one in world.residents if one.phase in ("arrived", "holding") and one.case_id is not None]
    if not ready:
        return None
    resident = world.rng.choice(ready)
    return f"{resident.label}: {await decide(world, resident)}"


@action(2)
async def nobody_pays_for_declining(world: World) -> str | None:
    """§4: "Declining costs nothing: same slots, same outcome"."""
    ready = [one for one in world.residents if one.phase in ("arrived", "holding")]
    pairs = [
        (a, b) for a in ready for b in ready
        if (a.procedure, a.channel) == (b.procedure, b.channel) and len(a.approved) < len(b.approved)
    ]  # fmt: skip
    if not pairs:
        return None
    less, more = world.rng.choice(pairs)
    world.expect(await _slots(world, less) == await _slots(world, more), "declining costs slots")
    return f"{less.label} sees what {more.label} sees"


@action(0.7)
async def a_resident_withdraws_an_application(world: World) -> str | None:
    """They take it back."""
    rows = await world.ask(
        "SELECT application_id, case_id FROM routing.application WHERE municipality = $1 ORDER BY submitted_at"
    )
    if not rows:
        return None
    at = world.rng.randrange(len(rows))
    guest = world.residents[0].identity
    async with world.at("routing") as session:
        await withdraw_application(
            session, world.services["routing"].keys, identity=guest, application_id=rows[at]["application_id"],
            now=world.now("routing"),
        )  # fmt: skip
    return f"application {at}: withdrawn"


async def begin(world: World, resident: Resident) -> str:
    """Open a case."""
    resident.held_until = resident.again = None
    if "open" not in resident.keys:
        resident.procedure, resident.channel = world.rng.choice(HELP_WANTED if world.is_for_helpers else PROCEDURES)
    async with world.at("routing") as session:
        resident.case_id = await open_case(
            session,
            identity=resident.identity,
            procedure_code=resident.procedure,
            channel=resident.channel,
            idempotency_key=resident.key("open"),
            now=world.now("routing"),
        )
    resident.answered("open")
    for order in ("hold", "book", "submit"):
        resident.answered(order)
    resident.visit_id = None
    resident.approved = frozenset()
    resident.phase = "form" if resident.channel == "online" else "opened"
    return f"begins {resident.procedure} by {resident.channel}"


async def fill_in(world: World, resident: Resident) -> str:
    """The online form."""
    assert resident.case_id is not None
    values = {"name": resident.name, "phone": f"+8190{world.rng.randrange(10**8):08}"}
    async with world.at("routing") as session:
        await save_form(
            session, world.services["routing"].keys.vault, identity=resident.identity, case_id=resident.case_id,
            values=values, now=world.now("routing"),
        )  # fmt: skip
    resident.phase = "opened"
    return "fills in the form"


async def tell(world: World, resident: Resident) -> str:
    """Name, kana, and how to be reached."""
    assert resident.case_id is not None
    reach = world.rng.choice(REACHES)
    contacts = {"email": f"mogi@{world.rng.randrange(100)}.example.jp", "sms": f"+8190{world.rng.randrange(10**8):08}"}
    items = None if resident.channel == "online" else {"name": resident.name, "kana": resident.kana}
    told = AboutYou(items=items, reach=reach, contact=contacts.get(reach))  # type: ignore[arg-type]
    async with world.at("routing") as session:
        await tell_about_you(
            session, world.services["routing"].keys.vault, identity=resident.identity, case_id=resident.case_id,
            told=told, now=world.now("routing"),
        )  # fmt: skip
    resident.phase = "check" if resident.channel == "online" else "told"
    return f"is reached by {reach}"


async def decide(world: World, resident: Resident) -> str:
    """See the preview, answer each item, and arrive in booking with the pass."""
    assert resident.case_id is not None
    resident.again = resident.held_until = None
    keys, me, now = world.services["routing"].keys, resident.identity, world.now("routing")
    async with world.at("routing") as session:
        preview = await preview_handover(session, keys.vault, identity=me, case_id=resident.case_id, now=now)
    if preview is None:
        resident.phase = "opened"
        return "has to say something first"
    answers = {offer.item: "yes" if world.rng.random() < 0.8 else "no" for offer in preview.offers}
    shown = {offer.item: offer.offer_id for offer in preview.offers}
    async with world.at("routing") as session:
        decided = await decide_handover(
            session, keys, identity=me, case_id=resident.case_id, answers=answers, shown=shown, language="ja", now=now
        )
    if not isinstance(decided, Decided):
        resident.phase = "opened"
        return "has to be asked again"
    async with world.at("routing") as session:
        handed = await make_pass(
            session, keys, identity=me, case_id=resident.case_id, titles={}, language="ja", now=now
        )
    if handed is None:
        return "has no pass"
    return (
        f"approves {'+'.join(sorted(decided.items)) or 'nothing'}, {await _arrive(world, resident, handed.sealed_pass)}"
    )


async def hold(world: World, resident: Resident) -> str:
    """Hold one of the slots that are shown; sometimes one that is full."""
    slots = await _slots(world, resident)
    if not slots:
        return "sees no slots"
    free = [slot for slot in slots if slot.free]
    slot = world.rng.choice(free[:2] if free and world.rng.random() < 0.7 else slots[:3])
    return await _hold(world, resident, slot)


async def _hold(world: World, resident: Resident, slot: OpenSlot) -> str:
    places = await _free_places(world, slot, resident)
    order = _hold_order(world, resident, slot)
    what = f"{slot.counter} {slot.starts_at:%d %H}"
    resident.held_until = resident.again = None
    try:
        held = await in_booking(world, order)()
    except Refusal as refusal:
        resident.answered("hold")
        world.expect(not places or refusal.code != "slot_taken", f"hold: refused though {places} were free")
        if refusal.code in ("visit_over", "visit_unknown", "visit_booked"):
            resident.phase = "told"
        return f"does not get {what}: {refusal.code}"
    resident.answered("hold")
    world.expect(places > 0, "hold: a place that nobody could have")
    resident.phase, resident.held_until = "holding", held.held_until
    resident.again = (in_booking(world, order), held, min(held.held_until, held.starts_at))
    return f"holds {what}"


async def book(world: World, resident: Resident) -> str:
    """Confirm."""
    resident.held_until = resident.again = None
    order = _book_order(world, resident)
    may = await world.ask(
        """SELECT 1 FROM booking.place WHERE municipality = $1 AND visit_id = $2 AND held_until > $3
           UNION ALL SELECT 1 FROM booking.appointment WHERE municipality = $1 AND visit_id = $2""",
        resident.visit_id, world.now("booking"),
    )  # fmt: skip
    try:
        booked = await in_booking(world, order)()
    except Refusal as refusal:
        resident.answered("book")
        resident.phase = "told" if refusal.code in ("visit_over", "visit_unknown") else "arrived"
        return f"cannot book: {refusal.code}"
    world.expect(bool(may), "book: what was held no more")
    await _is_booked(world, resident, booked, order)
    return "books"


async def check(world: World, resident: Resident) -> str:
    """Look at everything once more, and send it."""
    assert resident.case_id is not None
    keys, me = world.services["routing"].keys, resident.identity
    now = world.now("routing")
    async with world.at("routing") as session:
        checked = await check_application(session, keys.vault, identity=me, case_id=resident.case_id, now=now)
    if not isinstance(checked, Checked):
        resident.phase = "form" if checked.page == "form" else "opened"
        return f"has to fill in {checked.page}"
    async with world.at("routing") as session:
        sent = await submit_application(
            session,
            keys,
            identity=me,
            case_id=resident.case_id,
            submit_key=resident.key("submit"),
            shown_items=checked.shown,
            with_notices=world.rng.random() < 0.8,
            shown_contact=checked.contact.offer_id if checked.contact else None,
            language="ja",
            now=now,
        )
    resident.answered("submit")
    if not isinstance(sent, Sent):
        resident.phase = "opened"
        return "has to be asked again"
    resident.phase = "idle"
    return "sends the application"


_NEXT: dict[str, Callable[[World, Resident], Awaitable[str]]] = {
    "idle": begin,
    "form": fill_in,
    "opened": tell,
    "told": decide,
    "check": check,
    "arrived": hold,
    "holding": book,
}


async def _arrive(world: World, resident: Resident, sealed: str) -> str:
    keys, now, me = world.services["booking"].keys, world.now("booking"), resident.identity.ref
    resident.sealed_pass = ""
    ticket = open_pass(keys.box, "routing", "book", sealed, municipality=world.code, now=now)
    async with world.at("booking") as session:
        resident.visit_id = await arrive(session, ticket, me, keys, now=now)
    resident.sealed_pass = sealed
    async with world.at("booking") as session:
        visit = await get_visit(session, world.code, resident.visit_id, me, keys)
    approved = {item.key for item in ticket.items} | ({"contact"} if ticket.contact_ref else set())
    resident.approved = frozenset(approved)
    if visit.appointment_id is not None:
        # The pass of before it was booked: there is their appointment.
        resident.phase = "idle"
        return "has booked already"
    resident.phase = "holding" if visit.held is not None else "arrived"
    resident.held_until = visit.held.held_until if visit.held is not None else None
    for order in ("hold", "book"):
        resident.answered(order)
    return "arrives"


async def _slots(world: World, resident: Resident) -> list[OpenSlot]:
    """What the page of their visit shows."""
    keys, now = world.services["booking"].keys, world.now("booking")
    assert resident.visit_id is not None
    async with world.at("booking") as session:
        visit = await get_visit(session, world.code, resident.visit_id, resident.identity.ref, keys)
        procedure = await find_procedure(session, world.code, visit.procedure, visit.channel)
        if procedure is None:
            return []
        policy = (await get_rules(session, world.code)).policy
        first = jst_day(now)
        return await list_slots(
            session, world.code, procedure.counters, policy, first=first, last=first + timedelta(days=7), now=now
        )


async def _free_places(world: World, slot: OpenSlot, *residents: Resident) -> int:
    """By our own count: places that nobody has, or holds any more, or that one of these holds."""
    rows = await world.ask(
        """SELECT count(*) FROM booking.place WHERE municipality = $1 AND slot_id = $2 AND audience = 'public'
           AND appointment_id IS NULL AND (held_until IS NULL OR held_until <= $3 OR visit_id = ANY ($4))""",
        slot.slot_id, world.now("booking"), [one.visit_id for one in residents],
    )  # fmt: skip
    return int(rows[0][0])


def _hold_order(world: World, resident: Resident, slot: OpenSlot) -> HoldPlace:
    assert resident.visit_id is not None
    # Another slot is another order, also when the answer to the first never came.
    return HoldPlace(
        municipality=world.code, visit_id=resident.visit_id, visitor=resident.identity.ref, slot_id=slot.slot_id,
        key=str(resident.key(f"hold {slot.starts_at} {slot.counter}")),
    )  # fmt: skip


def _book_order(world: World, resident: Resident) -> BookAppointment:
    assert resident.visit_id is not None
    return BookAppointment(
        municipality=world.code, visit_id=resident.visit_id, visitor=resident.identity.ref,
        key=str(resident.key("book")),
    )  # fmt: skip


def in_booking(world: World, order: Any) -> Callable[[], Awaitable[Any]]:
    """The order in a transaction of its own, by booking's clock of then."""

    async def give() -> Any:
        async with world.at("booking") as session:
            now = world.now("booking")
            match order:
                case HoldPlace():
                    return await hold_place(session, order, now=now)
                case BookAppointment():
                    return await book_appointment(session, order, world.services["booking"].keys, now=now)
                case ChangeAppointment():
                    return await change_appointment(session, order, now=now)
                case _:
                    return await cancel_appointment(session, order, now=now)

    return give


async def _is_booked(world: World, resident: Resident, booked: Any, order: BookAppointment) -> None:
    resident.answered("book")
    resident.phase = "idle"
    resident.again = (in_booking(world, order), booked, world.now("booking") + KEYS_KEPT)
    label = f"{resident.label}'s {len(resident.booked) + 1}"
    if all(known.appointment_id != booked.appointment_id for known in resident.booked):
        resident.booked.append(Booked(booked.appointment_id, label))
    ahead = await world.ask(
        """SELECT count(*) FROM booking.appointment
           WHERE municipality = $1 AND guest_ref = $2 AND state = 'booked' AND starts_at > $3""",
        resident.identity.ref, world.now("booking"),
    )  # fmt: skip
    world.expect(ahead[0][0] <= world.most_ahead, f"limit: {ahead[0][0]} appointments ahead")


async def _with_appointment(world: World, do: Callable[[World, Resident, Booked], Awaitable[str]]) -> str | None:
    having = [(one, booked) for one in world.residents for booked in one.booked]
    if not having:
        return None
    resident, booked = world.rng.choice(having)
    if resident.unanswered is not None:
        booked, give, what = resident.unanswered
        return f"{booked.label}: asks again, {await give_order(world, resident, booked, give, what)}"
    if world.rng.random() < 0.8:
        # They look at their page first; who does not may have an old one before them.
        rows = await world.ask(
            "SELECT version FROM booking.appointment WHERE municipality = $1 AND appointment_id = $2",
            booked.appointment_id,
        )  # fmt: skip
        booked.version = rows[0][0]
    return f"{booked.label}: {await do(world, resident, booked)}"


async def _change(world: World, resident: Resident, booked: Booked) -> str:
    rows = await world.ask(
        """SELECT s.slot_id, s.starts_at, s.counter FROM booking.slot s
           JOIN booking.appointment a ON a.municipality = s.municipality AND a.counter = s.counter
           WHERE s.municipality = $1 AND a.appointment_id = $2 AND s.starts_at > $3 ORDER BY s.starts_at""",
        booked.appointment_id, world.now("booking"),
    )  # fmt: skip
    if not rows:
        return "has nowhere to move"
    slot = world.rng.choice(rows)
    order = ChangeAppointment(
        municipality=world.code, appointment_id=booked.appointment_id, slot_id=slot["slot_id"],
        version=booked.version, key=str(uuid4()),
    )  # fmt: skip
    return await give_order(world, resident, booked, in_booking(world, order), f"to {slot['starts_at']:%d %H}")


async def _cancel(world: World, resident: Resident, booked: Booked) -> str:
    order = CancelAppointment(
        municipality=world.code, appointment_id=booked.appointment_id, version=booked.version, key=str(uuid4())
    )
    return await give_order(world, resident, booked, in_booking(world, order), "cancelled")


async def give_order(
    world: World, resident: Resident, booked: Booked, give: Callable[[], Awaitable[Any]], what: str
) -> str:
    resident.unanswered, resident.again = (booked, give, what), None
    try:
        changed = await give()
    except Refusal as refusal:
        resident.unanswered = None
        return f"stays: {refusal.code}"
    resident.unanswered = None
    booked.version = changed.version
    resident.again = (give, changed, world.now("booking") + KEYS_KEPT)
    return what


def _said(answer: Any) -> object:
    return answer.code if isinstance(answer, Refusal) else answer


def _word(answer: Any) -> str:
    return answer.code if isinstance(answer, Refusal) else "yes"
