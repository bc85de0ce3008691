"""What belongs to a case, and an order to the version that it was meant for, never outlives it."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0033", "0032", None, None

OF_CASES = ("identity_attempt", "identity_proof", "case_device")


def upgrade() -> None:
    for table in OF_CASES:
        op.execute(f"""ALTER TABLE routing.{table} ADD CONSTRAINT {table}_municipality_case_id_fkey
            FOREIGN KEY (municipality, case_id) REFERENCES routing.case_file (municipality, case_id)""")
    op.execute("""ALTER TABLE routing.pack_order ADD CONSTRAINT pack_order_municipality_base_fkey
        FOREIGN KEY (municipality, base) REFERENCES routing.pack_version (municipality, version)""")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.pack_order DROP CONSTRAINT pack_order_municipality_base_fkey")
    for table in OF_CASES:
        op.execute(f"ALTER TABLE routing.{table} DROP CONSTRAINT {table}_municipality_case_id_fkey")
