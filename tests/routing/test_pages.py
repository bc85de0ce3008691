"""The pages as a browser sees them, on a real database, over ASGI."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from limits import parse
from sqlalchemy import select, text

from services.routing.commands.accounts import open_staff_account
from services.routing.commands.catalogue import publish_catalogue
from services.routing.consumers import on_appointment
from services.routing.domain.handover import OFFER_LIFETIME
from services.routing.domain.sessions import (
    CARRIED_FIELDS_MAX,
    CARRIED_LIFETIME,
    CARRIED_MAX_LENGTH,
    STAFF_LIFETIME,
    TRIES_MAX,
)
from services.routing.pages import tries
from services.routing.tables import availability, case_file, session_table
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentProgressed
from shared.passes import PASS_LIFETIME, Pass, open_pass
from shared.tokens import TOKEN_LIFETIME
from tests.conftest import TestDatabase
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import EMAIL, KANA, NAME, NOW, OTHER_HOST, TOWN, make_pack, new_key
from tests.routing.test_handover import entries

NewVisitor = Callable[..., Visitor]
PASSWORD = "correct horse battery"
SEE_OTHER, UNPROCESSABLE = 303, 422
GARBAGE = [
    "\x00", "🙂", "<script>alert(1)</script>", "'; DROP TABLE routing.item; --", "あ" * 5_000, "\u202e反対",
    "%00", "{{7*7}}",
    "\r\nBcc: x@example.jp", "../../etc/passwd", "-1", "1e999", "　", "\ud7ff", "𠮷" * 61,
]  # fmt: skip


def hidden(answer: httpx.Response, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.text)
    assert found, f"no field {name}"
    return unescape(found[1])


async def fill(visitor: Visitor, **fields: str) -> str:
    """A case with the form about oneself filled in."""
    case = await visitor.open_case()
    told = {"name": NAME, "kana": "ﾖｼﾀﾞ さきこ", "reach": "email", "email": f" {EMAIL} ", "phone": ""}
    answer = await visitor.tell(case, **(told | fields))
    assert answer.status_code == SEE_OTHER, answer.text
    assert answer.headers["location"] == f"{case}/handover"
    return case


async def answer_offers(visitor: Visitor, case: str, **answers: str) -> httpx.Response:
    """Answer the preview: yes, unless told otherwise."""
    shown = await visitor.get(f"{case}/handover")
    assert shown.status_code == httpx.codes.OK
    items = re.findall(r'name="offer_(\w+)"', shown.text)
    fields = {f"offer_{item}": hidden(shown, f"offer_{item}") for item in items}
    return await visitor.post(f"{case}/handover", fields | {f"pass_{item}": answers.get(item, "yes") for item in items})


async def see_pass(visitor: Visitor, case: str, decided: httpx.Response) -> httpx.Response:
    """The page with the pass, where the answer to the preview leads."""
    assert (decided.status_code, decided.headers.get("location")) == (SEE_OTHER, f"{case}/pass"), decided.text
    passed = await visitor.get(f"{case}/pass")
    assert passed.status_code == httpx.codes.OK
    assert 'action="/booking/arrive"' in passed.text
    return passed


def open_as_booking(database: TestDatabase, passed: httpx.Response, clock: TestClock | None = None) -> Pass:
    """What booking finds in the pass."""
    environ = database.environ
    box = ServiceBox.from_settings(environ["CHOUDO_BOOKING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    now = clock.now if clock else NOW
    return open_pass(box, "routing", "book", hidden(passed, "pass"), municipality=TOWN, now=now)


# --- finding and comparing ---


async def test_the_front_page_leads_to_everything(visitor: Visitor) -> None:
    answer = await visitor.get("/")
    assert answer.status_code == httpx.codes.OK
    for part in ("/search", "/booking/find", "/my/history", "0463-71-3311", "/search?category=", "/procedures/"):
        assert part in answer.text
    assert "おもな手続き" in answer.text
    assert "set-cookie" not in answer.headers


async def test_what_the_town_puts_first_comes_first_then_what_is_begun_most_often(
    db: Database, visitor: Visitor
) -> None:
    for _ in range(2):
        await visitor.open_case("ENV02")
    assert re.findall(r"/procedures/(\w+)", (await visitor.get("/")).text)[0] == "ENV02"
    pack = make_pack()
    pack = msgspec.structs.replace(pack, town=msgspec.structs.replace(pack.town, frequent=("TAX01", "RES02")))
    async with db.begin(TOWN) as session:
        assert await publish_catalogue(session, pack, public_url="http://ninomiya.test", now=NOW) == 2
    assert re.findall(r"/procedures/(\w+)", (await visitor.get("/")).text)[:3] == ["TAX01", "RES02", "ENV02"]


async def test_the_child_allowance_is_found(visitor: Visitor) -> None:
    for query in ["児童手当", "じどうてあて", "ｼﾞﾄﾞｳﾃｱﾃ", "子どものお金", "child allowance", "子育て"]:
        answer = await visitor.get("/search", params={"q": query})
        assert "/procedures/CHI02" in answer.text
        listed = (await visitor.get("/routing/api/procedures", params={"q": query})).json()["procedures"]
        assert "CHI02" in [procedure["code"] for procedure in listed]


async def test_an_empty_result_helps(visitor: Visitor) -> None:
    answer = await visitor.get("/search", params={"q": "ありえない言葉"})
    assert answer.status_code == httpx.codes.OK
    assert "みつかりませんでした" in answer.text
    assert "0463-71-3311" in answer.text
    assert "/search?category=" in answer.text


async def test_a_category_lists_its_procedures(visitor: Visitor) -> None:
    answer = await visitor.get("/search", params={"category": "子育て"})
    assert set(re.findall(r"/procedures/(\w+)", answer.text)) == {"CHI02", "CHI03"}


async def test_garbage_in_a_search_is_only_a_search(visitor: Visitor) -> None:
    for garbage in GARBAGE:
        for params in ({"q": garbage}, {"category": garbage}):
            answer = await visitor.get("/search", params=params)
            assert answer.status_code == httpx.codes.OK
            assert "<script>alert" not in answer.text
        assert (await visitor.get("/routing/api/procedures", params={"q": garbage})).status_code == httpx.codes.OK


async def test_three_channels_stand_side_by_side_with_the_real_earliest_time(db: Database, visitor: Visitor) -> None:
    async with db.begin(TOWN) as session:
        values = {
            "municipality": TOWN,
            "counter": "7",
            "earliest_at": NOW + timedelta(hours=1),
            "as_of": NOW,
            "version": 1,
        }
        await session.execute(availability.insert().values(**values))
    answer = await visitor.get("/procedures/CHI02")
    for part in ("オンライン", "役場の窓口", "スマホのサポーター", "今日 午前10時10分", "20分", "無料",
                 "町役場 2階 7番", "通帳かキャッシュカード", "おすすめ", "オンラインで申しこむ",
                 "サポーターと会える場所が、まだありません。"):  # fmt: skip
        assert part in answer.text, part
    assert "見本のデータ" not in answer.text
    assert "見本のデータです（町の確認前）" in (await visitor.get("/procedures/RES01")).text


async def test_what_has_no_counter_gives_the_phone_number(visitor: Visitor) -> None:
    answer = await visitor.get("/procedures/DIG01")
    assert "電話でお申しこみください" in answer.text
    assert 'action="/cases"' not in answer.text


async def test_an_unknown_procedure_is_told_kindly(visitor: Visitor) -> None:
    for code in ["NOPE", "chi02", "%00", "..%2F..", "x" * 300, "🙂"]:
        answer = await visitor.get(f"/procedures/{code}")
        assert answer.status_code == httpx.codes.NOT_FOUND
        assert "見つかりません" in answer.text


async def test_an_unknown_host_is_not_found(new_visitor: NewVisitor) -> None:
    assert (await new_visitor("evil.example").get("/")).status_code == httpx.codes.NOT_FOUND


# --- the whole way to the pass ---


async def test_the_whole_way_to_the_pass(database: TestDatabase, visitor: Visitor) -> None:
    page = await visitor.get("/procedures/CHI02")
    fields = {name: hidden(page, name) for name in ("procedure", "idempotency_key")} | {"channel": "counter"}
    begun = await visitor.post("/cases", fields)
    assert begun.status_code == SEE_OTHER
    cookies = begun.headers.get_list("set-cookie")
    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in cookies)
    assert {cookie.partition("=")[0] for cookie in cookies} == {"choudo_token", "choudo_session"}
    case = begun.headers["location"].removesuffix("/you")
    assert (await visitor.get(f"{case}/handover")).headers["location"] == f"{case}/you"
    assert "お名前と連絡のしかた" in (await visitor.get(f"{case}/you")).text
    await visitor.tell(case, name=NAME, kana="よしだ　さきこ", reach="email", email=EMAIL)
    shown = await visitor.get(f"{case}/handover")
    for part in (NAME, KANA, EMAIL, "個人情報保護法"):
        assert part in shown.text
    assert "checked" not in shown.text
    passed = await see_pass(visitor, case, await answer_offers(visitor, case))
    ticket = open_as_booking(database, passed)
    assert {item.key: item.value for item in ticket.items} == {"name": NAME, "kana": KANA}
    assert (ticket.reach, ticket.procedure, str(ticket.case_id)) == ("email", "CHI02", case.rsplit("/", 1)[-1])


async def test_nothing_but_the_way_to_be_reached_is_required(visitor: Visitor) -> None:
    case = await visitor.open_case()
    empty = await visitor.tell(case, reach="")
    assert empty.status_code == UNPROCESSABLE
    assert empty.text.count('href="#f-') == 1
    assert (await visitor.tell(case, reach="none")).status_code == SEE_OTHER
    shown = await visitor.get(f"{case}/handover")
    assert "番号でお呼びします" in shown.text
    passed = await see_pass(visitor, case, await visitor.post(f"{case}/handover"))
    assert "わたす情報はありません" in passed.text


async def test_a_phone_number_in_any_notation(visitor: Visitor) -> None:
    for phone in [
        "090-1234-5678",
        "09012345678",
        "０９０－１２３４－５６７８",
        "090ー1234ー5678",
        "+81 90 1234 5678",
        "090 (1234) 5678",
    ]:
        case = await visitor.open_case()
        assert (await visitor.tell(case, reach="sms", phone=phone)).status_code == SEE_OTHER
        assert "090-1234-5678" in (await visitor.get(f"{case}/handover")).text


PROBLEMS: list[tuple[dict[str, str], set[str]]] = [
    ({"reach": "email"}, {"email"}),
    ({"reach": "email", "email": "no at sign"}, {"email"}),
    ({"reach": "email", "email": "a..b@docomo.ne.jp"}, {"email"}),
    ({"reach": "sms"}, {"phone"}),
    ({"reach": "sms", "phone": "0463-71-3311"}, {"phone"}),
    ({"reach": "pigeon"}, {"reach"}),
    ({"reach": "none", "name": "太郎🙂"}, {"name"}),
    ({"reach": "none", "kana": "吉田"}, {"kana"}),
    ({"reach": "none", "name": "あ" * 61}, {"name"}),
    ({"reach": "", "name": "🙂", "kana": "abc"}, {"name", "kana", "reach"}),
]


async def test_every_problem_is_told_at_its_field_and_what_was_typed_is_kept(visitor: Visitor) -> None:
    case = await visitor.open_case()
    for fields, wrong in PROBLEMS:
        answer = await visitor.tell(case, **fields)
        assert answer.status_code == UNPROCESSABLE, fields
        assert set(re.findall(r'href="#f-(\w+)"', answer.text)) == wrong
        for name, value in fields.items():
            if name != "reach":
                assert f'value="{value}"' in answer.text


async def test_garbage_in_every_field_is_never_a_crash(visitor: Visitor) -> None:
    for garbage in GARBAGE:
        case = await visitor.open_case()
        for field in ("name", "kana", "reach", "email", "phone"):
            for reach in ("email", "sms", "none"):
                answer = await visitor.tell(case, **({"reach": reach} | {field: garbage}))
                assert answer.status_code in (SEE_OTHER, UNPROCESSABLE), (field, reach, answer.status_code)
                assert "<script>alert" not in answer.text
        for field in ("procedure", "channel", "idempotency_key"):
            values = {"procedure": "CHI02", "channel": "counter", "idempotency_key": new_key()} | {field: garbage}
            assert (await visitor.post("/cases", values)).status_code in (400, 404, 409), (field, garbage)
        fields = {"pass_name": garbage, "offer_name": garbage, "pass_contact": garbage}
        answer = await visitor.post(f"{case}/handover", fields)
        assert answer.status_code in (200, SEE_OTHER, 409, 413, UNPROCESSABLE), garbage


async def test_missing_answers_are_asked_for_and_given_ones_are_kept(visitor: Visitor) -> None:
    case = await fill(visitor)
    answer = await answer_offers(visitor, case, name="", kana="no")
    assert answer.status_code == UNPROCESSABLE
    assert "#f-pass_name" in answer.text
    assert answer.text.count(" checked") == 2


async def test_one_button_hands_over_all_that_was_shown(database: TestDatabase, db: Database, visitor: Visitor) -> None:
    case = await fill(visitor)
    shown = await visitor.get(f"{case}/handover")
    assert '<details class="stack" id="each">' in shown.text
    offers = {f"offer_{item}": hidden(shown, f"offer_{item}") for item in ("name", "kana", "contact")}
    passed = await see_pass(visitor, case, await visitor.post(f"{case}/handover", offers | {"all": "yes"}))
    ticket = open_as_booking(database, passed)
    assert ([item.key for item in ticket.items], ticket.reach) == (["name", "kana"], "email")
    assert [entry[2] for entry in await entries(db) if entry[0] == "approved"] == [["kana", "name"], ["contact"]]


async def test_one_button_hands_over_nothing(database: TestDatabase, db: Database, visitor: Visitor) -> None:
    case = await fill(visitor)
    shown = await visitor.get(f"{case}/handover")
    for label, value in (("すべてわたして次へ進む", "yes"), ("なにもわたさずに進む", "no")):
        found = re.search(
            rf'<button class="([^"]*)" type="submit" name="all" value="{value}"><span>{label}<', shown.text
        )
        assert found, label
        assert found[1] == "button button--secondary button--huge button--wide"
    offers = {f"offer_{item}": hidden(shown, f"offer_{item}") for item in ("name", "kana", "contact")}
    passed = await see_pass(visitor, case, await visitor.post(f"{case}/handover", offers | {"all": "no"}))
    assert "わたす情報はありません。このまま予約できます。" in passed.text
    ticket = open_as_booking(database, passed)
    assert (ticket.items, ticket.contact_ref, ticket.reach) == ((), None, "none")
    assert [entry for entry in await entries(db) if entry[0] in ("approved", "declined")] == [
        ("declined", "booking", ["kana", "name"]), ("declined", "notifications", ["contact"]),
    ]  # fmt: skip


async def test_the_page_with_the_pass_may_be_reloaded_and_come_back_to(
    database: TestDatabase, db: Database, visitor: Visitor, clock: TestClock
) -> None:
    case = await fill(visitor)
    decided = await answer_offers(visitor, case)
    clock.move(timedelta(seconds=1))
    first = await see_pass(visitor, case, decided)
    told = await entries(db)
    clock.move(timedelta(minutes=1))
    second = await visitor.get(f"{case}/pass")
    clock.move(timedelta(minutes=8))
    third = await visitor.get(f"{case}/pass?late=1")
    assert "用意しなおしました" not in second.text
    assert "用意しなおしました" in third.text
    one, two, three = (open_as_booking(database, shown, clock) for shown in (first, second, third))
    # The same pass leads to the same visit in booking, and to the place that is held there.
    assert one.pass_id == two.pass_id == three.pass_id
    assert one.items == two.items == three.items
    assert three.expires_at == clock.now + PASS_LIFETIME
    assert await entries(db) == told


async def test_what_is_not_decided_is_decided_first(visitor: Visitor, clock: TestClock) -> None:
    case = await visitor.open_case()
    assert (await visitor.get(f"{case}/pass")).headers["location"] == f"{case}/handover"
    assert (await visitor.get(f"{case}/handover")).headers["location"] == f"{case}/you"
    await visitor.tell(case, name=NAME, reach="email", email=EMAIL)
    assert (await visitor.get(f"{case}/pass")).headers["location"] == f"{case}/handover"
    await see_pass(visitor, case, await answer_offers(visitor, case))
    await visitor.tell(case, name="別の名", reach="email", email=EMAIL)
    assert (await visitor.get(f"{case}/pass")).headers["location"] == f"{case}/handover"
    await see_pass(visitor, case, await answer_offers(visitor, case, name="no"))
    clock.move(OFFER_LIFETIME)
    lapsed = await visitor.get(f"{case}/pass")
    while lapsed.status_code == SEE_OTHER and "/session/renew" in lapsed.headers["location"]:
        lapsed = await visitor.get((await visitor.get(lapsed.headers["location"])).headers["location"])
    assert lapsed.headers["location"] == f"{case}/handover"
    asked = await visitor.get(f"{case}/handover")
    assert "checked" not in asked.text
    assert "なにもわたさずに進む" in asked.text


async def test_one_button_consents_to_nothing_that_was_not_shown(visitor: Visitor) -> None:
    case = await fill(visitor)
    shown = await visitor.get(f"{case}/handover")
    offer = {"offer_name": hidden(shown, "offer_name")}
    answers = ("yes", "no", "yes ", "")
    for fields in ({"all": "yes"}, {"all": "no"}, *(offer | {"all": answer} for answer in answers)):
        answer = await visitor.post(f"{case}/handover", fields)
        assert answer.status_code == httpx.codes.CONFLICT, fields
        assert 'name="pass"' not in answer.text
        assert " checked" not in answer.text


async def test_choosing_one_by_one_opens_by_itself_when_it_is_needed(visitor: Visitor) -> None:
    case = await fill(visitor)
    is_open = '<details class="stack" id="each" open>'
    assert is_open in (await visitor.get(f"{case}/handover?each=1")).text
    assert is_open in (await answer_offers(visitor, case, name="")).text
    await answer_offers(visitor, case, name="no")
    again = await visitor.get(f"{case}/handover")
    assert is_open in again.text
    assert again.text.count(" checked") == 3


async def test_a_stale_preview_is_shown_again(visitor: Visitor) -> None:
    case = await fill(visitor)
    shown = await visitor.get(f"{case}/handover")
    fields = {f"offer_{item}": hidden(shown, f"offer_{item}") for item in ("name", "kana", "contact")}
    await visitor.tell(case, name="別の名", kana=KANA, reach="email", email=EMAIL)
    answer = await visitor.post(
        f"{case}/handover", fields | {f"pass_{item}": "yes" for item in ("name", "kana", "contact")}
    )
    assert answer.status_code == httpx.codes.CONFLICT
    assert "別の名" in answer.text
    assert "もう一度選んでください" in answer.text


async def test_a_double_tap_is_one_case(db: Database, visitor: Visitor) -> None:
    await visitor.open_case("RES01")
    fields = {"procedure": "CHI02", "channel": "counter", "idempotency_key": new_key()}
    answers = await asyncio.gather(*(visitor.post("/cases", fields) for _ in range(4)))
    assert len({answer.headers["location"] for answer in answers}) == 1


async def test_nobody_sees_anothers_case(visitor: Visitor, new_visitor: NewVisitor) -> None:
    case = await fill(visitor)
    stranger, elsewhere = new_visitor(), new_visitor(OTHER_HOST)
    await stranger.open_case()
    await elsewhere.open_case()
    for other in (stranger, elsewhere):
        for answer in (
            await other.get(f"{case}/you"),
            await other.get(f"{case}/handover"),
            await other.tell(case, reach="none"),
            await other.post(f"{case}/handover"),
            await other.get(f"{case}/pass"),
        ):
            assert answer.status_code == httpx.codes.NOT_FOUND
            assert NAME not in answer.text


async def test_an_unknown_case_is_told_kindly(visitor: Visitor) -> None:
    for case_id in ["x", str(UUID(int=0)), "🙂", "..", "%00"]:
        await visitor.open_case()
        answer = await visitor.get(f"/cases/{case_id}/you")
        assert answer.status_code == httpx.codes.NOT_FOUND


async def test_a_token_of_another_town_is_no_token_here(visitor: Visitor, new_visitor: NewVisitor) -> None:
    await visitor.open_case()
    elsewhere = new_visitor(OTHER_HOST)
    elsewhere.http.cookies.set("choudo_token", visitor.http.cookies["choudo_token"])
    assert (await elsewhere.get("/my")).headers["location"].startswith("/session/renew")


async def test_another_sites_form_is_refused(visitor: Visitor) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        answer = await visitor.post("/cases", {"procedure": "CHI02"}, headers=headers)
        assert answer.status_code == httpx.codes.FORBIDDEN


# --- sessions ---


async def test_an_expired_token_is_renewed_and_a_posted_form_travels_along(
    db: Database, clock: TestClock, visitor: Visitor
) -> None:
    case = await visitor.open_case()
    clock.move(TOKEN_LIFETIME)
    renew = await visitor.tell(case, name=NAME, reach="none")
    assert renew.status_code == httpx.codes.TEMPORARY_REDIRECT
    back = await visitor.post(renew.headers["location"], {"name": NAME, "reach": "none"})
    assert (back.status_code, back.headers["location"]) == (httpx.codes.TEMPORARY_REDIRECT, f"{case}/you")
    assert (await visitor.post(back.headers["location"], {"name": NAME, "reach": "none"})).status_code == SEE_OTHER
    clock.move(TOKEN_LIFETIME)
    renew = await visitor.get(f"{case}/you")
    assert renew.status_code == SEE_OTHER
    back = await visitor.get(renew.headers["location"])
    assert (back.status_code, back.headers["location"]) == (SEE_OTHER, f"{case}/you")
    assert NAME in (await visitor.get(f"{case}/you")).text


async def test_a_known_visitor_whose_token_ran_out_begins_another_case_as_the_same_person(
    db: Database, clock: TestClock, visitor: Visitor
) -> None:
    await visitor.open_case()
    clock.move(TOKEN_LIFETIME)
    fields = {"procedure": "RES01", "channel": "counter", "idempotency_key": new_key()}
    assert (await visitor.post("/cases", fields)).headers["location"] == "/session/renew?next=%2Fcases"
    await visitor.post("/session/renew?next=/cases", fields)
    await visitor.post("/cases", fields)
    async with db.begin(TOWN) as session:
        assert len(set((await session.execute(select(case_file.c.guest_ref))).scalars())) == 1


async def test_a_new_visitor_becomes_a_guest_on_the_way(visitor: Visitor) -> None:
    answer = await visitor.http.get("/my", follow_redirects=True)
    assert answer.status_code == httpx.codes.OK
    assert answer.url.path == "/my"


async def test_without_cookies_there_is_an_end_and_an_explanation(db: Database, visitor: Visitor) -> None:
    answer = await visitor.get("/my")
    for _ in range(3):
        visitor.http.cookies.clear()
        if answer.status_code == SEE_OTHER:
            answer = await visitor.get(answer.headers["location"])
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "クッキー" in answer.text
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(session_table))).all() == []


async def test_new_guests_and_cases_are_limited_by_address(
    visitor: Visitor, new_visitor: NewVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "GUESTS_PER_ADDRESS", parse("2 per minute"))
    monkeypatch.setattr(tries, "CASES_PER_ADDRESS", parse("3 per minute"))
    await visitor.open_case()
    assert (await new_visitor().http.get("/my", follow_redirects=True)).status_code == httpx.codes.OK
    answer = await new_visitor().http.get("/my", follow_redirects=True)
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    await visitor.open_case()
    fields = {"procedure": "CHI02", "channel": "counter", "idempotency_key": new_key()}
    assert (await new_visitor().post("/cases", fields)).status_code == httpx.codes.TOO_MANY_REQUESTS
    assert (await visitor.post("/cases", fields)).status_code == httpx.codes.TOO_MANY_REQUESTS
    await new_visitor(client="192.0.2.7").open_case()


async def test_renewing_leads_nowhere_but_here(visitor: Visitor) -> None:
    await visitor.open_case()
    for path in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "",
        "/session/renew",
    ):
        for method in ("GET", "POST"):
            answer = await visitor.http.request(method, "/session/renew", params={"next": path})
            assert answer.headers["location"] == "/", path
        assert hidden(await visitor.get("/sign-in", params={"next": path}), "next") == "", path


async def test_ending_a_guests_session_leaves_nothing_on_the_device(visitor: Visitor) -> None:
    case = await fill(visitor)
    answer = await visitor.post("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, "/booking/forget?next=%2F")
    assert answer.headers["clear-site-data"] == '"cookies"'
    assert dict(visitor.http.cookies) == {}
    answer = await visitor.http.get(f"{case}/you", follow_redirects=True)
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert NAME not in answer.text


async def open_account(db: Database) -> None:
    async with db.begin(TOWN) as session:
        await open_staff_account(
            session, municipality=TOWN, login="madoguchi", password=PASSWORD, roles=("counter",), office=None, now=NOW
        )


async def sign_in(visitor: Visitor, **fields: str) -> httpx.Response:
    return await visitor.post("/sign-in", {"login": "madoguchi", "password": PASSWORD, "next": "", **fields})


async def test_staff_sign_in_go_on_where_they_wanted_and_out_again(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    await open_account(db)
    answer = await sign_in(visitor, next="/counter?day=2026-11-24")
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, "/counter?day=2026-11-24")
    clock.move(TOKEN_LIFETIME)
    renewed = await visitor.get("/session/renew", params={"next": "/counter"})
    assert renewed.headers["location"] == "/counter"
    kept = dict(visitor.http.cookies)
    answer = await visitor.post("/sign-out")
    assert answer.headers["location"] == "/booking/forget?next=%2Fsign-in"
    assert answer.headers["clear-site-data"] == '"cookies"'
    # Whoever copied the cookies has nothing of them.
    for name, value in kept.items():
        visitor.http.cookies.set(name, value)
    assert (await visitor.get("/my")).headers["location"].startswith("/session/renew")
    answer = await visitor.get("/session/renew", params={"next": "/counter"})
    assert answer.headers["location"] == "/sign-in?next=%2Fcounter"


async def test_a_working_day_later_staff_sign_in_again(db: Database, visitor: Visitor, clock: TestClock) -> None:
    await open_account(db)
    await sign_in(visitor)
    clock.move(STAFF_LIFETIME)
    answer = await visitor.get("/session/renew", params={"next": "/counter"})
    assert answer.headers["location"] == "/sign-in?next=%2Fcounter"


async def test_an_unknown_account_and_a_wrong_password_look_the_same(db: Database, visitor: Visitor) -> None:
    await open_account(db)
    wrong, unknown = await sign_in(visitor, password="wrong"), await sign_in(visitor, login="nobody", password="wrong")
    assert wrong.status_code == unknown.status_code == UNPROCESSABLE
    pattern = re.compile(r'(name="login"|id="f-login")[^>]*>|お問い合わせ.*?</p>', re.DOTALL)
    assert pattern.sub("", wrong.text) == pattern.sub("", unknown.text)
    assert "wrong" not in wrong.text
    assert 'value="madoguchi"' in wrong.text


@pytest.mark.parametrize("login", ["madoguchi", "nobody"])
async def test_tries_to_sign_in_are_limited_known_or_not(db: Database, visitor: Visitor, login: str) -> None:
    await open_account(db)
    for _ in range(TRIES_MAX):
        assert (await sign_in(visitor, login=login, password="wrong")).status_code == UNPROCESSABLE
    answer = await sign_in(visitor, login=login)
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert "回数が多すぎます" in answer.text


async def test_signing_in_often_is_no_reason_to_be_refused(db: Database, visitor: Visitor) -> None:
    await open_account(db)
    for _ in range(TRIES_MAX + 1):
        assert (await sign_in(visitor)).status_code == SEE_OTHER


async def test_a_stranger_does_not_lock_a_login_for_its_owner(
    db: Database, new_visitor: NewVisitor, visitor: Visitor
) -> None:
    await open_account(db)
    stranger = new_visitor(client="192.0.2.7")
    for _ in range(TRIES_MAX):
        await sign_in(stranger, password="wrong")
    assert (await sign_in(stranger)).status_code == httpx.codes.TOO_MANY_REQUESTS
    assert (await sign_in(visitor)).status_code == SEE_OTHER


async def test_a_whole_network_of_addresses_tries_no_more_often_than_one(db: Database, new_visitor: NewVisitor) -> None:
    """Seen to fail while each IPv6 address counted by itself: a phone has 2⁶⁴ of them."""
    await open_account(db)
    for number in range(TRIES_MAX):
        await sign_in(new_visitor(client=f"2001:db8:7:1::{number + 1:x}"), password="wrong")
    answer = await sign_in(new_visitor(client="2001:db8:7:1:ffff::9"))
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert (await sign_in(new_visitor(client="2001:db8:7:2::1"))).status_code == SEE_OTHER


async def test_garbage_at_the_sign_in_is_never_a_crash(visitor: Visitor) -> None:
    for garbage in GARBAGE:
        for fields in ({"login": garbage}, {"password": garbage, "login": new_key()}):
            assert (await sign_in(visitor, **fields)).status_code == UNPROCESSABLE, garbage
    answer = await sign_in(visitor, next=GARBAGE[2])
    assert GARBAGE[2] not in answer.text


async def test_an_empty_sign_in_names_both_fields(visitor: Visitor) -> None:
    answer = await sign_in(visitor, login=" ", password="")
    assert set(re.findall(r'href="#f-(\w+)"', answer.text)) == {"login", "password"}


# --- a form whose session ran out ---

TYPED = {"version": "3", "note": '𠮷田 "<b>"\nつぎの行', "next": "//evil.example", "login": "x"}
ACTION = "/counter/0190/call?day=2026-11-24"


async def arrive_at_sign_in(visitor: Visitor, path: str, fields: dict[str, str]) -> httpx.Response:
    """A form whose session has run out, on the way that the browser takes with it."""
    renew = await visitor.http.post("/session/renew", params={"next": path}, data=fields)
    assert renew.status_code == httpx.codes.TEMPORARY_REDIRECT
    assert httpx.URL(renew.headers["location"]).path == "/sign-in"
    return await visitor.post(renew.headers["location"], fields)


async def end_of_the_day(db: Database, visitor: Visitor, clock: TestClock) -> None:
    """Somebody worked at this tablet; then their session ended. The token's cookie says for a day who it was."""
    await open_account(db)
    given = (await sign_in(visitor)).headers.get_list("set-cookie")
    [token] = [cookie for cookie in given if cookie.startswith("choudo_token")]
    assert f"Max-Age={int((STAFF_LIFETIME + CARRIED_LIFETIME).total_seconds())};" in token
    clock.move(STAFF_LIFETIME)
    visitor.http.cookies.delete("choudo_session")


def hidden_fields(answer: httpx.Response) -> dict[str, str]:
    """But those of signing in by a passkey, which has a form of its own."""
    text = re.sub(r'<form[^>]* action="/sign-in/passkey"[^>]*>.*?</form>', "", answer.text, flags=re.DOTALL)
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', text)
    return {unescape(name): unescape(value) for name, value in found}


async def test_a_form_waits_while_staff_sign_in_again_and_then_goes_on(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    await end_of_the_day(db, visitor, clock)
    clock.move(timedelta(hours=11))  # the next morning
    arrived = await arrive_at_sign_in(visitor, ACTION, TYPED | {"password": "y", "new_Password": "z"})
    assert arrived.status_code == httpx.codes.OK
    assert "入力したことは残っています" in arrived.text
    assert 'id="f-login" name="login" value=""' in arrived.text
    assert 'action="/sign-out"' not in arrived.text
    assert dict(visitor.http.cookies) == {}
    waiting = hidden_fields(arrived)
    assert set(waiting) == {"next", "carried"}
    assert waiting["next"] == ACTION
    wrong = await visitor.post("/sign-in", waiting | {"login": "madoguchi", "password": "wrong"})
    assert wrong.status_code == UNPROCESSABLE
    assert hidden_fields(wrong) == waiting
    done = await visitor.post("/sign-in", waiting | {"login": "madoguchi", "password": PASSWORD})
    assert done.status_code == httpx.codes.OK
    assert f'<form method="post" action="{ACTION}">' in done.text
    assert "つづける" in done.text
    assert hidden_fields(done) == TYPED
    assert "choudo_token" in visitor.http.cookies


async def test_on_a_shared_tablet_the_next_person_neither_reads_nor_sends_it(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    """Seen to fail while the fields lay open in the page and went to whoever signed in."""
    await end_of_the_day(db, visitor, clock)
    async with db.begin(TOWN) as session:
        await open_staff_account(
            session, municipality=TOWN, login="tsugi", password=PASSWORD, roles=("counter",), office=None, now=NOW
        )
    arrived = await arrive_at_sign_in(visitor, ACTION, TYPED)
    assert "𠮷田" not in arrived.text
    assert "つぎの行" not in unescape(arrived.text)
    waiting = hidden_fields(arrived)
    done = await visitor.post("/sign-in", waiting | {"login": "tsugi", "password": PASSWORD})
    assert done.status_code == httpx.codes.OK
    assert "送らずに消しました" in done.text
    assert ACTION not in done.text
    assert "𠮷田" not in done.text
    assert set(hidden_fields(done).values()) & set(TYPED.values()) == set()


async def test_what_waited_goes_only_where_it_was_going_and_not_for_ever(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    await end_of_the_day(db, visitor, clock)
    waiting = hidden_fields(await arrive_at_sign_in(visitor, ACTION, TYPED))
    mine = {"login": "madoguchi", "password": PASSWORD}
    sealed = waiting["carried"]
    for changed in (
        waiting | {"next": "/counter/0190/done"},
        waiting | {"next": ""},
        waiting | {"carried": sealed[:-8] + "AAAAAAA="},
        waiting | {"carried": "x" * 60_000},
    ):
        done = await visitor.post("/sign-in", changed | mine)
        assert "送らずに消しました" in done.text
        assert "<form" not in done.text.split("<main", 1)[1].split("</main", 1)[0]
    clock.move(CARRIED_LIFETIME)
    assert "送らずに消しました" in (await visitor.post("/sign-in", waiting | mine)).text


async def test_a_form_of_nobody_known_does_not_wait(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """After signing out, or from a resident's browser, nobody can say who typed it."""
    await open_account(db)
    await sign_in(visitor)
    await visitor.post("/sign-out")
    resident = new_visitor()
    await resident.open_case()
    for browser in (visitor, resident):
        kept = dict(browser.http.cookies)
        arrived = await browser.http.post("/sign-in", params={"next": ACTION}, data=TYPED)
        assert hidden_fields(arrived) == {"next": ""}
        assert "もう一度入力してください" in arrived.text
        assert "𠮷田" not in arrived.text
        assert dict(browser.http.cookies) == kept


async def test_a_form_that_waited_never_leads_to_another_site(db: Database, visitor: Visitor, clock: TestClock) -> None:
    await end_of_the_day(db, visitor, clock)
    kept = dict(visitor.http.cookies)
    for path in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/sign-out", ""):
        visitor.http.cookies.update(kept)
        arrived = await visitor.http.post("/sign-in", params={"next": path}, data={"version": "3"})
        assert hidden_fields(arrived) == {"next": ""}, path
        done = await visitor.post("/sign-in", {"next": path, "login": "madoguchi", "password": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (SEE_OTHER, "/counter"), path


async def test_a_press_that_came_too_late_leads_back_to_its_page(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    """A button without fields is nothing that can wait. Seen to lead home while the page was not looked for."""
    await end_of_the_day(db, visitor, clock)
    kept = dict(visitor.http.cookies)
    site, letter = str(visitor.http.base_url), "/routing/dead-letters/0190?missing=1"
    for referer, back in (
        (f"{site}{letter}", letter),
        (f"{site}//evil.example", ""),
        (f"{site}/sign-out", ""),
        (f"https://evil.example{letter}", ""),
        ("https://[", ""),
        ("", ""),
    ):
        visitor.http.cookies.clear()
        visitor.http.cookies.update(kept)
        visitor.http.headers["referer"] = referer
        arrived = await arrive_at_sign_in(visitor, "/routing/dead-letters/0190/replay", {})
        assert hidden_fields(arrived) == {"next": back}, referer
        assert ("前のページにもどります" in arrived.text) == bool(back), referer
        given = hidden_fields(arrived) | {"login": "madoguchi", "password": PASSWORD}
        done = await visitor.post("/sign-in", given)
        assert (done.status_code, done.headers["location"]) == (SEE_OTHER, back or "/counter"), referer


async def test_a_form_that_is_too_long_to_wait_is_said_to_be_lost(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    await end_of_the_day(db, visitor, clock)
    kept = dict(visitor.http.cookies)
    many = {f"f{number}": "x" for number in range(CARRIED_FIELDS_MAX + 1)}
    for fields in (many, {"note": "あ" * (CARRIED_MAX_LENGTH + 1)}):
        visitor.http.cookies.update(kept)
        arrived = await arrive_at_sign_in(visitor, ACTION, fields)
        assert hidden_fields(arrived) == {"next": ""}
        assert "もう一度入力してください" in arrived.text
    # The longest that can wait still fits into a request, in the characters that take most room.
    visitor.http.cookies.update(kept)
    longest = {"n": "𠮷" * (CARRIED_MAX_LENGTH - 1)}
    waiting = hidden_fields(await arrive_at_sign_in(visitor, ACTION, longest))
    done = await visitor.post("/sign-in", waiting | {"login": "madoguchi", "password": PASSWORD})
    assert hidden_fields(done) == longest


async def test_staff_can_sign_out_from_every_page_and_residents_are_not_offered_it(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await open_account(db)
    await sign_in(visitor)
    assert 'action="/sign-out"' in (await visitor.get("/")).text
    resident = new_visitor()
    await resident.open_case()
    assert 'action="/sign-out"' not in (await resident.get("/")).text


# --- one's own pages ---


async def test_my_page_shows_appointments_and_unfinished_cases(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case, unfinished = await fill(visitor), await visitor.open_case("RES01")
    event: dict[str, Any] = {
        "event_id": uuid4(), "municipality": TOWN, "aggregate_id": "a", "aggregate_version": 1, "occurred_at": NOW,
        "appointment_id": uuid4(), "number": "24-0317", "subject_ref": None, "contact_ref": None,
        "case_id": UUID(case.rsplit("/", 1)[-1]), "procedure": "CHI02", "office": "子育て", "counter": "7",
        "starts_at": NOW, "ends_at": NOW + timedelta(minutes=30), "state": "booked", "sequence": 0,
    }  # fmt: skip
    async with db.begin(TOWN) as session:
        await on_appointment(session, AppointmentBooked(**event), now=NOW)
    answer = await visitor.get("/my")
    for part in ("24-0317", "町役場 2階 7番", f'href="{unfinished}"'):
        assert part in answer.text
    # While a closing covers its time, it is marked.
    closed = 'href="/booking/appointments/24-0317/change"'
    assert closed not in answer.text
    for version, closure in ((2, "asked"), (3, "none")):
        told = AppointmentProgressed(**(event | {"aggregate_version": version, "closure": closure}))
        async with db.begin(TOWN) as session:
            await on_appointment(session, told, now=NOW)
        marked = (await visitor.get("/my")).text
        assert ("この時間は窓口が閉まります。" in marked) == (closed in marked) == (closure == "asked")
    assert f'href="{case}"' not in answer.text
    assert (await visitor.get(unfinished)).headers["location"] == f"{unfinished}/you"
    # Going back to where the time was chosen from leads to what was booked: one case, one booking.
    await answer_offers(visitor, case)
    assert (await visitor.get(f"{case}/pass")).headers["location"] == "/booking/appointments/24-0317"
    stranger = new_visitor()
    await stranger.open_case()
    assert "24-0317" not in (await stranger.get("/my")).text


async def test_no_page_sends_a_browser_elsewhere(visitor: Visitor) -> None:
    case = await fill(visitor)
    await answer_offers(visitor, case)
    for path in (
        "/",
        "/search",
        "/procedures/CHI02",
        f"{case}/you",
        f"{case}/handover",
        f"{case}/pass",
        "/my",
        "/my/history",
        "/sign-in",
    ):
        answer = await visitor.get(path)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text), path
        assert not re.search(r"<(?:script|style)(?![^>]*src)[^>]*>|\son\w+=|\sstyle=", answer.text), path
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text.count("<h1") == 1


async def test_the_service_says_how_it_is(visitor: Visitor, db: Database) -> None:
    assert (await visitor.get("/healthz")).text == "ok"
    assert (await visitor.get("/readyz")).text == "ready"
    async with db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM routing.catalogue WHERE municipality = :town"), {"town": TOWN})
    answer = await visitor.get("/")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
