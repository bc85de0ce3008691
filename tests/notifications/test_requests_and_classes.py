"""What residents are told of their request for a helper, and of their seat in a class."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

import msgspec
import pytest

from services.notifications.domain.notices import (
    CLASS_CHANGED,
    CLASS_NOTICES,
    CLASS_PROPOSED,
    CLASS_REMINDER,
    HELP_NOTICES,
)
from services.notifications.domain.reminders import day_before
from shared.events.booking import (
    ClassEntryProgressed,
    ClassEntryState,
    ClassHint,
    HelpRequestProgressed,
    HelpRequestState,
)
from shared.events.routing import ContactGiven, SubjectErased
from shared.sms_parts import PARTS_MAX, count_parts
from tests.notifications.harness import CODE, LINK_TOKEN, NOW, PUBLIC_URL, START, TOWN, Notifications

LANGUAGES = ("ja", "ja-easy", "en")
NUMBER, SHOWN = "K4M7RXAC", "K4M-7RXAC"
TITLE = "はじめてのスマートフォン教室（LINEの使い方）"


def request(
    service: Notifications, contact: ContactGiven | None, state: HelpRequestState = "open", **changes: Any
) -> HelpRequestProgressed:
    """A request's word, by default its first."""
    request_id = changes.pop("request_id", None) or uuid4()
    version = changes.pop("version", 1)
    return HelpRequestProgressed(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(request_id),
        aggregate_version=version,
        occurred_at=service.now,
        sealed=service.seal_access() if contact and version == 1 else None,
        request_id=request_id,
        number=NUMBER,
        subject_ref=contact.subject_ref if contact else None,
        contact_ref=contact.contact_ref if contact else None,
        case_id=contact.case_id if contact else None,
        procedure="CHI01",
        topic="",
        state=state,
        until=NOW + timedelta(days=2),
    )


def entry(
    service: Notifications, contact: ContactGiven | None, state: ClassEntryState = "entered", **changes: Any
) -> ClassEntryProgressed:
    """An entry's word, by default its first."""
    entry_id = changes.pop("entry_id", None) or uuid4()
    version = changes.pop("version", 1)
    told = ClassEntryProgressed(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(entry_id),
        aggregate_version=version,
        occurred_at=service.now,
        sealed=service.seal_access() if contact and version == 1 else None,
        entry_id=entry_id,
        class_id=uuid4(),
        number=NUMBER,
        subject_ref=contact.subject_ref if contact else None,
        contact_ref=contact.contact_ref if contact else None,
        title_ja=TITLE,
        venue="HALL",
        starts_at=START,
        ends_at=START + timedelta(hours=2),
        state=state,
        offer_until=NOW + timedelta(days=1) if state == "offered" else None,
    )
    return msgspec.structs.replace(told, **changes)


# 22:00 in Japan, on the day of `NOW`.
NIGHT = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)


async def kinds(service: Notifications) -> list[tuple[str, str]]:
    return sorted((row.kind, row.state) for row in await service.rows("SELECT kind, state FROM notice"))


def test_every_state_that_people_wait_for_is_told() -> None:
    assert set(get_args(HelpRequestState)) - set(HELP_NOTICES) == {"met", "withdrawn"}
    assert set(get_args(ClassEntryState)) - set(CLASS_NOTICES) == {"withdrawn"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reach", ["sms", "email"])
@pytest.mark.parametrize("state", list(HELP_NOTICES))
async def test_a_request_is_told_with_the_way_to_its_page(
    service: Notifications, state: HelpRequestState, reach: Any, language: str
) -> None:
    contact, event = service.contact(reach, language=language), None
    event = request(service, contact, state)
    await service.hear(contact, event, event)
    await service.settle()
    [message] = service.sink.messages()
    assert SHOWN in message.text or "K4M" in message.text
    assert f"{PUBLIC_URL}/booking/help/{LINK_TOKEN}" in message.text
    if reach == "sms":
        assert count_parts(message.text) <= PARTS_MAX, message.text
        assert CODE not in message.text
        assert "児童手当" not in message.text
    else:
        assert CODE in message.text
        assert f"{PUBLIC_URL}/booking/find" in message.text
    if state == "unmet" and language == "ja":
        assert "ほかの日時" in message.text
        assert "窓口" in message.text
        assert "オンライン" in message.text
    assert await kinds(service) == [(HELP_NOTICES[state], "sent")]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reach", ["sms", "email"])
@pytest.mark.parametrize("state", list(CLASS_NOTICES))
async def test_a_seat_is_told_with_time_and_place(
    service: Notifications, state: ClassEntryState, reach: Any, language: str
) -> None:
    contact = service.contact(reach, language=language)
    event = entry(service, contact, state)
    await service.hear(contact, event, event)
    await service.settle()
    [message] = service.sink.messages()
    assert "27" in message.text
    if state not in ("lost", "called_off"):
        assert f"{PUBLIC_URL}/booking/classes/a/{LINK_TOKEN}" in message.text
    if reach == "sms":
        assert count_parts(message.text) <= PARTS_MAX, message.text
        assert CODE not in message.text
    else:
        assert TITLE in message.text or language == "ja-easy"
    if state == "offered":
        assert "25" in message.text
    assert await kinds(service) == [(CLASS_NOTICES[state], "sent")]


async def test_who_is_found_before_they_were_told_to_wait_hears_of_the_appointment_only(service: Notifications) -> None:
    contact = service.contact()
    first = request(service, contact)
    met = request(service, contact, "met", request_id=first.request_id, version=2)
    await service.hear(first, met, service.booked(contact), contact)
    await service.settle()
    assert await kinds(service) == [("confirmation", "sent"), ("help_open", "superseded")]


async def test_what_comes_too_late_tells_nothing_and_brings_the_link(service: Notifications) -> None:
    contact = service.contact()
    first = request(service, contact)
    unmet = request(service, contact, "unmet", request_id=first.request_id, version=2)
    await service.hear(contact, unmet, first)
    await service.settle()
    assert await kinds(service) == [("help_unmet", "sent")]
    assert f"/booking/help/{LINK_TOKEN}" in service.sink.messages()[0].text


@pytest.mark.parametrize("contacted", [True, False])
async def test_who_cannot_be_told_that_nobody_was_found_is_called_by_staff(
    service: Notifications, contacted: bool
) -> None:
    nobody = service.contact("none") if contacted else None
    if nobody:
        await service.hear(nobody)
    await service.hear(request(service, nobody, "unmet"), entry(service, nobody, "offered"))
    await service.hear(request(service, nobody), entry(service, nobody, "waiting"))
    await service.settle()
    assert await kinds(service) == [
        ("class_offered", "undeliverable"), ("class_waiting", "printed_slip"),
        ("help_open", "printed_slip"), ("help_unmet", "undeliverable"),
    ]  # fmt: skip
    assert await service.open_tasks() == ["no_contact"] * 2


async def test_a_class_is_reminded_of_on_the_afternoon_before(service: Notifications) -> None:
    contact = service.contact("sms")
    seat, other = entry(service, contact), entry(service, contact)
    gone = entry(service, contact, "withdrawn", entry_id=other.entry_id, version=2)
    await service.hear(contact, seat, other, gone)
    await service.settle()
    at = day_before(START)
    assert (at.hour, START - at) == (8, timedelta(hours=17))
    service.now = at - timedelta(seconds=1)
    await service.settle()
    assert CLASS_REMINDER not in [kind for kind, _ in await kinds(service)]
    service.now = at
    await service.settle()
    assert (CLASS_REMINDER, "sent") in await kinds(service)
    assert [kind for kind, _ in await kinds(service)].count(CLASS_REMINDER) == 1
    # What opened it is of no more use a while after it.
    await service.pass_time(days=3)
    assert await service.rows("SELECT 1 FROM application WHERE access_sealed IS NOT NULL") == []


async def test_nothing_is_left_of_what_an_erased_person_entered(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact, request(service, contact), entry(service, contact))
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
    assert await service.rows("SELECT 1 FROM due WHERE kind = 'class_reminder'") == []


async def test_the_ledger_says_what_the_address_was_used_for(service: Notifications) -> None:
    contact = service.contact()
    await service.hear(contact, request(service, contact), entry(service, contact))
    await service.settle()
    purposes = {row.purpose for row in await service.rows("SELECT purpose FROM ledger_entry")}
    # As the person approved when they gave it.
    assert purposes == {"予約のお知らせを送るため"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reach", ["sms", "email"])
@pytest.mark.parametrize("kind", [CLASS_PROPOSED, CLASS_CHANGED])
async def test_a_seat_for_who_asked_for_help_and_a_class_that_was_moved_are_told_so(
    service: Notifications, kind: str, reach: Any, language: str
) -> None:
    contact = service.contact(reach, language=language)
    is_asked = kind == CLASS_PROPOSED
    event = entry(service, contact, "offered" if is_asked else "entered", is_asked=is_asked, is_changed=not is_asked)
    await service.hear(contact, event, event)
    await service.settle()
    [message] = service.sink.messages()
    assert f"{PUBLIC_URL}/booking/classes/a/{LINK_TOKEN}" in message.text
    assert await kinds(service) == [(kind, "sent")]
    if reach == "sms":
        assert count_parts(message.text) <= PARTS_MAX, message.text


async def test_a_class_that_is_moved_twice_in_a_night_is_told_once_in_the_morning(service: Notifications) -> None:
    """Seen to fail, with a message in the night for each, while it was told as a seat that one has."""
    contact, entry_id = service.contact("email"), uuid4()
    await service.hear(contact, entry(service, contact, entry_id=entry_id))
    await service.settle()
    service.now = NIGHT
    for version in (2, 3):
        moved: dict[str, Any] = {
            "starts_at": START + timedelta(days=version),
            "ends_at": START + timedelta(days=version, hours=2),
        }
        await service.hear(entry(service, contact, entry_id=entry_id, version=version, is_changed=True, **moved))
    await service.settle()
    assert len(service.sink.messages()) == 1
    service.now = MORNING
    await service.settle()
    assert len(service.sink.messages()) == 2
    assert await kinds(service) == [
        ("class_changed", "sent"),
        ("class_changed", "superseded"),
        ("class_entered", "sent"),
    ]


@pytest.mark.parametrize("reach", ["sms", "email"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_nobody_found_names_the_classes_that_fit(service: Notifications, reach: Any, language: str) -> None:
    contact = service.contact(reach, language=language)
    hint = ClassHint(title_ja="はじめてのLINE", venue_ja="生涯学習センター", starts_at=START)
    event = msgspec.structs.replace(request(service, contact, "unmet"), classes=(hint,))
    await service.hear(contact, event)
    await service.settle()
    [message] = service.sink.messages()
    if reach == "sms":
        assert count_parts(message.text) <= PARTS_MAX, message.text
    else:
        assert "はじめてのLINE" in message.text


async def test_who_gave_no_contact_hears_of_a_seat_that_is_kept_by_staff(service: Notifications) -> None:
    await service.hear(entry(service, None, "offered", is_asked=True))
    await service.settle()
    assert await kinds(service) == [(CLASS_PROPOSED, "undeliverable")]
