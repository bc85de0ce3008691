"""The delivery log, looked through by kind, way, state and person; what staff have sent again; figures of tasks."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0032", "0031", None, None

SCHEMA = "notifications"
NEWEST = "created_at DESC"
# Each with its table, what it is on, and of which rows.
INDEXES = {
    "notice_kind_idx": f"notice (municipality, kind, {NEWEST})",
    "notice_open_idx": f"notice (municipality, {NEWEST}) WHERE settled_at IS NULL",
    "notice_ended_idx": f"""notice (municipality, state, {NEWEST})
        WHERE state IN ('failed', 'undeliverable', 'superseded', 'printed_slip')""",
    "notice_delivery_idx": f"""notice (municipality, delivery, {NEWEST})
        WHERE delivery IN ('delivered', 'not_delivered')""",
    "notice_rare_reach_idx": f"""notice (municipality, reach, {NEWEST})
        WHERE reach IN ('line', 'letter', 'call', 'none')""",
    "notice_of_accounts_idx": f"notice (municipality, {NEWEST}) WHERE account_ref IS NOT NULL",
    "notice_contact_idx": f"notice (municipality, contact_ref, {NEWEST}) WHERE contact_ref IS NOT NULL",
    "appointment_number_idx": "appointment (municipality, number)",
    "application_number_idx": "application (municipality, number)",
    "contact_way_dead_idx": "contact_way (municipality, contact_ref) WHERE state = 'dead'",
    "staff_task_opened_idx": "staff_task (municipality, opened_at)",
}


def upgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD COLUMN again_of uuid")
    _check("again", "(again_of IS NULL) = (occasion NOT LIKE 'again:%')", is_new=True)
    _check("only_way", "only_way IS NULL OR num_nonnulls(told_id, again_of) > 0")
    for name, rows in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {SCHEMA}.{rows}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {SCHEMA}.{name}")
    # The version before knows no notice that is told again.
    again = f"SELECT municipality, notice_id FROM {SCHEMA}.notice WHERE again_of IS NOT NULL"
    for table in ("staff_task", "attempt", "notice"):
        op.execute(f"DELETE FROM {SCHEMA}.{table} WHERE (municipality, notice_id) IN ({again})")
    _check("only_way", "only_way IS NULL OR told_id IS NOT NULL")
    op.execute(f"ALTER TABLE {SCHEMA}.notice DROP COLUMN again_of")


def _check(name: str, condition: str, *, is_new: bool = False) -> None:
    if not is_new:
        op.execute(f"ALTER TABLE {SCHEMA}.notice DROP CONSTRAINT notice_{name}_check")
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_{name}_check CHECK ({condition})")
