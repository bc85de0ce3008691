"""A closing moves somebody: they are told once, in every language and by every way; whom nothing reaches, by staff."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared.events.booking import AppointmentBooked, AppointmentProgressed
from shared.events.routing import ContactGiven
from shared.sms_parts import PARTS_MAX, count_parts
from tests.notifications.harness import LINK_TOKEN, START, Notifications

LATER = START + timedelta(days=1)


def closed(service: Notifications, before: Any, **changes: Any) -> AppointmentProgressed:
    """A closing covers it, and another time is kept."""
    kept: dict[str, Any] = {
        "closure": "asked",
        "offer_starts_at": LATER,
        "offer_until": service.now + timedelta(hours=24),
    }
    return service.followed(AppointmentProgressed, before, **(kept | changes))


async def booked_by(
    service: Notifications, reach: str = "email", language: str = "ja", *, procedure: str = "CHI01"
) -> tuple[ContactGiven, AppointmentBooked]:
    """Somebody whose booking was confirmed."""
    contact = service.contact(reach, language=language)  # type: ignore[arg-type]
    booked = service.booked(contact, procedure=procedure)
    await service.hear(contact, booked)
    await service.settle()
    return contact, booked


@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_who_has_to_move_is_told_once_with_the_kept_time_and_the_link(
    service: Notifications, reach: str, language: str
) -> None:
    _, booked = await booked_by(service, reach, language, procedure="OKU01")
    event = closed(service, booked)
    await service.hear(event, event, msgspec.structs.replace(event, event_id=uuid4()), bulk=True)
    await service.settle()
    assert await service.states() == {"confirmation": "sent", "closure": "sent"}
    text = service.sink.messages()[0].text
    assert len(service.sink.messages()) == 2
    assert LINK_TOKEN in text
    assert "おくやみ" not in text
    if reach == "sms":
        assert count_parts(text) <= PARTS_MAX
    [row] = await service.rows("SELECT bulk FROM notice WHERE kind = 'closure'")
    assert row.bulk


async def test_without_a_kept_time_they_are_told_to_choose(service: Notifications) -> None:
    _, booked = await booked_by(service)
    await service.hear(closed(service, booked, offer_starts_at=None, offer_until=None))
    await service.settle()
    text = service.sink.messages()[0].text
    assert "休みになりました" in text
    assert "おさえて" not in text


@pytest.mark.parametrize("has_contact", [True, False])
async def test_whom_nothing_is_sent_to_becomes_a_task(service: Notifications, has_contact: bool) -> None:
    """Without an address, and with the answer that nothing is to be sent."""
    contact = service.contact("none") if has_contact else None
    booked = service.booked(contact)
    await service.hear(*([contact] if contact else []), booked, closed(service, booked))
    await service.settle()
    assert await service.open_tasks() == ["no_contact"]
    assert (await service.states())["closure"] == "undeliverable"


async def test_who_does_not_answer_becomes_a_task_and_moving_ends_it(service: Notifications) -> None:
    _, booked = await booked_by(service)
    asked = closed(service, booked)
    left = service.followed(AppointmentProgressed, asked, closure="staff", offer_starts_at=None, offer_until=None)
    await service.hear(asked)
    await service.settle()
    assert await service.open_tasks() == []
    await service.hear(left, left)
    await service.settle()
    assert await service.open_tasks() == ["not_moved"]
    assert len(service.sink.messages()) == 2
    await service.hear(service.changed(left, LATER))
    await service.settle()
    assert await service.open_tasks() == []
    assert (await service.states())["change"] == "sent"


async def test_who_heard_of_it_hears_that_it_stands_again(service: Notifications) -> None:
    _, booked = await booked_by(service)
    asked = closed(service, booked)
    await service.hear(asked)
    await service.settle()
    back = service.followed(AppointmentProgressed, asked, closure="none", offer_starts_at=None, offer_until=None)
    await service.hear(back, back)
    await service.settle()
    assert (await service.states())["reopened"] == "sent"
    assert len(service.sink.messages()) == 3
    assert "もとのとおり" in service.sink.messages()[0].text


@pytest.mark.parametrize("has_contact", [True, False])
async def test_who_has_not_heard_of_it_hears_nothing(service: Notifications, has_contact: bool) -> None:
    contact = service.contact() if has_contact else None
    booked = service.booked(contact)
    asked = closed(service, booked)
    back = service.followed(AppointmentProgressed, asked, closure="none", offer_starts_at=None, offer_until=None)
    await service.hear(*([contact] if contact else []), booked, asked, back)
    await service.settle()
    states = await service.states()
    assert "reopened" not in states
    assert states["closure"] in ("superseded", "undeliverable")
    assert await service.open_tasks() == []


async def test_told_in_the_wrong_order_the_newest_state_counts(service: Notifications) -> None:
    _, booked = await booked_by(service)
    asked = closed(service, booked)
    back = service.followed(AppointmentProgressed, asked, closure="none", offer_starts_at=None, offer_until=None)
    await service.hear(back, asked)
    await service.settle()
    assert await service.states() == {"confirmation": "sent"}


async def test_another_kept_time_is_told_and_the_first_no_more(service: Notifications) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    asked = closed(service, booked)
    other = closed(service, asked, offer_starts_at=LATER + timedelta(days=1))
    await service.hear(booked, asked, other, contact)
    await service.settle()
    rows = await service.rows("SELECT state FROM notice WHERE kind = 'closure' ORDER BY appointment_version")
    assert [row.state for row in rows] == ["superseded", "sent"]


async def test_nobody_is_reminded_of_what_is_closed(service: Notifications) -> None:
    _, booked = await booked_by(service)
    await service.hear(closed(service, booked))
    await service.settle()
    await service.pass_time(days=2, hours=23)
    assert "reminder" not in await service.states()
