"""What other systems are told of closings and of who need not come any more, as a receiver reads it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from services.booking.commands.erasure import erase_subject
from tests.booking.closing_town import book_on, close, open_again, run_due
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.webhook_receiver import receiving, register, sending

Told = Callable[[], Awaitable[list[dict[str, Any]]]]


@pytest_asyncio.fixture
async def told(town: BookingTown) -> AsyncIterator[Told]:
    """A receiver that is told of everything: what it has got so far, by version."""
    async with receiving() as receiver, sending(town) as loop:
        await register(town, receiver.url)

        async def get() -> list[dict[str, Any]]:
            while await loop.run_once():
                pass
            return sorted((got.told for got in receiver.got), key=lambda each: each["data"]["version"])

        yield get


@pytest.mark.parametrize(
    ("from_min", "to_min", "expected"),
    [
        (0, 1_440, [("2026-06-01T15:00:00Z", "2026-06-04T15:00:00Z")]),
        (
            13 * 60,
            17 * 60,
            [(f"2026-06-{day:02}T04:00:00Z", f"2026-06-{day:02}T08:00:00Z") for day in (2, 3, 4)],
        ),
    ],
)
async def test_of_a_closing_of_several_days_each_closed_time_is_told(
    town: BookingTown, told: Told, from_min: int, to_min: int, expected: list[tuple[str, str]]
) -> None:
    """Seen to fail while its first day was told when it was made, and all from its first to its last when reopened."""
    closing_id = await close(town, counter=None, day=date(2026, 6, 2), from_min=from_min, to_min=to_min, days=3)
    await open_again(town, closing_id)
    made, reopened = await told()
    assert [made["type"], reopened["type"]] == ["closing.made", "closing.reopened"]
    for each in (made["data"], reopened["data"]):
        assert each["counter"] is None
        assert [(time["starts_at"], time["ends_at"]) for time in each["times"]] == expected


async def test_who_was_told_not_to_come_is_seen_to_be(town: BookingTown, told: Told) -> None:
    """Seen to fail without `closure`: a change in which nothing had changed."""
    await book_on(town, "guest")
    closing_id = await close(town)
    await run_due(town)
    await open_again(town, closing_id)
    await run_due(town)
    facts = [each["data"] for each in await told() if each["type"].startswith("appointment.")]
    assert [(each["version"], each["state"], each["closure"]) for each in facts] == [
        (1, "booked", "none"),
        (2, "booked", "asked"),
        (3, "booked", "none"),
    ]


async def test_who_is_erased_does_not_come_and_other_systems_hear_it(town: BookingTown, told: Told) -> None:
    """Seen to fail while erasing somebody told nobody: to them the appointment stayed for ever."""
    await book_on(town, "guest")
    rows = await town.rows("SELECT subject_ref FROM booking.appointment")
    subject_ref: UUID = rows[0].subject_ref  # type: ignore[attr-defined]
    for _ in range(2):
        async with town.db.begin(TOWN) as session:
            await erase_subject(session, TOWN, subject_ref, "resident", now=town.now)
    booked, cancelled = await told()
    assert [booked["type"], cancelled["type"]] == ["appointment.booked", "appointment.cancelled"]
    assert cancelled["data"] == booked["data"] | {"version": 2, "state": "cancelled"}
