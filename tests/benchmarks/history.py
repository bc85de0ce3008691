"""A person's own history with 1,000 entries: the page, and all of it for paper, one request after the other."""

from uuid import uuid4

from shared.clock import utc_now
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House
from tests.visitors import make_guest

ENTRIES = 1_000
PER_SECOND = 5
SECONDS = 20
WARM_UP = 20
TARGET_MS = 50
PAGES = (
    ("/my/history", "the newest page of a history of 1,000 entries"),
    ("/my/history?procedure=CHI02&office=%E5%AD%90%E8%82%B2%E3%81%A6", "the same, by procedure and office"),
    ("/my/history/print", "all 1,000 entries on one page"),
)

# Among the entries of other people, and with their own ledger beside the projection, as in a town of some years.
_SESSION = """
    INSERT INTO routing.session (municipality, session_id, refresh_hash, kind, ref, subject_ref, created_at, expires_at)
    VALUES ($1, $2, sha256($2::text::bytea), 'guest', $3, $4, now(), now() + interval '1 day')
"""
_LEDGER = """
    INSERT INTO routing.ledger_entry (
        municipality, entry_id, occurred_at, entry_type, subject_ref, actor_kind, actor_ref, office, source_procedure,
        source_step, source_collected_at, target_service, target_procedure, target_step, items, commitments, purpose,
        legal_basis, explicit_request, outcome, visibility, retention)
    SELECT $1, gen_random_uuid(), now() - n * interval '3 hours',
           (ARRAY['collected', 'offered', 'previewed', 'approved', 'applied', 'staff_viewed'])[1 + n % 6],
           CASE WHEN n % 20 = 0 THEN $2::uuid ELSE gen_random_uuid() END,
           (ARRAY['guest', 'guest', 'guest', 'guest', 'guest', 'staff'])[1 + n % 6], 'somebody',
           (ARRAY['子育て', '戸籍', NULL])[1 + n / 20 % 3], 'CHI02', 'form', now() - n * interval '4 hours', 'routing',
           (ARRAY['CHI02', 'CHI03', 'RES01', 'RES02'])[1 + n / 20 % 4], 'form',
           (ARRAY['name', 'kana', 'address', 'phone'])[1 : 1 + n / 20 % 4], '{}', '窓口の予約のため', 'appi_69_2_1',
           false, 'done', 'subject', '5y'
    FROM generate_series(1, $3::int) AS n
"""
_PROJECTION = """
    INSERT INTO routing.reuse (
        municipality, entry_id, service, occurred_at, received_at, entry_type, subject_ref, actor_kind, office,
        source_procedure, source_step, source_collected_at, target_service, target_procedure, target_step, items,
        purpose, legal_basis, outcome, visibility)
    SELECT municipality, entry_id, 'routing', occurred_at, occurred_at, entry_type, subject_ref, actor_kind, office,
           source_procedure, source_step, source_collected_at, target_service, target_procedure, target_step, items,
           purpose, legal_basis, outcome, visibility
    FROM routing.ledger_entry WHERE municipality = $1 AND actor_ref = 'somebody'
"""


async def measure(house: House) -> list[Figure]:
    """The p95 of each page, and of an empty answer at the same rate."""
    guest, cookies = make_guest(house.environ, now=utc_now())
    subject_ref = uuid4()
    await house.rows(_SESSION, TOWN, guest.session_id, guest.ref, subject_ref)
    # Nobody has approved what nobody used.
    await house.execute("ALTER TABLE routing.ledger_entry DISABLE TRIGGER guard_reuse")
    await house.rows(_LEDGER, TOWN, subject_ref, ENTRIES * 20)
    await house.execute("ALTER TABLE routing.ledger_entry ENABLE TRIGGER guard_reuse")
    await house.rows(_PROJECTION, TOWN)
    await house.execute("ANALYZE routing.reuse, routing.ledger_entry")
    await house.settle()
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    bare = percentile(await _ask(house, "/healthz", {}), 0.95)
    figures = []
    for path, name in PAGES:
        asked = await _ask(house, path, cookie)
        p95 = percentile(asked, 0.95)
        figures.append(
            make_figure("history", f"{name}: p95", p95, "ms", f"≤ {TARGET_MS} ms", reference=bare,
                        reference_name=f"GET /healthz at {PER_SECOND}/s", met=p95 <= TARGET_MS)
        )  # fmt: skip
        figures.append(make_figure("history", f"{name}: p50", percentile(asked, 0.5), "ms", ""))
    return figures


async def _ask(house: House, path: str, headers: dict[str, str]) -> list[float]:
    request = make_request(house.url, "GET", path, headers=headers)
    await ask_steadily(house.url, [request] * WARM_UP, per_second=PER_SECOND, connections=1)
    answers = await ask_steadily(house.url, [request] * (PER_SECOND * SECONDS), per_second=PER_SECOND, connections=1)
    assert all(answer.status == 200 for answer in answers), (answers[0].status, answers[0].body[:500])
    return [answer.seconds * 1_000 for answer in answers]
