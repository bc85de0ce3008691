"""An attached file, opened by the office that decides."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.routing.commands.looking_at_files import look_at_file
from services.routing.domain.protection import REASONS, Reason
from services.routing.keys import Keys
from services.routing.pages.file_wording import file_response
from services.routing.pages.office import OFFICE
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form


@get("/office/applications/{application_id:str}/attachments/{file_id:str}", guards=OFFICE)
async def get_office_file(
    application_id: FromPath[str],
    file_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Response[bytes]:
    """The file that was sent. A protected person's is not here."""
    return await _open(db, keys, identity, application_id, file_id, None, now=now)


@post("/office/applications/{application_id:str}/attachments/{file_id:str}", guards=OFFICE, status_code=200)
async def post_office_file(
    request: Request[Any, Any, Any],
    application_id: FromPath[str],
    file_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Response[bytes]:
    """A protected person's file, shown once for the reason that was chosen; each look is told."""
    why = (await read_form(request)).get("why", "")
    reason = next((reason for reason in REASONS if reason == why), None)
    if reason is None:
        raise Refusal("form_unreadable", 400)
    return await _open(db, keys, identity, application_id, file_id, reason, now=now)


async def _open(
    db: Database,
    keys: Keys,
    identity: Identity,
    application_id: str,
    file_id: str,
    reason: Reason | None,
    *,
    now: datetime,
) -> Response[bytes]:
    async with db.begin(identity.municipality) as session:
        file, body = await look_at_file(
            session,
            keys.vault,
            identity=identity,
            application_id=parse_uuid(application_id, code="application_unknown"),
            file_id=parse_uuid(file_id, code="attachment_unknown"),
            reason=reason,
            now=now,
        )
    return file_response(file, body)
