"""A person is erased in all three services; what comes late, twice or at once brings nothing back."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from services.notifications.commands.attempts import Result, begin_attempts, end_attempts
from services.notifications.domain.outcomes import Outcome, OutcomeKind
from services.notifications.providers.provider import Provider
from services.notifications.providers.providers import Providers
from services.routing.commands.erasure import tell_unfinished
from services.routing.commands.inquiries import ask, find_inquiry
from shared.errors import Refusal
from shared.events.base import event_type
from shared.events.booking import AppointmentBooked
from shared.events.booking import SubjectErasureDone as BookingErasureDone
from shared.events.ledger import ReuseRecorded
from shared.events.notifications import SubjectErasureDone as NotificationsErasureDone
from shared.events.routing import ContactGiven, SubjectErased
from shared.events.subscriptions import SERVICES
from shared.faults import Fault, armed
from shared.ledger.sealer import Sealer
from shared.ledger.verify import verify
from shared.messaging.consumer import ATTEMPT_LIMIT
from tests.erasure.town import Town
from tests.routing.makers import EMAIL, KANA, NAME, TOWN

LEDGERS = {f"{service}.ledger_entry" for service in SERVICES}
A_WEEK_LATER = timedelta(days=14)
NAMES_THE_SUBJECT = """
    INSERT INTO appointment (municipality, appointment_id, number, subject_ref, case_id, procedure, office, counter,
                             starts_at, ends_at, state, version)
    VALUES ('{town}', gen_random_uuid(), 'X', '{pass_.subject_ref}', '{pass_.case_id}', 'CHI02', 'x', '7',
            '2026-11-25', '2026-11-25', 'done', 1)
"""

PROVIDERS = Providers([Provider("smtp", "email", is_idempotent=True, pace=lambda: 0.0)])


async def test_after_an_erasure_only_the_ledgers_name_the_subject(town: Town) -> None:
    """Seen to fail, table by table, where one statement of an `erase_subject` is left out."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    booked = await town.book(guest, ticket)
    await town.deliver()
    subject_ref = ticket.subject_ref
    before = await town.places_of(str(subject_ref))
    assert {"routing.item", "booking.appointment", "notifications.contact_point", "routing.outbox"} <= before
    town.now += A_WEEK_LATER
    number = await town.erase(subject_ref)
    await town.deliver()

    assert await town.places_of(str(subject_ref)) <= LEDGERS
    assert await town.places_of(str(ticket.case_id)) <= LEDGERS
    # Neither what the browser was known by, nor the number on their paper, leads anywhere.
    assert await town.places_of(guest.ref) <= LEDGERS
    assert await town.places_of(booked.number) == set()
    for value in (NAME, KANA, EMAIL):
        assert await town.places_of(value) == set()
    done = (await town.rows("SELECT * FROM routing.erasure"))[0]
    assert (done["number"], done["subject_ref"]) == (number, None)
    assert done["finished_at"] is not None
    for service in SERVICES:
        erased = await town.rows(f"SELECT items FROM {service}.ledger_entry WHERE entry_type = 'erased'")
        assert len(erased) == 1, service
    # The place in the calendar stays, nobody's.
    left = (await town.rows("SELECT * FROM booking.appointment"))[0]
    assert (left["starts_at"], left["counter"]) == (booked.starts_at, booked.counter)


async def test_the_chains_still_hold(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    await town.deliver()
    for service in SERVICES:
        await Sealer(town.services[service].db, town.clock).seal_all()
    town.now += A_WEEK_LATER
    await town.erase(ticket.subject_ref)
    await town.deliver()
    for service in SERVICES:
        await Sealer(town.services[service].db, town.clock).seal_all()
        verdict = await verify(town.services[service].db, TOWN)
        assert verdict.intact
        assert verdict.unchained == 0
        assert verdict.checked > 0


async def test_what_comes_late_brings_nothing_back(town: Town) -> None:
    """Everything about them reaches its consumers after the erasure, twice. Seen to fail without the triggers."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    late = await town.waiting()
    kinds = {envelope.type for envelope in late}
    for kind in (AppointmentBooked, ReuseRecorded, ContactGiven):
        assert kind.__struct_config__.tag in kinds
    assert any(envelope.sealed for envelope in late)
    town.now += A_WEEK_LATER
    await town.erase(ticket.subject_ref)
    await town.deliver()
    for envelope in [*reversed(late), *late]:
        receipts = await town.hear(envelope)
        assert [receipt.outcome for receipt in receipts] == ["applied"], envelope.type
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS
    assert await town.places_of(EMAIL) == set()
    for service in SERVICES:
        assert await town.rows(f"SELECT 1 FROM {service}.dead_letter") == []


async def test_what_is_under_way_when_it_is_erased_is_waited_for(town: Town) -> None:
    """An event that is being applied while its subject is erased. Seen to fail without the lock of the trigger."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    booked = next(envelope for envelope in await town.waiting(AppointmentBooked) if envelope.consumer == "routing")
    town.now += A_WEEK_LATER
    async with town.at("routing") as session:
        connection = await session.connection()
        await connection.exec_driver_sql(NAMES_THE_SUBJECT.format(town=TOWN, pass_=ticket))
        erasing = asyncio.create_task(town.erase(ticket.subject_ref))
        await asyncio.sleep(0.3)
        assert not erasing.done()
    await erasing
    await town.hear(booked)
    await town.deliver()
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS


async def test_erased_twice_at_once_it_is_one_erasure(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    numbers = await asyncio.gather(*(town.erase(ticket.subject_ref) for _ in range(4)))
    assert len(set(numbers)) == 1
    assert len(await town.waiting(SubjectErased)) == 2
    erased = await town.rows("SELECT 1 FROM routing.ledger_entry WHERE entry_type = 'erased'")
    assert len(erased) == 1
    await town.deliver()
    with pytest.raises(Refusal, match="nothing_to_erase"):
        await town.erase(ticket.subject_ref)


async def test_told_again_the_others_answer_again_and_write_once(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.erase(ticket.subject_ref)
    for envelope in await town.waiting(SubjectErased):
        for _ in range(2):
            await town.hear(envelope)
    async with town.at("routing") as session:
        assert await tell_unfinished(session, TOWN, now=town.now) == 1
    await town.deliver()
    assert (await town.rows("SELECT finished_at FROM routing.erasure"))[0]["finished_at"] is not None
    for service in SERVICES:
        erased = await town.rows(f"SELECT 1 FROM {service}.ledger_entry WHERE entry_type = 'erased'")
        assert len(erased) == 1, service


async def test_an_application_or_an_appointment_ahead_stands_in_the_way(town: Town) -> None:
    guest = await town.guest()
    booked = await town.book(guest, ticket := await town.hand_over(guest))
    await town.deliver()
    with pytest.raises(Refusal, match="erasure_in_the_way"):
        await town.erase(ticket.subject_ref)
    # To the second: while it lasts, and when it is over.
    town.now = booked.ends_at - timedelta(seconds=1)
    with pytest.raises(Refusal, match="erasure_in_the_way"):
        await town.erase(ticket.subject_ref)
    town.now = booked.ends_at
    await town.erase(ticket.subject_ref)


async def test_what_booking_knows_ahead_of_routing_is_cancelled(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    # Routing has not heard of it.
    await town.erase(ticket.subject_ref)
    await town.deliver()
    left = (await town.rows("SELECT * FROM booking.appointment"))[0]
    assert left["state"] == "cancelled"
    assert await town.rows("SELECT 1 FROM booking.place WHERE appointment_id IS NOT NULL") == []
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS


async def test_a_pass_does_not_arrive_after_the_erasure(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.erase(ticket.subject_ref)
    await town.deliver()
    with pytest.raises(Exception, match="was erased"):
        await town.arrive(guest, ticket)
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS


async def test_of_an_erased_subject_nothing_dies_as_a_letter(town: Town) -> None:
    """Another approval of a contact that never arrived waits for it. Seen to fail: it ended as a dead letter."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.hand_over(guest, contact=None)
    later = [envelope for envelope in await town.waiting(ContactGiven) if envelope.sealed is None]
    assert len(later) == 1
    await town.erase(ticket.subject_ref)
    await town.deliver()
    outcomes = {
        receipt.outcome
        for _ in range(ATTEMPT_LIMIT + 1)
        for receipt in await town.hear(msgspec.structs.replace(later[0], attempt=2))
    }
    assert outcomes == {"applied"}
    assert await town.rows("SELECT 1 FROM notifications.dead_letter") == []


async def test_a_letter_about_them_that_waits_for_an_operator_goes(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    given = (await town.waiting(ContactGiven))[0]
    await town.hear(msgspec.structs.replace(given, sealed="not-for-us"))
    assert await town.rows("SELECT 1 FROM notifications.dead_letter") != []
    await town.erase(ticket.subject_ref)
    await town.deliver(lambda envelope: envelope.event_id != given.event_id)
    assert await town.rows("SELECT 1 FROM notifications.dead_letter") == []
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS


class Died(BaseException):
    """This process, at a fault point."""


def die() -> None:
    raise Died


@pytest.mark.parametrize(
    "step",
    [
        "consumer.received",
        "consumer.claimed",
        "consumer.applied",
        "transaction.written",
        "transaction.committed",
        "consumer.committed",
    ],
)
async def test_whoever_dies_on_the_way_goes_on_with_it(town: Town, step: str) -> None:
    """Both consumers die once at the step, and again while the answers come in; what was asked for is done once."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.deliver()
    await town.erase(ticket.subject_ref)
    for kind in (SubjectErased, BookingErasureDone, NotificationsErasureDone):
        for envelope in await town.waiting(kind):
            with pytest.raises(Died), armed(Fault(step, die=die)):
                await town.hear(envelope)
        if kind is SubjectErased:
            await town.deliver(lambda envelope: envelope.type == event_type(SubjectErased))
    await town.deliver()
    assert (await town.rows("SELECT finished_at FROM routing.erasure"))[0]["finished_at"] is not None
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS
    for service in SERVICES:
        erased = await town.rows(f"SELECT 1 FROM {service}.ledger_entry WHERE entry_type = 'erased'")
        assert len(erased) == 1, service


async def test_who_asks_and_dies_with_it_has_asked_for_nothing(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    with pytest.raises(Died), armed(Fault("transaction.written", die=die)):
        await town.erase(ticket.subject_ref)
    assert await town.rows("SELECT 1 FROM routing.erasure") == []
    assert await town.rows("SELECT 1 FROM routing.item") != []
    await town.erase(ticket.subject_ref)
    assert await town.rows("SELECT 1 FROM routing.item") == []


@pytest.mark.parametrize("outcome", ["accepted", "permanent", "unknown"])
async def test_what_is_being_sent_meanwhile_leaves_no_trace(town: Town, outcome: OutcomeKind) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    await town.deliver()
    keys = town.services["notifications"].keys
    waiting = [row["notice_id"] for row in await town.rows("SELECT notice_id FROM notifications.notice")]
    async with town.at("notifications") as session:
        orders = await begin_attempts(session, keys, TOWN, waiting, PROVIDERS, now=town.now)
    assert [order.address for order in orders] == [EMAIL]
    await town.erase(ticket.subject_ref, even_if_open=True)
    await town.deliver()
    async with town.at("notifications") as session:
        results = [Result(order, Outcome(kind=outcome)) for order in orders]
        await end_attempts(session, TOWN, results, PROVIDERS, now=town.now, chance=lambda: 0.5)
    for table in ("notice", "attempt", "staff_task"):
        assert await town.rows(f"SELECT 1 FROM notifications.{table}") == [], table
    # The town's own, of its rules, is all that is due.
    assert {row["kind"] for row in await town.rows("SELECT kind FROM notifications.due")} <= {"replan"}


async def test_an_answer_that_is_being_written_and_an_erasure_do_not_wait_for_each_other(town: Town) -> None:
    """Seen to fail (a deadlock) where the erasure locks inquiries last."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    await town.deliver()
    entry_id = (await town.rows("SELECT entry_id FROM routing.reuse WHERE visibility = 'subject' LIMIT 1"))[0][0]
    vault = town.services["routing"].keys.vault
    async with town.at("routing") as session:
        number = await ask(
            session, vault, identity=guest, entry_id=entry_id, kind="unfamiliar", text="おぼえがない", now=town.now
        )
    town.now += A_WEEK_LATER
    async with town.at("routing") as session:
        await find_inquiry(session, TOWN, number, lock=True)
        erasing = asyncio.create_task(town.erase(ticket.subject_ref))
        await asyncio.sleep(0.3)
        connection = await session.connection()
        await connection.exec_driver_sql(NAMES_THE_SUBJECT.format(town=TOWN, pass_=ticket))
    await erasing
    await town.deliver()
    assert await town.places_of(str(ticket.subject_ref)) <= LEDGERS


async def test_when_one_of_the_family_is_erased_no_copy_of_mine_names_them(town: Town) -> None:
    """The ledger's own entry stays as it is. Seen to fail without the second update: `reuse.canonical` has them."""
    guest = await town.guest()
    mine, theirs = await town.hand_over(guest), await town.hand_over(await town.guest())
    await town.deliver()
    # As if I had given something of mine in their case.
    await town.admin.execute(
        """UPDATE routing.reuse SET case_id = $2, canonical = '{"acting_for":"' || $3::text || '"}'
           WHERE subject_ref = $1""",
        mine.subject_ref,
        theirs.case_id,
        str(theirs.subject_ref),
    )
    await town.erase(theirs.subject_ref)
    await town.deliver()
    assert await town.places_of(str(theirs.subject_ref)) <= LEDGERS
    kept = await town.rows("SELECT canonical FROM routing.reuse WHERE subject_ref = $1", mine.subject_ref)
    assert [row["canonical"] for row in kept] == [None] * len(kept) != []
