"""Every step of a case, and from each of them every channel, there and back three times: nothing is typed again and
nothing is lost (`docs/decisions/0049-switching.md` has the table).

What was given is compared as the person's own page and the office's page show it; routing and booking are really
connected (`one_process.py`).
"""

from collections.abc import Awaitable, Callable

import pytest

from services.routing.domain.catalogue import CHANNELS
from tests.journeys.one_process import case_id_of
from tests.journeys.resident import read_forms
from tests.journeys.switching import (
    HALF,
    OK,
    ROUNDS,
    Place,
    accepted,
    begun_at_a_counter,
    begun_online,
    booked_at_a_counter,
    booked_with_a_helper,
    correction_asked,
    file_attached,
    form_filled,
    form_half_filled,
    handed_over,
    name_told,
    person_chosen,
    place_held,
    ready_to_send,
    reuse_answered,
    sent,
    visit_asked,
    visit_asked_and_booked,
    wished_and_booked,
)
from tests.routing.test_invariants_of_reuse import assert_every_use_was_approved

Step = Callable[[Place], Awaitable[str]]
STEPS: tuple[Step, ...] = (
    begun_online, begun_at_a_counter, person_chosen, reuse_answered, form_half_filled, form_filled, file_attached,
    ready_to_send,
    name_told, handed_over, place_held, booked_at_a_counter, booked_with_a_helper, sent, accepted, correction_asked,
    visit_asked, visit_asked_and_booked, wished_and_booked,
)  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_from_every_step_every_channel_goes_on_with_everything(place: Place, step: Step) -> None:
    """Seen to fail with a `state_after` that forgets what was sent."""
    case = await step(place)
    case_id = case_id_of(case)
    numbers = await place.house.town.rows("SELECT number, state, due_at FROM routing.application ORDER BY number")
    cases = await place.scalar("SELECT count(*) FROM routing.case_file")
    before, own, booked = await place.given(case), await place.own(), await place.booked(case)
    origin, _ = await place.case_now(case)
    first = await place.scalar("SELECT count(*) FROM routing.case_switch WHERE case_id = $1", case_id)
    done = 0
    for channel in ROUNDS[origin]:
        if not await is_offered(place, case, channel):
            continue
        await place.switch(place.resident, case, channel)
        done += 1
        assert await place.given(case) == before, (step.__name__, channel)
        assert await place.own() == own, (step.__name__, channel)
        await nothing_is_asked_again(place, case, channel, before)
        # A place that was only chosen is everybody's again; what was booked stays until the other way is done.
        assert await place.held() == 0
        if not numbers:
            assert await place.booked(case) == booked
    assert done >= len(CHANNELS), "it goes both ways"
    switches = await place.scalar("SELECT count(*) FROM routing.case_switch WHERE case_id = $1", case_id)
    assert switches - first == done
    assert await place.scalar("SELECT count(*) FROM routing.case_file") == cases, "one case"
    after = await place.house.town.rows("SELECT number, state, due_at FROM routing.application ORDER BY number")
    assert after == numbers, "the office goes on as before"
    await place.resident.get(f"{case}/ways")
    said = await place.scalar("SELECT count(*) FROM routing.case_switch WHERE case_id = $1 AND said = 'self'", case_id)
    assert place.resident.text.count("ご本人が変えました") == said >= done
    await assert_every_use_was_approved(place.house.town.services["routing"].db)
    await place.house.every_chain_holds()


async def is_offered(place: Place, case: str, channel: str) -> bool:
    """Whether the page of the ways has the button; what a procedure cannot be done by is no button."""
    await place.resident.get(f"{case}/ways")
    assert place.resident.page.status_code == OK, place.resident.text[-1500:]
    return any(("channel", channel) in form.buttons for form in read_forms(place.resident.text))


# What the page says of itself: raised by each change.
PAGES_OWN = ("version", "seen")


async def nothing_is_asked_again(place: Place, case: str, channel: str, given: dict[str, str]) -> None:
    """The next page knows what was said: the form is filled in, and who said their name hands it over."""
    number = await place.house.town.rows("SELECT number FROM routing.application WHERE case_id = $1", case_id_of(case))
    if channel != "online":
        await place.resident.get(case)
        booked = await place.scalar(
            "SELECT count(*) FROM routing.appointment "
            "WHERE case_id = $1 AND state = 'booked' AND (helper = 'none') = $2",
            case_id_of(case),
            channel == "counter",
        )
        if booked:
            # What was booked by this channel before stands there still.
            assert place.resident.path == f"{case}/thread"
            return
        knows = await place.scalar(
            "SELECT reach IS NOT NULL FROM routing.case_file WHERE case_id = $1", case_id_of(case)
        )
        assert place.resident.path == f"{case}/{'handover' if knows else 'you'}"
        if knows and "お名前" in given:
            assert given["お名前"] in place.resident.text
        return
    if number:
        await place.resident.get(f"/applications/{number[0]['number']}")
        assert "送った内容" in place.resident.text
        return
    await place.resident.get(f"{case}/form")
    fields = {name: text for name, text in place.resident.form("/form").fields.items() if name not in PAGES_OWN}
    if "お名前" in given:
        assert fields["name"] == given["お名前"]
    if "生年月日" in given:
        assert all(fields[key] for key in HALF if not key.endswith("_era"))
    assert place.forms.setdefault(case, fields) == fields, "as it was the first time"
