"""Staff book for somebody on the phone or at the desk: audited, without a limit, and nothing stays on their tablet."""

import re
from typing import Any

import httpx
import pytest

from services.booking.domain.rules import Policy
from tests.booking.conftest import CHILD, FAMILY, BookingTown, make_pack
from tests.booking.one_stop_town import ERRANDS, open_town
from tests.booking.test_pages import fields_of, go

AUDIT = "SELECT action, office, actor_kind FROM booking.audit WHERE actor_kind <> 'operator' ORDER BY action"


async def book_for(town: BookingTown, browser: httpx.AsyncClient, ref: str, **ticket: object) -> httpx.Response:
    """From the pass to the appointment's page, by the earliest time."""
    arrived = {"pass": town.seal(town.make_pass(ref, **ticket))}
    page = await go(browser, await browser.post("/booking/arrive", data=arrived))
    await browser.post("/booking/arrive", data=arrived)
    slot = re.search(r'name="slot" value="([0-9a-f-]{36})"', page.text)
    assert slot is not None
    path = page.url.path
    held = fields_of(page.text, f"{path}/hold") | {"slot": slot[1]}
    confirm = await go(browser, await browser.post(f"{path}/hold", data=held))
    booked = await browser.post(f"{path}/book", data=fields_of(confirm.text, f"{path}/book"))
    await browser.post(f"{path}/book", data=fields_of(confirm.text, f"{path}/book"))
    return await go(browser, booked)


@pytest.mark.parametrize(
    ("behalf", "reach", "said"),
    [
        ("phone", "none", ("本人に読み上げてください", "書きとめてもらってください")),
        ("phone", "sms", ("本人に読み上げてください", "確認のSMSも送ります")),
        ("desk", "none", ("紙を印刷して、本人にわたしてください", "紙に、番号と確認コードがのっています")),
        ("desk", "email", ("紙を印刷して、本人にわたしてください", "確認のメールも送ります")),
    ],
)
async def test_staff_read_the_number_and_code_aloud_or_hand_over_the_slip(
    town: BookingTown, behalf: str, reach: str, said: tuple[str, ...]
) -> None:
    contact = {"contact_ref": None} if reach == "none" else {}
    async with town.staff() as browser:
        page = await book_for(town, browser, "staff", behalf=behalf, reach=reach, **contact)
        for words in said:
            assert words in page.text
        number, code = re.findall(r'slip__number">([^<]+)<', page.text)
        assert f"予約番号は、{number}。確認コードは、{code} です。" in page.text
        assert ("紙を印刷</span>" in page.text) == (behalf == "desk")
        assert 'href="/office/behalf"' in page.text
        slip = (await browser.get(f"{page.url.path}/slip")).text
        for words in (number, code, "児童手当の申請", "町役場 2階 7番", "預金通帳", "0463-71-3311", "/booking/find"):
            assert words in slip
        assert 'href="/office/behalf"' in slip
        assert "choudo_appointment" not in str(browser.cookies.jar)
    async with town.browser(None) as resident:
        opened = await go(resident, await resident.post("/booking/find", data={"number": number, "code": code}))
        assert "予約ができています" in opened.text
        assert "本人に" not in opened.text
        assert "/office" not in (await resident.get(f"{page.url.path}/slip")).text
    async with town.staff("colleague") as other:
        assert (await other.get(page.url.path)).headers["location"].startswith("/booking/find")


async def test_every_step_of_staff_is_audited_once_and_a_residents_is_not(town: BookingTown) -> None:
    """Each `record_deed` was removed once, and seen to be missed here."""
    async with town.staff() as browser:
        page = await book_for(town, browser, "staff", behalf="desk")
        own = page.url.path
        form = {"version": "1", "idempotency_key": "change", "slot": str((await town.slots("7"))[3].slot_id)}
        assert (await browser.post(f"{own}/change", data=form)).headers["location"] == f"{own}?changed=1"
        cancel = {"version": "2", "idempotency_key": "cancel"}
        assert (await browser.post(f"{own}/cancel", data=cancel)).headers["location"] == own
        visit_id = await town.visit("staff")
        await town.hold(visit_id, "staff", (await town.slots("7"))[2].slot_id)
        for _ in range(2):
            await browser.post(f"/booking/visits/{visit_id}/release")
    deeds = await town.rows(AUDIT)
    actions = ("arrive", "book", "cancel", "change", "hold", "release", "view-visit")
    assert deeds == [(action, "子育て", "staff") for action in actions]
    async with town.browser() as browser:
        await book_for(town, browser, "guest")
    assert await town.rows(AUDIT) == deeds


async def test_the_ledger_says_that_staff_booked_and_not_the_person(town: BookingTown) -> None:
    """Seen to fail with a guest for everybody who books."""
    async with town.staff() as browser:
        await book_for(town, browser, "staff", behalf="phone", reach="none", contact_ref=None)
    async with town.browser() as browser:
        await book_for(town, browser, "guest")
    told = "SELECT DISTINCT actor_kind, actor_ref FROM booking.ledger_entry WHERE entry_type = 'applied' ORDER BY 1"
    assert await town.rows(told) == [("guest", "guest"), ("staff", "staff")]


async def test_staff_serve_more_people_than_one_may_book_for_themselves(bare_town: BookingTown) -> None:
    town = bare_town
    await town.open(make_pack(places=20))
    async with town.staff() as browser:
        for _ in range(Policy().max_open_appointments + 3):
            page = await book_for(town, browser, "staff", behalf="phone", reach="none", contact_ref=None)
            assert "予約ができました" in page.text
            assert "もう予約があります" not in page.text


@pytest.mark.parametrize(("behalf", "reach"), [("phone", "none"), ("desk", "none"), ("desk", "sms")])
async def test_staff_book_one_visit_for_several_procedures_on_behalf(
    bare_town: BookingTown, behalf: str, reach: str
) -> None:
    """All of it is read aloud, or on one slip; each appointment is recorded as booked by staff."""
    town = bare_town
    await open_town(town)
    contact = {"contact_ref": None} if reach == "none" else {}
    ticket = town.make_pass("staff", procedure=FAMILY, errands=ERRANDS, behalf=behalf, reach=reach, **contact)
    async with town.staff() as browser:
        page = await go(browser, await browser.post("/booking/arrive", data={"pass": town.seal(ticket)}))
        page = await go(browser, page)
        assert "代わりに入力しています" in page.text
        path = page.url.path
        chain = re.search(r'name="chain" value="([^"]+)"', page.text)
        assert chain is not None
        confirm = await go(browser, await browser.post(path, data=fields_of(page.text, path) | {"chain": chain[1]}))
        assert "代わりに入力しています" in confirm.text
        book = f"{path}/book"
        page = await go(browser, await browser.post(book, data=fields_of(confirm.text, book)))
        assert ("1つ目は、" in page.text, "2つ目は、" in page.text) == ((behalf == "phone"),) * 2
        number, code = re.findall(r'slip__number">([^<]+)<', page.text)
        assert f"予約番号は、{number}。確認コードは、{code} です。" in page.text
        slip = (await browser.get(f"{page.url.path}/slip")).text
        for words in (
            number,
            code,
            "転入届",
            "児童手当の申請",
            "転出証明書",
            "預金通帳",
            "歩いておよそ3分",
            "0463-71-3311",
        ):
            assert words in slip
        assert "choudo_appointment" not in str(browser.cookies.jar)
    deeds: list[Any] = await town.rows(AUDIT)
    assert [deed[0] for deed in deeds] == ["arrive", "book", "book", "hold", "view-visit"]
    told = "SELECT actor_kind, target_procedure FROM booking.ledger_entry WHERE entry_type = 'applied'"
    assert {tuple(row) for row in await town.rows(told)} == {("staff", FAMILY), ("staff", CHILD)}  # type: ignore[arg-type]
    async with town.browser(None) as resident:
        opened = await go(resident, await resident.post("/booking/find", data={"number": number, "code": code}))
        assert "まとめて予約した手続き" in opened.text
