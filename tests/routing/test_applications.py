"""Online applications as a browser and the office see them, on a real database, over ASGI."""

import asyncio
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from services.routing.domain.applications import MOVES, STATES
from services.routing.tables import audit, outbox
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.routing import ApplicationProgressed, SealedApplicationAccess
from shared.reference_number import APPLICATION_LENGTH, make_number
from tests.conftest import TestDatabase
from tests.routing.applying import (
    CHI02_FORM,
    CHI02_ITEMS,
    SEE_OTHER,
    apply,
    fill_in,
    office_path,
    press,
    send,
    sign_in,
    submit_fields,
)
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import EMAIL, NAME, OTHER_HOST, TOWN, new_key
from tests.routing.test_handover import contacts_given, entries
from tests.routing.test_pages import GARBAGE

NewVisitor = Callable[..., Visitor]
UNPROCESSABLE, CONFLICT, FORBIDDEN, NOT_FOUND = 422, 409, 403, 404
REASON = "お子さんの生年月日を、もう一度確かめてください。"


async def progressed(db: Database) -> list[tuple[ApplicationProgressed, str | None]]:
    table = outbox.tables.outbox
    async with db.begin(TOWN) as session:
        rows = (await session.execute(select(table).where(table.c.type == "routing.application_progressed.v1"))).all()
    told = [(msgspec.json.decode(row.payload, type=ApplicationProgressed), row.sealed) for row in rows]
    return sorted(told, key=lambda pair: pair[0].aggregate_version)


# --- the resident's way ---


async def test_the_whole_way_online(database: TestDatabase, db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    assert (await visitor.get(f"{case}/reuse")).headers["location"] == f"{case}/form"
    form = await visitor.get(f"{case}/form")
    for part in (
        "お名前",
        "生年月日",
        "口座番号",
        "お子さんのお名前",
        "昭和",
        "マイナンバー（12けたの番号）は、入力しないで",
    ):
        assert part in form.text, part
    assert "checked" not in form.text
    assert (await visitor.get(f"{case}/check")).headers["location"] == f"{case}/form"
    assert (await visitor.post(f"{case}/form", CHI02_FORM)).headers["location"] == f"{case}/check"
    assert (await visitor.get(f"{case}/check")).headers["location"] == f"{case}/you"
    you = await visitor.get(f"{case}/you")
    assert 'name="name"' not in you.text, "the name is not asked twice"
    assert 'value="090-1234-5678"' in you.text, "the number that was typed can be the one for notices"
    await visitor.post(f"{case}/you", {"reach": "email", "email": EMAIL})
    check = await visitor.get(f"{case}/check")
    for part in (NAME, "1988年4月5日（昭和63年）", "〒259-0123", "口座番号：0012345", "ヨシダ サキコ", EMAIL,
                 "個人情報保護法", f"{case}/form#g-child"):  # fmt: skip
        assert part in check.text, part
    sent = await send(visitor, case)
    number = sent.headers["location"].removeprefix("/applications/")
    page = await visitor.get(f"/applications/{number}")
    for part in (f"{number[:4]}-{number[4:]}", "申請を送りました", "確認コード", "子育ての係が内容を確かめます", NAME):
        assert part in page.text, part
    assert (await visitor.get(f"{case}/form")).headers["location"] == f"/applications/{number}"
    mine = await visitor.get("/my")
    assert f"/applications/{number}" in mine.text
    assert "とちゅうの手続き" not in mine.text
    [(event, sealed)] = await progressed(db)
    assert (event.state, event.number, event.office, event.aggregate_version) == ("submitted", number, "子育て", 1)
    assert event.contact_ref is not None
    environ = database.environ
    box = ServiceBox.from_settings(environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    assert sealed is not None
    access = msgspec.msgpack.decode(box.open_from("routing", "application", sealed), type=SealedApplicationAccess)
    assert access.code in page.text
    assert len(await contacts_given(db)) == 1
    assert ("approved", "notifications", ["contact"]) in await entries(db)
    assert ("collected", "routing", sorted(CHI02_ITEMS)) in await entries(db)


async def test_no_value_is_in_an_event_or_the_audit(db: Database, visitor: Visitor) -> None:
    number = await apply(visitor)
    async with db.begin(TOWN) as session:
        payloads = (await session.execute(select(outbox.tables.outbox.c.payload))).scalars().all()
        deeds = (await session.execute(select(audit))).all()
    written = "".join(map(str, [*payloads, *deeds]))
    for secret in (NAME, EMAIL, "ちょうど銀行", "2590123", "はじめ"):
        assert secret not in written, secret
    assert number in written


async def test_without_notices_the_contact_goes_nowhere(db: Database, visitor: Visitor) -> None:
    case = await fill_in(visitor)
    assert (await send(visitor, case, notices="no")).status_code == SEE_OTHER
    assert await contacts_given(db) == []
    [(event, sealed)] = await progressed(db)
    assert (event.contact_ref, sealed) == (None, None)
    other = await fill_in(visitor, reach="none")
    page = await visitor.get(f"{other}/check")
    assert "お知らせは送りません" in page.text
    assert (await send(visitor, other)).status_code == SEE_OTHER


async def test_a_double_tap_makes_one_application(db: Database, visitor: Visitor) -> None:
    """Seen to fail without the case's lock."""
    case = await fill_in(visitor)
    fields = await submit_fields(visitor, case)
    answers = await asyncio.gather(*(visitor.post(f"{case}/submit", fields) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {SEE_OTHER}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(await progressed(db)) == 1
    assert len(await contacts_given(db)) == 1


async def test_an_old_page_about_oneself_changes_nothing_that_was_sent(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    assert (await visitor.get(f"{case}/you")).headers["location"] == f"/applications/{number}"
    old = await visitor.post(f"{case}/you", {"reach": "none"})
    assert old.headers["location"] == f"/applications/{number}"
    async with db.begin(TOWN) as session:
        kept = (await session.execute(text("SELECT state, reach, contact_approval_id FROM case_file"))).one()
    assert (kept.state, kept.reach) == ("submitted", "email")
    assert kept.contact_approval_id is not None
    # While a correction is asked for, it may be said anew, and still stands with the office.
    staff = await sign_in(db, new_visitor())
    await press(staff, await office_path(db, number), "ask-correction", reason=REASON)
    assert (await visitor.post(f"{case}/you", {"reach": "none"})).headers["location"] == f"{case}/check"
    # It may also be put right at the counter, and still here.
    assert (await visitor.post(f"{case}/channel", {"channel": "counter"})).headers["location"] == f"{case}/switched"
    back = await visitor.post(f"{case}/channel", {"channel": "online"})
    assert back.headers["location"] == f"/applications/{number}"
    assert (await send(visitor, case)).headers["location"] == f"/applications/{number}"


async def test_every_problem_is_told_at_its_field_and_what_was_typed_is_kept(visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    answer = await visitor.post(f"{case}/form", {"name": NAME, "birth_date_year": "50", "birth_date_month": "1"})
    assert answer.status_code == UNPROCESSABLE
    found = re.findall(r'href="#f-(\w+)"', answer.text)
    assert found[:3] == ["birth_date", "address_postal_code", "address_line"]
    assert "address_building" not in found
    assert f'value="{NAME}"' in answer.text
    assert 'value="50"' in answer.text
    assert (await visitor.get(f"{case}/check")).headers["location"] == f"{case}/form"


async def test_garbage_in_every_field_is_never_a_crash(visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    for garbage in GARBAGE:
        everywhere = await visitor.post(f"{case}/form", dict.fromkeys(CHI02_FORM, garbage))
        # Long garbage in every field together is more than a form may be.
        assert everywhere.status_code in (UNPROCESSABLE, 413), garbage
        assert "<script>alert" not in everywhere.text
        reused = await visitor.post(f"{case}/reuse", {"all": garbage, "offer_name": garbage})
        assert reused.status_code in (SEE_OTHER, 413), garbage
        for path in ("channel", "submit"):
            fields = {"channel": garbage, "idempotency_key": garbage, "name": garbage}
            assert (await visitor.post(f"{case}/{path}", fields)).status_code in (400, 409, 413), (path, garbage)
        found = await visitor.post("/applications/find", {"number": garbage, "code": garbage})
        assert found.status_code in (UNPROCESSABLE, 413, 429), garbage
    for field in CHI02_FORM:
        for garbage in ("\x00", "🙂", "あ" * 5_000):
            answer = await visitor.post(f"{case}/form", CHI02_FORM | {field: garbage})
            # An unknown era beside a year that is right is no error of anybody's.
            assert answer.status_code in (UNPROCESSABLE, SEE_OTHER), field
            assert answer.status_code == UNPROCESSABLE or field.endswith("_era"), field


async def test_rare_characters_stay_as_they_were_typed(visitor: Visitor) -> None:
    case = await fill_in(visitor, name="𠮷田 﨑子", bank_account_bank="髙橋神田銀行")
    page = await visitor.get(f"{case}/check")
    assert "𠮷田 﨑子" in page.text
    assert "髙橋神田銀行" in page.text


async def test_photos_are_put_in_on_the_page_after_the_form(db: Database, visitor: Visitor) -> None:
    async with db.begin(TOWN) as session:
        await session.execute(text("UPDATE procedure SET items = items || '{photos}' WHERE code = 'CHI02'"))
    case = await visitor.open_case(channel="online")
    form = await visitor.get(f"{case}/form")
    assert "写真や書類は、次のページで入れられます" in form.text
    answer = await visitor.post(f"{case}/form", CHI02_FORM)
    assert answer.headers["location"] == f"{case}/attachments"
    assert (await visitor.get(f"{case}/attachments")).status_code == httpx.codes.OK


async def test_what_cannot_be_done_online_is_refused(visitor: Visitor) -> None:
    for procedure in ("RES02", "DIG01", "FAM05"):
        answer = await visitor.post(
            "/cases", {"procedure": procedure, "channel": "online", "idempotency_key": new_key()}
        )
        assert answer.status_code == CONFLICT


async def test_somebody_elses_case_and_application_stay_closed(new_visitor: NewVisitor) -> None:
    visitor, stranger = new_visitor(), new_visitor()
    case = await fill_in(visitor)
    await stranger.open_case()
    for path in ("reuse", "form", "check", "switched"):
        assert (await stranger.get(f"{case}/{path}")).status_code == NOT_FOUND
    for path in ("reuse", "form", "channel", "submit"):
        assert (await stranger.post(f"{case}/{path}", CHI02_FORM)).status_code == NOT_FOUND
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    for path in (f"/applications/{number}", "/applications/AAAA2222", "/applications/%00", "/applications/🙂"):
        answer = await stranger.get(path)
        assert answer.headers["location"].startswith("/applications/find"), path
    assert "find" in (await stranger.post(f"/applications/{number}/withdraw")).headers["location"]
    elsewhere = new_visitor(OTHER_HOST)
    await elsewhere.open_case()
    assert (await elsewhere.get(f"{case}/form")).status_code == NOT_FOUND
    assert "find" in (await elsewhere.get(f"/applications/{number}")).headers["location"]


# --- on another device ---


async def test_number_and_code_open_it_and_five_wrong_ones_lock_it(
    clock: TestClock, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    page = await visitor.get(f"/applications/{number}")
    code = re.search(r"確認コード</span> <strong[^>]*>(\d{6})", page.text)
    assert code
    wrong = "000000" if code[1] != "000000" else "111111"
    other = new_visitor()
    for attempt in range(5):
        answer = await other.post("/applications/find", {"number": number.lower(), "code": wrong})
        assert answer.status_code == (429 if attempt == 4 else UNPROCESSABLE)
    assert (await other.post("/applications/find", {"number": number, "code": code[1]})).status_code == 429
    clock.move(timedelta(minutes=16))
    opened = await other.post("/applications/find", {"number": f" {number[:4]}-{number[4:]}", "code": code[1]})
    assert opened.headers["location"] == f"/applications/{number}"
    shown = await other.get(f"/applications/{number}")
    assert "役場が確かめています" in shown.text
    # The bearer of a link sees how it stands, not what was typed, nor the code.
    assert NAME not in shown.text
    assert code[1] not in shown.text
    assert (await other.post("/sign-out")).status_code == SEE_OTHER
    assert "find" in (await other.get(f"/applications/{number}")).headers["location"]


async def test_a_number_that_nobody_has_is_locked_like_any_other(
    clock: TestClock, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    code = re.search(r"確認コード</span> <strong[^>]*>(\d{6})", (await visitor.get(f"/applications/{number}")).text)
    assert code
    wrong = "000000" if code[1] != "000000" else "111111"
    nobodys = make_number(secrets.choice, length=APPLICATION_LENGTH)

    async def answers(asked: str, client: str) -> list[tuple[int, str]]:
        other = new_visitor(client=client)
        tries = [await other.post("/applications/find", {"number": asked, "code": wrong}) for _ in range(7)]
        return [(answer.status_code, answer.text.replace(asked, "")) for answer in tries]

    known, unknown = await answers(number, "10.0.0.1"), await answers(nobodys, "10.0.0.2")
    assert [status for status, _ in known] == [UNPROCESSABLE] * 4 + [429] * 3
    assert unknown == known
    clock.move(timedelta(minutes=16))
    assert [status for status, _ in await answers(nobodys, "10.0.0.3")] == [UNPROCESSABLE] * 4 + [429] * 3


async def test_the_link_of_a_message_is_exchanged_for_a_cookie(
    database: TestDatabase, db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    [(_, sealed)] = await progressed(db)
    environ = database.environ
    box = ServiceBox.from_settings(environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    assert sealed is not None
    link = msgspec.msgpack.decode(
        box.open_from("routing", "application", sealed), type=SealedApplicationAccess
    ).link_token
    other = new_visitor()
    answer = await other.get(f"/a/{link}")
    assert answer.headers["location"] == f"/applications/{number}"
    assert (await other.get(f"/applications/{number}")).status_code == httpx.codes.OK
    for bad in (link[:-1] + "x", "x" * 500, "%00", "🙂"):
        assert (await other.get(f"/a/{bad}")).status_code == NOT_FOUND
    async with db.begin(TOWN) as session:
        stored = (await session.execute(text("SELECT count(*) FROM application_link"))).scalar_one()
    assert stored == 1


# --- the office ---


async def test_the_office_accepts_asks_completes_and_each_step_is_told(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    listed = await staff.get("/office")
    assert f"{number[:4]}-{number[4:]}" in listed.text
    assert NAME not in listed.text
    path = await office_path(db, number)
    page = await staff.get(path)
    for part in (NAME, "口座番号：0012345", "入力：児童手当の申請"):
        assert part in page.text, part
    assert (await press(staff, path, "ask-correction", reason=" ")).status_code == UNPROCESSABLE
    assert (await press(staff, path, "ask-correction", reason=REASON)).status_code == SEE_OTHER
    asked = await visitor.get(f"/applications/{number}")
    assert REASON in asked.text
    case = re.search(r'href="(/cases/[\w-]+)/form"', asked.text)
    assert case
    form = await visitor.get(f"{case[1]}/form")
    assert 'value="0012345"' in form.text
    assert f'href="/applications/{number}"' in form.text
    assert "窓口で続ける" in form.text
    await visitor.post(f"{case[1]}/form", CHI02_FORM | {"child_birth_date_day": "3"})
    again = await send(visitor, case[1])
    assert again.headers["location"] == f"/applications/{number}"
    assert REASON not in (await visitor.get(f"/applications/{number}")).text
    assert "2026年1月3日" in (await staff.get(path)).text
    assert (await press(staff, path, "accept")).status_code == SEE_OTHER
    assert (await press(staff, path, "complete")).status_code == SEE_OTHER
    assert "手続きが終わりました" in (await visitor.get(f"/applications/{number}")).text
    states = [event.state for event, _ in await progressed(db)]
    assert states == ["submitted", "correction_asked", "submitted", "accepted", "completed"]
    assert REASON not in "".join(str(event) for event, _ in await progressed(db))
    async with db.begin(TOWN) as session:
        deeds = list((await session.execute(select(audit.c.action).where(audit.c.ref == number))).scalars())
    assert sorted(deeds) == ["application_accept", "application_ask_correction", "application_complete"]


async def test_what_was_told_in_person_ends_the_wait_for_a_correction(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert "直接うかがって受け付けた" not in (await staff.get(path)).text
    await press(staff, path, "ask-correction", reason=REASON)
    await visitor.get(f"{case}/form")
    assert "直接うかがって受け付けた" in (await staff.get(path)).text
    assert (await press(staff, path, "accept")).status_code == SEE_OTHER
    page = await visitor.get(f"/applications/{number}")
    assert "役場が申請を受け付けました" in page.text
    assert (await visitor.get(f"{case}/form")).headers["location"] == f"/applications/{number}"
    assert [event.state for event, _ in await progressed(db)] == ["submitted", "correction_asked", "accepted"]
    assert (await press(staff, path, "complete")).status_code == SEE_OTHER


async def test_a_submit_and_a_withdrawal_at_once_are_taken_in_turn(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    await press(staff, await office_path(db, number), "ask-correction", reason=REASON)
    fields = await submit_fields(visitor, case)
    answers = await asyncio.gather(
        visitor.post(f"{case}/submit", fields), visitor.post(f"/applications/{number}/withdraw")
    )
    assert [answer.headers["location"] for answer in answers] == [f"/applications/{number}"] * 2
    assert "申請を取り下げました" in (await visitor.get(f"/applications/{number}")).text


async def test_the_person_reads_once_a_day_that_the_office_looked(
    db: Database, clock: TestClock, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    for _ in range(3):
        await staff.get(path)
    seen = [entry for entry in await entries(db) if entry[0] == "staff_viewed"]
    assert seen == [("staff_viewed", "routing", sorted(CHI02_ITEMS))]
    async with db.begin(TOWN) as session:
        looks = (
            await session.execute(select(audit.c.action).where(audit.c.action == "view_office"))
        ).scalars().all()  # fmt: skip
    assert len(looks) == 3
    clock.move(timedelta(hours=3))
    await staff.get("/session/renew?next=/office")
    await staff.get(path)
    assert len([entry for entry in await entries(db) if entry[0] == "staff_viewed"]) == 1
    clock.move(timedelta(hours=5))
    await staff.get("/session/renew?next=/office")
    assert (await staff.get(path)).status_code == httpx.codes.OK


async def test_another_office_sees_nothing_and_a_manager_everything(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    path = await office_path(db, number)
    other = await sign_in(db, new_visitor(), office="税")
    assert number[:4] not in (await other.get("/office")).text
    assert (await other.get(path)).status_code == FORBIDDEN
    assert (await other.post(f"{path}/accept", {"version": "1"})).status_code == FORBIDDEN
    manager = await sign_in(db, new_visitor(), roles=("manager",), office="総合")
    assert number[:4] in (await manager.get("/office")).text
    assert (await press(manager, path, "accept")).status_code == SEE_OTHER
    counter = await sign_in(db, new_visitor(), roles=("counter",))
    assert (await counter.get("/office")).status_code == FORBIDDEN
    assert "/sign-in" in (await visitor.get("/office")).headers["location"]


async def test_wrong_and_stale_moves_are_refused_with_what_happened(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    path = await office_path(db, number)
    staff = await sign_in(db, new_visitor())
    assert (await staff.post(f"{path}/complete", {"version": "1"})).status_code == CONFLICT
    assert (await staff.post(f"{path}/explode", {"version": "1"})).status_code == NOT_FOUND
    for bad in ("", "x", "-1", "9" * 30, "²"):
        assert (await staff.post(f"{path}/accept", {"version": bad})).status_code == 400
    answers = await asyncio.gather(*(staff.post(f"{path}/accept", {"version": "1"}) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [SEE_OTHER, CONFLICT, CONFLICT]
    lost = next(answer for answer in answers if answer.status_code == CONFLICT)
    assert "ほかの人が先に進めました" in lost.text
    for path in ("/office/applications/nonsense", f"/office/applications/{new_key()}"):
        assert (await staff.get(path)).status_code == NOT_FOUND
    for query in ("state=%00", "state=x&before=y", "before=" + "9" * 400):
        assert (await staff.get(f"/office?{query}")).status_code == httpx.codes.OK


async def test_the_person_withdraws_and_the_office_can_do_nothing_more(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    for _ in range(2):
        answer = await visitor.post(f"/applications/{number}/withdraw")
        assert answer.headers["location"] == f"/applications/{number}"
    assert [event.state for event, _ in await progressed(db)] == ["submitted", "withdrawn"]
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert "いま、できることはありません" in (await staff.get(path)).text
    assert (await staff.post(f"{path}/accept", {"version": "2"})).status_code == CONFLICT


async def test_staff_who_applied_for_somebody_are_told_of_and_audited(db: Database, visitor: Visitor) -> None:
    staff = await sign_in(db, visitor, roles=("counter",), office="総合")
    number = await apply(staff, reach="none", behalf="desk")
    before = [entry for entry in await entries(db) if entry[0] == "staff_viewed"]
    page = await staff.get(f"/applications/{number}")
    assert NAME in page.text
    seen = [entry for entry in await entries(db) if entry[0] == "staff_viewed"]
    assert len(seen) == len(before) + 1
    assert seen.count(("staff_viewed", "routing", sorted(CHI02_ITEMS))) >= 1
    assert (await staff.post(f"/applications/{number}/withdraw")).status_code == SEE_OTHER
    async with db.begin(TOWN) as session:
        rows = (await session.execute(select(audit.c.action, audit.c.office).where(audit.c.ref == number))).all()
    assert sorted((row.action, row.office) for row in rows) == [
        ("submit_application", "総合"),
        ("view_application", "総合"),
        ("withdraw_application", "総合"),
    ]


@pytest.mark.parametrize("state", STATES)
async def test_the_database_itself_knows_which_moves_there_are(db: Database, visitor: Visitor, state: str) -> None:
    number = await apply(visitor, reach="none")
    moves: dict[str, Any] = {"n": number}

    async def move(to: str, *, from_state: str, step: int = 1) -> None:
        async with db.begin(TOWN) as session:
            # Somebody with more rights puts it there: the guard looks at the move, not at the way to it.
            await session.execute(text("UPDATE application SET state = :to, version = version + :step, appeal_to = '' "
                                       "WHERE number = :n AND state = :was"),
                                  moves | {"to": to, "was": from_state, "step": step})  # fmt: skip

    ways: dict[str, list[str]] = {
        "submitted": [],
        "accepted": ["accepted"],
        "correction_asked": ["correction_asked"],
        "visit_asked": ["visit_asked"],
        "refused": ["refused"],
        "completed": ["accepted", "completed"],
        "withdrawn": ["withdrawn"],
    }
    now = "submitted"
    for step in ways[state]:
        await move(step, from_state=now)
        now = step
    for to in STATES:
        if to == state or to in MOVES[state]:  # type: ignore[index]
            continue
        with pytest.raises(IntegrityError):
            await move(to, from_state=state)
    if MOVES[state]:  # type: ignore[index]
        with pytest.raises(IntegrityError):
            await move(MOVES[state][0], from_state=state, step=0)  # type: ignore[index]
