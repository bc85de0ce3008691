"""The thread of a case: fed by events in any order, shown and printed, opened by link or code, given up."""

import random
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import text

from services.routing.domain.channels import OLD_AFTER
from services.routing.keys import Keys
from services.routing.pages.thread import NEWEST
from services.routing.queries.thread import find_case_row, read_thread
from services.routing.tables import availability
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentCancelled, AppointmentChanged, AppointmentProgressed
from shared.events.notifications import NoticeProgressed
from shared.events.routing import SealedApplicationAccess
from shared.passes import CASE_OPENING_LIFETIME, CaseOpening, seal_case_opening
from tests.conftest import TestDatabase
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, fill_in, office_path, press, send, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import EMAIL, KANA, NAME, NOW, OTHER_TOWN, TOWN
from tests.routing.test_consumers import hear, make_appointment
from tests.routing.test_family import begin_for
from tests.routing.test_feedback import rows
from tests.routing.test_history import come_round
from tests.routing.test_pages import answer_offers, fill

NewVisitor = Callable[..., Visitor]
NOT_FOUND, CONFLICT, GONE = 404, 409, 410
REASON = "口座の名義を、なおしてください。"


def id_of(case: str) -> UUID:
    return UUID(case.split("/")[2])


def make_notice(case: str, version: int = 1, **changes: Any) -> NoticeProgressed:
    notice_id = changes.pop("notice_id", None) or uuid4()
    values: dict[str, Any] = {
        "event_id": uuid4(), "municipality": TOWN, "aggregate_id": str(notice_id), "aggregate_version": version,
        "occurred_at": NOW + timedelta(minutes=version), "notice_id": notice_id, "case_id": id_of(case),
        "kind": "confirmation", "way": "email", "state": "sent",
    }  # fmt: skip
    return NoticeProgressed(**(values | changes))


def appointment_events(case: str) -> list[Any]:
    """Booked, moved, received, called, done."""
    case_id = id_of(case)

    def made(kind: Any, version: int, state: str) -> Any:
        at = NOW + timedelta(minutes=version)
        starts_at = NOW + timedelta(hours=1 if version == 1 else 2)
        return make_appointment(
            kind, version, state, case_id=case_id, occurred_at=at, starts_at=starts_at, number="K4M7RXA"
        )

    return [
        made(AppointmentBooked, 1, "booked"),
        made(AppointmentChanged, 2, "booked"),
        made(AppointmentProgressed, 3, "checked_in"),
        made(AppointmentProgressed, 4, "called"),
        made(AppointmentProgressed, 5, "done"),
    ]


async def thread_of(db: Database, case: str) -> Any:
    async with db.begin(TOWN) as session:
        row = await find_case_row(session, TOWN, id_of(case))
        assert row is not None
        return await read_thread(session, row, now=NOW)


async def kinds(db: Database, case: str) -> list[str]:
    """What happened, the first first."""
    return [entry.kind for entry in reversed((await thread_of(db, case)).entries)]


def booking_box(database: TestDatabase) -> ServiceBox:
    environ = database.environ
    return ServiceBox.from_settings(environ["CHOUDO_BOOKING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])


async def test_the_thread_tells_what_happened_over_all_services(db: Database, visitor: Visitor) -> None:
    case = await fill(visitor)
    await answer_offers(visitor, case)
    await come_round(db)
    await hear(db, *appointment_events(case), make_notice(case))
    page = await visitor.get(f"{case}/thread")
    assert page.status_code == httpx.codes.OK
    for words in (
        "手続きを始めました（役場の窓口）",
        "3項目を入力しました（お名前、お名前のよみがな、連絡先）",
        "予約をとりました：2026年11月24日（火）",
        "予約を変えました",
        "受付をしました",
        "お呼びしました",
        "予約の用事が終わりました",
        "お知らせ「予約の確認」を、メールで送りました",
        "子育ての窓口",
        "あなた",
    ):
        assert words in page.text, words
    # The newest stands first, and no value is told.
    assert page.text.index("予約の用事が終わりました") < page.text.index("手続きを始めました（")
    assert not [value for value in (NAME, KANA, EMAIL) if value in page.text]


async def test_whatever_comes_when_and_however_often_the_thread_is_one(db: Database, visitor: Visitor) -> None:
    """Seen to fail without `ON CONFLICT`, and with the notice's version not looked at."""
    case = await visitor.open_case()
    notice_id = uuid4()
    told = [
        *appointment_events(case),
        make_notice(case, 1, notice_id=notice_id),
        make_notice(case, 2, notice_id=notice_id, state="not_delivered"),
    ]
    seen = set()
    for seed in range(6):
        async with db.begin(TOWN) as session:
            for table in ("appointment_step", "case_notice", "appointment"):
                await session.execute(text(f"DELETE FROM {table}"))
        chance = random.Random(seed)
        await hear(db, *chance.sample(told * 2, len(told) * 2))
        seen.add(tuple(await kinds(db, case)))
    assert seen == {
        ("begun", "booked", "moved", "notice_not_delivered", "arrived", "called", "done"),
    }  # fmt: skip


async def test_what_is_told_of_an_erased_case_leaves_no_trace(db: Database, visitor: Visitor) -> None:
    """Seen to fail where the rows are written without the case."""
    case = f"/cases/{uuid4()}"
    await hear(db, *appointment_events(case), make_notice(case))
    assert await rows(db, "SELECT (SELECT count(*) FROM appointment_step), (SELECT count(*) FROM case_notice)") == [
        (0, 0)
    ]
    # And what was told before goes with it.
    mine = await visitor.open_case()
    await visitor.tell(mine, name=NAME, kana=KANA)
    await hear(db, *appointment_events(mine), make_notice(mine))
    page = await visitor.get("/my/erase")
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    answer = await visitor.post("/my/erase", fields | {"understood": "yes"})
    assert answer.status_code == SEE_OTHER, answer.text
    for table in ("appointment_step", "case_notice", "case_step"):
        assert await rows(db, f"SELECT count(*) FROM {table}") == [(0,)], table


async def test_an_application_and_its_switches_are_told(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    for channel in ("counter", "online"):
        answer = await visitor.post(f"{case}/channel", CHI02_FORM | {"channel": channel})
        assert answer.status_code == SEE_OTHER, answer.text
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    await press(staff, path, "ask-correction", reason=REASON)
    page = await visitor.get(f"{case}/thread")
    for words in (
        "やり方を「役場の窓口」に変えました",
        "申請を送りました",
        "なおすことをお願いしました",
        "申請をなおす",
    ):
        assert words in page.text, words
    assert REASON not in page.text
    await send(visitor, case)
    for action in ("accept", "complete"):
        assert (await press(staff, path, action)).status_code == SEE_OTHER
    assert await kinds(db, case) == [
        "begun", "switched", "switched", "submitted", "correction_asked", "answered", "accepted", "completed",
    ]  # fmt: skip
    page = await visitor.get(f"{case}/thread")
    assert f'href="{case}/feedback"' in page.text
    await visitor.post(f"{case}/feedback", {"ease": "easy", "worked": "yes", "text": ""})
    assert (await kinds(db, case))[-1] == "feedback"


async def test_a_case_leads_to_its_open_step_and_then_to_its_thread(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case()
    assert (await visitor.get(case)).headers["location"] == f"{case}/you"
    await hear(db, *appointment_events(case)[:1])
    assert (await visitor.get(case)).headers["location"] == f"{case}/thread"


async def test_who_opened_an_application_by_its_code_sees_its_case_and_no_other(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, keys: Keys
) -> None:
    """Seen to fail with the cookie not asked for."""
    number = await apply(visitor)
    [(application_id, case_id)] = await rows(db, "SELECT application_id, case_id FROM application")
    other = await visitor.open_case()
    bearer = new_visitor()
    thread = f"/cases/{case_id}/thread"
    assert (await bearer.get(thread)).status_code == NOT_FOUND
    code = keys.application_code(TOWN, application_id)
    answer = await bearer.post("/applications/find", {"number": number, "code": code})
    assert answer.status_code == SEE_OTHER
    page = await bearer.get(thread)
    assert "この手続きだけを開いています" in page.text
    assert "申請を送りました" in page.text
    assert "この手続きをやめる" not in page.text
    # Relays have the link, too: how notices come is for whoever began it.
    assert "/notices/arrive" in (await visitor.get(thread)).text
    assert "/notices/arrive" not in page.text
    printed = await bearer.get(f"/cases/{case_id}/print")
    assert number[:4] in printed.text
    assert code not in printed.text
    for path in (f"{other}/thread", f"{other}/print", f"{other}/feedback"):
        assert (await bearer.get(path)).status_code == NOT_FOUND, path
    # What was opened is listed, for a visitor who has nothing of their own.
    mine = await bearer.http.get("/my", follow_redirects=True)
    assert "リンクや番号で開いた手続き" in mine.text
    assert f'href="{thread}"' in mine.text
    assert f'href="{other}/thread"' not in mine.text
    assert f'href="{thread}"' in (await visitor.get("/my")).text
    assert "リンクや番号で開いた手続き" not in (await visitor.get("/my")).text
    assert (await bearer.post(f"/cases/{case_id}/close")).status_code == NOT_FOUND
    # On a shared computer nothing stays.
    await bearer.post("/sign-out")
    assert (await bearer.get(thread)).status_code == NOT_FOUND


async def test_from_an_appointments_page_one_comes_to_its_case(
    database: TestDatabase, db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case, other = await visitor.open_case(), await visitor.open_case("RES01")
    await hear(db, *appointment_events(case)[:1])
    box = booking_box(database)

    def sealed(municipality: str = TOWN, lasts: timedelta = CASE_OPENING_LIFETIME) -> str:
        return seal_case_opening(
            box, CaseOpening(municipality=municipality, case_id=id_of(case), expires_at=NOW + lasts)
        )

    bearer = new_visitor()
    for wrong in ("", "x", sealed(OTHER_TOWN), sealed(lasts=timedelta(0))):
        answer = await bearer.post("/cases/open", {"opening": wrong})
        assert answer.status_code == GONE, "case_opening_invalid"
        assert "予約のページを、もう一度開いてください" in answer.text
    answer = await bearer.post("/cases/open", {"opening": sealed()})
    assert answer.headers["location"] == f"{case}/thread"
    page = await bearer.get(f"{case}/thread")
    assert "K4M-7RXA" in page.text
    assert (await bearer.get(f"{other}/thread")).status_code == NOT_FOUND
    await bearer.post("/sign-out")
    assert (await bearer.get(f"{case}/thread")).status_code == NOT_FOUND


async def test_an_opened_case_closes_after_twelve_hours(
    database: TestDatabase, db: Database, visitor: Visitor, new_visitor: NewVisitor, clock: TestClock
) -> None:
    case = await visitor.open_case()
    opening = CaseOpening(municipality=TOWN, case_id=id_of(case), expires_at=NOW + CASE_OPENING_LIFETIME)
    bearer = new_visitor()
    await bearer.post("/cases/open", {"opening": seal_case_opening(booking_box(database), opening)})
    clock.move(timedelta(hours=12, seconds=-1))
    assert (await bearer.get(f"{case}/thread")).status_code == httpx.codes.OK
    clock.move(timedelta(seconds=1))
    assert (await bearer.get(f"{case}/thread")).status_code == NOT_FOUND


async def test_by_the_last_notices_link_it_is_said_once_how_it_went(
    db: Database, database: TestDatabase, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail without the look at what was said before."""
    number = await apply(visitor)
    token = await link_token(db, database)
    bearer = new_visitor()
    answer = await bearer.get(f"/a/{token}/feedback")
    path = answer.headers["location"]
    early = await bearer.get(path)
    assert early.status_code == CONFLICT
    staff = await sign_in(db, new_visitor())
    office = await office_path(db, number)
    for action in ("accept", "complete"):
        await press(staff, office, action)
    assert f'href="{path}"' in (await bearer.get(f"/applications/{number}")).text
    assert "手続きは、いかがでしたか" in (await bearer.get(path)).text
    said = {"ease": "hard", "worked": "yes", "text": "口座の書きかたが、わかりませんでした。"}
    assert (await bearer.post(path, said | {"ease": ""})).status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert (await bearer.post(path, said)).status_code == SEE_OTHER
    page = await bearer.get(path)
    assert "ご意見を受けとりました" in page.text
    assert said["text"] not in page.text
    again = await bearer.post(path, said | {"ease": "easy"})
    assert again.status_code == CONFLICT
    assert "ご意見は、もう受けとっています" in again.text, "feedback_given"
    assert await rows(db, "SELECT ease, version FROM feedback") == [("hard", 1)]
    # Its owner reads it, and may put it right.
    assert said["text"] in (await visitor.get(path)).text
    stranger = new_visitor()
    assert (await stranger.get(path)).status_code == NOT_FOUND
    assert (await stranger.get("/a/nothing/feedback")).status_code == NOT_FOUND


async def link_token(db: Database, database: TestDatabase) -> str:
    """The token of the link that the application's first notice carries."""
    environ = database.environ
    box = ServiceBox.from_settings(environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    [(sealed,)] = await rows(db, "SELECT sealed FROM outbox WHERE type = 'routing.application_progressed.v1'")
    body = box.open_from("routing", "application", sealed)
    return msgspec.msgpack.decode(body, type=SealedApplicationAccess).link_token


async def test_a_case_that_is_given_up_is_counted_so_and_can_be_gone_on_with(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail where going on is not looked at."""
    case = await visitor.open_case()
    assert "この手続きをやめる" in (await visitor.get(f"{case}/thread")).text
    for _ in range(2):
        assert (await visitor.post(f"{case}/close")).headers["location"] == f"{case}/thread"
    given_up = "SELECT sum(people) FROM quality_fact WHERE kind = 'given_up'"
    assert await rows(db, given_up) == [(1,)]
    assert await kinds(db, case) == ["begun", "closed"]
    page = await visitor.get(f"{case}/thread")
    assert "この手続きは、やめました" in page.text
    assert "この手続きをやめる" not in page.text
    mine = (await visitor.get("/my")).text
    assert "いま進んでいる手続きは、ありません" in mine
    assert "終わった手続きを見る（1件）" in mine
    assert (await new_visitor().get(f"{case}/close")).headers["location"].startswith("/session/renew")
    # Nothing else has changed.
    await visitor.tell(case, name=NAME, kana=KANA)
    assert "この手続きをやめる" in (await visitor.get(f"{case}/thread")).text
    assert "いま進んでいる手続きは、ありません" not in (await visitor.get("/my")).text


async def test_what_waits_for_somebody_is_not_given_up(db: Database, visitor: Visitor) -> None:
    """Seen to fail without `may_close`."""
    await apply(visitor)
    [(case_id,)] = await rows(db, "SELECT case_id FROM application")
    answer = await visitor.post(f"/cases/{case_id}/close")
    assert answer.status_code == CONFLICT
    assert "先に、予約か申請を取りやめてください" in answer.text, "case_busy"
    booked = await visitor.open_case("RES01")
    await hear(db, *appointment_events(booked)[:1])
    assert (await visitor.post(f"{booked}/close")).status_code == CONFLICT
    assert await rows(db, "SELECT count(*) FROM case_step WHERE kind = 'closed'") == [(0,)]


async def test_staff_give_up_what_they_began_for_somebody(db: Database, new_visitor: NewVisitor) -> None:
    staff = await sign_in(db, new_visitor(), roles=("counter",))
    case = await staff.open_case(behalf="phone")
    assert (await staff.post(f"{case}/close")).status_code == SEE_OTHER
    assert await rows(db, "SELECT kind, actor_kind FROM case_step ORDER BY version") == [
        ("begun", "staff"), ("closed", "staff"),
    ]  # fmt: skip
    assert await rows(db, "SELECT count(*) FROM audit WHERE action = 'close_case'") == [(1,)]


async def test_my_page_has_each_case_once_open_first_and_each_ones_own(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    booked = await visitor.open_case("RES01")
    await hear(db, *appointment_events(booked)[:1])
    first, second = await begin_for(visitor, "new"), await begin_for(visitor, "new")
    page = (await visitor.get("/my")).text
    assert [page.count(f'href="{case}/thread"') for case in (booked, first, second)] == [1, 1, 1]
    assert "（ご家族 1 の分）" in page
    assert "（ご家族 2 の分）" in page
    assert "終わった手続きを見る" not in page
    for event in appointment_events(booked)[1:]:
        await hear(db, event)
    page = (await visitor.get("/my")).text
    assert page.index(f'href="{first}/thread"') < page.index('id="ended"') < page.index(f'href="{booked}/thread"')


async def test_all_that_is_open_is_printed_with_numbers_places_and_what_to_bring(
    db: Database, visitor: Visitor
) -> None:
    number = await apply(visitor)
    booked = await visitor.open_case("CHI02")
    await hear(db, *appointment_events(booked)[:1])
    over = await visitor.open_case("RES01")
    ended = {"case_id": id_of(over), "number": "ENDED", "appointment_id": uuid4()}
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **ended))
    await hear(db, make_appointment(AppointmentCancelled, 2, "cancelled", **ended))
    page = await visitor.get("/my/print")
    for part in (
        "K4M-7RXA",
        f"{number[:4]}-{number[4:]}",
        "町役場 2階 7番",
        "確認コード",
        "持ちもの",
        "data:image/svg+xml",
    ):
        assert part in page.text, part
    assert "EN-DED" not in page.text
    assert not [value for value in (NAME, KANA, EMAIL) if value in page.text]
    one = await visitor.get(f"{booked}/print")
    assert "K4M-7RXA" in one.text
    assert f"{number[:4]}-{number[4:]}" not in one.text


async def test_an_empty_page_says_how_to_find_what_was_begun_elsewhere(visitor: Visitor) -> None:
    page = await visitor.http.get("/my", follow_redirects=True)
    assert "この端末で始めた手続きや予約は、まだありません" in page.text
    for href in ("/booking/find", "/applications/find"):
        assert f'href="{href}"' in page.text
    assert "とちゅうの手続きは、ありません" in (await visitor.get("/my/print")).text


async def test_two_hundred_entries_are_shown_and_the_older_ones_folded(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case()
    await hear(db, *(make_notice(case, version) for version in range(1, 200)))
    page = await visitor.get(f"{case}/thread")
    assert page.text.count("<li>\n        <time") == 200
    assert f"その前の{200 - NEWEST}件を見る" in page.text
    assert (await visitor.get(f"{case}/print")).text.count("<li>\n        <time") == 200


@pytest.mark.parametrize("age", [None, OLD_AFTER, OLD_AFTER + timedelta(seconds=1)])
async def test_with_times_that_are_old_or_missing_it_is_said_and_every_page_of_a_case_works(
    db: Database, visitor: Visitor, age: timedelta | None
) -> None:
    if age is not None:
        values = {"municipality": TOWN, "counter": "7", "earliest_at": NOW + timedelta(days=2), "version": 1}
        async with db.begin(TOWN) as session:
            await session.execute(availability.insert().values(**values, as_of=NOW - age))
    compared = (await visitor.get("/procedures/CHI02")).text
    assert ("空きのお知らせが、まだ届いていません。" in compared) == (age is None)
    assert ("空きのお知らせが、しばらく届いていません。" in compared) == (age is not None and age > OLD_AFTER)
    case = await fill(visitor)
    await answer_offers(visitor, case)
    for page in ("you", "handover", "pass", "thread", "print"):
        assert (await visitor.get(f"{case}/{page}")).status_code == httpx.codes.OK, page
    assert (await visitor.get("/my")).status_code == httpx.codes.OK


@pytest.mark.parametrize("table", ["appointment_step", "case_notice", "case_step"])
async def test_no_row_of_the_thread_has_a_place_for_a_value_or_a_contact(db: Database, table: str) -> None:
    columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'routing' AND table_name = "
    found = await rows(db, f"{columns}'{table}'")
    suspicious = {"name", "kana", "address", "contact_ref", "phone", "email", "text", "reason", "subject_ref"}
    assert not suspicious & {name for (name,) in found}
