"""A draw is called off: nothing is drawn, whoever entered is told, and its places are everybody's again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.draw_telling import tell_entries
from services.booking.commands.draws import DRAW, ENTRIES_MAX, FORGET_ENTRIES
from services.booking.commands.marks import mark_availability
from services.booking.commands.webhooks import tell_webhooks
from services.booking.keys import Keys
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import unschedule
from shared.messaging.outbox import work_in_bulk
from shared.tokens import Identity

# Whoever is just entering is waited for, and told, too.
_LOCK = text("""
    SELECT d.draw_id, d.procedure, d.counter, d.closes_at, d.state,
           coalesce((SELECT r.office FROM counter_rule r
                     WHERE (r.municipality, r.counter) = (d.municipality, d.counter)), '') AS office
    FROM draw d WHERE (d.municipality, d.draw_id) = (:municipality, :draw_id) FOR UPDATE OF d
""")
# Nobody shall ever read what its seed was.
_CALL_OFF = text("""
    UPDATE draw SET state = 'called_off', called_off_at = :now, wrapped_key = NULL
    WHERE (municipality, draw_id) = (:municipality, :draw_id)
""")
_ENTRIES = text(f"""
    UPDATE draw_entry SET draft_sealed = NULL, code_sealed = NULL
    WHERE (municipality, entry_id) IN (
        SELECT municipality, entry_id FROM draw_entry
        WHERE (municipality, draw_id) = (:municipality, :draw_id) AND state = 'entered' LIMIT {2 * ENTRIES_MAX})
    RETURNING entry_id, ticket, subject_ref, contact_ref, case_id
""")
# From here on, another draw may have them.
_GIVE_SLOTS_BACK = text("""
    UPDATE draw_session SET is_kept = false WHERE (municipality, draw_id) = (:municipality, :draw_id)
""")
_OPEN_PLACES = text("""
    UPDATE place p SET audience = 'public', changed_at = :now FROM draw_session s
    WHERE (s.municipality, s.draw_id) = (:municipality, :draw_id)
      AND (p.municipality, p.slot_id) = (s.municipality, s.slot_id) AND p.audience = 'draw'
""")


async def call_off_draw(session: AsyncSession, actor: Identity, draw_id: UUID, keys: Keys, *, now: datetime) -> None:
    """Call it off, while people can still enter: once nobody can, the result is certain, and this would be choosing.

    Ordered again, nothing more happens.

    Raises:
        Refusal: `draw_unknown` (404), `draw_decided` (409).
    """
    mine = {"municipality": actor.municipality, "draw_id": draw_id, "now": now}
    found = (await session.execute(_LOCK, mine)).one_or_none()
    if found is None:
        raise Refusal("draw_unknown", 404)
    if found.state == "called_off":
        return
    if found.state != "announced" or now >= found.closes_at:
        raise Refusal("draw_decided", 409)
    await session.execute(_CALL_OFF, mine)
    entries = (await session.execute(_ENTRIES, mine)).all()
    await session.execute(_OPEN_PLACES, mine)
    await session.execute(_GIVE_SLOTS_BACK, mine)
    await mark_availability(session, actor.municipality, [found.counter], now=now)
    for kind in (DRAW, FORGET_ENTRIES):
        await unschedule(session, "booking", municipality=actor.municipality, kind=kind, ref=str(draw_id))
    facts = {"procedure": found.procedure, "counter": found.counter, "entries": len(entries)}
    await tell_webhooks(session, actor.municipality, "draw.called_off", draw_id, facts, version=1, now=now)
    await record_deed(session, actor, "draw-call-off", draw_id, now=now)
    # Nobody waits for the rest: there may be thousands.
    work_in_bulk(session)
    await tell_entries(session, actor.municipality, found, entries, "called_off", keys, now=now)
