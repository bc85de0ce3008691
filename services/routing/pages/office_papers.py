"""An application on paper, and as structured data for another system of the town hall: each look is told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.attachments import OpenedFile, open_files
from services.routing.commands.looking import Looked, Seen, look_at_application
from services.routing.domain.applications import WRITTEN
from services.routing.domain.catalogue import Town
from services.routing.domain.items import is_attached, parts_of, unpack_people, unpack_value
from services.routing.keys import Keys
from services.routing.pages.applications import step_lines
from services.routing.pages.file_wording import MEDIA_TYPES, attached_name, file_rows
from services.routing.pages.office import OFFICE, given_rows
from services.routing.pages.office_panel import work_panel, written_parts
from services.routing.pages.office_wording import OFFICE_STATES
from services.routing.queries.catalogue import get_town, procedure_names
from services.routing.queries.office import get_rule
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import translate
from shared.web.pages import page

SCHEMA_PATH = "/office/application.schema.json"
# People of an item are a list; everything else is as it was typed and checked.
Parts = dict[str, str | list[dict[str, str]]]


class ExportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """An attached file, as it is kept: where it is fetched (each time is told to its person), and its hash."""

    path: str
    media_type: str
    label: str
    size_bytes: int
    pages: int
    sha256: str


class ExportedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A data item: `parts` by name, `value` where there is one alone; days are ISO 8601, phones E.164. Or `files`."""

    key: str
    name: str
    parts: Parts
    collected_in: str
    collected_at: datetime
    files: tuple[ExportedFile, ...] = ()


class ExportedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state that the application reached."""

    state: str
    occurred_at: datetime


class ExportedApplication(msgspec.Struct, frozen=True, kw_only=True):
    """An online application (申請) as its office has it. What is held back of a protected person is not in it."""

    schema: str = msgspec.field(name="$schema")
    municipality: str
    number: str
    procedure: str
    procedure_name: str
    office: str
    state: str
    submitted_at: datetime
    due_at: datetime | None
    items: tuple[ExportedItem, ...]
    steps: tuple[ExportedStep, ...]


@get("/office/applications/{application_id:str}/print", guards=OFFICE)
async def show_print(
    request: Request[Any, Any, Any],
    application_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """The application for paper, with room for the seals of those who decide (決裁)."""
    async with db.begin(identity.municipality) as session:
        looked = await look_at_application(
            session,
            keys.vault,
            identity=identity,
            application_id=parse_uuid(application_id, code="application_unknown"),
            where="office_print",
            now=now,
        )
        names = await procedure_names(session, identity.municipality)
        town = await get_town(session, identity.municipality)
        files = await _files_of(session, keys, looked)
        rule = await get_rule(session, identity.municipality, looked.row.procedure)
        work = await work_panel(session, identity, looked.row, rule, now=now)
    row = looked.row
    return page(
        request,
        "office_print.html",
        application=row,
        procedure_name=names[row.procedure][0] if row.procedure in names else row.procedure,
        state=translate(OFFICE_STATES[row.state]),
        rows=given_rows(
            [item for item in looked.items if item.key not in WRITTEN.values()],
            names,
            town=town,
            files=file_rows(files, f"/office/applications/{row.application_id}/attachments"),
        ),
        written=written_parts(looked.items),
        steps=step_lines(looked.steps),
        work=work,
        printed_at=now,
    )


@get("/office/applications/{application_id:str}/export.json", guards=OFFICE)
async def get_export(
    application_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Response[bytes]:
    """The application as data, in the form that `SCHEMA_PATH` describes."""
    async with db.begin(identity.municipality) as session:
        looked = await look_at_application(
            session,
            keys.vault,
            identity=identity,
            application_id=parse_uuid(application_id, code="application_unknown"),
            where="office_export",
            now=now,
        )
        names = await procedure_names(session, identity.municipality)
        town = await get_town(session, identity.municipality)
        files = await _files_of(session, keys, looked)
    return Response(
        msgspec.json.encode(_exported(looked, names, town, files)),
        media_type="application/json",
        headers={
            "content-disposition": f'attachment; filename="application-{looked.row.number}.json"',
            "cache-control": "no-store",
        },
    )


@get(SCHEMA_PATH, guards=OFFICE)
async def get_schema() -> Response[bytes]:
    """The JSON Schema of an exported application."""
    schema = msgspec.json.schema(ExportedApplication) | {"$id": SCHEMA_PATH}
    return Response(msgspec.json.encode(schema), media_type="application/schema+json")


async def _files_of(session: AsyncSession, keys: Keys, looked: Looked) -> list[OpenedFile]:
    row, values = looked.row, {item.key: item.value for item in looked.items}
    return await open_files(session, keys.vault, row.municipality, row.subject_ref, values)


def _exported(
    looked: Looked, names: dict[str, tuple[str, str]], town: Town, files: Sequence[OpenedFile]
) -> ExportedApplication:
    row = looked.row
    return ExportedApplication(
        schema=SCHEMA_PATH,
        municipality=row.municipality,
        number=row.number,
        procedure=row.procedure,
        procedure_name=names[row.procedure][0] if row.procedure in names else row.procedure,
        office=row.office,
        state=row.state,
        submitted_at=row.submitted_at,
        due_at=row.due_at,
        items=exported_items(looked.items, town, row.application_id, files),
        steps=tuple(ExportedStep(state=step.state, occurred_at=step.occurred_at) for step in reversed(looked.steps)),
    )


def exported_items(
    items: Sequence[Seen], town: Town, application_id: UUID | None = None, files: Sequence[OpenedFile] = ()
) -> tuple[ExportedItem, ...]:
    """What the person gave, with the files of an application; what the office wrote to them is none of it."""
    return tuple(
        ExportedItem(
            key=item.key,
            name=attached_name(item.key, town.things),
            parts={} if is_attached(item.key) else _parts(item.key, item.value),
            files=tuple(
                _exported_file(application_id, file) for file in files if application_id and file.key == item.key
            ),
            collected_in=item.procedure,
            collected_at=item.collected_at,
        )
        for item in items
        if item.key not in WRITTEN.values()
    )


def _exported_file(application_id: UUID, file: OpenedFile) -> ExportedFile:
    return ExportedFile(
        path=f"/office/applications/{application_id}/attachments/{file.file_id}",
        media_type=MEDIA_TYPES[file.kind],
        label=file.label,
        size_bytes=file.size_bytes,
        pages=file.pages,
        sha256=file.sha256,
    )


def _parts(item: str, value: str) -> Parts:
    people = {part.name for part in parts_of(item) if part.each}
    return {
        name or "value": unpack_people(text) if name in people else text
        for name, text in unpack_value(item, value).items()
    }
