"""`/helpers/profile`: what a helper can explain, in sign language or not, and in which languages."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from services.booking.commands.skills import tell_skills
from services.booking.pages.wording import language_name
from services.booking.queries.appointments import find_town_facts
from services.booking.queries.own import find_own, list_topics
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import read_form
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

GUARDS = [require_role("helper")]
# A box of the form is called so, and by the topic's code.
TOPIC = "topic-"

Req = Request[Any, Any, Any]


@get("/helpers/profile", guards=GUARDS)
async def get_profile(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
) -> Template:
    """What one can do, as it was told last."""
    return await _profile_page(request, db, town, identity, told=told)


@post("/helpers/profile", guards=GUARDS)
async def post_profile(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """What is ticked, and nothing else."""
    fields = await read_form(request)
    topics = [name.removeprefix(TOPIC) for name in fields if name.startswith(TOPIC)]
    try:
        async with db.begin(town.code) as session:
            await tell_skills(session, identity, topics=topics, signs="signs" in fields, now=now)
    except Refusal as refusal:
        return await _profile_page(request, db, town, identity, refusal=refusal)
    return see_other("/helpers/profile?told=saved")


async def _profile_page(
    request: Req, db: Database, town: Town, identity: Identity, *, told: str = "", refusal: Refusal | None = None
) -> Template:
    async with db.begin(town.code) as session:
        own = await find_own(session, town.code, identity.ref)
        topics = await list_topics(session, town.code)
        facts = await find_town_facts(session, town.code)
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "profile.html",
        status=refusal.status if refusal else 200,
        own=own,
        topics=[
            {"name": f"{TOPIC}{each.code}", "label": town_text(each.name_ja), "is_told": each.code in own.topics}
            for each in topics
            if own
        ],
        languages=[language_name(code) for code in own.languages] if own else [],
        phone=facts.phone,
        told=told if told == "saved" else "",
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )
