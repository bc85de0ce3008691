"""`/office/quality`: for managers, every number by procedure and channel as it stands, and what was made better."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from services.routing.commands.quality import add_improvement, remove_improvement, remove_voice
from services.routing.domain.quality import PUBLISHED_MAX_LENGTH, median_bound, months_of
from services.routing.domain.quality_published import Count
from services.routing.pages.figures import MANAGER
from services.routing.pages.quality import list_years
from services.routing.pages.quality_wording import month_name, within, year_name
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.quality import find_first_month, list_counts, list_improvements, list_voices
from shared.clock import jst_day
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/office/quality"

Req = Request[Any, Any, Any]


@get(PATH, guards=MANAGER)
async def show_office_quality(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    year: FromQuery[str] = "",
    month: FromQuery[str] = "",
) -> Template:
    """A 年度, or one month of it, the month of now included: small numbers too, which stay in the town hall."""
    return await _page(request, db, identity, now, year, month, Form({}))


@post(PATH, guards=MANAGER)
async def post_improvement(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Write what was made better, or take it back (`remove`), or what was published of an opinion (`remove_voice`)."""
    form = Form(await read_form(request))
    if form.value("remove_voice"):
        voice = parse_uuid(form.value("remove_voice"), code="voice_unknown")
        async with db.begin(identity.municipality) as session:
            await remove_voice(session, identity=identity, voice_id=voice, now=now)
        return see_other(PATH)
    if form.value("remove"):
        gone = parse_uuid(form.value("remove"), code="improvement_unknown")
        async with db.begin(identity.municipality) as session:
            await remove_improvement(session, identity=identity, improvement_id=gone, now=now)
        return see_other(PATH)
    said = form.long_text("said", max_length=PUBLISHED_MAX_LENGTH)
    if not form.ok:
        return await _page(request, db, identity, now, "", "", form)
    async with db.begin(identity.municipality) as session:
        await add_improvement(session, identity=identity, said=said, now=now)
    return see_other(PATH)


async def _page(
    request: Req, db: Database, identity: Identity, now: datetime, year: str, month: str, form: Form
) -> Template:
    town = identity.municipality
    async with db.begin(town) as session:
        years = list_years(await find_first_month(session, town), jst_day(now))
        chosen = next((each for each in years if year[:4] == str(each)), years[0])
        months = months_of(chosen)
        one = [first for first in months if month[:7] == f"{first:%Y-%m}"]
        counts = await list_counts(session, town, one or months)
        names = await procedure_names(session, town)
        improvements = await list_improvements(session, town, chosen)
        voices = await list_voices(session, town, chosen)
    return page(
        request,
        "office_quality.html",
        status=200 if form.ok else 422,
        chosen=chosen,
        years=[{"value": each, "label": year_name(each), "current": each == chosen} for each in years],
        months=[{"value": f"{first:%Y-%m}", "label": month_name(first), "current": one == [first]} for first in months],
        rows=_rows(counts, names),
        moves=_moves(counts, names),
        improvements=[
            {"id": each.improvement_id, "month": month_name(each.month), "said": each.said} for each in improvements
        ],
        voices=[
            {"id": each.voice_id, "month": month_name(each.month), "said": each.said, "answer": each.answer}
            for each in voices
        ],
        typed=form.value("said"),
        errors=form.errors,
        text_max_length=PUBLISHED_MAX_LENGTH,
        path_of=PATH,
    )


def _rows(counts: list[Count], names: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    people: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    times: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for count in counts:
        key = (count.procedure, count.channel)
        people[key][count.kind] += count.people
        people[key]["items"] += count.amount
        if count.kind == "finished":
            times[key][count.took_min] += count.people
    rows = []
    for (procedure, channel), found in people.items():
        bound = median_bound(times[procedure, channel])
        rows.append(
            {
                "name": names[procedure][0] if procedure in names else procedure,
                "channel": translate(CHANNEL_TITLES[channel]),
                "counts": [found[kind] for kind in ("started", "finished", "given_up")],
                "more": [
                    {"term": _("送った・予約した"), "text": found["sent"]},
                    {"term": _("ほかのやり方へ"), "text": found["switched"]},
                    {"term": _("書かずにすんだ項目"), "text": found["items"]},
                    {"term": _("半分の人が終わるまで"), "text": within(bound) if bound else "－"},
                    {
                        "term": _("かんたん・ふつう・むずかしい"),
                        "text": "・".join(str(found[kind]) for kind in ("easy", "fair", "hard")),
                    },
                ],
            }
        )
    return sorted(rows, key=lambda row: (-row["counts"][0], row["name"], row["channel"]))


def _moves(counts: list[Count], names: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    moves: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for count in counts:
        if count.to_channel:
            moves[count.procedure, count.channel, count.to_channel, count.step] += count.people
    steps = {
        "opened": _("入力の前"),
        "told": _("入力のあと"),
        "handed_over": _("日時を選ぶところ"),
        "booked": _("予約のあと"),
        "submitted": _("送ったあと"),
    }
    return [
        {
            "name": names[procedure][0] if procedure in names else procedure,
            "way": f"{translate(CHANNEL_TITLES[channel])} → {translate(CHANNEL_TITLES[to_channel])}",
            "step": steps.get(step, step),
            "count": people,
        }
        for (procedure, channel, to_channel, step), people in sorted(moves.items(), key=lambda each: -each[1])
    ]
