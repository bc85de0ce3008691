"""An earlier time is kept for somebody who waits for one: they are told once, in time, and never by night."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.notifications.domain.notices import Newest, is_overtaken
from shared.events.base import Event
from shared.events.booking import AppointmentBooked, AppointmentProgressed
from shared.sms_parts import PARTS_MAX, count_parts
from tests.notifications.harness import LINK_TOKEN, START, Notifications

EARLIER = START - timedelta(days=2)


def kept(service: Notifications, before: Any, **changes: Any) -> AppointmentProgressed:
    """An earlier time is kept for its owner, for half an hour."""
    offer: dict[str, Any] = {"offer_starts_at": EARLIER, "offer_until": service.now + timedelta(minutes=30)}
    return service.followed(AppointmentProgressed, before, **(offer | changes))


def over(service: Notifications, before: Any) -> AppointmentProgressed:
    """It is not kept any more, and was not taken."""
    return service.followed(AppointmentProgressed, before, offer_starts_at=None, offer_until=None)


async def booked_by(
    service: Notifications, reach: str = "email", language: str = "ja", *, procedure: str = "CHI01"
) -> AppointmentBooked:
    """Somebody whose booking was confirmed."""
    contact = service.contact(reach, language=language)  # type: ignore[arg-type]
    booked = service.booked(contact, procedure=procedure)
    await service.hear(contact, booked)
    await service.settle()
    return booked


@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_told_once_with_the_time_and_the_link(service: Notifications, reach: str, language: str) -> None:
    booked = await booked_by(service, reach, language, procedure="OKU01")
    event = kept(service, booked)
    await service.hear(event, event)
    await service.settle()
    assert await service.states() == {"confirmation": "sent", "earlier_offer": "sent"}
    assert len(service.sink.messages()) == 2
    text = service.sink.messages()[0].text
    assert LINK_TOKEN in text
    assert "おくやみ" not in text
    if reach == "sms":
        assert count_parts(text) <= PARTS_MAX
    [row] = await service.rows("SELECT bulk, keeps_quiet, useful_until FROM notice WHERE kind = 'earlier_offer'")
    assert (row.bulk, row.keeps_quiet, row.useful_until) == (False, True, event.offer_until)


async def test_another_one_after_it_is_told_again(service: Notifications) -> None:
    booked = await booked_by(service)
    first = kept(service, booked)
    gone = over(service, first)
    await service.hear(first)
    await service.settle()
    await service.hear(gone, kept(service, gone))
    await service.settle()
    assert len(service.sink.messages()) == 3


async def test_what_is_not_kept_any_more_is_not_told(service: Notifications) -> None:
    """Seen to fail (told twice) without taking back what waits: the second notice has the second's words already."""
    contact = service.contact()
    booked = service.booked(contact)
    first = kept(service, booked)
    gone = over(service, first)
    second = kept(service, gone, offer_starts_at=EARLIER + timedelta(hours=1))
    # The contact is late: everything waits for it.
    await service.hear(booked, first, gone, second, contact)
    await service.settle()
    rows = await service.rows("SELECT state FROM notice WHERE kind = 'earlier_offer' ORDER BY appointment_version")
    assert [row.state for row in rows] == ["superseded", "sent"]


def test_what_may_have_gone_out_is_not_sent_again_once_it_is_over() -> None:
    """As for a notice whose provider did not answer: its state is `unknown`."""
    newest = Newest(state="booked", sequence=0, starts_at=START, offer_until=EARLIER)
    assert not is_overtaken("earlier_offer", 0, newest)
    assert is_overtaken("earlier_offer", 0, msgspec.structs.replace(newest, offer_until=None))
    assert is_overtaken("earlier_offer", 0, msgspec.structs.replace(newest, closure="asked"))


@pytest.mark.parametrize("ending", ["over", "changed", "cancelled"])
async def test_what_is_over_by_then_is_not_told(service: Notifications, ending: str) -> None:
    contact = service.contact()
    booked = service.booked(contact)
    first = kept(service, booked)
    after: Event = over(service, first)
    if ending == "changed":
        after = service.changed(first, EARLIER)
    elif ending == "cancelled":
        after = service.cancelled(first)
    await service.hear(booked, first, after, contact)
    await service.settle()
    assert (await service.states())["earlier_offer"] == "superseded"


async def test_a_helper_who_is_found_meanwhile_takes_nothing_back(service: Notifications) -> None:
    """The contact is late, so everything waits for it."""
    contact = service.contact()
    booked = service.booked(contact)
    first = kept(service, booked)
    found = service.followed(
        AppointmentProgressed, first, helper="accepted", offer_starts_at=EARLIER, offer_until=first.offer_until
    )
    await service.hear(booked, first, found, contact)
    await service.settle()
    assert await service.states() == {"confirmation": "sent", "earlier_offer": "sent", "helper_found": "sent"}


async def test_at_night_nobody_is_woken_and_in_the_morning_they_have_an_hour(service: Notifications) -> None:
    booked = await booked_by(service)
    # 23:00 in Japan.
    service.now = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
    morning = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
    await service.hear(kept(service, booked, offer_until=morning + timedelta(hours=1)))
    await service.settle()
    assert (await service.states())["earlier_offer"] == "pending"
    service.now = morning
    await service.settle()
    assert (await service.states())["earlier_offer"] == "sent"


async def test_what_comes_too_late_is_told_by_nobody(service: Notifications) -> None:
    """They have lost nothing: no task for staff. Seen to fail (a task) without `MAY_BE_MISSED`."""
    contact = service.contact()
    booked = service.booked(contact)
    event = kept(service, booked)
    await service.hear(booked, event)
    await service.pass_time(minutes=31)
    assert (await service.states())["earlier_offer"] == "undeliverable"
    rows = await service.rows(
        """SELECT 1 FROM staff_task t JOIN notice n USING (municipality, notice_id) WHERE n.kind = 'earlier_offer'"""
    )
    assert rows == []


async def test_who_wants_no_messages_has_no_notice(service: Notifications) -> None:
    booked = service.booked(None)
    await service.hear(booked, kept(service, booked))
    await service.settle()
    assert "earlier_offer" not in await service.states()


async def test_a_closing_is_told_instead(service: Notifications) -> None:
    booked = await booked_by(service)
    first = kept(service, booked)
    closed = service.followed(
        AppointmentProgressed, first, closure="asked", offer_starts_at=EARLIER, offer_until=START - timedelta(days=1)
    )
    await service.hear(first, closed)
    await service.settle()
    assert (await service.states())["closure"] == "sent"
    assert (await service.states())["earlier_offer"] == "superseded"


async def test_told_in_the_wrong_order_the_newest_state_counts(service: Notifications) -> None:
    booked = await booked_by(service)
    first = kept(service, booked)
    gone = over(service, first)
    await service.hear(gone, first, msgspec.structs.replace(first))
    await service.settle()
    assert "earlier_offer" not in await service.states()
