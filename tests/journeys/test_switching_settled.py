"""What is settled by one way, and by which moment, though the other one was chosen or booked meanwhile."""

from tests.journeys.switching import (
    Place,
    booked_with_a_helper,
    correction_asked,
    name_told,
)
from tests.routing.applying import CHI02_FORM


async def test_a_correction_that_is_sent_from_the_counter_goes_on_online(place: Place) -> None:
    """As its page says, the time is cancelled. Seen to fail without the channel in `submit_application`."""
    case = await correction_asked(place)
    await place.switch(place.resident, case, "counter")
    await place.resident.book(case)
    await place.house.town.deliver()
    assert await place.booked(case) == {"counter": "booked"}
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    assert "申請すると取り消します" in place.resident.text
    await place.resident.press("/submit", notices="yes")
    assert await place.case_now(case) == ("online", "submitted")
    await place.house.town.deliver()
    assert await place.booked(case) == {}


async def test_what_was_booked_in_the_moment_of_sending_is_cancelled_too(place: Place) -> None:
    """Seen to fail without telling booking of it."""
    case = await name_told(place)
    await place.resident.book(case)
    # Routing has not heard of it yet.
    await place.resident.post(f"{case}/channel", {"channel": "online"})
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    assert "申請すると取り消します" not in place.resident.text
    await place.resident.press("/submit", notices="yes")
    assert place.resident.path.startswith("/applications/")
    assert await place.booked(case) == {"counter": "booked"}
    await place.house.town.deliver()
    assert await place.booked(case) == {}


async def test_what_is_replaced_does_not_count_against_the_new_time(place: Place) -> None:
    """Seen to fail while both times counted for the limit."""
    await place.house.town.rows("UPDATE booking.booking_rules SET max_open_appointments = 1")
    case = await booked_with_a_helper(place)
    await place.switch(place.resident, case, "counter")
    await place.resident.book(case)
    await place.house.town.deliver()
    assert await place.booked(case) == {"counter": "booked"}
