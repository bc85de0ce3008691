"""What must happen at a time happens once, although loops crash, race, and people change their minds."""

import asyncio
import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Database
from shared.messaging.due import BATCH, LEASE, DueHandler, DueLoop, DueRows, schedule, unschedule
from tests.logs import Logged
from tests.shared.conftest import START, MakeDb, TestClock
from tests.shared.makers import TOWN, rows_of

ROWS = "SELECT * FROM booking.due ORDER BY ref"


class Diary:
    """A handler that notes what it was asked to do."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, datetime]] = []

    async def __call__(self, session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:  # noqa: ARG002 the shape of a DueHandler
        self.done.append((municipality, ref, now))
        await asyncio.sleep(0.001)

    @property
    def refs(self) -> list[str]:
        return [ref for _, ref, _ in self.done]


async def ask(
    db: Database, ref: str, due_at: datetime = START, *, town: str = TOWN, keep: bool = False, kind: str = "remind"
) -> None:
    async with db.begin(town) as session:
        await schedule(session, "booking", municipality=town, kind=kind, ref=ref, due_at=due_at, keep=keep)


async def cancel(db: Database, ref: str) -> None:
    async with db.begin(TOWN) as session:
        await unschedule(session, "booking", municipality=TOWN, kind="remind", ref=ref)


def make_loop(db: Database, handler: DueHandler, clock: TestClock) -> DueLoop:
    return DueLoop(db, {"remind": handler}, clock)


async def test_what_is_due_is_done_and_forgotten_and_what_is_not_waits(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()
    await ask(db, "now")
    await ask(db, "later", START + timedelta(seconds=1))
    loop = make_loop(db, diary, clock)
    assert await loop.run_once() == 1
    assert diary.done == [(TOWN, "now", START)]
    assert [row.ref for row in await rows_of(db, ROWS)] == ["later"]
    clock.pass_time(seconds=1)
    assert await loop.run_once() == 1
    assert await loop.run_once() == 0
    assert diary.refs == ["now", "later"]


async def test_each_town_gets_a_transaction_of_its_own(make_db: MakeDb, clock: TestClock) -> None:
    db = make_db("booking")
    seen: list[tuple[str, str]] = []

    async def look(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        town = (await session.execute(text("SELECT current_setting('choudo.municipality')"))).scalar_one()
        seen.append((municipality, town))

    await ask(db, "a", town="143421")
    await ask(db, "a", town="999999")
    await make_loop(db, look, clock).run_once()
    assert sorted(seen) == [("143421", "143421"), ("999999", "999999")]


async def test_a_kind_that_this_loop_does_not_know_is_left_alone(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()
    await ask(db, "other", kind="lapse")
    assert await make_loop(db, diary, clock).run_once() == 0
    assert [row.attempts for row in await rows_of(db, ROWS)] == [0]


async def test_asking_again_moves_the_time(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()
    await ask(db, "a")
    await ask(db, "a", START + timedelta(hours=1))
    loop = make_loop(db, diary, clock)
    assert await loop.run_once() == 0
    clock.pass_time(hours=1)
    assert await loop.run_once() == 1
    assert diary.refs == ["a"]


async def test_asking_for_soon_ten_times_is_once_and_no_later_than_first_asked(
    make_db: MakeDb, clock: TestClock
) -> None:
    db, diary = make_db("booking"), Diary()
    for second in range(10):
        await ask(db, "dirty", START + timedelta(seconds=1 + second), keep=True)
    clock.pass_time(seconds=1)
    assert await make_loop(db, diary, clock).run_once() == 1
    clock.pass_time(hours=1)
    assert await make_loop(db, diary, clock).run_once() == 0
    assert diary.refs == ["dirty"]


async def test_asking_for_soon_may_bring_it_forward(make_db: MakeDb) -> None:
    db = make_db("booking")
    await ask(db, "dirty", START + timedelta(hours=1), keep=True)
    await ask(db, "dirty", START, keep=True)
    assert [row.due_at for row in await rows_of(db, ROWS)] == [START]


async def test_what_was_cancelled_is_not_done(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()
    await ask(db, "a")
    await cancel(db, "a")
    assert await make_loop(db, diary, clock).run_once() == 0
    assert diary.done == []


async def test_what_is_cancelled_after_the_claim_is_not_done(make_db: MakeDb, clock: TestClock) -> None:
    """The first of a batch takes long enough for the second to be cancelled."""
    db = make_db("booking")
    done: list[str] = []

    async def cancel_the_other(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        done.append(ref)
        await cancel(db, "b" if ref == "a" else "a")

    await ask(db, "a", START - timedelta(seconds=1))
    await ask(db, "b")
    assert await make_loop(db, cancel_the_other, clock).run_once() == 2
    assert len(done) == 1
    assert await rows_of(db, ROWS) == []


async def test_what_is_moved_after_the_claim_is_done_at_its_new_time_only(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()
    later = START + timedelta(hours=1)

    async def move_the_other(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await diary(session, municipality, ref, now)
        if len(diary.done) == 1:
            await ask(db, "b" if ref == "a" else "a", later)

    await ask(db, "a")
    await ask(db, "b")
    await make_loop(db, move_the_other, clock).run_once()
    assert len(diary.done) == 1
    clock.now = later
    await make_loop(db, diary, clock).run_once()
    assert sorted(diary.refs) == ["a", "b"]


async def test_what_is_asked_for_while_it_is_being_done_is_done_once_more(make_db: MakeDb, clock: TestClock) -> None:
    """Availability that becomes dirty while it is recomputed must be recomputed again."""
    db, diary = make_db("booking"), Diary()
    asking: list[asyncio.Task[None]] = []

    async def become_dirty(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await diary(session, municipality, ref, now)
        asking.append(asyncio.create_task(ask(db, "dirty", keep=True)))
        await asyncio.sleep(0.1)  # the other transaction waits for ours

    await ask(db, "dirty")
    await make_loop(db, become_dirty, clock).run_once()
    await asyncio.gather(*asking)
    assert await make_loop(db, diary, clock).run_once() == 1
    assert diary.refs == ["dirty", "dirty"]


async def test_a_handler_may_ask_for_itself_again(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()

    async def again(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await diary(session, municipality, ref, now)
        tomorrow = now + timedelta(days=1)
        await schedule(session, "booking", municipality=municipality, kind="remind", ref=ref, due_at=tomorrow)

    await ask(db, "daily")
    for _ in range(3):
        assert await make_loop(db, again, clock).run_once() == 1
        assert await make_loop(db, again, clock).run_once() == 0
        clock.pass_time(days=1)
    assert len(diary.done) == 3


async def test_what_a_crashed_loop_had_claimed_is_taken_over_when_its_lease_ends(
    make_db: MakeDb, clock: TestClock
) -> None:
    db, diary = make_db("booking"), Diary()

    async def crash(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await diary(session, municipality, ref, now)
        raise asyncio.CancelledError  # nothing after this line of the loop runs, as with kill -9

    await ask(db, "a")
    with pytest.raises(asyncio.CancelledError):
        await make_loop(db, crash, clock).run_once()
    other = make_loop(make_db("booking"), diary, clock)
    clock.pass_time(seconds=LEASE.total_seconds() - 0.001)
    assert await other.run_once() == 0
    clock.pass_time(seconds=0.001)
    assert await other.run_once() == 1
    assert diary.refs == ["a", "a"]
    assert await rows_of(db, ROWS) == []


async def test_who_comes_back_after_its_lease_ended_does_nothing(make_db: MakeDb, clock: TestClock) -> None:
    db, slow_diary, diary = make_db("booking"), Diary(), Diary()
    other = make_loop(make_db("booking"), diary, clock)

    async def sleep_too_long(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await slow_diary(session, municipality, ref, now)
        if len(slow_diary.done) == 1:
            clock.pass_time(seconds=LEASE.total_seconds() + 1)
            await ask(db, "other")  # as if somebody had taken it over
            await other.run_once()

    await ask(db, "first", START - timedelta(seconds=1))
    await ask(db, "other", START)
    slow = make_loop(db, sleep_too_long, clock)
    await slow.run_once()
    assert sorted([*slow_diary.refs, *diary.refs]).count("other") == 1


async def test_a_handler_that_fails_leaves_nothing_keeps_the_rest_going_and_is_tried_again(
    make_db: MakeDb, clock: TestClock, logged: Logged
) -> None:
    db, diary = make_db("booking"), Diary()

    async def fail_for_a(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        await schedule(session, "booking", municipality=TOWN, kind="effect", ref=ref, due_at=now)
        if ref == "a":
            raise RuntimeError("山田花子")
        await diary(session, municipality, ref, now)

    await ask(db, "a")
    await ask(db, "b")
    await make_loop(db, fail_for_a, clock).run_once()
    assert diary.refs == ["b"]
    assert [(row.kind, row.ref) for row in await rows_of(db, ROWS)] == [("remind", "a"), ("effect", "b")]
    assert [line["error"] for line in logged.of("due_failed")] == ["RuntimeError"]
    assert "山田" not in logged.text
    clock.pass_time(seconds=LEASE.total_seconds())
    await make_loop(db, diary, clock).run_once()
    assert diary.refs == ["b", "a"]


async def test_several_loops_do_each_thing_once(make_db: MakeDb, clock: TestClock) -> None:
    """Seen to fail with the lease taken out of the claim: every loop then claims, and the slower ones do it again."""
    db, diary = make_db("booking"), Diary()
    total = 2 * BATCH + 10
    async with db.begin(TOWN) as session:
        for n in range(total):
            await schedule(session, "booking", municipality=TOWN, kind="remind", ref=f"r{n:03}", due_at=START)
    loops = [make_loop(make_db("booking"), diary, clock) for _ in range(4)]

    async def work(loop: DueLoop) -> int:
        claimed = 0
        while count := await loop.run_once():
            claimed += count
        return claimed

    assert sum(await asyncio.gather(*map(work, loops))) == total
    assert sorted(diary.refs) == [f"r{n:03}" for n in range(total)]


async def test_a_look_says_whether_anything_is_due(make_db: MakeDb, clock: TestClock) -> None:
    db, diary = make_db("booking"), Diary()
    loop = make_loop(db, diary, clock)
    await ask(db, "other", kind="lapse")
    await ask(db, "later", START + timedelta(seconds=1))
    assert not await loop.is_anything_due()
    clock.pass_time(seconds=1)
    assert await loop.is_anything_due()
    async with db.begin_across_towns() as session:
        lease = {"until": clock.now + timedelta(seconds=1)}
        await session.execute(text("UPDATE booking.due SET leased_until = :until WHERE kind = 'remind'"), lease)
    assert not await loop.is_anything_due(), "somebody is at it"
    clock.pass_time(seconds=1)
    assert await loop.is_anything_due(), "and has not come to an end"


async def test_a_look_reads_nothing_of_what_waits_for_its_day(make_db: MakeDb, clock: TestClock) -> None:
    db = make_db("booking")
    async with db.begin_across_towns() as session:
        await session.execute(
            text("""INSERT INTO booking.due (municipality, kind, ref, due_at)
                    SELECT '143421', 'remind', n::text, :later FROM generate_series(1, 2000) n"""),
            {"later": START + timedelta(days=30)},
        )
    assert not await make_loop(db, Diary(), clock).is_anything_due()
    async with db.begin_across_towns() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))  # as for a table that is worth an index
        rows = DueRows(db, ["remind"], clock, lease=LEASE, batch=BATCH)
        question = rows.question.replace("$1", ":kinds").replace("$2", ":now")
        question = question.replace(":kinds::text[]", "CAST(:kinds AS text[])")
        plan = await session.execute(
            text(f"EXPLAIN (ANALYZE, TIMING OFF) {question}"), {"kinds": ["remind"], "now": START}
        )
        scans = [line for line in plan.scalars() if "due_kind_due_at_idx" in line]
    assert len(scans) == 1
    assert re.search(r"actual rows=1(\.00)? ", scans[0]), scans


async def test_the_loop_survives_an_absent_database(make_db: MakeDb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.messaging.due.FAILED_PAUSE_S", 0.02)
    db, diary = make_db("booking"), Diary()
    await ask(db, "a")
    loop = DueLoop(
        Database("postgresql://nobody:x@127.0.0.1:9/none", service="booking"), {"remind": diary}, TestClock()
    )
    running = asyncio.create_task(loop.run())
    await asyncio.sleep(0.2)
    assert not running.done()
    loop._db = loop._rows._db = db  # it comes back
    async with asyncio.timeout(60):
        while not diary.done:
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert diary.refs == ["a"]


async def test_what_fails_again_and_again_is_tried_ever_more_rarely_and_never_forgotten(
    make_db: MakeDb, clock: TestClock
) -> None:
    db, tries = make_db("booking"), []

    async def fail(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
        tries.append(now)
        raise ValueError

    await ask(db, "a")
    loop = make_loop(db, fail, clock)
    for _ in range(4 * 60 * 2):
        await loop.run_once()
        clock.pass_time(seconds=LEASE.total_seconds())
    pauses = [(later - earlier) / LEASE for earlier, later in pairwise(tries)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 128]
    assert len(await rows_of(db, ROWS)) == 1
