"""The words of a notice: mail with a calendar file, SMS, a letter, or what is said on the telephone.

Pure: an order in, a message out.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from email.headerregistry import Address
from pathlib import Path
from typing import Literal

import msgspec
from icalendar import Calendar, Event, vCalAddress, vText

from services.notifications.domain.bounces import bounce_address
from services.notifications.domain.mail_address import standard_address
from services.notifications.domain.notices import (
    APPLICATION_NOTICES,
    CASE_SWITCHED,
    CONTACT_CHANGED,
    CONTACT_CODE,
    DRAW_NOTICES,
    HELP_NOTICES,
    HELPER_NOTICES,
    IN_BULK,
    OF_CLASSES,
    OF_TOWN,
    OF_WAYS,
    SIGN_IN,
    TURN_NEAR,
)
from services.notifications.domain.sms import domestic_number
from services.notifications.letters.letter import Letter, Written
from services.notifications.letters.setting import check
from services.notifications.mail_bytes import Sender, Value, calendar_part, text_part, write_mail
from services.notifications.order_words import address_of, place_of, procedure_of, speaking, things_of
from services.notifications.orders import Order
from services.notifications.own_words import own_text
from services.notifications.senders.sender import Message
from services.notifications.senders.text_limit import UCS2_PARTS, TextLimit
from shared.reference_number import calendar_uid, show_number
from shared.sms_parts import PARTS_MAX
from shared.town_pack.templates import Channel, parts_max
from shared.web.i18n import gettext as _
from shared.web.templating import jst_datetime, make_environment
from shared.web.town_texts import town_text

TEMPLATE_DIR = Path(__file__).with_name("templates")
CALENDAR_FILE = "yoyaku.ics"
PRODUCT_ID = "-//Choudo//notifications//JA"
# A calendar is read by others, as a subject is.
SHARED: Channel = "email_subject"
# Which notices carry a calendar file, and its METHOD.
CALENDAR_METHODS = {"confirmation": "REQUEST", "draw_won": "REQUEST", "change": "REQUEST", "cancellation": "CANCEL"}

# Whose templates a kind has; all others are about appointments.
FAMILIES = {
    **dict.fromkeys(APPLICATION_NOTICES.values(), "application_"),
    **dict.fromkeys(DRAW_NOTICES.values(), "draw_"),
    **dict.fromkeys(HELP_NOTICES.values(), "help_"),
    **dict.fromkeys(OF_CLASSES, "class_"),
    **dict.fromkeys(HELPER_NOTICES.values(), "helper_"),
    CASE_SWITCHED: "case_",
    TURN_NEAR: "turn_",
    SIGN_IN: "sign_in_",
    CONTACT_CHANGED: "contact_changed_",
    **dict.fromkeys(OF_WAYS, "way_"),
    **dict.fromkeys(OF_TOWN, "town_"),
}

# A worker is started anew with new templates: no look at the disk for each message.
_pages = make_environment(TEMPLATE_DIR).overlay(auto_reload=False)
# Plain text: nothing to escape.
_environment = _pages.overlay(autoescape=False)
# One for all kinds: that there is something to read.
SHORTEST = "shortest_sms.txt"


class TextTooLong(Exception):
    """Even the shortest that can be said does not fit into what the gateway takes: nothing is ever cut."""


def render(order: Order, *, mail_from: str = "", bounce_domain: str = "", limit: TextLimit | None = None) -> Message:
    """The message for an order, in its reader's language. The same order gives the same bytes.

    `limit` is how its gateway counts a text. With a `bounce_domain`, a mail that cannot be delivered comes back to an
    address of its own there, else to whom it is from.

    Raises:
        ValueError: it would say nothing, because what was written in it cannot be opened.
        TextTooLong: there is no text that the gateway takes.
        CannotBePrinted: of a letter.
    """
    if not (
        order.code
        if order.kind in (SIGN_IN, CONTACT_CODE)
        else order.message_body or order.kind not in (HELPER_NOTICES["message"], *OF_TOWN)
    ):
        raise ValueError("nothing to say")
    with speaking(order):
        if order.reach == "sms":
            text = say(order, "sms", limit or UCS2_PARTS)
            return Message(key=order.key, to=domestic_number(order.address), content=text.encode(), sender="")
        if order.reach == "letter":
            letter = render_letter(order)
            check(letter)
            return Message(key=order.key, to=order.address, content=msgspec.json.encode(letter.written), sender="")
        if order.reach == "call":
            return Message(key=order.key, to=order.address, content=say_call(order).encode(), sender="")
        if order.reach == "line":
            return Message(key=order.key, to=order.address, content=say(order, "line").encode(), sender="")
        sender = mail_from or f"no-reply@{order.host}"
        about = (order.municipality, order.notice_id, order.way_no)
        comes_back = bounce_address(*about, bounce_domain) if bounce_domain else sender
        return Message(key=order.key, to=order.address, content=_render_mail(order, sender), sender=comes_back)


def say(order: Order, channel: Channel, limit: TextLimit = UCS2_PARTS) -> str:
    """One text of an order: in own words, or in ours where there are none that fit. An SMS is as its gateway, which
    counts by `limit`, writes it.

    Raises:
        TextTooLong: the gateway takes none of them.
    """
    with speaking(order):
        said = own_text(order, channel, limit)
        if said is not None:
            return limit.written(said.text) if channel == "sms" else said.text
        return _our_sms(order, limit) if channel == "sms" else _OURS[channel](order)


def render_letter(order: Order) -> Letter:
    """The letter for an order, as it is sealed until it is printed."""
    with speaking(order):
        town = town_text(order.town_name)
        return Letter(
            to=order.address,
            written=Written(
                title=say(order, "email_subject"),
                text=say(order, "letter"),
                sender=_("%(town)s役場", town=town),
                sender_address=town_text(order.town_address),
                sender_phone=order.town_phone,
                number=show_number(order.number),
                language=order.language,
            ),
        )


def say_call(order: Order) -> str:
    """What is said on the telephone, a paragraph for each step. Nobody hears what it is about before they have said
    who they are, and the name of what is discreet is never in it."""
    with speaking(order):
        return _fill("call.txt", order, "call")


def _our_sms(order: Order, limit: TextLimit) -> str:
    """In as few parts as may be: without the place when it would need too many, and last that there is something to
    read, and where. Whose turn is near reads it on the way: one part, if the gateway has room for all of it.
    """
    full, brief = (limit.written(_fill("sms.txt", order, "sms", brief=brief)) for brief in (False, True))
    shortest = limit.written(_fill(SHORTEST, order, "sms"))
    tried = ((full, parts_max(order.kind)), (brief, parts_max(order.kind)), (brief, PARTS_MAX), (shortest, PARTS_MAX))
    for text, most in tried:
        if limit.has_room(text, most):
            return text
    raise TextTooLong


def message_id(order: Order) -> str:
    """The same for every attempt at a notice, so that a mailbox shows it once."""
    return f"<{order.notice_id}@{order.host}>"


def _render_mail(order: Order, sender: str) -> bytes:
    subject = say(order, "email_subject")
    headers: list[tuple[str, Value]] = [
        ("Subject", subject),
        # In the header it stands as its carrier wrote it, whether or not that is by the standard.
        ("To", Address(addr_spec=standard_address(order.address))),
        ("Message-ID", message_id(order)),
        # Nobody's holiday answer is wanted.
        ("Auto-Submitted", "auto-generated"),
    ]
    if order.wishes_link is not None and order.kind in IN_BULK:
        headers.append(("List-Unsubscribe", f"<{order.wishes_link}>"))
    text = say(order, "email") + _wishes(order)
    alternatives = [text_part("plain", text), text_part("html", _as_html(order, subject, text))]
    attachments = []
    method = CALENDAR_METHODS.get(order.kind)
    if method is not None:
        calendar = render_calendar(order, method, sender)
        alternatives.append(calendar_part(calendar, method))
        # Some programs look at attachments only.
        attachments.append(calendar_part(calendar, method, CALENDAR_FILE))
    return write_mail(
        headers,
        sender=Sender(" ".join(town_text(order.town_name).split()), sender),
        sent_at=order.created_at,
        alternatives=alternatives,
        attachments=attachments,
        is_ascii=order.address.isascii(),
    )


def render_calendar(order: Order, method: str, sender: str) -> bytes:
    """An iTIP message (RFC 5546): the same UID for the life of the appointment, SEQUENCE as booking counts it."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT_ID)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    if order.appointment_id is None or order.starts_at is None or order.ends_at is None:
        raise ValueError("only appointments have a time")
    event = Event()
    # All of an arrival is one entry, whichever of its appointments is the first.
    arrival = order.chain_id if order.together > 1 else None
    event.add("uid", calendar_uid(arrival or order.appointment_id, order.public_url))
    event.add("sequence", order.chain_sequence if arrival else order.sequence)
    event.add("dtstamp", order.created_at)
    event.add("dtstart", order.starts_at)
    event.add("dtend", order.together_until or _end(order.starts_at, order.ends_at, order.minutes))
    event.add("summary", _summary(order))
    event.add("location", " ".join(filter(None, [address_of(order), place_of(order, SHARED)])))
    event.add("description", _description(order))
    event.add("status", "CANCELLED" if method == "CANCEL" else "CONFIRMED")
    organizer = vCalAddress(f"mailto:{sender}")
    organizer.params["cn"] = vText(town_text(order.town_name))
    event.add("organizer", organizer)
    attendee = vCalAddress(f"mailto:{order.address}")
    attendee.params["rsvp"] = vText("FALSE")
    attendee.params["partstat"] = vText("ACCEPTED")
    event.add("attendee", attendee)
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _as_html(order: Order, title: str, text: str) -> str:
    """The same words as a page: larger, with links to touch, and nothing that is fetched from anywhere."""
    paragraphs = [part.split("\n") for part in re.split(r"\n{2,}", text.replace("\r\n", "\n").strip())]
    return _pages.get_template("mail.html").render(language=order.language[:2], title=title, paragraphs=paragraphs)


def _end(starts_at: datetime, ends_at: datetime, minutes: int) -> datetime:
    # As every page says it; the slot is as long as its counter's longest procedure.
    return min(ends_at, starts_at + timedelta(minutes=minutes)) if minutes else ends_at


def _description(order: Order) -> str:
    lines = [_("予約番号 %(number)s", number=show_number(order.number))]
    lines += [_("持ちもの：%(thing)s", thing=town_text(thing)) for thing in things_of(order, SHARED)]
    return "\n".join([*lines, order.find_link, order.town_phone])


def _summary(order: Order) -> str:
    if order.together > 1:
        return _("%(town)sの予約（%(count)sつの手続き）", town=town_text(order.town_name), count=order.together)
    # A calendar is shared with family and colleagues: what is discreet has no name in it.
    procedure = procedure_of(order, SHARED)
    if not procedure:
        return _("%(town)sの予約", town=town_text(order.town_name))
    return _("%(procedure)s（%(town)s）", procedure=town_text(procedure), town=town_text(order.town_name))


def _wishes(order: Order) -> str:
    """Below every mail, the town's own words too: where its reader says how they want to be told."""
    if order.wishes_link is None:
        return ""
    return "\n" + _("お知らせの受けとり方を変えるとき、やめるとき") + "\n" + order.wishes_link + "\n"


def _when(moment: datetime | None, channel: Channel | Literal["call"]) -> str:
    # Nobody says the year on the telephone.
    spoken = channel == "call"
    return jst_datetime(moment, year=not spoken, era=not spoken) if moment else ""


def _short(moment: datetime | None) -> str:
    return jst_datetime(moment, year=False, short=True) if moment else ""


def _fill(name: str, order: Order, channel: Channel | Literal["call"], *, brief: bool = False) -> str:
    template = name if name == SHORTEST else FAMILIES.get(order.kind, "") + name
    text = _environment.get_template(template).render(
        order=order,
        place="" if brief else place_of(order, channel),
        brief=brief,
        letter=channel == "letter",
        address=address_of(order),
        when=_when(order.starts_at, channel),
        when_short=_short(order.starts_at),
        until_short=_short(order.offer_until),
        procedure=procedure_of(order, channel),
    )
    return text.strip("\n") + ("\n" if template.endswith("mail.txt") else "")


# A letter says what a mail says, without what is to be tapped; what a telephone shows while it is locked is an SMS's.
_OURS: dict[str, Callable[[Order], str]] = {
    "email_subject": lambda order: " ".join(_fill("mail_subject.txt", order, "email_subject").split()),
    "email": lambda order: _fill("mail.txt", order, "email"),
    "line": lambda order: _fill("sms.txt", order, "line"),
    "letter": lambda order: _fill("mail.txt", order, "letter"),
}
