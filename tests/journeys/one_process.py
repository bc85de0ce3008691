"""The whole product in one process on a real database: the front over HTTP, and its events carried by hand.

For tables that are too long for real processes. Each request takes a second of the town's time.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from deploy.front import Front
from services.booking.commands.shifts import AddShift, add_shift
from services.routing.commands.accounts import Profile, open_staff_account
from shared.events.subscriptions import SERVICES
from shared.ledger.verify import verify
from shared.tokens import Identity
from shared.town_pack import TownPack
from tests.conftest import TestDatabase
from tests.erasure.town import Town
from tests.in_process import load_pack, make_apps
from tests.journeys.resident import Form, read_forms
from tests.routing.makers import NOW, new_key
from tests.simulation.machines import Service

HORIZON_DAYS = 14
A_SECOND = timedelta(seconds=1)
PASSWORD = "correct horse battery"
WEEKDAYS = range(1, 6)
FROM_MIN, TO_MIN = 9 * 60, 17 * 60


class House:
    """A town, its services, and who works there."""

    def __init__(self, town: Town, pack: TownPack) -> None:
        self.town = town
        self.pack = pack
        self.code = pack.town.code
        dbs = {name: service.db for name, service in town.services.items()}
        self.front = Front(make_apps(town.environ, dbs, town.clock))
        self._browsers: list[Browser] = []

    def browser(self) -> "Browser":
        """Somebody's browser."""
        made = Browser(self)
        self._browsers.append(made)
        return made

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.http.aclose()

    async def staff(self, login: str, *roles: str, office: str | None = None, name: str = "") -> "Browser":
        """Somebody of the town hall, or (with a name) a helper, signed in."""
        async with self.town.at("routing", self.code) as session:
            await open_staff_account(
                session,
                municipality=self.code,
                login=login,
                password=PASSWORD,
                roles=roles,
                office=office,
                profile=Profile(display_name=name, languages=("ja",)) if name else None,
                box=self.town.services["routing"].keys.box if name else None,
                now=self.town.now,
            )
        await self.town.deliver()
        browser = self.browser()
        await browser.get("/sign-in")
        await browser.send("/sign-in", login=login, password=PASSWORD)
        return browser

    async def add_helper(self, login: str, venue: str) -> "Browser":
        """A helper who is at a venue all week."""
        browser = await self.staff(login, "helper", name=login)
        [row] = await self.town.rows(
            "SELECT helper_ref FROM booking.helper h WHERE municipality = $1 AND is_open AND NOT EXISTS (SELECT FROM"
            " booking.helper_shift s WHERE (s.municipality, s.helper_ref) = (h.municipality, h.helper_ref))",
            self.code,
        )
        helper = Identity(
            municipality=self.code, kind="helper", ref=row["helper_ref"], session_id="s", roles=("helper",), office=None
        )
        for weekday in WEEKDAYS:
            async with self.town.at("booking", self.code) as session:
                order = AddShift(venue=venue, weekday=weekday, from_min=FROM_MIN, to_min=TO_MIN)
                await add_shift(session, helper, order, now=self.town.now)
        await self.town.deliver()
        return browser

    async def every_chain_holds(self) -> None:
        """§4: nothing in a ledger was changed, left out or put in between."""
        for service in self.town.services.values():
            verdict = await verify(service.db, self.code)
            assert verdict.broken_seq is None, (service.name, verdict)


class Browser:
    """A browser without JavaScript: reads pages, fills in their forms, and follows where they lead."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=house.front),
            base_url=f"http://{house.pack.town.hosts[0]}",
            headers={"sec-fetch-site": "same-origin"},
            follow_redirects=True,
        )
        self.page = httpx.Response(204)

    @property
    def path(self) -> str:
        return self.page.url.path

    @property
    def text(self) -> str:
        """What is on the page."""
        return self.page.text

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, fields: Mapping[str, str]) -> httpx.Response:
        return await self._ask("POST", path, data=dict(fields))

    def form(self, ending: str) -> Form:
        """The page's form whose action ends so."""
        for found in read_forms(self.page.text):
            if found.action.endswith(ending):
                return found
        raise AssertionError(f"no form to {ending} on {self.page.url}:\n{self.page.text[-3000:]}")

    async def send(self, ending: str, **fields: str) -> httpx.Response:
        """Send a form with these fields instead of what it held."""
        form = self.form(ending)
        assert form.method == "post"
        return await self._ask("POST", form.action, data=form.fields | fields)

    async def press(self, ending: str, **button: str) -> httpx.Response:
        """Press a button that the page has."""
        [(name, value)] = button.items()
        form = next(
            (
                found
                for found in read_forms(self.page.text)
                if found.action.endswith(ending) and (name, value) in found.buttons
            ),
            None,
        )
        assert form is not None, f"no button {button} to {ending} on {self.page.url}:\n{self.page.text[-3000:]}"
        return await self._ask("POST", form.action, data=form.fields | button)

    async def begin(self, procedure: str, channel: str) -> str:
        """Begin a procedure by a channel; the case's path."""
        await self.post("/cases", {"procedure": procedure, "channel": channel, "idempotency_key": new_key()})
        assert self.path.startswith("/cases/"), (procedure, channel, self.page.status_code, self.text[-1500:])
        return "/".join(self.path.split("/")[:3])

    async def hand_over(self, case: str) -> None:
        """Say yes to what would be handed over, and carry the pass to booking."""
        await self.get(f"{case}/handover")
        await self.send("/handover", all="yes")
        assert self.path == f"{case}/pass", (self.path, self.text[-1500:])
        await self.send("/booking/arrive")

    async def hold(self) -> None:
        """Choose the first time that is free."""
        if self.path.endswith("/chains"):
            raise AssertionError("one procedure, one time")
        assert self.path.startswith("/booking/visits/"), (self.path, self.text[-1500:])
        for found in read_forms(self.page.text):
            if found.action.endswith("/hold") and (times := [each for each in found.buttons if each[1]]):
                await self._ask("POST", found.action, data=found.fields | dict(times[:1]))
                assert self.path.endswith("/confirm"), (self.path, self.text[-1500:])
                return
        raise AssertionError(f"no time on {self.page.url}:\n{self.text[-3000:]}")

    async def book(self, case: str) -> str:
        """From what is handed over to an appointment; its number, as addresses have it."""
        await self.hand_over(case)
        await self.hold()
        await self.send("/book")
        assert self.path.startswith("/booking/appointments/"), (self.path, self.text[-1500:])
        return self.path.rsplit("/", 1)[-1]

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        self.house.town.now += A_SECOND
        self.page = await self.http.request(method, path, **more)
        return self.page


def seen_rows(html: str) -> dict[str, str]:
    """The terms and texts of the list of what was given, as staff see it."""
    rows = re.findall(r'<dt>([^<]+)</dt>\s*<dd>\s*<span class="as-written">(.*?)</span>', html, re.DOTALL)
    return {unescape(term).strip(): unescape(text).strip() for term, text in rows}


def own_rows(html: str) -> dict[str, str]:
    """The same on the person's own page of what they have given."""
    rows = re.findall(r'<h2 id="i-\w+-title">([^<]+)</h2>\s*<p class="lead as-written">(.*?)</p>', html, re.DOTALL)
    return {unescape(term).strip(): unescape(text).strip() for term, text in rows}


def case_id_of(case: str) -> UUID:
    return UUID(case.rsplit("/", 1)[-1])


@asynccontextmanager
async def open_house(database: TestDatabase, pack: TownPack) -> AsyncIterator[House]:
    """A town that was just loaded, with the opening hours of the next two weeks."""
    pack = msgspec.structs.replace(
        pack, booking=msgspec.structs.replace(pack.booking, horizon_days=HORIZON_DAYS, max_open_appointments=100)
    )
    admin = await asyncpg.connect(database.admin_url)
    town, host = pack.town, pack.town.hosts[0]
    await admin.execute(
        "INSERT INTO town.municipality (code, name_ja, name_kana, name_en) VALUES ($1, $2, $3, $4)",
        town.code, town.name_ja, town.name_kana, town.name_en,
    )  # fmt: skip
    await admin.execute("INSERT INTO town.host (host, municipality) VALUES ($1, $2)", host, town.code)
    carried = Town({name: Service(name, database.environ) for name in SERVICES}, admin, database.environ)
    carried.now = NOW
    await load_pack(lambda service: carried.at(service, town.code), pack, public_url=f"http://{host}", now=NOW)
    await carried.deliver()
    house = House(carried, pack)
    yield house
    await house.close()
    for service in carried.services.values():
        await service.db.dispose()
    await admin.close()
