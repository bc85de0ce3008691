"""`choudo dead-letters …`: what the services could not apply, for the operator to look at, replay or discard.

An event may have died in several services: without `--service`, each that has it is meant.
"""

import argparse
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from deploy.databases import open_database, require_town, time_of
from shared.audit import Operator
from shared.db import Database
from shared.errors import Refusal
from shared.events.subscriptions import SERVICES
from shared.messaging.dead_letters import (
    DISCARD_REASONS,
    PAGE,
    Letter,
    ask_for_replay,
    discard,
    find_letters,
    list_letters,
)

DONE, NOT_ALL, BAD_INPUT = 0, 1, 2
REASONS = (
    "done_by_hand: what it asked for was done otherwise; out_of_date: it means nothing any more; never_valid: an error"
)

NEW_HERE = "--never-applied"
NEW_HERE_MEANS = "also those that are too old to tell: you have made sure that none of them was ever applied here"


def add_dead_letters(commands: Any) -> None:
    """Add the noun and its verbs to the command line."""
    noun = commands.add_parser("dead-letters", help="events that a service could not apply", description=__doc__)
    verbs = noun.add_subparsers(dest="action", required=True)
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--service", choices=SERVICES, help="which could not apply it; all services without it")
    where.add_argument("--town", help="a municipality's code; all towns without it")
    where.add_argument("--type", help="only of this type: booking.appointment_booked.v1 …")
    verbs.add_parser("list", parents=[where]).set_defaults(ids=[])
    verbs.add_parser("show", parents=[where]).add_argument("ids", nargs=1, type=UUID, metavar="ID")
    replaying, discarding = verbs.add_parser("replay", parents=[where]), verbs.add_parser("discard", parents=[where])
    for verb in (replaying, discarding):
        verb.add_argument("ids", nargs="*", type=UUID, metavar="ID", help="an event's id, as `list` tells it")
        verb.add_argument("--all", action="store_true", help="instead of ids, with --type: all letters of that type")
    replaying.add_argument(NEW_HERE, action="store_true", help=NEW_HERE_MEANS)
    discarding.add_argument("--reason", required=True, choices=DISCARD_REASONS, help=REASONS)


async def decide_dead_letters(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what was asked; return the exit status.

    Raises:
        Refusal: `no_such_town`.
    """
    if given.action in ("replay", "discard") and (bool(given.ids) == given.all or (given.all and not given.type)):
        print("dead-letters: give IDs, or --all together with --type", file=sys.stderr)
        return BAD_INPUT
    found: set[UUID] = set()
    failed = False
    async for db, letter in _wanted(given, environ):
        found.add(letter.event_id)
        failed = not await _decide(db, letter, given, now=await time_of(db, environ)) or failed
    missing = set(given.ids) - found
    for event_id in missing:
        print(f"{event_id}: no such dead letter")
    if given.action == "list":
        print(f"{len(found)} events are dead letters")
        return NOT_ALL if found else DONE
    if given.action in ("replay", "discard") and given.all:
        print(f"{len(found)} events of {given.type}")
        return NOT_ALL if failed or not found else DONE
    return NOT_ALL if missing or failed else DONE


async def _wanted(given: argparse.Namespace, environ: Mapping[str, str]) -> AsyncIterator[tuple[Database, Letter]]:
    """The letters that a command is about, and where each is."""
    for service in [given.service] if given.service else SERVICES:
        async with open_database(service, environ) as db:
            if given.town:
                await require_town(db, given.town)
            letters = _by_id(db, given) if given.ids else _all(db, given)
            async for letter in letters:
                yield db, letter


async def _by_id(db: Database, given: argparse.Namespace) -> AsyncIterator[Letter]:
    for event_id in given.ids:
        async with db.begin_across_towns() as session:
            letters = await find_letters(session, db.service, event_id, municipality=given.town)
        for letter in letters:
            if given.type in (None, letter.type):
                yield letter


async def _all(db: Database, given: argparse.Namespace) -> AsyncIterator[Letter]:
    """Page by page, whatever is decided about them meanwhile."""
    before = None
    while True:
        async with db.begin_across_towns() as session:
            letters = await list_letters(session, db.service, municipality=given.town, kind=given.type, before=before)
        for letter in letters:
            yield letter
        if len(letters) < PAGE:
            return
        before = (letters[-1].died_at, letters[-1].event_id)


async def _decide(db: Database, letter: Letter, given: argparse.Namespace, *, now: datetime) -> bool:
    """Whether it is done; not when somebody else was quicker, or it can be replayed no more."""
    where = f"{letter.event_id} {db.service} {letter.municipality}"
    operator = Operator(letter.municipality)
    try:
        match given.action:
            case "list":
                state = ", waits for its replay" if letter.is_waiting else ""
                why = f"{letter.reason}, {letter.attempts} attempts, {_moment(letter.died_at)}{state}"
                print(f"{where} {letter.type} {why}")
            case "show":
                print(_shown(db.service, letter))
            case "replay":
                async with db.begin(letter.municipality) as session:
                    await ask_for_replay(
                        session, db.service, operator, letter.event_id, now=now, is_new_here=given.never_applied
                    )
                print(f"{where}: asked for; `show` tells in a few seconds what came of it")
            case "discard":
                async with db.begin(letter.municipality) as session:
                    await discard(session, db.service, operator, letter.event_id, given.reason, now=now)
                print(f"{where}: discarded, {given.reason}")
    except Refusal as refusal:
        advice = f": a replay may do it twice; if it was never applied here, add {NEW_HERE}"
        print(f"{where}: {refusal.code}{advice if refusal.code == 'letter_may_repeat' else ''}")
        return False
    return True


def _shown(service: str, letter: Letter) -> str:
    is_sealed = (
        f"yes, until {_moment(letter.sealed_until)}"
        if letter.sealed_until
        else f"destroyed {_moment(letter.sealed_gone_at)}"
        if letter.sealed_gone_at
        else "no"
    )
    facts = {
        "event": letter.event_id,
        "service": service,
        "town": letter.municipality,
        "from": letter.publisher,
        "type": letter.type,
        "about": f"{letter.aggregate_id} version {letter.aggregate_version}" if letter.aggregate_id else "unreadable",
        "happened": _moment(letter.occurred_at) if letter.occurred_at else "unreadable",
        "reason": letter.reason,
        "attempts": letter.attempts,
        "died": _moment(letter.died_at),
        "fields": ", ".join(letter.keys) or "unreadable",
        "sealed": is_sealed,
        "a replay may do it twice": "yes" if letter.may_repeat else "no",
        "waits for its replay": "yes" if letter.is_waiting else "no",
    }
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items())


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
