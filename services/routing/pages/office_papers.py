"""An application on paper, and as structured data for another system of the town hall: each look is told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from services.routing.commands.looking import Looked, Seen, look_at_application
from services.routing.domain.applications import WRITTEN
from services.routing.domain.items import ITEM_PARTS, unpack_people, unpack_value
from services.routing.keys import Keys
from services.routing.pages.applications import step_lines
from services.routing.pages.item_fields import item_name
from services.routing.pages.office import OFFICE, given_rows
from services.routing.pages.office_panel import work_panel, written_parts
from services.routing.pages.office_wording import OFFICE_STATES
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.office import get_rule
from shared.db import Database
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import translate
from shared.web.pages import page

SCHEMA_PATH = "/office/application.schema.json"
# People of an item are a list; everything else is as it was typed and checked.
Parts = dict[str, str | list[dict[str, str]]]


class ExportedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A data item. `parts` by name, `value` where there is one alone; days are ISO 8601, phones E.164."""

    key: str
    name: str
    parts: Parts
    collected_in: str
    collected_at: datetime


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
        rule = await get_rule(session, identity.municipality, looked.row.procedure)
        work = await work_panel(session, identity, looked.row, rule, now=now)
    row = looked.row
    return page(
        request,
        "office_print.html",
        application=row,
        procedure_name=names[row.procedure][0] if row.procedure in names else row.procedure,
        state=translate(OFFICE_STATES[row.state]),
        rows=given_rows([item for item in looked.items if item.key not in WRITTEN.values()], names),
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
    return Response(
        msgspec.json.encode(_exported(looked, names)),
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


def _exported(looked: Looked, names: dict[str, tuple[str, str]]) -> ExportedApplication:
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
        items=exported_items(looked.items),
        steps=tuple(ExportedStep(state=step.state, occurred_at=step.occurred_at) for step in reversed(looked.steps)),
    )


def exported_items(items: Sequence[Seen]) -> tuple[ExportedItem, ...]:
    """What the person gave; what the office wrote to them is none of it."""
    return tuple(
        ExportedItem(
            key=item.key,
            name=item_name(item.key),
            parts=_parts(item.key, item.value),
            collected_in=item.procedure,
            collected_at=item.collected_at,
        )
        for item in items
        if item.key not in WRITTEN.values()
    )


def _parts(item: str, value: str) -> Parts:
    people = {part.name for part in ITEM_PARTS.get(item, ()) if part.kind == "people"}
    return {
        name or "value": unpack_people(text) if name in people else text
        for name, text in unpack_value(item, value).items()
    }
