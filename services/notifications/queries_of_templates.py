"""What can be asked of a town's own texts: what stands, what is drafted, and what became of each version."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.tables import (
    catalogue_counter,
    catalogue_procedure,
    catalogue_template,
    catalogue_town,
    template_version,
)
from shared.errors import Refusal
from shared.town_pack.checking_texts import Known, host_in, longest_of
from shared.town_pack.templates import CHANNEL_OF, CHANNELS, Channel
from shared.town_texts import TownTexts, read_town_texts

LANGUAGES = ("ja", "ja-easy", "en")
OFFICES_MAX, PROCEDURES_MAX, COUNTERS_MAX, HISTORY_MAX = 200, 2_000, 500, 200
TEXTS_MAX = 20_000

# One text of a kind: where it stands, and in which language.
Cell = tuple[Channel, str]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a text."""

    channel: Channel
    language: str
    version: int
    text: str
    saved_by: str
    saved_at: datetime
    published_by: str | None
    published_at: datetime | None


class Standing(msgspec.Struct, frozen=True):
    """A text's newest version, and the one that is told."""

    newest: Version
    published: Version | None

    @property
    def told(self) -> str:
        """What people are told now; empty: nothing of this place's own."""
        return self.published.text if self.published else ""

    @property
    def is_drafted(self) -> bool:
        """Whether the newest would say something else."""
        return self.newest.text != self.told


class KindStanding(msgspec.Struct, frozen=True):
    """Of a kind, whether anything is said in own words, and whether anything is drafted."""

    is_own: bool
    is_drafted: bool


class PastVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version with what was there before it."""

    made: Version
    before: str
    is_told: bool
    is_newest: bool


class TownFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What samples are made of, and what texts are checked with."""

    town: Any
    offices: tuple[str, ...]
    procedures: tuple[Any, ...]
    counters: tuple[Any, ...]
    texts: TownTexts

    def known(self) -> Known:
        """What the check has to know."""
        sites = [self.town.public_url]
        discreet = [each.name_ja for each in self.procedures if each.discreet]
        places = (f"{each.place_ja} {each.name_ja}" for each in self.counters)
        longest = longest_of(
            towns=self._said([self.town.name_ja]),
            procedures=self._said(each.name_ja for each in self.procedures),
            places=[*places, *self._said(each.place_ja for each in self.counters)],
            phone=self.town.phone,
            address=self.town.address_ja,
            sites=sites,
        )
        hosts = frozenset(filter(None, map(host_in, sites)))
        return Known(longest=longest, hosts=hosts, discreet=tuple(self._said(discreet)))

    def _said(self, texts: Iterable[str]) -> list[str]:
        """Japanese texts of the town, in every language that it has for them."""
        return [
            said
            for ja in texts
            for said in (ja, *((self.texts[ja].easy, self.texts[ja].en) if ja in self.texts else ()))
            if said
        ]


async def read_facts(session: AsyncSession, municipality: str) -> TownFacts:
    """What is known of the town.

    Raises:
        Refusal: `no_catalogue` (409), its catalogue was not published yet.
    """
    town = (await session.execute(_of(catalogue_town, municipality).limit(1))).one_or_none()
    if town is None:
        raise Refusal("no_catalogue", 409)
    procedures = (
        await session.execute(_of(catalogue_procedure, municipality).order_by("code").limit(PROCEDURES_MAX))
    ).all()
    counters = (await session.execute(_of(catalogue_counter, municipality).order_by("code").limit(COUNTERS_MAX))).all()
    offices = sorted({each.office for each in procedures if each.office})[:OFFICES_MAX]
    texts = await read_town_texts(session, municipality)
    return TownFacts(
        town=town, offices=tuple(offices), procedures=tuple(procedures), counters=tuple(counters), texts=texts
    )


async def read_standings(session: AsyncSession, municipality: str, kind: str, office: str) -> Mapping[Cell, Standing]:
    """The texts of a kind that somebody has written, of all offices ('') or of one."""
    place = (template_version.c.kind == kind, template_version.c.office == office)
    return {
        (cell[1], cell[2]): standing for cell, standing in (await _standings(session, municipality, *place)).items()
    }


async def list_kinds(session: AsyncSession, municipality: str, office: str) -> dict[str, KindStanding]:
    """How it stands with every kind of which somebody has written."""
    kinds: dict[str, KindStanding] = {}
    for (kind, _channel, _language), standing in (
        await _standings(session, municipality, template_version.c.office == office)
    ).items():
        so_far = kinds.get(kind, KindStanding(False, False))
        kinds[kind] = KindStanding(so_far.is_own or bool(standing.told), so_far.is_drafted or standing.is_drafted)
    return kinds


async def list_pack_texts(session: AsyncSession, municipality: str) -> dict[str, dict[Cell, str]]:
    """What the town's pack says, by kind."""
    found: dict[str, dict[Cell, str]] = {}
    for row in await session.execute(_of(catalogue_template, municipality).limit(TEXTS_MAX)):
        for name, channel in CHANNEL_OF.items():
            if text := row._mapping[name]:
                found.setdefault(row.kind, {})[channel, row.language] = text
    return found


async def list_versions(session: AsyncSession, municipality: str, kind: str, office: str) -> list[PastVersion]:
    """What was written of a kind, the newest first."""
    table = template_version.c
    before = func.lag(table.text, 1, "").over(partition_by=(table.channel, table.language), order_by=table.version)
    rows = await session.execute(
        select(template_version, before.label("before"))
        .where(table.municipality == municipality, table.kind == kind, table.office == office)
        .order_by(table.saved_at.desc(), table.channel, table.language, table.version.desc())
        .limit(HISTORY_MAX)
    )
    standings = await read_standings(session, municipality, kind, office)
    versions = [(_version(row), row.before) for row in rows]
    return [
        PastVersion(
            made=made,
            before=before,
            is_told=standings[made.channel, made.language].published == made,
            is_newest=standings[made.channel, made.language].newest == made,
        )
        for made, before in versions
    ]


async def find_version(
    session: AsyncSession, municipality: str, kind: str, office: str, cell: Cell, number: int
) -> Version | None:
    """One version of a text."""
    table = template_version.c
    row = await session.execute(
        _of(template_version, municipality)
        .where(table.kind == kind, table.office == office, table.channel == cell[0], table.language == cell[1])
        .where(table.version == number)
        .limit(1)
    )
    found = row.one_or_none()
    return _version(found) if found else None


async def _standings(session: AsyncSession, municipality: str, *where: Any) -> dict[tuple[str, Channel, str], Standing]:
    table = template_version.c
    cell = (table.kind, table.channel, table.language)
    newest = (
        _of(template_version, municipality).where(*where).ext(distinct_on(*cell)).order_by(*cell, table.version.desc())
    ).limit(TEXTS_MAX)
    told = newest.where(table.published_at.is_not(None))
    published = {_place(row): _version(row) for row in await session.execute(told)}
    drafted = {_place(row): _version(row) for row in await session.execute(newest)}
    return {
        place: Standing(drafted[place], published.get(place))
        for place in sorted(drafted, key=lambda each: (each[0], CHANNELS.index(each[1]), LANGUAGES.index(each[2])))
    }


def _of(table: Any, municipality: str) -> Any:
    return select(table).where(table.c.municipality == municipality)


def _place(row: Row[Any]) -> tuple[str, Channel, str]:
    return row.kind, row.channel, row.language


def _version(row: Row[Any]) -> Version:
    return Version(**{name: row._mapping[name] for name in Version.__struct_fields__})
