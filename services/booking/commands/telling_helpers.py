"""What helpers are told, by the way that they chose: notifications knows it, and sends it once."""

from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.keys import Keys
from services.booking.tables import outbox
from shared.events.booking import HelperMatter, HelperTold, SealedMessage

SEAL_PURPOSE = "helper_message"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when something is: nothing of whom a helper meets."""

    venue: str
    starts_at: datetime
    ends_at: datetime
    assignment_id: UUID | None = None
    answer_by: datetime | None = None


async def tell_helper(
    session: AsyncSession, municipality: str, helper_ref: str, matter: HelperMatter, told: Told, *, now: datetime
) -> None:
    """A helper is told of a visit, in the transaction that makes it so."""
    told_id = uuid4()
    await outbox.publish(
        session,
        HelperTold(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(told_id),
            aggregate_version=1,
            occurred_at=now,
            told_id=told_id,
            helper_ref=helper_ref,
            matter=matter,
            **msgspec.structs.asdict(told),
        ),
    )


async def write_to_helper(
    session: AsyncSession, municipality: str, helper_ref: str, message: SealedMessage, keys: Keys, *, now: datetime
) -> None:
    """What a coordinator wrote goes to a helper, sealed."""
    told_id = uuid4()
    await outbox.publish(
        session,
        HelperTold(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(told_id),
            aggregate_version=1,
            occurred_at=now,
            told_id=told_id,
            helper_ref=helper_ref,
            matter="message",
            sealed=keys.box.seal_for("notifications", SEAL_PURPOSE, msgspec.msgpack.encode(message)),
        ),
    )
