"""Every page on which staff or helpers see what a person gave tells that person so: `staff_viewed` in the ledger.

One town in one process. Everything is done through the doors that people use; then each page that shows a person's
values is opened, and the walk over all the others finds none that does.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest_asyncio
from sqlalchemy import text

from services.notifications.commands.tasks import open_task
from services.notifications.domain.notices import Matter
from services.routing.commands.accounts import Profile, open_staff_account
from services.routing.commands.quality import count_finished
from services.routing.keys import make_keys
from services.routing.settings import load_settings
from shared.web.prefixes import service_for
from tests.conftest import TestDatabase
from tests.journeys.resident import read_forms
from tests.routing.applying import CHI02_FORM
from tests.structure.asking import HOST, NOW, TOWN, Product, running_product
from tests.structure.conftest import Route
from tests.structure.who_may import GUEST, NOBODY, WHO_MAY

PASSWORD = "correct horse battery"
NAME, KANA, EMAIL = "目立 花子", "メダチ ハナコ", "medachi@example.jp"
QUESTION = "だれが見たのか、おしえてください。"
STAFF = ("counter", "back_office", "manager", "coordinator", "privacy_officer", "operator")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ID = "[0-9a-f]{8}-[0-9a-f-]{27}"
# What no page of staff may show without telling: typed by the resident, or said to staff.
SECRETS = (NAME, KANA, EMAIL, QUESTION, "花子さん", "259-0123", "090-1234-5678", "二宮支店", "吉田 はじめ")
# What never ends, or is a picture.
NOT_WALKED = {"booking GET /counter/events", "booking GET /counter/today/events"}

# Each page that shows values: where the entry is written, and of what type and step.
SHOWING: dict[str, tuple[str, str, str]] = {
    "routing GET /office/applications/{application_id}": ("routing", "staff_viewed", "office"),
    "routing GET /office/applications/{application_id}/print": ("routing", "staff_viewed", "office_print"),
    "routing GET /office/applications/{application_id}/export.json": ("routing", "staff_viewed", "office_export"),
    "routing GET /office/cases/{case_id}/fragment": ("routing", "staff_viewed", "counter"),
    "routing GET /office/cases/{case_id}/desk": ("routing", "staff_viewed", "desk"),
    "routing GET /office/cases/{case_id}/desk/items/{item}": ("routing", "staff_viewed", "desk"),
    "routing GET /office/cases/{case_id}/desk/print": ("routing", "staff_viewed", "desk_print"),
    "routing GET /office/cases/{case_id}/desk/export.json": ("routing", "staff_viewed", "desk_export"),
    # The tablet in the person's hands is staff's.
    "routing GET /office/cases/{case_id}/confirm": ("routing", "staff_viewed", "desk_confirm"),
    "routing GET /office/inquiries/{number}": ("routing", "staff_viewed", "inquiry"),
    "routing GET /office/feedback/{case_id}": ("routing", "staff_viewed", "feedback"),
    # On somebody's behalf, in the order in which they are walked.
    "routing GET /cases/{case_id}/you": ("routing", "staff_viewed", "you"),
    "routing GET /cases/{case_id}/handover": ("routing", "staff_viewed", "book"),
    "routing GET /cases/{case_id}/form": ("routing", "staff_viewed", "form"),
    "routing GET /cases/{case_id}/check": ("routing", "staff_viewed", "check"),
    "routing GET /cases/{case_id}/sheet": ("routing", "staff_viewed", "sheet"),
    "routing GET /applications/{number}": ("routing", "staff_viewed", "application"),
    "booking GET /booking/visits/{visit_id}/confirm": ("booking", "staff_viewed", "confirm"),
    # The line tells once a day and office, whichever of its pages was first.
    "booking GET /counter": ("booking", "staff_viewed", "line"),
    "booking GET /counter/line": ("booking", "staff_viewed", "line"),
    "booking GET /helpers/classes/{course_id}/roll": ("booking", "staff_viewed", "class"),
    # Once for each meeting, whichever of its pages was first.
    "booking GET /helpers": ("booking", "helper_assisted", "helper_meeting"),
    "booking GET /helpers/meetings/{assignment_id}": ("booking", "helper_assisted", "helper_meeting"),
    "booking GET /helpers/requests/{assignment_id}/cannot-come": ("booking", "helper_assisted", "helper_meeting"),
    # A press of a button shows it: the only one that is no GET.
    "notifications POST /notices/tasks/{task_id}/contact": ("notifications", "staff_viewed", "staff_task"),
}


class Browser:
    """Somebody's browser, on all three services in this process: follows where it is led."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self.http = httpx.AsyncClient(
            transport=_InProcess(product),
            base_url=f"http://{HOST}",
            headers={"sec-fetch-site": "same-origin"},
            follow_redirects=True,
        )
        self.page = httpx.Response(204)

    @property
    def path(self) -> str:
        """Where it is."""
        return self.page.url.path

    @property
    def cookie(self) -> str:
        """What it sends with every request."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar)

    async def get(self, path: str) -> str:
        """Open a page, and go where it leads."""
        self.page = await self.http.get(path)
        return self.page.text

    async def send(self, ending: str, **fields: str) -> str:
        """Send the form of this page whose action ends so, and go where it leads."""
        return await self.get(await self.send_only(ending, **fields))

    async def send_only(self, ending: str, **fields: str) -> str:
        """The same without going there; return where it leads."""
        form = next(form for form in read_forms(self.page.text) if form.action.endswith(ending))
        answer = await self.http.post(form.action, data=form.fields | fields, follow_redirects=False)
        assert answer.is_redirect, f"{ending}: {answer.status_code} {answer.text[-800:]}"
        return answer.headers["location"]

    def button(self, ending: str) -> str:
        """The first value that a button of that form has."""
        form = next(form for form in read_forms(self.page.text) if form.action.endswith(ending))
        return next(value for _, value in form.buttons if value)

    async def sign_in(self, login: str, *roles: str, office: str | None = None) -> "Browser":
        profile = Profile(display_name="田中", languages=("ja",)) if "helper" in roles else None
        box = make_keys(load_settings(self._product.environ)).box
        async with self._product.dbs["routing"].begin(TOWN) as session:
            await open_staff_account(
                session, municipality=TOWN, login=login, password=PASSWORD, roles=roles, office=office,
                profile=profile, box=box, now=NOW,
            )  # fmt: skip
        await self._product.deliver()
        await self.get("/sign-in")
        await self.http.post("/sign-in", data={"login": login, "password": PASSWORD})
        return self


class _InProcess(httpx.AsyncBaseTransport):
    def __init__(self, product: Product) -> None:
        self._apps = {service: httpx.ASGITransport(app=app) for service, app in product.apps.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._apps[service_for(request.url.path)].handle_async_request(request)


class Town:
    """What people have done so far, and who looks at it."""

    def __init__(self, product: Product, resident: Browser, desk: Browser, helper: Browser) -> None:
        self.product, self.resident, self.desk, self.helper = product, resident, desk, helper
        self.things: dict[str, str] = {}

    async def one(self, service: str, query: str) -> Any:
        async with self.product.dbs[service].begin(TOWN) as session:
            return (await session.execute(text(query), {"name": NAME})).scalar_one()

    async def count(self, service: str, entry_type: str, step: str) -> int:
        """Entries of this kind that staff or helpers wrote."""
        query = (
            "SELECT count(*) FROM ledger_entry WHERE entry_type = :kind AND target_step = :step"
            " AND actor_kind IN ('staff', 'helper') AND cardinality(items) > 0"
        )
        async with self.product.dbs[service].begin(TOWN) as session:
            return int((await session.execute(text(query), {"kind": entry_type, "step": step})).scalar_one())

    def filled(self, route: str) -> str:
        """The route's path with things that are there."""
        service, _, path = route.split(" ")
        area = path.split("/")[1]

        def thing(found: re.Match[str]) -> str:
            name = found[1]
            named = (self.things.get(f"{key} {name}") for key in (path, area, service))
            return next((value for value in (*named, self.things.get(name)) if value), str(uuid4()))

        return _PLACEHOLDER.sub(thing, path)


@pytest_asyncio.fixture
async def town(database: TestDatabase) -> AsyncIterator[Town]:
    async with running_product(database) as product, AsyncExitStack() as stack:
        resident, desk, helper = (Browser(product) for _ in range(3))
        for browser in (resident, desk, helper):
            await stack.enter_async_context(browser.http)
        await helper.sign_in("tanaka", "helper")
        await desk.sign_in("hanada", *STAFF)
        made = Town(product, resident, desk, helper)
        await _resident_applies(made)
        await _resident_asks(made)
        await _resident_says_how_it_went(made)
        await _desk_enters_for_somebody(made)
        await _resident_prepares_and_confirms(made)
        await _helper_is_asked(made)
        await _somebody_enters_a_class(made)
        await _nobody_is_reached(made)
        yield made


async def _resident_applies(town: Town) -> None:
    browser = town.resident
    await browser.get("/")
    begun = {"procedure": "CHI02", "channel": "online", "idempotency_key": str(uuid4())}
    browser.page = await browser.http.post("/cases", data=begun)
    await browser.send("/form", **CHI02_FORM | {"name": NAME})
    await browser.send("/you", reach="email", email=EMAIL)
    await browser.send("/submit", notices="yes")
    await town.product.deliver()
    town.things["application_id"] = str(await town.one("routing", "SELECT application_id FROM application"))
    town.things["/office/cases/{case_id}/fragment case_id"] = str(
        await town.one("routing", "SELECT case_id FROM application")
    )


async def _resident_asks(town: Town) -> None:
    entry_id = await town.one(
        "routing", "SELECT entry_id FROM reuse WHERE visibility = 'subject' AND entry_type = 'collected' LIMIT 1"
    )
    browser = town.resident
    await browser.get(f"/my/history/{entry_id}/unfamiliar")
    await browser.send("/unfamiliar", text=QUESTION)
    town.things["/office/inquiries/{number} number"] = browser.path.rsplit("/", 1)[-1]


async def _resident_says_how_it_went(town: Town) -> None:
    case_id = await town.one("routing", "SELECT case_id FROM application")
    async with town.product.dbs["routing"].begin(TOWN) as session:
        await count_finished(session, TOWN, case_id, by_application=True, at=NOW, now=NOW)
    browser = town.resident
    await browser.get(f"/cases/{case_id}/feedback")
    await browser.send("/feedback", ease="hard", worked="yes", text=QUESTION)
    town.things["/office/feedback/{case_id} case_id"] = str(case_id)


async def _desk_enters_for_somebody(town: Town) -> None:
    """A time that is booked, one that is held, an application that is sent, and two cases on their way.

    What is looked at later is not looked at now.
    """
    browser = town.desk

    async def begin(channel: str) -> str:
        await browser.get("/office/behalf/CHI02")
        await browser.send("/CHI02", behalf="desk", channel=channel)
        return browser.path.rsplit("/", 1)[0]

    async def to_the_times() -> None:
        await begin("counter")
        await browser.send("/you", name=NAME, kana=KANA, reach="none")
        await browser.send("/handover", all="yes")
        await browser.send("/booking/arrive")

    async def hold() -> str:
        return await browser.send_only("/hold", slot=browser.button("/hold"))

    await to_the_times()
    await browser.get(await hold())
    await browser.send("/book")
    town.things["booking number"] = browser.path.rsplit("/", 1)[-1]
    await town.product.deliver()
    town.things["appointment_id"] = str(await town.one("booking", "SELECT appointment_id FROM appointment"))
    await to_the_times()
    town.things["visit_id"] = (await hold()).split("/")[3]
    await begin("online")
    await browser.send("/form", **CHI02_FORM | {"name": NAME})
    await browser.send("/you", reach="none")
    await browser.send("/submit")
    town.things["routing number"] = browser.path.rsplit("/", 1)[-1]
    case = await begin("counter")
    await browser.send_only("/you", name=NAME, kana=KANA, reach="none")
    for page in ("you", "handover", "sheet"):
        town.things[f"/cases/{{case_id}}/{page} case_id"] = case.rsplit("/", 1)[-1]
    case = await begin("online")
    await browser.send("/form", **CHI02_FORM | {"name": NAME})
    await browser.send_only("/you", reach="none")
    town.things["case_id"] = case.rsplit("/", 1)[-1]
    await town.product.deliver()


async def _resident_prepares_and_confirms(town: Town) -> None:
    browser, desk = town.resident, town.desk
    await browser.get("/procedures/RES02")
    begun = {"procedure": "RES02", "channel": "counter", "idempotency_key": str(uuid4())}
    browser.page = await browser.http.post("/cases", data=begun)
    case_id = browser.path.split("/")[2]
    await browser.get(f"/cases/{case_id}/form")
    await browser.send("/form", name=NAME)
    base = f"/office/cases/{case_id}"
    await desk.get(f"{base}/desk")
    ticks = dict.fromkeys(re.findall(r'name="(tick_\w+)"', desk.page.text), "yes")
    await desk.send("/desk", **ticks)
    await desk.send("/confirm", how="paper")
    for path in ("desk", "desk/items/{item}", "desk/print", "desk/export.json", "confirm"):
        town.things[f"/office/cases/{{case_id}}/{path} case_id"] = case_id
    town.things["item"] = "name"


async def _helper_is_asked(town: Town) -> None:
    helper, desk = town.helper, town.desk
    await helper.get("/helpers/shifts")
    await helper.send("/helpers/shifts", weekday="2", venue="KOMINKAN", **{"from": "600", "to": "960"})
    await town.product.deliver()
    await desk.get("/office/behalf/DIG01")
    await desk.send("/DIG01", behalf="desk", channel="helper")
    await desk.send("/you", name=NAME, kana="", reach="none")
    await desk.send("/handover", all="yes")
    await desk.send("/booking/arrive")
    await desk.send("/hold", slot=desk.button("/hold"))
    await desk.send("/book")
    await helper.get("/helpers")
    await helper.send_only("/accept")
    town.things["assignment_id"] = str(await town.one("booking", "SELECT assignment_id FROM assignment"))


async def _somebody_enters_a_class(town: Town) -> None:
    """Through the desk, with the name that a visit brought."""
    desk = town.desk
    await desk.get("/helpers/classes")
    await desk.send("/helpers/classes", title="スマホ教室", venue="KOMINKAN", language="ja", closes_at="1020")
    town.things["course_id"] = desk.path.rsplit("/", 1)[-1]
    await desk.send("/sessions", s0_from="600", s0_to="690")
    await desk.send("/publish")
    await desk.get(f"/booking/classes/{town.things['course_id']}/enter?visit={town.things['visit_id']}")
    await desk.send("/enter")


async def _nobody_is_reached(town: Town) -> None:
    application_id = UUID(town.things["application_id"])
    notice_id = await town.one("notifications", "SELECT notice_id FROM notice WHERE application_id IS NOT NULL LIMIT 1")
    async with town.product.dbs["notifications"].begin(TOWN) as session:
        await open_task(
            session, municipality=TOWN, notice_id=notice_id, kind="confirmation",
            matter=Matter(application_id=application_id),
            number="K4M7RXAC", reason="unreachable", now=NOW,
        )  # fmt: skip
    town.things["task_id"] = str(await town.one("notifications", "SELECT task_id FROM staff_task"))


async def test_every_page_that_shows_what_a_person_gave_tells_them(town: Town) -> None:
    """Seen to fail before: the page on which staff confirm a time for somebody told nobody."""
    silent = []
    for route, (service, entry_type, step) in SHOWING.items():
        before = await town.count(service, entry_type, step)
        browser = town.helper if entry_type == "helper_assisted" else town.desk
        method, path = route.split(" ")[1], town.filled(route)
        page = await browser.http.request(method, path)
        assert page.status_code == 200, f"{route}: {page.status_code}"
        assert any(secret in page.text for secret in SECRETS), f"{route} shows nothing: {page.url}"
        is_told_once = step in ("line", "helper_meeting") and before > 0
        if await town.count(service, entry_type, step) == before and not is_told_once:
            silent.append(route)
    assert silent == []


async def test_no_other_page_of_staff_shows_what_a_person_gave(town: Town, routes: list[Route]) -> None:
    """A page that shows values belongs into the table above, and is then asked whether it tells."""
    showing = set()
    for route in sorted(routes, key=lambda route: route.name):
        if route.method != "GET" or route.name in NOT_WALKED or not WHO_MAY[route.name] - {NOBODY, GUEST}:
            continue
        for browser in (town.desk, town.helper):
            answer = await town.product.ask(
                route.service, "GET", town.filled(route.name), cookie=browser.cookie, headers={"hx-request": "true"}
            )
            assert answer.status < 500, route.name
            if any(secret.encode() in answer.body for secret in SECRETS):
                showing.add(route.name)
    assert showing == {name for name in SHOWING if " GET " in name}
