"""`/notices/bulk/{id}/check`: how it will arrive, to how many, at what cost; the test, and the button that sends it."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.bulk_texts import parts_of, sample_of
from services.notifications.commands.bulk import Recipient, flaws_of, send_bulk, try_bulk
from services.notifications.domain.bulk import BULK_LANGUAGES, TESTS_MAX, Estimate, Language, begins_at, estimate
from services.notifications.keys import Keys
from services.notifications.pages.bulk_wording import (
    KIND_HINTS,
    KIND_NAMES,
    choice_of,
    options,
    say_audience,
    say_sen,
    say_ways,
    title_of,
)
from services.notifications.pages.template_paths import MANAGER, number
from services.notifications.pages.template_wording import CHANNEL_NAMES, LANGUAGE_NAMES
from services.notifications.providers.chosen import rates, sms_gateways, sms_limit
from services.notifications.queries_of_bulk import Bulk, count_ways, read_bulk, read_prices
from services.notifications.queries_of_templates import TownFacts, read_facts
from services.notifications.rendering import say
from services.notifications.settings import Settings
from shared.db import Database
from shared.tokens import Identity
from shared.town_pack.templates import CHANNELS
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/notices/bulk"
SECONDS_PER_MIN = 60

Req = Request[Any, Any, Any]


@get(f"{PATH}/{{bulk_id:str}}/check", guards=MANAGER)
async def show_bulk_check(
    request: Req,
    bulk_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    settings: NamedDependency[Settings],
    language: FromQuery[str] = "ja",
) -> Template | Redirect:
    """Everything that there is to know before it is sent."""
    async with db.begin(identity.municipality) as session:
        bulk = await read_bulk(session, identity.municipality, parse_uuid(bulk_id))
        return await _check_page(request, session, bulk, settings, Form({}), language=language, now=now)


@get([f"{PATH}/{{bulk_id:str}}/test", f"{PATH}/{{bulk_id:str}}/send"], guards=MANAGER)
async def get_bulk_form_address(bulk_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page."""
    return see_other(f"{PATH}/{parse_uuid(bulk_id)}/check")


@post(f"{PATH}/{{bulk_id:str}}/test", guards=MANAGER)
async def post_bulk_test(
    request: Req,
    bulk_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    settings: NamedDependency[Settings],
) -> Template | Redirect:
    """Send it to oneself, or to an address that is typed; what was typed wrong is shown again."""
    form, found = Form(await read_form(request)), parse_uuid(bulk_id)
    chosen = form.value("test_languages").split()
    languages: list[Language] = [each for each in BULK_LANGUAGES if each in chosen]
    if not languages:
        form.errors["test_languages"] = _("試すことばを、ひとつは選んでください。")
    to = _test_to(form, settings)
    async with db.begin(identity.municipality) as session:
        if not form.ok:
            bulk = await read_bulk(session, identity.municipality, found)
            return await _check_page(request, session, bulk, settings, form, now=now)
        await try_bulk(session, keys.vault, identity, found, languages, to, now=now)
    return see_other(f"{PATH}/{found}/check#test")


@post(f"{PATH}/{{bulk_id:str}}/send", guards=MANAGER)
async def post_bulk_send(
    request: Req,
    bulk_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    settings: NamedDependency[Settings],
) -> Redirect:
    """Have it sent."""
    form, found, town = Form(await read_form(request)), parse_uuid(bulk_id), identity.municipality
    async with db.begin(town) as session:
        bulk = await read_bulk(session, town, found)
        planned = await _estimate(session, bulk, await read_facts(session, town), settings, now=now)
        await send_bulk(session, identity, found, planned, seen=number(form.value("seen")), now=now)
    return see_other(f"{PATH}/{found}")


async def _check_page(
    request: Req,
    session: AsyncSession,
    bulk: Bulk,
    settings: Settings,
    form: Form,
    *,
    language: str = "ja",
    now: datetime,
) -> Template | Redirect:
    here, written = f"{PATH}/{bulk.bulk_id}", bulk.written
    facts = await read_facts(session, request.scope["state"]["town"].code)
    if bulk.state != "draft" or flaws_of(written, facts, now=now):
        return see_other(here)
    spoken: Language = next((each for each in BULK_LANGUAGES if each == language), "ja")
    planned = await _estimate(session, bulk, facts, settings, now=now)
    choice, starts_at = choice_of(written.kind, written.reason), begins_at(written.reason, now=now)
    return page(
        request,
        "bulk_check.html",
        status=200 if form.ok else 422,
        path_of=PATH,
        here=here,
        bulk=bulk,
        title=title_of(bulk),
        what=translate(KIND_NAMES[choice]),
        what_it_means=translate(KIND_HINTS[choice]),
        whom=say_audience(written.audience, facts),
        planned=planned,
        ways=say_ways(written.kind, planned),
        staff_count=sum(way["count"] for way in say_ways(written.kind, planned) if way["is_by_staff"]),
        cost=say_sen(planned.cost_sen),
        minutes=max(1, -(-planned.seconds // SECONDS_PER_MIN)),
        starts_at=starts_at,
        is_later=starts_at > now,
        parts=[
            {"language": translate(LANGUAGE_NAMES[each]), "count": count}
            for each, count in parts_of(written.kind, written.texts, facts, sms_limit(settings), now=now).items()
        ],
        languages=options(LANGUAGE_NAMES),
        language=spoken,
        messages=_messages(bulk, spoken, facts, settings, now=now),
        tos=_tos(settings),
        form=form,
        tests_left=TESTS_MAX - bulk.tests,
    )


async def _estimate(
    session: AsyncSession, bulk: Bulk, facts: TownFacts, settings: Settings, *, now: datetime
) -> Estimate:
    written, town = bulk.written, facts.town.municipality
    counts = await count_ways(session, town, written.kind, written.audience)
    parts = parts_of(written.kind, written.texts, facts, sms_limit(settings), now=now)
    return estimate(counts, parts, await read_prices(session, town), rates(settings))


def _messages(bulk: Bulk, language: Language, facts: TownFacts, settings: Settings, *, now: datetime) -> list[Any]:
    """As it will arrive, by each channel."""
    sample = sample_of(bulk.written.kind, bulk.written.texts, language, facts, now=now)
    limit = sms_limit(settings)
    return [
        {
            "channel": channel,
            "title": translate(CHANNEL_NAMES[channel]),
            "text": say(sample, channel, limit) if channel == "sms" else say(sample, channel),
        }
        for channel in CHANNELS
    ]


def _tos(settings: Settings) -> list[dict[str, str]]:
    """Where a test may go: no SMS without a gateway."""
    tos = [
        {"value": "me", "label": _("わたしの連絡先へ"), "hint": _("「連絡とログイン」で登録したところへ送ります。")},
        {"value": "email", "label": _("メールアドレスを入力する")},
    ]
    return [*tos, {"value": "sms", "label": _("携帯電話の番号を入力する")}] if sms_gateways(settings) else tos


def _test_to(form: Form, settings: Settings) -> Recipient | None:
    """The address that was typed; None: one's own contact."""
    to = form.choice("to", tuple(each["value"] for each in _tos(settings)))
    if to == "email":
        return Recipient("email", form.email("test_address"))
    return Recipient("sms", form.mobile_phone("test_address")) if to == "sms" else None
