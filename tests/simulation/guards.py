"""Whether the seeds can break: each guard is taken out of a copy of the checkout, and its seed must break there.

python -m tests.simulation.guards [--search] [GUARD …]

New actions give the seeds other histories; `--search` then tries the fixed seeds until one breaks, and says which.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass

from tests.copies import Change, copy_with
from tests.simulation.seeds import SEEDS

TIMEOUT_S = 900
CONSUMER, RELAY, DUE = "shared/messaging/consumer.py", "shared/messaging/relay.py", "shared/messaging/due.py"
BOOK, HOLDS = "services/booking/commands/appointments.py", "services/booking/commands/holds.py"
VISITS = "services/booking/commands/visits.py"
BOOKING_SCHEMA = "services/booking/migrations/versions/0001_booking.py"
FOLLOW = "services/notifications/commands/appointments.py"
ATTEMPTS = "services/notifications/commands/attempts.py"
PROJECT = "services/routing/consumers.py"
CLOSINGS = "services/booking/commands/closings.py"


@dataclass(frozen=True)
class Guard:
    """What the product stands on: with these changes, the seed breaks, and its report says `broken`.

    Without a seed, the fixed ones are tried until one breaks.
    """

    seed: int | None
    broken: str
    changes: tuple[Change, ...]


INBOX_CLAIM = Change(
    CONSUMER, "    WHERE inbox.outcome IS NULL\n    RETURNING event_id, seen_at", "    RETURNING event_id, seen_at"
)
FREE = 'FREE_PREDICATE = "p.appointment_id IS NULL AND (p.held_until IS NULL OR p.held_until <= :now)"'
HELD_IS_FREE = Change(HOLDS, FREE, 'FREE_PREDICATE = "p.appointment_id IS NULL"')
NO_TRIGGER = Change(
    BOOKING_SCHEMA,
    "CREATE TRIGGER guard_place BEFORE UPDATE ON booking.place FOR EACH ROW EXECUTE FUNCTION booking.guard_place();\n",
    "",
)
ANY_VERSION_OF_AN_APPOINTMENT = Change(FOLLOW, "    WHERE known.version < excluded.version\n", "")

GUARDS = {
    "an event is claimed once": Guard(None, "an_event_takes_effect_at_most_once", (INBOX_CLAIM,)),
    "claimed and applied in one transaction": Guard(
        14,
        "an_event_takes_effect_at_most_once",
        (
            Change(
                CONSUMER,
                '            pass_step("consumer.claimed")\n',
                '            pass_step("consumer.claimed")\n        async with self._db.begin(town) as session:\n',
            ),
        ),
    ),
    "a receipt tells what was committed": Guard(
        14,
        "a_delivery_ends_only_with_its_consumers_word",
        (
            Change(
                CONSUMER,
                "                await handler(session, event, now=now)\n",
                "                early = Receipt(municipality=envelope.municipality, event_id=envelope.event_id,\n"
                "                                consumer=envelope.consumer, outcome='applied')\n"
                "                await self._send_receipt(envelope.publisher, early)\n"
                "                await handler(session, event, now=now)\n",
            ),
        ),
    ),
    "what was sealed is blanked": Guard(
        1,
        "a_delivery_ends_only_with_its_consumers_word",
        (
            Change(
                "shared/messaging/receipts.py",
                "        await session.execute(text(_BLANK.format(schema=db.service)), names)\n",
                "",
            ),
        ),
    ),
    "what is due goes with its work": Guard(
        92,
        "what_must_happen_is_due",
        (
            Change(
                DUE,
                "            if await self._finish.row(session, mine) is not None:\n",
                "            is_mine = await self._finish.row(session, mine) is not None\n"
                "        async with self._db.begin(municipality) as session:\n"
                "            if is_mine:\n",
            ),
        ),
    ),
    "what has no receipt is published again": Guard(
        None,
        "everything_has_arrived",
        (
            Change(
                RELAY,
                "AND d.attempts > 0\n              AND d.next_publish_at <= :now",
                "AND d.attempts < 0\n              AND d.next_publish_at <= :now",
            ),
        ),
    ),
    "what is new goes out whatever its time says": Guard(
        None,
        "nothing_waits_for_long",
        (
            Change(
                RELAY,
                "WHERE d.bulk = lane.bulk AND d.acked_at IS NULL AND d.attempts = 0\n",
                "WHERE d.bulk = lane.bulk AND d.acked_at IS NULL AND d.attempts = 0 AND d.next_publish_at <= :now\n",
            ),
        ),
    ),
    "one sealer at a time": Guard(
        None,
        "ledger_chain_pkey",
        (
            Change(
                "shared/ledger/sealer.py",
                "if not (await session.execute(self._lock, town)).scalar_one():",
                "if False:",
            ),
        ),
    ),
    "what a ledger notes is published": Guard(
        None,
        "every_entry_was_published",
        (Change(
                "shared/ledger/ledger.py",
                "told = [*(self._recorded(entry) for entry in entries), *events]",
                "told = [*(self._recorded(entry) for entry in entries[1:]), *events]",
            ),),
    ),
    "notifications takes an appointment's higher versions only": Guard(
        13, "notifications.appointment", (ANY_VERSION_OF_AN_APPOINTMENT,)
    ),
    "notifications takes an application's higher versions only": Guard(
        None,
        "notifications.application",
        (
            Change(
                "services/notifications/commands/applications.py",
                "where=application.c.version < statement.excluded.version,",
                "",
            ),
        ),
    ),
    "notifications takes a contact's higher versions only": Guard(
        None,
        "notifications.contact_point",
        (
            Change(
                "services/notifications/commands/contacts.py",
                "    WHERE known.version < excluded.version\n",
                "",
            ),
        ),
    ),
    "routing takes an appointment's higher versions only": Guard(
        None,
        "routing.appointment",
        (
            Change(
                PROJECT,
                "excluded.helper, excluded.version)\n    WHERE known.version < excluded.version",
                "excluded.helper, excluded.version)",
            ),
        ),
    ),
    "routing takes higher versions of what is free only": Guard(
        None,
        "routing.availability",
        (
            Change(
                PROJECT,
                "excluded.as_of, excluded.version)\n    WHERE known.version < excluded.version",
                "excluded.as_of, excluded.version)",
            ),
        ),
    ),
    "booking takes an account's higher versions only": Guard(
        None,
        "booking.helper",
        (
            Change(
                "services/booking/commands/roster.py",
                '    WHERE helper.version < excluded.version\n    RETURNING helper_ref\n""")\n# Kept',
                '    RETURNING helper_ref\n""")\n# Kept',
            ),
        ),
    ),
    # One of them without the others breaks nothing: the others stand.
    "inbox, version check and a notice's key": Guard(
        None,
        "a_state_is_told_once",
        (
            INBOX_CLAIM,
            ANY_VERSION_OF_AN_APPOINTMENT,
            Change(
                "services/notifications/migrations/versions/0001_first.py",
                "            UNIQUE (municipality, appointment_id, kind, occasion),\n",
                "            CHECK (true),\n",
            ),
        ),
    ),
    "a notice in flight is left alone": Guard(
        None,
        "what_was_accepted_is_not_tried_again",
        (
            Change(
                DUE,
                "                      AND (d.leased_until IS NULL OR d.leased_until <= :lapsed)\n",
                "",
            ),
            Change(
                ATTEMPTS,
                "in_flight=known is not None and known.open_until is not None and known.open_until > lapsed,",
                "in_flight=False,",
            ),
        ),
    ),
    "an appointment that is over has no way in": Guard(
        None,
        "what_is_over_is_forgotten",
        (Change(FOLLOW, "excluded.state = ANY (CAST(:ended AS text[]))", "excluded.state = ANY ('{}')"),),
    ),
    "what is held is not free": Guard(16, "a_hold_is_kept", (HELD_IS_FREE, NO_TRIGGER)),
    "the database keeps what is held": Guard(None, "place is held by another visit", (HELD_IS_FREE,)),
    "a hold that is over is free": Guard(
        None,
        "were free",
        (Change(HOLDS, FREE, 'FREE_PREDICATE = "p.appointment_id IS NULL AND p.held_until IS NULL"'),),
    ),
    "places": Guard(
        None,
        "race",
        (
            Change(HOLDS, FREE, 'FREE_PREDICATE = "true"'),
            NO_TRIGGER,
            Change(
                BOOKING_SCHEMA,
                "CREATE UNIQUE INDEX appointment_one_per_place_idx",
                "CREATE INDEX appointment_one_per_place_idx",
            ),
        ),
    ),
    "so many appointments ahead and no more": Guard(
        13,
        "limit",
        (
            Change(
                BOOK,
                "AND (SELECT appointments FROM ahead) < CAST(:max_open_appointments AS integer)\n",
                "AND CAST(:max_open_appointments AS integer) > 0\n",
            ),
        ),
    ),
    "one person's bookings wait for one another": Guard(
        13,
        "limit",
        (
            Change(
                BOOK,
                "pg_advisory_xact_lock(hashtextextended('open_appointments/'",
                "abs(hashtextextended('open_appointments/'",
            ),
        ),
    ),
    "a helper is in one appointment at a time": Guard(
        52,
        "no_helper_is_in_two_appointments_at_once",
        (
            Change(
                "services/booking/migrations/versions/0004_helpers.py",
                "EXCLUDE USING gist\n        (municipality WITH =, helper_ref WITH =, during WITH &&)"
                " WHERE (state IN ('asked', 'accepted')));",
                "CHECK (true));",
            ),
        ),
    ),
    "what is held is given back when it closes": Guard(
        205,
        "nobody_holds_what_is_closed",
        (Change(CLOSINGS, "    await session.execute(_RELEASE_HOLDS, times)\n", ""),),
    ),
    "whom a closing covers is asked": Guard(
        220,
        "whom_a_closing_covers_is_asked",
        (
            Change(
                CLOSINGS,
                "    asking = [Due(CLOSING, str(closed.closing_id), now), *again]\n",
                "    asking = again\n",
            ),
        ),
    ),
    "a key gets its answer": Guard(
        None,
        "idempotency",
        (Change("services/booking/commands/keyed.py", "if taken.one_or_none() is not None:", "if True:"),),
    ),
    "a pass opens once": Guard(
        15,
        "pass: opened a second time",
        (
            Change(
                VISITS,
                '"pass_id": ticket.pass_id,\n            "guest_ref"',
                '"pass_id": uuid4(),\n            "guest_ref"',
            ),
        ),
    ),
    "a pass is its browser's": Guard(
        5,
        "pass: opened a second time",
        (
            Change(VISITS, "    if ticket.guest_ref != visitor:\n", "    if False:\n"),
            Change(VISITS, "    if known.guest_ref != visitor:\n", "    if False:\n"),
        ),
    ),
    "a draft ends with its booking": Guard(
        3,
        "what_is_over_is_forgotten",
        (Change(BOOK, "code_sealed = :code_sealed, draft_sealed = NULL", "code_sealed = :code_sealed"),),
    ),
}  # fmt: skip


def breaks_without(name: str, guard: Guard, *, search: bool) -> bool:
    """Run the guard's seed, or all until one breaks, without the guard. Raises ValueError if it is not where it was."""
    first, count = (SEEDS.start, len(SEEDS)) if search or guard.seed is None else (guard.seed, 1)
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(first), "--count", str(count)]
    with copy_with(guard.changes) as copy:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    report = re.search(r"^seed (\d+) step .*$", done.stderr, re.MULTILINE)
    holds = done.returncode == 1 and report is not None and guard.broken in report[0]
    said = report[0][:300] if report else done.stderr[-2000:]
    print(f"{'breaks' if holds else 'DOES NOT BREAK'} without: {name}: {said}", flush=True)
    return holds


def main() -> int:
    """Try the named guards, or all; return how many seeds did not break as they should."""
    parser = argparse.ArgumentParser(prog="tests.simulation.guards", description=__doc__)
    parser.add_argument("--search", action="store_true", help="look for a seed that breaks")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    names = given.names or list(GUARDS)
    return sum(not breaks_without(name, GUARDS[name], search=given.search) for name in names)


if __name__ == "__main__":
    sys.exit(main())
