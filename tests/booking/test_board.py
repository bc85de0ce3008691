"""The public call display: who is called, said so that it is understood; nobody discreet; screens of their own."""

import re

import httpx
import pytest
from sqlalchemy import text

from services.booking.commands.walk_ins import TakeWalkIn, take_walk_in
from services.booking.domain.speaking import NUMBER_MAX, say_call_en, say_call_ja, say_number
from services.booking.pages.board import COUNTERS_MAX, Screen, read_screen
from services.booking.pages.streams import OPEN_MAX, OPEN_PER_NETWORK_MAX, Streams
from shared.tokens import Identity
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown
from tests.booking.test_counter import step

ANYWHERE = Identity(municipality=TOWN, kind="staff", ref="s2", session_id="s2", roles=("counter",))


async def called(town: BookingTown, key: str = "k", procedure: str = CHILD, *actions: str) -> str:
    """Somebody without an appointment who was called; their ticket's counter and number."""
    async with town.db.begin(TOWN) as session:
        order = TakeWalkIn(procedure=procedure, key=key)
        moved = await take_walk_in(session, ANYWHERE, order, now=town.now)
    async with town.staff(office=None) as staff:
        for version, action in enumerate(actions or ("call",), start=1):
            await staff.post(f"/counter/{moved.appointment_id}/{action}", data={"version": str(version)})
    return f"{moved.ticket_counter}-{moved.ticket_no:03}"


async def board(town: BookingTown, path: str = "/board/now") -> str:
    async with town.browser(None) as anybody:
        answer = await anybody.get(path)
        assert answer.status_code == httpx.codes.OK
        return answer.text


# --- what is said ---


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "ゼロ"), (1, "いち"), (4, "よん"), (7, "なな"), (10, "じゅう"), (12, "じゅうに"), (40, "よんじゅう"),
        (100, "ひゃく"), (101, "ひゃくいち"), (300, "さんびゃく"), (417, "よんひゃくじゅうなな"), (600, "ろっぴゃく"),
        (800, "はっぴゃく"), (999, "きゅうひゃくきゅうじゅうきゅう"), (3000, "さんぜん"), (8001, "はっせんいち"),
    ],
)  # fmt: skip
def test_numbers_are_said_as_they_are_heard_best(number: int, said: str) -> None:
    assert say_number(number) == said


def test_every_number_is_said_in_its_own_way() -> None:
    said = [say_number(number) for number in range(NUMBER_MAX + 1)]
    assert len(set(said)) == len(said)
    assert all(re.fullmatch("[ぁ-んーゼロ]+", each) for each in said)
    # しち is heard as いち, し as に, く as じゅう's end.
    assert not any("しち" in each for each in said)
    for wrong in (-1, NUMBER_MAX + 1):
        with pytest.raises(ValueError, match=str(wrong)):
            say_number(wrong)


def test_a_call_names_the_ticket_and_the_counter_in_both_languages() -> None:
    assert say_call_ja("7", 12, "7") == "ななの、じゅうにばんのかた、ななばん、まどぐちへ、おこしください。"
    assert say_call_en("7", 12, "7") == "Number 7, 12. Please come to counter 7."
    # Sent on to another counter the number stays; a room is called by its name.
    assert say_call_ja("7", 3, "相談室") == "ななの、さんばんのかた、相談室へ、おこしください。"
    assert say_call_en("A", 3, "相談室") == "Number A, 3. Please look at the screen."
    assert say_call_en("7", 3, "B2") == "Number 7, 3. Please come to B2."


async def test_a_call_is_spoken_once_and_called_again_once_more(town: BookingTown) -> None:
    booked = await town.booked()
    await step(town, booked.appointment_id, "check-in", 1)
    assert "data-call=" not in await board(town)
    await step(town, booked.appointment_id, "call", 2)
    first = re.findall('data-call="([^"]+)"', await board(town))
    assert first == re.findall('data-call="([^"]+)"', await board(town))
    assert first[0].startswith("7-001@")
    town.now = town.now.replace(minute=3)
    await step(town, booked.appointment_id, "call", 3)
    again = re.findall('data-call="([^"]+)"', await board(town))
    assert len(again) == 1
    assert again != first
    await step(town, booked.appointment_id, "start", 4)
    shown = await board(town)
    assert "data-call=" not in shown
    assert "7-001" in shown


# --- who is not there ---


async def test_nobody_discreet_is_shown_or_spoken(town: BookingTown) -> None:
    """おくやみ: they are fetched in person. Seen to fail where the query does not ask whether it is discreet."""
    booked = await town.booked(procedure=FAMILY)
    ticket = await called(town)
    async with town.staff(office="戸籍") as staff:
        await staff.post("/counter/check-in", data={"number": booked.number})
        for version, action in enumerate(("call", "start"), start=2):
            await staff.post(f"/counter/{booked.appointment_id}/{action}", data={"version": str(version)})
            shown = await board(town) + (await staff.get("/booking/api/line")).text
            assert ticket in shown
            for secret in (
                "3-001",
                "さんの、いちばん",
                "3番窓口",
                "転入届",
                FAMILY,
                "戸籍",
                "ハナコ",
                "花子",
                booked.number,
            ):
                assert secret not in shown


async def test_nobody_is_shown_for_whom_one_of_several_things_is_discreet(town: BookingTown) -> None:
    """Seen to fail where only the first procedure is asked for."""
    booked = await town.booked()
    for version, action in enumerate(("check-in", "call"), start=1):
        await step(town, booked.appointment_id, action, version)
    assert "7-001" in await board(town)
    services = f'[{{"procedure": "{CHILD}", "quantity": 1}}, {{"procedure": "{FAMILY}", "quantity": 1}}]'
    async with town.db.begin(TOWN) as session:
        await session.execute(
            text("UPDATE appointment SET services = CAST(:services AS jsonb), minutes = 60"), {"services": services}
        )
    assert "7-001" not in await board(town)


# --- screens of their own ---


async def test_a_screen_shows_the_counters_in_its_address(town: BookingTown) -> None:
    ticket = await called(town)
    for path in ("/board/now", "/board/now?counters=7,3", "/board/now?office=子育て"):
        assert ticket in await board(town, path)
    for path in ("/board/now?counters=3", "/board/now?office=戸籍"):
        assert ticket not in await board(town, path)
    # What it makes of nonsense is everything.
    assert ticket in await board(town, "/board/now?counters=%00%3Cb%3E&turn=x")


def test_an_address_says_what_a_screen_shows() -> None:
    screen = read_screen("子育て", "7,3,7,<b>")
    assert screen == Screen("子育て", ("7", "3"))
    assert screen.address("/board").startswith("/board?office=")
    assert screen.address("/board").endswith("counters=7,3")
    assert read_screen("x\n", "").address("/board") == "/board"


async def test_staff_choose_what_a_screen_shows(town: BookingTown) -> None:
    async with town.staff() as staff:
        shown = (await staff.get("/board/screens?counters=7&counters=3")).text
        assert "/board?counters=7,3" in shown
        assert "data:image/svg+xml" in shown
        assert "おくやみ" in shown
    async with town.browser(None) as anybody:
        assert (await anybody.get("/board/screens")).headers["location"].startswith("/sign-in")


async def test_many_counters_take_turns_and_every_call_is_spoken(town: BookingTown) -> None:
    """Without JavaScript as well: the next page is the next turn."""
    for number in range(COUNTERS_MAX + 2):
        await called(town, f"k{number}")
    async with town.db.begin(TOWN) as session:
        await session.execute(
            text("""INSERT INTO counter_rule (municipality, counter, office, kind, version)
                    SELECT municipality, '2' || ticket_no, '子育て', 'counter', 1 FROM appointment""")
        )
        await session.execute(text("UPDATE appointment SET counter = '2' || ticket_no"))
    first, second = await board(town), await board(town, "/board/now?turn=1")
    for page in (first, second):
        assert 'data-turns="2"' in page
        assert page.count("data-call=") == COUNTERS_MAX + 2
        assert page.count('data-turn="1"') == 2
    assert first.count('board__number"') == COUNTERS_MAX
    assert second.count('board__number"') == 2
    assert await board(town, "/board/now?turn=2") == first
    whole = await board(town, "/board")
    assert '<noscript><meta http-equiv="refresh" content="10;url=/board?turn=1"></noscript>' in whole


# --- hearing of changes ---


def test_only_so_many_streams_are_open() -> None:
    """Seen to fail without the count per address."""
    streams = Streams()
    with streams.counted("a"):
        assert not streams.is_full("a")
        streams._open["a"] = OPEN_PER_NETWORK_MAX
        assert streams.is_full("a")
        assert not streams.is_full("b")
        streams._open["b"] = OPEN_MAX - OPEN_PER_NETWORK_MAX
        assert streams.is_full("c")
        streams._open["a"] = 1
    assert not streams.is_full("a")


async def test_who_comes_when_too_many_listen_is_refused(town: BookingTown, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board asks now and then all the same. Seen to fail where the stream does not ask."""
    monkeypatch.setattr("services.booking.pages.streams.OPEN_MAX", 0)
    async with town.browser(None) as anybody:
        answer = await anybody.get("/board/events", headers={"accept": "application/json"})
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert answer.json()["code"] == "too_many_streams"
