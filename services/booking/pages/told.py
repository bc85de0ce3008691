"""What `/counter` says after a button was pressed, and how it finds its way through the redirect.

An address holds only numbers that open nothing, codes, and versions; the words come from the database when the page is
shown, so that going back or reloading neither posts again nor says what is no longer true.
"""

import unicodedata
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.steps import Moved
from services.booking.domain.line import ACTIONS, STEPS, Action
from services.booking.pages.line_rows import called_number, row_action, short_counter, state_label
from services.booking.queries.appointments import AppointmentView, find_appointment, find_appointment_by_id
from services.booking.queries.arrival import list_shut_out
from services.booking.queries.line import LineItem
from services.booking.refusals import REFUSALS
from shared.clock import jst_day
from shared.errors import Refusal
from shared.reference_number import APPOINTMENT_LENGTH, TYPED_MAX_LENGTH, read_number
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.templating import jst_date

# How long a refusal stands in an address: long enough to read it, not to be met again tomorrow.
REFUSAL_SHOWN = timedelta(minutes=2)
PROCEDURE_MAX_LENGTH = 20
VERSION_DIGITS = 9
# The steps that the page can say it took.
TRANSFER: Final = "transfer"
Taken = Action | Literal["transfer"]
TAKEN: tuple[Taken, ...] = (*ACTIONS, TRANSFER)
SECONDS_DIGITS = 12


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the line, with the way to their row."""

    label: str
    href: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One message on the page: `title`, `lines` below it, and what can be done next."""

    kind: str
    title: str
    lines: tuple[str, ...] = ()
    # The line's row that it is about.
    row: str = ""
    ticket_href: str | None = None
    found: tuple[Found, ...] = ()
    undo: dict[str, Any] | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the address says, as it came: nothing of it is believed."""

    told: str = ""
    did: str = ""
    version: str = ""
    refused: str = ""
    at: str = ""
    number: str = ""
    row: str = ""
    procedure: str = ""


def path_after(moved: Moved, action: Taken, *, counter: str | None) -> str:
    """Where a step leads without JavaScript: to the same row, with what happened."""
    said = {"told": moved.number, "did": action, "v": str(moved.version)}
    return f"/counter?{_query(said, counter)}#line-{moved.appointment_id}"


def path_refused(
    refusal: Refusal,
    *,
    counter: str | None,
    now: datetime,
    number: str = "",
    row: UUID | None = None,
    procedure: str = "",
) -> str:
    """Where a refusal leads without JavaScript; what was typed or chosen is kept."""
    said = {
        "refused": refusal.code,
        "at": at_now(now),
        "number": number if _looks_like_a_number(number) else "",
        "row": str(row or ""),
        "procedure": procedure[:PROCEDURE_MAX_LENGTH],
    }
    return f"/counter?{_query(said, counter)}" + (f"#line-{row}" if row else "")


def at_now(now: datetime) -> str:
    """When a refusal was given, for its address."""
    return str(int(now.timestamp()))


async def find_told(
    session: AsyncSession, identity: Identity, said: Said, items: list[LineItem], *, counter: str | None, now: datetime
) -> Told | None:
    """What the page has to say, or None if that is not true (any more)."""
    if said.refused:
        found = await _find(session, identity.municipality, said)
        return say_refused(said.refused, found, now=now) if _is_fresh(said.at, now=now) else None
    action = next((name for name in TAKEN if name == said.did), None)
    number = read_number(said.told)
    version = said.version
    if action is None or number is None or not (version.isascii() and version.isdigit()):
        return None
    found = await find_appointment(session, identity.municipality, number)
    if found is None or jst_day(found.starts_at) != jst_day(now) or found.version != int(version[:VERSION_DIGITS]):
        return None
    if action != "undo" and found.state != ("checked_in" if action == TRANSFER else STEPS[action][1]):
        return None
    told = say_done(found, action, identity, items, counter=counter)
    shut = []
    if action in ("check-in", "done"):
        shut = await list_shut_out(session, identity.municipality, found.appointment_id, now=now)
    lines = [_say_shut(short_counter(counter)) for counter in shut]
    return msgspec.structs.replace(told, lines=(*told.lines, *lines))


def _say_shut(counter: str) -> str:
    return _("次の用事の%(counter)sは、今日は閉めました。予約のまま残っています。ご案内ください。", counter=counter)


def say_done(
    found: AppointmentView, action: Taken, identity: Identity, items: list[LineItem], *, counter: str | None
) -> Told:
    """That a step was taken, with a way back, and the ticket to hand over after a check-in."""
    number = called_number(found)
    title = {
        "check-in": _("%(number)sを受け付けました", number=number),
        "call": _("%(number)sを呼び出しました", number=number),
        "start": _("%(number)sの対応を始めました", number=number),
        "done": _("%(number)sの対応を終えました", number=number),
        "no-show": _("%(number)sを不在にしました", number=number),
        "park": _("%(number)sを保留にしました", number=number),
        "resume": _("%(number)sを列にもどしました", number=number),
        "prefer": _("%(number)sを優先にしました", number=number),
        "unprefer": _("%(number)sの優先をやめました", number=number),
        "withdraw": _("%(number)sの番号札を取り消しました", number=number),
        "transfer": _(
            "%(number)sを%(counter)sへ送りました", number=number, counter=short_counter(found.counter_number)
        ),
        "undo": _("%(number)sを「%(state)s」にもどしました", number=number, state=state_label(found.state)),
    }[action]
    is_elsewhere = identity.office not in (None, found.office) and action != TRANSFER
    if found.channel == "helper":
        where = _("サポーターとの予約です。%(place)sにご案内ください。", place=found.counter_name)
    else:
        where = _("ほかの課の予約です。%(counter)sにご案内ください。", counter=short_counter(found.counter_number))
    ticket = f"/counter/tickets/{found.appointment_id}" + (f"?{_query({}, counter)}" if counter else "")
    # Who was sent on, or whose ticket was taken back, is not in this line any more.
    is_gone = action in (TRANSFER, "withdraw")
    item = next((item for item in items if item.appointment_id == found.appointment_id), None)
    can_undo = is_gone or (item is not None and action != "undo" and "undo" in item.actions)
    return Told(
        kind="success",
        title=title,
        lines=(where,) if is_elsewhere else (),
        row=f"line-{found.appointment_id}",
        ticket_href=ticket if action == "check-in" else None,
        undo=row_action(found, "undo", counter=counter) if can_undo else None,
    )


def say_refused(code: str, found: AppointmentView | None, *, now: datetime) -> Told:
    """Why something was not done. Who it is about is looked up again: they may have moved on."""
    text = REFUSALS.get(code) or REFUSALS["step_impossible"]
    title, lines = translate(text.title), [translate(text.advice)]
    if found is not None:
        counter = short_counter(found.counter_number or found.counter_name)
        if code in ("arrival_known", "arrival_done"):
            title = _("%(title)s（%(number)s・%(counter)s）", title=title, number=called_number(found), counter=counter)
        elif code == "not_today" and jst_day(found.starts_at) != jst_day(now):
            lines.insert(0, _("予約の日：%(day)s", day=jst_date(found.starts_at)))
        elif code in ("line_moved", "step_impossible", "no_show_too_early"):
            state = state_label(found.state)
            lines.insert(0, _("%(number)s　今の状態：%(state)s", number=called_number(found), state=state))
        elif code == "other_office":
            lines.insert(0, _("%(number)s　%(counter)s", number=called_number(found), counter=counter))
    return Told(
        kind="error", title=title, lines=tuple(lines), row=f"line-{found.appointment_id}" if found is not None else ""
    )


async def _find(session: AsyncSession, municipality: str, said: Said) -> AppointmentView | None:
    if said.row:
        try:
            return await find_appointment_by_id(session, municipality, parse_uuid(said.row))
        except Refusal:
            return None
    number = read_number(said.number)
    return await find_appointment(session, municipality, number) if number else None


def _looks_like_a_number(typed: str) -> bool:
    """Whether it may stand in an address: who types a name into the wrong field must not find it in a log."""
    plain = unicodedata.normalize("NFKC", typed).replace("-", "").replace(" ", "")
    has_digit = any(sign.isdigit() for sign in plain)
    return (
        len(typed) <= TYPED_MAX_LENGTH
        and plain.isascii()
        and plain.isalnum()
        and (has_digit or len(plain) == APPOINTMENT_LENGTH)
    )


def _is_fresh(at: str, *, now: datetime) -> bool:
    if not (at.isascii() and at.isdigit() and len(at) <= SECONDS_DIGITS):
        return False
    return 0 <= int(now.timestamp()) - int(at) <= REFUSAL_SHOWN.total_seconds()


def _query(said: dict[str, str], counter: str | None) -> str:
    return urlencode({name: value for name, value in {**said, "counter": counter or ""}.items() if value})
