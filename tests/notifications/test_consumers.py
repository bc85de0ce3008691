"""Events may come twice, late, or in the wrong order: what people are told follows the newest state, once."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec

from shared.events.booking import AppointmentProgressed
from shared.messaging.consumer import ATTEMPT_LIMIT
from tests.notifications.harness import EMAIL, LINK_TOKEN, OTHER_TOWN, START, Notifications

OUTCOMES = "SELECT outcome, count(*) AS count FROM inbox GROUP BY outcome"


async def test_a_booking_is_confirmed_once_however_often_it_is_told(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    again = msgspec.structs.replace(booked, event_id=contact.event_id)
    await service.hear(contact, booked, booked)
    await service.settle()
    # The same fact under another event id: not the inbox but the projection's version stops it.
    await service.hear(msgspec.structs.replace(again, event_id=service.booked(None).event_id))
    await service.settle()
    assert len(service.sink.messages()) == 1
    assert await service.states() == {"confirmation": "sent"}
    assert {receipt.outcome for receipt in service.receipts} == {"applied"}


async def test_two_first_events_at_once_make_one_projection(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    cancelled = service.cancelled(booked)
    await service.hear(contact)
    await asyncio.gather(service.hear(booked), service.hear(cancelled))
    await service.settle()
    assert (await service.states())["cancellation"] == "sent"
    assert (await service.states()).get("confirmation") in (None, "superseded")
    assert [row.state for row in await service.rows("SELECT state FROM appointment")] == ["cancelled"]


async def test_an_appointment_that_arrives_before_its_contact_waits_for_it(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(service.booked(contact))
    await service.settle()
    assert await service.states() == {"confirmation": "pending"}
    await service.hear(contact)
    await service.settle()
    assert await service.states() == {"confirmation": "sent"}


async def test_another_approval_of_the_same_address_is_cited_from_then_on(service: Notifications) -> None:
    first = service.contact()
    again = msgspec.structs.replace(
        service.contact(contact_ref=first.contact_ref, subject_ref=first.subject_ref, version=2), sealed=None
    )
    # Before the address it can wait: it is not refused.
    await service.hear(again)
    assert (await service.rows("SELECT 1 FROM contact_point"), service.receipts[1:]) == ([], [])
    await service.hear(first, again, msgspec.structs.replace(first, event_id=uuid4()))
    await service.hear(service.booked(again))
    await service.settle()
    [sent] = service.sink.messages()
    assert sent.to == EMAIL
    [entry] = await service.rows("SELECT correlation, source_case FROM ledger_entry")
    assert (entry.correlation, entry.source_case) == (again.approval_id, again.case_id)


async def test_a_contact_that_is_taken_back_is_forgotten(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    same = {"contact_ref": contact.contact_ref, "subject_ref": contact.subject_ref}
    withdrawn = service.contact("none", **same, version=3)  # type: ignore[arg-type]
    approval = msgspec.structs.replace(service.contact(**same, version=2), sealed=None)  # type: ignore[arg-type]
    await service.hear(withdrawn, approval, msgspec.structs.replace(contact, event_id=uuid4()))
    [row] = await service.rows("SELECT reach, version FROM contact_point")
    assert (row.reach, row.version) == ("none", 3)
    assert await service.rows("SELECT 1 FROM contact_way") == []
    await service.hear(service.changed(booked, START + timedelta(days=1)))
    await service.settle()
    await service.pass_time(days=3)
    assert len(service.sink.messages()) == 1
    assert (await service.states())["change"] == "printed_slip"
    assert await service.open_tasks() == []


async def test_a_contact_that_never_arrives_becomes_a_task_for_staff(service: Notifications) -> None:
    await service.hear(service.booked(service.contact()))
    for _ in range(11):
        await service.pass_time(minutes=1)
    assert await service.states() == {"confirmation": "undeliverable"}
    assert await service.open_tasks() == ["contact_missing"]
    assert await service.rows("SELECT 1 FROM due WHERE kind = 'send'") == []


async def test_a_notice_waits_for_the_catalogue_that_gives_it_its_words(service: Notifications) -> None:
    contact = service.contact(municipality=OTHER_TOWN)
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert service.sink.messages() == []
    await service.hear(service.catalogue(municipality=OTHER_TOWN, name="となり町"))
    await service.pass_time(seconds=5)
    [sent] = service.sink.messages()
    assert "となり町" in (sent.subject or "")


async def test_an_older_catalogue_changes_nothing(service: Notifications) -> None:
    await service.hear(service.catalogue(version=3, name="新しい町"), service.catalogue(version=2, name="古い町"))
    assert [row.name_ja for row in await service.rows("SELECT name_ja FROM catalogue_town")] == ["新しい町"]


async def test_who_wants_a_printed_slip_gets_no_message(service: Notifications) -> None:
    contact = service.contact("none")
    booked = service.booked(contact)
    without = service.booked(None)
    await service.hear(contact, booked, without, service.changed(booked, START + timedelta(days=1)))
    await service.settle()
    await service.pass_time(days=4)
    assert service.sink.messages() == []
    rows = await service.rows("SELECT DISTINCT state FROM notice WHERE kind <> 'confirmation' OR contact_ref IS NULL")
    assert {row.state for row in rows} == {"printed_slip"}
    assert await service.open_tasks() == []
    assert await service.rows("SELECT 1 FROM ledger_entry") == []


async def test_a_change_before_the_confirmation_was_sent_takes_its_place(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    await service.hear(contact, booked, service.changed(booked, START + timedelta(days=1)))
    await service.settle()
    assert await service.states() == {"confirmation": "superseded", "change": "sent"}
    [sent] = service.sink.messages()
    assert "11月28日" in sent.text
    # Only the first event carried the way in, and the change's mail has it all the same.
    assert LINK_TOKEN in sent.text


async def test_a_cancellation_before_the_confirmation_was_sent_is_all_that_is_told(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    await service.hear(contact, booked, service.cancelled(booked))
    await service.settle()
    assert await service.states() == {"confirmation": "superseded", "cancellation": "sent"}
    [sent] = service.sink.messages()
    assert "取り消しました" in (sent.subject or "")
    assert LINK_TOKEN not in sent.text


async def test_events_in_the_wrong_order_tell_the_newest_state_only(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    changed = service.changed(booked, START + timedelta(days=1))
    cancelled = service.cancelled(changed)
    await service.hear(cancelled, changed, booked, contact)
    await service.settle()
    assert await service.states() == {"cancellation": "sent"}
    assert len(service.sink.messages()) == 1


async def test_the_access_of_a_late_first_event_still_reaches_the_message(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    await service.hear(service.changed(booked, START + timedelta(days=1)), booked, contact)
    await service.settle()
    [sent] = service.sink.messages()
    assert LINK_TOKEN in sent.text


async def test_progress_tells_nobody_anything_and_forgets_the_access_at_the_end(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    arrived = service.followed(AppointmentProgressed, booked, state="checked_in")
    done = service.followed(AppointmentProgressed, arrived, state="done")
    await service.hear(contact, booked)
    await service.settle()
    await service.hear(arrived, done)
    await service.settle()
    assert len(service.sink.messages()) == 1
    assert [row.access_sealed for row in await service.rows("SELECT access_sealed FROM appointment")] == [None]
    assert await service.rows("SELECT 1 FROM due WHERE kind IN ('send', 'reminder')") == []


async def test_the_access_of_an_appointment_without_a_reported_end_is_forgotten_a_day_later(
    service: Notifications,
) -> None:
    contact = service.contact()
    await service.hear(contact, service.booked(contact))
    await service.settle()
    service.now = START + timedelta(hours=1)
    await service.settle()
    assert (await service.rows("SELECT access_sealed FROM appointment"))[0].access_sealed is not None
    await service.pass_time(days=1)
    assert (await service.rows("SELECT access_sealed FROM appointment"))[0].access_sealed is None


async def test_nothing_at_rest_can_be_read(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact, service.booked(contact))
    sealed = (await service.rows("SELECT address_sealed FROM contact_way"))[0].address_sealed
    access = (await service.rows("SELECT access_sealed FROM appointment"))[0].access_sealed
    assert EMAIL.encode() not in bytes(sealed)
    assert LINK_TOKEN.encode() not in bytes(access)


async def test_what_was_not_sealed_for_us_is_refused_at_once(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(
        msgspec.structs.replace(contact, sealed=None),
        msgspec.structs.replace(service.contact(), sealed="bm9uc2Vuc2U="),
        # Sealed by booking, not by routing.
        msgspec.structs.replace(service.contact(), sealed=service.booked(None).sealed),
        service.contact(address="x" * 400),
    )
    assert [receipt.outcome for receipt in service.receipts[1:]] == ["refused"] * 4
    rows = await service.rows("SELECT attempts FROM dead_letter")
    assert [row.attempts for row in rows] == [1] * 4
    assert ATTEMPT_LIMIT > 1
    assert await service.rows("SELECT 1 FROM contact_point") == []


async def test_another_towns_rows_cannot_be_seen_or_written(service: Notifications) -> None:
    contact = service.contact()
    other = service.contact(municipality=OTHER_TOWN)
    await service.hear(service.catalogue(municipality=OTHER_TOWN), contact, service.booked(contact))
    await service.hear(other, service.booked(other))
    await service.settle()
    assert len(service.sink.messages()) == 2
    for table in ("contact_point", "contact_way", "appointment", "notice", "attempt", "subject_key", "ledger_entry"):
        for town in ("143421", OTHER_TOWN):
            seen = await service.rows(f"SELECT DISTINCT municipality FROM {table}", municipality=town)
            assert [row.municipality for row in seen] == [town], table
    # Without a town nothing is seen at all.
    assert await service.rows("SELECT 1 FROM contact_point", municipality="") == []
