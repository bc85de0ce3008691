"""A practice town: invented people come by the doors of the product, staff work with them, and nothing of it leaves."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from deploy.local.sink import Sink
from services.notifications.providers.chosen import make_providers, make_senders
from services.notifications.sending import SendingLoop
from services.notifications.settings import load_settings
from services.routing.commands.practice import LOGIN, first_accounts, open_day, practice_handlers
from shared.events.subscriptions import SERVICES
from shared.messaging.due import DueLoop
from shared.town_pack import find_files
from shared.town_pack.practice import practice_files
from shared.town_pack.reading import read_files
from tests.conftest import TestDatabase
from tests.in_process import load_pack
from tests.journeys.one_process import PASSWORD, Browser, House, open_house
from tests.shared.test_town_command import CODE, SAMPLE

PRACTICE = f"{CODE}-r1"
TOKEN = "gateway-token"
BANNER, FRAME = "これは練習用です", "practice-frame"
AT_COUNTERS, HERE, ONLINE = 14, 5, 5
LOOKS = 5


@asynccontextmanager
async def two_towns(database: TestDatabase) -> AsyncIterator[tuple[House, House]]:
    """The sample town, and its practice town before anybody came."""
    files = find_files(SAMPLE)
    async with open_house(database, read_files(files)) as real:
        town, pack = real.town, read_files(practice_files(files, 1, "http://ninomiya.localhost"))
        facts = pack.town
        await town.admin.execute(
            "INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES ($1, $2, $3, $4)",
            facts.code, facts.name_ja, facts.name_kana, facts.name_en,
        )  # fmt: skip
        await town.admin.execute("INSERT INTO town.host VALUES ($1, $2)", facts.hosts[0], facts.code)
        await load_pack(lambda service: town.at(service, PRACTICE), pack, public_url=facts.public_url, now=town.now)
        await town.deliver()
        house = House(town, pack)
        yield real, house
        await house.close()


async def let_people_come(house: House) -> None:
    town = house.town
    async with town.at("routing", PRACTICE) as session:
        await open_day(session, PRACTICE, await first_accounts(PASSWORD), now=town.now)
    routing = town.services["routing"]
    loop = DueLoop(routing.db, practice_handlers(routing.keys), town.clock)
    # The accounts are told of first: whoever comes before them comes again, which the carrier of a test does not do.
    while await loop.run_once():
        town.now += timedelta(seconds=1)
    await town.deliver(lambda envelope: envelope.type == "routing.account_opened.v1")
    await town.deliver()


async def send_all(house: House, sink: Sink) -> None:
    """Whatever notifications has to send goes to its senders."""
    town = house.town
    environ = {
        **town.environ,
        "CHOUDO_SMTP_URL": sink.smtp_url,
        "CHOUDO_SMS_GATEWAY_URL": sink.sms_url,
        "CHOUDO_SMS_GATEWAY_TOKEN": TOKEN,
    }
    service = town.services["notifications"]
    settings = load_settings(environ)
    senders, providers = make_senders(settings), make_providers(settings)
    for bulk in (False, True):
        loop = SendingLoop(service.db, service.keys, senders, providers, town.clock, bulk=bulk)
        while await loop.run_once():
            pass
    for sender in senders.values():
        await sender.close()


async def rows_of(admin: asyncpg.Connection, municipality: str) -> dict[str, list[str]]:
    """Everything that any service keeps of a town."""
    tables = await admin.fetch(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.columns"
        " WHERE column_name = 'municipality' AND table_schema = ANY($1)", [*SERVICES],
    )  # fmt: skip
    return {
        table["name"]: sorted(
            row[0] for row in await admin.fetch(
                f"SELECT CAST(t AS text) FROM {table['name']} t WHERE municipality = $1", municipality
            )
        )
        for table in tables
    }  # fmt: skip


def counted() -> dict[str, float]:
    """What is counted of notices and of searches, for the operator."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for metric in REGISTRY.collect()
        if metric.name.startswith(("choudo_notice", "choudo_searches"))
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


async def sign_in(house: House) -> Browser:
    staff = house.browser()
    await staff.get("/sign-in")
    await staff.send("/sign-in", login=LOGIN, password=PASSWORD)
    return staff


async def test_invented_people_have_a_day_and_nothing_of_it_leaves(database: TestDatabase) -> None:
    """Seen to fail (each by itself) with the real senders, without the check of `attempt`, with the counting of
    attempts, and with `is_practice` always false."""
    async with two_towns(database) as (real, house), Sink(token=TOKEN) as sink:
        town = house.town
        before, counts = await rows_of(town.admin, CODE), counted()
        await let_people_come(house)
        # A notice whose contact came after it is looked at again.
        for _ in range(LOOKS):
            town.now += timedelta(minutes=1)
            await send_all(house, sink)
        # A confirmation to everybody who applied, or booked and is not here yet: simulated, and shown as such.
        states = [row["state"] for row in await town.rows("SELECT state FROM notifications.notice")]
        assert states.count("sent") >= AT_COUNTERS - HERE + ONLINE, states
        assert sink.messages() == []
        attempts = await town.rows("SELECT DISTINCT municipality, provider, outcome FROM notifications.attempt")
        assert [tuple(row) for row in attempts] == [(PRACTICE, "simulated", "accepted")]
        # The day of the practice town.
        line = await town.rows("SELECT kind, state, helper, name_sealed FROM booking.appointment")
        booked = [row for row in line if row["kind"] == "booked"]
        assert len([row for row in booked if row["helper"] == "none"]) == AT_COUNTERS
        assert len([row for row in booked if row["helper"] == "asked"]) == 1
        assert all(row["name_sealed"] for row in booked)
        assert {row["state"] for row in booked} == {"booked", "checked_in"}
        assert len([row for row in line if row["kind"] == "walk_in"]) == AT_COUNTERS // 2
        applied = await town.rows("SELECT state FROM routing.application WHERE municipality = $1", PRACTICE)
        assert [row["state"] for row in applied] == ["submitted"] * ONLINE
        # Of the real town nothing is another: no figure, no open data, no webhook can have heard of it.
        assert await rows_of(town.admin, CODE) == before
        assert counted() == counts
        await the_pages_say_so(real, house)
        await real.every_chain_holds()


async def the_pages_say_so(real: House, house: House) -> None:
    staff = await sign_in(house)
    for path in ("/counter", "/office", "/notices", "/board", "/office/practice", "/", "/nothing-is-here"):
        page = await staff.get(path)
        assert BANNER in page.text, path
        assert FRAME in page.text, path
        assert "二宮町（練習）" in page.text, path
    assert "練習" in (await staff.get("/counter")).text
    log = await staff.get("/notices")
    assert "練習用なので、どれもほんとうには送っていません。" in log.text
    assert "送りました" in log.text
    resident = real.browser()
    for path in ("/open-data/ledger", "/open-data/quality", "/open-data/draws", "/quality"):
        assert (await staff.get(path)).status_code == httpx.codes.NOT_FOUND, path
        shown = await resident.get(path)
        assert shown.status_code == httpx.codes.OK, path
        assert not any(mark in shown.text for mark in (BANNER, FRAME, "noindex")), path
    # A session of the one is none of the other.
    assert (await staff.http.get("http://ninomiya.localhost/counter")).url.path == "/sign-in"
    await no_webhook_is_registered(staff)


async def no_webhook_is_registered(staff: Browser) -> None:
    answer = await staff.http.post(
        "/booking/api/webhooks",
        json={"name_ja": "庁内", "url": "https://hooks.example.jp/in", "kinds": ["appointment.booked"]},
        headers={"idempotency-key": "0123456789abcdef"},
    )
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "practice_town"), answer.text


async def test_staff_begin_anew_by_one_touch_only_in_a_practice_town(database: TestDatabase) -> None:
    async with two_towns(database) as (real, house):
        await let_people_come(house)
        staff = await sign_in(house)
        await staff.get("/office/practice")
        for _ in range(2):
            await staff.post("/office/practice", {})
        assert "新しい練習用の町を作っています" in staff.text
        ordered = await house.town.rows("SELECT municipality, ref FROM routing.due WHERE kind = 'practice_reset'")
        assert [tuple(row) for row in ordered] == [(PRACTICE, PRACTICE)]
        colleague = await real.staff("madoguchi", "counter")
        page = await colleague.get("/office/practice")
        assert re.findall(r'href="(http://renshu[^"]+)"', page.text) == ["http://renshu.ninomiya.localhost/counter"]
        assert (await colleague.post("/office/practice", {})).status_code == httpx.codes.CONFLICT
        assert len(await house.town.rows("SELECT 1 FROM routing.due WHERE kind = 'practice_reset'")) == 1


@pytest.mark.parametrize(
    ("municipality", "provider"), [(PRACTICE, "smtp"), (PRACTICE, "sms_gateway"), (CODE, "simulated")]
)
async def test_the_database_lets_nothing_out_of_a_practice_town(
    database: TestDatabase, municipality: str, provider: str
) -> None:
    statement = text(
        "INSERT INTO notifications.attempt (municipality, notice_id, attempt_no, lease_token, leased_until, started_at,"
        " provider) VALUES (:municipality, gen_random_uuid(), 1, gen_random_uuid(), now(), now(), :provider)"
    )
    with pytest.raises(IntegrityError, match="attempt_practice_check"):
        async with database.admin_engine().begin() as connection:
            await connection.execute(statement, {"municipality": municipality, "provider": provider})


async def test_the_database_takes_no_webhook_of_a_practice_town(database: TestDatabase) -> None:
    statement = text(
        "INSERT INTO booking.webhook_endpoint (municipality, endpoint_id, name_ja, url, kinds, state, secret_sealed,"
        " registered_at, changed_at) VALUES (:municipality, gen_random_uuid(), '', 'https://a.example.jp', '{a}',"
        " 'active', '', now(), now())"
    )
    with pytest.raises(IntegrityError, match="webhook_endpoint_practice_check"):
        async with database.admin_engine().begin() as connection:
            await connection.execute(statement, {"municipality": PRACTICE})
