"""Where a town's own texts are edited, and what addresses and forms say of them."""

from typing import Any
from urllib.parse import urlencode

from services.notifications.queries_of_templates import LANGUAGES, Cell
from shared.errors import Refusal
from shared.town_pack.templates import NOTICE_KINDS, channels_of
from shared.web.identity import require_role

PATH = "/notices/templates"
MANAGER = [require_role("manager")]
NUMBER_MAX_LENGTH = 9


def known_kind(kind: str) -> Any:
    """A kind of notice in an address.

    Raises:
        Refusal: `not_found` (404).
    """
    if kind not in NOTICE_KINDS:
        raise Refusal("not_found", 404)
    return kind


def cells_of(kind: str) -> list[Cell]:
    """The texts of a kind, in the order of the page."""
    return [(channel, language) for channel in channels_of(kind) for language in LANGUAGES]


def address(kind: str, office: str, below: str = "") -> str:
    """Where a kind's texts are, of all offices or of one."""
    return f"{PATH}/{kind}{below}" + (f"?{urlencode({'office': office})}" if office else "")


def number(text: str) -> int:
    """A number that a form carries; none is 0.

    Raises:
        Refusal: `form_unreadable` (400).
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > NUMBER_MAX_LENGTH:
        raise Refusal("form_unreadable", 400)
    return int(text)
