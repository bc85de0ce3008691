"""What people are told of a draw: who won, with their appointment; who did not; and that there is none any more."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared.events.booking import DrawEntryProgressed, DrawEntryState
from shared.events.routing import ContactGiven, Reach, SubjectErased
from tests.notifications.harness import CODE, LINK_TOKEN, PUBLIC_URL, TOWN, Notifications

TICKET = "K4M7RX"


def entered(
    service: Notifications, contact: ContactGiven | None, state: DrawEntryState = "lost", **changes: Any
) -> DrawEntryProgressed:
    """An entry's first word."""
    entry_id = changes.pop("entry_id", None) or uuid4()
    told = DrawEntryProgressed(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(entry_id),
        aggregate_version=2 if state == "won" else 1,
        occurred_at=service.now,
        sealed=service.seal_ticket(TICKET),
        entry_id=entry_id,
        draw_id=uuid4(),
        subject_ref=contact.subject_ref if contact else uuid4(),
        contact_ref=contact.contact_ref if contact else None,
        case_id=contact.case_id if contact else uuid4(),
        procedure="CHI01",
        office="子育て",
        state=state,
    )
    return msgspec.structs.replace(told, **changes)


async def kinds(service: Notifications) -> dict[str, str]:
    return {row.kind: row.state for row in await service.rows("SELECT kind, state FROM notice")}


@pytest.mark.parametrize("reach", ["email", "sms"])
async def test_who_won_is_told_so_with_their_appointment(service: Notifications, reach: Reach) -> None:
    contact = service.contact(reach)
    await service.hear(contact, msgspec.structs.replace(service.booked(contact), drawn=True), bulk=True)
    await service.settle()
    [message] = service.sink.messages()
    assert "抽選に当たりました" in message.text
    assert "NNN-1042" in message.text
    assert f"{PUBLIC_URL}/booking/a/{LINK_TOKEN}" in message.text
    if reach == "email":
        assert "抽選に当たりました" in (message.subject or "")
        assert "取り消してください" in message.text
        assert CODE in message.text
        assert message.calendar
    assert await kinds(service) == {"draw_won": "sent"}


@pytest.mark.parametrize("reach", ["email", "sms"])
@pytest.mark.parametrize(("state", "says"), [("lost", "外れました"), ("called_off", "取りやめになりました")])
async def test_who_has_no_seat_is_told_what_they_can_do(
    service: Notifications, reach: Reach, state: DrawEntryState, says: str
) -> None:
    contact = service.contact(reach)
    await service.hear(contact, entered(service, contact, state), bulk=True)
    await service.settle()
    [message] = service.sink.messages()
    assert says in message.text
    assert "K4M-7RX" in message.text
    assert f"{PUBLIC_URL}/" in message.text
    assert CODE not in message.text
    assert not message.calendar
    purposes = {row.purpose for row in await service.rows("SELECT purpose FROM ledger_entry")}
    assert purposes == {"予約のお知らせを送るため"}


async def test_each_is_told_once_and_who_wins_after_all_is_not_told_of_having_lost(service: Notifications) -> None:
    contact = service.contact()
    lost = entered(service, contact)
    await service.hear(lost, lost)
    won = entered(service, contact, "won", entry_id=lost.entry_id)
    await service.hear(won, msgspec.structs.replace(service.booked(contact), drawn=True), contact)
    await service.settle()
    assert await kinds(service) == {"draw_lost": "superseded", "draw_won": "sent"}
    # What comes too late is not told either.
    await service.hear(msgspec.structs.replace(lost, event_id=uuid4()))
    await service.settle()
    assert len(service.sink.messages()) == 1


async def test_whom_no_message_reaches_staff_tell_that_there_is_no_draw_but_not_that_they_lost(
    service: Notifications,
) -> None:
    nobody = service.contact("none")
    await service.hear(nobody)
    for contact in (None, nobody):
        await service.hear(entered(service, contact), entered(service, contact, "called_off"))
    await service.settle()
    notices = await service.rows("SELECT kind, state FROM notice ORDER BY kind, state")
    assert [(row.kind, row.state) for row in notices] == [
        ("draw_called_off", "undeliverable"),
        ("draw_called_off", "undeliverable"),
        ("draw_lost", "printed_slip"),
        ("draw_lost", "printed_slip"),
    ]
    tasks = await service.rows("SELECT number, reason FROM staff_task")
    assert [(row.number, row.reason) for row in tasks] == [(TICKET, "no_contact")] * 2
    assert service.sink.messages() == []


async def test_nothing_is_left_of_an_entry_whose_person_is_erased(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact, entered(service, contact))
    await service.settle()
    erased = SubjectErased(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(uuid4()),
        aggregate_version=1,
        occurred_at=service.now,
        erasure_id=uuid4(),
        subject_ref=contact.subject_ref,
        reason="resident",
    )
    await service.hear(erased)
    for table in ("notice", "application", "attempt", "contact_point"):
        assert await service.rows(f"SELECT 1 FROM {table}") == [], table
