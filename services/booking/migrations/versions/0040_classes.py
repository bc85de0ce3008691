"""Classes (教室): one row per seat, so that none is oversold; and nobody of the helpers is in two places at once."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0040", "0039", None, None

TABLES = ("course", "course_session", "course_staff", "course_entry", "course_seat", "course_attendance")

CLASSES = (
    """
    CREATE TABLE booking.course (
        municipality text NOT NULL, course_id uuid NOT NULL, title_ja text NOT NULL, text_ja text NOT NULL,
        topics text[] NOT NULL, procedures text[] NOT NULL, venue text NOT NULL, seats integer NOT NULL,
        mode text NOT NULL, closes_at timestamptz NOT NULL, language text NOT NULL, fee_yen integer NOT NULL,
        state text NOT NULL, reason_ja text NOT NULL DEFAULT '', seed_commitment bytea, seed_sealed bytea,
        wrapped_key bytea, seed bytea, entries_digest bytea, made_at timestamptz NOT NULL,
        published_at timestamptz, drawn_at timestamptz, called_off_at timestamptz, changed_at timestamptz NOT NULL,
        CONSTRAINT course_pkey PRIMARY KEY (municipality, course_id),
        CONSTRAINT course_municipality_course_id_seats_key UNIQUE (municipality, course_id, seats),
        CONSTRAINT course_seats_check CHECK (seats BETWEEN 1 AND 200),
        CONSTRAINT course_fee_yen_check CHECK (fee_yen BETWEEN 0 AND 100000),
        CONSTRAINT course_mode_check CHECK (mode IN ('first_come', 'draw')),
        CONSTRAINT course_state_check CHECK (state IN ('draft', 'open', 'closed', 'called_off', 'over')),
        CONSTRAINT course_called_off_whole_check CHECK ((state = 'called_off') = (called_off_at IS NOT NULL)),
        CONSTRAINT course_published_whole_check
            CHECK (state IN ('draft', 'called_off') OR published_at IS NOT NULL),
        CONSTRAINT course_draw_whole_check CHECK (
            CASE WHEN mode = 'draw' THEN published_at IS NULL OR seed_commitment IS NOT NULL
                 ELSE seed_commitment IS NULL END
            AND (seed IS NULL) = (drawn_at IS NULL) AND (seed IS NULL) = (entries_digest IS NULL)
            AND (drawn_at IS NULL OR drawn_at >= closes_at)),
        CONSTRAINT course_seed_check CHECK (
            length(seed_commitment) = 32
            AND (seed IS NULL OR seed_commitment IS NOT NULL AND sha256(seed) = seed_commitment)))
    """,
    "CREATE INDEX course_municipality_state_idx ON booking.course (municipality, state)",
    """
    CREATE TABLE booking.course_session (
        municipality text NOT NULL, session_id uuid NOT NULL, course_id uuid NOT NULL,
        starts_at timestamptz NOT NULL, ends_at timestamptz NOT NULL, room_ja text NOT NULL, materials_ja text NOT NULL,
        CONSTRAINT course_session_pkey PRIMARY KEY (municipality, session_id),
        CONSTRAINT course_session_municipality_session_id_starts_at_ends_at_key
            UNIQUE (municipality, session_id, starts_at, ends_at),
        CONSTRAINT course_session_municipality_course_id_fkey
            FOREIGN KEY (municipality, course_id) REFERENCES booking.course (municipality, course_id),
        CONSTRAINT course_session_times_check CHECK (starts_at < ends_at))
    """,
    "CREATE INDEX course_session_course_idx ON booking.course_session (municipality, course_id, starts_at)",
    """
    CREATE TABLE booking.course_staff (
        municipality text NOT NULL, session_id uuid NOT NULL, helper_ref text NOT NULL, role text NOT NULL,
        starts_at timestamptz NOT NULL, ends_at timestamptz NOT NULL,
        CONSTRAINT course_staff_pkey PRIMARY KEY (municipality, session_id, helper_ref),
        CONSTRAINT course_staff_session_fkey FOREIGN KEY (municipality, session_id, starts_at, ends_at)
            REFERENCES booking.course_session (municipality, session_id, starts_at, ends_at)
            ON UPDATE CASCADE ON DELETE CASCADE,
        CONSTRAINT course_staff_municipality_helper_ref_fkey
            FOREIGN KEY (municipality, helper_ref) REFERENCES booking.helper (municipality, helper_ref),
        CONSTRAINT course_staff_role_check CHECK (role IN ('teacher', 'assistant')),
        CONSTRAINT course_staff_no_overlap_excl EXCLUDE USING gist
            (municipality WITH =, helper_ref WITH =, tstzrange(starts_at, ends_at) WITH &&))
    """,
    """
    CREATE TABLE booking.course_entry (
        municipality text NOT NULL, entry_id uuid NOT NULL, course_id uuid NOT NULL, number text NOT NULL, lot text,
        rank integer, state text NOT NULL, came_by text NOT NULL, guest_ref text, subject_ref uuid, case_id uuid,
        contact_ref uuid, procedure text NOT NULL, language text NOT NULL, name_sealed bytea, kana_sealed bytea,
        passed_at timestamptz NOT NULL, link_hash bytea, code_hash bytea, code_failures integer NOT NULL DEFAULT 0,
        locked_until timestamptz, offer_until timestamptz, version integer NOT NULL, entered_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT course_entry_pkey PRIMARY KEY (municipality, entry_id),
        CONSTRAINT course_entry_municipality_course_id_entry_id_key UNIQUE (municipality, course_id, entry_id),
        CONSTRAINT course_entry_municipality_number_key UNIQUE (municipality, number),
        CONSTRAINT course_entry_municipality_course_id_lot_key UNIQUE (municipality, course_id, lot),
        CONSTRAINT course_entry_municipality_link_hash_key UNIQUE (municipality, link_hash),
        CONSTRAINT course_entry_municipality_course_id_fkey
            FOREIGN KEY (municipality, course_id) REFERENCES booking.course (municipality, course_id),
        CONSTRAINT course_entry_state_check CHECK (
            state IN ('applied', 'entered', 'waiting', 'offered', 'lost', 'withdrawn', 'called_off')),
        CONSTRAINT course_entry_lot_whole_check
            CHECK ((state NOT IN ('applied', 'lost') OR lot IS NOT NULL) AND (rank IS NULL OR lot IS NOT NULL)),
        CONSTRAINT course_entry_offer_whole_check CHECK (state <> 'offered' OR offer_until IS NOT NULL),
        CONSTRAINT course_entry_came_by_check CHECK (came_by IN ('web', 'phone', 'desk')))
    """,
    """
    CREATE UNIQUE INDEX course_entry_one_per_subject_idx ON booking.course_entry (municipality, course_id, subject_ref)
        WHERE state NOT IN ('withdrawn', 'called_off')
    """,
    """
    CREATE UNIQUE INDEX course_entry_one_per_guest_idx ON booking.course_entry (municipality, course_id, guest_ref)
        WHERE state NOT IN ('withdrawn', 'called_off') AND came_by = 'web'
    """,
    """
    CREATE INDEX course_entry_subject_idx ON booking.course_entry (municipality, subject_ref)
        WHERE subject_ref IS NOT NULL
    """,
    "CREATE INDEX course_entry_case_idx ON booking.course_entry (municipality, case_id) WHERE case_id IS NOT NULL",
    # There are exactly as many seats as the class has: none above that number, and none twice.
    """
    CREATE TABLE booking.course_seat (
        municipality text NOT NULL, course_id uuid NOT NULL, seat_no integer NOT NULL, seats integer NOT NULL,
        entry_id uuid,
        CONSTRAINT course_seat_pkey PRIMARY KEY (municipality, course_id, seat_no),
        CONSTRAINT course_seat_municipality_entry_id_key UNIQUE (municipality, entry_id),
        CONSTRAINT course_seat_course_fkey FOREIGN KEY (municipality, course_id, seats)
            REFERENCES booking.course (municipality, course_id, seats),
        CONSTRAINT course_seat_entry_fkey FOREIGN KEY (municipality, course_id, entry_id)
            REFERENCES booking.course_entry (municipality, course_id, entry_id) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT course_seat_seat_no_check CHECK (seat_no BETWEEN 1 AND seats))
    """,
    """
    CREATE TABLE booking.course_attendance (
        municipality text NOT NULL, session_id uuid NOT NULL, entry_id uuid NOT NULL, state text NOT NULL,
        marked_at timestamptz NOT NULL,
        CONSTRAINT course_attendance_pkey PRIMARY KEY (municipality, session_id, entry_id),
        CONSTRAINT course_attendance_municipality_session_id_fkey
            FOREIGN KEY (municipality, session_id) REFERENCES booking.course_session (municipality, session_id),
        CONSTRAINT course_attendance_municipality_entry_id_fkey
            FOREIGN KEY (municipality, entry_id) REFERENCES booking.course_entry (municipality, entry_id),
        CONSTRAINT course_attendance_state_check CHECK (state IN ('attended', 'absent')))
    """,
)

# What people have read, and entered for, stays: the number of seats, how they are given out, and until when.
GUARD_COURSE = (
    """
    CREATE FUNCTION booking.guard_course() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'a class stays' USING ERRCODE = 'check_violation', CONSTRAINT = 'course_guard_stays';
        END IF;
        IF OLD.published_at IS NOT NULL AND
           (NEW.seats, NEW.mode, NEW.closes_at, NEW.seed_commitment, NEW.published_at) IS DISTINCT FROM
           (OLD.seats, OLD.mode, OLD.closes_at, OLD.seed_commitment, OLD.published_at) THEN
            RAISE EXCEPTION 'what was published of a class does not change'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'course_guard_published';
        END IF;
        IF OLD.state IN ('called_off', 'over') AND NEW.state <> OLD.state
           OR OLD.drawn_at IS NOT NULL AND (NEW.seed, NEW.entries_digest, NEW.drawn_at) IS DISTINCT FROM
                                           (OLD.seed, OLD.entries_digest, OLD.drawn_at) THEN
            RAISE EXCEPTION 'what is decided does not change'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'course_guard_decided';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER guard_course BEFORE UPDATE OR DELETE ON booking.course
        FOR EACH ROW EXECUTE FUNCTION booking.guard_course()
    """,
)
# The lock: whoever calls a class off, or draws, waits for those who are just entering, and who comes after is refused.
GUARD_ENTRY = (
    """
    CREATE FUNCTION booking.guard_course_entry() RETURNS trigger LANGUAGE plpgsql
        SET search_path = booking, pg_catalog AS $$
    DECLARE
        found_course record;
    BEGIN
        SELECT c.state, c.mode, c.drawn_at, c.closes_at INTO found_course FROM booking.course c
        WHERE c.municipality = NEW.municipality AND c.course_id = NEW.course_id FOR SHARE;
        IF found_course.state IS DISTINCT FROM 'open'
           OR found_course.drawn_at IS NULL AND NEW.entered_at >= found_course.closes_at THEN
            RAISE EXCEPTION 'nobody can enter this class now'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'course_entry_guard_open';
        END IF;
        IF (NEW.state = 'applied') <> (found_course.mode = 'draw' AND found_course.drawn_at IS NULL) THEN
            RAISE EXCEPTION 'until it is drawn, people apply; afterwards they do not'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'course_entry_guard_drawn';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER guard_course_entry BEFORE INSERT ON booking.course_entry
        FOR EACH ROW EXECUTE FUNCTION booking.guard_course_entry()
    """,
)
# Who has a seat, or is offered one, has one; and nobody else. At the end of the transaction, when both are written.
GUARD_SEAT = (
    """
    CREATE FUNCTION booking.check_course_seat() RETURNS trigger LANGUAGE plpgsql
        SET search_path = booking, pg_catalog AS $$
    DECLARE
        entries uuid[];
    BEGIN
        IF TG_TABLE_NAME = 'course_entry' THEN
            entries := ARRAY[NEW.entry_id];
        ELSE
            entries := ARRAY[OLD.entry_id, NEW.entry_id];
        END IF;
        IF EXISTS (SELECT 1 FROM booking.course_entry e
                   WHERE e.municipality = NEW.municipality AND e.entry_id = ANY (entries)
                     AND (e.state IN ('entered', 'offered')) <> EXISTS (
                         SELECT 1 FROM booking.course_seat s
                         WHERE s.municipality = e.municipality AND s.entry_id = e.entry_id)) THEN
            RAISE EXCEPTION 'who has a seat, or is offered one, has one, and nobody else'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'course_seat_guard';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER check_course_seat AFTER INSERT OR UPDATE OF state ON booking.course_entry
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION booking.check_course_seat()
    """,
    """
    CREATE CONSTRAINT TRIGGER check_course_seat AFTER UPDATE OF entry_id ON booking.course_seat
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION booking.check_course_seat()
    """,
)
# No constraint reaches over two tables. Whoever gives a helper something to do comes one after another, and looks at
# the other table once they have the lock: what a twin has just committed is seen.
GUARD_HELPER = (
    """
    CREATE FUNCTION booking.guard_helper_time() RETURNS trigger LANGUAGE plpgsql
        SET search_path = booking, pg_catalog AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('helper-time/' || NEW.municipality || '/' || NEW.helper_ref, 0));
        IF TG_TABLE_NAME = 'assignment' THEN
            PERFORM 1 FROM booking.course_staff s
            WHERE s.municipality = NEW.municipality AND s.helper_ref = NEW.helper_ref
              AND tstzrange(s.starts_at, s.ends_at) && NEW.during;
        ELSE
            PERFORM 1 FROM booking.assignment a
            WHERE a.municipality = NEW.municipality AND a.helper_ref = NEW.helper_ref
              AND a.state IN ('asked', 'accepted') AND a.during && tstzrange(NEW.starts_at, NEW.ends_at);
        END IF;
        IF FOUND THEN
            RAISE EXCEPTION 'the helper is somewhere else then'
                USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'helper_time_guard';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER guard_helper_time BEFORE INSERT OR UPDATE OF state, during, helper_ref ON booking.assignment
        FOR EACH ROW WHEN (NEW.state IN ('asked', 'accepted')) EXECUTE FUNCTION booking.guard_helper_time()
    """,
    """
    CREATE TRIGGER guard_helper_time BEFORE INSERT OR UPDATE ON booking.course_staff
        FOR EACH ROW EXECUTE FUNCTION booking.guard_helper_time()
    """,
)
ERASED = """
    CREATE TRIGGER guard_erased BEFORE INSERT OR UPDATE OF subject_ref ON booking.course_entry
        FOR EACH ROW EXECUTE FUNCTION booking.guard_erased()
"""


def upgrade() -> None:
    for statement in (*CLASSES, *GUARD_COURSE, *GUARD_ENTRY, *GUARD_SEAT, *GUARD_HELPER, ERASED):
        op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_helper_time ON booking.assignment")
    op.execute("DROP TABLE booking.course_attendance")
    for table in ("course_seat", "course_staff", "course_session", "course_entry", "course"):
        op.execute(f"DROP TABLE booking.{table}")
    for function in ("guard_course", "guard_course_entry", "check_course_seat", "guard_helper_time"):
        op.execute(f"DROP FUNCTION booking.{function}()")
