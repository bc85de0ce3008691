"""One visit for everything: walks and what comes first, the errands of a visit, appointments that belong together."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0014", "0013", None, None

TABLES = ("walk", "visit_errand")
WALK = """CREATE TABLE booking.walk (
    municipality text NOT NULL, counter text NOT NULL, other text NOT NULL, minutes integer NOT NULL,
    CONSTRAINT walk_pkey PRIMARY KEY (municipality, counter, other),
    CONSTRAINT walk_minutes_check CHECK (minutes BETWEEN 0 AND 120))"""
ERRAND = """CREATE TABLE booking.visit_errand (
    municipality text NOT NULL, visit_id uuid NOT NULL, errand_no integer NOT NULL, errand_id uuid NOT NULL,
    procedure text NOT NULL, person integer NOT NULL DEFAULT 1,
    CONSTRAINT visit_errand_pkey PRIMARY KEY (municipality, visit_id, errand_no),
    CONSTRAINT visit_errand_municipality_errand_id_key UNIQUE (municipality, errand_id),
    CONSTRAINT visit_errand_municipality_visit_id_procedure_key UNIQUE (municipality, visit_id, procedure),
    CONSTRAINT visit_errand_municipality_visit_id_fkey FOREIGN KEY (municipality, visit_id)
        REFERENCES booking.visit (municipality, visit_id) ON DELETE CASCADE,
    CONSTRAINT visit_errand_errand_no_check CHECK (errand_no BETWEEN 1 AND 10),
    CONSTRAINT visit_errand_person_check CHECK (person BETWEEN 1 AND 3))"""
# Empty for all that there are: no rewrite of the table, and the processes of the version before go on writing.
COLUMNS = """ALTER TABLE booking.appointment
    ADD COLUMN chain_id uuid, ADD COLUMN chain_person integer, ADD COLUMN chain_until timestamptz,
    ADD CONSTRAINT appointment_chain_whole_check CHECK (
        (chain_id IS NULL) = (chain_person IS NULL) AND (chain_id IS NULL) = (chain_until IS NULL)
        AND (chain_id IS NULL OR chain_until > starts_at))"""
NO_OVERLAP = """ALTER TABLE booking.appointment
    ADD CONSTRAINT appointment_chain_no_overlap_excl EXCLUDE USING gist
        (municipality WITH =, chain_id WITH =, chain_person WITH =, tstzrange(starts_at, chain_until) WITH &&)
        WHERE (chain_id IS NOT NULL AND state <> 'cancelled')"""


def upgrade() -> None:
    op.execute("ALTER TABLE booking.procedure ADD COLUMN after text[] NOT NULL DEFAULT '{}'")
    for statement in (WALK, ERRAND, COLUMNS, NO_OVERLAP):
        op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE booking.appointment DROP CONSTRAINT appointment_chain_no_overlap_excl")
    op.execute("""ALTER TABLE booking.appointment
        DROP COLUMN chain_id, DROP COLUMN chain_person, DROP COLUMN chain_until""")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE booking.{table}")
    op.execute("ALTER TABLE booking.procedure DROP COLUMN after")
