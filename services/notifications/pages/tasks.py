"""`/notices/tasks/{id}`: somebody to be called, with the words for it; and what came of calling."""

import re
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.commands.calls import CALLS_MAX, nobody_answered, wrong_number
from services.notifications.commands.contacts import Contact
from services.notifications.commands.tasks import find_theirs
from services.notifications.keys import Keys
from services.notifications.orders import Order
from services.notifications.pages.notice_wording import SAY
from services.notifications.queries import find_task
from services.notifications.queries_by_hand import read_call
from services.notifications.rendering import say_call
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form, show_phone
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("counter", "coordinator", "manager")]
# Where a form stands that more than one page has.
ON_TASK = "task"
# Nobody is called more often.
TRIES_SHOWN_MAX = 100
_PARAGRAPHS = re.compile(r"\n\s*\n")

Req = Request[Any, Any, Any]


class Script(NamedTuple):
    """What is said: whom one asks for; to whoever is somebody else, or to a machine; and to the person."""

    opening: str
    to_others: str
    matter: list[str]


@get("/notices/tasks/{task_id:str}", guards=GUARDS)
async def get_task(
    request: Req,
    task_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    done: FromQuery[str] = "",
) -> Template:
    """What to say, and the buttons for what came of it. `done` is what was just pressed."""
    return await task_page(request, db, keys, town, identity, parse_uuid(task_id), done=done)


@post("/notices/tasks/{task_id:str}/unanswered", guards=GUARDS)
async def post_task_unanswered(
    request: Req,
    task_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Nobody picked up. `tries`: how often before, as the page said that was pressed on."""
    task, form = parse_uuid(task_id), Form(await read_form(request))
    tries = form.choice("tries", tuple(map(str, range(TRIES_SHOWN_MAX))))
    if not form.ok:
        raise Refusal("bad_request", 400)
    async with db.begin(town.code) as session:
        await nobody_answered(session, identity, task, tries=int(tries), now=now)
    return see_other(f"/notices/tasks/{task}?done=unanswered")


@post("/notices/tasks/{task_id:str}/wrong-number", guards=GUARDS)
async def post_task_wrong_number(
    task_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """It is somebody else's number."""
    task = parse_uuid(task_id)
    async with db.begin(town.code) as session:
        await wrong_number(session, identity, task, now=now)
    return see_other(f"/notices/tasks/{task}?done=wrong-number")


@get(["/notices/tasks/{task_id:str}/unanswered", "/notices/tasks/{task_id:str}/wrong-number"], guards=GUARDS)
async def get_task_form_address(task_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page."""
    return see_other(f"/notices/tasks/{parse_uuid(task_id)}")


async def task_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    task_id: UUID,
    *,
    done: str = "",
    contact: dict[str, str] | None = None,
    is_shown: bool = False,
) -> Template:
    """The page of a task; with its contact, where somebody asked for that.

    Raises:
        Refusal: `not_found` (404).
    """
    async with db.begin(town.code) as session:
        await find_theirs(session, identity, task_id)
        task = await find_task(session, town.code, task_id)
        order = await read_call(session, keys, town.code, task_id)
    return page(
        request,
        "task.html",
        task=task,
        script=script_of(order) if order else None,
        language=order.language if order else "",
        discreet=order is not None and order.discreet,
        calls_max=CALLS_MAX,
        done=done,
        contact=contact,
        is_shown=is_shown,
        say=SAY,
    )


def script_of(order: Order) -> Script:
    """The words of a call, as they are said one after the other."""
    opening, to_others, *matter = (part for part in _PARAGRAPHS.split(say_call(order).strip()) if part.strip())
    return Script(opening, to_others, matter)


def show_contact(contact: Contact | None) -> dict[str, str] | None:
    """An address as people write it, and as a link to call or to write."""
    if contact is None:
        return None
    if contact.reach == "email":
        return {"text": contact.address, "href": f"mailto:{contact.address}"}
    if contact.reach in ("letter", "line"):
        return {"text": contact.address, "href": ""}
    return {"text": show_phone(contact.address), "href": f"tel:{contact.address}"}
