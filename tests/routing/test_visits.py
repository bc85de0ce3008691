"""Whoever applied online is asked to come: a time at the counter, with what was given, and the same case."""

import re
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from services.routing.commands.about_you import DUE_CONTACT_DRAFT, blank_contact_draft
from services.routing.commands.catalogue import publish_catalogue
from services.routing.queries.packs import count_under_way
from shared.db import Database
from shared.messaging.due import DueLoop
from tests.routing.applying import SEE_OTHER, apply, fill_in, hidden, office_path, press, send, sign_in
from tests.routing.conftest import Visitor
from tests.routing.makers import HOST, NAME, NOW, TOWN, make_pack
from tests.routing.test_applications import progressed
from tests.routing.test_pages import answer_offers
from tests.routing.test_protection import HIDDEN, case_of, set_protected
from tests.routing.test_reuse import book

NewVisitor = Callable[..., Visitor]
OK, UNPROCESSABLE, CONFLICT = 200, 422, 409
REASON = "口座の名義がちがいます。"
VISIT = "通帳の原本を見せてください。"


async def ask_to_come(db: Database, staff: Visitor, number: str) -> str:
    """The office asks; return its page's path."""
    path = await office_path(db, number)
    assert (await press(staff, path, "ask-visit", visit=VISIT)).status_code == SEE_OTHER
    return path


async def state_of(db: Database, case: str) -> tuple[str, str]:
    async with db.begin(TOWN) as session:
        query = text("SELECT state, channel FROM case_file WHERE case_id = CAST(:id AS uuid)")
        row = (await session.execute(query, {"id": case.rsplit("/", 1)[-1]})).one()
    return row.state, row.channel


async def test_who_is_asked_to_come_books_with_what_was_given_and_the_same_case(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    # Before it is asked for, there is no such way.
    assert (await visitor.post(f"{case}/visit")).status_code == CONFLICT
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    assert (await press(staff, path, "ask-visit", visit="")).status_code == UNPROCESSABLE
    assert (await press(staff, path, "ask-visit", visit=VISIT)).status_code == SEE_OTHER
    page = await visitor.get(f"/applications/{number}")
    assert VISIT in page.text
    assert f'action="{case}/visit"' in page.text
    assert (await new_visitor().post(f"{case}/visit")).status_code != OK
    for _ in range(2):
        assert (await visitor.post(f"{case}/visit")).headers["location"] == f"{case}/handover"
    offered = await visitor.get(f"{case}/handover")
    assert offered.status_code == OK
    assert NAME in offered.text
    fields = {f"offer_{item}": hidden(offered, f"offer_{item}") for item in ("name", "contact")}
    answer = await visitor.post(f"{case}/handover", fields | {"all": "yes"})
    assert answer.headers["location"] == f"{case}/pass"
    assert (await visitor.get(f"{case}/pass")).status_code == OK
    # The office still has what was sent, and goes on with it.
    assert NAME in (await staff.get(path)).text
    assert number[:4] in (await visitor.get("/my")).text
    assert (await press(staff, path, "accept")).status_code == SEE_OTHER
    assert [event.state for event, _ in await progressed(db)] == ["submitted", "visit_asked", "accepted"]
    assert (await visitor.post(f"{case}/visit")).status_code == CONFLICT
    # Whoever was heard and has to correct something has the form again.
    await press(staff, path, "ask-correction", reason=REASON)
    assert 'value="0012345"' in (await visitor.get(f"{case}/form")).text
    assert (await send(visitor, case)).headers["location"] == f"/applications/{number}"


async def test_the_bearer_of_a_link_is_told_how_to_come(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    number = await apply(visitor)
    code = re.search(r"確認コード</span> <strong[^>]*>(\d{6})", (await visitor.get(f"/applications/{number}")).text)
    assert code
    staff = await sign_in(db, new_visitor())
    await press(staff, await office_path(db, number), "ask-visit", visit=VISIT)
    other = new_visitor()
    await other.post("/applications/find", {"number": number, "code": code[1]})
    page = await other.get(f"/applications/{number}")
    assert VISIT in page.text
    assert "/visit" not in page.text
    assert "役場への電話でできます" in page.text


@pytest.mark.parametrize("why", ["old draft", "protected"])
async def test_whose_contact_is_gone_says_it_anew_and_comes(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, why: str
) -> None:
    """Seen to fail while every page of a sent case led back to the application."""
    answer = await send(visitor, await fill_in(visitor, **HIDDEN), notices="yes" if why == "protected" else "no")
    number = answer.headers["location"].removeprefix("/applications/")
    case = await case_of(db, number)
    if why == "protected":
        await set_protected(db, case)
    else:
        loop = DueLoop(db, {DUE_CONTACT_DRAFT: blank_contact_draft}, lambda: NOW + timedelta(hours=25))
        assert await loop.run_once() == 1
    # Until the office asks, what was sent is closed.
    for page in ("you", "handover"):
        assert (await visitor.get(f"{case}/{page}")).headers["location"] == f"/applications/{number}"
    await ask_to_come(db, await sign_in(db, new_visitor()), number)
    assert (await visitor.post(f"{case}/visit")).headers["location"] == f"{case}/handover"
    assert (await visitor.get(f"{case}/handover")).headers["location"] == f"{case}/you"
    assert (await visitor.get(f"{case}/you")).status_code == OK
    assert (await visitor.tell(case, name=NAME)).headers["location"] == f"{case}/handover"
    shown = await visitor.get(f"{case}/handover")
    assert shown.status_code == OK
    assert "オンラインで続ける" not in shown.text
    # 「内容をなおす」 leads to the form about oneself again.
    assert (await visitor.get(f"{case}/you")).status_code == OK
    assert (await answer_offers(visitor, case)).headers["location"] == f"{case}/pass"
    assert (await visitor.get(f"{case}/pass")).status_code == OK


@pytest.mark.parametrize("end", ["complete", "refuse", "withdraw"])
async def test_with_the_application_its_case_is_over_unless_there_is_a_time_to_come(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, end: str
) -> None:
    """Seen to fail while a case that was on its way to the counter stayed so."""
    staff = await sign_in(db, new_visitor())
    booked = new_visitor()
    for person, is_booked in ((visitor, False), (booked, True)):
        number = await apply(person, reach="none")
        case = await case_of(db, number)
        path = await ask_to_come(db, staff, number)
        await person.post(f"{case}/visit")
        assert await state_of(db, case) == ("told", "counter")
        assert f'href="{case}"' in (await person.get("/my")).text
        if is_booked:
            await book(db, case, state="booked", version=1)
        if end == "complete":
            await press(staff, path, "accept")
        if end == "withdraw":
            assert (await person.post(f"/applications/{number}/withdraw")).status_code == SEE_OTHER
        else:
            assert (await press(staff, path, end, refusal=REASON)).status_code == SEE_OTHER
        assert await state_of(db, case) == (("told", "counter") if is_booked else ("submitted", "online"))
        assert f'href="{case}"' not in (await person.get("/my")).text
        if not is_booked:
            assert (await person.get(f"{case}/handover")).headers["location"] == f"/applications/{number}"
    async with db.begin(TOWN) as session:
        # What was refused is under way no longer.
        assert (await count_under_way(session, TOWN, now=NOW)).cases == {}


async def test_where_no_counter_does_it_nobody_is_sent_to_choose_a_time(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    pack = make_pack()
    changed = tuple(
        msgspec.structs.replace(line, counter="no", counters=()) if line.code == "CHI02" else line
        for line in pack.procedures
    )
    async with db.begin(TOWN) as session:
        await publish_catalogue(
            session, msgspec.structs.replace(pack, procedures=changed), public_url=f"http://{HOST}", now=NOW
        )
    number = await apply(visitor, reach="none")
    staff = await sign_in(db, new_visitor())
    assert "予約できる窓口がありません" in (await staff.get(await office_path(db, number))).text
    await ask_to_come(db, staff, number)
    page = await visitor.get(f"/applications/{number}")
    assert VISIT in page.text
    assert "予約はいりません。役場に来ていただくか、お電話ください。" in page.text
    for part in ("/visit", "予約してください", "予約は、申請したときの端末"):
        assert part not in page.text, part
