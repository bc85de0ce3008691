"""Photos and documents of an application: put in, exchanged, sent, asked for again, looked at, and gone."""

import asyncio
import io
import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.routing.commands.erasure import erase_subject
from services.routing.commands.retention import erase_due
from services.routing.domain.attachments import FILES_PER_CASE_MAX
from services.routing.pages.tries import FILES_PER_GUEST
from services.routing.pages.wording import REFUSALS
from shared.db import Database
from tests.routing.applying import SEE_OTHER, office_path, press, send, sign_in
from tests.routing.attaching import (
    DOCUMENT,
    FORM,
    OFFICE,
    attach,
    attached,
    begin,
    count,
    error_of,
    publish,
    send_it,
)
from tests.routing.conftest import TestClock, Visitor
from tests.routing.files import make_pdf, make_picture
from tests.routing.makers import NOW, TOWN
from tests.routing.test_protection import set_protected

LABEL = "居間の窓"
BOOK = "振込先がわかるもの"


@pytest_asyncio.fixture(autouse=True)
async def attaching(db: Database) -> None:
    await publish(db)


def color_of(body: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(body)) as picture:
        found = picture.convert("RGB").getpixel((0, 0))
        assert isinstance(found, tuple)
        return tuple(round(part / 255) for part in found)


async def entries(db: Database, key: str) -> list[tuple[str, str, str]]:
    """What the ledger has of an item: type, step and who may read it."""
    async with db.begin(TOWN) as session:
        rows = await session.execute(
            text("SELECT entry_type, target_step, visibility FROM ledger_entry WHERE :key = ANY (items)"),
            {"key": key},
        )
        return [tuple(row) for row in rows]


async def test_files_are_put_in_one_by_one_named_exchanged_and_taken_out(db: Database, visitor: Visitor) -> None:
    case = await begin(visitor)
    assert (await attach(visitor, case, make_picture(color="red"), label=LABEL)).status_code == SEE_OTHER
    assert (await attach(visitor, case, make_pdf(2), item=DOCUMENT)).status_code == SEE_OTHER
    page = await visitor.get(f"{case}/attachments")
    for shown in (LABEL, "写真1", "PDF1", BOOK, "2ページ", "10MB", 'accept="image/jpeg', "data:image/jpeg;base64,"):
        assert shown in page.text, shown
    assert "capture" not in page.text
    first, second = await attached(visitor, case)
    # Another in its place: the one before is gone.
    answer = await attach(visitor, case, make_picture(color="blue"), replace=first.rpartition("/")[2], label=LABEL)
    assert answer.status_code == SEE_OTHER
    exchanged, document = await attached(visitor, case)
    assert (document, exchanged != first) == (second, True)
    assert color_of((await visitor.get(exchanged)).content) == (0, 0, 1)
    assert (await visitor.get(first)).status_code == httpx.codes.NOT_FOUND
    assert await count(db, "attachment") == 2
    # Taken out, twice.
    for _ in range(2):
        assert (await visitor.post(f"{document}/remove")).status_code == SEE_OTHER
    assert await attached(visitor, case) == [exchanged]
    assert (await visitor.get(document)).status_code == httpx.codes.NOT_FOUND
    assert (await count(db, "attachment"), await count(db, "attachment_use")) == (1, 1)
    assert (await visitor.post(f"{exchanged}/remove")).status_code == SEE_OTHER
    assert (await count(db, "attachment"), await count(db, "attachment_chunk")) == (0, 0)
    # And nothing is offered elsewhere of what is empty.
    other = await visitor.open_case("ENV02", "online")
    reuse = await visitor.get(f"{other}/reuse")
    assert "offer_photos" not in reuse.text
    assert "写真" not in (await visitor.get("/my/data")).text


async def test_a_mistake_in_one_place_keeps_what_is_in_the_other(visitor: Visitor) -> None:
    case = await begin(visitor)
    assert (await attach(visitor, case)).status_code == SEE_OTHER
    answer = await visitor.post(f"{case}/form", {"name": ""})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert len(await attached(visitor, case)) == 1
    nothing = await visitor.http.post(
        f"{case}/attachments",
        data={"item": "photos", "label": LABEL, "idempotency_key": str(uuid4())},
        files={"file": ("", b"")},
    )
    assert nothing.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "ファイルを選んでから" in error_of(nothing)
    assert LABEL in nothing.text
    bad = await attach(visitor, case, label="あ\u202eい")
    assert bad.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert len(await attached(visitor, case)) == 1


async def test_sent_twice_with_one_key_a_file_is_there_once(db: Database, visitor: Visitor) -> None:
    case = await begin(visitor)
    key = str(uuid4())
    answers = await asyncio.gather(*(attach(visitor, case, idempotency_key=key) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [SEE_OTHER, SEE_OTHER]
    assert await count(db, "attachment") == 1


async def test_of_two_at_once_the_last_place_is_one_s(db: Database, visitor: Visitor) -> None:
    """Seen to fail (both taken, one lost) without the lock of the case and the key of `slot`; with either it holds."""
    case = await begin(visitor)
    for _ in range(FILES_PER_CASE_MAX - 1):
        assert (await attach(visitor, case, make_picture((8, 8)))).status_code == SEE_OTHER
    answers = await asyncio.gather(*(attach(visitor, case, make_picture((8, 8))) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [SEE_OTHER, httpx.codes.CONFLICT]
    assert len(await attached(visitor, case)) == FILES_PER_CASE_MAX
    refused = next(answer for answer in answers if answer.status_code != SEE_OTHER)
    assert error_of(refused).startswith(REFUSALS["attachment_too_many"].title) or "これ以上は" in refused.text
    # One for another goes all the same.
    first = (await attached(visitor, case))[0].rpartition("/")[2]
    assert (await attach(visitor, case, replace=first)).status_code == SEE_OTHER


async def test_the_database_takes_no_more_files_of_a_case(db: Database, visitor: Visitor) -> None:
    """Whatever the code believes: a place for each, and ten places. Seen to fail without the check and the key."""
    case = await begin(visitor)
    assert (await attach(visitor, case)).status_code == SEE_OTHER
    row = """INSERT INTO attachment (municipality, file_id, case_id, slot, send_key, kind, size_bytes, pages, hash,
                                     sealed_about, stored_at)
             SELECT municipality, gen_random_uuid(), case_id, :slot, gen_random_uuid(), kind, size_bytes, pages, hash,
                    sealed_about, stored_at FROM attachment LIMIT 1"""
    for slot in (1, FILES_PER_CASE_MAX + 1, 0):
        with pytest.raises(IntegrityError):
            async with db.begin(TOWN) as session:
                await session.execute(text(row), {"slot": slot})


async def test_many_files_in_a_short_time_are_refused(visitor: Visitor) -> None:
    case = await begin(visitor)
    for _ in range(FILES_PER_GUEST.amount):
        await attach(visitor, case, b"")
    answer = await attach(visitor, case)
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS


async def test_nobody_else_opens_adds_or_takes_out(new_visitor: Callable[..., Visitor], visitor: Visitor) -> None:
    case = await begin(visitor)
    assert (await attach(visitor, case)).status_code == SEE_OTHER
    (path,) = await attached(visitor, case)
    other = new_visitor()
    own = await begin(other)
    assert (await attach(other, own)).status_code == SEE_OTHER
    for answer in (
        await other.get(f"{case}/attachments"),
        await other.get(path),
        await other.get(f"{own}/attachments/{path.rpartition('/')[2]}"),
        await attach(other, case),
        await attach(other, own, replace=path.rpartition("/")[2]),
        await attach(other, own, item="attached_seal"),
        await attach(other, own, item="name"),
        await other.post(f"{path}/remove"),
        await new_visitor().get(path),
    ):
        assert answer.status_code in (httpx.codes.NOT_FOUND, SEE_OTHER, httpx.codes.TEMPORARY_REDIRECT), answer.text
        assert b"\xff\xd8" not in answer.content
    # Said to belong to another's file, in one's own case: it is still there.
    await other.post(f"{own}/attachments/{path.rpartition('/')[2]}/remove")
    assert await attached(visitor, case) == [path]


async def test_what_staff_attach_and_take_out_for_somebody_is_audited_and_told(
    db: Database, new_visitor: Callable[..., Visitor]
) -> None:
    staff = await sign_in(db, new_visitor(), roles=("counter",), office=OFFICE)
    case = await begin(staff, behalf="desk")
    assert (await attach(staff, case)).status_code == SEE_OTHER
    (path,) = await attached(staff, case)
    await staff.get(path)
    await staff.post(f"{path}/remove")
    async with db.begin(TOWN) as session:
        rows = await session.execute(text("SELECT action FROM audit WHERE ref = :c"), {"c": case.rpartition("/")[2]})
        deeds = list(rows.scalars())
    assert {"view_attachments", "view_file"} <= set(deeds)
    assert deeds.count("save_attachments") == 2
    assert ("staff_viewed", "form", "subject") in await entries(db, "photos")


async def test_a_file_goes_along_when_the_token_is_renewed(clock: TestClock, visitor: Visitor) -> None:
    """Whoever looks for a photo for eleven minutes need not look again."""
    case = await begin(visitor)
    clock.move(timedelta(minutes=11))
    sent = {"item": "photos", "label": LABEL, "idempotency_key": str(uuid4())}
    answer = await visitor.http.post(
        f"{case}/attachments", data=sent, files={"file": ("x", make_picture())}, follow_redirects=True
    )
    assert (answer.status_code, LABEL in answer.text) == (httpx.codes.OK, True)
    assert [step.status_code for step in answer.history] == [httpx.codes.TEMPORARY_REDIRECT] * 2 + [SEE_OTHER]


async def test_what_was_attached_is_checked_sent_and_pinned(db: Database, visitor: Visitor) -> None:
    case = await begin(visitor)
    await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    page = await visitor.get(f"{case}/check")
    # What is not attached is brought later, and can still be attached.
    assert "あとで、持ってくるか" in page.text
    assert BOOK in page.text
    assert (await attach(visitor, case, label=LABEL)).status_code == SEE_OTHER
    # Attached after the check page was opened: what is sent is what was seen.
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert (await visitor.post(f"{case}/submit", fields)).status_code == httpx.codes.CONFLICT
    page = await visitor.get(f"{case}/check")
    assert "写真1まい" in page.text
    assert f"{case}/attachments#g-photos" in page.text
    number = await send_it(visitor, case)
    page = await visitor.get(f"/applications/{number}")
    assert LABEL in page.text
    (path,) = re.findall(rf'href="({case}/attachments/[0-9a-f-]+)"', page.text)
    assert (await visitor.get(path)).headers["content-type"] == "image/jpeg"
    # Sent is sent.
    assert (await attach(visitor, case)).headers["location"] == f"/applications/{number}"
    assert (await visitor.post(f"{path}/remove")).status_code == httpx.codes.CONFLICT
    assert (await visitor.get(path)).status_code == httpx.codes.OK
    assert ("collected", "form", "subject") in await entries(db, "photos")
    own = await visitor.get("/my/data")
    assert "写真1まい" in own.text
    assert "/my/data/photos/stop" in own.text
    assert 'href="/my/data/photos"' not in own.text
    assert (await visitor.get("/my/data/photos")).status_code == httpx.codes.NOT_FOUND


async def test_the_office_sees_opens_prints_and_exports_and_each_is_told(
    db: Database, new_visitor: Callable[..., Visitor], visitor: Visitor
) -> None:
    case = await begin(visitor)
    await attach(visitor, case, label=LABEL)
    await attach(visitor, case, make_pdf(), item=DOCUMENT)
    number = await send_it(visitor, case)
    staff = await sign_in(db, new_visitor(), office=OFFICE)
    path = await office_path(db, number)
    page = await staff.get(path)
    for shown in (LABEL, BOOK, "data:image/jpeg;base64,", "PDF1"):
        assert shown in page.text, shown
    links = re.findall(rf'href="({path}/attachments/[0-9a-f-]+)"', page.text)
    assert len(links) == 2
    assert ("staff_viewed", "office_file", "subject") not in await entries(db, "photos")
    kinds = {(await staff.get(link)).headers["content-type"] for link in links}
    assert kinds == {"image/jpeg", "application/pdf"}
    assert ("staff_viewed", "office_file", "subject") in await entries(db, "photos")
    assert LABEL in (await staff.get(f"{path}/print")).text
    exported = (await staff.get(f"{path}/export.json")).json()
    files = {item["key"]: item["files"] for item in exported["items"] if item["files"]}
    assert set(files) == {"photos", DOCUMENT}
    assert (files["photos"][0]["label"], len(files["photos"][0]["sha256"])) == (LABEL, 64)
    assert files["photos"][0]["path"] in links
    # Another office, and whoever only stands at a counter.
    other = await sign_in(db, new_visitor(), office="税")
    assert (await other.get(links[0])).status_code == httpx.codes.FORBIDDEN
    counter = await sign_in(db, new_visitor(), roles=("counter",), office=OFFICE)
    assert (await counter.get(links[0])).status_code == httpx.codes.FORBIDDEN
    assert (await staff.get(f"{path}/attachments/{uuid4()}")).status_code == httpx.codes.NOT_FOUND


async def test_another_picture_can_be_asked_for_and_what_was_sent_before_is_gone_then(
    db: Database, new_visitor: Callable[..., Visitor], visitor: Visitor
) -> None:
    case = await begin(visitor)
    await attach(visitor, case, make_picture(color="red"))
    number = await send_it(visitor, case)
    staff = await sign_in(db, new_visitor(), office=OFFICE)
    path = await office_path(db, number)
    reasons = {"reason_photos": "暗くて見えません。", f"reason_{DOCUMENT}": "表紙もつけてください。"}
    assert (await press(staff, path, "ask-correction", reason="", **reasons)).status_code == SEE_OTHER
    page = await visitor.get(f"{case}/attachments")
    assert all(reason in page.text for reason in reasons.values())
    (first,) = await attached(visitor, case)
    await attach(visitor, case, make_picture(color="blue"), replace=first.rpartition("/")[2])
    # Until it is sent again the office has what it had.
    (seen,) = re.findall(rf'href="({path}/attachments/[0-9a-f-]+)"', (await staff.get(path)).text)
    assert color_of((await staff.get(seen)).content) == (1, 0, 0)
    assert await count(db, "attachment") == 2
    assert (await send(visitor, case)).status_code == SEE_OTHER
    (seen,) = re.findall(rf'href="({path}/attachments/[0-9a-f-]+)"', (await staff.get(path)).text)
    assert color_of((await staff.get(seen)).content) == (0, 0, 1)
    assert await count(db, "attachment") == 1


async def test_a_photo_of_an_earlier_case_is_offered_and_lives_as_long_as_somebody_lists_it(
    db: Database, visitor: Visitor
) -> None:
    first = await begin(visitor)
    await attach(visitor, first)
    await send_it(visitor, first)
    second = await visitor.open_case("ENV02", "online")
    page = await visitor.get(f"{second}/reuse")
    assert "写真1まい" in page.text
    offers = dict(re.findall(r'name="(offer_\w+)" value="([^"]*)"', page.text))
    assert (await visitor.post(f"{second}/reuse", offers | {"all": "yes"})).status_code == SEE_OTHER
    assert len(await attached(visitor, second)) == 1
    await visitor.get(f"{second}/form")
    assert (await visitor.post(f"{second}/form", FORM)).status_code == SEE_OTHER
    assert ("applied", "form", "subject") in await entries(db, "photos")
    await attach(visitor, second)
    assert len(await attached(visitor, second)) == 2
    await send_it(visitor, second)
    async with db.begin(TOWN) as session:
        await session.execute(
            text("DELETE FROM item WHERE key = 'photos' AND case_id = :case"), {"case": first.rpartition("/")[2]}
        )
    assert await count(db, "attachment") == 2
    async with db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM item WHERE key = 'photos'"))
    assert (await count(db, "attachment"), await count(db, "attachment_chunk")) == (0, 0)


async def subject_of(db: Database, case: str) -> UUID:
    async with db.begin(TOWN) as session:
        found = await session.execute(
            text("SELECT subject_ref FROM case_file WHERE case_id = :c"), {"c": case.rpartition("/")[2]}
        )
        subject: UUID = found.scalar_one()
        return subject


async def test_erased_every_file_is_gone(db: Database, visitor: Visitor) -> None:
    case = await begin(visitor)
    await attach(visitor, case)
    (path,) = await attached(visitor, case)
    await send_it(visitor, case)
    async with db.begin(TOWN) as session:
        await erase_subject(session, TOWN, await subject_of(db, case), "operator", even_if_open=True, now=NOW)
    for table in ("attachment", "attachment_chunk", "attachment_use"):
        assert await count(db, table) == 0, table
    assert (await visitor.get(path)).status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE)
    assert (await attach(visitor, case)).status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE)
    assert await count(db, "attachment") == 0


async def test_files_go_when_their_procedure_s_days_are_over(db: Database, clock: TestClock, visitor: Visitor) -> None:
    case = await begin(visitor)
    await attach(visitor, case)
    async with db.begin(TOWN) as session:
        days = (await session.execute(text("SELECT retention_days FROM procedure WHERE code = 'ENV02'"))).scalar_one()
    assert await erase_due(db, TOWN, now=NOW + timedelta(days=days, seconds=-1)) == 0
    assert await count(db, "attachment") == 1
    assert await erase_due(db, TOWN, now=NOW + timedelta(days=days)) == 1
    assert (await count(db, "attachment"), await count(db, "attachment_chunk")) == (0, 0)


async def test_of_a_protected_person_files_are_held_back_and_more_can_be_added(
    db: Database, new_visitor: Callable[..., Visitor], visitor: Visitor
) -> None:
    case = await begin(visitor)
    await attach(visitor, case, label=LABEL)
    (path,) = await attached(visitor, case)
    await set_protected(db, case)
    page = await visitor.get(f"{case}/attachments")
    assert "入れてあります" in page.text
    assert LABEL not in page.text
    assert "data:image" not in page.text.partition("<main")[2]
    assert (await visitor.get(path)).status_code == httpx.codes.NOT_FOUND
    assert (await attach(visitor, case)).status_code == SEE_OTHER
    assert (await visitor.get(f"{case}/attachments")).text.count("<span>入れてあります</span>") == 2
    number = await send_it(visitor, case)
    staff = await sign_in(db, new_visitor(), office=OFFICE)
    office = await office_path(db, number)
    page = await staff.get(office)
    assert f"{office}/attachments" not in page.text
    file_id = path.rpartition("/")[2]
    assert (await staff.get(f"{office}/attachments/{file_id}")).status_code == httpx.codes.NOT_FOUND
    # With a reason, once, and told.
    page = await staff.post(f"{office}/held-back", {"why": "decide"})
    assert LABEL in page.text
    opens = re.search(rf'<form [^>]*action="{office}/attachments/{file_id}".*?</form>', page.text, re.DOTALL)
    assert opens
    assert '<input type="hidden" name="why" value="decide">' in opens[0]
    # No address opens it, whatever is added to it.
    assert f'href="{office}/attachments' not in page.text
    assert (await staff.get(f"{office}/attachments/{file_id}?why=decide")).status_code == httpx.codes.NOT_FOUND
    for wrong in ({}, {"why": ""}, {"why": "curious"}):
        assert (await staff.post(f"{office}/attachments/{file_id}", wrong)).status_code == httpx.codes.BAD_REQUEST
    file = await staff.post(f"{office}/attachments/{file_id}", {"why": "decide"})
    assert (file.status_code, file.headers["content-type"]) == (httpx.codes.OK, "image/jpeg")
    assert "no-store" in file.headers["cache-control"]
    manager = await sign_in(db, new_visitor(), roles=("manager",), office="総務")
    refused = await manager.post(f"{office}/attachments/{file_id}", {"why": "decide"})
    assert refused.status_code == httpx.codes.FORBIDDEN
