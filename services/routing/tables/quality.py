"""Quality (サービス設計12箇条 第9条): counts without persons, and what people said afterwards."""

from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, PrimaryKeyConstraint, Table, Text, text

from services.routing.domain.quality import KINDS as QUALITY_KINDS
from services.routing.tables.schema import TIME, UUID, metadata, town

# What of a case was counted: each once.
case_course = Table(
    "case_course",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    Column("sent_at", TIME),
    Column("spared_at", TIME),
    Column("ended_at", TIME),
    Column("ended_how", Text),
    CheckConstraint("ended_how IN ('finished', 'given_up')", name="ended_how"),
    CheckConstraint("(ended_at IS NULL) = (ended_how IS NULL)", name="ended"),
)


def _counted() -> list[Any]:
    return [
        # The first day of the month in Japan in which it was counted.
        Column("month", Date, nullable=False),
        Column("procedure", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("kind", Text, nullable=False),
        # Of a switch: to which channel, and how far the case had come.
        Column("to_channel", Text, nullable=False, server_default=""),
        Column("step", Text, nullable=False, server_default=""),
        # A bound in minutes (`domain/quality.py: BOUNDS_MIN`); 0: no time.
        Column("took_min", Integer, nullable=False, server_default="0"),
        # How many cases, and of items how many.
        Column("people", Integer, nullable=False, server_default="1"),
        Column("amount", Integer, nullable=False, server_default="0"),
        CheckConstraint(f"kind IN {QUALITY_KINDS}", name="kind"),
        CheckConstraint("month = date_trunc('month', month)", name="month"),
    ]


# Written beside what it counts, without saying whose it was; added up once a day, and gone.
quality_fact = Table(
    "quality_fact",
    metadata,
    town(),
    Column("fact_id", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    *_counted(),
)

quality_count = Table(
    "quality_count",
    metadata,
    Column("municipality", Text, nullable=False),
    *_counted(),
    PrimaryKeyConstraint(
        "municipality", "month", "procedure", "channel", "kind", "to_channel", "step", "took_min",
    ),
)  # fmt: skip

# What a person said after the end of a case: once for each case. Their words are an item of the vault.
feedback = Table(
    "feedback",
    metadata,
    town(),
    Column("case_id", UUID, primary_key=True),
    Column("subject_ref", UUID, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("ease", Text, nullable=False),
    Column("worked", Boolean, nullable=False),
    Column("text_version", Integer),
    Column("answer_version", Integer),
    # What of it was published: that does not say whose it was.
    Column("voice_id", UUID),
    Column("version", Integer, nullable=False),
    Column("given_at", TIME, nullable=False),
    Column("answered_at", TIME),
    Column("counted_at", TIME),
    CheckConstraint("ease IN ('easy', 'fair', 'hard')", name="ease"),
    CheckConstraint("(answer_version IS NULL) = (answered_at IS NULL)", name="answered"),
    Index("feedback_given_at_idx", "municipality", "given_at"),
    Index("feedback_subject_idx", "municipality", "subject_ref"),
)

# A published opinion in the words of staff, with the town's answer. Nothing leads from it to a person.
voice = Table(
    "voice",
    metadata,
    town(),
    Column("voice_id", UUID, primary_key=True),
    Column("month", Date, nullable=False),
    Column("said", Text, nullable=False),
    Column("answer", Text, nullable=False),
    CheckConstraint("month = date_trunc('month', month)", name="month"),
    Index("voice_month_idx", "municipality", "month"),
)

# What the town made better, written by its managers.
improvement = Table(
    "improvement",
    metadata,
    town(),
    Column("improvement_id", UUID, primary_key=True),
    Column("month", Date, nullable=False),
    Column("said", Text, nullable=False),
    CheckConstraint("month = date_trunc('month', month)", name="month"),
    Index("improvement_month_idx", "municipality", "month"),
)
