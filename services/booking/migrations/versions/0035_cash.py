"""What was delivered at a counter and what was paid for it; which means of payment a counter takes."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0035", "0033", None, None

DELIVERED = """
CREATE TABLE booking.delivered (
    municipality text NOT NULL, appointment_id uuid NOT NULL, version integer NOT NULL, procedure text NOT NULL,
    quantity integer NOT NULL, handed text NOT NULL,
    CONSTRAINT delivered_pkey PRIMARY KEY (municipality, appointment_id, version, procedure),
    CONSTRAINT delivered_municipality_appointment_id_version_fkey
        FOREIGN KEY (municipality, appointment_id, version)
        REFERENCES booking.line_step (municipality, appointment_id, version),
    CONSTRAINT delivered_quantity_check CHECK (quantity BETWEEN 1 AND 99),
    CONSTRAINT delivered_handed_check CHECK (handed IN ('counter', 'online', 'post')))
"""
PAYMENT = """
CREATE TABLE booking.payment (
    municipality text NOT NULL, appointment_id uuid NOT NULL, version integer NOT NULL, day date NOT NULL,
    counter text NOT NULL, office text NOT NULL, amount_yen integer NOT NULL, means text NOT NULL,
    receipt_no text NOT NULL, taken_at timestamptz NOT NULL, is_undone boolean NOT NULL DEFAULT false,
    CONSTRAINT payment_pkey PRIMARY KEY (municipality, appointment_id, version),
    CONSTRAINT payment_municipality_appointment_id_version_fkey
        FOREIGN KEY (municipality, appointment_id, version)
        REFERENCES booking.line_step (municipality, appointment_id, version),
    CONSTRAINT payment_amount_check CHECK (amount_yen BETWEEN 1 AND 999999),
    CONSTRAINT payment_means_check CHECK (means IN ('cash', 'credit', 'ic_card', 'code', 'invoice')),
    CONSTRAINT payment_receipt_check CHECK (receipt_no ~ '^([0-9A-Z][0-9A-Z-]{0,11})?$'))
"""
INDEXES = (
    """CREATE UNIQUE INDEX payment_receipt_idx ON booking.payment (municipality, counter, day, receipt_no)
    WHERE receipt_no <> '' AND NOT is_undone""",
    "CREATE INDEX payment_municipality_day_idx ON booking.payment (municipality, day)",
)
# Money that was written down stays as it was: all that ever changes is that its step was taken back, and that follows
# the step by itself.
GUARD = """
CREATE FUNCTION booking.guard_payment() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF (to_jsonb(NEW) - 'is_undone') IS DISTINCT FROM (to_jsonb(OLD) - 'is_undone') OR NOT EXISTS (
        SELECT FROM booking.line_step s
        WHERE (s.municipality, s.appointment_id, s.version) = (NEW.municipality, NEW.appointment_id, NEW.version)
          AND s.is_undone = NEW.is_undone) THEN
        RAISE EXCEPTION 'a payment stays as it was written'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_guard';
    END IF;
    RETURN NEW;
END $$
"""
FOLLOW = """
CREATE FUNCTION booking.undo_payment() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    UPDATE booking.payment p SET is_undone = NEW.is_undone
    WHERE (p.municipality, p.appointment_id, p.version) = (NEW.municipality, NEW.appointment_id, NEW.version);
    RETURN NULL;
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER guard_payment BEFORE UPDATE ON booking.payment
    FOR EACH ROW EXECUTE FUNCTION booking.guard_payment()""",
    """CREATE TRIGGER undo_payment AFTER UPDATE OF is_undone ON booking.line_step
    FOR EACH ROW EXECUTE FUNCTION booking.undo_payment()""",
)


def upgrade() -> None:
    op.execute("ALTER TABLE booking.counter ADD COLUMN payment text[] NOT NULL DEFAULT '{}'")
    for statement in (DELIVERED, PAYMENT, *INDEXES, GUARD, FOLLOW, *TRIGGERS):
        op.execute(statement)
    for table in ("delivered", "payment"):
        for statement in row_level_security("booking", table):
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER undo_payment ON booking.line_step")
    op.execute("DROP FUNCTION booking.undo_payment()")
    op.execute("DROP TABLE booking.payment")
    op.execute("DROP FUNCTION booking.guard_payment()")
    op.execute("DROP TABLE booking.delivered")
    op.execute("ALTER TABLE booking.counter DROP COLUMN payment")
