"""Today's line as the shared macro draws it: what staff call the states and steps, and the rows."""

from typing import Any

from services.booking.domain.line import Action, State, ticket_of
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.line import LineItem
from shared.reference_number import show_number
from shared.web.i18n import gettext as _
from shared.web.templating import jst_time

# The region of the page that follows the line; what staff press swaps it.
REGION = "line-region"

# The names that the shared style knows for the states.
LOOKS: dict[State, str] = {
    "booked": "booked",
    "checked_in": "arrived",
    "called": "called",
    "serving": "serving",
    "done": "done",
    "no_show": "absent",
}


def state_label(state: State) -> str:
    """The states as staff call them."""
    return {
        "booked": _("予約"),
        "checked_in": _("受付"),
        "called": _("呼出"),
        "serving": _("対応中"),
        "done": _("完了"),
        "no_show": _("不在"),
        "cancelled": _("取消"),
    }[state]


def called_number(item: LineItem | AppointmentView) -> str:
    """What is called: the ticket, or the booking's number of who is not here (yet)."""
    ticket = ticket_of(item)
    return show_number(item.number) if ticket is None or item.state == "booked" else ticket


def short_counter(number: str) -> str:
    """``7番``; a counter whose number is a name (相談室) is called by it."""
    return _("%(number)s番", number=number) if number.isascii() and number.isdigit() else number


def draw_line(items: list[LineItem], *, shows_counter: bool, counter: str | None) -> dict[str, Any]:
    """What `line.html` shows. `counter` is the one that the list is limited to."""
    rows = [_row(item, shows_counter=shows_counter, counter=counter) for item in items if item.state != "done"]
    over = [_row(item, shows_counter=shows_counter, counter=counter) for item in items if item.state == "done"]
    return {
        "rows": rows,
        "over": over,
        "waiting": sum(item.state == "checked_in" for item in items),
        "expected": sum(item.state == "booked" for item in items),
    }


def row_action(item: LineItem, action: Action, *, counter: str | None) -> dict[str, Any]:
    """One step as a form: with JavaScript it swaps the line, without it is posted."""
    return {
        "id": action,
        "label": _action_label(action, item.state),
        "url": f"/counter/{item.appointment_id}/{action}",
        "fields": {"version": str(item.version)} | ({"counter": counter} if counter else {}),
        "danger": action == "no-show",
        "target": f"#{REGION}",
    }


def _action_label(action: Action, state: State) -> str:
    if action == "call" and state in ("called", "no_show"):
        return _("もう一度呼ぶ")
    return {
        "check-in": _("受け付ける"),
        "call": _("呼び出す"),
        "start": _("対応を始める"),
        "done": _("対応を終える"),
        "no-show": _("不在にする"),
        "park": _("保留にする"),
        "resume": _("列にもどす"),
        "prefer": _("優先にする"),
        "unprefer": _("優先をやめる"),
        "undo": _("一つ前にもどす"),
    }[action]


def _row(item: LineItem, *, shows_counter: bool, counter: str | None) -> dict[str, Any]:
    actions = [row_action(item, action, counter=counter) for action in item.actions]
    usual = bool(actions) and item.state != "done"
    called_by = item.kana or item.name
    note = f"{item.procedure_name}・{short_counter(item.counter_number)}" if shows_counter else item.procedure_name
    has_ticket = item.ticket_no is not None and item.state != "booked"
    return {
        "id": str(item.appointment_id),
        "case_id": str(item.case_id) if item.case_id else None,
        "number": called_number(item),
        # Whoever booked holds the booking's number; whoever walked in holds nothing but the ticket.
        "reference": show_number(item.number) if has_ticket and item.kind == "booked" else None,
        "time": jst_time(item.starts_at, short=True),
        "state": LOOKS.get(item.state, "done"),
        "state_label": state_label(item.state),
        "title": _("%(name)sさま", name=called_by) if called_by else _("番号でお呼びください"),
        "written": item.name if item.kana and item.name else None,
        "note": note,
        "badges": _badges(item),
        "primary": actions[0] if usual else None,
        "others": actions[1:] if usual else actions,
    }


def _badges(item: LineItem) -> list[dict[str, str]]:
    found = [] if item.kind == "booked" else [{"label": _("当日")}]
    found += [{"label": _("優先")}] if item.is_preferred else []
    found += [{"label": _("保留"), "kind": "warning"}] if item.is_parked else []
    if item.is_discreet and item.state in ("checked_in", "called"):
        found.append({"label": _("画面に出ません。お迎えに行く")})
    # Whoever comes all the same has to be told.
    if item.closure != "none" and item.state == "booked":
        found.append({"label": _("臨時の休みの時間"), "kind": "warning"})
    return found
