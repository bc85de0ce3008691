"""At the door with one's own phone: a ticket, the own place, giving it back, stepping out, and checking in oneself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.phone_tickets import (
    STEP_OUT,
    TICKETS_MAX,
    TICKETS_WITHIN,
    TakePhoneTicket,
    on_phone_back_due,
    step_out,
    take_phone_ticket,
)
from services.booking.commands.tidying import KEPT, tidy_up
from services.booking.consumers import on_catalogue_published
from services.booking.pages.at_door import DOOR_COOKIE, HOLDER_COOKIE
from shared.clock import JST, jst_day
from shared.errors import Refusal
from shared.reference_number import show_number
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, make_catalogue
from tests.booking.test_counter import step

SEE_OTHER = httpx.codes.SEE_OTHER


@asynccontextmanager
async def at_the_door(town: BookingTown, ref: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A phone that has just read the QR code of the day."""
    async with town.browser(ref) as phone:
        await read_code(town, phone)
        yield phone


async def read_code(town: BookingTown, phone: httpx.AsyncClient) -> httpx.Response:
    return await phone.get(f"/booking/d/{town.keys.door_code(TOWN, jst_day(town.now))}")


async def take(phone: httpx.AsyncClient, procedure: str = CHILD) -> str:
    answer = await phone.post("/booking/tickets", data={"procedure": procedure})
    assert answer.status_code == SEE_OTHER, answer.text
    return answer.headers["location"]


async def take_as(town: BookingTown, holder: str, procedure: str = CHILD) -> UUID:
    async with town.db.begin(TOWN) as session:
        order = TakePhoneTicket(municipality=TOWN, procedure=procedure, holder=holder)
        return (await take_phone_ticket(session, order, now=town.now)).appointment_id


async def states(town: BookingTown) -> list[str]:
    rows = await town.rows("SELECT state FROM booking.appointment ORDER BY booked_at, ticket_no")
    return [row.state for row in rows]  # type: ignore[attr-defined]


async def close_for_today(town: BookingTown, counter: str) -> None:
    async with town.db.begin(TOWN) as session:
        await session.execute(
            text("""INSERT INTO counter_day
                        (municipality, counter, day, is_open, staff, closed_from, changed_at, version)
                    VALUES (:town, :counter, :day, false, 1, :now, :now, 1)"""),
            {"town": TOWN, "counter": counter, "day": jst_day(town.now), "now": town.now},
        )


async def back_is_due(town: BookingTown) -> None:
    for row in await town.rows(
        "SELECT ref FROM booking.due WHERE kind = 'phone_back' AND due_at <= :now", now=town.now
    ):
        async with town.db.begin(TOWN) as session:
            await on_phone_back_due(session, TOWN, row.ref, town.now)  # type: ignore[attr-defined]


# --- the code of the day ---


async def test_the_code_goes_into_a_cookie_and_out_of_the_address(town: BookingTown) -> None:
    async with town.browser(None) as phone:
        answer = await read_code(town, phone)
        assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, "/booking/door")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert {DOOR_COOKIE, HOLDER_COOKIE} <= set(phone.cookies)
        holder = phone.cookies[HOLDER_COOKIE]
        await read_code(town, phone)
        assert phone.cookies[HOLDER_COOKIE] == holder


async def test_nobody_takes_a_ticket_from_home(town: BookingTown) -> None:
    """Without the code of the day; with that of yesterday; with a guess. Seen to fail where the cookie is not asked."""
    yesterday = town.keys.door_code(TOWN, jst_day(town.now) - timedelta(days=1))
    async with town.browser(None) as phone:
        for code in (yesterday, "0" * 16, "é"):
            assert (await phone.get(f"/booking/d/{code}")).headers["location"] == "/booking/door?refused=door_code_old"
        assert "/booking/door?refused=door_first" in await take(phone)
        for name, value in ((DOOR_COOKIE, yesterday), (HOLDER_COOKIE, "x")):
            phone.cookies.set(name, value, path="/booking")
        assert "/booking/door?refused=door_first" in await take(phone)
        shown = (await phone.get("/booking/door?refused=door_first")).text
        assert "入口のQRコードを、先に読んでください" in shown
    assert await states(town) == []


async def test_the_code_changes_at_midnight(town: BookingTown) -> None:
    async with at_the_door(town) as phone:
        assert "refused" not in await take(phone)
        town.now += timedelta(hours=15) - timedelta(seconds=1)  # 23:59:59 in Japan
        assert "手続きを選んでください" in (await phone.get("/booking/door")).text
        town.now += timedelta(seconds=1)
        assert "入口のQRコードを、先に読んでください" in (await phone.get("/booking/door")).text


async def test_the_poster_is_for_staff_and_of_today(town: BookingTown) -> None:
    async with town.staff() as staff, town.browser() as guest:
        shown = (await staff.get("/counter/door")).text
        assert "6月1日（月）だけ使えます" in shown
        town.now += timedelta(hours=15)
        assert (await guest.get("/counter/door")).status_code != httpx.codes.OK


# --- a ticket ---


async def test_a_phone_takes_a_ticket_and_sees_its_place(town: BookingTown) -> None:
    async with at_the_door(town) as first, at_the_door(town) as phone:
        await take(first)
        assert "児童手当の申請" in (await phone.get("/booking/door")).text
        path = await take(phone)
        shown = (await phone.get(path)).text
        assert "7-002" in shown
        assert "あなたの前に、1人います" in shown
        # Nobody else opens it, and it says so without saying whether there is one.
        for somebody in (first, town.browser(None)):
            assert (await somebody.get(path)).headers["location"] == "/booking/door?refused=ticket_unknown"
        async with town.staff() as staff:
            own = path.rsplit("/", 1)[1]
            await staff.post(f"/counter/{own}/call", data={"version": "1"})
        shown = (await phone.get(path)).text
        assert "お呼びしています" in shown
        assert "7番窓口へ" in shown
        assert "data-called=" in shown


async def test_a_phone_has_one_live_ticket_at_a_counter(town: BookingTown) -> None:
    """However often it asks, also at once. Seen to fail without the lock of the browser, and then by the index."""
    given = await asyncio.gather(*(take_as(town, "phone") for _ in range(6)))
    assert len(set(given)) == 1
    assert await states(town) == ["checked_in"]
    other = await take_as(town, "other")
    assert other not in given
    for version, action in enumerate(("call", "done"), start=1):
        await step(town, given[0], action, version)
    assert await take_as(town, "phone") not in given


async def test_for_one_thing_a_phone_has_one_ticket_wherever_people_are_sent_now(town: BookingTown) -> None:
    """Seen to fail where its ticket is looked for at today's counter only."""
    known = make_catalogue(version=2)
    procedures = tuple(msgspec.structs.replace(each, counters=("7", "3")) for each in known.procedures)
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, msgspec.structs.replace(known, procedures=procedures), now=town.now)
    own = await take_as(town, "phone")
    await close_for_today(town, "7")
    assert await take_as(town, "phone") == own
    assert await take_as(town, "other") != own
    rows = await town.rows("SELECT counter FROM booking.appointment ORDER BY counter")
    assert [row.counter for row in rows] == ["3", "7"]  # type: ignore[attr-defined]


async def test_the_database_keeps_a_phone_to_one_ticket(town: BookingTown) -> None:
    """Whatever the application does. Seen to fail without the index."""
    for holder in ("a", "b"):
        await take_as(town, holder)
    with pytest.raises(IntegrityError, match="phone_ticket_one_per_counter_idx"):
        async with town.db.begin(TOWN) as session:
            await session.execute(text("UPDATE phone_ticket SET holder_hash = 'x'"))


async def test_a_phone_does_not_collect_tickets(town: BookingTown) -> None:
    """Three counters at most. Seen to fail without the count."""
    await take_as(town, "phone")
    async with town.db.begin(TOWN) as session:
        for counter in ("8", "9"):
            copied = await take_phone_ticket(
                session, TakePhoneTicket(municipality=TOWN, procedure=CHILD, holder=f"p{counter}"), now=town.now
            )
            await session.execute(
                text("""UPDATE phone_ticket SET counter = :counter,
                               holder_hash = (SELECT holder_hash FROM phone_ticket WHERE counter = '7'
                                              AND appointment_id <> :id ORDER BY taken_at LIMIT 1)
                        WHERE appointment_id = :id"""),
                {"counter": counter, "id": copied.appointment_id},
            )
    with pytest.raises(Refusal, match="phone_tickets_enough"):
        await take_as(town, "phone", FAMILY)


async def test_many_phones_do_not_fill_the_line(town: BookingTown) -> None:
    """Seen to fail without the count."""
    for number in range(TICKETS_MAX):
        await take_as(town, f"phone {number}")
    with pytest.raises(Refusal, match="door_busy"):
        await take_as(town, "one more")
    town.now += TICKETS_WITHIN + timedelta(seconds=1)
    await take_as(town, "one more")


@pytest.mark.parametrize(
    ("hour", "minute", "gives"), [(8, 29, False), (8, 30, True), (16, 59, True), (17, 0, False), (17, 15, False)]
)
async def test_tickets_are_given_while_the_counter_is_open(
    town: BookingTown, hour: int, minute: int, gives: bool
) -> None:
    """Until 15 minutes before 17:15."""
    town.now = datetime(2026, 6, 1, hour, minute, tzinfo=JST)
    if gives:
        await take_as(town, "phone")
    else:
        with pytest.raises(Refusal, match="counter_closed_now"):
            await take_as(town, "phone")


async def test_a_ticket_is_given_back(town: BookingTown) -> None:
    async with at_the_door(town) as phone:
        path = await take(phone)
        for _ in range(2):
            assert (await phone.post(f"{path}/give-back")).headers["location"] == path
        assert "番号札をお返しになりました" in (await phone.get(path)).text
        assert await states(town) == ["cancelled"]
        async with town.staff() as staff:
            assert "7-001" not in (await staff.get("/counter/line")).text
        again = await take(phone)
        assert again != path
        await step(town, UUID(again.rsplit("/", 1)[1]), "call", 1)
        # Who is called already tells the counter.
        assert (await phone.post(f"{again}/give-back")).headers["location"] == f"{again}?refused=ticket_moved_on"


async def test_nobody_gives_back_what_is_not_theirs(town: BookingTown) -> None:
    """Seen to fail where the holder is not asked."""
    async with at_the_door(town) as phone, at_the_door(town) as other, town.browser(None) as nobody:
        path = await take(phone)
        for somebody in (other, nobody):
            for action in ("give-back", "step-out", "back"):
                assert (await somebody.post(f"{path}/{action}")).status_code == httpx.codes.NOT_FOUND
        assert (await phone.post(f"{path}/steal")).status_code == httpx.codes.NOT_FOUND
    assert await states(town) == ["checked_in"]


# --- back soon ---


async def test_somebody_steps_out_once_and_is_back_in_time(town: BookingTown) -> None:
    async with at_the_door(town) as phone:
        path = await take(phone)
        await phone.post(f"{path}/step-out")
        shown = (await phone.get(path)).text
        assert "午前9時15分まで、お呼びしません" in shown
        town.now += STEP_OUT - timedelta(seconds=1)
        await back_is_due(town)
        assert "もどりました" in (await phone.get(path)).text
        town.now += timedelta(seconds=1)
        await back_is_due(town)
        shown = (await phone.get(path)).text
        assert "次にお呼びします" in shown
        assert "すぐもどります" not in shown
        assert (await phone.post(f"{path}/step-out")).headers["location"] == f"{path}?refused=stepped_out_already"
        assert "1回だけ" in (await phone.get(f"{path}?refused=stepped_out_already")).text


async def test_somebody_is_back_sooner(town: BookingTown) -> None:
    async with at_the_door(town) as phone:
        path = await take(phone)
        assert (await phone.post(f"{path}/back")).headers["location"] == f"{path}?refused=ticket_moved_on"
        await phone.post(f"{path}/step-out")
        await phone.post(f"{path}/back")
        assert "次にお呼びします" in (await phone.get(path)).text


async def test_what_staff_did_meanwhile_stays(town: BookingTown) -> None:
    """Called while out, or set aside by staff: the end of the time out changes nothing of that."""
    ticket = await take_as(town, "phone")
    async with town.db.begin(TOWN) as session:
        await step_out(session, TOWN, ticket, "phone", now=town.now)
    town.now += timedelta(minutes=1)
    await step(town, ticket, "resume", 2)
    await step(town, ticket, "park", 3)
    town.now += STEP_OUT
    await back_is_due(town)
    rows = await town.rows("SELECT parked_at IS NOT NULL AS aside FROM booking.appointment")
    assert [row.aside for row in rows] == [True]  # type: ignore[attr-defined]


async def test_the_database_lets_nobody_step_out_twice(town: BookingTown) -> None:
    """Seen to fail without the trigger of 0032."""
    ticket = await take_as(town, "phone")
    async with town.db.begin(TOWN) as session:
        await step_out(session, TOWN, ticket, "phone", now=town.now)
    with pytest.raises(IntegrityError, match="steps out of the line once"):
        async with town.db.begin(TOWN) as session:
            await session.execute(text("UPDATE phone_ticket SET back_at = back_at + interval '1 hour'"))


# --- whose ticket it was ---


async def test_nothing_says_who_held_a_ticket(town: BookingTown) -> None:
    async with at_the_door(town, "guest") as phone:
        await take(phone)
        holder = phone.cookies[HOLDER_COOKIE]
    rows = await town.rows(
        "SELECT to_jsonb(a) || to_jsonb(t) AS all FROM booking.appointment a, booking.phone_ticket t"
    )
    assert holder not in str(rows)
    assert "guest" not in str(rows)
    assert await town.rows("SELECT 1 FROM booking.audit WHERE actor_ref = 'phone'") == []
    town.now += KEPT + timedelta(seconds=1)
    async with town.db.begin(TOWN) as session:
        await tidy_up(session, TOWN, now=town.now)
    assert await town.rows("SELECT 1 FROM booking.phone_ticket") == []


async def test_a_discreet_ticket_says_how_they_are_called(town: BookingTown) -> None:
    async with at_the_door(town) as phone:
        path = await take(phone, FAMILY)
        shown = (await phone.get(path)).text
    assert "画面と音声では、お呼びしません" in shown
    assert "転入届" not in shown


# --- who has an appointment ---


async def test_whoever_booked_checks_in_at_the_door(town: BookingTown) -> None:
    """By the cookie of who booked; sent twice it is once; the page then shows the place."""
    booked = await town.booked("guest")
    async with town.browser("guest") as phone:
        path = f"/booking/appointments/{booked.number}"
        assert "着きました" not in (await phone.get(path)).text
        await read_code(town, phone)
        assert show_number(booked.number) in (await phone.get("/booking/door")).text
        assert "着きました" in (await phone.get(path)).text
        for _ in range(2):
            answer = await phone.post(f"{path}/check-in", data={"version": "1"})
            assert answer.headers["location"] == path
        shown = (await phone.get(path)).text
    assert await states(town) == ["checked_in"]
    assert "7-001" in shown
    assert "次にお呼びします" in shown


async def test_nobody_checks_in_from_home_or_for_somebody_else(town: BookingTown) -> None:
    """Seen to fail where the code of the day is not asked, and where the cookie is not."""
    booked = await town.booked("guest")
    path = f"/booking/appointments/{booked.number}/check-in"
    async with town.browser("guest") as owner, at_the_door(town, "other") as other:
        assert (await owner.post(path, data={"version": "1"})).headers["location"] == "/booking/door?refused=door_first"
        assert "/booking/find" in (await other.post(path, data={"version": "1"})).headers["location"]
        assert show_number(booked.number) not in (await other.get("/booking/door")).text
        await read_code(town, owner)
        assert (await owner.post(path, data={"version": "x"})).status_code == httpx.codes.BAD_REQUEST
        await owner.post(path, data={"version": "9"})
    assert await states(town) == ["booked"]


async def test_an_appointment_of_another_day_is_not_checked_in(town: BookingTown) -> None:
    booked = await town.booked("guest", 30)
    async with at_the_door(town, "guest") as phone:
        assert show_number(booked.number) not in (await phone.get("/booking/door")).text
        answer = await phone.post(f"/booking/appointments/{booked.number}/check-in", data={"version": "1"})
        assert answer.headers["location"] == f"/booking/appointments/{booked.number}"
    assert await states(town) == ["booked"]


async def test_a_closed_counter_says_so_to_whoever_checks_in_at_the_door(town: BookingTown) -> None:
    """Seen to fail where the refusal is an error page."""
    booked = await town.booked("guest")
    await close_for_today(town, "7")
    async with at_the_door(town, "guest") as phone:
        answer = await phone.post(f"/booking/appointments/{booked.number}/check-in", data={"version": "1"})
        assert answer.headers["location"] == "/booking/door?refused=counter_closed_now"
        assert "この窓口は、今お休みです" in (await phone.get(answer.headers["location"])).text
    assert await states(town) == ["booked"]


async def test_only_an_appointment_at_a_counter_is_checked_in_at_the_door(town: BookingTown) -> None:
    """Seen to fail where only the list asks for the channel."""
    booked = await town.booked("guest")
    async with town.db.begin(TOWN) as session:
        await session.execute(text("UPDATE appointment SET helper = 'asked'"))
    async with at_the_door(town, "guest") as phone:
        path = f"/booking/appointments/{booked.number}"
        assert show_number(booked.number) not in (await phone.get("/booking/door")).text
        assert (await phone.post(f"{path}/check-in", data={"version": "1"})).headers["location"] == path
    assert await states(town) == ["booked"]
