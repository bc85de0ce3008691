"""The town where people ask for help, with classes in which they may find it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.booking.commands.erasure import erase_subject
from services.booking.commands.help_classes import (
    OFFER_SEAT,
    enter_by_request,
    offer_class,
    offer_seat,
    settle_seat,
    take_seat_offered,
)
from services.booking.commands.help_requests import on_help_deadline_due
from services.booking.commands.help_returns import HELP_DEADLINE, SETTLE_SEAT
from services.booking.domain.matching import HelpWindow
from tests.booking.classes_town import COORDINATOR, ClassTown
from tests.booking.conftest import TOWN
from tests.booking.help_town import TODAY, HelpTown, wish

# The class of `ClassTown` is a week ahead: within a window of ten days.
TEN_DAYS = HelpWindow(first_day=TODAY, last_day=TODAY + timedelta(days=10))


@dataclass
class InClassTown(HelpTown):
    """A town where people ask for help, with classes."""

    @property
    def classes(self) -> ClassTown:
        return ClassTown(self.town)

    async def line_class(self, **changes: object) -> UUID:
        return await self.classes.opened(**{"topics": ("line",), **changes})

    async def ask_in_class(self, guest: str = "guest", in_class: str = "too", **changes: Any) -> UUID:
        wanted = wish(**{"topic": "line", "window": TEN_DAYS, "in_class": in_class, **changes})
        return await self.ask(guest, wanted)

    async def offer_what_is_planned(self) -> None:
        """The matching plans, and helpers and seats are asked for, as the worker does."""
        await self.match()
        await self._do(OFFER_SEAT)

    async def settle(self) -> None:
        await self._do(SETTLE_SEAT)

    async def reach_deadline(self, request_id: UUID) -> None:
        """Its time is over, sooner than it was asked for."""
        await self.write(
            "UPDATE help_request SET until = opened_at + interval '1 minute'",
            f"UPDATE due SET due_at = (SELECT min(until) FROM help_request) WHERE kind = '{HELP_DEADLINE}'",
        )
        self.at((await self.request(request_id)).until)
        await self.do_deadlines()

    async def do_deadlines(self) -> None:
        """Those that are over, as the worker does; what is asked for meanwhile is left for its time."""
        async with self.town.db.begin(TOWN) as session:
            over = text("DELETE FROM due WHERE kind = :kind AND due_at <= :now RETURNING ref")
            due = (await session.execute(over, {"kind": HELP_DEADLINE, "now": self.town.now})).scalars().all()
            for ref in due:
                await on_help_deadline_due(session, TOWN, ref, self.town.now)

    async def seats(self) -> list[Any]:
        """The entries that requests have, in order."""
        return list(
            await self.town.rows("""
                SELECT entry_id, course_id, request_id, state, reasons, decided_by, offer_until, name_sealed, number
                FROM booking.course_entry WHERE request_id IS NOT NULL ORDER BY entered_at, entry_id""")
        )

    async def take(self, entry_id: UUID) -> None:
        async with self.town.db.begin(TOWN) as session:
            await take_seat_offered(session, TOWN, entry_id, self.town.keys, now=self.town.now)

    async def enter(self, request_id: UUID, course_id: UUID) -> str:
        async with self.town.db.begin(TOWN) as session:
            return await enter_by_request(session, TOWN, request_id, course_id, self.town.keys, now=self.town.now)

    async def choose(self, request_id: UUID, course_id: UUID) -> None:
        async with self.town.db.begin(TOWN) as session:
            await offer_class(session, COORDINATOR, request_id, course_id, self.town.keys, now=self.town.now)

    async def write(self, *statements: str) -> None:
        """In one transaction, past all commands."""
        async with self.town.db.begin(TOWN) as session:
            for statement in statements:
                await session.execute(text(statement))

    async def erase_owner(self, request_id: UUID) -> None:
        subject_ref = (await self.request(request_id)).subject_ref
        async with self.town.db.begin(TOWN) as session:
            await erase_subject(session, TOWN, subject_ref, "resident", now=self.town.now)

    async def applied(self) -> int:
        rows: list[Any] = await self.town.rows(
            "SELECT count(*) AS n FROM booking.ledger_entry WHERE entry_type = 'applied'"
        )
        return int(rows[0].n)

    async def _do(self, kind: str) -> None:
        due: list[Any] = await self.town.rows("SELECT ref FROM booking.due WHERE kind = :kind ORDER BY ref", kind=kind)
        for row in due:
            first, _slash, second = row.ref.partition("/")
            async with self.town.db.begin(TOWN) as session:
                if kind == OFFER_SEAT:
                    await offer_seat(session, TOWN, UUID(first), UUID(second), self.town.keys, now=self.town.now)
                else:
                    await settle_seat(session, TOWN, UUID(first), self.town.keys, now=self.town.now)
        async with self.town.db.begin(TOWN) as session:
            await session.execute(text("DELETE FROM due WHERE kind = :kind"), {"kind": kind})
