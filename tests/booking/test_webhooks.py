"""Webhooks, over real HTTP to a receiver that behaves well and badly: signed, without a person in it, until taken."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.appointments import Booked
from services.booking.commands.changes import CancelAppointment, cancel_appointment
from services.booking.commands.closings import CloseTime, close_time, reopen
from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.tidying import tidy_up
from services.booking.commands.webhooks import change_webhook, roll_secret
from shared.faults import Fault, armed
from shared.messaging.due import LEASE
from shared.tokens import Identity
from shared.webhooks.destinations import Destinations
from shared.webhooks.measuring import WEBHOOKS_STOPPED, Measuring
from shared.webhooks.sending import TIMEOUT_S, WebhookLoop
from shared.webhooks.signing import read_secret, sign
from shared.webhooks.tries import (
    FIRST_PAUSE,
    GIVE_UP_AFTER,
    JITTER,
    LONGEST_PAUSE,
    MESSAGES_KEPT,
    OLD_SECRET_KEPT,
    next_try,
)
from shared.webhooks.turns import TURN_MAX
from tests.booking.conftest import MORNING, OTHER_TOWN, TOWN, BookingTown, make_pack
from tests.booking.draws_town import announce, close, enter
from tests.booking.webhook_receiver import (
    MANAGER,
    Receiver,
    deliveries,
    receiving,
    register,
    sending,
)
from tests.notifications.harness import LoopTime, until

OF_OTHER_TOWN = Identity(municipality=OTHER_TOWN, kind="staff", ref="there", session_id="s-there", roles=("manager",))
# Whatever anybody draws.
EARLIEST, LATEST = 1 - JITTER, 1 + JITTER
IN_A_WHILE = LONGEST_PAUSE * 2


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest_asyncio.fixture
async def loop(town: BookingTown) -> AsyncIterator[WebhookLoop]:
    async with sending(town) as made:
        yield made


async def send_all(loop: WebhookLoop, town: BookingTown) -> None:
    """Turns, until nobody's turn has come."""
    while await loop.run_once():
        pass


async def step(town: BookingTown, booked: Booked, action: str, version: int) -> None:
    order = MoveAlong(appointment_id=booked.appointment_id, action=action, version=version)  # type: ignore[arg-type]
    async with town.db.begin(TOWN) as session:
        await move_along(session, MANAGER, order, now=town.now)


async def cancel(town: BookingTown, booked: Booked, version: int = 1) -> None:
    order = CancelAppointment(
        municipality=TOWN, appointment_id=booked.appointment_id, version=version, key=f"cancel-{version}"
    )
    async with town.db.begin(TOWN) as session:
        await cancel_appointment(session, order, now=town.now)


async def change(town: BookingTown, endpoint_id: UUID, action: str) -> None:
    async with town.db.begin(TOWN) as session:
        await change_webhook(session, MANAGER, endpoint_id, action, now=town.now)  # type: ignore[arg-type]


async def state_of(town: BookingTown) -> str:
    [row] = await town.rows("SELECT state FROM booking.webhook_endpoint")
    return str(row.state)  # type: ignore[attr-defined]


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of its reference implementations."""
    secret, sent_at = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 1_614_265_330
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_double_up_to_the_longest(chance: float) -> None:
    pauses = [next_try(tries, now=MORNING, chance=chance) - MORNING for tries in range(1, 40)]
    assert FIRST_PAUSE * EARLIEST <= pauses[0] <= FIRST_PAUSE * LATEST
    assert pauses[1] == 2 * pauses[0]
    assert pauses == sorted(pauses)
    assert LONGEST_PAUSE * EARLIEST <= pauses[-1] <= LONGEST_PAUSE * LATEST


async def test_what_happens_to_an_appointment_is_told_signed_and_about_nobody(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    shown = await register(town, receiver.url)
    booked = await town.booked()
    await step(town, booked, "check-in", 1)
    await step(town, booked, "call", 2)
    await step(town, booked, "start", 3)
    await step(town, booked, "done", 4)
    await send_all(loop, town)
    told = sorted((got.told for got in receiver.got), key=lambda each: each["data"]["version"])
    assert [each["type"] for each in told] == [
        "appointment.booked",
        "appointment.checked_in",
        "appointment.called",
        "appointment.serving",
        "appointment.done",
    ]
    first = told[0]
    assert set(first) == {"type", "timestamp", "data"}
    assert first["timestamp"] == "2026-06-01T00:00:00Z"
    assert first["data"].pop("id") == told[-1]["data"]["id"]
    assert first["data"] == {
        "version": 1,
        "state": "booked",
        "procedure": "CHI01",
        "office": "子育て",
        "counter": "7",
        "starts_at": "2026-06-01T00:30:00Z",
        "ends_at": "2026-06-01T01:00:00Z",
        "closure": "none",
    }
    for got in receiver.got:
        assert shown.secret is not None
        assert got.is_signed_by(shown.secret)
        assert not got.is_signed_by("whsec_" + "A" * 43 + "=")
        assert abs(int(got.headers["webhook-timestamp"]) - town.now.timestamp()) < 1
        assert got.headers["content-type"] == "application/json"
    assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got)
    everything = b"".join(got.body + json.dumps(got.headers).encode() for got in receiver.got).decode()
    rows = await town.rows("SELECT appointment_id, number, subject_ref, case_id, contact_ref FROM booking.appointment")
    for known in (*map(str, rows[0]), "花子", "ハナコ", "guest"):  # type: ignore[call-overload]
        assert known not in everything, known
    assert {row.state for row in await deliveries(town)} == {"taken"}


async def test_two_systems_cannot_tell_that_an_appointment_is_the_same(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    """Seen to fail with the id of the appointment itself."""
    for key in ("one", "two"):
        await register(town, f"{receiver.url}/{key}", key=key)
    booked = await town.booked()
    await cancel(town, booked)
    await send_all(loop, town)
    ids = {path: {got.told["data"]["id"] for got in receiver.got if got.path == path} for path in
           ("/hook/one", "/hook/two")}  # fmt: skip
    assert [len(found) for found in ids.values()] == [1, 1]
    assert len(set.union(*ids.values())) == 2


async def test_only_what_was_asked_for_in_this_town_is_told_and_only_if_it_happened(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    """The town stands in the question, and row-level security would keep it besides."""
    await town.open(make_pack(OTHER_TOWN))
    await register(town, receiver.url, "appointment.cancelled")
    there = await register(town, receiver.url, actor=OF_OTHER_TOWN)
    booked = await town.booked()
    order = CancelAppointment(municipality=TOWN, appointment_id=booked.appointment_id, version=1, key="undone")

    async def cancel_and_fail() -> None:
        async with town.db.begin(TOWN) as session:
            await cancel_appointment(session, order, now=town.now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await cancel_and_fail()
    await send_all(loop, town)
    assert receiver.got == []
    await cancel(town, booked)
    await send_all(loop, town)
    assert [got.told["type"] for got in receiver.got] == ["appointment.cancelled"]
    assert await deliveries(town, there.endpoint_id) == []


async def test_closings_and_draws_are_told(town: BookingTown, receiver: Receiver, loop: WebhookLoop) -> None:
    await register(town, receiver.url, "closing.made", "closing.reopened", "draw.drawn")
    starts_at, ends_at = town.now + timedelta(days=1), town.now + timedelta(days=1, hours=8)
    order = CloseTime(
        counter="7", starts_at=starts_at, ends_at=ends_at, reason="weather", note="台風のため", key="close"
    )
    async with town.db.begin(TOWN) as session:
        closed = await close_time(session, MANAGER, order, now=town.now)
    for _ in range(2):
        async with town.db.begin(TOWN) as session:
            await reopen(session, MANAGER, closed.closing_id, now=town.now)
    draw_id = await announce(town)
    await enter(town, draw_id, "guest")
    await close(town)
    await send_all(loop, town)
    told = {got.told["type"]: got.told["data"] for got in receiver.got}
    assert len(receiver.got) == 3
    times = [{"starts_at": "2026-06-02T00:00:00Z", "ends_at": "2026-06-02T08:00:00Z"}]
    facts = {"counter": "7", "times": times}
    assert told["closing.made"] == facts | {"id": str(closed.closing_id), "version": 1, "reason": "weather"}
    assert told["closing.reopened"] == told["closing.made"] | {"version": 2}
    assert told["draw.drawn"] == {
        "id": str(draw_id), "version": 1, "procedure": "CHI01", "counter": "7", "entries": 1, "seats": 4,
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["500", "404", "302", "307", "hang_up", "nobody"])
async def test_what_was_not_taken_is_sent_again_with_the_same_id(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop, mode: str
) -> None:
    """Seen to fail where a redirect is followed (`/elsewhere`)."""
    shown = await register(town, "http://127.0.0.1:9/hook" if mode == "nobody" else receiver.url)
    receiver.mode = mode
    await town.booked()
    await send_all(loop, town)
    [row] = await deliveries(town)
    said = {"hang_up": "no_answer", "nobody": "connect"}.get(mode, f"http_{mode}")
    assert (row.state, row.tries, row.answer) == ("waiting", 1, said)
    assert town.now + FIRST_PAUSE * EARLIEST <= row.next_try_at <= town.now + FIRST_PAUSE * LATEST
    if mode == "nobody":
        return
    assert [got.path for got in receiver.got] == ["/hook"]
    # Not before its time.
    town.now += FIRST_PAUSE * EARLIEST - timedelta(milliseconds=1)
    await send_all(loop, town)
    assert len(receiver.got) == 1
    town.now += FIRST_PAUSE
    receiver.mode = "202"
    await send_all(loop, town)
    first, second = receiver.got
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert shown.secret is not None
    assert second.is_signed_by(shown.secret)
    assert [row.state for row in await deliveries(town)] == ["taken"]
    town.now += IN_A_WHILE
    await send_all(loop, town)
    assert len(receiver.got) == 2


async def test_who_answers_too_late_costs_a_time_limit_and_nobody_else_anything(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    """Seen to fail without `timeout` of the client, and where turns follow one another."""
    time = LoopTime()
    async with receiving() as slow:
        slow.mode = "slow"
        await register(town, slow.url, key="slow")
        await register(town, receiver.url, key="quick")
        await town.booked("one", slot=0)
        # Not before: a turn that finds nothing may end while the booking commits, and time stands still here.
        running = asyncio.create_task(loop.run())
        await until(lambda: bool(slow.got) and bool(receiver.got))
        # While the one still hangs, the other is told more, and people book.
        await town.booked("two", slot=2)
        town.now += timedelta(seconds=2)
        await until(lambda: len(receiver.got) == 2)
        assert len(slow.got) == 1
        time.pass_time(TIMEOUT_S)

        async def is_noted() -> bool:
            return "timeout" in [row.answer for row in await deliveries(town)]

        await until(is_noted)
        running.cancel()
        await asyncio.wait([running])


async def test_who_takes_nothing_for_a_day_is_not_asked_any_more_until_staff_say_so(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    await register(town, receiver.url)
    receiver.mode = "503"
    await town.booked("one", slot=0)
    await send_all(loop, town)
    begun = town.now
    while town.now < begun + GIVE_UP_AFTER:
        assert await state_of(town) == "active"
        town.now = min(town.now + LONGEST_PAUSE * LATEST, begun + GIVE_UP_AFTER)
        await send_all(loop, town)
    assert await state_of(town) == "stopped"
    tried = len(receiver.got)
    # Nothing is lost meanwhile, and nothing sent.
    await town.booked("two", slot=20)
    town.now += IN_A_WHILE
    await send_all(loop, town)
    assert len(receiver.got) == tried
    receiver.mode = "200"
    [endpoint] = await town.rows("SELECT endpoint_id FROM booking.webhook_endpoint")
    await change(town, endpoint.endpoint_id, "resume")  # type: ignore[attr-defined]
    await send_all(loop, town)
    assert len(receiver.got) == tried + 2
    assert {row.state for row in await deliveries(town)} == {"taken"}
    assert await state_of(town) == "active"


async def test_a_receiver_that_is_gone_is_not_asked_again(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    await register(town, receiver.url)
    receiver.mode = "410"
    await town.booked()
    await send_all(loop, town)
    assert await state_of(town) == "stopped"
    town.now += IN_A_WHILE
    await send_all(loop, town)
    assert len(receiver.got) == 1


async def test_a_message_that_is_never_taken_holds_up_no_other(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    """And after a day it is given up, while the receiver goes on."""
    await register(town, receiver.url)
    receiver.of_kind = {"appointment.booked": "400"}
    booked = await town.booked()
    begun = town.now
    while town.now <= begun + GIVE_UP_AFTER:
        await send_all(loop, town)
        town.now += LONGEST_PAUSE * LATEST
        await town.rows("SELECT 1")
        async with town.db.begin(TOWN) as session:
            await session.execute(
                text("""SELECT tell_webhooks(:town, 'closing.made', 'x', 1, '{}', CAST(:now AS timestamptz))"""),
                {"town": TOWN, "now": town.now},
            )
    await send_all(loop, town)
    rows = await deliveries(town)
    assert [row.state for row in rows if row.kind == "closing.made"] == ["taken"] * (len(rows) - 1)
    assert [row.state for row in rows if row.about == str(booked.appointment_id)] == ["given_up"]
    assert await state_of(town) == "active"


class Died(BaseException):
    """The process is killed here."""


async def test_who_dies_after_sending_sends_the_same_again(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    """At least once, and known again by its id. Seen to fail where a try is noted before it is made."""
    await register(town, receiver.url)
    await town.booked()

    def die() -> None:
        raise Died

    with armed(Fault("webhook.answered", die=die)), pytest.raises(Died):
        await loop.run_once()
    assert len(receiver.got) == 1
    # Its lease keeps others away for a while.
    await send_all(loop, town)
    assert len(receiver.got) == 1
    town.now += LEASE + timedelta(seconds=1)
    async with sending(town) as another:
        await send_all(another, town)
    first, second = receiver.got
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert [row.state for row in await deliveries(town)] == ["taken"]


async def test_nobody_who_books_waits_for_webhooks(town: BookingTown, receiver: Receiver, loop: WebhookLoop) -> None:
    """While somebody else holds the endpoint and its turn. Seen to fail without SKIP LOCKED (lock timeout)."""
    await register(town, receiver.url)
    await send_all(loop, town)
    async with town.db.begin(TOWN) as session:
        await session.execute(text("SELECT 1 FROM due WHERE kind = 'webhook' FOR UPDATE"))
        await session.execute(text("SELECT 1 FROM webhook_endpoint FOR UPDATE"))
        await town.booked()
    # Nobody was woken, and it is found all the same.
    town.now += timedelta(minutes=1)
    await send_all(loop, town)
    assert len(receiver.got) == 1


async def test_more_than_one_turn_holds_is_sent_at_once(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    await register(town, receiver.url)
    async with town.db.begin(TOWN) as session:
        for number in range(TURN_MAX * 2 + 1):
            await session.execute(
                text("SELECT tell_webhooks(:town, 'closing.made', :about, 1, '{}', CAST(:now AS timestamptz))"),
                {"town": TOWN, "about": str(number), "now": town.now},
            )
    await send_all(loop, town)
    assert sorted(int(got.told["data"]["id"]) for got in receiver.got) == list(range(TURN_MAX * 2 + 1))


async def test_what_happens_in_a_pause_is_sent_afterwards_and_a_test_at_once(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    shown = await register(town, receiver.url)
    await change(town, shown.endpoint_id, "pause")
    await town.booked()
    for _ in range(2):
        await change(town, shown.endpoint_id, "test")
    await send_all(loop, town)
    assert [got.told["type"] for got in receiver.got] == ["test"]
    receiver.mode = "500"
    await change(town, shown.endpoint_id, "test")
    await send_all(loop, town)
    town.now += IN_A_WHILE
    await send_all(loop, town)
    # A test that fails is tried once, and says nothing about the endpoint.
    assert len(receiver.got) == 2
    assert await state_of(town) == "paused"
    receiver.mode = "200"
    await change(town, shown.endpoint_id, "resume")
    await send_all(loop, town)
    assert [got.told["type"] for got in receiver.got] == ["test", "test", "appointment.booked"]


async def test_another_secret_signs_beside_the_one_before_for_a_day(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    shown = await register(town, receiver.url)

    async def roll(key: str) -> str | None:
        async with town.db.begin(TOWN) as session:
            rolled = await roll_secret(session, MANAGER, shown.endpoint_id, key, town.keys, now=town.now)
        return rolled.secret

    new = await roll("once")
    assert new is not None
    # A second press of the same button is no second change: the first secret would be worth nothing at once.
    assert await roll("once") is None
    rolled_at = town.now
    old = shown.secret or ""
    for at, signers in (
        (rolled_at, [new, old]),
        (rolled_at + OLD_SECRET_KEPT - timedelta(seconds=1), [new, old]),
        (rolled_at + OLD_SECRET_KEPT, [new]),
    ):
        town.now = at
        await change(town, shown.endpoint_id, "test")
        await send_all(loop, town)
        got = receiver.got[-1]
        assert [each for each in (new, old) if got.is_signed_by(each)] == signers


async def test_a_secret_is_nowhere_to_be_read(town: BookingTown, receiver: Receiver) -> None:
    shown = await register(town, receiver.url)
    assert await register(town, receiver.url) == type(shown)(endpoint_id=shown.endpoint_id)
    secret = (shown.secret or "").encode()
    for table in ("webhook_endpoint", "idempotency", "audit"):
        for row in await town.rows(f"SELECT * FROM booking.{table}"):
            stored = b" ".join(each if isinstance(each, bytes) else str(each).encode() for each in row)  # type: ignore[attr-defined]
            assert secret not in stored
            assert read_secret(secret.decode()) not in stored


async def test_who_is_taken_off_the_list_gets_nothing_any_more(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    shown = await register(town, receiver.url)
    await town.booked()
    await change(town, shown.endpoint_id, "delete")
    await town.booked("later", slot=2)
    town.now += IN_A_WHILE
    await send_all(loop, town)
    assert receiver.got == []
    assert await town.rows("SELECT 1 FROM booking.due WHERE kind = 'webhook'") == []
    assert await deliveries(town) == []


async def test_messages_are_kept_for_two_weeks(town: BookingTown, receiver: Receiver) -> None:
    await register(town, receiver.url)
    await town.booked()
    for after, left in ((MESSAGES_KEPT, 1), (MESSAGES_KEPT + timedelta(seconds=1), 0)):
        async with town.db.begin(TOWN) as session:
            await tidy_up(session, TOWN, now=MORNING + after)
        assert len(await deliveries(town)) == left


async def test_a_name_is_looked_up_and_its_address_looked_at_when_something_is_sent(
    town: BookingTown, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may be given another address at any time. Seen to fail with aiohttp's own resolver."""

    async def answer(host: str, port: int, **_: object) -> list[object]:
        assert host == "display.example.jp"
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
    await register(town, f"http://display.example.jp:{receiver.port}/hook")
    await town.booked()
    async with sending(town, Destinations(https_only=False)) as loop:
        await send_all(loop, town)
    assert [row.answer for row in await deliveries(town)] == ["inside"]
    assert receiver.got == []
    town.now += IN_A_WHILE
    async with sending(town) as loop:
        await send_all(loop, town)
    assert len(receiver.got) == 1


async def test_a_network_that_is_taken_off_the_list_is_not_sent_to(town: BookingTown, receiver: Receiver) -> None:
    """An address needs no resolver: it is looked at by itself. Seen to fail without `check` before each try."""
    await register(town, receiver.url)
    await town.booked()
    async with sending(town, Destinations(https_only=False)) as loop:
        await send_all(loop, town)
    assert [row.answer for row in await deliveries(town)] == ["inside"]
    assert receiver.got == []


async def test_who_is_stopped_is_counted_for_the_alert(
    town: BookingTown, receiver: Receiver, loop: WebhookLoop
) -> None:
    measuring = Measuring(town.db)
    await register(town, receiver.url)
    await measuring.measure()
    assert WEBHOOKS_STOPPED._value.get() == 0
    receiver.mode = "410"
    await town.booked()
    await send_all(loop, town)
    await measuring.measure()
    assert WEBHOOKS_STOPPED._value.get() == 1
    [endpoint] = await town.rows("SELECT endpoint_id FROM booking.webhook_endpoint")
    await change(town, endpoint.endpoint_id, "resume")  # type: ignore[attr-defined]
    await measuring.measure()
    assert WEBHOOKS_STOPPED._value.get() == 0
