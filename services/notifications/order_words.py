"""How an order calls what it is about: by what others read (a subject, a locked screen) nothing that tells."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.notifications.orders import Order
from shared.town_pack.templates import READ_BY_OTHERS, telling_in
from shared.web.i18n import use_language
from shared.web.municipality_words import use_municipality
from shared.web.places import place_label
from shared.web.town_texts import town_text, use_town_texts


@contextmanager
def speaking(order: Order) -> Iterator[None]:
    """Speak the reader's language, and of the town as it is called."""
    with use_language(order.language), use_town_texts(order.texts), use_municipality(order.town_name):
        yield


def procedure_of(order: Order, channel: str) -> str:
    """The procedure's name in the catalogue; empty where it is not to be said, or where there are several."""
    name = order.procedure_name or ""
    if order.discreet or order.together > 1 or (channel in READ_BY_OTHERS and _tells(name)):
        return ""
    return name


def place_of(order: Order, channel: str) -> str:
    """Where it is. A counter's name may tell what it is about; its number does not."""
    place, name = order.place, order.counter_name or ""
    if order.counter_number is None:
        return town_text(place)
    # A venue has no number, and its name tells no more than its address.
    if order.counter_number and order.discreet:
        hidden = [word for word in (order.procedure_name, order.counter_name) if word]
        place = " ".join(word for word in place.split() if not telling_in(word, hidden))
        name = ""
    elif order.counter_number and channel in READ_BY_OTHERS and _tells(name):
        name = ""
    return place_label(place, order.counter_number, name)


def address_of(order: Order) -> str:
    """The town hall's address, for who is to come there; a venue is not in the town hall."""
    is_in_hall = order.appointment_id is not None and order.helper == "none"
    return town_text(order.town_address) if is_in_hall else ""


def things_of(order: Order, channel: str) -> tuple[str, ...]:
    """What to bring; it may tell as much as a name."""
    is_hidden = channel in READ_BY_OTHERS and any(map(_tells, order.bring))
    return () if order.discreet or order.together > 1 or is_hidden else order.bring


def _tells(name: str) -> bool:
    return bool(telling_in(f"{name}\n{town_text(name)}"))
