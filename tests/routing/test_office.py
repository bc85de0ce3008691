"""The office's work on applications: the inbox, who does what, visits, refusals, two persons, paper and data."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from services.routing.commands.catalogue import publish_catalogue
from services.routing.pages.office_papers import ExportedApplication
from services.routing.queries.office import PAGE
from services.routing.tables import audit
from shared.db import Database
from shared.town_pack.office import CHECKS_MAX, OfficeRule
from shared.town_pack.office import Check as PackCheck
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, fill_in, hidden, office_path, press, send, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import HOST, NAME, NOW, TOWN, make_pack
from tests.routing.test_applications import progressed
from tests.routing.test_handover import entries

NewVisitor = Callable[..., Visitor]
OK, UNPROCESSABLE, CONFLICT, FORBIDDEN, NOT_FOUND = 200, 422, 409, 403, 404
REASON = "お子さんが町の住民票にないため、条例第3条に合いません。"


async def set_rule(db: Database, **changes: object) -> None:
    """Publish the pack with a rule for 児童手当."""
    pack = make_pack()
    rule = OfficeRule("CHI02", **changes)  # type: ignore[arg-type]
    office = msgspec.structs.replace(pack.office, procedures=(*pack.office.procedures, rule))
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, msgspec.structs.replace(pack, office=office), public_url=HOST, now=NOW)


async def deeds(db: Database, number: str) -> list[str]:
    async with db.begin(TOWN) as session:
        return list((await session.execute(select(audit.c.action).where(audit.c.ref == number))).scalars())


# --- the inbox ---


async def test_the_inbox_sorts_by_what_is_due_and_counts(
    db: Database, clock: TestClock, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    first = await apply(visitor, reach="none")
    clock.move(timedelta(hours=1))
    second = await apply(new_visitor(), reach="none")
    staff = await sign_in(db, new_visitor())
    page = await staff.get("/office")
    assert page.text.index(first[:4]) < page.text.index(second[:4])
    # 10 working days after 11/24: 12/8.
    assert "12月8日" in page.text
    assert re.findall(r'state=(\w+)"[^>]*>[^<]+ <span class="number">(\d+)', page.text) == [
        ("open", "2"), ("mine", "0"), ("unassigned", "2"), ("late", "0"), ("waiting", "0")
    ]  # fmt: skip
    path = await office_path(db, first)
    detail = await staff.get(path)
    me = hidden(detail, "assignee")
    assert (await staff.post(f"{path}/assign", {"before": "", "assignee": me})).status_code == SEE_OTHER
    await press(staff, await office_path(db, second), "ask-correction", reason=REASON)
    for view, there, not_there in (("mine", first, second), ("unassigned", second, first), ("waiting", second, first)):
        listed = await staff.get(f"/office?state={view}")
        assert there[:4] in listed.text, view
        assert not_there[:4] not in listed.text, view
    assert (await staff.get("/office?state=late")).text.count("/office/applications/") == 0
    async with db.begin(TOWN) as session:
        due = (
            await session.execute(text("SELECT due_at FROM application WHERE number = :n"), {"n": first})
        ).scalar_one()
        await session.execute(text("UPDATE application SET due_at = :at"), {"at": NOW - timedelta(days=1)})
    assert due == datetime(2026, 12, 8, 8, 15, tzinfo=UTC)
    late = await staff.get("/office?state=late")
    assert first[:4] in late.text
    assert "期限をすぎています" in late.text
    # It waits for the person: no time runs.
    assert second[:4] not in late.text
    await press(staff, path, "refuse", refusal=REASON)
    assert first[:4] in (await staff.get("/office?state=refused")).text


async def test_the_inbox_goes_page_by_page(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    number = await apply(visitor, reach="none")
    async with db.begin(TOWN) as session:
        await session.execute(
            text("""
                INSERT INTO case_file (municipality, case_id, procedure, channel, state, guest_ref, session_id,
                    idempotency_key, created_at, updated_at, version)
                SELECT municipality, gen_random_uuid(), procedure, channel, state, guest_ref, session_id,
                    gen_random_uuid(), created_at, updated_at, 1 FROM case_file, generate_series(1, :count)
            """),
            {"count": PAGE},
        )
        await session.execute(
            text("""
                INSERT INTO application (municipality, application_id, number, case_id, procedure, office, subject_ref,
                    guest_ref, state, version, items, submit_key, submitted_at, changed_at)
                SELECT a.municipality, gen_random_uuid(), 'Z' || left(md5(c.case_id::text), 7), c.case_id, a.procedure,
                    a.office, a.subject_ref, a.guest_ref, 'submitted', 1, a.items, a.submit_key, a.submitted_at,
                    a.changed_at
                FROM case_file c, application a WHERE a.number = :number AND c.case_id <> a.case_id
            """),
            {"number": number},
        )
    staff = await sign_in(db, new_visitor())
    page = await staff.get("/office")
    assert page.text.count('role="rowheader"') == PAGE
    assert "page=2" in page.text
    last = await staff.get("/office?state=open&page=2")
    assert last.text.count('role="rowheader"') == 1
    for nonsense in ("page=0", "page=-1", "page=x", "page=9999", "page=²", "state=%00"):
        assert (await staff.get(f"/office?{nonsense}")).status_code == OK


async def test_of_two_who_take_it_at_once_one_does(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without the look at who had it before."""
    number = await apply(visitor, reach="none")
    path = await office_path(db, number)
    one, other = await sign_in(db, new_visitor()), await sign_in(db, new_visitor())
    refs = [hidden(await each.get(path), "assignee") for each in (one, other)]
    answers = await asyncio.gather(
        *(
            each.post(f"{path}/assign", {"before": "", "assignee": ref})
            for each, ref in zip((one, other), refs, strict=True)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [SEE_OTHER, CONFLICT]
    lost = next(answer for answer in answers if answer.status_code == CONFLICT)
    assert "ほかの人が、先に担当を決めました" in lost.text
    assert (await deeds(db, number)).count("application_take") == 1


async def test_work_is_given_to_the_office_s_own_people_only(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor, reach="none")
    path = await office_path(db, number)
    stranger = await sign_in(db, new_visitor(), office="税")
    assert (await stranger.post(f"{path}/assign", {"before": "", "assignee": ""})).status_code == FORBIDDEN
    colleague = await sign_in(db, new_visitor())
    theirs = hidden(await colleague.get(path), "assignee")
    staff = await sign_in(db, new_visitor())
    async with db.begin(TOWN) as session:
        taxes = (await session.execute(text("SELECT account_id FROM account WHERE office = '税'"))).scalar_one().hex
    for wrong in (taxes, "x", "あ" * 900):
        refused = await staff.post(f"{path}/assign", {"before": "", "assignee": wrong})
        assert refused.status_code == UNPROCESSABLE
        assert "この課の担当になれません" in refused.text
    assert (await staff.post(f"{path}/assign", {"before": "", "assignee": theirs})).status_code == SEE_OTHER
    assert (await staff.post(f"{path}/assign", {"before": theirs, "assignee": ""})).status_code == SEE_OTHER
    assert sorted(await deeds(db, number)) == ["application_assign", "application_unassign"]
    await visitor.post(f"/applications/{number}/withdraw")
    assert (await staff.post(f"{path}/assign", {"before": "", "assignee": theirs})).status_code == CONFLICT


# --- a correction, item by item ---


async def test_each_reason_stands_at_its_field_and_in_no_event(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert "項目ごとに書く" in (await staff.get(path)).text
    nothing = await press(staff, path, "ask-correction", reason="", reason_child=" ")
    assert nothing.status_code == UNPROCESSABLE
    assert 'href="#f-reason"' in nothing.text
    long = await press(staff, path, "ask-correction", reason_child="あ" * 201)
    assert long.status_code == UNPROCESSABLE
    assert 'href="#f-reason_child"' in long.text
    child, account = "生年月日が住民票とちがいます。", "口座の名義を確かめてください。"
    asked = await press(
        staff, path, "ask-correction", reason_child=child, reason_bank_account=account, **{"reason_<b>": "x"}
    )
    assert asked.status_code == SEE_OTHER
    page = await visitor.get(f"/applications/{number}")
    for part in (child, account, "お子さん", "申請をなおす"):
        assert part in page.text, part
    form = await visitor.get(f"{case}/form")
    assert form.text.index('id="c-bank_account"') < form.text.index('id="g-bank_account"')
    assert form.text.index('id="g-bank_account"') < form.text.index('id="c-child"') < form.text.index('id="g-child"')
    assert child in form.text
    assert 'id="c-name"' not in form.text
    # It stays there while something else is wrong.
    assert child in (await visitor.post(f"{case}/form", CHI02_FORM | {"name": ""})).text
    assert child in (await staff.get(path)).text
    told = "".join(str(event) for event, _ in await progressed(db))
    assert child not in told
    assert account not in told
    assert ("collected", "routing", ["correction"]) in await entries(db)
    await visitor.post(f"{case}/form", CHI02_FORM)
    await send(visitor, case)
    assert child not in (await visitor.get(f"/applications/{number}")).text


# --- a refusal ---


async def test_a_refusal_says_why_and_what_one_can_do_against_it(
    db: Database, clock: TestClock, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert "町長に対して審査請求" in (await staff.get(path)).text
    assert (await press(staff, path, "refuse", refusal=" ")).status_code == UNPROCESSABLE
    assert (await press(staff, path, "refuse", refusal=REASON)).status_code == SEE_OTHER
    # What the town writes later changes no decision.
    await set_rule(db, appeal_to="べつの審査会")
    page = await visitor.get(f"/applications/{number}")
    for part in (
        "申請は認められませんでした", REASON, "二宮町長に対して審査請求", "3か月以内", "二宮町を被告として",
        "6か月以内", "11月24日", "この決定を印刷する",
    ):  # fmt: skip
        assert part in page.text, part
    assert "取り下げる" not in page.text
    assert [event.state for event, _ in await progressed(db)] == ["submitted", "refused"]
    assert REASON not in "".join(str(event) for event, _ in await progressed(db))
    assert ("collected", "routing", ["refusal"]) in await entries(db)
    assert (await staff.post(f"{path}/accept", {"version": "2"})).status_code == CONFLICT
    assert (await visitor.post(f"/applications/{number}/withdraw")).status_code == CONFLICT


async def test_where_the_appeal_comes_first_or_there_is_none_the_person_reads_so(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    staff = await sign_in(db, new_visitor())
    for rule, said in (
        ({"appeal_to": "神奈川県審査会", "appeal_first": True}, "裁決を経た後でなければ"),
        ({"appeal_to": ""}, "審査請求のできる処分ではありません"),
    ):
        await set_rule(db, **rule)
        number = await apply(visitor, reach="none")
        await press(staff, await office_path(db, number), "refuse", refusal=REASON)
        assert said in (await visitor.get(f"/applications/{number}")).text


async def test_a_rule_outlives_its_procedure_in_the_pack_and_no_rule_is_no_word_against_appeals(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail when a load removed the rule, and when no rule was read as no appeal."""
    await set_rule(db, appeal_to="神奈川県審査会", checks=(PackCheck("person", "住民票にある"),))
    numbers = [await apply(each, reach="none") for each in (visitor, new_visitor())]
    pack = make_pack()
    left = tuple(line for line in pack.procedures if line.code != "CHI02")
    async with db.begin(TOWN) as session:
        without = msgspec.structs.replace(pack, procedures=left)
        await publish_catalogue(session, without, public_url=HOST, now=NOW)
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, numbers[0])
    await press(staff, path, "accept")
    assert (await press(staff, path, "complete")).status_code == CONFLICT
    await press(staff, path, "refuse", refusal=REASON)
    assert "神奈川県審査会に対して審査請求" in (await visitor.get(f"/applications/{numbers[0]}")).text
    # As after a migration, before the pack is loaded once more.
    async with db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM office_rule"))
    path = await office_path(db, numbers[1])
    assert "二宮町長に対して審査請求" in (await staff.get(path)).text
    await press(staff, path, "refuse", refusal=REASON)
    async with db.begin(TOWN) as session:
        told = await session.execute(text("SELECT appeal_to FROM application WHERE number = :n"), {"n": numbers[1]})
    assert told.scalar_one() == "二宮町長"


async def test_the_database_takes_no_refusal_without_the_means_of_appeal(db: Database, visitor: Visitor) -> None:
    await apply(visitor, reach="none")
    with pytest.raises(IntegrityError, match="application_appeal_told_check"):
        async with db.begin(TOWN) as session:
            await session.execute(text("UPDATE application SET state = 'refused', version = version + 1"))


# --- what was gone through, and by whom ---


async def test_checks_are_ticked_by_name_and_all_before_the_end(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    checks = (PackCheck("person", "住民票にある"), PackCheck("account", "口座が合う"))
    await set_rule(db, checks=checks)
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    await press(staff, path, "accept")
    early = await press(staff, path, "complete")
    assert early.status_code == CONFLICT
    assert "まだ確かめていないことがあります" in early.text
    ticked = {"version": "2", "before": ""}
    assert (
        await staff.post(f"{path}/checks", ticked | {"check_person": "yes", "check_other": "yes"})
    ).status_code == SEE_OTHER
    # A colleague's page is older: what was ticked meanwhile stays.
    colleague = await sign_in(db, new_visitor())
    assert (await colleague.post(f"{path}/checks", ticked | {"check_account": "yes"})).status_code == SEE_OTHER
    page = await staff.get(path)
    assert hidden(page, "before") is not None
    assert "person.account" in page.text
    done = ["application_tick:account", "application_tick:person"]
    assert [deed for deed in sorted(await deeds(db, number)) if "tick" in deed] == done
    assert (await staff.post(f"{path}/checks", {"version": "2", "before": "person.account"})).status_code == SEE_OTHER
    assert (await press(staff, path, "complete")).status_code == CONFLICT
    both = ticked | {"check_person": "yes", "check_account": "yes"}
    await staff.post(f"{path}/checks", both)
    assert (await staff.post(f"{path}/checks", both | {"version": "1"})).status_code == CONFLICT
    # What is sent once more is gone through once more.
    await press(staff, path, "ask-correction", reason=REASON)
    await visitor.get(f"{case}/form")
    await visitor.post(f"{case}/form", CHI02_FORM)
    await send(visitor, case)
    await press(staff, path, "accept")
    assert (await press(staff, path, "complete")).status_code == CONFLICT
    version = hidden(await staff.get(path), "version")
    await staff.post(f"{path}/checks", both | {"version": version})
    assert (await press(staff, path, "complete")).status_code == SEE_OTHER
    for bad in ("", "x", "9" * 30):
        assert (await staff.post(f"{path}/checks", {"version": bad})).status_code == 400


async def test_ticks_of_an_older_pack_hide_none_of_this_one(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail when every tick of an application was read, up to the number that a rule can have."""
    await set_rule(db, checks=(PackCheck("person", "住民票にある"),))
    number = await apply(visitor, reach="none")
    async with db.begin(TOWN) as session:
        await session.execute(
            text("""
                INSERT INTO application_check (municipality, application_id, code, ticked_by, ticked_at)
                SELECT municipality, application_id, 'old' || n, md5(n::text), submitted_at
                FROM application, generate_series(1, :many) n
            """),
            {"many": CHECKS_MAX},
        )
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    await press(staff, path, "accept")
    await staff.post(f"{path}/checks", {"version": "2", "before": "", "check_person": "yes"})
    assert (await press(staff, path, "complete")).status_code == SEE_OTHER


async def test_two_persons_decide_where_the_town_asks_for_it(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await set_rule(db, two_persons=True)
    number = await apply(visitor, reach="none")
    staff, colleague = await sign_in(db, new_visitor()), await sign_in(db, new_visitor())
    path = await office_path(db, number)
    await press(staff, path, "accept")
    # Nobody is offered what the rule keeps for somebody else.
    own, others = (await staff.get(path)).text, (await colleague.get(path)).text
    assert f'action="{path}/complete"' not in own
    assert "受け付けた方は、手続きを終えられません" in own
    assert f'action="{path}/complete"' in others
    assert "受け付けた方は、手続きを終えられません" not in others
    alone = await press(staff, path, "complete")
    assert alone.status_code == CONFLICT
    assert "受け付けた人とべつの人が終えます" in alone.text
    assert (await press(colleague, path, "complete")).status_code == SEE_OTHER


async def test_the_database_itself_refuses_that_one_person_completes(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail without the constraint, and without the trigger that keeps who accepted."""
    await set_rule(db, two_persons=True)
    number = await apply(visitor, reach="none")
    await press(await sign_in(db, new_visitor()), await office_path(db, number), "accept")

    async def complete(by: str, more: str = "") -> None:
        async with db.begin(TOWN) as session:
            await session.execute(
                text(f"UPDATE application SET state = 'completed', version = version + 1, completed_by = {by} {more}")
            )

    with pytest.raises(IntegrityError, match="application_two_persons_check"):
        await complete("accepted_by")
    with pytest.raises(IntegrityError, match="application_two_persons_check"):
        await complete("NULL")
    for way_around in (", accepted_by = 'somebody'", ", two_persons = false"):
        with pytest.raises(IntegrityError, match="not changed afterwards"):
            await complete("accepted_by", way_around)
    for before in ("accepted_by = 'somebody'", "two_persons = false", "completed_by = 'somebody'"):
        with pytest.raises(IntegrityError, match="not changed afterwards"):
            async with db.begin(TOWN) as session:
                await session.execute(text(f"UPDATE application SET {before}"))
    await complete("'somebody'")


# --- paper and data ---


async def test_paper_and_data_are_looks_of_their_own(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    before = [entry for entry in await entries(db) if entry[0] == "staff_viewed"]
    paper = await staff.get(f"{path}/print")
    for part in (NAME, "口座番号：0012345", "決裁", f"{number[:4]}-{number[4:]}"):
        assert part in paper.text, part
    data = await staff.get(f"{path}/export.json")
    assert data.headers["content-disposition"] == f'attachment; filename="application-{number}.json"'
    assert data.headers["cache-control"] == "no-store"
    seen = [entry for entry in await entries(db) if entry[0] == "staff_viewed"]
    assert len(seen) == len(before) + 2
    async with db.begin(TOWN) as session:
        looks = (await session.execute(select(audit.c.action).where(audit.c.action.like("view_office_%")))).scalars()
        assert sorted(looks) == ["view_office_export", "view_office_print"]
    read = msgspec.json.decode(data.content, type=ExportedApplication)
    assert (read.number, read.procedure, read.office, read.state) == (number, "CHI02", "子育て", "submitted")
    parts = {item.key: item.parts for item in read.items}
    assert parts["name"] == {"value": NAME}
    assert parts["birth_date"] == {"value": "1988-04-05"}
    assert parts["bank_account"]["number"] == "0012345"
    assert [step.state for step in read.steps] == ["submitted"]
    schema = json.loads((await staff.get(read.schema)).text)
    described = schema["$defs"]["ExportedApplication"]["properties"]
    assert set(described) == set(json.loads(data.text))
    stranger = await sign_in(db, new_visitor(), office="税")
    for page in ("print", "export.json"):
        assert (await stranger.get(f"{path}/{page}")).status_code == FORBIDDEN
        assert (await staff.get(f"/office/applications/nonsense/{page}")).status_code == NOT_FOUND
    assert (await visitor.get(f"{path}/print")).status_code in (SEE_OTHER, httpx.codes.FORBIDDEN)
