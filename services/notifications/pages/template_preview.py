"""`/notices/templates/{kind}/preview`: what was drafted, as it would arrive by each channel."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.templates import read_office
from services.notifications.domain.words import OwnText, OwnTexts, Whose, choose
from services.notifications.order_words import speaking
from services.notifications.orders import Order
from services.notifications.own_words import own_text
from services.notifications.pages.template_paths import MANAGER, PATH, address, known_kind
from services.notifications.pages.template_wording import CASE_NAMES, CHANNEL_NAMES, LANGUAGE_NAMES, WHOSE
from services.notifications.queries_of_templates import Cell, list_pack_texts, read_standings
from services.notifications.rendering import say
from services.notifications.samples import Case, cases_of, make_sample
from shared.db import Database
from shared.sms_parts import PART_UNITS, count_parts, count_units
from shared.tokens import Identity
from shared.town_pack.templates import Channel, channels_of, parts_max
from shared.web.i18n import translate
from shared.web.pages import page
from shared.web.template_words import NOTICE_NAMES

Req = Request[Any, Any, Any]


@get(f"{PATH}/{{kind:str}}/preview", guards=MANAGER)
async def show_template_preview(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    office: FromQuery[str] = "",
    case: FromQuery[str] = "usual",
    language: FromQuery[str] = "ja",
) -> Template:
    """One case in one language, by every channel."""
    known, town = known_kind(kind), identity.municipality
    chosen: Case = next((each for each in cases_of(known) if each == case), "usual")
    spoken = language if language in LANGUAGE_NAMES else "ja"
    async with db.begin(town) as session:
        facts = await read_office(session, town, office)
        said = await read_drafted(session, town, kind, office)
    own = own_texts_of(*said, language=spoken, office=office)
    sample = make_sample(known, chosen, spoken, facts, office=office, own=own, now=now)
    return page(
        request,
        "template_preview.html",
        kind=kind,
        office=office,
        title=translate(NOTICE_NAMES[kind]),
        here=address(kind, office),
        action=address(kind, "", "/preview"),
        cases=[{"value": each, "label": translate(CASE_NAMES[each])} for each in cases_of(known)],
        case=chosen,
        languages=[{"value": code, "label": translate(name)} for code, name in LANGUAGE_NAMES.items()],
        language=spoken,
        messages=[_message(sample, channel) for channel in channels_of(kind)],
    )


def own_texts_of(
    of_office: Mapping[Cell, str],
    of_town: Mapping[Cell, str],
    of_pack: Mapping[Cell, str],
    *,
    language: str,
    office: str,
) -> OwnTexts:
    """What may be said in a language, with drafts as if they were published."""
    said: tuple[tuple[Whose, Mapping[Cell, str]], ...] = (("office", of_office), ("town", of_town), ("pack", of_pack))
    found = [
        (channel, OwnText(whose=whose, text=text, office=office if whose == "office" else "", version=1))
        for whose, texts in said
        for (channel, spoken), text in texts.items()
        if spoken == language
    ]
    return choose(found, office)


async def read_drafted(
    session: AsyncSession, town: str, kind: str, office: str
) -> tuple[Mapping[Cell, str], Mapping[Cell, str], Mapping[Cell, str]]:
    """What an office says as it was last written, what the town says, and what the pack says."""
    standings = await read_standings(session, town, kind, office)
    newest = {cell: standing.newest.text for cell, standing in standings.items()}
    of_pack = (await list_pack_texts(session, town)).get(kind, {})
    if not office:
        return {}, newest, of_pack
    of_town = await read_standings(session, town, kind, "")
    return newest, {cell: standing.told for cell, standing in of_town.items()}, of_pack


def _message(sample: Order, channel: Channel) -> dict[str, Any]:
    with speaking(sample):
        own = own_text(sample, channel)
    text = say(sample, channel)
    return {
        "channel": channel,
        "title": translate(CHANNEL_NAMES[channel]),
        "text": text,
        "whose": translate(WHOSE[own.own.whose if own else "ours"]),
        # Somebody wrote words that are not told in this case.
        "is_other": own is None and bool(sample.own.get(channel)),
        "units": count_units(text),
        "parts": count_parts(text),
        "parts_max": parts_max(sample.kind),
        "part_units": PART_UNITS,
    }
