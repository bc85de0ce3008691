"""Who else could come: asked all at once, the first who accepts comes. Only who is active is asked, and why not.

What coordinators wrote; who did not answer; and from which step of an online form people went to a helper.
"""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0042", "0041", None, None

TABLES = (
    """
    CREATE TABLE booking.cover (
        municipality text NOT NULL, cover_id uuid NOT NULL, appointment_id uuid NOT NULL, former_ref text NOT NULL,
        state text NOT NULL, asked_at timestamptz NOT NULL, answer_by timestamptz NOT NULL, ended_at timestamptz,
        CONSTRAINT cover_pkey PRIMARY KEY (municipality, cover_id),
        CONSTRAINT cover_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
            REFERENCES booking.appointment (municipality, appointment_id),
        CONSTRAINT cover_municipality_former_ref_fkey FOREIGN KEY (municipality, former_ref)
            REFERENCES booking.helper (municipality, helper_ref),
        CONSTRAINT cover_state_check CHECK (state IN ('open', 'taken', 'lapsed', 'withdrawn')),
        CONSTRAINT cover_ended_check CHECK ((state = 'open') = (ended_at IS NULL)))
    """,
    """
    CREATE UNIQUE INDEX cover_one_open_idx ON booking.cover (municipality, appointment_id) WHERE state = 'open'
    """,
    "CREATE INDEX cover_appointment_idx ON booking.cover (municipality, appointment_id)",
    """
    CREATE TABLE booking.cover_ask (
        municipality text NOT NULL, cover_id uuid NOT NULL, helper_ref text NOT NULL, state text NOT NULL,
        answered_at timestamptz,
        CONSTRAINT cover_ask_pkey PRIMARY KEY (municipality, cover_id, helper_ref),
        CONSTRAINT cover_ask_municipality_cover_id_fkey FOREIGN KEY (municipality, cover_id)
            REFERENCES booking.cover (municipality, cover_id),
        CONSTRAINT cover_ask_municipality_helper_ref_fkey FOREIGN KEY (municipality, helper_ref)
            REFERENCES booking.helper (municipality, helper_ref),
        CONSTRAINT cover_ask_state_check CHECK (state IN ('asked', 'accepted', 'declined')))
    """,
    """
    CREATE UNIQUE INDEX cover_ask_one_accepted_idx ON booking.cover_ask (municipality, cover_id)
    WHERE state = 'accepted'
    """,
    "CREATE INDEX cover_ask_helper_idx ON booking.cover_ask (municipality, helper_ref)",
    """
    CREATE TABLE booking.helper_message (
        municipality text NOT NULL, message_id uuid NOT NULL, sent_by text NOT NULL, sent_at timestamptz NOT NULL,
        sent_to jsonb NOT NULL, people integer NOT NULL, text_sealed bytea NOT NULL, wrapped_key bytea NOT NULL,
        CONSTRAINT helper_message_pkey PRIMARY KEY (municipality, message_id),
        CONSTRAINT helper_message_people_check CHECK (people > 0))
    """,
    "CREATE INDEX helper_message_sent_idx ON booking.helper_message (municipality, sent_at)",
)
# Whoever asks and whoever suspends wait for each other: a request is either seen and handed over, or not made.
GUARD = (
    """
    CREATE FUNCTION booking.guard_active_helper() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM booking.helper h
        WHERE (h.municipality, h.helper_ref) = (NEW.municipality, NEW.helper_ref)
          AND h.is_open AND h.standing = 'active' FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'this helper is asked for nothing now' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER guard_active_helper BEFORE INSERT ON booking.assignment
    FOR EACH ROW EXECUTE FUNCTION booking.guard_active_helper()
    """,
    # Nobody is put on a class who may not come: theirs that lie ahead go when they are suspended.
    """
    CREATE TRIGGER guard_active_helper BEFORE INSERT ON booking.course_staff
    FOR EACH ROW EXECUTE FUNCTION booking.guard_active_helper()
    """,
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in ("cover", "cover_ask", "helper_message"):
        for statement in row_level_security("booking", table):
            op.execute(statement)
    for statement in GUARD:
        op.execute(statement)
    op.execute("""
        ALTER TABLE booking.helper
            ADD COLUMN suspended_for text,
            ADD CONSTRAINT helper_suspended_for_check
                CHECK (suspended_for IS NULL OR standing = 'suspended'
                       AND suspended_for IN ('own_wish', 'insurance', 'training', 'talk'))""")
    op.execute("ALTER TABLE booking.assignment ADD COLUMN unanswered boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE booking.visit ADD COLUMN from_step text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE booking.appointment ADD COLUMN from_step text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.appointment DROP COLUMN from_step")
    op.execute("ALTER TABLE booking.visit DROP COLUMN from_step")
    op.execute("ALTER TABLE booking.assignment DROP COLUMN unanswered")
    op.execute("ALTER TABLE booking.helper DROP COLUMN suspended_for")
    op.execute("DROP TRIGGER guard_active_helper ON booking.course_staff")
    op.execute("DROP TRIGGER guard_active_helper ON booking.assignment")
    op.execute("DROP FUNCTION booking.guard_active_helper")
    for table in ("helper_message", "cover_ask", "cover"):
        op.execute(f"DROP TABLE booking.{table}")
