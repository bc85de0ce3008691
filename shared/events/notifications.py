"""What notifications publishes."""

from uuid import UUID

from shared.events.base import Event


class SubjectErasureDone(Event, frozen=True, kw_only=True, tag="notifications.subject_erasure_done.v1"):
    """Notifications has nothing of the person any more. The aggregate is the erasure; whose it was is not said."""

    erasure_id: UUID
