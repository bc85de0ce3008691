"""Which page of a case its person has open: noted as it is opened, a key and nothing else."""

import re
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.online import OnlineCase
from services.routing.domain.open_pages import PAGE_PATTERN, pages_of_items, where_to_begin

_PAGE = re.compile(PAGE_PATTERN)
# Opened again it is as it was: nothing is written, and nobody waits.
_NOTE = text("""
    UPDATE case_file SET open_page = :page
    WHERE (municipality, case_id) = (:municipality, :case_id) AND open_page IS DISTINCT FROM :page
""")


async def note_page(session: AsyncSession, municipality: str, case_id: UUID, page: str | None) -> None:
    """The person looks at this page of their case. Neither its version nor its time changes: nothing was said in it."""
    if page is not None and _PAGE.fullmatch(page):
        await session.execute(_NOTE, {"municipality": municipality, "case_id": case_id, "page": page})


async def note_form(session: AsyncSession, municipality: str, online: OnlineCase) -> None:
    """The person opens the form: they go on where something is left."""
    page = where_to_begin(online.form, online.needed, online.settled)
    await note_page(session, municipality, online.case_id, page)


async def note_item(session: AsyncSession, municipality: str, online: OnlineCase, item: str) -> None:
    """The person is at this item of the form: which of its parts that is, is noted. Of no item of it, nothing is."""
    page = pages_of_items(online.form, online.needed).get(item)
    await note_page(session, municipality, online.case_id, page)
