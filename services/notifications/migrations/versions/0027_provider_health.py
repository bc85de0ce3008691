"""How providers do, as each sending process sees it: no town's own."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0027", "0026", None, None


def upgrade() -> None:
    op.execute("""CREATE TABLE notifications.provider_health (
        provider text NOT NULL, process uuid NOT NULL, way text NOT NULL, state text NOT NULL,
        since timestamptz NOT NULL, written_at timestamptz NOT NULL,
        accepted integer NOT NULL, temporary integer NOT NULL, permanent integer NOT NULL, unknown integer NOT NULL,
        took_p95_ms integer, last_error text, last_error_at timestamptz,
        CONSTRAINT provider_health_pkey PRIMARY KEY (provider, process),
        CONSTRAINT provider_health_state_check CHECK (state IN ('closed', 'half_open', 'open')))""")


def downgrade() -> None:
    op.execute("DROP TABLE notifications.provider_health")
