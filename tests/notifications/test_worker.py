"""The worker as a process of its own: from an event on the queue to a mail, and an orderly end."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from services.notifications.tables import SERVICE
from shared.crypto import ServiceBox
from shared.events.base import event_type
from shared.messaging.broker import Envelope, events_queue, make_broker
from shared.messaging.relay import _message
from shared.messaging.stamps import Stamps
from shared.stopping import STOP_WITHIN_S
from tests.conftest import TestDatabase
from tests.notifications.harness import Notifications, running_notifications

# Ceilings and no waits: on a busy machine a process may take its time.
START_WITHIN_S = 120.0
PATIENCE_S = 60.0


def environ_of(service: Notifications, database: TestDatabase) -> dict[str, str]:
    return database.environ | {
        "CHOUDO_SMTP_URL": service.sink.smtp_url,
        "CHOUDO_SMS_GATEWAY_URL": service.sink.sms_url,
        "CHOUDO_SMS_GATEWAY_TOKEN": service.settings.sms_gateway_token or "",
        # The machine's clock must not decide whether the appointment is past.
        "CHOUDO_CLOCK_STARTS_AT": service.now.isoformat(),
        "CHOUDO_CLOCK_STARTED": str(time.time()),
    }


@contextmanager
def running_worker(environ: dict[str, str], root_dir: Path, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Killed in the end, if it still runs then."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.notifications.worker"],
            cwd=root_dir,
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def stop(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait, PATIENCE_S)


# The use of the contact, and that the notice was sent.
TOLD_TO_ROUTING = 2


async def test_the_worker_sends_what_the_queue_brings_and_ends_in_order(
    database: TestDatabase, redis_url: str, tmp_path: Path, root_dir: Path
) -> None:
    async with running_notifications(database) as service:
        environ = environ_of(service, database)
        log = tmp_path / "worker.log"
        broker, entries = make_broker(redis_url), events_queue("routing", bulk=True)
        with running_worker(environ, root_dir, log) as process:
            await publish(service, redis_url, environ)
            deadline = time.monotonic() + START_WITHIN_S
            # The mail is out, its entry is in the chain, and the relay has brought both to routing.
            while (
                not service.sink.messages()
                or not await service.rows("SELECT 1 FROM ledger_chain")
                or broker.queue_length(entries) < TOLD_TO_ROUTING
            ):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                await asyncio.sleep(0.1)
            assert await stop(process) == 0, log.read_text()
        assert [sent.times for sent in service.sink.messages()] == [1]
        assert await service.states() == {"confirmation": "sent"}
        assert broker.queue_length(entries) == TOLD_TO_ROUTING
        broker.close()


async def test_a_worker_whose_mail_server_is_slow_ends_in_time_and_leaves_the_notice_to_its_lease(
    database: TestDatabase, redis_url: str, tmp_path: Path, root_dir: Path
) -> None:
    async with running_notifications(database) as service:
        environ = environ_of(service, database)
        log = tmp_path / "worker.log"
        service.sink.behave("smtp", "slow", slow_s=600)
        with running_worker(environ, root_dir, log) as process:
            await publish(service, redis_url, environ)
            async with asyncio.timeout(START_WITHIN_S):
                while not service.sink.in_hand:
                    await asyncio.sleep(0.05)
            began = time.monotonic()
            assert await stop(process) == 0, log.read_text()
            assert time.monotonic() - began <= STOP_WITHIN_S
        service.sink.release()
        # It may have been accepted: said so, or left to the lease of its attempt.
        assert set((await service.states()).values()) <= {"sending", "unknown"}
        assert await service.rows("SELECT 1 FROM due WHERE kind = 'send'") != []


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
