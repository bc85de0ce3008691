"""What was announced and drawn stays, even without the application: what raw SQL tries, PostgreSQL refuses."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.booking.conftest import TOWN, BookingTown
from tests.booking.draws_town import announce, close, enter

ENTRY = """
    INSERT INTO draw_entry (municipality, entry_id, draw_id, ticket, state, preferences, came_by, guest_ref,
                            subject_ref, reach, language, passed_at, entered_at, changed_at)
    SELECT municipality, gen_random_uuid(), draw_id, 'other', state, preferences, came_by, {guest_ref}, {subject_ref},
           reach, language, passed_at, entered_at, {changed_at} FROM draw_entry
"""
STAYS, RIGHTS = "does not change", "permission denied"
WINDOW, KEPT, RULE, TWICE = "can enter this draw", "given out by a draw", "check constraint", "unique constraint"

BEFORE = {
    "its commitment": ("UPDATE draw SET seed_commitment = sha256('x'::bytea)", STAYS),
    "its window": ("UPDATE draw SET closes_at = closes_at + interval '1 day'", STAYS),
    "its title": ("UPDATE draw SET title_ja = 'x'", STAYS),
    "another seed": (
        """UPDATE draw SET state = 'drawn', seed = sha256('x'::bytea), entries_digest = 'x', drawn_at = closes_at""",
        RULE,
    ),
    "a draw too early": ("UPDATE draw SET drawn_at = closes_at - interval '1 second'", "can still enter"),
    "the draw itself": ("DELETE FROM draw", RIGHTS),
    "its sessions": ("UPDATE draw_session SET seats = seats + 1", RIGHTS),
    "one session": ("DELETE FROM draw_session", RIGHTS),
    "a slot for another draw": ("UPDATE draw_session SET is_kept = false", "stays in its draw"),
    "a slot in a second draw": (
        """WITH other AS (
               INSERT INTO draw (municipality, draw_id, title_ja, procedure, counter, opens_at, closes_at,
                                 seed_commitment, seed_sealed, state, announced_at)
               SELECT municipality, slot_id, title_ja, procedure, counter, opens_at, closes_at, seed_commitment,
                      seed_sealed, state, announced_at FROM draw JOIN draw_session USING (municipality, draw_id) LIMIT 1
               RETURNING municipality, draw_id)
           INSERT INTO draw_session (municipality, draw_id, slot_id, starts_at, ends_at, seats)
           SELECT o.municipality, o.draw_id, s.slot_id, s.starts_at, s.ends_at, s.seats
           FROM other o JOIN draw_session s ON s.slot_id = o.draw_id""",
        "draw_session_one_draw_idx",
    ),
    "a ticket": ("UPDATE draw_entry SET ticket = 'x'", "ticket stays"),
    "wishes too late": (
        "UPDATE draw_entry SET preferences = preferences[1:1], changed_at = changed_at + interval '1 day'",
        WINDOW,
    ),
    "no wishes": ("UPDATE draw_entry SET preferences = '{}'", RULE),
    "a second entry of a person": (
        ENTRY.format(guest_ref="'x'", subject_ref="subject_ref", changed_at="changed_at"),
        TWICE,
    ),
    "a second entry of a browser": (
        ENTRY.format(guest_ref="guest_ref", subject_ref="gen_random_uuid()", changed_at="changed_at"),
        TWICE,
    ),
    "an entry too early": (
        ENTRY.format(guest_ref="'x'", subject_ref="NULL", changed_at="changed_at - interval '1 second'"),
        WINDOW,
    ),
    "a place for everybody": ("UPDATE place SET audience = 'public' WHERE audience = 'draw'", KEPT),
    "a place for somebody": (
        """UPDATE place SET hold_id = gen_random_uuid(), held_by = 'x', visit_id = gen_random_uuid(),
                            held_until = changed_at + interval '1 day' WHERE audience = 'draw'""",
        KEPT,
    ),
    "its places": ("DELETE FROM place WHERE audience = 'draw'", KEPT),
}
AFTER = {
    "its seed": ("UPDATE draw SET seed = sha256('x'::bytea)", STAYS),
    "its state": (
        "UPDATE draw SET state = 'announced', seed = NULL, entries_digest = NULL, drawn_at = NULL",
        STAYS,
    ),
    "a result": ("UPDATE draw_result SET slot_id = NULL", RIGHTS),
    "the results": ("DELETE FROM draw_result", RIGHTS),
    "one more result": (
        "INSERT INTO draw_result SELECT municipality, draw_id, ticket, 9, NULL FROM draw_entry",
        "is drawn",
    ),
    "a later session": (
        """INSERT INTO draw_session
           SELECT municipality, draw_id, gen_random_uuid(), starts_at, ends_at, 1 FROM draw_session LIMIT 1""",
        "is drawn",
    ),
    "wishes": ("UPDATE draw_entry SET preferences = preferences[1:1]", WINDOW),
    "a late entry": (ENTRY.format(guest_ref="'x'", subject_ref="NULL", changed_at="changed_at"), WINDOW),
    "a seat passed on": ("DELETE FROM draw_passed_on", RIGHTS),
}


async def refused(town: BookingTown, sql: str, why: str) -> None:
    with pytest.raises(DBAPIError, match=why):
        async with town.db.begin(TOWN) as session:
            await session.execute(text(sql))


@pytest.mark.parametrize("what", BEFORE)
async def test_what_was_announced_stays(town: BookingTown, what: str) -> None:
    await enter(town, await announce(town), "guest")
    await refused(town, *BEFORE[what])


@pytest.mark.parametrize("what", AFTER)
async def test_what_was_drawn_stays(town: BookingTown, what: str) -> None:
    await enter(town, await announce(town), "guest")
    await close(town)
    await refused(town, *AFTER[what])
