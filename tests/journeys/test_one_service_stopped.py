"""One service is away, web and worker: the others' pages still work and say what is late. It is back: all catches up.

Behind the proxy of production, whose page stands where the service's own would be.
"""

import re
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from shared.events.subscriptions import SERVICES
from shared.reference_number import read_number, show_number
from tests.journeys.database import ask, unacknowledged, wait_for
from tests.journeys.proxy import Proxy, needs_caddy
from tests.journeys.resident import Resident
from tests.routing.applying import CHI02_FORM
from tests.stack import STAFF_LOGIN, STAFF_PASSWORD, Stack, run_cli

pytestmark = needs_caddy

AWAY = "ただいま、このページは使えません"
LATE = "お知らせが遅れています"
# Routing's projection beside what booking has.
PROJECTED = """
    SELECT number, told.state, told.starts_at = own.starts_at AND told.state = own.state AS is_same
    FROM booking.appointment own LEFT JOIN routing.appointment told USING (municipality, number)
"""


@pytest.fixture
def stack(stack_and_proxy: tuple[Stack, Proxy]) -> Stack:
    return stack_and_proxy[0]


@pytest.fixture
def someone(proxy: Proxy) -> Callable[[], Resident]:
    """Makes browsers of people."""
    return lambda: Resident(proxy.local_url, proxy.transport())


def check_away(page: httpx.Response) -> None:
    """The page that the proxy has for a service that does not answer: what it is, and whom to phone."""
    assert page.status_code == httpx.codes.SERVICE_UNAVAILABLE, page.url
    assert AWAY in page.text
    assert "役場に電話" in page.text


def check_caught_up(stack: Stack) -> None:
    """Everything that was told was heard; nothing was given up; every chain is whole."""
    wait_for(lambda: unacknowledged(stack) == 0)
    for service in SERVICES:
        assert ask(stack, f"SELECT count(*) AS n FROM {service}.dead_letter")[0]["n"] == 0, service
        assert ask(stack, f"SELECT count(*) AS n FROM {service}.delivery WHERE outcome <> 'applied'")[0]["n"] == 0
    wait_for(lambda: run_cli(stack.environ, "ledger", "verify").count(" 0 not yet chained") == len(SERVICES))
    assert run_cli(stack.environ, "ledger", "verify").count("intact") == len(SERVICES)


def mails_about(stack: Stack, number: str, *, to: str) -> list[str]:
    """The subjects of what was sent about an appointment, but for reminders."""
    found = stack.messages(to=to, channel="email")
    return [
        mail["subject"] for mail in found if show_number(number) in mail["text"] and "近づき" not in mail["subject"]
    ]


def sign_in(browser: Resident) -> None:
    browser.get("/sign-in")
    browser.send("/sign-in", login=STAFF_LOGIN, password=STAFF_PASSWORD)


def test_without_routing_appointments_are_made_changed_and_cancelled(
    stack: Stack, someone: Callable[[], Resident]
) -> None:
    address = "without.routing@example.jp"
    with someone() as booked, someone() as choosing, someone() as friend, someone() as desk, someone() as new:
        number = booked.book(name="二宮 花子", reach="email", contact=address)
        code = re.search(r"確認コード\D*(\d{6})", re.sub(r"<[^>]+>", "", booked.page.text))
        assert code
        stack.wait_for_messages(1, to=address, channel="email")
        choosing.get("/procedures/CHI02")
        choosing.send("/cases", holding={"channel": "counter"})
        choosing.send("/you", name="中里 太郎", reach="none")
        choosing.send("/handover", all="yes")
        choosing.send("/booking/arrive")
        sign_in(desk)
        with stack.without("routing"):
            # Who has a token, or a number and a code, needs nobody else.
            button, slot = next((name, value) for name, value in choosing.form("/hold").buttons if value)
            choosing.send("/hold", None, **{button: slot})
            choosing.send("/book")
            other = choosing.path.rsplit("/", 1)[-1]
            assert read_number(other), choosing.page.text
            friend.get("/booking/find")
            friend.send("/booking/find", number=number, code=code[1])
            friend.get(f"{friend.path}/change")
            friend.send("/change", slot=next(value for _, value in friend.form("/change").buttons if value))
            friend.send("/change")
            assert "日時を変えました" in friend.page.text
            choosing.get(f"{choosing.path}/cancel")
            choosing.send("/cancel")
            assert desk.get("/counter").status_code == httpx.codes.OK
            assert desk.get("/notices").status_code == httpx.codes.OK
            # A token is routing's to give: who has none is told what to do instead.
            check_away(new.get(f"/booking/visits/{uuid4()}"))
            check_away(new.get("/"))
        check_caught_up(stack)
        assert "取り消し" in choosing.get("/my").text
    stack.wait_for_messages(2, to=address, channel="email")
    assert len(mails_about(stack, number, to=address)) == 2
    told = ask(stack, f"SELECT number, state, is_same FROM ({PROJECTED}) AS told")
    states = {row["number"]: row["state"] for row in told}
    assert (states[number], states[other]) == ("booked", "cancelled")
    assert all(row["is_same"] for row in told)


def test_without_booking_the_office_works_and_times_say_how_old_they_are(
    stack: Stack, someone: Callable[[], Resident]
) -> None:
    with someone() as resident, someone() as desk:
        sign_in(desk)
        known = roster(stack)
        with stack.without("booking"):
            assert resident.get("/").status_code == httpx.codes.OK
            assert "現在の空きです" in resident.get("/procedures/CHI02").text
            number = apply(resident)
            desk.get("/office")
            line = re.search(r'href="(/office/applications/[^"]+)"', desk.page.text)
            assert line
            desk.get(line[1])
            assert desk.send("/accept").status_code == httpx.codes.OK
            # The way to a time ends at the page that says so; what was typed stays in the case.
            resident.get("/procedures/CHI02")
            resident.send("/cases", holding={"channel": "counter"})
            resident.send("/you", name="二宮 花子", reach="none")
            resident.send("/handover", all="yes")
            crossing = resident.path
            check_away(resident.send("/booking/arrive"))
            check_away(resident.get("/booking/find"))
            check_away(desk.get("/counter"))
            run_cli(
                stack.environ, "account", "open", "yamada", "--town", "143421", "--role", "helper", "--name", "山田"
            )
            assert roster(stack) == known
        check_caught_up(stack)
        assert roster(stack) == known + 1
        resident.get(crossing)
        resident.send("/booking/arrive")
        assert resident.path.startswith("/booking/visits/"), resident.page.text
        assert number in resident.get("/my").text.replace("-", "")
        assert desk.get("/counter").status_code == httpx.codes.OK


def test_without_notifications_the_pages_say_that_messages_are_late_and_each_arrives_once(
    stack: Stack, someone: Callable[[], Resident]
) -> None:
    address = "without.notifications@example.jp"
    with someone() as resident, someone() as applicant, someone() as desk:
        sign_in(desk)
        with stack.without("notifications"):
            number = resident.book(name="二宮 花子", reach="email", contact=address)
            assert "予約ができました" in resident.page.text
            apply(applicant, reach="email", contact=address)
            sent = applicant.path
            wait_for(lambda: LATE in resident.get(f"/booking/appointments/{number}").text)
            wait_for(lambda: LATE in applicant.get(sent).text)
            check_away(desk.get("/notices"))
            assert desk.get("/counter").status_code == httpx.codes.OK
        stack.wait_for_messages(2, to=address, channel="email")
        check_caught_up(stack)
        assert len(mails_about(stack, number, to=address)) == 1
        assert LATE not in resident.get(f"/booking/appointments/{number}").text
        assert LATE not in applicant.get(sent).text
        assert desk.get("/notices").status_code == httpx.codes.OK


def apply(resident: Resident, *, reach: str = "none", contact: str = "") -> str:
    """児童手当, online, sent; return its 受付番号 as it is in the address."""
    resident.get("/procedures/CHI02")
    resident.send("/cases", holding={"channel": "online"})
    resident.send("/form", None, **CHI02_FORM)
    resident.send("/you", reach=reach, email=contact, phone="")
    resident.send("/submit", notices="yes")
    assert resident.path.startswith("/applications/"), resident.page.text
    return resident.path.rsplit("/", 1)[-1]


def roster(stack: Stack) -> int:
    """How many helpers booking knows."""
    return int(ask(stack, "SELECT count(*) AS n FROM booking.helper")[0]["n"])
