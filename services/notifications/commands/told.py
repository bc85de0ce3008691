"""What became of a notice, told to routing for the thread of its case: by which way, never where to."""

from datetime import datetime
from uuid import UUID, uuid4

from services.notifications.domain.notices import Reach
from shared.events.notifications import NoticeProgressed, NoticeState

# A notice comes to its end once; what its provider tells later is one more.
SETTLED, RECEIPT = 1, 2
# As the notice says it. Who waits, was overtaken, or has it on paper as they chose, is in nobody's thread.
STATES: dict[str, NoticeState] = {"sent": "sent", "failed": "failed", "undeliverable": "undeliverable"}


def notice_progressed(
    *,
    municipality: str,
    notice_id: UUID,
    case_id: UUID | None,
    kind: str,
    reach: Reach | None,
    state: NoticeState | None,
    version: int = SETTLED,
    now: datetime,
) -> list[NoticeProgressed]:
    """The event; none for what belongs to no case, or has not come to an end."""
    if case_id is None or state is None:
        return []
    return [
        NoticeProgressed(
            event_id=uuid4(),
            municipality=municipality,
            aggregate_id=str(notice_id),
            aggregate_version=version,
            occurred_at=now,
            notice_id=notice_id,
            case_id=case_id,
            kind=kind,
            way=reach or "none",
            state=state,
        )
    ]
