"""Who was erased stays so when older data is restored: keys are kept apart, and only the newest of them."""

import asyncio
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from deploy.backup import BAD_INPUT, DONE, KEYS_KEPT, METADATA, REFUSED, Manifest, back_up, load
from deploy.cli import main
from deploy.erase import erase_again_in
from services.routing.commands.about_you import fill_form
from shared.events.subscriptions import SERVICES
from tests.conftest import Clones, TestDatabase, in_database
from tests.erasure.town import Town
from tests.routing.makers import EMAIL, KANA, NAME, TOWN
from tests.simulation.machines import Service

MIDNIGHT = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


@pytest.fixture
def empty(database: TestDatabase, clones: Clones) -> Iterator[dict[str, str]]:
    """The environment of another database, provisioned and empty."""
    name = clones.take()
    environ = {
        key: in_database(value, name) if urlsplit(value).path == f"/{database.name}" else value
        for key, value in database.environ.items()
    }
    yield environ | {"DATABASE_URL": in_database(database.admin_url, name)}
    clones.drop(name)


async def rows_of(environ: dict[str, str], *, without: tuple[str, ...] = ()) -> dict[str, tuple[int, int]]:
    """How many rows each table has, and what they come to."""
    admin = await asyncpg.connect(environ["DATABASE_URL"])
    try:
        return {
            table.fullname: tuple(
                await admin.fetchrow(f"SELECT count(*), coalesce(sum(hashtext(t::text)), 0) FROM {table.fullname} t")
            )
            for service in SERVICES
            for table in METADATA[service].sorted_tables
            if table.name not in without
        }
    finally:
        await admin.close()


async def open_again(town: Town, environ: dict[str, str]) -> None:
    """The processes go on with another database."""
    for service in town.services.values():
        await service.db.dispose()
    await town.admin.close()
    town.admin = await asyncpg.connect(environ["DATABASE_URL"])
    town.services = {name: Service(name, environ) for name in SERVICES}
    town.environ = environ


async def test_who_was_erased_stays_so_when_older_data_comes_back_and_the_others_are_as_they_were(
    town: Town, database: TestDatabase, empty: dict[str, str], tmp_path: Path
) -> None:
    erased, stays = await town.guest(), await town.guest()
    ticket, other = await town.hand_over(erased), await town.hand_over(stays)
    await town.book(erased, ticket)
    await town.book(stays, other)
    await town.deliver()
    await back_up(tmp_path, town.environ, now=MIDNIGHT)
    town.now += timedelta(days=14)
    await town.erase(ticket.subject_ref)
    await town.deliver()
    await back_up(tmp_path, town.environ, keys_only=True, now=MIDNIGHT + timedelta(days=1))
    (data,) = tmp_path.glob("data-*")

    await load(data, empty)
    await open_again(town, empty)
    # The rows are back, and nobody can read them.
    assert await town.rows("SELECT 1 FROM routing.item WHERE subject_ref = $1", ticket.subject_ref) != []
    for service in SERVICES:
        keys = await town.rows(f"SELECT 1 FROM {service}.subject_key WHERE subject_ref = $1", ticket.subject_ref)
        assert keys == [], service
    await erase_again_in(None, empty, yes=True)
    assert await town.places_of(str(ticket.subject_ref)) <= {f"{service}.ledger_entry" for service in SERVICES}
    for value in (NAME, KANA, EMAIL):
        assert await town.places_of(value) == set()
    vault = town.services["routing"].keys.vault
    async with town.at("routing") as session:
        form = await fill_form(session, vault, identity=stays, case_id=other.case_id, now=town.now)
    assert form.items == {"name": NAME, "kana": KANA}
    # And the receipt says what it said.
    assert len(await town.rows("SELECT 1 FROM routing.erasure WHERE finished_at IS NOT NULL")) == 1


async def test_with_the_keys_of_before_they_would_be_back(town: Town, empty: dict[str, str], tmp_path: Path) -> None:
    """That is why only the newest keys survive: so that this test can fail."""
    ticket = await town.hand_over(await town.guest())
    await town.deliver()
    await back_up(tmp_path, town.environ, now=MIDNIGHT)
    await town.erase(ticket.subject_ref)
    await town.deliver()
    (data,) = tmp_path.glob("data-*")
    await load(data, empty)
    await open_again(town, empty)
    await erase_again_in(None, empty, yes=True)
    assert await town.rows("SELECT 1 FROM routing.item WHERE subject_ref = $1", ticket.subject_ref) != []


async def test_a_restored_database_is_the_same_row_by_row(
    town: Town, database: TestDatabase, empty: dict[str, str], tmp_path: Path
) -> None:
    guest = await town.guest()
    await town.book(guest, await town.hand_over(guest))
    await town.deliver()
    await town.admin.execute(
        """INSERT INTO booking.helper (municipality, helper_ref, name_sealed, wrapped_key, languages, is_open, version)
           VALUES ($1, 'h', '\\x01', '\\x02', '{ja}', true, 1)""",
        TOWN,
    )
    before = await rows_of(dict(town.environ) | {"DATABASE_URL": database.admin_url})
    await back_up(tmp_path, town.environ, now=MIDNIGHT)
    (data,) = tmp_path.glob("data-*")
    # No key is with the data.
    assert not any(path.name.endswith("subject_key.copy") for path in data.iterdir())
    assert b"\x00\x00\x00\x01\x02" not in (data / "booking.helper.copy").read_bytes()
    await load(data, empty)
    assert await rows_of(empty) == before
    # What guards them does so again.
    admin = await asyncpg.connect(empty["DATABASE_URL"])
    disabled = await admin.fetchval("SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'")
    checked = await admin.fetchval("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated")
    await admin.close()
    assert (disabled, checked) == (0, 0)


async def test_only_the_newest_two_of_the_keys_survive_and_nobody_else_reads_them(town: Town, tmp_path: Path) -> None:
    for day in range(4):
        await back_up(tmp_path, town.environ, now=MIDNIGHT + timedelta(days=day))
    assert len(list(tmp_path.glob("data-*"))) == 4
    kept = sorted(path.name for path in tmp_path.glob("keys-*"))
    assert len(kept) == KEYS_KEPT
    assert [name[5:13] for name in kept] == ["20261126", "20261127"]
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_what_does_not_fit_is_refused(
    town: Town,
    database: TestDatabase,
    empty: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run(environ: dict[str, str], *arguments: str) -> int:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return await asyncio.to_thread(main, list(arguments))

    own = dict(town.environ) | {"DATABASE_URL": database.admin_url}
    assert await run(own, "backup", str(tmp_path)) == DONE
    (data,) = tmp_path.glob("data-*")
    assert await run(own, "restore", str(data)) == REFUSED
    assert "is not empty" in capsys.readouterr().err
    assert await run(empty, "restore", str(tmp_path)) == BAD_INPUT
    manifest = data / "manifest.json"
    whole = manifest.read_bytes()
    revisions = msgspec.json.decode(whole, type=Manifest).revisions | {"booking": "0001"}
    manifest.write_bytes(msgspec.json.encode(Manifest(revisions)))
    assert await run(empty, "restore", str(data)) == REFUSED
    assert "the backup at 0001" in capsys.readouterr().err
    manifest.write_bytes(whole)
    assert await run(empty, "restore", str(data)) == DONE
    assert "0 subjects erased again" in capsys.readouterr().out


async def test_what_was_broken_off_leaves_no_keys_behind(town: Town, tmp_path: Path) -> None:
    """Seen to fail without the removal: whoever is erased later would have their key in it for ever."""
    for name in (".keys-20261123T150000.000000Z", ".data-20261123T150000.000000Z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routing.subject_key.copy").write_bytes(b"key")
    await back_up(tmp_path, town.environ, now=MIDNIGHT)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


async def test_who_is_protected_and_what_was_stopped_comes_back_as_it_was_last(
    town: Town, empty: dict[str, str], tmp_path: Path
) -> None:
    """Seen to fail with these tables among the data: who was protected after the backup would not be any more."""
    ticket = await town.hand_over(await town.guest())
    await back_up(tmp_path, town.environ, now=MIDNIGHT)
    for table, columns in (("protection", "protection_id, set_at"), ("reuse_stop", "key, stopped_at")):
        first = "gen_random_uuid()" if table == "protection" else "'name'"
        await town.admin.execute(
            f"INSERT INTO routing.{table} (municipality, subject_ref, {columns}) VALUES ($1, $2, {first}, now())",
            TOWN,
            ticket.subject_ref,
        )
    await back_up(tmp_path, town.environ, keys_only=True, now=MIDNIGHT + timedelta(days=1))
    (data,) = tmp_path.glob("data-*")
    await load(data, empty)
    await open_again(town, empty)
    for table in ("protection", "reuse_stop"):
        assert [row["subject_ref"] for row in await town.rows(f"SELECT subject_ref FROM routing.{table}")] == [
            ticket.subject_ref
        ], table
