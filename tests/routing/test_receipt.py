"""What is published of the ledgers, and a person's receipt that anybody can check against it."""

import asyncio
import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import text

from deploy.cli import main
from deploy.ledger import BAD_INPUT, BROKEN, INTACT
from services.routing.consumers import on_checkpoint_made, on_reuse_recorded
from services.routing.pages.open_data import GROUP
from services.routing.tables import outbox
from shared.db import Database
from shared.events.ledger import CheckpointMade, ReuseRecorded
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.export import Roots
from shared.ledger.sealer import Sealer
from shared.web.i18n import LANGUAGE_COOKIE, LANGUAGES
from tests.routing.applying import apply, fill_in, office_path, sign_in
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NAME, NOW, TOWN
from tests.routing.test_reuse import NewVisitor
from tests.shared.makers import make_checkpoint_made, rows_of

ROOT = "5d" * 32
OPEN_DATA = "/open-data/ledger"


async def arrive(db: Database) -> None:
    """What routing told itself of its own ledger comes round."""
    kinds: dict[str, tuple[type, object]] = {
        "ledger.reuse_recorded.v1": (ReuseRecorded, on_reuse_recorded),
        "ledger.checkpoint_made.v1": (CheckpointMade, on_checkpoint_made),
    }
    for row in await rows_of(db, "SELECT type, payload FROM routing.outbox WHERE type LIKE 'ledger.%'"):
        kind, handler = kinds[row.type]
        async with db.begin(TOWN) as session:
            await handler(session, msgspec.json.decode(row.payload, type=kind), now=NOW)  # type: ignore[operator]


async def publish(db: Database, *events: CheckpointMade) -> None:
    for event in events:
        async with db.begin(TOWN) as session:
            await on_checkpoint_made(session, event, now=NOW)


async def test_the_roots_are_a_page_a_table_and_a_file(db: Database, visitor: Visitor) -> None:
    days = [NOW.date() - timedelta(days=back) for back in range(40)]
    told = [
        make_checkpoint_made(service, day=day) for day in days for service in ("booking", "routing", "notifications")
    ]
    await publish(db, *told, make_checkpoint_made("booking", day=days[0], root="ff" * 32))
    page = await visitor.get(OPEN_DATA)
    assert page.status_code == httpx.codes.OK
    assert page.headers["cache-control"] == "public, max-age=300"
    assert page.headers["vary"] == "Cookie"
    assert page.text.count(ROOT) == 31 * 3, "a month, and what was told first of a day stands"
    assert page.text.index("手続きの受付") < page.text.index("窓口の予約") < page.text.index("お知らせの係")
    older = re.search(rf'href="({OPEN_DATA}\?before=[0-9-]+)"', page.text)
    assert older
    assert (await visitor.get(older[1])).text.count(ROOT) == 9 * 3
    for nonsense in ("x", "2026-13-40", "%00", "9" * 300):
        assert (await visitor.get(f"{OPEN_DATA}?before={nonsense}")).status_code == httpx.codes.OK
    file = await visitor.get(f"{OPEN_DATA}/checkpoints.json")
    roots = msgspec.json.decode(file.content, type=Roots)
    assert (roots.municipality, len(roots.checkpoints)) == (TOWN, 120)
    table = await visitor.get(f"{OPEN_DATA}/checkpoints.csv")
    assert table.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert rows[0][0] == "全国地方公共団体コード"
    assert rows[1][0] == TOWN
    assert len(rows) == 121
    assert {row[7] for row in rows[1:]} == {ROOT}
    assert len({row[1] for row in rows[1:]}) == 120
    for answer in (file, table):
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert "set-cookie" not in answer.headers


async def test_a_days_notice_is_for_the_board(db: Database, visitor: Visitor) -> None:
    day = NOW.date()
    await publish(db, make_checkpoint_made("booking", day=day), make_checkpoint_made("routing", day=day))
    for language in LANGUAGES:
        page = await visitor.get(f"{OPEN_DATA}/{day}", headers={"cookie": f"{LANGUAGE_COOKIE}={language}"})
        assert page.text.count(f"<span>{ROOT[:GROUP]}</span>") == 16
        assert 'src="data:image/svg+xml' in page.text
        assert f"{OPEN_DATA}/{day}</p>" in page.text
    for unknown in ("2020-01-01", "x", "2026-02-30", "%00"):
        assert (await visitor.get(f"{OPEN_DATA}/{unknown}")).status_code == httpx.codes.NOT_FOUND


async def test_before_the_first_night_the_page_says_so(visitor: Visitor) -> None:
    assert "まだまとめ番号はありません" in (await visitor.get(OPEN_DATA)).text
    assert json.loads((await visitor.get(f"{OPEN_DATA}/checkpoints.json")).text)["checkpoints"] == []


async def test_a_receipt_is_checked_against_the_published_roots(
    db: Database, visitor: Visitor, tmp_path: Path, capsys: pytest.CaptureFixture[str], clock: TestClock
) -> None:
    await apply(visitor)
    await Sealer(db).seal_all()
    await Checkpointer(db, outbox).make(TOWN, now=NOW + timedelta(days=1))
    # What comes after the checkpoint has no proof yet.
    await visitor.get(f"{await fill_in(visitor)}/check")
    await Sealer(db).seal_all()
    await arrive(db)

    receipt = (await visitor.get("/my/receipt.json")).json()
    assert len(receipt["entries"]) > 5
    for entry in receipt["entries"]:
        answer = await visitor.get(httpx.URL(entry["proof_address"]).path)
        assert answer.status_code in (httpx.codes.OK, httpx.codes.CONFLICT)
    ids = [entry["entry_id"] for entry in receipt["entries"]]
    asked = (await visitor.http.post("/routing/api/ledger/proofs", json={"entry_ids": ids})).json()
    proofs = {proof["entry_id"]: proof for proof in asked["proofs"]}
    assert proofs.keys() | set(asked["not_yet"]) == set(ids)
    assert len(asked["not_yet"]) > 1
    for entry in receipt["entries"]:
        entry["proof"] = proofs.get(entry["entry_id"])
    roots = tmp_path / "roots.json"
    roots.write_bytes((await visitor.get(f"{OPEN_DATA}/checkpoints.json")).content)

    async def check(changed: object) -> tuple[int, str]:
        file = tmp_path / "receipt.json"
        file.write_text(json.dumps(changed), "utf-8")
        return await run_cli("ledger", "check", str(file), "--roots", str(roots))

    async def run_cli(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, list(arguments))
        told = capsys.readouterr()
        return status, told.out + told.err

    status, told = await check(receipt)
    assert status == INTACT
    assert f"{len(proofs)} of {len(ids)} entries are in the published trees" in told
    assert f"the number {receipt['receipt_root']}" in told
    paper = (await visitor.get("/my/receipt")).text
    assert f"<span>{receipt['receipt_root'][:GROUP]}</span>" in paper

    first = next(entry for entry in receipt["entries"] if entry["proof"])
    for name, wrong in (
        ("canonical", first["canonical"].replace('"form":2', '"form":3')),
        ("proof", first["proof"] | {"root": "ff" * 32}),
        ("proof", first["proof"] | {"seq": first["proof"]["seq"] + 1}),
        ("proof", first["proof"] | {"prev_hash": "x"}),
        ("service", "booking"),
    ):
        right, first[name] = first[name], wrong
        assert (await check(receipt))[0] == BROKEN, name
        first[name] = right
    assert (await check([]))[0] == BAD_INPUT


async def test_a_receipt_says_nothing_of_who_works_there_nor_of_what_was_typed(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """Seen to fail with the first form of entries, which has the account of staff and the commitments."""
    number = await apply(visitor)
    staff = await sign_in(db, new_visitor())
    await staff.get(await office_path(db, number))
    await arrive(db)
    receipt = (await visitor.get("/my/receipt.json")).text
    assert "staff_viewed" in receipt
    assert '\\"visibility\\":\\"internal\\"' not in receipt
    async with db.begin(TOWN) as session:
        rows = (await session.execute(text("SELECT actor_ref, commitments FROM ledger_entry"))).all()
    hidden = {row.actor_ref for row in rows} | {each for row in rows for each in row.commitments.values()}
    assert hidden
    assert not [each for each in hidden if each in receipt]
    assert NAME not in receipt
    assert (await new_visitor().get("/my/receipt.json")).status_code != httpx.codes.OK


async def test_a_receipt_without_room_says_that_there_is_more(
    db: Database, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(visitor)
    await arrive(db)
    whole = (await visitor.get("/my/receipt.json")).json()
    monkeypatch.setattr("services.routing.queries.proofs.RECEIPT_MAX", 3)
    short = (await visitor.get("/my/receipt.json")).json()
    assert (whole["has_older"], short["has_older"]) == (False, True)
    assert short["entries"] == whole["entries"][-3:]
    assert "古い記録は、ここにはのせていません" in (await visitor.get("/my/receipt")).text


async def test_nobody_gets_anothers_receipt_and_everybody_anothers_hashes(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await apply(visitor)
    other = new_visitor()
    await other.open_case()
    await arrive(db)
    assert (await other.get("/my/receipt.json")).json()["entries"] == []
    assert "まだ記録はありません" in (await other.get("/my/receipt")).text
    await Sealer(db).seal_all()
    await Checkpointer(db, outbox).make(TOWN, now=NOW + timedelta(days=1))
    entry = (await visitor.get("/my/receipt.json")).json()["entries"][0]
    proof = await new_visitor().get(f"/routing/api/ledger/proofs/{entry['entry_id']}")
    assert proof.headers["cache-control"] == "public, max-age=86400"
    assert proof.json().keys() == {
        "service", "entry_id", "seq", "prev_hash", "entry_hash", "day", "tree_size", "root", "path",
    }  # fmt: skip
    unknown = await visitor.get(f"/routing/api/ledger/proofs/{NOW.date()}")
    assert unknown.status_code == httpx.codes.NOT_FOUND
    too_many = {"entry_ids": [entry["entry_id"]] * 101}
    assert (await visitor.http.post("/routing/api/ledger/proofs", json=too_many)).status_code == httpx.codes.BAD_REQUEST
