"""Protected people, and people of a family; and what the database refuses to reuse: what was not approved."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0014", "0013", None, None

TABLES = (
    """CREATE TABLE routing.protection (
        municipality text NOT NULL, protection_id uuid NOT NULL, subject_ref uuid NOT NULL,
        set_at timestamptz NOT NULL, lifted_at timestamptz,
        CONSTRAINT protection_pkey PRIMARY KEY (municipality, protection_id),
        CONSTRAINT protection_lifted_later_check CHECK (lifted_at >= set_at))""",
    """CREATE UNIQUE INDEX protection_now_idx ON routing.protection (municipality, subject_ref)
        WHERE lifted_at IS NULL""",
    """CREATE TABLE routing.refused_look (
        municipality text NOT NULL, case_id uuid NOT NULL, item text NOT NULL, reader text NOT NULL,
        step text NOT NULL, day date NOT NULL,
        CONSTRAINT refused_look_pkey PRIMARY KEY (municipality, case_id, item, reader, step, day))""",
    "CREATE INDEX refused_look_day_idx ON routing.refused_look (municipality, day)",
    """CREATE TABLE routing.session_person (
        municipality text NOT NULL, session_id text NOT NULL, position integer NOT NULL, subject_ref uuid NOT NULL,
        CONSTRAINT session_person_pkey PRIMARY KEY (municipality, session_id, position),
        CONSTRAINT session_person_municipality_subject_ref_key UNIQUE (municipality, subject_ref),
        CONSTRAINT session_person_position_check CHECK (position BETWEEN 1 AND 9))""",
)
OWN_TABLES = ("protection", "refused_look", "session_person")

# Whoever is protected stays so until it is lifted: no row is changed otherwise, reopened, or made to vanish while there
# is anything that could be opened.
GUARD_PROTECTION = """CREATE FUNCTION routing.guard_protection() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.lifted_at IS NOT NULL THEN
            RAISE EXCEPTION 'a protection begins unlifted'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'protection_guard';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM routing.subject_key k
                   WHERE (k.municipality, k.subject_ref) = (OLD.municipality, OLD.subject_ref)) THEN
            RAISE EXCEPTION 'a protection stays as long as its person''s key'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'protection_guard';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.lifted_at IS NOT NULL
       OR (NEW.municipality, NEW.protection_id, NEW.subject_ref, NEW.set_at)
          IS DISTINCT FROM (OLD.municipality, OLD.protection_id, OLD.subject_ref, OLD.set_at) THEN
        RAISE EXCEPTION 'a protection can only be lifted, once'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'protection_guard';
    END IF;
    RETURN NEW;
END $$"""

# What was asked stays what was asked, and nothing begins as approved: a yes is always an answer.
GUARD_OFFER = """CREATE FUNCTION routing.guard_offer() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('offered', 'previewed') THEN
            RAISE EXCEPTION 'an offer begins unanswered' USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_guard';
        END IF;
    ELSIF (NEW.municipality, NEW.offer_id, NEW.case_id, NEW.step, NEW.item, NEW.commitment, NEW.purpose,
           NEW.legal_basis, NEW.offered_at, NEW.expires_at)
          IS DISTINCT FROM (OLD.municipality, OLD.offer_id, OLD.case_id, OLD.step, OLD.item, OLD.commitment,
                            OLD.purpose, OLD.legal_basis, OLD.offered_at, OLD.expires_at) THEN
        RAISE EXCEPTION 'an offer does not change' USING ERRCODE = 'check_violation', CONSTRAINT = 'offer_guard';
    END IF;
    RETURN NEW;
END $$"""

GUARD_PASSED = """CREATE FUNCTION routing.guard_pass() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM unnest(NEW.items) AS carried (item) WHERE NOT EXISTS (
            SELECT 1 FROM routing.offer o
            WHERE (o.municipality, o.case_id, o.step, o.item, o.state)
                = (NEW.municipality, NEW.case_id, 'handover', carried.item, 'approved'))) THEN
        RAISE EXCEPTION 'a pass carries what was not approved'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pass_guard';
    END IF;
    RETURN NEW;
END $$"""

# Earlier means in an earlier statement, whatever the clocks said. The one use without asking is coded: name and kana in
# the form about oneself (個人情報保護法 69条1項), which shows them.
GUARD_REUSE = """CREATE FUNCTION routing.guard_reuse() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF NEW.legal_basis = 'appi_69_2_1' THEN
        IF EXISTS (SELECT 1 FROM unnest(NEW.items) AS used (item) WHERE NOT EXISTS (
                SELECT 1 FROM routing.offer o
                WHERE (o.municipality, o.case_id, o.approval_id, o.item, o.state)
                    = (NEW.municipality, NEW.target_case, NEW.correlation, used.item, 'approved')
                  AND (o.commitment, o.purpose, o.legal_basis)
                    = (NEW.commitments ->> used.item, NEW.purpose, NEW.legal_basis)
                  AND (o.step <> 'handover') = (NEW.target_service = 'routing'))) THEN
            RAISE EXCEPTION 'no approval of the same item, target and purpose'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'reuse_guard_approval';
        END IF;
    ELSIF NEW.entry_type = 'approved' OR (NEW.target_service, NEW.target_step) <> ('routing', 'you')
          OR NOT NEW.items <@ ARRAY['name', 'kana'] OR NEW.legal_basis <> 'appi_69_1' THEN
        RAISE EXCEPTION 'no law is known that allows this without asking'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reuse_guard_law';
    END IF;
    RETURN NEW;
END $$"""

TRIGGERS = (
    """CREATE TRIGGER guard_protection BEFORE INSERT OR UPDATE OR DELETE ON routing.protection
        FOR EACH ROW EXECUTE FUNCTION routing.guard_protection()""",
    """CREATE TRIGGER guard_offer BEFORE INSERT OR UPDATE ON routing.offer
        FOR EACH ROW EXECUTE FUNCTION routing.guard_offer()""",
    """CREATE TRIGGER guard_pass BEFORE INSERT OR UPDATE OF items ON routing.pass_issued
        FOR EACH ROW EXECUTE FUNCTION routing.guard_pass()""",
    """CREATE TRIGGER guard_reuse BEFORE INSERT ON routing.ledger_entry
        FOR EACH ROW WHEN (NEW.entry_type IN ('approved', 'applied')) EXECUTE FUNCTION routing.guard_reuse()""",
)

# What was shown until now, so that nobody is asked twice because of this.
PURPOSES = """UPDATE routing.offer o SET legal_basis = 'appi_69_2_1', purpose = CASE
        WHEN o.step = 'form' THEN '同じことを二度書かずにすむようにするため'
        WHEN o.item = 'contact' AND c.channel = 'online' THEN '申請のお知らせを送るため'
        WHEN o.item = 'contact' THEN '予約のお知らせを送るため'
        WHEN c.channel = 'helper' THEN 'サポーターがお名前をお呼びするため'
        ELSE '窓口でお名前をお呼びするため' END
    FROM routing.case_file c WHERE (c.municipality, c.case_id) = (o.municipality, o.case_id)"""


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    op.execute("ALTER TABLE routing.case_file ADD COLUMN acting_for uuid")
    op.execute("""ALTER TABLE routing.case_file ADD CONSTRAINT case_file_acting_for_check
        CHECK (acting_for IS NULL OR (subject_ref = acting_for AND behalf IS NULL))""")
    op.execute("ALTER TABLE routing.offer DROP CONSTRAINT offer_step_check")
    op.execute("""ALTER TABLE routing.offer ADD CONSTRAINT offer_step_check
        CHECK (step IN ('handover', 'form', 'family'))""")
    op.execute("ALTER TABLE routing.offer ADD COLUMN purpose text, ADD COLUMN legal_basis text")
    op.execute(PURPOSES)
    op.execute("DELETE FROM routing.offer WHERE purpose IS NULL")
    op.execute("ALTER TABLE routing.offer ALTER COLUMN purpose SET NOT NULL, ALTER COLUMN legal_basis SET NOT NULL")
    # Declined after all: what it was used for before stands in the ledger.
    op.execute("UPDATE routing.offer SET applied_at = NULL WHERE state <> 'approved'")
    op.execute("""ALTER TABLE routing.offer ADD CONSTRAINT offer_decided_in_time_check CHECK (
        (state IN ('approved', 'declined')) = (decided_at IS NOT NULL)
        AND (state = 'approved') = (approval_id IS NOT NULL)
        AND (state <> 'approved' OR decided_at < expires_at)
        AND (applied_at IS NULL OR state = 'approved'))""")
    op.execute("""ALTER TABLE routing.pass_issued ADD CONSTRAINT pass_issued_declared_check
        CHECK (items <@ ARRAY['name', 'kana', 'contact'])""")
    for statement in (GUARD_PROTECTION, GUARD_OFFER, GUARD_PASSED, GUARD_REUSE, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_reuse ON routing.ledger_entry")
    op.execute("DROP TRIGGER guard_pass ON routing.pass_issued")
    op.execute("DROP TRIGGER guard_offer ON routing.offer")
    op.execute("ALTER TABLE routing.pass_issued DROP CONSTRAINT pass_issued_declared_check")
    op.execute("ALTER TABLE routing.offer DROP CONSTRAINT offer_decided_in_time_check")
    op.execute("ALTER TABLE routing.offer DROP COLUMN purpose, DROP COLUMN legal_basis")
    op.execute("DELETE FROM routing.offer WHERE step = 'family'")
    op.execute("ALTER TABLE routing.offer DROP CONSTRAINT offer_step_check")
    op.execute("""ALTER TABLE routing.offer ADD CONSTRAINT offer_step_check
        CHECK (step IN ('handover', 'form'))""")
    op.execute("ALTER TABLE routing.case_file DROP COLUMN acting_for")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    for name in ("reuse", "pass", "offer", "protection"):
        op.execute(f"DROP FUNCTION routing.guard_{name}()")
