"""Whoever did not press the button themselves is told that their case goes on another way."""

from uuid import uuid4

import msgspec
import pytest

from shared.events.routing import CaseSwitched, ContactGiven, Reach
from tests.notifications.harness import PUBLIC_URL, TOWN, Notifications


def switched(service: Notifications, contact: ContactGiven, version: int = 5) -> CaseSwitched:
    return CaseSwitched(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(contact.case_id),
        aggregate_version=version,
        occurred_at=service.now,
        case_id=contact.case_id,
        channel="online",
        is_settled=False,
        by_others="staff",
        subject_ref=contact.subject_ref,
        contact_ref=contact.contact_ref,
        procedure="CHI01",
        office="子育て",
    )


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_who_was_switched_by_others_is_told_where_to_undo_it(service: Notifications, reach: Reach) -> None:
    contact = service.contact(reach)
    event = switched(service, contact)
    await service.hear(contact, event, event)
    await service.settle()
    [message] = service.sink.messages()
    assert "ご本人の希望として" in message.text
    assert f"{PUBLIC_URL}/my" in message.text
    assert [row.state for row in await service.rows("SELECT state FROM notice")] == ["sent"]


async def test_what_they_did_themselves_is_told_to_nobody(service: Notifications) -> None:
    contact = service.contact("email")
    event = msgspec.structs.replace(switched(service, contact), by_others=None)
    await service.hear(contact, event)
    await service.settle()
    assert service.sink.messages() == []
