"""Somebody who chose a letter or a call, and staff who print, post and call."""

import io
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pikepdf

from services.notifications.commands.ways import NewWay, add_way
from tests.notifications.harness import NOW, TOWN, Notifications

LETTERS = "/notices/letters"
TO = "〒259-0123\n神奈川県中郡二宮町二宮961\n郵便 花子"
LETTER = NewWay(kind="letter", address=TO)
CALL = NewWay(kind="call", address="+81463713311")
# So far ahead that a letter is in time.
LATER = NOW + timedelta(days=21)


async def book(service: Notifications, *ways: NewWay, **changes: Any) -> Any:
    """Somebody with these ways alone who booked; returns the event."""
    contact = service.contact("sms", language=changes.pop("language", "ja"))
    await service.hear(contact)
    async with service.db.begin(TOWN) as session:
        for way in ways:
            await add_way(session, service.keys.vault, TOWN, contact.contact_ref, way, now=service.now)
    await service.rows(
        "DELETE FROM contact_way WHERE way_no = 1 AND contact_ref = :ref RETURNING 1", ref=contact.contact_ref
    )
    booked = service.booked(contact, **({"starts_at": LATER} | changes))
    await service.hear(booked)
    await service.settle()
    return booked


async def make_batch(client: httpx.AsyncClient) -> str:
    """Put the letters that wait together; the address of the batch."""
    answer = await client.post(LETTERS)
    assert answer.status_code == 303
    found = re.match(rf"{LETTERS}/[0-9a-f-]{{36}}", answer.headers["location"])
    assert found, answer.headers["location"]
    return found[0]


async def print_batch(client: httpx.AsyncClient, batch: str) -> pikepdf.Pdf:
    """Its PDF."""
    answer = await client.post(f"{batch}/print")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "application/pdf")
    assert "no-store" in answer.headers["cache-control"]
    return pikepdf.open(io.BytesIO(answer.content))


async def came_back(service: Notifications, client: httpx.AsyncClient, batch: str) -> httpx.Response:
    """The first of its letters came back."""
    [letter, *_] = await service.rows("SELECT letter_id FROM letter WHERE batch_id IS NOT NULL ORDER BY position")
    return await client.post(f"{batch}/{letter.letter_id}/came-back")


async def task_of(service: Notifications) -> UUID:
    """The only task."""
    [row] = await service.rows("SELECT task_id FROM staff_task")
    return UUID(str(row.task_id))
