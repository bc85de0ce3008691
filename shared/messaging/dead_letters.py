"""Dead letters: what a service could not apply waits here for an operator, who has it replayed or discards it.

Nothing of a person is shown: which event, of what and which version, why it died, and the names of its fields.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit import Operator, record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.messaging.due import schedule, unschedule
from shared.tokens import Identity

DUE_REPLAY, DUE_ENDED = "replay", "letter_ended"
# Read by the operator and by what is done with all of a type; the rest by the next page.
PAGE = 50
KEYS_MAX = 60
COUNTED_MAX = 10_000

# What was sealed in a dead letter is some person's: an operator has this long to have it replayed.
SEALED_KEPT = timedelta(days=30)
# So long the inbox remembers what was applied (`upkeep`). What is first seen here about as long after it happened may
# have been applied and forgotten: nobody but an operator can tell. The margin is for clocks that differ.
INBOX_KEPT = timedelta(days=60)
CLOCKS_MARGIN = timedelta(days=1)
INBOX_TELLS = INBOX_KEPT - CLOCKS_MARGIN
OLDER_THAN_INBOX = "older_than_inbox"

End = Literal["applied", "discarded"]
# Why a letter is let go: a code, because a text could say something of a person.
DiscardReason = Literal["done_by_hand", "out_of_date", "never_valid"]
DISCARD_REASONS: tuple[DiscardReason, ...] = get_args(DiscardReason)

_LETTERS = """
    SELECT d.municipality, d.event_id, d.publisher, d.type, d.payload, d.sealed IS NOT NULL AS is_sealed, d.attempts,
           d.reason, d.died_at, d.sealed_gone_at, w.ref IS NOT NULL AS is_waiting
    FROM {schema}.dead_letter d
    LEFT JOIN {schema}.due w ON (w.municipality, w.kind, w.ref) = (d.municipality, 'replay', d.event_id::text)
"""
# Newest first; `before` names the last letter of the page before.
_LIST = """
    WHERE (CAST(:municipality AS text) IS NULL OR d.municipality = :municipality)
      AND (CAST(:kind AS text) IS NULL OR d.type = :kind)
      AND (CAST(:died_at AS timestamptz) IS NULL
           OR (d.died_at, d.event_id) < (CAST(:died_at AS timestamptz), CAST(:event_id AS uuid)))
    ORDER BY d.died_at DESC, d.event_id DESC LIMIT :limit
"""
_FIND = "WHERE d.event_id = :event_id AND (CAST(:municipality AS text) IS NULL OR d.municipality = :municipality)"
_LOCK = """
    SELECT publisher, sealed_gone_at FROM {schema}.dead_letter
    WHERE (municipality, event_id) = (:municipality, :event_id) FOR UPDATE
"""
_DELETE = "DELETE FROM {schema}.dead_letter WHERE (municipality, event_id) = (:municipality, :event_id)"
_DISCARD = "UPDATE {schema}.inbox SET outcome = 'discarded' WHERE (municipality, event_id) = (:municipality, :event_id)"
_END = "SELECT outcome FROM {schema}.inbox WHERE (municipality, event_id) = (:municipality, :event_id)"
_COUNT = "SELECT count(*) FROM (SELECT FROM {schema}.dead_letter LIMIT :most) AS letters"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as an operator may see it. What the payload does not tell, because nobody can read it, is None."""

    municipality: str
    event_id: UUID
    publisher: str
    type: str
    aggregate_id: str | None
    aggregate_version: int | None
    occurred_at: datetime | None
    keys: tuple[str, ...]
    is_sealed: bool
    sealed_gone_at: datetime | None
    attempts: int
    reason: str
    died_at: datetime
    # An operator has asked for its replay, and the worker has not come to it yet.
    is_waiting: bool

    @property
    def sealed_until(self) -> datetime | None:
        """When what is sealed in it is destroyed; None when there is nothing, or nothing any more."""
        return self.died_at + SEALED_KEPT if self.is_sealed else None

    @property
    def may_repeat(self) -> bool:
        """Whether a replay may do something twice; also when one has failed since, and for another reason."""
        if self.reason == OLDER_THAN_INBOX:
            return True
        return self.occurred_at is not None and self.died_at - self.occurred_at > INBOX_TELLS


class _Reference(msgspec.Struct):
    aggregate_id: str | None = None
    aggregate_version: int | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


async def list_letters(
    session: AsyncSession,
    service: str,
    *,
    municipality: str | None,
    kind: str | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> list[Letter]:
    """At most `PAGE` letters of a town, or of all, newest first. `before`: the last one seen, by `died_at` and id."""
    died_at, event_id = before or (None, None)
    asked = {"municipality": municipality, "kind": kind, "died_at": died_at, "event_id": event_id, "limit": PAGE}
    rows = await session.execute(text(_LETTERS.format(schema=service) + _LIST), asked)
    return [_letter(row._mapping) for row in rows]


async def find_letters(
    session: AsyncSession, service: str, event_id: UUID, *, municipality: str | None
) -> list[Letter]:
    """The letter with this id in a town; without a town, in whichever has it."""
    asked = {"event_id": event_id, "municipality": municipality}
    rows = await session.execute(text(f"{_LETTERS.format(schema=service)} {_FIND} LIMIT {PAGE}"), asked)
    return [_letter(row._mapping) for row in rows]


async def find_end(session: AsyncSession, service: str, municipality: str, event_id: UUID) -> str | None:
    """What became of an event here: `applied`, `refused`, `discarded`; None when nobody here knows it."""
    key = {"municipality": municipality, "event_id": event_id}
    end: str | None = (await session.execute(text(_END.format(schema=service)), key)).scalar_one_or_none()
    return end


async def count_letters(db: Database) -> int:
    """How many letters a service has in all towns, up to `COUNTED_MAX`."""
    async with db.begin_across_towns() as session:
        return int((await session.execute(text(_COUNT.format(schema=db.service)), {"most": COUNTED_MAX})).scalar_one())


async def ask_for_replay(
    session: AsyncSession,
    service: str,
    actor: Identity | Operator,
    event_id: UUID,
    *,
    now: datetime,
    is_new_here: bool = False,
) -> None:
    """Have the service's worker apply the event after all, under the same id. Asked twice, it is replayed once.

    `is_new_here`: the operator has made sure that it was never applied here, which an old letter needs.

    Raises:
        Refusal: `letter_unknown` (404), it was replayed or discarded meanwhile; `letter_sealed_gone` (409), what was
            sealed in it has been destroyed, so that it would be applied without; `letter_may_repeat` (409), a replay
            may do something twice, and nobody has said that it does not.
    """
    await schedule(
        session, service, municipality=actor.municipality, kind=DUE_REPLAY, ref=str(event_id), due_at=now, keep=True
    )
    letter = await _lock(session, service, actor.municipality, event_id)
    if letter.sealed_gone_at is not None:
        raise Refusal("letter_sealed_gone", 409)
    [shown] = await find_letters(session, service, event_id, municipality=actor.municipality)
    if shown.may_repeat and not is_new_here:
        raise Refusal("letter_may_repeat", 409)
    await record_deed(session, actor, "replay_dead_letter", event_id, now=now)


async def discard(
    session: AsyncSession,
    service: str,
    actor: Identity | Operator,
    event_id: UUID,
    reason: DiscardReason,
    *,
    now: datetime,
) -> None:
    """Let a letter go, and what was sealed in it. Its event is never applied here; its publisher is told.

    Raises:
        Refusal: `letter_unknown` (404), it was replayed or discarded meanwhile.
    """
    await unschedule(session, service, municipality=actor.municipality, kind=DUE_REPLAY, ref=str(event_id))
    letter = await _lock(session, service, actor.municipality, event_id)
    # Should its publisher ask again after all, the answer is the same.
    key = {"municipality": actor.municipality, "event_id": event_id}
    await session.execute(text(_DISCARD.format(schema=service)), key)
    await end_letter(session, service, actor.municipality, event_id, letter.publisher, "discarded", now=now)
    await record_deed(session, actor, f"discard_dead_letter_{reason}", event_id, now=now)


async def end_letter(
    session: AsyncSession, service: str, municipality: str, event_id: UUID, publisher: str, end: End, *, now: datetime
) -> None:
    """Remove the letter, and have its publisher told. The publisher asks no more, so what it is told must not get lost:
    a `due` row of this transaction, which stays until the receipt is on the queue."""
    key = {"municipality": municipality, "event_id": event_id}
    await session.execute(text(_DELETE.format(schema=service)), key)
    ref = f"{end}:{publisher}:{event_id}:0"
    await schedule(session, service, municipality=municipality, kind=DUE_ENDED, ref=ref, due_at=now)


async def _lock(session: AsyncSession, service: str, municipality: str, event_id: UUID) -> Any:
    """Locked: a replay and a discard of one letter come one after the other.

    After the `due` row, which a worker has when it comes to the letter: otherwise the two wait for each other.
    """
    key = {"municipality": municipality, "event_id": event_id}
    letter = (await session.execute(text(_LOCK.format(schema=service)), key)).one_or_none()
    if letter is None:
        raise Refusal("letter_unknown", 404)
    return letter


def _letter(row: Mapping[Any, Any]) -> Letter:
    known = dict(row)
    payload = bytes(known.pop("payload"))
    reference, keys = _Reference(), tuple[str, ...]()
    try:
        keys = tuple(sorted(msgspec.json.decode(payload, type=dict[str, msgspec.Raw])))[:KEYS_MAX]
        reference = msgspec.json.decode(payload, type=_Reference)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # undecodable, as its reason says
    return Letter(**known, **msgspec.structs.asdict(reference), keys=keys)
