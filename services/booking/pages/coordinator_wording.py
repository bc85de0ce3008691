"""Words of the coordinators' pages: standings, presences, and the group that a message went to."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.booking.domain.helper_figures import LOADS
from services.booking.domain.roster import Span
from services.booking.pages.wording import language_name, minute_label
from services.booking.queries.helper_messages import Group
from services.booking.queries.helpers import HelperView, Standing, SuspendedFor
from shared.web.i18n import gettext as _
from shared.web.town_texts import town_text

LANGUAGES = ("ja", "en", "zh", "ko", "pt", "es", "vi", "tl")


def helper_name(helper: HelperView | None) -> str:
    """A helper's name, if it can be read."""
    return (helper.name if helper else None) or _("お名前なし")


def standing_label(standing: Standing) -> str:
    """How a helper stands with the town."""
    return {"registered": _("登録（研修の前）"), "active": _("活動中"), "suspended": _("お休み中")}[standing]


def standing_kind(standing: Standing) -> str:
    """The badge of a standing."""
    return {"registered": "info", "active": "success", "suspended": "warning"}[standing]


def suspended_label(reason: SuspendedFor) -> str:
    """Why a helper is suspended, for those who decide it."""
    return {
        "own_wish": _("ご本人の希望"),
        "insurance": _("ボランティア保険が切れている"),
        "training": _("研修が必要"),
        "talk": _("町から話がある"),
    }[reason]


def span_label(span: Span) -> str:
    """``9:00〜12:00``."""
    return f"{minute_label(span.from_min)}〜{minute_label(span.to_min)}"


def step_label(code: str) -> str:
    """Where somebody was in an online procedure when they went on with somebody: a page of it, or how far they were."""
    kind, _colon, title = code.partition(":")
    if kind == "form":
        return town_text(title)
    known = {
        "reuse": _("前に書いたことを使うか"),
        "attach": _("写真や書類を入れる"),
        "reach": _("お知らせの受けとり方"),
        "identity": _("本人確認"),
        "send": _("確かめて送る"),
        "opened": _("手続きを開いたところ（まだ何も入力していない）"),
        "told": _("入力の途中"),
        "handed_over": _("渡す情報を決めたあと"),
        "booked": _("予約したあと"),
        "submitted": _("申請を送ったあと"),
    }
    return known.get(code, code)


def load_label(number: int) -> str:
    """A row of the distribution: ``3〜5回``."""
    low, high = LOADS[number]
    if high is None:
        return _("%(low)s回より多い", low=low - 1)
    return _("%(count)s回", count=low) if low == high else _("%(low)s〜%(high)s回", low=low, high=high)


def group_label(group: Group, venues: Mapping[str, str], topics: Mapping[str, str]) -> str:
    """To whom a message goes: ``公民館・英語``, or everybody."""
    parts: Sequence[str] = [
        venues.get(group.venue, group.venue),
        topics.get(group.topic, group.topic),
        language_name(group.language) if group.language else "",
        standing_label(group.standing) if group.standing else "",
    ]
    return "・".join(part for part in parts if part) or _("お休み中の方のほか、全員")


def tabs(path: str) -> list[dict[str, Any]]:
    """The coordinators' pages, of which this is one."""
    pages = (
        ("/helpers/roster", _("予定")),
        ("/helpers/people", _("サポーター")),
        ("/helpers/messages", _("お知らせを送る")),
        ("/helpers/insurance", _("保険の名簿")),
        ("/helpers/figures", _("数字")),
    )
    return [{"href": href, "label": label, "current": path.startswith(href)} for href, label in pages]
