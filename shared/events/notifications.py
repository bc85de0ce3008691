"""What notifications publishes."""

from typing import Literal
from uuid import UUID

from shared.events.base import Event

# `none`: the person wants nothing sent, and was to be told all the same.
Way = Literal["email", "sms", "line", "letter", "call", "none"]
# `failed`: the provider does not take it; `not_delivered`: it took it, and told later that it did not arrive;
# `undeliverable`: too late, or there is no address.
NoticeState = Literal["sent", "not_delivered", "failed", "undeliverable"]


class NoticeProgressed(Event, frozen=True, kw_only=True, tag="notifications.notice_progressed.v1"):
    """What became of a notice of a case: by which way it went, never where to. The aggregate is the notice."""

    notice_id: UUID
    case_id: UUID
    kind: str
    way: Way
    state: NoticeState


class SubjectErasureDone(Event, frozen=True, kw_only=True, tag="notifications.subject_erasure_done.v1"):
    """Notifications has nothing of the person any more. The aggregate is the erasure; whose it was is not said."""

    erasure_id: UUID
