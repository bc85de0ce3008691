"""Publishing for many towns: one's order is loaded in all three services, for nobody else, and stops nobody."""

import asyncio
import json
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from deploy import town as town_command
from deploy.town import DONE
from services.booking.commands.opening import load_opening_rules
from services.notifications.commands.rules import load_notice_rules
from services.routing.commands.drafts import call_off_publication
from services.routing.queries.drafts import find_newest_order
from shared.db import Database
from shared.town_pack import find_files, read_files
from tests.conftest import TestDatabase
from tests.shared.conftest import Run
from tests.shared.test_town_command import CODE, SAMPLE
from tests.shared.test_town_publishing import MANAGER, NOW, at_routing, change, order, read, state

OTHER = Path(__file__).parents[2] / "deploy" / "towns" / "hoshimi"


def test_called_off_while_it_is_loaded_it_is_published_in_all_three(
    run: Run, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail without `hold_order`: booking and notifications had it, routing had not."""
    assert run("load", SAMPLE)[0] == DONE
    change(database, "procedure", "RES01", fee_yen=350)
    change(database, "notices", "", reminders_before_min=[2880])
    change(database, "booking", "", hold_min=20)
    order(database)
    load = load_notice_rules
    calling_off = threading.Thread(
        target=lambda: at_routing(database, lambda session: call_off_publication(session, identity=MANAGER, now=NOW))
    )

    async def load_meanwhile(*given: object, **named: object) -> None:
        calling_off.start()
        await asyncio.to_thread(calling_off.join, 1.0)
        await load(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(town_command, "load_notice_rules", load_meanwhile)
    told = run("publish")[1]
    calling_off.join()
    assert "pack version 2" in told
    assert state(database) == "published"
    assert asyncio.run(read(database)) == (350, [2880], 20)


async def order_others(session: AsyncSession, code: str, files: dict[str, str]) -> None:
    """An order that waits, with files of another town: however it came to be there."""
    await session.execute(
        text("""INSERT INTO pack_save (municipality, save, files, changes, deed, saved_by, saved_at)
            VALUES (:town, 900, CAST(:files AS jsonb), '[]', 'edit', 'x', :now)""").bindparams(
            town=code, now=NOW, files=json.dumps(files)
        )
    )
    await session.execute(
        text("""INSERT INTO pack_order (municipality, order_id, save, base, state, ordered_by, ordered_at)
            VALUES (:town, :id, 900, 1, 'waiting', 'x', :now)""").bindparams(town=code, id=uuid4(), now=NOW)
    )


def test_no_order_of_a_town_changes_another(run: Run, database: TestDatabase) -> None:
    """Seen to fail without the look at the code: the other town's rules were loaded, and the order waited on."""
    assert run("load", SAMPLE)[0] == DONE
    assert run("load", OTHER)[0] == DONE
    files = find_files(OTHER)
    files["town.toml"] = files["town.toml"].replace("hold_min = 15", "hold_min = 20")
    assert files != find_files(OTHER)
    at_routing(database, lambda session: order_others(session, CODE, files))
    status, told = run("publish")
    assert (status, state(database)) == (DONE, "failed")
    assert "catalogue version" not in told
    assert asyncio.run(holds(database)) == {10, 15}


async def holds(database: TestDatabase) -> set[int]:
    async with database.admin_engine().connect() as connection:
        return set((await connection.execute(text("SELECT hold_min FROM booking.booking_rules"))).scalars())


def test_a_fault_of_one_town_keeps_no_other_waiting(
    run: Run, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen to fail without the `except`: the second town's order waited for ever."""
    assert run("load", SAMPLE)[0] == DONE
    assert run("load", OTHER)[0] == DONE
    first, second = sorted([CODE, other_code()])
    for town in (first, second):
        folder = SAMPLE if town == CODE else OTHER
        at_town(database, town, find_files(folder))
    load = load_opening_rules

    async def load_or_not(session: AsyncSession, pack: object, **named: object) -> None:
        if pack.town.code == first:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        await load(session, pack, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(town_command, "load_opening_rules", load_or_not)
    with pytest.raises(ZeroDivisionError):
        run("publish")
    assert f"{first}: not published, to be tried again" in capsys.readouterr().err
    assert {town: asyncio.run(state_of(database, town)) for town in (first, second)} == {
        first: "waiting", second: "published",
    }  # fmt: skip


def other_code() -> str:
    return read_files(find_files(OTHER)).town.code


def at_town(database: TestDatabase, town: str, files: dict[str, str]) -> None:
    async def do() -> None:
        db = Database(database.environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
        try:
            async with db.begin(town) as session:
                await order_others(session, town, files)
        finally:
            await db.dispose()

    asyncio.run(do())


async def state_of(database: TestDatabase, town: str) -> str:
    db = Database(database.environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
    try:
        async with db.begin(town) as session:
            newest = await find_newest_order(session, town)
            assert newest is not None
            return newest.state
    finally:
        await db.dispose()
