"""What people are told of their online applications: each state once, the newest one wins, no word of the office's."""

import asyncio
from typing import get_args

import msgspec
import pytest

from services.notifications.domain.notices import APPLICATION_NOTICES
from shared.events.routing import ApplicationProgressed, ApplicationState, Reach
from tests.notifications.harness import CODE, LINK_TOKEN, PUBLIC_URL, Notifications

STATES: tuple[ApplicationState, ...] = ("submitted", "correction_asked", "submitted", "accepted", "completed")


async def follow(service: Notifications, first: ApplicationProgressed, *states: ApplicationState) -> None:
    """Hear the first event and those that follow, and let each be sent before the next."""
    event = first
    await service.hear(event)
    await service.settle()
    for state in states:
        event = service.progressed(event, state)
        await service.hear(event)
        await service.settle()


async def test_every_state_is_told_by_mail_with_number_link_and_code(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact)
    await follow(service, service.applied(contact), *STATES[1:])
    sent = service.sink.messages()
    subjects = [message.subject or "" for message in sent]
    assert [subject.partition("」の申請")[2] for subject in reversed(subjects)] == [
        "を受けとりました",
        "に、なおしてほしいところがあります",
        "を受けとりました",
        "を受け付けました",
        "の手続きが終わりました",
    ]
    for message in sent:
        assert "K4M7-RXAC" in message.text
        assert f"{PUBLIC_URL}/a/{LINK_TOKEN}" in message.text
        assert CODE in message.text
        assert not message.calendar
    kinds = {row.target_step for row in await service.rows("SELECT target_step FROM ledger_entry")}
    assert "notice_application_correction" in kinds
    purposes = {row.purpose for row in await service.rows("SELECT purpose FROM ledger_entry")}
    assert purposes == {"申請のお知らせを送るため"}


async def test_an_sms_has_number_and_link_and_never_the_code(service: Notifications) -> None:
    contact = service.contact("sms")
    await service.hear(contact)
    await follow(service, service.applied(contact), "correction_asked", "withdrawn")
    texts = [message.text for message in service.sink.messages()]
    assert len(texts) == 3
    assert all("K4M7-RXAC" in text and CODE not in text for text in texts)
    assert f"{PUBLIC_URL}/a/{LINK_TOKEN}" in texts[-1]


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_a_visit_and_a_refusal_are_told_without_the_office_s_words(service: Notifications, reach: Reach) -> None:
    contact = service.contact(reach)
    await service.hear(contact)
    await follow(service, service.applied(contact), "visit_asked", "refused")
    refused, visit, _ = service.sink.messages()
    assert "役場に来て" in visit.text
    assert "認められませんでした" in refused.text or "決まりました" in refused.text
    for message in (visit, refused):
        assert f"{PUBLIC_URL}/a/{LINK_TOKEN}" in message.text
    assert (await service.states())["application_refused"] == "sent"
    await service.pass_time(days=3)
    assert [row.kept for row in await service.rows("SELECT access_sealed IS NOT NULL AS kept FROM application")] == [
        False
    ]


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_where_no_counter_does_it_one_is_asked_to_come_or_call(service: Notifications, reach: Reach) -> None:
    """Seen to fail without `at_counter` in the projection."""
    published = service.catalogue(version=2)
    entries = [msgspec.structs.replace(published.procedures[0], counters=()), *published.procedures[1:]]
    contact = service.contact(reach)
    await service.hear(msgspec.structs.replace(published, procedures=tuple(entries)), contact)
    await follow(service, service.applied(contact), "visit_asked")
    [visit, _] = service.sink.messages()
    assert "予約はいりません" in visit.text
    assert "日と時間" not in visit.text
    assert "予約 " not in visit.text


@pytest.mark.parametrize("end", ["completed", "refused"])
async def test_only_the_last_mail_asks_how_it_went(service: Notifications, end: ApplicationState) -> None:
    contact = service.contact()
    await service.hear(contact)
    await follow(service, service.applied(contact), "accepted", end)
    last, *before = service.sink.messages()
    link = f"{PUBLIC_URL}/a/{LINK_TOKEN}/feedback"
    assert link in last.text
    assert not [message for message in before if "/feedback" in message.text]


async def test_every_state_of_an_application_has_its_notice() -> None:
    assert set(APPLICATION_NOTICES) == set(get_args(ApplicationState))


async def test_a_duplicate_is_told_once_and_an_old_state_not_at_all(service: Notifications) -> None:
    contact = service.contact()
    first = service.applied(contact)
    accepted = service.progressed(first, "accepted")
    await service.hear(contact, accepted, accepted)
    await asyncio.gather(service.hear(first), service.hear(msgspec.structs.replace(first, event_id=contact.event_id)))
    await service.settle()
    assert [message.subject for message in service.sink.messages()] == ["【二宮町】「児童手当」の申請を受け付けました"]
    # The late event still brought the way to open it: the next message has the link.
    await service.hear(service.progressed(accepted, "completed"))
    await service.settle()
    assert LINK_TOKEN in service.sink.messages()[0].text


async def test_what_waits_is_overtaken_by_a_newer_state(service: Notifications) -> None:
    contact = service.contact()
    first = service.applied(contact)
    await service.hear(first)
    await service.settle()
    assert await service.states() == {"application_received": "pending"}
    await service.hear(service.progressed(first, "accepted"), contact)
    await service.settle()
    assert await service.states() == {"application_received": "superseded", "application_accepted": "sent"}


async def test_a_contact_that_never_arrives_becomes_a_task_on_the_page(service: Notifications) -> None:
    await service.hear(service.applied(service.contact()))
    for _ in range(11):
        await service.pass_time(minutes=1)
    assert await service.open_tasks() == ["contact_missing"]
    [task] = await service.rows("SELECT number, appointment_id, application_id FROM staff_task")
    assert (task.number, task.appointment_id) == ("K4M7RXAC", None)
    assert task.application_id is not None


async def test_without_a_contact_nothing_is_sent_or_owed(service: Notifications) -> None:
    await follow(service, service.applied(None), "accepted", "completed")
    assert service.sink.messages() == []
    assert await service.rows("SELECT 1 FROM notice") == []
    assert {receipt.outcome for receipt in service.receipts} == {"applied"}


async def test_a_discreet_procedure_is_named_nowhere(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact)
    await follow(service, service.applied(contact, procedure="OKU01"))
    [sent] = service.sink.messages()
    assert "おくやみ" not in f"{sent.subject}{sent.text}"
    assert "オンライン申請を受けとりました" in (sent.subject or "")


async def test_link_and_code_are_forgotten_after_the_end(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact)
    await follow(service, service.applied(contact), "accepted", "completed")
    kept = "SELECT access_sealed IS NOT NULL AS kept FROM application"
    assert [row.kept for row in await service.rows(kept)] == [True]
    await service.pass_time(days=3)
    assert [row.kept for row in await service.rows(kept)] == [False]


@pytest.mark.parametrize("sealed", ["garbage", "AAAA"])
async def test_a_broken_seal_is_refused_for_good(service: Notifications, sealed: str) -> None:
    await service.hear(msgspec.structs.replace(service.applied(service.contact()), sealed=sealed))
    assert service.receipts[-1].outcome == "refused"
    assert await service.rows("SELECT 1 FROM application") == []
