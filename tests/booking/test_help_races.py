"""Racers around a request for help: two matchers, a resident who takes the place, who withdraws meanwhile."""

import asyncio
import contextlib
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError

from services.booking.commands import help_matching
from services.booking.commands.help_requests import withdraw_request
from shared.errors import Refusal
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_town import HelpTown, open_for_help, wish
from tests.booking.helpers_town import HALL, PHONE_HELP, SATO, TANAKA
from tests.booking.test_helpers import COORDINATOR

WAIT_S = 0.5


@pytest_asyncio.fixture
async def helps(town_after: TownAfter) -> HelpTown:
    """A town with one helper, whose places are all there is."""
    helps = HelpTown(await town_after(open_for_help))
    await helps.helper()
    return helps


async def together(*deeds: Any) -> list[Any]:
    return await asyncio.gather(*deeds, return_exceptions=True)


def meet(monkeypatch: pytest.MonkeyPatch, name: str, *, before: bool, parties: int = 2) -> None:
    """Whoever calls this of `help_matching` waits a moment there for the others, so that they come at once."""
    barrier, real = asyncio.Barrier(parties), getattr(help_matching, name)

    async def wait() -> None:
        with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
            await asyncio.wait_for(barrier.wait(), WAIT_S)

    async def met(*given: Any, **named: Any) -> Any:
        if before:
            await wait()
        result = await real(*given, **named)
        if not before:
            await wait()
        return result

    monkeypatch.setattr(help_matching, name, met)


async def test_two_matchers_plan_each_request_once(helps: HelpTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail without the lock `_ALONE` and the two unique indexes of plans: two plans for each request."""
    for number in range(4):
        await helps.ask(f"guest-{number}")
    meet(monkeypatch, "list_wanted", before=False)
    await together(helps.plan(), helps.plan())
    rows = await helps.town.rows("SELECT request_id, slot_id FROM booking.help_match")
    assert len(rows) == len({row.request_id for row in rows}) == 4  # type: ignore[attr-defined]
    assert len({row.slot_id for row in rows}) == 4, "one helper, four times"  # type: ignore[attr-defined]


async def test_a_plan_is_carried_out_once(helps: HelpTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the request, and finds the plan carried out."""
    await helps.helper(SATO)
    request_id = await helps.ask()
    (plan,) = await helps.plan()
    meet(monkeypatch, "lock_request", before=True)
    assert await together(helps.carry_out(plan), helps.carry_out(plan)) == [None, None]
    assert len(await helps.requests()) == 1
    assert await helps.state(request_id) == ("open", True)


@pytest.mark.parametrize("round_no", range(4))
async def test_a_resident_and_a_plan_want_the_same_place(helps: HelpTown, round_no: int) -> None:
    """Exactly one of them has the helper then; the other finds another time, or looks for one."""
    request_id = await helps.ask()
    (plan,) = await helps.plan()
    slot_id = (await helps.town.rows("SELECT slot_id FROM booking.help_match"))[0].slot_id  # type: ignore[attr-defined]
    visit_id = await helps.town.visit("faster", procedure=PHONE_HELP, channel="helper")

    async def choose() -> None:
        await helps.town.hold(visit_id, "faster", slot_id)
        await helps.town.book(visit_id, "faster")

    deeds = (choose(), helps.carry_out(plan)) if round_no % 2 else (helps.carry_out(plan), choose())
    outcomes = await together(*deeds)
    assert all(outcome is None or isinstance(outcome, Refusal) for outcome in outcomes), outcomes
    rows = await helps.town.rows("SELECT slot_id FROM booking.appointment WHERE state = 'booked'")
    assert [row.slot_id for row in rows] == [slot_id]  # type: ignore[attr-defined]
    lost = any(isinstance(outcome, Refusal) for outcome in outcomes)
    assert await helps.state(request_id) == ("open", lost)


async def test_who_withdraws_while_a_helper_is_asked_has_no_appointment(
    helps: HelpTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail when `lock_request` does not lock: the asking is undone by the trigger; and without that as well,
    the appointment stays, and its helper comes for nobody."""
    request_id = await helps.ask()
    (plan,) = await helps.plan()
    meet(monkeypatch, "_ask", before=True)
    asking = asyncio.ensure_future(helps.carry_out(plan))
    await asyncio.sleep(WAIT_S / 2)
    assert await together(asking, helps.withdraw(request_id)) == [None, None]
    assert await helps.state(request_id) == ("withdrawn", False)
    assert not await helps.town.rows("SELECT 1 FROM booking.appointment WHERE state = 'booked'")
    assert not [row for row in await helps.requests() if row.state in ("asked", "accepted")]


@pytest.mark.parametrize("answer", ["accept", "decline"])
async def test_who_withdraws_while_their_helper_answers(helps: HelpTown, answer: Any) -> None:
    """Either they are met, and cancel that, or nobody comes: never an appointment without its request."""
    request_id = await helps.ask()
    await helps.match()
    await together(helps.answer(TANAKA, answer), helps.withdraw(request_id))
    state, has_appointment = await helps.state(request_id)
    rows = await helps.town.rows("SELECT 1 FROM booking.appointment WHERE state = 'booked'")
    assert (state, has_appointment, len(rows)) in (("met", True, 1), ("withdrawn", False, 0))


async def test_two_coordinators_choose_for_the_same_request(helps: HelpTown) -> None:
    await helps.helper(SATO)
    request_id = await helps.ask(wanted=wish())
    slot_id = (await helps.town.slots(HALL))[0].slot_id

    async def choose(helper_ref: str) -> None:
        async with helps.town.db.begin(TOWN) as session:
            await help_matching.assign_request(
                session, COORDINATOR, request_id, helper_ref, slot_id, helps.town.keys, now=helps.town.now
            )

    outcomes = await together(choose(SATO), choose(TANAKA))
    assert all(outcome is None or isinstance(outcome, Refusal | DBAPIError) for outcome in outcomes), outcomes
    live = [row for row in await helps.requests() if row.state == "asked"]
    assert len(live) == 1
    assert (await helps.request(request_id)).appointment_id == live[0].appointment_id


async def test_withdrawing_and_the_deadline_end_it_once(helps: HelpTown) -> None:
    await helps.change_helper(signs=False)
    request_id: UUID = await helps.ask(wanted=wish(sign_need="needed"))
    until = (await helps.request(request_id)).until
    helps.at(until)

    async def withdraw() -> None:
        async with helps.town.db.begin(TOWN) as session:
            await withdraw_request(session, TOWN, request_id, now=until)

    await together(helps.deadline(request_id), withdraw())
    states = [each["state"] for each in await helps.facts("help_request_progressed")]
    assert states in (["open", "withdrawn"], ["open", "unmet", "withdrawn"])
