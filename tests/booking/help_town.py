"""The town with helpers, in which people ask for one without choosing a time."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.booking.commands.help_matching import ASK_MATCHED, carry_out, on_match_help_due
from services.booking.commands.help_requests import (
    AskForHelp,
    HelpWish,
    ask_for_help,
    on_help_deadline_due,
    withdraw_request,
)
from services.booking.commands.help_returns import MATCH_HELP, MATCH_REF
from services.booking.domain.matching import HelpWindow
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.helpers_town import PHONE_HELP, TANAKA, HelperTown

TODAY = date(2026, 6, 1)
NEXT_MONDAY = TODAY + timedelta(days=7)
SOON = HelpWindow(first_day=TODAY, last_day=NEXT_MONDAY)


def wish(**changes: Any) -> HelpWish:
    """Any time within a week, from any helper."""
    return HelpWish(**{"window": SOON, **changes})


@dataclass
class HelpTown(HelperTown):
    """Asking, matching, and what became of it."""

    async def ask(self, guest: str = "guest", wanted: HelpWish | None = None, **changes: object) -> UUID:
        changes = {"procedure": PHONE_HELP, "channel": "helper", **changes}
        visit_id = await self.town.visit(guest, **changes)
        number = await self.ask_with(visit_id, guest, wanted)
        return (await self.request(number=number)).request_id  # type: ignore[no-any-return]

    async def ask_with(self, visit_id: UUID, guest: str = "guest", wanted: HelpWish | None = None) -> str:
        order = AskForHelp(municipality=TOWN, visit_id=visit_id, visitor=guest, wish=wanted or wish())
        async with self.town.db.begin(TOWN) as session:
            return await ask_for_help(session, order, self.town.keys, now=self.town.now)

    async def plan(self) -> list[UUID]:
        """The matching plans; what it has planned and nobody has carried out."""
        async with self.town.db.begin(TOWN) as session:
            await session.execute(text("DELETE FROM due WHERE kind = :kind"), {"kind": MATCH_HELP})
            await on_match_help_due(session, TOWN, MATCH_REF, self.town.now)
        rows = await self.town.rows(
            "SELECT match_id FROM booking.help_match WHERE appointment_id IS NULL ORDER BY match_id"
        )
        return [row.match_id for row in rows]  # type: ignore[attr-defined]

    async def carry_out(self, match_id: UUID) -> None:
        async with self.town.db.begin(TOWN) as session:
            await carry_out(session, TOWN, match_id, self.town.keys, now=self.town.now)

    async def match(self) -> None:
        """Planned, and everything that was planned carried out, as the worker does."""
        await self.plan()
        due = await self.town.rows("SELECT ref FROM booking.due WHERE kind = :kind ORDER BY ref", kind=ASK_MATCHED)
        for row in due:
            await self.carry_out(UUID(row.ref))  # type: ignore[attr-defined]
        async with self.town.db.begin(TOWN) as session:
            await session.execute(text("DELETE FROM due WHERE kind = :kind"), {"kind": ASK_MATCHED})

    async def matched_at(self) -> datetime | None:
        """When it is matched next, as things are."""
        rows = await self.town.rows("SELECT due_at FROM booking.due WHERE kind = :kind", kind=MATCH_HELP)
        return rows[0].due_at if rows else None  # type: ignore[attr-defined]

    async def withdraw(self, request_id: UUID) -> None:
        async with self.town.db.begin(TOWN) as session:
            await withdraw_request(session, TOWN, request_id, now=self.town.now)

    async def deadline(self, request_id: UUID) -> None:
        self.at((await self.request(request_id)).until)
        async with self.town.db.begin(TOWN) as session:
            await on_help_deadline_due(session, TOWN, str(request_id), self.town.now)

    async def request(self, request_id: UUID | None = None, *, number: str | None = None) -> Any:
        rows = await self.town.rows(
            "SELECT * FROM booking.help_request WHERE request_id = :id OR number = :number",
            id=request_id,
            number=number,
        )
        return rows[0]

    async def state(self, request_id: UUID) -> tuple[str, bool]:
        """How it stands, and whether it has an appointment."""
        row = await self.request(request_id)
        return row.state, row.appointment_id is not None

    async def reasons(self, helper_ref: str = TANAKA) -> list[str]:
        rows = await self.town.rows("SELECT reasons FROM booking.help_match WHERE helper_ref = :ref", ref=helper_ref)
        return list(rows[0].reasons)  # type: ignore[attr-defined]

    async def facts(self, kind: str) -> list[dict[str, Any]]:
        """What was published of one kind, in order."""
        rows = await self.town.rows(
            """SELECT payload, sealed FROM booking.outbox WHERE type LIKE :kind
               ORDER BY occurred_at, aggregate_id, aggregate_version""",
            kind=f"booking.{kind}.%",
        )
        return [msgspec.json.decode(bytes(row.payload)) | {"sealed": row.sealed} for row in rows]  # type: ignore[attr-defined]

    async def change_helper(self, ref: str = TANAKA, **values: Any) -> None:
        """What helpers say of themselves."""
        sets = ", ".join(f"{name} = :{name}" for name in values)
        async with self.town.db.begin(TOWN) as session:
            await session.execute(text(f"UPDATE helper SET {sets} WHERE helper_ref = :ref"), {"ref": ref, **values})


async def open_for_help(town: BookingTown) -> None:
    """The town is open, with venues and a topic that helpers explain, and no helper yet."""
    await HelpTown(town).open()
    async with town.db.begin(TOWN) as session:
        await session.execute(
            text("INSERT INTO topic (municipality, code, name_ja, version) VALUES (:town, 'line', 'LINEの使い方', 1)"),
            {"town": TOWN},
        )
