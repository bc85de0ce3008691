"""Sending somebody to another counter, with a note for the staff there."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0029", "0028", None, None

TRANSFER = """
CREATE TABLE booking.transfer (
    municipality text NOT NULL, transfer_id uuid NOT NULL, appointment_id uuid NOT NULL, version integer NOT NULL,
    day date NOT NULL, from_counter text NOT NULL, from_office text NOT NULL, to_counter text NOT NULL,
    to_office text NOT NULL, reason text NOT NULL, note_sealed bytea, wrapped_key bytea, sent_at timestamptz NOT NULL,
    CONSTRAINT transfer_pkey PRIMARY KEY (municipality, transfer_id),
    CONSTRAINT transfer_municipality_appointment_id_version_key UNIQUE (municipality, appointment_id, version),
    CONSTRAINT transfer_elsewhere_check CHECK (from_counter <> to_counter),
    CONSTRAINT transfer_note_whole_check CHECK ((note_sealed IS NULL) = (wrapped_key IS NULL)),
    CONSTRAINT transfer_reason_given_check CHECK (reason <> 'other' OR note_sealed IS NOT NULL))
"""
INDEX = "CREATE INDEX transfer_municipality_day_idx ON booking.transfer (municipality, day)"


def upgrade() -> None:
    for statement in (TRANSFER, INDEX, *row_level_security("booking", "transfer")):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE booking.transfer")
