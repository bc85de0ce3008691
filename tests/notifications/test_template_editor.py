"""A town's own texts: drafted, checked, published, gone back to; and which one a notice is told in."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any, get_args
from urllib.parse import urlencode

import httpx
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.notifications.app import REFUSALS, create_app
from services.notifications.commands.templates import publish_texts, save_texts
from services.notifications.domain.notices import OF_ACCOUNTS, Kind
from services.notifications.pages.template_wording import kinds_by_group
from shared.errors import Refusal
from shared.events.routing import TemplateEntry
from shared.tokens import Identity
from shared.town_pack.templates import CHANNELS, NoticeKind
from tests.conftest import TestDatabase
from tests.notifications.harness import OTHER_TOWN, TOWN, Notifications, sign_in

PATH = "/notices/templates"
OFFICE = "子育て"
SMS = {"sms_ja": "町 {number} {when} {link}", "sms_ja-easy": "まち {number} {when} {link}",
       "sms_en": "Town {number} {when} {link}"}  # fmt: skip
MANAGER = Identity(municipality=TOWN, kind="staff", ref="staff-1", session_id="s1", roles=("manager",))


@pytest.fixture
async def manager(service: Notifications, database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(service.settings, clock=lambda: service.now, db=service.db)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ninomiya.example.jp") as client:
        yield sign_in(service, database, client, roles=("manager",))


def fields(page: httpx.Response) -> dict[str, str]:
    """What the page's form would send, untouched."""
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    areas = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n([^<]*)</textarea>', page.text)
    return {name: unescape(value) for name, value in (*hidden, *areas)}


async def save(
    manager: httpx.AsyncClient, kind: str = "confirmation", office: str = "", **typed: str
) -> httpx.Response:
    page = await manager.get(f"{PATH}/{kind}", params={"office": office})
    return await manager.post(f"{PATH}/{kind}", data=fields(page) | {"office": office} | typed)


async def publish(manager: httpx.AsyncClient, kind: str = "confirmation", office: str = "") -> httpx.Response:
    page = await manager.get(f"{PATH}/{kind}/publish", params={"office": office})
    return await manager.post(f"{PATH}/{kind}/publish", data=fields(page))


async def told(service: Notifications, **booking: Any) -> str:
    await service.pass_time(seconds=1)
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact, **booking))
    await service.settle()
    return str(max(service.sink.messages(channel="sms"), key=lambda sent: sent.number).text)


async def words(service: Notifications) -> Any:
    [row] = await service.rows("SELECT words FROM attempt ORDER BY started_at DESC, notice_id LIMIT 1")
    return row.words


async def test_what_is_saved_is_told_when_it_is_published_and_not_before(
    service: Notifications, manager: httpx.AsyncClient
) -> None:
    answer = await save(manager, **SMS)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}/confirmation/publish")
    assert "予約できました" in await told(service)
    assert await words(service) == [{"channel": "sms", "language": "ja", "whose": "ours", "office": "", "version": 0}]
    asked = await manager.get(f"{PATH}/confirmation/publish")
    assert "まだ公開していません" in asked.text
    assert "{number}" in asked.text
    assert (await publish(manager)).status_code == 303
    assert (await told(service)).startswith("町 NNN-1042 11月27日（金）")
    assert await words(service) == [{"channel": "sms", "language": "ja", "whose": "town", "office": "", "version": 1}]
    deeds = [row.action for row in await service.rows("SELECT action FROM audit ORDER BY occurred_at, action")]
    assert sorted(deeds) == ["template_published", "template_saved"]


async def test_whoever_has_an_account_is_written_to_by_mail_or_sms_alone(manager: httpx.AsyncClient) -> None:
    """Seen to fail for what is said to a former address, which was offered as LINE and as a letter too."""
    for kind in get_args(Kind):
        if kind not in OF_ACCOUNTS:
            continue
        page = (await manager.get(f"{PATH}/{kind}")).text
        offered = {channel for channel in CHANNELS if f'name="{channel}_ja"' in page}
        assert offered == {"email_subject", "email", "sms"}, kind
        assert kind in kinds_by_group()["サポーターと職員へ"]


async def test_who_is_nearest_speaks_first(service: Notifications, manager: httpx.AsyncClient) -> None:
    """The office's own, the town's, the pack's, ours; and back again when each is taken back."""
    event = service.catalogue(version=2)
    pack = TemplateEntry(kind="confirmation", language="ja", short="設定 {number} {when} {link}")
    await service.hear(msgspec.structs.replace(event, templates=(pack,)))
    assert (await told(service)).startswith("設定 ")
    assert (await words(service))[0] | {"version": 2, "whose": "pack"} == (await words(service))[0]
    await save(manager, **SMS)
    await publish(manager)
    assert (await told(service)).startswith("町 ")
    await save(manager, office=OFFICE, **{name: said.replace("町", "課") for name, said in SMS.items()})
    await publish(manager, office=OFFICE)
    assert (await told(service)).startswith("課 ")
    assert (await words(service))[0]["office"] == OFFICE
    await save(manager, office=OFFICE, **dict.fromkeys(SMS, ""))
    await publish(manager, office=OFFICE)
    assert (await told(service)).startswith("町 ")
    await save(manager, **dict.fromkeys(SMS, ""))
    await publish(manager)
    assert (await told(service)).startswith("設定 ")
    await service.hear(service.catalogue(version=3))
    assert "予約できました" in await told(service)


async def test_a_mail_says_in_whose_words_each_of_its_texts_was_told(
    service: Notifications, manager: httpx.AsyncClient
) -> None:
    subjects = {f"email_subject_{language}": "【{town}】まっています" for language in ("ja", "ja-easy", "en")}
    await save(manager, **subjects)
    await publish(manager)
    contact = service.contact("email")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    assert [(each["channel"], each["whose"], each["version"]) for each in await words(service)] == [
        ("email_subject", "town", 1),
        ("email", "ours", 0),
    ]


async def test_everything_that_is_wrong_is_said_at_once_with_its_line_and_nothing_typed_is_lost(
    service: Notifications, manager: httpx.AsyncClient
) -> None:
    letter = "{number} {when} {link}\nhttps://evil.example.com/ と bit.ly/x\n{nubmer}\u202e\n{{ 7 * 7 }}"
    answer = await save(
        manager,
        letter_ja=letter,
        email_subject_ja="{link} おくやみ",
        sms_ja="{number} {when} {link} {code} " + "あ" * 120,
        line_ja="福祉の窓口です",
    )
    assert answer.status_code == 422
    for said in (
        "手紙（日本語）：5か所",
        "2行目：町のサイトでないところへのリンクです：https://evil.example.com/",
        "2行目：町のサイトでないところへのリンクです：bit.ly",
        "3行目：このお知らせでは「{nubmer}」を使えません",
        "3行目：ここでは、改行や、見えない文字は使えません",
        "4行目：「{」と「}」は、入れかわることばだけに使います",
        "「{link}」は、件名・SMS・LINEには書けません",
        "「おくやみ」は、人に知られたくない手続きのことばです",
        "「{code}」は、件名・SMS・LINEには書けません",
        "SMSが4通ぶんの長さになることがあります（3通まで）",
        "「福祉」は、人に知られたくない手続きのことばです",
        "この文には「{number}」がいります",
    ):
        assert said in unescape(answer.text), said
    assert fields(answer)["letter_ja"] == letter
    assert fields(answer)["line_ja"] == "福祉の窓口です"
    assert await service.rows("SELECT 1 FROM template_version") == []


async def test_a_language_that_is_missing_is_saved_and_not_published(
    service: Notifications, manager: httpx.AsyncClient
) -> None:
    assert (await save(manager, sms_ja=SMS["sms_ja"])).status_code == 303
    page = await manager.get(f"{PATH}/confirmation/publish")
    assert "SMS（英語）：この文は、ほかのことばでは書いてあります" in page.text
    assert "この文で送るようにする" not in page.text
    answer = await manager.post(f"{PATH}/confirmation/publish", data={"seen": "sms_ja:1"})
    assert answer.status_code == 422
    assert REFUSALS["templates_flawed"].title in answer.text
    assert "予約できました" in await told(service)


async def test_who_wrote_over_somebody_is_told_and_keeps_what_they_typed(
    service: Notifications, manager: httpx.AsyncClient
) -> None:
    opened = fields(await manager.get(f"{PATH}/confirmation"))
    await save(manager, sms_ja="先 {number} {when} {link}")
    answer = await manager.post(f"{PATH}/confirmation", data=opened | {"sms_ja": "後 {number} {when} {link}"})
    assert answer.status_code == 409
    assert "ほかの人が、先になおしました" in answer.text
    assert "先 {number}" in answer.text
    again = fields(answer)
    assert (again["sms_ja"], again["seen_sms_ja"]) == ("後 {number} {when} {link}", "1")
    assert (await manager.post(f"{PATH}/confirmation", data=again)).status_code == 303
    rows = await service.rows("SELECT version, text FROM template_version ORDER BY version")
    assert [row.text[0] for row in rows] == ["先", "後"]


async def test_two_who_save_at_the_same_moment_write_over_nobody(service: Notifications) -> None:
    """Seen to fail (500) without `on_conflict_do_nothing`: the key is there twice, and nobody is told what to do."""

    async def write(said: str) -> str:
        try:
            async with service.db.begin(TOWN) as session:
                cell = ("sms", "ja")
                await save_texts(
                    session, MANAGER, "confirmation", "", {cell: f"{said} {{number}} {{when}} {{link}}"},  # type: ignore[dict-item]
                    seen={}, now=service.now,
                )  # fmt: skip
                await asyncio.sleep(0.2)
        except Refusal as refusal:
            return refusal.code
        return "saved"

    assert sorted(await asyncio.gather(write("一"), write("二"))) == ["saved", "templates_moved"]
    assert len(await service.rows("SELECT 1 FROM template_version")) == 1


async def test_what_is_published_is_what_was_looked_at(service: Notifications, manager: httpx.AsyncClient) -> None:
    await save(manager, **SMS)
    looked_at = fields(await manager.get(f"{PATH}/confirmation/publish"))
    await save(manager, sms_ja="ちがう {number} {when} {link}")
    answer = await manager.post(f"{PATH}/confirmation/publish", data=looked_at)
    assert answer.status_code == 409
    assert "予約できました" in await told(service)
    async with service.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="templates_moved"):
            await publish_texts(session, MANAGER, "reminder", "", seen={}, now=service.now)


async def test_going_back_is_a_new_version(service: Notifications, manager: httpx.AsyncClient) -> None:
    await save(manager, **SMS)
    await publish(manager)
    await service.pass_time(minutes=1)
    await save(manager, sms_ja="二番 {number} {when} {link}")
    await publish(manager)
    history = await manager.get(f"{PATH}/confirmation/history")
    assert "あなたが公開しました" in history.text
    assert "令和8年" in history.text
    assert "<ins>" in history.text
    assert "<del>" in history.text
    answer = await manager.post(f"{PATH}/confirmation/history", data={"text": "sms_ja", "version": "1"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}/confirmation/publish")
    assert (await told(service)).startswith("二番 ")
    await publish(manager)
    assert (await told(service)).startswith("町 ")
    rows = await service.rows("SELECT version, text FROM template_version WHERE language = 'ja' ORDER BY version")
    assert [row.text.split()[0] for row in rows] == ["町", "二番", "町"]


async def test_what_was_written_and_published_stays(service: Notifications, manager: httpx.AsyncClient) -> None:
    """Seen to fail without the trigger (published twice), and without the grants (text and row)."""
    await save(manager, **SMS)
    await publish(manager)
    for change in (
        "UPDATE template_version SET text = 'x'",
        "DELETE FROM template_version",
        "UPDATE template_version SET published_at = now()",
        "UPDATE template_version SET published_at = NULL, published_by = NULL",
    ):
        with pytest.raises(DBAPIError):
            async with service.db.begin(TOWN) as session:
                await session.execute(text(change))


async def test_each_town_and_each_office_has_its_own(
    service: Notifications, manager: httpx.AsyncClient, database: TestDatabase
) -> None:
    await save(manager, **SMS)
    await publish(manager)
    other = service.contact("sms", municipality=OTHER_TOWN)
    await service.hear(service.catalogue(municipality=OTHER_TOWN), other, service.booked(other))
    await service.settle()
    assert "予約できました" in str(max(service.sink.messages(channel="sms"), key=lambda sent: sent.number).text)
    for office in ("ないか", "x" * 500):
        assert (await manager.get(f"{PATH}/confirmation", params={"office": office})).status_code == 404
        assert (await save(manager, office=office, **SMS)).status_code == 404
    for path in ("/nothing", "/nothing/preview", "/nothing/publish", "/nothing/history"):
        assert (await manager.get(f"{PATH}{path}")).status_code == 404
    assert (await manager.get(f"{PATH}/confirmation", params={"office": OFFICE})).status_code == 200


async def test_a_town_whose_data_never_came_is_told_so(
    service: Notifications, database: TestDatabase, manager: httpx.AsyncClient
) -> None:
    await service.rows("WITH gone AS (DELETE FROM catalogue_town RETURNING 1) SELECT 1")
    answer = await manager.get(PATH)
    assert answer.status_code == 409
    assert REFUSALS["no_catalogue"].title in answer.text


@pytest.mark.parametrize("garbage", ["x", "sms_ja:x", "nothing:1", "sms_ja:" + "9" * 30, ":"])
async def test_garbage_is_told_kindly(manager: httpx.AsyncClient, garbage: str) -> None:
    await save(manager, **SMS)
    answer = await manager.post(f"{PATH}/confirmation/publish", data={"seen": garbage})
    assert answer.status_code in (400, 409)
    answer = await manager.post(f"{PATH}/confirmation/history", data={"text": garbage, "version": garbage})
    assert answer.status_code == 400
    answer = await manager.post(f"{PATH}/confirmation", data={"seen_sms_ja": garbage, "sms_ja": "x"})
    assert answer.status_code == 400


@pytest.mark.parametrize("case", ["usual", "longest", "discreet", "several", "helper", "?"])
async def test_a_preview_shows_every_channel_as_it_would_arrive(manager: httpx.AsyncClient, case: str) -> None:
    own = {
        f"{channel}_{language}": "{number} {when} {link} {procedure}"
        for channel in ("email", "sms", "line", "letter")
        for language in ("ja", "ja-easy", "en")
    }
    assert (await save(manager, **own)).status_code == 303
    for language in ("ja", "ja-easy", "en", "?"):
        query = urlencode({"case": case, "language": language})
        page = await manager.get(f"{PATH}/confirmation/preview?{query}")
        assert page.status_code == 200
        assert page.text.count("<section") == 5
        assert "SMS 2通" in page.text or "SMS 3通" in page.text
        if case == "discreet":
            assert "おくやみ" not in page.text
            assert "このときは、書かれた文では足りないので" in page.text
        if case == "usual":
            assert "町のことば" in page.text


async def test_every_kind_has_its_pages(manager: httpx.AsyncClient) -> None:
    listed = await manager.get(PATH)
    kinds = re.findall(rf'href="{PATH}/([a-z_]+)"', listed.text)
    assert len(kinds) == len(set(kinds)) == len(get_args(NoticeKind))
    for kind in kinds:
        for below in ("", "/preview", "/publish", "/history"):
            assert (await manager.get(f"{PATH}/{kind}{below}")).status_code == 200, (kind, below)
        untouched = await save(manager, kind)
        assert untouched.status_code == 303
    assert "下書きがあります" not in (await manager.get(PATH)).text
    await save(manager, **SMS)
    assert "下書きがあります" in (await manager.get(PATH)).text
