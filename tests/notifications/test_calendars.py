"""The calendar files of real mails, read by a program that knows nothing of ours and applied as calendars do."""

import itertools
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from deploy.local.gateways.kept import Sent
from services.notifications.rendering import render
from shared.events.base import Event
from tests.notifications.calendars import Book, Invitation, Malformed, invitations_of, read_invitation, unescape
from tests.notifications.harness import EMAIL, START, Notifications
from tests.notifications.test_one_stop import UNTIL, arrival
from tests.notifications.test_words_and_wires import make_order

LATER = START + timedelta(days=1)
MINUTES = timedelta(minutes=20)


@pytest.fixture
def wire(service: Notifications, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every mail as it came to the server."""
    came: list[bytes] = []
    accept = service.sink.accept_mail

    def keep(to: str, content: bytes, **how: Any) -> Sent:
        came.append(content)
        return accept(to, content, **how)

    monkeypatch.setattr(service.sink, "accept_mail", keep)
    return came


async def tell(service: Notifications, wire: list[bytes], *events: Event) -> Invitation:
    """Tell the person of this; what their program gets of it."""
    service.now += timedelta(minutes=1)
    before = len(wire)
    await service.hear(*events)
    await service.settle()
    [content] = wire[before:]
    inline, attached = invitations_of(content)
    assert inline == attached
    return inline


def together(service: Notifications, parts: list[Any], first: int = 0) -> list[Any]:
    """The facts of what is done with all of an arrival: the first one tells of it."""
    return [msgspec.structs.replace(part, together=3 * (place == first)) for place, part in enumerate(parts)]


async def test_booked_moved_and_cancelled_leaves_nothing(service: Notifications, wire: list[bytes]) -> None:
    contact, book = service.contact("email"), Book()
    booked = service.booked(contact)
    book.apply(await tell(service, wire, contact, booked))
    assert book.times == [(START, START + MINUTES)]
    moved = service.changed(booked, LATER)
    book.apply(await tell(service, wire, moved))
    assert book.times == [(LATER, LATER + MINUTES)]
    [entry] = book.entries.values()
    assert entry.text("SUMMARY") == "児童手当（二宮町）"
    assert entry.text("LOCATION").startswith("二宮961 ")
    assert entry.text("DESCRIPTION").splitlines()[:2] == ["予約番号 NNN-1042", "持ちもの：預金通帳"]
    assert entry.text("ORGANIZER") == "mailto:no-reply@ninomiya.example.jp"
    assert entry.properties["ORGANIZER"].params["CN"] == "二宮町"
    assert entry.text("ATTENDEE") == f"mailto:{EMAIL}"
    book.apply(await tell(service, wire, service.cancelled(moved)))
    assert book.entries == {}


@pytest.mark.parametrize("order", [*itertools.permutations(range(4)), (0, 0, 1, 1, 0, 3, 3, 2, 1, 0), (3, 3, 0, 1, 2)])
async def test_in_whichever_order_they_come_and_however_often(
    service: Notifications, wire: list[bytes], order: tuple[int, ...]
) -> None:
    """SEQUENCE decides, and never when it came."""
    contact, book = service.contact("email"), Book()
    booked = service.booked(contact)
    moved = service.changed(booked, LATER)
    again = service.changed(moved, LATER + timedelta(hours=1))
    facts = ((contact, booked), (moved,), (again,), (service.cancelled(again),))
    mails = [await tell(service, wire, *events) for events in facts]
    for place in order:
        book.apply(mails[place])
    assert book.entries == {}


async def test_one_visit_for_several_procedures_is_one_entry_to_its_end(
    service: Notifications, wire: list[bytes]
) -> None:
    contact, book = service.contact("email"), Book()
    parts = arrival(service, contact)
    mails = [await tell(service, wire, contact, *parts)]
    book.apply(mails[0])
    assert book.times == [(START, UNTIL)]
    # The last of it comes first now, and tells.
    moved = [service.changed(part, LATER - timedelta(hours=place)) for place, part in enumerate(parts)]
    mails.append(await tell(service, wire, *together(service, moved, first=2)))
    book.apply(mails[1])
    assert [start for start, _ in book.times] == [LATER - timedelta(hours=2)]
    mails.append(await tell(service, wire, *together(service, [service.cancelled(part) for part in moved])))
    for order in itertools.permutations(mails):
        anew = Book()
        for mail in order:
            anew.apply(mail)
        assert anew.entries == {}


async def test_a_visit_of_which_one_part_was_moved_before_ends_all_the_same(
    service: Notifications, wire: list[bytes]
) -> None:
    """Each part counts its own changes: that of the whole is newer than what another part told of it.

    Seen to fail with the SEQUENCE of whoever tells: the cancellation seemed older than the move.
    """
    contact, book = service.contact("email"), Book()
    parts: list[Any] = arrival(service, contact)
    book.apply(await tell(service, wire, contact, *parts))
    for _ in range(2):
        parts[0] = service.changed(parts[0], parts[0].starts_at + timedelta(minutes=5))
        await service.hear(msgspec.structs.replace(parts[0], together=0))
    parts = [service.changed(part, LATER + timedelta(hours=place)) for place, part in enumerate(parts)]
    book.apply(await tell(service, wire, *together(service, parts)))
    assert [start for start, _ in book.times] == [LATER]
    ended = [service.cancelled(part) for part in parts]
    book.apply(await tell(service, wire, *together(service, ended, first=1)))
    assert book.entries == {}


# --- what stands in it --------------------------------------------------------------------------------------------

INJECTED = "児童手当\r\nATTENDEE:mailto:x@example.jp\r\nBEGIN:VALARM"
LONG = "髙橋𠮷野ヶ里町児童手当（こども）🙂" * 40
ODD = 'a,b;c:d"e\\n\\,f\tg\u2028h'


def mail_of(**changes: Any) -> Invitation:
    order = make_order(reach="email", **({"address": EMAIL} | changes))
    inline, attached = invitations_of(render(order).content)
    assert inline == attached
    return inline


@pytest.mark.parametrize("field", ["procedure_name", "town_name", "town_address", "town_phone", "place"])
@pytest.mark.parametrize("said", [INJECTED, LONG, ODD, "a" * 74 + "あ" * 80, *("x" * n + "𠮷" * 60 for n in range(8))])
def test_whatever_stands_in_it_is_text_and_every_line_is_short(field: str, said: str) -> None:
    """Folded at 75 octets, and no character in two; a line break makes no property."""
    invitation = mail_of(**{field: said})
    plain = "".join(invitation.text(name) for name in ("SUMMARY", "LOCATION", "DESCRIPTION"))
    assert list(invitation.properties).count("ATTENDEE") == 1
    assert invitation.text("ATTENDEE") == f"mailto:{EMAIL}"
    if said == LONG and field != "town_phone":
        assert LONG in plain.replace("\n", "")


@pytest.mark.parametrize("address", ["a..b@docomo.ne.jp", ".x.@ezweb.ne.jp", "-abc@softbank.ne.jp", "taro@例え.jp"])
def test_the_person_is_named_as_their_carrier_does(address: str) -> None:
    assert mail_of(address=address).text("ATTENDEE") == f"mailto:{address}"


@pytest.mark.parametrize(
    "wrong",
    [
        b"BEGIN:VCALENDAR\nEND:VCALENDAR\n",
        b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        b"X" * 76 + b":a\r\n",
        b"SUMMARY\r\n",
    ],
)
def test_the_reader_is_strict(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        read_invitation(wrong)
    with pytest.raises(Malformed):
        unescape("a,b")
    with pytest.raises(Malformed):
        unescape("a\\x")
