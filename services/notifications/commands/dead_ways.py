"""Ways that lead nowhere (届かない連絡先): their people are asked for better ones, on our pages and by what is left."""

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.contact_notices import tell_dead
from services.notifications.domain.notices import OF_WAYS
from services.notifications.tables import outbox
from shared.db import Prepared
from shared.events.notifications import NoticeProgressed

# Under which name routing hears of a way of a case's contact: dead (`not_delivered`), or good again (`sent`).
WAY_OF_CONTACT = "contact_way"

_OTHERS = Prepared("""
    SELECT c.case_id, c.wants_paper,
           EXISTS (SELECT 1 FROM notifications.contact_way w
                   WHERE (w.municipality, w.contact_ref) = (c.municipality, c.contact_ref)
                     AND w.state = 'good' AND w.verified_at IS NOT NULL) AS has_another
    FROM notifications.contact_point c
    WHERE (c.municipality, c.contact_ref) = (:municipality, :contact_ref)
""")


async def ask_anew(session: AsyncSession, municipality: str, way: Any, *, now: datetime) -> None:
    """A way (`contact_ref`, `way_no`, `kind`, `state_no`) was found dead by a notice of kind `found_by`.

    Routing shows it in the thread of the case. By another way they are told once; but not when it was such a word, or a
    code, that found it: one dead way after the other would be a loop of messages about messages.
    """
    contact = await _OTHERS.row(session, {"municipality": municipality, "contact_ref": way.contact_ref})
    if contact is None:
        return
    await tell_state(session, municipality, contact.case_id, way, is_dead=True, now=now)
    if contact.has_another and not contact.wants_paper and way.found_by not in OF_WAYS:
        about = _id_of(municipality, way)
        await tell_dead(session, municipality, way.contact_ref, about=about, now=now)


async def tell_state(
    session: AsyncSession, municipality: str, case_id: UUID, way: Any, *, is_dead: bool, now: datetime
) -> None:
    """Tell routing that a way of a case's contact is dead, or good again: which kind of way, never where to."""
    way_id = _id_of(municipality, way)
    event = NoticeProgressed(
        event_id=uuid4(),
        municipality=municipality,
        aggregate_id=str(way_id),
        aggregate_version=way.state_no,
        occurred_at=now,
        notice_id=way_id,
        case_id=case_id,
        kind=WAY_OF_CONTACT,
        way=way.kind,
        state="not_delivered" if is_dead else "sent",
    )
    await outbox.publish(session, event)


def _id_of(municipality: str, way: Any) -> UUID:
    return uuid5(NAMESPACE_URL, f"way:{municipality}:{way.contact_ref}:{way.way_no}")
