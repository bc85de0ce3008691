"""The front page, and the comparison of one procedure for somebody new and for somebody who said and gave something."""

from uuid import uuid4

from shared.clock import utc_now
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House
from tests.visitors import make_guest

PER_SECOND = 50
SECONDS = 10
WARM_UP = 100
TARGET_MS = 50
FRONT, COMPARISON = "/", "/procedures/CHI02"

_SESSION = """
    INSERT INTO routing.session (municipality, session_id, refresh_hash, kind, ref, subject_ref, created_at, expires_at)
    VALUES ($1, $2, sha256($2::text::bytea), 'guest', $3, $4, now(), now() + interval '1 day')
"""
_SITUATION = """
    INSERT INTO routing.situation (municipality, session_id, until, phone, needs, told_at)
    VALUES ($1, $2, 'week', 'together', '{step_free,sign}', now())
"""


async def measure(house: House) -> list[Figure]:
    """The p95 of each page, and of an empty answer at the same rate."""
    guest, cookies = make_guest(house.environ, now=utc_now())
    await house.rows(_SESSION, TOWN, guest.session_id, guest.ref, uuid4())
    await house.rows(_SITUATION, TOWN, guest.session_id)
    await house.settle()
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    bare = percentile(await _ask(house, "/healthz", {}), 0.95)
    figures = []
    for path, headers, name in (
        (FRONT, {}, "the front page"),
        (COMPARISON, {}, "the comparison, for somebody new"),
        (COMPARISON, cookie, "the comparison, in somebody's situation"),
    ):
        asked = await _ask(house, path, headers)
        p95 = percentile(asked, 0.95)
        figures.append(
            make_figure("compare", f"{name} at {PER_SECOND} req/s: p95", p95, "ms", f"≤ {TARGET_MS} ms",
                        reference=bare, reference_name=f"GET /healthz at {PER_SECOND}/s", met=p95 <= TARGET_MS)
        )  # fmt: skip
        figures.append(make_figure("compare", f"{name} at {PER_SECOND} req/s: p50", percentile(asked, 0.5), "ms", ""))
    return figures


async def _ask(house: House, path: str, headers: dict[str, str]) -> list[float]:
    request = make_request(house.url, "GET", path, headers=headers)
    await ask_steadily(house.url, [request] * WARM_UP, per_second=PER_SECOND)
    answers = await ask_steadily(house.url, [request] * (PER_SECOND * SECONDS), per_second=PER_SECOND)
    assert all(answer.status == 200 for answer in answers), (answers[0].status, answers[0].body[:500])
    return [answer.seconds * 1_000 for answer in answers]
