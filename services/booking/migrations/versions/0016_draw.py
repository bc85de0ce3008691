"""The draw: what is given out, who entered, what was drawn; and places that nobody books past it."""

from alembic import op

from shared.db import row_level_security
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0016", "0015", None, None

TABLES = ("draw", "draw_session", "draw_entry", "draw_result", "draw_passed_on")
WRITTEN_ONCE = ("draw_session", "draw_result", "draw_passed_on")

DRAWS = """
CREATE TABLE booking.draw (
    municipality text NOT NULL, draw_id uuid NOT NULL, title_ja text NOT NULL, procedure text NOT NULL,
    counter text NOT NULL, opens_at timestamptz NOT NULL, closes_at timestamptz NOT NULL,
    seed_commitment bytea NOT NULL, seed_sealed bytea NOT NULL, wrapped_key bytea, seed bytea, entries_digest bytea,
    state text NOT NULL, announced_at timestamptz NOT NULL, drawn_at timestamptz,
    CONSTRAINT draw_pkey PRIMARY KEY (municipality, draw_id),
    CONSTRAINT draw_window_check CHECK (announced_at <= opens_at AND opens_at < closes_at),
    CONSTRAINT draw_state_check CHECK (state IN ('announced', 'drawn')),
    CONSTRAINT draw_drawn_whole_check CHECK (
        (state = 'drawn') = (seed IS NOT NULL) AND (seed IS NULL) = (entries_digest IS NULL)
        AND (seed IS NULL) = (drawn_at IS NULL)),
    CONSTRAINT draw_seed_check CHECK (
        length(seed_commitment) = 32 AND (seed IS NULL OR sha256(seed) = seed_commitment)));
CREATE INDEX draw_municipality_opens_at_idx ON booking.draw (municipality, opens_at);
CREATE TABLE booking.draw_session (
    municipality text NOT NULL, draw_id uuid NOT NULL, slot_id uuid NOT NULL, starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL, seats integer NOT NULL,
    CONSTRAINT draw_session_pkey PRIMARY KEY (municipality, draw_id, slot_id),
    CONSTRAINT draw_session_municipality_slot_id_key UNIQUE (municipality, slot_id),
    CONSTRAINT draw_session_municipality_draw_id_fkey FOREIGN KEY (municipality, draw_id)
        REFERENCES booking.draw (municipality, draw_id),
    CONSTRAINT draw_session_seats_check CHECK (seats > 0));
CREATE TABLE booking.draw_entry (
    municipality text NOT NULL, entry_id uuid NOT NULL, draw_id uuid NOT NULL, ticket text NOT NULL,
    state text NOT NULL, preferences uuid[] NOT NULL, came_by text NOT NULL, guest_ref text, subject_ref uuid,
    case_id uuid, contact_ref uuid, reach text NOT NULL, language text NOT NULL, draft_sealed bytea,
    passed_at timestamptz NOT NULL, code_hash bytea, code_sealed bytea, code_failures integer NOT NULL DEFAULT 0,
    locked_until timestamptz, entered_at timestamptz NOT NULL, changed_at timestamptz NOT NULL, appointment_id uuid,
    CONSTRAINT draw_entry_pkey PRIMARY KEY (municipality, entry_id),
    CONSTRAINT draw_entry_municipality_draw_id_fkey FOREIGN KEY (municipality, draw_id)
        REFERENCES booking.draw (municipality, draw_id),
    CONSTRAINT draw_entry_municipality_draw_id_ticket_key UNIQUE (municipality, draw_id, ticket),
    CONSTRAINT draw_entry_state_check CHECK (state IN ('entered', 'withdrawn')),
    CONSTRAINT draw_entry_preferences_check CHECK (cardinality(preferences) BETWEEN 1 AND 5),
    CONSTRAINT draw_entry_came_by_check CHECK (came_by IN ('web', 'phone', 'desk')),
    CONSTRAINT draw_entry_reach_check CHECK (reach IN ('email', 'sms', 'none')));
CREATE UNIQUE INDEX draw_entry_one_per_subject_idx ON booking.draw_entry (municipality, draw_id, subject_ref)
    WHERE state = 'entered';
CREATE UNIQUE INDEX draw_entry_one_per_guest_idx ON booking.draw_entry (municipality, draw_id, guest_ref)
    WHERE state = 'entered' AND came_by = 'web';
CREATE INDEX draw_entry_subject_idx ON booking.draw_entry (municipality, subject_ref) WHERE subject_ref IS NOT NULL;
CREATE INDEX draw_entry_case_idx ON booking.draw_entry (municipality, case_id) WHERE case_id IS NOT NULL;
CREATE TABLE booking.draw_result (
    municipality text NOT NULL, draw_id uuid NOT NULL, ticket text NOT NULL, rank integer NOT NULL, slot_id uuid,
    CONSTRAINT draw_result_pkey PRIMARY KEY (municipality, draw_id, ticket),
    CONSTRAINT draw_result_municipality_draw_id_rank_key UNIQUE (municipality, draw_id, rank),
    CONSTRAINT draw_result_municipality_draw_id_ticket_fkey FOREIGN KEY (municipality, draw_id, ticket)
        REFERENCES booking.draw_entry (municipality, draw_id, ticket));
CREATE TABLE booking.draw_passed_on (
    municipality text NOT NULL, draw_id uuid NOT NULL, ticket text NOT NULL, slot_id uuid NOT NULL,
    passed_at timestamptz NOT NULL,
    CONSTRAINT draw_passed_on_pkey PRIMARY KEY (municipality, draw_id, ticket),
    CONSTRAINT draw_passed_on_municipality_draw_id_ticket_fkey FOREIGN KEY (municipality, draw_id, ticket)
        REFERENCES booking.draw_result (municipality, draw_id, ticket));
"""

# What was announced stays; nothing is drawn before its time; what was drawn stays. (The seed fits its commitment by a
# CHECK.)
GUARD_DRAW = """
CREATE FUNCTION booking.guard_draw() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'an announced draw stays' USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_stays';
    END IF;
    IF (NEW.municipality, NEW.draw_id, NEW.title_ja, NEW.procedure, NEW.counter, NEW.opens_at, NEW.closes_at,
        NEW.seed_commitment, NEW.announced_at) IS DISTINCT FROM
       (OLD.municipality, OLD.draw_id, OLD.title_ja, OLD.procedure, OLD.counter, OLD.opens_at, OLD.closes_at,
        OLD.seed_commitment, OLD.announced_at) THEN
        RAISE EXCEPTION 'what was announced of a draw does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_announced';
    END IF;
    IF OLD.state = 'drawn' AND (NEW.state, NEW.seed, NEW.entries_digest, NEW.drawn_at) IS DISTINCT FROM
                               (OLD.state, OLD.seed, OLD.entries_digest, OLD.drawn_at) THEN
        RAISE EXCEPTION 'what was drawn does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_drawn';
    END IF;
    IF NEW.drawn_at < NEW.closes_at THEN
        RAISE EXCEPTION 'people can still enter' USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_early';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_draw BEFORE UPDATE OR DELETE ON booking.draw FOR EACH ROW EXECUTE FUNCTION booking.guard_draw();
"""
# The lock: whoever draws waits for those who are just entering, and who comes after sees that it is drawn.
GUARD_ENTRY = """
CREATE FUNCTION booking.guard_draw_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
DECLARE
    found_draw record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.draw_id, NEW.ticket, NEW.came_by, NEW.entered_at) IS DISTINCT FROM
           (OLD.draw_id, OLD.ticket, OLD.came_by, OLD.entered_at) THEN
            RAISE EXCEPTION 'a ticket stays what it is'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_entry_guard_ticket';
        END IF;
        IF (NEW.state, NEW.preferences) IS NOT DISTINCT FROM (OLD.state, OLD.preferences) THEN
            RETURN NEW;
        END IF;
    END IF;
    SELECT d.opens_at, d.closes_at, d.state INTO found_draw FROM booking.draw d
    WHERE d.municipality = NEW.municipality AND d.draw_id = NEW.draw_id FOR SHARE;
    -- Whoever does not come may always say so.
    IF TG_OP = 'UPDATE' AND NEW.state = 'withdrawn' AND NEW.preferences = OLD.preferences THEN
        RETURN NEW;
    END IF;
    IF found_draw.state IS DISTINCT FROM 'announced' OR NEW.changed_at < found_draw.opens_at
       OR NEW.changed_at >= found_draw.closes_at THEN
        RAISE EXCEPTION 'nobody can enter this draw now'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_entry_guard_window';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_draw_entry BEFORE INSERT OR UPDATE ON booking.draw_entry
    FOR EACH ROW EXECUTE FUNCTION booking.guard_draw_entry();
"""
# Sessions and results belong to a draw that is not drawn yet: nothing is added to one that is.
GUARD_PARTS = """
CREATE FUNCTION booking.guard_draw_part() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM booking.draw d WHERE d.municipality = NEW.municipality AND d.draw_id = NEW.draw_id
                   AND d.state = 'announced') THEN
        RAISE EXCEPTION 'this is drawn' USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_part';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_draw_part BEFORE INSERT ON booking.draw_session
    FOR EACH ROW EXECUTE FUNCTION booking.guard_draw_part();
CREATE TRIGGER guard_draw_part BEFORE INSERT ON booking.draw_result
    FOR EACH ROW EXECUTE FUNCTION booking.guard_draw_part();
"""
# Until it is drawn, its places are nobody's, and its places.
GUARD_PLACE = """
CREATE FUNCTION booking.guard_draw_place() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.audience = 'draw' AND NEW.hold_id IS NULL AND NEW.appointment_id IS NULL THEN
            RETURN NEW;
        END IF;
    END IF;
    IF EXISTS (SELECT 1 FROM booking.draw_session s JOIN booking.draw d USING (municipality, draw_id)
               WHERE s.municipality = OLD.municipality AND s.slot_id = OLD.slot_id AND d.state = 'announced') THEN
        RAISE EXCEPTION 'the place is given out by a draw'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_draw';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_draw_place BEFORE UPDATE OR DELETE ON booking.place
    FOR EACH ROW WHEN (OLD.audience = 'draw') EXECUTE FUNCTION booking.guard_draw_place();
"""
ERASED = """
CREATE TRIGGER guard_erased BEFORE INSERT OR UPDATE OF subject_ref ON booking.draw_entry
    FOR EACH ROW EXECUTE FUNCTION booking.guard_erased();
"""
AUDIENCE = "ALTER TABLE booking.place ADD CONSTRAINT place_audience_check CHECK (audience IN ({}))"


def upgrade() -> None:
    role = application_role(op.get_bind(), "booking")
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_audience_check")
    op.execute(AUDIENCE.format("'public', 'staff', 'closed', 'draw'"))
    for statement in DRAWS.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for guard in (GUARD_DRAW, GUARD_ENTRY, GUARD_PARTS, GUARD_PLACE):
        function, triggers = guard.split("END $$;")
        op.execute(function + "END $$")
        for trigger in triggers.split(";\n"):
            if trigger.strip():
                op.execute(trigger)
    op.execute(ERASED.strip().rstrip(";"))
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)
    for table in WRITTEN_ONCE:
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON booking.{table} FROM {role}")
    op.execute(f"REVOKE DELETE, TRUNCATE ON booking.draw FROM {role}")


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_draw_place ON booking.place")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE booking.{table}")
    for function in ("guard_draw", "guard_draw_entry", "guard_draw_part", "guard_draw_place"):
        op.execute(f"DROP FUNCTION booking.{function}()")
    # The version before gives such places out only by staff.
    op.execute("UPDATE booking.place SET audience = 'staff' WHERE audience = 'draw'")
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_audience_check")
    op.execute(AUDIENCE.format("'public', 'staff', 'closed'"))
