"""Sessions that were ended before their time: each service remembers them until their last token would have expired."""

from datetime import datetime

from sqlalchemy import TIMESTAMP, Column, MetaData, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Database, row_level_security
from shared.events.routing import SessionEnded


class EndedSessions:
    """A service's `ended_session` table, the handler that fills it, and the question that the middleware asks."""

    def __init__(self, metadata: MetaData) -> None:
        self._schema = metadata.schema
        self.table = Table(
            "ended_session",
            metadata,
            Column("municipality", Text, primary_key=True),
            Column("session_id", Text, primary_key=True),
            Column("tokens_valid_until", TIMESTAMP(timezone=True), nullable=False),
        )

    async def on_session_ended(self, session: AsyncSession, event: SessionEnded, *, now: datetime) -> None:
        """Consumer of `SessionEnded`; also forgets those whose tokens have all expired."""
        await session.execute(
            text(f"""INSERT INTO {self._schema}.ended_session (municipality, session_id, tokens_valid_until)
                     VALUES (:municipality, :session_id, :until) ON CONFLICT DO NOTHING"""),
            {"municipality": event.municipality, "session_id": event.session_id, "until": event.tokens_valid_until},
        )
        await session.execute(
            text(f"DELETE FROM {self._schema}.ended_session WHERE tokens_valid_until < :now"), {"now": now}
        )

    async def is_ended(self, db: Database, municipality: str, session_id: str) -> bool:
        """Whether the tokens of this session are to be refused."""
        async with db.begin(municipality) as session:
            found = await session.execute(
                text(f"SELECT 1 FROM {self._schema}.ended_session WHERE municipality = :town AND session_id = :id"),
                {"town": municipality, "id": session_id},
            )
            return found.first() is not None


def ended_session_v1(schema: str) -> list[str]:
    """The first migration's statements for this table in a service's schema."""
    return [
        f"""CREATE TABLE {schema}.ended_session (
            municipality text NOT NULL, session_id text NOT NULL, tokens_valid_until timestamptz NOT NULL,
            CONSTRAINT ended_session_pkey PRIMARY KEY (municipality, session_id))""",
        *row_level_security(schema, "ended_session"),
    ]
