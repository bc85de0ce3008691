"""Links and codes end, cookies are forgotten, and a number tells nobody whether somebody has it."""

import re
from datetime import timedelta
from html import unescape

import httpx
import msgspec
from sqlalchemy import text

from services.booking.commands import tidying
from services.booking.commands.access import ACCESS_KEPT, FAILURES_MAX, open_link, try_code
from services.booking.commands.appointments import Booked
from services.booking.commands.changes import ChangeAppointment, change_appointment
from services.booking.commands.horizon import on_extend_horizon_due
from services.booking.pages import tries
from services.booking.pages.tries import CodeTries
from shared.crypto import ServiceBox
from shared.events.booking import SealedAccess
from shared.passes import CASE_OPENING_LIFETIME, open_case_opening
from shared.reference_number import show_number
from tests.booking.conftest import HOST, MORNING, TOWN, BookingTown, make_pack

# One that nobody has: the check sign is right.
NOBODYS = "2222222"


async def access_of(town: BookingTown) -> SealedAccess:
    rows = await town.rows("SELECT sealed FROM booking.outbox WHERE sealed IS NOT NULL")
    box = ServiceBox.from_settings(town.environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], town.environ["CHOUDO_BOX_PUBLIC_KEYS"])
    return msgspec.msgpack.decode(box.open_from("booking", "access", rows[-1].sealed), type=SealedAccess)  # type: ignore[attr-defined]


async def outcomes(town: BookingTown, booked: Booked, access: SealedAccess) -> tuple[str, str]:
    async with town.db.begin(TOWN) as session:
        by_link = await open_link(session, TOWN, access.link_token, now=town.now)
        by_code = await try_code(session, TOWN, booked.number, access.code, town.keys, now=town.now)
    return by_link.outcome, by_code.outcome


async def test_link_and_code_open_until_thirty_days_after_the_appointments_day(town: BookingTown) -> None:
    booked = await town.booked()
    access = await access_of(town)
    town.now += ACCESS_KEPT
    assert await outcomes(town, booked, access) == ("open", "open")
    town.now += timedelta(days=1)
    assert await outcomes(town, booked, access) == ("wrong", "wrong")


async def test_the_daily_tidying_forgets_old_ways_in_and_keeps_the_others(bare_town: BookingTown) -> None:
    town = bare_town
    await town.open(make_pack(horizon_days=40))
    old = await town.booked("old")
    late = await town.slots(day=town.now.date() + timedelta(days=32))
    visit_id = await town.visit("late")
    await town.hold(visit_id, "late", late[0].slot_id)
    kept = await town.book(visit_id, "late")
    town.now += ACCESS_KEPT
    for left in ({old.appointment_id, kept.appointment_id}, {kept.appointment_id}):
        async with town.db.begin(TOWN) as session:
            await on_extend_horizon_due(session, TOWN, "town", town.now)
        rows = await town.rows("SELECT appointment_id FROM booking.access")
        assert {row.appointment_id for row in rows} == left  # type: ignore[attr-defined]
        town.now += timedelta(days=1)


async def test_tidying_goes_on_until_nothing_old_is_left(bare_town: BookingTown) -> None:
    town = bare_town
    count = tidying.BATCH * 2 + 1
    async with town.database.owner_engine("booking").begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO booking.idempotency (municipality, owner, key, request_hash, created_at)
                SELECT :town, 'visit', n::text, 'x', CAST(:now AS timestamptz)
                       - CASE WHEN n = 0 THEN interval '0' ELSE interval '3 days' END
                FROM generate_series(0, CAST(:count AS integer)) AS n
            """),
            {"town": TOWN, "now": town.now, "count": count},
        )
    async with town.db.begin(TOWN) as session:
        await tidying.tidy_up(session, TOWN, now=town.now)
    assert [row.key for row in await town.rows("SELECT key FROM booking.idempotency")] == ["0"]  # type: ignore[attr-defined]


async def test_forgetting_drops_every_appointments_cookie_and_leads_on(town: BookingTown) -> None:
    first, second = await town.booked("a"), await town.booked("b")
    async with town.browser(None) as browser:
        for booked in (first, second):
            value = town.keys.grant_access(TOWN, booked.appointment_id, now=town.now)
            browser.cookies.set(f"choudo_appointment_{booked.number}", value, domain=HOST, path="/booking")
            assert (await browser.get(f"/booking/appointments/{booked.number}")).status_code == 200
        browser.cookies.set("text_size", "large", domain=HOST)
        browser.cookies.set("choudo_appointment_<x>", "y", domain=HOST)
        answer = await browser.get("/booking/forget", params={"next": "/search?q=a"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=a")
        gone = answer.headers.get_list("set-cookie")
        assert sum(each.startswith("choudo_appointment_") for each in gone) == 2
        # And what was given at the door.
        assert {each.partition("=")[0] for each in gone[2:]} == {"choudo_door", "choudo_phone"}
        for booked in (first, second):
            assert (await browser.get(f"/booking/appointments/{booked.number}")).status_code == 303
        assert browser.cookies.get("text_size") == "large"


async def test_in_production_an_appointments_cookie_is_taken_over_https_alone(town: BookingTown) -> None:
    """Seen to fail with the plain names."""
    booked = await town.booked()
    link = (await access_of(town)).link_token
    town.settings = msgspec.structs.replace(town.settings, environment="production", default_municipality=None)
    async with town.browser(None) as browser:
        browser.base_url = httpx.URL(f"https://{HOST}")
        opened = await browser.get(f"/booking/a/{link}")
        [given] = opened.headers.get_list("set-cookie")
        assert given.startswith(f"__Secure-choudo_appointment_{booked.number}=")
        assert all(part in given for part in ("Secure", "HttpOnly", "Path=/booking", "SameSite=lax"))
        assert (await browser.get(opened.headers["location"])).status_code == 200
        [gone, *_] = (await browser.get("/booking/forget")).headers.get_list("set-cookie")
        assert gone.startswith(f"__Secure-choudo_appointment_{booked.number}=")
        assert "Secure" in gone
        assert (await browser.get(opened.headers["location"])).status_code == 303
        value = town.keys.grant_access(TOWN, booked.appointment_id, now=town.now)
        browser.cookies.set(f"choudo_appointment_{booked.number}", value, domain=HOST, path="/booking")
        assert (await browser.get(opened.headers["location"])).status_code == 303


async def test_forgetting_leads_nowhere_else(town: BookingTown) -> None:
    async with town.browser(None) as browser:
        for path in ("https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil", "", "/booking/forget?x"):
            answer = await browser.get("/booking/forget", params={"next": path})
            assert (answer.status_code, answer.headers["location"]) == (303, "/"), path
        assert (await browser.get("/booking/forget")).headers["location"] == "/"


async def test_a_number_that_nobody_has_is_answered_like_one_that_somebody_has(town: BookingTown) -> None:
    """Fails without `fail_nobodys` (seen): only the number of an appointment is ever locked."""
    booked = await town.booked()

    async def say(browser: httpx.AsyncClient, number: str) -> tuple[str, str]:
        answer = await browser.post("/booking/find", data={"number": number, "code": "000000"})
        where = answer.headers["location"]
        page = (await browser.get(where)).text
        page = page.replace(show_number(number), "number")
        return where.replace(number, "number"), page.split("<form", 1)[0].split("<main", 1)[1]

    async with town.browser(None) as browser:
        said = [(await say(browser, booked.number), await say(browser, NOBODYS)) for _ in range(FAILURES_MAX + 1)]
        assert [mine for mine, _ in said] == [nobodys for _, nobodys in said]
        told = [where.partition("refused=")[2].partition("&")[0] for (where, _), _ in said]
        assert told == ["wrong"] * (FAILURES_MAX - 1) + ["locked"] * 2
        town.now += timedelta(minutes=15)
        assert (await say(browser, booked.number)) == (await say(browser, NOBODYS))


def test_of_nobodys_numbers_only_so_many_are_remembered() -> None:
    counted = CodeTries()
    now = MORNING
    for number in range(tries.NOBODYS_MAX + 10):
        counted.fail_nobodys(TOWN, str(number), now=now)
    assert len(counted._nobodys) == tries.NOBODYS_MAX


async def test_after_many_changes_page_slip_and_message_still_open_the_appointment(town: BookingTown) -> None:
    """Seen to fail while every change made a new code: the third one locked out the code of the page and the slip."""
    booked = await town.booked("guest")
    access = await access_of(town)
    for version, slot in enumerate((await town.slots())[3:7], start=1):
        order = ChangeAppointment(
            municipality=TOWN,
            appointment_id=booked.appointment_id,
            slot_id=slot.slot_id,
            version=version,
            key=f"k{version}",
        )
        async with town.db.begin(TOWN) as session:
            await change_appointment(session, order, now=town.now)
    assert await outcomes(town, booked, access) == ("open", "open")
    async with town.browser() as browser:
        for page in ("", "/slip"):
            assert access.code in (await browser.get(f"/booking/appointments/{booked.number}{page}")).text
    rows = await town.rows("SELECT sealed FROM booking.outbox WHERE type = 'booking.appointment_changed.v1'")
    assert [row.sealed for row in rows] == [None] * 4  # type: ignore[attr-defined]


async def test_an_appointments_page_opens_its_case_at_routing_and_nobody_else_can_read_it(town: BookingTown) -> None:
    booked = await town.booked("guest")
    async with town.browser() as browser:
        page = (await browser.get(f"/booking/appointments/{booked.number}")).text
    found = re.search(r'action="/cases/open">\s*<input type="hidden" name="opening" value="([^"]+)"', page)
    assert found
    [row] = await town.rows("SELECT case_id FROM booking.appointment")
    assert str(row.case_id) not in found[1]  # type: ignore[attr-defined]
    box = ServiceBox.from_settings(town.environ["CHOUDO_ROUTING_BOX_KEY"], town.environ["CHOUDO_BOX_PUBLIC_KEYS"])
    opening = open_case_opening(box, unescape(found[1]), municipality=TOWN, now=town.now)
    assert (opening.case_id, opening.expires_at) == (row.case_id, town.now + CASE_OPENING_LIFETIME)  # type: ignore[attr-defined]
