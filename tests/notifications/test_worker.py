"""The worker as a process of its own: from an event on the queue to a mail, and an orderly end."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import msgspec

from services.notifications.tables import SERVICE
from shared.crypto import ServiceBox
from shared.events.base import event_type
from shared.messaging.broker import Envelope, events_queue, make_broker
from shared.messaging.relay import _message
from shared.messaging.stamps import Stamps
from tests.conftest import TestDatabase
from tests.notifications.harness import Notifications, running_notifications

# Ceilings and no waits: on a busy machine a process may take its time.
START_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0


async def test_the_worker_sends_what_the_queue_brings_and_ends_in_order(
    database: TestDatabase, redis_url: str, tmp_path: Path, root_dir: Path
) -> None:
    async with running_notifications(database) as service:
        environ = database.environ | {
            "CHOUDO_SMTP_URL": service.sink.smtp_url,
            "CHOUDO_SMS_GATEWAY_URL": service.sink.sms_url,
            "CHOUDO_SMS_GATEWAY_TOKEN": service.settings.sms_gateway_token,
            # The machine's clock must not decide whether the appointment is past.
            "CHOUDO_CLOCK_STARTS_AT": service.now.isoformat(),
            "CHOUDO_CLOCK_STARTED": str(time.time()),
        }
        log = tmp_path / "worker.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.notifications.worker"],
                cwd=root_dir,
                env=environ,
                stdout=output,
                stderr=output,
            )
        broker = make_broker(redis_url)
        try:
            await publish(service, redis_url, environ)
            deadline = time.monotonic() + START_WITHIN_S
            # The mail is out, its entry is in the chain, and the relay has brought that to routing.
            while (
                not service.sink.messages()
                or not await service.rows("SELECT 1 FROM ledger_chain")
                or not broker.queue_length(events_queue("routing"))
            ):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                await asyncio.sleep(0.1)
        finally:
            process.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(process.wait, STOP_WITHIN_S)
        assert status == 0, log.read_text()
        assert [sent.times for sent in service.sink.messages()] == [1]
        assert await service.states() == {"confirmation": "sent"}
        assert broker.queue_length(events_queue("routing")) == 1
        broker.close()


async def publish(service: Notifications, redis_url: str, environ: dict[str, str]) -> None:
    """Put the catalogue, a contact and a booking on the queue, each twice."""
    public = environ["CHOUDO_BOX_PUBLIC_KEYS"]
    contact = service.contact("email")
    broker = make_broker(redis_url)
    messages = [
        _message(
            Envelope(
                publisher=publisher,
                consumer=SERVICE,
                municipality=event.municipality,
                event_id=str(event.event_id),
                type=event_type(type(event)),
                payload=msgspec.json.encode(msgspec.structs.replace(event, sealed=None)).decode(),
                sealed=event.sealed,
                attempt=1,
            ),
            Stamps(ServiceBox.from_settings(environ[f"CHOUDO_{publisher.upper()}_BOX_KEY"], public)),
        ).copy(message_id=str(uuid4()))
        for publisher, event in (
            ("booking", service.booked(contact)),
            ("routing", contact),
            ("routing", service.catalogue()),
        )
        * 2
    ]
    await asyncio.to_thread(broker.enqueue_many, messages)
    broker.close()


def test_a_worker_without_settings_names_every_missing_one(root_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.notifications.worker"],
        cwd=root_dir,
        env={},
        capture_output=True,
        text=True,
        timeout=START_WITHIN_S,
        check=False,
    )
    assert done.returncode == 2
    for name in ("CHOUDO_NOTIFICATIONS_DATABASE_URL", "CHOUDO_SMTP_URL", "CHOUDO_NOTIFICATIONS_MASTER_KEY"):
        assert f"{name}: missing" in done.stderr
