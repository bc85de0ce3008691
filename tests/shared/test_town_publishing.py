"""`choudo town publish`: what a manager wants published goes live by the door of `town load`, or waits and says why."""

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.town import DONE
from services.routing.commands.drafts import (
    call_off_publication,
    edit_draft,
    find_wanted,
    order_publication,
    take_version,
)
from services.routing.queries.drafts import find_draft, find_newest_order
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack import TownPack, find_files
from shared.town_pack.records import KINDS, change_record
from tests.conftest import TestDatabase
from tests.shared.conftest import Run
from tests.shared.test_town_command import CODE, SAMPLE

NOW = datetime(2026, 11, 24, 0, 10, tzinfo=UTC)
MANAGER = Identity(municipality=CODE, kind="staff", ref=uuid4().hex, session_id=uuid4().hex, roles=("manager",))
FILES = find_files(SAMPLE)
T = TypeVar("T")


def at_routing(database: TestDatabase, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    async def do() -> T:
        db = Database(database.environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
        try:
            async with db.begin(CODE) as session:
                return await work(session)
        finally:
            await db.dispose()

    return asyncio.run(do())


def change(database: TestDatabase, kind: str, key: str, **values: object) -> None:
    def edit(files: dict[str, str], pack: TownPack) -> dict[str, str]:
        return change_record(files, pack, KINDS[kind], key, values)

    at_routing(database, lambda session: edit_draft(session, identity=MANAGER, edit=edit, now=NOW))  # type: ignore[arg-type]


def order(database: TestDatabase) -> None:
    async def do(session: AsyncSession) -> None:
        draft = await find_draft(session, CODE)
        await order_publication(session, identity=MANAGER, seen=draft.save, base=draft.base, now=NOW)

    at_routing(database, do)


def state(database: TestDatabase) -> str:
    async def do(session: AsyncSession) -> str:
        newest = await find_newest_order(session, CODE)
        assert newest is not None
        return newest.state

    return at_routing(database, do)


def exported(run: Run, folder: Path) -> dict[str, str]:
    assert run("export", folder, "--town", CODE)[0] == DONE
    return find_files(folder)


def test_what_was_ordered_is_loaded_as_files_are_and_exported_as_it_was_saved(
    run: Run,
    database: TestDatabase,
    tmp_path: Path,
) -> None:
    assert run("load", SAMPLE)[0] == DONE
    assert run("publish") == (DONE, "")
    change(database, "procedure", "RES01", fee_yen=350)
    change(database, "notices", "", reminders_before_min=[2880])
    change(database, "booking", "", hold_min=20)
    assert exported(run, tmp_path / "before") == FILES
    order(database)
    status, told = run("publish")
    assert status == DONE
    assert "pack version 2, catalogue version 2" in told
    saved = at_routing(database, lambda session: find_draft(session, CODE))
    assert exported(run, tmp_path / "after") == dict(saved.files)
    assert (saved.base, saved.is_changed, state(database)) == (2, False, "published")
    assert asyncio.run(read(database)) == (350, [2880], 20)
    actions = at_routing(database, actions_of)
    assert [each for each in actions if "publi" in each] == [
        "order_publication", "publication_published", "publish_catalogue", "publish_catalogue",
    ]  # fmt: skip
    # Undone by publishing the earlier version.
    at_routing(database, lambda session: take_version(session, identity=MANAGER, version=1, now=NOW))
    order(database)
    assert "pack version 3" in run("publish")[1]
    assert exported(run, tmp_path / "undone") == FILES
    assert asyncio.run(read(database)) == (300, [1440], 10)
    assert run("publish") == (DONE, "")


async def actions_of(session: AsyncSession) -> list[str]:
    return sorted((await session.execute(text("SELECT action FROM audit"))).scalars())


async def read(database: TestDatabase) -> tuple[int, list[int], int]:
    async with database.admin_engine().connect() as connection:
        fee = await connection.execute(text("SELECT fee_yen FROM routing.procedure WHERE code = 'RES01'"))
        reminders = await connection.execute(
            text("SELECT before_min FROM notifications.reminder_rule WHERE before_min > 0")
        )
        hold = await connection.execute(text("SELECT hold_min FROM booking.booking_rules"))
        return fee.scalar_one(), sorted(reminders.scalars()), hold.scalar_one()


def test_files_that_come_first_are_not_overwritten(
    run: Run,
    database: TestDatabase,
    tmp_path: Path,
) -> None:
    """Seen to fail without the look at the newest version: the operator's file was lost."""
    assert run("load", SAMPLE)[0] == DONE
    change(database, "procedure", "RES01", fee_yen=350)
    order(database)
    pack = Path(shutil.copytree(SAMPLE, tmp_path / "town"))
    said = (pack / "town.toml").read_text("utf-8")
    (pack / "town.toml").write_text(said.replace("horizon_days = 45", "horizon_days = 50"), "utf-8")
    assert run("load", pack)[0] == DONE
    assert "another pack was loaded meanwhile" in run("publish")[1]
    assert state(database) == "overtaken"
    assert "horizon_days = 50" in exported(run, tmp_path / "out")["town.toml"]
    draft = at_routing(database, lambda session: find_draft(session, CODE))
    assert draft.is_overtaken
    assert ",350," in draft.files["procedures.csv"]


def test_what_was_called_off_is_not_published(run: Run, database: TestDatabase) -> None:
    assert run("load", SAMPLE)[0] == DONE
    change(database, "procedure", "RES01", fee_yen=350)
    order(database)
    assert at_routing(database, lambda session: find_wanted(session, CODE)) is not None
    at_routing(database, lambda session: call_off_publication(session, identity=MANAGER, now=NOW))
    assert run("publish") == (DONE, "")
    assert state(database) == "called_off"


def test_a_manager_takes_no_other_towns_address(run: Run, database: TestDatabase) -> None:
    """Seen to fail without both looks: the host of another town led to this one."""
    assert run("load", SAMPLE)[0] == DONE
    change(database, "town", "", hosts=["hoshimi.localhost"])
    with pytest.raises(Refusal, match="operators_only"):
        order(database)
    # However it came to be ordered.
    at_routing(database, force_order)
    assert "are the operator's to change" in run("publish")[1]
    assert state(database) == "failed"


async def force_order(session: AsyncSession) -> None:
    draft = await find_draft(session, CODE)
    values = {"town": CODE, "id": uuid4(), "save": draft.save, "now": NOW}
    await session.execute(
        text("""INSERT INTO pack_order (municipality, order_id, save, base, state, ordered_by, ordered_at)
            VALUES (:town, :id, :save, 1, 'waiting', 'x', :now)"""),
        values,
    )


def test_a_restart_with_known_files_keeps_what_was_made_of_them(
    run: Run,
    database: TestDatabase,
    tmp_path: Path,
) -> None:
    assert run("load", SAMPLE, "--unless-known")[0] == DONE
    change(database, "procedure", "RES01", fee_yen=350)
    order(database)
    assert run("publish")[0] == DONE
    assert "pack version 2" in run("load", SAMPLE, "--unless-known")[1]
    assert ",350," in exported(run, tmp_path / "kept")["procedures.csv"]
    assert re.search("pack version 3", run("load", SAMPLE)[1])
