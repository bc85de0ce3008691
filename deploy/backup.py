"""`choudo backup FOLDER` and `choudo restore FOLDER/data-…`: the three services' tables, and apart from them the keys.

`backup` writes `data-<time>` (everything but the keys) and `keys-<time>` (the keys of people and helpers, still wrapped
by the master keys; and who was erased), and keeps the newest two of the keys. `restore` brings data back into an empty
database with the newest keys: whoever was erased meanwhile has none, and is erased again.

By COPY in one read-only transaction, as the owners of the schemas: nothing needs to be installed. Where all services
are in one database, all of it is of one moment.
"""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
from sqlalchemy import Table

from deploy.databases import Unreachable
from deploy.erase import erase_again_in
from deploy.secrets import required
from services.booking.tables import metadata as booking
from services.notifications.tables import metadata as notifications
from services.routing.tables import metadata as routing
from shared.events.subscriptions import SERVICES
from shared.migrations_env import VERSION_TABLE

DONE, REFUSED, BAD_INPUT = 0, 1, 2
CONNECT_TIMEOUT_S = 10
COPY_TIMEOUT_S = 3_600
KEYS_KEPT = 2
MANIFEST = "manifest.json"
METADATA = {"routing": routing, "booking": booking, "notifications": notifications}
# With the keys, because only the newest of all is right: who was erased, and how far that is; who is protected;
# what no procedure may ask for.
KEY_TABLES = ("subject_key", "erased_subject", "erasure", "protection", "reuse_stop")
WRAPPED_KEY = "wrapped_key"
# In the order in which they can be loaded. All services may read them; only the administrator writes.
TOWN_TABLES = {
    "municipality": ("code", "name_ja", "name_kana", "name_en", "phone"),
    "host": ("host", "municipality"),
    "text": ("municipality", "ja", "easy", "en"),
}

_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text AS "table", conname AS name, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE contype = 'f' AND connamespace = $1::text::regnamespace ORDER BY 1, 2
"""


class Refused(Exception):
    """It cannot be done; the message says why, and what to do."""


class Manifest(msgspec.Struct, frozen=True):
    """Of what a backup is: the newest migration of each service."""

    revisions: dict[str, str]


def add_backup(commands: Any) -> None:
    """Add both commands to the command line."""
    backup = commands.add_parser("backup", help="write the data, and apart from it the keys", description=__doc__)
    backup.add_argument("folder", type=Path)
    backup.add_argument("--keys-only", action="store_true", help="after an erasure: the keys before it go the sooner")
    restore = commands.add_parser("restore", help="bring a backup's data back, with the newest keys")
    restore.add_argument("folder", type=Path, metavar="FOLDER/data-…")
    for parser in (backup, restore):
        parser.set_defaults(action=None)


async def back_up_or_restore(given: argparse.Namespace, environ: Mapping[str, str], *, now: datetime) -> int:
    """Do what was asked; return the exit status."""
    try:
        if given.command == "backup":
            await back_up(given.folder, environ, keys_only=given.keys_only, now=now)
            return DONE
        if not (given.folder / MANIFEST).is_file():
            print(f"restore: {given.folder} has no {MANIFEST}; give a data-… folder of a backup", file=sys.stderr)
            return BAD_INPUT
        await load(given.folder, environ)
        await erase_again_in(None, environ, yes=True)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unreachable(f"{given.command}: {type(error).__name__}") from error
    return DONE


async def back_up(folder: Path, environ: Mapping[str, str], *, keys_only: bool = False, now: datetime) -> None:
    """Write a backup's two folders, readable by nobody else, and remove the keys of older ones."""
    stamp = f"{now:%Y%m%dT%H%M%S.%fZ}"
    os.umask(0o077)
    # What is half written is no backup: a folder has its name when it is whole.
    data, keys = folder / f".data-{stamp}", folder / f".keys-{stamp}"
    # One that was broken off has keys in it, which must not outlive their people.
    await asyncio.to_thread(_remove_broken_off, folder)
    for made in (data, keys):
        made.mkdir(parents=True)
    revisions = {}
    async with AsyncExitStack() as stack:
        connections = await _read_at_once(stack, environ)
        for service, connection in connections.items():
            revisions[service] = await _revision(connection, service)
            for table in METADATA[service].sorted_tables:
                is_key = table.name in KEY_TABLES
                if not (keys_only and not is_key):
                    await _write(connection, keys if is_key else data, service, table.name, _columns(table))
                if WRAPPED_KEY in table.c and not is_key:
                    await _write(connection, keys, service, table.name, _key_columns(table))
        for name, columns in TOWN_TABLES.items():
            await _write(connections["routing"], data, "town", name, columns)
    for made in (data, keys):
        (made / MANIFEST).write_bytes(msgspec.json.encode(Manifest(revisions)))
    if keys_only:
        await asyncio.to_thread(shutil.rmtree, data)
    else:
        data.rename(folder / f"data-{stamp}")
        print(f"data: {folder / f'data-{stamp}'}")
    keys.rename(folder / f"keys-{stamp}")
    print(f"keys: {folder / f'keys-{stamp}'}")
    for old in _key_folders(folder)[:-KEYS_KEPT]:
        await asyncio.to_thread(shutil.rmtree, old)
        print(f"removed: {old}")


def _remove_broken_off(folder: Path) -> None:
    for broken_off in (*folder.glob(".data-*"), *folder.glob(".keys-*")):
        shutil.rmtree(broken_off)


async def load(data: Path, environ: Mapping[str, str]) -> None:
    """Bring a backup's data into an empty database, with the newest keys beside it.

    Raises:
        Refused: there are no keys, the database is of another version, or is not empty.
    """
    folders = _key_folders(data.parent)
    if not folders:
        raise Refused(f"restore: no keys-… folder in {data.parent}; without keys nothing would open")
    keys = folders[-1]
    revisions = msgspec.json.decode((data / MANIFEST).read_bytes(), type=Manifest).revisions
    async with AsyncExitStack() as stack:
        owners = {
            service: await _connect(stack, required(environ, f"CHOUDO_{service.upper()}_OWNER_DATABASE_URL"))
            for service in SERVICES
        }
        for service, owner in owners.items():
            await _refuse_unfit(owner, service, revisions[service])
        database = urlsplit(required(environ, "CHOUDO_ROUTING_OWNER_DATABASE_URL")).path
        admin_url = urlunsplit(urlsplit(required(environ, "DATABASE_URL"))._replace(path=database))
        admin = await _connect(stack, admin_url)
        async with admin.transaction():
            for name, columns in TOWN_TABLES.items():
                await admin.copy_to_table(
                    name, schema_name="town", columns=columns, source=_file(data, "town", name), format="binary"
                )
        for service, owner in owners.items():
            async with owner.transaction():
                await _load_service(owner, service, data, keys)
            print(f"{service}: restored, with the keys of {keys.name}")


async def _load_service(owner: asyncpg.Connection, service: str, data: Path, keys: Path) -> None:
    # The schema's owner may not pass over foreign keys, but may drop them and make them anew: then all of it is
    # checked. Its own triggers guard what the processes do, and are for later.
    tables = METADATA[service].sorted_tables
    foreign = await owner.fetch(_FOREIGN_KEYS, service)
    for key in foreign:
        await owner.execute(f'ALTER TABLE {key["table"]} DROP CONSTRAINT "{key["name"]}"')
    for table in tables:
        await owner.execute(f"ALTER TABLE {table.fullname} DISABLE TRIGGER USER")
        is_key = table.name in KEY_TABLES
        await owner.copy_to_table(
            table.name,
            schema_name=service,
            columns=_columns(table),
            source=_file(keys if is_key else data, service, table.name),
            format="binary",
        )
        if WRAPPED_KEY in table.c and not is_key:
            await _load_keys(owner, service, table, keys)
        await owner.execute(f"ALTER TABLE {table.fullname} ENABLE TRIGGER USER")
    for key in foreign:
        await owner.execute(f'ALTER TABLE {key["table"]} ADD CONSTRAINT "{key["name"]}" {key["definition"]}')


async def _load_keys(owner: asyncpg.Connection, service: str, table: Table, keys: Path) -> None:
    """Keys that stand in the rows of what they seal."""
    columns, kept = _key_columns(table), f"{service}.kept_keys"
    # The owner may make no temporary tables.
    await owner.execute(f"CREATE TABLE {kept} AS SELECT {_names(columns)} FROM {table.fullname} LIMIT 0")
    await owner.copy_to_table(
        "kept_keys", schema_name=service, columns=columns, source=_file(keys, service, table.name), format="binary"
    )
    same = " AND ".join(f"t.{name} = kept.{name}" for name in columns if name != WRAPPED_KEY)
    await owner.execute(
        f"UPDATE {table.fullname} t SET {WRAPPED_KEY} = kept.{WRAPPED_KEY} FROM {kept} kept WHERE {same}"
    )
    await owner.execute(f"DROP TABLE {kept}")


async def _read_at_once(stack: AsyncExitStack, environ: Mapping[str, str]) -> dict[str, asyncpg.Connection]:
    """A connection to each service's schema, in a read-only transaction; of one moment, where they share a database."""
    connections: dict[str, asyncpg.Connection] = {}
    snapshots: dict[tuple[str, str], str] = {}
    for service in SERVICES:
        url = required(environ, f"CHOUDO_{service.upper()}_OWNER_DATABASE_URL")
        connection = connections[service] = await _connect(stack, url)
        await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
        place = (urlsplit(url).netloc.rpartition("@")[2], urlsplit(url).path)
        if place in snapshots:
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshots[place]}'")
        else:
            snapshots[place] = await connection.fetchval("SELECT pg_export_snapshot()")
    if len(snapshots) > 1:
        print("the services' databases are apart: what one told another just now may be missing", file=sys.stderr)
    return connections


async def _connect(stack: AsyncExitStack, url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, command_timeout=COPY_TIMEOUT_S)
    stack.push_async_callback(connection.close)
    return connection


async def _refuse_unfit(owner: asyncpg.Connection, service: str, revision: str) -> None:
    known = await _revision(owner, service)
    if known != revision:
        raise Refused(f"restore: {service} is at migration {known}, the backup at {revision}: use the backup's version")
    for table in METADATA[service].sorted_tables:
        if await owner.fetchval(f"SELECT EXISTS (SELECT FROM {table.fullname})"):
            raise Refused(f"restore: {table.fullname} is not empty; provision another database (`deploy.provision`)")


async def _revision(connection: asyncpg.Connection, service: str) -> str:
    return str(await connection.fetchval(f"SELECT version_num FROM {service}.{VERSION_TABLE}"))


async def _write(connection: asyncpg.Connection, folder: Path, schema: str, table: str, columns: Sequence[str]) -> None:
    query = f"SELECT {_names(columns)} FROM {schema}.{table}"
    await connection.copy_from_query(query, output=_file(folder, schema, table), format="binary")


def _columns(table: Table) -> list[str]:
    """What stands with the data, or for a table of keys: everything."""
    apart = {WRAPPED_KEY} - ({WRAPPED_KEY} if table.name in KEY_TABLES else set())
    return [column.name for column in table.columns if column.name not in apart]


def _key_columns(table: Table) -> list[str]:
    return [*(column.name for column in table.primary_key), WRAPPED_KEY]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _file(folder: Path, schema: str, table: str) -> Path:
    return folder / f"{schema}.{table}.copy"


def _key_folders(folder: Path) -> list[Path]:
    """The folders with keys, the newest last."""
    return sorted(folder.glob("keys-*"))
