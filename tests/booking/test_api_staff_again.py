"""What staff, helpers and machines send again: the same key is the same answer, and nothing happens twice."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.erasure import erase_subject
from services.booking.commands.kiosk import AHEAD_MAX, TICKETS_MAX
from services.booking.flow import Rush
from shared.db import Database
from tests.booking.closing_town import close
from tests.booking.conftest import CHILD, TOWN, BookingTown
from tests.booking.helpers_town import SUZUKI, TANAKA, HelperTown
from tests.booking.test_api import KEY, manager, problem
from tests.booking.test_api_staff import DRAWS, HELPERS, KIOSK, LINE, ROSTER, SYSTEM, WEBHOOKS, draw, once, own
from tests.booking.test_kiosk import at, machine, open_town
from tests.booking.webhook_receiver import deliveries, receiving, sending


async def asked_of(helpers: HelperTown) -> str:
    """A request of tanaka's; suzuki could come, too."""
    await helpers.open()
    await helpers.helper()
    await helpers.hear(helpers.account(SUZUKI))
    await helpers.book()
    async with own(helpers) as browser:
        [asked] = (await browser.get(f"{HELPERS}/requests")).json()
    return str(asked["assignment_id"])


async def test_who_was_asked_instead_and_the_answer_lost_is_asked_once(bare_town: BookingTown) -> None:
    """Seen to fail (`request_over`) without the key."""
    helpers = HelperTown(bare_town)
    path = f"{ROSTER}/requests/{await asked_of(helpers)}/reassign"
    async with bare_town.browser("coord", kind="staff", roles=("coordinator",)) as browser:
        for _ in range(2):
            answer = await browser.post(path, json={"helper_ref": SUZUKI}, headers=once("a"))
            assert answer.status_code == 204, answer.text
        other = await browser.post(path, json={"helper_ref": TANAKA}, headers=once("a"))
        assert problem(other) == (422, "key_reused")
    assert (await helpers.states())[SUZUKI] == "asked"


async def test_a_helpers_answer_is_one_answer(bare_town: BookingTown) -> None:
    """Seen to fail (the second answer under the key was taken, the repeated one refused) without it."""
    helpers = HelperTown(bare_town)
    path = f"{HELPERS}/requests/{await asked_of(helpers)}/answer"
    async with own(helpers) as browser:
        assert (await browser.post(path, json={"answer": "accept"}, headers=once("a"))).status_code == 204
        assert problem(await browser.post(path, json={"answer": "decline"}, headers=once("a"))) == (422, "key_reused")
        assert (await browser.post(path, json={"answer": "decline"}, headers=once("b"))).status_code == 204
        # Late, when it is somebody else's already.
        for said, key in (("accept", "a"), ("decline", "b")):
            assert (await browser.post(path, json={"answer": said}, headers=once(key))).status_code == 204
        assert problem(await browser.post(path, json={"answer": "accept"}, headers=once())) == (409, "request_over")
    assert (await helpers.states())[TANAKA] == "declined"


async def test_a_late_repeat_does_not_pause_a_system_again(town: BookingTown) -> None:
    """Seen to fail without the key: it was paused again, and tried twice."""
    async with manager(town) as browser, receiving() as receiver, sending(town) as loop:
        made = await browser.post(WEBHOOKS, json=SYSTEM, headers=once())
        path = f"{WEBHOOKS}/{made.json()['endpoint_id']}"
        for state, key in (("paused", "a"), ("active", "b"), ("paused", "a")):
            answer = await browser.post(f"{path}/state", json={"state": state}, headers=once(key))
            assert answer.status_code == 200
        assert (await browser.get(path)).json()["endpoint"]["state"] == "active"
        other = await browser.post(f"{path}/state", json={"state": "active"}, headers=once("a"))
        assert problem(other) == (422, "key_reused")
        async with town.database.owner_engine("booking").begin() as connection:
            await connection.exec_driver_sql(f"UPDATE booking.webhook_endpoint SET url = '{receiver.url}'")
        for _ in range(2):
            assert (await browser.post(f"{path}/test", headers=once("t"))).status_code == 204
            await loop.run_once()
        assert len(await deliveries(town)) == 1


# --- the ticket machine ---


async def test_the_last_ticket_is_given_again_when_its_answer_was_lost(bare_town: BookingTown) -> None:
    """Seen to fail (`kiosk_full`, `counter_closed_now`) where the limits are looked at before the key."""
    await open_town(bare_town)
    async with machine(bare_town) as lobby:
        for _ in range(TICKETS_MAX - 1):
            await lobby.post(f"{KIOSK}/tickets", json={"procedure": CHILD}, headers=once())
        last = await lobby.post(f"{KIOSK}/tickets", json={"procedure": CHILD}, headers=once("last"))
        assert last.status_code == 201
        full = await lobby.post(f"{KIOSK}/tickets", json={"procedure": CHILD}, headers=once())
        assert problem(full) == (409, "kiosk_full")
        await close(bare_town)
        again = await lobby.post(f"{KIOSK}/tickets", json={"procedure": CHILD}, headers=once("last"))
        assert (again.status_code, again.json()) == (201, last.json())


async def test_of_many_at_once_the_machine_gives_no_more_than_it_may(bare_town: BookingTown) -> None:
    """Times, and tickets. Seen to fail without the lock, and where the statement that waits for it also counts."""
    town = bare_town
    await open_town(town, places=50, kiosk=50)
    ticket = {"procedure": CHILD}
    time = ticket | {"slot_id": str(await at(town))}
    async with machine(town) as lobby:
        for path, body, most in ((f"{KIOSK}/appointments", time, AHEAD_MAX), (f"{KIOSK}/tickets", ticket, TICKETS_MAX)):
            for _ in range(most - 1):
                assert (await lobby.post(path, json=body, headers=once())).status_code == 201
            answers = await asyncio.gather(*(lobby.post(path, json=body, headers=once()) for _ in range(8)))
            assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7, path


async def test_a_time_asked_for_again_is_what_was_given_and_not_what_became_of_it(bare_town: BookingTown) -> None:
    """Seen to fail (the code of a cancelled appointment was told; the new time of one that was moved)."""
    town = bare_town
    await open_town(town)
    wanted = {"procedure": CHILD, "slot_id": str(await at(town))}
    async with machine(town) as lobby, town.browser(None) as person:
        given = (await lobby.post(f"{KIOSK}/appointments", json=wanted, headers=once("s"))).json()
        await person.post("/booking/api/access", json={"number": given["number"], "code": given["code"]})
        mine = f"/booking/api/appointments/{given['number']}"
        found = (await person.get("/booking/api/free", params={"procedure": CHILD, "most": 50})).json()["slots"]
        order = {"slot_id": found[-1]["slot_id"], "version": 1}
        changed = await person.post(f"{mine}/change", json=order)
        assert changed.status_code == 200, changed.text
        again = await lobby.post(f"{KIOSK}/appointments", json=wanted, headers=once("s"))
        assert again.json() == given
        cancelled = await person.post(f"{mine}/cancel", json={"version": changed.json()["version"]})
        assert cancelled.status_code == 200, cancelled.text
        again = await lobby.post(f"{KIOSK}/appointments", json=wanted, headers=once("s"))
        assert (again.status_code, again.json()) == (201, given | {"code": None})


# --- the line ---


async def test_of_two_tablets_with_one_account_one_calls(town: BookingTown) -> None:
    """Seen to fail (both heard that they had called) where the account and the version are the key."""
    await town.booked()
    async with town.staff() as tablet, town.staff() as other:
        [waiting] = (await tablet.get(f"{LINE}/today")).json()
        here = await tablet.post(f"{LINE}/check-in", json={"number": waiting["number"]})
        step, call = f"{LINE}/{waiting['appointment_id']}/step", {"action": "call", "version": here.json()["version"]}
        assert (await tablet.post(step, json=call)).json()["state"] == "called"
        assert problem(await other.post(step, json=call)) == (409, "line_moved")
    kept = await town.rows("SELECT key FROM booking.idempotency WHERE owner LIKE 'staff:%'")
    assert kept == []


async def test_what_staff_were_answered_goes_with_the_person(town: BookingTown) -> None:
    """The number, kept under a key. Seen to fail where only the owner is looked at."""
    booked = await town.booked()
    other = await town.booked("other", slot=1)
    async with town.staff() as clerk:
        for number, key in ((booked.number, "a"), (other.number, "b")):
            here = await clerk.post(f"{LINE}/check-in", json={"number": number}, headers=once(key))
            step = f"{LINE}/{here.json()['appointment_id']}/step"
            call = {"action": "call", "version": here.json()["version"]}
            assert (await clerk.post(step, json=call, headers=once(f"call-{key}"))).status_code == 200
    rows: list[Any] = await town.rows(
        "SELECT subject_ref FROM booking.appointment WHERE appointment_id = :id", id=booked.appointment_id
    )
    async with town.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, rows[0].subject_ref, "resident", now=town.now)
    kept: list[Any] = await town.rows("SELECT key FROM booking.idempotency WHERE owner = 'staff:staff' ORDER BY key")
    assert [row.key for row in kept] == ["b", "call-b"]
    told = await town.rows(
        "SELECT 1 FROM booking.idempotency WHERE response::text LIKE :number", number=f"%{booked.number}%"
    )
    assert told == []


# --- draws, and the calendar ---


async def test_a_draw_asked_for_again_two_days_later_is_the_one_that_was_made(town: BookingTown) -> None:
    """Seen to fail (`draw_window`) where the bounds of today are looked at before the key."""
    order = draw(town, opens_at=(town.now + timedelta(minutes=1)).isoformat())
    async with manager(town) as browser:
        made = await browser.post(DRAWS, json=order, headers=once("a"))
        assert made.status_code == 201, made.text
        town.now += timedelta(hours=47)
    async with manager(town) as browser:
        again = await browser.post(DRAWS, json=order, headers=once("a"))
        assert (again.status_code, again.json()) == (201, made.json())


async def test_an_address_of_a_try_that_was_undone_is_told_to_nobody(
    bare_town: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twin was faster. Seen to fail (an address that opens nothing) where it is kept from one try to the next."""
    helpers = HelperTown(bare_town)
    await helpers.open()
    await helpers.hear(helpers.account())
    run = Rush.run
    twins: list[str] = []

    async def undone_first(
        rush: Rush, db: Database, municipality: str, work: Callable[[AsyncSession], Awaitable[object]]
    ) -> object:
        with suppress(ZeroDivisionError):
            async with db.begin(municipality) as session:
                await work(session)
                raise ZeroDivisionError
        monkeypatch.setattr(Rush, "run", run)
        async with own(helpers) as twin:
            twins.append((await twin.post(f"{HELPERS}/calendar", headers={KEY: "c"})).json()["address"])
        return await run(rush, db, municipality, work)

    monkeypatch.setattr(Rush, "run", undone_first)
    async with own(helpers) as browser:
        told = await browser.post(f"{HELPERS}/calendar", headers={KEY: "c"})
    assert twins[0] is not None
    assert (told.status_code, told.json()) == (201, {"address": None})
