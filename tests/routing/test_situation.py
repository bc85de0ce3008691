"""The three questions on a procedure's page: by choice, without JavaScript, kept for one visit and nowhere else."""

import gzip
import logging
import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from services.routing.commands.tidying import tidy_up
from services.routing.domain.situation import SITUATION_LIFETIME
from services.routing.tables import availability, catalogue, counter, session_table, situation
from shared.db import Database
from shared.web.assets import BUILD_DIR, load_manifest
from shared.web.i18n import LANGUAGE_COOKIE
from tests.routing.applying import hidden, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import EMAIL, KANA, NAME, NOW, TOWN, new_key

NewVisitor = Callable[..., Visitor]
PAGE = "/procedures/CHI02"
SAID = {"until": "week", "phone": "none", "needs": "step_free"}
SEE_OTHER = 303
FIRST_VIEW_MAX_BYTES = 100_000


async def answer(visitor: Visitor, **fields: str) -> httpx.Response:
    return await visitor.post(f"{PAGE}/situation", fields or SAID)


async def kept(db: Database) -> list[tuple[str | None, str | None, list[str]]]:
    async with db.begin(TOWN) as session:
        rows = await session.execute(select(situation.c.until, situation.c.phone, situation.c.needs))
        return [(row.until, row.phone, row.needs) for row in rows]


def card(page: str, channel: str) -> str:
    found = re.search(rf'<section class="channel[^>]*id="channel-{channel}".*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def suggested(page: str) -> str:
    found = re.search(r'channel--suggested[^"]*" id="channel-(\w+)"', page)
    assert found
    return found[1]


async def test_answers_change_the_suggestion_and_say_why_and_hide_nothing(visitor: Visitor, db: Database) -> None:
    before = (await visitor.get(PAGE)).text
    assert suggested(before) == "online"
    assert "答えなくてもかまいません" in before
    assert "役場の係は見ません。24時間で消えます" in before
    sent = await answer(visitor)
    assert (sent.status_code, sent.headers["location"]) == (SEE_OTHER, PAGE)
    after = (await visitor.get(PAGE)).text
    assert suggested(after) == "counter"
    assert "スマートフォンもパソコンもいりません。" in card(after, "counter")
    assert "スマートフォンかパソコンがいります。" in card(after, "online")
    assert "あなたの答え：1週間のうちに、使わない・持っていない、階段がむずかしい" in after
    # Each way is one press of the same button, as before.
    for page in (before, after):
        buttons = {
            channel: re.findall(r'<button class="([^"]+)"', card(page, channel)) for channel in ("online", "counter")
        }
        assert buttons["online"] == buttons["counter"] == ["button button--primary button--wide"]
    assert sorted(re.findall(r'id="channel-(\w+)"', before)) == sorted(re.findall(r'id="channel-(\w+)"', after))
    assert await kept(db) == [("week", "none", ["step_free"])]


async def test_whoever_answers_nothing_is_nobody_and_nothing_is_kept(visitor: Visitor, db: Database) -> None:
    for fields in ({"until": ""}, {"forget": "yes"}, {"until": "never", "needs": "money"}, {"forget": "yes", **SAID}):
        sent = await answer(visitor, **fields)
        assert (sent.status_code, sent.headers["location"]) == (SEE_OTHER, PAGE)
        assert not visitor.http.cookies
    assert await kept(db) == []
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(func.count()).select_from(session_table))).scalar_one() == 0
    assert (await visitor.get(f"{PAGE}/situation")).headers["location"] == PAGE
    assert (await visitor.post("/procedures/NOPE/situation", SAID)).status_code == httpx.codes.NOT_FOUND


async def test_new_answers_take_the_place_of_those_before_and_can_be_forgotten(visitor: Visitor, db: Database) -> None:
    await answer(visitor)
    await answer(visitor, phone="alone")
    assert await kept(db) == [(None, "alone", [])]
    await answer(visitor, forget="yes", phone="alone")
    assert await kept(db) == []
    assert "あなたの答え：" not in (await visitor.get(PAGE)).text


async def test_answers_are_one_visitors_own_and_serve_their_other_procedures(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    await answer(visitor)
    assert "あなたの答え：" in (await visitor.get("/procedures/TAX01")).text
    assert "あなたの答え：" not in (await new_visitor().get(PAGE)).text
    # A life event's procedures are suggested by them too.
    made = await visitor.post("/life-events/move-in", {"children": "yes", "idempotency_key": new_key()})
    assert "おすすめ：役場の窓口" in (await visitor.get(made.headers["location"])).text


async def test_answers_stand_in_no_address_event_ledger_or_log(
    visitor: Visitor, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen to fail with answers in the address."""
    with caplog.at_level(logging.DEBUG):
        sent = await answer(visitor, until="tomorrow", phone="together", needs="interpreter")
        await visitor.get(PAGE)
        await visitor.open_case()
    assert "?" not in sent.headers["location"]
    async with db.begin(TOWN) as session:
        told = [
            str(row)
            for table in ("outbox", "ledger_entry", "audit", "case_file", "session")
            for row in await session.execute(text(f"SELECT * FROM routing.{table}"))
        ]
    for word in ("tomorrow", "together", "interpreter"):
        assert word not in caplog.text
        assert not any(f"'{word}'" in line or f'"{word}"' in line for line in told)


async def test_answers_are_gone_after_a_day_to_the_second(visitor: Visitor, db: Database, clock: TestClock) -> None:
    """Seen to fail with a day that ends a moment later."""
    await answer(visitor)
    clock.move(SITUATION_LIFETIME - timedelta(seconds=1))
    shown = await visitor.http.get(PAGE, follow_redirects=True)
    assert "あなたの答え：" in shown.text
    clock.move(timedelta(seconds=1))
    shown = await visitor.http.get(PAGE, follow_redirects=True)
    assert "あなたの答え：" not in shown.text
    async with db.begin(TOWN) as session:
        await tidy_up(session, TOWN, TOWN, clock() - timedelta(seconds=1))
    assert len(await kept(db)) == 1
    async with db.begin(TOWN) as session:
        await tidy_up(session, TOWN, TOWN, clock())
    assert await kept(db) == []


async def test_leaving_and_erasing_take_the_answers_along(
    new_visitor: NewVisitor, db: Database, clock: TestClock
) -> None:
    """Seen to fail where the end of a session leaves them."""
    leaving, erasing = new_visitor(), new_visitor()
    for one in (leaving, erasing):
        await answer(one)
    await leaving.post("/sign-out")
    assert len(await kept(db)) == 1
    case = await erasing.open_case()
    await erasing.tell(case, name=NAME, kana=KANA, reach="email", email=EMAIL)
    page = await erasing.get("/my/erase")
    fields = {"idempotency_key": hidden(page, "idempotency_key"), "understood": "yes"}
    done = await erasing.post("/my/erase", fields)
    assert done.status_code == SEE_OTHER, done.text
    assert await kept(db) == []


async def test_the_database_keeps_nothing_but_these_answers_and_forgets_them_with_the_session(
    visitor: Visitor, db: Database
) -> None:
    """Seen to fail without the checks, and without the cascade."""
    await answer(visitor)
    for column, value in (("until", "'2026-12-01'"), ("phone", "'090-1234-5678'"), ("needs", "'{腰が痛い}'")):
        with pytest.raises(IntegrityError):
            async with db.begin(TOWN) as session:
                await session.execute(text(f"UPDATE routing.situation SET {column} = {value}"))
    async with db.begin(TOWN) as session:
        await session.execute(session_table.delete().where(session_table.c.municipality == TOWN))
    assert await kept(db) == []


async def test_staff_compare_for_many_people_and_have_no_answers_of_their_own(visitor: Visitor, db: Database) -> None:
    staff = await sign_in(db, visitor, roles=("counter",), office="総合")
    await answer(staff)
    assert await kept(db) == []
    assert 'id="situation"' not in (await staff.get(PAGE)).text


async def test_what_was_given_before_is_named_as_what_need_not_be_written(visitor: Visitor) -> None:
    assert "書かずにすむこと" not in (await visitor.get(PAGE)).text
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME, kana=KANA)
    page = (await visitor.get(PAGE)).text
    for channel in ("online", "counter"):
        assert "書かずにすむこと" in card(page, channel)
        assert "お名前" in card(page, channel)
    assert NAME not in page
    assert KANA not in page


async def test_the_page_works_and_says_so_when_booking_was_not_heard_for_long_or_never(
    visitor: Visitor, db: Database
) -> None:
    page = (await visitor.get(PAGE)).text
    assert "空きのお知らせが、まだ届いていません。" in card(page, "counter")
    assert 'action="/cases"' in card(page, "counter")
    values = {"municipality": TOWN, "counter": "7", "earliest_at": NOW + timedelta(days=2), "version": 1}
    async with db.begin(TOWN) as session:
        await session.execute(availability.insert().values(**values, as_of=NOW - timedelta(hours=9)))
    page = (await visitor.get(PAGE)).text
    assert "空きのお知らせが、しばらく届いていません。" in card(page, "counter")
    assert "現在の空きです。" in card(page, "counter")
    assert 'action="/cases"' in card(page, "counter")


async def test_a_places_facts_are_the_towns_own_and_a_sample_is_said_to_be_one(visitor: Visitor, db: Database) -> None:
    assert "場所の設備、行き方、払い方は、見本のデータです" not in (await visitor.get(PAGE)).text
    async with db.begin(TOWN) as session:
        await session.execute(catalogue.update().values(places_confirmed=False, version=catalogue.c.version + 1))
        facts = {"access": ["step_free"], "payment": ["cash", "code"], "travel_ja": "駅から歩いて10分"}
        await session.execute(counter.update().values(**facts))
    page = (await visitor.get(PAGE)).text
    assert "場所の設備、行き方、払い方は、見本のデータです" in page
    for part in ("階段を使わずに行けます", "駅から歩いて10分", "行き帰りの時間は、ふくみません。"):
        assert part in card(page, "counter")
        assert part not in card(page, "online")
    # Where nothing is to be paid, nothing is said about how.
    assert "払い方" not in card(page, "counter")
    paid = (await visitor.get("/procedures/TAX01")).text
    assert "払い方：現金、スマートフォンのコード決済" in card(paid, "counter")
    assert "払い方は、受け付けたあとにお知らせします。" in card(paid, "online")


@pytest.mark.parametrize("language", ["ja", "ja-easy", "en"])
@pytest.mark.parametrize("path", ["/", PAGE])
async def test_the_first_view_stays_below_a_hundred_kilobytes(visitor: Visitor, path: str, language: str) -> None:
    """The page and everything it brings, as the proxy sends it."""
    visitor.http.cookies.set(LANGUAGE_COOKIE, language)
    page = await visitor.get(path)
    files = set(re.findall(r'(?:src|href)="/static/([\w.-]+)', page.text))
    assert {load_manifest(BUILD_DIR)[name] for name in ("app.css", "app.js")} <= files
    sent = len(gzip.compress(page.content, 6)) + sum((BUILD_DIR / f"{file}.gz").stat().st_size for file in files)
    assert sent < FIRST_VIEW_MAX_BYTES
