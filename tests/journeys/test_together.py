"""A helper beside somebody: nothing before the yes, steps and never values after it, and an end to it at any time."""

import re
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.journeys.beside import agree, agreements, book_helper, sit_down, steps_of
from tests.journeys.one_process import case_id_of
from tests.journeys.switching import OK, PROCEDURE, Place
from tests.routing.applying import CHI02_FORM
from tests.routing.makers import NAME

FORBIDDEN, NOT_FOUND, UNFIT = 403, 404, 422


async def test_agreed_followed_and_switched_to_the_counter(place: Place) -> None:
    case = await book_helper(place.house, place.resident, PROCEDURE)
    beside = await sit_down(place, case)
    page = await place.helper.get(beside.meeting)
    assert page.status_code == OK, page.text
    assert "スマートフォンは、いつもご本人の手にあります" in page.text
    assert "同意がありました" not in page.text
    assert "ご本人の「はい」を待っています" in (await place.helper.get(beside.steps)).text

    await agree(place.resident, place.house)
    assert "サポーターといっしょに進めています" in place.resident.text
    assert "同意がありました" in (await place.helper.get(beside.meeting)).text
    [entry] = await agreements(place)
    [meeting] = await place.house.town.rows("SELECT * FROM routing.meeting")
    assert (entry["actor_kind"], entry["actor_ref"]) == ("helper", meeting["helper_ref"])
    assert (entry["outcome"], entry["items"], entry["explicit_request"]) == ("agreed", [], True)
    [told] = await place.house.town.rows("SELECT payload FROM routing.outbox WHERE type = 'routing.meeting_agreed.v1'")
    assert msgspec.json.decode(bytes(told["payload"]))["helper_ref"] == meeting["helper_ref"]

    # On the person's own phone, in their own hands; what is saved of the form is followed.
    await place.resident.get("/together")
    await place.resident.press("/channel", channel="online")
    steps = steps_of((await place.helper.get(beside.steps)).text)
    assert "いまここ" in steps.values()
    assert steps["確かめて送る"] == "これから"
    before = steps
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    page = await place.helper.get(beside.steps, **{"hx-request": "true"})
    assert "<html" not in page.text
    after = steps_of(page.text)
    assert list(after) == list(before)
    assert [after[step] for step in after].count("できました") > [before[step] for step in before].count("できました")
    assert NAME not in page.text

    # It does not work out: one touch.
    await place.helper.get(beside.meeting)
    await place.helper.press("/switch", channel="counter")
    await place.house.town.deliver()
    assert (await place.case_now(case))[0] == "counter"
    page = await place.helper.get(beside.meeting)
    assert "窓口で続けることになりました" in page.text
    assert "いちばん早い時間" in page.text
    await place.resident.get("/together")
    assert "はい、この時間にする" in place.resident.text
    given = await place.given(case)
    assert NAME in given.values()
    # Another time: what was said before is handed over as it stands, and the next one is taken.
    await place.resident.get(case)
    await place.resident.book(case)
    await place.house.town.deliver()
    assert (await place.booked(case))["counter"] == "booked"
    await place.house.every_chain_holds()
    assert await deeds(place) == ["helper-switch:counter"]
    await place.resident.get("/my/history")
    assert "サポーターに見えるのは、どこまで進んだかだけです" in place.resident.text


async def test_pressed_twice_it_is_one_yes_and_ended_it_is_over(place: Place) -> None:
    """Seen to fail with a second yes always taken."""
    case = await book_helper(place.house, place.resident, PROCEDURE)
    beside = await sit_down(place, case)
    await place.resident.get("/together")
    form = place.resident.form("/together/agree")
    for _ in range(2):
        await place.resident.post(form.action, form.fields)
    await place.house.town.deliver()
    assert len(await agreements(place)) == 1
    await place.resident.send("/together/end")
    await place.house.town.deliver()
    assert "おわりにしました" in place.resident.text
    assert "ご本人の「はい」を待っています" in (await place.helper.get(beside.steps)).text
    assert "同意がありました" not in (await place.helper.get(beside.meeting)).text
    # Said again, it is another yes.
    await agree(place.resident, place.house)
    assert len(await agreements(place)) == 2
    assert "同意がありました" in (await place.helper.get(beside.meeting)).text


async def test_a_no_costs_nothing_and_writes_nothing(place: Place) -> None:
    case = await book_helper(place.house, place.resident, PROCEDURE)
    beside = await sit_down(place, case)
    await place.resident.get("/together?told=refused")
    assert "手続きは、いつもどおりに続けられます" in place.resident.text
    await place.house.town.deliver()
    assert await agreements(place) == []
    assert "ご本人の「はい」を待っています" in (await place.helper.get(beside.steps)).text
    await place.resident.press("/channel", channel="online")
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **CHI02_FORM)
    assert place.resident.path == f"{case}/you" or place.resident.path == f"{case}/check"


async def test_a_yes_is_for_this_helper_at_this_time(place: Place) -> None:
    """Seen to fail without the question which helper asks, and without that of the time."""
    case = await book_helper(place.house, place.resident, PROCEDURE)
    other = await place.house.add_helper("suzuki", place.house.pack.venues[0].code)
    beside = await sit_down(place, case)
    begun = place.house.town.now
    await agree(place.resident, place.house)
    assert (await place.helper.get(beside.steps)).status_code == OK
    for browser in (other, place.resident, place.desk):
        for path in (beside.steps, beside.meeting):
            answer = await browser.get(path)
            # A guest is asked to sign in.
            assert answer.status_code in (FORBIDDEN, NOT_FOUND) or browser.path == "/sign-in", (path, answer.text)
    # Neither helpers nor staff say yes for anybody.
    for browser in (other, place.helper, place.desk, place.house.browser()):
        await browser.get("/together")
        assert "/together/agree" not in browser.text
        appointment = await place.scalar("SELECT appointment_id FROM routing.meeting")
        answer = await browser.post("/together/agree", {"meeting": str(appointment)})
        assert answer.status_code == NOT_FOUND
    place.house.town.now = begun + timedelta(hours=3)
    assert (await place.helper.get(beside.steps)).status_code == NOT_FOUND
    await place.resident.get("/together")
    assert "まだ手続きが開いていません" in place.resident.text


async def test_staff_who_began_it_for_somebody_say_yes_for_nobody(place: Place) -> None:
    """Seen to fail without the question who is signed in."""
    await place.desk.get("/office/behalf/DIG01")
    await place.desk.send("/DIG01", behalf="desk", channel="helper")
    await place.desk.send("/you", name=NAME, kana="", reach="none")
    await place.desk.send("/handover", all="yes")
    await place.desk.send("/booking/arrive")
    await place.desk.hold()
    await place.desk.send("/book")
    await place.house.town.deliver()
    [row] = await place.house.town.rows("SELECT case_id FROM booking.appointment")
    await sit_down(place, f"/cases/{row['case_id']}")
    await place.desk.get("/together")
    assert "/together/agree" not in place.desk.text


async def test_another_helper_starts_without_a_yes(place: Place) -> None:
    """Seen to fail without the helper in the join with the yes."""
    case = await book_helper(place.house, place.resident, PROCEDURE)
    await sit_down(place, case)
    await agree(place.resident, place.house)
    town = place.house.town
    # Somebody else comes: told as booking tells it.
    await town.rows("UPDATE routing.appointment SET helper_ref = 'another', version = version + 1 RETURNING 1")
    await place.resident.get("/together")
    assert "/together/agree" in place.resident.text
    assert (await place.helper.get(f"{case}/helper-steps")).status_code == NOT_FOUND


async def test_the_database_takes_no_helper_but_the_one_who_accepted(place: Place) -> None:
    """With the trigger dropped, both stand."""
    case = await book_helper(place.house, place.resident, PROCEDURE)
    await sit_down(place, case)
    await agree(place.resident, place.house)

    async def write(statement: str) -> None:
        async with place.house.town.at("routing", place.house.code) as session:
            await session.execute(text(statement))

    wrong = (
        "UPDATE meeting SET helper_ref = 'another'",
        """INSERT INTO meeting
           SELECT municipality, gen_random_uuid(), case_id, helper_ref, agreed_at, until, 1 FROM meeting""",
    )
    for statement in wrong:
        with pytest.raises(IntegrityError, match="no helper of this case"):
            await write(statement)
    await place.house.town.admin.execute("DROP TRIGGER guard_meeting ON routing.meeting")
    for statement in wrong:
        await write(statement)


async def test_with_number_and_code_on_the_venues_tablet(place: Place) -> None:
    """What is lent around opens the one case, and leads back to the helper's screen."""
    case = await book_helper(place.house, place.resident, PROCEDURE)
    beside = await sit_down(place, case)
    await place.resident.get(f"{case}/device")
    await place.resident.send("/device")
    number, code = (part.strip() for part in re.findall(r'class="slip__number">([^<]+)<', place.resident.text)[:2])
    tablet = place.house.browser()
    await tablet.get("/")
    await tablet.begin("RES02", "counter")
    await tablet.get("/resume?then=together")
    await tablet.send("/resume", number=number, code=code)
    assert tablet.path == "/together", tablet.text[-1500:]
    await tablet.send("/together/agree")
    await place.house.town.deliver()
    assert "同意がありました" in (await place.helper.get(beside.meeting)).text
    assert len(await agreements(place)) == 1


async def test_a_note_goes_to_the_next_helper_and_the_coordinator_and_then_goes(place: Place) -> None:
    case = await book_helper(place.house, place.resident, PROCEDURE)
    beside = await sit_down(place, case)
    boss = await place.house.staff("boss", "coordinator")
    await place.helper.get(beside.meeting)
    refused = await place.helper.send("/note", phrase="stuck_photo", words="〇九〇の一二三四の五六七八です")
    assert refused.status_code == UNFIT
    assert "電話番号のような数字" in refused.text
    assert "〇九〇の一二三四の五六七八です" in refused.text
    assert 'value="stuck_photo" checked' in refused.text
    assert await place.scalar("SELECT count(*) FROM booking.helper_note") == 0
    await place.helper.send("/note", phrase="stuck_photo bring_identity", words="字を大きくすると読めた")
    assert "メモをのこしました" in place.helper.text
    [row] = await place.house.town.rows("SELECT * FROM booking.helper_note")
    assert "字を大きく".encode() not in bytes(row["text_sealed"])
    notes = await boss.get(f"/helpers/roster/{beside.assignment_id}/notes")
    assert "写真の送りかたで止まった" in notes.text
    assert "字を大きくすると読めた" in notes.text
    # The next meeting of the same case, with another helper.
    await place.helper.post(f"{beside.meeting}/no-show", {})
    await place.house.town.deliver()
    other = await place.house.add_helper("suzuki", place.house.pack.venues[0].code)
    await place.resident.get(f"{case}/handover")
    await place.resident.book(case)
    await place.house.town.deliver()
    helper = other if "/accept" in (await other.get("/helpers")).text else place.helper
    following = await sit_down(place, case, helper)
    assert "字を大きくすると読めた" in (await helper.get(following.meeting)).text
    # Somebody who has nothing to do with it sees no notes.
    third = await place.house.add_helper("sato", place.house.pack.venues[0].code)
    assert (await third.get(following.meeting)).status_code == NOT_FOUND
    assert (await third.get(f"/helpers/roster/{following.assignment_id}/notes")).status_code == FORBIDDEN
    assert case_id_of(case) == row["case_id"]
    assert (await deeds(place))[:2] == ["helper-note", "helper-no-show"]


async def deeds(place: Place) -> list[str]:
    """What helpers did at their meetings, as the audit has it."""
    rows = await place.house.town.rows(
        "SELECT action FROM booking.audit WHERE action LIKE 'helper-%' AND action <> 'helper-accept'"
        " ORDER BY occurred_at"
    )
    return [row["action"] for row in rows]
