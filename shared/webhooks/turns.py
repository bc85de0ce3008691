"""An endpoint's turn: what is sent to it next, and what its answers mean. No transaction is open in between.

The `due` row of an endpoint is leased to one turn at a time. Whoever dies in it has noted nothing: the next turn sends
the same messages, with the same ids.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.crypto import SubjectVault
from shared.webhooks.endpoints import WEBHOOK, webhook_context
from shared.webhooks.signing import make_body, read_secret
from shared.webhooks.tries import GIVE_UP_AFTER, TEST, State, is_gone, is_taken, next_try

TURN_MAX = 20
# Who had something in this turn is looked at again soon: more may have come meanwhile. The others, whenever something
# comes, and now and then besides: whoever wakes them waits for nobody, and so may fail to.
AGAIN, IDLE = timedelta(seconds=1), timedelta(seconds=20)

AboutOf = Callable[[str, str, Callable[[str, str], str]], str]
"""`about_of(kind, about, commit)`: by which id a receiver knows what it is told of; `commit(field, value)` makes one
that is another for each endpoint."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: the same id and bytes at every try."""

    delivery_id: UUID
    kind: str
    tries: int
    failing_since: datetime | None
    body: bytes

    @property
    def message_id(self) -> str:
        """By which a receiver knows it again."""
        return f"msg_{self.delivery_id.hex}"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint is sent now, and the secrets that sign it."""

    url: str
    secrets: tuple[bytes, ...]
    messages: tuple[Message, ...]


class Answered(msgspec.Struct, frozen=True):
    """What became of a try: `http_200`, or why there was no answer."""

    message: Message
    answer: str


_ENDPOINT = text("""
    SELECT endpoint_id, url, state, wrapped_key, secret_sealed, old_secret_sealed, old_secret_until
    FROM webhook_endpoint WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
_WAITING = text(f"""
    SELECT delivery_id, kind, about, version, facts, told_at, tries, failing_since FROM webhook_delivery
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) AND state = 'waiting' AND next_try_at <= :now
      AND (:is_active OR kind = :test)
    ORDER BY next_try_at, delivery_id LIMIT {TURN_MAX}
""")
_LOCK = text("""
    SELECT state, failures, failing_since FROM webhook_endpoint
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) FOR UPDATE
""")
_NOTE = text("""
    UPDATE webhook_delivery d
    SET state = noted.state, tries = d.tries + 1, next_try_at = noted.next_try_at, answer = noted.answer,
        answered_at = :now,
        failing_since = CASE WHEN noted.state = 'taken' THEN NULL ELSE coalesce(d.failing_since, :now) END
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:next_tries AS timestamptz[]),
                CAST(:answers AS text[])) AS noted(delivery_id, state, next_try_at, answer)
    WHERE d.municipality = :municipality AND d.delivery_id = noted.delivery_id AND d.state = 'waiting'
""")
_JUDGE = text("""
    UPDATE webhook_endpoint SET state = :state, failures = :failures, failing_since = :failing_since
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id)
""")
_NEXT = text("""
    SELECT min(next_try_at) FROM webhook_delivery
    WHERE (municipality, endpoint_id) = (:municipality, :endpoint_id) AND state = 'waiting'
""")
_MOVE = text("""
    UPDATE due SET due_at = :due_at, leased_until = NULL, attempts = 0
    WHERE (municipality, kind, ref) = (:municipality, :kind, :ref) AND leased_until = :lease
""")
_END = text("DELETE FROM due WHERE (municipality, kind, ref) = (:municipality, :kind, :ref)")


async def begin_turn(
    session: AsyncSession,
    municipality: str,
    endpoint_id: UUID,
    vault: SubjectVault,
    *,
    about_of: AboutOf | None = None,
    now: datetime,
) -> Turn | None:
    """What is to be sent now; None if there is no such endpoint any more. To one that is paused, only tests."""
    mine = {"municipality": municipality, "endpoint_id": endpoint_id, "now": now}
    found = (await session.execute(_ENDPOINT, mine)).one_or_none()
    if found is None:
        return None
    asked = mine | {"is_active": found.state == "active", "test": TEST}
    rows = (await session.execute(_WAITING, asked)).all()
    context, wrapped_key = webhook_context(municipality, endpoint_id), bytes(found.wrapped_key)
    sealed = [found.secret_sealed]
    if found.old_secret_until is not None and found.old_secret_until > now:
        sealed.append(found.old_secret_sealed)
    return Turn(
        url=found.url,
        secrets=tuple(read_secret(vault.open(wrapped_key, context, "secret", bytes(each))) for each in sealed),
        messages=tuple(
            Message(
                delivery_id=row.delivery_id,
                kind=row.kind,
                tries=row.tries,
                failing_since=row.failing_since,
                body=make_body(
                    row.kind, row.told_at, _data(row, about_of, partial(vault.commitment, wrapped_key, context))
                ),
            )
            for row in rows
        ),
    )


def _data(row: Any, about_of: AboutOf | None, commit: Callable[[str, str], str]) -> Mapping[str, Any]:
    if row.kind == TEST:
        return {}
    about = row.about if about_of is None else about_of(row.kind, row.about, commit)
    return {"id": about, "version": row.version, **row.facts}


async def end_turn(
    session: AsyncSession,
    municipality: str,
    endpoint_id: UUID,
    answers: Sequence[Answered],
    *,
    lease: datetime,
    now: datetime,
    chance: float,
) -> None:
    """Note what became of each, and when the endpoint has its next turn.

    Whoever takes nothing is asked ever more seldom, and after a day no more. `chance` is a random number from 0 to 1.
    """
    mine = {"municipality": municipality, "endpoint_id": endpoint_id, "now": now}
    due = {"municipality": municipality, "kind": WEBHOOK, "ref": str(endpoint_id)}
    found = (await session.execute(_LOCK, mine)).one_or_none()
    if found is None:
        await session.execute(_END, due)
        return
    state, failures, failing_since = _judge(found, answers, now=now)
    if answers:
        await session.execute(_NOTE, mine | _notes(answers, is_stopped=state == "stopped", now=now, chance=chance))
        judged = {"state": state, "failures": failures, "failing_since": failing_since}
        await session.execute(_JUDGE, mine | judged)
    if failures and state == "active":
        due_at = next_try(failures, now=now, chance=chance)
    else:
        due_at = now + (AGAIN if answers else IDLE)
        earliest = (await session.execute(_NEXT, mine)).scalar_one() if state == "active" else None
        if earliest is not None:
            due_at = max(now, min(due_at, earliest))
    await session.execute(_MOVE, due | {"due_at": due_at, "lease": lease})


def _judge(found: Any, answers: Sequence[Answered], *, now: datetime) -> tuple[State, int, datetime | None]:
    """How the endpoint is, after these answers. A test says nothing about it: somebody is just trying."""
    told = [each.answer for each in answers if each.message.kind != TEST]
    if not told:
        return found.state, found.failures, found.failing_since
    if any(map(is_taken, told)):
        return found.state, 0, None
    failing_since = found.failing_since or now
    is_over = any(map(is_gone, told)) or failing_since <= now - GIVE_UP_AFTER
    return "stopped" if is_over else found.state, found.failures + 1, failing_since


def _notes(answers: Sequence[Answered], *, is_stopped: bool, now: datetime, chance: float) -> dict[str, Any]:
    states = []
    for each in answers:
        since = each.message.failing_since
        if is_taken(each.answer):
            states.append("taken")
        # It takes others, and never this one. What a stopped endpoint has not taken waits until it goes on.
        elif each.message.kind == TEST or (not is_stopped and since is not None and since <= now - GIVE_UP_AFTER):
            states.append("given_up")
        else:
            states.append("waiting")
    return {
        "ids": [each.message.delivery_id for each in answers],
        "states": states,
        "next_tries": [next_try(each.message.tries + 1, now=now, chance=chance) for each in answers],
        "answers": [each.answer for each in answers],
    }
