"""What every sender is held to, over real sockets against the simulator of gateways."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.local.gateways.behaviour import MAGIC, Behaviour, Channel, Limit, Mode
from deploy.local.gateways.kept import Way
from deploy.local.sink import Sink
from services.notifications.domain.outcomes import Outcome, OutcomeKind, is_dead
from services.notifications.senders import http, smtp
from services.notifications.senders.by_hand import senders_by_hand
from services.notifications.senders.http import CONCURRENCY, Answer, HttpSender
from services.notifications.senders.line import Line
from services.notifications.senders.sender import START_WITHIN_S, TIMEOUT_S, Message, Sender
from services.notifications.senders.simulated import SimulatedSender
from services.notifications.senders.sms_form import SmsForm
from services.notifications.senders.sms_json import SmsJson
from services.notifications.senders.smtp import SmtpSender
from services.notifications.senders.smtp_pool import CONNECTIONS
from services.notifications.senders.text_limit import SHIFT_JIS
from tests.notifications.harness import TOKEN, TOWN, LoopTime, Notifications, until
from tests.notifications.test_letters_on_paper import TO, make_letter

NOWHERE = "127.0.0.1:9"
TEXT = "【二宮町】予約できました。番号NNN-1042 11月27日（金） 10:00"
Name = Literal["smtp", "sms_gateway", "sms_form", "line"]


@dataclass
class Trial:
    """A sender with the gateway that it speaks to, and what it reported."""

    name: Name
    sink: Sink
    sender: Sender
    away: Sender
    channel: Channel
    way: Way
    to: Callable[[int], str]
    most_at_once: int
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)

    def message(self, number: int = 1, *, key: str = "", to: str = "") -> Message:
        key, to = key or f"{TOWN}:{uuid4()}", to or self.to(number)
        content = TEXT.encode()
        if self.way == "email":
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Message-ID"] = "a@ninomiya.example.jp", to, f"<{key}@ninomiya.example.jp>"
            mail.set_content(TEXT)
            content = mail.as_bytes()
        return Message(key=key, to=to, content=content, sender="a@ninomiya.example.jp")

    async def send(self, *messages: Message, sender: Sender | None = None) -> list[OutcomeKind]:
        """What each of them was reported as, in their order; each once."""
        self.outcomes.clear()
        await (sender or self.sender).send_batch(messages, self.report)
        found = dict(self.outcomes)
        assert sorted(key for key, _ in self.outcomes) == sorted(message.key for message in messages)
        return [found[message.key].kind for message in messages]

    async def report(self, key: str, outcome: Outcome) -> None:
        self.outcomes.append((key, outcome))

    def behave(self, mode: Mode, times: int = 1) -> None:
        self.sink.behave(self.channel, mode, times=times, slow_s=600)


def make_sender(name: Name, sink: Sink | None) -> Sender:
    """The sender to a gateway, or to nobody."""
    match name:
        case "smtp":
            return SmtpSender(sink.smtp_url if sink else f"smtp://{NOWHERE}")
        case "sms_gateway":
            return HttpSender(SmsJson(sink.sms_url if sink else f"http://{NOWHERE}/", TOKEN))
        case "sms_form":
            return HttpSender(SmsForm(sink.sms_form_url if sink else f"http://{NOWHERE}/", "town", TOKEN))
        case "line":
            return HttpSender(Line(sink.url if sink else f"http://{NOWHERE}", {TOWN: TOKEN}))


# The channel of its gateway, the way of its messages, its recipients, and how many it has in hand at once.
KINDS: dict[Name, tuple[Channel, Way, Callable[[int], str], int]] = {
    "smtp": ("smtp", "email", "h{}@example.jp".format, CONNECTIONS),
    "sms_gateway": ("sms", "sms", "090{:08}".format, CONCURRENCY),
    "sms_form": ("form", "sms", "090{:08}".format, CONCURRENCY),
    "line": ("line", "line", "U{:032}".format, CONCURRENCY),
}


def make_trial(name: Name, sink: Sink) -> Trial:
    return Trial(name, sink, make_sender(name, sink), make_sender(name, None), *KINDS[name])


@pytest.fixture(params=KINDS)
async def trial(request: pytest.FixtureRequest) -> AsyncIterator[Trial]:
    async with Sink(token=TOKEN) as sink:
        made = make_trial(request.param, sink)
        yield made
        await made.sender.close()
        await made.away.close()


async def test_it_is_called_by_its_name_and_says_how_it_counts(trial: Trial) -> None:
    assert trial.sender.name == trial.name
    assert (trial.sender.limit is None) == (trial.way == "email")
    assert trial.sender.is_idempotent == (trial.name != "sms_form")


async def test_each_message_is_accepted_once(trial: Trial) -> None:
    messages = [trial.message(number) for number in range(40)]
    assert await trial.send(*messages) == ["accepted"] * 40
    arrived = trial.sink.messages(channel=trial.way)
    assert sorted(sent.to for sent in arrived) == sorted(message.to for message in messages)
    assert {(sent.times, sent.text.strip()) for sent in arrived} == {(1, TEXT)}
    refs = {outcome.provider_ref for _, outcome in trial.outcomes}
    assert refs == ({None} if trial.way == "email" else {sent.message_id for sent in arrived})


async def test_a_repetition_is_recognised_by_whoever_says_so(trial: Trial) -> None:
    message = trial.message()
    assert await trial.send(message) + await trial.send(message) == ["accepted"] * 2
    assert len(trial.sink.messages()) == (1 if trial.sender.is_idempotent else 2)


@pytest.mark.parametrize("mode", ["fail_5xx", "too_many", "closing"])
async def test_what_will_pass_is_temporary_and_the_next_message_goes(trial: Trial, mode: Mode) -> None:
    trial.behave(mode)
    assert sorted(await trial.send(*[trial.message(number) for number in range(3)])) == [
        "accepted", "accepted", "temporary",
    ]  # fmt: skip
    assert all(outcome.error_code for _, outcome in trial.outcomes if outcome.kind == "temporary")


async def test_a_limit_of_the_provider_is_temporary(trial: Trial) -> None:
    trial.sink.manners.limit(Limit(trial.channel, per_s=0.001))
    assert sorted(await trial.send(*[trial.message(number) for number in range(5)])) == ["accepted"] + ["temporary"] * 4
    trial.sink.manners.limit(Limit(trial.channel, per_s=0))
    assert await trial.send(trial.message()) == ["accepted"]


async def test_a_refused_recipient_is_permanent_and_holds_up_nobody(trial: Trial) -> None:
    trial.behave("reject_permanent")
    assert sorted(await trial.send(*[trial.message(number) for number in range(3)])) == [
        "accepted", "accepted", "permanent",
    ]  # fmt: skip
    assert len(trial.sink.messages()) == 2


async def test_what_is_refused_says_whether_it_is_the_recipient_or_the_text(trial: Trial) -> None:
    """Only what says that the address itself is no good ends a way. Seen to fail while every 422 of a gateway did."""
    refusals: dict[Mode, bool] = {"reject_permanent": True, "reject_text": False}
    for mode, ends in refusals.items():
        trial.behave(mode)
        assert sorted(await trial.send(trial.message(1), trial.message(2))) == ["accepted", "permanent"]
        [code] = [outcome.error_code for _, outcome in trial.outcomes if outcome.kind == "permanent"]
        assert (mode, is_dead(code)) == (mode, ends)


@pytest.mark.parametrize(("mode", "arrived"), [("drop_before_accept", 0), ("drop_after_accept", 1), ("garbage", 0)])
async def test_nobody_knows_after_a_drop(trial: Trial, mode: Mode, arrived: int) -> None:
    trial.behave(mode)
    message = trial.message()
    assert await trial.send(message) == ["unknown"]
    assert len(trial.sink.messages()) == arrived
    # Again, under the same key: then it is there, and once wherever the provider knows it again.
    assert await trial.send(message) == ["accepted"]
    assert len(trial.sink.messages()) == (1 if trial.sender.is_idempotent else arrived + 1)


@pytest.mark.parametrize(("mode", "arrived"), [("slow", 0), ("slow_answer", 1)])
async def test_no_answer_in_time_is_unknown(trial: Trial, loop_time: LoopTime, mode: Mode, arrived: int) -> None:
    trial.behave(mode)
    sending = asyncio.create_task(trial.send(trial.message()))
    await until(lambda: trial.sink.in_hand == 1)
    loop_time.pass_time(TIMEOUT_S)
    assert await sending == ["unknown"]
    assert len(trial.sink.messages()) == arrived
    trial.sink.release()
    await until(lambda: trial.sink.in_hand == 0)


async def test_what_cannot_begin_in_time_is_not_started(
    trial: Trial, loop_time: LoopTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever holds up the batch: the provider that takes its time with those before."""
    trial.behave("slow", times=1_000)
    messages = [trial.message(number) for number in range(trial.most_at_once * 2)]
    first = 1 if trial.way == "email" else trial.most_at_once
    sending = asyncio.create_task(trial.send(*messages))
    await until(lambda: trial.sink.in_hand == first)
    loop_time.pass_time(START_WITHIN_S)
    trial.sink.release()
    kinds = await sending
    assert kinds == ["accepted"] * first + ["not_started"] * (len(messages) - first)
    assert len(trial.sink.messages()) == first
    assert {module.START_WITHIN_S for module in (http, smtp)} == {START_WITHIN_S}


async def test_who_is_away_is_temporary_for_all_of_the_batch(trial: Trial) -> None:
    assert await trial.send(trial.message(1), trial.message(2), sender=trial.away) == ["temporary"] * 2
    assert {outcome.error_code for _, outcome in trial.outcomes} == {"connect"}


@pytest.mark.parametrize(
    "to", ["", "x", "a b@c", "\r\n", "090\r\nRCPT TO:<x@example.jp>", "a@b.jp\r\nRCPT TO:<x@example.jp>", "あ", "\0@\0"]
)
async def test_an_address_that_is_none_harms_nobody_else(trial: Trial, to: str) -> None:
    good = [trial.message(number) for number in range(2)]
    bad = Message(key=f"{TOWN}:{uuid4()}", to=to, content=TEXT.encode(), sender="a@ninomiya.example.jp")
    kinds = await trial.send(good[0], bad, good[1])
    assert (kinds[0], kinds[2]) == ("accepted", "accepted")
    assert {sent.to for sent in trial.sink.messages()} <= {good[0].to, good[1].to, to}
    if trial.way != "line":
        # LINE's simulator takes any id.
        assert kinds[1] == "permanent"


async def test_what_lies_is_believed_and_its_receipts_tell(trial: Trial) -> None:
    trial.behave("lose")
    assert await trial.send(trial.message()) == ["accepted"]
    assert trial.sink.messages() == []
    assert len(trial.sink.messages(lost=True)) == 1
    trial.behave("deny")
    assert await trial.send(trial.message(2)) == ["permanent"]
    assert len(trial.sink.messages()) == 1


async def test_so_many_at_once_and_no_more(trial: Trial) -> None:
    """Several batches at a time, as the loop has them, over few connections, which are used again.

    Seen to fail without the bound: every batch of mail has a connection, every message of the others a request.
    """
    trial.behave("slow", times=1_000)
    batches = [[trial.message(100 * batch + number) for number in range(30)] for batch in range(6)]
    sending = [asyncio.create_task(trial.sender.send_batch(batch, trial.report)) for batch in batches]
    await until(lambda: trial.sink.in_hand == trial.most_at_once)
    await asyncio.sleep(0.05)
    trial.sink.release()
    await asyncio.gather(*sending)
    assert {outcome.kind for _, outcome in trial.outcomes} == {"accepted"}
    assert len(trial.sink.messages()) == 180
    assert trial.sink.manners.most_in_hand[trial.channel] == trial.most_at_once
    assert trial.sink.connections <= trial.most_at_once
    if trial.way == "email":
        assert trial.sink.connections_made == CONNECTIONS


async def test_it_gives_back_its_connections_and_opens_others(trial: Trial) -> None:
    for _ in range(2):
        assert await trial.send(trial.message()) == ["accepted"]
        assert trial.sink.connections == 1
        await trial.sender.close()
        await until(lambda: trial.sink.connections == 0)


async def test_an_empty_batch_is_none(trial: Trial) -> None:
    assert await trial.send() == []


async def test_no_address_and_no_text_is_in_a_log_or_a_representation(
    trial: Trial, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        for mode in ("ok", "reject_permanent", "garbage", "fail_5xx", "drop_after_accept"):
            trial.behave(mode)
            await trial.send(trial.message(12345678))
        await trial.send(trial.message(12345678), sender=trial.away)
    ours = [str(record.getMessage()) for record in caplog.records if not record.name.startswith(("mail", "uvicorn"))]
    seen = "\n".join(
        [*ours, *capsys.readouterr(), repr(trial.message(12345678)), repr(trial.sender), *map(repr, trial.outcomes)]
    )
    for word in ("12345678", "二宮町", TOKEN):
        assert word not in seen


async def test_as_a_seed_decides_it_happens_again(trial: Trial) -> None:
    chances: dict[Mode, float] = {"fail_5xx": 0.3, "reject_permanent": 0.3}
    found = []
    messages = [trial.message(number, key=f"{TOWN}:{number}") for number in range(30)]
    for _ in range(2):
        async with Sink(token=TOKEN) as sink:
            again = make_trial(trial.name, sink)
            sink.manners.behave(Behaviour(channel=trial.channel, mode="mixed", times=1_000, seed=7, chances=chances))
            found.append(await again.send(*messages))
            await again.sender.close()
    assert found[0] == found[1]
    assert {"accepted", "temporary", "permanent"} == set(found[0])


@pytest.mark.parametrize(("ending", "mode"), MAGIC.items())
async def test_a_recipients_ending_decides_what_becomes_of_it(trial: Trial, ending: str, mode: Mode) -> None:
    if mode in ("slow", "slow_answer"):
        return
    to = f"h+{mode}@example.jp" if trial.way == "email" else trial.to(int(ending))
    expected: dict[Mode, OutcomeKind] = {
        **dict.fromkeys(("fail_5xx", "too_many", "closing"), "temporary"),
        **dict.fromkeys(("garbage", "drop_before_accept", "drop_after_accept"), "unknown"),
        **dict.fromkeys(("reject_permanent", "reject_text", "deny"), "permanent"),
    }
    assert await trial.send(trial.message(to=to)) == [expected.get(mode, "accepted")]
    if mode == "reject_text":
        # The address is as good as it was.
        assert [is_dead(outcome.error_code) for _, outcome in trial.outcomes] == [False]


@pytest.mark.parametrize(
    ("content", "code", "ends"),
    [
        (b'{"error": "number"}', "sms_number", True),
        (b'{"error": "not_mobile"}', "sms_number", True),
        (b'{"error": "text"}', "http_422", False),
        (b'{"error": "sender"}', "http_422", False),
        (b'{"error": 7}', "http_422", False),
        (b"<html>\xff", "http_422", False),
        (b"", "http_422", False),
    ],
)
def test_a_gateways_422_ends_a_number_only_if_it_says_so(content: bytes, code: str, ends: bool) -> None:
    outcome = SmsJson("http://x.example.jp/", TOKEN).read(Answer(422, {}, content))
    assert (outcome.kind, outcome.error_code, is_dead(outcome.error_code)) == ("permanent", code, ends)


async def test_the_form_is_in_shift_jis_and_nothing_of_it_is_lost() -> None:
    async with Sink(token=TOKEN) as sink:
        trial = make_trial("sms_form", sink)
        text = "髙橋①㈱～－"
        assert text.encode(SHIFT_JIS)
        good = Message(key=f"{TOWN}:1", to="09012345678", content=text.encode(), sender="")
        bad = Message(key=f"{TOWN}:2", to="09012345678", content="𠮷".encode(), sender="")
        assert await trial.send(good, bad) == ["accepted", "permanent"]
        assert [sent.text for sent in sink.messages()] == [text]
        await trial.sender.close()


async def test_a_practice_towns_sender_takes_everything() -> None:
    sender = SimulatedSender()
    found: list[tuple[str, str]] = []

    async def report(key: str, outcome: Outcome) -> None:
        found.append((key, outcome.kind))

    await sender.send_batch([Message(key="k", to="x", content=b"", sender="")], report)
    assert found == [("k", "accepted")]
    await sender.close()


# --- by hand: the same, against our own database ------------------------------------------------------------------


@dataclass
class HandTrial:
    """A sender that puts rows where staff find them, and what it reported."""

    service: Notifications
    sender: Sender
    table: str
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)

    async def message(self, *, to: str = "", key: str = "", written: bytes = b"") -> Message:
        """To somebody who has booked; an order's key names a notice that there is."""
        if not key:
            contact = self.service.contact("sms")
            await self.service.hear(contact, self.service.booked(contact))
            [row] = await self.service.rows("SELECT notice_id FROM notice ORDER BY created_at DESC, notice_id LIMIT 1")
            key = f"{TOWN}:{row.notice_id}"
        is_letter = self.sender.name == "print_queue"
        content = written or (msgspec.json.encode(make_letter().written) if is_letter else TEXT.encode())
        return Message(key=key, to=to or (TO if is_letter else "+81463713311"), content=content, sender="")

    async def messages(self, count: int) -> list[Message]:
        for _ in range(count):
            contact = self.service.contact("sms")
            await self.service.hear(contact, self.service.booked(contact))
        rows = await self.service.rows("SELECT notice_id FROM notice")
        return [await self.message(key=f"{TOWN}:{row.notice_id}") for row in rows]

    async def send(self, *messages: Message, sender: Sender | None = None) -> list[OutcomeKind]:
        self.outcomes.clear()
        await (sender or self.sender).send_batch(messages, self.report)
        found = dict(self.outcomes)
        assert sorted(key for key, _ in self.outcomes) == sorted(message.key for message in messages)
        return [found[message.key].kind for message in messages]

    async def report(self, key: str, outcome: Outcome) -> None:
        self.outcomes.append((key, outcome))

    async def count(self) -> int:
        return len(await self.service.rows(f"SELECT 1 FROM {self.table}"))


@pytest.fixture(params=["print_queue", "call_list"])
async def by_hand(request: pytest.FixtureRequest, service: Notifications) -> HandTrial:
    table = {"print_queue": "letter", "call_list": "staff_task"}[request.param]
    return HandTrial(service, service.senders[request.param], table)


async def test_by_hand_it_is_called_by_its_name_and_knows_repetitions(by_hand: HandTrial) -> None:
    assert by_hand.sender.name in ("print_queue", "call_list")
    assert (by_hand.sender.is_idempotent, by_hand.sender.limit is None) == (True, False)
    assert await by_hand.send() == []
    await by_hand.sender.close()
    await by_hand.sender.close()


async def test_by_hand_each_message_is_accepted_once(by_hand: HandTrial) -> None:
    messages = await by_hand.messages(10)
    assert await by_hand.send(*messages) == ["accepted"] * 10
    refs = [outcome.provider_ref for _, outcome in by_hand.outcomes]
    assert len(set(refs)) == 10
    # Again, in another order, and by another process at the same time.
    other = senders_by_hand(by_hand.service.db, by_hand.service.keys.vault, lambda: by_hand.service.now)
    again = messages[::-1]
    both = await asyncio.gather(by_hand.send(*again), HandTrial.send(
        HandTrial(by_hand.service, other[by_hand.sender.name], by_hand.table), *messages
    ))  # fmt: skip
    assert [kind for kinds in both for kind in kinds] == ["accepted"] * 20
    assert [outcome.provider_ref for _, outcome in by_hand.outcomes] == refs[::-1]
    assert await by_hand.count() == 10


async def test_by_hand_another_way_is_another_message(by_hand: HandTrial) -> None:
    message = await by_hand.message()
    other = await by_hand.message(key=f"{message.key}:2")
    assert await by_hand.send(message, other) == ["accepted"] * 2
    # Two letters; but one person is called, by the number that was given last.
    assert await by_hand.count() == (2 if by_hand.sender.name == "print_queue" else 1)


@pytest.mark.parametrize("to", ["x", "a b@c", "\r\n", "090\r\nRCPT TO:<x@example.jp>", "あ", "\0@\0", "〒1-2\nx\ny"])
async def test_by_hand_an_address_that_is_none_harms_nobody_else(by_hand: HandTrial, to: str) -> None:
    first, second, third = await by_hand.messages(3)
    kinds = await by_hand.send(first, msgspec.structs.replace(second, to=to), third)
    assert kinds == ["accepted", "permanent", "accepted"]
    assert await by_hand.count() == 2


async def test_by_hand_what_is_no_message_is_permanent(by_hand: HandTrial) -> None:
    gone = await by_hand.message(key=f"{TOWN}:{uuid4()}")
    for bad in (gone, await by_hand.message(key="x"), await by_hand.message(key=f"{TOWN}:x:y")):
        assert await by_hand.send(bad) == ["permanent"]
    if by_hand.sender.name == "print_queue":
        assert await by_hand.send(await by_hand.message(written=b"{")) == ["permanent"]
    assert await by_hand.count() == 0


async def test_by_hand_a_database_that_is_away_is_temporary_and_nobody_knows_after_a_lost_commit(
    by_hand: HandTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, next_one = await by_hand.messages(2)
    begin = by_hand.service.db.begin

    def failing(when: str) -> Callable[[str], AbstractAsyncContextManager[AsyncSession]]:
        @asynccontextmanager
        async def begun(municipality: str) -> AsyncIterator[AsyncSession]:
            monkeypatch.setattr(by_hand.service.db, "begin", begin)
            if when == "before":
                raise ConnectionError
            async with begin(municipality) as session:
                yield session
            raise ConnectionError

        return begun

    monkeypatch.setattr(by_hand.service.db, "begin", failing("before"))
    assert await by_hand.send(message, next_one) == ["temporary", "accepted"]
    monkeypatch.setattr(by_hand.service.db, "begin", failing("after"))
    assert await by_hand.send(message) == ["unknown"]
    # Again, under the same key: then it is there, and once.
    assert await by_hand.send(message) == ["accepted"]
    assert await by_hand.count() == 2


async def test_by_hand_what_cannot_begin_in_time_is_not_started(
    by_hand: HandTrial, loop_time: LoopTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = await by_hand.messages(3)
    begin = by_hand.service.db.begin

    def slow(municipality: str) -> AbstractAsyncContextManager[AsyncSession]:
        loop_time.pass_time(START_WITHIN_S)
        return begin(municipality)

    monkeypatch.setattr(by_hand.service.db, "begin", slow)
    assert await by_hand.send(*messages) == ["accepted", "not_started", "not_started"]


async def test_by_hand_no_address_and_no_text_is_in_a_log_or_a_representation(
    by_hand: HandTrial, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        message = await by_hand.message()
        for each in (message, msgspec.structs.replace(message, to="秘密"), msgspec.structs.replace(message, key="x")):
            await by_hand.send(each)
    ours = [str(record.getMessage()) for record in caplog.records]
    seen = "\n".join([*ours, *capsys.readouterr(), repr(message), repr(by_hand.sender), *map(repr, by_hand.outcomes)])
    for word in ("3711", "二宮", "秘密", "髙子"):
        assert word not in seen
