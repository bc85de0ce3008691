"""A way's number is never given twice, however old the notices are that went by it: the contact counts them."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0035", "0030", None, None

SCHEMA = "notifications"


def upgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.contact_point ADD COLUMN last_way_no integer NOT NULL DEFAULT 1")
    op.execute(f"""UPDATE {SCHEMA}.contact_point c SET last_way_no = given.way_no FROM (
            SELECT municipality, contact_ref, max(way_no) AS way_no FROM (
                SELECT municipality, contact_ref, way_no FROM {SCHEMA}.contact_way
                UNION ALL SELECT municipality, contact_ref, way_no FROM {SCHEMA}.way_code
                UNION ALL SELECT n.municipality, n.contact_ref, a.way_no FROM {SCHEMA}.attempt a
                    JOIN {SCHEMA}.notice n USING (municipality, notice_id)
                    WHERE a.way_no > 1 AND n.contact_ref IS NOT NULL) AS used
            GROUP BY municipality, contact_ref) AS given
        WHERE (c.municipality, c.contact_ref) = (given.municipality, given.contact_ref) AND given.way_no > 1""")


def downgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.contact_point DROP COLUMN last_way_no")
