"""`/counter/close`: a counter, a venue or the whole town is closed for a time, after a look at whom it concerns."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.closings import NOTE_MAX_LENGTH, REASONS, CloseTime, close_time, reopen
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.domain.closings import DAYS_MAX
from services.booking.flow import Rush
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import closing_reason, counter_label, minute_label
from services.booking.queries.closings import (
    ClosingView,
    count_displaced,
    count_not_yet_asked,
    find_closing,
    list_displaced,
    list_live_closings,
    preview_closing,
)
from services.booking.queries.rules import get_rules
from services.booking.queries.slots import list_counters, start_of_day
from shared.audit import record_deed
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import show_number
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.templating import jst_date, jst_datetime
from shared.web.town import Town

GUARDS = [require_role("manager")]
# Half hours between which counters and venues are open anywhere.
FIRST_MIN, LAST_MIN, STEP_MIN = 8 * 60, 21 * 60, 30
DAY_MIN = 24 * 60
DAYS_AHEAD_MAX = 366
DATE_LENGTH = len("2026-06-01")
FIELD_MAX_LENGTH = 40
# The empty code means the whole town, and this one nothing that there is.
UNCHOSEN = "-"
UNTOUCHED = {"counter": UNCHOSEN, "day": "", "until": "", "from": "", "to": "", "reason": ""}
SHOWN_HERE = frozenset({"closing_unfit", "closing_reason_missing"})

Req = Request[Any, Any, Any]


class Choice(msgspec.Struct, frozen=True):
    """What is to be closed, when and why, as the form says it."""

    counter: str
    day: date
    until: date
    from_min: int
    to_min: int
    reason: str

    @property
    def starts_at(self) -> datetime:
        """When it begins, on the first day."""
        return start_of_day(self.day) + timedelta(minutes=self.from_min)

    @property
    def ends_at(self) -> datetime:
        """When it ends, on the first day."""
        return start_of_day(self.day) + timedelta(minutes=self.to_min)

    @property
    def days(self) -> int:
        """On how many days."""
        return (self.until - self.day).days + 1


@get("/counter/close", guards=GUARDS)
async def get_close_page(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    refused: FromQuery[str] = "",
) -> Template:
    """Step 1: what, when and why, with what was chosen before; and the closings that stand."""
    async with db.begin(town.code) as session:
        labels = await _labels(session, town)
        closings = await list_live_closings(session, town.code, now=now)
        horizon_days = (await get_rules(session, town.code)).policy.horizon_days
    days = [jst_day(now) + timedelta(days=offset) for offset in range(min(horizon_days, DAYS_AHEAD_MAX) + 1)]
    return page(
        request,
        "close.html",
        # Nobody closes the whole town because they chose nothing.
        scopes=[{"value": UNCHOSEN, "label": _("選んでください")}, *_options(labels)],
        chosen={name: request.query_params.get(name, otherwise) for name, otherwise in UNTOUCHED.items()},
        days=_day_options(days),
        days_max=DAYS_MAX,
        until_days=[{"value": "", "label": _("その日だけ")}, *_day_options(days)],
        starts=[{"value": "", "label": _("その日のはじめから")}, *_times()],
        ends=[{"value": "", "label": _("その日のおわりまで")}, *_times()],
        reasons=[{"value": reason, "label": closing_reason(reason)} for reason in REASONS],
        closings=[_shown(closing, labels) for closing in closings],
        **refusal_words(refused, SHOWN_HERE),
    )


@get("/counter/close/preview", guards=GUARDS)
async def get_close_preview(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    counter: FromQuery[str] = "",
    day: FromQuery[str] = "",
    starts: Annotated[str, QueryParameter(name="from")] = "",
    ends: Annotated[str, QueryParameter(name="to")] = "",
    until: FromQuery[str] = "",
    reason: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template | Redirect:
    """Step 2: whom it concerns, before anything is done."""
    typed = {"counter": counter, "day": day, "until": until, "from": starts, "to": ends, "reason": reason}
    try:
        choice = _read_choice(typed, now)
    except Refusal as refusal:
        return _choose_again(refusal.code, typed)
    async with db.begin(town.code) as session:
        labels = await _labels(session, town)
        preview = await preview_closing(
            session,
            town.code,
            counter=choice.counter or None,
            starts_at=choice.starts_at,
            ends_at=choice.ends_at,
            days=choice.days,
            now=now,
        )
    if choice.counter not in labels or choice.ends_at + timedelta(days=choice.days - 1) <= now:
        return _choose_again("closing_unfit", typed)
    return page(
        request,
        "close_preview.html",
        typed=typed,
        choose_again=f"/counter/close?{urlencode(typed)}",
        scope=labels[choice.counter],
        when=_when(choice.starts_at, choice.ends_at, choice.ends_at + timedelta(days=choice.days - 1)),
        reason=closing_reason(choice.reason),
        is_other=choice.reason == "other",
        note_max=NOTE_MAX_LENGTH,
        total=preview.total,
        free=preview.free,
        by_reach=[{"label": _reach_name(reach), "count": count} for reach, count in preview.by_reach.items()],
        unreached=preview.by_reach.get("none", 0),
        affected=[
            {
                "number": show_number(item.number),
                "starts_at": item.starts_at,
                "counter": labels.get(item.counter, item.counter),
                "reach": _reach_name(item.reach),
            }
            for item in preview.affected
        ],
        key=str(uuid4()),
        **refusal_words(refused, SHOWN_HERE),
    )


@post("/counter/close", guards=GUARDS)
async def post_close(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Step 3: confirmed."""
    fields = await read_form(request)
    try:
        order = _read_order(fields, now)
        closed = await rush.run(db, town.code, lambda session: close_time(session, identity, order, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        typed = _typed(fields)
        if refusal.code == "closing_reason_missing":
            return see_other(f"/counter/close/preview?{urlencode(typed | {'refused': refusal.code})}")
        return _choose_again(refusal.code, typed)
    return see_other(f"/counter/close/{closed.closing_id}")


@get("/counter/close/{closing_id:str}", guards=GUARDS)
async def get_closing_page(
    request: Req,
    closing_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template:
    """How far it is: who still has to move, and how they are reached."""
    wanted = parse_uuid(closing_id, code="closing_unknown")
    async with db.begin(town.code) as session:
        closing = await find_closing(session, town.code, wanted)
        if closing is None:
            raise Refusal("closing_unknown", 404)
        labels = await _labels(session, town)
        counts = await count_displaced(session, town.code, wanted)
        not_yet_asked = await count_not_yet_asked(session, town.code, wanted)
        displaced = await list_displaced(session, town.code, wanted, now=now)
        await record_deed(session, identity, "view-closing", wanted, now=now)
    return page(
        request,
        "closing.html",
        closing=_shown(closing, labels),
        not_yet_asked=not_yet_asked,
        asked=counts.get("asked", 0),
        left_to_staff=counts.get("staff", 0),
        displaced=[
            {
                "number": show_number(item.number),
                "starts_at": item.starts_at,
                "counter": labels.get(item.counter, item.counter),
                "reach": _reach_name(item.reach),
                "is_left": item.closure == "staff",
                "offer_starts_at": item.offer_starts_at,
                "offer_until": item.offer_until,
            }
            for item in displaced
        ],
    )


@get("/counter/close/{closing_id:str}/reopen", guards=GUARDS)
async def get_reopen_address(closing_id: FromPath[str]) -> Redirect:
    """Where a reopening is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(f"/counter/close/{parse_uuid(closing_id, code='closing_unknown')}")


@post("/counter/close/{closing_id:str}/reopen", guards=GUARDS)
async def post_reopen(
    closing_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """It is open again: who has not moved yet keeps what they had."""
    wanted = parse_uuid(closing_id, code="closing_unknown")
    await rush.run(db, town.code, lambda session: reopen(session, identity, wanted, now=now))
    return see_other(f"/counter/close/{wanted}")


async def _labels(session: AsyncSession, town: Town) -> dict[str, str]:
    """The whole town, and every counter and venue, as people call them."""
    counters = await list_counters(session, town.code)
    named = {code: counter_label(item.number, item.name_ja) for code, item in counters.items()}
    return {"": _("町ぜんぶの窓口と会場")} | named


def _options(labels: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"value": code, "label": label} for code, label in labels.items()]


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields.get(name, otherwise)[:FIELD_MAX_LENGTH] for name, otherwise in UNTOUCHED.items()}


def _choose_again(code: str, typed: Mapping[str, str]) -> Redirect:
    """Back to step 1, which says why and still has what was chosen."""
    return see_other(f"/counter/close?{urlencode({'refused': code, **_typed(typed)})}")


def _times() -> list[dict[str, str]]:
    return [
        {"value": str(minute), "label": minute_label(minute)} for minute in range(FIRST_MIN, LAST_MIN + 1, STEP_MIN)
    ]


def _read_choice(fields: dict[str, str], now: datetime) -> Choice:
    """What the form says.

    Raises:
        Refusal: `closing_unfit` (400).
    """
    try:
        day = date.fromisoformat(fields.get("day", "")[:DATE_LENGTH])
        until = date.fromisoformat(fields["until"][:DATE_LENGTH]) if fields.get("until") else day
    except ValueError as error:
        raise Refusal("closing_unfit", 400) from error
    choice = Choice(
        counter=fields.get("counter", ""),
        day=day,
        until=until,
        from_min=_read_minute(fields.get("from", ""), 0),
        to_min=_read_minute(fields.get("to", ""), DAY_MIN),
        reason=fields.get("reason", ""),
    )
    is_soon = jst_day(now) <= day <= jst_day(now) + timedelta(days=DAYS_AHEAD_MAX)
    is_known = choice.reason in REASONS and choice.counter.isprintable()
    if not is_soon or not is_known or choice.from_min >= choice.to_min or not 1 <= choice.days <= DAYS_MAX:
        raise Refusal("closing_unfit", 400)
    return choice


def _read_order(fields: dict[str, str], now: datetime) -> CloseTime:
    """What was confirmed.

    Raises:
        Refusal: `closing_unfit` (400).
    """
    choice, form = _read_choice(fields, now), Form(fields)
    note = form.text("note", max_length=NOTE_MAX_LENGTH, required=False)
    if not form.ok:
        raise Refusal("closing_unfit", 400)
    return CloseTime(
        counter=choice.counter or None,
        starts_at=choice.starts_at,
        ends_at=choice.ends_at,
        days=choice.days,
        reason=choice.reason,
        note=note,
        key=fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4()),
    )


def _read_minute(typed: str, otherwise: int) -> int:
    if not typed:
        return otherwise
    if not (typed.isascii() and typed.isdigit()) or int(typed[:5]) > DAY_MIN:
        raise Refusal("closing_unfit", 400)
    return int(typed[:5])


def _when(starts_at: datetime, first_until: datetime, ends_at: datetime) -> str:
    """Whole days, one stretch of time, or the same part of several days: then `first_until` is the end on the first."""
    midnight = start_of_day(jst_day(starts_at))
    first, last = jst_day(starts_at), jst_day(ends_at - timedelta(minutes=1))
    days = {"first": jst_date(first, year=False), "last": jst_date(last, year=False)}
    if starts_at == midnight and (first_until - starts_at) % timedelta(minutes=DAY_MIN) == timedelta(0):
        if first == last:
            return _("%(day)s 一日中", day=days["first"])
        return _("%(first)sから %(last)sまで 一日中", **days)
    if first_until == ends_at:
        return _(
            "%(start)sから %(end)sまで",
            start=jst_datetime(starts_at, year=False, short=True),
            end=jst_datetime(ends_at, year=False, short=True),
        )
    minutes = [minute_label(int((moment - midnight).total_seconds()) // 60) for moment in (starts_at, first_until)]
    return _("%(first)sから %(last)sまで、毎日 %(start)s〜%(end)s", **days, start=minutes[0], end=minutes[1])


def _day_options(days: Sequence[date]) -> list[dict[str, str]]:
    return [{"value": day.isoformat(), "label": jst_date(day, year=False)} for day in days]


def _shown(closing: ClosingView, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "id": closing.closing_id,
        "scope": labels.get(closing.counter or "", closing.counter),
        "when": _when(closing.starts_at, closing.first_until, closing.ends_at),
        "reason": closing_reason(closing.reason),
        "note": closing.note_ja or "",
        "closed_at": closing.closed_at,
        "reopened_at": closing.reopened_at,
    }


def _reach_name(reach: str) -> str:
    return {"email": _("メール"), "sms": _("電話（SMS）"), "none": _("連絡先なし")}[reach]
