"""One form for a life event: each question once, agreed item by item, sent as several, all of them or none."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import select, text

from services.routing.commands.retention import erase_due
from services.routing.tables import outbox
from shared.db import Database
from shared.events.booking import AppointmentBooked
from shared.events.ledger import ReuseRecorded
from tests.conftest import TestDatabase
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, hidden, office_path, press, sign_in
from tests.routing.applying import send as send_alone
from tests.routing.conftest import TestClock, Visitor
from tests.routing.filling_together import (
    FORM,
    ONLINE,
    agree,
    begin,
    cases_of,
    fill,
    numbers,
    publish_birth,
    ready,
    send,
    submit_fields,
    tell,
)
from tests.routing.makers import EMAIL, NAME, TOWN, new_key
from tests.routing.test_consumers import hear, make_appointment
from tests.routing.test_devices import began, make_link
from tests.routing.test_going_on import time_of
from tests.routing.test_handover import contacts_given
from tests.routing.test_invariants_of_reuse import assert_every_use_was_approved, entries_of
from tests.routing.test_quality import counted

NewVisitor = Callable[..., Visitor]
OK, UNPROCESSABLE, CONFLICT, NOT_FOUND = 200, 422, 409, 404
# What two or three of them need.
SHARED = {"name", "address", "phone", "child"}


@pytest_asyncio.fixture(autouse=True)
async def birth(db: Database) -> None:
    await publish_birth(db)


async def where(visitor: Visitor, plan: str) -> str:
    """Where the form goes on."""
    return (await visitor.get(f"{plan}/online")).headers["location"].removeprefix(plan)


async def items_of(db: Database, case: UUID) -> dict[str, int]:
    async with db.begin(TOWN) as session:
        row = await session.execute(text("SELECT items FROM application WHERE case_id = :case"), {"case": case})
        return dict(row.scalar_one())


async def times(db: Database, kind: str) -> Counter[str]:
    return Counter(item for row in await entries_of(db, kind) for item in row.items)


# --- the whole way ---


async def test_several_procedures_are_filled_in_as_one_and_sent_as_several(visitor: Visitor, db: Database) -> None:
    plan = await begin(visitor)
    assert await where(visitor, plan) == "/form"
    page = await visitor.get(f"{plan}/form")
    # Each question once, and at each of them what it is for.
    assert page.text.count('name="name"') == 1
    assert page.text.count('name="address_line"') == 1
    assert "「電話番号」は、「児童手当の申請」と「小児医療証の申請」で使います" in page.text
    assert "「生年月日」は、「児童手当の申請」で使います" in page.text
    await fill(visitor, plan)
    assert await where(visitor, plan) == "/reuse"
    agreed = await visitor.get(f"{plan}/reuse")
    assert "→ 「小児医療証の申請」で使います。" in agreed.text
    assert (await agree(visitor, plan, "yes")).headers["location"] == f"{plan}/online"
    assert await where(visitor, plan) == "/you"
    await tell(visitor, plan)
    assert await where(visitor, plan) == "/check"
    check = await visitor.get(f"{plan}/check")
    assert check.text.count(NAME) == 1
    assert "「子育て」の係に届きます" in check.text
    assert "「税」の係に届きます" in check.text
    answer = await send(visitor, plan)
    assert answer.headers["location"] == f"{plan}/sent"
    receipts = await visitor.get(f"{plan}/sent")
    assert set(await numbers(db)) == set(ONLINE)
    assert len(re.findall("受付番号</span>", receipts.text)) == len(ONLINE)
    for number in (await numbers(db)).values():
        assert f"/applications/{number}" in receipts.text
        assert (await visitor.get(f"/applications/{number}")).status_code == OK
    # Typed once, collected once; the others used it, each by its own approval.
    assert set((await times(db, "collected")).values()) == {1}
    assert await times(db, "applied") == Counter(dict.fromkeys(SHARED, 1) | {"name": 2})
    assert await times(db, "corrected") == Counter()
    await assert_every_use_was_approved(db)
    cases = await cases_of(db)
    sent = {code: await items_of(db, cases[code]) for code in ONLINE}
    assert sent["CHI02"]["name"] == sent["TAX01"]["name"]
    assert set(sent["CHI03"]) == {"name", "address", "phone", "child", "insurance"}


async def test_what_earlier_cases_hold_is_offered_once_for_all_of_them(visitor: Visitor, db: Database) -> None:
    await apply(visitor, reach="none")
    plan = await begin(visitor, "CHI03", "TAX01")
    assert await where(visitor, plan) == "/reuse"
    page = await visitor.get(f"{plan}/reuse")
    assert "→ 「小児医療証の申請」と「所得・課税証明書」で使います。" in page.text
    # One question for the item, one approval for each case.
    assert page.text.count('name="use_name"') == 2
    await agree(visitor, plan, phone="no")
    form = await visitor.get(f"{plan}/form")
    assert f'value="{NAME}"' in form.text
    assert 'name="phone"' in form.text
    assert "090-1234-5678" not in form.text
    approved = [row for row in await entries_of(db, "approved") if "name" in row.items]
    assert len({row.correlation for row in approved}) == len({row.target_case for row in approved}) == 2
    await fill(visitor, plan)
    await tell(visitor, plan, reach="none")
    await send(visitor, plan)
    assert set(await numbers(db)) == set(ONLINE)
    await assert_every_use_was_approved(db)


async def test_what_was_declined_for_a_procedure_is_asked_there(visitor: Visitor, db: Database) -> None:
    plan = await begin(visitor, "CHI02", "TAX01")
    await fill(visitor, plan)
    await agree(visitor, plan, name="no")
    await tell(visitor, plan, reach="none")
    cases = await cases_of(db)
    own = f"/cases/{cases['TAX01']}"
    check = await visitor.get(f"{plan}/check")
    assert "まだ書いていないことがあります" in check.text
    assert f'action="{plan}/submit"' not in check.text
    alone = await visitor.get(f"{own}/form")
    assert NAME not in alone.text
    kept = await visitor.post(f"{own}/form", {"name": "吉田 さき", "tax_year": "2026"})
    assert kept.headers["location"] == f"{plan}/check"
    check = await visitor.get(f"{plan}/check")
    assert (NAME in check.text, "吉田 さき" in check.text) == (True, True)
    await send(visitor, plan)
    sent = {code: await items_of(db, cases[code]) for code in ("CHI02", "TAX01")}
    assert sent["CHI02"]["name"] != sent["TAX01"]["name"]
    assert await times(db, "applied") == Counter()


async def test_a_changed_answer_is_asked_about_again(visitor: Visitor, db: Database, clock: TestClock) -> None:
    """A yes is for the value that was shown."""
    plan = await ready(visitor, "CHI02", "TAX01", reach="none")
    clock.move(timedelta(minutes=1))
    await fill(visitor, plan, name="吉田 さき")
    assert await where(visitor, plan) == "/reuse"
    assert "吉田 さき" in (await visitor.get(f"{plan}/reuse")).text
    await agree(visitor, plan, "yes")
    await send(visitor, plan)
    cases = await cases_of(db)
    assert (await items_of(db, cases["TAX01"]))["name"] == (await items_of(db, cases["CHI02"]))["name"] == 2
    await assert_every_use_was_approved(db)


# --- section by section ---


async def test_a_section_is_saved_by_itself_and_nothing_typed_elsewhere_is_lost(visitor: Visitor) -> None:
    plan = await begin(visitor)
    person = {name: value for name, value in FORM.items() if name.startswith(("name", "birth_date", "phone"))}
    saved = await visitor.post(f"{plan}/form", person | {"address_line": "二宮961", "section": "person"})
    # The address is half of one: said there, kept on the page, and the rest is kept for good.
    assert saved.status_code == UNPROCESSABLE
    assert "二宮961" in saved.text
    assert "#f-bank_account_bank" not in saved.text
    again = await visitor.get(f"{plan}/form")
    assert f'value="{NAME}"' in again.text
    saved = await visitor.post(f"{plan}/form", person | {"section": "person"})
    assert saved.headers["location"] == f"{plan}/form#s-home"
    half = await visitor.post(f"{plan}/form", {"name": "", "section": "person"})
    assert half.status_code == UNPROCESSABLE
    kept = await visitor.post(f"{plan}/form", {"phone": "0463-71-3311", "section": "keep"})
    assert kept.headers["location"] == f"{plan}/form"
    assert "0463-71-3311" in (await visitor.get(f"{plan}/form")).text


async def test_what_was_saved_elsewhere_meanwhile_is_not_undone(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    """At another device, where one of the cases goes on. Seen to fail without `changed_together`."""
    plan = await begin(visitor)
    await fill(visitor, plan)
    case = f"/cases/{(await cases_of(db))['CHI02']}"
    seen = hidden(await visitor.get(f"{plan}/form"), "seen")
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    answer = await other.post(f"{case}/form", CHI02_FORM | {"child_name": "吉田 なつ"})
    assert answer.status_code == SEE_OTHER
    mine = FORM | {"child_name": "吉田 ふゆ", "seen": seen, "section": "child"}
    page = await visitor.post(f"{plan}/form", mine)
    assert page.status_code == httpx.codes.CONFLICT
    assert "ほかの画面で、内容が書きかわりました" in page.text
    assert "吉田 なつ" in page.text
    assert 'value="吉田 ふゆ"' in page.text
    assert "吉田 なつ" in (await other.get(f"{case}/form")).text, "nothing was saved yet"
    # A button inside the form does not count as having seen it.
    assert hidden(await visitor.post(f"{plan}/fields", mine | {"lookup": "address"}), "seen") == seen
    answer = await visitor.post(f"{plan}/form", mine | {"seen": hidden(page, "seen")})
    assert answer.status_code == SEE_OTHER
    assert "吉田 ふゆ" in (await other.get(f"{case}/form")).text


async def test_what_is_right_is_kept_and_is_no_quarrel_with_oneself(visitor: Visitor) -> None:
    """Seen to fail without `saved_together`: what was kept beside a mistake was asked about as if by somebody else."""
    plan = await begin(visitor)
    seen = hidden(await visitor.get(f"{plan}/form"), "seen")
    wrong = FORM | {"seen": seen, "tax_year": "1900"}
    page = await visitor.post(f"{plan}/form", wrong)
    assert page.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    answer = await visitor.post(f"{plan}/form", FORM | {"name": "吉田 さき子", "seen": hidden(page, "seen")})
    assert answer.status_code == SEE_OTHER, re.findall(r"<h2[^>]*>([^<]+)", answer.text)


async def test_a_button_inside_the_form_keeps_all_that_was_typed(visitor: Visitor) -> None:
    plan = await begin(visitor)
    looked = await visitor.post(
        f"{plan}/fields", {"address_postal_code": "259-0196", "lookup": "address", "child_name": "吉田 はじめ"}
    )
    assert looked.status_code == OK
    assert "吉田 はじめ" in looked.text
    assert "神奈川県" in looked.text
    assert (await visitor.post(f"{plan}/fields", {})).status_code == httpx.codes.BAD_REQUEST


# --- all of them, or none ---


async def test_sent_twice_at_once_it_is_sent_once(visitor: Visitor, db: Database) -> None:
    plan = await ready(visitor)
    fields = await submit_fields(visitor, plan)
    answers = await asyncio.gather(*(visitor.post(f"{plan}/submit", fields) for _ in range(4)))
    assert {answer.headers.get("location") for answer in answers} == {f"{plan}/sent"}
    assert (await visitor.post(f"{plan}/submit", fields)).headers["location"] == f"{plan}/sent"
    async with db.begin(TOWN) as session:
        assert (await session.execute(text("SELECT count(*) FROM application"))).scalar_one() == len(ONLINE)


async def test_two_pages_sent_at_once_send_each_procedure_once(visitor: Visitor, db: Database) -> None:
    """Two tabs. Seen to fail without any of the locks: of the plan, of its cases, and of each case that is sent."""
    plan = await ready(visitor)
    pages = [await submit_fields(visitor, plan) for _ in range(3)]
    answers = await asyncio.gather(*(visitor.post(f"{plan}/submit", fields) for fields in pages))
    assert {answer.headers.get("location") for answer in answers} == {f"{plan}/sent"}
    async with db.begin(TOWN) as session:
        assert (await session.execute(text("SELECT count(*) FROM application"))).scalar_one() == len(ONLINE)


async def test_when_one_cannot_be_sent_none_is(visitor: Visitor, db: Database) -> None:
    """Seen to fail without the savepoint's rollback: the first was sent, the last was not."""
    plan = await ready(visitor)
    fields = await submit_fields(visitor, plan)
    case = (await cases_of(db))["TAX01"]
    fields[f"shown_{case}"] = "name:1.tax_year:7"
    answer = await visitor.post(f"{plan}/submit", fields)
    assert answer.status_code == CONFLICT
    assert "もう一度確かめて" in answer.text
    assert await numbers(db) == {}
    assert await contacts_given(db) == []
    assert (await send(visitor, plan)).headers["location"] == f"{plan}/sent"
    assert len(await contacts_given(db)) > 0


async def test_what_was_not_shown_is_not_sent(visitor: Visitor, db: Database) -> None:
    plan = await ready(visitor, "CHI02", "CHI03")
    fields = await submit_fields(visitor, plan)
    await visitor.post(f"{plan}/online", {"procedure": "TAX01"})
    assert (await visitor.post(f"{plan}/submit", fields)).status_code in (CONFLICT, SEE_OTHER)
    assert await numbers(db) == {}


@pytest.mark.parametrize("garbage", ["", "x", "name:1", "name:9999999999999999999.:", "\x00", "🙂:１"])
async def test_garbage_sends_nothing(visitor: Visitor, db: Database, garbage: str) -> None:
    plan = await ready(visitor, "CHI02", "TAX01", reach="none")
    fields = await submit_fields(visitor, plan)
    broken = {name: garbage if name.startswith("shown_") else value for name, value in fields.items()}
    for sent in (broken, {"idempotency_key": fields["idempotency_key"], "shown_x": garbage}, {}):
        assert (await visitor.post(f"{plan}/submit", sent)).status_code in (CONFLICT, httpx.codes.BAD_REQUEST)
    assert await numbers(db) == {}


# --- the contact ---


async def test_the_contact_is_said_once_and_notifications_has_one_address(visitor: Visitor, db: Database) -> None:
    """Seen to fail where each case gave its own draft: three addresses, collected three times."""
    plan = await ready(visitor)
    await send(visitor, plan)
    assert (await times(db, "collected"))["contact"] == 1
    given = await contacts_given(db)
    assert len({row.aggregate_id for row in given}) == 1
    assert sum(row.sealed is not None for row in given) == 1
    approved = [
        row for row in await entries_of(db, "approved") if "contact" in row.items and row.visibility == "subject"
    ]
    assert len({row.target_case for row in approved}) == len(ONLINE)
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT count(*) FROM application WHERE contact_ref IS NULL"))
        assert found.scalar_one() == 0


async def test_without_notices_all_are_sent_and_nothing_is_given_away(visitor: Visitor, db: Database) -> None:
    plan = await ready(visitor)
    await send(visitor, plan, notices="no")
    assert set(await numbers(db)) == set(ONLINE)
    assert await contacts_given(db) == []
    assert "お知らせは送りません" in (await visitor.get(f"{plan}/sent")).text


# --- out of the form ---


async def test_one_is_taken_out_and_goes_on_by_itself_with_everything(visitor: Visitor, db: Database) -> None:
    plan = await ready(visitor)
    cases = await cases_of(db)
    await visitor.post(f"{plan}/take-out", {"case": str(cases["CHI03"])})
    check = await visitor.get(f"{plan}/check")
    assert "べつに進める手続き" in check.text
    await send(visitor, plan)
    assert set(await numbers(db)) == {"CHI02", "TAX01"}
    own = f"/cases/{cases['CHI03']}"
    alone = await visitor.get(f"{own}/check")
    assert alone.status_code == OK
    assert (NAME in alone.text, EMAIL in alone.text) == (True, True)
    await send_alone(visitor, own)
    # What it was agreed to use is in the ledger all the same.
    assert await times(db, "applied") == Counter(dict.fromkeys(SHARED, 1) | {"name": 2})
    # Whose item it is has not changed: the first procedure taken out leaves the others theirs.
    assert await times(db, "corrected") == Counter()


async def test_the_one_that_asked_is_taken_out_and_the_others_keep_what_they_use(
    visitor: Visitor, db: Database
) -> None:
    plan = await ready(visitor)
    cases = await cases_of(db)
    await visitor.post(f"{plan}/take-out", {"case": str(cases["CHI02"])})
    assert await where(visitor, plan) == "/check"
    await send(visitor, plan)
    assert set(await numbers(db)) == {"CHI03", "TAX01"}
    await assert_every_use_was_approved(db)


async def test_one_goes_on_at_the_counter_and_the_rest_is_sent(visitor: Visitor, db: Database) -> None:
    plan = await ready(visitor)
    cases = await cases_of(db)
    moved = await visitor.post(f"/cases/{cases['CHI03']}/channel", {"channel": "counter"})
    assert moved.headers["location"] == f"/cases/{cases['CHI03']}/handover"
    await send(visitor, plan)
    assert set(await numbers(db)) == {"CHI02", "TAX01"}
    assert (await visitor.get(f"/cases/{cases['CHI03']}")).headers["location"].startswith(f"/cases/{cases['CHI03']}/")


async def test_a_time_that_was_booked_before_is_told_and_gives_way_when_all_is_sent(
    visitor: Visitor, db: Database
) -> None:
    """Seen to fail while the time had to be cancelled by hand before anything could be sent."""
    plan = await ready(visitor, reach="none")
    case = (await cases_of(db))["CHI02"]
    seen_before = await submit_fields(visitor, plan)
    await hear(db, make_appointment(AppointmentBooked, 1, "booked", **time_of(f"/cases/{case}")))
    told = await visitor.post(f"{plan}/submit", seen_before)
    assert told.status_code == httpx.codes.CONFLICT
    assert "申請すると取り消します" in told.text
    fields = await submit_fields(visitor, plan)
    assert fields.pop("keep_booking") == "yes"
    assert fields["cancels"] == "K4M7RXA"
    assert (await visitor.post(f"{plan}/submit", fields)).headers["location"] == f"{plan}/sent"
    async with db.begin(TOWN) as session:
        query = text("SELECT payload FROM outbox WHERE type = 'routing.case_switched.v1'")
        told_booking = [msgspec.json.decode(payload) for payload in (await session.execute(query)).scalars()]
    assert [event["case_id"] for event in told_booking if event["is_settled"]] == [str(case)]


async def test_a_correction_opens_the_one_that_it_is_asked_for(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    plan = await ready(visitor, "CHI02", "CHI03")
    await send(visitor, plan)
    sent = await numbers(db)
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, sent["CHI03"])
    await press(staff, path, "accept")
    answer = await press(staff, path, "ask-correction", reason="なおしてください")
    assert answer.status_code == SEE_OTHER, answer.text
    case = f"/cases/{(await cases_of(db))['CHI03']}"
    assert f'href="{case}/form"' in (await visitor.get(f"/applications/{sent['CHI03']}")).text
    assert (
        f"/cases/{(await cases_of(db))['CHI02']}/form" not in (await visitor.get(f"/applications/{sent['CHI02']}")).text
    )
    form = await visitor.get(f"{case}/form")
    assert form.status_code == OK
    # It has left the form: what is corrected is checked and sent by itself.
    assert (await visitor.get(f"{plan}/form")).headers["location"] == f"{plan}/sent"
    corrected = await visitor.post(f"{case}/form", FORM | {"child_kana": "よしだ はじめえ"})
    assert corrected.headers["location"] == f"{case}/check"


async def test_a_procedure_that_is_withdrawn_meanwhile(visitor: Visitor, db: Database) -> None:
    """Begun, it is filled in and sent as it was; not begun, it is not offered, and nothing begins it."""
    begun = await ready(visitor, "CHI02", "TAX01", reach="none")
    made = await visitor.post("/life-events/move-in", {"idempotency_key": new_key()})
    later = made.headers["location"]
    await publish_birth(db, without="TAX01")
    assert "所得・課税証明書" not in (await visitor.get(later)).text
    only = await visitor.post(f"{later}/online", {"procedure": "TAX01"})
    assert only.headers["location"] == f"{later}?online=none"
    assert "ひとつの用紙に書ける手続きが" in (await visitor.get(only.headers["location"])).text
    await send(visitor, begun)
    assert set(await numbers(db)) == {"CHI02", "TAX01"}


# --- whose it is ---


async def test_a_form_for_a_child_is_the_childs(visitor: Visitor, db: Database) -> None:
    await apply(visitor, reach="none")
    plan = await begin(visitor, "CHI03", "TAX01")
    chosen = await visitor.post(f"{plan}/person", {"person": "new"})
    # The parent's own address is offered to the first of them, and from there to the others.
    family = await visitor.get(chosen.headers["location"])
    offered = dict(re.findall(r'name="(offer_\w+)" value="([^"]*)"', family.text))
    assert {"offer_address", "offer_phone"} <= set(offered)
    given = offered | {f"use_{name.removeprefix('offer_')}": "yes" for name in offered}
    answer = await visitor.post(chosen.headers["location"], given)
    assert answer.headers["location"] == f"{plan}/online"
    assert "ご家族 1 の手続きです" in (await visitor.get(f"{plan}/form")).text
    await fill(visitor, plan, name="吉田 はじめ")
    await agree(visitor, plan, "yes")
    await tell(visitor, plan, reach="none")
    await send(visitor, plan)
    assert set(await numbers(db)) == set(ONLINE)
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT procedure, subject_ref, acting_for FROM case_file"))
        cases = {row.procedure: row for row in found}
    assert cases["CHI03"].subject_ref == cases["TAX01"].subject_ref == cases["TAX01"].acting_for
    assert cases["CHI02"].subject_ref != cases["CHI03"].subject_ref


async def test_for_somebody_else_staff_go_one_by_one(visitor: Visitor, db: Database) -> None:
    await sign_in(db, visitor, roles=("counter",))
    made = await visitor.post("/life-events/move-in", {"idempotency_key": new_key()})
    plan = made.headers["location"]
    assert "オンラインでまとめて書く" not in (await visitor.get(plan)).text
    answer = await visitor.post(f"{plan}/online", {"procedure": "CHI02 TAX01"})
    assert answer.headers["location"] == "/office/behalf/CHI02"
    assert await cases_of(db) == {}


async def test_when_the_plan_is_gone_each_goes_on_by_itself(
    visitor: Visitor, db: Database, database: TestDatabase
) -> None:
    plan = await ready(visitor, "CHI02", "TAX01", reach="none")
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("DELETE FROM routing.plan"))
    assert (await visitor.get(f"{plan}/form")).status_code == NOT_FOUND
    for case in (await cases_of(db)).values():
        assert (await visitor.get(f"/cases/{case}")).headers["location"] == f"/cases/{case}/check"
        assert (await visitor.get(f"/cases/{case}/check")).status_code == OK


async def test_nobody_else_sees_or_changes_it(visitor: Visitor, new_visitor: NewVisitor, db: Database) -> None:
    plan = await ready(visitor, "CHI02", "TAX01")
    fields = await submit_fields(visitor, plan)
    other = new_visitor()
    await begin(other)
    case = str((await cases_of(db))["CHI02"])
    for path in ("online", "form", "reuse", "you", "check", "sent"):
        assert (await other.get(f"{plan}/{path}")).status_code == NOT_FOUND
    for path in ("online", "form", "fields", "person", "take-out", "reuse", "you", "submit"):
        answer = await other.post(f"{plan}/{path}", fields | {"case": case, "procedure": "CHI02", "person": "new"})
        assert answer.status_code == NOT_FOUND, path
    assert await where(visitor, plan) == "/check"


async def test_the_same_address_by_hand_or_with_nothing_in_the_form(visitor: Visitor) -> None:
    plan = await begin(visitor, "CHI02")
    for path in ("fields", "person", "take-out", "submit"):
        assert (await visitor.get(f"{plan}/{path}")).headers["location"] == f"{plan}/online"
    empty = (await visitor.post("/life-events/move-in", {"idempotency_key": new_key()})).headers["location"]
    for path in ("online", "form", "reuse", "you", "check"):
        assert (await visitor.get(f"{empty}/{path}")).headers["location"] == f"{empty}/sent"
    assert (await visitor.get(f"{empty}/sent")).headers["location"] == empty


async def test_begun_one_by_one_they_are_joined(visitor: Visitor, db: Database) -> None:
    made = await visitor.post("/life-events/move-in", {"idempotency_key": new_key()})
    plan = made.headers["location"]
    await visitor.post(f"{plan}/begin", {"procedure": "CHI02"})
    case = f"/cases/{(await cases_of(db))['CHI02']}"
    await visitor.post(f"{case}/channel", {"channel": "online"})
    await visitor.post(f"{case}/form", CHI02_FORM)
    await visitor.post(f"{plan}/online", {"procedure": "CHI02 TAX01"})
    assert len(await cases_of(db)) == 2
    assert await where(visitor, plan) == "/reuse"
    assert "ひとつの用紙に書いている手続き" in (await visitor.get(plan)).text
    # From the visitor's own page, a case in the form leads to it.
    assert (await visitor.get(case)).headers["location"] == f"{plan}/online"


async def test_an_offer_that_nobody_answered_in_time_is_asked_again(
    visitor: Visitor, db: Database, clock: TestClock
) -> None:
    plan = await begin(visitor, "CHI02", "TAX01")
    await fill(visitor, plan)
    await visitor.get(f"{plan}/reuse")
    clock.move(timedelta(minutes=61))
    asked = await visitor.get(f"{plan}/online", follow_redirects=True)
    assert asked.url.path == f"{plan}/reuse"
    await agree(visitor, plan, "yes")
    assert await where(visitor, plan) == "/you"
    assert len([row for row in await entries_of(db, "declined") if row.outcome == "expired"]) == 1


# --- what becomes of it ---


async def test_what_was_not_asked_again_is_counted(visitor: Visitor, db: Database) -> None:
    plan = await ready(visitor)
    await send(visitor, plan)
    table = outbox.tables.outbox
    async with db.begin(TOWN) as session:
        told = (
            await session.execute(select(table.c.payload).where(table.c.type == "ledger.reuse_recorded.v1"))
        ).scalars()
        events = [msgspec.json.decode(payload, type=ReuseRecorded) for payload in told]
    await hear(db, *events)
    assert (await counted(db))["spared", "online"] == 2, "小児医療証, and the certificate"
    async with db.begin(TOWN) as session:
        found = await session.execute(text("SELECT sum(amount) FROM quality_fact WHERE kind = 'spared'"))
        assert found.scalar_one() == len(SHARED) + 1


async def test_erased_nothing_of_it_is_left(visitor: Visitor, db: Database) -> None:
    sent = await ready(visitor)
    await send(visitor, sent)
    for number in (await numbers(db)).values():
        await visitor.post(f"/applications/{number}/withdraw")
    await ready(visitor, "CHI02", "TAX01")
    page = await visitor.get("/my/erase")
    answer = await visitor.post("/my/erase", {"idempotency_key": hidden(page, "idempotency_key"), "understood": "yes"})
    assert answer.status_code == SEE_OTHER, answer.text
    async with db.begin(TOWN) as session:
        for table in ("case_file", "application", "item", "plan", "offer", "contact"):
            assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0, table


async def test_what_an_application_that_stays_was_sent_with_stays(
    visitor: Visitor, new_visitor: NewVisitor, db: Database, clock: TestClock
) -> None:
    """Each case has its own days; what was typed in one and used in another is kept as long as either."""
    plan = await ready(visitor, "CHI02", "TAX01", reach="none")
    await send(visitor, plan)
    path = await office_path(db, (await numbers(db))["CHI02"])
    staff = await sign_in(db, new_visitor())
    await press(staff, path, "accept")
    await press(staff, path, "complete")
    assert await erase_due(db, TOWN, now=clock.now + timedelta(days=370)) == 1
    assert set(await cases_of(db)) == {"TAX01"}
    async with db.begin(TOWN) as session:
        kept = (await session.execute(text("SELECT key FROM item"))).scalars()
        assert set(kept) == {"name", "tax_year"}
