"""Who is signed in, what they said of their situation, and whom of their family they act for."""

from sqlalchemy import (
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

from services.routing.tables.schema import TEXTS, TIME, UUID, metadata, town

account = Table(
    "account",
    metadata,
    town(),
    Column("account_id", UUID, primary_key=True),
    Column("login", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("roles", TEXTS, nullable=False),
    Column("office", Text),
    Column("failures", Integer, nullable=False),
    Column("locked_until", TIME),
    Column("version", Integer, nullable=False),
    Column("opened_at", TIME, nullable=False),
    # What residents and colleagues call a helper, and what they speak. None of others.
    Column("display_name", Text),
    Column("languages", TEXTS, nullable=False, server_default="{}"),
    Column("closed_at", TIME),
    UniqueConstraint("municipality", "login"),
)

session_table = Table(
    "session",
    metadata,
    town(),
    Column("session_id", Text, primary_key=True),
    Column("refresh_hash", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("account_id", UUID),
    # A guest's own items: minted at the first datum.
    Column("subject_ref", UUID),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("ended_at", TIME),
    CheckConstraint("kind IN ('guest', 'staff', 'helper')", name="kind"),
    UniqueConstraint("municipality", "refresh_hash"),
    Index("session_account_idx", "municipality", "account_id"),
    Index("session_subject_idx", "municipality", "subject_ref", postgresql_where=text("subject_ref IS NOT NULL")),
    ForeignKeyConstraint(
        ["municipality", "account_id"], ["routing.account.municipality", "routing.account.account_id"]
    ),
)

# What a guest said of their situation while comparing channels: codes, for one visit, gone with the session.
situation = Table(
    "situation",
    metadata,
    town(),
    Column("session_id", Text, primary_key=True),
    Column("until", Text),
    Column("phone", Text),
    Column("needs", TEXTS, nullable=False),
    Column("told_at", TIME, nullable=False),
    # No free text: nothing but these answers can be kept.
    CheckConstraint("until IN ('tomorrow', 'week', 'any_day')", name="until"),
    CheckConstraint("phone IN ('alone', 'together', 'none')", name="phone"),
    CheckConstraint("needs <@ ARRAY['step_free', 'sign', 'writing', 'interpreter', 'stay_home']", name="needs"),
    ForeignKeyConstraint(
        ["municipality", "session_id"],
        ["routing.session.municipality", "routing.session.session_id"],
        ondelete="CASCADE",
    ),
)

# Of a guest's family: nobody's name, only in which order they came.
session_person = Table(
    "session_person",
    metadata,
    town(),
    Column("session_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("subject_ref", UUID, nullable=False),
    CheckConstraint("position BETWEEN 1 AND 9", name="position"),
    UniqueConstraint("municipality", "subject_ref"),
)
