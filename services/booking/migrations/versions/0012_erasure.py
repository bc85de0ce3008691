"""Erasure: nothing is written of an erased subject again."""

from alembic import op

from shared.erasure import erasure_v1, erasure_v1_undone
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0012", "0011", None, None

TABLES = ("subject_key", "visit", "appointment")


def upgrade() -> None:
    for statement in erasure_v1("booking", TABLES, application_role(op.get_bind(), "booking")):
        op.execute(statement)
    op.execute("""CREATE INDEX appointment_subject_idx ON booking.appointment (municipality, subject_ref)
        WHERE subject_ref IS NOT NULL""")


def downgrade() -> None:
    op.execute("DROP INDEX booking.appointment_subject_idx")
    for statement in erasure_v1_undone("booking", TABLES):
        op.execute(statement)
