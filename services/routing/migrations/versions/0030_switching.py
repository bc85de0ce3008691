"""How cases went on by another channel, each time with who said so; and the figures count from there."""

from alembic import op

from shared.db import row_level_security
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0030", "0029", None, None

TABLE = """CREATE TABLE routing.case_switch (
    municipality text NOT NULL, case_id uuid NOT NULL, version integer NOT NULL, from_channel text NOT NULL,
    to_channel text NOT NULL, step text NOT NULL, said text NOT NULL, office text, switched_at timestamptz NOT NULL,
    CONSTRAINT case_switch_pkey PRIMARY KEY (municipality, case_id, version),
    CONSTRAINT case_switch_another_check CHECK (from_channel <> to_channel),
    CONSTRAINT case_switch_to_channel_check CHECK (to_channel IN ('online', 'counter', 'helper')),
    CONSTRAINT case_switch_said_check CHECK (said IN ('self', 'phone', 'desk', 'helper', 'office', 'came')),
    CONSTRAINT case_switch_municipality_case_id_fkey FOREIGN KEY (municipality, case_id)
        REFERENCES routing.case_file (municipality, case_id))"""
COUNT_CASE = """CREATE OR REPLACE FUNCTION routing.count_case() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind)
        VALUES (NEW.municipality, date_trunc('month', NEW.created_at AT TIME ZONE 'Asia/Tokyo'), NEW.procedure,
                NEW.channel, 'started');{switched}
    END IF;
    RETURN NULL;
END $$"""
# As in 0024.
SWITCHED = """
    ELSIF NEW.channel <> OLD.channel AND OLD.state <> 'submitted' AND NEW.state <> 'submitted' THEN
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, to_channel, step)
        VALUES (NEW.municipality, date_trunc('month', NEW.updated_at AT TIME ZONE 'Asia/Tokyo'), NEW.procedure,
                OLD.channel, 'switched', NEW.channel, OLD.state);"""
# What the office asks for is no switch of the person; what they do after sending, without being asked, is.
COUNT_SWITCH = """CREATE FUNCTION routing.count_switch() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, to_channel, step)
    SELECT NEW.municipality, date_trunc('month', NEW.switched_at AT TIME ZONE 'Asia/Tokyo'), procedure,
           NEW.from_channel, 'switched', NEW.to_channel, NEW.step
    FROM routing.case_file WHERE (municipality, case_id) = (NEW.municipality, NEW.case_id);
    RETURN NULL;
END $$"""


def upgrade() -> None:
    op.execute(TABLE)
    for statement in row_level_security("routing", "case_switch"):
        op.execute(statement)
    op.execute(f"REVOKE UPDATE ON routing.case_switch FROM {application_role(op.get_bind(), 'routing')}")
    op.execute(COUNT_CASE.format(switched=""))
    op.execute(COUNT_SWITCH)
    op.execute("""CREATE TRIGGER count_switch AFTER INSERT ON routing.case_switch
        FOR EACH ROW WHEN (NEW.said <> 'office') EXECUTE FUNCTION routing.count_switch()""")


def downgrade() -> None:
    op.execute("DROP TABLE routing.case_switch")
    op.execute("DROP FUNCTION routing.count_switch()")
    op.execute(COUNT_CASE.format(switched=SWITCHED))
