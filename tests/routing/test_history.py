"""The history of a person's own items: what is listed, chosen, printed and kept."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
from sqlalchemy import event, select, text

from services.routing.consumers import on_reuse_recorded
from services.routing.queries.history import HISTORY_PAGE, list_history
from services.routing.tables import ledger, session_table
from shared.db import Database
from shared.events.ledger import ReuseRecorded
from tests.routing.conftest import Visitor
from tests.routing.makers import NAME, NOW, OTHER_TOWN, TOWN
from tests.routing.test_consumers import hear, make_reuse
from tests.routing.test_pages import GARBAGE, answer_offers, fill

NewVisitor = Callable[..., Visitor]


async def come_round(db: Database) -> None:
    """Everything that routing's own ledger told arrives on the person's page."""
    async with db.begin(TOWN) as session:
        told = "SELECT payload FROM outbox WHERE type = 'ledger.reuse_recorded.v1' ORDER BY occurred_at"
        for payload in (await session.execute(text(told))).scalars().all():
            await on_reuse_recorded(session, msgspec.json.decode(bytes(payload), type=ReuseRecorded), now=NOW)


async def subject_of(db: Database) -> UUID:
    """The only visitor's subject."""
    async with db.begin(TOWN) as session:
        found: UUID = (
            await session.execute(select(session_table.c.subject_ref).where(session_table.c.subject_ref.is_not(None)))
        ).scalar_one()
    return found


async def test_history_is_newest_first_counted_filtered_and_of_one_person(db: Database) -> None:
    me, other = uuid4(), uuid4()
    first = make_reuse(me, entry_type="collected", service="routing", target_service="routing")
    used = make_reuse(me, occurred_at=NOW + timedelta(minutes=1), items=("name", "kana"))
    sent = make_reuse(
        me, service="notifications", target_service="notifications", office="子育て", items=("contact",),
        occurred_at=NOW + timedelta(minutes=2),
    )  # fmt: skip
    hidden = make_reuse(me, visibility="internal")
    await hear(db, sent, first, used, used, hidden, make_reuse(other), make_reuse(me, municipality=OTHER_TOWN))
    async with db.begin(TOWN) as session:
        history = await list_history(session, TOWN, me)
        booking_only = await list_history(session, TOWN, me, service="booking")
        of_office = await list_history(session, TOWN, me, office="子育て")
    assert [entry.entry_id for entry in history.entries] == [sent.entry_id, used.entry_id, first.entry_id]
    assert (history.total, history.spared_items, history.offices) == (3, 3, ("子育て",))
    assert [entry.entry_id for entry in booking_only.entries] == [used.entry_id]
    assert (booking_only.total, booking_only.spared_items) == (1, 3)
    assert [entry.entry_id for entry in of_office.entries] == [sent.entry_id]


async def test_a_long_history_comes_in_pages(db: Database) -> None:
    me = uuid4()
    await hear(db, *(make_reuse(me, occurred_at=NOW + timedelta(seconds=n)) for n in range(HISTORY_PAGE + 1)))
    async with db.begin(TOWN) as session:
        first = await list_history(session, TOWN, me)
        second = await list_history(session, TOWN, me, skip=HISTORY_PAGE)
    assert (len(first.entries), first.has_more) == (HISTORY_PAGE, True)
    assert (len(second.entries), second.has_more) == (1, False)


async def test_history_says_that_the_counter_saw_a_name_for_calling(db: Database, visitor: Visitor) -> None:
    await fill(visitor)
    async with db.begin(TOWN) as session:
        subject_ref = (await session.execute(select(session_table.c.subject_ref))).scalar_one()
        for office in ("子育て", None):
            event = make_reuse(
                subject_ref, entry_type="staff_viewed", actor_kind="staff", office=office, target_step="line",
                source_collected_at=None, items=("name", "kana"),
            )  # fmt: skip
            await on_reuse_recorded(session, event, now=NOW)
    text = (await visitor.get("/my/history")).text
    assert "窓口の係（子育ての職員）が、お呼びするために「お名前、お名前のよみがな」を見ました。" in text
    assert "窓口の係（役場の職員）が、お呼びするために「お名前、お名前のよみがな」を見ました。" in text


async def test_history_shows_every_reuse_in_plain_sentences(db: Database, visitor: Visitor) -> None:
    case = await fill(visitor)
    await answer_offers(visitor, case, kana="no")
    waiting = await visitor.get("/my/history")
    assert "まだ届いていない記録が" in waiting.text
    async with db.begin(TOWN) as session:
        subject_ref = (await session.execute(select(session_table.c.subject_ref))).scalar_one()
        for row in (await session.execute(select(ledger.tables.entry))).all():
            event = make_reuse(
                subject_ref,
                **{name: getattr(row, name) for name in ("entry_id", "entry_type", "actor_kind", "target_service",
                                                         "purpose", "legal_basis", "visibility", "occurred_at")},
                items=tuple(row.items),
                service="routing",
            )  # fmt: skip
            await on_reuse_recorded(session, event, now=NOW)
        await on_reuse_recorded(session, make_reuse(subject_ref, actor_kind="system"), now=NOW)
    answer = await visitor.get("/my/history")
    for part in (
        "あなたが「お名前、お名前のよみがな」を入力しました。",
        "あなたが「お名前」を窓口の予約へわたすことを認めました。目的は「窓口でお名前をお呼びするため」です。",
        "あなたが「お名前のよみがな」を窓口の予約へわたさないことにしました。",
        "窓口の予約が「お名前」を使いました。もう一度書かずにすみました。",
        "2026年（令和8年）11月24日",
        "児童手当の申請",
    ):
        assert part in answer.text, part
    assert "まだ届いていない" not in answer.text
    assert NAME not in answer.text
    filtered = await visitor.get("/my/history", params={"service": "notifications"})
    assert "お知らせの係" in filtered.text
    assert "「お名前」を使いました" not in filtered.text
    copy = (await visitor.get("/my/history.json")).json()
    assert (copy["total"], copy["spared_items"]) == (len(copy["entries"]), 1)
    assert NAME not in str(copy)


async def test_an_empty_history_explains_itself(visitor: Visitor) -> None:
    await visitor.open_case()
    answer = await visitor.get("/my/history")
    assert "まだ記録はありません" in answer.text
    assert (await visitor.get("/my/history.json")).json()["entries"] == []


async def test_garbage_in_the_filters_is_no_filter(visitor: Visitor) -> None:
    await fill(visitor)
    for garbage in [*GARBAGE, "9" * 40, "-3", "0"]:
        for name in ("service", "office", "procedure", "page"):
            assert (await visitor.get("/my/history", params={name: garbage})).status_code == httpx.codes.OK


async def test_a_procedure_is_chosen_by_its_name_and_the_choice_is_kept_over_the_pages(
    db: Database, visitor: Visitor
) -> None:
    await fill(visitor)
    me = await subject_of(db)
    many = [make_reuse(me, occurred_at=NOW - timedelta(seconds=n), office="子育て") for n in range(HISTORY_PAGE + 5)]
    await hear(db, *many, make_reuse(me, target_procedure="RES01", source_procedure="RES01", items=("address",)))
    first = await visitor.get("/my/history")
    assert re.search(r'<option value="CHI02">児童手当の申請</option>', first.text)
    chosen = {"procedure": "CHI02", "office": "子育て", "service": "booking"}
    page = await visitor.get("/my/history", params=chosen)
    assert "「住所」" not in page.text
    assert page.text.count("<time datetime=") == HISTORY_PAGE
    [older] = re.findall(r'href="(/my/history\?[^"]*page=2)"', page.text)
    rest = await visitor.get(unescape(older))
    assert rest.text.count("<time datetime=") == 5
    assert f"{HISTORY_PAGE + 5}件の記録があります" in rest.text
    assert rest.text.count(" selected>") == 3, "the choice stays chosen"
    only = await visitor.get("/my/history", params={"procedure": "RES01"})
    assert only.text.count("<time datetime=") == 1
    assert "「住所」" in only.text


async def test_paper_and_file_have_all_that_was_chosen(db: Database, visitor: Visitor) -> None:
    await fill(visitor)
    me = await subject_of(db)
    for office, count in (("子育て", HISTORY_PAGE * 2), ("戸籍", 3)):
        await hear(db, *(make_reuse(me, occurred_at=NOW - timedelta(hours=n), office=office) for n in range(count)))
    page = await visitor.get("/my/history", params={"office": "子育て"})
    paper, file = (
        unescape(re.findall(rf'href="({start}[^"]*)"', page.text)[0])
        for start in ("/my/history/print", "/my/history.json")
    )
    sheet = await visitor.get(paper)
    assert sheet.text.count("<time datetime=") == HISTORY_PAGE * 2
    assert "えらんだもの：子育て" in sheet.text
    assert f"ぜんぶで{HISTORY_PAGE * 2}件" in sheet.text
    assert len((await visitor.get(file)).json()["entries"]) == HISTORY_PAGE * 2
    everything = await visitor.get("/my/history/print")
    assert everything.text.count("<time datetime=") == HISTORY_PAGE * 2 + 3
    assert "2026年11月20日（金）から2026年11月24日（火）までの記録です。" in everything.text


async def test_entries_of_one_day_stand_under_that_day(db: Database, visitor: Visitor) -> None:
    await fill(visitor)
    me = await subject_of(db)
    midnight = NOW.replace(day=20, hour=15, minute=0)
    await hear(db, make_reuse(me, occurred_at=midnight), make_reuse(me, occurred_at=midnight - timedelta(seconds=1)))
    days = re.findall(r'<h2 class="history__day" id="day-([\d-]+)">', (await visitor.get("/my/history")).text)
    assert days == ["2026-11-21", "2026-11-20"]


async def test_a_long_history_asks_the_database_no_more_often_than_a_short_one(db: Database, visitor: Visitor) -> None:
    await fill(visitor)
    me = await subject_of(db)
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    async def count(path: str) -> int:
        sent.clear()
        event.listen(db.engine.sync_engine, "before_cursor_execute", note)
        try:
            assert (await visitor.get(path)).status_code == httpx.codes.OK
        finally:
            event.remove(db.engine.sync_engine, "before_cursor_execute", note)
        return len(sent)

    await hear(db, make_reuse(me))
    short = [await count(path) for path in ("/my/history", "/my/history/print", "/my/history.json")]
    entries = [make_reuse(me, occurred_at=NOW - timedelta(hours=n)) for n in range(HISTORY_PAGE)]
    await hear(db, *entries)
    for entry in entries[:5]:
        await visitor.post(f"/my/history/{entry.entry_id}/unfamiliar")
    assert [await count(path) for path in ("/my/history", "/my/history/print", "/my/history.json")] == short
