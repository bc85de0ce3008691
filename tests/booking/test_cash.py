"""The end of a turn at a counter: what was delivered, what was paid, and the day's sums."""

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.finishing import Finish, finish
from services.booking.commands.steps import Moved
from services.booking.consumers import on_catalogue_published
from services.booking.domain.cash import Delivered, Paid, read_paid
from services.booking.pages import cash
from shared.clock import jst_day
from shared.errors import Refusal
from tests.booking.conftest import CHILD, TOWN, BookingTown, make_catalogue
from tests.booking.test_counter import STAFF, step


async def served(town: BookingTown, guest: str = "guest") -> UUID:
    """Somebody who is being served; their version is 4."""
    booked = await town.booked(guest)
    for version, action in enumerate(("check-in", "call", "start"), start=1):
        await step(town, booked.appointment_id, action, version)
    appointment_id: UUID = booked.appointment_id
    return appointment_id


async def end(town: BookingTown, appointment_id: UUID, *, version: int = 4, paid: Paid | None = None) -> Moved:
    delivered = (Delivered(procedure=CHILD, quantity=2),)
    order = Finish(appointment_id=appointment_id, version=version, delivered=delivered, paid=paid)
    async with town.db.begin(TOWN) as session:
        return await finish(session, STAFF, order, now=town.now)


async def rewrite(town: BookingTown, change: str) -> None:
    async with town.db.begin(TOWN) as session:
        await session.execute(text(f"UPDATE payment SET {change}"))


async def delivered_of(town: BookingTown) -> list[tuple[str, int, bool]]:
    rows = await town.rows("""
        SELECT d.procedure, d.quantity, s.is_undone FROM booking.delivered d
        JOIN booking.line_step s USING (municipality, appointment_id, version) ORDER BY d.version, d.procedure""")
    return [(row.procedure, row.quantity, row.is_undone) for row in rows]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("means", "amount", "receipt", "read"),
    [
        ("", "", "", None),
        ("", "0", "", None),
        ("cash", "300", "", Paid(amount_yen=300, means="cash")),
        ("code", "１，２００円", "ａ－12", Paid(amount_yen=1_200, means="code", receipt_no="A-12")),
        ("cash", "¥999,999", "", Paid(amount_yen=999_999, means="cash")),
        ("cash", "", "", "payment_incomplete"),
        ("", "300", "", "payment_incomplete"),
        ("", "", "12", "payment_incomplete"),
        ("bitcoin", "300", "", "payment_incomplete"),
        ("cash", "1000000", "", "amount_unreadable"),
        ("cash", "0", "", "amount_unreadable"),
        ("cash", "-5", "", "amount_unreadable"),
        ("cash", "三百", "", "amount_unreadable"),
        ("cash", "3.5", "", "amount_unreadable"),
        # As long as a card's.
        ("credit", "300", "4111111111111", "receipt_unreadable"),
        ("credit", "300", "4111 1111", "receipt_unreadable"),
    ],
)
def test_a_payment_is_read_in_any_width(means: str, amount: str, receipt: str, read: Paid | str | None) -> None:
    if isinstance(read, str):
        with pytest.raises(Refusal, match=read):
            read_paid(means, amount, receipt)
    else:
        assert read_paid(means, amount, receipt) == read


async def test_one_tap_delivers_what_was_booked(town: BookingTown) -> None:
    await step(town, await served(town), "done", 4)
    assert await delivered_of(town) == [(CHILD, 1, False)]


async def test_taking_the_end_back_takes_the_payment_back_and_the_receipt_is_free_again(town: BookingTown) -> None:
    """Seen to fail without the trigger that follows the step: the receipt stays taken."""
    appointment_id = await served(town)
    paid = Paid(amount_yen=600, means="cash", receipt_no="R-1")
    await end(town, appointment_id, paid=paid)
    async with town.staff() as staff:
        assert "600円" in (await staff.get("/counter/cash")).text
        await step(town, appointment_id, "undo", 5)
        page = (await staff.get("/counter/cash")).text
        assert "600円" not in page
        assert "この日の支払いは、まだありません。" in page
        # What was said before stands in the sheet.
        sheet = (await staff.get(f"/counter/{appointment_id}/finish")).text
        assert 'value="R-1"' in sheet
        assert f'name="quantity-{CHILD}"' in sheet
    await end(town, appointment_id, version=6, paid=paid)
    assert await delivered_of(town) == [(CHILD, 2, True), (CHILD, 2, False)]
    rows = await town.rows("SELECT is_undone FROM booking.payment ORDER BY version")
    assert [row.is_undone for row in rows] == [True, False]  # type: ignore[attr-defined]


async def test_a_receipt_is_for_one_payment_whoever_is_first(town: BookingTown) -> None:
    """Seen to fail without the unique index: both are written."""
    people = [await served(town, guest) for guest in ("one", "two")]
    paid = Paid(amount_yen=300, means="cash", receipt_no="77")
    found = await asyncio.gather(*(end(town, each, paid=paid) for each in people), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["Moved", "Refusal"]
    assert [each.code for each in found if isinstance(each, Refusal)] == ["receipt_known"]
    # Whoever is refused is still being served.
    rows = await town.rows("SELECT state FROM booking.appointment ORDER BY state")
    assert [row.state for row in rows] == ["done", "serving"]  # type: ignore[attr-defined]


async def test_money_that_was_written_down_cannot_be_rewritten(town: BookingTown) -> None:
    """Seen to fail without the trigger."""
    appointment_id = await served(town)
    await end(town, appointment_id, paid=Paid(amount_yen=300, means="cash"))
    for change in ("amount_yen = 200", "is_undone = true", "day = day - 1"):
        with pytest.raises(IntegrityError):
            await rewrite(town, change)


async def test_a_counter_takes_only_the_means_that_the_town_has_told(town: BookingTown) -> None:
    known = make_catalogue(version=2)
    counters = tuple(msgspec.structs.replace(each, payment=("cash",)) for each in known.counters)
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, msgspec.structs.replace(known, counters=counters), now=town.now)
    appointment_id = await served(town)
    with pytest.raises(Refusal, match="means_not_taken"):
        await end(town, appointment_id, paid=Paid(amount_yen=300, means="code"))
    await end(town, appointment_id, paid=Paid(amount_yen=300, means="cash"))


async def test_the_sheet_keeps_what_was_typed_and_says_what_is_wrong(town: BookingTown) -> None:
    appointment_id = await served(town)
    sheet = f"/counter/{appointment_id}/finish"
    fields = {"version": "4", f"quantity-{CHILD}": "3", "handed": "online", "means": "cash", "receipt": "A-1"}
    async with town.staff() as staff:
        empty = await staff.get(sheet)
        assert empty.status_code == 200
        assert "1,500円" in empty.text
        assert (await staff.post(sheet, data={"version": "4", "amount": "たくさん"})).status_code == 400
        refused = await staff.post(sheet, data=fields | {"amount": "たくさん"})
        assert refused.status_code == 400
        assert "金額は、1から999,999までの数で書いてください" in refused.text
        assert 'value="たくさん"' in refused.text
        assert 'value="3"' in refused.text
        assert (await staff.post(sheet, data=fields | {"amount": "300", f"quantity-{CHILD}": "百"})).status_code == 400
        answer = await staff.post(sheet, data=fields | {"amount": "９００円", "counter": "7"})
        assert answer.status_code == 303
        assert "counter=7" in answer.headers["location"]
        assert "対応を終えました" in (await staff.get(answer.headers["location"])).text
        assert await delivered_of(town) == [(CHILD, 3, False)]
        # Too late: it is over, and says so instead of offering the form.
        assert "対応を終えられるのは、呼出か対応中の方です。" in (await staff.get(sheet)).text
        late = await staff.post(sheet, data=fields | {"amount": "900"})
        assert late.status_code == 409
        table = (await staff.get("/counter/cash.csv")).text
        assert ",7," in table
        assert table.rstrip().endswith(",900,'A-1")


async def test_what_the_catalogue_does_not_have_cannot_be_delivered(town: BookingTown) -> None:
    appointment_id = await served(town)
    for delivered in (
        (Delivered(procedure="NONE"),),
        (Delivered(procedure=CHILD, quantity=0),),
        (Delivered(procedure=CHILD, quantity=100),),
        (Delivered(procedure=CHILD), Delivered(procedure=CHILD)),
        tuple(Delivered(procedure=f"P{n}") for n in range(21)),
    ):
        order = Finish(appointment_id=appointment_id, version=4, delivered=delivered)
        with pytest.raises(Refusal, match="delivered_unfit"):
            async with town.db.begin(TOWN) as session:
                await finish(session, STAFF, order, now=town.now)


async def test_another_office_sees_and_ends_nothing_of_it(town: BookingTown) -> None:
    appointment_id = await served(town)
    await end(town, appointment_id, paid=Paid(amount_yen=300, means="cash"))
    async with town.staff(office="戸籍") as others, town.staff(office=None) as everybody, town.browser() as guest:
        assert "300円" not in (await others.get("/counter/cash")).text
        assert "300円" in (await everybody.get("/counter/cash")).text
        assert (await others.get(f"/counter/{appointment_id}/finish")).status_code == 403
        answer: httpx.Response = await guest.get("/counter/cash.csv")
        assert answer.status_code in (303, 401, 403)


async def test_a_day_that_is_none_is_today_and_tomorrow_has_not_come(town: BookingTown) -> None:
    await end(town, await served(town), paid=Paid(amount_yen=300, means="cash"))
    async with town.staff() as staff:
        for day in ("", "2026-13-01", "x" * 40, "9999-12-31", "0001-01-01"):
            assert "300円" in (await staff.get("/counter/cash", params={"day": day})).text
        assert "300円" not in (await staff.get("/counter/cash?day=2026-01-01")).text


async def test_other_systems_end_a_turn_once_and_read_the_payments(town: BookingTown) -> None:
    appointment_id = await served(town)
    body = {
        "version": 4, "delivered": [{"procedure": CHILD, "quantity": 2}],
        "paid": {"amount_yen": 600, "means": "cash", "receipt_no": "R-9"},
    }  # fmt: skip
    async with town.staff() as staff:
        path = f"/booking/api/line/{appointment_id}/finish"
        first = await staff.post(path, json=body, headers={"idempotency-key": "once"})
        again = await staff.post(path, json=body, headers={"idempotency-key": "once"})
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        assert first.json()["state"] == "done"
        path_of_day = f"/booking/api/line/payments?day={jst_day(town.now)}"
        [taken] = (await staff.get(path_of_day)).json()
        assert (taken["amount_yen"], taken["means"], taken["receipt_no"]) == (600, "cash", "R-9")
        assert (await staff.get("/booking/api/line/payments?day=2026-01-01")).json() == []
        card = body | {"version": 5, "paid": {"amount_yen": 600, "means": "credit", "receipt_no": "4111 1111"}}
        assert (await staff.post(path, json=card)).json()["code"] == "receipt_unreadable"


async def test_the_file_keeps_names_and_receipts_as_texts(town: BookingTown) -> None:
    """Seen to fail where cells are written as they are: a counter's name is a formula, and 0012 becomes 12."""
    known = make_catalogue(version=2)
    counters = tuple(msgspec.structs.replace(each, number="＝1+1") for each in known.counters)
    async with town.db.begin(TOWN) as session:
        await on_catalogue_published(session, msgspec.structs.replace(known, counters=counters), now=town.now)
    await end(town, await served(town), paid=Paid(amount_yen=300, means="cash", receipt_no="0012"))
    async with town.staff() as staff:
        table = (await staff.get("/counter/cash.csv")).content.decode("utf-8-sig")
    [_, cells] = csv.reader(io.StringIO(table))
    assert cells[2] == "'＝1+1"
    assert cells[5:] == ["300", "'0012"]


async def test_a_page_that_does_not_list_all_payments_says_so(town: BookingTown, monkeypatch: Any) -> None:
    """Seen to fail where the list just ends."""
    monkeypatch.setattr(cash, "LISTED_MAX", 1)
    for guest, receipt in (("one", "R-1"), ("two", "R-2")):
        await end(town, await served(town, guest), paid=Paid(amount_yen=300, means="cash", receipt_no=receipt))
        if receipt == "R-1":
            async with town.staff() as staff:
                assert "はじめの" not in (await staff.get("/counter/cash")).text
        town.now += timedelta(minutes=1)
    async with town.staff() as staff:
        shown = (await staff.get("/counter/cash")).text
        table = (await staff.get("/counter/cash.csv")).text
    assert "はじめの1件です" in shown
    assert "R-2" not in shown
    assert table.rstrip().endswith("R-2")
