"""A town whose bulky waste needs photos and a document, and what people do with files, in a few calls."""

import re
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from sqlalchemy import text

from services.routing.commands.catalogue import publish_catalogue
from shared.db import Database
from shared.town_pack import TownPack
from tests.routing.applying import SEE_OTHER, send
from tests.routing.conftest import Visitor
from tests.routing.files import make_photo
from tests.routing.makers import HOST, NAME, NOW, TOWN, make_pack

PROCEDURE, OFFICE = "ENV02", "生活環境"
DOCUMENT = "attached_bankbook"
FORM = {
    "name": NAME,
    "address_postal_code": "259-0123",
    "address_line": "神奈川県中郡二宮町二宮961",
    "address_building": "",
    "phone": "09012345678",
    "waste_items": "ソファ 1つ",
}


def make_attaching_pack(host: str = HOST) -> TownPack:
    pack = make_pack(TOWN, host=host)
    changed = tuple(
        msgspec.structs.replace(line, items=(*line.items, "photos"), attach=("bankbook",))
        if line.code == PROCEDURE
        else line
        for line in pack.procedures
    )
    return msgspec.structs.replace(pack, procedures=changed)


async def publish(db: Database) -> None:
    """Make the town one in which something is attached."""
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, make_attaching_pack(), public_url=f"http://{HOST}", now=NOW)


async def begin(visitor: Visitor, **more: str) -> str:
    """A case with its form filled in; its path."""
    case = await visitor.open_case(PROCEDURE, "online", **more)
    answer = await visitor.post(f"{case}/form", FORM)
    assert (answer.status_code, answer.headers.get("location")) == (SEE_OTHER, f"{case}/attachments"), answer.text
    return case


async def attach(
    visitor: Visitor,
    case: str,
    body: bytes | None = None,
    *,
    item: str = "photos",
    name: str = "IMG_0001.JPG",
    kind: str = "image/jpeg",
    **fields: str,
) -> httpx.Response:
    """Send one file, as the page's form does."""
    sent = {"item": item, "label": "", "idempotency_key": str(uuid4())} | fields
    files: Any = {"file": (name, make_photo() if body is None else body, kind)}
    return await visitor.http.post(f"{case}/attachments", data=sent, files=files)


async def attached(visitor: Visitor, case: str) -> list[str]:
    """The files of a case, as its page links to them."""
    page = await visitor.get(f"{case}/attachments")
    assert page.status_code == httpx.codes.OK, page.headers
    return list(dict.fromkeys(re.findall(rf'href="({case}/attachments/[0-9a-f-]+)"', page.text)))


async def send_it(visitor: Visitor, case: str) -> str:
    """Say nothing of oneself, and send; the application's number."""
    answer = await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    assert answer.headers.get("location") == f"{case}/check", answer.text
    answer = await send(visitor, case)
    assert answer.status_code == SEE_OTHER, answer.text
    return answer.headers["location"].removeprefix("/applications/")


async def count(db: Database, table: str) -> int:
    async with db.begin(TOWN) as session:
        found: int = (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
        return found


def error_of(answer: httpx.Response) -> str:
    """What a page says is wrong with the file."""
    found = re.search(r'id="f-file-[^"]+-error">.*?</span>([^<]*)</span>', answer.text, re.DOTALL)
    return unescape(found[1]) if found else ""


async def stored(db: Database) -> list[bytes]:
    """Everything that the database has of files, sealed as it is."""
    async with db.begin(TOWN) as session:
        chunks = await session.execute(text("SELECT sealed FROM attachment_chunk"))
        rows = await session.execute(text("SELECT sealed_about, sealed_small FROM attachment"))
        return [bytes(sealed) for sealed in (*chunks.scalars(), *(part for row in rows for part in row if part))]
