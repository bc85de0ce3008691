"""Every service's sealer looks where the service's relay saw something published."""

from collections.abc import Callable
from typing import Any

import pytest

from services.booking.worker import make_loops as make_booking_loops
from services.notifications.keys import make_keys
from services.notifications.settings import load_settings
from services.notifications.worker import make_loops as make_notifications_loops
from services.routing.worker import make_loops as make_routing_loops
from shared.clock import utc_now
from shared.db import Database
from shared.events.subscriptions import SERVICES
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.sealer import Sealer
from shared.messaging.broker import make_broker
from shared.messaging.relay import Relay


@pytest.mark.parametrize("service", SERVICES)
async def test_a_workers_relay_tells_its_sealer(service: str, template_environ: dict[str, str]) -> None:
    def make_notifications(*given: Any) -> Any:
        settings = load_settings(template_environ)
        return make_notifications_loops(settings, make_keys(settings), *given)

    makers: dict[str, Callable[..., Any]] = {
        "routing": make_routing_loops,
        "booking": make_booking_loops,
        "notifications": make_notifications,
    }
    db = Database(template_environ[f"CHOUDO_{service.upper()}_DATABASE_URL"], service=service)
    relay = Relay(db, make_broker(template_environ["CHOUDO_REDIS_URL"]), utc_now)
    loops = makers[service](db, utc_now, relay)
    sealers = [loop.__self__ for loop in loops if isinstance(getattr(loop, "__self__", None), Sealer)]
    assert len(sealers) == 1
    assert relay._listeners == [sealers[0].look_in]
    # And closes the days of its own ledger, in its own outbox.
    closing = [loop.__self__ for loop in loops if isinstance(getattr(loop, "__self__", None), Checkpointer)]
    assert [each._outbox.service for each in closing] == [service]
    await db.dispose()
