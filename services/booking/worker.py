"""Booking's worker: hears events, relays its own, and does what is due. `python -m services.booking.worker`."""

import os
from collections.abc import Sequence

from services.booking.commands.alarms import on_wait_watch_due
from services.booking.commands.asking import HELPER_ANSWER
from services.booking.commands.assignments import on_helper_answer_due
from services.booking.commands.availability import on_availability_check_due, on_availability_due
from services.booking.commands.chains import WATCH_CHAIN
from services.booking.commands.class_draws import class_draw_handlers
from services.booking.commands.class_seats import seat_handlers
from services.booking.commands.class_times import CLASS_OVER, on_class_over_due
from services.booking.commands.closings import (
    CLOSING_ANSWER,
    CLOSING_OFFER,
    REOPENING,
    on_closing_answer_due,
    on_closing_due,
    on_closing_offer_due,
    on_reopening_due,
)
from services.booking.commands.cover_asking import COVER
from services.booking.commands.covers import on_cover_due
from services.booking.commands.draws import FORGET_ENTRIES, draw_handlers, on_forget_due
from services.booking.commands.help_matching import help_handlers
from services.booking.commands.horizon import EXTEND_HORIZON, on_extend_horizon_due
from services.booking.commands.marks import AVAILABILITY, AVAILABILITY_CHECK, WAIT_WATCH
from services.booking.commands.phone_tickets import PHONE_BACK, on_phone_back_due
from services.booking.commands.replanning import on_watch_chain_due
from services.booking.commands.telling_helpers import HELPER_REMINDER, on_helper_reminder_due
from services.booking.commands.visits import END_VISIT, on_end_visit_due
from services.booking.commands.waitlist import WAITING
from services.booking.commands.waitlist_offers import WAITING_ANSWER, on_waiting_answer_due, on_waiting_due
from services.booking.consumers import make_handlers
from services.booking.domain.closings import CLOSING
from services.booking.domain.webhooks import about_of
from services.booking.keys import Keys
from services.booking.settings import Settings, load_settings
from services.booking.tables import outbox
from shared.clock import Clock, clock_from, utc_now
from shared.db import Database
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.sealer import Sealer
from shared.log import configure_logging
from shared.messaging.due import DueHandler
from shared.messaging.relay import Relay
from shared.messaging.worker import Loop, Worker
from shared.webhooks.measuring import Measuring
from shared.webhooks.sending import WebhookLoop

DUE_HANDLERS: dict[str, DueHandler] = {
    AVAILABILITY: on_availability_due,
    AVAILABILITY_CHECK: on_availability_check_due,
    EXTEND_HORIZON: on_extend_horizon_due,
    END_VISIT: on_end_visit_due,
    HELPER_ANSWER: on_helper_answer_due,
    HELPER_REMINDER: on_helper_reminder_due,
    COVER: on_cover_due,
    CLOSING: on_closing_due,
    REOPENING: on_reopening_due,
    CLOSING_ANSWER: on_closing_answer_due,
    CLOSING_OFFER: on_closing_offer_due,
    FORGET_ENTRIES: on_forget_due,
    WATCH_CHAIN: on_watch_chain_due,
    WAITING: on_waiting_due,
    WAITING_ANSWER: on_waiting_answer_due,
    WAIT_WATCH: on_wait_watch_due,
    PHONE_BACK: on_phone_back_due,
    CLASS_OVER: on_class_over_due,
}


def keyed_handlers(keys: Keys) -> dict[str, DueHandler]:
    """What is due and needs our keys."""
    return draw_handlers(keys) | class_draw_handlers(keys) | seat_handlers(keys)


def make_loops(db: Database, clock: Clock, relay: Relay) -> Sequence[Loop]:
    """What runs beside relay, receipts and what is due: chaining the ledger, and closing its days."""
    sealer = Sealer(db, clock)
    relay.tell(sealer.look_in)
    return [sealer.run, Checkpointer(db, outbox, clock).run]


def make_worker(settings: Settings, *, clock: Clock = utc_now) -> Worker:
    """The worker of this service, not started yet."""
    keys = Keys.from_settings(settings)
    return Worker(
        database_url=settings.database_url,
        pool_size=settings.database_pool_size,
        service="booking",
        redis_url=settings.redis_url,
        box=keys.box,
        make_handlers=lambda _: make_handlers(keys),
        due_handlers=DUE_HANDLERS | keyed_handlers(keys) | help_handlers(keys),
        make_loops=lambda db, clock, relay: [
            *make_loops(db, clock, relay),
            WebhookLoop(db, keys.vault, settings.webhook_destinations, clock, about_of=about_of).run,
            Measuring(db).run,
        ],
        clock=clock,
        metrics_address=settings.metrics_address,
    )


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging("booking-worker")
    make_worker(load_settings(os.environ), clock=clock_from(os.environ)).run_until_signalled()


if __name__ == "__main__":
    main()
