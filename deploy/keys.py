"""`choudo keys …`: by which master keys people's and helpers' data keys are wrapped, and wrapping them by the newest.

The master keys are those of CHOUDO_<SERVICE>_MASTER_KEY, the newest first. Web and worker processes go on meanwhile;
they must have the new key already (docs/operations.md).
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.databases import list_towns, open_database, require_town
from deploy.secrets import required
from services.booking import keys as booking
from services.notifications.commands import subjects as notifications
from services.routing.commands import vault as routing
from shared.crypto import SealBroken, SubjectVault
from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.webhooks.endpoints import webhook_context

DONE, SOME_LEFT = 0, 1
BATCH = 500


class Wrapped(msgspec.Struct, frozen=True):
    """A table with wrapped keys: whose they are, and what each is bound to."""

    table: str
    ref: str
    context: Callable[[str, Any], str]


WRAPPED: dict[str, tuple[Wrapped, ...]] = {
    "routing": (Wrapped("subject_key", "subject_ref", routing.subject_context),),
    "booking": (
        Wrapped("subject_key", "subject_ref", booking.subject_context),
        Wrapped("helper", "helper_ref", booking.helper_context),
        Wrapped("draw", "draw_id", booking.draw_context),
        Wrapped("course", "course_id", booking.draw_context),
        Wrapped("transfer", "transfer_id", booking.transfer_context),
        Wrapped("helper_message", "message_id", booking.helper_message_context),
        Wrapped("helper_note", "assignment_id", booking.note_context),
        Wrapped("webhook_endpoint", "endpoint_id", webhook_context),
    ),
    "notifications": (
        Wrapped("subject_key", "subject_ref", notifications.context_of),
        Wrapped("account_contact", "account_ref", notifications.context_of_account),
        Wrapped("told", "told_id", notifications.context_of_told),
        Wrapped("letter", "letter_id", notifications.context_of_letter),
        Wrapped("webhook_endpoint", "endpoint_id", webhook_context),
    ),
}

_READ = """
    SELECT {ref} AS ref, wrapped_key FROM {table}
    WHERE municipality = :municipality AND wrapped_key IS NOT NULL
      AND (CAST(:after AS text) IS NULL OR {ref}::text > CAST(:after AS text))
    ORDER BY {ref}::text LIMIT :batch
"""
# Only what is still as it was read: a key that was destroyed, or wrapped anew, meanwhile stays so.
_WRITE = """
    UPDATE {table} k SET wrapped_key = new.wrapped
    FROM unnest(CAST(:refs AS text[]), CAST(:old AS bytea[]), CAST(:new AS bytea[])) AS new(ref, old, wrapped)
    WHERE k.municipality = :municipality AND k.{ref}::text = new.ref AND k.wrapped_key = new.old
"""


class Tally(msgspec.Struct):
    """How many keys there are under the newest master key, under an older one, and under none that we have."""

    newest: int = 0
    older: int = 0
    unknown: int = 0

    def add(self, other: "Tally") -> None:
        self.newest += other.newest
        self.older += other.older
        self.unknown += other.unknown


def add_keys(commands: Any) -> None:
    """Add the noun and its verbs to the command line."""
    verbs = commands.add_parser("keys", help="the master keys", description=__doc__).add_subparsers(
        dest="action", required=True
    )
    for verb in ("status", "rotate"):
        parser = verbs.add_parser(verb)
        parser.add_argument("--service", choices=SERVICES, help="all services without it")
        parser.add_argument("--town", help="a municipality's code; all towns without it")


async def keep_keys(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Wrap anew if that was asked for, and say how many keys are left under older ones; return the exit status.

    Raises:
        Refusal: `no_such_town`.
    """
    left = Tally()
    for service in [given.service] if given.service else SERVICES:
        vault = SubjectVault.from_settings(required(environ, f"CHOUDO_{service.upper()}_MASTER_KEY"))
        async with open_database(service, environ) as db:
            if given.town:
                await require_town(db, given.town)
            tally = Tally()
            for town in [given.town] if given.town else await list_towns(db):
                for wrapped in WRAPPED[service]:
                    if given.action == "rotate":
                        await rotate(db, vault, wrapped, town)
                    tally.add(await count(db, vault, wrapped, town))
        print(
            f"{service}: {tally.newest} keys under the newest master key, {tally.older} under older ones, "
            f"{tally.unknown} under none of them"
        )
        left.add(tally)
    return SOME_LEFT if left.older or left.unknown else DONE


async def rotate(db: Database, vault: SubjectVault, wrapped: Wrapped, town: str) -> None:
    """Wrap every key of a town by the newest master key, a batch after the other, each in a transaction."""
    after = None
    while True:
        async with db.begin(town) as session:
            rows = await read_batch(session, wrapped, town, after=after)
            await rewrap_batch(session, vault, wrapped, town, rows)
        if len(rows) < BATCH:
            return
        after = str(rows[-1].ref)


async def count(db: Database, vault: SubjectVault, wrapped: Wrapped, town: str) -> Tally:
    """Under which master keys the keys of a town are."""
    tally, after = Tally(), None
    while True:
        async with db.begin(town) as session:
            rows = await read_batch(session, wrapped, town, after=after)
        for row in rows:
            try:
                is_newest = vault.is_newest(bytes(row.wrapped_key), wrapped.context(town, row.ref))
            except SealBroken:
                tally.unknown += 1
                continue
            tally.newest += is_newest
            tally.older += not is_newest
        if len(rows) < BATCH:
            return tally
        after = str(rows[-1].ref)


async def read_batch(session: AsyncSession, wrapped: Wrapped, town: str, *, after: str | None) -> Sequence[Any]:
    """The next keys, in order."""
    query = text(_READ.format(table=wrapped.table, ref=wrapped.ref))
    return (await session.execute(query, {"municipality": town, "after": after, "batch": BATCH})).all()


async def rewrap_batch(
    session: AsyncSession, vault: SubjectVault, wrapped: Wrapped, town: str, rows: Sequence[Any]
) -> None:
    """Wrap these keys by the newest master key, where it has not, and where they are still as they were read."""
    changed = list(_rewrapped(vault, wrapped, town, rows))
    if changed:
        refs, old, new = (list(column) for column in zip(*changed, strict=True))
        values = {"municipality": town, "refs": refs, "old": old, "new": new}
        await session.execute(text(_WRITE.format(table=wrapped.table, ref=wrapped.ref)), values)


def _rewrapped(
    vault: SubjectVault, wrapped: Wrapped, town: str, rows: Sequence[Any]
) -> Iterator[tuple[str, bytes, bytes]]:
    for row in rows:
        key, context = bytes(row.wrapped_key), wrapped.context(town, row.ref)
        try:
            if not vault.is_newest(key, context):
                yield str(row.ref), key, vault.rewrap(key, context)
        except SealBroken:
            # Counted, and left as it is: its master key may have been taken off the list too soon.
            continue
