"""Going through a case together with the helper who sits beside its person."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text

from services.routing.tables.schema import TIME, UUID, metadata, town

# The person agreed that this helper sees which steps are done, until then: the end of the meeting and a little, or when
# they ended it. A trigger takes only the helper who has accepted the appointment, for its own case.
meeting = Table(
    "meeting",
    metadata,
    town(),
    Column("appointment_id", UUID, primary_key=True),
    Column("case_id", UUID, nullable=False),
    Column("helper_ref", Text, nullable=False),
    Column("agreed_at", TIME, nullable=False),
    Column("until", TIME, nullable=False),
    # Raised by each yes, and by each end before its time.
    Column("version", Integer, nullable=False),
    CheckConstraint("agreed_at <= until AND until <= agreed_at + interval '12 hours'", name="lasts"),
    ForeignKeyConstraint(["municipality", "case_id"], ["routing.case_file.municipality", "routing.case_file.case_id"]),
    Index("meeting_case_idx", "municipality", "case_id"),
)
