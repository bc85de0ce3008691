"""What contradicts itself in `templates.toml`, or could not be sent."""

from collections.abc import Iterator
from difflib import get_close_matches
from unicodedata import category

from shared.sms_parts import PARTS_MAX, count_parts
from shared.town_pack.problems import Flaw, Place
from shared.town_pack.schema import TownPack
from shared.town_pack.templates import (
    LANGUAGES,
    NEEDED,
    TEMPLATES_FILE,
    TEXTS,
    Template,
    fill,
    names_for,
    names_in,
    without_names,
)

# As long as they can be: `K4M7-RXACT`, a day with its weekday and time in the longest language, a link with its token.
NUMBER_LENGTH, WHEN_LENGTH, CODE_LENGTH, LINK_LENGTH = 10, 30, 8, 54
# Signs that end a line, or are none that anybody sees.
NO_TEXT = ("Cc", "Zl", "Zp")
# What is listed in a message, of which nobody knows how much it is.
THINGS_LENGTH = 60


def flaws_of_templates(pack: TownPack) -> Iterator[Flaw]:
    """Everything that is wrong with the town's own texts by themselves."""
    widest = _widest(pack)
    for number, template in enumerate(pack.templates):
        yield from _template(("templates", number), template, widest)


def _template(place: Place, template: Template, widest: dict[str, str]) -> Iterator[Flaw]:
    said = {(name, language): text for name, language, text in template.said()}
    if not said:
        yield Flaw(TEMPLATES_FILE, place, f"nothing is said of {template.kind}", "write a text, or take it out")
    for name in TEXTS:
        languages = [language for language in LANGUAGES if (name, language) in said]
        for language in LANGUAGES if languages else ():
            if language not in languages:
                what = f"{name} is said in another language and not in {language}"
                yield Flaw(TEMPLATES_FILE, (*place, f"{name}_{language}"), what, "say it in all three languages")
    for (name, language), text in said.items():
        at: Place = (*place, f"{name}_{language}")
        yield from _names(at, template.kind, name, text)
        if any(category(sign) in NO_TEXT and (name != "long" or sign != "\n") for sign in text):
            what = f"a line break, or a sign that is none, in {name}"
            yield Flaw(TEMPLATES_FILE, at, what, "write it in one line" if name != "long" else "take it out")
        if name == "short":
            parts = count_parts(fill(text, widest) or text)
            if parts > PARTS_MAX:
                what = f"an SMS in up to {parts} parts, of at most {PARTS_MAX}"
                yield Flaw(TEMPLATES_FILE, at, what, "make it shorter, or leave out {place} or {procedure}")


def _names(place: Place, kind: str, which: str, text: str) -> Iterator[Flaw]:
    known = names_for(kind, which)
    there = ", ".join(f"{{{name}}}" for name in known)
    named = names_in(text)
    for name in dict.fromkeys(named):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"did you mean {{{near[0]}}}?" if near else f"there are {there}"
            yield Flaw(TEMPLATES_FILE, place, f"the {which} of {kind} does not know {{{name}}}", advice)
    if set("{}") & set(without_names(text)):
        yield Flaw(TEMPLATES_FILE, place, "a brace around no name", f"take it out; there are {there}")
    for name in NEEDED:
        if which != "subject" and name in known and name not in named:
            what = f"the message does not say {{{name}}}"
            yield Flaw(TEMPLATES_FILE, place, what, "people need it: name it somewhere in the text")


def _widest(pack: TownPack) -> dict[str, str]:
    """The longest that can stand for each name, in this town."""
    texts = {"name": [pack.town.name_ja, pack.town.name_en]}
    texts["procedure"] = [text for line in pack.procedures for text in (line.name_ja, line.name_plain_ja, line.name_en)]
    known = {name.ja: (name.easy, name.en) for name in pack.names}
    places = [(each.place_ja, each.name_ja) for each in pack.counters]
    places += [(each.place_ja, each.name_ja) for each in pack.venues]
    texts["place"] = [
        " ".join(said)
        for pair in places
        for said in (pair, *zip(*(known.get(text, ("", "")) for text in pair), strict=True))
    ]
    site = max([pack.town.public_url, *(f"https://{host}" for host in pack.town.hosts)], key=len)
    link = site + "x" * LINK_LENGTH
    return {
        "town": max(texts["name"], key=len),
        "phone": pack.town.phone,
        "number": "x" * NUMBER_LENGTH,
        "procedure": max(texts["procedure"], key=len, default="") or "x",
        "place": max(texts["place"], key=len, default="") or "x",
        "address": pack.town.address_ja or "x",
        "things": "x" * THINGS_LENGTH,
        "code": "x" * CODE_LENGTH,
        "site": f"{site}/",
        **dict.fromkeys(("when", "offer_when", "offer_until"), "x" * WHEN_LENGTH),
        **dict.fromkeys(("link", "find_link", "feedback_link", "draws_link", "my_link"), link),
    }
