"""The operator's pages of a service's dead letters: what stopped, why, and what to do with it (`shared.messaging`)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from litestar.types import ControllerRouterHandler

from shared.db import Database
from shared.errors import Refusal
from shared.events.subscriptions import SERVICES
from shared.messaging.dead_letters import (
    DISCARD_REASONS,
    PAGE,
    Letter,
    ask_for_replay,
    discard,
    find_end,
    find_letters,
    list_letters,
)
from shared.tokens import Identity
from shared.web.dead_letter_words import letter_words, service_name
from shared.web.forms import parse_uuid, read_form
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

CURSOR_MAX_LENGTH = 100
# Which page says why a letter was not replayed; that it is gone, the list says.
TOLD = "?told={letter}"
NOT_REPLAYED = {"letter_sealed_gone": "/{letter}", "letter_may_repeat": "/{letter}/replay?missing=1"}

Req = Request[Any, Any, Any]


def dead_letters_path(service: str) -> str:
    """Where a service's dead letters are: with another service stopped, they still are."""
    return f"/{service}/dead-letters"


def dead_letter_routes(service: str) -> Sequence[ControllerRouterHandler]:
    """The pages of one service."""
    base = dead_letters_path(service)
    one = f"{base}/{{event_id:str}}"
    guards = [require_role("operator")]

    @get(base, guards=guards)
    async def get_dead_letters(
        request: Req,
        db: NamedDependency[Database],
        town: NamedDependency[Town],
        before: FromQuery[str] = "",
        told: FromQuery[str] = "",
    ) -> Template:
        """The town's letters, newest first. `told` is the one that something was just done with."""
        about = _uuid(told)
        async with db.begin(town.code) as session:
            letters = await list_letters(session, service, municipality=town.code, before=_read_cursor(before))
            found = await find_letters(session, service, about, municipality=town.code) if about else []
            end = await find_end(session, service, town.code, about) if about and not found else None
        return page(
            request,
            "dead_letters.html",
            base=base,
            words=letter_words,
            receiver=service_name(service),
            places=[(service_name(name), dead_letters_path(name), name == service) for name in SERVICES],
            letters=letters,
            older=_cursor(letters[-1]) if len(letters) == PAGE else None,
            is_first=not before,
            is_told=about is not None,
            told=found[0] if found else None,
            end=end,
        )

    @get(one, guards=guards)
    async def get_dead_letter(
        request: Req, event_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
    ) -> Template | Redirect:
        """One letter."""
        return await _letter_page(request, "dead_letter.html", base, event_id, service, db, town)

    @get(f"{one}/replay", guards=guards)
    async def get_replay(
        request: Req,
        event_id: FromPath[str],
        db: NamedDependency[Database],
        town: NamedDependency[Town],
        missing: FromQuery[str] = "",
    ) -> Template | Redirect:
        """Ask once more about a letter that a replay may apply twice; other letters are replayed without.

        `missing`: it was sent without saying that it was made sure.
        """
        answer = await _letter_page(
            request, "dead_letter_replay.html", base, event_id, service, db, town, is_missing=bool(missing)
        )
        if isinstance(answer, Template) and not answer.context["letter"].may_repeat:
            return see_other(f"{base}/{parse_uuid(event_id)}")
        return answer

    @post(f"{one}/replay", guards=guards)
    async def post_replay(
        request: Req,
        event_id: FromPath[str],
        db: NamedDependency[Database],
        now: NamedDependency[datetime],
        identity: NamedDependency[Identity],
    ) -> Redirect:
        """Have the worker apply it. What happened to the letter since is told by the page that follows."""
        letter, is_new_here = parse_uuid(event_id), (await read_form(request)).get("never_applied") == "yes"
        try:
            async with db.begin(identity.municipality) as session:
                await ask_for_replay(session, service, identity, letter, now=now, is_new_here=is_new_here)
        except Refusal as refusal:
            return see_other(base + NOT_REPLAYED.get(refusal.code, TOLD).format(letter=letter))
        return see_other(f"{base}?told={letter}")

    @get(f"{one}/discard", guards=guards)
    async def get_discard(
        request: Req,
        event_id: FromPath[str],
        db: NamedDependency[Database],
        town: NamedDependency[Town],
        missing: FromQuery[str] = "",
    ) -> Template | Redirect:
        """Ask once more, and for the reason. `missing`: it was sent without one."""
        return await _letter_page(
            request, "dead_letter_discard.html", base, event_id, service, db, town, is_missing=bool(missing)
        )

    @post(f"{one}/discard", guards=guards)
    async def post_discard(
        request: Req,
        event_id: FromPath[str],
        db: NamedDependency[Database],
        now: NamedDependency[datetime],
        identity: NamedDependency[Identity],
    ) -> Redirect:
        """Let it go, with what was sealed in it."""
        letter, given = parse_uuid(event_id), (await read_form(request)).get("reason", "")
        reason = next((reason for reason in DISCARD_REASONS if reason == given), None)
        if reason is None:
            return see_other(f"{base}/{letter}/discard?missing=1")
        try:
            async with db.begin(identity.municipality) as session:
                await discard(session, service, identity, letter, reason, now=now)
        except Refusal:  # gone meanwhile, as the next page says
            pass
        return see_other(f"{base}?told={letter}")

    return [get_dead_letters, get_dead_letter, get_replay, post_replay, get_discard, post_discard]


async def _letter_page(
    request: Req, template: str, base: str, event_id: str, service: str, db: Database, town: Town, **context: Any
) -> Template | Redirect:
    """A page about one letter; back to the list, which says so, when it is there no more."""
    letter_id = parse_uuid(event_id)
    async with db.begin(town.code) as session:
        found = await find_letters(session, service, letter_id, municipality=town.code)
    if not found:
        return see_other(f"{base}?told={letter_id}")
    return page(
        request,
        template,
        base=base,
        letter=found[0],
        words=letter_words(found[0]),
        receiver=service_name(service),
        **context,
    )


def _cursor(letter: Letter) -> str:
    return f"{letter.died_at.isoformat()}_{letter.event_id}"


def _read_cursor(text: str) -> tuple[datetime, UUID] | None:
    """A place in the list, from an address; anything else is as if it were not there."""
    moment, _, event_id = text[:CURSOR_MAX_LENGTH].partition("_")
    try:
        # A plus sign in an address that was typed or shortened by hand arrives as a space.
        died_at = datetime.fromisoformat(moment.replace(" ", "+"))
    except ValueError:
        return None
    after = _uuid(event_id)
    return (died_at, after) if after is not None and died_at.tzinfo is not None else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
