"""Through each service's own door: an entry is proved there, and its root is what routing has published."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio

from shared.clock import jst_day
from shared.db import service_metadata
from shared.events.subscriptions import SERVICES
from shared.ledger.checkpoints import Checkpointer
from shared.ledger.entry import canonical
from shared.ledger.ledger import Ledger
from shared.ledger.proofs import Consistency, Proof, does_prove
from shared.ledger.sealer import Sealer
from shared.messaging.outbox import Outbox
from tests.conftest import TestDatabase
from tests.shared.makers import make_entry
from tests.structure.asking import NOW, TOWN, Product, running_product

PUBLISHED = "/open-data/ledger/checkpoints.json"


@pytest_asyncio.fixture
async def product(database: TestDatabase) -> AsyncIterator[Product]:
    async with running_product(database) as running:
        yield running


async def test_every_service_proves_its_own_entries_and_routing_publishes_every_root(product: Product) -> None:
    entries = {service: make_entry(municipality=TOWN, at=NOW, entry_type="collected") for service in SERVICES}
    for service, db in product.dbs.items():
        metadata = service_metadata(service)
        outbox = Outbox(service, metadata)
        async with db.begin(TOWN) as session:
            await Ledger(metadata, outbox).write(session, entries[service])
        await Sealer(db).seal_all()
        for days in (1, 2):
            await Checkpointer(db, outbox).make(TOWN, now=NOW + timedelta(days=days))
    await product.deliver()
    answer = await product.ask("routing", "GET", PUBLISHED)
    published = {(each["service"], each["day"]): each for each in json.loads(answer.text)["checkpoints"]}
    day = jst_day(NOW)
    assert published.keys() == {(service, str(day + timedelta(days=n))) for service in SERVICES for n in (0, 1)}
    for service in SERVICES:
        entry = entries[service]
        address = f"/{service}/api/ledger/proofs/{entry.entry_id}"
        proof = await product.ask(service, "GET", address)
        shown = json.loads(proof.text)
        assert shown["root"] == published[service, str(day)]["root"]
        assert does_prove(msgspec.json.decode(proof.body, type=Proof), canonical(entry))
        told = await product.ask(
            service, "GET", f"/{service}/api/ledger/consistency?from={day}&to={day + timedelta(1)}"
        )
        assert msgspec.json.decode(told.body, type=Consistency).new.day == day + timedelta(days=1)


@pytest.mark.parametrize("service", SERVICES)
async def test_who_asks_for_nothing_that_is_there_is_told_so(product: Product, service: str) -> None:
    other = make_entry().entry_id
    base = f"/{service}/api/ledger"
    for path, status, code in (
        (f"{base}/proofs/{other}", 404, "entry_unknown"),
        (f"{base}/proofs/x", 404, "not_found"),
        (f"{base}/consistency?from=2026-01-01&to=2026-01-02", 404, "checkpoint_unknown"),
        (f"{base}/consistency?from=x&to=2026-01-02", 400, "bad_request"),
        (f"{base}/consistency", 400, "bad_request"),
    ):
        answer = await product.ask(service, "GET", path)
        assert (answer.status, json.loads(answer.text)["code"]) == (status, code), path
    body = json.dumps({"entry_ids": [str(other)]}).encode()
    answer = await product.ask(service, "POST", f"{base}/proofs", body=body, content_type="application/json")
    assert (answer.status, json.loads(answer.text)) == (200, {"proofs": [], "not_yet": []})
