"""Whose messages go to another address now is told so at the address before; and nobody else is."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shared.sms_parts import PARTS_MAX, count_parts
from tests.notifications.harness import EMAIL, PHONE, Notifications

OTHER = "+819011112222"
NIGHT = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


def changed(service: Notifications, reach: Any = "sms", address: str = OTHER, version: int = 2) -> Any:
    """Another address, after one that was theirs."""
    event = service.account(reach, address, version=version)
    return msgspec.structs.replace(event, tells_former=True)


async def states(service: Notifications) -> list[tuple[str, str, str | None]]:
    rows = await service.rows("SELECT kind, state, reach FROM notice ORDER BY created_at")
    return [(row.kind, row.state, row.reach) for row in rows]


@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_the_address_before_is_told_what_to_do_at_any_hour(
    service: Notifications, reach: Any, language: str
) -> None:
    service.now = NIGHT
    await service.hear(service.account(reach, language=language), changed(service))
    await service.settle()
    assert await states(service) == [("contact_changed", "sent", reach)]
    [sent] = service.sink.messages()
    assert sent.to == {"email": EMAIL, "sms": "0" + PHONE.removeprefix("+81")}[reach]
    assert "0463" in sent.text, "whom to call if it was somebody else"
    assert OTHER[-4:] not in sent.text, "nothing of the new one"
    if reach == "sms":
        assert count_parts(sent.text) <= PARTS_MAX


async def test_also_when_nothing_is_wanted_any_more(service: Notifications) -> None:
    await service.hear(service.account("email"), changed(service, "none", ""))
    await service.settle()
    assert await states(service) == [("contact_changed", "sent", "email")]


async def test_nobody_is_told_of_a_first_address_or_one_that_nobody_proved(service: Notifications) -> None:
    await service.hear(service.account(), service.account("email", version=2))
    await service.settle()
    assert await states(service) == []


async def test_it_is_told_once_however_often_it_is_heard(service: Notifications) -> None:
    event = changed(service)
    await service.hear(service.account("email"), event, event, service.account("email"))
    await service.settle()
    assert len(service.sink.messages()) == 1


async def test_what_is_heard_in_another_order_is_told_as_well(service: Notifications) -> None:
    """Theirs, then one that nobody proved, then another: the last is heard before the one that tells the first."""
    await service.hear(service.account("email"), service.account("sms", OTHER, version=3), changed(service))
    await service.settle()
    assert await states(service) == [("contact_changed", "sent", "email")]


async def test_an_address_where_nothing_arrives_is_no_reason_to_call(service: Notifications) -> None:
    service.sink.behave("smtp", "reject_permanent")
    await service.hear(service.account("email"), changed(service))
    await service.settle()
    assert await states(service) == [("contact_changed", "failed", "email")]
    assert await service.open_tasks() == []


async def test_the_address_before_is_forgotten_with_its_use(service: Notifications) -> None:
    await service.hear(service.account("email"), changed(service))
    await service.settle()
    [row] = await service.rows("SELECT content_sealed, wrapped_key FROM told")
    assert row.content_sealed is not None
    assert EMAIL.encode() not in bytes(row.content_sealed)
    await service.pass_time(hours=25)
    [row] = await service.rows("SELECT content_sealed, wrapped_key FROM told")
    assert (row.content_sealed, row.wrapped_key) == (None, None)


async def test_what_waits_for_the_address_before_is_not_sent_to_the_new_one(service: Notifications) -> None:
    service.sink.behave("smtp", "fail_5xx")
    await service.hear(service.account("email"), changed(service))
    await service.settle()
    service.sink.behave("smtp", "ok")
    await service.hear(service.account("sms", "+819033334444", version=3))
    await service.pass_time(minutes=2)
    assert [message.to for message in service.sink.messages()] == [EMAIL]
