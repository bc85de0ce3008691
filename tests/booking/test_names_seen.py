"""Who saw a name on the counter's line: told to the person once a day and office, however often a tablet looks."""

import ast
import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.calling import show_line
from shared.db import Prepared
from shared.events.ledger import ReuseRecorded
from shared.ledger.sealer import Sealer
from shared.ledger.verify import verify
from shared.passes import PassedItem
from shared.tokens import Identity
from tests.booking.conftest import FAMILY, TOWN, BookingTown

BOOKING = Path(__file__).resolve().parents[2] / "services" / "booking"
NAMES = ("花子", "ハナコ", "𠮷﨑")


async def seen(town: BookingTown) -> list[Any]:
    return await town.rows(
        "SELECT * FROM booking.ledger_entry WHERE entry_type = 'staff_viewed' ORDER BY occurred_at, office"
    )


async def test_the_first_look_of_an_office_is_told_to_whoever_was_seen_and_later_ones_are_not(
    town: BookingTown,
) -> None:
    """Seen to fail before: names were opened at every look, and nobody was told."""
    booked = await town.booked()
    await town.booked("other", procedure=FAMILY)
    async with town.staff() as staff, town.staff("colleague") as colleague:
        for _ in range(3):
            assert "ヨシザキ ハナコさま" in (await staff.get("/counter")).text
            assert "ヨシザキ ハナコさま" in (await colleague.get("/counter/line")).text
            town.now += timedelta(minutes=1)
    [entry] = await seen(town)
    applied: list[Any] = await town.rows(
        "SELECT * FROM booking.ledger_entry WHERE entry_type = 'applied' AND target_procedure = 'CHI01'"
    )
    assert {(row.subject_ref, row.target_case) for row in applied} == {(entry.subject_ref, entry.target_case)}
    assert entry.commitments == applied[0].commitments | applied[1].commitments
    assert (entry.actor_kind, entry.actor_ref, entry.office) == ("staff", "staff", "子育て")
    assert (entry.items, entry.purpose, entry.visibility) == (["name", "kana"], "窓口でお呼びするため", "subject")
    assert entry.correlation == booked.appointment_id
    assert not any(name in str(entry) for name in NAMES)
    audit = await town.rows(
        "SELECT actor_ref, office, action, ref, ref_version FROM booking.audit WHERE office IS NOT NULL"
    )
    assert [tuple(row) for row in audit] == [("staff", "子育て", "view-names", "2026-06-01", 1)]  # type: ignore[arg-type]
    # It is on its way to the person's page.
    [payload] = await town.rows(
        "SELECT payload FROM booking.outbox WHERE type = 'ledger.reuse_recorded.v1' "
        "AND convert_from(payload, 'UTF8') LIKE '%staff_viewed%'"
    )
    told = msgspec.json.decode(bytes(payload.payload), type=ReuseRecorded)  # type: ignore[attr-defined]
    assert (told.subject_ref, told.office, told.target_step) == (entry.subject_ref, "子育て", "line")


async def test_every_office_that_sees_a_name_is_told_of_itself(town: BookingTown) -> None:
    await town.booked()
    await town.booked("other", procedure=FAMILY)
    async with town.staff() as staff, town.staff("chief", office=None) as everywhere:
        await staff.get("/counter")
        town.now += timedelta(seconds=1)
        await everywhere.get("/counter")
    found = [(row.target_procedure, row.office, row.actor_ref) for row in await seen(town)]
    assert sorted(found, key=str) == [
        ("CHI01", "子育て", "staff"), ("CHI01", None, "chief"), ("RES02", None, "chief"),
    ]  # fmt: skip


async def test_of_one_counters_line_only_who_is_shown_was_seen(town: BookingTown) -> None:
    await town.booked()
    await town.booked("other", procedure=FAMILY)
    async with town.staff("chief", office=None) as chief:
        await chief.get("/counter/line", params={"counter": "7"})
        assert [row.target_procedure for row in await seen(town)] == ["CHI01"]
        await chief.get("/counter/line")
    assert sorted(row.target_procedure for row in await seen(town)) == ["CHI01", "RES02"]


async def test_when_nobody_is_new_a_look_writes_nothing(town: BookingTown, monkeypatch: pytest.MonkeyPatch) -> None:
    await town.booked()
    written: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if any(word in statement for word in ("INSERT", "UPDATE", "DELETE", "pg_advisory")):
            written.append(statement)

    # Prepared statements go past SQLAlchemy's events.
    send = Prepared.rows

    async def note_prepared(self: Prepared, session: AsyncSession, values: Mapping[str, Any]) -> Sequence[Any]:
        note(None, None, self.sql)
        return await send(self, session, values)

    async with town.staff() as staff:
        await staff.get("/counter/line")
        monkeypatch.setattr(Prepared, "rows", note_prepared)
        event.listen(town.db.engine.sync_engine, "before_cursor_execute", note)
        assert "ハナコ" in (await staff.get("/counter/line")).text
        assert written == []
        await town.booked("late", slot=1)
        written.clear()
        await staff.get("/counter/line")
        assert len(written) == 3  # one at a time, the entries with their events, the audit: for any number of people
    assert len(await seen(town)) == 2


async def test_a_look_that_is_undone_told_nobody_and_the_next_one_tells(town: BookingTown) -> None:
    """Seen to fail when what is looked for is remembered before the commit."""
    await town.booked()
    looker = Identity(municipality=TOWN, kind="staff", ref="chief", session_id="s", roles=("counter",))
    with contextlib.suppress(ZeroDivisionError):
        async with town.db.begin(TOWN) as session:
            [shown] = await show_line(session, looker, town.now.date(), town.keys, now=town.now)
            assert shown.kana
            raise ZeroDivisionError
    assert await seen(town) == []
    async with town.staff("chief", office=None) as chief:
        await chief.get("/counter/line")
        await chief.get("/counter/line")
    assert len(await seen(town)) == 1


async def test_of_two_tablets_that_look_first_at_once_one_tells(town: BookingTown) -> None:
    """Seen to fail without `_ONE_AT_A_TIME`: the second runs into the ledger's key, and its line is not shown."""
    for number in range(4):
        await town.booked(f"g{number}", slot=number // 2)
    async with town.staff() as one, town.staff("two") as two, town.staff("three") as three:
        answers = await asyncio.gather(*(tablet.get("/counter/line") for tablet in (one, two, three) * 2))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len(await seen(town)) == 4
    assert len(await town.rows("SELECT 1 FROM booking.audit WHERE action = 'view-names'")) == 1


async def test_a_name_that_was_not_passed_on_or_is_erased_was_not_seen(town: BookingTown) -> None:
    await town.booked("nameless", items=())
    await town.booked("erased")
    async with town.db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM subject_key"))
    walk_in = {"procedure": "CHI01", "idempotency_key": "k"}
    async with town.staff() as staff:
        await staff.post("/counter/walk-ins", data=walk_in)
        assert "番号でお呼びください" in (await staff.get("/counter")).text
    assert await seen(town) == []


async def test_only_what_was_passed_on_is_said_to_have_been_seen(town: BookingTown) -> None:
    ticket = town.make_pass("guest")
    await town.booked("guest", items=(PassedItem(key="kana", value="ヨシザキ", approval_id=ticket.case_id),))
    async with town.staff() as staff:
        await staff.get("/counter/line")
    assert [row.items for row in await seen(town)] == [["kana"]]


async def test_what_was_written_so_is_chained_like_everything_else(town: BookingTown) -> None:
    await town.booked()
    async with town.staff() as staff:
        await staff.get("/counter")
    await Sealer(town.db).seal_all()
    verdict = await verify(town.db, TOWN)
    assert (verdict.intact, verdict.unchained, verdict.checked) == (True, 0, 3)


async def test_a_refused_step_shows_the_line_and_tells_of_it_too(town: BookingTown) -> None:
    await town.booked()
    async with town.staff() as staff:
        refused = await staff.post("/counter/check-in", data={"number": "???"}, headers={"hx-request": "true"})
        assert (refused.status_code, "ハナコ" in refused.text) == (400, True)
    assert len(await seen(town)) == 1


def test_names_lie_open_in_few_functions_only() -> None:
    """The draft is the visitor's own, and so is the code; whatever staff see goes through the line.

    A helper who accepted reads a given name in `own_days`, which tells of it. `queries/helpers` opens helpers' own.
    """
    opened = {
        (path.relative_to(BOOKING).as_posix(), function.name)
        for path in BOOKING.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "open"
    }
    assert opened == {
        ("commands/calling.py", "_open"), ("commands/visits.py", "open_draft"), ("queries/visits.py", "_open"),
        ("commands/own_days.py", "_read_given_name"), ("queries/helpers.py", "open_name"),
        # No names: the seed of a draw, and the code of an entry.
        ("commands/draws.py", "_open_seed"), ("queries/draws.py", "_open_code"),
        ("commands/class_draws.py", "_open_seed"), ("queries/help_requests.py", "find_request"),
        # Nor here: what one counter told the other, and coordinators the helpers.
        ("commands/transfer.py", "_open_note"), ("queries/helper_messages.py", "_open"),
        # And what one helper left to the next, which has no names.
        ("commands/helper_notes.py", "_open_words"),
    }  # fmt: skip
    callers = {
        path.relative_to(BOOKING).as_posix()
        for path in BOOKING.rglob("*.py")
        if "_open_names(" in path.read_text("utf-8") or "row.name_sealed" in path.read_text("utf-8")
    }
    assert callers == {"commands/calling.py", "commands/own_days.py", "queries/helpers.py"}
