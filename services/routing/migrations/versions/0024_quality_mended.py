"""Quality: what lies still is found by its time, and the office's own steps are no switches of the person."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0024", "0023", None, None

# To and from "submitted" a case goes only because the office asked the person to come, or to correct something.
COUNT = """CREATE OR REPLACE FUNCTION routing.count_case() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind)
        VALUES (NEW.municipality, date_trunc('month', NEW.created_at AT TIME ZONE 'Asia/Tokyo'), NEW.procedure,
                NEW.channel, 'started');
    ELSIF NEW.channel <> OLD.channel{condition} THEN
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, to_channel, step)
        VALUES (NEW.municipality, date_trunc('month', NEW.updated_at AT TIME ZONE 'Asia/Tokyo'), NEW.procedure,
                OLD.channel, 'switched', NEW.channel, OLD.state);
    END IF;
    RETURN NULL;
END $$"""
BY_THE_PERSON = " AND OLD.state <> 'submitted' AND NEW.state <> 'submitted'"


def upgrade() -> None:
    op.execute(COUNT.format(condition=BY_THE_PERSON))
    op.execute("CREATE INDEX case_file_updated_at_idx ON routing.case_file (municipality, updated_at)")


def downgrade() -> None:
    op.execute("DROP INDEX routing.case_file_updated_at_idx")
    op.execute(COUNT.format(condition=""))
