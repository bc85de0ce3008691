"""Helpers' accounts, and the way of a resident who wants one: venues, case, pass."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import select, text

from deploy import cli
from services.routing.commands.accounts import Profile, close_account, count_try, open_staff_account
from services.routing.commands.catalogue import publish_catalogue
from services.routing.commands.sessions import find_session, start_staff_session
from services.routing.consumers import make_handlers
from services.routing.keys import Keys
from services.routing.tables import account, audit, outbox
from shared.crypto import ServiceBox
from shared.db import Database
from shared.errors import Refusal
from shared.events.booking import AppointmentProgressed, AvailabilityChanged
from shared.events.routing import AccountOpened, CataloguePublished, SealedAccount
from shared.passes import open_pass
from shared.town_pack import Venue
from shared.web.prefixes import service_for
from tests.conftest import TestDatabase
from tests.routing.conftest import Visitor
from tests.routing.makers import HOST, NOW, TOWN, make_pack, new_key
from tests.structure.who_may import WHO_MAY

PASSWORD = "correct horse"
PROFILE = Profile(display_name="田中", languages=("ja", "en"))
VENUE = Venue("HALL", "公民館", "町民センター 2階", "公民館")


async def open_helper(db: Database, keys: Keys, **changes: Any) -> Any:
    values = {"login": "tanaka", "password": PASSWORD, "roles": ("helper",), "office": None, "profile": PROFILE}
    async with db.begin(TOWN) as session:
        return await open_staff_account(session, municipality=TOWN, box=keys.box, now=NOW, **(values | changes))


async def told(db: Database) -> list[tuple[AccountOpened, str | None]]:
    rows = outbox.tables.outbox.c
    async with db.begin(TOWN) as session:
        found = await session.execute(
            select(rows.payload, rows.sealed).where(rows.type == "routing.account_opened.v1").order_by(
                rows.aggregate_version
            )
        )  # fmt: skip
        return [(msgspec.json.decode(bytes(row.payload), type=AccountOpened), row.sealed) for row in found]


async def open_venue(db: Database) -> None:
    pack = msgspec.structs.replace(make_pack(), venues=(VENUE,))
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, pack, public_url=f"http://{HOST}", now=NOW)


async def test_a_helpers_account_is_told_to_booking_with_the_name_sealed(
    db: Database, keys: Keys, database: TestDatabase
) -> None:
    account_id = await open_helper(db, keys)
    await open_helper(db, keys)
    [(event, sealed)] = await told(db)
    assert (event.account_ref, event.aggregate_version, event.is_open) == (account_id.hex, 1, True)
    assert event.roles == ("helper",)
    assert sealed is not None
    assert "田中" not in msgspec.json.encode(event).decode()
    environ = database.environ
    booking = ServiceBox.from_settings(environ["CHOUDO_BOOKING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    body = msgspec.msgpack.decode(booking.open_from("routing", "account", sealed), type=SealedAccount)
    assert (body.display_name, body.languages) == ("田中", ("ja", "en"))


async def test_another_name_is_another_version_and_closing_one_more(db: Database, keys: Keys) -> None:
    await open_helper(db, keys)
    await open_helper(db, keys, profile=Profile(display_name="田中（け）"))
    async with db.begin(TOWN) as session:
        for _ in range(2):
            await close_account(session, municipality=TOWN, login="tanaka", now=NOW)
    await open_helper(db, keys)
    events = await told(db)
    assert [(event.aggregate_version, event.is_open) for event, _ in events] == [
        (1, True),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert events[2][1] is None
    async with db.begin(TOWN) as session:
        actions = (await session.execute(select(audit.c.action).order_by(audit.c.occurred_at))).scalars().all()
    assert actions.count("close_account") == 1


async def test_a_closed_account_is_nobodys_and_its_sessions_end(db: Database, keys: Keys) -> None:
    account_id = await open_helper(db, keys)
    async with db.begin(TOWN) as session:
        started = await start_staff_session(
            session, municipality=TOWN, account_id=account_id, roles=("helper",), office=None, now=NOW
        )
    assert started.identity.kind == "helper"
    async with db.begin(TOWN) as session:
        await close_account(session, municipality=TOWN, login="tanaka", now=NOW)
    async with db.begin(TOWN) as session:
        assert await count_try(session, municipality=TOWN, login="tanaka", now=NOW) is None
        assert await find_session(session, municipality=TOWN, refresh_token=started.refresh_token, now=NOW) is None
        with pytest.raises(Refusal, match="account_unknown"):
            await close_account(session, municipality=TOWN, login="nobody", now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": None},
        {"profile": Profile(display_name=" ")},
        {"profile": Profile(display_name="x" * 31)},
        {"profile": Profile(display_name="田\n中")},
        {"profile": Profile(display_name="田中", languages=())},
        {"profile": Profile(display_name="田中", languages=("j4",))},
        {"profile": Profile(display_name="田中", languages=tuple("abcdef"))},
    ],
)
async def test_a_helper_without_a_name_or_language_is_refused(
    db: Database, keys: Keys, changes: dict[str, Any]
) -> None:
    with pytest.raises(Refusal, match="profile_incomplete"):
        await open_helper(db, keys, **changes)


async def test_staff_who_also_help_stay_staff(db: Database, keys: Keys) -> None:
    account_id = await open_helper(db, keys, roles=("helper", "coordinator"))
    async with db.begin(TOWN) as session:
        started = await start_staff_session(
            session,
            municipality=TOWN,
            account_id=account_id,
            roles=("coordinator", "helper"),
            office=None,
            now=NOW,
        )
    assert started.identity.kind == "staff"


async def test_a_helper_who_signs_in_is_led_to_their_days(db: Database, keys: Keys, visitor: Visitor) -> None:
    await open_helper(db, keys)
    answer = await visitor.post("/sign-in", {"login": "tanaka", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (httpx.codes.SEE_OTHER, "/helpers")


async def test_the_operator_opens_and_closes_by_the_command_line(
    db: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (database.environ | {"CHOUDO_NEW_PASSWORD": PASSWORD}).items():
        monkeypatch.setenv(name, value)
    opening = ["account", "open", "suzuki", "--town", TOWN, "--role", "helper", "--language", "en"]
    assert await asyncio.to_thread(cli.main, opening) == cli.BAD_INPUT
    assert "profile_incomplete" in capsys.readouterr().err
    assert await asyncio.to_thread(cli.main, [*opening, "--name", "鈴木"]) == cli.INTACT
    assert await asyncio.to_thread(cli.main, ["account", "close", "suzuki", "--town", TOWN]) == cli.INTACT
    assert await asyncio.to_thread(cli.main, ["account", "close", "nobody", "--town", TOWN]) == cli.BAD_INPUT
    async with db.begin(TOWN) as session:
        row = (await session.execute(select(account))).one()
    assert (row.display_name, row.languages, row.version) == ("鈴木", ["en"], 2)
    assert row.closed_at is not None


async def test_venues_are_published_as_counters_of_another_kind(db: Database) -> None:
    await open_venue(db)
    rows = outbox.tables.outbox.c
    async with db.begin(TOWN) as session:
        payload = (
            await session.execute(
                select(rows.payload)
                .where(rows.type == "routing.catalogue_published.v1", rows.municipality == TOWN)
                .order_by(rows.aggregate_version.desc())
                .limit(1)
            )
        ).scalar_one()
    event = msgspec.json.decode(bytes(payload), type=CataloguePublished)
    [venue] = [entry for entry in event.counters if entry.kind == "venue"]
    assert (venue.code, venue.number, venue.name_ja) == ("HALL", "", "公民館")
    assert {entry.code for entry in event.procedures if entry.with_helper} >= {"CHI02"}


async def test_a_resident_takes_a_pass_for_a_helper_to_booking(
    db: Database, database: TestDatabase, visitor: Visitor
) -> None:
    wanted = {"procedure": "CHI02", "channel": "helper", "idempotency_key": new_key()}
    assert (await visitor.post("/cases", wanted)).status_code == httpx.codes.CONFLICT
    await open_venue(db)
    page = await visitor.get("/procedures/CHI02")
    assert "サポーターの日時を選ぶ" in page.text
    case = (await visitor.post("/cases", wanted)).headers["location"].removesuffix("/you")
    await visitor.tell(case, name="二宮 花子")
    preview = await visitor.get(f"{case}/handover")
    assert "下のお名前だけ" in preview.text
    offers = dict(re.findall(r'name="(offer_\w+)" value="([0-9a-f-]{36})"', preview.text))
    handed = await visitor.post(f"{case}/handover", {"all": "yes", **offers})
    carried = await visitor.get(handed.headers["location"])
    sealed = re.search(r'name="pass" value="([^"]+)"', carried.text)
    assert sealed is not None
    environ = database.environ
    booking = ServiceBox.from_settings(environ["CHOUDO_BOOKING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    ticket = open_pass(booking, "routing", "book", sealed[1], municipality=TOWN, now=NOW)
    assert (ticket.channel, ticket.procedure, ticket.from_step) == ("helper", "CHI02", "")
    async with db.begin(TOWN) as session:
        purposes = (await session.execute(text("SELECT DISTINCT purpose FROM ledger_entry"))).scalars().all()
    assert "サポーターがお名前をお呼びするため" in purposes
    assert "窓口でお名前をお呼びするため" not in purposes


async def test_who_gets_stuck_online_takes_along_how_far_they_had_come(
    db: Database, database: TestDatabase, visitor: Visitor
) -> None:
    await open_venue(db)
    case = await visitor.open_case(channel="online")
    await visitor.tell(case, name="二宮 花子")
    assert (await visitor.post(f"{case}/channel", {"channel": "helper"})).status_code == httpx.codes.SEE_OTHER
    preview = await visitor.get(f"{case}/handover")
    offers = dict(re.findall(r'name="(offer_\w+)" value="([0-9a-f-]{36})"', preview.text))
    handed = await visitor.post(f"{case}/handover", {"all": "yes", **offers})
    carried = await visitor.get(handed.headers["location"])
    sealed = re.search(r'name="pass" value="([^"]+)"', carried.text)
    assert sealed is not None
    environ = database.environ
    booking = ServiceBox.from_settings(environ["CHOUDO_BOOKING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
    assert open_pass(booking, "routing", "book", sealed[1], municipality=TOWN, now=NOW).from_step == "told"


async def test_what_became_of_the_helper_stands_on_my_page(db: Database, visitor: Visitor) -> None:
    await open_venue(db)
    wanted = {"procedure": "CHI02", "channel": "helper", "idempotency_key": new_key()}
    case = UUID((await visitor.post("/cases", wanted)).headers["location"].split("/")[2])
    event = AppointmentProgressed(
        event_id=uuid4(), municipality=TOWN, aggregate_id="x", aggregate_version=2, occurred_at=NOW,
        appointment_id=uuid4(), number="K4M7RXA", subject_ref=None, contact_ref=None, case_id=case, procedure="CHI02",
        office="公民館", counter="HALL", starts_at=NOW, ends_at=NOW, state="booked", sequence=0, helper="asked",
    )  # fmt: skip
    for version, helper, words in (
        (2, "asked", "サポーターにお願いしています"),
        (3, "accepted", "サポーターが決まりました"),
        (4, "nobody", "サポーターが見つかりませんでした"),
    ):
        changed = msgspec.structs.replace(
            event, aggregate_version=version, helper=helper, state="cancelled" if helper == "nobody" else "booked"
        )
        async with db.begin(TOWN) as session:
            await make_handlers()[AppointmentProgressed](session, changed, now=NOW)
        page = await visitor.get("/my")
        assert words in page.text
        assert "公民館（町民センター 2階）" in page.text


async def test_the_compare_page_says_the_earliest_helper(db: Database, visitor: Visitor) -> None:
    await open_venue(db)
    event = AvailabilityChanged(
        event_id=uuid4(), municipality=TOWN, aggregate_id="HALL", aggregate_version=1, occurred_at=NOW, counter="HALL",
        earliest_at=NOW.replace(hour=5, minute=0), as_of=NOW,
    )  # fmt: skip
    async with db.begin(TOWN) as session:
        await make_handlers()[AvailabilityChanged](session, event, now=NOW)
    page = await visitor.get("/procedures/CHI02")
    assert "今日 午後2時" in page.text
    assert "公民館（町民センター 2階）" in page.text


@pytest.mark.parametrize(
    ("role", "home"),
    [
        ("counter", "/counter"),
        ("back_office", "/office"),
        ("coordinator", "/helpers/roster"),
        ("manager", "/office"),
        ("operator", "/routing/dead-letters"),
    ],
)
async def test_who_signs_in_is_led_to_where_their_work_is(
    db: Database, keys: Keys, visitor: Visitor, role: str, home: str
) -> None:
    await open_helper(db, keys, login="seikatsu", roles=(role,))
    answer = await visitor.post("/sign-in", {"login": "seikatsu", "password": PASSWORD})
    assert answer.headers["location"] == home
    assert role in WHO_MAY[f"{service_for(home)} GET {home}"]
