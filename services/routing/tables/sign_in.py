"""How people with an account sign in without a password: their contact, links and codes, passkeys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from services.routing.tables.schema import TIME, UUID, metadata, town


def _of_account() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["municipality", "account_id"], ["routing.account.municipality", "routing.account.account_id"]
    )


# How somebody with an account is told things. The address itself is notifications'; here a keyed hash finds it again
# when it is typed, and `hint` lets its owner recognise it. A row stays when it is forgotten, for its version.
account_contact = Table(
    "account_contact",
    metadata,
    town(),
    Column("account_id", UUID, primary_key=True),
    Column("reach", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("address_hash", LargeBinary),
    Column("hint", Text),
    # Given by the town together with the account: whoever gets the link that is sent there may sign in by it.
    Column("vouched", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("told_at", TIME, nullable=False),
    # Since when its owner has shown that they read what is sent there.
    Column("verified_at", TIME),
    CheckConstraint("reach IN ('email', 'sms', 'none')", name="reach"),
    CheckConstraint(
        """CASE reach WHEN 'none' THEN num_nonnulls(address_hash, hint, verified_at) = 0 AND NOT vouched
            ELSE num_nonnulls(address_hash, hint) = 2 END""",
        name="forgotten",
    ),
    # An address signs in to one account.
    Index(
        "account_contact_address_key", "municipality", "address_hash", unique=True,
        postgresql_where=text("verified_at IS NOT NULL OR vouched"),
    ),
    _of_account(),
)  # fmt: skip

# A link and a code that were sent, to sign in or to prove a contact, once. The code is not stored: it follows from
# `asking_id` and the master key. A trigger lets what was used or is over not come back.
sign_in_asking = Table(
    "sign_in_asking",
    metadata,
    town(),
    Column("asking_id", UUID, primary_key=True),
    Column("account_id", UUID, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("link_hash", LargeBinary, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("asked_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("used_at", TIME),
    Column("ended_at", TIME),
    UniqueConstraint("municipality", "link_hash"),
    CheckConstraint("purpose IN ('sign_in', 'prove')", name="purpose"),
    CheckConstraint("used_at < expires_at", name="used_in_time"),
    CheckConstraint("failures BETWEEN 0 AND 5", name="few_tries"),
    Index("sign_in_asking_account_idx", "municipality", "account_id", "asked_at"),
    _of_account(),
)

# The public half of a passkey. A trigger lets its count only rise.
passkey = Table(
    "passkey",
    metadata,
    town(),
    Column("passkey_id", UUID, primary_key=True),
    Column("account_id", UUID, nullable=False),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("made_at", TIME, nullable=False),
    Column("last_used_at", TIME),
    UniqueConstraint("municipality", "credential_id"),
    Index("passkey_account_idx", "municipality", "account_id"),
    _of_account(),
)

# What a passkey has to sign, once: for the account that adds one, or for whoever signs in (no account yet).
passkey_challenge = Table(
    "passkey_challenge",
    metadata,
    town(),
    Column("challenge_id", UUID, primary_key=True),
    Column("challenge", LargeBinary, nullable=False),
    Column("account_id", UUID),
    Column("expires_at", TIME, nullable=False),
    Index("passkey_challenge_expires_idx", "municipality", "expires_at"),
    _of_account(),
)
