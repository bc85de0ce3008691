"""Notices that another system asks for over HTTP, accepted a second: one by one, and a hundred at once."""

import time
from uuid import uuid4

import msgspec

from services.notifications.commands.systems import SystemTerms, make_system_key, register_system
from services.notifications.domain.systems import BATCH_MAX, PER_DAY_MAX, PER_MINUTE_MAX
from shared.clock import utc_now
from shared.db import Database
from shared.tokens import Identity
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.house import TOWN, House

ROOT = "/notifications/api/notices"
IN_BATCHES, SINGLE = 6_000, 1_500
# More than it can do: what it can is seen.
PER_SECOND, BATCHES_PER_SECOND = 2_000.0, 200.0
CONNECTIONS, BATCH_CONNECTIONS = 16, 4
BOSS = Identity(municipality=TOWN, kind="staff", ref="bench", session_id="s", roles=("manager",))
TERMS = SystemTerms(
    name_ja="計測",
    recipients=("email",),
    kinds=("town_notice",),
    per_minute=PER_MINUTE_MAX,
    per_day=PER_DAY_MAX,
    sms_parts_per_day=0,
)
NOTICE = {
    "recipient": {"email": "someone@example.jp"},
    "kind": "town_notice",
    "texts": {
        "ja": {"subject": "本の返却のお願い", "body": "返却日がきのうでした。お返しください。", "short": "本のこと"}
    },
}


async def accept(house: House) -> tuple[float, float]:
    """Accepted a second: in batches, and one by one. What is accepted is sent beside it."""
    key = await _register(house)
    batches = [
        [NOTICE | {"key": f"{number}-{nth}"} for nth in range(BATCH_MAX)] for number in range(IN_BATCHES // BATCH_MAX)
    ]
    many = [
        make_request(house.url, "POST", f"{ROOT}/batch", headers=_headers(key), body={"notices": batch})
        for batch in batches
    ]
    began = time.perf_counter()
    answers = await ask_steadily(house.url, many, per_second=BATCHES_PER_SECOND, connections=BATCH_CONNECTIONS)
    in_batches = IN_BATCHES / (time.perf_counter() - began)
    assert [answer.status for answer in answers] == [200] * len(many), answers[0].body[:500]
    results = [each for answer in answers for each in msgspec.json.decode(answer.body)["results"]]
    assert {each["status"] for each in results} == {202}, results[0]
    one = [
        make_request(house.url, "POST", ROOT, headers=_headers(key) | {"Idempotency-Key": str(uuid4())}, body=NOTICE)
        for _ in range(SINGLE)
    ]
    began = time.perf_counter()
    answers = await ask_steadily(house.url, one, per_second=PER_SECOND, connections=CONNECTIONS)
    single = SINGLE / (time.perf_counter() - began)
    assert [answer.status for answer in answers] == [202] * SINGLE, answers[0].body[:500]
    await house.execute("DELETE FROM notifications.due WHERE kind = 'send_bulk'")
    return in_batches, single


async def _register(house: House) -> str:
    db = Database(house.environ["CHOUDO_NOTIFICATIONS_DATABASE_URL"], service="notifications")
    async with db.begin(TOWN) as session:
        system_id = await register_system(session, BOSS, TERMS, str(uuid4()), now=utc_now())
        key = await make_system_key(session, BOSS, system_id, "first", now=utc_now())
    await db.dispose()
    assert key is not None
    return key


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
