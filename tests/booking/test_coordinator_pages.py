"""The coordinator's pages: the week with its gaps, how helpers stand, messages, the insurance list, figures."""

import asyncio
import io
import re
import zipfile
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.asking import ask_this_helper
from services.booking.commands.assignments import on_helper_answer_due
from services.booking.commands.help_requests import AskForHelp, HelpWish, ask_for_help
from services.booking.commands.helper_messages import KEPT, SendMessage, send_message
from services.booking.commands.locking import lock_appointments
from services.booking.commands.standing import set_standing
from services.booking.commands.tidying import tidy_up
from services.booking.domain.helper_figures import percentile, published, share_percent, spread
from services.booking.domain.roster import Span, gaps
from services.booking.queries.helper_messages import Group
from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.events.booking import SealedMessage
from tests.booking.conftest import MORNING, TOWN, TownAfter
from tests.booking.help_town import SOON
from tests.booking.helpers_town import HALL, PHONE_HELP, SATO, SHED, TANAKA, HelperTown, open_with_venues
from tests.booking.test_helpers import COORDINATOR


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """A town with two helpers who are at the hall on Mondays. It is Monday, nine."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(SATO)
    await town.helper(TANAKA, languages=("ja", "en"))
    return town


def desk(helpers: HelperTown, *roles: str) -> httpx.AsyncClient:
    return helpers.town.browser("boss", kind="staff", roles=roles or ("coordinator",))


async def owner(helpers: HelperTown, sql: str, **values: Any) -> None:
    async with helpers.town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text(sql), values)


async def suspend(helpers: HelperTown, ref: str) -> None:
    async with helpers.town.db.begin(TOWN) as session:
        await set_standing(session, COORDINATOR, ref, "suspended", "insurance", now=helpers.town.now)


async def deeds(helpers: HelperTown) -> list[str]:
    rows = await helpers.town.rows("SELECT action FROM booking.audit ORDER BY occurred_at")
    return [row.action for row in rows]  # type: ignore[attr-defined]


def test_a_gap_is_an_opening_hour_in_which_nobody_is_there() -> None:
    nine_to_five = [Span(540, 720), Span(780, 1020)]
    assert gaps(nine_to_five, []) == nine_to_five
    assert gaps(nine_to_five, [Span(600, 660), Span(640, 700), Span(700, 800)]) == [
        Span(540, 600), Span(800, 1020),
    ]  # fmt: skip
    assert gaps(nine_to_five, [Span(0, 1440)]) == []
    assert gaps([], [Span(0, 1440)]) == []


def test_figures_of_few_and_of_many() -> None:
    assert [share_percent(1, 3), share_percent(0, 0)] == [33, None]
    assert [percentile([5, 1, 9, 3], 50), percentile([5, 1, 9, 3], 90), percentile([], 50)] == [3, 9, None]
    assert spread([0, 0, 1, 2, 4, 10, 11, 99]) == [2, 2, 1, 1, 2]
    assert [published(count) for count in (None, 0, 1, 4, 5)] == ["", "0", "<5", "<5", "5"]


async def test_the_week_shows_who_is_there_what_is_booked_and_where_nobody_is(helpers: HelperTown) -> None:
    await helpers.book()
    page = await desk(helpers).get("/helpers/roster")
    # The hall is open from nine to twelve, and they come at ten.
    for shown in ("2026年6月1日（月）から", "9:00〜10:00", "10:00〜12:00", "会う約束（1件）", "お返事待ち"):
        assert shown in page.text, shown
    assert "/helpers/roster/gap?venue=HALL" in page.text
    await owner(
        helpers,
        "INSERT INTO booking.helper_away VALUES (:town, gen_random_uuid(), :ref, :day, :day)",
        town=TOWN, ref=SATO, day=date(2026, 6, 8),
    )  # fmt: skip
    await suspend(helpers, TANAKA)
    next_week = re.search(r'href="(/helpers/roster\?week=2026-06-08)"', page.text)
    assert next_week is not None
    page = await desk(helpers).get(next_week[1])
    for shown in ("この日はお休み", "活動をお休み中", "9:00〜12:00"):
        assert shown in page.text, shown
    for odd in ("yesterday", "1999-01-01", "9999-99-99"):
        assert "2026年6月1日（月）から" in (await desk(helpers).get(f"/helpers/roster?week={odd}")).text


async def test_a_button_looks_for_somebody_else(helpers: HelperTown) -> None:
    await helpers.book()
    browser = desk(helpers)
    [url] = re.findall(r'action="(/helpers/roster/[^"]+/cover)"', (await browser.get("/helpers/roster")).text)
    assert (await browser.post(url)).headers["location"] == "/helpers/roster?told=cover"
    page = await browser.get("/helpers/roster?told=cover")
    assert "代わりを募集しています（1件）" in page.text
    assert "1人にお願いし、0人が「行けません」とお返事しました。" in page.text
    assert "start-cover" in await deeds(helpers)
    assert (await browser.get(url)).headers["location"] == "/helpers/roster"
    assert (await desk(helpers, "counter").post(url)).status_code == httpx.codes.FORBIDDEN


async def test_people_are_listed_and_what_is_kept_of_them_is_written(helpers: HelperTown) -> None:
    await owner(
        helpers,
        "INSERT INTO booking.topic VALUES (:town, 'line', 'LINEの使い方', 1), (:town, 'camera', 'カメラ', 1)",
        town=TOWN,
    )
    browser = desk(helpers)
    page = await browser.get("/helpers/people")
    for shown in ("Sato", "Tanaka", "日本語・英語", "活動中", "今月の活動：0回", "保険を確かめてください"):
        assert shown in page.text, shown
    dates = {f"registered_on_{part}": value for part, value in (("year", "令和7"), ("month", "4"), ("day", "1"))}
    wrong = await browser.post(f"/helpers/people/{SATO}", data=dates | {"registered_on_month": "13"})
    assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    kept = await browser.post(f"/helpers/people/{SATO}", data=dates | {"topics": ["line", "none such"]})
    assert kept.headers["location"] == f"/helpers/people/{SATO}?told=record"
    page = await browser.get(f"/helpers/people/{SATO}")
    for shown in ('value="2025"', "毎週 月曜日 10:00〜12:00 公民館"):
        assert shown in page.text, shown
    [row] = await helpers.town.rows("SELECT topics, trained_on FROM booking.helper WHERE helper_ref = :ref", ref=SATO)
    assert (row.topics, row.trained_on) == (["line"], None)  # type: ignore[attr-defined]
    for path in ("/helpers/people/nobody", "/helpers/people/%00"):
        assert (await browser.get(path)).status_code == httpx.codes.NOT_FOUND
        assert (await browser.post(path)).status_code == httpx.codes.NOT_FOUND
    assert {"view-helpers", "view-helper", "keep-helper-record"} <= set(await deeds(helpers))


async def test_who_is_suspended_hands_over_and_reads_why(helpers: HelperTown) -> None:
    booked = await helpers.book()
    assert await helpers.states() == {SATO: "asked"}
    assert (await helpers.free())[0] == 1
    browser = desk(helpers)
    url = f"/helpers/people/{SATO}/standing"
    unsaid = await browser.post(url, data={"standing": "suspended"})
    assert unsaid.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "「お休み中」のときは、わけも選んでください。" in unsaid.text
    for _ in range(2):
        done = await browser.post(url, data={"standing": "suspended", "suspended_for": "insurance"})
        assert done.headers["location"] == f"/helpers/people/{SATO}?told=standing"
    assert (await deeds(helpers)).count("helper-suspended") == 1
    assert await helpers.states() == {SATO: "released", TANAKA: "asked"}
    assert await helpers.appointment(booked) == ("booked", "asked")
    # The one place that is left is taken.
    assert await helpers.free() == [0, 1, 1, 1, 1, 1]
    own = await helpers.town.browser(SATO, kind="helper", roles=("helper",)).get("/helpers")
    assert "ボランティア保険の期限が過ぎています" in own.text
    await browser.post(url, data={"standing": "active", "suspended_for": ""})
    assert await helpers.free() == [1, 2, 2, 2, 2, 2]
    assert (
        "お休みしています"
        not in (await helpers.town.browser(SATO, kind="helper", roles=("helper",)).get("/helpers")).text
    )
    assert (await browser.get(url)).headers["location"] == f"/helpers/people/{SATO}"


async def test_a_standing_without_its_reason_is_none(helpers: HelperTown) -> None:
    for standing, reason in (("suspended", None), ("active", "talk")):
        async with helpers.town.db.begin(TOWN) as session:
            with pytest.raises(Refusal) as refused:
                await set_standing(session, COORDINATOR, SATO, standing, reason, now=helpers.town.now)  # type: ignore[arg-type]
        assert refused.value.code == "standing_unfit"


async def test_who_is_not_active_cannot_be_asked_by_anybody(helpers: HelperTown) -> None:
    await helpers.book()
    await suspend(helpers, TANAKA)
    browser = desk(helpers)
    page = await browser.get("/helpers/roster")
    assert "同じ時間に空いているサポーターは、ほかにいません。" in page.text
    [request] = await helpers.requests()
    refused = await browser.post(f"/helpers/roster/{request.assignment_id}/reassign", data={"helper": TANAKA})
    assert refused.status_code == httpx.codes.NOT_FOUND


async def test_whoever_suspends_sees_what_was_just_asked(helpers: HelperTown) -> None:
    """Seen to fail without the trigger `guard_active_helper`: SATO, suspended, stayed with the request."""
    booked = await helpers.book()
    [before] = await helpers.requests()
    await owner(helpers, "UPDATE booking.assignment SET state = 'released'")
    [row] = await helpers.town.rows(
        "SELECT * FROM booking.appointment WHERE appointment_id = :id", id=booked.appointment_id
    )
    assert before.helper_ref == SATO
    async with helpers.town.db.begin(TOWN) as asking:
        await ask_this_helper(asking, TOWN, row, SATO, now=helpers.town.now)
        suspending = asyncio.create_task(suspend(helpers, SATO))
        await asyncio.sleep(0.5)
        assert not suspending.done()
    await suspending
    live = await helpers.town.rows("SELECT helper_ref FROM booking.assignment WHERE state IN ('asked', 'accepted')")
    assert [each.helper_ref for each in live] == [TANAKA]  # type: ignore[attr-defined]


async def told(helpers: HelperTown, matter: str) -> list[str]:
    rows = await helpers.town.rows("SELECT payload FROM booking.outbox WHERE type LIKE '%helper_told%'")
    found = [msgspec.json.decode(bytes(row.payload)) for row in rows]  # type: ignore[attr-defined]
    return [each["helper_ref"] for each in found if each["matter"] == matter]


async def test_who_is_suspended_is_told_that_they_need_not_come(helpers: HelperTown) -> None:
    await helpers.book("first", slot=0)
    await helpers.book("second", slot=1)
    mine = [row.helper_ref for row in await helpers.requests()].count(SATO)
    assert mine == 1
    await suspend(helpers, SATO)
    assert await told(helpers, "cancelled") == [SATO]


async def test_whose_account_is_closed_is_told_nothing(helpers: HelperTown) -> None:
    await helpers.book()
    await helpers.hear(helpers.account(SATO, version=2, is_open=False))
    assert await helpers.states() == {SATO: "released", TANAKA: "asked"}
    assert await told(helpers, "cancelled") == []


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_visit_that_has_begun_goes_on(helpers: HelperTown, is_closed: bool) -> None:
    booked = await helpers.book()
    await helpers.answer(SATO, "accept")
    helpers.at(booked.starts_at + timedelta(minutes=10))
    if is_closed:
        await helpers.hear(helpers.account(SATO, version=2, is_open=False))
    else:
        await suspend(helpers, SATO)
    assert await helpers.states() == {SATO: "accepted"}
    assert await helpers.appointment(booked) == ("booked", "accepted")
    assert await told(helpers, "cancelled") == []


async def test_whoever_suspends_waits_for_appointments_before_the_helper(helpers: HelperTown) -> None:
    booked = await helpers.book()
    async with helpers.town.db.begin(TOWN) as other:
        await lock_appointments(other, TOWN, [booked.appointment_id])
        suspending = asyncio.create_task(suspend(helpers, SATO))
        await asyncio.sleep(0.5)
        assert not suspending.done()
        free = text("SELECT 1 FROM helper WHERE helper_ref = :ref FOR NO KEY UPDATE NOWAIT")
        assert (await other.execute(free, {"ref": SATO})).scalar_one() == 1
    await suspending
    assert await helpers.states() == {SATO: "released", TANAKA: "asked"}


async def test_a_group_is_written_to_once_after_a_look(helpers: HelperTown) -> None:
    browser = desk(helpers)
    words = {"subject": "7月の予定", "body": "7月の来られる時間を、\n教えてください。"}
    empty = await browser.post("/helpers/messages/preview", data={"subject": "", "body": ""})
    assert empty.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    nobody = await browser.post("/helpers/messages/preview", data=words | {"language": "pt"})
    assert nobody.status_code == httpx.codes.CONFLICT
    assert "あてはまるサポーターがいません" in nobody.text
    preview = await browser.post("/helpers/messages/preview", data=words | {"language": "en", "venue": HALL})
    assert "1人に送ります" in preview.text
    assert "公民館・英語" in preview.text
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', preview.text))
    assert set(sent) == {"message_id", "venue", "topic", "language", "standing", "subject", "body"}
    assert "7月の予定" in (await browser.post("/helpers/messages", data=sent | {"deed": "edit"})).text
    for _ in range(2):
        done = await browser.post("/helpers/messages", data=sent | {"deed": "send"})
        assert done.headers["location"] == "/helpers/messages?sent=1"
    rows = await helpers.town.rows("SELECT payload, sealed FROM booking.outbox WHERE type LIKE '%helper_told%'")
    [row] = rows
    told = msgspec.json.decode(bytes(row.payload))  # type: ignore[attr-defined]
    assert (told["helper_ref"], told["matter"]) == (TANAKA, "message")
    environ = helpers.town.environ
    box = ServiceBox.from_settings(environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    opened = msgspec.msgpack.decode(
        box.open_from("booking", "helper_message", row.sealed),  # type: ignore[attr-defined]
        type=SealedMessage,
    )
    assert opened == SealedMessage(subject=words["subject"], body=words["body"])
    page = await browser.get("/helpers/messages?sent=1")
    for shown in ("1人に送りました。", "7月の予定", "公民館・英語", "送った人：boss"):
        assert shown in page.text, shown
    assert (await deeds(helpers)).count("write-to-helpers") == 1
    for odd in ("/helpers/messages?sent=x", "/helpers/messages?venue=NONE"):
        assert (await browser.get(odd)).status_code == httpx.codes.OK
    assert (await browser.get("/helpers/messages/preview")).headers["location"] == "/helpers/messages"


async def test_who_is_suspended_is_written_to_only_when_chosen(helpers: HelperTown) -> None:
    await suspend(helpers, SATO)

    async def write(**group: Any) -> int:
        message = SealedMessage(subject="件名", body="本文")
        order = SendMessage(message_id=uuid4(), group=Group(**group), message=message)
        async with helpers.town.db.begin(TOWN) as session:
            return await send_message(session, COORDINATOR, order, helpers.town.keys, now=helpers.town.now)

    assert [await write(), await write(standing="suspended"), await write(standing="active")] == [1, 1, 1]
    for group, code in (({"topic": "line"}, "group_empty"), ({"venue": SHED}, "group_empty")):
        with pytest.raises(Refusal) as refused:
            await write(**group)
        assert refused.value.code == code
    too_long = SendMessage(message_id=uuid4(), group=Group(), message=SealedMessage(subject="件名", body="長" * 1_001))
    async with helpers.town.db.begin(TOWN) as session:
        with pytest.raises(Refusal) as unfit:
            await send_message(session, COORDINATOR, too_long, helpers.town.keys, now=helpers.town.now)
    assert unfit.value.code == "message_unfit"
    async with helpers.town.db.begin(TOWN) as session:
        await tidy_up(session, TOWN, now=helpers.town.now + KEPT)
        assert len((await session.execute(text("SELECT 1 FROM helper_message"))).all()) == 3
        await tidy_up(session, TOWN, now=helpers.town.now + KEPT + timedelta(seconds=1))
        assert (await session.execute(text("SELECT 1 FROM helper_message"))).all() == []


async def met(helpers: HelperTown, guest: str, **changes: Any) -> None:
    """Somebody came to their helper, who said so."""
    await helpers.book(guest, **changes)
    at = helpers.town.now
    [request] = [each for each in await helpers.requests() if each.state == "asked"]
    await helpers.answer(request.helper_ref, "accept", request.assignment_id)
    helpers.at(at + timedelta(days=1))
    await helpers.answer(request.helper_ref, "came", request.assignment_id)
    helpers.at(at)


async def test_the_insurance_list_on_the_page_and_as_files(helpers: HelperTown) -> None:
    await met(helpers, "one")
    await owner(helpers, "UPDATE booking.helper SET insured_until = '2026-05-31' WHERE helper_ref = :ref", ref=SATO)
    helpers.at(MORNING + timedelta(days=2))
    browser = desk(helpers)
    page = await browser.get("/helpers/insurance")
    for shown in ("Sato", "期限切れ", "保険の記録なし", "2026年5月31日", "保険を確かめる方が、2人います"):
        assert shown in page.text, shown
    refused = await browser.get("/helpers/insurance?first=2026-06-02&last=2026-06-01")
    assert refused.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    csv = await browser.get("/helpers/insurance/list.csv?first=2026-06-01&last=2026-06-02")
    lines = csv.content.decode("utf-8-sig").splitlines()
    assert lines[1:] == ["Tanaka,活動中,,,保険の記録なし,0,0.0", "Sato,活動中,,2026-05-31,期限切れ,1,1.0"]
    book = await browser.get("/helpers/insurance/list.xlsx")
    assert "Sato" in zipfile.ZipFile(io.BytesIO(book.content)).read("xl/sharedStrings.xml").decode()
    assert (await deeds(helpers)).count("view-helper-insurance") == 4
    assert (await desk(helpers, "counter").get("/helpers/insurance")).status_code == httpx.codes.FORBIDDEN


async def test_figures_of_a_month(helpers: HelperTown) -> None:
    subject = uuid4()
    await met(helpers, "one", subject_ref=subject, from_step="told")
    await met(helpers, "one again", slot=1, subject_ref=subject, from_step="told")
    await helpers.book("waits", from_step="opened")
    helpers.at(MORNING + timedelta(days=2))
    page = await desk(helpers).get("/helpers/figures")
    for shown in ("2026年6月", "（67%）", "入力の途中", "手続きを開いたところ（まだ何も入力していない）", "スマホ相談"):
        assert shown in page.text, shown
    figures = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", page.text))
    assert figures["依頼"] == "3件"
    assert figures["会えた"] == "2件"
    assert figures["前にも会った方"] == "1件"
    assert figures["活動の時間"] == "2.0時間"
    csv = await desk(helpers).get("/helpers/figures/month.csv?month=2026-06")
    told = dict(line.split(",") for line in csv.content.decode("utf-8-sig").splitlines())
    assert told["依頼"] == told["会えた"] == "<5"
    assert told["決まった割合（パーセント）"] == told["活動の時間"] == ""
    assert told["止まったところ・サポーターへ：スマホ相談・入力の途中"] == "<5"
    assert told["止まったところ・窓口へ：スマホ相談・入力の途中"] == "0"
    for odd in ("2026-13", "x", "1000-01", "2999-01"):
        assert "2026年6月" in (await desk(helpers).get(f"/helpers/figures?month={odd}")).text
    assert "0件" in (await desk(helpers).get("/helpers/figures?month=2026-05")).text


async def test_where_people_get_stuck_by_pages_of_a_form(helpers: HelperTown) -> None:
    """Whoever chose a time, whoever asked without one (again and again), and whoever went to a counter."""
    await helpers.book("chose", from_step="form:お子さんのこと")
    case = uuid4()
    for _ in range(2):
        visit_id = await helpers.town.visit(
            "asks", procedure=PHONE_HELP, channel="helper", from_step="identity", case_id=case
        )
        order = AskForHelp(municipality=TOWN, visit_id=visit_id, visitor="asks", wish=HelpWish(window=SOON))
        async with helpers.town.db.begin(TOWN) as session:
            await ask_for_help(session, order, helpers.town.keys, now=helpers.town.now)
    await helpers.town.booked("counter", from_step="form:お子さんのこと")
    await helpers.town.booked("by themselves", slot=1)
    page = await desk(helpers).get("/helpers/figures")
    table = page.text.split('id="steps"')[1].split("<tbody")[1].split("</table>")[0]
    rows = {tuple(re.findall(r">([^<>\s]+)</t[hd]>", row)) for row in table.split("<tr")[1:]}
    assert rows == {
        ("スマホ相談・お子さんのこと", "1", "0"),
        ("スマホ相談・本人確認", "1", "0"),
        ("児童手当の申請・お子さんのこと", "0", "1"),
    }


async def test_who_did_not_answer_is_counted_apart_from_who_declined(helpers: HelperTown) -> None:
    await helpers.book(procedure=PHONE_HELP)
    [request] = await helpers.requests()
    async with helpers.town.db.begin(TOWN) as session:
        await on_helper_answer_due(session, TOWN, str(request.assignment_id), helpers.town.now)
    [second] = [each for each in await helpers.requests() if each.state == "asked"]
    await helpers.answer(second.helper_ref, "decline", second.assignment_id)
    page = await desk(helpers).get("/helpers/figures")
    figures = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]*)</dd>", page.text))
    assert (figures["サポーターがことわった"], figures["お返事がなかった"]) == ("1件", "1件")
