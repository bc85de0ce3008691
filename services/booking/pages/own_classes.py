"""The classes (教室) that a helper teaches or assists in, as they stand among their days. Nothing of who comes."""

from typing import Any

from services.booking.pages.wording import venue_label
from services.booking.queries.classes import OwnSession
from shared.web.i18n import gettext as _
from shared.web.town_texts import town_text


def show_own_class(found: OwnSession) -> dict[str, Any]:
    """One of them: what, where, as whom, and what to bring along."""
    return {
        "item": found,
        "title": town_text(found.title_ja),
        "role": _("先生") if found.role == "teacher" else _("手伝い"),
        "where": class_place(found),
    }


def class_place(found: OwnSession) -> str:
    """The venue, and the room in it."""
    place = venue_label(found.venue_name, found.venue_place)
    return f"{place} {town_text(found.room_ja)}" if found.room_ja else place
