"""Who else can come: helpers answer, the first who accepts comes, and time may run out. And a coordinator asks for it.

Of a visit, they come instead of somebody; for a gap, they have a shift then (`commands/gaps.py`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.asking import ACCEPTED, give_up, release_helper
from services.booking.commands.assignments import LIVE, lock_request
from services.booking.commands.cover_asking import Gap, ask_all, ended, is_covering
from services.booking.commands.gaps import be_there
from services.booking.commands.help_returns import is_untold
from services.booking.commands.offers import tell_progress
from services.booking.commands.telling_helpers import remind_before, tell_over
from services.booking.commands.venues import bring_venues
from services.booking.domain.covers import cover_by
from services.booking.queries.askable import TAKES_REQUESTS
from services.booking.queries.helpers import TEACHES_THEN, list_venues_of
from services.booking.tables import outbox
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity

_APPOINTMENT_OF = text("SELECT appointment_id FROM cover WHERE (municipality, cover_id) = (:municipality, :cover_id)")
# The appointment first, as everywhere: then nobody waits for each other. For a gap there is none: the cover itself.
_LOCK_APPOINTMENT = text("""
    SELECT * FROM appointment WHERE (municipality, appointment_id) = (:municipality, :appointment_id) FOR UPDATE
""")
_LOCK_COVER = text("""
    SELECT 1 FROM cover WHERE (municipality, cover_id) = (:municipality, :cover_id) FOR UPDATE
""")
_COVER = text("""
    SELECT c.cover_id, c.state, c.former_ref, c.venue, c.starts_at, c.ends_at, k.state AS answer
    FROM cover c
    LEFT JOIN cover_ask k ON (k.municipality, k.cover_id, k.helper_ref) = (c.municipality, c.cover_id, :helper_ref)
    WHERE (c.municipality, c.cover_id) = (:municipality, :cover_id)
""")
# Of several who accept at once, `cover_ask_one_accepted_idx` takes one.
_ANSWER = text("""
    INSERT INTO cover_ask (municipality, cover_id, helper_ref, state, answered_at)
    VALUES (:municipality, :cover_id, :helper_ref, :answer, :now)
    ON CONFLICT (municipality, cover_id, helper_ref) DO UPDATE
    SET (state, answered_at) = (excluded.state, excluded.answered_at)
""")
_END = text("""
    UPDATE cover SET state = :state, ended_at = :now WHERE (municipality, cover_id) = (:municipality, :cover_id)
""")
_STILL_ASKED = text("""
    SELECT 1 FROM cover_ask WHERE (municipality, cover_id) = (:municipality, :cover_id) AND state = 'asked' LIMIT 1
""")
# One at most (assignment_one_live_idx).
_WHO_COMES = text("""
    SELECT helper_ref FROM assignment
    WHERE municipality = :municipality AND appointment_id = :appointment_id AND state IN ('asked', 'accepted')
""")
_CAN_COME = text(f"""
    SELECT {TAKES_REQUESTS} AS is_active, EXISTS (
        SELECT 1 FROM assignment s WHERE s.municipality = h.municipality AND s.helper_ref = h.helper_ref
          AND s.state IN ('asked', 'accepted') AND s.appointment_id IS DISTINCT FROM CAST(:appointment_id AS uuid)
          AND s.during && tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)))
        OR {TEACHES_THEN} AS is_busy,
        is_on_shift(h.municipality, h.helper_ref, :venue,
                    tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz))) AS is_on_shift
    FROM helper h WHERE (h.municipality, h.helper_ref) = (:municipality, :helper_ref)
""")
_COMES = text("""
    INSERT INTO assignment (municipality, assignment_id, appointment_id, helper_ref, state, during, asked_at,
                            answered_at, overrides_shift)
    SELECT c.municipality, :assignment_id, c.appointment_id, :helper_ref, 'accepted',
           tstzrange(CAST(:starts_at AS timestamptz), CAST(:ends_at AS timestamptz)), c.asked_at, :now,
           :overrides_shift
    FROM cover c WHERE (c.municipality, c.cover_id) = (:municipality, :cover_id)
""")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A cover, locked: of a visit by its appointment, or of a gap. `answer` is what this helper has said so far."""

    municipality: str
    cover_id: UUID
    state: str
    former_ref: str | None
    answer: str | None
    venue: str
    starts_at: datetime
    ends_at: datetime
    # None for a gap.
    appointment: Any

    @property
    def key(self) -> dict[str, Any]:
        """Where it is."""
        return {"municipality": self.municipality, "cover_id": self.cover_id}

    @property
    def gap(self) -> Gap:
        """Where and when somebody is wanted."""
        return Gap(venue=self.venue, starts_at=self.starts_at, ends_at=self.ends_at)

    def is_open(self, now: datetime) -> bool:
        """Whether somebody can still accept."""
        is_wanted = self.appointment is None or self.appointment.state == "booked"
        return self.state == "open" and is_wanted and self.starts_at > now


async def start_cover(session: AsyncSession, actor: Identity, assignment_id: UUID, *, now: datetime) -> int:
    """A coordinator asks all who suit for one who can come instead; whoever was asked stays until then.

    Returns how many were asked; 0: they are being asked already.

    Raises:
        Refusal: `request_unknown` (404), `request_over`, `cover_too_late`, `cover_nobody` (409).
    """
    request = await lock_request(session, actor.municipality, assignment_id)
    if request is None:
        raise Refusal("request_unknown", 404)
    appointment = request.appointment
    if await is_covering(session, actor.municipality, appointment.appointment_id):
        return 0
    if request.state not in LIVE or appointment.state != "booked" or appointment.starts_at <= now:
        raise Refusal("request_over", 409)
    if await is_untold(session, actor.municipality, appointment.appointment_id):
        # Of a request for help: the matching, or a coordinator, asks the next one (`commands/help_matching.py`).
        raise Refusal("request_over", 409)
    if cover_by(asked_at=now, starts_at=appointment.starts_at) is None:
        raise Refusal("cover_too_late", 409)
    people = await ask_all(session, actor.municipality, appointment, now=now)
    if not people:
        raise Refusal("cover_nobody", 409)
    await record_deed(session, actor, "start-cover", assignment_id, now=now)
    return people


async def accept_cover(session: AsyncSession, actor: Identity, cover_id: UUID, *, now: datetime) -> None:
    """A helper comes. Whoever could not come to a visit may come after all, as long as nobody else does.

    Raises:
        Refusal: `cover_unknown` (404); `cover_taken`, `cover_over`, `cover_busy`, `cover_away`, `too_many_shifts`
            (409).
    """
    asked = await _lock(session, actor, cover_id)
    if asked.answer == "accepted":
        return
    if asked.state == "taken":
        raise Refusal("cover_taken", 409)
    if not asked.is_open(now):
        raise Refusal("cover_over", 409)
    appointment_id = None if asked.appointment is None else asked.appointment.appointment_id
    me = asked.key | {"helper_ref": actor.ref, "appointment_id": appointment_id, "now": now}
    times = msgspec.structs.asdict(asked.gap)
    can_come = (await session.execute(_CAN_COME, me | times)).one()
    # Whoever comes anyway, while a coordinator looks for somebody else, cannot come instead of themselves.
    comes_anyway = (await session.execute(_WHO_COMES, me)).scalar_one_or_none() == actor.ref
    if comes_anyway or not can_come.is_active:
        raise Refusal("cover_over", 409)
    if can_come.is_busy:
        raise Refusal("cover_busy", 409)
    await session.execute(_ANSWER, me | {"answer": "accepted"})
    await _end(session, asked, "taken", now=now)
    if appointment_id is None:
        await record_deed(session, actor, "accept-cover", cover_id, now=now)
        await be_there(session, actor, asked.gap, now=now)
    else:
        await _come_instead(session, actor, asked, me | times, is_on_shift=can_come.is_on_shift, now=now)


async def _come_instead(
    session: AsyncSession, actor: Identity, asked: Asked, me: dict[str, Any], *, is_on_shift: bool, now: datetime
) -> None:
    former = await release_helper(session, actor.municipality, me["appointment_id"], now=now)
    assignment_id = uuid4()
    await session.execute(_COMES, me | {"assignment_id": assignment_id, "overrides_shift": not is_on_shift})
    await remind_before(session, actor.municipality, assignment_id, asked.starts_at, now=now)
    row = (await session.execute(ACCEPTED, me)).one()
    await outbox.publish(session, await tell_progress(session, row, now=now))
    await record_deed(session, actor, "accept-cover", asked.cover_id, version=row.version, now=now)
    venues = {asked.venue, *former, *await list_venues_of(session, actor.municipality, actor.ref)}
    await bring_venues(session, actor.municipality, venues, now=now)


async def decline_cover(session: AsyncSession, actor: Identity, cover_id: UUID, *, now: datetime) -> None:
    """A helper cannot come instead. When all have said so, nobody waits for the time to run out.

    Raises:
        Refusal: `cover_unknown` (404), `cover_over` (409): they have accepted.
    """
    asked = await _lock(session, actor, cover_id)
    if asked.answer == "accepted":
        raise Refusal("cover_over", 409)
    if asked.answer == "declined" or asked.state != "open":
        return
    await session.execute(_ANSWER, asked.key | {"helper_ref": actor.ref, "answer": "declined", "now": now})
    await tell_over(session, actor.municipality, actor.ref, cover_id, now=now)
    await record_deed(session, actor, "decline-cover", cover_id, now=now)
    if (await session.execute(_STILL_ASKED, asked.key)).one_or_none() is None:
        await _lapse(session, asked, now=now)


async def on_cover_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `cover`: nobody has accepted in time."""
    asked = await _read(session, municipality, UUID(ref), helper_ref="")
    if asked is not None and asked.state == "open":
        await _lapse(session, asked, now=now)


async def _lapse(session: AsyncSession, asked: Asked, *, now: datetime) -> None:
    """Nobody comes. Who was to come stays, for the coordinator to see; without one, the town cancels a visit. A gap
    stays one."""
    await _end(session, asked, "lapsed", now=now)
    appointment = asked.appointment
    if appointment is None:
        return
    mine = {"municipality": asked.municipality, "appointment_id": appointment.appointment_id}
    if appointment.state == "booked" and (await session.execute(_WHO_COMES, mine)).one_or_none() is None:
        await give_up(session, asked.municipality, appointment, now=now)
        await bring_venues(session, asked.municipality, [appointment.counter], now=now)


async def _end(session: AsyncSession, asked: Asked, state: str, *, now: datetime) -> None:
    await session.execute(_END, asked.key | {"state": state, "now": now})
    await ended(session, asked.municipality, asked.cover_id, now=now)


async def _lock(session: AsyncSession, actor: Identity, cover_id: UUID) -> Asked:
    asked = await _read(session, actor.municipality, cover_id, helper_ref=actor.ref)
    if asked is None or (asked.answer is None and asked.former_ref != actor.ref):
        raise Refusal("cover_unknown", 404)
    return asked


async def _read(session: AsyncSession, municipality: str, cover_id: UUID, *, helper_ref: str) -> Asked | None:
    key = {"municipality": municipality, "cover_id": cover_id}
    found = (await session.execute(_APPOINTMENT_OF, key)).one_or_none()
    if found is None:
        return None
    appointment: Any = None
    if found.appointment_id is None:
        await session.execute(_LOCK_COVER, key)
    else:
        of = key | {"appointment_id": found.appointment_id}
        appointment = (await session.execute(_LOCK_APPOINTMENT, of)).one()
    row = (await session.execute(_COVER, key | {"helper_ref": helper_ref})).one()
    time = row if appointment is None else appointment
    return Asked(
        municipality=municipality,
        cover_id=row.cover_id,
        state=row.state,
        former_ref=row.former_ref,
        answer=row.answer,
        venue=row.venue or appointment.counter,
        starts_at=time.starts_at,
        ends_at=time.ends_at,
        appointment=appointment,
    )
