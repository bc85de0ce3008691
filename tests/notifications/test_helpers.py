"""A helper who is asked, found, or not found: the resident is told each time, in other words."""

import msgspec
import pytest

from shared.events.booking import AppointmentBooked, AppointmentCancelled, AppointmentProgressed
from tests.notifications.harness import Notifications


def asked(service: Notifications, reach: str = "email") -> tuple[object, AppointmentBooked]:
    contact = service.contact(reach)  # type: ignore[arg-type]
    return contact, msgspec.structs.replace(service.booked(contact, counter="HALL"), helper="asked")


async def test_the_confirmation_says_that_a_helper_was_asked_and_where(service: Notifications) -> None:
    contact, booked = asked(service)
    await service.hear(contact, booked)  # type: ignore[arg-type]
    await service.settle()
    text = service.sink.messages()[0].text
    assert "サポーターにお願いしています" in text
    assert "公民館（町民センター）" in text
    assert "窓口" not in text


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_a_helper_who_was_found_is_told_once_and_another_one_again(service: Notifications, reach: str) -> None:
    contact, booked = asked(service, reach)
    found = service.followed(AppointmentProgressed, booked, helper="accepted")
    await service.hear(contact, booked, found, found)  # type: ignore[arg-type]
    await service.settle()
    texts = [message.text for message in service.sink.messages()]
    assert len(texts) == 2
    assert sum("サポーターが決まりました" in text for text in texts) >= 1
    cannot = service.followed(AppointmentProgressed, found, helper="asked")
    other = service.followed(AppointmentProgressed, cannot, helper="accepted")
    await service.hear(cannot, other)
    await service.settle()
    assert len(service.sink.messages()) == 3


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_when_nobody_can_come_other_times_are_offered(service: Notifications, reach: str) -> None:
    contact, booked = asked(service, reach)
    await service.hear(contact, booked)  # type: ignore[arg-type]
    await service.settle()
    await service.hear(service.followed(AppointmentCancelled, booked, helper="nobody", state="cancelled", sequence=1))
    await service.settle()
    assert (await service.states())["cancellation"] == "sent"
    text = next(message.text for message in service.sink.messages() if "取り消しました" in message.text)
    assert "サポーターが見つかり" in text or "サポーターが見つからず" in text
    assert "お越しいただく必要はありません" not in text
    assert "https://" in text


async def test_who_is_served_by_a_helper_is_not_told_again(service: Notifications) -> None:
    contact, booked = asked(service)
    found = service.followed(AppointmentProgressed, booked, helper="accepted")
    done = service.followed(AppointmentProgressed, found, state="done")
    await service.hear(contact, booked, found)  # type: ignore[arg-type]
    await service.settle()
    await service.hear(done)
    await service.settle()
    assert len(service.sink.messages()) == 2
