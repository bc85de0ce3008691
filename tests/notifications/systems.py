"""Another system of the town, for tests: it is registered, has a key, and asks over HTTP."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx

from services.notifications.commands.system_webhooks import set_address
from services.notifications.commands.systems import SystemTerms, make_system_key, register_system
from services.notifications.queries_of_systems import get_system
from shared.tokens import Identity
from shared.webhooks.destinations import Destinations, read_networks
from shared.webhooks.sending import WebhookLoop
from tests.notifications.harness import TOWN, Notifications

ROOT = "/notifications/api/notices"
MANAGER = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=("manager",))
HERE = Destinations(https_only=False, allowed=read_networks("127.0.0.1/32"))
TEXTS = {
    "ja": {
        "subject": "本の返却のお願い",
        "body": "返却日がきのうでした。\nお返しください。",
        "short": "本をお返しください",
    },
    "en": {"subject": "Please return your books", "body": "They were due yesterday.", "short": "Return your books"},
}
TERMS = SystemTerms(
    name_ja="図書館システム",
    recipients=("number", "email", "phone"),
    kinds=("town_news", "town_notice"),
    per_minute=100,
    per_day=1_000,
    sms_parts_per_day=100,
)


def asked(**changes: Any) -> dict[str, Any]:
    """A notice that can be accepted."""
    return {
        "recipient": {"email": "someone@example.jp"},
        "kind": "town_notice",
        "texts": TEXTS,
        "reference": "loan-1",
    } | changes


@dataclass
class Library:
    """A registered system."""

    service: Notifications
    client: httpx.AsyncClient
    system_id: UUID
    key: str
    keys_made: list[str] = field(default_factory=list)

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Its key, and one of the request's own."""
        return {"authorization": f"Bearer {self.key}", "idempotency-key": key or str(uuid4())}

    async def ask(self, key: str | None = None, **changes: Any) -> httpx.Response:
        """Ask for a notice."""
        return await self.client.post(ROOT, json=asked(**changes), headers=self.headers(key))

    async def accepted(self, key: str | None = None, **changes: Any) -> str:
        """The id of a notice that was accepted."""
        answer = await self.ask(key, **changes)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def look(self, notice_id: str) -> dict[str, Any]:
        """What became of it."""
        answer = await self.client.get(f"{ROOT}/{notice_id}", headers=self.headers())
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def told_at(self, url: str) -> str:
        """Have it told at an address; the secret by which it knows us."""
        async with self.service.db.begin(TOWN) as session:
            secret = await set_address(
                session, MANAGER, self.system_id, url, self.service.keys.vault, HERE, now=self.service.now
            )
        assert secret is not None
        return secret

    def telling(self) -> WebhookLoop:
        """The worker's loop."""
        return WebhookLoop(self.service.db, self.service.keys.vault, HERE, lambda: self.service.now)


async def register(
    service: Notifications, client: httpx.AsyncClient, terms: SystemTerms = TERMS, *, pressed: str = "one"
) -> Library:
    """A system with a key."""
    async with service.db.begin(TOWN) as session:
        system_id = await register_system(session, MANAGER, terms, pressed, now=service.now)
        key = await make_system_key(session, MANAGER, system_id, "first", now=service.now)
        await get_system(session, TOWN, system_id)
    assert key is not None
    return Library(service, client, system_id, key)


async def send_all(service: Notifications) -> None:
    """Whatever is to be sent now, in both lanes."""
    await service.sending.run_once()
    await service.sending_bulk.run_once()


async def tell_all(loop: WebhookLoop) -> None:
    """Turns, until nobody's turn has come."""
    while await loop.run_once():
        pass
