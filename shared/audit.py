"""What staff, helpers and operators did: one row in the transaction of the deed, in every service's own schema.

Written once: the application's role may insert and read, and nothing else.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import TIMESTAMP, BigInteger, Column, Index, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID as _UUID
from sqlalchemy.ext.asyncio import AsyncSession

from shared.tokens import Identity

_RECORD = text("""
    INSERT INTO audit (municipality, audit_id, occurred_at, actor_kind, actor_ref, office, action, ref, ref_version)
    VALUES (:municipality, :audit_id, :now, :actor_kind, :actor_ref, :office, :action, :ref, :ref_version)
""")


class Operator(msgspec.Struct, frozen=True):
    """Whoever acts by the command line, in one town."""

    municipality: str
    office: str | None = None
    kind: Literal["operator"] = "operator"
    ref: Literal["operator"] = "operator"


def audit_table(metadata: MetaData) -> Table:
    """The table, attached to a service's metadata."""
    return Table(
        "audit",
        metadata,
        Column("municipality", Text, primary_key=True),
        Column("audit_id", _UUID(as_uuid=True), primary_key=True),
        Column("occurred_at", TIMESTAMP(timezone=True), nullable=False),
        Column("actor_kind", Text, nullable=False),
        Column("actor_ref", Text, nullable=False),
        Column("office", Text),
        Column("action", Text, nullable=False),
        Column("ref", Text, nullable=False),
        Column("ref_version", BigInteger),
        Index("audit_municipality_occurred_at_idx", "municipality", "occurred_at"),
    )


async def record_deed(
    session: AsyncSession,
    actor: Identity | Operator | None,
    action: str,
    ref: str | UUID,
    *,
    version: int | None = None,
    now: datetime,
) -> None:
    """Write who did what to which reference, and which version of it that made. No personal data.

    What visitors do for themselves (a guest, or None) is in the ledger only.
    """
    if actor is None or actor.kind == "guest":
        return
    did = {"action": action, "ref": str(ref), "ref_version": version, "now": now, "audit_id": uuid4()}
    who = {"actor_kind": actor.kind, "actor_ref": actor.ref, "office": actor.office}
    await session.execute(_RECORD, did | who | {"municipality": actor.municipality})
