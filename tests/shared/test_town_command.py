"""`choudo town`: a town pack is checked, compared with what is loaded, loaded, and taken home again as it was."""

import asyncio
import re
import shutil
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from deploy.town import BAD_INPUT, DIFFERENT, DONE, NONE_THERE
from services.booking.commands.opening import PublishVersion, publish_version
from services.booking.domain.opening import Hours, OpeningRule, Version, WeekdayHours
from shared.db import Database
from shared.tokens import Identity
from tests.conftest import TestDatabase
from tests.shared.conftest import Run

TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"
NAMES = sorted(folder.name for folder in TOWNS.iterdir())
SAMPLE, CODE = TOWNS / "ninomiya", "143421"
# What loading the same once more must leave alone, row by row.
KEPT = ("routing.catalogue", "routing.procedure", "routing.counter", "routing.life_event", "routing.pack_version",
        "routing.outbox", "booking.opening_rule", "booking.counter_rule", "booking.closure", "booking.slot",
        "notifications.reminder_rule", "town.municipality", "town.host", "town.text")  # fmt: skip


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the sample town to change."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "town"))


def change(path: Path, old: str, new: str) -> None:
    said = path.read_text("utf-8")
    assert old in said
    path.write_text(said.replace(old, new, 1), "utf-8")


async def rows(database: TestDatabase) -> dict[str, list[str]]:
    async with database.admin_engine().connect() as connection:
        return {
            table: sorted((await connection.execute(text(f"SELECT CAST(t.* AS text) FROM {table} t"))).scalars())
            for table in KEPT
        }


@pytest.mark.parametrize("name", NAMES)
def test_an_export_is_what_was_loaded_and_loading_it_changes_nothing(
    run: Run, database: TestDatabase, tmp_path: Path, name: str
) -> None:
    source, target = TOWNS / name, tmp_path / "out"
    code = re.search(r'^code = "(\w+)"', (source / "town.toml").read_text("utf-8"), re.MULTILINE)
    assert code
    assert run("load", source)[0] == DONE
    before = asyncio.run(rows(database))
    assert all(before[table] for table in KEPT if table != "booking.closure")
    assert run("export", target, "--town", code[1])[0] == DONE
    assert {file.name: file.read_bytes() for file in target.iterdir()} == {
        file.name: file.read_bytes() for file in source.iterdir()
    }
    status, told = run("diff", target)
    assert (status, told.endswith("JST: no difference\n")) == (DONE, True)
    assert run("load", target)[0] == DONE
    assert asyncio.run(rows(database)) == before


def test_each_pack_that_says_something_else_is_a_version_of_its_own(run: Run, pack: Path, tmp_path: Path) -> None:
    assert run("load", pack)[0] == DONE
    change(pack / "town.toml", 'phone = "0463-71-3311"', 'phone = "0463-71-3312"')
    for _ in range(2):
        assert "pack version 2, catalogue version 2" in run("load", pack)[1]
    # A comment is something that was said too, though the catalogue is the same.
    change(pack / "town.toml", "[town]", "# Agreed with the mayor.\n[town]")
    assert "pack version 3, catalogue version 2" in run("load", pack)[1]
    status, told = run("versions", CODE)
    assert status == DONE
    assert re.findall(r"^143421 version (\d), loaded \d{4}-\d\d-\d\d \d\d:\d\d JST$", told, re.MULTILINE) == [*"321"]
    assert run("export", tmp_path / "first", "--town", CODE, "--version", 1)[0] == DONE
    assert (tmp_path / "first" / "town.toml").read_bytes() == (SAMPLE / "town.toml").read_bytes()


def test_what_cannot_be_exported_is_told(run: Run, pack: Path, tmp_path: Path) -> None:
    assert run("export", tmp_path / "out", "--town", CODE) == (BAD_INPUT, f"refused: no_such_town, town {CODE}\n")
    assert run("versions", CODE)[0] == BAD_INPUT
    assert run("load", pack)[0] == DONE
    assert run("export", pack, "--town", CODE) == (BAD_INPUT, f"{pack}: not an empty folder\n")
    assert run("export", tmp_path / "out", "--town", CODE, "--version", 2)[0] == NONE_THERE
    assert not (tmp_path / "out").exists()


def test_a_pack_that_is_wrong_is_told_as_a_whole_and_not_loaded(run: Run, database: TestDatabase, pack: Path) -> None:
    change(pack / "procedures.csv", ",general,2,", ",general,2|88,")
    change(pack / "town.toml", '"TAX01"]', '"TAX99"]')
    for action in ("check", "load", "diff"):
        status, told = run(action, pack)
        assert (status, told.count("\n")) == (BAD_INPUT, 2)
        assert told.startswith("procedures.csv, line 2, counters: no such counter: 88; mend the code; there are 0, 1")
    assert asyncio.run(rows(database))["town.municipality"] == []
    status, told = run("check", SAMPLE)
    assert (status, told) == (
        DONE, "二宮町 (143421): 35 procedures, 5 life events, 10 counters, 3 venues; nothing wrong\n"
    )  # fmt: skip


def test_a_diff_says_what_would_change_and_what_open_cases_feel_of_it(
    run: Run, database: TestDatabase, pack: Path
) -> None:
    assert run("diff", pack) == (DIFFERENT, "二宮町 (143421): no pack is kept of it, so all of this one would be new\n")
    assert run("load", pack)[0] == DONE
    asyncio.run(begin(database, "RES01", "ENV02"))
    assert run("diff", pack)[0] == DONE
    before = asyncio.run(rows(database))

    lines = (pack / "procedures.csv").read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("ENV02,")]
    (pack / "procedures.csv").write_text("\n".join([*kept, kept[-1].replace("DIG01", "DIG02")]) + "\n", "utf-8")
    rules, _, _ = (pack / "office.toml").read_text("utf-8").partition('[[procedures]]\nprocedure = "ENV02"')
    (pack / "office.toml").write_text(rules, "utf-8")
    change(pack / "procedures.csv", ",yes,10,300,name|birth_date|", ",yes,10,400,name|")
    change(
        pack / "town.toml",
        "opens_at = 08:30:00\ncloses_at = 17:15:00\nlunch",
        "opens_at = 09:00:00\ncloses_at = 17:15:00\nlunch",
    )
    change(pack / "town.toml", "horizon_days = 45", "horizon_days = 60")
    change(pack / "town.toml", 'en = "Taxes"', 'en = "Tax"')
    status, told = run("diff", pack)
    assert status == DIFFERENT
    for line in (
        "town booking.horizon_days: 45 → 60",
        "procedure RES01 住民票の写し: fee_yen 300 → 400; items [name, birth_date, address, household, ",
        "    1 open cases: who has not sent the form yet is asked by the new items; what was sent stays",
        "    1 open cases: the new fee is shown from now on",
        "procedure ENV02 粗大ごみの申込: gone",
        "    1 open cases go on to their end; nobody begins another",
        "procedure DIG02 スマホ相談: new",
        "wording 税: en Taxes → Tax",
        "hours 1: 月火水木金 08:30–17:15 without 12:00–13:00 → 月火水木金 09:00–17:15 without 12:00–13:00",
        "    1 appointments are ahead: nobody loses their place, new times count from tomorrow on",
        "office rule ENV02: gone",
        "JST: 1 town, 3 procedure, 1 wording, 1 office rule, 3 hours\n",
    ):
        assert line in told
    # It only says so.
    assert asyncio.run(rows(database)) == before


async def begin(database: TestDatabase, *procedures: str) -> None:
    """A case of each procedure, as routing keeps them, and an appointment at the counter 1."""
    async with database.admin_engine().begin() as connection:
        for procedure in procedures:
            case = """INSERT INTO routing.case_file (municipality, case_id, procedure, channel, state, guest_ref,
                session_id, idempotency_key, created_at, updated_at, version)
                VALUES (:town, :id, :procedure, 'online', 'opened', 'guest', 's', :id, now(), now(), 1)"""
            await connection.execute(text(case), {"town": CODE, "id": uuid4(), "procedure": procedure})
        booked = """INSERT INTO routing.appointment (municipality, appointment_id, number, procedure, office, counter,
            starts_at, ends_at, state, version) VALUES (:town, :id, '1', 'DIS01', '防災', '1',
            now() + interval '2 days', now() + interval '3 days', 'booked', 1)"""
        await connection.execute(text(booked), {"town": CODE, "id": uuid4()})


def test_hours_that_staff_published_are_named_because_no_pack_has_them(
    run: Run, database: TestDatabase, pack: Path, tmp_path: Path
) -> None:
    assert run("load", pack)[0] == DONE
    first = asyncio.run(publish_by_staff(database))
    told = f"hours 1: staff published their own from {first} on; the pack does not have them\n"
    assert told in run("diff", pack)[1]
    assert told in run("export", tmp_path / "out", "--town", CODE)[1]


async def publish_by_staff(database: TestDatabase) -> date:
    db = Database(database.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    now = datetime.now(UTC)
    first = now.date() + timedelta(days=7)
    week = (WeekdayHours(weekday=1, hours=(Hours(time(9), time(12)),)),)
    rule = OpeningRule(slot_min=30, places=1, staff_only_places=0, week=week)
    manager = Identity(municipality=CODE, kind="staff", ref="m", session_id="s", roles=("manager",), office="防災")
    try:
        async with db.begin(CODE) as session:
            order = PublishVersion(counter="1", new=Version(valid_from=first, rule=rule), seen=1)
            await publish_version(session, manager, order, now=now)
    finally:
        await db.dispose()
    return first


async def test_what_was_loaded_is_never_told_differently(database: TestDatabase) -> None:
    """Seen to fail without the right taken from the service's role."""
    for statement in ("UPDATE routing.pack_version SET files = '{}'", "DELETE FROM routing.pack_version"):
        async with database.engine("routing").connect() as connection:
            with pytest.raises(ProgrammingError, match="permission denied"):
                await connection.execute(text(statement))
