"""Whatever a helper opens, they find nothing that the person gave: neither in what their pages lead to, nor by trying
every address of all services with everything they may know, and more.

One exception: the given name, once they have accepted, on the pages of their own meetings.
"""

import re
from collections import Counter
from collections.abc import Iterable
from html import unescape
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import pytest

from tests.journeys.beside import Beside, agree, book_helper, sit_down
from tests.journeys.one_process import Browser, case_id_of
from tests.journeys.switching import OK, WITH_PHOTOS, Place
from tests.routing.applying import CHI02_FORM
from tests.routing.files import make_picture
from tests.routing.makers import new_key
from tests.structure.who_may import WHO_MAY

FAMILY, GIVEN = "佐波", "ひみこ"
KANA = "サワ ヒミコ"
EMAIL = "himiko.sawa@example.jp"
FORM = CHI02_FORM | {
    "name": f"{FAMILY} {GIVEN}",
    "birth_date_era": "S",
    "birth_date_year": "26",
    "birth_date_month": "3",
    "birth_date_day": "17",
    "address_postal_code": "259-0123",
    "address_line": "神奈川県中郡二宮町秘密ヶ丘987",
    "address_building": "かくれ荘",
    "phone": "090-9876-5431",
    "bank_account_bank": "ないしょ銀行",
    "bank_account_branch": "奥座敷支店",
    "bank_account_number": "7654321",
    "bank_account_holder": "サワ ヒミコ",
    "child_name": "佐波 とよ",
    "child_kana": "サワ トヨ",
}
LABEL, FILE = "ひみつの屋根", "himitsu-no-yane.jpg"
# As they are typed, kept, and shown.
SECRETS = (
    FAMILY, "サワ", "ヒミコ", "himiko", "秘密ヶ丘", "259-0123", "2590123", "かくれ荘", "9876-5431", "98765431",
    "ないしょ銀行", "奥座敷", "7654321", "とよ", "トヨ", "1951年", "1951-", "昭和26", "3月17日", LABEL, "himitsu",
)  # fmt: skip
MAY_SAY_GIVEN = re.compile(r"/helpers|/helpers/meetings/[0-9a-f-]{36}|/booking/api/helpers/requests")
# What never ends.
STREAMS = re.compile(r"/(events|wait)$")
# Of pages that differ only in ids and figures, so many are opened: a calendar has no end.
OF_A_KIND_MAX = 6
PAGES_MAX = 3_000
_LINK = re.compile(r"""(?:href|src|action|hx-get|data-[a-z-]+)="(/[^"]*)\"""")
_ANY_ADDRESS = re.compile(r"https?://[^\s\"'<>]+")
# Chance writes many things into them.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+|[A-Za-z0-9_-]{20,}")


@pytest.fixture
def found() -> list[str]:
    """What was found where nothing should be."""
    return []


async def test_a_helper_finds_no_value_before_and_after_the_yes(place: Place, found: list[str]) -> None:
    """Seen to fail with the whole name shown instead of the given one (`own_days.py` without `given_name`)."""
    case, photos = await _fill_two_cases(place)
    await _nothing_anywhere(place, case, photos, found, given=False)
    assert found == [], "asked, and not accepted yet"

    beside = await sit_down(place, case)
    await agree(place.resident, place.house)
    await place.resident.get("/together")
    await place.resident.press("/channel", channel="online")
    await place.resident.get(f"{case}/form")
    await place.resident.send("/form", **FORM)
    await place.house.town.deliver()
    own = (await place.resident.get("/my/data")).text + (await place.resident.get(f"{case}/form")).text
    for secret in (FAMILY, GIVEN, "秘密ヶ丘", "ないしょ銀行", "かくれ荘", "7654321", "とよ"):
        assert secret in own, f"{secret}: the person sees what nobody else does"
    steps = await place.helper.get(beside.steps)
    assert (steps.status_code, "申請する方" in steps.text) == (OK, True), "there is something to be found"
    assert GIVEN in (await place.helper.get(beside.meeting)).text
    await _nothing_anywhere(place, case, photos, found, given=True, beside=beside)
    assert found == [], "agreed"

    # Sent, and switched to the counter: the same.
    await place.resident.get(f"{case}/check")
    await place.resident.press("/submit", notices="yes")
    await place.house.town.deliver()
    await place.helper.get(beside.meeting)
    await place.helper.press("/switch", channel="counter")
    await place.helper.send("/note", phrase="stuck_photo", words="字を大きくすると読めた")
    await place.house.town.deliver()
    await _nothing_anywhere(place, case, photos, found, given=True, beside=beside)
    assert found == [], "sent"


async def _fill_two_cases(place: Place) -> tuple[str, str]:
    """One with photos that is sent, and one for which a helper is asked."""
    resident = place.resident
    photos = await resident.begin(WITH_PHOTOS, "online")
    await resident.get(f"{photos}/form")
    await resident.send("/form", **{key: text for key, text in FORM.items() if key.startswith(("name", "addr", "pho"))})
    fields = {"item": "photos", "idempotency_key": new_key(), "label": LABEL}
    files = {"file": (FILE, make_picture(), "image/jpeg")}
    await resident.http.post(f"{photos}/attachments", data=fields, files=files)
    case = await book_helper(place.house, resident, "CHI02", name=FORM["name"], kana=KANA, reach="email", email=EMAIL)
    return case, photos


async def _nothing_anywhere(
    place: Place, case: str, photos: str, found: list[str], *, given: bool, beside: Beside | None = None
) -> None:
    await place.helper.get("/helpers/calendar")
    await place.helper.send("/helpers/calendar")
    crawled = await _crawl(place.helper, ["/", "/helpers", *_addresses(place.helper.page)], found, given=given)
    assert "/helpers" in crawled
    assert any(path.startswith("/helpers/calendar/") for path in crawled), "the feed is read too"
    if beside is not None:
        assert {beside.meeting, beside.steps} <= crawled
    await _try_everything(place, case, photos, found, given=given)


async def _crawl(helper: Browser, waiting: list[str], found: list[str], *, given: bool) -> set[str]:
    """Open every page that the helper's pages lead to."""
    seen: set[str] = set()
    kinds: Counter[str] = Counter()
    while waiting:
        path = waiting.pop(0)
        kind = _ID.sub("*", urlsplit(path).path) + str(sorted(name for name, _ in parse_qsl(urlsplit(path).query)))
        if path in seen or kinds[kind] >= OF_A_KIND_MAX or STREAMS.search(urlsplit(path).path):
            continue
        seen.add(path)
        kinds[kind] += 1
        assert len(seen) < PAGES_MAX
        page = await helper.http.get(path)
        _look(page, path, found, given=given)
        waiting += _addresses(page)
    return {urlsplit(path).path for path in seen}


async def _try_everything(place: Place, case: str, photos: str, found: list[str], *, given: bool) -> None:
    """Every address that there is, with every id of this person: also those that no helper's page names."""
    known = await _known_ids(place, case, photos)
    for name in WHO_MAY:
        _, method, path = name.split(" ")
        if method != "GET" or STREAMS.search(path):
            continue
        for address in _filled(path, known):
            for headers in ({}, {"hx-request": "true"}):
                page = await place.helper.http.get(address, headers=headers)
                _look(page, address, found, given=given)


async def _known_ids(place: Place, case: str, photos: str) -> dict[str, list[str]]:
    cases = [case_id_of(case), case_id_of(photos)]

    async def every(sql: str) -> list[str]:
        return [str(row[0]) for row in await place.house.town.rows(sql, cases)]

    appointments = await every("SELECT appointment_id FROM booking.appointment WHERE case_id = ANY ($1)")
    numbers = [
        *await every("SELECT number FROM booking.appointment WHERE case_id = ANY ($1)"),
        *await every("SELECT number FROM routing.application WHERE case_id = ANY ($1)"),
        *await every("SELECT number FROM routing.case_file WHERE case_id = ANY ($1)"),
    ]
    return {
        "case_id": [str(each) for each in cases],
        "appointment_id": appointments,
        "number": numbers,
        "assignment_id": await every(
            "SELECT s.assignment_id FROM booking.assignment s JOIN booking.appointment a"
            " USING (municipality, appointment_id) WHERE a.case_id = ANY ($1)"
        ),
        "visit_id": await every("SELECT visit_id FROM booking.visit WHERE case_id = ANY ($1)"),
        "application_id": await every("SELECT application_id FROM routing.application WHERE case_id = ANY ($1)"),
        "file_id": await every(
            "SELECT u.file_id FROM routing.attachment_use u JOIN routing.case_file c USING (municipality, subject_ref)"
            " WHERE c.case_id = ANY ($1)"
        ),
        "entry_id": await every("SELECT entry_id FROM routing.reuse WHERE case_id = ANY ($1) LIMIT 2"),
        "item": ["name"],
        "key": ["name", "address"],
        "code": ["CHI02"],
        "answer": ["came"],
        "action": ["print"],
        "kind": ["procedures"],
    }


def _filled(path: str, known: dict[str, list[str]]) -> Iterable[str]:
    """The path with everything that is known, one after another; what is not known is a dash."""
    names = re.findall(r"\{(\w+)\}", path)
    most = max((len(known.get(name, ())) for name in names), default=1) or 1
    for index in range(most):
        filled = path
        for name in names:
            values = known.get(name) or ["-"]
            filled = filled.replace(f"{{{name}}}", values[index % len(values)])
        yield filled


def _addresses(page: httpx.Response) -> list[str]:
    """What of the same origin a page leads to."""
    base, text = page.url, unescape(page.text) if "html" in page.headers.get("content-type", "") else ""
    named = [*_LINK.findall(text), *_ANY_ADDRESS.findall(text)]
    joined = (urlsplit(urljoin(str(base), address)) for address in named)
    return [
        each.path + (f"?{each.query}" if each.query else "")
        for each in joined
        if each.netloc == base.netloc.decode() and not each.path.startswith("/static/")
    ]


def _look(page: httpx.Response, asked: str, found: list[str], *, given: bool) -> None:
    assert page.status_code < 500, (asked, page.status_code)
    text = _UUID.sub("*", unescape(page.text))
    found += [f"{asked} ({page.url.path}): {secret}" for secret in SECRETS if secret in text]
    if GIVEN in text and not (given and MAY_SAY_GIVEN.fullmatch(page.url.path)):
        found.append(f"{asked} ({page.url.path}): {GIVEN}")
