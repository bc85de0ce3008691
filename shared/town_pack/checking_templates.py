"""What contradicts itself in `templates.toml`; each of its texts is checked by `checking_texts.py`."""

from collections.abc import Iterator

import msgspec

from shared.town_pack.checking_texts import Known, flaws_of_languages, flaws_of_text, host_in, longest_of
from shared.town_pack.problems import Flaw, Place
from shared.town_pack.schema import TownPack
from shared.town_pack.templates import CHANNEL_OF, LANGUAGES, TEMPLATES_FILE, TEXTS, Template


def flaws_of_templates(pack: TownPack) -> Iterator[Flaw]:
    """Everything that is wrong with the town's own texts by themselves."""
    known = _known_of(pack)
    for number, template in enumerate(pack.templates):
        yield from _template(("templates", number), template, known)


def _template(place: Place, template: Template, known: Known) -> Iterator[Flaw]:
    said = {(name, language): text for name, language, text in template.said()}
    if not said:
        yield Flaw(TEMPLATES_FILE, place, f"nothing is said of {template.kind}", "write a text, or take it out")
    for name in TEXTS:
        texts = {language: said.get((name, language), "") for language in LANGUAGES}
        for language, flaw in flaws_of_languages(name, texts):
            yield msgspec.structs.replace(flaw, file=TEMPLATES_FILE, place=(*place, f"{name}_{language}"))
    for (name, language), text in said.items():
        at: Place = (*place, f"{name}_{language}")
        for flaw in flaws_of_text(template.kind, CHANNEL_OF[name], text, known):
            yield msgspec.structs.replace(flaw, file=TEMPLATES_FILE, place=at)


def _known_of(pack: TownPack) -> Known:
    said = {name.ja: (name.easy, name.en) for name in pack.names}
    places = [(each.place_ja, each.name_ja) for each in pack.counters]
    places += [(each.place_ja, each.name_ja) for each in pack.venues]
    sites = [pack.town.public_url, *(f"https://{host}" for host in pack.town.hosts)]
    longest = longest_of(
        towns=(pack.town.name_ja, pack.town.name_en),
        procedures=[text for line in pack.procedures for text in (line.name_ja, line.name_plain_ja, line.name_en)],
        places=[
            " ".join(words)
            for pair in places
            for words in (pair, *zip(*(said.get(text, ("", "")) for text in pair), strict=True))
        ],
        phone=pack.town.phone,
        address=pack.town.address_ja,
        sites=sites,
    )
    discreet = [line for line in pack.procedures if line.discreet]
    return Known(
        longest=longest,
        hosts=frozenset(filter(None, map(host_in, sites))),
        discreet=tuple(text for line in discreet for text in (line.name_ja, line.name_plain_ja, line.name_en) if text),
    )
