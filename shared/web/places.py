"""How every service calls a counter and where it is: on pages, on paper, in messages and calendars."""

import unicodedata

from shared.web.i18n import gettext as _
from shared.web.town_texts import town_text


def counter_label(number: str, name: str) -> str:
    """``7番窓口（子育て）``, without a name ``7番窓口``; a counter whose number is a name (相談室) is called by it.

    A venue has no number and is called by its name.
    """
    if not number:
        return town_text(name)
    if number.isascii() and number.isdigit():
        if not name:
            return short_counter_label(number)
        return _("%(number)s番窓口（%(name)s）", number=number, name=town_text(name))
    return venue_label(number, name) if name else town_text(number)


def short_counter_label(number: str) -> str:
    """``7番窓口``; a counter whose number is a name (相談室) is called by it."""
    return _("%(number)s番窓口", number=number) if number.isascii() and number.isdigit() else town_text(number)


def venue_label(name: str, place: str) -> str:
    """``公民館（町民センター 2階）``."""
    if not place:
        return town_text(name)
    return _("%(name)s（%(place)s）", name=town_text(name), place=town_text(place))


def place_label(place: str, number: str, name: str) -> str:
    """``町役場 2階 7番窓口（子育て）``, also where the catalogue's place ends with the counter's number already.

    Give no name where others may read it and the procedure is discreet: ``町役場 2階 7番窓口``.
    """
    if not number:
        return venue_label(name, place)
    words = place.split()
    if words and unicodedata.normalize("NFKC", words[-1]) in (number, f"{number}番", f"{number}番窓口"):
        words.pop()
    if not words:
        return counter_label(number, name)
    return _("%(place)s %(counter)s", place=town_text(" ".join(words)), counter=counter_label(number, name))
