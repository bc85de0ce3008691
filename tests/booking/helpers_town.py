"""A town with two venues and helpers on its roster, as routing's accounts and the helpers' own shifts make them."""

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.appointments import Booked
from services.booking.commands.assignments import Answer, answer_request
from services.booking.commands.shifts import AddShift, add_shift
from services.booking.consumers import make_handlers, on_catalogue_published
from shared.crypto import ServiceBox
from shared.events.routing import AccountOpened, CounterEntry, ProcedureEntry, SealedAccount
from shared.tokens import Identity
from shared.town_pack import Opening, TownPack, Venue
from tests.booking.conftest import TOWN, BookingTown, make_catalogue, make_pack

HALL, SHED = "HALL", "SHED"
PHONE_HELP, SECRET_HELP = "DIG01", "WEL01"
TANAKA, SUZUKI, SATO = "tanaka", "suzuki", "sato"
MONDAY = 1


def make_helper_pack(code: str = TOWN) -> TownPack:
    """The usual town with a hall and a shed, open 9:00 to 12:00 on weekdays, in slots of an hour."""
    pack = make_pack(code)
    hours = Opening((HALL, SHED), (1, 2, 3, 4, 5), time(9), time(12))
    venues = (Venue(HALL, "公民館", "町民センター", "公民館"), Venue(SHED, "集会所", "百合が丘", "公民館"))
    return msgspec.structs.replace(pack, venues=venues, opening=(*pack.opening, hours))


@dataclass
class HelperTown:
    """A booking town, and what helpers do in it."""

    town: BookingTown

    async def open(self, code: str = TOWN) -> None:
        await self.town.open(make_helper_pack(code), catalogue=False)
        catalogue = make_catalogue(code)
        procedures = (
            *(msgspec.structs.replace(entry, with_helper=True) for entry in catalogue.procedures[:1]),
            *catalogue.procedures[1:],
            ProcedureEntry(
                code=PHONE_HELP, name_ja="スマホ相談", office="公民館", counters=(), minutes=45, with_helper=True
            ),
            ProcedureEntry(
                code=SECRET_HELP, name_ja="障害の相談", office="福祉", counters=(), minutes=45, discreet=True,
                with_helper=True,
            ),
        )  # fmt: skip
        counters = (
            *catalogue.counters,
            CounterEntry(
                code=HALL, number="", name_ja="公民館", office="公民館", place_ja="町民センター", kind="venue"
            ),
            CounterEntry(code=SHED, number="", name_ja="集会所", office="公民館", place_ja="百合が丘", kind="venue"),
        )
        event = msgspec.structs.replace(catalogue, procedures=procedures, counters=counters)
        async with self.town.db.begin(code) as session:
            await on_catalogue_published(session, event, now=self.town.now)

    def account(
        self,
        ref: str = TANAKA,
        *,
        version: int = 1,
        is_open: bool = True,
        languages: tuple[str, ...] = ("ja",),
        roles: tuple[str, ...] = ("helper",),
        code: str = TOWN,
    ) -> AccountOpened:
        environ = self.town.environ
        box = ServiceBox.from_settings(environ["CHOUDO_ROUTING_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
        body = msgspec.msgpack.encode(SealedAccount(display_name=ref.title(), languages=languages))
        return AccountOpened(
            event_id=uuid4(),
            municipality=code,
            aggregate_id=ref,
            aggregate_version=version,
            occurred_at=self.town.now,
            account_ref=ref,
            roles=roles,
            office=None,
            is_open=is_open,
            sealed=box.seal_for("booking", "account", body) if is_open and "helper" in roles else None,
        )

    async def hear(self, event: AccountOpened) -> None:
        async with self.town.db.begin(event.municipality) as session:
            await make_handlers(self.town.keys)[AccountOpened](session, event, now=self.town.now)

    def identity(self, ref: str = TANAKA, code: str = TOWN) -> Identity:
        return Identity(municipality=code, kind="helper", ref=ref, session_id=f"s-{ref}", roles=("helper",))

    async def shift(
        self, ref: str = TANAKA, *, venue: str = HALL, weekday: int = MONDAY, hours: tuple[int, int] = (10, 12),
        code: str = TOWN, **rhythm: Any,
    ) -> UUID:  # fmt: skip
        order = AddShift(venue=venue, weekday=weekday, from_min=hours[0] * 60, to_min=hours[1] * 60, **rhythm)
        async with self.town.db.begin(code) as session:
            return await add_shift(session, self.identity(ref, code), order, now=self.town.now)

    async def helper(self, ref: str = TANAKA, *, languages: tuple[str, ...] = ("ja",), code: str = TOWN) -> None:
        """A helper with the usual shift: Mondays from 10 to 12 at the hall."""
        await self.hear(self.account(ref, languages=languages, code=code))
        await self.shift(ref, code=code)

    async def free(self, venue: str = HALL) -> list[int]:
        """How many places are free at each slot of the venue."""
        return [slot.free for slot in await self.town.slots(venue)]

    async def book(self, guest: str = "guest", slot: int = 0, *, venue: str = HALL, **changes: object) -> Booked:
        changes = {"procedure": PHONE_HELP, "channel": "helper", **changes}
        visit_id = await self.town.visit(guest, **changes)
        slots = [item for item in await self.town.slots(venue) if item.free]
        await self.town.hold(visit_id, guest, slots[slot].slot_id)
        return await self.town.book(visit_id, guest)

    async def answer(self, ref: str, answer: Answer, assignment_id: UUID | None = None, code: str = TOWN) -> None:
        """A helper answers the request that they have now."""
        assignment_id = assignment_id or (await self.requests(ref))[-1].assignment_id
        async with self.town.db.begin(code) as session:
            await answer_request(session, self.identity(ref, code), assignment_id, answer, now=self.town.now)

    async def requests(self, ref: str | None = None) -> list:  # type: ignore[type-arg]
        return await self.town.rows(
            """SELECT assignment_id, appointment_id, helper_ref, state, viewed_at FROM booking.assignment
               WHERE CAST(:ref AS text) IS NULL OR helper_ref = :ref ORDER BY asked_at, state""",
            ref=ref,
        )

    async def states(self) -> dict[str, str]:
        """The newest state of each helper's requests."""
        return {row.helper_ref: row.state for row in await self.requests()}

    async def appointment(self, booked: Booked) -> tuple[str, str]:
        rows = await self.town.rows(
            "SELECT state, helper FROM booking.appointment WHERE appointment_id = :id", id=booked.appointment_id
        )
        return rows[0].state, rows[0].helper  # type: ignore[attr-defined]

    async def told(self, booked: Booked) -> list[tuple[str, str, str]]:
        """What others were told of an appointment: fact, state, helper."""
        rows = await self.town.rows(
            """SELECT type, payload FROM booking.outbox WHERE aggregate_id = :id ORDER BY aggregate_version""",
            id=str(booked.appointment_id),
        )
        found = [(row.type.split("_")[1].split(".")[0], msgspec.json.decode(bytes(row.payload))) for row in rows]  # type: ignore[attr-defined]
        return [(name, payload["state"], payload["helper"]) for name, payload in found]

    def at(self, moment: datetime) -> None:
        self.town.now = moment


async def open_with_venues(town: BookingTown) -> None:
    """The town is open, with venues and no helper yet."""
    await HelperTown(town).open()
