"""The texts of a pack in all languages, and where each stands."""

from collections.abc import Iterator
from typing import Any

import jaconv
import msgspec

from shared.town_pack.items import ITEMS_FILE, Choice, FormGroup, ItemPart, SimplePart, TownItem
from shared.town_pack.problems import Place
from shared.town_pack.schema import LIFE_EVENTS_FILE, PROCEDURES_FILE, TOWN_FILE, Name, TownPack, Words


class Said(msgspec.Struct, frozen=True):
    """A Japanese text, and what it is in やさしい日本語 and English; empty: it is shown in Japanese."""

    file: str
    place: Place
    ja: str
    easy: str
    en: str


def texts_of(pack: TownPack) -> Iterator[Said]:
    """Every text of a pack."""
    town = pack.town
    easy = f"｜{town.name_ja}《{jaconv.kata2hira(town.name_kana)}》"
    yield Said(TOWN_FILE, ("town", "name_ja"), town.name_ja, easy, town.name_en)
    tables: dict[str, tuple[Name | Words, ...]] = {
        "names": pack.names,
        "things": pack.things,
        "deadlines": pack.deadlines,
        "topics": pack.topics,
    }
    for table, names in tables.items():
        for number, name in enumerate(names):
            yield Said(TOWN_FILE, (table, number, "ja"), name.ja, name.easy, name.en)
    for number, reason in enumerate(pack.channels.reasons):
        yield Said(TOWN_FILE, ("channels", "reasons", number, "ja"), reason.ja, reason.easy, reason.en)
    for number, procedure in enumerate(pack.procedures):
        names_in = (procedure.name_ja, procedure.name_plain_ja, procedure.name_en)
        yield Said(PROCEDURES_FILE, (number, "name_ja"), *names_in)
    for number, event in enumerate(pack.life_events):
        place: Place = ("events", number)
        yield _said(place, event, "name")
        yield _said(place, event, "intro")
        for index, question in enumerate(event.questions):
            yield _said((*place, "questions", index), question, "text")
            yield _said((*place, "questions", index), question, "hint")
        for index, step in enumerate(event.steps):
            yield _said((*place, "steps", index), step, "note")
    yield from _items(pack)


def _said(place: Place, line: Any, field: str) -> Said:
    ja, easy, en = (getattr(line, f"{field}_{language}") for language in ("ja", "easy", "en"))
    return Said(LIFE_EVENTS_FILE, (*place, f"{field}_ja"), ja, easy, en)


def _items(pack: TownPack) -> Iterator[Said]:
    for number, item in enumerate(pack.items.items):
        place: Place = ("items", number)
        yield _words(place, item)
        for index, part in enumerate(item.parts):
            yield from _part((*place, "parts", index), part)
            for inner, own in enumerate(part.each):
                yield from _part((*place, "parts", index, "each", inner), own)
    for number, form in enumerate(pack.items.forms):
        for index, group in enumerate(form.groups):
            yield _words(("forms", number, "groups", index), group)


def _part(place: Place, part: ItemPart | SimplePart) -> Iterator[Said]:
    yield _words(place, part)
    yield Said(ITEMS_FILE, (*place, "hint_ja"), part.hint_ja, part.hint_easy, part.hint_en)
    for index, choice in enumerate(part.choices):
        yield _words((*place, "choices", index), choice)


def _words(place: Place, line: Choice | FormGroup | ItemPart | SimplePart | TownItem) -> Said:
    return Said(ITEMS_FILE, (*place, "ja"), line.ja, line.easy, line.en)
