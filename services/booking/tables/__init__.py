"""Booking's own schema, by what the tables are about, and what writes and reads through it."""

from services.booking.tables import (
    appointments,
    cash,
    catalogue,
    classes,
    closings,
    covers,
    draws,
    help_requests,
    helpers,
    line,
    managing,
    one_stop,
    opening,
    order,
    phone,
    places,
    rules,
    waitlist,
    webhooks,
)
from services.booking.tables.order import NAME_SUBJECTS
from services.booking.tables.schema import metadata
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from shared.web.sessions import EndedSessions

__all__ = [
    "NAME_SUBJECTS",
    "appointments",
    "cash",
    "catalogue",
    "classes",
    "closings",
    "covers",
    "draws",
    "ended_sessions",
    "help_requests",
    "helpers",
    "ledger",
    "line",
    "managing",
    "metadata",
    "one_stop",
    "opening",
    "order",
    "outbox",
    "phone",
    "places",
    "rules",
    "waitlist",
    "webhooks",
]

outbox = Outbox("booking", metadata)
ledger = Ledger(metadata, outbox)
ended_sessions = EndedSessions(metadata)
