"""Whatever is typed into any field of any item, ours and the towns': no crash, as it was typed, kept whole or refused
in words. The examples are the same in each run."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.routing.app import PAGES_DIR, create_app
from services.routing.commands.catalogue import publish_catalogue
from services.routing.commands.town_items import town_items_of
from services.routing.domain.items import ITEM_PARTS, VALUE_MAX_LENGTH, field_of, pack_value, parts_of, unpack_value
from services.routing.domain.town_items import use_town_items
from services.routing.pages.item_fields import errors_in_order, fill_fields, make_groups, read_items, show_value
from services.routing.settings import Settings
from shared.db import Database
from shared.town_pack import read_town_pack
from shared.town_texts import collect_texts
from shared.web.forms import Form
from shared.web.i18n import LANGUAGES, use_language
from shared.web.templating import make_environment
from shared.web.town_texts import use_town_texts
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import HOST, NOW, TOWN, make_pack
from tests.routing.test_items import fields_of, typed_for

TODAY = date(2026, 11, 24)
TOWNS = Path(__file__).resolve().parents[2] / "deploy" / "towns"
PACKS = {folder.name: read_town_pack(folder) for folder in sorted(TOWNS.iterdir())}
CASES = [("ninomiya", item) for item in sorted(ITEM_PARTS)] + [
    (town, item.code) for town, pack in PACKS.items() for item in pack.items.items
]
KANA = re.compile("[\u3041-\u30fe]")
HOSTILE = (
    "", " ", "\u3000", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
    "</textarea><svg onload=alert(1)>",
    "{{ 7*7 }}", "{% raw %}", "%s%(x)s", "'; DROP TABLE item; --", "javascript:alert(1)", "&lt;b&gt;",
    "\x00", "\x01\x1f\x7f", "\u202egnp.exe", "\u2066x\u2069", "\ufeff", "\u200b\u200d", "e\u0301\u0323",
    "が" + "\u3099" * 50,
    "Ｔａｒｏ　１２３", "㍿①Ⅷ", "ｶﾞｷﾞ", "\u795e\ufa19", "𠮷\U000e0100", "👨‍👩‍👧", "\u2028\u2029", "\r\n\r\n", "a\r\nb",
    "あ" * 5_000, "9" * 400, "-1", "1e3", "٣", "²", "0x10", "令和元", "R8", "99999-99-99", "+81" * 20, "〒" * 9,
    "[1]", '{"line": 1}', "null", "\ud7ff\ue000\uffff", "\U0010ffff",
)  # fmt: skip
# A surrogate is no text: it never comes through a form (`test_bytes_that_are_no_text`), but nothing may break on one.
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(st.characters(categories=["Lo", "Nd", "Mn", "Cf", "Cc", "Cs", "So", "Zs"]), max_size=20),
)
RENDER = """{% from "item_parts.html" import item_group with context %}
{% for group in groups %}{{ item_group(group, "/x") }}{% endfor %}"""
TEMPLATE = make_environment(PAGES_DIR).from_string(RENDER)
TAGS = {
    "button", "datalist", "div", "fieldset", "h2", "h3", "h4", "input", "label", "legend", "option", "p", "path", "rp",
    "rt", "ruby", "section", "select", "span", "strong", "svg", "textarea", "use",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: its tags, what could run, and what stands in its fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.runs: list[str] = []
        self.fields: dict[str, str] = {}
        self._area = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        self.runs += [name for name in given if name.startswith("on")]
        self.runs += [value for name, value in given.items() if name in ("href", "src") and ":" in value]
        if tag == "textarea":
            self._area = given["name"]
            self.fields[self._area] = ""
        elif tag == "input" and given.get("type") not in ("radio", "hidden"):
            self.fields[given["name"]] = as_shown(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # The line end after the tag is none of the text.
            self.fields[self._area] = as_shown(self.fields[self._area]).removeprefix("\n")
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data


@pytest.fixture(params=CASES, ids=lambda case: ":".join(case))
def item(request: pytest.FixtureRequest) -> Iterator[str]:
    """An item, in the town that has it."""
    town, code = request.param
    with use_town_items(town_items_of(PACKS[town].items)), use_town_texts(collect_texts(PACKS[town])):
        yield code


def names_of(item: str) -> list[str]:
    """The fields of an item, of no more than the first two that are repeated."""
    known = [
        pair for part in parts_of(item) for pair in fields_of(field_of(item, part), part)[: 2 * len(part.each) or 1]
    ]
    return [
        name for base, part in known for name in ([f"{base}_{piece}" for piece in ("era", "year", "month", "day")]
                                                  if part.kind == "day" else [base])
    ]  # fmt: skip


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_anything_in_any_field(item: str, data: st.DataObject) -> None:
    names = names_of(item)
    right = {name: typed for name, typed in typed_for(item).items() if name in names}
    spoiled = data.draw(st.dictionaries(st.sampled_from(names), TEXTS, min_size=1, max_size=len(names)))
    fields = right | spoiled
    language = data.draw(st.sampled_from(sorted(LANGUAGES)))
    with use_language(language, page=True):
        form = Form(fields)
        typed = read_items(form, [item], TODAY, complete=data.draw(st.booleans()))
        assert form.values == fields
        for value in typed.values.values():
            is_whole(item, value)
        told = errors_in_order([item], form.errors)
        assert set(told) == set(form.errors), "every problem is named, with its field"
        assert bool(typed.unsaved) is bool(form.errors)
        for message in form.errors.values():
            assert message
            assert language != "en" or not KANA.search(message), message
        looks_as_typed(item, fields, form.errors)


def is_whole(item: str, value: str) -> None:
    """What was accepted comes back the same, from the vault and on a page."""
    assert len(value) <= VALUE_MAX_LENGTH
    value.encode()
    assert pack_value(item, unpack_value(item, value)) == value
    assert bool(show_value(item, value)) is bool(value)
    again = Form(fill_fields({item: value}))
    if value:
        assert read_items(again, [item], TODAY).values == {item: value}, again.errors


def looks_as_typed(item: str, fields: Mapping[str, str], errors: Mapping[str, str]) -> None:
    page = Page(TEMPLATE.render(groups=make_groups([item], fields, errors)))
    assert page.tags <= TAGS, page.tags - TAGS
    assert page.runs == []
    for name, shown in page.fields.items():
        assert shown == as_shown(fields.get(name, "")), name


def as_shown(typed: str) -> str:
    """The parser of a browser makes every line end one kind."""
    return typed.replace("\r\n", "\n").replace("\r", "\n")


async def test_anything_in_every_field_of_one_form_over_http(
    db: Database, settings: Settings, clock: TestClock
) -> None:
    """All items of both towns in one form: as typed, and never an error of ours."""
    pack = make_pack()
    own = tuple(item for known in PACKS.values() for item in known.items.items)
    # `members` and `others` make more fields than a form may have, when each is full.
    codes = (*ITEM_PARTS, *(item.code for item in own))
    lines = tuple(
        msgspec.structs.replace(line, items=codes) if line.code == "CHI02" else line for line in pack.procedures
    )
    async with db.begin(TOWN) as session:
        spoiled = msgspec.structs.replace(pack, procedures=lines, items=msgspec.structs.replace(pack.items, items=own))
        await publish_catalogue(session, spoiled, public_url=f"http://{HOST}", now=NOW)
    visitor = Visitor(create_app(settings, clock=clock, db=db))
    case = await visitor.open_case(channel="online")
    with use_town_items(town_items_of(msgspec.structs.replace(pack.items, items=own))):
        names = [name for item in codes for name in names_of(item)]
    for hostile in HOSTILE:
        fields = dict.fromkeys(names, hostile)
        for path in ("form", "draft", "fields"):
            answer = await visitor.post(
                f"{case}/{path}", fields | ({"more": "child_others"} if path == "fields" else {})
            )
            assert answer.status_code in (200, 422, 413), (path, hostile[:20], answer.status_code)
            if answer.status_code == 413:
                continue
            shown = Page(answer.text)
            assert shown.runs == []
            assert not {"img", "svg onload", "iframe", "object", "b"} & shown.tags
            for name in names:
                if name in shown.fields:
                    assert shown.fields[name] == as_shown(hostile), (path, name)
    await visitor.http.aclose()


@pytest.mark.parametrize("raw", [b"name=%ED%A0%80", b"name=%FF%FE", b"name=\xed\xa0\x80"])
async def test_bytes_that_are_no_text(db: Database, settings: Settings, clock: TestClock, raw: bytes) -> None:
    visitor = Visitor(create_app(settings, clock=clock, db=db))
    case = await visitor.open_case(channel="online")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("form", "draft", "fields"):
        answer = await visitor.http.post(f"{case}/{path}", content=raw, headers=headers)
        # A draft of no version keeps nothing, and says so.
        expected = range(200, 201) if path == "draft" else range(400, 500)
        assert answer.status_code in expected, (path, answer.status_code)
    async with db.begin(TOWN) as session:
        assert (await session.execute(text("SELECT count(*) FROM item"))).scalar_one() == 0
    await visitor.http.aclose()
