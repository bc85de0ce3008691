"""`choudo ledger …`: verify what the ledgers say, export it, and check it offline against published checkpoints.

0 intact, 1 broken (the first broken entry is named), 2 bad input; 3, of commands that need one: no database.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.databases import open_database, require_town, time_of
from deploy.ledger_projection import compare_projection
from services.routing.queries.proofs import list_checkpoints
from shared.audit import Operator, record_deed
from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.ledger.checkpoints import Checkpoint
from shared.ledger.export import (
    CHECKPOINTS_FILE,
    BadFile,
    Roots,
    export_chain,
    export_checkpoints,
    ledger_file,
    read_roots,
    verify_file,
    write_roots,
)
from shared.ledger.receipt import check_receipt, read_receipt, receipt_root
from shared.ledger.verify import Verdict, verify

INTACT, BROKEN, BAD_INPUT = 0, 1, 2
EXPORTED = "ledger_exported"
STATES = {
    "proved": "in the published tree",
    "no_proof": "not proved yet: its proof comes with the next checkpoint",
    "first_form": "of the first form, which cannot be checked from a receipt",
    "root_not_published": "its checkpoint is not among these roots",
    "wrong": "NOT what the published tree says",
}


def add_ledger(commands: Any) -> None:
    """Add the noun and its verbs to the command line."""
    noun = commands.add_parser("ledger", help="check and export the ledgers", description=__doc__)
    verbs = noun.add_subparsers(dest="action", required=True)
    roots = argparse.ArgumentParser(add_help=False)
    roots_means = "published checkpoints: a file of /open-data/ledger/checkpoints.json that somebody has kept"
    verifying = verbs.add_parser("verify", parents=[roots])
    verifying.add_argument("what", nargs="?", help="a municipality's code, or the folder of an export; else all towns")
    verifying.add_argument("--roots", type=Path, help=roots_means)
    exporting = verbs.add_parser("export")
    exporting.add_argument("town", help="a municipality's code")
    exporting.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="an empty folder, or a new one")
    checking = verbs.add_parser("check")
    checking.add_argument("receipt", type=Path, help="a resident's receipt with its proofs (JSON)")
    checking.add_argument("--roots", type=Path, required=True, help=roots_means)


async def decide_ledger(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what was asked; return the exit status.

    Raises:
        Refusal: `no_such_town`.
    """
    try:
        match given.action:
            case "verify":
                return await _verify(given, environ)
            case "export":
                return await _export(given.town, given.to, environ)
            case _:
                return _check(given.receipt, given.roots)
    except BadFile as error:
        print(f"ledger: {error}", file=sys.stderr)
        return BAD_INPUT


async def _verify(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    roots = read_roots(given.roots) if given.roots else None
    # A folder is taken for one even where a town is called so: without databases, and so for everybody.
    if folder := _folder(given.what):
        return _verify_folder(folder, roots)
    town = given.what or (roots.municipality if roots else None)
    _require_same_town(roots, town)
    async with open_database("routing", environ) as db:
        if town:
            await require_town(db, town)
        known = {code: [*(roots.checkpoints if roots else ())] for code in ([town] if town else await _towns(db))}
        for code, checkpoints in known.items():
            # What was published of a service is in another's keeping than what it says of itself.
            async with db.begin(code) as session:
                checkpoints += await list_checkpoints(session, code)
    verdicts, is_as_shown = [], True
    async with open_database("routing", environ) as routing:
        now = await time_of(routing, environ)
        for service in SERVICES:
            async with open_database(service, environ) as db:
                for code, checkpoints in known.items():
                    verdict = await verify(db, code, checkpoints)
                    print(f"{service} {code}: {verdict}, {verdict.unchained} not yet chained")
                    verdicts.append(verdict)
                    compared = await compare_projection(db, routing, code, now=now)
                    print(f"{service} {code}: {compared}")
                    is_as_shown = is_as_shown and not compared.altered
    return _status(verdicts) if is_as_shown else BROKEN


def _verify_folder(folder: Path, roots: Roots | None) -> int:
    own = read_roots(folder / CHECKPOINTS_FILE)
    _require_same_town(roots, own.municipality)
    checkpoints = [*own.checkpoints, *(roots.checkpoints if roots else ())]
    verdicts = []
    for service in SERVICES:
        verdict = verify_file(ledger_file(folder, service), _of(service, checkpoints))
        print(f"{service} {own.municipality}: {verdict}")
        verdicts.append(verdict)
    if roots is None:
        print("Without --roots, an export that was written anew as a whole looks intact.")
    return _status(verdicts)


async def _export(town: str, folder: Path, environ: Mapping[str, str]) -> int:
    _make_empty(folder)
    checkpoints: list[Checkpoint] = []
    for service in SERVICES:
        async with open_database(service, environ) as db:
            await require_town(db, town)
            # Before the chain, which only grows.
            checkpoints += await export_checkpoints(db, town)
            count = await export_chain(db, town, folder)
            now = await time_of(db, environ)
            async with db.begin(town) as session:
                await record_deed(session, Operator(town), EXPORTED, service, now=now)
            print(f"{service} {town}: {count} entries exported")
    write_roots(folder, Roots(municipality=town, checkpoints=tuple(checkpoints)))
    return INTACT


def _check(receipt_path: Path, roots_path: Path) -> int:
    receipt, roots = read_receipt(receipt_path), read_roots(roots_path)
    _require_same_town(roots, receipt.municipality)
    states = []
    for number, (entry, state) in enumerate(check_receipt(receipt, roots), start=1):
        day = f" of {entry.proof.day}" if entry.proof else ""
        print(f"{number} {entry.service}: {STATES[state]}{day}")
        states.append(state)
    print(f"{states.count('proved')} of {len(states)} entries are in the published trees")
    print(f"On paper this receipt has the number {receipt_root(entry.canonical for entry in receipt.entries)}")
    return BROKEN if "wrong" in states else INTACT


def _require_same_town(roots: Roots | None, town: str | None) -> None:
    if roots is not None and roots.municipality != town:
        raise BadFile(f"the roots are of {roots.municipality}, not of {town}")


def _folder(what: str | None) -> Path | None:
    return Path(what) if what and Path(what).is_dir() else None


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadFile(f"{folder}: is not empty")
    except OSError as error:
        raise BadFile(f"{folder}: {error.strerror}") from error


def _of(service: str, checkpoints: list[Checkpoint]) -> list[Checkpoint]:
    return [each for each in checkpoints if each.service == service]


def _status(verdicts: list[Verdict]) -> int:
    return INTACT if all(verdict.intact for verdict in verdicts) else BROKEN


async def _towns(db: Database) -> list[str]:
    async with db.begin_across_towns() as session:
        connection = await session.connection()
        rows = await connection.exec_driver_sql("SELECT code FROM town.municipality ORDER BY code LIMIT 2000")
        return [row.code for row in rows]
