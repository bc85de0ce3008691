"""「代わりに行けますか」 on a helper's page: the first who accepts comes, and the others are told so."""

from datetime import datetime
from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.booking.commands.covers import accept_cover, decline_cover
from services.booking.flow import Rush
from services.booking.pages.wording import language_name, venue_label
from services.booking.queries.covers import OwnCover
from services.booking.queries.helpers import SuspendedFor
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import see_other
from shared.web.town import Town

GUARDS = [require_role("helper")]


@get("/helpers/covers/{cover_id:str}/{answer:str}", guards=GUARDS)
async def get_cover_answer_address() -> Redirect:
    """Where an answer is sent, opened as a page."""
    return see_other("/helpers")


@post("/helpers/covers/{cover_id:str}/{answer:str}", guards=GUARDS)
async def post_cover_answer(
    cover_id: FromPath[str],
    answer: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Come instead, or say that one cannot. Who loses is told by the refusal's page, which leads back."""
    commands = {"accept": accept_cover, "decline": decline_cover}
    if answer not in commands:
        raise Refusal("not_found", 404)
    wanted = parse_uuid(cover_id, code="cover_unknown")
    await rush.run(db, town.code, lambda session: commands[answer](session, identity, wanted, now=now))
    return see_other(f"/helpers?told={answer}")


def cover_card(cover: OwnCover) -> dict[str, Any]:
    """A visit to which somebody else is wanted, or a gap, as it stands on a helper's page."""
    return {
        "item": cover,
        "base": f"/helpers/covers/{cover.cover_id}",
        "where": venue_label(cover.venue_name, cover.venue_place),
        "language": language_name(cover.language),
    }


def suspension_text(reason: SuspendedFor) -> str:
    """Why a helper is asked for nothing now, as they read it."""
    return {
        "own_wish": _("ご本人のご希望です。また始めたいときは、町にお電話ください。"),
        "insurance": _("ボランティア保険の期限が過ぎています。手続きがすむと、また始められます。町にお電話ください。"),
        "training": _("研修を受けていただくと、また始められます。日にちは、町からお知らせします。"),
        "talk": _("町からお話ししたいことがあります。町にお電話ください。"),
    }[reason]
