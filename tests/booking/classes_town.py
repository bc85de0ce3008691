"""Classes in the town with venues: what coordinators make, and people who enter."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from services.booking.commands.class_attendance import Attendee, show_roll
from services.booking.commands.class_calling_off import call_off_class
from services.booking.commands.class_entries import EnterClass, enter_class, leave_class, take_offer
from services.booking.commands.class_times import SessionOrder, set_session, set_staff
from services.booking.commands.classes import ClassOrder, make_class, publish_class
from services.booking.commands.facts import ACCESS_PURPOSE
from services.booking.domain.classes import StaffRole
from services.booking.queries.classes import ClassView, get_class
from services.booking.worker import DUE_HANDLERS, keyed_handlers
from shared.crypto import ServiceBox
from shared.events.booking import SealedAccess
from shared.messaging.due import DueLoop
from shared.tokens import Identity
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.helpers_town import HALL, HelperTown

COORDINATOR = Identity(
    municipality=TOWN, kind="staff", ref="coordinator", session_id="s-coordinator", roles=("coordinator",)
)
TITLE = "はじめてのスマホ教室"
# A week after the town's morning, 10:00 to 11:30 in Japan.
BEGINS, LASTS = timedelta(days=7, hours=1), timedelta(minutes=90)
CLOSES = timedelta(days=5)


def make_order(town: BookingTown, **changes: object) -> ClassOrder:
    values: dict[str, object] = {
        "title_ja": TITLE,
        "text_ja": "電源の入れ方から、ゆっくり進めます。",
        "topics": (),
        "procedures": (),
        "venue": HALL,
        "seats": 3,
        "mode": "first_come",
        "closes_at": town.now + CLOSES,
        "language": "ja",
        "fee_yen": 0,
    }
    return ClassOrder(**values | changes)  # type: ignore[arg-type]


def make_session(starts_at: datetime, **changes: object) -> SessionOrder:
    values: dict[str, object] = {
        "starts_at": starts_at,
        "ends_at": starts_at + LASTS,
        "room_ja": "会議室2",
        "materials_ja": "テキスト10部",
    }
    return SessionOrder(**values | changes)  # type: ignore[arg-type]


@dataclass
class ClassTown:
    """The town with venues, and its classes."""

    town: BookingTown

    @property
    def helpers(self) -> HelperTown:
        return HelperTown(self.town)

    async def draft(self, *starts: timedelta, **changes: object) -> UUID:
        now = self.town.now
        async with self.town.db.begin(TOWN) as session:
            course_id = await make_class(session, COORDINATOR, make_order(self.town, **changes), None, now=now)
            for start in starts or (BEGINS,):
                order = make_session(now + start)
                await set_session(session, COORDINATOR, course_id, None, order, self.town.keys, now=now)
        return course_id

    async def publish(self, course_id: UUID) -> None:
        async with self.town.db.begin(TOWN) as session:
            await publish_class(session, COORDINATOR, course_id, self.town.keys, now=self.town.now)

    async def opened(self, *starts: timedelta, **changes: object) -> UUID:
        course_id = await self.draft(*starts, **changes)
        await self.publish(course_id)
        return course_id

    def order(self, course_id: UUID, guest: str, **changes: Any) -> EnterClass:
        values: dict[str, Any] = {
            "municipality": TOWN,
            "course_id": course_id,
            "visitor": guest,
            "key": uuid4().hex,
            "language": "ja",
        }
        return EnterClass(**values | changes)

    async def enter(self, course_id: UUID, guest: str, **changes: Any) -> str:
        async with self.town.db.begin(TOWN) as session:
            order = self.order(course_id, guest, **changes)
            return await enter_class(session, order, self.town.keys, now=self.town.now)

    async def enter_in_turn(self, course_id: UUID, *guests: str) -> list[str]:
        """One after the other, a second apart."""
        numbers = []
        for guest in guests:
            self.town.now += timedelta(seconds=1)
            numbers.append(await self.enter(course_id, guest))
        return numbers

    async def enter_with_pass(self, course_id: UUID, guest: str, **who: object) -> str:
        visit_id = await self.town.visit(guest, **who)
        return await self.enter(course_id, guest, visit_id=visit_id)

    async def leave(self, number: str) -> None:
        async with self.town.db.begin(TOWN) as session:
            await leave_class(session, TOWN, await self.entry_id(number), self.town.keys, now=self.town.now)

    async def take(self, number: str) -> None:
        async with self.town.db.begin(TOWN) as session:
            await take_offer(session, TOWN, await self.entry_id(number), self.town.keys, now=self.town.now)

    async def call_off(self, course_id: UUID) -> None:
        async with self.town.db.begin(TOWN) as session:
            await call_off_class(session, COORDINATOR, course_id, "講師の急病のため", self.town.keys, now=self.town.now)

    async def staff(self, course_id: UUID, helper_ref: str, role: StaffRole | None = "teacher", at: int = 0) -> None:
        session_id = (await self.view(course_id)).sessions[at].session_id
        async with self.town.db.begin(TOWN) as session:
            await set_staff(session, COORDINATOR, course_id, session_id, helper_ref, role, now=self.town.now)

    async def move(self, course_id: UUID, starts_at: datetime, at: int = 0) -> None:
        session_id = (await self.view(course_id)).sessions[at].session_id
        async with self.town.db.begin(TOWN) as session:
            order = make_session(starts_at)
            await set_session(session, COORDINATOR, course_id, session_id, order, self.town.keys, now=self.town.now)

    async def view(self, course_id: UUID) -> ClassView:
        async with self.town.db.begin(TOWN) as session:
            return await get_class(session, TOWN, course_id, published=False)

    async def roll(self, course_id: UUID) -> list[Attendee]:
        session_id = (await self.view(course_id)).sessions[0].session_id
        async with self.town.db.begin(TOWN) as session:
            return await show_roll(session, COORDINATOR, course_id, session_id, self.town.keys, now=self.town.now)

    async def entry_id(self, number: str) -> UUID:
        rows: list[Any] = await self.town.rows(
            "SELECT entry_id FROM booking.course_entry WHERE number = :number", number=number
        )
        found: UUID = rows[0].entry_id
        return found

    async def states(self) -> dict[str, str]:
        """The state of each entry, by its number."""
        rows: list[Any] = await self.town.rows("SELECT number, state FROM booking.course_entry ORDER BY entered_at")
        return {row.number: row.state for row in rows}

    async def seated(self) -> int:
        rows: list[Any] = await self.town.rows(
            "SELECT count(*) AS seats FROM booking.course_seat WHERE entry_id IS NOT NULL"
        )
        return int(rows[0].seats)

    async def told(self, number: str | None = None) -> list[dict[str, Any]]:
        """What others were told of an entry, or of all, in order."""
        rows: list[Any] = await self.town.rows("""
            SELECT payload, sealed FROM booking.outbox WHERE type = 'booking.class_entry_progressed.v1'
            ORDER BY aggregate_version, occurred_at
        """)
        events = [msgspec.json.decode(bytes(row.payload)) | {"sealed": row.sealed} for row in rows]
        return [event for event in events if number in (None, event["number"])]

    def open(self, sealed: str) -> SealedAccess:
        """As notifications does."""
        environ = self.town.environ
        box = ServiceBox.from_settings(environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
        return msgspec.msgpack.decode(box.open_from("booking", ACCESS_PURPOSE, sealed), type=SealedAccess)

    async def told_to_helpers(self) -> list[tuple[str, str]]:
        return [(event["helper_ref"], event["matter"]) for event in await self.words_to_helpers()]

    async def words_to_helpers(self) -> list[dict[str, Any]]:
        rows: list[Any] = await self.town.rows("""
            SELECT payload FROM booking.outbox WHERE type = 'booking.helper_told.v1' ORDER BY occurred_at
        """)
        return [msgspec.json.decode(bytes(row.payload)) for row in rows]

    async def do_what_is_due(self) -> None:
        loop = DueLoop(self.town.db, DUE_HANDLERS | keyed_handlers(self.town.keys), self.town.clock)
        while await loop.is_anything_due():
            await loop.run_once()
