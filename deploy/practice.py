"""`choudo practice open TOWN`: a practice town (練習用の町) for a town's staff, at `renshu.` before its address.

It is a municipality of its own, loaded by the door of `town load` from the town's own pack. A ledger cannot be emptied,
so who begins anew gets a fresh one: the address leads to it, the accounts go along, and the one before is left behind:
nobody comes to it any more, nothing is due in it, and whatever was typed into it cannot be read again.
"""

import argparse
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from deploy.databases import list_towns, open_database, require_town, time_of, transaction
from deploy.town import connect_as_administrator, load_pack
from services.routing.commands.practice import (
    DUE_RESET,
    HELPER_LOGIN,
    LOGIN,
    Account,
    first_accounts,
    list_accounts,
    open_day,
)
from services.routing.queries.packs import find_pack
from shared.clock import clock_from
from shared.db import Database
from shared.errors import Refusal
from shared.events.subscriptions import SERVICES
from shared.messaging.due import DueRows
from shared.practice import practice_code, read_practice_code
from shared.town_pack import read_files
from shared.town_pack.practice import practice_files

DONE = 0
PASSWORD_BYTES = 9
# A load takes seconds; one that died is begun again after this.
RESET_LEASE = timedelta(minutes=3)
RESETS_AT_ONCE = 5

_HOSTS_TAKEN = "SELECT municipality FROM town.host WHERE host = ANY($1) LIMIT 100"
_FORGET_TOWN = (
    "DELETE FROM town.host WHERE municipality = $1",
    "DELETE FROM town.text WHERE municipality = $1",
    "DELETE FROM town.municipality WHERE code = $1",
)


def add_practice(commands: Any) -> None:
    """Add the noun and its verb to the command line."""
    noun = commands.add_parser("practice", help="a practice town for a town's staff", description=__doc__)
    opening = noun.add_subparsers(dest="action", required=True).add_parser("open")
    opening.add_argument("town", help="a municipality's code")


async def decide_practice(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Open a town's first practice town, unless there is one; return the exit status.

    Raises:
        Refusal: `no_such_town`, `pack_missing`, `practice_code`, `host_taken`.
    """
    if read_practice_code(given.town) is not None:
        raise Refusal("practice_code", 422, town=given.town)
    async with open_database("routing", environ) as db:
        await require_town(db, given.town)
        towns = [read_practice_code(code) for code in await list_towns(db)]
    if any(found is not None and found[0] == given.town for found in towns):
        print(f"{given.town}: there is a practice town already; staff begin anew on its page /office/practice")
        return DONE
    password = environ.get("CHOUDO_NEW_PASSWORD") or secrets.token_urlsafe(PASSWORD_BYTES)
    address = await _open(given.town, 1, await first_accounts(password), environ)
    shown = "(as given)" if environ.get("CHOUDO_NEW_PASSWORD") else password
    print(f"practice town at {address}: sign in as {LOGIN} or {HELPER_LOGIN}, password {shown}")
    return DONE


async def open_anew(db: Database, environ: Mapping[str, str]) -> None:
    """Open a fresh town in the place of each whose staff asked for it. `db` is routing's."""
    clock = clock_from(environ)
    now = await time_of(db, environ)
    rows = DueRows(db, [DUE_RESET], clock, lease=RESET_LEASE, batch=RESETS_AT_ONCE)
    for row in await rows.claim(now):
        found = read_practice_code(row.municipality)
        if found is None:
            continue
        town, number = found
        async with db.begin(row.municipality) as session:
            accounts = await list_accounts(session, row.municipality)
        await _open(town, number + 1, accounts, environ)
        await _leave_behind(row.municipality, environ)
        print(f"{town}: {practice_code(town, number + 1)} instead of {row.municipality}", flush=True)


async def _open(town: str, number: int, accounts: Sequence[Account], environ: Mapping[str, str]) -> str:
    """Load it, and have its day begin; return its address. Done again after a fault, it is the same town."""
    async with transaction("routing", town, environ) as (session, _):
        newest = await find_pack(session, town)
    if newest is None:
        raise Refusal("pack_missing", 409, town=town)
    facts = read_files(newest.files).town
    base_url = facts.public_url or environ.get("CHOUDO_PUBLIC_URL") or f"https://{facts.hosts[0]}"
    files = practice_files(newest.files, number, base_url)
    pack = read_files(files)
    await _refuse_taken(town, pack.town.hosts, environ)
    await load_pack(pack, files, environ)
    async with transaction("routing", pack.town.code, environ) as (session, now):
        await open_day(session, pack.town.code, accounts, now=now)
    return pack.town.public_url


async def _refuse_taken(town: str, hosts: Sequence[str], environ: Mapping[str, str]) -> None:
    connection = await connect_as_administrator(environ)
    try:
        owners = [row["municipality"] for row in await connection.fetch(_HOSTS_TAKEN, list(hosts))]
    finally:
        await connection.close()
    if any((read_practice_code(owner) or ("",))[0] != town for owner in owners):
        raise Refusal("host_taken", 409, town=town)


async def _leave_behind(municipality: str, environ: Mapping[str, str]) -> None:
    """Nothing is due in it any more, what was sealed for its people cannot be opened, and it is no town of the list.

    The row that asked for it goes with the others, last.
    """
    connection = await connect_as_administrator(environ)
    try:
        async with connection.transaction():
            for statement in _FORGET_TOWN:
                await connection.execute(statement, municipality)
    finally:
        await connection.close()
    for service in reversed(SERVICES):
        async with transaction(service, municipality, environ) as (session, _):
            for table in ("subject_key", "due"):
                forget = text(f"DELETE FROM {service}.{table} WHERE municipality = :municipality")
                await session.execute(forget, {"municipality": municipality})
