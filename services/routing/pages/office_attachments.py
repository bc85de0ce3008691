"""An attached file, opened by the office that decides."""

from datetime import datetime
from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from services.routing.commands.looking_at_files import look_at_file
from services.routing.domain.protection import REASONS
from services.routing.keys import Keys
from services.routing.pages.file_wording import file_response
from services.routing.pages.office import OFFICE
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid

WHY_MAX_LENGTH = 40


@get("/office/applications/{application_id:str}/attachments/{file_id:str}", guards=OFFICE)
async def get_office_file(
    application_id: FromPath[str],
    file_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    why: Annotated[str, QueryParameter(name="why", max_length=WHY_MAX_LENGTH)] = "",
) -> Response[bytes]:
    """The file that was sent. `why`: of a protected person, the reason that was chosen; each look is told."""
    async with db.begin(identity.municipality) as session:
        file, body = await look_at_file(
            session,
            keys.vault,
            identity=identity,
            application_id=parse_uuid(application_id, code="application_unknown"),
            file_id=parse_uuid(file_id, code="attachment_unknown"),
            reason=next((reason for reason in REASONS if reason == why), None),
            now=now,
        )
    return file_response(file, body)
