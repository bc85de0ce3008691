"""Letters on paper: when one is in time, what of it can be printed, and what stands where."""

import io
import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise

import jpholiday
import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.by_post import arrives_on, is_in_time_by_letter, is_working_day, may_take
from services.notifications.domain.ways import Way
from services.notifications.letters import sheet
from services.notifications.letters.drawing import draw_letters
from services.notifications.letters.face import letter_face
from services.notifications.letters.letter import CannotBePrinted, Letter, Written
from services.notifications.letters.line_breaking import NOT_FIRST, NOT_LAST, break_lines
from services.notifications.letters.setting import check, line_height, set_letter

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
TO = "〒259-0123\n神奈川県中郡二宮町二宮961\n𠮷田 髙子"
LONG_STREET = "神奈川県中郡二宮町山西字大きな小字1234番地の5678 グリーンハイツ二宮駅前ビルディング東棟 10205号室"
LINK = "https://ninomiya.example.jp/booking/find"
TEXT = f"二宮町役場からのお知らせです。\n\n予約ができました。\n\n予約番号　NNN-1042\n{LINK}\n"


def make_letter(to: str = TO, text: str = TEXT, *, language: str = "ja", title: str = "予約ができました") -> Letter:
    written = Written(
        title=title,
        text=text,
        sender="二宮町役場",
        sender_address="神奈川県中郡二宮町二宮961",
        sender_phone="0463-71-3311",
        number="NNN-1042",
        language=language,
    )
    return Letter(to=to, written=written)


# --- in time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "arrives"),
    [
        # Tuesday; one day to post it, three for the post, and none at the weekend.
        ("2026-11-24T10:00+09:00", "2026-11-30"),
        # Friday evening is Friday; Saturday and Sunday are no days of the post.
        ("2026-11-27T23:59+09:00", "2026-12-03"),
        ("2026-11-28T00:00+09:00", "2026-12-03"),
        # The year's end: the town hall is shut from 29 December to 3 January.
        ("2026-12-28T09:00+09:00", "2027-01-07"),
        ("2026-12-29T09:00+09:00", "2027-01-07"),
        ("2027-01-03T09:00+09:00", "2027-01-07"),
        ("2027-01-04T09:00+09:00", "2027-01-08"),
        # 成人の日 is 11 January.
        ("2027-01-05T09:00+09:00", "2027-01-12"),
        # 憲法記念日, みどりの日, こどもの日.
        ("2027-04-30T09:00+09:00", "2027-05-11"),
    ],
)
def test_a_letter_arrives_after_so_many_working_days(asked: str, arrives: str) -> None:
    assert arrives_on(datetime.fromisoformat(asked), jpholiday.is_holiday) == date.fromisoformat(arrives)


def test_posted_today_it_is_there_a_working_day_sooner() -> None:
    asked = datetime.fromisoformat("2026-11-24T10:00+09:00")
    assert arrives_on(asked, jpholiday.is_holiday, at_hand=True) == date(2026, 11, 27)


@pytest.mark.parametrize(("day", "is_open"), [("12-28", True), ("12-29", False), ("01-03", False), ("01-04", True)])
def test_at_the_years_end_no_town_hall_is_open(day: str, is_open: bool) -> None:
    for year in range(2020, 2040):
        each = date.fromisoformat(f"{year}-{day}")
        assert is_working_day(each, lambda _: False) == (is_open and each.weekday() < 5)


@pytest.mark.parametrize(
    ("kind", "starts", "until", "in_time"),
    [
        # It arrives on the 30th, and is read in the evening: what begins on that day has begun.
        ("confirmation", "2026-11-30T09:00+09:00", None, False),
        ("confirmation", "2026-12-01T00:00+09:00", None, True),
        # What is kept for an answer is over first.
        ("class_offered", "2026-12-20T09:00+09:00", "2026-11-27T17:00+09:00", False),
        ("class_offered", "2026-12-20T09:00+09:00", "2026-12-02T17:00+09:00", True),
        # A closing is told before the day, whatever else is kept until when.
        ("closure", "2026-11-27T09:00+09:00", "2026-12-10T17:00+09:00", False),
        # An application begins at no time.
        ("application_completed", None, None, True),
        ("town_notice", None, "2026-11-25T00:00+09:00", False),
    ],
)
def test_a_letter_is_in_time_the_day_before(kind: str, starts: str | None, until: str | None, in_time: bool) -> None:
    told = is_in_time_by_letter(
        kind,  # type: ignore[arg-type]
        starts_at=datetime.fromisoformat(starts) if starts else None,
        until=datetime.fromisoformat(until) if until else None,
        now=NOW,
        is_holiday=jpholiday.is_holiday,
    )
    assert told == in_time


def test_no_code_and_no_turn_goes_by_hand_and_nobody_is_called_for_what_may_be_missed() -> None:
    assert not may_take(Way(way_no=1, kind="call"), "town_news", letter_in_time=True)
    assert may_take(Way(way_no=1, kind="letter"), "town_news", letter_in_time=True)
    for kind in ("contact_code", "sign_in", "turn_near", "contact_dead"):
        assert not any(may_take(Way(way_no=1, kind=by), kind, letter_in_time=True) for by in ("letter", "call"))
        assert may_take(Way(way_no=1, kind="sms"), kind, letter_in_time=False)
    assert not may_take(Way(way_no=1, kind="letter"), "confirmation", letter_in_time=False)
    assert may_take(Way(way_no=1, kind="call"), "confirmation", letter_in_time=False)


# --- lines ------------------------------------------------------------------------------------------------------------

measure = partial(letter_face().width, size=sheet.TEXT_SIZE)


@given(st.text(st.sampled_from("あいう漢字、。「」（）ーっ・ab 12.\n"), max_size=200), st.integers(30, 170))
def test_lines_are_as_wide_as_they_may_be_and_lose_nothing(text: str, width: int) -> None:
    lines = break_lines(text, width, measure)
    assert all(measure(line) <= width for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


def test_no_line_begins_or_ends_with_what_may_not() -> None:
    text = "「はい」、（そうです）。ええっ・きゃー" * 30
    for width in range(40, 170, 7):
        lines = break_lines(text, width, measure)
        assert not any(line[0] in NOT_FIRST for line in lines)
        assert not any(line[-1] in NOT_LAST for line in lines[:-1])


def test_a_word_stays_whole_unless_no_line_has_room_for_it() -> None:
    assert any(LINK in line for line in break_lines(f"あいうえお{LINK}かきくけこ", 90, measure))
    assert "".join(break_lines("x" * 200, 60, measure)) == "x" * 200


# --- what can be printed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["𠮷田 髙子", "山﨑 祐", "渡邉 邊", "德永 栁", "槗本 𣘺", "葛󠄀城 花", "Nguyễn Thị Hoa", "鷗外 俱"]
)
def test_a_name_is_printed_as_it_is_or_not_at_all(name: str) -> None:
    letter = make_letter(f"〒259-0123\n二宮961\n{name}")
    if letter_face().missing(name):
        with pytest.raises(CannotBePrinted, match="letter_glyph"):
            check(letter)
    else:
        check(letter)
        with pikepdf.open(io.BytesIO(draw_letters([letter], dated=NOW))) as pdf:
            assert set(name) - {" "} <= set(read_text(pdf, 0))


@pytest.mark.parametrize("sign", ["󠄀", "丆", "\ue000", "😀", "\u202e"])
def test_a_sign_that_the_font_has_not_is_noticed_wherever_it_stands(sign: str) -> None:
    """Never a box or a blank: a variation (異体字セレクタ), an older sign, one of the user's own, a picture."""
    for letter in (
        make_letter(f"〒259-0123\n二宮{sign}961\n花子"),
        make_letter(text=f"予約{sign}です"),
        make_letter(title=f"予約{sign}"),
    ):
        with pytest.raises(CannotBePrinted):
            check(letter)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "花子",
        "〒259-0123\n二宮961",
        "259-0123\n二宮961\n花子",
        "〒259-0123\n\n花子",
        "〒259-0123\na\nb\nc",
        "〒259-0123\na\tb\nc",
    ],
)
def test_what_is_no_address_is_noticed(to: str) -> None:
    with pytest.raises(CannotBePrinted, match="letter_address"):
        check(make_letter(to))


def test_an_address_that_no_window_shows_whole_is_noticed() -> None:
    with pytest.raises(CannotBePrinted, match="letter_address"):
        check(make_letter(f"〒259-0123\n{'長' * 120}\n{'名' * 60}"))


def test_what_is_too_long_is_no_letter() -> None:
    with pytest.raises(CannotBePrinted, match="letter_length"):
        check(make_letter(text="長い文です。" * 3_000))


# --- where it stands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("street", ["二宮961", LONG_STREET])
def test_the_address_alone_is_in_the_window_wherever_the_sheet_slips_to(street: str) -> None:
    letter = make_letter(f"〒259-0123\n{street}\n二宮 花子")
    [first] = set_letter(letter, dated="2026年（令和8年）11月24日（火）")
    address = [line for line in first.lines if line.x < sheet.SEEN_RIGHT and line.y < sheet.SEEN_BOTTOM]
    assert "".join(line.text for line in address).replace(" ", "") == f"〒259-0123{street}二宮 花子様".replace(" ", "")
    for slip_x in (0.0, sheet.SLIP_X):
        for slip_y in (0.0, sheet.SLIP_Y):
            for line in address:
                left, top = line.x + slip_x, line.y + slip_y
                right = left + letter_face().width(line.text, line.size)
                bottom = top + line_height(line.size, sheet.ADDRESS_LINE_HEIGHT)
                assert left >= sheet.WINDOW_LEFT
                assert right <= sheet.WINDOW_LEFT + sheet.WINDOW_WIDTH
                assert top >= sheet.WINDOW_TOP
                assert bottom <= sheet.WINDOW_TOP + sheet.WINDOW_HEIGHT + 0.01


def test_nothing_stands_on_anything_else_or_off_the_sheet() -> None:
    for pages in (set_letter(make_letter(), dated="2026年"), set_letter(make_letter(text=TEXT * 20), dated="2026年")):
        for page in pages:
            boxes = sorted(
                (line.y, line.x, line.x + letter_face().width(line.text, line.size), line.size) for line in page.lines
            )
            assert all(x > 0 and right <= sheet.A4_WIDTH - sheet.MARGIN + 0.01 for _y, x, right, _size in boxes)
            assert all(y + size * sheet.MM_PER_POINT < sheet.A4_HEIGHT for y, _x, _right, size in boxes)
            body = [line for line in page.lines if line.size == sheet.TEXT_SIZE]
            assert all(lower.y - upper.y >= line_height(sheet.TEXT_SIZE) - 0.01 for upper, lower in pairwise(body))


def test_pages_have_numbers_where_there_are_several() -> None:
    [only] = set_letter(make_letter(), dated="")
    assert not any("/" in line.text for line in only.lines if line.size == sheet.SMALL_SIZE)
    pages = set_letter(make_letter(text=TEXT * 20), dated="")
    assert [page.lines[-1].text for page in pages] == [
        f"NNN-1042　{number} / {len(pages)}" for number in range(1, len(pages) + 1)
    ]
    assert [page.qr for page in pages] == [LINK] + [None] * (len(pages) - 1)


def test_a_code_of_the_link_only_where_the_letter_has_one() -> None:
    [with_link] = set_letter(make_letter(), dated="")
    [without] = set_letter(make_letter(text="手続きが終わりました。"), dated="")
    assert (with_link.qr, without.qr) == (LINK, None)
    assert not any("カメラ" in line.text for line in without.lines)


# --- the file ---------------------------------------------------------------------------------------------------------


def read_text(pdf: pikepdf.Pdf, number: int) -> str:
    """What a page says, by the font's own table of signs: what somebody copies, searches, or has read aloud."""
    page = pdf.pages[number]
    [font] = page.resources.Font.values()
    signs: dict[bytes, str] = {}
    table = font.ToUnicode.read_bytes().decode("latin-1")
    for code, said in re.findall(r"^<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>$", table, re.MULTILINE):
        signs[bytes.fromhex(code)] = bytes.fromhex(said).decode("utf-16-be")
    for first, last, said in re.findall(
        r"^<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>$", table, re.MULTILINE
    ):
        begin = ord(bytes.fromhex(said).decode("utf-16-be"))
        for offset, code in enumerate(range(int(first, 16), int(last, 16) + 1)):
            signs[code.to_bytes(2)] = chr(begin + offset)
    texts = []
    for step in pikepdf.parse_content_stream(page):
        if str(step.operator) in ("Tj", "TJ"):
            operands = list(step.operands)
            parts = operands[0] if isinstance(operands[0], pikepdf.Array) else operands
            texts.append(b"".join(bytes(part) for part in parts if isinstance(part, pikepdf.String)))
    return "\n".join("".join(signs[raw[at : at + 2]] for at in range(0, len(raw), 2)) for raw in texts)


def test_a_batch_is_one_pdf_in_order_with_the_font_in_it() -> None:
    letters = [make_letter(), make_letter(text=TEXT * 20), make_letter("〒259-0124\n山西1\n元町 太郎")]
    drawn = draw_letters(letters, dated=NOW)
    with pikepdf.open(io.BytesIO(drawn)) as pdf:
        texts = [read_text(pdf, number) for number in range(len(pdf.pages))]
        assert "𠮷田 髙子様" in texts[0]
        assert "2026年（令和8年）11月24日（火）" in texts[0]
        assert "元町 太郎様" in texts[-1]
        assert len(texts) > 3
        for page in pdf.pages:
            assert [round(float(side) / 72 * 25.4) for side in page.mediabox[2:]] == [210, 297]
            [font] = page.resources.Font.values()
            described = font.DescendantFonts[0].FontDescriptor
            # A subset of it: six letters before its name, and far smaller than the font.
            assert re.match(r"/[A-Z]{6}\+NotoSansJP", str(described.FontName))
            assert 0 < len(described.FontFile2.read_bytes()) < 200_000
    assert len(drawn) < 200_000


def test_the_same_letters_of_the_same_day_give_the_same_bytes() -> None:
    drawn = draw_letters([make_letter()] * 2, dated=NOW)
    assert drawn == draw_letters([make_letter()] * 2, dated=NOW)
    assert drawn != draw_letters([make_letter()] * 2, dated=NOW + timedelta(days=1))


@pytest.mark.parametrize(("language", "said"), [("en", "Phone"), ("ja-easy", "電話")])
def test_a_letter_speaks_its_readers_language(language: str, said: str) -> None:
    with pikepdf.open(io.BytesIO(draw_letters([make_letter(language=language)], dated=NOW))) as pdf:
        assert said in read_text(pdf, 0)


def test_no_letter_tells_itself_in_a_log() -> None:
    assert "二宮" not in repr(make_letter()) + repr(make_letter().written)
