"""Only so many are before somebody who waits: they are told once, by day and by night, as long as they wait."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifications.domain.notices import TURN_NEAR, TURN_USEFUL, Newest, is_overtaken
from shared.events.base import Event
from shared.events.booking import AppointmentBooked, AppointmentProgressed, TurnNear
from shared.sms_parts import count_parts
from tests.notifications.harness import START, Notifications


def near(service: Notifications, before: Any, *, ahead: int = 3) -> TurnNear:
    return TurnNear(
        event_id=uuid4(),
        municipality=before.municipality,
        aggregate_id=before.aggregate_id,
        aggregate_version=before.aggregate_version,
        occurred_at=service.now,
        appointment_id=before.appointment_id,
        counter=before.counter,
        ticket="7-012",
        before=ahead,
    )


def step(service: Notifications, before: Any, state: str) -> AppointmentProgressed:
    return service.followed(AppointmentProgressed, before, state=state)


async def booked_by(service: Notifications, reach: str = "email", language: str = "ja") -> AppointmentBooked:
    """Somebody whose booking was confirmed, on its day."""
    contact = service.contact(reach, language=language)  # type: ignore[arg-type]
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    service.now = START
    return booked


async def told(service: Notifications) -> str | None:
    return (await service.states()).get(TURN_NEAR)


@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
@pytest.mark.parametrize("reach", ["email", "sms"])
@pytest.mark.parametrize("ahead", [0, 3, 20])
async def test_told_once_with_the_number(service: Notifications, reach: str, language: str, ahead: int) -> None:
    booked = await booked_by(service, reach, language)
    here = step(service, booked, "checked_in")
    event = near(service, here, ahead=ahead)
    await service.hear(here, event, event)
    await service.settle()
    assert await told(service) == "sent"
    messages = service.sink.messages()
    assert len(messages) == 2
    text = next(message.text for message in messages if "7-012" in message.text)
    assert str(ahead or "7-012") in text
    assert "児童手当" not in text
    if reach == "sms":
        assert count_parts(text) == 1, text


async def test_told_whichever_is_heard_first(service: Notifications) -> None:
    """Seen to fail where every step overtakes it: what came late would take it back."""
    booked = await booked_by(service)
    here = step(service, booked, "checked_in")
    await service.hear(near(service, here))
    await service.hear(here, step(service, here, "checked_in"))
    await service.settle()
    assert await told(service) == "sent"


@pytest.mark.parametrize("state", ["called", "serving", "done", "no_show"])
async def test_who_was_called_is_not_told(service: Notifications, state: str) -> None:
    booked = await booked_by(service)
    here = step(service, booked, "checked_in")
    called = step(service, here, state)
    await service.hear(here, called, near(service, here))
    assert await told(service) is None


async def test_who_is_called_before_it_is_sent_is_not_told(service: Notifications) -> None:
    booked = await booked_by(service)
    here = step(service, booked, "checked_in")
    await service.hear(here, near(service, here), step(service, here, "called"))
    await service.settle()
    assert await told(service) == "superseded"
    assert len(service.sink.messages()) == 1


async def test_told_by_night_too_and_never_late(service: Notifications) -> None:
    booked = await booked_by(service)
    service.now = START.replace(hour=13)  # 22:00 in Japan: an office that is open late
    here = step(service, booked, "checked_in")
    event = near(service, here)
    await service.hear(here, event)
    await service.settle()
    assert await told(service) == "sent"


async def test_what_could_not_be_sent_in_time_is_nobodys_task(service: Notifications) -> None:
    booked = await booked_by(service)
    here = step(service, booked, "checked_in")
    await service.hear(here, near(service, here))
    service.now += TURN_USEFUL
    await service.settle()
    assert await told(service) == "undeliverable"
    assert await service.rows("SELECT 1 FROM staff_task") == []


@pytest.mark.parametrize(
    ("state", "expected"), [("booked", False), ("checked_in", False), ("called", True), ("done", True)]
)
def test_it_is_overtaken_by_being_called(state: str, *, expected: bool) -> None:
    newest = Newest(state=state, sequence=4, starts_at=START + timedelta(minutes=1))
    assert is_overtaken(TURN_NEAR, 0, newest) is expected


def test_it_says_nothing_of_anybody() -> None:
    assert set(TurnNear.__struct_fields__) - set(Event.__struct_fields__) == {
        "appointment_id", "counter", "ticket", "before",
    }  # fmt: skip
