"""What is settled long ago goes, and not a moment before."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.notifications.commands import tidying
from services.notifications.commands.tidying import BATCH, Tidying, tidy_up
from services.notifications.commands.ways import NewWay, add_way
from services.notifications.domain.retention import CODES_KEPT, NOTICES_KEPT, REFS_KEPT
from shared.db import Database
from shared.events.routing import ContactGiven
from tests.notifications.harness import OTHER_TOWN, START, TOWN, Notifications
from tests.notifications.test_requests_and_classes import entry, request

SECOND = timedelta(seconds=1)
KEPT_OF_NOTICES = ("notice", "attempt", "staff_task", "told", "appointment")


async def count(service: Notifications, table: str) -> int:
    return len(await service.rows(f"SELECT 1 FROM {table}"))


async def counts(service: Notifications) -> dict[str, int]:
    return {table: await count(service, table) for table in KEPT_OF_NOTICES}


async def tidy(service: Notifications, after: timedelta, *, town: str = TOWN) -> int:
    """Tidy up so long after now."""
    return await tidy_up(service.db, town, now=service.now + after)


async def book(service: Notifications, **booking: Any) -> ContactGiven:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact, **booking))
    await service.settle()
    return contact


async def test_a_notice_goes_a_year_after_its_day_with_all_that_was_for_it(service: Notifications) -> None:
    """And not what was written of it in the ledger."""
    service.sink.behave("sms", "reject_permanent")
    await book(service)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    ledger = await count(service, "ledger_entry")
    assert ledger
    service.now = START + timedelta(minutes=45)
    await service.rows("UPDATE staff_task SET done_at = :now, done_by = 'x' RETURNING 1", now=service.now)
    before = await counts(service)
    assert before == {"notice": 1, "attempt": 1, "staff_task": 1, "told": 0, "appointment": 1}
    await tidy(service, NOTICES_KEPT - SECOND)
    assert await counts(service) == before
    assert await tidy(service, NOTICES_KEPT, town=OTHER_TOWN) == 0
    assert await counts(service) == before
    assert await tidy(service, NOTICES_KEPT)
    assert await counts(service) == dict.fromkeys(KEPT_OF_NOTICES, 0)
    assert await count(service, "ledger_entry") == ledger
    assert task


@pytest.mark.parametrize(
    "wanted",
    [
        "UPDATE notice SET state = 'pending', settled_at = NULL",
        "UPDATE notice SET state = 'unknown', settled_at = NULL",
        "UPDATE notice SET settled_at = settled_at + interval '10 seconds'",
        "UPDATE appointment SET ends_at = ends_at + interval '10 seconds'",
        "UPDATE staff_task SET done_at = NULL, done_by = NULL",
        "UPDATE staff_task SET done_at = done_at + interval '10 seconds'",
    ],
)
async def test_what_is_still_wanted_stays(service: Notifications, wanted: str) -> None:
    """What waits, what was settled or done later, what staff still have to do, and a day that is not past so long.

    Seen to fail with each of the conditions removed.
    """
    service.sink.behave("sms", "reject_permanent")
    await book(service, starts_at=service.now + timedelta(hours=1))
    service.now += timedelta(hours=1, minutes=45)
    await service.rows("UPDATE staff_task SET done_at = :now, done_by = 'x' RETURNING 1", now=service.now)
    await service.rows("UPDATE notice SET settled_at = :now RETURNING 1", now=service.now)
    await service.rows(f"{wanted} RETURNING 1")
    before = await counts(service)
    await tidy(service, NOTICES_KEPT)
    after = await counts(service)
    assert after | {"appointment": 1} == before
    assert after["appointment"] == 1
    if "10 seconds" in wanted:
        await tidy(service, NOTICES_KEPT + timedelta(seconds=10))
        assert sum((await counts(service)).values()) == 0


async def test_what_an_account_was_told_goes_and_what_overtook_it_with_it(service: Notifications) -> None:
    """The later word stays as long as there is a task of the earlier one, which would rise again.

    Seen to fail without the look at the earlier one.
    """
    service.sink.behave("sms", "reject_permanent")
    offer = service.helper_told("offer")
    await service.hear(service.account("sms"), offer)
    await service.settle()
    assert await service.open_tasks() == ["rejected"]
    later = service.helper_told("over", about=offer.about, occurred_at=service.now + SECOND)
    await service.hear(later)
    assert await count(service, "told") == 2
    await tidy(service, NOTICES_KEPT * 2)
    assert await counts(service) == {"notice": 1, "attempt": 1, "staff_task": 1, "told": 2, "appointment": 0}
    await service.rows("UPDATE staff_task SET done_at = :now, done_by = 'x' RETURNING 1", now=service.now)
    await tidy(service, NOTICES_KEPT * 2)
    await tidy(service, NOTICES_KEPT * 2)
    assert sum((await counts(service)).values()) == 0


async def test_what_nobody_we_know_handed_in_goes_with_its_notices(service: Notifications) -> None:
    """What a person handed in goes with them, or with its case."""
    contact = service.contact("sms")
    await service.hear(contact, request(service, None), entry(service, None), service.applied(contact))
    await service.settle()
    of_all = await count(service, "application")
    assert of_all == 3
    until = START + timedelta(hours=2) - service.now
    await tidy(service, until + NOTICES_KEPT - SECOND)
    assert [row.ends_at for row in await service.rows("SELECT ends_at FROM application WHERE case_id IS NULL")] == [
        START + timedelta(hours=2)
    ]
    await tidy(service, until + NOTICES_KEPT)
    assert [row.number for row in await service.rows("SELECT number FROM application")] == ["K4M7RXAC"]
    assert await service.rows("SELECT 1 FROM application WHERE subject_ref IS NULL") == []


async def test_by_the_providers_own_name_nothing_is_found_after_a_month(service: Notifications) -> None:
    await book(service)
    refs = "SELECT provider_ref, tag FROM attempt"
    await tidy(service, REFS_KEPT - SECOND)
    assert all(row.provider_ref and row.tag for row in await service.rows(refs))
    assert await tidy(service, REFS_KEPT) == 1
    assert [tuple(row) for row in await service.rows(refs)] == [(None, None)]
    assert await tidy(service, REFS_KEPT) == 0


async def fill_codes(service: Notifications, contact: ContactGiven, many: int) -> None:
    await service.rows(
        """INSERT INTO way_code (municipality, code_id, contact_ref, way_no, code_hash, address_hash, asked_at,
                                 expires_at, ended_at)
           SELECT :town, gen_random_uuid(), :contact_ref, 1, '', '', :now, :now, :now FROM generate_series(1, :many)
           RETURNING 1""",
        town=TOWN,
        contact_ref=contact.contact_ref,
        now=service.now,
        many=many,
    )


async def test_codes_go_after_a_day_however_many_they_are(service: Notifications) -> None:
    """In batches, each a transaction of its own."""
    contact = await book(service)
    await fill_codes(service, contact, BATCH * 2 + 1)
    assert await tidy(service, CODES_KEPT - SECOND) == 0
    assert await tidy(service, CODES_KEPT) == BATCH * 2 + 1
    assert await count(service, "way_code") == 0


async def test_who_has_a_notice_in_hand_is_not_waited_for(service: Notifications) -> None:
    """Seen to fail without SKIP LOCKED: it waits until the other is done, or its time is over."""
    await book(service)
    await book(service, number="NNN2000")
    [held] = await service.rows("SELECT notice_id FROM notice ORDER BY notice_id LIMIT 1")
    service.now = START + timedelta(minutes=45)
    async with service.db.begin(TOWN) as session:
        await session.execute(text("SELECT 1 FROM notice WHERE notice_id = :it FOR UPDATE"), {"it": held.notice_id})
        async with asyncio.timeout(2):
            await tidy(service, NOTICES_KEPT)
        assert [row.notice_id for row in await service.rows("SELECT notice_id FROM notice")] == [held.notice_id]
    await tidy(service, NOTICES_KEPT)
    assert await count(service, "notice") == 0


async def test_the_loop_tidies_every_town_and_nothing_after_the_clock_was_set(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    for town in (TOWN, OTHER_TOWN):
        await service.hear(service.catalogue(municipality=town, version=5))
        contact = service.contact("sms", municipality=town)
        await service.hear(contact, service.booked(contact))
    await service.settle()
    service.now = START + timedelta(minutes=45) + NOTICES_KEPT
    loop = Tidying(service.db, lambda: service.now)
    with monkeypatch.context() as patched:
        patched.setattr(tidying, "was_set_within", lambda clock, seconds: True)  # noqa: ARG005
        assert await loop.run_once() == 0
    assert await loop.run_once()
    for town in (TOWN, OTHER_TOWN):
        assert await service.rows("SELECT 1 FROM notice", municipality=town) == []


async def test_the_loop_outlives_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again after a pause."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) > 1:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", pause)
    away = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none", service="notifications")
    with pytest.raises(asyncio.CancelledError):
        await Tidying(away, lambda: START).run()
    assert set(paused) == {tidying.FAILED_PAUSE_S}
    await away.dispose()


async def test_a_ways_number_is_not_given_again_when_its_notices_are_forgotten(service: Notifications) -> None:
    """By it the link of an old message opens somebody's wishes, and the message may be in other hands by now.

    Seen to fail while the number was counted from what is kept of the way.
    """
    contact = service.contact("email")
    await service.hear(contact)

    async def add() -> int:
        new = NewWay(kind="sms", address="+818012345678")
        async with service.db.begin(TOWN) as session:
            return await add_way(session, service.keys.vault, TOWN, contact.contact_ref, new, now=service.now)

    assert await add() == 2
    await service.rows("DELETE FROM contact_way WHERE way_no = 2 RETURNING 1")
    await tidy(service, NOTICES_KEPT)
    assert await add() == 3
