"""A live flow of residents: each books, some change and some cancel, through the pages of all three services.

They do what people do: tap twice, and when a page does not come, send the same again, with the key that the form holds,
until somebody answers. What was answered as done is remembered, and looked for afterwards.
"""

import asyncio
import contextlib
import itertools
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from shared.web.prefixes import service_for
from tests.journeys.resident import Form, read_forms

PROCEDURE = "CHI02"
PER_SECOND = 2.0
# On a busy machine more would only wait for one another.
PEOPLE_MAX = 12
REQUEST_TIMEOUT_S = 10.0
# A resident who gets no answer for so long goes home.
PATIENCE_S = 90.0
TRY_AGAIN_S = 0.25
POLL_S = 0.05
KEY = "idempotency_key"
TAPS_TWICE = 0.5
HOPS_MAX = 8
# Another quicker resident: choose another time.
CHOICES_MAX = 10
_APPOINTMENT = re.compile(r"^/booking/appointments/([0-9A-Z]+)$")


@dataclass
class Appointment:
    """What a resident was told of their appointment: `version` is what was answered, `asked` the last one asked for."""

    number: str
    state: str = "booked"
    version: int = 1
    asked: int = 1


@dataclass
class Told:
    """All that was answered as done."""

    appointments: dict[str, Appointment] = field(default_factory=dict)
    # Those who went home without an answer to a booking: they may have one or not.
    in_doubt: int = 0
    # What nobody should ever see, in full sentences.
    surprises: list[str] = field(default_factory=list)
    # Refusals with which people go home: none, unless hours pass in a moment.
    expected: frozenset[int] = frozenset()


class GoneHome(Exception):
    """Nobody answered for a long time, or only with errors."""


class _ByPath(httpx.AsyncBaseTransport):
    """As the proxy does: each path goes to the process of its service."""

    def __init__(self, ports: Mapping[str, str]) -> None:
        self._ports = {name.removesuffix("-web"): int(port) for name, port in ports.items()}
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=self._ports[service_for(request.url.path)])
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Resident:
    """One person with a browser."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport, told: Told, chance: random.Random) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            transport=transport,
            timeout=REQUEST_TIMEOUT_S,
            headers={"sec-fetch-site": "same-origin"},
        )
        self._told = told
        self._chance = chance
        self._page = httpx.Response(204)

    async def live(self, contact: tuple[str, str]) -> None:
        """Book; then half of the people change it, and a quarter cancel it."""
        try:
            appointment = await self._book(contact)
            if self._chance.random() < 0.5:
                await self._change(appointment)
            if self._chance.random() < 0.25:
                await self._cancel(appointment)
        except GoneHome:
            pass

    async def _book(self, contact: tuple[str, str]) -> Appointment:
        reach, address = contact
        await self._get(f"/procedures/{PROCEDURE}")
        await self._send("/cases", holding={"channel": "counter"})
        await self._send("/you", fields={"reach": reach, "email": address, "phone": address})
        await self._send("/handover", fields={"all": "yes"})
        if not self._forms("/booking/arrive"):
            # A step of the clock was longer than an offer stands: it is shown again, and answered again.
            await self._send("/handover", fields={"all": "yes"})
        await self._send("/booking/arrive")
        for _ in range(CHOICES_MAX):
            await self._choose_day()
            form = self._form("/hold")
            free = [known for known in form.buttons if known[1]]
            if not free:
                continue  # The day filled up meanwhile: the page offers others.
            button, slot = self._chance.choice(free)
            await self._send("/hold", form, fields={button: slot})
            if not self._path.endswith("/confirm"):
                continue
            self._told.in_doubt += 1
            await self._send("/book")
            self._told.in_doubt -= 1
            # Else the hold has lapsed, and the page to choose again is there.
            if made := _APPOINTMENT.match(self._path):
                appointment = self._told.appointments[made[1]] = Appointment(made[1])
                return appointment
        raise self._surprised("no appointment was to be had")

    async def _choose_day(self) -> None:
        """One of the days that are offered, so that many find a place."""
        days = re.findall(r'href="(/booking/[^"]*\?day=[0-9-]+)', self._page.text)
        if days:
            await self._get(self._chance.choice(days))

    async def _change(self, appointment: Appointment) -> None:
        own = f"/booking/appointments/{appointment.number}"
        await self._get(f"{own}/change")
        await self._choose_day()
        form = next((form for form in self._forms("/change") if any(value for _, value in form.buttons)), None)
        if form is None:
            return  # Nothing else is free on that day.
        button, slot = self._chance.choice([known for known in form.buttons if known[1]])
        await self._send("/change", form, fields={button: slot})
        if not any("version" in form.fields for form in self._forms("/change")):
            return  # Somebody was quicker.
        appointment.asked += 1
        await self._send("/change", holding={"slot": slot})
        if "changed=1" in self._where:
            appointment.version = appointment.asked
        elif "refused=" in self._where:
            appointment.asked -= 1
        else:
            raise self._surprised("a change was neither done nor refused")

    async def _cancel(self, appointment: Appointment) -> None:
        await self._get(f"/booking/appointments/{appointment.number}/cancel")
        appointment.asked += 1
        await self._send("/cancel")
        if "refused" in self._where:
            raise self._surprised("a cancellation was refused")
        appointment.version, appointment.state = appointment.asked, "cancelled"

    @property
    def _path(self) -> str:
        return urlsplit(self._where).path

    def _surprised(self, what: str) -> GoneHome:
        # Where hours pass in a moment, an offer, a hold or a visit may be over at any step: people go home.
        if not self._told.expected:
            self._told.surprises.append(f"{what}: {self._page.status_code} {self._where}")
        return GoneHome()

    def _forms(self, ending: str) -> list[Form]:
        return [form for form in read_forms(self._page.text) if form.action.endswith(ending)]

    def _form(self, ending: str, holding: Mapping[str, str] | None = None) -> Form:
        wanted = dict(holding or {}).items()
        for form in self._forms(ending):
            if wanted <= form.fields.items():
                return form
        raise self._surprised(f"no form to {ending}")

    async def _get(self, path: str) -> None:
        await self._ask("GET", path, None)

    async def _send(
        self,
        ending: str,
        form: Form | None = None,
        *,
        holding: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        form = form or self._form(ending, holding)
        given = form.fields | dict(fields or {})
        if form.method == "get":
            await self._ask("GET", f"{form.action.split('?')[0]}?{httpx.QueryParams(given)}", None)
        else:
            await self._ask("POST", form.action, given)

    async def _ask(self, method: str, path: str, data: dict[str, str] | None) -> None:
        """Ask, and follow where it leads; every step again and again until it is answered."""
        for _ in range(HOPS_MAX):
            self._page = await self._insist(method, path, data)
            self._where = path
            if not self._page.is_redirect:
                break
            method, path, data = "GET", self._page.headers["location"], None
        if self._page.status_code in self._told.expected:
            raise GoneHome
        if self._page.is_error:
            raise self._surprised("a page was refused")

    async def _insist(self, method: str, path: str, data: dict[str, str] | None) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            taps = 2 if data and KEY in data and self._chance.random() < TAPS_TWICE else 1
            answer: httpx.Response | None = None
            # Whichever comes last is what the browser shows, with its cookies.
            for coming in asyncio.as_completed([self._client.request(method, path, data=data) for _ in range(taps)]):
                with contextlib.suppress(httpx.TransportError):
                    answer = await coming
            if answer is not None and not answer.is_server_error:
                return answer
            await asyncio.sleep(TRY_AGAIN_S)
        raise GoneHome


class Flow:
    """Residents at a steady rate, on a thread of their own, from `start` until `stop`."""

    def __init__(self, url: str, ports: Mapping[str, str], *, seed: int = 1) -> None:
        self.told = Told()
        self._url = url
        self._ports = ports
        self._chance = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="flow")
        self._errors: list[BaseException] = []

    def start(self) -> None:
        """Let the first come."""
        self._thread.start()

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more were told that they have an appointment. Raises AssertionError."""
        wanted = len(self.told.appointments) + count
        deadline = time.monotonic() + PATIENCE_S
        while len(self.told.appointments) < wanted:
            assert time.monotonic() < deadline, f"nobody books: {self.told.surprises}"
            assert self._thread.is_alive(), "the flow has broken off"
            time.sleep(POLL_S)

    def stop(self) -> Told:
        """Let nobody else come, and wait until the last has an answer."""
        self._ended.set()
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return self.told

    async def _run(self) -> None:
        transport = _ByPath(self._ports)
        people: list[asyncio.Task[None]] = []
        for number in itertools.count():
            await asyncio.sleep(1 / PER_SECOND)
            if self._ended.is_set():
                break
            if sum(not person.done() for person in people) < PEOPLE_MAX:
                people.append(asyncio.create_task(self._one(number, transport)))
        done = await asyncio.gather(*people, return_exceptions=True)
        self._errors = [error for error in done if error is not None]
        await transport.aclose()

    async def _one(self, number: int, transport: httpx.AsyncBaseTransport) -> None:
        unique = self._chance.randrange(10**8)
        contact = ("email", f"flow{unique}@example.jp") if number % 2 else ("sms", f"090{unique:08}")
        await Resident(self._url, transport, self.told, self._chance).live(contact)
