"""Notices accepted and made, and sent by SMS and by mail, a second; how late reminders are; how soon another gateway
takes over.

One worker process makes and sends them; the gateways are simulators on the same machine.
"""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from deploy.local.sink import Sink
from services.booking.tables import outbox
from shared.clock import utc_now
from shared.db import Database
from shared.events.booking import AppointmentBooked
from tests.benchmarks.crowd import Reach, give_contacts
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House
from tests.benchmarks.notices import COUNTER
from tests.benchmarks.systems import IN_BATCHES, SINGLE, accept

ACCEPTED, ACCEPTED_TARGET = 6_000, 400
SMS, SMS_TARGET = 4_000, 200
MAIL, MAIL_TARGET = 2_000, 100
REMINDERS, WAITING, REMINDERS_S = 500, 50_000, 10
LATENESS_TARGET_S = 5.0
FAILOVER_TARGET_S = 10.0
WITHIN_S = 120.0
WORKER = "notifications-worker"
PROVIDERS = "CHOUDO_NOTIFICATIONS_PROVIDERS"
AT_ONCE = 500

# As often as is wanted, what one booking has left.
_APPOINTMENTS = """
    INSERT INTO notifications.appointment
    SELECT (jsonb_populate_record(a, jsonb_build_object(
        'appointment_id', md5($2 || nth)::uuid, 'access_sealed', NULL))).*
    FROM notifications.appointment a, generate_series(1, $3) AS nth WHERE a.appointment_id = $1
"""
_NOTICES = """
    INSERT INTO notifications.notice
    SELECT (jsonb_populate_record(n, jsonb_build_object(
        'appointment_id', md5($2 || nth)::uuid, 'notice_id', md5('n' || $2 || nth)::uuid, 'state', 'pending',
        'delivery', NULL, 'settled_at', NULL, 'bulk', true, 'tries', 0))).*
    FROM notifications.notice n, generate_series(1, $3) AS nth WHERE n.appointment_id = $1
"""
_DUE = """
    INSERT INTO notifications.due (municipality, kind, ref, due_at)
    SELECT $1, 'send_bulk', md5('n' || $2 || nth)::uuid::text, now() FROM generate_series(1, $3) AS nth
"""
_REMINDERS = """
    INSERT INTO notifications.due (municipality, kind, ref, due_at)
    SELECT $1, 'reminder', md5($2 || nth)::uuid || ':' || $4, now() + nth * make_interval(secs => $5)
    FROM generate_series(1, $3) AS nth
"""
_RULE = "SELECT rule FROM notifications.reminder_rule WHERE municipality = $1 AND after_booking_s IS NOT NULL"
_SENT = """
    SELECT min(a.started_at) AS first, max(a.finished_at) AS last, count(*) AS n
    FROM notifications.attempt a JOIN notifications.notice n USING (municipality, notice_id)
    WHERE n.appointment_id = ANY (SELECT md5($1 || nth)::uuid FROM generate_series(1, $2) AS nth)
      AND a.outcome = 'accepted'
"""
# Each reminder was due at its place in the row, counted from the statement that planned them.
_LATE = """
    SELECT extract(epoch FROM a.started_at - ($3::timestamptz + nth * make_interval(secs => $4)))::float8 AS late
    FROM generate_series(1, $2) AS nth
    JOIN notifications.notice n ON n.appointment_id = md5($1 || nth)::uuid AND n.kind = 'reminder'
    JOIN notifications.attempt a USING (municipality, notice_id) WHERE a.attempt_no = 1
"""


async def measure(house: House) -> list[Figure]:
    """Made; sent by SMS; sent by mail; reminders; another gateway."""
    by_sms, by_mail = await give_contacts(house.environ, ["+818000000001", "someone@example.jp"], municipality=TOWN)
    await house.settle()
    in_batches, single = await accept(house)
    made = await _make(house, by_sms)
    samples = {reach.reach: await _book(house, reach) for reach in (by_sms, by_mail)}
    sms = await _send(house, samples["sms"], "sms", SMS)
    mail = await _send(house, samples["email"], "mail", MAIL)
    late = percentile(await _remind(house, samples["sms"]), 0.99)
    other = await _fail_over(house, samples["sms"])
    note = (
        "One worker process, which also runs consumers, relay and sealer. "
        "Of a failover it is the longest of all SMS that waited as the first gateway broke off."
    )
    accepted = "Of one system, over HTTP, each request in one transaction; what is accepted is sent beside it."
    return [
        make_figure("sending", f"notices accepted of another system, {IN_BATCHES:,}, a hundred in a request",
                    in_batches, "/s", f"≥ {ACCEPTED_TARGET}/s", met=in_batches >= ACCEPTED_TARGET, note=accepted),
        make_figure("sending", f"the same one by one, {SINGLE:,}", single, "/s", ""),
        make_figure("sending", f"notices made of events, {ACCEPTED:,} in bulk, sending beside it", made, "/s",
                    f"≥ {ACCEPTED_TARGET}/s", met=made >= ACCEPTED_TARGET, note=note),
        make_figure("sending", f"SMS dispatched, {SMS:,}", sms, "/s", f"≥ {SMS_TARGET}/s", met=sms >= SMS_TARGET),
        make_figure("sending", f"mail dispatched, {MAIL:,}", mail, "/s", f"≥ {MAIL_TARGET}/s", met=mail >= MAIL_TARGET),
        make_figure("sending", f"reminders, {REMINDERS} in {REMINDERS_S} s beside {WAITING:,} that wait: lateness p99",
                    late, "s", f"≤ {LATENESS_TARGET_S:g} s", met=late <= LATENESS_TARGET_S),
        make_figure("sending", "the first gateway fails: from its first failure to the last SMS at the other", other,
                    "s", f"≤ {FAILOVER_TARGET_S:g} s", met=other <= FAILOVER_TARGET_S),
    ]  # fmt: skip


async def _make(house: House, reach: Reach) -> float:
    """Notices a second, from the first to the last of so many events."""
    count = "SELECT count(*) AS n, min(created_at) AS first, max(created_at) AS last FROM notifications.notice"
    before = (await house.rows(count))[0]["n"]
    began = utc_now()
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    for _ in range(ACCEPTED // AT_ONCE):
        async with db.begin(TOWN) as session:
            await outbox.publish(session, *(_booked(reach) for _ in range(AT_ONCE)), bulk=True)
    await db.dispose()
    deadline = time.monotonic() + WITHIN_S
    while (await house.rows(count))[0]["n"] < before + ACCEPTED:
        assert time.monotonic() < deadline, house.stack.log_tails()
        await asyncio.sleep(0.2)
    [row] = await house.rows(f"{count} WHERE created_at >= $1", began)
    await house.execute("DELETE FROM notifications.due WHERE kind = 'send_bulk'")
    return ACCEPTED / float((row["last"] - row["first"]).total_seconds())


async def _book(house: House, reach: Reach) -> UUID:
    """One booking, told of."""
    event = _booked(reach)
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    async with db.begin(TOWN) as session:
        await outbox.publish(session, event)
    await db.dispose()
    await house.settle()
    return event.appointment_id


async def _send(house: House, sample: UUID, name: str, count: int) -> float:
    """Messages a second, from the first attempt to the last answer, of so many that wait as the worker starts."""
    house.stack.stop(WORKER)
    await _copy(house, sample, name, count)
    house.stack.start(WORKER)
    row = await _wait_for_sent(house, name, count)
    return count / float((row["last"] - row["first"]).total_seconds())


async def _copy(house: House, sample: UUID, name: str, count: int) -> None:
    await house.rows(_APPOINTMENTS, sample, name, count)
    await house.rows(_NOTICES, sample, name, count)
    await house.rows(_DUE, TOWN, name, count)


async def _wait_for_sent(house: House, name: str, count: int) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while True:
        [row] = await house.rows(_SENT, name, count)
        if row["n"] >= count:
            return row
        assert time.monotonic() < deadline, f"{row['n']} of {count}\n{house.stack.log_tails()}"
        await asyncio.sleep(0.5)


async def _remind(house: House, sample: UUID) -> list[float]:
    """How late each reminder was at its provider, while many more wait for another day."""
    [rule] = await house.rows(_RULE, TOWN)
    await house.execute(f"""
        INSERT INTO notifications.due (municipality, kind, ref, due_at)
        SELECT '{TOWN}', 'reminder', gen_random_uuid() || ':waiting', now() + interval '1 day' + nth * interval '1 s'
        FROM generate_series(1, {WAITING}) AS nth""")
    await house.rows(_APPOINTMENTS, sample, "reminder", REMINDERS)
    every_s = REMINDERS_S / REMINDERS
    [begun] = await house.rows(
        f"WITH planned AS ({_REMINDERS} RETURNING 1) SELECT now() AS at, count(*) FROM planned",
        TOWN, "reminder", REMINDERS, rule["rule"], every_s,
    )  # fmt: skip
    deadline = time.monotonic() + WITHIN_S
    while len(late := await house.rows(_LATE, "reminder", REMINDERS, begun["at"], every_s)) < REMINDERS:
        assert time.monotonic() < deadline, f"{len(late)} of {REMINDERS}\n{house.stack.log_tails()}"
        await asyncio.sleep(0.5)
    await house.execute("DELETE FROM notifications.due WHERE ref LIKE '%:waiting'")
    return [row["late"] for row in late]


async def _fail_over(house: House, sample: UUID) -> float:
    """Seconds from the first failure of one gateway until all that waited are at the other."""
    token = house.environ["CHOUDO_SMS_GATEWAY_TOKEN"]
    own = house.stack.own_environ.get(WORKER, {})
    async with Sink(token=token) as second, httpx.AsyncClient(base_url=house.stack.sink_url, trust_env=False) as client:
        house.stack.stop(WORKER)
        table = f'[second]\nway = "sms"\nurl = "{second.sms_url}"\ntoken = "{token}"\n'
        house.stack.own_environ[WORKER] = own | {PROVIDERS: table}
        await _copy(house, sample, "failover", AT_ONCE)
        broken = {"channel": "sms", "mode": "fail_5xx", "times": 10_000, "slow_s": 1}
        (await client.post("/behaviour", json=broken)).raise_for_status()
        house.stack.start(WORKER)
        row = await _wait_for_sent(house, "failover", AT_ONCE)
        [failed] = await house.rows("""
            SELECT min(finished_at) AS first FROM notifications.attempt WHERE error_code = 'http_503'""")
        (await client.post("/behaviour", json=broken | {"mode": "ok"})).raise_for_status()
        house.stack.stop(WORKER)
        house.stack.own_environ[WORKER] = own
        house.stack.start(WORKER)
    return float((row["last"] - failed["first"]).total_seconds())


def _booked(reach: Reach) -> AppointmentBooked:
    appointment_id, now = uuid4(), utc_now()
    return AppointmentBooked(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(appointment_id),
        aggregate_version=1,
        occurred_at=now,
        appointment_id=appointment_id,
        number="BBB3333",
        subject_ref=reach.subject_ref,
        contact_ref=reach.contact_ref,
        case_id=None,
        procedure="RES01",
        office="戸籍",
        counter=COUNTER,
        starts_at=now + timedelta(days=3),
        ends_at=now + timedelta(days=3, minutes=20),
        state="booked",
        sequence=0,
    )
