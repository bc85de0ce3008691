"""A bulk notice that staff had sent again to one person: counted once, forgotten wholly, not once it was stopped."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from services.notifications.commands.again import send_again
from services.notifications.commands.erasure import erase_subject
from services.notifications.domain.bulk import KEPT
from shared.errors import Refusal
from tests.notifications.bulk_writing import people, send
from tests.notifications.harness import TOWN, Notifications
from tests.notifications.test_again import STAFF
from tests.notifications.test_bulk import counts

OF_BULK = "FROM notice WHERE kind = 'town_news' AND contact_ref IS NOT NULL"


async def again_to(service: Notifications, contact: Any) -> UUID:
    """Have it sent again to one person."""
    query = f"SELECT notice_id {OF_BULK} AND again_of IS NULL AND contact_ref = :ref"
    [row] = await service.rows(query, ref=contact.contact_ref)
    async with service.db.begin(TOWN) as session:
        return await send_again(session, STAFF, row.notice_id, number=0, way_no=None, now=service.now)


async def many(service: Notifications, rows: str) -> int:
    [row] = await service.rows(f"SELECT count(*) AS many {rows}")
    return int(row.many)


async def test_it_is_counted_once_and_forgotten_with_what_went_before(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    """Staff still have the first to do. Seen to fail with the open task of one notice looked at, and not of all that
    was told: the other one stayed for ever."""
    first, _second = await people(service, 2)
    here = await send(service, desk)
    await service.settle()
    await service.pass_time(minutes=2)
    await again_to(service, first)
    await service.settle()
    assert await counts(service, desk, here) == {"送った（届いたかは、まだわかりません）": 2}
    await service.rows(f"""
        INSERT INTO staff_task (municipality, task_id, reason, notice_id, told_id, number, opened_at)
        SELECT municipality, gen_random_uuid(), 'rejected', notice_id, told_id, '', created_at {OF_BULK}
           AND again_of IS NOT NULL RETURNING 1""")
    await service.pass_time(days=KEPT.days + 3)
    assert (await many(service, OF_BULK), await many(service, "FROM told WHERE bulk_id IS NOT NULL")) == (2, 1)
    await service.rows("UPDATE staff_task SET done_at = now() RETURNING 1")
    await service.pass_time(days=KEPT.days + 3)
    assert (await many(service, OF_BULK), await many(service, "FROM told WHERE bulk_id IS NOT NULL")) == (0, 0)
    assert await counts(service, desk, here) == {"送った（届いたかは、まだわかりません）": 2}


async def test_what_was_left_of_it_is_found_when_they_are_erased(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    """A notice whose `told` is gone. Seen to fail with what was told looked for by its row alone."""
    [only] = await people(service, 1)
    await send(service, desk)
    await service.settle()
    await service.rows("DELETE FROM told WHERE bulk_id IS NOT NULL RETURNING 1")
    async with service.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, only.subject_ref, "resident", now=service.now)
    assert await many(service, OF_BULK) == 0


async def test_what_was_stopped_is_not_sent_again(service: Notifications, desk: httpx.AsyncClient) -> None:
    """Seen to fail without it: a notice was made that nobody would send."""
    [only] = await people(service, 1)
    here = await send(service, desk)
    await service.settle()
    await desk.post(f"{here}/stop")
    with pytest.raises(Refusal) as caught:
        await again_to(service, only)
    assert caught.value.code == "again_called_off"
    assert await many(service, OF_BULK) == 1
