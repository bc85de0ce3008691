"""What could not be sent, or must not be, in a town's own text: one check for `templates.toml` and the editor."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit

import msgspec

from shared.bare_text import bare
from shared.sms_parts import count_parts
from shared.town_pack.problems import Flaw
from shared.town_pack.templates import (
    CHANNEL_OF,
    IN_LINES,
    MAX_LENGTHS,
    PLACEHOLDERS,
    READ_BY_OTHERS,
    Channel,
    fill,
    names_for,
    names_in,
    needed_in,
    parts_max,
    telling_in,
    without_names,
)

# As long as they can be: `K4M7-RXACT`, a day with its weekday and time in the longest language, a link with its token.
NUMBER_LENGTH, WHEN_LENGTH, CODE_LENGTH, LINK_LENGTH = 10, 30, 8, 54
# Of these the path before the token is longer.
LINK_LENGTHS: Final = {"class_": 62, "help_": 57, "sign_in": 57}
# What is listed or written in a message, of which nobody knows how much it is.
THINGS_LENGTH, WRITTEN_LENGTH, TICKET_LENGTH, BEFORE_LENGTH = 60, 40, 8, 2
# Signs that end a line, turn the writing round, or are none that anybody sees; of those, what joins an emoji is seen.
NO_TEXT: Final = ("Cc", "Cf", "Co", "Zl", "Zp")
JOINER: Final = "\u200d"
# How a text is called where it is kept in a file.
_TEXT_OF: Final = {channel: text for text, channel in CHANNEL_OF.items()}
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://[^\s<>「」（）、。]*", re.IGNORECASE)
# What programs make a link of by themselves, with no `https://` before it.
_BARE_HOST = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}(?![\w-])", re.IGNORECASE)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the check has to know of a town."""

    # The longest that can stand for each name.
    longest: Mapping[str, str]
    # Where its own pages are.
    hosts: frozenset[str]
    # What its discreet procedures are called, in every language.
    discreet: tuple[str, ...]


def flaws_of_text(kind: str, channel: Channel, text: str, known: Known) -> Iterator[Flaw]:
    """Everything that is wrong with one text; the place of a flaw in a line is its number, from 1."""
    which, length, most = _TEXT_OF.get(channel, channel), len(text), MAX_LENGTHS[channel]
    if length > most:
        yield Flaw("", (), f"{length} letters in {which}, of at most {most}", "make it shorter")
    for number, line in enumerate(text.split("\n"), start=1):
        for flaw in (*_names(kind, channel, line), *_signs(which, line), *_links(line, known.hosts)):
            yield msgspec.structs.replace(flaw, place=(number,))
    if channel not in IN_LINES and "\n" in text:
        yield Flaw("", (1,), f"a line break, or a sign that is none, in {which}", "write it in one line")
    named = names_in(text)
    for name in needed_in(kind, channel):
        if name not in named:
            yield Flaw("", (), f"the message does not say {{{name}}}", "people need it: name it somewhere in the text")
    if channel in READ_BY_OTHERS:
        yield from _telling(which, text, known.discreet)
    if channel == "sms":
        yield from _parts(kind, text, known.longest)


def flaws_of_languages(which: str, said: Mapping[str, str]) -> Iterator[tuple[str, Flaw]]:
    """What is said in some languages only, with the language that is missing: all of a town's readers are told."""
    for language, text in said.items():
        if not text and any(said.values()):
            what = f"{which} is said in another language and not in {language}"
            yield language, Flaw("", (), what, "say it in all three languages")


def longest_of(
    *,
    towns: Iterable[str],
    procedures: Iterable[str],
    places: Iterable[str],
    phone: str,
    address: str,
    sites: Sequence[str],
) -> dict[str, str]:
    """The longest that can stand for each name, in a town with these names, places and addresses."""
    site = max(sites, key=len)
    return {
        "town": max(towns, key=len),
        "phone": phone,
        "number": "x" * NUMBER_LENGTH,
        "procedure": max(procedures, key=len, default="") or "x",
        "place": max(places, key=len, default="") or "x",
        "address": address or "x",
        "things": "x" * THINGS_LENGTH,
        "code": "x" * CODE_LENGTH,
        "site": f"{site}/",
        "ticket": "x" * TICKET_LENGTH,
        "before": "x" * BEFORE_LENGTH,
        **dict.fromkeys(("title", "subject", "message"), "x" * WRITTEN_LENGTH),
        **dict.fromkeys(("when", "offer_when", "offer_until"), "x" * WHEN_LENGTH),
        **dict.fromkeys(("link", "find_link", "feedback_link", "draws_link", "my_link"), site + "x" * LINK_LENGTH),
    }


def longest_sms(kind: str, text: str, longest: Mapping[str, str]) -> str:
    """An SMS as long as it can become."""
    more = next((length for begin, length in LINK_LENGTHS.items() if kind.startswith(begin)), LINK_LENGTH) - LINK_LENGTH
    return bare(fill(text, {**longest, "link": longest["link"] + "x" * more}) or text)


def host_in(address: str) -> str:
    """The name of the host in an address, or in a host with its port."""
    return urlsplit(address if "://" in address else f"//{address}").hostname or ""


def _names(kind: str, channel: Channel, line: str) -> Iterator[Flaw]:
    which, known = _TEXT_OF.get(channel, channel), names_for(kind, channel)
    there = ", ".join(f"{{{name}}}" for name in known)
    for name in dict.fromkeys(names_in(line)):
        if name in known:
            continue
        if name in PLACEHOLDERS.get(kind, ()):
            yield Flaw(
                "", (), f"{{{name}}} may not stand in the {which}: others read it", f"take it out; there are {there}"
            )
            continue
        near = get_close_matches(name, known, n=1)
        advice = f"did you mean {{{near[0]}}}?" if near else f"there are {there}"
        yield Flaw("", (), f"the {which} of {kind} does not know {{{name}}}", advice)
    if set("{}") & set(without_names(line)):
        yield Flaw("", (), "a brace around no name", f"take it out; there are {there}")


def has_unseen(line: str) -> bool:
    """Whether there is a sign in a line that ends it, turns the writing round, or that nobody sees."""
    return any(unicodedata.category(sign) in NO_TEXT and sign != JOINER for sign in line)


def links_elsewhere(line: str, hosts: frozenset[str]) -> list[str]:
    """The links in a line, and what programs make one of, that lead to other hosts than these."""
    plain = unicodedata.normalize("NFKC", line)
    elsewhere = [found for found in _LINK.findall(plain) if not _is_own(found, hosts)]
    elsewhere += [found for found in _BARE_HOST.findall(_LINK.sub(" ", plain)) if found.casefold() not in hosts]
    return list(dict.fromkeys(elsewhere))


def _signs(which: str, line: str) -> Iterator[Flaw]:
    if has_unseen(line):
        yield Flaw("", (), f"a line break, or a sign that is none, in {which}", "take it out")


def _links(line: str, hosts: frozenset[str]) -> Iterator[Flaw]:
    for link in links_elsewhere(line, hosts):
        yield Flaw(
            "", (), f"a link to another host: {link}", "use {link} or {site}: only the town's own pages are linked to"
        )


def _is_own(link: str, hosts: frozenset[str]) -> bool:
    try:
        parts = urlsplit(without_names(link) if "{" not in link.partition("://")[2].partition("/")[0] else "")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "@" not in parts.netloc and parts.hostname in hosts


def _telling(which: str, text: str, discreet: Sequence[str]) -> Iterator[Flaw]:
    for word in telling_in(text, discreet):
        yield Flaw("", (), f"the {which} tells others what is discreet: {word}", "take it out")


def _parts(kind: str, text: str, longest: Mapping[str, str]) -> Iterator[Flaw]:
    parts, most = count_parts(longest_sms(kind, text, longest)), parts_max(kind)
    if parts > most:
        what = f"an SMS in up to {parts} parts, of at most {most}"
        yield Flaw("", (), what, "make it shorter, or leave out {place} or {procedure}")
