"""What a town says itself, as it is published: read where notices are begun."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.words import OwnText, OwnTexts, Whose, choose
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.town_pack.templates import CHANNEL_OF

# Each kind has at most so many: five channels, three languages, the town and its offices.
TEXTS_MAX = 20_000
_PUBLISHED = Prepared(f"""
    SELECT DISTINCT ON (kind, office, channel, language) kind, office, channel, language, version, text
    FROM {SERVICE}.template_version
    WHERE municipality = :municipality AND kind = ANY (CAST(:kinds AS text[])) AND published_at IS NOT NULL
    ORDER BY kind, office, channel, language, version DESC LIMIT {TEXTS_MAX}
""")
_OF_PACK = Prepared(f"""
    SELECT t.kind, t.language, t.subject, t.long, t.short, c.version
    FROM {SERVICE}.catalogue_template t JOIN {SERVICE}.catalogue_town c USING (municipality)
    WHERE municipality = :municipality AND t.kind = ANY (CAST(:kinds AS text[])) LIMIT {TEXTS_MAX}
""")


class PublishedTexts:
    """The texts of some kinds."""

    def __init__(self) -> None:
        self._texts: defaultdict[tuple[str, str], list[tuple[str, OwnText]]] = defaultdict(list)

    def add(self, kind: str, language: str, channel: str, own: OwnText) -> None:
        """Know one more."""
        self._texts[kind, language].append((channel, own))

    def of(self, notice: Any) -> OwnTexts:
        """Those for a notice: of its kind, in its reader's language, of its office and of the town."""
        return choose(self._texts.get((notice.kind, notice.language), ()), notice.office or "")


async def read_own_texts(session: AsyncSession, municipality: str, kinds: Iterable[str]) -> PublishedTexts:
    """What the town says itself of these kinds."""
    found, asked = PublishedTexts(), {"municipality": municipality, "kinds": sorted(kinds)}
    if not asked["kinds"]:
        return found
    for row in await _PUBLISHED.rows(session, asked):
        whose: Whose = "office" if row.office else "town"
        own = OwnText(whose=whose, text=row.text, office=row.office, version=row.version)
        found.add(row.kind, row.language, row.channel, own)
    for row in await _OF_PACK.rows(session, asked):
        for name, channel in CHANNEL_OF.items():
            found.add(row.kind, row.language, channel, OwnText(whose="pack", text=row[name], version=row.version))
    return found
