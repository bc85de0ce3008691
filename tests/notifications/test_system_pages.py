"""`/notices/systems`: what a manager registers, gives a key, limits, watches and has told again, without JavaScript."""

import re

import httpx
import pytest

from services.notifications.app import REFUSALS
from services.notifications.domain.systems import SYSTEMS_MAX
from tests.booking.webhook_receiver import receiving
from tests.conftest import TestDatabase
from tests.notifications.harness import TOWN, Notifications, sign_in
from tests.notifications.systems import HERE, ROOT, Library, asked, tell_all

PAGE = "/notices/systems"
KEY = re.compile(rf"choudo_{TOWN}_[0-9a-z]{{10}}_[0-9a-z]{{38}}")
SECRET = re.compile(r"whsec_[0-9A-Za-z+/=]{44}")
TYPED = {
    "name": "図書館システム",
    "recipients": ["number", "email"],
    "kinds": ["town_notice"],
    "per_minute": "60",
    "per_day": "1000",
    "sms_parts_per_day": "0",
}


@pytest.fixture
def manager(service: Notifications, database: TestDatabase, client: httpx.AsyncClient) -> httpx.AsyncClient:
    return sign_in(service, database, client, roles=("manager",))


async def register(manager: httpx.AsyncClient, pressed: str = "one") -> str:
    made = await manager.post(PAGE, data=TYPED | {"idempotency_key": pressed})
    assert made.status_code == 303, made.text
    return made.headers["location"]


async def test_registered_given_a_key_paused_and_its_key_taken_back(
    manager: httpx.AsyncClient, service: Notifications
) -> None:
    assert "登録したシステムはありません" in (await manager.get(PAGE)).text
    own = await register(manager)
    # A second tap is the same system.
    assert await register(manager) == own
    made = await manager.post(f"{own}/key", data={"idempotency_key": "k"})
    [key] = set(KEY.findall(made.text))
    again = await manager.post(f"{own}/key", data={"idempotency_key": "k"})
    assert (again.status_code, again.headers["location"]) == (303, own)
    assert key not in (await manager.get(own)).text
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "n1", "cookie": ""}
    assert (await manager.post(ROOT, json=asked(), headers=headers)).status_code == 202
    page = await manager.get(own)
    assert "1件（1000件まで）" in page.text
    # Another beside it, and no third.
    await manager.post(f"{own}/key", data={"idempotency_key": "k2"})
    full = await manager.post(f"{own}/key", data={"idempotency_key": "k3"})
    assert full.status_code == 409
    assert REFUSALS["too_many_keys"].title in full.text
    await manager.post(f"{own}/pause", data={})
    assert (await manager.post(ROOT, json=asked(), headers=headers | {"idempotency-key": "n2"})).status_code == 403
    await manager.post(f"{own}/resume", data={})
    await manager.post(f"{own}/revoke", data={"key_id": key.split("_")[2]})
    # At once.
    assert (await manager.post(ROOT, json=asked(), headers=headers | {"idempotency-key": "n3"})).status_code == 401
    assert "使えません" in (await manager.get(own)).text
    deeds = await service.rows("SELECT action FROM audit WHERE actor_ref = 'staff-1' ORDER BY action")
    assert [row.action for row in deeds] == [
        "system-key", "system-key", "system-pause", "system-register", "system-resume", "system-revoke",
    ]  # fmt: skip


async def test_what_a_system_may_is_changed(manager: httpx.AsyncClient, service: Notifications) -> None:
    own = await register(manager)
    page = await manager.post(own, data=TYPED | {"per_day": "0", "recipients": []})
    assert page.status_code == 422
    assert "ひとつ以上選んでください" in page.text
    changed = await manager.post(own, data=TYPED | {"per_day": "5", "recipients": ["phone"]})
    assert changed.status_code == 303
    [row] = await service.rows("SELECT per_day, recipients FROM api_system")
    assert (row.per_day, row.recipients) == (5, ["phone"])
    for wrong in ({"name": ""}, {"per_minute": "x"}, {"kinds": ["sign_in"]}, {"sms_parts_per_day": "9999999"}):
        assert (await manager.post(PAGE, data=TYPED | wrong)).status_code == 422
    assert len(await service.rows("SELECT 1 FROM api_system")) == 1


async def test_where_it_is_told_and_once_more(
    manager: httpx.AsyncClient, service: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await register(manager)
    made = await manager.post(f"{own}/key", data={"idempotency_key": "k"})
    library = Library(service, manager, own.rpartition("/")[2], KEY.findall(made.text)[0])  # type: ignore[arg-type]
    for wrong, code in (("http://127.0.0.1:5432/", "webhook_url_inside"), ("nothing", "webhook_url_unfit")):
        page = await manager.post(f"{own}/address", data={"url": wrong})
        assert page.status_code == 422, code
        assert wrong in page.text
    given = await manager.post(f"{own}/address", data={"url": "https://library.example.jp/hook"})
    [secret] = set(SECRET.findall(given.text))
    moved = await manager.post(f"{own}/address", data={"url": "https://library.example.jp/other"})
    assert moved.status_code == 303
    async with receiving() as receiver:
        await service.rows("UPDATE webhook_endpoint SET url = :url RETURNING 1", url=receiver.url)
        await library.accepted(recipient={"email": "someone@example.jp"})
        await service.settle()
        loop = library.telling()
        await tell_all(loop)
        assert "送った" in (await manager.get(own)).text
        [row] = await service.rows("SELECT delivery_id, told_at::date::text AS day FROM webhook_delivery")
        await manager.post(f"{own}/replay", data={"delivery_id": str(row.delivery_id)})
        await tell_all(loop)
        await manager.post(f"{own}/replay", data={"since": row.day})
        await tell_all(loop)
        await loop.close()
        assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
        assert len(receiver.got) == 3
        assert receiver.got[0].is_signed_by(secret)
    assert (await manager.post(f"{own}/replay", data={"since": "x"})).status_code == 400
    rolled = await manager.post(f"{own}/roll", data={})
    assert SECRET.findall(rolled.text) not in ([], [secret])
    for action, says in (("test", "試しの通知"), ("mute", "止めています"), ("unmute", "送っています")):
        assert (await manager.post(f"{own}/{action}", data={})).status_code == 303
        assert says in (await manager.get(own)).text
    await manager.post(f"{own}/untell", data={})
    assert (await manager.post(f"{own}/roll", data={})).status_code == 404
    assert REFUSALS.get("webhook_unknown") is None
    assert HERE.allowed


async def test_what_is_not_there_is_not_found(manager: httpx.AsyncClient) -> None:
    own = await register(manager)
    for path in (f"{PAGE}/x", f"{PAGE}/3b9a5d1c-0f44-4f6e-8f0b-5c1f0a2d9e77"):
        page = await manager.get(path)
        assert page.status_code == 404
        assert REFUSALS["system_unknown"].title in page.text
    assert (await manager.post(f"{own}/eat", data={})).status_code == 404
    assert (await manager.get(f"{own}/key")).headers["location"] == own


async def test_there_are_only_so_many(manager: httpx.AsyncClient, service: Notifications) -> None:
    for number in range(SYSTEMS_MAX):
        await register(manager, f"p{number}")
    page = await manager.post(PAGE, data=TYPED | {"idempotency_key": "more"})
    assert page.status_code == 409
    assert REFUSALS["too_many_systems"].title in page.text
    assert len(await service.rows("SELECT 1 FROM api_system")) == SYSTEMS_MAX
