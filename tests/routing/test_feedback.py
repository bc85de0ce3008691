"""Feedback after the end of a case: said once, changed for a week, read and answered by the office, never published
as it was written."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.routing.commands.protecting import protect
from services.routing.commands.quality import add_up
from services.routing.domain.quality import CHANGEABLE_FOR, FEEDBACK_MAX_LENGTH
from shared.db import Database
from shared.events.booking import AppointmentProgressed
from shared.tokens import Identity
from tests.routing.applying import SEE_OTHER, apply, hidden, office_path, press, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NOW, TOWN
from tests.routing.test_consumers import hear, make_appointment
from tests.routing.test_history import come_round, subject_of

NewVisitor = Callable[..., Visitor]
SAID = "吉田です。口座の書きかたが、わかりにくかったです。"
ANSWER = "用紙に例をのせました。ありがとうございました。"
FIELDS = {"ease": "hard", "worked": "yes", "text": SAID}
NOT_FOUND, CONFLICT, UNPROCESSABLE = 404, 409, 422


async def rows(db: Database, query: str) -> list[Any]:
    async with db.begin(TOWN) as session:
        return list((await session.execute(text(query))).all())


async def done(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> str:
    """An application that its office has completed; the path of its feedback."""
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    path = await office_path(db, number)
    for action in ("accept", "complete"):
        assert (await press(staff, path, action)).status_code == SEE_OTHER
    [(case_id,)] = await rows(db, "SELECT case_id FROM application")
    return f"/cases/{case_id}/feedback"


async def said(db: Database, visitor: Visitor, new_visitor: NewVisitor, **changes: str) -> str:
    """The same with feedback; the office's path of it."""
    path = await done(db, visitor, new_visitor)
    answer = await visitor.post(path, FIELDS | changes)
    assert answer.status_code == SEE_OTHER, answer.text
    return f"/office/feedback/{path.split('/')[2]}"


async def test_two_taps_and_a_text_reach_the_office_and_its_answer_comes_back(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    path = await done(db, visitor, new_visitor)
    [(number,)] = await rows(db, "SELECT number FROM application")
    for page in ("/my", f"/applications/{number}"):
        assert f'href="{path}"' in (await visitor.get(page)).text
    assert "手続きは、いかがでしたか" in (await visitor.get(path)).text
    assert (await visitor.post(path, FIELDS)).status_code == SEE_OTHER
    assert "ご意見を受けとりました" in (await visitor.get(path)).text
    staff = await sign_in(db, new_visitor())
    listed = await staff.get("/office/feedback")
    office = f"/office/feedback/{path.split('/')[2]}"
    assert f'href="{office}"' in listed.text
    assert SAID not in listed.text
    shown = await staff.get(office)
    assert SAID in shown.text
    answer = await staff.post(f"{office}/answer", {"version": hidden(shown, "version"), "text": ANSWER})
    assert answer.status_code == SEE_OTHER
    assert ANSWER in (await visitor.get(path)).text
    assert f'href="{office}"' not in (await staff.get("/office/feedback")).text
    assert f'href="{office}"' in (await staff.get("/office/feedback?show=all")).text


async def test_an_appointment_that_is_over_may_be_spoken_of(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case("CHI02")
    path = f"{case}/feedback"
    early = await visitor.get(path)
    assert early.status_code == CONFLICT
    assert "ご意見は、手続きが終わってからうかがいます" in early.text, "feedback_early"
    over = make_appointment(AppointmentProgressed, 2, "done", case_id=case.rsplit("/", 1)[-1])
    await hear(db, over)
    assert f'href="{path}"' in (await visitor.get("/my")).text
    assert (await visitor.post(path, {"ease": "easy", "worked": "no", "text": ""})).status_code == SEE_OTHER
    assert await rows(db, "SELECT ease, worked, text_version FROM feedback") == [("easy", False, None)]


async def test_however_often_it_is_sent_it_is_one(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    path = await done(db, visitor, new_visitor)
    answers = await asyncio.gather(*(visitor.post(path, FIELDS) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {SEE_OTHER}
    assert await rows(db, "SELECT count(*) FROM feedback") == [(1,)]


async def test_the_same_once_more_writes_nothing(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without `usable`."""
    path = await done(db, visitor, new_visitor)
    for _ in range(2):
        assert (await visitor.post(path, FIELDS)).status_code == SEE_OTHER
    kept = "SELECT (SELECT version FROM feedback), (SELECT count(*) FROM item WHERE key = 'feedback')"
    assert await rows(db, kept) == [(1, 1)]
    told = (
        "SELECT count(*) FROM ledger_entry WHERE entry_type IN ('collected', 'corrected') AND target_step = 'feedback'"
    )
    assert await rows(db, told) == [(1,)]
    for changes in ({"ease": "fair"}, {"text": ""}, {"text": f"{SAID}。"}):
        assert (await visitor.post(path, FIELDS | changes)).status_code == SEE_OTHER
    assert await rows(db, kept) == [(4, 2)]


async def test_what_was_answered_is_changed_no_more(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """The answer is one to what was read. Seen to fail without `answered_at` in `_may_change`."""
    office = await said(db, visitor, new_visitor)
    path = f"/cases/{office.rsplit('/', 1)[-1]}/feedback"
    assert "役場がお返事をするまでは" in (await visitor.get(path)).text
    staff = await sign_in(db, new_visitor())
    version = hidden(await staff.get(office), "version")
    assert (await staff.post(f"{office}/answer", {"version": version, "text": ANSWER})).status_code == SEE_OTHER
    late = await visitor.post(path, FIELDS | {"text": "ほかのことです。"})
    assert late.status_code == CONFLICT
    assert "もうお返事が出ています" in late.text, "feedback_answered"
    page = await visitor.get(path)
    assert "お返事のあとは、ご意見を書きなおせません" in page.text
    assert "<textarea" not in page.text
    assert SAID in page.text


async def test_it_is_changed_for_a_week_and_then_counted(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, clock: TestClock
) -> None:
    path = await done(db, visitor, new_visitor)
    await visitor.post(path, FIELDS)
    clock.now = NOW + CHANGEABLE_FOR - timedelta(microseconds=1)
    await visitor.get("/session/renew", params={"next": path})
    assert (await visitor.post(path, FIELDS | {"ease": "fair", "text": ""})).status_code == SEE_OTHER
    async with db.begin(TOWN) as session:
        await add_up(session, TOWN, now=NOW + CHANGEABLE_FOR)
    assert await rows(db, "SELECT kind FROM quality_count WHERE kind IN ('easy', 'fair', 'hard')") == []
    clock.now = NOW + CHANGEABLE_FOR
    late = await visitor.post(path, FIELDS)
    assert late.status_code == CONFLICT
    assert "もう書きなおせません" in late.text, "feedback_late"
    assert "<textarea" not in (await visitor.get(path)).text
    for _ in range(2):
        async with db.begin(TOWN) as session:
            await add_up(session, TOWN, now=NOW + CHANGEABLE_FOR + timedelta(microseconds=1))
    counted = await rows(
        db, "SELECT kind, people FROM quality_count WHERE kind IN ('easy', 'fair', 'hard', 'worked') ORDER BY kind"
    )
    assert counted == [("fair", 1), ("worked", 1)]


@pytest.mark.parametrize(
    "changes", [{"ease": ""}, {"worked": "perhaps"}, {"text": "あ" * (FEEDBACK_MAX_LENGTH + 1)}, {"text": "🙂"}]
)
async def test_what_is_not_right_is_told_at_its_field_and_kept(
    db: Database, visitor: Visitor, new_visitor: NewVisitor, changes: dict[str, str]
) -> None:
    path = await done(db, visitor, new_visitor)
    answer = await visitor.post(path, FIELDS | changes)
    assert answer.status_code == UNPROCESSABLE
    assert f"#f-{next(iter(changes))}" in answer.text
    assert await rows(db, "SELECT count(*) FROM feedback") == [(0,)]


async def test_nobody_else_says_or_reads_it(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    path = await done(db, visitor, new_visitor)
    other = new_visitor()
    await other.open_case("CHI02")
    assert (await other.get(path)).status_code == NOT_FOUND
    assert (await other.post(path, FIELDS)).status_code == NOT_FOUND
    staff = await sign_in(db, new_visitor())
    assert (await staff.post(path, FIELDS)).status_code == NOT_FOUND


async def test_it_is_its_offices_and_each_look_leaves_its_trace(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    path = await said(db, visitor, new_visitor)
    other = await sign_in(db, new_visitor(), office="税務")
    assert (await other.get(path)).status_code == httpx.codes.FORBIDDEN
    assert path not in (await other.get("/office/feedback")).text
    manager = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    for _ in range(2):
        assert SAID in (await manager.get(path)).text
    assert len(await rows(db, "SELECT 1 FROM audit WHERE action = 'view_feedback'")) == 2
    await come_round(db)
    seen = await rows(
        db,
        "SELECT 1 FROM reuse WHERE target_step = 'feedback' AND entry_type = 'staff_viewed' AND visibility = 'subject'",
    )
    assert len(seen) == 1, "told once a day"
    assert "手続きのあとのご意見" in (await visitor.get("/my/history")).text
    assert (await manager.get(f"/office/feedback/{uuid4()}")).status_code == NOT_FOUND, "feedback_unknown"


async def test_what_is_published_is_written_by_staff(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    path = await said(db, visitor, new_visitor)
    staff = await sign_in(db, new_visitor())
    shown = await staff.get(path)
    assert re.search(r'<textarea[^>]*name="said"[^>]*>\s*</textarea>', shown.text), "not begun with the person's words"
    written = {"version": hidden(shown, "version"), "said": "口座のらんがわかりにくい。", "answer": "例をのせました。"}
    unchecked = await staff.post(f"{path}/publish", written)
    assert unchecked.status_code == UNPROCESSABLE
    assert (await staff.post(f"{path}/publish", written | {"checked": "yes"})).status_code == SEE_OTHER
    public = await visitor.get("/quality")
    assert "口座のらんがわかりにくい。" in public.text
    assert "例をのせました。" in public.text
    assert SAID not in public.text
    shown = await staff.get(path)
    again = written | {"version": hidden(shown, "version"), "said": "口座のらんに例がほしい。", "checked": "yes"}
    assert (await staff.post(f"{path}/publish", again)).status_code == SEE_OTHER
    assert await rows(db, "SELECT said FROM voice") == [("口座のらんに例がほしい。",)]
    shown = await staff.get(path)
    assert (await staff.post(f"{path}/withdraw", {"version": hidden(shown, "version")})).status_code == SEE_OTHER
    assert await rows(db, "SELECT said FROM voice") == []
    deeds = await rows(
        db, "SELECT action FROM audit WHERE action LIKE '%publish_feedback' OR action LIKE 'withdraw_f%'"
    )
    assert sorted(action for (action,) in deeds) == ["publish_feedback", "publish_feedback", "withdraw_feedback"]


async def test_of_two_who_answer_one_is_told_and_keeps_what_they_wrote(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail without the version."""
    path = await said(db, visitor, new_visitor)
    staff = await sign_in(db, new_visitor())
    version = hidden(await staff.get(path), "version")
    answers = await asyncio.gather(
        *(staff.post(f"{path}/answer", {"version": version, "text": f"{ANSWER}{each}"}) for each in range(2))
    )
    assert sorted(answer.status_code for answer in answers) == [SEE_OTHER, CONFLICT]
    [moved] = [answer for answer in answers if answer.status_code == CONFLICT]
    assert "このご意見は、先に変わっています" in moved.text, "feedback_moved"
    assert ANSWER in moved.text
    assert await rows(db, "SELECT version FROM feedback") == [(2,)]


async def test_it_goes_with_its_person_and_what_was_published_stays(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    path = await said(db, visitor, new_visitor)
    staff = await sign_in(db, new_visitor())
    shown = await staff.get(path)
    written = {"version": hidden(shown, "version"), "said": "例がほしい。", "answer": "のせました。", "checked": "yes"}
    await staff.post(f"{path}/publish", written)
    subject_ref = await subject_of(db)
    page = await visitor.get("/my/erase")
    answer = await visitor.post("/my/erase", {"idempotency_key": hidden(page, "idempotency_key"), "understood": "yes"})
    assert answer.status_code == SEE_OTHER
    assert await rows(db, "SELECT (SELECT count(*) FROM feedback), (SELECT count(*) FROM item)") == [(0, 0)]
    assert "例がほしい。" in (await staff.get("/quality")).text
    assert (await staff.get(path)).status_code == NOT_FOUND
    with pytest.raises(DBAPIError, match="this subject was erased"):
        await rows(
            db,
            f"""INSERT INTO feedback (municipality, case_id, subject_ref, procedure, office, channel, ease, worked,
                version, given_at) VALUES ('{TOWN}', '{uuid4()}', '{subject_ref}', 'CHI02', '子育て', 'online', 'easy',
                true, 1, now()) RETURNING 1""",
        )


async def test_managers_take_back_what_was_published_of_whoever_was_erased(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    path = await said(db, visitor, new_visitor)
    staff = await sign_in(db, new_visitor())
    written = {"said": "例がほしい。", "answer": "のせました。", "checked": "yes"}
    manager = await sign_in(db, new_visitor(), roles=("manager",), office=None)

    async def publish() -> dict[str, str]:
        version = hidden(await staff.get(path), "version")
        assert (await staff.post(f"{path}/publish", written | {"version": version})).status_code == SEE_OTHER
        return {"remove_voice": hidden(await manager.get("/office/quality"), "remove_voice")}

    gone = await publish()
    assert (await staff.post("/office/quality", gone)).status_code == httpx.codes.FORBIDDEN
    assert (await manager.post("/office/quality", gone)).status_code == SEE_OTHER
    assert await rows(db, "SELECT voice_id FROM feedback") == [(None,)], "the office may publish it anew"
    again = await manager.post("/office/quality", gone)
    assert again.status_code == NOT_FOUND, "voice_unknown"
    gone = await publish()
    page = await visitor.get("/my/erase")
    await visitor.post("/my/erase", {"idempotency_key": hidden(page, "idempotency_key"), "understood": "yes"})
    assert "例がほしい。" in (await staff.get("/quality")).text
    assert (await manager.post("/office/quality", gone)).status_code == SEE_OTHER
    assert "例がほしい。" not in (await staff.get("/quality")).text
    assert len(await rows(db, "SELECT 1 FROM audit WHERE action = 'remove_voice'")) == 2


async def test_a_protected_person_is_heard_too(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    """Seen to fail without the feedback in `WRITTEN_TO_BE_READ`."""
    path = await said(db, visitor, new_visitor)
    manager = Identity(municipality=TOWN, kind="staff", ref="m", session_id="s", roles=("manager",))
    case_id = path.rsplit("/", 1)[-1]
    async with db.begin(TOWN) as session:
        await protect(session, identity=manager, case_id=UUID(case_id), now=NOW)
    staff = await sign_in(db, new_visitor())
    assert SAID in (await staff.get(path)).text


async def test_words_are_sealed_and_fill_in_no_form(db: Database, visitor: Visitor, new_visitor: NewVisitor) -> None:
    await said(db, visitor, new_visitor)
    async with db.begin(TOWN) as session:
        tables = (await session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'routing'"))).scalars()
        for table in tables.all():
            found = await session.execute(text(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%口座の書きかた%'"))
            assert found.scalar_one() == 0, table
    assert SAID not in (await visitor.get("/my/data")).text
    assert "口座の書きかた" not in (await visitor.get("/my/data.json")).text
