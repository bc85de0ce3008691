"""Erasure: nothing is written of an erased subject again."""

from alembic import op

from shared.erasure import erasure_v1, erasure_v1_undone
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0009", "0008", None, None

TABLES = ("subject_key", "contact_point", "appointment", "application")


def upgrade() -> None:
    for statement in erasure_v1("notifications", TABLES, application_role(op.get_bind(), "notifications")):
        op.execute(statement)
    op.execute("""CREATE INDEX appointment_subject_idx ON notifications.appointment (municipality, subject_ref)
        WHERE subject_ref IS NOT NULL""")
    op.execute("CREATE INDEX application_subject_idx ON notifications.application (municipality, subject_ref)")


def downgrade() -> None:
    op.execute("DROP INDEX notifications.application_subject_idx")
    op.execute("DROP INDEX notifications.appointment_subject_idx")
    for statement in erasure_v1_undone("notifications", TABLES):
        op.execute(statement)
