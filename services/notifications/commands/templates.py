"""A town's own texts: drafted, published, and gone back to. Nothing that was written is written over."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.queries_of_templates import (
    LANGUAGES,
    Cell,
    Standing,
    TownFacts,
    find_version,
    read_facts,
    read_standings,
)
from services.notifications.tables import template_version
from shared.audit import record_deed
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack.checking_texts import flaws_of_languages, flaws_of_text
from shared.town_pack.problems import Flaw
from shared.town_pack.templates import channels_of

# What is wrong, at each text.
Flaws = dict[Cell, list[Flaw]]


async def save_texts(
    session: AsyncSession,
    identity: Identity,
    kind: str,
    office: str,
    texts: Mapping[Cell, str],
    *,
    seen: Mapping[Cell, int],
    now: datetime,
) -> Flaws:
    """Keep what was written as a draft: a new version of each text that has changed; or nothing, and what is wrong.

    `seen` is the newest version of each text that whoever wrote it had before their eyes (0: none).

    Raises:
        Refusal: `not_found` (404) office; `templates_moved` (409), somebody else wrote meanwhile.
    """
    facts = await read_office(session, identity.municipality, office)
    standings = await read_standings(session, identity.municipality, kind, office)
    changed = {cell: text for cell, text in texts.items() if text != newest_text(standings.get(cell))}
    flaws = flaws_of_texts(kind, changed, facts)
    if flaws:
        return flaws
    if any(newest_version(standings.get(cell)) != seen.get(cell, 0) for cell in changed):
        raise Refusal("templates_moved", 409)
    if changed:
        await _add(session, identity, kind, office, changed, standings, now=now)
        await record_deed(session, identity, "template_saved", ref_of(kind, office), now=now)
    return {}


async def go_back(
    session: AsyncSession, identity: Identity, kind: str, office: str, cell: Cell, version: int, *, now: datetime
) -> None:
    """Draft an earlier version once more: as a new one, which is published like any other.

    Raises:
        Refusal: `not_found` (404); `templates_moved` (409), somebody else wrote at this moment.
    """
    town = identity.municipality
    earlier = await find_version(session, town, kind, office, cell, version)
    if earlier is None:
        raise Refusal("not_found", 404)
    standings = await read_standings(session, town, kind, office)
    if newest_text(standings.get(cell)) == earlier.text:
        return
    await _add(session, identity, kind, office, {cell: earlier.text}, standings, now=now)
    await record_deed(session, identity, "template_taken_back", ref_of(kind, office), version=version, now=now)


async def publish_texts(
    session: AsyncSession, identity: Identity, kind: str, office: str, *, seen: Mapping[Cell, int], now: datetime
) -> None:
    """Have people told what was drafted, from the next notice on. `seen` are the drafts that were looked at.

    Raises:
        Refusal: `not_found` (404) office; `templates_moved` (409), there are other drafts by now; `templates_flawed`
            (422), they cannot be sent.
    """
    facts = await read_office(session, identity.municipality, office)
    standings = await read_standings(session, identity.municipality, kind, office)
    drafts = drafts_of(standings)
    if not drafts or {cell: standing.newest.version for cell, standing in drafts.items()} != dict(seen):
        raise Refusal("templates_moved", 409)
    if flaws_of_drafts(kind, standings, facts):
        raise Refusal("templates_flawed", 422)
    table = template_version.c
    published = await session.execute(
        update(template_version)
        .where(table.municipality == identity.municipality, table.kind == kind, table.office == office)
        .where(
            tuple_(table.channel, table.language, table.version).in_([(*cell, seen[cell]) for cell in drafts]),
            table.published_at.is_(None),
        )
        .values(published_by=identity.ref, published_at=now)
        .returning(table.version)
    )
    # Two press at once: the second is told that it was done.
    if len(published.all()) != len(drafts):
        raise Refusal("templates_moved", 409)
    await record_deed(session, identity, "template_published", ref_of(kind, office), now=now)


async def read_office(session: AsyncSession, municipality: str, office: str) -> TownFacts:
    """What is known of the town; its texts are of all offices ('') or of one that it has.

    Raises:
        Refusal: `not_found` (404), it has no such office.
    """
    facts = await read_facts(session, municipality)
    if office and office not in facts.offices:
        raise Refusal("not_found", 404)
    return facts


def flaws_of_texts(kind: str, texts: Mapping[Cell, str], facts: TownFacts) -> Flaws:
    """What is wrong with texts by themselves; an empty one says nothing, and nothing is wrong with it."""
    known = facts.known()
    found = {cell: list(flaws_of_text(kind, cell[0], text, known)) for cell, text in texts.items() if text}
    return {cell: flaws for cell, flaws in found.items() if flaws}


def flaws_of_drafts(kind: str, standings: Mapping[Cell, Standing], facts: TownFacts) -> Flaws:
    """What keeps the drafts from being published."""
    flaws = flaws_of_texts(kind, {cell: standing.newest.text for cell, standing in standings.items()}, facts)
    for channel in channels_of(kind):
        said = {language: newest_text(standings.get((channel, language))) for language in LANGUAGES}
        for language, flaw in flaws_of_languages(channel, said):
            flaws.setdefault((channel, language), []).append(flaw)
    return flaws


def drafts_of(standings: Mapping[Cell, Standing]) -> dict[Cell, Standing]:
    """Those that would say something else."""
    return {cell: standing for cell, standing in standings.items() if standing.is_drafted}


def newest_text(standing: Standing | None) -> str:
    """What a text says as it was last written."""
    return standing.newest.text if standing else ""


def newest_version(standing: Standing | None) -> int:
    """The number of a text's newest version; 0: nobody wrote it yet."""
    return standing.newest.version if standing else 0


def ref_of(kind: str, office: str) -> str:
    """What a deed is about."""
    return f"{kind}/{office}" if office else kind


async def _add(
    session: AsyncSession,
    identity: Identity,
    kind: str,
    office: str,
    texts: Mapping[Cell, str],
    standings: Mapping[Cell, Standing],
    *,
    now: datetime,
) -> None:
    rows: Sequence[dict[str, object]] = [
        {
            "municipality": identity.municipality,
            "kind": kind,
            "office": office,
            "channel": channel,
            "language": language,
            "version": newest_version(standings.get((channel, language))) + 1,
            "text": text,
            "saved_by": identity.ref,
            "saved_at": now,
        }
        for (channel, language), text in sorted(texts.items())
    ]
    # Two save at once: whoever comes second finds the number taken, and is told.
    added = await session.execute(
        upsert(template_version).values(rows).on_conflict_do_nothing().returning(template_version.c.version)
    )
    if len(added.all()) != len(rows):
        raise Refusal("templates_moved", 409)
