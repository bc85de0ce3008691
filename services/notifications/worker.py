"""The worker process: `python -m services.notifications.worker`. Consumers, relay, reminders, sealer, sending."""

import os
import sys
from collections.abc import Sequence

from services.notifications.commands.appointments import forget_access, remind
from services.notifications.commands.bulk_spreading import BULK_HANDLERS
from services.notifications.commands.calls import end_call
from services.notifications.commands.classes import DUE_REMINDER, remind_of_class
from services.notifications.commands.handed_in import DUE_FORGET, forget_access_of
from services.notifications.commands.letters import forget_letters
from services.notifications.commands.line import DUE_FORGET_FOLLOW, forget_follow
from services.notifications.commands.receipts import DUE_MATCH, match_receipts
from services.notifications.commands.rules import replan_reminders
from services.notifications.commands.system_tidying import DUE_TIDY_SYSTEMS, tidy_systems
from services.notifications.commands.telling import DUE_FORGET_TOLD, forget_told
from services.notifications.commands.tidying import Tidying
from services.notifications.consumers import make_handlers
from services.notifications.domain.by_post import DUE_END_CALL, DUE_FORGET_LETTERS
from services.notifications.keys import Keys, make_keys
from services.notifications.measuring import Measuring
from services.notifications.providers.chosen import make_providers, make_senders
from services.notifications.providers.told import HealthLoop
from services.notifications.senders.by_hand import senders_by_hand
from services.notifications.sending import SendingLoop
from services.notifications.settings import Settings, load_settings
from services.notifications.tables import SERVICE, outbox
from shared.clock import Clock, clock_from, utc_now
from shared.db import Database
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.sealer import Sealer
from shared.log import configure_logging
from shared.messaging.due import DueHandler
from shared.messaging.relay import Relay
from shared.messaging.worker import Loop, Worker
from shared.settings import MissingSettings
from shared.webhooks.measuring import Measuring as WatchedWebhooks
from shared.webhooks.sending import WebhookLoop

DUE_HANDLERS: dict[str, DueHandler] = {
    "reminder": remind,
    "forget": forget_access,
    DUE_FORGET: forget_access_of,
    DUE_FORGET_TOLD: forget_told,
    DUE_REMINDER: remind_of_class,
    "replan": replan_reminders,
    DUE_MATCH: match_receipts,
    DUE_FORGET_FOLLOW: forget_follow,
    **BULK_HANDLERS,
    DUE_FORGET_LETTERS: forget_letters,
    DUE_END_CALL: end_call,
    DUE_TIDY_SYSTEMS: tidy_systems,
}
BAD_SETTINGS = 2


def make_loops(settings: Settings, keys: Keys, db: Database, clock: Clock, relay: Relay) -> Sequence[Loop]:
    """The loops of this service, beside relay, receipts and what is due."""
    providers = make_providers(settings)
    sending = [
        SendingLoop(
            db,
            keys,
            make_senders(settings) | senders_by_hand(db, keys.vault, clock),
            providers,
            clock,
            bulk=bulk,
            mail_from=settings.mail_from,
            bounce_domain=settings.bounce_domain,
        ).run
        for bulk in (False, True)
    ]
    sealer = Sealer(db, clock)
    relay.tell(sealer.look_in)
    watching = [
        HealthLoop(db, providers, clock).run,
        Measuring(db, providers, clock).run,
        WatchedWebhooks(db).run,
    ]
    return [
        sealer.run,
        Checkpointer(db, outbox, clock).run,
        WebhookLoop(db, keys.vault, settings.webhook_destinations, clock).run,
        Tidying(db, clock).run,
        *watching,
        *sending,
    ]


def make_worker(settings: Settings, *, clock: Clock = utc_now) -> Worker:
    """The worker of this service."""
    keys = make_keys(settings)
    return Worker(
        database_url=settings.database_url,
        pool_size=settings.database_pool_size,
        service=SERVICE,
        redis_url=settings.redis_url,
        box=keys.box,
        make_handlers=lambda _: make_handlers(keys),
        due_handlers=DUE_HANDLERS,
        make_loops=lambda db, clock, relay: make_loops(settings, keys, db, clock, relay),
        clock=clock,
        metrics_address=settings.metrics_address,
    )


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    configure_logging(SERVICE)
    try:
        settings = load_settings(os.environ)
    except MissingSettings as error:
        sys.stderr.write(f"{error}\n")
        return BAD_SETTINGS
    make_worker(settings, clock=clock_from(os.environ)).run_until_signalled()
    return 0


if __name__ == "__main__":
    sys.exit(main())
