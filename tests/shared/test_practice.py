"""Practice towns: what their code says, and what becomes of a town's pack."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from deploy.cli import INTACT, main
from services.routing.commands.practice import DUE_RESET, order_reset
from shared.db import Database
from shared.errors import Refusal
from shared.practice import is_practice, practice_code, read_practice_code
from shared.tokens import Identity
from shared.town_pack import find_files
from shared.town_pack.practice import practice_files
from shared.town_pack.reading import examine_files, read_files
from tests.conftest import TestDatabase
from tests.shared.conftest import Run
from tests.shared.test_town_command import CODE, NAMES, SAMPLE, TOWNS

NOW = datetime(2026, 11, 24, 0, 10, tzinfo=UTC)
BASE = "https://yoyaku.example.jp:8443"


@pytest.mark.parametrize("code", ["143421", "143421-r", "143421-rx", "-r1", "143421-r1x", "r1", ""])
def test_a_real_towns_code_is_none_of_practice(code: str) -> None:
    assert (is_practice(code), read_practice_code(code)) == (False, None)


def test_a_practice_towns_code_says_whose_it_is() -> None:
    assert practice_code("143421", 12) == "143421-r12"
    assert (is_practice("143421-r12"), read_practice_code("143421-r12")) == (True, ("143421", 12))


@pytest.mark.parametrize("name", NAMES)
def test_a_practice_town_has_the_same_procedures_at_any_hour(name: str) -> None:
    files = find_files(TOWNS / name)
    made = practice_files(files, 7, BASE)
    real, (pack, flaws) = read_files(files), examine_files(made)
    assert pack is not None
    assert not flaws
    assert pack.town.code == f"{real.town.code}-r7"
    assert pack.town.name_ja == f"{real.town.name_ja}（練習）"
    assert pack.town.public_url == "https://renshu.yoyaku.example.jp:8443"
    assert set(pack.town.hosts) == {"renshu.yoyaku.example.jp", *(f"renshu.{host}" for host in real.town.hosts)}
    assert (pack.counters, pack.queue) == (real.counters, real.queue)
    assert pack.procedures == tuple(replace(each, horizon_days=None, notice_min=None) for each in real.procedures)
    [opening] = pack.opening
    assert set(opening.counters) == {each.code for each in real.counters} | {each.code for each in real.venues}
    assert (set(opening.weekdays), pack.closures, pack.booking.notice_min) == (set(range(1, 8)), (), 0)
    assert not any(rule.identity_step for rule in pack.office.procedures)


def staff(municipality: str) -> Identity:
    return Identity(municipality=municipality, kind="staff", ref="a", session_id="s", roles=("counter",))


def order(database: TestDatabase, municipality: str) -> None:
    async def do() -> None:
        db = Database(database.environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
        try:
            async with db.begin(municipality) as session:
                await order_reset(session, identity=staff(municipality), now=NOW)
        finally:
            await db.dispose()

    asyncio.run(do())


def ask(database: TestDatabase, statement: str) -> list[tuple[object, ...]]:
    async def do() -> list[tuple[object, ...]]:
        async with database.admin_engine().connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]

    return asyncio.run(do())


async def seal_something(database: TestDatabase, municipality: str) -> None:
    keys = "INSERT INTO {}.subject_key (municipality, subject_ref, wrapped_key{}) VALUES (:town, :ref, 'k'{})"
    async with database.admin_engine().begin() as connection:
        for service in ("routing", "booking", "notifications"):
            made = ("", "") if service == "booking" else (", made_at", ", now()")
            await connection.execute(text(keys.format(service, *made)), {"town": municipality, "ref": uuid4()})


def test_a_fresh_town_takes_the_place_of_the_one_before(
    run: Run, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["practice", "open", CODE]) != INTACT
    assert run("load", SAMPLE)[0] == INTACT
    assert main(["practice", "open", CODE]) == INTACT
    assert "https://renshu.ninomiya.localhost: sign in as renshu" in capsys.readouterr().out
    assert main(["practice", "open", CODE]) == INTACT
    assert "there is a practice town already" in capsys.readouterr().out
    hosts = "SELECT host, municipality FROM town.host ORDER BY host"
    assert ask(database, hosts) == [("ninomiya.localhost", CODE), ("renshu.ninomiya.localhost", f"{CODE}-r1")]
    accounts = "SELECT login, password_hash, roles FROM routing.account WHERE municipality = '{}' ORDER BY login"
    before = ask(database, accounts.format(f"{CODE}-r1"))
    assert [row[0] for row in before] == ["renshu", "renshu-helper"]
    with pytest.raises(Refusal, match="not_practice"):
        order(database, CODE)
    # Whatever somebody typed into it, though they should not have.
    asyncio.run(seal_something(database, f"{CODE}-r1"))
    order(database, f"{CODE}-r1")
    order(database, f"{CODE}-r1")
    status, told = run("publish")
    assert (status, told.splitlines()[-1]) == (INTACT, f"{CODE}: {CODE}-r2 instead of {CODE}-r1")
    assert ask(database, hosts) == [("ninomiya.localhost", CODE), ("renshu.ninomiya.localhost", f"{CODE}-r2")]
    assert ask(database, "SELECT code FROM town.municipality ORDER BY code") == [(CODE,), (f"{CODE}-r2",)]
    # Whoever could sign in still can, with the password that they know.
    assert ask(database, accounts.format(f"{CODE}-r2")) == before
    for service in ("routing", "booking", "notifications"):
        assert ask(database, f"SELECT kind FROM {service}.due WHERE municipality = '{CODE}-r1'") == []
        assert ask(database, f"SELECT 1 FROM {service}.subject_key WHERE municipality = '{CODE}-r1'") == []
    assert ask(database, f"SELECT 1 FROM routing.due WHERE kind = '{DUE_RESET}'") == []
    people = "SELECT count(*) FROM routing.due WHERE kind = 'practice_person'"
    assert ask(database, people) == [(20,)]
    # Nothing is left to do.
    assert run("publish") == (INTACT, "")


def test_nobody_loads_a_real_town_by_a_practice_towns_code(run: Run, database: TestDatabase, tmp_path: Path) -> None:
    folder = tmp_path / "town"
    folder.mkdir()
    for name, content in practice_files(find_files(SAMPLE), 3, BASE).items():
        (folder / name).write_text(content, "utf-8")
    status, told = run("load", folder)
    assert (status, "practice_code" in told) == (2, True)
    assert ask(database, "SELECT 1 FROM town.municipality") == []


def test_a_practice_town_takes_nobodys_address(run: Run, database: TestDatabase) -> None:
    assert run("load", SAMPLE)[0] == INTACT

    async def take() -> None:
        async with database.admin_engine().begin() as connection:
            await connection.execute(
                text(f"INSERT INTO town.host (host, municipality) VALUES ('renshu.ninomiya.localhost', '{CODE}')")
            )

    asyncio.run(take())
    assert main(["practice", "open", CODE]) == 2
    assert ask(database, "SELECT code FROM town.municipality") == [(CODE,)]
