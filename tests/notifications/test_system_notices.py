"""What other systems of the town ask for, over HTTP: accepted once, limited, taken back, and sent as people wish."""

from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import text

from tests.notifications.harness import TOWN, Notifications
from tests.notifications.systems import ROOT, Library, register, send_all

ADDRESS = "someone@example.jp"
MOBILE = "090-8765-4321"


@pytest_asyncio.fixture
async def library(service: Notifications, client: httpx.AsyncClient) -> Library:
    return await register(service, client)


async def rows(service: Notifications, sql: str, **values: Any) -> list[Any]:
    async with service.db.begin(TOWN) as session:
        return list((await session.execute(text(sql), values)).all())


async def test_a_notice_to_an_address_is_accepted_sent_and_told(library: Library, service: Notifications) -> None:
    answer = await library.ask("k1")
    assert answer.status_code == 202
    said = answer.json()
    assert said == {"id": said["id"], "state": "waiting", "links": {"self": f"{ROOT}/{said['id']}"}}
    assert (await library.look(said["id"]))["state"] == "waiting"
    await send_all(service)
    [mail] = service.sink.mails
    assert "本の返却のお願い" in str(mail.subject)
    found = await library.look(said["id"])
    assert (found["state"], found["reference"], found["reason"]) == ("sent", "loan-1", None)
    [way] = found["ways"]
    assert (way["way"], way["outcome"]) == ("email", "accepted")
    assert ADDRESS not in str(found)
