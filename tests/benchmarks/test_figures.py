"""Percentiles, the two files, and the scripts for pgbench: what `make bench` says must be right."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from tests.benchmarks.client import ask_at_once, ask_steadily, make_request
from tests.benchmarks.figures import JSON_FILE, TEXT_FILE, Figure, make_figure, percentile, write
from tests.benchmarks.statements import Script, Statement, uuid_of


def test_percentiles_lie_among_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.95) == 96
    assert percentile(values, 1) == 100
    assert percentile([7.0], 0.99) == 7


def test_a_selection_leaves_the_other_figures_as_they_were(tmp_path: Path) -> None:
    race = make_figure("race", "winners", 1, "winners", "1", met=True)
    pickup = make_figure("pickup", "p95", 34.567, "ms", "≤ 150 ms", reference=20, reference_name="bare", met=True)
    write([race, pickup], parts=["race", "pickup"], folder=tmp_path)
    slower = make_figure("pickup", "p95", 200, "ms", "≤ 150 ms", reference=20, reference_name="bare", met=False)
    write([slower], parts=["pickup"], folder=tmp_path)
    figures = msgspec.json.decode((tmp_path / JSON_FILE).read_bytes(), type=list[Figure])
    assert figures == [race, slower]
    assert figures[1].ratio == 10
    text = (tmp_path / TEXT_FILE).read_text("utf-8")
    assert "| winners | 1 winners ✓ | 1 |  |  |" in text
    assert "| p95 | 200 ms ✗ | ≤ 150 ms | 20 ms (bare) | 10 |" in text


def test_a_script_makes_the_ids_of_its_own_transaction_and_keeps_everything_else() -> None:
    visit = uuid4()
    now = datetime(2026, 6, 1, tzinfo=UTC)
    recorded = Statement(
        "SELECT $1::UUID, $2::VARCHAR, $3, $2, $4", ("visit_id", "owner", "now", "number"),
        ((visit, f"visit:{visit}", now, "A1"),),
    )  # fmt: skip
    script = Script(town="143421", known={}, kinds={visit: 1}, clients=4).render([recorded])
    visit_id = "('00000001-0000-4000-8000-' || lpad(:i::bigint::text, 12, '0'))::uuid"
    owner = f"E'visit\\u003a' || {visit_id}::text"
    moment = f"to_timestamp({now.timestamp()})"
    assert (
        f"SELECT ({visit_id})::UUID, ({owner})::VARCHAR, ({moment}), ({owner}), (lpad(:i::bigint::text, 2, 'B'));"
        in script
    )
    assert uuid_of(1, 12) == UUID("00000001-0000-4000-8000-000000000012")


async def test_the_client_counts_from_when_a_request_was_due() -> None:
    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        while await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    request = make_request(url, "GET", "/")
    answers = await ask_at_once(url, [request] * 5)
    assert [(answer.status, answer.body) for answer in answers] == [(409, b"no")] * 5
    # One connection, asked faster than it answers: each waits for all before it.
    waited = [answer.seconds for answer in await ask_steadily(url, [request] * 4, per_second=1_000, connections=1)]
    assert waited == sorted(waited)
    assert waited[-1] > 0.15
    server.close()
    await asyncio.gather(*filter(None, served))
    await server.wait_closed()
