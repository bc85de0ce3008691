"""A case that goes on at another device stays one person's: nobody's things pass between the two who have it."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from services.routing.domain.devices import DEVICE_LIFETIME
from shared.tokens import TOKEN_LIFETIME
from tests.routing.applying import CHI02_FORM, apply, fill_in, reuse
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NAME
from tests.routing.test_devices import began, make_link

NewVisitor = Callable[..., Visitor]


async def reused(visitor: Visitor) -> str:
    """A case in which nothing is typed: what an earlier one holds was approved for it."""
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case)
    return case


async def test_another_device_does_not_say_whose_a_case_is(visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without the look at `guest_ref` in `may_choose_person`: the owner's things were offered there."""
    case = await reused(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    for person in ("new", "me"):
        assert (await other.post(f"{case}/person", {"person": person})).status_code == httpx.codes.CONFLICT
    assert NAME not in (await other.get(f"{case}/family")).text
    assert (await visitor.get(f"{case}/form")).status_code == httpx.codes.OK


async def test_said_anew_whose_a_case_is_no_other_device_has_it(visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without `forget_devices` in `choose_person`: the other went on with a case that was nobody's yet."""
    case = await reused(visitor)
    link = (await make_link(visitor, case))[0]
    other = await began(new_visitor, case, link)
    theirs = await fill_in(other, name="山田 花子")
    unused = (await make_link(visitor, case))[0]
    assert (await visitor.post(f"{case}/person", {"person": "me"})).status_code == httpx.codes.SEE_OTHER
    assert (await other.get(f"{case}/form")).status_code == httpx.codes.NOT_FOUND
    assert (await other.post(f"{case}/form", CHI02_FORM)).status_code == httpx.codes.NOT_FOUND
    assert (await new_visitor().get(unused)).status_code == httpx.codes.NOT_FOUND
    page = await visitor.get(f"{case}/reuse")
    assert "山田 花子" not in page.text
    assert (await other.get(f"{theirs}/check")).status_code == httpx.codes.OK


async def test_what_is_given_anew_in_another_case_another_device_does_not_see(
    visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail without the versions in `fill_form`, and without the look at `guest_ref` in `passable_items`."""
    anew = "高橋 夏子"
    case = await visitor.open_case()
    await visitor.post(f"{case}/you", {"name": NAME, "kana": "ヨシダ ハルコ", "reach": "none"})
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    assert NAME in (await other.get(f"{case}/you")).text
    later = await visitor.open_case()
    answer = await visitor.post(f"{later}/you", {"name": anew, "kana": "タカハシ ナツコ", "reach": "none"})
    assert answer.headers["location"] == f"{later}/handover", answer.text
    you = await other.get(f"{case}/you")
    assert NAME in you.text
    handover = await other.get(f"{case}/handover")
    assert handover.status_code == httpx.codes.OK, handover.headers
    for page in (you, handover):
        assert anew not in page.text
    assert anew in (await visitor.get(f"{case}/handover")).text


@pytest.mark.parametrize(("late", "status"), [(timedelta(seconds=-1), 200), (timedelta(0), 404)])
async def test_a_device_loses_the_case_with_its_time_though_nothing_due_is_worked_off(
    visitor: Visitor, new_visitor: NewVisitor, clock: TestClock, late: timedelta, status: int
) -> None:
    """To the second, in the middle of a token's life. Seen to fail without `expires_at` in `opened_at_device`, and in
    the list of `/my`."""
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    clock.move(DEVICE_LIFETIME - TOKEN_LIFETIME / 2)
    answer = await other.get(f"{case}/form")
    while answer.status_code == httpx.codes.SEE_OTHER:
        answer = await other.get(answer.headers["location"])
    clock.move(TOKEN_LIFETIME / 2 + late)
    assert (await other.get(f"{case}/form")).status_code == status
    assert (case in (await other.get("/my")).text) is (status == httpx.codes.OK)
