"""Steps that were pressed without network: merged in order, once each, with their own time; or said why not."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.late import AHEAD_MAX, fit_moment
from shared.errors import Refusal
from tests.booking.conftest import FAMILY, MORNING, TOWN, BookingTown
from tests.booking.test_counter import STAFF, step

MERGE = "/booking/api/line/merge"
MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)


def late(action: str, at: datetime, appointment_id: UUID | None = None, version: int | None = None,
         **more: object) -> dict[str, Any]:  # fmt: skip
    """One kept step, under a new key."""
    told = {"key": str(uuid4()), "action": action, "at": at.isoformat(), **more}
    if appointment_id is not None:
        told |= {"appointment_id": str(appointment_id), "version_seen": version}
    return told


async def merge(town: BookingTown, *steps: dict[str, Any], ref: str = "staff") -> list[dict[str, Any]]:
    async with town.staff(ref) as staff:
        answer = await staff.post(MERGE, json={"steps": steps})
        assert answer.status_code == 200, answer.text
        merged: list[dict[str, Any]] = answer.json()
        return merged


async def steps_of(town: BookingTown, appointment_id: UUID) -> list[tuple[str, datetime, datetime]]:
    rows = await town.rows(
        "SELECT action, at, recorded_at FROM booking.line_step WHERE appointment_id = :id ORDER BY version",
        id=appointment_id,
    )
    return [(row.action, row.at, row.recorded_at) for row in rows]  # type: ignore[attr-defined]


async def test_a_visit_without_network_is_merged_with_the_times_at_which_it_happened(town: BookingTown) -> None:
    booked = await town.booked()
    pressed = [town.now + minutes * MINUTE for minutes in (1, 3, 4, 20)]
    town.now += 30 * MINUTE
    actions = ("check-in", "call", "start", "done")
    kept = [
        late(action, at, booked.appointment_id, version)
        for version, (action, at) in enumerate(zip(actions, pressed, strict=True), 1)
    ]
    merged = await merge(town, *kept)
    assert [each["key"] for each in merged] == [each["key"] for each in kept]
    assert [each["stands"]["state"] for each in merged] == ["checked_in", "called", "serving", "done"]
    told = [(action, at, town.now) for action, at in zip(actions, pressed, strict=True)]
    assert await steps_of(town, booked.appointment_id) == told
    rows = await town.rows(
        "SELECT queued_at, checked_in_at, called_at, serving_at, done_at, changed_at FROM booking.appointment"
    )
    assert [tuple(row) for row in rows] == [(pressed[0], *pressed, town.now)]  # type: ignore[arg-type]
    async with town.staff() as staff:
        # Undone as any other.
        undone = await staff.post(f"/counter/{booked.appointment_id}/undo", data={"version": "5"})
        assert "did=undo" in undone.headers["location"]


async def test_a_batch_that_is_sent_twice_at_once_is_merged_once(town: BookingTown) -> None:
    """Seen to fail without the key: the second batch is refused, and staff are told of what was done."""
    booked = await town.booked()
    kept = [late("check-in", town.now, booked.appointment_id, 1), late("call", town.now, booked.appointment_id, 2)]
    answers = await asyncio.gather(*(merge(town, *kept) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert all(each["is_merged"] for each in answers[0])
    assert [action for action, _, _ in await steps_of(town, booked.appointment_id)] == ["check-in", "call"]
    assert await merge(town, *kept) == answers[0]
    tickets = await town.rows("SELECT last_no FROM booking.ticket_roll")
    assert [tuple(row) for row in tickets] == [(1,)]  # type: ignore[arg-type]


async def test_a_step_whose_answer_was_lost_is_known_by_its_key(town: BookingTown) -> None:
    """Seen to fail without the key of the form: the tablet is told that another was faster."""
    booked = await town.booked()
    kept = late("check-in", town.now, booked.appointment_id, 1)
    async with town.staff() as staff:
        sent = {"version": "1", "idempotency_key": kept["key"]}
        assert (await staff.post(f"/counter/{booked.appointment_id}/check-in", data=sent)).status_code == 303
    merged = await merge(town, kept, late("call", town.now, booked.appointment_id, 2))
    assert [each["is_merged"] for each in merged] == [True, True]
    by_number = late("check-in", town.now, number=(await town.booked("b", slot=1)).number)
    async with town.staff() as staff:
        await staff.post("/counter/check-in", data={"number": by_number["number"], "idempotency_key": by_number["key"]})
    assert [each["is_merged"] for each in await merge(town, by_number)] == [True]
    assert len(await town.rows("SELECT 1 FROM booking.line_step")) == 3


async def test_what_another_tablet_did_meanwhile_stands_and_the_rest_is_told_with_its_reason(
    town: BookingTown,
) -> None:
    booked, other = await town.booked(), await town.booked("b", slot=1)
    town.now += 10 * MINUTE
    await step(town, booked.appointment_id, "check-in", 1)
    pressed = town.now
    town.now += 5 * MINUTE
    await step(town, booked.appointment_id, "call", 2)
    merged = await merge(
        town,
        late("no-show", pressed, booked.appointment_id, 2),
        # It would fit the version, and mean another call than this one.
        late("start", pressed + MINUTE, booked.appointment_id, 3),
        late("check-in", pressed, other.appointment_id, 1),
    )
    assert [each["is_merged"] for each in merged] == [False, False, True]
    assert [each.get("reason") for each in merged] == ["line_moved", "step_before_refused", None]
    assert merged[0]["state"] == "called"
    assert merged[0]["title"] == "ほかの端末で先に操作されました"
    assert [action for action, _, _ in await steps_of(town, booked.appointment_id)] == ["check-in", "call"]


async def test_only_of_today_and_of_ones_own_office(town: BookingTown) -> None:
    booked, other = await town.booked(), await town.booked("b", procedure=FAMILY)
    reasons = [
        each["reason"]
        for each in await merge(
            town,
            late("check-in", town.now - timedelta(days=1), booked.appointment_id, 1),
            late("check-in", town.now, other.appointment_id, 1),
            late("check-in", town.now, uuid4(), 1),
            late("call", town.now, number=booked.number),
        )
    ]
    assert reasons == ["not_today", "other_office", "appointment_unknown", "bad_request"]
    town.now += timedelta(days=1)
    merged = await merge(town, late("check-in", town.now, booked.appointment_id, 1))
    assert merged[0]["reason"] == "not_today"


async def test_not_before_the_last_step_and_not_in_the_future(town: BookingTown) -> None:
    booked = await town.booked()
    town.now += 10 * MINUTE
    await step(town, booked.appointment_id, "check-in", 1)
    checked_in_at = town.now
    town.now += 10 * MINUTE
    for at in (checked_in_at - MOMENT, town.now + AHEAD_MAX + MOMENT):
        merged = await merge(town, late("call", at, booked.appointment_id, 2))
        assert merged[0]["reason"] == "step_time_unfit"
    merged = await merge(town, late("call", checked_in_at, booked.appointment_id, 2))
    assert merged[0]["is_merged"]
    async with town.db.begin(TOWN) as session:
        walk_in = await take_walk_in(session, STAFF, TakeWalkIn(procedure="CHI01", key="k"), now=town.now)
    merged = await merge(town, late("call", town.now - MOMENT, walk_in.appointment_id, 1))
    assert merged[0]["reason"] == "step_time_unfit"
    merged = await merge(town, late("call", town.now + AHEAD_MAX, walk_in.appointment_id, 1))
    assert merged[0]["is_merged"]
    assert (await steps_of(town, walk_in.appointment_id))[0][1] == town.now


def test_a_moment_as_it_is_written_down() -> None:
    assert fit_moment(MORNING, since=MORNING, now=MORNING) == MORNING
    assert fit_moment(MORNING + AHEAD_MAX, since=MORNING, now=MORNING) == MORNING
    for at in (MORNING - MOMENT, MORNING + AHEAD_MAX + MOMENT):
        with pytest.raises(Refusal, match="step_time_unfit"):
            fit_moment(at, since=MORNING, now=MORNING)


async def test_whether_somebody_was_missing_is_asked_of_the_moment(town: BookingTown) -> None:
    booked = await town.booked()
    starts_at = (await town.rows("SELECT starts_at FROM booking.appointment"))[0].starts_at  # type: ignore[attr-defined]
    town.now = starts_at + 10 * MINUTE
    merged = await merge(town, late("no-show", starts_at - MOMENT, booked.appointment_id, 1))
    assert merged[0]["reason"] == "no_show_too_early"
    assert (await merge(town, late("no-show", starts_at, booked.appointment_id, 1)))[0]["is_merged"]


async def test_a_key_of_another_person_is_another_key(town: BookingTown) -> None:
    booked = await town.booked()
    kept = late("check-in", town.now, booked.appointment_id, 1)
    assert (await merge(town, kept))[0]["is_merged"]
    assert (await merge(town, kept, ref="other"))[0]["reason"] == "line_moved"


async def test_a_batch_has_its_limits(town: BookingTown) -> None:
    booked = await town.booked()
    kept = late("check-in", town.now, booked.appointment_id, 1)
    async with town.staff() as staff, town.browser() as guest:
        for steps in ([], [kept] * 101, [kept | {"action": "undo"}], [kept | {"at": "2026-06-01T09:00:00"}]):
            assert (await staff.post(MERGE, json={"steps": steps})).status_code == 400
        # Undoing looks at what is, and needs the network.
        assert (await guest.post(MERGE, json={"steps": [kept]})).status_code in (401, 403)
    assert await steps_of(town, booked.appointment_id) == []


async def test_a_number_is_the_same_in_every_spelling_and_nothing_else_is_kept_by_number(town: BookingTown) -> None:
    """Seen to fail where the key is of what was typed; and where a name may be sent."""
    booked = await town.booked()
    number = booked.number
    key = str(uuid4())
    async with town.staff() as staff:
        typed = f" {number[:3]}ー{number[3:].lower()} "
        sent = await staff.post("/counter/check-in", data={"number": typed, "idempotency_key": key})
        assert "did=check-in" in sent.headers["location"]
        for spelling in (number, f"{number[:3]}-{number[3:]}", f" {number.lower()}"):
            [merged] = await merge(town, late("check-in", town.now, number=spelling) | {"key": key})
            assert merged["is_merged"]
        for name in ("tanashi yuri", "yuri", "K4M7RXAC", "タナシ"):
            answer = await staff.post(MERGE, json={"steps": [late("check-in", town.now, number=name)]})
            assert answer.status_code == 400
    assert [action for action, _, _ in await steps_of(town, booked.appointment_id)] == ["check-in"]
