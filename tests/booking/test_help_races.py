"""Racers around a request for help: two matchers, a resident who takes the place, who withdraws meanwhile."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError

from services.booking.commands import help_matching, help_requests
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


def meet(
    monkeypatch: pytest.MonkeyPatch, name: str, *, before: bool, module: ModuleType = help_matching
) -> Callable[[], Awaitable[None]]:
    """Whoever calls this of `module` waits a moment there for another one, so that they come at once.

    Returns how somebody comes there by another way.
    """
    barrier, real = asyncio.Barrier(2), getattr(module, name)

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

    monkeypatch.setattr(module, name, met)
    return wait


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
    """The second one waits for the request, and finds the plan carried out: it does nothing.

    Seen to fail when `lock_request` does not lock: the second finds the helper busy, and takes the request for one
    whose plan failed. And when the helper is not looked at either (`_refuse_busy`), the constraint undoes it.
    """
    await helps.helper(SATO)
    request_id = await helps.ask()
    (plan,) = await helps.plan()
    meet(monkeypatch, "lock_request", before=True)
    assert await together(helps.carry_out(plan), helps.carry_out(plan)) == [None, None]
    assert len(await helps.requests()) == 1
    assert await helps.state(request_id) == ("open", True)
    assert (await helps.request(request_id)).plans_dropped == 0


@pytest.mark.parametrize("round_no", range(4))
async def test_a_resident_and_a_plan_want_the_same_place(
    helps: HelpTown, monkeypatch: pytest.MonkeyPatch, round_no: int
) -> None:
    """Exactly one of them has the helper then; the other finds another time, or looks for one.

    Seen to fail when who holds a place does not skip what another has locked (`commands/holds.py`): the constraint
    `place_one_taker` undoes the one who books first.
    """
    request_id = await helps.ask()
    (plan,) = await helps.plan()
    slot_id = (await helps.town.rows("SELECT slot_id FROM booking.help_match"))[0].slot_id  # type: ignore[attr-defined]
    visit_id = await helps.town.visit("faster", procedure=PHONE_HELP, channel="helper")

    come = meet(monkeypatch, "hold_place", before=True)

    async def choose() -> None:
        await come()
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
async def test_who_withdraws_while_their_helper_answers(
    helps: HelpTown, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    """Either they are met, and cancel that, or nobody comes: never an appointment without its request.

    Seen to fail when `lock_request` does not lock the appointment first: they wait in a circle; and when it does not
    lock the request either, the owner is told of an appointment that ends without a word.
    """
    request_id = await helps.ask()
    await helps.match()
    meet(monkeypatch, "_end", before=True, module=help_requests)
    withdrawing = asyncio.ensure_future(helps.withdraw(request_id))
    await asyncio.sleep(WAIT_S / 2)
    outcomes = await together(helps.answer(TANAKA, answer), withdrawing)
    assert all(outcome is None or isinstance(outcome, Refusal) for outcome in outcomes), outcomes
    state, has_appointment = await helps.state(request_id)
    rows = await helps.town.rows("SELECT 1 FROM booking.appointment WHERE state = 'booked'")
    assert (state, has_appointment, len(rows)) in (("met", True, 1), ("withdrawn", False, 0))
    assert bool(await helps.facts("appointment_booked")) == (state == "met"), "told of what there is, and only of that"


async def test_two_coordinators_choose_for_the_same_request(helps: HelpTown) -> None:
    """Seen to fail when `lock_request` does not lock: both helpers are asked for it."""
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


async def test_withdrawing_and_the_deadline_end_it_once(helps: HelpTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail when `lock_request` does not lock: it is ended twice."""
    await helps.change_helper(signs=False)
    request_id: UUID = await helps.ask(wanted=wish(sign_need="needed"))
    until = (await helps.request(request_id)).until
    helps.at(until)

    async def withdraw() -> None:
        async with helps.town.db.begin(TOWN) as session:
            await withdraw_request(session, TOWN, request_id, now=until)

    meet(monkeypatch, "_end", before=True, module=help_requests)
    withdrawing = asyncio.ensure_future(withdraw())
    await asyncio.sleep(WAIT_S / 2)
    assert await together(helps.deadline(request_id), withdrawing) == [None, None]
    states = [each["state"] for each in await helps.facts("help_request_progressed")]
    assert states == ["open", "withdrawn"], "nobody is told that nobody was found for what they have withdrawn"
