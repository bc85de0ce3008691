"""What a town says itself in a notice, filled in. Pure: an order in, a text out, or nothing when ours is to be said."""

from services.notifications.domain.notices import SIGN_IN, TURN_NEAR
from services.notifications.orders import Order
from shared.reference_number import show_number
from shared.town_pack.templates import fill
from shared.web.i18n import gettext as _
from shared.web.i18n import with_readings
from shared.web.templating import jst_datetime
from shared.web.town_texts import town_name, town_text


def own_subject(order: Order) -> str | None:
    """The subject of a mail; a line break in it would be a header of somebody else's."""
    said = _fill(order.own_subject, order, is_short=True)
    return " ".join(said.split()) if said else None


def own_long(order: Order, *, place: str, address: str | None) -> str | None:
    """The text of a mail."""
    said = _fill(order.own_long, order, place=place, address=address or "")
    return said.strip("\n") + "\n" if said else None


def own_short(order: Order, *, place: str) -> str | None:
    """The text of an SMS."""
    said = _fill(order.own_short, order, place=place, is_short=True)
    return " ".join(said.split()) if said else None


def _fill(text: str, order: Order, *, place: str = "", address: str = "", is_short: bool = False) -> str | None:
    if not text or not _is_usual(order):
        return None
    return fill(with_readings(text), _values(order, place, address, is_short=is_short))


def _is_usual(order: Order) -> bool:
    """Whether nothing is to be said that a text for the usual case cannot know."""
    if order.kind == TURN_NEAR:
        # Who is next is told so, not that nobody is before them.
        return bool(order.turn_before)
    if order.kind == SIGN_IN:
        # A code that proves a contact opens nothing.
        return not order.proves_contact
    if order.together > 1 or (order.kind == "closure" and order.offer_starts_at is not None):
        return False
    if order.is_application:
        return order.kind != "application_visit" or order.at_counter
    return order.helper == "none" or order.kind == "helper_found"


def _values(order: Order, place: str, address: str, *, is_short: bool) -> dict[str, str]:
    values = {
        "town": town_text(order.town_name),
        "phone": order.town_phone,
        "number": show_number(order.number),
        # What is discreet has no name in a message: then nothing stands for it.
        "procedure": _procedure(order, is_short=is_short),
        "site": f"{order.public_url}/",
        "place": place,
        "address": address,
        "things": _("、").join(map(town_text, order.bring)),
        "link": order.link,
        "find_link": order.find_link,
        "code": order.code or "",
        "feedback_link": order.feedback_link or "",
        "draws_link": order.draws_link,
        "my_link": f"{order.public_url}/my",
        "ticket": order.turn_ticket or "",
        "before": str(order.turn_before),
        "title": town_text(order.title) if is_short or not order.title else town_name(order.title),
        "subject": order.message_subject,
        "message": order.message_body,
    }
    times = {"when": order.starts_at, "offer_when": order.offer_starts_at, "offer_until": order.offer_until}
    for name, moment in times.items():
        if moment is not None and is_short:
            values[name] = jst_datetime(moment, year=False, short=True)
        elif moment is not None:
            values[name] = jst_datetime(moment, era=True)
    return values


def _procedure(order: Order, *, is_short: bool) -> str:
    if order.discreet or order.procedure_name is None:
        return ""
    return town_text(order.procedure_name) if is_short else town_name(order.procedure_name)
