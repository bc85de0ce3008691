"""Make the database, the roles and the schemas, and run every service's migrations. Run again, it changes nothing.

Each service has two roles of its own: one owns its schema and migrates it, the other works in it and owns nothing.
Neither may look into another service's schema. The schema ``town`` is for all to read: which host belongs to which
municipality.

``python -m deploy.provision`` takes the administrator's ``DATABASE_URL`` and the services' URLs from the environment;
roles, passwords and the database are what those URLs say.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from deploy.secrets import required
from shared.migrations import SERVICES, upgrade
from shared.migrations_env import VERSION_TABLE

APP_CONNECTION_LIMIT: Final = 60
OWNER_CONNECTION_LIMIT: Final = 10
# What a session of the application's role may wait for. The loops and the pages share these bounds.
APP_TIMEOUTS: Final = {"lock_timeout": "3s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "15s"}
OWNER_TIMEOUTS: Final = {"lock_timeout": "3s", "idle_in_transaction_session_timeout": "60s"}
CONNECT_TIMEOUT_S: Final = 10.0
# The server's own number for "only one provisioner at a time": "provis" in ASCII.
ADVISORY_LOCK_KEY: Final = 0x70726F766973
SCRAM_ITERATIONS: Final = 4096
SCRAM_SALT_BYTES: Final = 16

PREVIEWING: Final = "routing"
_URL_VARIABLES: Final = ("DATABASE_URL", "OWNER_DATABASE_URL")

TOWN_TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS town;
CREATE TABLE IF NOT EXISTS town.municipality (
    code text PRIMARY KEY CHECK (code ~ '^[0-9A-Za-z_-]{1,32}$'),
    name_ja text NOT NULL,
    name_kana text NOT NULL,
    name_en text NOT NULL
);
-- Where somebody calls who is stuck on an error page; empty until the town is loaded.
ALTER TABLE town.municipality ADD COLUMN IF NOT EXISTS phone text NOT NULL DEFAULT '';
CREATE TABLE IF NOT EXISTS town.host (
    host text PRIMARY KEY CHECK (host = lower(host) AND length(host) <= 253),
    municipality text NOT NULL REFERENCES town.municipality (code)
);
CREATE INDEX IF NOT EXISTS host_municipality_idx ON town.host (municipality);
-- The town's own texts in the other languages of the pages (shared/town_texts.py).
CREATE TABLE IF NOT EXISTS town.text (
    municipality text NOT NULL REFERENCES town.municipality (code),
    ja text NOT NULL,
    easy text NOT NULL,
    en text NOT NULL,
    PRIMARY KEY (municipality, ja)
);
"""


@dataclass(frozen=True, slots=True)
class Role:
    """One login role, as a URL describes it."""

    service: str
    name: str
    password: str
    database: str


async def provision(admin_url: str, environ: Mapping[str, str], *, migrate: bool = True) -> None:
    """Bring the server to the state that the CHOUDO_* URLs in ``environ`` describe.

    ``admin_url`` is of a superuser, or of one who may create databases, roles and extensions. Raises ValueError when
    the URLs contradict one another, and asyncpg.PostgresError.
    """
    apps = {service: _role(environ, service, "DATABASE_URL") for service in SERVICES}
    owners = {service: _role(environ, service, "OWNER_DATABASE_URL") for service in SERVICES}
    databases = {role.database for role in (*apps.values(), *owners.values())}
    if len(databases) != 1:
        raise ValueError(f"the services' URLs name several databases, provision them one by one: {sorted(databases)}")
    database = databases.pop()

    await _make_roles_and_database(admin_url, apps, owners, database)
    await _make_schemas(_in_database(admin_url, database), apps, owners)
    if migrate:
        for service in SERVICES:
            await asyncio.to_thread(upgrade, service, required(environ, f"CHOUDO_{service.upper()}_OWNER_DATABASE_URL"))
        await _narrow_version_tables(_in_database(admin_url, database), apps)


async def clone_database(admin_url: str, template: str, name: str, environ: Mapping[str, str]) -> None:
    """A copy of a provisioned database for the same roles. Nobody may be connected to the template."""
    roles = [_role(environ, service, variable) for service in SERVICES for variable in _URL_VARIABLES]
    connection = await _connect(admin_url)
    try:
        # Copied as files: through the log it takes twice as long.
        await connection.execute(f"CREATE DATABASE {_name(name)} TEMPLATE {_name(template)} STRATEGY file_copy")
        # Rights on the database itself are not copied.
        await connection.execute(f"REVOKE ALL ON DATABASE {_name(name)} FROM PUBLIC")
        await connection.execute(f"GRANT CONNECT ON DATABASE {_name(name)} TO {_names(*roles)}")
        await _let_preview(connection, name, _role(environ, PREVIEWING, "DATABASE_URL"))
    finally:
        await connection.close()


async def drop_database(admin_url: str, database: str) -> None:
    """Drop a database with everybody in it. The roles stay: they belong to the whole server."""
    connection = await _connect(admin_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {_name(database)} WITH (FORCE)")
    finally:
        await connection.close()


def _role(environ: Mapping[str, str], service: str, variable: str) -> Role:
    name = f"CHOUDO_{service.upper()}_{variable}"
    parts = urlsplit(required(environ, name))
    if not (parts.username and parts.password and parts.path.strip("/")):
        raise ValueError(f"{name} must name a role, a password and a database")
    return Role(service, unquote(parts.username), unquote(parts.password), unquote(parts.path.lstrip("/")))


async def _connect(url: str) -> "asyncpg.Connection":
    scheme, separator, rest = url.partition("://")
    return await asyncpg.connect(scheme.partition("+")[0] + separator + rest, timeout=CONNECT_TIMEOUT_S)


def _in_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _make_roles_and_database(
    admin_url: str, apps: Mapping[str, Role], owners: Mapping[str, Role], database: str
) -> None:
    connection = await _connect(admin_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK_KEY)
        for role in owners.values():
            await _make_role(connection, role, OWNER_CONNECTION_LIMIT, OWNER_TIMEOUTS)
        for role in apps.values():
            await _make_role(connection, role, APP_CONNECTION_LIMIT, APP_TIMEOUTS)
        if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", database):
            await connection.execute(f"CREATE DATABASE {_name(database)} TEMPLATE template0 ENCODING 'UTF8'")
        everybody = _names(*apps.values(), *owners.values())
        await connection.execute(f"REVOKE ALL ON DATABASE {_name(database)} FROM PUBLIC")
        await connection.execute(f"GRANT CONNECT ON DATABASE {_name(database)} TO {everybody}")
        await _let_preview(connection, database, apps[PREVIEWING])
    finally:
        await connection.close()


async def _let_preview(connection: "asyncpg.Connection", database: str, app: Role) -> None:
    """A catalogue that is looked at before it is published stands in temporary tables, which nobody else waits for."""
    await connection.execute(f"GRANT TEMPORARY ON DATABASE {_name(database)} TO {_name(app.name)}")


async def _make_role(
    connection: "asyncpg.Connection", role: Role, connection_limit: int, timeouts: Mapping[str, str]
) -> None:
    name = _name(role.name)
    if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role.name):
        await connection.execute(f"CREATE ROLE {name}")
        if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            # Who is not a superuser can only give away a schema to a role that it is a member of.
            await connection.execute(f"GRANT {name} TO CURRENT_USER")
    # The verifier, not the password: statements can end up in the server's log.
    await connection.execute(
        f"ALTER ROLE {name} LOGIN NOCREATEDB NOCREATEROLE INHERIT "
        f"CONNECTION LIMIT {connection_limit} PASSWORD {_literal(scram_verifier(role.password))}"
    )
    for setting, value in timeouts.items():
        await connection.execute(f"ALTER ROLE {name} SET {setting} = {_literal(value)}")


async def _make_schemas(database_url: str, apps: Mapping[str, Role], owners: Mapping[str, Role]) -> None:
    connection = await _connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK_KEY)
            # In public, where nobody else may put anything; only its operator classes are used, which need no path.
            await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public")
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            await connection.execute(TOWN_TABLES)
            everybody = _names(*apps.values(), *owners.values())
            await connection.execute(f"GRANT USAGE ON SCHEMA town TO {everybody}")
            await connection.execute(f"GRANT SELECT ON town.host, town.municipality, town.text TO {everybody}")
            for service in SERVICES:
                await _make_schema(
                    connection, service, app=_name(apps[service].name), owner=_name(owners[service].name)
                )
    finally:
        await connection.close()


async def _make_schema(connection: "asyncpg.Connection", service: str, *, app: str, owner: str) -> None:
    schema = _name(service)
    in_schema = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
    for statement in (
        f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {app}",
        # A migration takes back what a table's rows must never suffer: the ledger's cannot be changed or removed.
        f"{in_schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}",
        f"{in_schema} GRANT USAGE, SELECT ON SEQUENCES TO {app}",
        # PUBLIC may execute new functions by default, and that can only be taken away for the owner as a whole.
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        f"{in_schema} GRANT EXECUTE ON FUNCTIONS TO {app}",
    ):
        await connection.execute(statement)


async def _narrow_version_tables(database_url: str, apps: Mapping[str, Role]) -> None:
    connection = await _connect(database_url)
    try:
        for service in SERVICES:
            role = apps[service]
            table = f"{_name(service)}.{_name(VERSION_TABLE)}"
            await connection.execute(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {_name(role.name)}")
    finally:
        await connection.close()


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores of a password (RFC 5802, 7677). Ours are ASCII, so SASLprep changes nothing."""
    if not password.isascii():
        raise ValueError("passwords of database roles must be ASCII")
    salt = secrets.token_bytes(SCRAM_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(*roles: Role) -> str:
    return ", ".join(_name(role.name) for role in roles)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def main() -> int:
    """Provision from the environment alone: what the job of that name does in production."""
    admin_url = required(os.environ, "DATABASE_URL")
    asyncio.run(provision(admin_url, os.environ))
    print("provisioned: roles, schemas and migrations are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
