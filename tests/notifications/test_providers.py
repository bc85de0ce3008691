"""Several providers of one way: which of them takes a message, and what becomes of it when one fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from sqlalchemy import text

from deploy.local.sink import Sink
from services.notifications.commands.line import record_follow
from services.notifications.domain.outcomes import Outcome, is_providers_fault
from services.notifications.domain.providers import NO_PROVIDER, Tried
from services.notifications.domain.retries import RECEIPT_WAIT
from services.notifications.measuring import Measuring
from services.notifications.providers.breaker import FAILURES_TO_OPEN, PAUSE_MAX_S, PAUSE_MIN_S, TRIAL_LIMIT_S, Breaker
from services.notifications.providers.bucket import TokenBucket, Turns
from services.notifications.providers.chosen import make_providers, make_senders, sms_gateways
from services.notifications.providers.provider import HANGS_AFTER_S, REST_S, Limits, Provider
from services.notifications.providers.providers import Busy, Chosen, Providers
from services.notifications.providers.told import AT_LEAST_EVERY_S, HealthLoop
from services.notifications.queries import list_provider_health
from services.notifications.senders.sender import TIMEOUT_S, Message, Report
from services.notifications.senders.text_limit import UCS2_PARTS
from shared.settings import MissingSettings
from tests.notifications.harness import NOW, TOKEN, TOWN, LoopTime, Notifications, until

FAILOVER_S = 10.0
ATTEMPTS = "SELECT provider, outcome, error_code FROM attempt ORDER BY started_at, attempt_no"
DOWN = Outcome(kind="temporary", error_code="http_503")
ACCEPTED = Outcome(kind="accepted")


class Time:
    """Seconds in the test's hands."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest_asyncio.fixture
async def second(service: Notifications) -> AsyncIterator[Sink]:
    """A second gateway, asked when the first is away."""
    async with Sink(token=TOKEN) as sink:
        await service.restart_sending(providers=second_at(sink.sms_url))
        yield sink
        await service.close_senders()


def second_at(url: str, *, first: str = "") -> str:
    return f'{first}[second]\nway = "sms"\nurl = "{url}"\ntoken = "{TOKEN}"\n'


async def book(service: Notifications, number: str = "NNN1042", *, bulk: bool = False) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact, number=number), bulk=bulk)


async def attempts(service: Notifications) -> list[tuple[str, str | None]]:
    return [(row.provider, row.outcome) for row in await service.rows(ATTEMPTS)]


def fail(breaker: Breaker, times: int = FAILURES_TO_OPEN) -> None:
    for _ in range(times):
        breaker.fail()


# --- the breaker ------------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_and_only_then(time: Time) -> None:
    breaker = Breaker(time)
    fail(breaker, FAILURES_TO_OPEN - 1)
    breaker.succeed()
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert breaker.state == "closed"
    breaker.fail()
    assert (breaker.state, breaker.wait_s()) == ("open", PAUSE_MIN_S)
    assert not breaker.lets_through(bulk=False)


def test_half_open_each_lane_tries_with_one_message(time: Time) -> None:
    """Seen to fail with one trial for both: what somebody waits for stood behind one in bulk."""
    breaker = Breaker(time)
    fail(breaker)
    time.seconds += PAUSE_MIN_S
    assert breaker.state == "half_open"
    breaker.begin(bulk=True)
    assert not breaker.lets_through(bulk=True)
    assert breaker.lets_through(bulk=False)
    breaker.succeed()
    assert breaker.lets_through(bulk=True)


def test_a_trial_that_fails_doubles_the_pause_up_to_a_limit(time: Time) -> None:
    breaker = Breaker(time)
    fail(breaker)
    pauses = []
    for _ in range(6):
        pauses.append(breaker.wait_s())
        time.seconds += breaker.wait_s()
        breaker.begin(bulk=False)
        breaker.fail()
    assert pauses == [5, 10, 20, 40, 60, PAUSE_MAX_S]


def test_a_trial_of_which_nobody_hears_and_one_that_was_not_made_are_no_ones(time: Time) -> None:
    breaker = Breaker(time)
    fail(breaker)
    time.seconds += PAUSE_MIN_S
    breaker.begin(bulk=False)
    breaker.give_back(bulk=False)
    assert breaker.lets_through(bulk=False)
    breaker.begin(bulk=False)
    time.seconds += TRIAL_LIMIT_S
    assert breaker.lets_through(bulk=False)


@pytest.mark.parametrize(
    ("kind", "code", "is_fault"),
    [
        ("temporary", "connect", True),
        ("temporary", "http_503", True),
        ("temporary", "http_401", True),
        ("temporary", "http_403", True),
        ("temporary", "smtp_535", True),
        ("unknown", "no_answer", True),
        ("temporary", "http_429", False),
        # A server that puts off one mailbox, as with greylisting.
        ("temporary", "smtp_451", False),
        ("permanent", "smtp_550", False),
        ("permanent", "http_422", False),
        ("permanent", "sms_number", False),
        ("accepted", None, False),
    ],
)
def test_what_is_a_providers_own_making(kind: Any, code: str | None, is_fault: bool) -> None:
    assert is_providers_fault(Outcome(kind=kind, error_code=code)) is is_fault


# --- the bucket -------------------------------------------------------------------------------------------------------


def test_bulk_never_takes_the_last_tokens(time: Time) -> None:
    """Seen to fail without the part that is kept: ten thousand in bulk leave none for what somebody waits for."""
    bucket = TokenBucket(10, 20, time)
    assert sum(bucket.take(bulk=True) for _ in range(10_000)) == 15
    assert [bucket.take(bulk=False) for _ in range(6)] == [True] * 5 + [False]
    taken = 0
    for _ in range(100):
        time.seconds += 0.1
        taken += sum(bucket.take(bulk=True) for _ in range(100))
        assert bucket.take(bulk=False) or taken == 0
    assert taken <= 100


def test_a_bucket_gives_what_it_is_said_to(time: Time) -> None:
    bucket = TokenBucket(50, 10, time)
    given = 0
    for _ in range(1_000):
        time.seconds += 0.01
        given += sum(bucket.take(bulk=True) for _ in range(100))
    assert 500 <= given <= 510


def test_what_was_taken_for_nothing_is_given_back(time: Time) -> None:
    bucket = TokenBucket(1, 2, time)
    assert [bucket.take(bulk=False) for _ in range(3)] == [True, True, False]
    bucket.give_back()
    assert bucket.take(bulk=False)
    bucket.give_back()
    bucket.give_back()
    bucket.give_back()
    assert [bucket.take(bulk=False) for _ in range(3)] == [True, True, False]


def test_those_put_off_come_back_one_after_the_other(time: Time) -> None:
    turns = Turns(10, time)
    assert [round(turns.next_s(0), 1) for _ in range(3)] == [0.1, 0.2, 0.3]
    time.seconds += 60
    assert round(turns.next_s(5), 1) == 5.1


# --- who is asked -----------------------------------------------------------------------------------------------------


def two(time: Time, *, limits: Limits | None = None, is_idempotent: bool = True) -> Providers:
    return Providers(
        Provider(name, "sms", is_idempotent=is_idempotent, pace=time, limits=limits) for name in ("first", "second")
    )


def hear(providers: Providers, name: str, outcome: Outcome, times: int = 1) -> None:
    for _ in range(times):
        providers.hear(name, outcome, bulk=False, took_s=0.1, now=NOW)


def test_the_first_that_is_up_is_asked(time: Time) -> None:
    providers = two(time)
    assert providers.choose("sms", (), bulk=False) == Chosen("first")
    hear(providers, "first", DOWN, FAILURES_TO_OPEN)
    assert providers.choose("sms", (), bulk=False) == Chosen("second")
    hear(providers, "second", DOWN, FAILURES_TO_OPEN)
    busy = providers.choose("sms", (), bulk=False)
    assert isinstance(busy, Busy)
    assert PAUSE_MIN_S <= busy.wait_s < PAUSE_MIN_S + 1
    assert providers.choose("line", (), bulk=False) == Chosen(NO_PROVIDER)


def test_each_is_asked_before_one_is_asked_again(time: Time) -> None:
    providers = two(time)
    assert providers.has_other("first", "sms", (), bulk=False)
    tried = [Tried(provider="first", temporary=1)]
    assert providers.choose("sms", tried, bulk=False) == Chosen("second")
    # Both have failed it once: now it is a try, with its pause.
    assert not providers.has_other("second", "sms", tried, bulk=False)
    tried = [Tried(provider="first", temporary=1), Tried(provider="second", temporary=1)]
    assert providers.choose("sms", tried, bulk=False) == Chosen("first")


def test_what_one_may_have_accepted_goes_to_no_other(time: Time) -> None:
    providers = two(time)
    tried = [Tried(provider="second", unknown=1), Tried(provider="first", temporary=1)]
    assert providers.choose("sms", tried, bulk=False) == Chosen("second")
    assert not providers.has_other("second", "sms", tried, bulk=False)
    hear(providers, "second", DOWN, FAILURES_TO_OPEN)
    assert isinstance(providers.choose("sms", tried, bulk=False), Busy)


def test_bulk_waits_for_the_first_and_the_urgent_lane_goes_by_the_next(time: Time) -> None:
    providers = two(time, limits=Limits(per_second=1, burst=2))
    assert providers.choose("sms", (), bulk=True) == Chosen("first")
    assert isinstance(providers.choose("sms", (), bulk=True), Busy)
    urgent = [providers.choose("sms", (), bulk=False) for _ in range(3)]
    assert urgent == [Chosen("first"), Chosen("second"), Chosen("second")]


def test_who_says_too_many_hears_nothing_of_bulk_for_a_while(time: Time) -> None:
    providers = Providers([Provider("first", "sms", is_idempotent=True, pace=time)])
    hear(providers, "first", Outcome(kind="temporary", error_code="http_429"))
    assert isinstance(providers.choose("sms", (), bulk=True), Busy)
    assert providers.choose("sms", (), bulk=False) == Chosen("first")
    time.seconds += REST_S
    assert providers.choose("sms", (), bulk=True) == Chosen("first")


def test_what_follows_a_silence_goes_by_another_if_there_is_one(time: Time) -> None:
    """Its failures would be known only after the sender's time limit, and five of them after that."""
    providers = two(time)
    assert providers.choose("sms", (), bulk=False) == Chosen("first")
    time.seconds += HANGS_AFTER_S
    assert providers.choose("sms", (), bulk=False) == Chosen("second")
    hear(providers, "second", ACCEPTED)
    # Nobody else: then it is asked. And what it may have stays with it.
    alone = Providers([Provider("first", "sms", is_idempotent=True, pace=time)])
    assert alone.choose("sms", (), bulk=False) == Chosen("first")
    time.seconds += HANGS_AFTER_S
    assert alone.choose("sms", (), bulk=False) == Chosen("first")
    assert providers.choose("sms", [Tried(provider="first", unknown=1)], bulk=False) == Chosen("first")
    # A time limit that runs out is no answer.
    hear(providers, "first", Outcome(kind="unknown", error_code="no_answer"))
    assert providers.choose("sms", (), bulk=False) == Chosen("second")
    hear(providers, "first", ACCEPTED)
    assert providers.choose("sms", (), bulk=False) == Chosen("first")


def test_of_what_nobody_ever_hears_a_provider_is_not_left_alone_for_ever(time: Time) -> None:
    """Whoever had taken it could not write it down."""
    providers = two(time)
    assert providers.choose("sms", (), bulk=False) == Chosen("first")
    time.seconds += TRIAL_LIMIT_S
    assert providers.choose("sms", (), bulk=False) == Chosen("first")
    hear(providers, "first", ACCEPTED)
    time.seconds += HANGS_AFTER_S
    assert providers.choose("sms", (), bulk=False) == Chosen("first")


# --- the settings -----------------------------------------------------------------------------------------------------


def test_providers_stand_in_the_order_of_the_settings(service: Notifications) -> None:
    first = "[sms_gateway]\nper_second = 20\n"
    settings = msgspec.structs.replace(service.settings, providers=second_at("http://x.example.jp/", first=first))
    assert list(make_senders(settings)) == ["simulated", "smtp", "sms_gateway", "second"]
    assert make_providers(settings).choose("sms", (), bulk=False) == Chosen("sms_gateway")
    assert {name: (each.dialect, each.token) for name, each in sms_gateways(settings).items()} == {
        "sms_gateway": ("json", TOKEN), "second": ("json", TOKEN),
    }  # fmt: skip
    other = msgspec.structs.replace(settings, providers=second_at("http://x.example.jp/") + first)
    assert make_providers(other).choose("sms", (), bulk=False) == Chosen("second")


@pytest.mark.parametrize(
    "told",
    ["[", "x = 1", '[a]\nway = "fax"', '[a]\nway = "sms"', "[Aa]", "[sms_gateway]\nper_second = 0", "[simulated]"],
)
def test_settings_without_sense_are_named_and_no_secret_with_them(service: Notifications, told: str) -> None:
    with pytest.raises(MissingSettings, match="CHOUDO_NOTIFICATIONS_PROVIDERS"):
        make_senders(msgspec.structs.replace(service.settings, providers=told))


# --- through the service ----------------------------------------------------------------------------------------------


async def test_what_one_gateway_fails_goes_by_the_other_at_once(service: Notifications, second: Sink) -> None:
    """Seen to fail without `has_other`: then it waits for its pause."""
    service.sink.behave("sms", "fail_5xx")
    await book(service)
    await service.settle()
    assert await attempts(service) == [("sms_gateway", "temporary"), ("second", "accepted")]
    assert (len(service.sink.messages()), len(second.messages())) == (0, 1)
    [row] = await service.rows("SELECT state, tries FROM notice")
    assert (row.state, row.tries) == ("sent", 0)


async def test_when_both_fail_it_is_one_try_with_its_pause(service: Notifications, second: Sink) -> None:
    service.sink.behave("sms", "fail_5xx", times=2)
    second.behave("sms", "fail_5xx")
    await book(service)
    await service.settle()
    assert await attempts(service) == [("sms_gateway", "temporary"), ("second", "temporary")]
    await service.pass_time(seconds=10)
    assert await attempts(service) == [
        ("sms_gateway", "temporary"), ("second", "temporary"), ("sms_gateway", "temporary"), ("second", "accepted"),
    ]  # fmt: skip
    [row] = await service.rows("SELECT state, tries FROM notice")
    assert (row.state, row.tries) == ("sent", 1)


async def test_what_may_have_been_accepted_is_never_sent_by_another(service: Notifications, second: Sink) -> None:
    """Seen to fail without `held_by`: the second gateway does not know the first one's messages, and sent it again."""
    service.sink.behave("sms", "drop_after_accept")
    await book(service)
    await service.settle()
    service.sink.behave("sms", "fail_5xx")
    await service.pass_time(seconds=10)
    assert await service.states() == {"confirmation": "unknown"}
    await service.pass_time(minutes=1)
    assert await attempts(service) == [
        ("sms_gateway", "unknown"), ("sms_gateway", "temporary"), ("sms_gateway", "accepted"),
    ]  # fmt: skip
    assert (len(service.sink.messages()), len(second.messages())) == (1, 0)


async def test_a_gateway_that_hangs_is_left_alone_and_what_follows_goes_by_the_other(
    service: Notifications, second: Sink, loop_time: LoopTime
) -> None:
    """Failover, by the clock of the loop: from the first failure to what the other has accepted.

    Seen to fail without the breaker.
    """
    loop = asyncio.get_running_loop()
    service.sink.behave("sms", "slow", times=100, slow_s=600)
    for number in range(FAILURES_TO_OPEN):
        await book(service, f"NNN{number:04}")
    settling = asyncio.create_task(service.settle())
    await until(lambda: service.sink.in_hand == FAILURES_TO_OPEN)
    loop_time.pass_time(TIMEOUT_S)
    failed_at = loop.time()
    await settling
    assert {outcome for _, outcome in await attempts(service)} == {"unknown"}
    await book(service, "NNN2000")
    await service.settle()
    assert ["NNN-2000" in sent.text for sent in second.messages()] == [True]
    assert loop.time() - failed_at <= FAILOVER_S
    service.sink.release()


async def test_when_no_provider_is_up_a_notice_waits_and_no_try_is_used_up(service: Notifications) -> None:
    """Seen to fail without the breaker: each was a try."""
    service.sink.behave("sms", "fail_5xx", times=10_000)
    for number in range(FAILURES_TO_OPEN):
        await book(service, f"NNN{number:04}")
    await service.settle()
    await book(service, "NNN2000")
    for _ in range(10):
        await service.settle()
    newest = "SELECT tries, state FROM notice ORDER BY created_at DESC, useful_until DESC"
    assert sum(row.tries for row in await service.rows(newest)) == FAILURES_TO_OPEN
    service.sink.behave("sms", "ok", times=0)
    await service.pass_time(seconds=PAUSE_MIN_S + 1)
    for _ in range(10):
        await service.pass_time(seconds=1)
    assert {row.state for row in await service.rows(newest)} == {"sent"}


async def half_open(service: Notifications, provider: str) -> None:
    """The provider failed, and its pause is over: one message of each lane tries it."""
    for _ in range(FAILURES_TO_OPEN):
        service.providers.hear(provider, DOWN, bulk=False, took_s=0.1, now=service.now)
    service.now += timedelta(seconds=PAUSE_MIN_S + 1)


async def test_who_was_erased_takes_no_ones_turn(service: Notifications) -> None:
    """Seen to fail without the turn being given back: the other notice waits for a trial that nobody makes."""
    await book(service, "NNN1000")
    await service.rows("DELETE FROM subject_key RETURNING 1")
    await half_open(service, "sms_gateway")
    await service.settle()
    assert (await service.states(), service.sink.messages()) == ({"confirmation": "undeliverable"}, [])
    await book(service, "NNN2000")
    await service.settle()
    assert ["NNN-2000" in sent.text for sent in service.sink.messages()] == [True]


async def test_who_has_left_the_account_takes_no_ones_turn(service: Notifications) -> None:
    """Seen to fail without the turn being given back: the other notice waits for a trial that nobody makes."""
    channels = f'[{TOWN}]\ntoken = "{TOKEN}"\nsecret = "s"\n'
    await service.restart_sending(line_channels=channels, line_url=service.sink.url)
    await half_open(service, "line")
    for user, number in (("Uaway", "NNN1000"), ("Uthere", "NNN2000")):
        contact = service.contact("sms", user)
        await service.hear(contact)
        await service.rows("UPDATE contact_way SET kind = 'line' RETURNING 1")
        async with service.db.begin(TOWN) as session:
            is_there = user == "Uthere"
            await record_follow(session, TOWN, user, follows=is_there, told_at=service.now, now=service.now)
        await service.hear(service.booked(contact, number=number))
        await service.settle()
    assert ["NNN-2000" in sent.text for sent in service.sink.messages(channel="line")] == [True]
    await service.close_senders()


class Forgetful:
    """A gateway that knows no repetitions, and whose first answers are lost."""

    name, is_idempotent, limit = "sms_gateway", False, UCS2_PARTS

    def __init__(self, lost: int) -> None:
        self.sent: list[str] = []
        self._lost = lost

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        for message in messages:
            self.sent.append(message.key)
            is_lost = len(self.sent) <= self._lost
            await report(message.key, Outcome(kind="unknown", error_code="no_answer") if is_lost else ACCEPTED)

    async def close(self) -> None: ...


def make_forgetful(service: Notifications, lost: int) -> Forgetful:
    gateway = Forgetful(lost)
    service.senders["sms_gateway"] = gateway
    service.providers = Providers([
        Provider("sms_gateway", "sms", is_idempotent=False, pace=lambda: service.now.timestamp())
    ])  # fmt: skip
    service.sending = service.make_sending()
    return gateway


async def test_without_repetitions_a_receipt_is_waited_for_before_it_is_sent_again(service: Notifications) -> None:
    """Seen to fail without the wait: it is sent again at once."""
    gateway = make_forgetful(service, lost=1)
    await book(service)
    await service.settle()
    await service.pass_time(seconds=RECEIPT_WAIT.total_seconds() - 1)
    assert (len(gateway.sent), await service.states()) == (1, {"confirmation": "unknown"})
    await service.pass_time(seconds=2)
    assert (len(gateway.sent), await service.states()) == (2, {"confirmation": "sent"})


async def test_a_receipt_ends_the_waiting(service: Notifications, client: httpx.AsyncClient) -> None:
    gateway = make_forgetful(service, lost=1)
    await book(service)
    await service.settle()
    receipt = {"id": gateway.sent[0], "status": "delivered"}
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = await client.post("/notifications/api/receipts/sms_gateway", json=receipt, headers=headers)
    assert answer.status_code == 204
    await service.pass_time(hours=1)
    assert (len(gateway.sent), await service.states()) == (1, {"confirmation": "sent"})


async def test_what_was_unknown_twice_is_for_staff_and_not_sent_a_third_time(service: Notifications) -> None:
    gateway = make_forgetful(service, lost=10)
    await book(service)
    await service.settle()
    await service.pass_time(hours=1)
    await service.pass_time(hours=1)
    assert len(gateway.sent) == 2
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "undeliverable"}, ["gave_up"])


# --- its health -------------------------------------------------------------------------------------------------------


async def test_another_process_reads_how_the_providers_do(service: Notifications, second: Sink) -> None:
    service.sink.behave("sms", "fail_5xx", times=FAILURES_TO_OPEN)
    for number in range(FAILURES_TO_OPEN):
        await book(service, f"NNN{number:04}")
    telling = HealthLoop(service.db, service.providers, lambda: service.now)
    await service.settle()
    assert await telling.run_once()
    assert not await telling.run_once(), "nothing has changed"
    async with service.db.begin(TOWN) as session:
        found = {health.provider: health for health in await list_provider_health(session)}
    first, other = found["sms_gateway"], found["second"]
    assert (first.state, first.temporary, first.last_error, first.last_error_at) == (
        "open", FAILURES_TO_OPEN, "http_503", service.now,
    )  # fmt: skip
    assert (other.state, other.accepted, other.last_error) == ("closed", FAILURES_TO_OPEN, None)
    assert other.took_p95_ms is not None
    service.now += timedelta(seconds=AT_LEAST_EVERY_S)
    assert await telling.run_once()


async def test_what_a_process_told_that_is_gone_is_forgotten(service: Notifications) -> None:
    await HealthLoop(service.db, service.providers, lambda: service.now).run_once()
    service.now += timedelta(hours=2)
    await HealthLoop(service.db, service.providers, lambda: service.now).run_once()
    async with service.db.begin_across_towns() as session:
        count = (await session.execute(text("SELECT count(DISTINCT process) FROM provider_health"))).scalar_one()
    assert count == 1


async def test_what_alerts_watch(service: Notifications) -> None:
    """A provider that is left alone, and the notice whose turn has passed for longest. Reminders wait for their day."""

    def found(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    measuring = Measuring(service.db, service.providers, lambda: service.now)
    await book(service)
    service.now += timedelta(seconds=90)
    await measuring.measure_sending()
    assert found("choudo_oldest_due_notice_seconds", lane="urgent") == 90
    assert found("choudo_oldest_due_notice_seconds", lane="bulk") == 0
    assert found("choudo_provider_away", provider="sms_gateway") == 0
    service.sink.behave("sms", "fail_5xx", times=100)
    for number in range(FAILURES_TO_OPEN):
        await book(service, f"NNN{number:04}")
    await service.settle()
    await measuring.measure_sending()
    assert found("choudo_oldest_due_notice_seconds", lane="urgent") == 0
    assert found("choudo_provider_away", provider="sms_gateway") == 1
    assert found("choudo_provider_away", provider="smtp") == 0
