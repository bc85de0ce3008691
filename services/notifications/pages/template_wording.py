"""What the editor of a town's own texts calls things."""

from collections.abc import Iterable

from services.notifications.queries_of_templates import Cell
from shared.town_pack.problems import Flaw
from shared.town_pack.templates import NOTICE_KINDS, Channel
from shared.web.i18n import gettext, translate
from shared.web.template_words import say_template_flaw


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


CHANNEL_NAMES: dict[Channel, str] = {
    "email_subject": _("メールの件名"),
    "email": _("メールの文"),
    "sms": _("SMS"),
    "line": _("LINE"),
    "letter": _("手紙"),
}
LANGUAGE_NAMES = {"ja": _("日本語"), "ja-easy": _("やさしい日本語"), "en": _("英語")}
CASE_NAMES = {
    "usual": _("ふつうのとき"),
    "longest": _("名前がいちばん長いとき"),
    "discreet": _("人に知られたくない手続きのとき"),
    "several": _("いくつかの手続きをまとめたとき"),
    "helper": _("サポーターにお願いしているとき"),
}
WHOSE = {
    "office": _("この課のことば"),
    "town": _("町のことば"),
    "pack": _("町の設定ファイルのことば"),
    "ours": _("いつものことば"),
}
# The beginnings of kinds, and what those are about; what begins otherwise is about an appointment.
_GROUPS = (
    (("application_", "case_"), _("申請")),
    (("draw_",), _("抽選")),
    (("help_", "helper_found"), _("サポーターといっしょに")),
    (("class_",), _("教室")),
    (("helper_", "sign_in", "contact_changed"), _("サポーターと職員へ")),
)


def kinds_by_group() -> dict[str, list[str]]:
    """The kinds of notices under their headings."""
    groups: dict[str, list[str]] = {gettext("予約"): []}
    for kind in NOTICE_KINDS:
        heading = next((said for begins, said in _GROUPS if kind.startswith(begins)), None)
        groups.setdefault(translate(heading) if heading else gettext("予約"), []).append(kind)
    return groups


def cell_name(cell: Cell) -> str:
    """What one text is called."""
    channel, language = cell
    return gettext(
        "%(channel)s（%(language)s）",
        channel=translate(CHANNEL_NAMES[channel]),
        language=translate(LANGUAGE_NAMES[language]),
    )


def field_of(cell: Cell) -> str:
    """Its field in forms."""
    return "_".join(cell)


def say_flaws(flaws: Iterable[Flaw]) -> list[str]:
    """Everything that is wrong with a text, each with its line where it stands in one."""
    return [_say(flaw) for flaw in flaws]


def _say(flaw: Flaw) -> str:
    said = say_template_flaw(flaw)
    line = flaw.place[0] if flaw.place else 0
    return gettext("%(line)s行目：%(said)s", line=line, said=said) if line else said
