"""A manager who edits the town pack on pages, as a browser would: a page is opened, filled in and sent."""

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest_asyncio

from services.routing.commands.packs import keep_pack
from services.routing.queries.drafts import Draft, find_draft
from shared.db import Database
from shared.town_pack import find_files
from tests.routing.applying import sign_in
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, PACK_DIR, TOWN

OK, SEE_OTHER = httpx.codes.OK, httpx.codes.SEE_OTHER
WRONG, CONFLICT, NOT_FOUND = httpx.codes.UNPROCESSABLE_ENTITY, httpx.codes.CONFLICT, httpx.codes.NOT_FOUND
PATH = "/office/catalogue"
FILES = find_files(PACK_DIR)
Loaded = Callable[[Mapping[str, str]], Any]


@pytest_asyncio.fixture
async def load(db: Database) -> Loaded:
    """Keeps files as if they had been loaded from the command line."""

    async def keep(files: Mapping[str, str]) -> None:
        async with db.begin(TOWN) as session:
            await keep_pack(session, TOWN, files, now=NOW)

    return keep


@pytest_asyncio.fixture
async def manager(db: Database, new_visitor: Callable[..., Visitor], load: Loaded) -> Visitor:
    await load(FILES)
    return await sign_in(db, new_visitor(), roles=("manager",), office=None)


async def draft_of(db: Database) -> Draft:
    async with db.begin(TOWN) as session:
        return await find_draft(session, TOWN)


def filled(page: httpx.Response) -> dict[str, list[str]]:
    """What a browser would send of the page's main form, untouched."""
    assert page.status_code in (OK, CONFLICT, WRONG), page.text
    form = re.search(r'<form class="stack" method="post"[^>]*>(.*?)</form>', page.text, re.DOTALL)
    assert form
    fields: dict[str, list[str]] = {}
    for found in re.finditer(r"<input\b[^>]*>", form[1]):
        tag = found[0]
        name, value = (re.search(rf'\b{each}="([^"]*)"', tag) for each in ("name", "value"))
        kind = re.search(r'type="(\w+)"', tag)
        if name and (kind is None or kind[1] not in ("checkbox", "radio") or " checked" in tag):
            fields.setdefault(name[1], []).append(html.unescape(value[1]) if value else "")
    for name, inside in re.findall(r'<textarea\b[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form[1], re.DOTALL):
        fields[name] = [html.unescape(inside)]
    for name, inside in re.findall(r'<select\b[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form[1], re.DOTALL):
        options = re.findall(r'<option value="([^"]*)"( selected)?>', inside)
        chosen = [value for value, selected in options if selected] or [options[0][0]]
        fields[name] = [html.unescape(chosen[0])]
    return fields


async def save(manager: Visitor, path: str, deed: str = "save", **changes: Any) -> httpx.Response:
    """Open a record, change some of it, and press the button."""
    fields = filled(await manager.get(path)) | {
        name: value if isinstance(value, list) else [value] for name, value in changes.items()
    }
    return await send(manager, path, fields, deed)


async def send(manager: Visitor, path: str, fields: Mapping[str, list[str]], deed: str = "save") -> httpx.Response:
    return await manager.post(path.partition("?")[0], dict(fields) | {"deed": deed})  # type: ignore[arg-type]


async def undo(manager: Visitor, db: Database, deed: str = "undo") -> None:
    seen = (await draft_of(db)).save
    answer = await manager.post(f"{PATH}/history", {"deed": deed, "seen": str(seen)})
    assert answer.status_code == SEE_OTHER or not seen, answer.text
