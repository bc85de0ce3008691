"""The one field at the counter, a ticket that was given by mistake, and what was last done there."""

import pytest

from services.booking.commands.line import MoveAlong, move_along
from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.finding import is_meant, plain
from services.booking.pages.found import is_of_a_case, may_be_searched
from shared.errors import Refusal
from shared.reference_number import CASE_LENGTH, make_number
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown
from tests.booking.test_counter import STAFF, follow, order_of, step, swap

CASE_NUMBER = make_number(lambda signs: signs[3], length=CASE_LENGTH)


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("はなこ", "ヨシザキ ハナコ"),
        ("ﾖｼｻﾞｷ", "ヨシザキ ハナコ"),
        ("よしざき　はなこさま", "ヨシザキ ハナコ"),
        ("こーの", "コウノ コーノ"),
        ("コーノ", "コ-ノ"),
        ("７－０１２", "7-012"),
        ("7012", "7-012"),
        ("012", "7-012"),
        ("k4m 7", "K4M7RXA"),
    ],
)
def test_any_width_and_kana_finds(typed: str, known: str) -> None:
    assert is_meant(typed, [None, known])


@pytest.mark.parametrize("typed", ["", " ", "ー", "さま", "ハナヨ", "7-013"])
def test_nothing_finds_nobody(typed: str) -> None:
    assert not is_meant(typed, ["ヨシザキ ハナコ", "7-012", None])


def test_a_way_to_write_it_is_written_once() -> None:
    assert plain("ﾊﾅｺ") == plain("はなこ") == plain("ハ ナ・コ") == "ハナコ"


@pytest.mark.parametrize(
    ("typed", "is_searched"),
    [
        ("7-012", True),
        ("７", True),
        ("はなこ", True),
        ("K4M-7RXA", False),
        ("222222A", False),
        ("K4M-7RXAA", False),
        ("H11-012", True),
        ("", False),
        ("--", False),
        ("X", False),
        ("???", False),
    ],
)
def test_a_number_is_no_search_and_a_mistyped_one_neither(typed: str, is_searched: bool) -> None:
    assert may_be_searched(typed) is is_searched


def test_a_case_and_a_blank_sheet_are_routings() -> None:
    assert is_of_a_case(CASE_NUMBER)
    assert is_of_a_case("https://town.example.jp/p/RES02")
    assert not is_of_a_case("https://town.example.jp/other/RES02")
    assert not is_of_a_case("K4M-7RXA")


async def test_a_name_is_found_in_the_line_and_stands_in_no_address(town: BookingTown) -> None:
    booked = await town.booked()
    await town.booked("b", procedure=FAMILY)
    async with town.staff() as staff, town.staff("all", None) as everywhere:
        answer = await staff.post("/counter/check-in", data={"number": "よしざき"})
        assert answer.status_code == 200
        assert "1人見つかりました" in answer.text
        assert f'href="/counter#line-{booked.appointment_id}"' in answer.text
        assert "ヨシザキ ハナコさま（7番・予約）" in answer.text
        # The tablet of one counter finds who is at another one of its office.
        found = await swap(everywhere, "/counter/check-in", number="はなこ", counter="7")
        assert "2人見つかりました" in found.text
        assert 'href="/counter?counter=3#line-' in found.text
        assert "<html" not in found.text
        missed = await swap(staff, "/counter/check-in", number="だれか")
        assert missed.status_code == 404
        assert "今日の列に見つかりません" in missed.text
        again = await staff.post("/counter/check-in", data={"number": "だれか"})
        assert (again.status_code, 'value="だれか"' in again.text) == (404, True)


async def test_a_cases_number_is_sent_on_to_its_desk_as_it_came(town: BookingTown) -> None:
    async with town.staff() as staff:
        answer = await staff.post("/counter/check-in", data={"number": CASE_NUMBER})
    assert (answer.status_code, answer.headers["location"]) == (307, "/office/find")


async def test_a_ticket_given_by_mistake_is_taken_out_and_comes_back(town: BookingTown) -> None:
    async with town.db.begin(TOWN) as session:
        given = await take_walk_in(session, STAFF, TakeWalkIn(procedure=CHILD, key="k"), now=town.now)
    path = f"/counter/{given.appointment_id}"
    async with town.staff() as staff:
        said = await follow(staff, f"{path}/withdraw", version="1")
        assert "7-001の番号札を取り消しました" in said
        assert f'action="{path}/undo"' in said.split('id="counter-told"')[1].split("staff-layout")[0]
        assert order_of(said) == []
        assert "7-001にもどしました" not in said
        back = await follow(staff, f"{path}/undo", version="2")
        assert "7-001を「受付」にもどしました" in back
        assert order_of(back) == ["7-001"]
    [row] = await town.rows("SELECT state, version FROM booking.appointment")
    assert tuple(row) == ("checked_in", 3)  # type: ignore[arg-type]


async def test_what_was_booked_is_not_taken_out_like_that(town: BookingTown) -> None:
    booked = await town.booked()
    async with town.staff() as staff:
        await staff.post("/counter/check-in", data={"number": booked.number})
        assert "番号札を取り消す" not in (await staff.get("/counter/line")).text
    with pytest.raises(Refusal, match="step_impossible"):
        await step(town, booked.appointment_id, "withdraw", 2)


async def test_the_last_steps_are_listed_with_whom_and_taken_back_one_by_one(town: BookingTown) -> None:
    """Seen to fail without `is_undone` and `undo_version` in `_RECENT`: steps that cannot be taken back are offered."""
    booked = await town.booked()
    path = f"/counter/{booked.appointment_id}"

    def steps(page: str) -> list[str]:
        listed = page.split('id="line-recent"')[1].split("</details>")[0] if 'id="line-recent"' in page else ""
        return [part.split("<")[0].strip() for part in listed.split("</strong>")[1:]]

    async with town.staff() as staff, town.staff("other", "戸籍") as other:
        await staff.post("/counter/check-in", data={"number": booked.number})
        await staff.post(f"{path}/call", data={"version": "2"})
        line = (await staff.get("/counter/line")).text
        assert steps(line) == ["呼び出しました"]
        assert f'action="{path}/undo"' in line.split('id="line-recent"')[1]
        assert steps((await other.get("/counter/line")).text) == []
        await staff.post(f"{path}/undo", data={"version": "3"})
        assert steps((await staff.get("/counter/line")).text) == ["受け付けました"]
        await staff.post(f"{path}/undo", data={"version": "4"})
        assert steps((await staff.get("/counter/line")).text) == []


async def test_the_next_button_knows_its_counter(town: BookingTown) -> None:
    async with town.staff() as staff, town.staff("all", None) as everywhere:
        assert "お待ちの方はいません" in (await staff.get("/counter")).text
        await staff.post("/counter/walk-ins", data={"procedure": CHILD, "idempotency_key": "k"})
        own = (await staff.get("/counter")).text.split('id="line-next"')[1].split("</form>")[0]
        assert 'name="counter" value="7"' in own
        assert "button--primary next__button" in own
        chosen = (await everywhere.get("/counter")).text.split('id="line-next"')[1].split("</form>")[0]
        assert 'value="3"' in chosen
        [row] = await town.rows("SELECT appointment_id FROM booking.appointment")
        await step(town, row.appointment_id, "park", 1)  # type: ignore[attr-defined]
        # Whoever is set aside is not called next.
        assert "お待ちの方はいません" in (await staff.get("/counter")).text
        await step(town, row.appointment_id, "resume", 2)  # type: ignore[attr-defined]
        await staff.post("/counter/walk-ins", data={"procedure": CHILD, "idempotency_key": "l"})
        await step(town, row.appointment_id, "call", 3)  # type: ignore[attr-defined]
        # Somebody is called: what is to be done with them is larger.
        assert "next__button--later" in (await staff.get("/counter")).text


async def test_an_undo_is_for_the_office_where_they_are(town: BookingTown) -> None:
    other = await town.booked("b", procedure=FAMILY)
    order = MoveAlong(appointment_id=other.appointment_id, action="undo", version=1)
    async with town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="other_office"):
            await move_along(session, STAFF, order, now=town.now)
