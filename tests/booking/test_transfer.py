"""Sending somebody to another counter: the note goes with them, both offices see it, and it is gone in time."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from services.booking.commands.erasure import erase_subject
from services.booking.commands.line import MoveAlong, check_in_by_number, move_along
from services.booking.commands.steps import Moved
from services.booking.commands.tidying import tidy_up
from services.booking.commands.transfer import SendOn, list_sent_on, send_on
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.keys import transfer_context
from shared.clock import jst_day
from shared.errors import Refusal
from shared.tokens import Identity
from tests.booking.conftest import CHILD, TOWN, BookingTown
from tests.booking.test_counter import STAFF, follow, order_of, step

FAMILY_STAFF = Identity(municipality=TOWN, kind="staff", ref="other", session_id="o", roles=("counter",), office="戸籍")
NOTE = "証明書は、できています"
TO_FAMILY = {"to": "3", "reason": "question", "note": NOTE}


async def walk_in(town: BookingTown, key: str = "k") -> Moved:
    async with town.db.begin(TOWN) as session:
        return await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key=key), now=town.now)


async def send(town: BookingTown, moved: Moved, actor: Identity = STAFF, **changes: Any) -> Moved:
    order: dict[str, Any] = {
        "appointment_id": moved.appointment_id,
        "counter": "3",
        "reason": "question",
        "note": NOTE,
        "version": moved.version,
    }
    async with town.db.begin(TOWN) as session:
        return await send_on(session, actor, town.keys, SendOn(**(order | changes)), now=town.now)


async def undo(town: BookingTown, appointment_id: UUID, version: int, actor: Identity) -> Moved:
    async with town.db.begin(TOWN) as session:
        order = MoveAlong(appointment_id=appointment_id, action="undo", version=version)
        return await move_along(session, actor, order, now=town.now)


async def test_both_counters_see_who_was_sent_with_the_note_and_the_ticket_stays(town: BookingTown) -> None:
    here = await walk_in(town)
    async with town.staff() as staff, town.staff("other", "戸籍") as other:
        assert "送る" in (await staff.get(f"/counter/{here.appointment_id}/transfer")).text
        told = await follow(staff, f"/counter/{here.appointment_id}/transfer", version="1", **TO_FAMILY)
        assert "7-001を3番へ送りました" in told
        line = (await staff.get("/counter/line")).text
        assert order_of(line) == []
        assert f"伝言：{NOTE}" in line
        theirs = (await other.get("/counter/line")).text
        assert order_of(theirs) == ["7-001"]
        assert f"7番から来ました　相談を引きつぎます　伝言：{NOTE}" in theirs
        # What is sent on stands in no event and no address.
        assert NOTE not in str([dict(row._mapping) for row in await town.rows("SELECT * FROM booking.outbox")])  # type: ignore[attr-defined]
        # Whoever is there is theirs now.
        with pytest.raises(Refusal, match="other_office"):
            await step(town, here.appointment_id, "call", 2)
        await other.post(f"/counter/{here.appointment_id}/call", data={"version": "2"})
        assert "7-001" in (await other.get("/board/now")).text


async def test_the_note_is_sealed_by_a_key_of_its_own(town: BookingTown) -> None:
    await send(town, await walk_in(town))
    await send(town, await walk_in(town, "other"), note="", reason="papers")
    with_note, without = await town.rows("SELECT * FROM booking.transfer ORDER BY note_sealed NULLS LAST")
    assert NOTE.encode() not in with_note.note_sealed  # type: ignore[attr-defined]
    context = transfer_context(TOWN, with_note.transfer_id)  # type: ignore[attr-defined]
    opened = town.keys.vault.open(with_note.wrapped_key, context, "note", with_note.note_sealed)  # type: ignore[attr-defined]
    assert opened == NOTE
    assert (without.note_sealed, without.wrapped_key) == (None, None)  # type: ignore[attr-defined]


async def test_an_office_that_has_nothing_to_do_with_it_does_not_see_the_note(town: BookingTown) -> None:
    """Seen to fail without the office in `_LIST`."""
    await send(town, await walk_in(town))
    stranger = Identity(municipality=TOWN, kind="staff", ref="x", session_id="x", roles=("counter",), office="税務")
    async with town.db.begin(TOWN) as session:
        assert await list_sent_on(session, stranger, jst_day(town.now), town.keys) == {}
        assert len(await list_sent_on(session, FAMILY_STAFF, jst_day(town.now), town.keys)) == 1
        assert len(await list_sent_on(session, STAFF, jst_day(town.now), town.keys)) == 1


async def test_whoever_sent_them_takes_it_back_until_somebody_else_did_something(town: BookingTown) -> None:
    """Seen to fail without `_sent_by` (the sender is refused), and without `_FORGET_TRANSFER` (the note stays)."""
    first, second = await walk_in(town), await walk_in(town, "second")
    sent = await send(town, first)
    back = await undo(town, first.appointment_id, sent.version, STAFF)
    assert (back.counter, back.office, back.state, back.ticket_no) == ("7", "子育て", "checked_in", 1)
    assert await town.rows("SELECT 1 FROM booking.transfer") == []
    sent = await send(town, second)
    async with town.db.begin(TOWN) as session:
        order = MoveAlong(appointment_id=second.appointment_id, action="call", version=sent.version)
        called = await move_along(session, FAMILY_STAFF, order, now=town.now)
    with pytest.raises(Refusal, match="other_office"):
        await undo(town, second.appointment_id, called.version, STAFF)
    # Step by step, by those with whom they are.
    again = await undo(town, second.appointment_id, called.version, FAMILY_STAFF)
    assert (await undo(town, second.appointment_id, again.version, FAMILY_STAFF)).counter == "7"


async def test_of_two_who_send_one_at_once_one_wins(town: BookingTown) -> None:
    """Seen to fail without the version in `lock_in_line`."""
    here = await walk_in(town)
    # Of no office: they may do both.
    anywhere = Identity(municipality=TOWN, kind="staff", ref="any", session_id="any", roles=("counter",))
    outcomes = await asyncio.gather(
        send(town, here, anywhere), send(town, here, anywhere, reason="papers"), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [getattr(outcome, "code", outcome) for outcome in refused] == ["line_moved"]
    assert len(await town.rows("SELECT 1 FROM booking.transfer")) == 1


async def test_who_is_served_is_sent_on_and_waits_there(town: BookingTown) -> None:
    booked = await town.booked()
    async with town.db.begin(TOWN) as session:
        await check_in_by_number(session, STAFF, booked.number, now=town.now)
    for version, action in ((2, "call"), (3, "start")):
        await step(town, booked.appointment_id, action, version)
    town.now += timedelta(minutes=5)
    here = Moved(
        appointment_id=booked.appointment_id, number=booked.number, state="serving", version=4, counter="7",
        office="子育て", ticket_counter="7", ticket_no=1,
    )  # fmt: skip
    sent = await send(town, here)
    assert (sent.state, sent.counter, sent.ticket_counter, sent.ticket_no) == ("checked_in", "3", "7", 1)
    [row] = await town.rows("SELECT queued_at, called_at, serving_at, checked_in_at FROM booking.appointment")
    assert (row.queued_at, row.called_at, row.serving_at) == (town.now, None, None)  # type: ignore[attr-defined]
    assert row.checked_in_at == town.now - timedelta(minutes=5)  # type: ignore[attr-defined]


async def test_what_is_missing_is_told_on_the_page_and_what_was_written_is_kept(town: BookingTown) -> None:
    here = await walk_in(town)
    path = f"/counter/{here.appointment_id}/transfer"
    async with town.staff() as staff, town.staff("other", "戸籍") as other:
        answer = await staff.post(path, data={"version": "1", "note": NOTE})
        assert answer.status_code == 422
        for said in ("送る窓口を、ひとつ選んでください。", "理由を、ひとつ選んでください。", f'value="{NOTE}"'):
            assert said in answer.text
        long = await staff.post(path, data={"version": "1", "to": "3", "reason": "papers", "note": "あ" * 81})
        assert long.status_code == 422
        unsaid = await staff.post(path, data={"version": "1", "to": "3", "reason": "other", "note": " "})
        assert unsaid.status_code == 422
        # Where they are already, as only a page of before can say: transfer_unfit.
        stays = await staff.post(path, data={"version": "1", "to": "7", "reason": "papers"})
        assert (stays.status_code, "ほかの窓口と理由を選んで" in stays.text) == (422, True)
        assert (await staff.post(path, data={"version": "x"})).status_code == 400
        late = await follow(staff, path, version="9", **TO_FAMILY)
        assert "ほかの端末で先に操作されました" in late
        nowhere = await follow(staff, path, version="1", to="99", reason="papers")
        assert "この窓口は見つかりません" in nowhere
        assert (await other.get(path)).headers["location"] == "/counter"
        await step(town, here.appointment_id, "call", 1)
        await step(town, here.appointment_id, "no-show", 2)
        assert (await staff.get(path)).headers["location"] == "/counter"
    with pytest.raises(Refusal, match="step_impossible"):
        await send(town, here, version=3)
    town.now += timedelta(days=1)
    with pytest.raises(Refusal, match="not_today"):
        await send(town, here, version=3)


@pytest.mark.parametrize("changes", [{"counter": "7"}, {"reason": ""}, {"reason": "other", "note": ""}])
async def test_without_a_place_or_a_reason_nobody_is_sent(town: BookingTown, changes: dict[str, str]) -> None:
    here = await walk_in(town)
    with pytest.raises(Refusal, match="transfer_unfit"):
        await send(town, here, STAFF, **changes)


async def test_the_note_is_gone_when_the_day_is_over(town: BookingTown) -> None:
    """Seen to fail without `_OLD_TRANSFERS`; until it ran, a page of another day shows none."""
    await send(town, await walk_in(town))
    async with town.db.begin(TOWN) as session:
        await tidy_up(session, TOWN, now=town.now)
    assert len(await town.rows("SELECT 1 FROM booking.transfer")) == 1
    town.now += timedelta(days=1)
    async with town.db.begin(TOWN) as session:
        assert await list_sent_on(session, FAMILY_STAFF, jst_day(town.now), town.keys) == {}
        await tidy_up(session, TOWN, now=town.now)
    assert await town.rows("SELECT 1 FROM booking.transfer") == []


async def test_the_note_goes_with_the_person_who_is_erased(town: BookingTown) -> None:
    """Seen to fail without `transfer` in `_FORGET`."""
    booked = await town.booked()
    async with town.db.begin(TOWN) as session:
        here = await check_in_by_number(session, STAFF, booked.number, now=town.now)
    await send(town, here)
    [row] = await town.rows("SELECT subject_ref FROM booking.appointment")
    async with town.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, row.subject_ref, "resident", now=town.now)  # type: ignore[attr-defined]
    assert await town.rows("SELECT 1 FROM booking.transfer") == []


async def test_the_database_takes_no_note_without_its_key(town: BookingTown) -> None:
    await send(town, await walk_in(town))
    for change in (
        "wrapped_key = NULL",
        "to_counter = from_counter",
        "version = version, reason = 'other', note_sealed = NULL",
    ):
        with pytest.raises(IntegrityError):
            await town.rows(f"UPDATE booking.transfer SET {change} RETURNING 1")
