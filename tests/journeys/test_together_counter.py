"""A helper beside somebody sees the page that they have open; and when it does not work out, one yes takes a time at a
counter, with everything."""

import re

from tests.journeys.beside import Beside, agree, book_helper, sit_down
from tests.journeys.one_process import case_id_of
from tests.journeys.switching import OK, PROCEDURE, WITH_PHOTOS, Place
from tests.routing.applying import CHI02_FORM
from tests.routing.makers import KANA, NAME

HERE = re.compile(r'<li aria-current="step">([^<]+?)\s*<')
NO_CONTENT = 204


async def beside_online(place: Place, procedure: str = PROCEDURE) -> tuple[str, Beside]:
    """Agreed, and begun to fill in online together."""
    case = await book_helper(place.house, place.resident, procedure)
    beside = await sit_down(place, case)
    await agree(place.resident, place.house)
    await place.resident.get("/together")
    await place.resident.press("/channel", channel="online")
    return case, beside


async def here(place: Place, beside: Beside) -> str:
    """The step that the helper's screen explains."""
    page = await place.helper.get(beside.steps)
    assert page.status_code == OK, page.text
    [title] = HERE.findall(page.text)
    assert f"いまのところ：{title}" in page.text
    return str(title)


async def test_the_helper_sees_the_page_that_the_person_has_open(place: Place) -> None:
    """Seen to fail with the first step that is not done instead (`current_step` without the page)."""
    case, beside = await beside_online(place)
    await place.resident.get(f"{case}/form")
    first = await here(place, beside)
    assert first == "申請する方"
    # The script of the page says where in the form they are: the name of an item.
    said = await place.resident.http.post(f"{case}/at", data={"item": "child"})
    assert said.status_code == NO_CONTENT
    assert await here(place, beside) != first
    page = await place.helper.get(beside.steps)
    assert "お子さん" in page.text.split("いまのところ")[1]
    # Nothing is written for what is no item of the form, and nothing for what is open already.
    before = await place.scalar("SELECT xmin::text FROM routing.case_file WHERE case_id = $1", case_id_of(case))
    for item in ("child", "dog", "お名前は二宮花子", "form:child", ""):
        await place.resident.http.post(f"{case}/at", data={"item": item})
    assert before == await place.scalar("SELECT xmin::text FROM routing.case_file WHERE case_id = $1", case_id_of(case))
    # Other people's cases are none.
    assert (await place.house.browser().http.post(f"{case}/at", data={"item": "name"})).status_code != NO_CONTENT
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    # Back to what is done already: it is explained all the same.
    await place.resident.get(f"{case}/you")
    assert await here(place, beside) == "お知らせの受けとり方"
    await place.resident.get(f"{case}/check")
    assert await here(place, beside) == "確かめて送る"
    await place.resident.http.post(f"{case}/at", data={"item": "name"})
    assert await here(place, beside) == first
    assert NAME not in place.helper.text


async def test_photos_are_a_page(place: Place) -> None:
    case, beside = await beside_online(place, WITH_PHOTOS)
    await place.resident.get(f"{case}/attachments")
    assert await here(place, beside) == "写真や書類を入れる"
    assert "4つの角" in place.helper.text


async def test_one_touch_and_one_yes_take_a_time_at_the_counter(place: Place) -> None:
    case, beside = await beside_online(place)
    await place.resident.get(f"{case}/form")
    await place.resident.http.post(f"{case}/at", data={"item": "child"})
    # What lies open leads on by itself once it was wished.
    waiting = re.search(r'hx-get="(/cases/[^"]+/beside[^"]*)"', place.resident.text)
    assert waiting is not None
    asked = await place.resident.http.get(waiting[1])
    assert (asked.status_code, asked.headers.get("hx-redirect")) == (NO_CONTENT, None)
    # One touch of the helper.
    await place.helper.get(beside.meeting)
    await place.helper.press("/switch", channel="counter")
    await place.house.town.deliver()
    asked = await place.resident.http.get(waiting[1])
    assert (asked.status_code, asked.headers.get("hx-redirect")) == (NO_CONTENT, "/together")
    page = await place.resident.get("/together")
    assert "はい、この時間にする" in page.text
    assert "ほかの時間を選ぶ" in page.text
    assert NAME in page.text, "what is handed over is shown"
    assert "together-live" not in page.text, "what is asked does not move under a finger"
    offer = place.resident.form("/together/counter").fields
    assert "いちばん早い時間" in (await place.helper.get(beside.meeting)).text
    # One yes of the person; the button after it is pressed by the page itself.
    await place.resident.send("/together/counter")
    assert "data-at-once" in place.resident.text
    sealed = place.resident.form("/booking/arrive/time")
    await place.resident.send("/booking/arrive/time")
    assert place.resident.path.startswith("/booking/appointments/"), place.resident.text[-2000:]
    first = place.resident.path
    # Brought twice, it is one appointment.
    await place.resident.post(sealed.action, sealed.fields)
    assert place.resident.path == first
    await place.house.town.deliver()
    [booked] = await place.house.town.rows(
        "SELECT * FROM booking.appointment WHERE case_id = $1 AND helper = 'none'", case_id_of(case)
    )
    assert (booked["state"], booked["counter"], booked["from_step"]) == ("booked", offer["counter"], "form:お子さん")
    assert booked["name_sealed"] is not None, "whom to call is carried over"
    assert booked["kana_sealed"] is not None
    given = await place.given(case)
    assert NAME in given.values()
    approved = await place.house.town.rows(
        "SELECT items FROM routing.ledger_entry WHERE entry_type = 'approved' AND target_service = 'booking'"
        " AND purpose LIKE '窓口%' AND outcome = 'done'"
    )
    assert [sorted(row["items"]) for row in approved] == [["kana", "name"]]
    assert KANA not in place.helper.text
    # Both see that it is settled.
    page = await place.helper.get(beside.meeting)
    assert "窓口の時間が決まりました" in page.text
    assert 'hx-select="#going-on"' not in page.text
    assert "窓口の時間が決まりました" in (await place.resident.get("/together")).text
    await place.resident.send("/together/end")
    await place.house.town.deliver()
    page = await place.helper.get(beside.meeting)
    assert "窓口の時間が決まりました" in page.text
    assert '<section class="card stack stack--tight" id="going-on"' in page.text
    assert "<dl" not in page.text.split('id="going-on"')[1].split("</section>")[0], "without a yes, not when and where"
    await place.house.every_chain_holds()


async def test_somebody_else_was_faster(place: Place) -> None:
    """Another time is not booked for them: their yes was to the one that they saw."""
    case, beside = await beside_online(place)
    await wish_counter(place, beside)
    await place.resident.get("/together")
    await place.resident.send("/together/counter")
    form = place.resident.form("/booking/arrive/time")
    await place.house.town.rows(
        "UPDATE booking.place SET audience = 'closed' WHERE slot_id IN (SELECT slot_id FROM booking.slot"
        " WHERE counter = $1 AND starts_at = $2::text::timestamptz) RETURNING 1",
        form.fields["counter"],
        form.fields["starts_at"],
    )
    await place.resident.post(form.action, form.fields)
    assert place.resident.path.startswith("/booking/visits/"), place.resident.path
    assert "この時間は、ほかの方の予約が入りました" in place.resident.text
    assert (await place.booked(case)).get("counter") is None


async def test_no_time_is_free(place: Place) -> None:
    case, beside = await beside_online(place)
    await place.house.town.rows(
        "UPDATE booking.slot SET withdrawn = true"
        " WHERE counter IN (SELECT unnest(counters) FROM booking.procedure) RETURNING 1"
    )
    await wish_counter(place, beside)
    page = await place.resident.get("/together")
    assert "今は空いている窓口の時間がありません" in page.text
    assert f"{case}/ways" in page.text
    assert "together-live" in page.text


async def test_what_was_shown_has_changed_and_is_shown_again(place: Place) -> None:
    """Nothing is handed over by a yes to something else."""
    case, beside = await beside_online(place)
    await wish_counter(place, beside)
    await place.resident.get("/together")
    form = place.resident.form("/together/counter")
    await place.resident.get(f"{case}/you")
    await place.resident.send("/you", name="二宮 次郎", kana=KANA, reach="none")
    await place.resident.post("/together/counter", form.fields)
    assert place.resident.path == "/together"
    assert "二宮 次郎" in place.resident.text
    await place.resident.send("/together/counter")
    await place.resident.send("/booking/arrive/time")
    assert place.resident.path.startswith("/booking/appointments/")
    # Of a yes to a time that is none, nothing comes.
    for starts_at in ("", "x", "2026-06-01", "2026-06-01T09:00:00"):
        answer = await place.resident.post(
            "/booking/arrive/time", {"pass": "x", "counter": "7", "starts_at": starts_at}
        )
        assert answer.status_code == 400


async def test_helpers_and_staff_say_yes_for_nobody(place: Place) -> None:
    _, beside = await beside_online(place)
    await wish_counter(place, beside)
    await place.resident.get("/together")
    fields = place.resident.form("/together/counter").fields
    for browser in (place.helper, place.desk, place.house.browser()):
        assert (await browser.post("/together/counter", fields)).status_code == 404
        assert "/together/counter" not in (await browser.get("/together")).text


async def test_on_the_venues_tablet_too(place: Place) -> None:
    """Opened there with number and code: one yes there takes the time."""
    case, beside = await beside_online(place)
    await place.resident.get(f"{case}/device")
    await place.resident.send("/device")
    number, code = (part.strip() for part in re.findall(r'class="slip__number">([^<]+)<', place.resident.text)[:2])
    tablet = place.house.browser()
    await tablet.get("/")
    await tablet.begin("RES02", "counter")
    await tablet.get("/resume?then=together")
    await tablet.send("/resume", number=number, code=code)
    await wish_counter(place, beside)
    await tablet.get("/together")
    await tablet.send("/together/counter")
    await tablet.send("/booking/arrive/time")
    assert tablet.path.startswith("/booking/appointments/"), tablet.text[-1500:]
    await place.house.town.deliver()
    assert (await place.booked(case))["counter"] == "booked"


async def wish_counter(place: Place, beside: Beside) -> None:
    """One touch of the helper."""
    await place.helper.get(beside.meeting)
    await place.helper.press("/switch", channel="counter")
    await place.house.town.deliver()
