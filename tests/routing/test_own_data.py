"""「わたしが入力したこと」: reading, correcting, taking away, and keeping it from other procedures."""

import asyncio
import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import text

from shared.db import Database
from tests.routing.applying import ADDRESS, CHI02_FORM, CHI03_REST, SEE_OTHER, apply, fill_in, reuse, sign_in
from tests.routing.conftest import Visitor
from tests.routing.makers import NAME, TOWN
from tests.routing.test_handover import entries

NewVisitor = Callable[..., Visitor]
# More than whoever need not wait takes.
A_MOMENT_S = 0.5


async def test_nothing_yet_is_said_kindly(visitor: Visitor) -> None:
    await visitor.open_case()
    page = await visitor.get("/my/data")
    assert "まだ何も入力されていません" in page.text
    assert (await visitor.get("/my/data.json")).json()["items"] == []
    assert (await visitor.get("/my/data/name")).status_code == httpx.codes.NOT_FOUND


async def test_everything_that_was_typed_stands_there_with_its_source(visitor: Visitor) -> None:
    await apply(visitor)
    page = await visitor.get("/my/data")
    assert page.headers["cache-control"] == "no-store"
    for shown in (NAME, "神奈川県中郡二宮町二宮961", "1988年4月5日（昭和63年）", "090-1234-5678", "児童手当の申請"):
        assert shown in page.text
    assert re.findall(r'<h2 id="i-(\w+)-title">', page.text) == [
        "name", "birth_date", "address", "phone", "bank_account", "child",
    ]  # fmt: skip


async def test_the_copy_has_the_names_of_the_interoperability_framework(visitor: Visitor) -> None:
    await apply(visitor, name="二宮　花子")
    answer = await visitor.get("/my/data.json")
    items = {item["item"]: item["value"] for item in answer.json()["items"]}
    assert items["name"] == {"氏名": "二宮 花子", "氏": "二宮", "名": "花子"}
    assert items["birth_date"] == {"生年月日": "1988-04-05"}
    assert items["phone"] == {"電話番号": "+819012345678"}
    assert items["address"] == {
        "郵便番号": "2590123",
        "全国地方公共団体コード": "143421",
        "都道府県": "神奈川県",
        "市区町村": "中郡二宮町",
        "町字": "二宮",
        "番地以下": "961",
        "住所": "神奈川県中郡二宮町二宮961",
    }


async def test_another_visitor_and_staff_see_none_of_it(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await apply(visitor)
    stranger = new_visitor()
    await stranger.open_case()
    for other in (stranger, await sign_in(db, new_visitor())):
        assert NAME not in (await other.get("/my/data")).text
        assert (await other.get("/my/data.json")).json()["items"] == []
        for path in ("/my/data/name", "/my/data/name/stop", "/my/data/name/allow"):
            assert (await other.post(path, {"name": "別の 名前"})).status_code == httpx.codes.NOT_FOUND


async def test_a_correction_is_a_new_version_and_what_was_sent_keeps_its_own(db: Database, visitor: Visitor) -> None:
    number = await apply(visitor)
    form = await visitor.get("/my/data/name")
    assert f'value="{NAME}"' in form.text
    wrong = await visitor.post("/my/data/name", {"name": "🙂"})
    assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "🙂" in wrong.text
    for _ in range(2):
        assert (await visitor.post("/my/data/name", {"name": "別の 名前"})).headers["location"] == "/my/data#i-name"
    assert "別の 名前" in (await visitor.get("/my/data")).text
    assert NAME in (await visitor.get(f"/applications/{number}")).text
    corrected = [items for kind, _target, items in await entries(db) if kind == "corrected"]
    assert corrected == [["name"]], "saved twice, it is corrected once"
    assert "書きなおしました" in (await visitor.get("/my/history")).text or await _is_pending(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    assert "別の 名前" in (await visitor.get(f"{case}/reuse")).text


async def _is_pending(visitor: Visitor) -> bool:
    return "まだ" in (await visitor.get("/my/history")).text


async def test_an_address_is_corrected_with_its_postal_code(visitor: Visitor) -> None:
    await apply(visitor)
    found = await visitor.post(
        "/my/data/address", {"lookup": "address", "address_postal_code": "259-0121", "address_line": "12"}
    )
    assert 'value="神奈川県中郡二宮町松根12"' in found.text
    await visitor.post("/my/data/address", {"address_postal_code": "259-0121", "address_line": "松根１２"})
    assert "神奈川県中郡二宮町松根12" in (await visitor.get("/my/data")).text


async def test_what_is_stopped_is_offered_to_nobody_until_it_is_allowed_again(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    for _ in range(2):
        assert (await visitor.post("/my/data/name/stop", {})).headers["location"] == "/my/data#i-name"
    assert "ほかの手続きでは使いません" in (await visitor.get("/my/data")).text
    case = await visitor.open_case("CHI03", channel="online")
    page = await visitor.get(f"{case}/reuse")
    assert 'name="offer_phone"' in page.text
    assert 'name="offer_name"' not in page.text
    counter = await visitor.open_case("CHI03")
    assert NAME not in (await visitor.get(f"{counter}/you")).text
    withdrawn = [items for kind, target, items in await entries(db) if (kind, target) == ("declined", "routing")]
    assert withdrawn == [["name"]], "once, however often it is pressed"
    await visitor.post("/my/data/name/allow", {})
    assert 'name="offer_name"' in (await visitor.get(f"{case}/reuse")).text
    assert NAME in (await visitor.get(f"{counter}/you")).text


async def test_stopping_takes_back_every_yes_that_nothing_was_sent_with(db: Database, visitor: Visitor) -> None:
    sent = await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case)
    typed = {"name": NAME, "phone": "090-1234-5678"} | ADDRESS | CHI03_REST
    typed |= {key: value for key, value in CHI02_FORM.items() if key.startswith("child")}
    assert (await visitor.post(f"{case}/form", typed)).status_code == SEE_OTHER
    assert "使うことを認めた手続き" in (await visitor.get("/my/data")).text
    await visitor.post("/my/data/name/stop", {})
    form = await visitor.get(f"{case}/form")
    assert f'value="{NAME}"' not in form.text, "the draft asks for it"
    assert "090-1234-5678" in form.text
    assert NAME in (await visitor.get(f"/applications/{sent}")).text
    async with db.begin(TOWN) as session:
        states = await session.execute(text("SELECT state FROM offer WHERE item = 'name' AND step = 'form'"))
        assert set(states.scalars()) == {"declined"}


async def test_stopped_at_once_on_two_pages_it_is_stopped_once(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    answers = await asyncio.gather(*(visitor.post("/my/data/phone/stop", {}) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {SEE_OTHER}
    async with db.begin(TOWN) as session:
        rows = await session.execute(text("SELECT count(*) FROM reuse_stop WHERE key = 'phone'"))
        assert rows.scalar_one() == 1
    assert [kind for kind, _t, items in await entries(db) if (kind, items) == ("declined", ["phone"])] == ["declined"]


@pytest.mark.parametrize("path", ["stop", "allow"])
async def test_a_buttons_address_opened_as_a_page_leads_back(visitor: Visitor, path: str) -> None:
    await fill_in(visitor, reach="none")
    assert (await visitor.get(f"/my/data/name/{path}")).headers["location"] == "/my/data#i-name"
    assert (await visitor.get(f"/my/data/%00x/{path}")).headers["location"] == "/my/data"


async def test_what_one_of_the_family_uses_of_their_own_is_not_stopped_with_mine(visitor: Visitor) -> None:
    """Seen to fail where every case of the browser is taken for one's own."""
    await apply(visitor, reach="none")
    first = await visitor.open_case("CHI03", channel="online")
    await visitor.post(f"{first}/person", {"person": "new"})
    await visitor.post(f"{first}/form", CHI02_FORM | CHI03_REST | {"name": "吉田 みどり"})
    case = await visitor.open_case("CHI03", channel="online")
    await visitor.post(f"{case}/person", {"person": "1"})
    await reuse(visitor, case)
    assert 'value="吉田 みどり"' in (await visitor.get(f"{case}/form")).text
    await visitor.post("/my/data/name/stop", {})
    assert 'value="吉田 みどり"' in (await visitor.get(f"{case}/form")).text


async def test_stopping_waits_for_whoever_says_yes_right_now(db: Database, visitor: Visitor) -> None:
    """Seen to fail without the lock of the cases: what is written meanwhile is not taken back."""
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await visitor.get(f"{case}/reuse")
    async with db.begin(TOWN) as session:
        await session.execute(text("SELECT 1 FROM case_file WHERE procedure = 'CHI03' FOR UPDATE"))
        stopping = asyncio.create_task(visitor.post("/my/data/name/stop", {}))
        await asyncio.sleep(A_MOMENT_S)
        assert not stopping.done()
        await session.execute(text("DELETE FROM offer WHERE item = 'name' AND step = 'form'"))
    assert (await stopping).status_code == SEE_OTHER
