"""What a resident and the office do with online applications, in a few calls, for the tests."""

import re
from html import unescape

import httpx
from sqlalchemy import text

from services.routing.commands.accounts import open_staff_account
from shared.db import Database
from tests.routing.conftest import Visitor
from tests.routing.makers import EMAIL, KANA, NAME, NOW, TOWN, new_key

PASSWORD = "correct horse battery"
SEE_OTHER = httpx.codes.SEE_OTHER
# 児童手当, filled in as people type.
CHI02_FORM = {
    "name": NAME,
    "birth_date_era": "S",
    "birth_date_year": "６３",
    "birth_date_month": "4",
    "birth_date_day": "5",
    "address_postal_code": "〒259-0123",
    "address_line": "神奈川県中郡二宮町二宮961",
    "address_building": "",
    "phone": "０９０ー１２３４ー５６７８",
    "bank_account_bank": "ちょうど銀行",
    "bank_account_branch": "二宮支店",
    "bank_account_kind": "ordinary",
    "bank_account_number": "12345",
    "bank_account_holder": "ﾖｼﾀﾞ ｻｷｺ",
    "child_name": "吉田 はじめ",
    "child_kana": "よしだ はじめ",
    "child_birth_date_era": "R",
    "child_birth_date_year": "8",
    "child_birth_date_month": "1",
    "child_birth_date_day": "2",
    "child_together": "yes",
}
CHI02_ITEMS = ("name", "birth_date", "address", "phone", "bank_account", "child")
SAID_KANA = KANA
# What 小児医療証 asks for beyond it.
CHI03_REST = {"insurance_kind": "national", "insurance_insurer": ""}
ADDRESS = {key: value for key, value in CHI02_FORM.items() if key.startswith("address")}


def hidden(page: httpx.Response, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, f"no field {name}"
    return unescape(found[1])


async def fill_in(
    visitor: Visitor, *, reach: str = "email", email: str = EMAIL, behalf: str = "", **changes: str
) -> str:
    """A case of 児童手当, online, ready to be checked; return its path."""
    case = await visitor.open_case(channel="online", behalf=behalf)
    answer = await visitor.post(f"{case}/form", CHI02_FORM | changes)
    assert answer.status_code == SEE_OTHER, re.findall(r'href="#f-\w+">([^<]+)', answer.text)
    answer = await visitor.post(
        f"{case}/you", {"reach": reach, "email": email if reach == "email" else "", "phone": ""}
    )
    assert answer.headers["location"] == f"{case}/check", answer.text
    return case


async def send(visitor: Visitor, case: str, *, notices: str = "yes") -> httpx.Response:
    """Look at the check page and press its button."""
    return await visitor.post(f"{case}/submit", await submit_fields(visitor, case, notices=notices))


async def submit_fields(visitor: Visitor, case: str, *, notices: str = "yes") -> dict[str, str]:
    """What the check page's form sends."""
    page = await visitor.get(f"{case}/check")
    assert page.status_code == httpx.codes.OK, page.headers
    fields = {name: hidden(page, name) for name in ("idempotency_key", "shown")} | {"notices": notices}
    return fields | ({"offer_contact": hidden(page, "offer_contact")} if "offer_contact" in page.text else {})


async def apply(visitor: Visitor, **changes: str) -> str:
    """Fill in and send; return the application's number."""
    answer = await send(visitor, await fill_in(visitor, **changes))
    assert answer.status_code == SEE_OTHER, answer.text
    return answer.headers["location"].removeprefix("/applications/")


async def sign_in(
    db: Database, visitor: Visitor, *, roles: tuple[str, ...] = ("back_office",), office: str | None = "子育て"
) -> Visitor:
    """Make this visitor staff of an office."""
    login = f"staff-{new_key()[:8]}"
    async with db.begin(TOWN) as session:
        await open_staff_account(
            session, municipality=TOWN, login=login, password=PASSWORD, roles=roles, office=office, now=NOW
        )
    answer = await visitor.post("/sign-in", {"login": login, "password": PASSWORD, "next": "/office"})
    assert answer.status_code in (SEE_OTHER, httpx.codes.OK), answer.text
    return visitor


async def office_path(db: Database, number: str) -> str:
    """The office's page of an application."""
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT application_id FROM application WHERE number = :n"), {"n": number})
    return f"/office/applications/{found.scalar_one()}"


async def press(staff: Visitor, path: str, action: str, **fields: str) -> httpx.Response:
    """Open the office's page and press a button."""
    page = await staff.get(path)
    assert page.status_code == httpx.codes.OK, page.text
    return await staff.post(f"{path}/{action}", {"version": hidden(page, "version")} | fields)


async def reuse(visitor: Visitor, case: str, **answers: str) -> httpx.Response:
    """Answer what is shown, item by item: yes, unless told otherwise."""
    page = await visitor.get(f"{case}/reuse")
    assert page.status_code == httpx.codes.OK, page.headers
    items = dict.fromkeys(re.findall(r'name="offer_(\w+)"', page.text))
    fields = {f"offer_{item}": hidden(page, f"offer_{item}") for item in items}
    return await visitor.post(f"{case}/reuse", fields | {f"use_{item}": answers.get(item, "yes") for item in items})
