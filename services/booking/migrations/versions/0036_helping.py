"""What helpers explain, how much each of them takes on, when they are away; and a visit outside of a shift says so."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0036", "0034", None, None

TABLES = (
    """
    CREATE TABLE booking.topic (
        municipality text NOT NULL, code text NOT NULL, name_ja text NOT NULL, version integer NOT NULL,
        CONSTRAINT topic_pkey PRIMARY KEY (municipality, code))
    """,
    """
    CREATE TABLE booking.helper_away (
        municipality text NOT NULL, away_id uuid NOT NULL, helper_ref text NOT NULL, first_day date NOT NULL,
        last_day date NOT NULL,
        CONSTRAINT helper_away_pkey PRIMARY KEY (municipality, away_id),
        CONSTRAINT helper_away_municipality_helper_ref_fkey
            FOREIGN KEY (municipality, helper_ref) REFERENCES booking.helper (municipality, helper_ref),
        CONSTRAINT helper_away_days_check CHECK (first_day <= last_day))
    """,
    "CREATE INDEX helper_away_helper_idx ON booking.helper_away (municipality, helper_ref, last_day)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in ("topic", "helper_away"):
        for statement in row_level_security("booking", table):
            op.execute(statement)
    op.execute("""
        ALTER TABLE booking.helper
            ADD COLUMN topics text[] NOT NULL DEFAULT '{}',
            ADD COLUMN signs boolean NOT NULL DEFAULT false,
            ADD COLUMN visits_per_week integer NOT NULL DEFAULT 5,
            ADD COLUMN standing text NOT NULL DEFAULT 'active',
            ADD COLUMN registered_on date,
            ADD COLUMN trained_on date,
            ADD COLUMN insured_until date,
            ADD CONSTRAINT helper_visits_per_week_check CHECK (visits_per_week BETWEEN 1 AND 40),
            ADD CONSTRAINT helper_standing_check CHECK (standing IN ('registered', 'active', 'suspended'))""")
    op.execute("ALTER TABLE booking.assignment ADD COLUMN overrides_shift boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.assignment DROP COLUMN overrides_shift")
    op.execute("""
        ALTER TABLE booking.helper DROP COLUMN topics, DROP COLUMN signs, DROP COLUMN visits_per_week,
            DROP COLUMN standing, DROP COLUMN registered_on, DROP COLUMN trained_on, DROP COLUMN insured_until""")
    op.execute("DROP TABLE booking.helper_away")
    op.execute("DROP TABLE booking.topic")
