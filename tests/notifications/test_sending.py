"""Sending against real servers that behave well, badly, and in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from deploy.local.gateways.kept import Sent
from services.notifications import sending
from services.notifications.commands.attempts import LEASE, begin_attempts
from services.notifications.commands.contacts import PURPOSE
from services.notifications.domain.outcomes import Outcome
from services.notifications.senders import smtp
from services.notifications.senders.http import HttpSender
from services.notifications.senders.sender import NOT_STARTED, START_WITHIN_S, TIMEOUT_S, Message, Report
from services.notifications.senders.sms_json import SMS_GATEWAY, SmsJson
from services.notifications.senders.smtp import SmtpSender
from services.notifications.senders.smtp_pool import CONNECT_TIMEOUT_S
from services.notifications.senders.text_limit import UCS2_PARTS
from shared.clock import AgreedClock
from shared.ledger.sealer import Sealer
from shared.ledger.verify import verify
from shared.timekeeping import NOTICED_WITHIN_S
from tests.conftest import TestDatabase
from tests.notifications.harness import EMAIL, OTHER_TOWN, START, TOKEN, TOWN, LoopTime, Notifications, until

PROVIDERS = {"sms": SMS_GATEWAY}
ATTEMPTS = "SELECT attempt_no, outcome, error_code, provider_ref FROM attempt ORDER BY attempt_no"


async def book(service: Notifications, reach: Any = "sms", **contact: Any) -> None:
    given = service.contact(reach, **contact)
    await service.hear(given, service.booked(given))


async def outcomes(service: Notifications) -> list[tuple[str, str | None]]:
    return [(row.outcome, row.error_code) for row in await service.rows(ATTEMPTS)]


async def test_a_confirmation_goes_out_by_sms(service: Notifications) -> None:
    await book(service)
    await service.settle()
    [sent] = service.sink.messages(channel="sms", to="090-1234-5678".replace("-", ""))
    assert sent.text.startswith("【二宮町】予約できました。番号NNN-1042 11月27日（金） 10:00 町役場 2階 7番")
    assert sent.text.endswith(f"https://ninomiya.example.jp/booking/a/{'l' * 43}")
    assert "482913" not in sent.text
    [row] = await service.rows(ATTEMPTS)
    assert (row.outcome, row.provider_ref) == ("accepted", sent.message_id)
    assert await service.rows("SELECT 1 FROM due WHERE kind = 'send'") == []


async def test_a_mail_says_what_to_bring_and_where_in_the_words_of_the_pages(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact, service.booked(contact))
    await service.settle()
    [sent] = service.sink.messages(channel="email")
    for words in ("町役場 2階 7番窓口（子育て）", "二宮961", "300円", "・預金通帳", "5分前までに窓口に"):
        assert words in sent.text, words
    assert sent.calendar is not None
    calendar = sent.calendar.replace("\r\n ", "").replace("\n ", "")
    assert "預金通帳" in calendar
    # Twenty minutes, as every page says; the slot has forty-five.
    times = [line.rpartition(":")[2] for line in calendar.splitlines() if line.startswith(("DTSTART", "DTEND"))]
    began, ended = (datetime.fromisoformat(text) for text in times)
    assert ended - began == timedelta(minutes=20)


async def test_a_mail_about_what_is_discreet_names_neither_things_nor_counter(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact, service.booked(contact, procedure="OKU01", counter="0"))
    await service.settle()
    [sent] = service.sink.messages(channel="email")
    assert "持ちものは、予約のページで確かめられます。" in sent.text
    for word in ("おくやみ", "死亡診断書"):
        assert word not in f"{sent.text}{sent.calendar}"


async def test_every_use_of_an_address_is_in_the_ledger_once(service: Notifications) -> None:
    service.sink.behave("sms", "fail_5xx")
    await book(service)
    await service.settle()
    await service.pass_time(seconds=10)
    assert await outcomes(service) == [("temporary", "http_503"), ("accepted", None)]
    [entry] = await service.rows("SELECT * FROM ledger_entry")
    assert (entry.entry_type, entry.items, entry.purpose) == ("applied", ["contact"], PURPOSE)
    assert (entry.actor_kind, entry.target_step) == ("system", "notice_confirmation")
    published = {row.type for row in await service.rows("SELECT type FROM outbox")}
    assert published == {"ledger.reuse_recorded.v1", "notifications.notice_progressed.v1"}
    assert await Sealer(service.db).seal_all() == 1
    assert (await verify(service.db, TOWN)).intact


@pytest.mark.parametrize("reach", ["sms", "email"])
async def test_a_provider_that_is_busy_is_tried_again_later(service: Notifications, reach: str) -> None:
    service.sink.behave("sms" if reach == "sms" else "smtp", "fail_5xx", times=2)
    await book(service, reach)
    await service.settle()
    assert await service.states() == {"confirmation": "pending"}
    await service.pass_time(seconds=3)
    assert len(await outcomes(service)) == 1
    await service.pass_time(seconds=4)
    assert len(await outcomes(service)) == 2
    await service.pass_time(seconds=40)
    assert [kind for kind, _ in await outcomes(service)] == ["temporary", "temporary", "accepted"]
    assert await service.states() == {"confirmation": "sent"}
    assert len(service.sink.messages()) == 1


async def test_an_sms_that_was_accepted_without_an_answer_is_not_doubled(service: Notifications) -> None:
    """Seen to fail with a fresh id for every attempt: then the sink holds two."""
    service.sink.behave("sms", "drop_after_accept")
    await book(service)
    await service.settle()
    assert await service.states() == {"confirmation": "unknown"}
    await service.pass_time(seconds=10)
    assert await outcomes(service) == [("unknown", "no_answer"), ("accepted", None)]
    [sent] = service.sink.messages()
    assert sent.times == 2


async def test_a_mail_that_was_accepted_without_an_answer_keeps_its_message_id(service: Notifications) -> None:
    service.sink.behave("smtp", "drop_after_accept")
    await book(service, "email")
    await service.settle()
    assert await service.states() == {"confirmation": "unknown"}
    await service.pass_time(seconds=10)
    assert await outcomes(service) == [("unknown", "disconnected"), ("accepted", None)]
    [sent] = service.sink.messages()
    assert sent.times == 2


@pytest.mark.parametrize(("reach", "code"), [("sms", "sms_number"), ("email", "smtp_550")])
async def test_a_refused_address_becomes_a_task_for_staff(service: Notifications, reach: str, code: str) -> None:
    service.sink.behave("sms" if reach == "sms" else "smtp", "reject_permanent")
    await book(service, reach)
    await service.settle()
    assert await service.states() == {"confirmation": "failed"}
    assert await outcomes(service) == [("permanent", code)]
    assert await service.open_tasks() == ["rejected"]
    await service.pass_time(hours=2)
    assert len(await outcomes(service)) == 1


@pytest.mark.parametrize("reach", ["sms", "email"])
async def test_a_provider_that_does_not_answer_in_time_is_unknown(
    service: Notifications, reach: str, loop_time: LoopTime
) -> None:
    service.sink.behave("sms" if reach == "sms" else "smtp", "slow", slow_s=600)
    await book(service, reach)
    settling = asyncio.create_task(service.settle())
    await until(lambda: service.sink.in_hand == 1)
    loop_time.pass_time(TIMEOUT_S)
    await settling
    assert [kind for kind, _ in await outcomes(service)] == ["unknown"]
    await service.pass_time(seconds=10)
    assert await service.states() == {"confirmation": "sent"}
    # The first one comes to its end after all: it is the same message.
    service.sink.release()
    await until(lambda: service.sink.in_hand == 0)
    assert len(service.sink.messages()) == 1


@pytest.mark.parametrize("reach", ["sms", "email"])
async def test_an_answer_without_sense_is_unknown(service: Notifications, reach: str) -> None:
    service.sink.behave("sms" if reach == "sms" else "smtp", "garbage")
    await book(service, reach)
    await service.settle()
    assert [kind for kind, _ in await outcomes(service)] == ["unknown"]
    await service.pass_time(seconds=10)
    assert await service.states() == {"confirmation": "sent"}


@pytest.mark.parametrize("reach", ["sms", "email"])
async def test_a_provider_that_is_away_is_waited_for_until_it_is_too_late(service: Notifications, reach: str) -> None:
    service.senders["sms_gateway"] = HttpSender(SmsJson("http://127.0.0.1:9/sms", TOKEN))
    service.senders["smtp"] = SmtpSender("smtp://127.0.0.1:9")
    service.sending = service.make_sending()
    await book(service, reach)
    await service.settle()
    assert await outcomes(service) == [("temporary", "connect")]
    for _ in range(30):
        await service.pass_time(hours=1)
    assert await service.states() == {"confirmation": "undeliverable"}
    # Which of the two depends on where the last pause ends: before or after the message lost its use.
    assert await service.open_tasks() in (["gave_up"], ["too_late"])
    tries = len(await outcomes(service))
    assert 5 < tries < 30


async def test_a_worker_that_died_with_an_attempt_is_taken_over(service: Notifications) -> None:
    await book(service)
    [row] = await service.rows("SELECT notice_id FROM notice")
    async with service.db.begin(TOWN) as session:
        [order] = await begin_attempts(session, service.keys, TOWN, [row.notice_id], service.providers, now=service.now)
    # It had the answer in hand when it died: the gateway knows the message, we do not.
    accepted: list[Any] = []
    await service.senders["sms_gateway"].send_batch([_message(order.key)], _note(accepted))
    await service.settle()
    assert await service.states() == {"confirmation": "sending"}
    await service.pass_time(seconds=LEASE.total_seconds() + 1)
    assert await outcomes(service) == [("unknown", "lease_expired"), ("accepted", None)]
    [sent] = service.sink.messages()
    assert sent.times == 2


def _message(key: str) -> Message:
    return Message(key=key, to="09012345678", content="同じお知らせ".encode(), sender="")


def _note(found: list[Any]) -> Report:
    async def report(key: str, outcome: Any) -> None:
        found.append((key, outcome))

    return report


async def test_two_workers_share_a_burst_and_send_nothing_twice(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine must not put some of them off: that is another test's matter.
    monkeypatch.setattr(smtp, "START_WITHIN_S", 120.0)
    for number in range(100):
        contact = service.contact("sms" if number % 2 else "email")
        await service.hear(contact, service.booked(contact, number=f"NNN{number:04}"))
    loops = [service.make_sending() for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(loop.run_once() for loop in loops))
    sent = service.sink.messages()
    assert len(sent) == 100
    assert {one.times for one in sent} == {1}
    assert {row.state for row in await service.rows("SELECT DISTINCT state FROM notice")} == {"sent"}


async def test_an_idle_loop_calls_the_provider_soon_after_the_commit(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    look_once = service.sending._db.look

    async def look(question: str, *values: object) -> bool:
        is_due = await look_once(question, *values)
        looks.append(is_due)
        return is_due

    monkeypatch.setattr(service.sending._db, "look", look)
    loop = asyncio.create_task(service.sending.run())
    await until(lambda: len(looks) >= 2)
    await book(service)
    committed = len(looks)
    await until(lambda: bool(service.sink.messages()))
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    # By the first look that began after the commit, and looks are a fifth of a second apart.
    assert sum(looks[: committed + 2]) == 1
    assert sending.POLL_INTERVAL_S <= 0.2


async def test_messages_that_a_provider_holds_up_leave_room_for_others(service: Notifications) -> None:
    """One by one, as they come: each is a batch of its own.

    Seen to fail with four batches at a time: the fifth message did not leave.
    """
    service.sink.behave("sms", "slow", times=100, slow_s=600)
    loop = asyncio.create_task(service.sending.run())
    for number in range(8):
        await book(service)
        await until(lambda number=number: service.sink.in_hand == number + 1)  # type: ignore[misc]
    contact = service.contact("email")
    await service.hear(contact, service.booked(contact, number="NNN9999"))
    await until(lambda: bool(service.sink.messages(channel="email")))
    assert service.sink.in_hand == 8
    loop.cancel()
    service.sink.release()
    await asyncio.gather(loop, return_exceptions=True)


async def test_stopping_lets_a_batch_in_hand_come_to_its_end(service: Notifications) -> None:
    service.sink.behave("sms", "slow")
    await book(service)
    loop = asyncio.create_task(service.sending.run())
    await until(lambda: service.sink.in_hand == 1)
    loop.cancel()
    await asyncio.sleep(0)
    assert not loop.done()
    service.sink.release()
    await asyncio.gather(loop, return_exceptions=True)
    assert await service.states() == {"confirmation": "sent"}


async def test_no_transaction_is_open_while_the_provider_is_called(service: Notifications) -> None:
    class Watching:
        """A sender that looks at the database while it is sending."""

        name, is_idempotent, limit = SMS_GATEWAY, True, UCS2_PARTS

        async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
            query = """SELECT count(*) AS open FROM pg_stat_activity
                       WHERE application_name = 'choudo-notifications' AND state = 'idle in transaction'"""
            self.open = (await service.rows(query))[0].open
            self.attempts = len(await service.rows(ATTEMPTS))
            assert [message.to for message in messages] == ["09012345678"]
            self.report = report

        async def close(self) -> None: ...

    watching = Watching()
    service.senders["sms_gateway"] = watching
    await book(service)
    await service.make_sending().run_once()
    # The attempt is committed, and nobody waits inside a transaction.
    assert (watching.open, watching.attempts) == (0, 1)


async def test_without_a_gateway_staff_are_asked_to_call(service: Notifications) -> None:
    del service.senders["sms_gateway"]
    await book(service)
    await service.settle()
    assert await outcomes(service) == [("permanent", "no_provider")]
    assert await service.open_tasks() == ["rejected"]


async def test_an_erased_address_is_sent_nothing(service: Notifications) -> None:
    await book(service)
    async with service.db.begin(TOWN) as session:
        await (await session.connection()).exec_driver_sql("DELETE FROM subject_key")
    await service.settle()
    assert service.sink.messages() == []
    assert await service.states() == {"confirmation": "undeliverable"}
    assert await service.rows("SELECT 1 FROM ledger_entry") == []


async def test_a_town_sends_only_its_own(service: Notifications) -> None:
    await service.hear(service.catalogue(municipality=OTHER_TOWN, name="となり町"))
    await book(service, "sms", municipality=OTHER_TOWN)
    async with service.db.begin(TOWN) as session:
        [row] = await service.rows("SELECT notice_id FROM notice", municipality=OTHER_TOWN)
        assert (
            await begin_attempts(
                session, service.keys, TOWN, [UUID(str(row.notice_id))], service.providers, now=service.now
            )
            == []
        )
    await service.settle()
    [sent] = service.sink.messages()
    assert sent.text.startswith("【となり町】")


async def test_a_mail_is_a_real_mail_with_a_calendar_file(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw: list[bytes] = []
    accept = service.sink.accept_mail

    def keep(to: str, content: bytes) -> Sent:
        raw.append(content)
        return accept(to, content)

    monkeypatch.setattr(service.sink, "accept_mail", keep)
    contact = service.contact("email")
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    await service.hear(service.changed(booked, START + timedelta(days=1)))
    await service.settle()
    await service.hear(service.cancelled(service.changed(booked, START + timedelta(days=1))))
    await service.settle()
    mails = [message_from_bytes(content, policy=policy.default) for content in raw]
    assert len(mails) == 3
    assert [mail["Subject"] for mail in mails] == [
        "【二宮町】児童手当の予約ができました",
        "【二宮町】児童手当の予約を変更しました",
        "【二宮町】児童手当の予約を取り消しました",
    ]
    assert mails[0]["From"] == "二宮町 <no-reply@ninomiya.example.jp>"
    assert mails[0]["To"] == EMAIL
    ids = {mail["Message-ID"] for mail in mails}
    assert len(ids) == 3
    notices = {f"<{row.notice_id}@ninomiya.example.jp>" for row in await service.rows("SELECT notice_id FROM notice")}
    assert ids == notices
    calendars = [[part for part in mail.walk() if part.get_content_type() == "text/calendar"] for mail in mails]
    for number, (parts, method) in enumerate(zip(calendars, ["REQUEST", "REQUEST", "CANCEL"], strict=True)):
        assert len(parts) == 2
        assert {part.get_param("method") for part in parts} == {method}
        assert parts[1].get_filename() == "yoyaku.ics"
        text = parts[0].get_content().replace("\r\n ", "")
        assert f"METHOD:{method}" in text
        assert f"UID:{booked.appointment_id}@ninomiya.example.jp" in text
        assert f"SEQUENCE:{number}" in text
    body = mails[0].get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for words in ("NNN-1042", "2026年（令和8年）11月27日（金）午前10時", "町役場 2階 7番", "482913", "0463-71-3311"):
        assert words in text, words


async def test_a_discreet_procedure_is_named_nowhere(service: Notifications) -> None:
    for reach in ("email", "sms"):
        contact = service.contact(reach)
        await service.hear(contact, service.booked(contact, procedure="OKU01", counter="0"))
    await service.settle()
    sent = service.sink.messages()
    assert len(sent) == 2
    for one in sent:
        assert "おくやみ" not in f"{one.subject} {one.text} {one.calendar}"
    assert sent[0].text
    assert {one.subject for one in sent} == {None, "【二宮町】予約ができました"}


async def test_a_notice_speaks_its_readers_language(service: Notifications, database: TestDatabase) -> None:
    """Ours and the town's: the official name stands beside the translated one, in the calendar too what to bring."""
    async with database.admin_engine().begin() as connection:
        for ja, easy, en in (
            ("二宮町", "二宮町", "Ninomiya"),
            ("児童手当", "子《こ》どもの お金", "Child allowance"),
            ("預金通帳", "通帳《つうちょう》", "Bankbook"),
            ("町役場 2階", "町役場 2階", "Town hall, 2nd floor"),
            ("子育て", "子育て", "Families"),
        ):
            values = {"town": TOWN, "ja": ja, "easy": easy, "en": en}
            await connection.execute(text("INSERT INTO town.text VALUES (:town, :ja, :easy, :en)"), values)
    for language in ("en", "ja-easy"):
        await book(service, "email", language=language)
    await service.settle()
    english, plain = sorted(service.sink.messages(), key=lambda sent: "Fri" not in sent.text)
    assert "Child allowance" in (english.subject or "")
    assert "児童手当" not in (english.subject or "")
    for words in ("Fri", "Child allowance (児童手当)", "Bankbook", "Town hall, 2nd floor, Counter 7 (Families)"):
        assert words in english.text, words
    calendar = (english.calendar or "").replace("\r\n ", "")
    assert "Child allowance (Ninomiya)" in calendar
    assert "Bankbook" in calendar
    assert "子どもの お金（児童手当）" in plain.text
    assert "・通帳\r\n" in plain.text


async def test_a_cancellation_during_a_failing_call_ends_the_retries(service: Notifications) -> None:
    """Seen to fail without the look at the newest state before every attempt: then the confirmation goes out."""
    contact = service.contact("sms")
    booked = service.booked(contact)
    gateway = service.senders["sms_gateway"]

    class Cancelling:
        """A provider that fails while the person cancels."""

        name, is_idempotent, limit = SMS_GATEWAY, True, UCS2_PARTS

        async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
            service.senders["sms_gateway"] = gateway
            await service.hear(service.cancelled(booked))
            for message in messages:
                await report(message.key, Outcome(kind="temporary", error_code="busy"))

        async def close(self) -> None: ...

    service.senders["sms_gateway"] = Cancelling()
    await service.hear(contact, booked)
    await service.sending.run_once()
    await service.pass_time(seconds=10)
    assert await service.states() == {"confirmation": "superseded", "cancellation": "sent"}
    [sent] = service.sink.messages()
    assert "取り消しました" in sent.text


@asynccontextmanager
async def slow_mail_server(answer_after_s: float, loop_time: LoopTime) -> AsyncIterator[tuple[SmtpSender, list[str]]]:
    """A server that takes its time for every answer, the greeting included; and the commands that it was given."""
    heard: list[str] = []
    served = asyncio.Event()

    async def take_time() -> None:
        loop_time.pass_time(answer_after_s)
        # Whoever's limit has passed meanwhile gets to know it before the answer.
        await asyncio.sleep(0.001)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await take_time()
            writer.write(b"220 slow\r\n")
            while line := await reader.readline():
                heard.append(line.split()[0].decode().upper())
                await take_time()
                writer.write(b"250 slow\r\n")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sender = SmtpSender(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield sender, heard
        await sender.close()
        await served.wait()
    finally:
        server.close()


def _mails(count: int) -> list[Message]:
    return [Message(key=f"k{number}", to=EMAIL, content=b"x", sender="a@example.jp") for number in range(count)]


async def test_no_mail_begins_when_connecting_took_all_the_time(
    loop_time: LoopTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: its lease ran out while it was being sent, and another worker sent it again."""
    monkeypatch.setattr(smtp, "START_WITHIN_S", CONNECT_TIMEOUT_S - 1)
    accepted: list[Any] = []
    async with slow_mail_server(CONNECT_TIMEOUT_S / 2 - 0.2, loop_time) as (sender, heard):
        await sender.send_batch(_mails(3), _note(accepted))
    assert accepted == [(f"k{number}", NOT_STARTED) for number in range(3)]
    assert "MAIL" not in heard


async def test_all_steps_of_connecting_share_one_limit(loop_time: LoopTime) -> None:
    accepted: list[Any] = []
    async with slow_mail_server(CONNECT_TIMEOUT_S * 0.6, loop_time) as (sender, heard):
        await sender.send_batch(_mails(2), _note(accepted))
    assert [(key, outcome.error_code) for key, outcome in accepted] == [("k0", "connect"), ("k1", "connect")]
    assert "MAIL" not in heard


def test_a_batch_ends_well_before_its_lease() -> None:
    database_s = 10
    ends_s = START_WITHIN_S + TIMEOUT_S + smtp.RSET_TIMEOUT_S
    assert ends_s + database_s <= LEASE.total_seconds()


async def test_one_notice_that_cannot_be_begun_holds_up_no_other(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = [service.contact("sms", f"+8190123456{number}") for number in range(10, 14)]
    await service.hear(*contacts, *(service.booked(contact) for contact in contacts))
    [bad, *_] = await service.rows("SELECT notice_id FROM notice ORDER BY notice_id")

    async def begin(
        session: Any, keys: Any, municipality: str, notice_ids: Sequence[UUID], *others: Any, **how: Any
    ) -> Any:
        if bad.notice_id in notice_ids:
            raise ValueError("a notice that nobody foresaw")
        return await begin_attempts(session, keys, municipality, notice_ids, *others, **how)

    monkeypatch.setattr(sending, "begin_attempts", begin)
    await service.settle()
    assert len(service.sink.messages()) == 3
    monkeypatch.undo()
    await service.pass_time(seconds=LEASE.total_seconds() + 1)
    assert len(service.sink.messages()) == 4


async def test_what_was_put_off_by_a_clock_that_was_ahead_is_looked_at_once_it_is_right(service: Notifications) -> None:
    """Seen to fail where the step is noticed only when something is due: then nothing is, for an hour."""
    contact, seconds = service.contact("sms", "+819012345678"), 0.0
    await service.hear(contact, service.booked(contact))
    async with service.db.begin(TOWN) as session:
        await session.execute(text("UPDATE due SET due_at = due_at + interval '1 hour' WHERE kind = 'send'"))
    clock = AgreedClock(pace=lambda: seconds)
    loop = service.make_sending(clock=clock)
    for told in (service.now + timedelta(hours=1), service.now):
        clock.agree(told, asked_at=seconds, answered_at=seconds)
    assert await loop.run_once() == 0, "others may not have noticed"
    seconds = NOTICED_WITHIN_S
    clock.agree(service.now + timedelta(seconds=seconds), asked_at=seconds, answered_at=seconds)
    assert await loop.run_once() == 1
    assert len(service.sink.messages()) == 1
