"""One visit for several procedures: its owner is told once of what is done with all of it, whatever comes first."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from icalendar import Calendar

from shared.events.booking import AppointmentBooked, AppointmentCancelled, AppointmentProgressed
from shared.events.routing import ContactGiven
from shared.sms_parts import PARTS_MAX, count_parts
from shared.town_pack import NoticeRules
from tests.notifications.harness import LINK_TOKEN, START, Notifications
from tests.notifications.test_reminders import load

NUMBERS = ("NNN1042", "NNN1043", "NNN1044")
UNTIL = START + timedelta(minutes=130)


def arrival(service: Notifications, contact: ContactGiven | None, *, first: int = 0) -> list[AppointmentBooked]:
    """Three appointments, an hour apart; the so-manieth is of a discreet procedure."""
    chain_id = uuid4()
    parts = []
    for place, number in enumerate(NUMBERS):
        one = service.booked(
            contact,
            number=number,
            starts_at=START + timedelta(minutes=60 * place),
            procedure="OKU01" if place == first else "CHI01",
            counter="0" if place == first else "7",
        )
        told = {"together": 3, "together_until": UNTIL} if place == 0 else {"together": 0}
        parts.append(msgspec.structs.replace(one, chain_id=chain_id, **told))
    return parts


def texts(service: Notifications) -> list[str]:
    return [message.text for message in service.sink.messages()]


async def booked_by(service: Notifications, reach: str = "email", language: str = "ja") -> list[AppointmentBooked]:
    contact = service.contact(reach, language=language)  # type: ignore[arg-type]
    parts = arrival(service, contact)
    await service.hear(contact, *parts)
    await service.settle()
    return parts


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("reach", ["email", "sms"])
@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
async def test_it_is_confirmed_once_with_when_to_come_and_how_many(
    service: Notifications, order: tuple[int, ...], reach: str, language: str
) -> None:
    """Seen to fail where each appointment asks for its own confirmation: three messages."""
    contact = service.contact(reach, language=language)  # type: ignore[arg-type]
    parts = arrival(service, contact)
    await service.hear(contact, *(parts[place] for place in order))
    await service.settle()
    [text] = texts(service)
    assert LINK_TOKEN in text
    assert "3" in text
    # The procedure is discreet; and the others are no line of a message either.
    assert "おくやみ" not in text
    assert "児童手当" not in text
    if reach == "sms":
        assert count_parts(text) <= PARTS_MAX


async def test_its_calendar_entry_lasts_until_everything_is_done(service: Notifications) -> None:
    await booked_by(service)
    [mail] = service.sink.messages()
    assert mail.calendar is not None
    event = Calendar.from_ical(mail.calendar).walk("VEVENT")[0]
    assert (event.decoded("dtstart"), event.decoded("dtend")) == (START, UNTIL)
    assert "手続き" in str(event["summary"])


async def test_with_another_first_it_is_the_same_calendar_entry(service: Notifications) -> None:
    """Seen to fail with the entry of the appointment that tells: the old day stayed in the calendar."""
    parts = await booked_by(service)
    later = START + timedelta(days=1)
    moved: list[Any] = [
        msgspec.structs.replace(service.changed(each, later - timedelta(minutes=60 * place)), together=3 * (place == 2))
        for place, each in enumerate(parts)
    ]
    await service.hear(*moved)
    await service.settle()
    uids = [Calendar.from_ical(mail.calendar or "").walk("VEVENT")[0]["uid"] for mail in service.sink.messages()]
    assert len(uids) == 2
    assert len(set(uids)) == 1


async def test_moved_and_cancelled_as_a_whole_it_is_told_once(service: Notifications) -> None:
    parts = await booked_by(service)
    later = START + timedelta(days=1)
    moved: list[Any] = [
        msgspec.structs.replace(service.changed(each, later + timedelta(hours=place)), together=0)
        for place, each in enumerate(parts)
    ]
    moved[0] = msgspec.structs.replace(moved[0], together=3)
    await service.hear(*moved)
    await service.settle()
    assert len(texts(service)) == 2
    assert "3つの手続きの予約を変更しました" in texts(service)[0]
    ended: list[Any] = [msgspec.structs.replace(service.cancelled(each), together=0) for each in moved]
    ended[0] = msgspec.structs.replace(ended[0], together=3)
    await service.hear(*reversed(ended))
    await service.settle()
    assert len(texts(service)) == 3
    assert "3つの手続きを取り消しました" in texts(service)[0]


async def test_one_part_cancelled_before_anything_was_sent_the_rest_is_confirmed(service: Notifications) -> None:
    """Seen to fail without what `_supersede` passes on: of the rest nobody was told."""
    contact = service.contact()
    parts = arrival(service, contact)
    alone: AppointmentCancelled = msgspec.structs.replace(service.cancelled(parts[0]), together=1, together_until=None)
    await service.hear(*parts, alone, contact)
    await service.settle()
    rows = await service.rows(
        """SELECT kind, n.state, together, number FROM notice n JOIN appointment a USING (municipality, appointment_id)
           ORDER BY kind, n.state"""
    )
    assert [tuple(row) for row in rows] == [
        ("cancellation", "sent", 1, NUMBERS[0]),
        ("confirmation", "sent", 2, NUMBERS[1]),
        ("confirmation", "superseded", 3, NUMBERS[0]),
    ]


async def test_of_an_arrival_the_first_is_reminded_of(service: Notifications) -> None:
    """Seen to fail without the look beside: a reminder for each counter."""
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    await booked_by(service)
    await service.pass_time(days=2)
    await service.pass_time(hours=3)
    reminders = [text for text in texts(service) if "近づきました" in text]
    assert len(reminders) == 1
    assert "3つ" in reminders[0]


async def test_when_the_first_is_cancelled_the_next_is_reminded_of(service: Notifications) -> None:
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    parts = await booked_by(service)
    await service.hear(msgspec.structs.replace(service.cancelled(parts[0]), together=1, together_until=None))
    await service.pass_time(days=2)
    await service.pass_time(hours=3)
    rows = await service.rows(
        """SELECT number, together FROM notice n JOIN appointment a USING (municipality, appointment_id)
           WHERE kind = 'reminder'"""
    )
    assert [tuple(row) for row in rows] == [(NUMBERS[1], 2)]


def closed(service: Notifications, before: Any, together: int, **changes: Any) -> AppointmentProgressed:
    kept: dict[str, Any] = {"closure": "asked", "together": together, "together_until": None}
    if together:
        kept |= {"offer_starts_at": START + timedelta(days=1), "offer_until": service.now + timedelta(hours=24)}
    return service.followed(AppointmentProgressed, before, **(kept | changes))


@pytest.mark.parametrize("reach", ["email", "sms"])
@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
async def test_a_closing_is_told_once_with_what_is_kept_for_all_of_it(
    service: Notifications, reach: str, language: str
) -> None:
    parts = await booked_by(service, reach, language)
    await service.hear(closed(service, parts[1], 3), closed(service, parts[2], 0))
    await service.settle()
    text, _confirmation = texts(service)
    assert LINK_TOKEN in text
    if reach == "sms":
        assert count_parts(text) <= PARTS_MAX


async def test_unanswered_it_is_one_task_and_moving_ends_it(service: Notifications) -> None:
    parts = await booked_by(service)
    asked = [closed(service, parts[0], 3), closed(service, parts[1], 0)]
    nothing = {"closure": "staff", "offer_starts_at": None, "offer_until": None}
    left: list[Any] = [
        service.followed(AppointmentProgressed, each, **nothing, together=together)
        for each, together in zip(asked, (2, 0), strict=True)
    ]
    await service.hear(*asked, *left)
    await service.settle()
    assert await service.open_tasks() == ["not_moved"]
    moved = [msgspec.structs.replace(service.changed(each, START + timedelta(days=1)), together=0) for each in left]
    await service.hear(msgspec.structs.replace(moved[0], together=3), moved[1])
    await service.settle()
    assert await service.open_tasks() == []


async def test_when_who_told_of_it_has_gone_its_own_way_the_rest_is_not_forgotten(service: Notifications) -> None:
    """Seen to fail without the look for a notice of its own: nobody is told, and nobody is asked to."""
    parts = await booked_by(service)
    asked = [closed(service, parts[0], 3), closed(service, parts[1], 0)]
    alone = msgspec.structs.replace(service.cancelled(asked[0]), together=1, together_until=None)
    left = service.followed(
        AppointmentProgressed, asked[1], closure="staff", offer_starts_at=None, offer_until=None, together=1
    )
    await service.hear(*asked, alone, left)
    await service.settle()
    assert await service.open_tasks() == ["not_moved"]
