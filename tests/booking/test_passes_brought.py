"""A pass at its service: what it may carry, who may bring it, and that bringing nothing costs nothing."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import text

from services.booking.commands.visits import KANA, NAME
from shared.crypto import ServiceBox
from shared.passes import BOOKING_ITEMS, DECLARED_ITEMS, Pass, PassedItem, seal_pass
from tests.booking.conftest import TOWN, BookingTown

OK, SEE_OTHER = httpx.codes.OK, httpx.codes.SEE_OTHER


def sealed_by_routing(town: BookingTown, ticket: Pass) -> str:
    """As somebody would seal it who does not ask what was declared."""
    box = ServiceBox.from_settings(town.environ["CHOUDO_ROUTING_BOX_KEY"], town.environ["CHOUDO_BOX_PUBLIC_KEYS"])
    return box.seal_for("booking", "pass:book", msgspec.msgpack.encode(ticket))


def test_booking_declares_what_it_calls_by_and_nothing_else() -> None:
    assert DECLARED_ITEMS == {"book": BOOKING_ITEMS}
    assert BOOKING_ITEMS == (NAME, KANA)


async def test_a_pass_with_an_item_that_nobody_declared_is_neither_sealed_nor_opened(town: BookingTown) -> None:
    """Seen to fail, here and there, without `_is_declared`."""
    address = PassedItem(key="address", value="二宮町百合が丘7-7", approval_id=uuid4())
    ticket = town.make_pass("guest", items=(address,))
    with pytest.raises(ValueError, match="does not declare"):
        town.seal(ticket)
    box = ServiceBox.from_settings(town.environ["CHOUDO_ROUTING_BOX_KEY"], town.environ["CHOUDO_BOX_PUBLIC_KEYS"])
    with pytest.raises(ValueError, match="does not declare"):
        seal_pass(box, "booking", "anything", town.make_pass("guest"))
    async with town.browser() as browser:
        refused = await browser.post("/booking/arrive", data={"pass": sealed_by_routing(town, ticket)})
    assert refused.status_code == httpx.codes.BAD_REQUEST
    assert "百合が丘" not in refused.text
    assert await town.rows("SELECT 1 FROM booking.visit") == []


async def test_brought_many_times_at_once_a_pass_makes_one_draft(town: BookingTown) -> None:
    """Seen to fail without ON CONFLICT on the pass: the second found its key taken."""
    sealed = town.seal(town.make_pass("guest"))
    async with town.browser() as browser, town.browser("thief") as thief:
        await asyncio.gather(*(browser.get("/booking/find") for _ in range(6)))  # connections, ready for a race
        answers = await asyncio.gather(
            *(browser.post("/booking/arrive", data={"pass": sealed}) for _ in range(5)),
            thief.post("/booking/arrive", data={"pass": sealed}),
        )
    *mine, stolen = answers
    assert {answer.status_code for answer in mine} == {SEE_OTHER}
    assert len({answer.headers["location"] for answer in mine}) == 1
    assert stolen.status_code == httpx.codes.CONFLICT
    assert len(await town.rows("SELECT 1 FROM booking.visit")) == 1


async def test_whoever_passes_nothing_on_sees_the_same_times_and_books_the_same(town: BookingTown) -> None:
    shown: list[Any] = []
    for guest, items, slot in (("giver", None, 0), ("decliner", (), 0)):
        changes = {} if items is None else {"items": items, "contact_ref": None, "reach": "none"}
        visit_id = await town.visit(guest, **changes)
        async with town.browser(guest) as browser:
            page = await browser.get(f"/booking/visits/{visit_id}", params={"day": "2026-06-02"})
        shown.append(page.text.replace(str(visit_id), "").count('name="slot"'))
        free = [each for each in await town.slots() if each.free]
        await town.hold(visit_id, guest, free[slot].slot_id)
        await town.book(visit_id, guest)
    assert shown[0] == shown[1] > 0
    giver, decliner = await town.rows(
        "SELECT state, version, procedure, counter, office, starts_at, ends_at, helper"
        " FROM booking.appointment ORDER BY booked_at"
    )
    assert giver == decliner


async def test_a_use_says_the_purpose_that_was_approved(town: BookingTown) -> None:
    """Seen to fail while booking wrote a purpose of its own, which nobody had been shown."""
    items = tuple(
        PassedItem(key=key, value="ヨシザキ", approval_id=uuid4(), purpose="窓口でお名前をお呼びするため")
        for key in BOOKING_ITEMS
    )
    await town.booked(items=items)
    rows = await town.rows("SELECT purpose FROM booking.ledger_entry WHERE entry_type = 'applied'")
    assert {row.purpose for row in rows} == {"窓口でお名前をお呼びするため"}  # type: ignore[attr-defined]
    async with town.db.begin(TOWN) as session:
        cited = await session.execute(text("SELECT correlation FROM ledger_entry WHERE entry_type = 'applied'"))
    assert set(cited.scalars()) == {item.approval_id for item in items}
