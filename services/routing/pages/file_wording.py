"""Attached files in words: what an item of them is called, what each is, and what it is on a page."""

import base64
from collections.abc import Sequence
from typing import Any

from litestar import Response

from services.routing.commands.attachments import OpenedFile
from services.routing.domain.catalogue import Words
from services.routing.domain.items import ATTACHED_PREFIX
from services.routing.pages.item_fields import item_name
from shared.web.i18n import gettext as _
from shared.web.town_texts import town_text

MEDIA_TYPES = {"jpeg": "image/jpeg", "pdf": "application/pdf"}
ENDINGS = {"jpeg": "jpg", "pdf": "pdf"}
KILOBYTE = 1_024
MEGABYTE = KILOBYTE * KILOBYTE
# A file is only looked at: it runs nothing, loads nothing, and is no part of this site.
FILE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-store",
    "cross-origin-resource-policy": "same-origin",
}


def attached_name(key: str, things: Sequence[Words]) -> str:
    """What an item is called; of what a pack asks to attach, the town's word for it."""
    code = key.removeprefix(ATTACHED_PREFIX)
    word = next((thing.ja for thing in things if key.startswith(ATTACHED_PREFIX) and thing.code == code), None)
    return item_name(key) if word is None else town_text(word)


def file_rows(files: Sequence[OpenedFile], base: str, why: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """By item: each file with its name, what it is, where it opens, and its small picture as part of the page.

    With a reason (`why`) it opens by a press that brings it along: in an address it would be kept, and passed on.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        mine = rows.setdefault(file.key, [])
        number = len(mine) + 1
        name = _("写真%(number)s", number=number) if file.kind == "jpeg" else _("PDF%(number)s", number=number)
        mine.append(
            {
                "file_id": file.file_id,
                "name": name,
                "label": file.label,
                "about": _about(file),
                "href": f"{base}/{file.file_id}",
                "why": why,
                "src": f"data:image/jpeg;base64,{base64.b64encode(file.small).decode()}" if file.small else None,
            }
        )
    return rows


def file_response(file: OpenedFile, body: bytes) -> Response[bytes]:
    """The file itself: a picture may be shown, everything else is saved. Its name tells nothing."""
    how = "inline" if file.kind == "jpeg" else "attachment"
    name = f"file.{ENDINGS[file.kind]}"
    headers = FILE_HEADERS | {"content-disposition": f'{how}; filename="{name}"'}
    return Response(body, media_type=MEDIA_TYPES[file.kind], headers=headers)


def show_size(size: int) -> str:
    """A size for people."""
    return f"{size / MEGABYTE:.1f}MB" if size >= MEGABYTE else f"{max(1, size // KILOBYTE)}KB"


def _about(file: OpenedFile) -> str:
    size = show_size(file.size_bytes)
    return size if file.kind == "jpeg" else _("%(pages)sページ、%(size)s", pages=file.pages, size=size)
