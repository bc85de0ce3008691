"""The watch over staff's reading: rules in a table, at their exact limits; and the privacy officer's page."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from services.routing.commands.accounts import open_staff_account
from services.routing.domain.town_days import JST
from services.routing.domain.watching import (
    MANY_PEOPLE,
    MANY_PEOPLE_WITHIN,
    ONE_PERSON_LOOKS,
    ONE_PERSON_WITHIN,
    RULES,
    WATCHED,
    Look,
    find_unusual,
)
from services.routing.pages.watching import LIMITS, RULE_LIMITS, RULE_NUMBERS, RULE_TITLES
from services.routing.queries.history import HistoryEntry
from shared.db import Database
from tests.routing.applying import PASSWORD, apply, fill_in, office_path, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NAME, NOW, TOWN
from tests.routing.test_consumers import hear, make_reuse
from tests.routing.test_history import come_round

NewVisitor = Callable[..., Visitor]
# A Tuesday, 10:00 in Japan.
START = datetime(2026, 11, 24, 10, 0, tzinfo=JST)
SECOND = timedelta(seconds=1)
ANNA, BEN = "a" * 32, "b" * 32
ONE = UUID(int=1)


def make_looks(count: int, step: timedelta, **changes: Any) -> list[Look]:
    """Anna looks at one person, from 10 o'clock on, unless told otherwise; `people`: at one after the other."""
    people = changes.pop("people", False)
    values: dict[str, Any] = {
        "actor_ref": ANNA, "actor_kind": "staff", "subject_ref": ONE, "office": "子育て", "procedure": "CHI02",
    } | changes  # fmt: skip
    looks = [Look(**({"occurred_at": START + step * number} | values)) for number in range(count)]
    return [replace(look, subject_ref=UUID(int=n)) for n, look in enumerate(looks, 1)] if people else looks


def in_hours(looks: list[Look]) -> list[str]:
    """The rules that find something, but for the hours."""
    return [finding.rule for finding in find_unusual(looks, ()) if finding.rule != "out_of_hours"]


LONGEST = ONE_PERSON_WITHIN / (ONE_PERSON_LOOKS - 1)
FASTEST = MANY_PEOPLE_WITHIN / (MANY_PEOPLE - 1)


@pytest.mark.parametrize(
    ("looks", "rules"),
    [
        ([], []),
        # The same person, the last look exactly at the end of the time.
        (make_looks(ONE_PERSON_LOOKS, LONGEST), ["one_person"]),
        (make_looks(ONE_PERSON_LOOKS - 1, LONGEST), []),
        (make_looks(ONE_PERSON_LOOKS, LONGEST + SECOND), []),
        # Several entries of one moment are one look.
        (make_looks(ONE_PERSON_LOOKS - 1, LONGEST) * 3, []),
        # Two colleagues, each half of it; or one, of two people.
        (make_looks(8, SECOND) + make_looks(8, SECOND, actor_ref=BEN), []),
        (make_looks(8, SECOND) + make_looks(8, SECOND, subject_ref=UUID(int=2)), []),
        # Many people, the last one exactly at the end of the time.
        (make_looks(MANY_PEOPLE, FASTEST, people=True), ["many_people"]),
        (make_looks(MANY_PEOPLE - 1, FASTEST, people=True), []),
        (make_looks(MANY_PEOPLE, FASTEST + SECOND, people=True), []),
        # The line shows everybody of the day at once.
        (make_looks(MANY_PEOPLE * 2, timedelta(), people=True, is_line=True), []),
        # Helpers are watched, too.
        (make_looks(MANY_PEOPLE, SECOND, people=True, actor_kind="helper"), ["many_people"]),
    ],
)
def test_the_rules_at_their_limits(looks: list[Look], rules: list[str]) -> None:
    assert in_hours(looks) == rules


@pytest.mark.parametrize(
    ("hour", "minute", "day", "kind", "found"),
    [
        (8, 29, 24, "staff", True),
        (8, 30, 24, "staff", False),
        (17, 14, 24, "staff", False),
        (17, 15, 24, "staff", True),
        # 勤労感謝の日, and a Sunday.
        (10, 0, 23, "staff", True),
        (10, 0, 22, "staff", True),
        (22, 0, 24, "helper", False),
    ],
)
def test_the_hours_of_the_town_hall(hour: int, minute: int, day: int, kind: str, found: bool) -> None:
    moment = START.replace(day=day, hour=hour, minute=minute)
    looks = make_looks(1, SECOND, occurred_at=moment, actor_kind=kind)
    holidays = {START.replace(day=23).date()}
    assert [finding.rule for finding in find_unusual(looks, holidays)] == (["out_of_hours"] if found else [])


def test_a_finding_says_whose_looks_how_many_when_and_for_whom() -> None:
    looks = make_looks(MANY_PEOPLE, SECOND, people=True)
    looks += make_looks(2, SECOND, office="戸籍", procedure=None)
    [finding] = find_unusual(looks, ())
    assert (finding.actor_ref, finding.looks, finding.people) == (ANNA, MANY_PEOPLE + 1, MANY_PEOPLE)
    assert (finding.first_at, finding.last_at) == (START, START + SECOND * (MANY_PEOPLE - 1))
    assert (finding.offices, finding.procedures) == (("子育て", "戸籍"), ("CHI02",))


def test_a_night_is_one_finding_and_two_bursts_are_two() -> None:
    night = [
        replace(look, occurred_at=look.occurred_at.replace(hour=22))
        for look in make_looks(3, timedelta(minutes=5), actor_ref=BEN)
    ]
    burst = make_looks(MANY_PEOPLE, SECOND, people=True)
    later = [replace(look, occurred_at=look.occurred_at + timedelta(hours=3)) for look in burst]
    found = find_unusual(night + burst + later, ())
    assert [finding.rule for finding in found] == ["out_of_hours", "many_people", "many_people"]
    assert [finding.looks for finding in found] == [3, MANY_PEOPLE, MANY_PEOPLE]


def test_a_finding_keeps_its_id_until_something_is_added() -> None:
    looks = make_looks(ONE_PERSON_LOOKS, SECOND)
    [before] = find_unusual(looks, ())
    # What lies too far back falls out of the window: it is the same finding.
    [later] = find_unusual([*make_looks(1, SECOND, occurred_at=START - timedelta(days=6)), *looks], ())
    [grown] = find_unusual(make_looks(ONE_PERSON_LOOKS + 1, SECOND), ())
    assert before.finding_id == later.finding_id
    assert before.finding_id != grown.finding_id


def test_a_machine_that_reads_everybody_is_found_in_no_time() -> None:
    looks = make_looks(20_000, timedelta(milliseconds=1), people=True)
    assert [finding.looks for finding in find_unusual(looks, ())] == [20_000]


def test_there_are_words_for_every_rule() -> None:
    assert set(RULE_TITLES) == set(RULE_NUMBERS) == set(RULE_LIMITS) == set(LIMITS) == set(RULES)


# --- the page ---


async def open_account(db: Database, login: str) -> str:
    """An account of the back office; its reference."""
    async with db.begin(TOWN) as session:
        account_id = await open_staff_account(
            session, municipality=TOWN, login=login, password=PASSWORD, roles=("back_office",), office="子育て", now=NOW
        )
    return account_id.hex


async def look_often(
    db: Database, who: str, count: int = ONE_PERSON_LOOKS, *, first: datetime = NOW, **changes: Any
) -> None:
    """So many looks at one person, one a second, each with an entry."""
    subject = changes.pop("subject_ref", None) or uuid4()
    values = {"entry_type": "staff_viewed", "actor_kind": "staff", "office": "子育て", "actor_ref": who} | changes
    await hear(db, *(make_reuse(subject, **values, occurred_at=first + SECOND * number) for number in range(count)))


async def rows(db: Database, query: str) -> list[Any]:
    async with db.begin(TOWN) as session:
        return list((await session.execute(text(query))).all())


async def test_the_officer_sees_who_it_was_and_notes_that_it_was_looked_into(
    db: Database, new_visitor: NewVisitor
) -> None:
    subject = uuid4()
    anna = await open_account(db, "anna.kawaguchi")
    await look_often(db, anna, subject_ref=subject)
    officer = await sign_in(db, new_visitor(), roles=("privacy_officer",), office=None)
    page = await officer.get("/office/watch")
    for part in (
        "anna.kawaguchi",
        "同じ人を、何度も見ています",
        "1人の情報を15回",
        "確かめるもの（1件）",
        "児童手当の申請",
    ):
        assert part in page.text, part
    assert str(subject) not in page.text
    for limit in ("7日のあいだに15回以上", "10分のあいだに、20人以上", "8:30から17:15まで"):
        assert limit in page.text, limit
    [finding] = re.findall(r'name="finding" value="([^"]+)"', page.text)
    for _ in range(2):
        assert (await officer.post("/office/watch", {"finding": finding})).headers["location"] == "/office/watch"
    after = await officer.get("/office/watch")
    assert "いま、確かめるものはありません" in after.text
    assert "anna.kawaguchi" in after.text, "what was looked into stays"
    deeds = [row.action for row in await rows(db, "SELECT action FROM audit WHERE action LIKE '%watch'")]
    assert sorted(deeds) == ["check_watch", "view_watch", "view_watch"]
    # One look more: it is to be looked into again.
    await look_often(db, anna, 1, subject_ref=subject, first=NOW + timedelta(minutes=1))
    assert "確かめるもの（1件）" in (await officer.get("/office/watch")).text


async def test_a_finding_that_is_none_any_more_is_said_so(db: Database, new_visitor: NewVisitor) -> None:
    officer = await sign_in(db, new_visitor(), roles=("privacy_officer",), office=None)
    for unknown in (str(uuid4()), "x", ""):
        refused = await officer.post("/office/watch", {"finding": unknown})
        assert refused.status_code == 404
        assert "もう一覧にありません" in refused.text
    assert await rows(db, "SELECT * FROM watch_check") == []


async def test_a_month_is_looked_at_and_no_more(db: Database, new_visitor: NewVisitor) -> None:
    officer = await sign_in(db, new_visitor(), roles=("privacy_officer",), office=None)
    await look_often(db, ANNA, first=NOW - WATCHED - SECOND)
    assert "1人の情報を15回" not in (await officer.get("/office/watch")).text
    await look_often(db, ANNA, first=NOW - WATCHED)
    assert "1人の情報を15回" in (await officer.get("/office/watch")).text


async def test_residents_own_looks_and_other_towns_are_nobodys_business(db: Database, new_visitor: NewVisitor) -> None:
    await look_often(db, ANNA, actor_kind="guest", entry_type="previewed")
    await look_often(db, ANNA, municipality="143413")
    officer = await sign_in(db, new_visitor(), roles=("privacy_officer",), office=None)
    assert "いま、確かめるものはありません" in (await officer.get("/office/watch")).text


async def test_what_was_checked_cannot_be_changed_or_taken_away(db: Database) -> None:
    """Seen to fail without the REVOKE of migration 0013."""
    for statement in ("UPDATE watch_check SET checked_by = 'x'", "DELETE FROM watch_check", "TRUNCATE watch_check"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with db.begin(TOWN) as session:
                await session.execute(text(statement))


async def test_who_of_the_staff_it_was_stays_with_the_officer(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Every look is told with its actor, and no page or file of the resident or the office has it."""
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    await staff.get(await office_path(db, number))
    await come_round(db)
    [look] = await rows(db, "SELECT DISTINCT actor_ref FROM reuse WHERE entry_type = 'staff_viewed'")
    [account] = await rows(db, "SELECT account_id, login FROM account")
    assert look.actor_ref == account.account_id.hex
    assert await rows(db, "SELECT * FROM reuse WHERE actor_kind = 'guest' AND actor_ref IS NOT NULL") == []
    assert "actor_ref" not in HistoryEntry.__struct_fields__
    for who, path in (
        (visitor, "/my/history"), (visitor, "/my/history.json"), (visitor, "/my/history/print"),
        (staff, "/office/uses"), (staff, "/office/inquiries"),
    ):  # fmt: skip
        shown = (await who.get(path)).text
        assert look.actor_ref not in shown
        assert account.login not in shown


# --- the office's own use ---


async def test_an_office_sees_what_it_used_by_month_and_procedure_and_no_names(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, clock: TestClock
) -> None:
    case = await fill_in(visitor)
    me = uuid4()
    staff_look = {"entry_type": "staff_viewed", "actor_kind": "staff", "office": "子育て", "actor_ref": ANNA}
    await hear(
        db,
        make_reuse(me, **staff_look, items=("name", "address"), case_id=UUID(case.rsplit("/", 1)[-1])),
        make_reuse(me, **(staff_look | {"office": "戸籍"}), items=("domicile",), target_procedure="RES01"),
        # Used by the procedure's office, which the entry does not name.
        make_reuse(me, items=("bank_account",), purpose="同じことを二度書かずにすむようにするため"),
        make_reuse(me, **staff_look, items=("dog",), occurred_at=datetime(2026, 10, 31, 23, 59, tzinfo=JST)),
        make_reuse(me, **staff_look, items=("doctor",), visibility="internal"),
        make_reuse(me, entry_type="collected", items=("vehicle_number",)),
    )
    staff = await sign_in(db, new_visitor())
    page = (await staff.get("/office/uses")).text
    for part in ("お名前、住所", "オンライン", "口座", "窓口でお呼びするため", "児童手当の申請"):
        assert part in page, part
    for part in ("本籍", "犬", "かかりつけ医", "標識番号", NAME, ANNA):
        assert part not in page, part
    before = (await staff.get("/office/uses", params={"month": "2026-10"})).text
    assert "犬" in before
    assert "お名前" not in before
    assert "お名前" not in (await staff.get("/office/uses", params={"procedure": "CHI03"})).text
    for garbage in ({"month": "2026-13"}, {"month": "x"}, {"page": "-1"}, {"procedure": "'; --"}):
        assert (await staff.get("/office/uses", params=garbage)).status_code == httpx.codes.OK
    manager = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    everything = (await manager.get("/office/uses")).text
    assert "本籍" in everything
    assert "戸籍" in everything
    assert clock.now == NOW


async def test_a_month_begins_at_midnight_in_japan(db: Database, new_visitor: NewVisitor) -> None:
    midnight = datetime(2026, 11, 1, tzinfo=JST)
    seen = {"entry_type": "staff_viewed", "actor_kind": "staff", "office": "子育て"}
    await hear(
        db,
        make_reuse(uuid4(), **seen, items=("name",), occurred_at=midnight),
        make_reuse(uuid4(), **seen, items=("dog",), occurred_at=midnight - SECOND),
    )
    staff = await sign_in(db, new_visitor())
    november = (await staff.get("/office/uses?month=2026-11")).text
    assert ("お名前" in november, "犬" in november) == (True, False)
