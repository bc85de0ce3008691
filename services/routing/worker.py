"""The worker process: `python -m services.routing.worker`."""

import os
from collections.abc import Sequence

from services.routing.commands.about_you import DUE_CONTACT_DRAFT, blank_contact_draft
from services.routing.commands.account_contact import DUE_UNPROVED, forget_unproved
from services.routing.commands.devices import DUE_DEVICE, end_device
from services.routing.commands.offers import DUE_OFFERS, expire_offers
from services.routing.commands.practice import practice_handlers
from services.routing.commands.quality import DUE_ADDING_UP, add_up_and_go_on
from services.routing.commands.retention import Retention
from services.routing.commands.tidying import DUE_TIDYING, tidy_up
from services.routing.consumers import make_handlers
from services.routing.keys import make_keys
from services.routing.measuring import Measuring
from services.routing.settings import SERVICE, load_settings
from services.routing.tables import outbox
from shared.clock import Clock, clock_from
from shared.db import Database
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.sealer import Sealer
from shared.log import configure_logging
from shared.messaging.due import DueHandler
from shared.messaging.relay import Relay
from shared.messaging.worker import Loop, Worker

DUE_HANDLERS: dict[str, DueHandler] = {
    DUE_UNPROVED: forget_unproved,
    DUE_CONTACT_DRAFT: blank_contact_draft,
    DUE_DEVICE: end_device,
    DUE_OFFERS: expire_offers,
    DUE_TIDYING: tidy_up,
    DUE_ADDING_UP: add_up_and_go_on,
}


def make_loops(db: Database, clock: Clock, relay: Relay) -> Sequence[Loop]:
    """What runs beside relay, receipts and what is due: the ledger's chain and days, erasing in time, measuring."""
    sealer = Sealer(db, clock)
    relay.tell(sealer.look_in)
    return [sealer.run, Checkpointer(db, outbox, clock).run, Retention(db, clock).run, Measuring(db, clock).run]


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging(SERVICE)
    settings = load_settings(os.environ)
    keys = make_keys(settings)
    Worker(
        database_url=settings.database_url,
        pool_size=settings.database_pool_size,
        service=SERVICE,
        redis_url=settings.redis_url,
        box=keys.box,
        make_handlers=lambda _: make_handlers(),
        due_handlers={**DUE_HANDLERS, **practice_handlers(keys)},
        make_loops=make_loops,
        clock=clock_from(os.environ),
        metrics_address=settings.metrics_address,
    ).run_until_signalled()


if __name__ == "__main__":
    main()
