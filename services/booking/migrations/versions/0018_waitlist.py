"""The waitlist: who waits for an earlier time than their own, and the places that are offered for it."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0018", "0017", None, None

WAITING = """
CREATE TABLE booking.waiting (
    municipality text NOT NULL, appointment_id uuid NOT NULL, first_day date NOT NULL, last_day date NOT NULL,
    weekdays integer[] NOT NULL, part text NOT NULL, counter text, joined_at timestamptz NOT NULL,
    CONSTRAINT waiting_pkey PRIMARY KEY (municipality, appointment_id),
    CONSTRAINT waiting_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id),
    CONSTRAINT waiting_days_check CHECK (first_day <= last_day),
    CONSTRAINT waiting_weekdays_check CHECK (cardinality(weekdays) > 0 AND weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7]),
    CONSTRAINT waiting_part_check CHECK (part IN ('any', 'morning', 'afternoon')))
"""
OFFERS = (
    """ALTER TABLE booking.offered_place ADD COLUMN cause text NOT NULL DEFAULT 'closing'
        CONSTRAINT offered_place_cause_check CHECK (cause IN ('closing', 'waiting'))""",
    "ALTER TABLE booking.offered_place DROP CONSTRAINT offered_place_state_check",
    """ALTER TABLE booking.offered_place ADD CONSTRAINT offered_place_state_check CHECK (
        state IN ('open', 'taken', 'lapsed', 'withdrawn', 'declined'))""",
    # Whatever is done twice: nobody is offered the same earlier time again.
    """CREATE UNIQUE INDEX offered_place_once_idx ON booking.offered_place (municipality, appointment_id, slot_id)
        WHERE cause = 'waiting'""",
)
# Whoever waits has a time of their own, and waits for an earlier one. The lock: nobody is moving it meanwhile.
GUARD_WAITING = """
CREATE FUNCTION booking.guard_waiting() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
DECLARE
    own record;
BEGIN
    SELECT a.state, a.day, a.chain_id INTO own FROM booking.appointment a
    WHERE a.municipality = NEW.municipality AND a.appointment_id = NEW.appointment_id FOR SHARE;
    IF own.state IS DISTINCT FROM 'booked' OR own.chain_id IS NOT NULL OR NEW.last_day > own.day THEN
        RAISE EXCEPTION 'this is not waiting for an earlier time'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'waiting_guard_earlier';
    END IF;
    RETURN NEW;
END $$
"""
# What is offered is earlier than what they have, and can be booked until the very end of the offer.
GUARD_OFFER = """
CREATE FUNCTION booking.guard_waiting_offer() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
DECLARE
    found_times record;
BEGIN
    SELECT s.starts_at AS offered, a.starts_at AS own, a.state,
           make_interval(mins => coalesce(p.notice_min, r.notice_min, 0)) AS notice INTO found_times
    FROM booking.slot s
    JOIN booking.appointment a ON a.municipality = s.municipality AND a.appointment_id = NEW.appointment_id
    LEFT JOIN booking.procedure p ON p.municipality = a.municipality AND p.code = a.procedure
    LEFT JOIN booking.booking_rules r ON r.municipality = a.municipality
    WHERE s.municipality = NEW.municipality AND s.slot_id = NEW.slot_id;
    IF found_times.state IS DISTINCT FROM 'booked' OR found_times.offered >= found_times.own THEN
        RAISE EXCEPTION 'this is no earlier time'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offered_place_guard_earlier';
    END IF;
    IF NEW.until > found_times.offered - found_times.notice THEN
        RAISE EXCEPTION 'the offer would end within the notice'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'offered_place_guard_notice';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER guard_waiting BEFORE INSERT OR UPDATE ON booking.waiting
    FOR EACH ROW EXECUTE FUNCTION booking.guard_waiting()""",
    """CREATE TRIGGER guard_waiting_offer BEFORE INSERT OR UPDATE OF appointment_id, slot_id, until, cause
    ON booking.offered_place
    FOR EACH ROW WHEN (NEW.cause = 'waiting') EXECUTE FUNCTION booking.guard_waiting_offer()""",
)


def upgrade() -> None:
    for statement in (WAITING, *row_level_security("booking", "waiting"), *OFFERS):
        op.execute(statement)
    for statement in (GUARD_WAITING, GUARD_OFFER, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_waiting_offer ON booking.offered_place")
    op.execute("DROP TABLE booking.waiting")
    for function in ("guard_waiting", "guard_waiting_offer"):
        op.execute(f"DROP FUNCTION booking.{function}()")
    op.execute("DROP INDEX booking.offered_place_once_idx")
    # The version before knows no offers of this kind: their places are free when the hold is over.
    op.execute("""UPDATE booking.offered_place SET state = 'lapsed', ended_at = coalesce(ended_at, until)
        WHERE state = 'declined' OR (cause = 'waiting' AND state = 'open')""")
    op.execute("ALTER TABLE booking.offered_place DROP CONSTRAINT offered_place_state_check")
    op.execute("""ALTER TABLE booking.offered_place ADD CONSTRAINT offered_place_state_check CHECK (
        state IN ('open', 'taken', 'lapsed', 'withdrawn'))""")
    op.execute("ALTER TABLE booking.offered_place DROP COLUMN cause")
