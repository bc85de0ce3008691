"""The identity step: leaving for a provider, coming back once, and what was proven for what will be sent."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, lock_open_case
from services.routing.domain.identity import (
    ATTEMPT_LIFETIME,
    PROOF_LIFETIME,
    Problem,
    Proof,
    Proven,
    asked_of,
)
from services.routing.keys import Keys
from services.routing.queries.office import get_rule
from services.routing.tables import identity_attempt, identity_proof
from shared.audit import record_deed
from shared.crypto import token_hash
from shared.errors import Refusal
from shared.tokens import Identity

STATE_MAX_LENGTH = 100
# Of a case, the newest.
PROOFS_MAX = 20


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody came back. `problem` None: their code may be exchanged, now and never again."""

    problem: Problem | None
    attempt_id: UUID | None = None
    case_id: UUID | None = None
    provider: str = ""
    nonce: str = ""
    verifier: str = ""

    def __repr__(self) -> str:
        return f"Return({self.problem!r})"


async def begin_identity(
    session: AsyncSession,
    *,
    identity: Identity,
    case_id: UUID,
    provider: str,
    items: dict[str, int],
    state: str,
    nonce: str,
    verifier: str,
    now: datetime,
) -> None:
    """Note who leaves for which provider, with what is to be sent. `state` is kept as a hash.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    await lock_open_case(session, identity, case_id, now=now)
    await session.execute(
        insert(identity_attempt).values(
            municipality=identity.municipality,
            attempt_id=uuid4(),
            case_id=case_id,
            provider=provider,
            state_hash=token_hash(state),
            nonce=nonce,
            verifier=verifier,
            guest_ref=identity.ref,
            session_id=identity.session_id,
            items=items,
            begun_at=now,
            expires_at=now + ATTEMPT_LIFETIME,
        )
    )
    await record_deed(session, identity, "begin_identity", case_id, now=now)


async def take_return(session: AsyncSession, *, identity: Identity, state: str, now: datetime) -> Return:
    """Whoever comes back, by the `state` that they left with. It counts once, whatever becomes of it."""
    mine = (
        identity_attempt.c.municipality == identity.municipality,
        identity_attempt.c.state_hash == token_hash(state[:STATE_MAX_LENGTH]),
    )
    # Two at once: the second waits here, and sees that it was used.
    row = (await session.execute(select(identity_attempt).where(*mine).with_for_update())).one_or_none()
    if row is None:
        return Return(problem="unknown")
    if not (
        hmac.compare_digest(row.guest_ref, identity.ref) and hmac.compare_digest(row.session_id, identity.session_id)
    ):
        # Nothing tells them whose it is, and the one who left may still come back.
        return Return(problem="elsewhere")
    if row.used_at is not None:
        return Return(problem="used", case_id=row.case_id)
    await session.execute(update(identity_attempt).where(*mine).values(used_at=now))
    if now >= row.expires_at:
        return Return(problem="late", case_id=row.case_id)
    return Return(
        problem=None,
        attempt_id=row.attempt_id,
        case_id=row.case_id,
        provider=row.provider,
        nonce=row.nonce,
        verifier=row.verifier,
    )


async def keep_proof(
    session: AsyncSession, keys: Keys, *, identity: Identity, attempt_id: UUID, proven: Proven, now: datetime
) -> None:
    """Keep that it was proven, for what was to be sent when the person left.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    attempt = (
        await session.execute(
            select(identity_attempt).where(
                identity_attempt.c.municipality == identity.municipality,
                identity_attempt.c.attempt_id == attempt_id,
            )
        )
    ).one()
    case = await lock_open_case(session, identity, attempt.case_id, now=now)
    await session.execute(
        insert(identity_proof).values(
            municipality=case.municipality,
            proof_id=attempt_id,
            case_id=case.case_id,
            provider=attempt.provider,
            subject_hash=keys.identity_hash(case.municipality, proven.issuer, proven.subject),
            acr=proven.acr,
            items=attempt.items,
            proven_at=now,
            expires_at=now + PROOF_LIFETIME,
        )
    )
    await record_deed(session, identity, "prove_identity", case.case_id, now=now)


async def needed_provider(session: AsyncSession, case: Row[Any]) -> str:
    """The provider that has to say who sends a case; empty: none."""
    return asked_of((await get_rule(session, case.municipality, case.procedure)).identity_step, case.behalf)


async def is_proven(session: AsyncSession, case: Row[Any], items: dict[str, int], *, now: datetime) -> bool:
    """Whether a case may be sent with these versions: it needs no proof, or has one for exactly them."""
    provider = await needed_provider(session, case)
    return not provider or await find_proof(session, case, provider, items, now=now) is not None


async def find_proof(
    session: AsyncSession, case: Row[Any], provider: str, items: dict[str, int], *, now: datetime
) -> Proof | None:
    """The proof that still holds for these versions."""
    for row in await _list_proofs(session, case.municipality, case.case_id):
        if row.provider == provider and row.items == items and row.proven_at <= now < row.expires_at:
            return _proof(row)
    return None


async def has_older_proof(session: AsyncSession, case: Row[Any]) -> bool:
    """Whether something was proven in this case before, for other content or too long ago."""
    return bool(await _list_proofs(session, case.municipality, case.case_id))


async def proof_of_sent(session: AsyncSession, municipality: str, case_id: UUID, items: dict[str, int]) -> Proof | None:
    """What was proven for what the office has, for its page and the person's."""
    found = await _list_proofs(session, municipality, case_id)
    return next((_proof(row) for row in found if row.items == items), None)


async def get_asking_case(
    session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime
) -> tuple[Row[Any], str]:
    """One's own case that needs the identity step, and its provider.

    Raises:
        Refusal: `case_unknown` (404), `identity_not_asked` (404).
    """
    case = await get_own_case(session, identity, case_id, now=now)
    provider = await needed_provider(session, case)
    if not provider:
        raise Refusal("identity_not_asked", 404)
    return case, provider


async def _list_proofs(session: AsyncSession, municipality: str, case_id: UUID) -> Sequence[Row[Any]]:
    rows = await session.execute(
        select(identity_proof)
        .where(identity_proof.c.municipality == municipality, identity_proof.c.case_id == case_id)
        .order_by(identity_proof.c.proven_at.desc())
        .limit(PROOFS_MAX)
    )
    return rows.all()


def _proof(row: Row[Any]) -> Proof:
    return Proof(provider=row.provider, acr=row.acr, proven_at=row.proven_at, expires_at=row.expires_at)
