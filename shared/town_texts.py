"""The town's own texts (names of procedures, counters and places, things to bring) in the languages of their readers.

They are looked up as ours are: the Japanese text is the key, and what is shown when there is nothing else. So services
keep and publish Japanese texts alone; every language of a town stands in one global table, beside its name.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.town_pack import TownPack
from shared.town_pack.wording import texts_of

SOURCE_LANGUAGE: Final = "ja"
TEXTS_MAX: Final = 5_000

_TEXTS = text(f"SELECT ja, easy, en FROM town.text WHERE municipality = :municipality LIMIT {TEXTS_MAX}")


class TownText(msgspec.Struct, frozen=True):
    """What a Japanese text is in the other languages of the pages; empty: it is shown in Japanese."""

    easy: str = ""
    en: str = ""


TownTexts = Mapping[str, TownText]


async def read_town_texts(session: AsyncSession, municipality: str) -> dict[str, TownText]:
    """Every text of the town that has another language."""
    rows = await session.execute(_TEXTS, {"municipality": municipality})
    return {row.ja: TownText(easy=row.easy, en=row.en) for row in rows}


def collect_texts(pack: TownPack) -> dict[str, TownText]:
    """The texts of a checked pack that have another language."""
    return {said.ja: TownText(said.easy, said.en) for said in texts_of(pack) if said.ja and (said.easy or said.en)}
