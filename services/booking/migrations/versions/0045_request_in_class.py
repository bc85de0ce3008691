"""A request for help may be met in a class (教室): which, why that one, and by one of both alone. Where a venue is."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0045", "0044", None, None

REQUESTS = (
    "ALTER TABLE booking.help_request ADD COLUMN in_class text, ADD COLUMN entry_id uuid",
    "UPDATE booking.help_request SET in_class = CASE WHEN class_too THEN 'too' ELSE 'no' END",
    """
    ALTER TABLE booking.help_request
        ALTER COLUMN in_class SET NOT NULL, DROP COLUMN class_too, DROP CONSTRAINT help_request_met_whole_check,
        ADD CONSTRAINT help_request_in_class_check CHECK (in_class IN ('no', 'too', 'only')),
        ADD CONSTRAINT help_request_municipality_entry_id_fkey FOREIGN KEY (municipality, entry_id)
            REFERENCES booking.course_entry (municipality, entry_id),
        ADD CONSTRAINT help_request_met_whole_check CHECK (
            CASE state WHEN 'met' THEN num_nonnulls(appointment_id, entry_id) = 1 OR subject_ref IS NULL
                       WHEN 'open' THEN subject_ref IS NOT NULL AND entry_id IS NULL
                       ELSE num_nonnulls(appointment_id, entry_id) = 0 END)
    """,
    """
    CREATE UNIQUE INDEX help_request_entry_idx ON booking.help_request (municipality, entry_id)
        WHERE entry_id IS NOT NULL
    """,
)
ENTRIES = (
    """
    ALTER TABLE booking.course_entry
        ADD COLUMN request_id uuid, ADD COLUMN reasons text[] NOT NULL DEFAULT '{}', ADD COLUMN decided_by text,
        ADD CONSTRAINT course_entry_municipality_request_id_fkey FOREIGN KEY (municipality, request_id)
            REFERENCES booking.help_request (municipality, request_id),
        ADD CONSTRAINT course_entry_request_whole_check
            CHECK (request_id IS NOT NULL OR decided_by IS NULL AND cardinality(reasons) = 0)
    """,
    # One seat at a time is kept for a request.
    """
    CREATE UNIQUE INDEX course_entry_one_per_request_idx ON booking.course_entry (municipality, request_id)
        WHERE request_id IS NOT NULL AND state NOT IN ('withdrawn', 'called_off')
    """,
    "CREATE INDEX course_entry_request_idx ON booking.course_entry (municipality, request_id)",
)
# Met once: by a helper, or in a class. Whoever comes second finds it met, and cannot put the other way in its place;
# what was met may be looked for again, when its helper or its class does not come to be.
GUARD_REQUEST = """
CREATE OR REPLACE FUNCTION booking.guard_help_request() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF OLD.state = 'withdrawn' AND NEW.state <> 'withdrawn' THEN
        RAISE EXCEPTION 'this request was withdrawn'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'help_request_guard_withdrawn';
    END IF;
    {met}RETURN NEW;
END $$
"""
MET_ONCE = """IF OLD.state = 'met' AND NEW.state = 'met' AND NEW.subject_ref IS NOT NULL
       AND (NEW.appointment_id, NEW.entry_id) IS DISTINCT FROM (OLD.appointment_id, OLD.entry_id) THEN
        RAISE EXCEPTION 'this request is met already'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'help_request_guard_met';
    END IF;
    """
# Whoever is in a class by a request is met by that, and by nothing else. At the end, when both are written.
GUARD_ENTRY = (
    """
    CREATE FUNCTION booking.check_request_entry() RETURNS trigger LANGUAGE plpgsql
        SET search_path = booking, pg_catalog AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM booking.course_entry e
                   WHERE (e.municipality, e.entry_id) = (NEW.municipality, NEW.entry_id) AND e.state = 'entered'
                     AND e.subject_ref IS NOT NULL AND NOT EXISTS (
                         SELECT 1 FROM booking.help_request r
                         WHERE (r.municipality, r.request_id) = (e.municipality, e.request_id) AND r.state = 'met'
                           AND r.entry_id = e.entry_id)) THEN
            RAISE EXCEPTION 'who is in a class by a request is met by that'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'course_entry_request_guard';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER check_request_entry AFTER INSERT OR UPDATE OF state ON booking.course_entry
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.request_id IS NOT NULL AND NEW.state = 'entered')
        EXECUTE FUNCTION booking.check_request_entry()
    """,
)
PLACES = """
    ALTER TABLE booking.counter
        ADD COLUMN latitude text NOT NULL DEFAULT '', ADD COLUMN longitude text NOT NULL DEFAULT '',
        ADD CONSTRAINT counter_located_check CHECK ((latitude = '') = (longitude = ''))
"""


def upgrade() -> None:
    for statement in (*REQUESTS, *ENTRIES, GUARD_REQUEST.format(met=MET_ONCE), *GUARD_ENTRY, PLACES):
        op.execute(statement)


def downgrade() -> None:
    op.execute("""ALTER TABLE booking.counter DROP CONSTRAINT counter_located_check,
                  DROP COLUMN latitude, DROP COLUMN longitude""")
    op.execute("DROP TRIGGER check_request_entry ON booking.course_entry")
    op.execute("DROP FUNCTION booking.check_request_entry()")
    op.execute(GUARD_REQUEST.format(met=""))
    op.execute("""
        ALTER TABLE booking.help_request
            ADD COLUMN class_too boolean NOT NULL DEFAULT false, DROP CONSTRAINT help_request_met_whole_check""")
    op.execute("""
        UPDATE booking.help_request
        SET class_too = in_class <> 'no', state = CASE WHEN entry_id IS NULL THEN state ELSE 'unmet' END""")
    op.execute("""
        ALTER TABLE booking.help_request
            ALTER COLUMN class_too DROP DEFAULT, DROP COLUMN entry_id, DROP COLUMN in_class,
            ADD CONSTRAINT help_request_met_whole_check CHECK (
                CASE state WHEN 'met' THEN appointment_id IS NOT NULL OR subject_ref IS NULL
                           WHEN 'open' THEN subject_ref IS NOT NULL ELSE appointment_id IS NULL END)""")
    op.execute("""ALTER TABLE booking.course_entry
                  DROP COLUMN request_id, DROP COLUMN reasons, DROP COLUMN decided_by""")
