"""A town pack that cannot be used says in which file, at which line or place, and why."""

import re
import shutil
from pathlib import Path

import pytest

from shared.town_pack import FILE_MAX_BYTES, RETENTION_DAYS, BadTownPack, read_town_pack
from shared.town_pack.problems import lines_of_toml

SAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "towns" / "ninomiya"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the sample town to spoil."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "town"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def change_line(path: Path, number: int, line: str) -> None:
    lines = path.read_text("utf-8").splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n", "utf-8")


def line_of(path: Path, text: str) -> int:
    """The line in which a text stands first."""
    return next(number for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1) if text in line)


def problem(pack: Path) -> str:
    with pytest.raises(BadTownPack) as raised:
        read_town_pack(pack)
    return str(raised.value)


def test_the_sample_town_is_sound() -> None:
    pack = read_town_pack(SAMPLE)
    assert pack.town.code == "143421"
    assert len(pack.procedures) == 35
    allowance = next(procedure for procedure in pack.procedures if procedure.name_ja.startswith("児童手当"))
    assert allowance.counters
    assert allowance.kana


def test_venues_are_open_as_counters_are_and_share_their_codes(pack: Path) -> None:
    read = read_town_pack(pack)
    codes = {venue.code for venue in read.venues}
    assert len(codes) == 3
    assert codes <= {code for rule in read.opening for code in rule.counters}
    assert {venue.slot_min for venue in read.venues} == {60}
    change(pack / "town.toml", 'code = "SHUKAIJO"', 'code = "7"')
    assert re.match(r"town.toml, line \d+, venues.code: 7 is there twice; take one out", problem(pack))


def test_a_procedure_is_done_at_counters_not_at_venues(pack: Path) -> None:
    change(pack / "procedures.csv", "general,,スマホソウダン", "general,KOMINKAN,スマホソウダン")
    assert problem(pack).startswith(
        "procedures.csv, line 36, counters: no such counter: KOMINKAN; mend the code; there are"
    )


def test_a_byte_order_mark_of_a_spreadsheet_is_no_problem(pack: Path) -> None:
    path = pack / "procedures.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_town_pack(pack).procedures) == 35


@pytest.mark.parametrize("name", ["town.toml", "procedures.csv"])
def test_a_missing_unreadable_or_huge_file_is_named(pack: Path, name: str) -> None:
    (pack / name).write_bytes(b"\n\n" + "# 二宮町".encode("shift_jis"))
    assert problem(pack) == f"{name}, line 3: not UTF-8; save the file as UTF-8"
    (pack / name).write_bytes(b"#" * (FILE_MAX_BYTES + 1))
    assert problem(pack).startswith(f"{name}: larger than")
    (pack / name).unlink()
    assert problem(pack).startswith(f"{name}: No such file")


def test_a_slip_in_toml_is_told_with_its_line(pack: Path) -> None:
    lines = (pack / "town.toml").read_text("utf-8").splitlines()
    number = next(index for index, line in enumerate(lines, start=1) if line.startswith("name_en"))
    change_line(pack / "town.toml", number, 'name_en = "Ninomiya')
    assert problem(pack).startswith(f"town.toml, line {number}: ")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('code = "143421"', 'code = "14 34 21"', "town.code: "),
        ('name_kana = "ニノミヤマチ"', "", "town.name_kana: missing; add it: a text"),
        (
            "horizon_days = 45",
            "horizon_days = 900",
            "booking.horizon_days: 900 does not fit; write a whole number from 1 to 180",
        ),
        ("horizon_days = 45", "horizont_days = 45", "booking.horizont_days: no such field; did you mean horizon_days?"),
        ("slot_min = 60", "slot_min = 1", "counters.slot_min: 1 does not fit; write a whole number from 5 to 240"),
        (
            'payment = ["cash"]',
            'payment = ["gold"]',
            "counters.payment: 'gold' does not fit; write one of cash, code, credit, ic_card, invoice",
        ),
        (
            'access = ["step_free", "writing"]',
            'access = ["lift"]',
            "counters.access: 'lift' does not fit; write one of interpreter, sign, step_free, writing",
        ),
        (
            "reminders_before_min = [1440]",
            'reminders_before_min = ["day"]',
            "notices.reminders_before_min: 'day' does not fit; write a whole number",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_place(pack: Path, old: str, new: str, place: str) -> None:
    number = (pack / "town.toml").read_text("utf-8").split(old)[0].count("\n") + 1
    change(pack / "town.toml", old, new)
    # Of what is missing, the line of the table that it belongs to.
    lines = (line_of(pack / "town.toml", "[town]"),) if "missing" in place else (number,)
    assert problem(pack).startswith(tuple(f"town.toml, line {line}, {place}" for line in lines))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('code = "1"\n', 'code = "0"\n', "counters.code: 0 is there twice"),
        (
            "places = 1",
            "places = 1\nstaff_only_places = 2",
            "counters.staff_only_places: 2 places for staff and kiosk, of 1 in all",
        ),
        (
            "places = 1",
            "places = 1\nstaff_only_places = 1\nkiosk_places = 1",
            "counters.staff_only_places: 2 places for staff and kiosk, of 1 in all",
        ),
    ],
)
def test_a_contradiction_between_counters_is_told(pack: Path, old: str, new: str, words: str) -> None:
    change(pack / "town.toml", old, new)
    assert re.search(rf"^town.toml, line (3|4|5)\d, {re.escape(words)}; ", problem(pack), re.MULTILINE)


def test_a_place_that_is_nowhere_in_japan_is_told(pack: Path) -> None:
    way = 'travel_ja = "バス停から歩いて3分。駐車場があります"'
    change(pack / "town.toml", way, f'{way}\nlatitude = "35.2991"')
    assert "venues: a place has both its degrees; add longitude, or take both out" in problem(pack)
    change(pack / "town.toml", 'latitude = "35.2991"', 'latitude = "35.2991"\nlongitude = "39.2554"')
    assert "venues.longitude: 39.2554 is nowhere in Japan; write degrees from 122 to 154" in problem(pack)
    change(pack / "town.toml", "39.2554", "139.25540")
    assert read_town_pack(pack).venues[0].longitude == "139.25540", "as the town wrote it"
    change(pack / "town.toml", '"35.2991"', "35.2991")
    assert "venues.latitude: 35.2991 does not fit" in problem(pack)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("opens_at = 17:00:00\ncloses_at = 09:00:00", "closes before it opens"),
        ("opens_at = 08:30:30\ncloses_at = 17:00:00", "08:30:30 is no whole minute"),
        ("opens_at = 09:00:00\ncloses_at = 17:00:00\nlunch_from = 12:00:00", "lunch needs both its times"),
        (
            "opens_at = 09:00:00\ncloses_at = 17:00:00\nlunch_from = 13:00:00\nlunch_to = 12:00:00",
            "lunch ends before it begins",
        ),
        (
            "opens_at = 09:00:00\ncloses_at = 17:00:00\nevery_weeks = 2",
            "nobody can tell which weeks are meant by every 2",
        ),
        ("opens_at = 09:00:00\ncloses_at = 17:00:00\nnth = [1, 3]", "weekday 1 of 1 has two rhythms"),
    ],
)
def test_an_opening_rule_that_never_opens_is_told(pack: Path, rule: str, words: str) -> None:
    path = pack / "town.toml"
    first = path.read_text("utf-8").count("\n") + 2
    with path.open("a", encoding="utf-8") as file:
        file.write(f'\n[[opening]]\ncounters = ["1"]\nweekdays = [1]\n{rule}\n')
    told = dict(re.findall(r"town.toml, line (\d+), opening[a-z_.]*: (.+); ", problem(pack)))
    assert words in told.values()
    assert all(first <= int(line) <= first + 6 for line in told)


def test_weeks_of_a_counter_are_counted_from_one_week(pack: Path) -> None:
    path = pack / "town.toml"
    with path.open("a", encoding="utf-8") as file:
        for weekday, first_week in ((6, "2026-12-05"), (7, "2026-12-12")):
            file.write(
                f'\n[[opening]]\ncounters = ["1"]\nweekdays = [{weekday}]\nopens_at = 09:00:00\ncloses_at = 12:00:00\n'
                f"every_weeks = 2\nfirst_week = {first_week}\n"
            )
    assert problem(pack).endswith("first_week: 1 counts its weeks from two weeks; write 2026-12-05 here too")


def test_a_closure_that_ends_before_it_begins_is_told(pack: Path) -> None:
    path = pack / "town.toml"
    with path.open("a", encoding="utf-8") as file:
        file.write('\n[[closures]]\nfirst_day = 2026-12-02\nlast_day = 2026-12-01\nreason_ja = "停電"\n')
    last = path.read_text("utf-8").count("\n") - 1
    assert problem(pack) == f"town.toml, line {last}, closures.last_day: ends before it begins; write a later day"


def test_a_counter_that_does_not_exist_is_told_with_who_asks_for_it(pack: Path) -> None:
    with (pack / "town.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[opening]]\ncounters = ["1", "77"]\nweekdays = [1]\nopens_at = 09:00:00\ncloses_at = 17:00:00\n')
    assert "opening.counters: no such counter or venue: 77; mend the code; there are 0, 1, 2" in problem(pack)


def test_a_procedure_at_a_counter_that_does_not_exist_is_told(pack: Path) -> None:
    change(pack / "procedures.csv", ",general,2,", ",general,2|88,")
    assert problem(pack).startswith("procedures.csv, line 2, counters: no such counter: 88; ")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (",yes,10,300,", ",yes,ten,300,", "counter_minutes"),
        (",partial,yes,yes,", ",perhaps,yes,yes,", "online"),
        (",yes,10,300,", ",yes,-10,300,", "counter_minutes"),
        (",yes,10,300,", ",yes,10,-300,", "fee_yen"),
        ("RES01,", "RES 01,", "code"),
    ],
)
def test_a_procedure_that_does_not_fit_is_told_with_its_line(pack: Path, old: str, new: str, place: str) -> None:
    change(pack / "procedures.csv", old, new)
    assert problem(pack).startswith(f"procedures.csv, line 2, {place}: ")


def test_lines_are_counted_as_an_editor_counts_them(pack: Path) -> None:
    path = pack / "procedures.csv"
    header, first, *rest = path.read_text("utf-8").splitlines()
    over_two_lines = first.replace("住民票の写し", '"住民票の\n写し"', 1)
    broken = rest[0].replace(",yes,no,40,", ",yes,no,forty,", 1)
    assert broken != rest[0]
    path.write_text("\n".join([header, over_two_lines, "", broken, *rest[1:]]) + "\n", "utf-8")
    assert problem(pack).startswith("procedures.csv, line 5, counter_minutes: ")


@pytest.mark.parametrize("line", ["RES99", "RES99" + ",x" * 40])
def test_a_line_with_too_few_or_too_many_fields_is_told(pack: Path, line: str) -> None:
    change_line(pack / "procedures.csv", 3, line)
    assert problem(pack).startswith("procedures.csv, line 3: ")


def test_a_procedure_that_comes_twice_is_told(pack: Path) -> None:
    path = pack / "procedures.csv"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n", "utf-8")
    assert problem(pack).startswith("procedures.csv, line 37, code: RES01 is there twice; ")


def test_a_pack_without_procedures_is_no_pack(pack: Path) -> None:
    path = pack / "procedures.csv"
    path.write_text(path.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    assert problem(pack).startswith("procedures.csv: no procedure in it; ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seal_to_register|", "sael_to_register|", "line 7, bring: no such thing to bring: sael_to_register; "),
        (",,death_7,", ",,death_9,", "line 14, deadline: no such deadline: death_9; "),
    ],
)
def test_a_thing_or_deadline_without_words_is_told(pack: Path, old: str, new: str, words: str) -> None:
    change(pack / "procedures.csv", old, new)
    assert problem(pack).startswith(f"procedures.csv, {words}")


def test_the_same_thing_twice_is_told(pack: Path) -> None:
    change(pack / "town.toml", 'code = "identity_photo"', 'code = "identity"')
    assert re.search(r"town.toml, line \d+, things.code: identity is there twice; ", problem(pack))


@pytest.mark.parametrize(
    ("procedure", "thing"),
    [
        ("FAM04", "death_certificate"),
        ("FAM02", "birth_certificate"),
        ("RES06", "seal_to_register"),
        ("RES02", "mynumber_card_all"),
        ("RES02", "moving_out_certificate"),
    ],
)
def test_nobody_is_sent_home_for_what_the_sample_town_did_not_name(procedure: str, thing: str) -> None:
    line = next(line for line in read_town_pack(SAMPLE).procedures if line.code == procedure)
    assert thing in line.bring


def test_how_long_is_kept_what_was_given_is_a_number_of_days_or_a_year(pack: Path) -> None:
    path = pack / "procedures.csv"
    lines = path.read_text("utf-8").splitlines()
    assert ",discreet,retention_days," in lines[0]
    assert read_town_pack(pack).procedures[0].retention_days == 90
    before, _, after = lines[1].partition(",90,")
    for given in ("0", "-1", "ninety", "1.5"):
        path.write_text("\n".join([lines[0], f"{before},{given},{after}", *lines[2:]]), "utf-8")
        assert problem(pack).startswith("procedures.csv, line 2, retention_days: ")
    path.write_text("\n".join([lines[0], f"{before},,{after}", *lines[2:]]), "utf-8")
    assert read_town_pack(pack).procedures[0].retention_days == RETENTION_DAYS


def with_own_rules(pack: Path, notice_min: str, horizon_days: str) -> None:
    """The first procedure's own rules; the others have none."""
    path = pack / "procedures.csv"
    header, first, *others = path.read_text("utf-8").splitlines()
    own = f"{first},{notice_min},{horizon_days}"
    added = [f"{header},notice_min,horizon_days", own, *(f"{line},," for line in others)]
    path.write_text("\n".join(added) + "\n", "utf-8")


@pytest.mark.parametrize(
    ("given", "read"),
    [(("", ""), (None, None)), (("4320", "30"), (4_320, 30)), (("0", ""), (0, None)), (("", "45"), (None, 45))],
)
def test_a_procedure_may_have_a_notice_and_a_horizon_of_its_own(
    pack: Path, given: tuple[str, str], read: tuple[int | None, int | None]
) -> None:
    with_own_rules(pack, *given)
    first, second, *_ = read_town_pack(pack).procedures
    assert (first.notice_min, first.horizon_days) == read
    assert (second.notice_min, second.horizon_days) == (None, None)


@pytest.mark.parametrize(
    ("notice_min", "horizon_days", "words"),
    [
        ("", "46", "more than the town's 45 days"),
        ("1440", "1", "as long as the horizon, so that nobody could book"),
        ("-1", "", "notice_min"),
        ("", "0", "horizon_days"),
        ("soon", "", "notice_min"),
    ],
)
def test_own_rules_by_which_nobody_could_book_are_told(
    pack: Path, notice_min: str, horizon_days: str, words: str
) -> None:
    with_own_rules(pack, notice_min, horizon_days)
    assert problem(pack).startswith("procedures.csv, ")
    assert words in problem(pack)


def test_walks_are_between_pairs_and_of_two_lines_the_first_counts(pack: Path) -> None:
    minutes = read_town_pack(pack).walk_minutes()
    assert (minutes["2", "5"], minutes["7", "9"], minutes["3", "7"]) == (1, 1, 3)
    assert ("7", "3") not in minutes
    town = (pack / "town.toml").read_text("utf-8")
    closer = town.replace("[[walks]]", '[[walks]]\ncounters = ["3"]\nothers = ["7", "3"]\nminutes = 2\n\n[[walks]]', 1)
    (pack / "town.toml").write_text(closer, "utf-8")
    assert read_town_pack(pack).walk_minutes() == minutes | {("3", "7"): 2}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('counters = ["3", "99"]\nminutes = 1', "walks.counters: no such counter: 99"),
        ('counters = ["3"]\nothers = ["KOMINKAN"]\nminutes = 1', "walks.others: no such counter: KOMINKAN"),
        ('counters = ["3", "7"]\nminutes = 121', "town.toml"),
        ("counters = []\nminutes = 1", "town.toml"),
    ],
)
def test_a_walk_that_cannot_be_is_told(pack: Path, line: str, words: str) -> None:
    town = (pack / "town.toml").read_text("utf-8")
    (pack / "town.toml").write_text(town.replace("[[walks]]", f"[[walks]]\n{line}\n\n[[walks]]", 1), "utf-8")
    with pytest.raises(BadTownPack, match=words):
        read_town_pack(pack)


def test_what_comes_before_a_procedure_is_said_in_any_life_event(pack: Path) -> None:
    before = read_town_pack(pack).procedures_before()
    assert (before["CHI02"], before["RES02"]) == (("FAM02", "RES02"), ())
    events = (pack / "life_events.toml").read_text("utf-8")
    circle = """
[[events]]
code = "x"
name_ja = "x"
intro_ja = "x"
steps = [{ procedure = "CHI02" }, { procedure = "RES02", after = ["CHI02"] }]
"""
    (pack / "life_events.toml").write_text(events + circle, "utf-8")
    with pytest.raises(BadTownPack, match=r"contradict each other: .*RES02"):
        read_town_pack(pack)


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ("5,5,", "line 2, quantity_max: above 1 it needs more_min and unit"),
        ("5,,通", "line 2, quantity_max: above 1 it needs more_min and unit"),
        ("1,5,", "line 2, quantity_max: more_min and unit are for a number above 1"),
        ("99,5,通", "line 2, quantity_max: "),
        ("many,5,通", "line 2, quantity_max: "),
    ],
)
def test_how_many_are_done_at_once_is_said_completely_or_not_at_all(pack: Path, counted: str, words: str) -> None:
    change(pack / "procedures.csv", "false,90,5,5,通", f"false,90,{counted}")
    assert problem(pack).startswith("procedures.csv, ")
    assert words in problem(pack)


def test_how_many_are_done_at_once_need_not_be_said(pack: Path) -> None:
    change(pack / "procedures.csv", "false,90,5,5,通", "false,90,,,")
    procedure = next(found for found in read_town_pack(pack).procedures if found.code == "RES01")
    assert (procedure.quantity_max, procedure.more_min, procedure.unit) == (1, 0, "")


def test_everything_that_does_not_fit_is_told_at_once(pack: Path) -> None:
    """In all files, each with its line and what to do; and nothing of what only follows from it."""
    change(pack / "town.toml", "slot_min = 60", "slot_min = 1")
    change(pack / "town.toml", "horizon_days = 45", "horizont_days = 45")
    change(pack / "procedures.csv", ",partial,yes,yes,10,300,", ",perhaps,yes,yes,ten,300,")
    change(pack / "life_events.toml", 'code = "move-in"', "")
    events, town = pack / "life_events.toml", pack / "town.toml"
    event, horizon, slot = (
        line_of(path, text) for path, text in ((events, "[[events]]"), (town, "horizont_"), (town, "slot_min = 1"))
    )
    assert problem(pack).splitlines() == [
        f"life_events.toml, line {event}, events.code: missing; add it: 1 to 20 signs of A-Za-z0-9_-",
        "procedures.csv, line 2, counter_minutes: 'ten' does not fit; write a whole number from 0 to 480",
        "procedures.csv, line 2, online: 'perhaps' does not fit; write one of no, partial, yes",
        f"town.toml, line {horizon}, booking.horizont_days: no such field; did you mean horizon_days?",
        f"town.toml, line {slot}, counters.slot_min: 1 does not fit; write a whole number from 5 to 240",
    ]


def test_everything_that_contradicts_itself_is_told_at_once(pack: Path) -> None:
    change(pack / "town.toml", 'frequent = ["RES01", "RES08"', 'frequent = ["FAM04", "RES99"')
    change(pack / "procedures.csv", ",general,2,", ",general,2|88,")
    change(pack / "life_events.toml", 'when = ["card"]', 'when = ["cat"]')
    told = problem(pack).splitlines()
    frequent = line_of(pack / "town.toml", "frequent = ")
    assert [line.partition(": ")[0] for line in told] == [
        f"life_events.toml, line {line_of(pack / 'life_events.toml', 'cat')}, events.steps.when",
        "procedures.csv, line 2, counters",
        f"town.toml, line {frequent}, town.frequent",
        f"town.toml, line {frequent}, town.frequent",
    ]
    assert all("; " in line for line in told)


def test_columns_are_told_by_name_and_only_once(pack: Path) -> None:
    change(pack / "procedures.csv", ",bring,", ",brin,")
    first, second = problem(pack).splitlines()
    assert first.startswith("procedures.csv, line 1, brin: a column that nothing is done with; take it out")
    assert second == "procedures.csv, line 1, bring: no such column in the first line; add it there"


def test_lines_are_found_in_lists_over_several_lines_and_in_tables_of_tables() -> None:
    text = """# A list and a text over several lines.
[town]
hosts = [
  "a",
]
address_ja = '''one
[[no.table]]'''
phone = "1"
[[events]]
steps = [{ procedure = "A" }]
[[events]]
[[events.steps]]
procedure = "B"
[[events.steps]]
after = []
"""
    lines = lines_of_toml(text)
    assert lines["town",] == 2
    assert [lines["town", name] for name in ("hosts", "address_ja", "phone")] == [3, 6, 8]
    assert lines["events", 0, "steps", 0, "procedure"] == 10
    assert lines["events", 1] == 11
    assert (lines["events", 1, "steps", 0, "procedure"], lines["events", 1, "steps", 1, "after"]) == (13, 15)


def test_what_no_form_asks_for_is_not_done_online(pack: Path) -> None:
    change(pack / "procedures.csv", ",partial,yes,yes,10,300,name|", ",partial,yes,yes,10,300,domicile|spouse|")
    assert (
        problem(pack) == "procedures.csv, line 2, online: no form asks for domicile, spouse, which it needs; write no"
    )


def test_a_town_that_names_its_offices_names_all_of_them(pack: Path) -> None:
    """Without any, its own phone number is told, and an office is only a word."""
    known = {line.office for line in read_town_pack(pack).procedures}
    known |= {line.office for line in read_town_pack(pack).counters}
    known |= {line.office for line in read_town_pack(pack).venues}
    said = "".join(f'[[offices]]\nname_ja = "{name}"\nphone = "0463-71-3311"\n' for name in sorted(known - {"税"}))
    before = (pack / "town.toml").read_text("utf-8")
    (pack / "town.toml").write_text(f"{before}\n{said}", "utf-8")
    told = problem(pack).split("\n")
    assert {line.partition(": ")[2].partition(";")[0] for line in told} == {"no such office: 税"}
    assert {line.partition(",")[0] for line in told} == {"town.toml", "procedures.csv"}
    (pack / "town.toml").write_text(f'{before}\n{said}[[offices]]\nname_ja = "税"\nphone = "1"\n', "utf-8")
    assert "offices.phone: '1' does not fit" in problem(pack)
    (pack / "town.toml").write_text(f'{before}\n{said}[[offices]]\nname_ja = "税"\nphone = "119-1"\n', "utf-8")
    assert {office.name_ja for office in read_town_pack(pack).offices} == known
