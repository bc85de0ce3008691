"""「おぼえがない」「なおしてほしい」: a resident asks about an entry of their history, and staff must answer."""

import asyncio
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.routing.commands.protecting import protect
from services.routing.domain.inquiries import KINDS, MOVES, STATES, TEXT_MAX_LENGTH, WAITING_MAX
from services.routing.domain.town_days import CLOSES, JST, end_of_working_day, is_working_time
from services.routing.measuring import Measuring
from services.routing.metrics import OLDEST_INQUIRY_SECONDS
from services.routing.pages import inquiry_wording, office_inquiries
from services.routing.queries.holidays import list_holidays
from shared.clock import jst_day
from shared.db import Database
from shared.reference_number import show_number
from shared.tokens import Identity
from tests.conftest import TestDatabase
from tests.routing.applying import SEE_OTHER, apply, fill_in, hidden, office_path, press, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NAME, NOW, TOWN
from tests.routing.test_consumers import hear, make_reuse
from tests.routing.test_history import come_round, subject_of

NewVisitor = Callable[..., Visitor]
QUESTION = "10月に役場へ行ったおぼえがありません。"
ANSWER = "児童手当の申請の確認のために見ました。"


async def seen_entry(db: Database, **changes: Any) -> str:
    """Staff of the child-care office saw a name of the only visitor; the entry's id."""
    values = {"entry_type": "staff_viewed", "actor_kind": "staff", "office": "子育て", "target_service": "routing"}
    event = make_reuse(await subject_of(db), **(values | changes))
    await hear(db, event)
    return str(event.entry_id)


async def ask(visitor: Visitor, entry: str, kind: str = "unfamiliar", written: str = QUESTION) -> str:
    """Ask; return where the inquiry is."""
    answer = await visitor.post(f"/my/history/{entry}/{kind}", {"text": written})
    assert answer.status_code == SEE_OTHER, answer.text
    return answer.headers["location"]


async def answer(staff: Visitor, number: str, written: str = ANSWER) -> httpx.Response:
    """Staff open it and answer."""
    path = f"/office/inquiries/{number}"
    shown = await staff.get(path)
    assert shown.status_code == httpx.codes.OK, shown.text
    return await staff.post(f"{path}/answer", {"version": hidden(shown, "version"), "text": written})


async def rows(db: Database, query: str) -> list[Any]:
    async with db.begin(TOWN) as session:
        return list((await session.execute(text(query))).all())


# --- the town's rule ---


def at(*parts: int) -> datetime:
    """A moment in Japan."""
    return datetime(*parts, tzinfo=JST)  # type: ignore[arg-type, misc]  # year to second


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        # A Tuesday: Wednesday is the first day, and the second Thursday after it the seventh.
        (at(2026, 11, 24, 9, 10), date(2026, 12, 3)),
        # In the evening and at midnight of the day it is the same; a minute later it is another day.
        (at(2026, 11, 24, 23, 59), date(2026, 12, 3)),
        (at(2026, 11, 25, 0, 0), date(2026, 12, 4)),
        # On a Saturday, Monday is the first day.
        (at(2026, 11, 28, 12, 0), date(2026, 12, 8)),
        # 勤労感謝の日 (Monday 23 November 2026) does not count.
        (at(2026, 11, 20, 12, 0), date(2026, 12, 2)),
        # Nor do 12/29 to 1/3, and 成人の日 (11 January 2027).
        (at(2026, 12, 25, 12, 0), date(2027, 1, 12)),
    ],
)
def test_an_answer_is_due_at_the_close_of_the_seventh_working_day(asked: datetime, due: date) -> None:
    holidays = list_holidays(jst_day(asked), jst_day(asked) + timedelta(days=60))
    assert end_of_working_day(asked, 7, holidays) == datetime.combine(due, CLOSES, JST)


@pytest.mark.parametrize(
    ("moment", "works"),
    [
        (at(2026, 11, 24, 8, 29, 59), False),
        (at(2026, 11, 24, 8, 30), True),
        (at(2026, 11, 24, 17, 14, 59), True),
        (at(2026, 11, 24, 17, 15), False),
        (at(2026, 11, 23, 12, 0), False),
        (at(2026, 11, 28, 12, 0), False),
        (at(2026, 12, 28, 12, 0), True),
        (at(2026, 12, 29, 12, 0), False),
        (at(2027, 1, 4, 12, 0), True),
    ],
)
def test_when_the_town_hall_works(moment: datetime, works: bool) -> None:
    assert is_working_time(moment, list_holidays(date(2026, 11, 1), date(2027, 1, 31))) is works


def test_there_are_words_for_every_kind_and_state() -> None:
    for words in (inquiry_wording.KINDS, inquiry_wording.ASK_TITLES, inquiry_wording.ASK_FIELDS):
        assert set(words) == set(KINDS)
    for words in (inquiry_wording.STATES, inquiry_wording.STATE_LOOKS, inquiry_wording.STEPS):
        assert set(words) == set(STATES)
    for words in (office_inquiries.OFFICE_STATES, office_inquiries.OFFICE_STEPS):
        assert set(words) == set(STATES)
    assert {state for states in office_inquiries.STATES_OF.values() for state in states} == set(STATES)
    assert set(office_inquiries.STATES_OF) == set(office_inquiries.FILTERS)


# --- asking and answering ---


async def test_an_entry_is_asked_about_answered_and_closed(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await fill_in(visitor)
    entry = await seen_entry(db)
    page = await visitor.get("/my/history")
    for kind, label in (("unfamiliar", "おぼえがない"), ("correction", "なおしてほしい")):
        assert re.search(rf'href="/my/history/{entry}/{kind}">{label}', page.text)
    assert "子育ての職員が「お名前」を見ました" in (await visitor.get(f"/my/history/{entry}/unfamiliar")).text
    path = await ask(visitor, entry)
    number = path.rsplit("/", 1)[-1]
    waiting = await visitor.get(path)
    for part in (
        QUESTION,
        show_number(number),
        "返事を待っています",
        "2026年12月3日（木）までに、子育ての係がお答えします",
    ):
        assert part in waiting.text, part
    assert "問い合わせを終える" not in waiting.text, "nothing is closed before it was answered"
    assert f'href="{path}"' in (await visitor.get("/my/history")).text

    staff = await sign_in(db, new_visitor())
    assert "返事を待つもの1件" in (await staff.get("/office")).text
    listed = await staff.get("/office/inquiries")
    assert show_number(number) in listed.text
    assert (await staff.get("/office/inquiries", params={"number": show_number(number)})).headers[
        "location"
    ] == f"/office/inquiries/{number}"
    assert QUESTION in (await staff.get(f"/office/inquiries/{number}")).text
    assert (await answer(staff, number)).headers["location"] == f"/office/inquiries/{number}"
    assert "返事を待つもの" not in (await staff.get("/office")).text
    assert show_number(number) in (await staff.get("/office/inquiries?state=answered")).text

    answered = await visitor.get(path)
    assert ANSWER in answered.text
    assert "子育ての係が答えました" in answered.text
    for _ in range(2):
        assert (await visitor.post(f"{path}/close")).headers["location"] == path
    assert "終わりました" in (await visitor.get(path)).text
    assert await rows(db, "SELECT state, version FROM inquiry") == [("closed", 3)]
    assert re.search(rf'href="/my/history/{entry}/unfamiliar">', (await visitor.get("/my/history")).text), "again"


async def test_what_was_written_is_sealed_and_every_reading_of_it_is_in_the_ledger(
    db: Database, database: TestDatabase, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await fill_in(visitor)
    path = await ask(visitor, await seen_entry(db))
    staff = await sign_in(db, new_visitor())
    await answer(staff, path.rsplit("/", 1)[-1])
    await visitor.get(path)
    told = await rows(
        db,
        "SELECT entry_type, actor_kind, items, visibility FROM ledger_entry WHERE target_step = 'inquiry'"
        " ORDER BY occurred_at, entry_type, visibility",
    )
    assert sorted(tuple(row) for row in told) == sorted(
        [
            ("collected", "guest", ["inquiry"], "subject"),
            ("staff_viewed", "staff", ["inquiry"], "subject"),
            ("collected", "staff", ["inquiry_answer"], "subject"),
            # One's own question and answer came from two steps: an entry each.
            ("previewed", "guest", ["inquiry", "inquiry_answer"], "internal"),
        ]
    )
    deeds = await rows(db, "SELECT action FROM audit WHERE actor_kind = 'staff' ORDER BY action")
    assert {"answer_inquiry", "view_inquiry"} <= {row.action for row in deeds}
    await come_round(db)
    history = await visitor.get("/my/history")
    assert "子育ての職員が「問い合わせ」を見ました。目的は「問い合わせに答えるため」です。" in history.text
    assert "子育ての職員が「問い合わせへの返事」を入力しました" in history.text
    async with database.owner_engine("routing").connect() as connection:
        tables = (
            await connection.execute(
                text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'routing'")
            )
        ).scalars()
        for table in tables.all():
            kept = (await connection.execute(text(f'SELECT t::text FROM routing."{table}" t'))).scalars().all()
            for words in (QUESTION, ANSWER):
                assert not any(words in row or words.encode().hex() in row for row in kept), table


async def test_a_double_tap_is_one_inquiry_and_another_kind_another(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail without the unique index `inquiry_one_per_entry_idx`: two numbers."""
    await fill_in(visitor)
    entry = await seen_entry(db)
    paths = await asyncio.gather(*(ask(visitor, entry, written=f"{n}") for n in range(4)))
    assert len(set(paths)) == 1
    assert await rows(db, "SELECT count(*) FROM inquiry_step") == [(1,)]
    assert await rows(db, "SELECT count(*) FROM item WHERE key = 'inquiry'") == [(1,)]
    assert (await visitor.get(f"/my/history/{entry}/unfamiliar")).headers["location"] == paths[0]
    assert await ask(visitor, entry, "correction") != paths[0]


async def test_one_asks_again_once(db: Database, visitor: Visitor, clock: TestClock, new_visitor: NewVisitor) -> None:
    await fill_in(visitor)
    path = await ask(visitor, await seen_entry(db), written="")
    number = path.rsplit("/", 1)[-1]
    assert (await visitor.post(f"{path}/again", {"text": "はやすぎる"})).status_code == 409
    staff = await sign_in(db, new_visitor())
    await answer(staff, number)
    clock.move(timedelta(minutes=9))
    assert (await visitor.post(f"{path}/again", {"text": " "})).status_code == 422
    for _ in range(2):
        assert (await visitor.post(f"{path}/again", {"text": "だれが見たのですか"})).headers["location"] == path
    await answer(staff, number, "係の者が見ました。")
    shown = await visitor.get(path)
    order = [shown.text.index(part) for part in (ANSWER, "だれが見たのですか", "係の者が見ました。")]
    assert order == sorted(order)
    assert (await visitor.post(f"{path}/again", {"text": "まだ"})).status_code == 409
    assert "「訂正」や「利用停止」の請求" in shown.text
    assert await rows(db, "SELECT state, version, text_version IS NULL FROM inquiry_step ORDER BY version") == [
        ("open", 1, True),
        ("answered", 2, False),
        ("asked_again", 3, False),
        ("answered_again", 4, False),
    ]


async def test_of_two_who_answer_at_once_one_is_told(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without the lock (500), and without looking at the state."""
    await fill_in(visitor)
    number = (await ask(visitor, await seen_entry(db))).rsplit("/", 1)[-1]
    path = f"/office/inquiries/{number}"
    colleagues = [await sign_in(db, new_visitor()) for _ in range(4)]
    versions = [hidden(await who.get(path), "version") for who in colleagues]
    answers = await asyncio.gather(
        *(
            who.post(f"{path}/answer", {"version": version, "text": f"{n}"})
            for n, (who, version) in enumerate(zip(colleagues, versions, strict=True))
        )
    )
    assert sorted(each.status_code for each in answers) == [303, 409, 409, 409]
    late = next(each for each in answers if each.status_code == 409)
    assert "先に進んでいます" in late.text
    assert await rows(db, "SELECT count(*) FROM item WHERE key = 'inquiry_answer'") == [(1,)]


async def test_an_answer_is_to_the_question_that_was_read(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail without the question for the version: what was written to the first question answers the second."""
    await fill_in(visitor)
    path = await ask(visitor, await seen_entry(db))
    number = path.rsplit("/", 1)[-1]
    staff, slow = [await sign_in(db, new_visitor()) for _ in range(2)]
    old = hidden(await slow.get(f"/office/inquiries/{number}"), "version")
    await answer(staff, number)
    await visitor.post(f"{path}/again", {"text": "もう一度"})
    late = await slow.post(f"/office/inquiries/{number}/answer", {"version": old, "text": "さいしょの返事"})
    assert late.status_code == 409
    assert "さいしょの返事" in late.text, "what was written is kept"


async def test_an_answer_needs_words(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    await fill_in(visitor)
    number = (await ask(visitor, await seen_entry(db))).rsplit("/", 1)[-1]
    staff = await sign_in(db, new_visitor())
    for wrong in ("", " \n ", "あ" * (TEXT_MAX_LENGTH + 1), "だめ🙂"):
        assert (await answer(staff, number, wrong)).status_code == 422
    assert (await answer(staff, number, "あ" * TEXT_MAX_LENGTH)).status_code == SEE_OTHER


async def test_what_should_be_put_right_has_to_be_said(db: Database, visitor: Visitor) -> None:
    await fill_in(visitor)
    entry = await seen_entry(db)
    missing = await visitor.post(f"/my/history/{entry}/correction", {"text": ""})
    assert missing.status_code == 422
    assert 'href="#f-text"' in missing.text


async def test_what_one_can_put_right_oneself_is_told(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """In a case that is still open, and while a correction is asked for."""
    case = await fill_in(visitor)
    entry = await seen_entry(db, case_id=case.rsplit("/", 1)[-1])
    path = f"/my/history/{entry}/correction"
    assert f'href="{case}/form"' in (await visitor.get(path)).text
    assert f'href="{case}/form"' not in (await visitor.get(f"/my/history/{entry}/unfamiliar")).text
    counter = await visitor.open_case()
    await visitor.tell(counter, name=NAME, kana="さきこ")
    other = await seen_entry(db, case_id=counter.rsplit("/", 1)[-1])
    assert f'href="{counter}/you"' in (await visitor.get(f"/my/history/{other}/correction")).text
    number = await apply(visitor)
    [sent] = await rows(db, "SELECT case_id FROM application")
    entry = await seen_entry(db, case_id=sent.case_id)
    path, form = f"/my/history/{entry}/correction", f'href="/cases/{sent.case_id}/form"'
    assert form not in (await visitor.get(path)).text, "the office has it"
    staff = await sign_in(db, new_visitor())
    await press(staff, await office_path(db, number), "ask-correction", reason="口座")
    assert form in (await visitor.get(path)).text


# --- whose it is ---


async def test_nobody_else_sees_or_changes_an_inquiry(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    await fill_in(visitor)
    entry = await seen_entry(db)
    path = await ask(visitor, entry)
    number = path.rsplit("/", 1)[-1]
    nobody = new_visitor()
    await nobody.open_case()
    stranger = new_visitor()
    await fill_in(stranger)
    other_office = await sign_in(db, new_visitor(), office="戸籍")
    for who in (nobody, stranger, other_office):
        for address in (path, f"/my/history/{entry}/unfamiliar"):
            refused = await who.get(address)
            assert refused.status_code == 404, address
            assert QUESTION not in refused.text
        assert (await who.post(f"/my/history/{entry}/unfamiliar", {"text": "わたしの"})).status_code == 404
        for action in ("close", "again"):
            assert (await who.post(f"{path}/{action}", {"text": "ほかの人"})).status_code == 404
    assert (await other_office.get(f"/office/inquiries/{number}")).status_code == 403
    assert (
        await other_office.post(f"/office/inquiries/{number}/answer", {"version": "1", "text": "返事"})
    ).status_code == 403
    assert show_number(number) not in (await other_office.get("/office/inquiries")).text
    manager = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    assert show_number(number) in (await manager.get("/office/inquiries")).text
    assert QUESTION in (await manager.get(f"/office/inquiries/{number}")).text


async def test_an_entry_without_an_office_is_the_procedures_or_the_general_ones(db: Database, visitor: Visitor) -> None:
    await fill_in(visitor)
    for changes in ({}, {"target_procedure": None, "source_procedure": None}):
        await ask(visitor, await seen_entry(db, office=None, **changes))
    assert sorted(row.office for row in await rows(db, "SELECT office FROM inquiry")) == ["子育て", "総合"]


async def test_an_internal_entry_cannot_be_asked_about(db: Database, visitor: Visitor) -> None:
    await fill_in(visitor)
    for unknown in (await seen_entry(db, visibility="internal"), str(uuid4()), "x"):
        assert (await visitor.get(f"/my/history/{unknown}/unfamiliar")).status_code == 404
        assert (await visitor.post(f"/my/history/{unknown}/unfamiliar")).status_code == 404
    assert (await visitor.get(f"/my/history/{await seen_entry(db)}/anything")).status_code == 404


async def test_so_many_wait_at_a_time(db: Database, visitor: Visitor) -> None:
    await fill_in(visitor)
    for _ in range(WAITING_MAX):
        await ask(visitor, await seen_entry(db))
    refused = await visitor.post(f"/my/history/{await seen_entry(db)}/unfamiliar", {"text": QUESTION})
    assert refused.status_code == 409
    assert await rows(db, "SELECT count(*) FROM inquiry") == [(WAITING_MAX,)]


# --- late ---


async def test_what_is_late_is_marked_and_comes_first(
    db: Database, visitor: Visitor, clock: TestClock, new_visitor: NewVisitor
) -> None:
    await fill_in(visitor)
    late = (await ask(visitor, await seen_entry(db))).rsplit("/", 1)[-1]
    [row] = await rows(db, "SELECT due_at FROM inquiry")
    measuring = Measuring(db, clock)
    clock.now = row.due_at
    staff = await sign_in(db, new_visitor())
    await visitor.get("/session/renew?next=/")
    fresh = (await ask(visitor, await seen_entry(db))).rsplit("/", 1)[-1]
    assert "期限をすぎ" not in (await staff.get("/office/inquiries")).text, "until the closing time it is not late"
    clock.move(timedelta(seconds=1))
    listed = (await staff.get("/office/inquiries")).text
    assert listed.index(show_number(late)) < listed.index(show_number(fresh))
    assert listed.count("期限をすぎています") == 1
    assert "期限をすぎたもの1件" in (await staff.get("/office")).text
    assert "お返事がおそくなっています" in (await visitor.get(f"/my/inquiries/{late}")).text
    await measuring.measure()
    assert OLDEST_INQUIRY_SECONDS._value.get() == (clock.now - NOW).total_seconds()
    for number in (late, fresh):
        await answer(staff, number)
    await measuring.measure()
    assert OLDEST_INQUIRY_SECONDS._value.get() == 0


# --- what the database refuses ---


async def is_let_through(db: Database, state: str, version: int) -> bool:
    """Whether the application may move the only inquiry so; it stays as it was."""
    try:
        async with db.begin(TOWN) as session:
            await session.execute(
                text("UPDATE inquiry SET state = :state, version = :version"), {"state": state, "version": version}
            )
            await session.rollback()
    except IntegrityError as error:
        assert "an inquiry cannot go from" in str(error)  # noqa: PT017 - the other outcome is none
        return False
    return True


async def test_the_database_lets_no_other_move_through(db: Database, database: TestDatabase, visitor: Visitor) -> None:
    """Seen to fail without the trigger `guard_inquiry`."""
    await fill_in(visitor)
    await ask(visitor, await seen_entry(db))
    for state in STATES:
        for to in STATES:
            async with database.owner_engine("routing").begin() as connection:
                await connection.execute(text("ALTER TABLE routing.inquiry DISABLE TRIGGER guard_inquiry"))
                await connection.execute(text("UPDATE routing.inquiry SET state = :s, version = 1"), {"s": state})
                await connection.execute(text("ALTER TABLE routing.inquiry ENABLE TRIGGER guard_inquiry"))
            for version in (1, 2):
                allowed = to in MOVES[state] and version == 2
                assert await is_let_through(db, to, version) is allowed, (state, to, version)


async def test_an_entry_of_ones_family_is_asked_about_as_well(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await fill_in(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await visitor.post(f"{case}/person", {"person": "new"})
    async with db.begin(TOWN) as session:
        child = (await session.execute(text("SELECT subject_ref FROM session_person"))).scalar_one()
    event = make_reuse(child, entry_type="staff_viewed", actor_kind="staff", office="子育て", target_service="routing")
    await hear(db, event)
    path = await ask(visitor, str(event.entry_id))
    assert QUESTION in (await visitor.get(path)).text
    staff = await sign_in(db, new_visitor())
    assert (await answer(staff, path.rsplit("/", 1)[-1])).status_code == SEE_OTHER
    assert ANSWER in (await visitor.get(path)).text
    stranger = new_visitor()
    await fill_in(stranger)
    assert (await stranger.get(path)).status_code == httpx.codes.NOT_FOUND


async def test_what_a_protected_person_asks_is_read_where_it_was_sent(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    entry = await seen_entry(db)
    manager = Identity(municipality=TOWN, kind="staff", ref="m", session_id="m", roles=("manager",))
    async with db.begin(TOWN) as session:
        await protect(session, identity=manager, case_id=UUID(case.rsplit("/", 1)[-1]), now=NOW)
    path = await ask(visitor, entry)
    staff = await sign_in(db, new_visitor())
    assert QUESTION in (await staff.get(f"/office/inquiries/{path.rsplit('/', 1)[-1]}")).text
    assert (await answer(staff, path.rsplit("/", 1)[-1])).status_code == SEE_OTHER
    assert ANSWER in (await visitor.get(path)).text
