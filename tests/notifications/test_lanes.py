"""What somebody waits for is never delayed by what goes out in bulk: ten thousand closure notices, a slow gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.notifications import sending
from services.notifications.senders.http import CONCURRENCY
from tests.notifications.harness import TOWN, Notifications, until

IN_BULK = 10_000
LIMITED = "[sms_gateway]\nper_second = 20\nburst = 40\n"


async def close_for(service: Notifications, count: int) -> None:
    """A closing covers the times of so many people, and each is to be told."""
    contact = service.contact("sms")
    booked = service.booked(contact)
    await service.hear(contact, booked)
    await service.settle()
    service.sink.clear()
    columns = await service.rows("""
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names FROM pg_attribute
        WHERE attrelid = 'appointment'::regclass AND attnum > 0 AND NOT attisdropped
          AND attname NOT IN ('appointment_id', 'closure', 'access_sealed')""")
    names = columns[0].names
    values = {"id": booked.appointment_id, "count": count, "town": TOWN, "now": service.now}
    for statement in (
        f"""INSERT INTO appointment (appointment_id, closure, {names})
            SELECT md5('a' || nth)::uuid, 'closed', {names}
            FROM appointment, generate_series(1, :count) AS nth WHERE appointment_id = :id""",
        """INSERT INTO notice (municipality, notice_id, kind, appointment_id, occasion, sequence, appointment_version,
                               contact_ref, state, keeps_quiet, bulk, created_at, useful_until)
           SELECT n.municipality, md5('n' || nth)::uuid, 'closure', md5('a' || nth)::uuid, '2:0', n.sequence,
                  n.appointment_version, n.contact_ref, 'pending', false, true, n.created_at, n.useful_until
           FROM notice n, generate_series(1, :count) AS nth WHERE n.appointment_id = :id""",
        """INSERT INTO due (municipality, kind, ref, due_at)
           SELECT :town, 'send_bulk', md5('n' || nth)::uuid::text, CAST(:now AS timestamptz)
           FROM generate_series(1, :count) AS nth""",
    ):
        async with service.db.begin(TOWN) as session:
            await session.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})


@asynccontextmanager
async def both_lanes(service: Notifications) -> AsyncIterator[None]:
    loops = [asyncio.create_task(loop.run()) for loop in (service.sending, service.sending_bulk)]
    try:
        yield
    finally:
        for loop in loops:
            loop.cancel()
        service.sink.release()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*loops, return_exceptions=True)


async def test_a_confirmation_passes_ten_thousand_closures_at_a_slow_gateway(
    service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is at the gateway by the first look after its commit, and none of the others has got its answer meanwhile.

    Seen to fail with the senders of one lane given to both: every connection waits for its answer.
    """
    await close_for(service, IN_BULK)
    service.sink.behave("sms", "slow", times=CONCURRENCY, slow_s=600)
    looks: list[bool] = []
    look_once = service.sending._rows.are_there

    async def look() -> bool:
        is_due = await look_once()
        looks.append(is_due)
        return is_due

    monkeypatch.setattr(service.sending._rows, "are_there", look)
    async with both_lanes(service):
        await until(lambda: service.sink.in_hand == CONCURRENCY)
        contact = service.contact("sms")
        await service.hear(contact, service.booked(contact, number="NNN2000"))
        committed = len(looks)
        await until(lambda: bool(service.sink.messages()))
        assert ["NNN-2000" in sent.text for sent in service.sink.messages()] == [True]
        assert service.sink.in_hand == CONCURRENCY, "and nobody has answered the others"
        assert sum(looks[: committed + 2]) == 1
    # Looks are a fifth of a second apart, so it is there long before two seconds are over.
    assert sending.POLL_INTERVAL_S <= 0.2


async def test_what_follows_from_something_in_bulk_is_bulk(service: Notifications) -> None:
    contact = service.contact("sms")
    await service.hear(contact, *(service.booked(contact) for _ in range(3)), bulk=True)
    kinds = await service.rows("SELECT DISTINCT kind FROM due WHERE kind LIKE 'send%'")
    assert [row.kind for row in kinds] == ["send_bulk"]


async def test_the_limit_of_a_gateway_keeps_room_for_a_confirmation(service: Notifications) -> None:
    """Not a second passes: the tokens of this moment are all there are.

    Seen to fail without the part of a burst that bulk leaves: the confirmation was put off behind all of them.
    """
    await service.restart_sending(providers=LIMITED)
    await close_for(service, 600)
    while await service.sending_bulk.run_once():
        pass
    assert len(service.sink.messages()) == 29
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact, number="NNN2000"))
    await service.sending.run_once()
    assert "NNN-2000" in service.sink.messages()[0].text
    # Those that are put off come back in their turn, at the gateway's pace: each has been looked at once.
    [put_off] = await service.rows(
        "SELECT count(DISTINCT due_at) AS turns, max(due_at) AS last FROM due WHERE kind = 'send_bulk'"
    )
    assert put_off.turns == 571
    assert abs(put_off.last - service.now - timedelta(seconds=571 / 20)) < timedelta(seconds=0.01)
