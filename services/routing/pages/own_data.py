"""「わたしが入力したこと」: what a visitor gave, to read, correct, save as a file, and keep from other procedures."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.own_items import OwnItem, allow_reuse, correct_item, list_own_items, stop_reuse
from services.routing.domain.attachments import unpack_files
from services.routing.domain.catalogue import Words
from services.routing.domain.interoperability import gif_record
from services.routing.domain.items import is_attached, parts_of
from services.routing.keys import Keys
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import (
    errors_in_order,
    extend_form,
    fill_fields,
    item_name,
    make_groups,
    read_items,
    show_value,
)
from services.routing.queries.catalogue import get_town, procedure_names
from services.routing.queries.postal_codes import find_places
from shared.clock import JST, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import without_readings
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other
from shared.web.town_texts import town_name

DATA_PATH = "/my/data"

Req = Request[Any, Any, Any]


@get(DATA_PATH, guards=[require_visitor])
async def show_data(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """Everything that the visitor typed, with where it came from and which procedures may use it."""
    async with db.begin(identity.municipality) as session:
        items = await list_own_items(session, keys.vault, identity=identity, now=now)
        names = await procedure_names(session, identity.municipality)
        town = await get_town(session, identity.municipality)
    return page(request, "own_data.html", items=[_row(item, names, town.things) for item in items])


@get(DATA_PATH + ".json", guards=[require_visitor])
async def copy_data(
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Response[bytes]:
    """The same as a file to keep, by the names of the Government Interoperability Framework."""
    async with db.begin(identity.municipality) as session:
        items = await list_own_items(session, keys.vault, identity=identity, now=now)
    with without_readings():
        copied = [
            {
                "item": item.key,
                "item_name": item_name(item.key),
                "collected_at": item.collected_at.astimezone(JST),
                "procedure": item.procedure,
                "version": item.version,
                "value": gif_record(item.key, item.value, find_places),
            }
            for item in items
        ]
    copy = {"municipality": identity.municipality, "as_of": now.astimezone(JST), "items": copied}
    return Response(
        msgspec.json.format(msgspec.json.encode(copy)),
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="data.json"'},
    )


@get(DATA_PATH + "/{key:str}", guards=[require_visitor])
async def show_item(
    request: Req,
    key: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """One item, to correct it."""
    async with db.begin(identity.municipality) as session:
        items = await list_own_items(session, keys.vault, identity=identity, now=now)
    item = next((known for known in items if known.key == key), None)
    # Files are exchanged where they were put in.
    if item is None or not parts_of(key):
        raise Refusal("item_unknown", 404)
    return _item_page(request, key, fill_fields({key: item.value}), {})


@post(DATA_PATH + "/{key:str}", guards=[require_visitor])
async def post_item(
    request: Req,
    key: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Keep the corrected item; with a problem, the form again as it was typed."""
    form = Form(await read_form(request))
    if not parts_of(key):
        raise Refusal("item_unknown", 404)
    if (fields := extend_form(form, [key])) is not None:
        return _item_page(request, key, fields, form.errors)
    typed = read_items(form, [key], jst_day(now))
    if not form.ok:
        return _item_page(request, key, form.values, form.errors)
    async with db.begin(identity.municipality) as session:
        await correct_item(session, keys.vault, identity=identity, key=key, value=typed.values[key], now=now)
    return see_other(f"{DATA_PATH}#i-{key}")


@post(DATA_PATH + "/{key:str}/stop", guards=[require_visitor])
async def post_stop(
    key: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """No other procedure uses this item from now on."""
    async with db.begin(identity.municipality) as session:
        await stop_reuse(session, identity=identity, key=key, now=now)
    return see_other(f"{DATA_PATH}#i-{key}")


@post(DATA_PATH + "/{key:str}/allow", guards=[require_visitor])
async def post_allow(
    key: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Other procedures may ask for this item again."""
    async with db.begin(identity.municipality) as session:
        await allow_reuse(session, identity=identity, key=key, now=now)
    return see_other(f"{DATA_PATH}#i-{key}")


@get([DATA_PATH + "/{key:str}/stop", DATA_PATH + "/{key:str}/allow"], guards=[require_visitor])
async def get_button_address(key: FromPath[str]) -> Redirect:
    """Where buttons are sent, opened as a page."""
    return see_other(f"{DATA_PATH}#i-{quote(key)}" if parts_of(key) or is_attached(key) else DATA_PATH)


def _row(item: OwnItem, names: Mapping[str, tuple[str, str]], things: Sequence[Words]) -> dict[str, Any]:
    return {
        "key": item.key,
        "is_typed": bool(parts_of(item.key)),
        "term": attached_name(item.key, things),
        "text": show_value(item.key, item.value),
        "files": [
            {
                "href": f"/cases/{item.case_id}/attachments/{file.file_id}",
                "name": _("写真%(number)s", number=number)
                if file.kind == "jpeg"
                else _("PDF%(number)s", number=number),
            }
            for number, file in enumerate(unpack_files(item.value), 1)
        ]
        if is_attached(item.key)
        else [],
        "collected_at": item.collected_at,
        "procedure": _procedure(item.procedure, names),
        "used_by": [_procedure(code, names) for code in item.used_by],
        "is_stopped": item.is_stopped,
    }


def _procedure(code: str, names: Mapping[str, tuple[str, str]]) -> str:
    return town_name(names[code][0]) if code in names else code


def _item_page(request: Req, key: str, fields: Mapping[str, str], errors: Mapping[str, str]) -> Template:
    return page(
        request,
        "own_item.html",
        status=422 if errors else 200,
        key=key,
        action=f"{DATA_PATH}/{key}",
        term=item_name(key),
        group=make_groups([key], fields, errors)[0],
        errors=errors_in_order([key], errors),
    )
