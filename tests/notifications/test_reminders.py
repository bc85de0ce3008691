"""Reminders: at their time, with the newest state, and never for what was cancelled or has begun."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from services.notifications.commands import rules as rule_commands
from services.notifications.commands.rules import load_notice_rules
from shared.clock import JST
from shared.events.booking import AppointmentProgressed
from shared.town_pack import NoticeRules, read_town_pack
from tests.notifications.harness import NOW, START, TOWN, Notifications

SAMPLE_TOWN = Path(__file__).resolve().parents[2] / "deploy" / "towns" / "ninomiya"
PLANNED = "SELECT ref, due_at FROM due WHERE kind = 'reminder' ORDER BY due_at"


@pytest.fixture(autouse=True)
async def rules(service: Notifications) -> None:
    """A day before, and (the sample town's trial) a minute after booking."""
    await load(service, NoticeRules(reminders_before_min=(1_440,), trial_reminder_after_s=60))


async def load(service: Notifications, rules: NoticeRules) -> None:
    pack = msgspec.structs.replace(read_town_pack(SAMPLE_TOWN), notices=rules)
    async with service.db.begin(TOWN) as session:
        await load_notice_rules(session, pack, now=service.now)


def reminders(service: Notifications) -> int:
    return sum("近づきました" in sent.text for sent in service.sink.messages())


async def test_a_reminder_goes_out_at_its_time(service: Notifications) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert reminders(service) == 0
    await service.pass_time(seconds=59)
    assert reminders(service) == 0
    await service.pass_time(seconds=1)
    assert reminders(service) == 1
    service.now = START - timedelta(days=1)
    await service.settle()
    assert reminders(service) == 2
    await service.pass_time(days=2)
    assert reminders(service) == 2
    assert len(service.sink.messages()) == 3


async def test_no_reminder_after_a_cancellation(service: Notifications) -> None:
    contact = service.contact("sms")
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    await service.hear(service.cancelled(booked))
    assert await service.rows(PLANNED) == []
    await service.pass_time(days=2)
    assert reminders(service) == 0


async def test_a_reminder_that_was_already_due_when_the_cancellation_came_is_not_sent(service: Notifications) -> None:
    """The due row fires first; the notice that it makes is checked against the newest state once more."""
    contact = service.contact("sms")
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    service.now += timedelta(seconds=60)
    service.sink.behave("sms", "fail_5xx")
    await service.settle()
    await service.hear(service.cancelled(booked))
    await service.pass_time(seconds=30)
    assert reminders(service) == 0
    assert (await service.states())["reminder"] == "superseded"


async def test_a_change_moves_the_reminder(service: Notifications) -> None:
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    contact = service.contact("sms")
    booked = service.booked(contact)
    await service.hear(contact, booked)
    assert [row.due_at for row in await service.rows(PLANNED)] == [START - timedelta(days=1)]
    await service.hear(service.changed(booked, START + timedelta(days=5)))
    assert [row.due_at for row in await service.rows(PLANNED)] == [START + timedelta(days=4)]
    await service.hear(service.changed(booked, START - timedelta(days=2, hours=12)))
    assert [row.due_at for row in await service.rows(PLANNED)] == [START + timedelta(days=4)], "an older version"
    soon = service.followed(type(service.changed(booked, START)), booked, aggregate_version=3, sequence=2,
                            starts_at=NOW + timedelta(hours=2), ends_at=NOW + timedelta(hours=3))  # fmt: skip
    await service.hear(soon)
    assert await service.rows(PLANNED) == []


async def test_who_is_already_there_is_not_reminded(service: Notifications) -> None:
    contact = service.contact("sms")
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    await service.hear(service.followed(AppointmentProgressed, booked, state="checked_in"))
    await service.pass_time(minutes=5)
    assert reminders(service) == 0


async def test_a_worker_that_was_away_does_not_remind_after_the_start(service: Notifications) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    service.now = START + timedelta(minutes=1)
    await service.settle()
    assert reminders(service) == 0


async def test_a_late_reminder_waits_for_the_end_of_the_night(service: Notifications) -> None:
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    # The worker comes back at 23:00, long after the reminder was due.
    service.now = datetime(2026, 11, 26, 23, 0, tzinfo=JST).astimezone(UTC)
    await service.settle()
    assert reminders(service) == 0
    service.now = datetime(2026, 11, 27, 7, 59, tzinfo=JST).astimezone(UTC)
    await service.settle()
    assert reminders(service) == 0
    service.now = datetime(2026, 11, 27, 8, 0, tzinfo=JST).astimezone(UTC)
    await service.settle()
    assert reminders(service) == 1


@pytest.mark.parametrize(
    ("comes_back", "goes_out"),
    [
        ((26, 20, 59, 59), True),
        ((26, 21, 0, 0), False),
        ((26, 23, 59, 59), False),
        ((27, 0, 0, 0), False),
        ((27, 7, 59, 59), False),
        ((27, 8, 0, 0), True),
    ],
)
async def test_at_the_edges_of_the_night_and_at_midnight(
    service: Notifications, comes_back: tuple[int, int, int, int], goes_out: bool
) -> None:
    """By the clock of Japan, in which UTC's midnight is nine in the morning."""
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    service.now = datetime(2026, 11, *comes_back, tzinfo=JST).astimezone(UTC)
    await service.settle()
    assert reminders(service) == goes_out
    service.now = datetime(2026, 11, 27, 8, 0, tzinfo=JST).astimezone(UTC)
    await service.settle()
    assert reminders(service) == 1


async def test_a_confirmation_is_sent_at_night_at_once(service: Notifications) -> None:
    service.now = datetime(2026, 11, 24, 23, 0, tzinfo=JST).astimezone(UTC)
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert len(service.sink.messages()) == 1


async def test_loading_the_rules_again_replaces_them(service: Notifications) -> None:
    await load(service, NoticeRules(reminders_before_min=(60, 60, 2_880, 0)))
    rows = await service.rows("SELECT rule FROM reminder_rule ORDER BY rule")
    assert [row.rule for row in rows] == ["before2880", "before60"]


async def test_what_is_booked_already_is_reminded_by_the_towns_new_rule(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail: the reminder planned by the old rule found its rule gone, and nobody had planned another."""
    monkeypatch.setattr(rule_commands, "REPLAN_BATCH", 2)
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    contacts = [service.contact("sms", f"+8190123456{number}") for number in range(10, 15)]
    await service.hear(*contacts, *(service.booked(contact) for contact in contacts))
    await service.settle()
    assert {row.due_at for row in await service.rows(PLANNED)} == {START - timedelta(days=1)}

    await load(service, NoticeRules(reminders_before_min=(2_880,)))
    await service.settle()
    planned = await service.rows(PLANNED)
    assert [row.due_at for row in planned] == [START - timedelta(days=2)] * 5
    assert {row.ref.partition(":")[2] for row in planned} == {"before2880"}
    service.now = START - timedelta(days=2)
    await service.settle()
    assert reminders(service) == 5
    await service.pass_time(days=1)
    assert reminders(service) == 5


async def test_a_new_rule_whose_time_has_passed_leaves_nobody_without_a_reminder(service: Notifications) -> None:
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    service.now = START - timedelta(hours=36)
    await load(service, NoticeRules(reminders_before_min=(2_880,)))
    await service.settle()
    assert [row.due_at for row in await service.rows(PLANNED)] == [START - timedelta(days=1)]
    service.now = START - timedelta(days=1)
    await service.settle()
    assert reminders(service) == 1


async def test_loading_the_same_rules_again_reminds_nobody_twice_and_forgets_nobody(service: Notifications) -> None:
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    # The reminder is due, and the town is loaded again before the worker came to it.
    service.now = START - timedelta(days=1)
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    await service.settle()
    assert reminders(service) == 1
    await load(service, NoticeRules(reminders_before_min=(1_440,)))
    await service.pass_time(minutes=5)
    assert reminders(service) == 1


async def test_without_rules_nobody_is_reminded(service: Notifications) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await load(service, NoticeRules(reminders_before_min=()))
    await service.settle()
    assert await service.rows(PLANNED) == []


async def test_a_reminder_is_bulk_and_stays_so_when_it_is_tried_again(service: Notifications) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    service.sink.behave("sms", "fail_5xx")
    service.now += timedelta(minutes=1)
    while await service._due.run_once():
        pass
    for _ in range(2):
        assert await service.sending.run_once() == 0
        assert await service.sending_bulk.run_once() == 1
        service.now += timedelta(minutes=1)
    assert reminders(service) == 1


async def test_nobody_is_called_once_more_to_be_reminded(service: Notifications) -> None:
    """Seen to fail before: with a dead number each reminder was another card of the same appointment."""
    service.sink.behave("sms", "reject_permanent")
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    await service.pass_time(seconds=61)
    assert (await service.states())["reminder"] == "undeliverable"
    assert await service.open_tasks() == ["rejected"]
