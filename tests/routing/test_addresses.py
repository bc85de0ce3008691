"""Addresses: postal codes, what people leave out, and the parts of the Government Interoperability Framework."""

import re

import httpx
import pytest

from services.routing.domain.addresses import complete_line, municipality_code, split_address, tidy_line
from services.routing.queries.postal_codes import find_places
from tests.routing.applying import CHI02_FORM, SEE_OTHER
from tests.routing.conftest import Visitor
from tests.routing.makers import NAME

NINOMIYA = find_places("2590123")


@pytest.mark.parametrize(
    ("postal_code", "code", "line"),
    [
        ("2590123", "143421", "神奈川県中郡二宮町二宮"),
        ("2590121", "143421", "神奈川県中郡二宮町松根"),
        ("2590134", "143421", "神奈川県中郡二宮町一色"),
        # The town hall's own code.
        ("2590196", "143421", "神奈川県中郡二宮町二宮"),
        ("1000001", "131016", "東京都千代田区千代田"),
        ("6020847", "261025", "京都府京都市上京区大宮町"),
        # Nothing is known of the area.
        ("9071800", "473821", "沖縄県八重山郡与那国町"),
    ],
)
def test_a_postal_code_tells_where_it_is(postal_code: str, code: str, line: str) -> None:
    place = find_places(postal_code)[0]
    assert (place.code, place.line) == (code, line)


@pytest.mark.parametrize("unknown", ["0000000", "9999999", "", "259-", "abc"])
def test_a_code_that_nobody_has_gives_nothing(unknown: str) -> None:
    assert find_places(unknown) == ()


def test_a_code_of_several_places_gives_all_of_them() -> None:
    several = find_places("4520961")
    assert len({place.line for place in several}) == len(several) > 1


@pytest.mark.parametrize(
    ("jis", "code"), [("14342", "143421"), ("13101", "131016"), ("01100", "011002"), ("47382", "473821")]
)
def test_check_digit(jis: str, code: str) -> None:
    assert municipality_code(jis) == code


@pytest.mark.parametrize(
    ("typed", "tidy"),
    [
        ("二宮９６１", "二宮961"),
        ("二宮１ー２－３", "二宮1-2-3"),
        ("二宮1−2‐3—4", "二宮1-2-3-4"),
        ("二宮 １ ー ２", "二宮 1-2"),
        ("コーポ二宮　Ａ棟", "コーポ二宮 A棟"),
        ("センター通り", "センター通り"),
        ("  二宮　　961 ", "二宮 961"),
    ],
)
def test_an_address_is_tidied_without_losing_anything(typed: str, tidy: str) -> None:
    assert tidy_line(typed) == tidy


@pytest.mark.parametrize("line", ["二宮961", "中郡二宮町二宮961", "二宮町二宮961", "神奈川県中郡二宮町二宮961"])
def test_what_the_postal_code_tells_need_not_be_typed(line: str) -> None:
    assert complete_line(line, NINOMIYA) == "神奈川県中郡二宮町二宮961"


@pytest.mark.parametrize("line", ["東京都千代田区千代田1-1", "山西123", "961"])
def test_what_does_not_fit_the_postal_code_stays_as_it_was_typed(line: str) -> None:
    assert complete_line(line, NINOMIYA) == line
    assert complete_line(line, ()) == line


def test_the_parts_of_an_address() -> None:
    parts = split_address("2590123", "二宮町二宮961", "コーポ101", NINOMIYA)
    assert (parts.code, parts.prefecture, parts.city) == ("143421", "神奈川県", "中郡二宮町")
    assert (parts.area, parts.rest, parts.building) == ("二宮", "961", "コーポ101")
    unknown = split_address("0000000", "どこか1-2", "", ())
    assert (unknown.code, unknown.area, unknown.rest) == ("", "", "どこか1-2")


async def look_up(visitor: Visitor, case: str, **typed: str) -> httpx.Response:
    return await visitor.post(f"{case}/fields", CHI02_FORM | {"lookup": "address"} | typed)


def line_of(page: httpx.Response) -> str:
    found = re.search(r'name="address_line" value="([^"]*)"', page.text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("", "神奈川県中郡二宮町二宮"),
        ("９６１", "神奈川県中郡二宮町二宮961"),
        ("二宮町二宮９６１", "神奈川県中郡二宮町二宮961"),
        # Somewhere else: the code that was typed last is what counts.
        ("神奈川県平塚市浅間町9-1", "神奈川県中郡二宮町二宮"),
    ],
)
async def test_the_form_is_filled_from_the_postal_code(visitor: Visitor, typed: str, line: str) -> None:
    case = await visitor.open_case(channel="online")
    page = await look_up(visitor, case, address_line=typed)
    assert page.status_code == httpx.codes.OK
    assert line_of(page) == line
    assert f'value="{NAME}"' in page.text, "the rest of the form is as it was typed"
    assert NAME not in (await visitor.get(f"{case}/form")).text, "nothing is kept by looking up"


@pytest.mark.parametrize("code", ["999-9999", "", "25901"])
async def test_a_code_that_is_not_known_is_told_and_takes_nothing_away(visitor: Visitor, code: str) -> None:
    case = await visitor.open_case(channel="online")
    page = await look_up(visitor, case, address_postal_code=code, address_line="二宮961")
    assert page.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert 'href="#f-address_postal_code"' in page.text
    assert line_of(page) == "二宮961"


async def test_what_was_left_out_of_an_address_is_kept_with_it(visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    short = CHI02_FORM | {"address_line": "二宮町二宮９６１ー２", "address_building": " コーポ　 １０１ "}
    assert (await visitor.post(f"{case}/form", short)).status_code == SEE_OTHER
    page = await visitor.get(f"{case}/form")
    assert line_of(page) == "神奈川県中郡二宮町二宮961-2"
    assert 'value="コーポ １０１"' in page.text


@pytest.mark.parametrize("lookup", ["previous_address", "name", "", "\x00"])
async def test_only_an_address_of_this_form_is_looked_up(visitor: Visitor, lookup: str) -> None:
    case = await visitor.open_case(channel="online")
    page = await look_up(visitor, case, lookup=lookup, address_line="ここ")
    assert page.status_code == httpx.codes.BAD_REQUEST
