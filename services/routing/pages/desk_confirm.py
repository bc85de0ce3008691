"""The person confirms at the counter, on the tablet or on paper; and what was confirmed, for the town's own system."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.commands.desk import confirm_at_desk, look_at_desk, read_desk, show_to_person
from services.routing.domain.desk import (
    SIGNATURE,
    SIGNATURE_HEIGHT,
    SIGNATURE_MAX_LENGTH,
    SIGNATURE_WIDTH,
    read_signature,
)
from services.routing.keys import Keys
from services.routing.pages.desk import pack_shown, told_on_desk
from services.routing.pages.item_fields import item_name, show_value
from services.routing.pages.office import OFFICE, OFFICE_AND_COUNTER
from services.routing.pages.office_papers import ExportedItem, exported_items
from services.routing.pages.online_case import read_versions
from services.routing.pages.open_data import make_qr
from services.routing.pages.prepared import LARGE
from services.routing.queries.catalogue import get_town
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.pages import page, see_other

SCHEMA_PATH = "/office/confirmed-case.schema.json"

Req = Request[Any, Any, Any]


class ExportedConfirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What a person confirmed at a counter, as its office has it; without what is held back of a protected person."""

    schema: str = msgspec.field(name="$schema")
    municipality: str
    number: str
    procedure: str
    procedure_name: str
    office: str
    how: str
    confirmed_at: datetime
    items: tuple[ExportedItem, ...]


@get("/office/cases/{case_id:str}/confirm", guards=OFFICE_AND_COUNTER)
async def show_confirm(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """For the person who holds the tablet: their own values in large type, and nothing else."""
    case = parse_uuid(case_id, code="case_unknown")
    try:
        async with db.begin(identity.municipality) as session:
            desk, values = await show_to_person(session, keys.vault, identity=identity, case_id=case, now=now)
    except Refusal as refusal:
        return await told_on_desk(request, db, keys, identity, case, refusal, now=now)
    return page(
        request,
        "desk_confirm.html",
        text_size=LARGE,
        base=f"/office/cases/{case}",
        case_number=desk.case.number,
        procedure_name=desk.procedure.name_ja,
        rows=[{"term": item_name(key), "text": show_value(key, value)} for key, value in values.items()],
        shown=pack_shown(desk.versions),
        width=SIGNATURE_WIDTH,
        height=SIGNATURE_HEIGHT,
        signature_max_length=SIGNATURE_MAX_LENGTH,
    )


@post("/office/cases/{case_id:str}/confirm", guards=OFFICE_AND_COUNTER)
async def post_confirm(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """これでよい: on the tablet; or staff hold the paper that was signed."""
    case, form = parse_uuid(case_id, code="case_unknown"), Form(await read_form(request))
    on_paper = form.value("how") == "paper"
    try:
        async with db.begin(identity.municipality) as session:
            await confirm_at_desk(
                session,
                keys.vault,
                identity=identity,
                case_id=case,
                shown=read_versions(form.value("shown")),
                how="paper" if on_paper else "tablet",
                signature="" if on_paper else read_signature(form.value("signature")),
                now=now,
            )
    except Refusal as refusal:
        if not on_paper and refusal.code == "desk_moved":
            # The person holds the tablet: staff read what happened on their own page.
            return see_other(f"/office/cases/{case}/confirmed")
        return await told_on_desk(request, db, keys, identity, case, refusal, now=now)
    return see_other(f"/office/cases/{case}/{'desk' if on_paper else 'confirmed'}")


@get("/office/cases/{case_id:str}/confirmed", guards=OFFICE_AND_COUNTER)
async def show_confirmed(
    request: Req, case_id: FromPath[str], db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """The person gives the tablet back: confirmed, or something is not right. Nobody's values."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        desk = await read_desk(session, identity, case)
    return page(
        request,
        "desk_confirmed.html",
        text_size=LARGE,
        base=f"/office/cases/{case}",
        case_number=desk.case.number,
        is_confirmed=desk.confirmation is not None,
    )


@get("/office/cases/{case_id:str}/desk/print", guards=OFFICE_AND_COUNTER)
async def show_desk_print(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template:
    """For the person to read and sign on paper; once confirmed, the copy of it."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        desk, seen = await look_at_desk(
            session, keys.vault, identity=identity, case_id=case, where="desk_print", now=now
        )
    signature = next((item.value for item in seen if item.key == SIGNATURE), "")
    return page(
        request,
        "desk_print.html",
        text_size=LARGE,
        base=f"/office/cases/{case}",
        case_number=desk.case.number,
        procedure_name=desk.procedure.name_ja,
        confirmation=desk.confirmation,
        rows=[
            {"term": item_name(item.key), "text": show_value(item.key, item.value)}
            for item in seen
            if item.key != SIGNATURE
        ],
        signature=read_signature(signature),
        width=SIGNATURE_WIDTH,
        height=SIGNATURE_HEIGHT,
        qr=make_qr(desk.case.number),
        printed_at=now,
    )


@get("/office/cases/{case_id:str}/desk/export.json", guards=OFFICE)
async def get_desk_export(
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Response[bytes]:
    """What was confirmed as data, in the form that `SCHEMA_PATH` describes."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        desk, seen = await look_at_desk(
            session, keys.vault, identity=identity, case_id=case, where="desk_export", now=now
        )
        town = await get_town(session, identity.municipality)
    exported = ExportedConfirmation(
        schema=SCHEMA_PATH,
        municipality=identity.municipality,
        number=desk.case.number,
        procedure=desk.procedure.code,
        procedure_name=desk.procedure.name_ja,
        office=desk.confirmation.office,
        how=desk.confirmation.how,
        confirmed_at=desk.confirmation.confirmed_at,
        items=exported_items(seen, town),
    )
    return Response(
        msgspec.json.encode(exported),
        media_type="application/json",
        headers={
            "content-disposition": f'attachment; filename="case-{desk.case.number}.json"',
            "cache-control": "no-store",
        },
    )


@get(SCHEMA_PATH, guards=OFFICE)
async def get_desk_schema() -> Response[bytes]:
    """The JSON Schema of what was confirmed."""
    schema = msgspec.json.schema(ExportedConfirmation) | {"$id": SCHEMA_PATH}
    return Response(msgspec.json.encode(schema), media_type="application/schema+json")
