"""The words of feedback and of the public figures."""

from datetime import date

from services.routing.domain.quality import Kind
from shared.web.i18n import gettext, translate
from shared.web.templating import duration

HOUR_MIN, DAY_MIN = 60, 1_440


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


EASES: dict[str, str] = {"easy": _("かんたんだった"), "fair": _("ふつう"), "hard": _("むずかしかった")}
WORKED: dict[str, str] = {"yes": _("できた"), "no": _("できなかった")}
KINDS: dict[Kind, str] = {
    "started": _("はじめた"),
    "sent": _("申しこみを送った、または予約した"),
    "finished": _("手続きが終わった"),
    "given_up": _("とちゅうでやめた"),
    "switched": _("ほかのやり方に変えた"),
    "spared": _("書かずにすんだ項目があった"),
    "easy": _("かんたんだった"),
    "fair": _("ふつう"),
    "hard": _("むずかしかった"),
    "worked": _("やりたいことが、できた"),
    "not_worked": _("やりたいことが、できなかった"),
}


def year_name(year: int) -> str:
    """``2026年度``"""
    return gettext("%(year)s年度", year=year)


def month_name(month: date) -> str:
    """``2026年11月``"""
    return gettext("%(year)s年%(month)s月", year=month.year, month=month.month)


def within(bound_min: int) -> str:
    """``20分以内``, ``3日以内``"""
    if bound_min >= DAY_MIN:
        return gettext("%(days)s日以内", days=bound_min // DAY_MIN)
    return gettext("%(length)s以内", length=duration(bound_min))


def kind_name(kind: Kind) -> str:
    """What was counted, as the reader says it."""
    return translate(KINDS[kind])
