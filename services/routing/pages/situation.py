"""The three questions about a person's situation: answered on a procedure's page, by choice, and forgotten there."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.routing.commands.sessions import NewSession, start_guest_session
from services.routing.commands.situation import forget_situation, tell_situation
from services.routing.domain.situation import NEEDS, PHONE_USES, UNTIL, Situation, read_situation
from services.routing.keys import Keys
from services.routing.pages.cases import known_visitor
from services.routing.pages.cookies import give_session
from services.routing.pages.tries import Tries
from services.routing.queries.catalogue import get_procedure
from shared.db import Database
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, read_form
from shared.web.i18n import translate
from shared.web.identity import PUBLIC, RenewSession, find_identity, token_of
from shared.web.pages import see_other
from shared.web.town import Town


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


UNTIL_WORDS = {"tomorrow": _("今日か明日"), "week": _("1週間のうちに"), "any_day": _("急がない")}
PHONE_WORDS = {
    "alone": _("自分でできる"),
    "together": _("だれかといっしょなら、できる"),
    "none": _("使わない・持っていない"),
}
NEED_WORDS = {
    "step_free": _("階段がむずかしい（車いす・ベビーカーなど）"),
    "sign": _("手話で話したい"),
    "writing": _("書いて話したい（筆談）"),
    "interpreter": _("日本語のほかのことばの通訳がほしい"),
    "stay_home": _("出かけるのがむずかしい"),
}


@post("/procedures/{code:str}/situation", opt=PUBLIC)
async def post_situation(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
) -> Redirect:
    """Keep the answers for this visit, or forget them. Whoever answers something becomes a guest, as one who begins."""
    form = Form(await read_form(request))
    said = read_situation(form.value("until"), form.value("phone"), form.value("needs"))
    is_to_forget = form.value("forget") == "yes" or not said.is_said
    identity = known_visitor(request)
    is_new = identity is None and not is_to_forget
    if is_new:
        tries.count_guest(town.code, network_of_visitor(request))
    started: NewSession | None = None
    async with db.begin(town.code) as session:
        procedure = await get_procedure(session, town.code, code)
        if is_new:
            started = await start_guest_session(session, municipality=town.code, now=now)
            identity = started.identity
        # Staff compare for other people, one after another: nothing is kept of those.
        if identity is not None and identity.kind == "guest":
            if is_to_forget:
                await forget_situation(session, identity)
            else:
                await tell_situation(session, identity, said, now=now)
    response = see_other(f"/procedures/{procedure.code}")
    if started is not None:
        give_session(response, started, keys, now=now, secure=secure)
    return response


@get("/procedures/{code:str}/situation", opt=PUBLIC)
async def get_situation_address(
    code: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Redirect:
    """Where the form is sent, opened as a page."""
    async with db.begin(town.code) as session:
        procedure = await get_procedure(session, town.code, code)
    return see_other(f"/procedures/{procedure.code}")


def visitor_to_compare_for(request: Request[Any, Any, Any]) -> Identity | None:
    """The guest whose answers and items count on a page that is for everybody. None: somebody new, or staff.

    A guest whose token has run out is renewed first, so that their answers do not vanish after ten minutes.
    """
    token = token_of(request)
    if token is None or token.identity.kind != "guest" or request.scope["state"].get("session_ended"):
        return None
    identity = find_identity(request)
    if identity is None:
        raise RenewSession
    return identity


def questions(said: Situation) -> dict[str, Any]:
    """The questions with their answers, and the answers in a few words."""
    chosen = [words[code] for words, code in ((UNTIL_WORDS, said.until), (PHONE_WORDS, said.phone)) if code]
    return {
        "until": said.until,
        "phone": said.phone,
        "needs": said.needs,
        "until_options": _options(UNTIL, UNTIL_WORDS),
        "phone_options": _options(PHONE_USES, PHONE_WORDS),
        "need_options": _options(NEEDS, NEED_WORDS),
        "said": [translate(text) for text in (*chosen, *(NEED_WORDS[need] for need in said.needs))],
    }


def _options(codes: tuple[str, ...], words: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": code, "label": translate(words[code])} for code in codes]
