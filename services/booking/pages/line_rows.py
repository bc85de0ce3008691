"""Today's line as the shared macro draws it: what staff call the states and steps, and the rows."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from markupsafe import Markup, escape

from services.booking.commands.transfer import SentOn
from services.booking.domain.line import Action, State, ticket_of
from services.booking.queries.appointments import AppointmentView
from services.booking.queries.line import LineItem
from services.booking.queries.slots import CounterView
from services.booking.queries.steps import RecentStep
from shared.reference_number import show_number
from shared.web.i18n import current_language
from shared.web.i18n import gettext as _
from shared.web.templating import jst_time

# Several lines of a town of any size.
ROWS_KEPT_MAX = 4_000

# The names that the shared style knows for the states.
LOOKS: dict[State, str] = {
    "booked": "booked",
    "checked_in": "arrived",
    "called": "called",
    "serving": "serving",
    "done": "done",
    "no_show": "absent",
}


# What is wanted at once of who is called stands beside the large button; the rest is one touch further.
AT_HAND: dict[State, frozenset[Action]] = {"called": frozenset({"call", "no-show"})}


class Stepped(Protocol):
    """Somebody with whom a step can be taken, as the page shows them."""

    @property
    def appointment_id(self) -> UUID: ...
    @property
    def state(self) -> State: ...
    @property
    def version(self) -> int: ...


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


def called_number(item: LineItem | AppointmentView | RecentStep) -> str:
    """What is called: the ticket, or the booking's number of who is not here (yet)."""
    ticket = ticket_of(item)
    return show_number(item.number) if ticket is None or item.state == "booked" else ticket


def short_counter(number: str) -> str:
    """``7番``; a counter whose number is a name (相談室) is called by it."""
    return _("%(number)s番", number=number) if number.isascii() and number.isdigit() else number


def draw_line(
    items: list[LineItem],
    *,
    shows_counter: bool,
    counter: str | None,
    sent_on: Mapping[UUID, SentOn],
    recent: list[RecentStep],
) -> dict[str, Any]:
    """What `line.html` shows. `counter` is the one that the list is limited to."""
    language = current_language().code
    drawn = [(item, _row(language, item, sent_on.get(item.appointment_id), shows_counter, counter)) for item in items]
    return {
        "rows": [row for item, row in drawn if item.state != "done"],
        "over": [row for item, row in drawn if item.state == "done"],
        "waiting": sum(item.state == "checked_in" for item in items),
        "expected": sum(item.state == "booked" for item in items),
        "recent": [_recent(step, sent_on, counter=counter) for step in recent],
        "kept": copy_line(items),
    }


def copy_line(items: list[LineItem]) -> Markup:
    """What a tablet keeps for when it has no network: who is to be called, by what, and where they stand; as JSON for
    an attribute.

    Not what they came for, and nobody who is done. `absent_from`: from when they may be noted as absent.
    """
    language = current_language().code
    return Markup("[{}]").format(Markup(",").join(_kept(language, item) for item in items if item.state != "done"))


@lru_cache(ROWS_KEPT_MAX)
def _kept(_language: str, item: LineItem) -> Markup:
    kept = {
        "id": str(item.appointment_id),
        "version": item.version,
        "state": item.state,
        "number": called_number(item),
        "time": jst_time(item.starts_at, short=True),
        "title": _called_by(item),
        "booking": item.number if item.kind == "booked" else None,
        "absent_from": _absent_from(item),
    }
    return escape(msgspec.json.encode(kept).decode())


def _absent_from(item: LineItem) -> str | None:
    if "no-show" in item.actions:
        return ""
    return item.starts_at.isoformat() if item.kind == "booked" else None


def _called_by(item: LineItem) -> str:
    name = item.kana or item.name
    return _("%(name)sさま", name=name) if name else _("番号でお呼びください")


def draw_next(
    items: list[LineItem], counters: Mapping[str, CounterView], *, counter: str | None, key: str
) -> dict[str, Any]:
    """The button that calls the next person to a counter; without one chosen it is chosen with it."""
    only = counter or (next(iter(counters)) if len(counters) == 1 else None)
    here = [item for item in items if only is None or item.counter == only]
    waiting = Counter(item.counter for item in here if item.state == "checked_in" and not item.is_parked)
    choices = [(code, short_counter(each.number), waiting[code]) for code, each in counters.items()]
    return {
        "counter": only,
        "counters": [] if only else choices,
        "waiting": waiting.total(),
        # Somebody is called already: what is to be done with them comes first.
        "is_later": any(item.state == "called" for item in here) and only is not None,
        "key": key,
    }


def row_action(item: Stepped, action: Action, *, counter: str | None) -> dict[str, Any]:
    """One step as a form: with JavaScript it swaps the line, without it is posted."""
    return {
        "id": action,
        "label": action_label(action, item.state),
        "url": f"/counter/{item.appointment_id}/{action}",
        "fields": {"version": str(item.version)} | ({"counter": counter} if counter else {}),
        "danger": action in ("no-show", "withdraw"),
        "swaps": True,
    }


def action_label(action: Action, state: State) -> str:
    """What the button of a step says."""
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
        "withdraw": _("番号札を取り消す"),
        "undo": _("一つ前にもどす"),
    }[action]


def done_label(action: str) -> str:
    """A step that was taken, in a list of them."""
    return {
        "check-in": _("受け付けました"),
        "walk-in": _("番号札を出しました"),
        "move": _("ほかの窓口へ移しました"),
        "call": _("呼び出しました"),
        "start": _("対応を始めました"),
        "done": _("対応を終えました"),
        "no-show": _("不在にしました"),
        "park": _("保留にしました"),
        "resume": _("列にもどしました"),
        "prefer": _("優先にしました"),
        "unprefer": _("優先をやめました"),
        "withdraw": _("番号札を取り消しました"),
        "transfer": _("ほかの窓口へ送りました"),
    }.get(action, action)


def reason_label(reason: str) -> str:
    """Why somebody is sent to another counter."""
    return {
        "next_step": _("次の手続きが、そちらの窓口です"),
        "right_counter": _("担当が、そちらの窓口です"),
        "papers": _("書類を受け取りに行きます"),
        "question": _("相談を引きつぎます"),
        "payment": _("お支払いに行きます"),
        "other": _("その他（伝言に書きます）"),
    }[reason]


def say_sent(sent: SentOn) -> list[str]:
    """What is told to the other counter: why, and the note."""
    reason = [] if sent.reason == "other" else [reason_label(sent.reason)]
    return reason + ([_("伝言：%(note)s", note=sent.note)] if sent.note else [])


def _recent(step: RecentStep, sent_on: Mapping[UUID, SentOn], *, counter: str | None) -> dict[str, Any]:
    sent = sent_on.get(step.appointment_id) if step.action == "transfer" else None
    undo = row_action(step, "undo", counter=counter)
    number = called_number(step)
    return {
        "id": str(step.appointment_id),
        "at": jst_time(step.recorded_at, short=True),
        "number": number,
        "text": done_label(step.action),
        "notes": [_("%(counter)sへ", counter=short_counter(step.counter_number)), *say_sent(sent)] if sent else [],
        "undo": undo | {"label": _("もどす")},
    }


def _sent_lines(item: LineItem, sent: SentOn | None) -> list[str]:
    """From where they were sent here, as long as they are here."""
    if sent is None or sent.to_counter != item.counter:
        return []
    return [_("%(counter)sから来ました", counter=short_counter(sent.from_number)), *say_sent(sent)]


def _links(item: LineItem, *, counter: str | None) -> list[dict[str, str]]:
    """What leads to a page of its own."""
    only = f"?{urlencode({'counter': counter})}" if counter else ""
    links = []
    if item.state in ("checked_in", "called", "serving"):
        if item.can_be_sent:
            links.append({"label": _("ほかの窓口へ送る"), "href": f"/counter/{item.appointment_id}/transfer{only}"})
        links.append({"label": _("番号札を印刷する"), "href": f"/counter/tickets/{item.appointment_id}{only}"})
    return links


@lru_cache(ROWS_KEPT_MAX)
def _row(
    _language: str, item: LineItem, sent: SentOn | None, shows_counter: bool, counter: str | None
) -> dict[str, Any]:
    """A row as it is drawn. Most of a line is as it was a moment ago: only what is new of it is made again."""
    actions = [row_action(item, action, counter=counter) for action in item.actions]
    usual = bool(actions) and item.state != "done"
    at_hand = AT_HAND.get(item.state, frozenset())
    others = actions[1:] if usual else actions
    note = f"{item.procedure_name}・{short_counter(item.counter_number)}" if shows_counter else item.procedure_name
    has_ticket = item.ticket_no is not None and item.state != "booked"
    return {
        "made_of": (item, sent, shows_counter, counter),
        "id": str(item.appointment_id),
        "case_id": str(item.case_id) if item.case_id else None,
        "finish_href": _finish_href(item, counter) if item.state in ("called", "serving") else None,
        "number": called_number(item),
        # Whoever booked holds the booking's number; whoever walked in holds nothing but the ticket.
        "reference": show_number(item.number) if has_ticket and item.kind == "booked" else None,
        "time": jst_time(item.starts_at, short=True),
        "state": LOOKS.get(item.state, "done"),
        "state_label": state_label(item.state),
        "title": _called_by(item),
        "written": item.name if item.kana and item.name else None,
        "note": note,
        "badges": _badges(item),
        "primary": actions[0] if usual else None,
        "direct": [action for action in others if action["id"] in at_hand],
        "others": [action for action in others if action["id"] not in at_hand],
        "sent": _sent_lines(item, sent),
        "links": _links(item, counter=counter),
        # What was prepared is gone through with the person: there and back with one touch each.
        "desk": f"/office/cases/{item.case_id}/desk" if item.case_id and item.state in ("called", "serving") else None,
    }


def _finish_href(item: LineItem, counter: str | None) -> str:
    only = f"?{urlencode({'counter': counter})}" if counter else ""
    return f"/counter/{item.appointment_id}/finish{only}"


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
