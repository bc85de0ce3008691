"""`/counter/today`: the town hall now. Counters are closed and opened, staff move, and so do those who wait there."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, ServerSentEvent, ServerSentEventMessage, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.counter_days import (
    Seen,
    close_counter,
    move_staff,
    move_waiting,
    open_counter,
)
from services.booking.flow import Rush
from services.booking.live import LineWatch
from services.booking.pages.alarms import draw_alarms
from services.booking.pages.counter import RETRY_MS, IsEnded
from services.booking.pages.rules_form import show_hours
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import counter_label
from services.booking.queries.rules import get_rules
from services.booking.queries.today import CounterNow, Openness, read_today
from shared.clock import Clock, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import read_form
from shared.web.i18n import gettext as _
from shared.web.identity import require_role, token_of
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
ROOT = "/counter/today"
REGION = "today-region"
DIGITS_MAX = 6
SHOWN_HERE = frozenset({"counter_changed", "counter_closed_now", "counter_unknown", "staff_unfit"})
TOLD = ("closed", "opened", "staff", "moved")

Req = Request[Any, Any, Any]
Fields = Mapping[str, str]


@get(ROOT, guards=GUARDS)
async def get_today(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    source: FromQuery[str] = "",
    told: FromQuery[str] = "",
    counter: FromQuery[str] = "",
    people: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template:
    """The whole picture. With `source`, somebody who serves there is about to move, and is asked where to."""
    shown = await _picture(db, town, source, now=now)
    async with db.begin(town.code) as session:
        alarms = await draw_alarms(session, town.code, None, now=now)
    names = {each["code"]: each["name"] for each in shown["counters"]}
    return page(
        request,
        "today.html",
        day=jst_day(now),
        region=REGION,
        src=f"{ROOT}/events",
        now_href=f"{ROOT}/now?{urlencode({'source': source})}" if shown["source"] else f"{ROOT}/now",
        alarms=alarms,
        told=told_text(told, names.get(counter, ""), people) if told in TOLD and counter in names else "",
        **shown,
        **refusal_words(refused, SHOWN_HERE),
    )


@get(f"{ROOT}/now", guards=GUARDS)
async def get_today_now(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    source: FromQuery[str] = "",
) -> Template:
    """What changes of it, for swapping in."""
    return page(request, "today_now.html", **await _picture(db, town, source, now=now))


@get(f"{ROOT}/events", guards=GUARDS)
async def get_today_events(
    request: Req,
    db: NamedDependency[Database],
    watch: NamedDependency[LineWatch],
    clock: NamedDependency[Clock],
    is_ended: NamedDependency[Callable[[Database, str, str], Awaitable[bool]]],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> ServerSentEvent:
    """An event `line` whenever the town's line changed, and every few seconds all the same: who waits, waits longer."""
    token = token_of(request)
    ended: IsEnded = is_ended

    async def stream() -> AsyncIterator[ServerSentEventMessage]:
        yield ServerSentEventMessage(data=None, comment="here", retry=RETRY_MS)
        async for _changed in watch.follow(town.code, None):
            over = token is None or token.is_expired(clock())
            if over or await ended(db, town.code, identity.session_id):
                return
            yield ServerSentEventMessage(event="line", data="changed")

    return ServerSentEvent(stream())


@get([f"{ROOT}/{step}" for step in ("close", "open", "staff", "move")], guards=GUARDS)
async def get_today_address() -> Redirect:
    """Where a form is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(ROOT)


@post(f"{ROOT}/close", guards=GUARDS)
async def post_close_counter(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Nobody comes into this counter's line any more today."""
    fields = await read_form(request)

    async def close(session: AsyncSession) -> None:
        await close_counter(session, identity, _needed(_seen(fields, "counter")), now=now)

    return await _done(db, rush, town, close, "closed", fields.get("counter", ""))


@post(f"{ROOT}/open", guards=GUARDS)
async def post_open_counter(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """It is open again, or all the same."""
    fields = await read_form(request)

    async def reopen(session: AsyncSession) -> None:
        await open_counter(session, identity, _needed(_seen(fields, "counter")), now=now)

    return await _done(db, rush, town, reopen, "opened", fields.get("counter", ""))


@post(f"{ROOT}/staff", guards=GUARDS)
async def post_move_staff(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """One of the staff from one counter to another; without the one they come, without the other they go."""
    fields = await read_form(request)
    source, target = _seen(fields, "source"), _seen(fields, "target")

    async def move(session: AsyncSession) -> None:
        _needed(target or source)
        await move_staff(session, identity, source, target, now=now)

    shown = fields.get("target") or fields.get("source", "")
    return await _done(db, rush, town, move, "staff", shown)


@post(f"{ROOT}/move", guards=GUARDS)
async def post_move_waiting(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Those who wait at a closed counter go to another that does their procedure."""
    fields = await read_form(request)
    source, target = fields.get("source", ""), fields.get("target", "")

    async def move(session: AsyncSession) -> int:
        return await move_waiting(session, identity, source, target, now=now)

    return await _done(db, rush, town, move, "moved", target)


async def _done(
    db: Database, rush: Rush, town: Town, act: Callable[[AsyncSession], Awaitable[int | None]], told: str, counter: str
) -> Redirect:
    try:
        people = await rush.run(db, town.code, act)
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{ROOT}?{urlencode({'refused': refusal.code})}")
    said = {"told": told, "counter": counter} | ({} if people is None else {"people": str(people)})
    return see_other(f"{ROOT}?{urlencode(said)}")


async def _picture(db: Database, town: Town, source: str, *, now: datetime) -> dict[str, Any]:
    async with db.begin(town.code) as session:
        counters = await read_today(session, town.code, now=now)
        promise_min = (await get_rules(session, town.code)).queue.promise_min
    found = {each.code: each for each in counters}
    moving = found.get(source)
    if moving is not None and not moving.staff:
        moving = None
    return {
        "root": ROOT,
        "today": jst_day(now).isoformat(),
        "promise_min": promise_min,
        "source": {"code": moving.code, "name": _label(moving), "version": moving.version} if moving else None,
        "counters": [_card(each, found, moving) for each in counters],
        "whole": {
            name: sum(getattr(each.picture, name) for each in counters)
            for name in ("waiting", "serving", "served", "expected")
        },
    }


def _card(each: CounterNow, found: Mapping[str, CounterNow], moving: CounterNow | None) -> dict[str, Any]:
    is_closed = each.openness == "closed"
    return {
        "code": each.code,
        "version": each.version,
        "name": _label(each),
        "openness": each.openness,
        "is_closed": is_closed,
        "state": _("臨時の休み") if each.closing else openness_label(each.openness),
        "hours": show_hours(each.hours),
        "closed_from": each.closed_from,
        "picture": each.picture,
        "wait_min": each.wait_min,
        "is_late": each.is_late,
        "staff": each.staff,
        "can_open": is_closed or each.openness == "off",
        "takes": moving is not None and moving.code != each.code and not is_closed,
        "gives": moving is not None and moving.code == each.code,
        "targets": [
            {
                "code": target.counter,
                "label": _(
                    "お待ちの%(people)s人を%(counter)sへ移す",
                    people=target.people,
                    counter=_label(found[target.counter]),
                ),
            }
            for target in each.targets
        ],
        "stranded": is_closed and bool(each.picture.waiting + each.picture.parked) and not each.targets,
    }


def openness_label(openness: Openness) -> str:
    """How a counter's state is called."""
    return {
        "open": _("開いています"),
        "closed": _("今日は閉めました"),
        "resting": _("休み時間"),
        "before": _("受付の前"),
        "over": _("受付は終わりました"),
        "off": _("今日は受付なし"),
    }[openness]


def told_text(told: str, name: str, people: str) -> str:
    """What was just done."""
    count = people if people.isascii() and people.isdigit() and len(people) <= DIGITS_MAX else "0"
    return {
        "closed": _("%(name)sを閉めました。お待ちの方がいるときは、下から、ほかの窓口へ移してください。", name=name),
        "opened": _("%(name)sを開けました。", name=name),
        "staff": _("担当の人数を変えました（%(name)s）。", name=name),
        "moved": _("お待ちの%(people)s人を、%(name)sへ移しました。番号札はそのまま使えます。", people=count, name=name),
    }[told]


def _label(each: CounterNow) -> str:
    return counter_label(each.number, each.name_ja)


def _seen(fields: Fields, name: str) -> Seen | None:
    """A counter as the form's page showed it."""
    code, version = fields.get(name, ""), fields.get(f"{name}_version", "")
    if not code:
        return None
    try:
        day = date.fromisoformat(fields.get("day", ""))
    except ValueError as error:
        raise Refusal("form_unreadable", 400) from error
    if not (version.isascii() and version.isdigit() and len(version) <= DIGITS_MAX):
        raise Refusal("form_unreadable", 400)
    return Seen(counter=code, day=day, version=int(version))


def _needed(seen: Seen | None) -> Seen:
    if seen is None:
        raise Refusal("form_unreadable", 400)
    return seen
