"""`/counter/draws`: a manager announces a draw, and reads those that there are."""

from datetime import date, datetime, time
from typing import Any
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.draw_calling_off import call_off_draw
from services.booking.commands.draws import AHEAD_MAX, TITLE_MAX_LENGTH, AnnounceDraw, announce_draw
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.draws import read_draw_id
from services.booking.pages.wording import counter_label
from services.booking.queries.draws import get_draw, list_draws
from services.booking.queries.slots import list_counters, list_procedures
from services.booking.refusals import REFUSALS
from shared.clock import JST, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_name

GUARDS = [require_role("manager")]
PATH = "/counter/draws"
SHOWN_HERE = frozenset({"draw_window", "draw_unfit", "draw_no_seats", "draw_too_large", "draw_off", "key_reused"})
# Full hours of a town hall's day.
HOURS = range(8, 21)
# A day and an hour each: when people can enter, and which sessions are given out.
MOMENTS = ("opens", "closes", "first", "until")
USUAL_HOURS = {"opens": 9, "closes": 17, "first": 8, "until": 18}
# Instead of an hour, for the beginning.
AT_ONCE = "now"
WHAT_MAX_LENGTH = 100

Req = Request[Any, Any, Any]


@get(PATH, guards=GUARDS)
async def get_draw_staff_page(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    told: FromQuery[str] = "",
) -> Template:
    """The draws, and the form for another."""
    return await _staff_page(request, db, town, Form({}), now=now, told=told if told in ("made", "called_off") else "")


@post(PATH, guards=GUARDS)
async def post_draw_staff_page(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Announced: from here on it stays as it is."""
    form = Form(await read_form(request))
    order = _read_order(form, now=now)
    if order is None:
        return await _staff_page(request, db, town, form, now=now, status=422)
    try:
        await rush.run(db, town.code, lambda session: _announce(session, identity, order, keys, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return await _staff_page(request, db, town, form, now=now, refusal=refusal, status=refusal.status)
    return see_other(f"{PATH}?told=made")


@get(f"{PATH}/{{draw_id:str}}/call-off", guards=GUARDS)
async def get_call_off_page(
    request: Req,
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
) -> Template:
    """What is called off, before anybody does it."""
    async with db.begin(town.code) as session:
        found = await get_draw(session, town.code, read_draw_id(draw_id))
    action = f"{PATH}/{found.draw_id}/call-off"
    return page(request, "draw_call_off.html", draw=found, back=PATH, action=action)


@post(f"{PATH}/{{draw_id:str}}/call-off", guards=GUARDS)
async def post_call_off(
    draw_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Called off."""
    wanted = read_draw_id(draw_id)
    await rush.run(db, town.code, lambda session: call_off_draw(session, identity, wanted, keys, now=now))
    return see_other(f"{PATH}?told=called_off")


async def _announce(session: AsyncSession, actor: Identity, order: AnnounceDraw, keys: Keys, *, now: datetime) -> None:
    draw_id = await announce_draw(session, actor, order, keys, now=now)
    # Whoever goes back to a form that was sent long ago finds what became of it.
    if (await get_draw(session, actor.municipality, draw_id)).stage(now) == "called_off":
        raise Refusal("draw_off", 409)


def _read_order(form: Form, *, now: datetime) -> AnnounceDraw | None:
    title = form.text("title", max_length=TITLE_MAX_LENGTH)
    procedure, _slash, counter = form.text("what", max_length=WHAT_MAX_LENGTH).partition("/")
    opens_now = form.value("opens_hour") == AT_ONCE
    moments = {name: _read_moment(form, name, now=now) for name in MOMENTS if not (name == "opens" and opens_now)}
    if not form.ok:
        return None
    return AnnounceDraw(
        title_ja=title,
        procedure=procedure,
        counter=counter,
        first=moments["first"],
        until=moments["until"],
        opens_at=None if opens_now else moments["opens"],
        closes_at=moments["closes"],
        key=form.value("idempotency_key")[:KEY_MAX_LENGTH] or str(uuid4()),
    )


def _read_moment(form: Form, name: str, *, now: datetime) -> datetime:
    """A day and an hour; what could not be read is noted in the form."""
    day = form.day(name, earliest=jst_day(now), latest=jst_day(now) + AHEAD_MAX)
    hour = form.number(f"{name}_hour", lowest=min(HOURS), highest=max(HOURS))
    return datetime.combine(date.fromisoformat(day), time(int(hour)), JST) if day and hour else now


async def _staff_page(
    request: Req,
    db: Database,
    town: Town,
    form: Form,
    *,
    now: datetime,
    told: str = "",
    refusal: Refusal | None = None,
    status: int = 200,
) -> Template:
    async with db.begin(town.code) as session:
        draws = await list_draws(session, town.code)
        procedures = await list_procedures(session, town.code)
        counters = await list_counters(session, town.code)
    text = REFUSALS[refusal.code] if refusal else None
    hours = [{"value": str(hour), "label": _("%(hour)s時", hour=hour)} for hour in HOURS]
    labels = {
        "opens": _("申し込みの始まり"),
        "closes": _("申し込みの終わり（このとき抽選します）"),
        "first": _("抽選で割り当てる枠：この日時から"),
        "until": _("抽選で割り当てる枠：この日時の前まで"),
    }
    return page(
        request,
        "draw_staff.html",
        status=status,
        draws=[{"draw": each, "stage": each.stage(now)} for each in draws],
        form=form,
        what=[
            {
                "value": f"{each.code}/{code}",
                "label": f"{town_name(each.name_ja)}　{counter_label(counters[code].number, counters[code].name_ja)}",
            }
            for each in procedures
            for code in each.counters
            if code in counters
        ],
        moments=[
            {
                "name": name,
                "label": labels[name],
                "values": {part: form.value(f"{name}_{part}") for part in ("year", "month", "day")},
                "hour": form.value(f"{name}_hour") or str(USUAL_HOURS[name]),
                "hours": [{"value": AT_ONCE, "label": _("いますぐ")}, *hours] if name == "opens" else hours,
            }
            for name in MOMENTS
        ],
        title_max=TITLE_MAX_LENGTH,
        # What was refused is not done: the form that is shown again is another one.
        key=str(uuid4()),
        told=told,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )
