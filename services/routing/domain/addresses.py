"""Addresses (住所): tidied, completed from the postal code, and split into the parts that GIF names."""

import re
import unicodedata
from collections.abc import Sequence

import msgspec

# Every dash that stands between two numbers of an address is the same one.
_DASH = re.compile(r"(?<=[0-9])\s*[-‐‑‒–—―−ー─━ｰ－]\s*(?=[0-9])")
_WIDE = re.compile(r"[！-～　]")
# 中郡二宮町: people leave the county (郡) out when they say where they live.
_COUNTY = re.compile(r"^.+?郡(?=.+[町村]$)")
_WEIGHTS = (6, 5, 4, 3, 2)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a postal code stands for: an area (町字) of a municipality. `code` is 全国地方公共団体コード, six digits."""

    code: str
    prefecture: str
    city: str
    area: str

    @property
    def line(self) -> str:
        """How an address there begins."""
        return self.prefecture + self.city + self.area


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address in its parts. `code` and what follows are empty where the postal code does not tell them."""

    postal_code: str
    code: str
    prefecture: str
    city: str
    area: str
    rest: str
    building: str


def municipality_code(jis: str) -> str:
    """全国地方公共団体コード of a five-digit JIS X 0401/0402 code: with its check digit (総務省の定める検査数字)."""
    remainder = sum(int(digit) * weight for digit, weight in zip(jis, _WEIGHTS, strict=True)) % 11
    return f"{jis}{(11 - remainder) % 10}"


def tidy_line(typed: str) -> str:
    """One line of an address: digits and letters half-width, one kind of dash between numbers, single spaces."""
    narrow = _WIDE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), typed)
    return " ".join(_DASH.sub("-", narrow).split())


def complete_line(line: str, places: Sequence[Place]) -> str:
    """A tidy line from its prefecture on, where the postal code tells what was left out; else as it is."""
    for place in places:
        short_city = _COUNTY.sub("", place.city)
        if line.startswith(place.prefecture):
            return line
        if line.startswith(place.city):
            return place.prefecture + line
        if line.startswith(short_city):
            return place.prefecture + place.city + line.removeprefix(short_city)
        if place.area and line.startswith(place.area):
            return place.prefecture + place.city + line
    return line


def split_address(postal_code: str, line: str, building: str, places: Sequence[Place]) -> Address:
    """An address in its parts, by the place whose beginning fits best; a line that fits none is all `rest`."""
    complete = complete_line(line, places)
    for place in sorted(places, key=lambda known: len(known.area), reverse=True):
        if complete.startswith(place.line):
            return Address(
                postal_code=postal_code,
                code=place.code,
                prefecture=place.prefecture,
                city=place.city,
                area=place.area,
                rest=complete.removeprefix(place.line).strip(),
                building=building,
            )
    return Address(postal_code=postal_code, code="", prefecture="", city="", area="", rest=complete, building=building)
