"""What must hold after every step, each with the sentence of `DESIGN.md` that it guards, as SQL that finds a breach.

The parameter `$1` is the town. One statement asks all of them at once, on a connection that sees all schemas. Of what
only grows (outbox, inbox, deliveries), those ask that look at one row after another look only at what was written in
a transaction from `$2` on: the one after which they were asked last, or 0 for everything, at rest.
"""

from collections.abc import Callable
from typing import Any

from shared.events.base import event_type
from shared.events.subscriptions import SERVICES, SUBSCRIPTIONS
from tests.simulation.town import SIGNS

INVARIANTS: list[Callable[[], str]] = []
# What a projection is called where it is kept, and what it is a projection of: table, key, columns that must agree.
_APPOINTMENT = ("state", "starts_at", "ends_at", "counter", "office", "helper", "number", "contact_ref", "case_id")
PROJECTIONS = (
    ("routing.appointment", "appointment_id", "booking.appointment", "appointment_id", _APPOINTMENT[:7]),
    ("notifications.appointment", "appointment_id", "booking.appointment", "appointment_id", _APPOINTMENT),
    ("routing.availability", "counter", "booking.counter_version", "counter", ("earliest_at",)),
    ("notifications.application", "application_id", "routing.application", "application_id", ("state", "number")),
    ("notifications.contact_point", "contact_ref", "routing.contact", "contact_ref", ()),
    ("booking.town_facts", "municipality", "routing.catalogue", "municipality", ()),
    ("notifications.catalogue_town", "municipality", "routing.catalogue", "municipality", ()),
    ("booking.helper", "helper_ref", "routing.account", "replace(owner.account_id::text, '-', '')", ()),
)
# Whose versions are published one by one: table, key, and the events that tell them.
AGGREGATES = (
    ("booking", "appointment", "appointment_id", "booking.appointment_%"),
    ("booking", "counter_version", "counter", "booking.availability_%"),
    ("routing", "application", "application_id", "routing.application_%"),
    ("routing", "contact", "contact_ref", "routing.contact_%"),
    ("routing", "catalogue", "municipality", "routing.catalogue_%"),
    ("routing", "account", "replace(owner.account_id::text, '-', '')", "routing.account_%"),
)


def invariant(find: Callable[[], str]) -> Callable[[], str]:
    """`find` returns the SQL of the rows that break it; its name is what the report calls it."""
    INVARIANTS.append(find)
    return find


@invariant
def no_place_is_taken_twice() -> str:
    """§5: "The database makes an oversold slot impossible even with the application's checks removed"."""
    return """SELECT slot_id FROM booking.appointment
        WHERE municipality = $1 AND state <> 'cancelled' AND slot_id IS NOT NULL
        GROUP BY slot_id, place_no HAVING count(*) > 1"""


@invariant
def no_slot_is_oversold() -> str:
    """§5: "one row per place. Free → held until t → booked is an update of that row"."""
    return """SELECT s.slot_id FROM booking.slot s
        JOIN booking.appointment a ON (a.municipality, a.slot_id) = (s.municipality, s.slot_id)
        WHERE s.municipality = $1 AND a.state <> 'cancelled' GROUP BY s.slot_id, s.capacity HAVING count(*) > s.capacity
        UNION ALL
        SELECT s.slot_id FROM booking.slot s JOIN booking.place p USING (municipality, slot_id)
        WHERE s.municipality = $1 GROUP BY s.slot_id, s.capacity HAVING count(*) <> s.capacity"""


@invariant
def an_appointment_and_its_place_agree() -> str:
    """§5: "held and booked all or nothing"."""
    return """SELECT a.appointment_id FROM booking.appointment a
        FULL JOIN (SELECT * FROM booking.place
                   WHERE municipality = $1 AND appointment_id IS NOT NULL AND part = 1) p
          ON (p.municipality, p.appointment_id, p.slot_id, p.place_no)
           = (a.municipality, a.appointment_id, a.slot_id, a.place_no)
        WHERE coalesce(a.municipality, p.municipality) = $1 AND coalesce(a.kind, 'booked') = 'booked'
          AND (a.appointment_id IS NOT NULL AND a.state <> 'cancelled') <> (p.appointment_id IS NOT NULL)
        UNION ALL
        SELECT a.appointment_id FROM booking.appointment a
        WHERE a.municipality = $1 AND a.kind = 'booked' AND a.state <> 'cancelled'
          AND a.parts <> (SELECT count(*) FROM booking.place p
                          WHERE p.municipality = a.municipality AND p.appointment_id = a.appointment_id)"""


@invariant
def nobody_holds_what_is_closed() -> str:
    """0026: closing "gives back what is only held there", and nobody takes a place then."""
    return """SELECT p.slot_id FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
        JOIN booking.closing c ON c.municipality = s.municipality AND c.reopened_at IS NULL
          AND (c.counter IS NULL OR c.counter = s.counter) AND c.during && tstzrange(s.starts_at, s.ends_at)
        WHERE p.municipality = $1 AND p.hold_id IS NOT NULL AND s.ends_at > c.closed_at AND p.audience <> 'draw'"""


@invariant
def whom_a_closing_covers_is_asked() -> str:
    """0026: "Nobody is left out": until all are asked, the closing is due. Who was here and is taken back was seen."""
    return """SELECT a.appointment_id FROM booking.appointment a
        JOIN booking.closing c ON c.municipality = a.municipality AND c.reopened_at IS NULL
          AND (c.counter IS NULL OR c.counter = a.counter) AND c.during && tstzrange(a.starts_at, a.ends_at)
        WHERE a.municipality = $1 AND a.state = 'booked' AND a.closing_id IS NULL AND a.starts_at > c.closed_at
          AND a.changed_at < c.closed_at AND NOT EXISTS (
            SELECT 1 FROM booking.due d
            WHERE (d.municipality, d.kind, d.ref) = (a.municipality, 'closing', c.closing_id::text))"""


@invariant
def what_is_offered_is_kept() -> str:
    """0026: "An offered place is a hold", its owner's until its time is over, and nobody's when the offer has ended."""
    return """SELECT coalesce(o.offer_id, p.hold_id) FROM (
            SELECT * FROM booking.offered_place WHERE municipality = $1 AND state = 'open') o
        FULL JOIN (SELECT * FROM booking.place WHERE municipality = $1 AND held_by = 'offer') p
          ON p.hold_id = o.offer_id
        LEFT JOIN booking.place now ON (now.municipality, now.slot_id, now.place_no)
                                     = (o.municipality, o.slot_id, o.place_no)
        WHERE o.offer_id IS NULL OR (p.hold_id IS NULL AND now.changed_at < o.until)"""


@invariant
def a_visit_makes_one_whole_appointment_or_none() -> str:
    """§5: "A double tap, a retry, or a back button makes one appointment"; with its way in, its ledger, its event."""
    return """SELECT a.visit_id FROM booking.appointment a
        LEFT JOIN booking.access x USING (municipality, appointment_id)
        WHERE a.municipality = $1 AND a.kind = 'booked'
        GROUP BY a.visit_id HAVING count(DISTINCT a.appointment_id) > 1 OR count(x.appointment_id) <> 1
        UNION ALL
        SELECT v.visit_id FROM booking.visit v
        LEFT JOIN booking.appointment a
          ON (a.municipality, a.appointment_id, a.visit_id) = (v.municipality, v.appointment_id, v.visit_id)
        WHERE v.municipality = $1 AND v.appointment_id IS NOT NULL AND a.visit_id IS NULL"""


@invariant
def no_helper_is_in_two_appointments_at_once() -> str:
    """§5: "no overlap per helper (exclusion constraint)"."""
    return """SELECT a.assignment_id FROM booking.assignment a JOIN booking.assignment b
          ON (b.municipality, b.helper_ref) = (a.municipality, a.helper_ref) AND b.assignment_id > a.assignment_id
        WHERE a.municipality = $1 AND a.state IN ('asked', 'accepted') AND b.state IN ('asked', 'accepted')
          AND a.during && b.during
        UNION ALL
        SELECT a.appointment_id FROM booking.appointment a
        LEFT JOIN booking.assignment s ON (s.municipality, s.appointment_id) = (a.municipality, a.appointment_id)
          AND s.state = a.helper
        WHERE a.municipality = $1 AND a.state = 'booked' AND a.helper <> 'none'
        GROUP BY a.appointment_id HAVING count(s.assignment_id) <> 1"""


@invariant
def every_version_was_told_once() -> str:
    """§3: "A command writes its rows, its ledger entries, `outbox` and one `delivery` per subscriber in one
    transaction"; "an event carries its aggregate's whole public state and version"."""
    return _union(
        f"""SELECT {_of("owner", key)}::text
        FROM {schema}.{table} owner LEFT JOIN {schema}.outbox o
          ON o.municipality = owner.municipality AND o.type LIKE '{kind}'
         AND o.aggregate_id = {_of("owner", key)}::text
        WHERE owner.municipality = $1 GROUP BY owner.municipality, {_of("owner", key)}, owner.version
        HAVING count(o.event_id) <> owner.version OR count(DISTINCT o.aggregate_version) <> owner.version
            OR max(o.aggregate_version) <> owner.version"""
        for schema, table, key, kind in AGGREGATES
    )


@invariant
def every_event_has_its_deliveries() -> str:
    """§3: "one `delivery(event_id, consumer, …)` per subscriber in one transaction"."""
    expected = " ".join(f"WHEN '{event_type(kind)}' THEN {len(to)}" for kind, to in SUBSCRIPTIONS.items())
    return _union(
        f"""SELECT o.event_id::text FROM {service}.outbox o
        WHERE o.municipality = $1 AND {_new("o")} AND CASE o.type {expected} END <> (
            SELECT count(*) FROM {service}.delivery d
            WHERE (d.municipality, d.event_id) = (o.municipality, o.event_id))"""
        for service in SERVICES
    )


@invariant
def an_event_takes_effect_at_most_once() -> str:
    """§3: "in one transaction it claims `(consumer, event_id)`, applies"; applied is what took effect, and no more.

    `simulation.effect` has a row for every time that a handler's transaction was committed.
    """
    return _union(
        f"""SELECT touched.event_id::text FROM (
            SELECT event_id FROM {service}.inbox i WHERE i.municipality = $1 AND {_new("i")}
            UNION SELECT event_id FROM simulation.effect e
            WHERE e.municipality = $1 AND e.consumer = '{service}' AND {_new("e")}) AS touched
        LEFT JOIN {service}.inbox i ON i.municipality = $1 AND i.event_id = touched.event_id
        WHERE CASE WHEN i.outcome = 'applied' THEN 1 ELSE 0 END <> (
            SELECT count(*) FROM simulation.effect e
            WHERE e.municipality = $1 AND e.event_id = touched.event_id AND e.consumer = '{service}')"""
        for service in SERVICES
    )


@invariant
def a_delivery_ends_only_with_its_consumers_word() -> str:
    """§3: "It ends only when the receipt arrives"; and what was sealed is "blanked in the outbox once acknowledged"."""
    return _union(
        f"""SELECT d.event_id::text FROM {publisher}.delivery d
        JOIN {publisher}.outbox o ON (o.municipality, o.event_id) = (d.municipality, d.event_id)
        WHERE d.municipality = $1 AND {_new("d")} AND d.acked_at IS NOT NULL
          AND (o.sealed_for = d.consumer AND o.sealed IS NOT NULL
               OR d.outcome IS DISTINCT FROM CASE d.consumer {_outcomes()} END)"""
        for publisher in SERVICES
    )


@invariant
def no_projection_is_ahead_of_its_owner() -> str:
    """§3: "a projection applies higher versions and ignores lower ones": what it says, its owner has said."""
    return _union(
        f"""SELECT p.{key}::text FROM {table} p
        LEFT JOIN {owner_table} owner ON owner.municipality = p.municipality AND {_of("owner", owner)} = p.{key}
        WHERE p.municipality = $1 AND (owner.version IS NULL OR p.version > owner.version {_differing(columns)})"""
        for table, key, owner_table, owner, columns in PROJECTIONS
    )


@invariant
def a_state_is_told_once() -> str:
    """§3: "notices follow the newest state, at most one per kind and version"."""
    return """SELECT notice_id::text FROM (
            SELECT min(notice_id::text) AS notice_id FROM notifications.notice
            WHERE municipality = $1 AND kind <> 'reminder'
            GROUP BY appointment_id, application_id, told_id, kind, appointment_version HAVING count(*) > 1
            UNION ALL
            SELECT min(notice_id::text) FROM notifications.notice
            WHERE municipality = $1
            GROUP BY appointment_id, application_id, told_id, kind, occasion HAVING count(*) > 1) AS twice"""


@invariant
def what_must_happen_is_due() -> str:
    """§2: loops claim their work from `due`; §3: "retry state, delays, reminders … live in PostgreSQL".

    Whatever is left to do has its row until it is done: a row that went before its work was done is work lost.
    """
    return """SELECT 'look again ' || c.counter FROM booking.counter_version c
        WHERE c.municipality = $1 AND NOT EXISTS (
            SELECT 1 FROM booking.due d WHERE d.municipality = $1 AND d.ref = c.counter
              AND d.kind IN ('availability', 'availability_check'))
        UNION ALL
        SELECT 'end visit' FROM booking.visit v
        WHERE v.municipality = $1 AND (v.draft_sealed IS NOT NULL OR v.code_sealed IS NOT NULL) AND NOT EXISTS (
            SELECT 1 FROM booking.due d
            WHERE (d.municipality, d.kind, d.ref) = ($1, 'end_visit', v.visit_id::text))
        UNION ALL
        SELECT 'ask the next helper' FROM booking.assignment s
        JOIN booking.appointment a USING (municipality, appointment_id)
        WHERE s.municipality = $1 AND s.state = 'asked' AND a.state = 'booked' AND NOT EXISTS (
            SELECT 1 FROM booking.due d
            WHERE (d.municipality, d.kind, d.ref) = ($1, 'helper_answer', s.assignment_id::text))
        UNION ALL
        SELECT 'decline ' || o.item FROM routing.offer o
        WHERE o.municipality = $1 AND o.state IN ('offered', 'previewed') AND NOT EXISTS (
            SELECT 1 FROM routing.due d WHERE (d.municipality, d.kind, d.ref) = ($1, 'offers_expired', o.case_id::text))
        UNION ALL
        SELECT 'forget a contact' FROM routing.case_file c
        WHERE c.municipality = $1 AND c.contact_sealed IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM routing.due d WHERE (d.municipality, d.kind, d.ref) = ($1, 'contact_draft', c.case_id::text))
        UNION ALL
        SELECT 'forget the way in' FROM notifications.appointment a
        WHERE a.municipality = $1 AND a.access_sealed IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM notifications.due d
            WHERE (d.municipality, d.kind, d.ref) = ($1, 'forget', a.appointment_id::text))
        UNION ALL
        SELECT 'send ' || n.kind FROM notifications.notice n
        WHERE n.municipality = $1 AND n.state IN ('pending', 'sending', 'unknown') AND NOT EXISTS (
            SELECT 1 FROM notifications.due d WHERE d.municipality = $1 AND d.kind IN ('send', 'send_bulk')
              AND d.ref = n.notice_id::text)"""


@invariant
def what_is_over_is_forgotten() -> str:
    """§4: a draft "lives as long as the visit"; §2: access codes and links only where they still open something."""
    return """SELECT visit_id FROM booking.visit
        WHERE municipality = $1 AND appointment_id IS NOT NULL AND draft_sealed IS NOT NULL
        UNION ALL
        SELECT appointment_id FROM notifications.appointment
        WHERE municipality = $1 AND state IN ('done', 'no_show', 'cancelled') AND access_sealed IS NOT NULL"""


@invariant
def every_entry_was_published() -> str:
    """§4: "Each entry is also published (`reuse_recorded`: item names, no values)"."""
    return _union(
        f"""SELECT e.entry_id::text FROM {service}.ledger_entry e
        WHERE e.municipality = $1 AND {_new("e")} AND NOT EXISTS (
            SELECT 1 FROM {service}.outbox o WHERE o.municipality = $1 AND o.aggregate_id = e.entry_id::text)"""
        for service in SERVICES
    )


@invariant
def what_was_accepted_is_not_tried_again() -> str:
    """§6: "claim with a lease, no transaction open during the provider call, outcome recorded"."""
    return """SELECT a.notice_id FROM notifications.attempt a JOIN notifications.attempt b
          ON (b.municipality, b.notice_id) = (a.municipality, a.notice_id) AND b.attempt_no <> a.attempt_no
        WHERE a.municipality = $1 AND a.outcome = 'accepted' AND (b.attempt_no > a.attempt_no OR b.outcome = 'accepted')
        UNION ALL
        SELECT notice_id FROM notifications.attempt WHERE municipality = $1 AND outcome IS NULL
        GROUP BY notice_id HAVING count(*) > 1"""


@invariant
def the_chain_of_a_ledger_has_no_gap() -> str:
    """§4: "`chain(seq, entry_id, prev_hash, entry_hash)`, written … by one sealer"."""
    return _union(
        f"""SELECT seq::text FROM (
            SELECT seq, prev_hash, row_number() OVER (ORDER BY seq) AS expected,
                   lag(entry_hash, 1, repeat('0', 64)) OVER (ORDER BY seq) AS before
            FROM {service}.ledger_chain WHERE municipality = $1) AS link
        WHERE seq <> expected OR prev_hash <> before"""
        for service in SERVICES
    )


@invariant
def what_is_applied_was_approved() -> str:
    """§4: "only then are they applied"; "`applied`, citing the approval, is written when the booking commits"."""
    applied = " UNION ALL ".join(
        f"SELECT municipality, subject_ref, correlation, items, entry_id FROM {service}.ledger_entry "
        f"WHERE municipality = $1 AND entry_type = 'applied' AND {which}"
        for service, which in (("routing", "target_step = 'form'"), ("booking", "true"), ("notifications", "true"))
    )
    # One approval is an entry for each source that its items came from.
    return f"""SELECT used.entry_id::text FROM ({applied}) AS used CROSS JOIN LATERAL unnest(used.items) AS item
        WHERE NOT EXISTS (
            SELECT 1 FROM routing.ledger_entry yes
            WHERE yes.municipality = $1 AND yes.entry_type = 'approved' AND yes.subject_ref = used.subject_ref
              AND yes.correlation = used.correlation AND item = ANY (yes.items))"""


@invariant
def what_is_kept_was_approved() -> str:
    """§4: "Declining costs nothing: … empty field"; a value that nobody approved is nowhere but in the vault."""
    return """SELECT a.appointment_id::text FROM booking.appointment a
        CROSS JOIN LATERAL (VALUES ('name', a.name_sealed), ('kana', a.kana_sealed)) AS kept(item, sealed)
        WHERE a.municipality = $1 AND kept.sealed IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM booking.ledger_entry used WHERE used.municipality = $1 AND used.entry_type = 'applied'
              AND used.source_case = a.case_id AND kept.item = ANY (used.items))
        UNION ALL
        SELECT c.contact_ref::text FROM notifications.contact_point c
        JOIN notifications.contact_way w USING (municipality, contact_ref)
        WHERE c.municipality = $1 AND NOT EXISTS (
            SELECT 1 FROM routing.ledger_entry yes WHERE yes.municipality = $1 AND yes.entry_type = 'approved'
              AND yes.correlation = c.approval_id AND yes.items = ARRAY['contact'])"""


@invariant
def nobody_is_readable_on_the_way() -> str:
    """§3: "No name, address, phone, e-mail or free text in an event, a message, a URL or a log"."""
    signs = "|".join(sign.replace("+", r"\+") for sign in SIGNS)
    return (
        _union(
            f"""SELECT event_id::text FROM {service}.outbox
            WHERE municipality = $1 AND {_new("outbox")}
              AND (convert_from(payload, 'UTF8') ~ '{signs}' OR sealed ~ '{signs}')
        UNION ALL SELECT event_id::text FROM {service}.dead_letter
            WHERE municipality = $1 AND convert_from(payload, 'UTF8') || reason ~ '{signs}'
        UNION ALL SELECT ref FROM {service}.due WHERE municipality = $1 AND ref ~ '{signs}'"""
            for service in SERVICES
        )
        + f" UNION ALL SELECT key FROM booking.idempotency WHERE municipality = $1 AND response::text ~ '{signs}'"
    )


def all_at_once() -> str:
    """One statement that returns (invariant, detail) of every breach."""
    return " UNION ALL ".join(
        f"SELECT '{find.__name__}' AS name, broken.detail::text FROM ({find()}) AS broken(detail)"
        for find in INVARIANTS
    )


def _new(alias: str) -> str:
    return f"{alias}.xmin::text::bigint >= $2"


def _outcomes() -> str:
    return " ".join(
        f"WHEN '{name}' THEN (SELECT outcome FROM {name}.inbox i WHERE i.municipality = $1 AND i.event_id = d.event_id)"
        for name in SERVICES
    )


def _union(parts: Any) -> str:
    return " UNION ALL ".join(parts)


def _of(alias: str, key: str) -> str:
    return key if "(" in key else f"{alias}.{key}"


def _differing(columns: tuple[str, ...]) -> str:
    if not columns:
        return ""
    ours, theirs = (", ".join(f"{alias}.{column}" for column in columns) for alias in ("p", "owner"))
    return f"OR p.version = owner.version AND ({ours}) IS DISTINCT FROM ({theirs})"
