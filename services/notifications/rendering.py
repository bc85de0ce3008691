"""The words of a notice: mail with a calendar file, or SMS. Pure: an order in, a message out."""

from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path

from icalendar import Calendar, Event, vCalAddress, vText

from services.notifications.domain.notices import (
    APPLICATION_NOTICES,
    CASE_SWITCHED,
    CLASS_NOTICES,
    CLASS_REMINDER,
    CONTACT_CODE,
    DRAW_NOTICES,
    HELP_NOTICES,
    HELPER_NOTICES,
    OF_WAYS,
    SIGN_IN,
    TURN_NEAR,
)
from services.notifications.domain.sms import domestic_number
from services.notifications.orders import Order
from services.notifications.own_words import own_long, own_short, own_subject
from services.notifications.senders.sender import Message
from shared.reference_number import calendar_uid, show_number
from shared.sms_parts import PARTS_MAX, count_parts
from shared.web.i18n import gettext as _
from shared.web.i18n import use_language
from shared.web.municipality_words import use_municipality
from shared.web.places import place_label
from shared.web.templating import jst_datetime, make_environment
from shared.web.town_texts import town_text, use_town_texts

TEMPLATE_DIR = Path(__file__).with_name("templates")
CALENDAR_FILE = "yoyaku.ics"
PRODUCT_ID = "-//Choudo//notifications//JA"
# Which notices carry a calendar file, and its METHOD.
CALENDAR_METHODS = {"confirmation": "REQUEST", "draw_won": "REQUEST", "change": "REQUEST", "cancellation": "CANCEL"}

# Whose templates a kind has; all others are about appointments.
FAMILIES = {
    **dict.fromkeys(APPLICATION_NOTICES.values(), "application_"),
    **dict.fromkeys(DRAW_NOTICES.values(), "draw_"),
    **dict.fromkeys(HELP_NOTICES.values(), "help_"),
    **dict.fromkeys((*CLASS_NOTICES.values(), CLASS_REMINDER), "class_"),
    **dict.fromkeys(HELPER_NOTICES.values(), "helper_"),
    CASE_SWITCHED: "case_",
    TURN_NEAR: "turn_",
    SIGN_IN: "sign_in_",
    **dict.fromkeys(OF_WAYS, "way_"),
}

# Plain text: nothing to escape.
_environment = make_environment(TEMPLATE_DIR).overlay(autoescape=False)


def render(order: Order, *, mail_from: str) -> Message:
    """The message for an order, in its reader's language. The same order gives the same bytes.

    Raises:
        ValueError: it would say nothing, because what was written in it cannot be opened.
    """
    if not (
        order.code
        if order.kind in (SIGN_IN, CONTACT_CODE)
        else order.message_body or order.kind != HELPER_NOTICES["message"]
    ):
        raise ValueError("nothing to say")
    with use_language(order.language), use_town_texts(order.texts), use_municipality(order.town_name):
        if order.reach == "sms":
            return Message(
                key=order.key, to=domestic_number(order.address), content=render_sms(order).encode(), sender=""
            )
        sender = mail_from or f"no-reply@{order.host}"
        return Message(key=order.key, to=order.address, content=_render_mail(order, sender), sender=sender)


def render_sms(order: Order) -> str:
    """The text of an SMS, in as few parts as may be: in `brief`, without the place, when it would need too many.

    Whose turn is near reads it on the way: one part.
    """
    most = 1 if order.kind == TURN_NEAR else PARTS_MAX
    own = own_short(order, place=_place(order))
    if own is not None and count_parts(own) <= most:
        return own
    text = _fill("sms.txt", order, place=_place(order))
    return text if count_parts(text) <= most else _fill("sms.txt", order, brief=True)


def message_id(order: Order) -> str:
    """The same for every attempt at a notice, so that a mailbox shows it once."""
    return f"<{order.notice_id}@{order.host}>"


def _render_mail(order: Order, sender: str) -> bytes:
    mail = EmailMessage(policy=SMTP if order.address.isascii() else SMTPUTF8)
    mail["Subject"] = own_subject(order) or _fill("mail_subject.txt", order)
    mail["From"] = Address(display_name=town_text(order.town_name), addr_spec=sender)
    mail["To"] = Address(addr_spec=order.address)
    mail["Date"] = order.created_at
    mail["Message-ID"] = message_id(order)
    # Nobody's holiday answer is wanted.
    mail["Auto-Submitted"] = "auto-generated"
    place = _place(order)
    own = own_long(order, place=place, address=_address(order))
    body = own or _fill("mail.txt", order, place=place)
    mail.set_content(body + _wishes(order), cte="base64")
    method = CALENDAR_METHODS.get(order.kind)
    if method is not None:
        calendar = render_calendar(order, method, sender)
        mail.add_alternative(calendar.decode(), subtype="calendar", params={"method": method}, cte="base64")
        # Some programs look at attachments only.
        mail.add_attachment(
            calendar, maintype="text", subtype="calendar", filename=CALENDAR_FILE, params={"method": method}
        )
    return mail.as_bytes()


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
    event.add("sequence", order.sequence)
    event.add("dtstamp", order.created_at)
    event.add("dtstart", order.starts_at)
    event.add("dtend", order.together_until or _end(order.starts_at, order.ends_at, order.minutes))
    event.add("summary", _summary(order))
    event.add("location", " ".join(filter(None, [_address(order), _place(order)])))
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


def _place(order: Order) -> str:
    # A counter's name may tell what it is about; its number does not.
    if order.counter_number is None:
        return town_text(order.place)
    # A venue has no number, and its name tells no more than its address.
    is_hidden = order.discreet and order.counter_number
    return place_label(order.place, order.counter_number, "" if is_hidden else order.counter_name or "")


def _address(order: Order) -> str | None:
    # A venue is not in the town hall.
    is_in_hall = order.appointment_id is not None and order.helper == "none"
    return town_text(order.town_address) if is_in_hall else None


def _end(starts_at: datetime, ends_at: datetime, minutes: int) -> datetime:
    # As every page says it; the slot is as long as its counter's longest procedure.
    return min(ends_at, starts_at + timedelta(minutes=minutes)) if minutes else ends_at


def _description(order: Order) -> str:
    lines = [_("予約番号 %(number)s", number=show_number(order.number))]
    if not order.discreet and order.together == 1:
        lines += [_("持ちもの：%(thing)s", thing=town_text(thing)) for thing in order.bring]
    return "\n".join([*lines, order.find_link, order.town_phone])


def _summary(order: Order) -> str:
    if order.together > 1:
        return _("%(town)sの予約（%(count)sつの手続き）", town=town_text(order.town_name), count=order.together)
    # A calendar is shared with family and colleagues: what is discreet has no name in it.
    if order.discreet or order.procedure_name is None:
        return _("%(town)sの予約", town=town_text(order.town_name))
    return _("%(procedure)s（%(town)s）", procedure=town_text(order.procedure_name), town=town_text(order.town_name))


def _wishes(order: Order) -> str:
    """Below every mail, the town's own words too: where its reader says how they want to be told."""
    if order.wishes_link is None:
        return ""
    return "\n" + _("お知らせの受けとり方を変えるとき、やめるとき") + "\n" + order.wishes_link + "\n"


def _short(moment: datetime | None) -> str:
    return jst_datetime(moment, year=False, short=True) if moment else ""


def _fill(name: str, order: Order, *, place: str = "", brief: bool = False) -> str:
    template = FAMILIES.get(order.kind, "") + name
    text = _environment.get_template(template).render(
        order=order,
        place=place,
        brief=brief,
        address=_address(order),
        when=jst_datetime(order.starts_at, era=True) if order.starts_at else "",
        when_short=_short(order.starts_at),
        until_short=_short(order.offer_until),
        procedure="" if order.discreet or order.together > 1 else order.procedure_name or "",
    )
    return text.strip("\n") + ("\n" if template.endswith("mail.txt") else "")
