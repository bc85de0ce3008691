"""`choudo retention [TOWN]`: what was kept as long as its procedure says, by procedure; with --yes it is erased.

The worker of routing does the same once a day.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from deploy.databases import list_towns, open_database, require_town, time_of
from services.routing.commands.retention import erase_due
from services.routing.queries.retention import count_due

DONE = 0


def add_retention(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("retention", help="what was kept long enough", description=__doc__)
    parser.add_argument("town", nargs="?", help="a municipality's code; all towns without it")
    parser.add_argument("--yes", action="store_true", help="erase it; without it nothing is changed")
    parser.set_defaults(action=None)


async def retention(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Say what is due, and erase it if that was asked for; return the exit status.

    Raises:
        Refusal: `no_such_town`.
    """
    async with open_database("routing", environ) as db:
        if given.town:
            await require_town(db, given.town)
        now = await time_of(db, environ)
        for town in [given.town] if given.town else await list_towns(db):
            async with db.begin(town) as session:
                due = await count_due(session, town, now=now)
            for line in due:
                kept = f"kept {line.retention_days} days"
                print(f"{town} {line.procedure} {line.name_ja}: {line.cases} cases of {line.subjects} people, {kept}")
            if given.yes:
                print(f"{town}: {await erase_due(db, town, now=now)} cases erased")
            else:
                print(f"{town}: {sum(line.cases for line in due)} cases are due; add --yes to erase them")
    return DONE
