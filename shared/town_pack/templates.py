"""`templates.toml` of a town pack: what the town says itself in its messages (お知らせ), where it has words of its own.

A text is said as it stands, with `{names}` in it that are filled in: nothing else of it means anything, so that no text
can do more than be read. It is for the usual case of its kind; where one of its names has nothing to stand for (a
procedure whose name nobody else shall read, several procedures in one visit), our own text is sent.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from shared.bare_text import bare
from shared.sms_parts import PARTS_MAX

TEMPLATES_FILE: Final = "templates.toml"
SUBJECT_MAX_LENGTH, LONG_MAX_LENGTH, SHORT_MAX_LENGTH = 100, 1_500, 200
# As `services/notifications/domain/notices.py` has them; a test keeps both the same. What is told about somebody's own
# ways, a code among it, is said in our words alone, and what the town writes itself in its own.
NoticeKind = Literal[
    "confirmation", "change", "cancellation", "reminder", "helper_found", "closure", "reopened", "earlier_offer",
    "application_received", "application_accepted", "application_correction", "application_visit",
    "application_completed", "application_refused", "application_withdrawn", "draw_won", "draw_lost",
    "draw_called_off", "case_switched", "turn_near", "help_open", "help_unmet", "class_entered", "class_waiting",
    "class_offered", "class_lost", "class_called_off", "class_reminder", "class_proposed", "class_changed",
    "helper_offer", "helper_cover", "helper_cancelled", "helper_changed", "helper_reminder", "helper_message",
    "helper_placed", "sign_in", "contact_changed",
]  # fmt: skip
NOTICE_KINDS: Final[tuple[str, ...]] = get_args(NoticeKind)
# A language of the pack, and as people choose it.
LANGUAGES: Final = {"ja": "ja", "easy": "ja-easy", "en": "en"}
TEXTS: Final = ("subject", "long", "short")
# Where a text stands; `templates.toml` has the first three.
Channel = Literal["email_subject", "email", "sms", "line", "letter"]
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
CHANNEL_OF: Final[Mapping[str, Channel]] = {"subject": "email_subject", "long": "email", "short": "sms"}
IN_LINES: Final[tuple[Channel, ...]] = ("email", "line", "letter")
LINE_MAX_LENGTH: Final = 500
MAX_LENGTHS: Final[Mapping[Channel, int]] = {
    "email_subject": SUBJECT_MAX_LENGTH, "email": LONG_MAX_LENGTH, "sms": SHORT_MAX_LENGTH, "line": LINE_MAX_LENGTH,
    "letter": LONG_MAX_LENGTH,
}  # fmt: skip

_EVERYWHERE = ("town", "phone", "number", "procedure", "site")
_OF_APPOINTMENTS = (*_EVERYWHERE, "when", "place", "address", "things", "link", "find_link", "code")
_OF_APPLICATIONS = (*_EVERYWHERE, "link", "find_link", "code")
_OF_CLASSES = ("town", "phone", "number", "site", "title", "when", "place", "link", "find_link", "code")
_OF_VISITS = ("town", "phone", "site", "when", "place", "link")
# What each kind may name.
PLACEHOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("confirmation", "change", "reminder", "helper_found", "closure", "reopened", "draw_won"), _OF_APPOINTMENTS
    ),
    "cancellation": (*_EVERYWHERE, "when", "place", "find_link"),
    "earlier_offer": (*_OF_APPOINTMENTS, "offer_when", "offer_until"),
    **dict.fromkeys(
        ("application_received", "application_accepted", "application_correction", "application_visit",
         "application_withdrawn"),
        _OF_APPLICATIONS,
    ),
    **dict.fromkeys(("application_completed", "application_refused"), (*_OF_APPLICATIONS, "feedback_link")),
    **dict.fromkeys(("draw_lost", "draw_called_off"), (*_EVERYWHERE, "draws_link")),
    "case_switched": ("town", "phone", "procedure", "site", "my_link"),
    "turn_near": ("town", "phone", "site", "place", "ticket", "before"),
    "help_open": (*_OF_APPLICATIONS, "offer_until"),
    "help_unmet": _OF_APPLICATIONS,
    **dict.fromkeys(("class_entered", "class_waiting", "class_reminder", "class_changed"), _OF_CLASSES),
    **dict.fromkeys(("class_offered", "class_proposed"), (*_OF_CLASSES, "offer_until")),
    **dict.fromkeys(("class_lost", "class_called_off"), ("town", "phone", "number", "site", "title", "when", "place")),
    **dict.fromkeys(("helper_offer", "helper_cover"), (*_OF_VISITS, "offer_until")),
    **dict.fromkeys(("helper_cancelled", "helper_changed", "helper_reminder", "helper_placed"), _OF_VISITS),
    "helper_message": ("town", "phone", "site", "link", "subject", "message"),
    "sign_in": ("town", "phone", "site", "link", "find_link", "code", "offer_until"),
    "contact_changed": ("town", "phone", "site"),
}  # fmt: skip
# Without these nobody knows what a message is about, or can do anything with it: both its texts name them.
NEEDED: Final = ("number", "when", "link", "offer_when", "offer_until", "my_link", "ticket", "before", "message")
# What stands where others read along says little; and nothing that shows on a locked screen has both ways in, link and
# code, in a town's own words.
IN_SUBJECTS: Final = ("town", "procedure", "number", "when", "place", "ticket", "title", "subject")
NOT_ON_SCREENS: Final = ("code",)
READ_BY_OTHERS: Final[tuple[Channel, ...]] = ("email_subject", "sms", "line")
# Words that tell by themselves what nobody else is to know, whatever a town calls it.
TELLING: Final = (
    "おくやみ", "お悔やみ", "お悔み", "死亡", "福祉", "生活保護", "welfare", "bereave", "condolence", "funeral",
)  # fmt: skip
# Shorter ones stand inside of other words.
TELLING_MIN_LENGTH: Final = 2
# Whose turn is near reads it on the way.
TURN_PARTS_MAX: Final = 1
_NAME = re.compile(r"\{([a-z_]+)\}")

_Line = Annotated[str, msgspec.Meta(max_length=SUBJECT_MAX_LENGTH)]
_Short = Annotated[str, msgspec.Meta(max_length=SHORT_MAX_LENGTH)]
_Long = Annotated[str, msgspec.Meta(max_length=LONG_MAX_LENGTH)]


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the town says of one kind of notice: a mail's subject, its text (`long`), and an SMS (`short`).

    What is empty is said in our words. What is said is said in all three languages.
    """

    kind: NoticeKind
    subject_ja: _Line = ""
    subject_easy: _Line = ""
    subject_en: _Line = ""
    long_ja: _Long = ""
    long_easy: _Long = ""
    long_en: _Long = ""
    short_ja: _Short = ""
    short_easy: _Short = ""
    short_en: _Short = ""

    def said(self) -> Iterator[tuple[str, str, str]]:
        """Each of its texts: which one, in which language, and what it says."""
        for name in TEXTS:
            for language in LANGUAGES:
                if text := getattr(self, f"{name}_{language}"):
                    yield name, language, text


class TemplatesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `templates.toml` holds."""

    templates: Annotated[tuple[Template, ...], msgspec.Meta(max_length=len(NOTICE_KINDS))] = ()


def channels_of(kind: str) -> tuple[Channel, ...]:
    """How a kind can be told: an account is written to by mail or SMS, and no letter is in time for a turn."""
    if kind in ("sign_in", "contact_changed") or (kind.startswith("helper_") and kind != "helper_found"):
        return CHANNELS[:3]
    return CHANNELS[:4] if kind == "turn_near" else CHANNELS


def names_for(kind: str, channel: Channel) -> tuple[str, ...]:
    """What one of a kind's texts may name; nothing, what the town writes only once."""
    names = PLACEHOLDERS.get(kind, ())
    if channel == "email_subject":
        return tuple(name for name in names if name in IN_SUBJECTS)
    return tuple(name for name in names if channel not in READ_BY_OTHERS or name not in NOT_ON_SCREENS)


def needed_in(kind: str, channel: Channel) -> tuple[str, ...]:
    """What one of a kind's texts has to name; a subject, nothing."""
    if channel == "email_subject":
        return ()
    return tuple(name for name in NEEDED if name in names_for(kind, channel))


def telling_in(text: str, discreet: Iterable[str] = ()) -> list[str]:
    """The words in a text that tell others what is discreet; `discreet` are a town's own."""
    said = _plain(text)
    words = [word for word in dict.fromkeys((*TELLING, *discreet)) if len(_plain(word)) >= TELLING_MIN_LENGTH]
    return [word for word in words if _plain(word) in said]


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", bare(text)).casefold().split())


def parts_max(kind: str) -> int:
    """As how many messages an SMS of a kind may be sent."""
    return TURN_PARTS_MAX if kind == "turn_near" else PARTS_MAX


def names_in(text: str) -> list[str]:
    """What a text names, in its order."""
    return _NAME.findall(text)


def without_names(text: str) -> str:
    """The text with nothing in the place of what it names."""
    return _NAME.sub("", text)


def fill(text: str, values: Mapping[str, Any]) -> str | None:
    """The text with what it names; None when something that it names has nothing to stand for.

    What is filled in is filled in once: names inside of it are no names.
    """
    if not all(values.get(name) for name in names_in(text)):
        return None
    return _NAME.sub(lambda found: str(values[found[1]]), text)
