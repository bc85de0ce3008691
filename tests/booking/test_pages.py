"""The pages in a browser's place: forms, cookies, other people's browsers, garbage."""

import re
from datetime import time, timedelta
from uuid import uuid4

import httpx
import msgspec

from shared.reference_number import calendar_uid, show_number
from shared.tokens import TOKEN_LIFETIME
from shared.town_pack import Opening
from tests.booking.conftest import CHILD, FAMILY, HOST, OTHER_HOST, OTHER_TOWN, BookingTown, make_pack
from tests.booking.test_counter import step

HOURS = (time(8, 30), time(17, 15))
GARBAGE = (
    "",
    "x" * 5_000,
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "\u0000\ud7ff",
    "𠮷﨑",
    "🙂",
    "-1",
    "../..",
    "９" * 50,
)


def fields_of(body: str, action: str) -> dict[str, str]:
    """The hidden fields of a form."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', body, re.DOTALL)
    assert form is not None, action
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0]))


async def go(browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


async def test_the_whole_way_from_the_pass_to_a_cancelled_appointment(town: BookingTown) -> None:
    async with town.browser() as browser:
        page = await go(
            browser, await browser.post("/booking/arrive", data={"pass": town.seal(town.make_pass("guest"))})
        )
        assert page.status_code == 200, page.text
        assert "児童手当の申請" in page.text
        assert "庁舎点検" in page.text
        path = page.url.path
        slot = re.search(r'name="slot" value="([0-9a-f-]{36})"', page.text)
        assert slot is not None
        form = fields_of(page.text, f"{path}/hold")
        confirm = await go(browser, await browser.post(f"{path}/hold", data=form | {"slot": slot[1]}))
        assert "ヨシザキ ハナコさま" in confirm.text
        assert "𠮷﨑 花子" in confirm.text
        assert "メールでお送りします" in confirm.text
        form = fields_of(confirm.text, f"{path}/book")
        first = await browser.post(f"{path}/book", data=form)
        second = await browser.post(f"{path}/book", data=form)
        assert first.headers["location"] == second.headers["location"]
        cookie = first.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "path=/booking" in cookie
        page = await go(browser, first)
        assert page.status_code == 200, page.text
        assert "確認コード" in page.text
        assert "data:image/svg+xml" in page.text
        code = re.search(r'lead">(\d{6})<', page.text)
        assert code is not None
        appointment = page.url.path
        number = appointment.rsplit("/", 1)[1]
        slip = await browser.get(f"{appointment}/slip")
        assert show_number(number) in slip.text
        assert code[1] in slip.text
        svg = await browser.get(f"{appointment}/qr.svg")
        assert svg.headers["content-type"].startswith("image/svg+xml")
        ics = await browser.get(f"{appointment}/calendar.ics")
        assert "method=PUBLISH" in ics.headers["content-type"]
        assert "SEQUENCE:0" in ics.text
        change = await browser.get(f"{appointment}/change")
        other = re.findall(r'name="slot" value="([0-9a-f-]{36})"', change.text)[3]
        asked = await browser.get(
            f"{appointment}/change", params=fields_of(change.text, f"{appointment}/change") | {"slot": other}
        )
        form = fields_of(asked.text, f"{appointment}/change")
        changed = await go(browser, await browser.post(f"{appointment}/change", data=form))
        assert "日時を変えました" in changed.text
        assert "SEQUENCE:1" in (await browser.get(f"{appointment}/calendar.ics")).text
        sure = await browser.get(f"{appointment}/cancel")
        cancelled = await go(
            browser, await browser.post(f"{appointment}/cancel", data=fields_of(sure.text, f"{appointment}/cancel"))
        )
        assert "取り消しました" in cancelled.text
        assert "/notices/arrive" in cancelled.text
        ics = await browser.get(f"{appointment}/calendar.ics")
        assert "METHOD:CANCEL" in ics.text
        late = await browser.get(f"{appointment}/cancel")
        assert late.status_code == 409
    async with town.browser(None) as stranger:
        denied = await stranger.get(appointment)
        assert denied.status_code == 303
        assert denied.headers["location"].startswith("/booking/find")
        wrong = await go(stranger, await stranger.post("/booking/find", data={"number": number, "code": "000000"}))
        assert wrong.url.query == f"refused=wrong&number={number}".encode()
        assert "予約番号か確認コードがちがいます" in wrong.text
        assert f'value="{show_number(number)}"' in wrong.text
        opened = await stranger.post("/booking/find", data={"number": f" {number.lower()} ", "code": code[1]})
        page = await go(stranger, opened)
        assert "取り消しました" in page.text
        assert code[1] not in page.text
        assert "ハナコ" not in page.text
        # Relays have its link, too: how notices come is for whoever booked it.
        assert "/notices/arrive" not in page.text


async def test_a_pass_is_for_one_browser_once_and_not_for_ever(town: BookingTown) -> None:
    sealed = town.seal(town.make_pass("guest"))
    async with town.browser() as browser, town.browser("thief") as thief, town.browser(host=OTHER_HOST) as elsewhere:
        first = await browser.post("/booking/arrive", data={"pass": sealed})
        again = await browser.post("/booking/arrive", data={"pass": sealed})
        assert first.headers["location"] == again.headers["location"]
        stolen = await thief.post("/booking/arrive", data={"pass": sealed})
        assert stolen.status_code == 409
        assert "ほかの端末で使われました" in stolen.text
        assert (await thief.get(first.headers["location"])).status_code == 404
        foreign = await elsewhere.post("/booking/arrive", data={"pass": sealed})
        assert foreign.status_code in (303, 307)
    town.now += timedelta(minutes=16)
    async with town.browser() as browser:
        expired = await browser.post("/booking/arrive", data={"pass": sealed})
        assert expired.status_code == 303
        assert re.fullmatch(r"/cases/[0-9a-f-]{36}/pass\?late=1", expired.headers["location"])


async def test_a_taken_time_offers_the_nearest_others(town: BookingTown) -> None:
    slot = (await town.slots("3"))[0]
    winner, loser = await town.visit("winner", procedure=FAMILY), await town.visit("loser", procedure=FAMILY)
    await town.hold(winner, "winner", slot.slot_id)
    async with town.browser("loser") as browser:
        lost = {"slot": str(slot.slot_id), "idempotency_key": "k", "day": "2026-06-01"}
        page = await go(browser, await browser.post(f"/booking/visits/{loser}/hold", data=lost))
        assert f"refused=slot_taken&wanted={slot.slot_id}&day=2026-06-01" in str(page.url)
        assert "ほかの方の予約が入りました" in page.text
        assert "近い時間で空いている" in page.text
        near = page.text.split("近い時間で空いている", 1)[1].split("</ol>", 1)[0]
        shown = re.findall(r">(6月[^<]+)</a>", near)
        assert len(shown) == 6
        assert shown[:2] == ["6月1日（月）午前10時45分", "6月1日（月）午前11時30分"]
        problem = await browser.post("/booking/api/holds", json={"slot_id": str(slot.slot_id), "visit_id": str(loser)})
        assert problem.status_code == 409
        alternatives = problem.json()["alternatives"]
        assert len(alternatives) == 6
        assert set(alternatives[0]) == {"slot_id", "starts_at", "counter", "where"}
        assert {item["where"] for item in alternatives} == {"same_counter"}
        starts = (await town.slots("3"))[1].starts_at
        assert alternatives[0]["starts_at"].startswith(starts.strftime("%Y-%m-%dT%H:%M"))


async def test_the_json_side_holds_books_and_shows(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    async with town.browser() as browser, town.browser(None) as stranger:
        slots = (await stranger.get("/booking/api/slots", params={"procedure": CHILD, "days": 5})).json()
        order = {"slot_id": slots[0]["slot_id"], "visit_id": str(visit_id)}
        held = await browser.post("/booking/api/holds", json=order, headers={"idempotency-key": "a"})
        assert held.status_code == 201
        assert (
            await browser.post("/booking/api/holds", json=order, headers={"idempotency-key": "a"})
        ).json() == held.json()
        booked = await browser.post("/booking/api/appointments", json={"visit_id": str(visit_id)})
        assert booked.status_code == 201
        number = booked.json()["number"]
        assert (await browser.get(f"/booking/api/appointments/{number}")).json()["state"] == "booked"
        assert (await stranger.get(f"/booking/api/appointments/{number}")).status_code == 404
        assert (await browser.post("/booking/api/holds", json=order)).status_code == 409


async def test_garbage_is_answered_with_a_page_never_with_an_error_of_ours(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    booked = await town.booked("guest")
    own = f"/booking/appointments/{booked.number}"
    visit = f"/booking/visits/{visit_id}"
    async with town.browser() as browser, town.staff() as staff:
        for garbage in GARBAGE:
            answers = [
                await browser.post("/booking/arrive", data={"pass": garbage}),
                await browser.get(visit, params={"day": garbage, "lapsed": garbage}),
                await browser.post(f"{visit}/hold", data={"slot": garbage, "idempotency_key": garbage, "day": garbage}),
                await browser.post(f"{visit}/hold", data={"slot": str(visit_id), "idempotency_key": garbage}),
                await browser.post(f"{visit}/book", data={"idempotency_key": garbage}),
                await browser.get("/booking/find", params={"number": garbage}),
                await browser.post("/booking/find", data={"number": garbage, "code": garbage}),
                await browser.post("/booking/find", data={"number": booked.number, "code": garbage}),
                await browser.get(own, params={"changed": garbage}),
                await browser.get(f"{own}/change", params={"day": garbage, "slot": garbage}),
                await browser.post(f"{own}/change", data={"slot": garbage, "version": garbage, "day": garbage}),
                await browser.post(f"{own}/cancel", data={"version": garbage, "idempotency_key": garbage}),
                await browser.post(f"{own}/cancel", data={"version": "7", "idempotency_key": garbage}),
                await browser.get("/booking/api/slots", params={"procedure": garbage}),
                await browser.get("/booking/api/slots", params={"procedure": CHILD, "from": garbage, "days": garbage}),
                await browser.post("/booking/api/holds", json={"slot_id": garbage, "visit_id": garbage}),
                await browser.post("/booking/api/holds", content=garbage.encode()),
                await staff.post("/counter/check-in", data={"number": garbage}),
                await staff.post("/counter/walk-ins", data={"procedure": garbage, "idempotency_key": garbage}),
                await staff.post("/counter/walk-ins", data={"procedure": garbage, "idempotency_key": "k"}),
                await staff.post(f"/counter/{booked.appointment_id}/call", data={"version": garbage}),
                await staff.get("/counter", params={"told": garbage}),
            ]
            for answer in answers:
                assert answer.status_code < 500, (answer.request.method, answer.request.url.path, garbage)
                assert "<script>alert" not in answer.text
    rows = await town.rows("SELECT state, version FROM booking.appointment WHERE kind = 'booked'")
    assert [tuple(row) for row in rows] == [("booked", 1)]  # type: ignore[arg-type]


async def test_ids_of_others_and_of_other_towns_are_not_found(town: BookingTown) -> None:
    await town.booked("guest")
    visit_id = await town.visit("guest")
    async with town.browser("other") as other, town.browser(host=OTHER_HOST, town=OTHER_TOWN) as elsewhere:
        for browser in (other, elsewhere):
            assert (await browser.get(f"/booking/visits/{visit_id}")).status_code == 404
            assert (await browser.get(f"/booking/visits/{uuid4()}/confirm")).status_code == 404
            assert (await browser.post(f"/booking/visits/{visit_id}/book", data={})).status_code == 404
            assert (await browser.post(f"/booking/visits/{visit_id}/release", data={})).status_code == 404


async def test_an_unknown_host_is_no_town_and_another_site_is_refused(town: BookingTown) -> None:
    async with town.browser(host="elsewhere.example") as lost:
        assert (await lost.get("/booking/find")).status_code == 404
    async with town.browser() as browser:
        crossed = await browser.post("/booking/find", data={}, headers={"sec-fetch-site": "cross-site"})
        assert crossed.status_code == 403


async def test_a_link_is_exchanged_for_a_cookie_and_a_wrong_one_explained(town: BookingTown) -> None:
    async with town.browser(None) as browser:
        wrong = await browser.get("/booking/a/nonsense")
        assert wrong.status_code == 404
        assert "このリンクでは開けません" in wrong.text
        assert '<a class="button button--primary" href="/booking/find"' in wrong.text
        assert (await browser.get("/booking")).headers["location"] == "/booking/find"


async def test_an_access_cookie_opens_its_own_appointment_only(town: BookingTown) -> None:
    first, second = await town.booked("a"), await town.booked("b")
    value = town.keys.grant_access("143421", first.appointment_id, now=town.now)
    async with town.browser(None) as browser:
        browser.cookies.set(f"choudo_appointment_{first.number}", value, domain=HOST)
        browser.cookies.set(f"choudo_appointment_{second.number}", value, domain=HOST)
        assert (await browser.get(f"/booking/appointments/{first.number}")).status_code == 200
        assert (await browser.get(f"/booking/appointments/{second.number}")).status_code == 303
        town.now += timedelta(hours=12)
        assert (await browser.get(f"/booking/appointments/{first.number}")).status_code == 303


async def test_one_tap_holds_the_earliest_time(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    earliest = (await town.slots())[0]
    async with town.browser() as browser:
        page = (await browser.get(f"/booking/visits/{visit_id}")).text
        form = fields_of(page, f"/booking/visits/{visit_id}/hold")
        slot = re.search(r'name="slot" value="([^"]+)"', page)
        assert slot is not None
        assert slot[1] == str(earliest.slot_id)
        confirm = await go(
            browser, await browser.post(f"/booking/visits/{visit_id}/hold", data=form | {"slot": slot[1]})
        )
        assert "午前9時30分" in confirm.text
        # The sample's place names the counter's number too; a page says it once.
        assert "町役場 2階 7番窓口（子育て）" in confirm.text


async def test_one_address_cannot_lock_the_codes_of_many_strangers(town: BookingTown) -> None:
    """Seen to fail without the count in `post_find_page`: the last try is answered as a wrong code, and counted."""
    strangers = [await town.booked(f"guest-{number}", slot=number) for number in range(7)]
    async with town.browser(None) as thief:
        for stranger in strangers[:6]:
            for _ in range(5):
                await thief.post("/booking/find", data={"number": stranger.number, "code": "000000"})
        last = await go(
            thief, await thief.post("/booking/find", data={"number": strangers[6].number, "code": "000000"})
        )
        assert "回数が多すぎます" in last.text
        assert f'value="{show_number(strangers[6].number)}"' in last.text
    rows = await town.rows(
        "SELECT code_failures FROM booking.appointment WHERE number = :number", number=strangers[6].number
    )
    assert [tuple(row) for row in rows] == [(0,)]  # type: ignore[arg-type]


async def test_the_board_renews_itself_without_javascript(town: BookingTown) -> None:
    async with town.browser(None) as browser:
        board = await browser.get("/board")
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in board.text


async def test_a_counter_that_the_town_closed_meanwhile_is_told_at_the_confirmation(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    visit = f"/booking/visits/{visit_id}"
    await town.hold(visit_id, "guest", (await town.slots())[0].slot_id)
    pack = make_pack()
    only = tuple(counter for counter in pack.counters if counter.code == "3")
    await town.open(msgspec.structs.replace(pack, counters=only, opening=(Opening(("3",), (1,), *HOURS),)))
    async with town.browser() as browser:
        page = await go(browser, await browser.get(f"{visit}/confirm"))
        assert "この時間は、受け付けていません" in page.text
        assert "この時間で進む" not in page.text
        assert (await browser.get(visit)).status_code == 200


async def test_the_calendar_file_has_the_uid_of_the_mails(town: BookingTown) -> None:
    booked = await town.booked()
    async with town.browser() as browser:
        file = await browser.get(f"/booking/appointments/{booked.number}/calendar.ics")
    uid = f"{booked.appointment_id}@{HOST}"
    assert f"UID:{uid}\r\n" in file.text.replace("\r\n ", "")
    for public_url in (f"https://{HOST}:8443", f"http://{HOST}/", HOST):
        assert calendar_uid(booked.appointment_id, public_url) == uid


async def test_the_phone_shows_the_number_that_is_called_and_where_to_go(town: BookingTown) -> None:
    booked = await town.booked("guest")
    path = f"/booking/appointments/{booked.number}"
    live = f'hx-get="{path}" hx-trigger="every 15s, place"'
    async with town.browser() as browser:
        before = (await browser.get(path)).text
        assert "お呼びする番号" not in before
        assert live in before
        for version, action, words in (
            (1, "check-in", ("7-001", "お呼びしたら、7番窓口へお越しください", "受付が済んでいます")),
            (2, "call", ("7-001", "お呼びしています", "7番窓口へお越しください")),
            (3, "start", ("7-001", "窓口でご案内しています")),
        ):
            await step(town, booked.appointment_id, action, version)
            page = (await browser.get(path)).text
            for word in words:
                assert word in page, (action, word)
            assert live in page
            # Without JavaScript a link does it.
            assert re.search(r"<noscript>.*今の様子を見る.*</noscript>", page, re.DOTALL)
            assert "控えを印刷する" not in page
        await step(town, booked.appointment_id, "done", 4)
        page = (await browser.get(path)).text
    assert "この予約は終わりました" in page
    assert "ほかの手続きをさがす" in page
    for gone in ("お呼びする番号", "受付でお見せください", "控えを印刷する", "カレンダー", "every 15s"):
        assert gone not in page


async def test_nobody_is_scolded_for_not_having_been_met(town: BookingTown) -> None:
    called, late, past = (
        await town.booked("called"),
        await town.booked("late", slot=1),
        await town.booked("past", slot=2),
    )
    for version, action in enumerate(("check-in", "call", "no-show"), start=1):
        await step(town, called.appointment_id, action, version)
    town.now += timedelta(hours=3)
    await step(town, late.appointment_id, "no-show", 1)
    pages = {}
    for guest, booked in (("called", called), ("late", late), ("past", past)):
        if guest == "past":
            town.now += timedelta(days=1)
        async with town.browser(guest) as browser:
            pages[guest] = (await browser.get(f"/booking/appointments/{booked.number}")).text
    assert "お呼びしましたが、お会いできませんでした" in pages["called"]
    assert "お呼びしましたが" not in pages["late"]
    for page in pages.values():
        assert "受付へお声がけください" in page
        assert "もう一度予約する" in page
        for gone in ("予約ができています", "受付でお見せください", "控えを印刷する", "カレンダーに入れる"):
            assert gone not in page


async def test_the_code_is_still_printed_when_the_token_has_run_out(town: BookingTown) -> None:
    visit_id = await town.visit("guest")
    await town.hold(visit_id, "guest", (await town.slots("7"))[0].slot_id)
    async with town.browser() as browser:
        # This gives the cookie that opens the page by itself.
        booked = await browser.post(f"/booking/visits/{visit_id}/book", data={"idempotency_key": "k"})
        own = booked.headers["location"].partition("?")[0]
        code = re.search(r'lead">(\d{6})<', (await browser.get(own)).text)
        assert code is not None
        town.now += TOKEN_LIFETIME
        for path in (own, f"{own}/slip"):
            assert (await browser.get(path)).headers["location"].startswith("/session/renew?")
    async with town.browser() as browser:
        assert code[1] in (await browser.get(f"{own}/slip")).text


async def test_a_slip_of_what_is_over_says_so(town: BookingTown) -> None:
    booked = await town.booked("guest")
    path = f"/booking/appointments/{booked.number}"
    async with town.browser() as browser:
        assert "data:image/svg+xml" in (await browser.get(f"{path}/slip")).text
        await browser.post(f"{path}/cancel", data={"version": "1", "idempotency_key": "k"})
        slip = (await browser.get(f"{path}/slip")).text
    assert "取り消した予約です" in slip
    for gone in ("data:image/svg+xml", "slip__number", "data-print"):
        assert gone not in slip


async def test_the_board_is_numbers_and_nothing_to_press(town: BookingTown) -> None:
    async with town.staff() as staff:
        board = (await staff.get("/board")).text
    assert "お呼びしている番号はありません" in board
    for gone in ("<nav", '<a class="button', "<form", "data-text-size=", "<footer"):
        assert gone not in board


async def test_what_is_refused_is_told_by_a_page_that_going_back_can_show_again(town: BookingTown) -> None:
    booked = await town.booked("guest")
    own = f"/booking/appointments/{booked.number}"
    async with town.browser() as browser:
        change = fields_of(
            (await browser.get(f"{own}/change?slot={(await town.slots())[3].slot_id}")).text, f"{own}/change"
        )
        cancel = fields_of((await browser.get(f"{own}/cancel")).text, f"{own}/cancel")
        same = change | {"slot": str((await town.slots())[0].slot_id)}
        told = await go(browser, await browser.post(f"{own}/change", data=same))
        assert "今の予約と同じ時間です" in told.text
        await go(browser, await browser.post(f"{own}/change", data=change | {"idempotency_key": "other"}))
        for path, form in (("change", change | {"idempotency_key": "third"}), ("cancel", cancel)):
            told = await go(browser, await browser.post(f"{own}/{path}", data=form))
            assert told.url.path == own
            assert "別の画面で変わりました" in told.text
        for code in ("too_many", "no_code", "no_both", "locked", "<script>"):
            page = await browser.get("/booking/find", params={"refused": code, "until": "20260601-0915"})
            assert page.status_code == 200
            assert ("午前9時15分を過ぎてから" in page.text) == (code == "locked")
        empty = await go(browser, await browser.post("/booking/find", data={"number": "二宮花子", "code": ""}))
        assert "確認コードを入力してください" in empty.text
        assert "花子" not in empty.text
        assert "number" not in str(empty.url)


async def test_the_second_booking_of_a_procedure_is_asked_about_before_it_is_made(town: BookingTown) -> None:
    """Seen to fail without the question in `post_book_page`: the window that was open before books a second one."""
    first, other = await town.slots(), await town.visit("guest")
    subject = uuid4()
    booked = await town.booked("guest", subject_ref=subject)
    visit = f"/booking/visits/{other}"
    await town.hold(other, "guest", first[2].slot_id)
    async with town.browser() as browser:
        unasked = await browser.post(f"{visit}/book", data={"idempotency_key": "k"})
        assert unasked.headers["location"] == f"{visit}/confirm"
        page = await go(browser, unasked)
        assert "この手続きは、6月1日（月）午前9時30分に予約があります。" in page.text
        assert "もう一つ予約しますか。" in page.text
        assert f'href="/booking/appointments/{booked.number}"' in page.text
        made = await browser.post(f"{visit}/book", data=fields_of(page.text, f"{visit}/book"))
        assert made.headers["location"].startswith("/booking/appointments/")
        again = await browser.post(f"{visit}/book", data={"idempotency_key": "k"})
        assert again.headers["location"] == made.headers["location"]


async def test_another_procedure_at_the_same_time_is_asked_about_too(town: BookingTown) -> None:
    await town.booked("guest", slot=1)
    other = await town.visit("guest", procedure=FAMILY)
    slots = await town.slots("3")
    async with town.browser() as browser:
        await town.hold(other, "guest", slots[0].slot_id)
        page = await browser.get(f"/booking/visits/{other}/confirm")
        assert "同じ時間に、児童手当の申請の予約があります（6月1日（月）午前10時）。" in page.text
        await town.hold(other, "guest", slots[-1].slot_id)
        page = await browser.get(f"/booking/visits/{other}/confirm")
        assert "もう予約があります" not in page.text


async def test_whoever_books_for_many_is_asked_only_about_the_same_person(town: BookingTown) -> None:
    await town.booked("staff")
    other = await town.visit("staff")
    await town.hold(other, "staff", (await town.slots())[1].slot_id)
    async with town.staff() as browser:
        page = await browser.get(f"/booking/visits/{other}/confirm")
        assert "この内容で予約しますか" in page.text
        assert "もう予約があります" not in page.text


async def test_a_newer_pass_of_a_case_ends_the_visit_before_with_what_was_approved_then(town: BookingTown) -> None:
    """Seen to fail without `_end_older`: the visit before books with the name that was declined since."""
    case_id, subject = uuid4(), uuid4()
    before = await town.visit("guest", case_id=case_id, subject_ref=subject)
    await town.hold(before, "guest", (await town.slots())[0].slot_id)
    after = await town.visit("guest", case_id=case_id, subject_ref=subject, items=())
    assert (await town.slots())[0].free == 2
    rows = await town.rows("SELECT draft_sealed FROM booking.visit WHERE visit_id = :id", id=before)
    assert [tuple(row) for row in rows] == [(None,)]  # type: ignore[arg-type]
    async with town.browser() as browser:
        for path, form in (("hold", {"slot": str((await town.slots())[0].slot_id)}), ("book", {})):
            ended = await browser.post(f"/booking/visits/{before}/{path}", data=form)
            assert ended.headers["location"] == f"/booking/visits/{before}"
        page = await go(browser, await browser.get(f"/booking/visits/{before}"))
        assert page.url.path == f"/booking/visits/{after}"
    assert await town.rows("SELECT 1 FROM booking.appointment") == []


async def test_what_to_bring_stands_on_page_slip_and_in_the_calendar(town: BookingTown) -> None:
    booked = await town.booked("guest")
    own = f"/booking/appointments/{booked.number}"
    async with town.browser() as browser:
        for path in ("", "/slip"):
            page = (await browser.get(f"{own}{path}")).text
            for words in ("持ちもの", "預金通帳", "1,500円", "二宮961", "30分", "5分前までに窓口に"):
                assert words in page, (path, words)
        assert "メールをお送りします" in (await browser.get(own)).text
        file = (await browser.get(f"{own}/calendar.ics")).text.replace("\r\n ", "")
        assert "預金通帳" in file
        assert "LOCATION:二宮961 町役場 2階 7番窓口（子育て）" in file


async def test_the_calendar_file_of_a_discreet_visit_tells_nobody_what_it_is(town: BookingTown) -> None:
    booked = await town.booked("guest", procedure=FAMILY)
    async with town.browser() as browser:
        file = (await browser.get(f"/booking/appointments/{booked.number}/calendar.ics")).text.replace("\r\n ", "")
    for word in ("届出", "転入届", "転出証明書"):
        assert word not in file
    assert "LOCATION:二宮961 町役場 1階 3番窓口\r\n" in file
    # As long as every page says, not as long as the slot (45 minutes).
    event = file.split("BEGIN:VEVENT", 1)[1]
    assert "T100000" in event.split("DTSTART", 1)[1].split("\r\n", 1)[0]
    assert "T104000" in event.split("DTEND", 1)[1].split("\r\n", 1)[0]


async def test_after_cancelling_neither_code_nor_slip_is_left(town: BookingTown) -> None:
    booked = await town.booked("guest")
    own = f"/booking/appointments/{booked.number}"
    async with town.browser() as browser:
        sure = await browser.get(f"{own}/cancel")
        page = await go(browser, await browser.post(f"{own}/cancel", data=fields_of(sure.text, f"{own}/cancel")))
        assert "確認コード" not in page.text
        assert "持ちもの" not in page.text
        slip = (await browser.get(f"{own}/slip")).text
    assert "取り消した予約です" in slip
    for gone in ("確認コード", "持ちもの", "data:image/svg+xml"):
        assert gone not in slip


async def test_today_after_its_last_time_is_over_and_a_sunday_is_closed(town: BookingTown) -> None:
    town.now += timedelta(hours=8)
    visit_id = await town.visit("guest")
    async with town.browser() as browser:
        page = (await browser.get(f"/booking/visits/{visit_id}")).text
        assert re.search(r'day--over">.*?1</span>.*?受付終了', page, re.DOTALL)
        assert "終 受付終了" in page
        assert "この日の受付は終わりました" in (await browser.get(f"/booking/visits/{visit_id}?day=2026-06-01")).text
    town.now = town.now.replace(day=7)
    visit_id = await town.visit("guest")
    async with town.browser() as browser:
        assert "受付終了" not in (await browser.get(f"/booking/visits/{visit_id}")).text


async def test_the_confirmation_says_that_it_is_none_yet_and_leads_back(town: BookingTown) -> None:
    case_id = uuid4()
    visit_id = await town.visit("guest", case_id=case_id)
    await town.hold(visit_id, "guest", (await town.slots())[0].slot_id)
    async with town.browser() as browser:
        page = (await browser.get(f"/booking/visits/{visit_id}")).text
        assert f'href="/cases/{case_id}/handover"' in page
        page = (await browser.get(f"/booking/visits/{visit_id}/confirm")).text
        assert "この内容で予約しますか" in page
        assert "まだ予約は終わっていません。" in page
        assert f'class="back-link" href="/booking/visits/{visit_id}?day=2026-06-01"' in page
