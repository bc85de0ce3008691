"""`/notices/letters`: letters that wait to be printed, in batches; printed, posted, and come back."""

import asyncio
from datetime import datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.commands.letters import BATCH_MAX, letter_came_back, make_batch, post_batch, print_batch
from services.notifications.domain.by_post import LETTERS_KEPT
from services.notifications.keys import Keys
from services.notifications.letters.drawing import draw_letters
from services.notifications.queries_by_hand import count_waiting, find_batch, list_batches, list_letters
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town

GUARDS = [require_role("counter", "manager")]
PATH = "/notices/letters"
# Its name tells nothing: it is kept in a folder of downloads.
FILE_NAME = "letters.pdf"

Req = Request[Any, Any, Any]


@get(PATH, guards=GUARDS)
async def get_letters(
    request: Req,
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    done: FromQuery[str] = "",
) -> Template:
    """How many wait, and the batches, newest first."""
    async with db.begin(town.code) as session:
        waiting = await count_waiting(session, town.code)
        batches = await list_batches(session, town.code)
    return page(request, "letters.html", waiting=waiting, batches=batches, batch_max=BATCH_MAX, done=done)


@post(PATH, guards=GUARDS)
async def post_letters(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Put those together that wait longest."""
    async with db.begin(town.code) as session:
        batch_id = await make_batch(session, identity, now=now)
    return see_other(f"{PATH}/{batch_id}?done=made" if batch_id else f"{PATH}?done=none")


@get(f"{PATH}/{{batch_id:str}}", guards=GUARDS)
async def get_letter_batch(
    request: Req,
    batch_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    done: FromQuery[str] = "",
) -> Template:
    """A batch: what to do with it next, and each of its letters."""
    known = parse_uuid(batch_id)
    async with db.begin(town.code) as session:
        batch = await find_batch(session, town.code, known)
        letters = await list_letters(session, town.code, known)
    if batch is None:
        raise Refusal("not_found", 404)
    return page(request, "letter_batch.html", batch=batch, letters=letters, kept_days=LETTERS_KEPT.days, done=done)


@post(f"{PATH}/{{batch_id:str}}/print", guards=GUARDS)
async def post_letter_print(
    batch_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Response[bytes] | Redirect:
    """All of a batch as one PDF, drawn at this moment. An answer to a POST: in no address, no history, no cache."""
    batch = parse_uuid(batch_id)
    async with db.begin(town.code) as session:
        printable = await print_batch(session, keys.vault, identity, batch, now=now)
    if not printable.letters:
        return see_other(f"{PATH}/{batch}?done=empty")
    # Outside the transaction, and beside whoever else is answered meanwhile.
    drawn = await asyncio.to_thread(draw_letters, printable.letters, dated=printable.dated)
    headers = {
        "content-disposition": f'inline; filename="{FILE_NAME}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(drawn, status_code=200, media_type="application/pdf", headers=headers)


@post(f"{PATH}/{{batch_id:str}}/posted", guards=GUARDS)
async def post_letters_posted(
    batch_id: FromPath[str],
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """They are on their way; unless some are to be taken out of the pile first. `missing`: how many sheets the page
    named whose people were erased."""
    batch, form = parse_uuid(batch_id), await read_form(request)
    missing = Form(form).choice("missing", tuple(map(str, range(BATCH_MAX + 1)))) if "missing" in form else "0"
    if not missing:
        raise Refusal("bad_request", 400)
    async with db.begin(town.code) as session:
        taken_out = await post_batch(session, identity, batch, missing=int(missing), now=now)
    return see_other(f"{PATH}/{batch}?done={'taken-out' if taken_out else 'posted'}")


@post(f"{PATH}/{{batch_id:str}}/{{letter_id:str}}/came-back", guards=GUARDS)
async def post_letter_came_back(
    batch_id: FromPath[str],
    letter_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """It came back: nobody lives there."""
    batch = parse_uuid(batch_id)
    async with db.begin(town.code) as session:
        goes_on = await letter_came_back(session, identity, batch, parse_uuid(letter_id), now=now)
    return see_other(f"{PATH}/{batch}?done={'goes-on' if goes_on else 'came-back'}")


@get(
    [
        f"{PATH}/{{batch_id:str}}/print",
        f"{PATH}/{{batch_id:str}}/posted",
        f"{PATH}/{{batch_id:str}}/{{letter_id:str}}/came-back",
    ],
    guards=GUARDS,
)
async def get_letter_form_address(batch_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page."""
    return see_other(f"{PATH}/{parse_uuid(batch_id)}")
