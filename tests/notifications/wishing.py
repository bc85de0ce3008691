"""Somebody in front of the page with their wishes, over HTTP."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.crypto import ServiceBox
from shared.events.routing import ContactGiven
from shared.passes import ContactOpening, seal_contact_opening
from tests.conftest import TestDatabase
from tests.notifications.harness import TOWN, Notifications

WISHES = "/notices/mine"
OTHER_PHONE, OTHER_MAIL = "080-8765-4321", "taro.kakushi@example.jp"
BOTH: dict[str, Any] = {"phone": OTHER_PHONE, "email": OTHER_MAIL}
AS_THE_TOWN: dict[str, Any] = {"language": "ja", "quiet_from": "21", "quiet_to": "8"}


class Wisher:
    """A browser that opened the wishes of one contact."""

    def __init__(self, service: Notifications, client: httpx.AsyncClient, contact: ContactGiven) -> None:
        self._service = service
        self._client = client
        self.contact = contact

    async def get(self, path: str = WISHES) -> str:
        answer = await self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def post(self, path: str, *, status: int = 303, **fields: Any) -> httpx.Response:
        answer = await self._client.post(f"{WISHES}{path}", data=fields)
        assert answer.status_code == status, re.findall("<h1>.*?</h1>|field__error.*", answer.text)
        return answer

    async def add(self, by: str = "sms", **fields: Any) -> int:
        """Add a way, and return its number."""
        answer = await self.post("/ways/new", by=by, **(fields or BOTH))
        found = re.search(r"/ways/(\d+)/code", answer.headers["location"])
        return int(found[1]) if found else 0

    async def read_code(self, channel: str = "sms") -> str:
        """The code of the newest message."""
        await self._service.settle()
        text = newest(self._service, channel).text
        found = re.search(r"番号[ 　](\d{6})", text)
        assert found, text
        return found[1]

    async def prove(self, way_no: int, channel: str = "sms") -> None:
        """Type the code that came."""
        answer = await self.post(f"/ways/{way_no}/code", code=await self.read_code(channel))
        assert "done=proved" in answer.headers["location"]

    async def wish(self, **changes: Any) -> None:
        """Save language, hours and stops."""
        await self.post("", **(AS_THE_TOWN | changes))


def newest(service: Notifications, channel: str) -> Any:
    """The message that was sent last."""
    return max(service.sink.messages(channel=channel), key=lambda sent: sent.number)


def seal_opening(database: TestDatabase, contact: ContactGiven, *, issuer: str = "routing", **changes: object) -> str:
    """What a page of routing's or booking's has in its form."""
    environ = database.environ
    box = ServiceBox.from_settings(environ[f"CHOUDO_{issuer.upper()}_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    opening = {
        "municipality": TOWN,
        "contact_ref": contact.contact_ref,
        "back": "/cases/1/thread",
        "expires_at": contact.occurred_at + timedelta(minutes=15),
    }
    return seal_contact_opening(box, ContactOpening(**(opening | changes)))  # type: ignore[arg-type]


async def open_wishes(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase, contact: ContactGiven
) -> Wisher:
    """Come from the case, by its sealed pass."""
    client.headers["origin"] = "http://ninomiya.example.jp"
    answer = await client.post("/notices/arrive", data={"opening": seal_opening(database, contact)})
    assert (answer.status_code, answer.headers["location"]) == (303, WISHES), answer.text
    return Wisher(service, client, contact)


def link_in(text: str) -> str:
    """The path of the link to the wishes in a message."""
    found = re.search(r"https://\S+/notices/w/\S+", text)
    assert found, text
    return urlsplit(found[0]).path
