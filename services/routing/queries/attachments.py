"""Which files there are: nothing that was sealed is in any answer."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.attachments import ListedFile
from services.routing.domain.items import is_attached
from services.routing.tables import attachment, attachment_use

# Versions of one person's items of files, with their files.
LISTED_MAX = 1_000

V = TypeVar("V")


async def list_files(
    session: AsyncSession, municipality: str, subject_ref: UUID, versions: Mapping[str, int]
) -> dict[str, list[ListedFile]]:
    """The files of items, by key: that they are there, without anything that was sealed."""
    wanted = {key: version for key, version in versions.items() if is_attached(key)}
    if not wanted:
        return {}
    rows = await session.execute(
        select(attachment, attachment_use.c.key, attachment_use.c.version)
        .join(
            attachment_use,
            (attachment_use.c.municipality == attachment.c.municipality)
            & (attachment_use.c.file_id == attachment.c.file_id),
        )
        .where(
            attachment_use.c.municipality == municipality,
            attachment_use.c.subject_ref == subject_ref,
            attachment_use.c.key.in_(wanted),
        )
        .order_by(attachment_use.c.key, attachment_use.c.version.desc(), attachment_use.c.position)
        .limit(LISTED_MAX)
    )
    found: dict[str, list[ListedFile]] = {}
    for row in rows:
        if wanted[row.key] == row.version:
            found.setdefault(row.key, []).append(_listed(row))
    return found


async def without_emptied(
    session: AsyncSession, municipality: str, subject_ref: UUID, found: Mapping[str, V], versions: Mapping[str, int]
) -> dict[str, V]:
    """What was found of items, without lists of files that were emptied: there is nothing to use of them."""
    if not any(map(is_attached, found)):
        return dict(found)
    files = await list_files(session, municipality, subject_ref, versions)
    return {key: value for key, value in found.items() if not is_attached(key) or key in files}


def _listed(row: Row[Any]) -> ListedFile:
    return ListedFile(file_id=row.file_id, kind=row.kind, size_bytes=row.size_bytes, pages=row.pages, hash=row.hash)
