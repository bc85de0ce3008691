"""A case goes on at another device: by link, or number and code, once, and nothing else of the person goes along."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.routing.commands.devices import end_device
from services.routing.domain.applications import LOCKED_FOR
from services.routing.domain.devices import CODE_FAILURES_MAX, DEVICE_LIFETIME
from shared.db import Database
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, fill_in, hidden, send, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import EMAIL, HOST, NAME, NOW, PHONE, TOWN

NewVisitor = Callable[..., Visitor]


def shown(page: httpx.Response) -> tuple[str, str, str]:
    """The link's path, the number and the code."""
    link = re.search(rf'href="http://{HOST}(/resume/[^"]+)"', page.text)
    number, code = re.findall(r'slip__number">([^<]+)<', page.text)
    assert link
    return link[1], number, code


async def make_link(visitor: Visitor, case: str) -> tuple[str, str, str]:
    page = await visitor.post(f"{case}/device")
    assert page.status_code == httpx.codes.OK, page.text
    return shown(page)


async def through(visitor: Visitor, path: str, fields: dict[str, str] | None = None) -> httpx.Response:
    """Press a button in a browser that may have no token yet: it is led over where tokens come from."""
    answer = await visitor.post(path, fields)
    while answer.status_code == httpx.codes.TEMPORARY_REDIRECT:
        answer = await visitor.post(answer.headers["location"], fields)
    return answer


async def began(new_visitor: NewVisitor, case: str, link: str) -> Visitor:
    """Another device, at which the case was opened by its link."""
    other = new_visitor()
    answer = await through(other, link)
    assert answer.headers["location"] == case, answer.text
    return other


async def test_a_link_opens_the_case_with_what_was_kept_and_both_go_on(
    visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    link, _number, _code = await make_link(visitor, case)
    other = new_visitor()
    # A messenger that looks at the link does not use it up.
    for _ in range(2):
        assert "この機械で、手続きを続けますか" in (await other.get(link)).text
    assert (await through(other, link)).headers["location"] == case
    assert NAME in (await other.get(f"{case}/form")).text
    assert NAME in (await visitor.get(f"{case}/form")).text
    assert case in (await other.get("/my")).text
    answer = await other.post(f"{case}/form", CHI02_FORM | {"child_name": "吉田 なつ"})
    assert answer.headers["location"] == f"{case}/check"
    assert "吉田 なつ" in (await visitor.get(f"{case}/check")).text


async def test_the_person_reads_that_it_was_opened_elsewhere(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    case = await fill_in(visitor)
    await began(new_visitor, case, (await make_link(visitor, case))[0])
    async with db.begin(TOWN) as session:
        entries = (
            await session.execute(
                text("SELECT visibility, items FROM routing.ledger_entry WHERE outcome = 'other_device'")
            )
        ).all()
    assert [(entry.visibility, sorted(entry.items)) for entry in entries] == [
        ("subject", ["address", "bank_account", "birth_date", "child", "name", "phone"])
    ]


async def test_a_link_opens_once_and_a_new_one_ends_the_one_before(visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without `opened_at` among what a waiting link has not."""
    case = await fill_in(visitor)
    first = await make_link(visitor, case)
    second = await make_link(visitor, case)
    assert (await new_visitor().get(first[0])).status_code == httpx.codes.NOT_FOUND
    await began(new_visitor, case, second[0])
    third = new_visitor()
    assert (await third.get(second[0])).status_code == httpx.codes.NOT_FOUND
    assert (await through(third, second[0])).status_code == httpx.codes.NOT_FOUND
    answer = await through(third, "/resume", {"number": second[1], "code": second[2]})
    assert "番号かコードがちがいます" in answer.text
    assert (await third.get(f"{case}/form")).status_code == httpx.codes.NOT_FOUND


async def test_of_two_devices_at_once_one_has_it(visitor: Visitor, new_visitor: NewVisitor, db: Database) -> None:
    """Seen to fail without what the update asks for: each of them had it."""
    case = await fill_in(visitor)
    link = (await make_link(visitor, case))[0]
    others = [new_visitor() for _ in range(4)]
    for other in others:
        await other.open_case()
    answers = await asyncio.gather(*(other.post(link) for other in others))
    assert sorted(answer.status_code for answer in answers) == [303, 404, 404, 404]


async def test_number_and_code_open_it_and_wrong_codes_lock_it(
    visitor: Visitor, new_visitor: NewVisitor, clock: TestClock
) -> None:
    """Seen to fail without the count."""
    case = await fill_in(visitor)
    _link, number, code = await make_link(visitor, case)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    other = new_visitor()
    for _ in range(CODE_FAILURES_MAX - 1):
        await through(other, "/resume", {"number": number, "code": wrong})
    answer = await through(other, "/resume", {"number": number, "code": wrong})
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    answer = await through(other, "/resume", {"number": number, "code": code})
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    clock.move(LOCKED_FOR)
    answer = await through(other, "/resume", {"number": number.lower(), "code": code})
    assert answer.headers["location"] == case


async def test_a_number_that_nobody_has_looks_like_any_other(new_visitor: NewVisitor) -> None:
    other = new_visitor()
    for _ in range(CODE_FAILURES_MAX - 1):
        await through(other, "/resume", {"number": "22222", "code": "123456"})
    answer = await through(other, "/resume", {"number": "22222", "code": "123456"})
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS


async def test_nothing_else_of_the_person_goes_along(visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without the looks at `guest_ref` in `reusable_items` and `_known_contact`."""
    number = await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    answer = await visitor.post(
        f"{case}/channel", {"channel": "online", "child_name": "吉田 なつ", "child_kana": "ヨシダ ナツ"}
    )
    await visitor.post(f"{case}/reuse", {"all": "no"})
    await visitor.post(f"{case}/form", {"phone": "0463-71-3311"})
    answer = await visitor.post(f"{case}/channel", {"channel": "counter", "phone": "0463-71-3311"})
    answer = await visitor.post(f"{case}/channel", {"channel": "online"})
    assert answer.headers["location"] == f"{case}/reuse"
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    assert (await other.get(f"{case}/reuse")).headers["location"] == f"{case}/form"
    form = await other.get(f"{case}/form")
    assert "0463-71-3311" in form.text
    for page in (form, await other.get(f"{case}/you"), await other.get("/my"), await other.get("/my/data")):
        assert NAME not in page.text
        assert EMAIL not in page.text
        assert PHONE not in page.text
        assert number not in page.text
        assert "前に教えていただいた" not in page.text
    assert (await other.get(f"/applications/{number}")).headers["location"].startswith("/applications/find")


async def test_the_link_tells_nothing_and_is_kept_as_a_hash(visitor: Visitor, db: Database) -> None:
    case = await fill_in(visitor)
    link, _number, code = await make_link(visitor, case)
    token = link.removeprefix("/resume/")
    async with db.begin(TOWN) as session:
        kept = repr((await session.execute(text("SELECT * FROM routing.case_device"))).all())
    assert token not in kept
    assert code not in kept
    assert case.removeprefix("/cases/") not in link


async def test_taken_back_it_is_gone_there_and_not_here(visitor: Visitor, new_visitor: NewVisitor) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    waiting = (await make_link(visitor, case))[0]
    assert "ほかの1台で開けます" in (await visitor.get(f"{case}/device")).text
    # Only where it was begun.
    assert (await other.post(f"{case}/device/end")).status_code == httpx.codes.NOT_FOUND
    assert (await other.post(f"{case}/device")).status_code == httpx.codes.CONFLICT
    await visitor.post(f"{case}/device/end")
    assert (await other.get(f"{case}/form")).status_code == httpx.codes.NOT_FOUND
    assert (await other.get(waiting)).status_code == httpx.codes.NOT_FOUND
    assert NAME in (await visitor.get(f"{case}/form")).text


async def test_sent_there_it_ends_there_with_its_number(visitor: Visitor, new_visitor: NewVisitor) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    answer = await send(other, case)
    assert answer.headers["location"].startswith("/applications/")
    page = await other.get(answer.headers["location"])
    assert page.status_code == httpx.codes.OK
    assert NAME not in page.text
    assert (await other.get(f"{case}/form")).status_code == httpx.codes.NOT_FOUND
    assert NAME in (await visitor.get(answer.headers["location"])).text


async def test_sent_here_it_ends_there(visitor: Visitor, new_visitor: NewVisitor) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    assert (await send(visitor, case)).status_code == SEE_OTHER
    assert (await other.get(f"{case}/check")).status_code == httpx.codes.NOT_FOUND
    assert (await visitor.post(f"{case}/device")).status_code == httpx.codes.CONFLICT


@pytest.mark.parametrize(("late", "status"), [(timedelta(0), 404), (timedelta(seconds=-1), 200)])
async def test_a_link_is_over_after_its_days(
    visitor: Visitor, new_visitor: NewVisitor, clock: TestClock, late: timedelta, status: int
) -> None:
    case = await fill_in(visitor)
    link = (await make_link(visitor, case))[0]
    clock.move(DEVICE_LIFETIME + late)
    assert (await new_visitor().get(link)).status_code == status


async def test_a_device_loses_the_case_with_the_links_time(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    async with db.begin(TOWN) as session:
        due = (await session.execute(text("SELECT ref, due_at FROM routing.due WHERE kind = 'device_ended'"))).one()
        assert due.due_at == NOW + DEVICE_LIFETIME
        await end_device(session, TOWN, due.ref, due.due_at)
    assert (await other.get(f"{case}/form")).status_code == httpx.codes.NOT_FOUND


async def test_what_was_saved_elsewhere_meanwhile_is_not_undone(visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without `changed_meanwhile`: the second one to save undid the first."""
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    seen = hidden(await visitor.get(f"{case}/form"), "seen")
    assert hidden(await other.get(f"{case}/form"), "seen") == seen
    answer = await other.post(f"{case}/form", CHI02_FORM | {"child_name": "吉田 なつ", "seen": seen})
    assert answer.headers["location"] == f"{case}/check"
    mine = CHI02_FORM | {"child_name": "吉田 ふゆ", "seen": seen}
    page = await visitor.post(f"{case}/form", mine)
    assert page.status_code == httpx.codes.CONFLICT
    assert "ほかの画面で、内容が書きかわりました" in page.text
    assert "吉田 なつ" in page.text
    assert 'value="吉田 ふゆ"' in page.text
    assert "吉田 なつ" in (await visitor.get(f"{case}/check")).text
    answer = await visitor.post(f"{case}/form", mine | {"seen": hidden(page, "seen")})
    assert answer.headers["location"] == f"{case}/check"
    assert "吉田 ふゆ" in (await visitor.get(f"{case}/check")).text


async def test_the_same_typed_twice_is_no_quarrel(visitor: Visitor, new_visitor: NewVisitor) -> None:
    case = await fill_in(visitor)
    other = await began(new_visitor, case, (await make_link(visitor, case))[0])
    changed = CHI02_FORM | {"child_name": "吉田 なつ", "seen": hidden(await visitor.get(f"{case}/form"), "seen")}
    for each in (other, visitor):
        assert (await each.post(f"{case}/form", changed)).headers["location"] == f"{case}/check"


async def test_staff_and_cases_without_anything_have_no_link(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    empty = await visitor.open_case("CHI03", channel="online")
    assert "まだ、ほかの機械で続けられません" in (await visitor.get(f"{empty}/device")).text
    assert (await visitor.post(f"{empty}/device")).status_code == httpx.codes.CONFLICT
    case = await fill_in(visitor)
    link = (await make_link(visitor, case))[0]
    staff = new_visitor()
    await sign_in(db, staff)
    assert (await staff.post(link)).status_code == httpx.codes.FORBIDDEN
    theirs = await fill_in(staff, behalf="desk")
    assert (await staff.post(f"{theirs}/device")).status_code == httpx.codes.CONFLICT


async def test_the_database_keeps_one_link_waiting_and_no_late_opening(visitor: Visitor, db: Database) -> None:
    case = await fill_in(visitor)
    await make_link(visitor, case)
    copy = """INSERT INTO routing.case_device (municipality, device_id, case_id, number, link_hash, made_at, expires_at)
        SELECT municipality, gen_random_uuid(), case_id, 'X', 'x', made_at, expires_at FROM routing.case_device"""
    late = "UPDATE routing.case_device SET guest_ref = 'x', opened_at = expires_at"
    half = "UPDATE routing.case_device SET guest_ref = 'x'"
    for statement in (copy, late, half):
        with pytest.raises(IntegrityError):
            async with db.begin(TOWN) as session:
                await session.execute(text(statement))
