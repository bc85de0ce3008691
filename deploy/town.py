"""`choudo town …`: a municipality's data, from files into the services and back.

What was loaded is kept as the files had it, in versions. So an export is text for text what was loaded last, with its
comments, and loading it changes nothing. What staff set on pages (a counter's hours from a day on) is no part of it:
export and diff say so.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy import text as sql

from deploy.databases import list_towns, open_database, require_town, transaction
from deploy.secrets import required
from services.booking.commands.opening import load_opening_rules
from services.booking.queries.opening import list_hours_of_staff
from services.notifications.commands.rules import load_notice_rules
from services.routing.commands.catalogue import publish_catalogue
from services.routing.commands.drafts import Wanted, addresses_of, end_order, find_wanted, hold_order
from services.routing.commands.packs import keep_pack
from services.routing.queries.packs import LoadedPack, UnderWay, count_under_way, find_pack, is_kept, list_packs
from shared.clock import JST
from shared.db import Database
from shared.errors import Refusal
from shared.log import describe
from shared.practice import is_practice
from shared.town_pack import BadTownPack, TownPack, find_files, read_files
from shared.town_pack.difference import Change, changes_between
from shared.town_texts import TownTexts, collect_texts

DONE, DIFFERENT, NONE_THERE, BAD_INPUT = 0, 1, 1, 2
TOWN_COMMAND_TIMEOUT_S = 60
# Somebody waits for it, on a page that says so.
PUBLISH_EVERY_S = 2.0
# What went wrong for no reason of the files is tried again.
TRY_AGAIN_AFTER_S = 30.0

# What is done with routing's database, each time that the publisher has looked for orders.
Beside = Callable[[Database, Mapping[str, str]], Awaitable[None]]

_TOWN = """
    INSERT INTO town.municipality (code, name_ja, name_kana, name_en, phone) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (code) DO UPDATE SET (name_ja, name_kana, name_en, phone)
    = (excluded.name_ja, excluded.name_kana, excluded.name_en, excluded.phone)
"""
_HOST = """
    INSERT INTO town.host (host, municipality) VALUES ($1, $2)
    ON CONFLICT (host) DO UPDATE SET municipality = excluded.municipality
"""
_FORGET_TEXTS = "DELETE FROM town.text WHERE municipality = $1"
# A transaction that waits while the other services load does nothing itself.
_WAIT_FOR_OTHERS = f"SET LOCAL idle_in_transaction_session_timeout = '{TOWN_COMMAND_TIMEOUT_S}s'"
_TEXT = "INSERT INTO town.text (municipality, ja, easy, en) VALUES ($1, $2, $3, $4)"


def add_town(commands: Any) -> None:
    """Add the noun and its verbs to the command line."""
    noun = commands.add_parser("town", help="a municipality's data", description=__doc__)
    verbs = noun.add_subparsers(dest="action", required=True)
    for action in ("check", "diff", "load"):
        verb = verbs.add_parser(action)
        verb.add_argument("folder", type=Path, help="of a town pack")
        if action == "load":
            verb.add_argument(
                "--unless-known", action="store_true", help="the newest kept one, if this was loaded once"
            )
    exporting = verbs.add_parser("export")
    exporting.add_argument("folder", type=Path, help="an empty one, or a new one")
    exporting.add_argument("--town", required=True, help="a municipality's code")
    exporting.add_argument("--version", type=int, help="of the packs that were loaded; the newest without it")
    verbs.add_parser("versions").add_argument("town", help="a municipality's code")
    publishing = verbs.add_parser(
        "publish", help="load what managers want published on /office/catalogue, of all towns"
    )
    publishing.add_argument("--follow", action="store_true", help="and go on doing so")


async def decide_town(given: argparse.Namespace, environ: Mapping[str, str], beside: Beside) -> int:
    """Do what was asked; return the exit status. `beside` is what the publisher looks after, too.

    Raises:
        BadTownPack: the pack cannot be used.
        Refusal: `no_such_town`, `practice_code` (422): it is the code of a practice town.
    """
    match given.action:
        case "export":
            return await _export(given.folder, given.town, given.version, environ)
        case "versions":
            return await _versions(given.town, environ)
        case "publish":
            return await _publish(environ, beside, is_followed=given.follow)
    files = find_files(given.folder)
    pack = read_files(files)
    if is_practice(pack.town.code):
        raise Refusal("practice_code", 422, town=pack.town.code)
    match given.action:
        case "load":
            if given.unless_known and (kept := await _find_kept(pack, files, environ)) is not None:
                return await load_pack(read_files(kept), kept, environ)
            return await load_pack(pack, files, environ)
        case "diff":
            return await _diff(pack, environ)
        case _:
            town = f"{pack.town.name_ja} ({pack.town.code})"
            events = f"{len(pack.life_events)} life events, {len(pack.counters)} counters, {len(pack.venues)} venues"
            print(f"{town}: {len(pack.procedures)} procedures, {events}; nothing wrong")
            return DONE


async def load_pack(
    pack: TownPack, files: Mapping[str, str], environ: Mapping[str, str], wanted: Wanted | None = None
) -> int:
    """Load a town pack into all three services; again, it changes only what differs. `wanted` is who asked on a page.

    Raises:
        Refusal: `order_ended` (409): what was wanted was called off meanwhile.
    """
    town = pack.town
    async with _alone(town.code, environ):
        if wanted is not None and not await _stands(town.code, pack, wanted, environ):
            return NONE_THERE
        public_url = town.public_url or environ.get("CHOUDO_PUBLIC_URL") or f"https://{town.hosts[0]}"
        async with transaction("routing", town.code, environ) as (session, now):
            if wanted is not None:
                # Whoever calls it off from here on waits for the end, and finds it published: in all three, or in none.
                await session.execute(sql(_WAIT_FOR_OTHERS))
                await hold_order(session, town.code, wanted.order_id)
            await _register_town(pack, collect_texts(pack), environ)
            async with transaction("booking", town.code, environ) as (other, then):
                await load_opening_rules(other, pack, now=then)
            async with transaction("notifications", town.code, environ) as (other, then):
                await load_notice_rules(other, pack, now=then)
            version = await publish_catalogue(session, pack, public_url=public_url, now=now)
            # Last of all: what is kept was loaded into all three.
            kept = await keep_pack(session, town.code, files, now=now)
            if wanted is not None:
                await end_order(session, town.code, wanted.order_id, "published", now=now)
    told = f"pack version {kept}, catalogue version {version}, {len(pack.procedures)} procedures"
    print(f"{town.name_ja} ({town.code}): {told}", flush=True)
    return DONE


async def _find_kept(pack: TownPack, files: Mapping[str, str], environ: Mapping[str, str]) -> Mapping[str, str] | None:
    """What was published last, if these files were loaded before it: then it was made from them, on the pages."""
    async with transaction("routing", pack.town.code, environ) as (session, _):
        newest = await find_pack(session, pack.town.code)
        return newest.files if newest is not None and await is_kept(session, pack.town.code, files) else None


@asynccontextmanager
async def _alone(town: str, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """One load of a town at a time: of two, the second finds in all three services what the first left."""
    connection = await connect_as_administrator(environ)
    try:
        lock = "SELECT pg_advisory_lock(hashtextextended($1, 0))"
        await connection.execute(lock, f"choudo town load {town}", timeout=TOWN_COMMAND_TIMEOUT_S)
        yield
    finally:
        await connection.close()


async def _publish(environ: Mapping[str, str], beside: Beside, *, is_followed: bool) -> int:
    """Load what is wanted, of every town, by the door of `load`; with `is_followed`, for ever."""
    failed_at: dict[str, float] = {}
    first: Exception | None = None
    async with open_database("routing", environ) as db:
        while True:
            for town in await list_towns(db):
                if town in failed_at and time.monotonic() < failed_at[town] + TRY_AGAIN_AFTER_S:
                    continue
                failed_at.pop(town, None)
                # A fault of one town's order, or a lock that somebody holds, keeps no other town waiting.
                try:
                    async with db.begin(town) as session:
                        wanted = await find_wanted(session, town)
                    if wanted is not None:
                        await _publish_one(town, wanted, environ)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other towns go on
                    failed_at[town], first = time.monotonic(), first or error
                    print(f"{town}: not published, to be tried again: {describe(error)}", file=sys.stderr, flush=True)
            try:
                await beside(db, environ)
            except Exception as error:  # noqa: BLE001 - it is tried again, and keeps no town waiting
                first = first or error
                print(f"practice towns: to be tried again: {describe(error)}", file=sys.stderr, flush=True)
            if not is_followed:
                if first is not None:
                    raise first
                return DONE
            await asyncio.sleep(PUBLISH_EVERY_S)


async def _publish_one(town: str, wanted: Wanted, environ: Mapping[str, str]) -> None:
    try:
        pack = read_files(wanted.files)
        if pack.town.code == town:
            await load_pack(pack, wanted.files, environ, wanted)
            return
        print(f"{town}: what is to be published is {pack.town.code}'s", file=sys.stderr)
    except BadTownPack as error:
        print(f"{town}: what is to be published is wrong:\n{error}", file=sys.stderr)
    except Refusal as refusal:
        if refusal.code != "order_ended":
            raise
        print(f"{town}: what was to be published was called off", file=sys.stderr)
        return
    async with transaction("routing", town, environ) as (session, now):
        await end_order(session, town, wanted.order_id, "failed", now=now)


async def _stands(town: str, pack: TownPack, wanted: Wanted, environ: Mapping[str, str]) -> bool:
    """Whether what is wanted is still meant for what is published now. Files that were loaded meanwhile come first."""
    async with transaction("routing", town, environ) as (session, now):
        newest = await find_pack(session, town)
        if newest is not None and newest.version == wanted.base:
            if addresses_of(pack) == addresses_of(read_files(newest.files)):
                return True
            # A town's manager takes no other town's address: the pages do not offer it, and here nobody believes them.
            await end_order(session, town, wanted.order_id, "failed", now=now)
            print(f"{town}: code, hosts and public_url are the operator's to change", file=sys.stderr)
            return False
        await end_order(session, town, wanted.order_id, "overtaken", now=now)
    print(f"{town}: another pack was loaded meanwhile; what was to be published waits for its editors", flush=True)
    return False


async def _diff(pack: TownPack, environ: Mapping[str, str]) -> int:
    town = pack.town.code
    async with transaction("routing", town, environ) as (session, now):
        loaded = await find_pack(session, town)
        under_way = await count_under_way(session, town, now=now)
    if loaded is None:
        print(f"{pack.town.name_ja} ({town}): no pack is kept of it, so all of this one would be new")
        return DIFFERENT
    try:
        known = read_files(loaded.files)
    except BadTownPack:
        print(f"{_loaded_when(loaded)} cannot be read by this version of Choudo any more:", file=sys.stderr)
        raise
    changes = list(changes_between(known, pack))
    for change in changes:
        print(" ".join(filter(None, [change.kind, change.code, change.name])) + f": {change.what}")
        for consequence in _consequences(change, under_way):
            print(f"    {consequence}")
    await _tell_hours_of_staff(town, environ)
    counted = ", ".join(f"{count} {kind}" for kind, count in Counter(change.kind for change in changes).items())
    print(f"against {_loaded_when(loaded)}: {counted or 'no difference'}")
    return DIFFERENT if changes else DONE


def _consequences(change: Change, under_way: UnderWay) -> Iterator[str]:
    """What a change means for whoever is in the middle of something."""
    cases, ahead = under_way.cases.get(change.code, 0), under_way.appointments.get(change.code, 0)
    if change.kind == "procedure" and cases:
        if change.is_gone:
            yield f"{cases} open cases go on to their end; nobody begins another"
        if "items" in change.fields:
            yield f"{cases} open cases: who has not sent the form yet is asked by the new items; what was sent stays"
        if "office" in change.fields:
            yield f"{cases} open cases: what was sent stays with the office that it was sent to"
        if {"online", "counter", "helper"} & change.fields:
            yield f"{cases} open cases: who has begun goes on by the way that they chose"
        if "fee_yen" in change.fields:
            yield f"{cases} open cases: the new fee is shown from now on"
        if "retention_days" in change.fields:
            yield f"{cases} open cases: what was given is kept by the new number of days"
    if change.kind in ("counter", "venue", "hours") and ahead:
        if change.is_gone:
            yield f"{ahead} appointments are ahead: they stay in the line; move or cancel them on the counter's pages"
        else:
            yield f"{ahead} appointments are ahead: nobody loses their place, new times count from tomorrow on"


async def _export(folder: Path, town: str, version: int | None, environ: Mapping[str, str]) -> int:
    async with open_database("routing", environ) as db:
        await require_town(db, town)
        async with db.begin(town) as session:
            loaded = await find_pack(session, town, version)
    if loaded is None:
        print(f"{town}: no such pack is kept; `choudo town load` keeps what it loads", file=sys.stderr)
        return NONE_THERE
    if not _write(folder, loaded.files):
        print(f"{folder}: not an empty folder", file=sys.stderr)
        return BAD_INPUT
    await _tell_hours_of_staff(town, environ)
    print(f"{town}: {_loaded_when(loaded)}, {len(loaded.files)} files in {folder}")
    return DONE


def _write(folder: Path, files: Mapping[str, str]) -> bool:
    """Write the files, unless something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8", newline="\n")
    return True


async def _versions(town: str, environ: Mapping[str, str]) -> int:
    async with open_database("routing", environ) as db:
        await require_town(db, town)
        async with db.begin(town) as session:
            versions = await list_packs(session, town)
    for version, loaded_at in versions:
        print(f"{town} version {version}, loaded {_when(loaded_at)}")
    return DONE if versions else NONE_THERE


async def _tell_hours_of_staff(town: str, environ: Mapping[str, str]) -> None:
    async with transaction("booking", town, environ) as (session, _):
        for counter, valid_from in await list_hours_of_staff(session, town):
            print(f"hours {counter}: staff published their own from {valid_from} on; the pack does not have them")


def _loaded_when(loaded: LoadedPack) -> str:
    return f"version {loaded.version}, loaded {_when(loaded.loaded_at)}"


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(JST):%Y-%m-%d %H:%M} JST"


async def _register_town(pack: TownPack, texts: TownTexts, environ: Mapping[str, str]) -> None:
    connection = await connect_as_administrator(environ)
    try:
        async with connection.transaction():
            facts = pack.town
            names = (facts.name_ja, facts.name_kana, facts.name_en)
            await connection.execute(_TOWN, facts.code, *names, facts.phone)
            for host in facts.hosts:
                await connection.execute(_HOST, host.lower(), facts.code)
            await connection.execute(_FORGET_TEXTS, facts.code)
            await connection.executemany(_TEXT, [(facts.code, ja, said.easy, said.en) for ja, said in texts.items()])
    finally:
        await connection.close()


async def connect_as_administrator(environ: Mapping[str, str]) -> Any:
    """A connection to the database of the services, to be closed.

    Raises:
        MissingVariable: the environment does not say where it is.
    """
    # The list of towns, their hosts and texts is global: only the administrator of the database may write it.
    database = urlsplit(required(environ, "CHOUDO_ROUTING_DATABASE_URL")).path
    url = urlunsplit(urlsplit(required(environ, "DATABASE_URL"))._replace(path=database))
    return await asyncpg.connect(url, timeout=TOWN_COMMAND_TIMEOUT_S)
