"""A procedure with a notice and a horizon of its own: what holds, moves and shows keeps to them."""

from datetime import date, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from services.booking.commands.availability import publish_availability
from services.booking.commands.changes import ChangeAppointment, change_appointment
from services.booking.domain.rules import Policy, policy_for
from services.booking.queries.slots import OpenSlot
from shared.clock import JST
from shared.errors import Refusal
from tests.booking.conftest import CHILD, TOWN, BookingTown
from tests.booking.test_free_times import cells_of, offer, slots_of

TWO_DAYS_MIN = 2 * 24 * 60


@pytest.mark.parametrize(
    ("notice_min", "horizon_days", "kept"),
    [
        (None, None, (60, 45)),
        (0, None, (0, 45)),
        (TWO_DAYS_MIN, 30, (TWO_DAYS_MIN, 30)),
        # Beyond the town's horizon there are no times.
        (None, 90, (60, 45)),
    ],
)
def test_what_a_procedure_does_not_say_is_the_town_s(
    notice_min: int | None, horizon_days: int | None, kept: tuple[int, int]
) -> None:
    town = Policy(cancel_until_min=5, hold_min=7)
    own = policy_for(town, notice_min=notice_min, horizon_days=horizon_days)
    assert (own.notice_min, own.horizon_days) == kept
    assert (own.cancel_until_min, own.hold_min) == (5, 7)


async def at(town: BookingTown, moment: datetime) -> OpenSlot:
    return next(slot for slot in await town.slots() if slot.starts_at == moment)


async def refused(town: BookingTown, slot: OpenSlot) -> Refusal:
    guest = uuid4().hex
    with pytest.raises(Refusal) as raised:
        await town.hold(await town.visit(guest), guest, slot.slot_id)
    return raised.value


async def test_a_hold_keeps_to_the_procedure_s_own_notice_and_horizon(town: BookingTown) -> None:
    """Seen to fail without `policy_for` in `hold_place`."""
    await offer(town, notice_min=TWO_DAYS_MIN, horizon_days=4)
    # 9:00 on the third day begins exactly two days from now; the fifth day is the last.
    first, last = datetime(2026, 6, 3, 9, 0, tzinfo=JST), datetime(2026, 6, 5, 16, 30, tzinfo=JST)
    too_soon = await refused(town, await at(town, first - timedelta(minutes=30)))
    assert (too_soon.code, too_soon.details["notice_min"]) == ("slot_too_soon", TWO_DAYS_MIN)
    too_far = await refused(town, await at(town, datetime(2026, 6, 8, 8, 30, tzinfo=JST)))
    assert (too_far.code, too_far.details["last_day"]) == ("slot_too_far", "2026-06-05")
    for moment in (first, last):
        guest = uuid4().hex
        held = await town.hold(await town.visit(guest), guest, (await at(town, moment)).slot_id)
        assert held.starts_at == moment
    # The other procedure of the counters keeps to the town's.
    await town.booked("other", procedure="RES02")


async def test_a_shorter_notice_than_the_town_s_counts_too(town: BookingTown) -> None:
    await offer(town, notice_min=0)
    town.now = datetime(2026, 6, 1, 9, 15, tzinfo=JST)
    async with town.browser() as browser:
        page = (await browser.get(f"/booking/visits/{await town.visit('guest')}")).text
    assert "今日 午前9時30分" in page


async def test_pages_api_and_alternatives_show_what_can_be_booked_and_say_until_when(town: BookingTown) -> None:
    await offer(town, notice_min=TWO_DAYS_MIN, horizon_days=4)
    visit_id = await town.visit("guest")
    visit = f"/booking/visits/{visit_id}"
    async with town.browser() as browser:
        page = (await browser.get(visit)).text
        cells = cells_of(page)
        assert cells[2] == "6/ 2 火 受付終了"
        assert cells[3] == "6/ 3 水 のこり32"
        assert cells[8] == "6/ 8 月 予約できません"
        assert "6月3日（水）の時間" in page
        assert "6月5日（金）までの日を予約できます。" in page
        assert "始まる2日前までに予約してください" in page
        listed = (await browser.get(f"{visit}?view=list")).text
        first = await at(town, datetime(2026, 6, 3, 9, 0, tzinfo=JST))
        assert slots_of(listed)[0] == str(first.slot_id)
        told = (await browser.get("/booking/api/slots", params={"procedure": CHILD, "days": 30})).json()
        assert {slot["starts_at"][:10] for slot in told} == {"2026-06-03", "2026-06-04", "2026-06-05"}
        for guest in ("one", "two"):
            await town.hold(await town.visit(guest), guest, first.slot_id)
        lost = await browser.post("/booking/api/holds", json={"slot_id": str(first.slot_id), "visit_id": str(visit_id)})
        assert lost.json()["alternatives"][0]["starts_at"].startswith("2026-06-03T00:30")


async def test_moving_keeps_to_them_and_cancelling_to_the_town_s(town: BookingTown) -> None:
    """Seen to fail without `policy_for` in `change_appointment`."""
    booked = await town.booked()
    await offer(town, notice_min=TWO_DAYS_MIN)
    near, far = [await at(town, datetime(2026, 6, day, 10, 0, tzinfo=JST)) for day in (2, 4)]

    async def move(slot: OpenSlot) -> None:
        order = ChangeAppointment(
            municipality=TOWN,
            appointment_id=booked.appointment_id,
            slot_id=slot.slot_id,
            version=1,
            key=uuid4().hex,
        )
        async with town.db.begin(TOWN) as session:
            await change_appointment(session, order, now=town.now)

    with pytest.raises(Refusal, match="slot_too_soon"):
        await move(near)
    async with town.browser() as browser:
        path = f"/booking/appointments/{booked.number}/change"
        assert cells_of((await browser.get(path)).text)[2] == "6/ 2 火 受付終了"
    await move(far)


async def test_the_earliest_time_is_told_for_a_procedure_s_own_window(town: BookingTown) -> None:
    """Seen to fail where only the town's notice is asked for."""

    async def told() -> list[tuple[str | None, dict[str, str | None]]]:
        async with town.db.begin(TOWN) as session:
            await publish_availability(session, TOWN, "7", now=town.now)
        rows = await town.rows(
            """SELECT payload FROM booking.outbox WHERE type = 'booking.availability_changed.v1'
               AND aggregate_id = '7' ORDER BY aggregate_version"""
        )
        events = [msgspec.json.decode(bytes(row.payload)) for row in rows]  # type: ignore[attr-defined]
        return [
            (event["earliest_at"], {each["procedure"]: each["earliest_at"] for each in event["own"]})
            for event in events
        ]

    first = "2026-06-01T00:30:00Z"
    assert await told() == [(first, {})]
    await offer(town, notice_min=TWO_DAYS_MIN)
    assert (await told())[1:] == [(first, {CHILD: "2026-06-03T00:00:00Z"})]
    # Said once, it is said again only when it changes.
    assert len(await told()) == 2
    # Within its own horizon there is nothing for it.
    await offer(town, version=3, notice_min=TWO_DAYS_MIN, horizon_days=1)
    assert (await told())[2:] == [(first, {CHILD: None})]


async def test_who_looks_again_does_so_when_an_own_earliest_time_passes(town: BookingTown) -> None:
    """Two days before the third day's first time nobody can book it any more."""
    await offer(town, notice_min=TWO_DAYS_MIN)
    town.now = datetime(2026, 6, 1, 8, 29, 50, tzinfo=JST)
    async with town.db.begin(TOWN) as session:
        next_look = await publish_availability(session, TOWN, "7", now=town.now)
    assert next_look == datetime(2026, 6, 1, 8, 30, 1, tzinfo=JST)


async def test_a_catalogue_of_before_has_neither(town: BookingTown) -> None:
    rows = await town.rows("SELECT DISTINCT notice_min, horizon_days FROM booking.procedure")
    assert [tuple(row) for row in rows] == [(None, None)]  # type: ignore[arg-type]
    assert (await town.slots(day=date(2026, 6, 1)))[0].starts_at == datetime(2026, 6, 1, 9, 30, tzinfo=JST)
