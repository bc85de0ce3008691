"""kill -9 of the process that sends, at each of its steps, and of the one that takes receipts: counted at the gateways.

Nothing is lost. Nothing is there twice where the gateway takes a key, or tells later that it has it. An attempt is
`unknown` only where nobody knows: its message was about to leave, or had left, and who would have heard is dead.
"""

from pathlib import Path

import httpx
import pytest

from shared.faults import Step
from tests.conftest import TestDatabase
from tests.faults.bench import (
    LATER,
    SECOND,
    SECOND_SINK,
    SINK,
    WAYS,
    WEB,
    Bench,
    Counted,
    Told,
    Way,
    running_bench,
)
from tests.faults.conftest import Deaths
from tests.notifications.harness import TOKEN

# What had happened when it died. Between the last two the gateway has it, and the worker no answer.
NOT_BEGUN, NOT_CALLED, ACCEPTED, ENDED = "not begun", "not called", "accepted", "ended"
STEPS: dict[Step, str] = {
    "sending.claimed": NOT_BEGUN,
    "sending.decided": NOT_BEGUN,
    "sending.begun": NOT_CALLED,
    "sending.calling": NOT_CALLED,
    "sending.reported": ACCEPTED,
    "sending.written": ACCEPTED,
    "sending.ended": ENDED,
}
BEFORE_THE_ANSWER = "accepted, before the answer"


def expected(way: Way, happened: str) -> Counted:
    """What becomes of a message in whose middle a sender dies."""
    match happened:
        case "not called":
            return Counted(1, 1, ("unknown", "accepted"))
        case "accepted" if not way.tells:
            # Where no key is taken it is truly unknown, and rather there twice than never.
            return Counted(1 if way.takes_key else 2, 2, ("unknown", "accepted"))
        case _:
            return Counted(1, 1, ("accepted",))


async def die_before_the_answer(bench: Bench, *ways: Way) -> list[Told]:
    """Their gateways have accepted, and hold back the answer."""
    for way in ways:
        bench.misbehave(way.channel, "slow_answer")
    told = [await bench.tell(way.channel) for way in ways]
    await bench.kill_worker_when(lambda: all(bench.messages(each.address) for each in told))
    for way in ways:
        bench.misbehave(way.channel, "slow_answer", times=0)
    return told


async def test_killed_while_gateways_hold_their_answers(bare_database: TestDatabase, tmp_path: Path) -> None:
    """Three gateways at once: one that takes a key, one that takes none and tells later, and a mailbox.

    Seen to fail with a key of the attempt, with what a receipt told of a dead attempt passed over, and with an attempt
    that is committed only after the call.
    """
    names = ["mail", "SMS, form, with receipts", "LINE"]
    async with running_bench(bare_database, tmp_path, dialect="form", tells=True) as bench:
        told = await die_before_the_answer(bench, *(WAYS[name] for name in names))
        await bench.rest()
        for name, each in zip(names, told, strict=True):
            assert await bench.count(each) == expected(WAYS[name], ACCEPTED), name


@pytest.mark.long
@pytest.mark.parametrize("name", WAYS)
async def test_killed_at_each_step(bare_database: TestDatabase, tmp_path: Path, deaths: Deaths, name: str) -> None:
    """One after the other, each with a message of its own; then one comes that lives."""
    way = WAYS[name]
    async with running_bench(bare_database, tmp_path, dialect=way.dialect, tells=way.tells) as bench:
        told = {}
        for step in STEPS:
            told[step] = await bench.tell(way.channel)
            await bench.kill_worker_at(step)
        [held] = await die_before_the_answer(bench, way)
        await bench.rest()
        counted = {step: await bench.count(each) for step, each in told.items()}
        assert counted == {step: expected(way, happened) for step, happened in STEPS.items()}
        before = await bench.count(held)
        assert before == expected(way, ACCEPTED)
    for step, each in counted.items():
        deaths.note(step, name, each)
        if step == "sending.calling":
            deaths.note(BEFORE_THE_ANSWER, name, before)


@pytest.mark.long
@pytest.mark.parametrize("name", ["SMS, JSON, with receipts", "SMS, form, with receipts"])
async def test_the_door_for_receipts_is_killed(
    bare_database: TestDatabase, tmp_path: Path, deaths: Deaths, name: str
) -> None:
    """The sender died before it heard the answer, and the web process in the receipt that told the same. The gateway,
    which had no answer to that, brings it again, and twice."""
    way = WAYS[name]
    async with running_bench(bare_database, tmp_path, dialect=way.dialect, tells=True) as bench:
        bench.stack.stop(WEB)
        door = bench.die_at(WEB, "receipt.noted")
        bench.stack.wait_until_ready()
        told = await bench.tell(way.channel)
        await bench.kill_worker_at("sending.reported")
        door.wait()
        bench.stack.start(WEB)
        bench.stack.wait_until_ready()
        assert (await bench.count(told)).outcomes == ("open",)
        [message] = bench.messages(told.address)
        for _ in range(2):
            await bring_receipt(bench, way, message["key"], message["message_id"])
        await bench.rest()
        counted = await bench.count(told)
        assert counted == Counted(1, 1, ("accepted",))
    deaths.note("receipt.noted (web) after sending.reported", name, counted)


async def bring_receipt(bench: Bench, way: Way, key: str, ref: str) -> None:
    """As its gateway brings it."""
    receipts, client = f"{bench.stack.url}/notifications/api/receipts", httpx.AsyncClient(timeout=30)
    async with client:
        if way.dialect == "json":
            bearer = {"authorization": f"Bearer {TOKEN}"}
            answer = await client.post(
                f"{receipts}/sms_gateway", json={"id": key, "status": "delivered"}, headers=bearer
            )
        else:
            [attempt] = await bench.service.rows("SELECT tag FROM attempt")
            form = {"id": ref, "tag": attempt.tag, "status": "1", "pass": TOKEN}
            answer = await client.post(f"{receipts}/sms_form", data=form)
        assert answer.status_code == 204, answer.text


@pytest.mark.long
async def test_killed_on_the_way_to_the_next_way(bare_database: TestDatabase, tmp_path: Path, deaths: Deaths) -> None:
    """The SMS is refused for good, however often it is asked for; the mail is there once."""
    steps: dict[tuple[Step, int], Counted] = {
        ("sending.reported", 1): Counted(1, 1, ("unknown", "permanent", "accepted")),
        ("sending.written", 1): Counted(1, 1, ("unknown", "permanent", "accepted")),
        ("sending.begun", 2): Counted(1, 1, ("permanent", "unknown", "accepted")),
        ("sending.reported", 2): Counted(1, 2, ("permanent", "unknown", "accepted")),
        ("sending.ended", 2): Counted(1, 1, ("permanent", "accepted")),
        # The last: it goes on at once, and not in the hands of one that dies for another.
        ("sending.ended", 1): Counted(1, 1, ("permanent", "accepted")),
    }
    async with running_bench(bare_database, tmp_path) as bench:
        told = {}
        for number, (step, passes) in enumerate(steps):
            mail = f"then{number}@example.jp"
            told[step, passes] = await bench.tell("sms", mode="reject_text", then=mail), mail
            await bench.kill_worker_at(step, passes)
        await bench.rest()
        for at, (sms, mail) in told.items():
            assert bench.messages(sms.address) == [], at
            counted = await bench.count(Told(sms.notice_id, mail))
            assert counted == steps[at], at
            deaths.note(f"next way: {at[0]}, {at[1]}.", "SMS, JSON → mail", counted)


@pytest.mark.long
async def test_killed_on_the_way_to_the_next_provider(
    bare_database: TestDatabase, tmp_path: Path, deaths: Deaths
) -> None:
    """The first fails; what the second may have goes to no other, and what the first may have had neither, although
    whoever takes over would ask the other one first.

    Seen to fail with the one that may have it forgotten.
    """
    # By which of them it arrived, and what became of the attempts.
    steps: dict[tuple[Step, int], tuple[str, Counted]] = {
        ("sending.reported", 1): (SINK, Counted(1, 1, ("unknown", "accepted"))),
        ("sending.written", 1): (SINK, Counted(1, 1, ("unknown", "accepted"))),
        ("sending.begun", 2): (SECOND_SINK, Counted(1, 1, ("temporary", "unknown", "accepted"))),
        ("sending.reported", 2): (SECOND_SINK, Counted(1, 2, ("temporary", "unknown", "accepted"))),
        ("sending.ended", 2): (SECOND_SINK, Counted(1, 1, ("temporary", "accepted"))),
        # The last: it goes on at once, and not in the hands of one that dies for another.
        ("sending.ended", 1): (SECOND_SINK, Counted(1, 1, ("temporary", "accepted"))),
    }
    async with running_bench(bare_database, tmp_path) as bench:
        table = bench.start_second()
        bench.misbehave("sms", "fail_5xx")
        told = {}
        for step, passes in steps:
            told[step, passes] = await bench.tell("sms")
            await bench.kill_worker_at(step, passes)
        bench.misbehave("sms", "fail_5xx", times=0)
        await bench.rest(later=LATER, CHOUDO_NOTIFICATIONS_PROVIDERS=f"{table}[sms_gateway]\n")
        for at, each in told.items():
            found = {sink: bench.messages(each.address, sink=sink) for sink in (SINK, SECOND_SINK)}
            [(sink, messages)] = [(sink, messages) for sink, messages in found.items() if messages]
            attempts = await bench.attempts(each)
            counted = Counted(
                len(messages), sum(message["times"] for message in messages), tuple(row.outcome for row in attempts)
            )
            assert (sink, counted) == steps[at], at
            deaths.note(f"next provider: {at[0]}, {at[1]}.", f"SMS, JSON → {SECOND}", counted)
