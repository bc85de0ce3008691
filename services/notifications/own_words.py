"""What a town says itself in a notice, filled in. Pure: an order in, a text out, or nothing when ours is to be said."""

from collections.abc import Sequence

import msgspec

from services.notifications.domain.notices import SIGN_IN, TURN_NEAR
from services.notifications.domain.words import CHANNELS_OF_WAYS, OwnText, Used
from services.notifications.order_words import address_of, place_of, procedure_of, speaking, things_of
from services.notifications.orders import Order
from services.notifications.senders.text_limit import UCS2_PARTS, TextLimit
from shared.reference_number import show_number
from shared.town_pack.templates import IN_LINES, Channel, fill, parts_max, telling_in
from shared.web.i18n import gettext as _
from shared.web.i18n import with_readings
from shared.web.templating import jst_datetime
from shared.web.town_texts import town_name, town_text


class Said(msgspec.Struct, frozen=True):
    """A text of the town's, filled in, and which one it was."""

    text: str
    own: OwnText


def own_text(order: Order, channel: Channel, limit: TextLimit = UCS2_PARTS) -> Said | None:
    """What is said in own words, the nearest first; None where each has a hole, says too little or is too long for
    the gateway, which counts an SMS by `limit`."""
    if not order.own.get(channel) or not _is_usual(order):
        return None
    values = _values(order, channel)
    for own in order.own[channel]:
        said = fill(with_readings(own.text), values)
        if said is not None and _may_be_sent(order, channel, said, limit):
            return Said(_tidy(channel, said), own)
    return None


def words_used(order: Order, limit: TextLimit = UCS2_PARTS) -> Sequence[Used]:
    """In whose words each text of the order is told by who takes it and counts by `limit`."""
    channels = CHANNELS_OF_WAYS.get(order.reach, ())
    if not order.own:
        return [_used(order, channel, None) for channel in channels]
    with speaking(order):
        return [_used(order, channel, own_text(order, channel, limit)) for channel in channels]


def _used(order: Order, channel: Channel, said: Said | None) -> Used:
    if said is None:
        return Used(channel=channel, language=order.language, whose="ours")
    own = said.own
    return Used(channel=channel, language=order.language, whose=own.whose, office=own.office, version=own.version)


def _may_be_sent(order: Order, channel: Channel, said: str, limit: TextLimit) -> bool:
    # It was checked when it was saved; what is discreet may have become so since.
    if order.discreet and telling_in(said, filter(None, (order.procedure_name, order.counter_name))):
        return False
    return channel != "sms" or limit.has_room(limit.written(_tidy(channel, said)), parts_max(order.kind))


def _tidy(channel: Channel, said: str) -> str:
    # A line break in a subject would be a header of somebody else's.
    return said.strip("\n") + "\n" if channel in IN_LINES else " ".join(said.split())


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


def _values(order: Order, channel: Channel) -> dict[str, str]:
    is_short = channel in ("email_subject", "sms", "line")
    procedure = procedure_of(order, channel)
    values = {
        "town": town_text(order.town_name),
        "phone": order.town_phone,
        "number": show_number(order.number),
        # What is discreet has no name in a message: then nothing stands for it.
        "procedure": town_text(procedure) if is_short or not procedure else town_name(procedure),
        "site": f"{order.public_url}/",
        "place": place_of(order, channel),
        "address": address_of(order),
        "things": _("、").join(map(town_text, things_of(order, channel))),
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
        if moment is not None:
            values[name] = jst_datetime(moment, year=False, short=True) if is_short else jst_datetime(moment, era=True)
    return values
