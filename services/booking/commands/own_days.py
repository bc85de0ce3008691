"""A helper's days: requests to answer, and whom they meet. Who sees a name for the first time leaves an entry."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.appointments import LEGAL_BASIS, STEP_COLLECTED
from services.booking.domain.line import State
from services.booking.domain.notes import NOTE_WRITTEN_WITHIN
from services.booking.domain.shifts import answer_by, given_name
from services.booking.keys import Keys, subject_context
from services.booking.queries.slots import start_of_day
from services.booking.tables import ledger
from shared.clock import jst_day
from shared.crypto import SealBroken
from shared.errors import Refusal
from shared.ledger.entry import Entry
from shared.log import get_logger
from shared.tokens import Identity

log = get_logger(__name__)

REQUESTS_MAX = 200
VIEWED = "viewed"
PURPOSE = "サポーターが会うときにお名前をお呼びするため"
STEP = "helper_meeting"


class OwnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as its helper sees it. `called_by` only once it was accepted; `topic` None: it is discreet."""

    assignment_id: UUID
    state: Literal["asked", "accepted"]
    appointment_state: State
    starts_at: datetime
    ends_at: datetime
    venue_name: str
    venue_place: str
    topic: str | None
    language: str
    called_by: str | None
    has_begun: bool
    # The case that it came out of, which can go on another way.
    case_id: UUID | None
    # Until when a request waits for this helper's answer.
    answer_by: datetime
    # Promised for a day on which they have said since that they are away.
    is_away: bool
    # The person agreed to go through it together, and until when.
    agreed_at: datetime | None
    agreed_until: datetime | None

    def is_ahead(self, now: datetime) -> bool:
        """Whether they still have to be there: it is neither over nor settled who came."""
        return self.state == "accepted" and self.ends_at > now and self.appointment_state not in ("done", "no_show")


_OWN = text(f"""
    SELECT s.assignment_id, s.state, s.asked_at, s.viewed_at, s.agreed_at, s.agreed_until, a.appointment_id,
           a.state AS appointment_state, a.starts_at, a.ends_at, a.language, a.subject_ref, a.case_id, a.procedure,
           a.office, a.name_sealed, a.kana_sealed, k.wrapped_key,
           coalesce(c.name_ja, a.counter) AS venue_name, coalesce(c.place_ja, '') AS venue_place,
           CASE WHEN coalesce(p.discreet, true) THEN NULL ELSE p.name_ja END AS topic,
           EXISTS (SELECT 1 FROM helper_away g
                   WHERE (g.municipality, g.helper_ref) = (s.municipality, s.helper_ref)
                     AND a.day BETWEEN g.first_day AND g.last_day) AS is_away
    FROM assignment s
    JOIN appointment a ON (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
    LEFT JOIN subject_key k ON (k.municipality, k.subject_ref) = (a.municipality, a.subject_ref)
    LEFT JOIN counter c ON (c.municipality, c.code) = (a.municipality, a.counter)
    LEFT JOIN procedure p ON (p.municipality, p.code) = (a.municipality, a.procedure)
    WHERE s.municipality = :municipality AND s.helper_ref = :helper_ref AND s.state IN ('asked', 'accepted')
      AND a.state <> 'cancelled' AND a.starts_at >= :since
      AND s.assignment_id = coalesce(CAST(:only AS uuid), s.assignment_id)
    ORDER BY a.starts_at, s.assignment_id LIMIT {REQUESTS_MAX}
""")
_VIEWED = text("""
    UPDATE assignment SET viewed_at = :now
    WHERE (municipality, assignment_id) = (:municipality, :assignment_id) AND viewed_at IS NULL RETURNING assignment_id
""")


async def show_own_days(session: AsyncSession, actor: Identity, keys: Keys, *, now: datetime) -> list[OwnRequest]:
    """The helper's requests and meetings, today's and coming ones, in the order of their times.

    Only a given name is told, and only to who has accepted: the others asked before need not know who it was.
    """
    rows = (await session.execute(_OWN, _asked(actor, since=start_of_day(jst_day(now))))).all()
    return [await _shown(session, actor, keys, row, now=now) for row in rows]


async def show_meeting(
    session: AsyncSession, actor: Identity, keys: Keys, assignment_id: UUID, *, now: datetime
) -> OwnRequest:
    """One meeting of the helper's, as long as they may write a note of it.

    Raises:
        Refusal: `request_unknown` (404), also for somebody else's, and for one that is not accepted (any more).
    """
    asked = _asked(actor, since=now - NOTE_WRITTEN_WITHIN, only=assignment_id)
    row = (await session.execute(_OWN, asked)).one_or_none()
    if row is None or row.state != "accepted":
        raise Refusal("request_unknown", 404)
    return await _shown(session, actor, keys, row, now=now)


def _asked(actor: Identity, *, since: datetime, only: UUID | None = None) -> dict[str, Any]:
    return {"municipality": actor.municipality, "helper_ref": actor.ref, "since": since, "only": only}


async def _shown(session: AsyncSession, actor: Identity, keys: Keys, row: Any, *, now: datetime) -> OwnRequest:
    called_by = None
    if row.state == "accepted":
        called_by = await _read_given_name(session, actor, keys, row, now=now)
    return OwnRequest(
        assignment_id=row.assignment_id,
        state=row.state,
        appointment_state=row.appointment_state,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        venue_name=row.venue_name,
        venue_place=row.venue_place,
        topic=row.topic,
        language=row.language,
        called_by=called_by,
        has_begun=row.starts_at <= now,
        case_id=row.case_id,
        answer_by=answer_by(asked_at=row.asked_at, starts_at=row.starts_at),
        is_away=row.is_away,
        agreed_at=row.agreed_at,
        agreed_until=row.agreed_until,
    )


async def _read_given_name(
    session: AsyncSession, actor: Identity, keys: Keys, row: Any, *, now: datetime
) -> str | None:
    """The given name, if one was passed on and can be told apart.

    The first reading is written to the ledger, in this transaction.
    """
    item = "name" if row.name_sealed is not None else "kana"
    sealed = row.name_sealed or row.kana_sealed
    if sealed is None or row.wrapped_key is None:
        return None
    context = subject_context(actor.municipality, row.subject_ref)
    try:
        name = keys.vault.open(row.wrapped_key, context, f"{item}/{row.appointment_id}", sealed)
    except SealBroken:
        log.error("name_unreadable", appointment_id=str(row.appointment_id))
        return None
    given = given_name(name)
    if not given:
        return None
    if row.viewed_at is None:
        key = {"municipality": actor.municipality, "assignment_id": row.assignment_id, "now": now}
        # Two pages opened at once: one of them writes.
        if (await session.execute(_VIEWED, key)).one_or_none() is not None:
            await ledger.write(session, _entry(actor, row, item, name, keys, now=now))
    return given


def _entry(actor: Identity, row: Any, item: str, name: str, keys: Keys, *, now: datetime) -> Entry:
    context = subject_context(actor.municipality, row.subject_ref)
    return Entry(
        entry_id=uuid4(),
        municipality=actor.municipality,
        occurred_at=now,
        entry_type="helper_assisted",
        subject_ref=row.subject_ref,
        # Staff may help as well.
        actor_kind="helper" if actor.kind == "helper" else "staff",
        actor_ref=actor.ref,
        office=row.office or None,
        source_procedure=row.procedure,
        source_case=row.case_id,
        source_step=STEP_COLLECTED,
        target_service="booking",
        target_procedure=row.procedure,
        target_case=row.case_id,
        target_step=STEP,
        items=(item,),
        commitments={item: keys.vault.commitment(row.wrapped_key, context, item, name)},
        purpose=PURPOSE,
        legal_basis=LEGAL_BASIS,
        outcome=VIEWED,
        correlation=row.appointment_id,
    )
