"""How reports are read: minutes, parts of a hundred, and bars as long as what they stand for."""

from collections.abc import Sequence
from typing import Any

from services.booking.domain.forecast import Sureness
from services.booking.queries.reports import ReportLine
from shared.web.i18n import gettext as _

BAR_WIDTH = 100
MINUTE_S = 60


def draw_lines(lines: Sequence[tuple[str, ReportLine | None]]) -> list[dict[str, Any]]:
    """The rows of the page, each with its bars beside those of the others."""
    longest = max((line.wait_p90_s or 0 for _name, line in lines if line is not None), default=0)
    return [
        draw_line(name, line, longest) if line is not None else {"name": name, "is_empty": True} for name, line in lines
    ]


def draw_line(name: str, line: ReportLine, longest: float) -> dict[str, Any]:
    """One row in words; `longest`: the wait that a whole bar stands for, in seconds."""
    return {
        "name": name,
        "is_empty": not (line.waits or line.handled or line.people),
        "waits": line.waits,
        "wait_p50": time_text(line.wait_p50_s),
        "wait_p90": time_text(line.wait_p90_s),
        "late": line.late,
        "told_off": time_text(line.told_off_s),
        "told": line.told,
        "walk": time_text(line.walk_p50_s),
        "serve": time_text(line.serve_p50_s),
        "handled": line.handled,
        "per_hour": "" if line.per_hour is None else f"{line.per_hour:.1f}",
        "people": line.people,
        "no_show": line.no_show,
        "no_show_percent": percent_text(line.no_show_percent),
        "used": percent_text(line.used_percent),
        "width_p50": int((line.wait_p50_s or 0) * BAR_WIDTH / longest) if longest else 0,
        "width_p90": int((line.wait_p90_s or 0) * BAR_WIDTH / longest) if longest else 0,
    }


def time_text(seconds: float | None) -> str:
    """``12分``, below a minute ``45秒``; nothing where there is nothing."""
    if seconds is None:
        return ""
    if seconds < MINUTE_S:
        return _("%(count)s秒", count=round(seconds))
    return _("%(count)s分", count=round(seconds / MINUTE_S))


def percent_text(percent: float | None) -> str:
    """``42%``."""
    return "" if percent is None else f"{round(percent)}%"


def came_by_label(came_by: str) -> str:
    """How somebody came to stand in the line."""
    return {
        "web": _("予約（インターネット）"),
        "phone": _("予約（電話）"),
        "desk": _("予約（窓口で代わりに）"),
        "walk_in": _("予約なし（番号札）"),
        "kiosk": _("発券機"),
    }.get(came_by, came_by)


def sureness_label(sureness: Sureness) -> str:
    """How sure a figure is."""
    return {
        "sure": _("確か"),
        "rough": _("おおよそ"),
        "guess": _("日数が少なく、目安です"),
        "none": _("まだわかりません"),
    }[sureness]
