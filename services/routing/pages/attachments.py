"""Photos and documents of a case: put in one by one, taken out, exchanged. Nothing of it needs JavaScript."""

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.routing.attachments.clean import FILE_MAX_BYTES, PAGES_MAX
from services.routing.attachments.receiving import Receiving
from services.routing.commands.attachments import add_file, list_attached, open_files, remove_file
from services.routing.commands.cases import get_own_case
from services.routing.commands.correcting import read_asked
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.looking_at_files import open_own_file
from services.routing.commands.online import OnlineCase, get_online_case
from services.routing.commands.open_pages import note_page
from services.routing.commands.vault import STEP_FORM, Use, read_values, seen_again
from services.routing.domain.attachments import FILES_PER_CASE_MAX, LABEL_MAX_LENGTH, ListedFile
from services.routing.keys import Keys
from services.routing.pages.file_wording import MEGABYTE, attached_name, file_response, file_rows
from services.routing.pages.online_case import elsewhere_of
from services.routing.pages.tries import Tries
from services.routing.pages.wording import REFUSALS
from services.routing.queries.catalogue import get_town
from services.routing.tables import SERVICE
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, parse_uuid
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other

# The file, and what is sent beside it.
BODY_MAX_BYTES = FILE_MAX_BYTES + 65_536
# What is too large is read to its end and thrown away, so that the browser hears why; but not without end.
THROWN_AWAY_MAX_BYTES = 100 * 1024 * 1024
READING_MAX_S = 120.0
# Phones turn what they take with their own camera into one of these.
ACCEPT = "image/jpeg,image/png,image/webp,application/pdf"
PREFIX = "attachment_"

Req = Request[Any, Any, Any]


@get("/cases/{case_id:str}/attachments", guards=[require_visitor])
async def show_attachments(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """What is attached so far, and the fields for more."""
    return await _attachments_page(request, parse_uuid(case_id, code="case_unknown"), db, identity, keys, now=now)


@post("/cases/{case_id:str}/attachments", guards=[require_visitor], request_max_body_size=THROWN_AWAY_MAX_BYTES)
async def post_attachment(
    request: Req,
    case_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
    tries: NamedDependency[Tries],
    receiving: NamedDependency[Receiving],
) -> Template | Redirect:
    """One file more, or instead of another. What is wrong with it is told at its field; what was there stays."""
    case = parse_uuid(case_id, code="case_unknown")
    address = network_of_visitor(request)
    tries.count_file(identity.municipality, address, identity.ref)
    async with db.begin(identity.municipality) as session:
        # Before a byte of it is read.
        await get_own_case(session, identity, case, now=now)
    form, item = Form({}), ""
    try:
        async with receiving.receiving(address):
            form, data = await _read(request)
            item = form.value("item")
            label = form.text("label", max_length=LABEL_MAX_LENGTH, required=False)
            send_key = parse_uuid(form.value("idempotency_key"), code="form_unreadable", status=400)
            replaces = parse_uuid(form.value("replace"), code="attachment_unknown") if form.value("replace") else None
            async with db.begin(identity.municipality) as session:
                online = await get_online_case(session, identity, case, now=now)
                if (elsewhere := _elsewhere_of(online)) is not None:
                    return elsewhere
                # Before anything is made of the file.
                await list_attached(session, identity, case, now=now)
            if data is None:
                form.errors["file"] = _("ファイルを選んでから、押してください。")
            if data is not None and form.ok:
                # No transaction is open while the file is looked at.
                cleaned = await receiving.take(data)
                async with db.begin(identity.municipality) as session:
                    await add_file(
                        session,
                        keys.vault,
                        identity=identity,
                        case_id=case,
                        key=item,
                        cleaned=cleaned,
                        label=label,
                        send_key=send_key,
                        replaces=replaces,
                        now=now,
                    )
                return see_other(f"/cases/{case}/attachments#g-{item}")
    except Refusal as refusal:
        if not refusal.code.startswith(PREFIX) or refusal.code == "attachment_unknown":
            raise
        return await _attachments_page(request, case, db, identity, keys, now=now, form=form, refusal=refusal)
    return await _attachments_page(request, case, db, identity, keys, now=now, form=form)


@get("/cases/{case_id:str}/attachments/{file_id:str}", guards=[require_visitor])
async def get_file(
    case_id: FromPath[str],
    file_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Response[bytes]:
    """One's own file, as it is kept."""
    async with db.begin(identity.municipality) as session:
        file, body = await open_own_file(
            session,
            keys.vault,
            identity=identity,
            case_id=parse_uuid(case_id, code="case_unknown"),
            file_id=parse_uuid(file_id, code="attachment_unknown"),
            now=now,
        )
    return file_response(file, body)


@post("/cases/{case_id:str}/attachments/{file_id:str}/remove", guards=[require_visitor])
async def post_remove(
    case_id: FromPath[str],
    file_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Redirect:
    """Take a file out. It is gone, unless it was sent."""
    case = parse_uuid(case_id, code="case_unknown")
    async with db.begin(identity.municipality) as session:
        await remove_file(
            session,
            keys.vault,
            identity=identity,
            case_id=case,
            file_id=parse_uuid(file_id, code="attachment_unknown"),
            now=now,
        )
    return see_other(f"/cases/{case}/attachments")


@get("/cases/{case_id:str}/attachments/{file_id:str}/remove", guards=[require_visitor])
async def get_remove_address(case_id: FromPath[str]) -> Redirect:
    """Where the button is sent, opened as a page."""
    return see_other(f"/cases/{quote(case_id)}/attachments")


def _elsewhere_of(online: OnlineCase) -> Redirect | None:
    """Whoever comes to a counter brings the thing itself: it is looked at there, and given back."""
    if online.is_draft:
        return see_other(f"/cases/{online.case_id}/prepared")
    return elsewhere_of(online)


async def _read(request: Req) -> tuple[Form, bytes | None]:
    """The fields of the form, and the file: none if none was chosen. Its name and what its sender calls it are not
    looked at.

    Raises:
        Refusal: `form_unreadable` (400), `attachment_too_large` (413).
    """
    kind, _options = request.content_type
    if kind != RequestEncodingType.MULTI_PART:
        raise Refusal("form_unreadable", 400)
    try:
        async with asyncio.timeout(READING_MAX_S):
            if request.content_length is None or request.content_length > BODY_MAX_BYTES:
                async for _chunk in request.stream():
                    pass
                raise Refusal("attachment_too_large", 413)
            sent = await request.form()
            return await _fields_of(list(sent.multi_items()))
    except (TimeoutError, ValueError, LookupError) as error:
        raise Refusal("form_unreadable", 400) from error


async def _fields_of(pairs: list[tuple[str, Any]]) -> tuple[Form, bytes | None]:
    files = [(name, value) for name, value in pairs if isinstance(value, UploadFile)]
    try:
        if [name for name, _file in files] not in ([], ["file"]):
            raise Refusal("form_unreadable", 400)
        data = await files[0][1].read(FILE_MAX_BYTES + 1) if files else None
    finally:
        for _name, file in files:
            await file.close()
    if data is not None and len(data) > FILE_MAX_BYTES:
        raise Refusal("attachment_too_large", 413)
    return Form({name: value for name, value in pairs if isinstance(value, str)}), data


async def _attachments_page(
    request: Req,
    case_id: UUID,
    db: Database,
    identity: Identity,
    keys: Keys,
    *,
    now: datetime,
    form: Form | None = None,
    refusal: Refusal | None = None,
) -> Template | Redirect:
    async with db.begin(identity.municipality) as session:
        online = await get_online_case(session, identity, case_id, now=now)
        if (elsewhere := _elsewhere_of(online)) is not None:
            return elsewhere
        if not online.attached:
            return see_other(online.check_page)
        await note_page(session, identity.municipality, case_id, "attach")
        town = await get_town(session, identity.municipality)
        subject_ref, versions, files = await list_attached(session, identity, case_id, now=now)
        opened = []
        if files and subject_ref is not None:
            await record_deed(session, identity, "view_attachments", case_id, now=now)
            use = Use(
                entry_type="previewed",
                case_id=case_id,
                procedure=online.procedure,
                target_service=SERVICE,
                target_step=STEP_FORM,
                purpose=PURPOSE_APPLY,
                outcome="own_form",
            )
            values = await read_values(
                session,
                keys.vault,
                identity=identity,
                subject_ref=subject_ref,
                keys=tuple(versions),
                use=seen_again(identity, use),
                versions=versions,
                now=now,
            )
            shown = {key: value.value for key, value in values.items()}
            opened = await open_files(session, keys.vault, identity.municipality, subject_ref, shown)
        asked = await read_asked(session, keys.vault, identity=identity, case_id=case_id, now=now)
    rows = file_rows(opened, f"/cases/{case_id}/attachments")
    errors = dict(form.errors) if form else {}
    if refusal is not None:
        words = REFUSALS[refusal.code]
        errors["file"] = f"{translate(words.title)}。{translate(words.advice)}"
    at = form.value("item") if form and form.value("item") in online.attached else online.attached[0]
    return page(
        request,
        "attachments.html",
        status=refusal.status if refusal else 422 if errors else 200,
        behalf=online.behalf,
        case=online,
        groups=[
            {
                "item": key,
                "label": attached_name(key, town.things),
                "files": [row | {"send_key": str(uuid4())} for row in rows.get(key) or _held_back(files.get(key, []))],
                "asked": asked.get(key),
                "errors": errors if key == at else {},
                "label_typed": form.value("label") if form and key == at else "",
                "idempotency_key": str(uuid4()),
            }
            for key in online.attached
        ],
        errors={f"{name}-{at}": text for name, text in errors.items()},
        is_full=sum(map(len, files.values())) >= FILES_PER_CASE_MAX,
        files_max=FILES_PER_CASE_MAX,
        megabytes_max=FILE_MAX_BYTES // MEGABYTE,
        pages_max=PAGES_MAX,
        label_max_length=LABEL_MAX_LENGTH,
        accept=ACCEPT,
    )


def _held_back(files: list[ListedFile]) -> list[dict[str, Any]]:
    """Of a protected person: that something is there, and not what."""
    return [{"file_id": file.file_id, "name": _("入れてあります"), "label": "", "about": "", "href": None, "src": None}
            for file in files]  # fmt: skip
