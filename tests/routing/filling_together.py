"""One form for a life event, in a few calls, for the tests."""

import re
from html import unescape
from uuid import UUID

import httpx
import msgspec
from sqlalchemy import text

from services.routing.commands.catalogue import publish_catalogue
from shared.db import Database
from tests.routing.applying import CHI02_FORM, CHI03_REST, SEE_OTHER
from tests.routing.conftest import Visitor
from tests.routing.makers import EMAIL, NOW, TOWN, make_pack, new_key

ONLINE = ("CHI02", "CHI03", "TAX01")
# Every item of these procedures, as people type it.
FORM = CHI02_FORM | CHI03_REST | {"tax_year": "2026"}


async def publish_birth(db: Database, *, without: str = "") -> None:
    """A life event of the tests' town with three procedures online, and one that is not; `without` one procedure."""
    pack = make_pack()
    (event,) = pack.life_events
    template = event.steps[0]
    steps = tuple(
        msgspec.structs.replace(template, procedure=code, when=[], after=[])
        for code in ("RES02", *ONLINE)
        if code != without
    )
    changed = msgspec.structs.replace(event, questions=(), steps=steps)
    offered = tuple(each for each in pack.procedures if each.code != without)
    async with db.begin(TOWN) as session:
        new = msgspec.structs.replace(pack, life_events=(changed,), procedures=offered)
        await publish_catalogue(session, new, public_url="http://x", now=NOW)


async def begin(visitor: Visitor, *codes: str, event: str = "move-in", **answers: str) -> str:
    """Answer the questions and begin these procedures as one form; return the plan's path."""
    made = await visitor.post(f"/life-events/{event}", answers | {"idempotency_key": new_key()})
    assert made.status_code == SEE_OTHER, made.text
    plan = made.headers["location"]
    begun = await visitor.post(f"{plan}/online", {"procedure": " ".join(codes or ONLINE)})
    assert begun.headers["location"] == f"{plan}/online", begun.text
    return str(plan)


async def fill(visitor: Visitor, plan: str, **changes: str) -> None:
    """Fill in all of the form."""
    answer = await visitor.post(f"{plan}/form", FORM | changes)
    assert answer.status_code == SEE_OTHER, re.findall(r'href="#f-\w+">([^<]+)', answer.text)


async def agree(visitor: Visitor, plan: str, for_all: str = "", **answers: str) -> httpx.Response:
    """Answer what is shown: all of it at once, or item by item (yes, unless told otherwise)."""
    page = await visitor.get(f"{plan}/reuse")
    assert page.status_code == httpx.codes.OK, page.headers
    fields = dict(re.findall(r'name="(offer_[\w-]+)" value="([^"]*)"', page.text))
    if for_all:
        return await visitor.post(f"{plan}/reuse", fields | {"all": for_all})
    items = dict.fromkeys(re.findall(r'name="use_(\w+)"', page.text))
    return await visitor.post(f"{plan}/reuse", fields | {f"use_{item}": answers.get(item, "yes") for item in items})


async def tell(visitor: Visitor, plan: str, *, reach: str = "email", email: str = EMAIL) -> None:
    """Say once how to be told."""
    assert (await visitor.get(f"{plan}/you")).status_code == httpx.codes.OK
    answer = await visitor.post(
        f"{plan}/you", {"reach": reach, "email": email if reach == "email" else "", "phone": ""}
    )
    assert answer.headers.get("location") == f"{plan}/check", answer.text


async def submit_fields(visitor: Visitor, plan: str, *, notices: str = "yes") -> dict[str, str]:
    """What the check page's form sends."""
    page = await visitor.get(f"{plan}/check")
    assert page.status_code == httpx.codes.OK, page.headers
    sending = page.text.split(f'action="{plan}/submit"')
    assert len(sending) == 2, "it cannot be sent yet"
    hidden = re.findall(r'name="([\w-]+)" value="([^"]*)"', sending[1].split("</form>")[0])
    return {name: unescape(value) for name, value in hidden} | {"notices": notices}


async def send(visitor: Visitor, plan: str, *, notices: str = "yes") -> httpx.Response:
    """Look at the check page and press its button."""
    return await visitor.post(f"{plan}/submit", await submit_fields(visitor, plan, notices=notices))


async def ready(visitor: Visitor, *codes: str, reach: str = "email") -> str:
    """A form of these procedures that can be sent."""
    plan = await begin(visitor, *codes)
    await fill(visitor, plan)
    if (await visitor.get(f"{plan}/online")).headers["location"].endswith("/reuse"):
        await agree(visitor, plan, "yes")
    await tell(visitor, plan, reach=reach)
    return plan


async def cases_of(db: Database) -> dict[str, UUID]:
    """The case of each procedure in the tests' town."""
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT procedure, case_id FROM case_file ORDER BY created_at"))
        return {row.procedure: row.case_id for row in found}


async def numbers(db: Database) -> dict[str, str]:
    """The number of each application, by its procedure."""
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT procedure, number FROM application"))
        return {row.procedure: row.number for row in found}
