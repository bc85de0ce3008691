"""The words of one form for several procedures: its sections, and which procedures something is for."""

from collections.abc import Collection, Sequence

from services.routing.domain.catalogue import Words
from services.routing.domain.channels import things_not_typed
from services.routing.domain.items import NOT_TYPED
from services.routing.pages.file_wording import attached_name
from services.routing.pages.wording import BRING
from shared.web.i18n import translate
from shared.web.templating import yen
from shared.web.town_texts import town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


SECTIONS: dict[str, str] = {
    "person": _("申請する方のこと"),
    "home": _("住まいと、いっしょに住む方のこと"),
    "child": _("お子さんのこと"),
    "health": _("健康保険と、からだのこと"),
    "money": _("お勤め先と、口座のこと"),
    "rest": _("そのほかのこと"),
}
_QUOTED = _("「%(name)s」")
_USED = _("→ %(names)sで使います。")
_TO_SEND = _("%(thing)sを、持ってくるか郵便で送る")
_BOTH = _("%(one)sと%(other)s")


def names_of(procedures: Sequence[str]) -> str:
    """Names of procedures for a sentence: 「○○」と「△△」."""
    names = [translate(_QUOTED) % {"name": town_text(name)} for name in procedures]
    said = names[0] if names else ""
    for name in names[1:]:
        said = translate(_BOTH) % {"one": said, "other": name}
    return said


def use_words(procedures: Sequence[str]) -> str:
    """What something is used for."""
    return translate(_USED) % {"names": names_of(procedures)}


def to_do(attached: Sequence[str], versions: Collection[str], things: Sequence[Words]) -> list[str]:
    """What is still to do for one procedure when its form is filled in: what can be attached, and is not."""
    later = [item for item in attached if item not in versions]
    names = [translate(BRING[code]) for code in things_not_typed(later)]
    names += [attached_name(item, things) for item in later if item not in NOT_TYPED]
    return [translate(_TO_SEND) % {"thing": name} for name in names]


def total_fee(fees: Sequence[int | None]) -> str | None:
    """What all of them cost; None where one is for a number that is not said yet, or only one costs anything."""
    known = [fee for fee in fees if fee is not None]
    return yen(sum(known)) if len(known) == len(fees) and len(list(filter(None, known))) > 1 else None
