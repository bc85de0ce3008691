"""What the ticket machine gives out reaches the others as what it is: nobody's. And a closing knows what to do."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.closings import CloseTime, close_time, on_closing_due
from services.booking.queries.slots import start_of_day
from tests.conftest import TestDatabase
from tests.journeys.resident import read_forms
from tests.structure.asking import NOW, TOWN, Product, running_product

TODAY = date(2026, 11, 24)


@pytest_asyncio.fixture
async def product(database: TestDatabase) -> Any:
    async with running_product(database) as running:
        yield running


async def press(product: Product, ending: str) -> str:
    """Press the first button of the form whose action ends so; where it leads."""
    page = await product.ask("booking", "GET", "/kiosk/procedures/RES01", cookie=product.cookie("kiosk"))
    form = next(form for form in read_forms(page.text) if form.action.endswith(ending))
    sent = form.fields | dict(form.buttons[:1])
    answer = await product.ask(
        "booking", "POST", form.action, cookie=product.cookie("kiosk"), body=urlencode(sent).encode()
    )
    assert answer.status == 303, answer.text
    return answer.location


async def rows(product: Product, service: str, sql: str) -> list[Any]:
    async with product.dbs[service].begin(TOWN) as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def test_a_ticket_and_a_time_are_told_without_anybody(product: Product) -> None:
    """The receipts say "applied" (`Product.receive`): nobody stumbles over an appointment without a person."""
    await press(product, "/tickets")
    where = await press(product, "/appointments")
    assert where.startswith("/kiosk/appointments/")
    await product.deliver()
    seen = "SELECT state, subject_ref, contact_ref, case_id FROM {} ORDER BY state"
    nobody = (None, None, None)
    assert await rows(product, "notifications", seen.format("notifications.appointment")) == [
        ("booked", *nobody), ("checked_in", *nobody),
    ]  # fmt: skip
    routing = "SELECT state, subject_ref, case_id, closure FROM routing.appointment ORDER BY state"
    assert await rows(product, "routing", routing) == [
        ("booked", None, None, "none"),
        ("checked_in", None, None, "none"),
    ]
    # What is printed is all that anybody is told.
    assert await rows(product, "notifications", "SELECT kind, state FROM notifications.notice") == [
        ("confirmation", "printed_slip")
    ]


async def test_closed_it_becomes_a_task_of_staff_and_is_marked(product: Product) -> None:
    await press(product, "/appointments")
    manager = product.identity("manager")
    order = CloseTime(
        counter="2", starts_at=start_of_day(TODAY), ends_at=start_of_day(TODAY + timedelta(days=1)), reason="power",
        note="", key="k",
    )  # fmt: skip
    async with product.dbs["booking"].begin(TOWN) as session:
        closed = await close_time(session, manager, order, now=NOW)
    async with product.dbs["booking"].begin(TOWN) as session:
        await on_closing_due(session, TOWN, str(closed.closing_id), NOW)
    await product.deliver()
    assert await rows(product, "routing", "SELECT closure FROM routing.appointment") == [("asked",)]
    [(count,)] = await rows(product, "notifications", "SELECT count(*) FROM notifications.staff_task")
    assert count == 1
