"""A draw that is called off: nothing is drawn, everybody is told, its places are everybody's; and only in time."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.booking.commands.changes import CancelAppointment, cancel_appointment
from services.booking.commands.draw_calling_off import call_off_draw
from services.booking.queries.draws import list_open_draws
from shared.clock import jst_day
from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.events.booking import AppointmentBooked, DrawEntryProgressed, SealedTicket
from shared.reference_number import show_number
from tests.booking.conftest import CHILD, TOWN, BookingTown
from tests.booking.draws_town import FIRST, MANAGER, SEATS, WINDOW, announce, close, do_what_is_due, enter, record_of


async def call_off(town: BookingTown, draw_id: UUID) -> None:
    async with town.db.begin(TOWN) as session:
        await call_off_draw(session, MANAGER, draw_id, town.keys, now=town.now)


async def told(town: BookingTown) -> list[tuple[str, DrawEntryProgressed]]:
    """Each ticket, as notifications opens it, and what is told of it."""
    key, known = town.environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], town.environ["CHOUDO_BOX_PUBLIC_KEYS"]
    box = ServiceBox.from_settings(key, known)
    rows: list[Any] = await town.rows(
        "SELECT payload, sealed FROM booking.outbox"
        " WHERE type = 'booking.draw_entry_progressed.v1' ORDER BY occurred_at"
    )
    return [
        (
            msgspec.msgpack.decode(box.open_from("booking", "ticket", row.sealed), type=SealedTicket).ticket,
            msgspec.json.decode(row.payload, type=DrawEntryProgressed),
        )
        for row in rows
    ]


async def test_called_off_everybody_is_told_and_the_places_are_everybodys(town: BookingTown) -> None:
    draw_id = await announce(town)
    tickets = {await enter(town, draw_id, guest) for guest in ("one", "two")}
    day = jst_day(town.now + FIRST)
    before = sum(slot.free for slot in await town.slots(day=day))
    town.now += WINDOW - timedelta(seconds=1)
    await call_off(town, draw_id)
    await call_off(town, draw_id)
    assert sum(slot.free for slot in await town.slots(day=day)) == before + SEATS
    [places] = await town.rows("SELECT count(*) AS n FROM booking.place WHERE audience = 'draw'")
    assert places.n == 0  # type: ignore[attr-defined]
    events = await told(town)
    assert {ticket for ticket, _ in events} == tickets
    assert {(event.state, event.aggregate_version, event.procedure, event.office) for _, event in events} == {
        ("called_off", 1, CHILD, "子育て")
    }
    # In bulk, and once.
    deliveries = await town.rows(
        "SELECT bulk FROM booking.delivery JOIN booking.outbox USING (municipality, event_id)"
        " WHERE type = 'booking.draw_entry_progressed.v1'"
    )
    assert [row.bulk for row in deliveries] == [True, True]  # type: ignore[attr-defined]
    await close(town)
    assert await town.rows("SELECT 1 FROM booking.draw_result") == []
    record = await record_of(town, draw_id)
    assert (record.seed, record.drawn_at, record.called_off_at is not None) == (None, None, True)
    [row] = await town.rows("SELECT wrapped_key FROM booking.draw")
    assert row.wrapped_key is None  # type: ignore[attr-defined]
    deeds = await town.rows("SELECT 1 FROM booking.audit WHERE action = 'draw-call-off'")
    assert len(deeds) == 1


@pytest.mark.parametrize("after", [WINDOW, WINDOW + timedelta(hours=1)])
async def test_nothing_is_called_off_when_nobody_can_enter_any_more(town: BookingTown, after: timedelta) -> None:
    """It would be choosing. The database says so, too: seen to fail without `draw_guard_late`."""
    draw_id = await announce(town)
    await enter(town, draw_id, "guest")
    town.now += after
    with pytest.raises(Refusal) as refused:
        await call_off(town, draw_id)
    assert refused.value.code == "draw_decided"
    with pytest.raises(DBAPIError, match="nobody can enter any more"):
        async with town.db.begin(TOWN) as session:
            await session.execute(
                text("UPDATE draw SET state = 'called_off', called_off_at = CAST(:now AS timestamptz)"),
                {"now": town.now},
            )
    await do_what_is_due(town)
    with pytest.raises(Refusal):
        await call_off(town, draw_id)
    assert len(await town.rows("SELECT 1 FROM booking.appointment")) == 1


async def test_what_was_called_off_stays_so(town: BookingTown) -> None:
    draw_id = await announce(town)
    await call_off(town, draw_id)
    with pytest.raises(DBAPIError, match="does not change"):
        async with town.db.begin(TOWN) as session:
            await session.execute(text("UPDATE draw SET state = 'announced', called_off_at = NULL"))
    with pytest.raises(Refusal) as refused:
        await enter(town, draw_id, "guest")
    assert refused.value.code == "draw_closed"
    async with town.db.begin(TOWN) as session:
        assert await list_open_draws(session, TOWN, CHILD, now=town.now) == []


async def test_the_pages_say_so_and_a_manager_confirms_it(town: BookingTown) -> None:
    draw_id = await announce(town)
    ticket = await enter(town, draw_id, "guest")
    path = f"/counter/draws/{draw_id}/call-off"
    async with town.browser("boss", kind="staff", roles=("manager",)) as browser:
        assert path in (await browser.get("/counter/draws")).text
        page = await browser.get(path)
        assert "年末の特別相談" in page.text
        answer = await browser.post(path, data={})
        assert answer.status_code == 303
        assert "抽選を取りやめました" in (await browser.get(answer.headers["location"])).text
        # Pressed again, it is what it was.
        assert (await browser.post(path, data={})).status_code == 303
    async with town.browser("guest") as browser:
        assert "取りやめになりました" in (await browser.get(f"/booking/draws/{draw_id}")).text
        own = await browser.get(f"/booking/draws/{draw_id}/entries/{ticket}")
        assert "取りやめになりました" in own.text
        assert show_number(ticket) in own.text
        assert "申し込みを取り消す" not in own.text


async def test_who_did_not_win_is_told_and_who_wins_after_all_too(town: BookingTown) -> None:
    draw_id = await announce(town)
    for number in range(SEATS + 2):
        await enter(town, draw_id, f"guest{number}")
    await close(town)
    lost = await told(town)
    record = await record_of(town, draw_id)
    waiting = [each.ticket for each in record.result if each.session_id is None]
    assert sorted(ticket for ticket, _ in lost) == sorted(waiting)
    assert {(event.state, event.aggregate_version) for _, event in lost} == {("lost", 1)}
    booked = await town.rows("SELECT payload FROM booking.outbox WHERE type = 'booking.appointment_booked.v1'")
    events = [msgspec.json.decode(row.payload, type=AppointmentBooked) for row in booked]  # type: ignore[attr-defined]
    assert [event.drawn for event in events] == [True] * SEATS
    # One gives their seat back.
    async with town.db.begin(TOWN) as session:
        order = CancelAppointment(
            municipality=TOWN, appointment_id=events[0].appointment_id, version=1, key="cannot come"
        )
        await cancel_appointment(session, order, now=town.now)
    await do_what_is_due(town)
    won = [(ticket, event.aggregate_version) for ticket, event in await told(town) if event.state == "won"]
    assert won == [(waiting[0], 2)]


async def test_the_slots_of_a_draw_that_was_called_off_can_be_drawn_again(town: BookingTown) -> None:
    """Seen to fail before: a slot was in one draw for ever, and there were no seats for another one (0027)."""
    first = await announce(town)
    await enter(town, first, "early")
    await call_off(town, first)
    second = await announce(town)
    tickets = {await enter(town, second, guest) for guest in ("early", "late")}
    with pytest.raises(Refusal) as refused:
        await announce(town)
    assert refused.value.code == "draw_no_seats"
    await close(town)
    old, new = await record_of(town, first), await record_of(town, second)
    assert [each.session_id for each in old.sessions] == [each.session_id for each in new.sessions]
    assert (old.seed, {each.ticket for each in new.result}) == (None, tickets)
    # A seat that is given back is passed on in the draw that gave it out.
    [won, _] = await town.rows("SELECT appointment_id FROM booking.appointment ORDER BY booked_at, number")
    order = CancelAppointment(municipality=TOWN, appointment_id=won.appointment_id, version=1, key="no")  # type: ignore[attr-defined]
    async with town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=town.now)
    due = await town.rows("SELECT ref FROM booking.due WHERE kind = 'draw_pass_on'")
    assert [row.ref for row in due] == [str(second)]  # type: ignore[attr-defined]
