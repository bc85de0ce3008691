"""Online applications (申請), and how the office works on them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.routing.domain.applications import STATES
from services.routing.tables.schema import TIME, UUID, metadata, town

application = Table(
    "application",
    metadata,
    town(),
    Column("application_id", UUID, primary_key=True),
    # 受付番号
    Column("number", Text, nullable=False),
    Column("case_id", UUID, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("subject_ref", UUID, nullable=False),
    Column("guest_ref", Text, nullable=False),
    Column("contact_ref", UUID),
    # A trigger lets only the moves of `domain/applications.py` through, each with the next version.
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # The version of each item as it was sent: what another case corrects later does not change this one.
    Column("items", JSONB, nullable=False),
    # The key of the page that sent it last: sent twice, it is sent once.
    Column("submit_key", UUID, nullable=False),
    Column("submitted_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
    Column("code_failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", TIME),
    CheckConstraint(f"state IN {STATES}", name="state"),
    # By when the office decides; empty: no period is set.
    Column("due_at", TIME),
    # Who works on it: the `ref` of an account.
    Column("assignee", Text),
    # Whether the town asked for two when it was sent; who accepted it last, and who completed it.
    Column("two_persons", Boolean, nullable=False, server_default="false"),
    Column("accepted_by", Text),
    Column("completed_by", Text),
    # Of a refusal: whom an appeal goes to, as the person was told; empty: there is none.
    Column("appeal_to", Text),
    Column("appeal_first", Boolean, nullable=False, server_default="false"),
    CheckConstraint(
        "NOT two_persons OR state <> 'completed' OR (accepted_by IS NOT NULL AND completed_by IS NOT NULL"
        " AND accepted_by <> completed_by)",
        name="two_persons",
    ),
    CheckConstraint("state <> 'refused' OR appeal_to IS NOT NULL", name="appeal_told"),
    Index(
        "application_open_idx",
        "municipality",
        "office",
        "due_at",
        "submitted_at",
        postgresql_where=text("state NOT IN ('completed', 'refused', 'withdrawn')"),
    ),
    UniqueConstraint("municipality", "number"),
    UniqueConstraint("municipality", "case_id"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
    Index("application_submitted_at_idx", "municipality", "submitted_at"),
)

# The history of an application's states. What the office asks for is an item of the vault; here is its version only.
application_step = Table(
    "application_step",
    metadata,
    town(),
    Column("application_id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("office", Text),
    Column("reason_version", Integer),
    ForeignKeyConstraint(
        ["municipality", "application_id"],
        ["routing.application.municipality", "routing.application.application_id"],
    ),
)

application_link = Table(
    "application_link",
    metadata,
    town(),
    Column("link_hash", LargeBinary, primary_key=True),
    Column("application_id", UUID, nullable=False),
    Column("issued_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "application_id"],
        ["routing.application.municipality", "routing.application.application_id"],
    ),
)

# What was gone through of a procedure's checks, and by whom. Sent once more, an application has all of them before it.
application_check = Table(
    "application_check",
    metadata,
    town(),
    Column("application_id", UUID, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("ticked_by", Text, nullable=False),
    Column("ticked_at", TIME, nullable=False),
    ForeignKeyConstraint(
        ["municipality", "application_id"],
        ["routing.application.municipality", "routing.application.application_id"],
    ),
)

# Which office has looked at which case on which day: the person reads that once a day, not for every reload.
office_look = Table(
    "office_look",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    Column("office", Text, primary_key=True),
    # Where: beside the line at the counter, or in the back office.
    Column("step", Text, primary_key=True),
    Column("day", Date, primary_key=True),
)
