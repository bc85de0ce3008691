"""A place that is offered for an earlier time keeps the notice of everything that is done in the appointment."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0025", "0024", None, None

# As in 0018, but for the notice.
GUARD_OFFER = """
CREATE OR REPLACE FUNCTION booking.guard_waiting_offer() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
DECLARE
    found_times record;
BEGIN
    SELECT s.starts_at AS offered, a.starts_at AS own, a.state, make_interval(mins => {notice}) AS notice
    INTO found_times
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
OF_PROCEDURE = "coalesce(p.notice_min, r.notice_min, 0)"
STRICTEST = f"""greatest({OF_PROCEDURE}, (
        SELECT max(coalesce(k.notice_min, r.notice_min, 0)) FROM jsonb_array_elements(a.services) AS each
        JOIN booking.procedure k ON k.municipality = a.municipality AND k.code = each.value ->> 'procedure'))"""


def upgrade() -> None:
    op.execute(GUARD_OFFER.format(notice=STRICTEST))


def downgrade() -> None:
    op.execute(GUARD_OFFER.format(notice=OF_PROCEDURE))
