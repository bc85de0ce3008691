"""「記録の控え」: a person's entries to take home, on paper or as a file that anybody can check.

The data's way: the event that tells routing of a use brings the entry as its ledger has it; the proof stays with the
service that keeps the ledger, and the person's browser fetches it there (`app.js`), or whoever checks the file.
"""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.pages.history_wording import Names, history_lines
from services.routing.pages.open_data import PATH, in_groups, make_qr
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.mine import find_subject
from services.routing.queries.proofs import ReceiptLine, find_last_checkpoint, list_receipt
from shared.clock import JST
from shared.db import Database
from shared.ledger.receipt import receipt_root
from shared.tokens import Identity
from shared.web.i18n import without_readings
from shared.web.identity import require_visitor
from shared.web.ledger_proofs import proofs_path
from shared.web.pages import page

FILE_NAME = "receipt.json"


@get("/my/receipt", guards=[require_visitor])
async def show_receipt(
    request: Request[Any, Any, Any], db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """The paper: every entry as a sentence, and one number that stands for all of them."""
    lines, has_older, names = await _read(db, identity)
    async with db.begin(identity.municipality) as session:
        last = await find_last_checkpoint(session, identity.municipality)
    root = receipt_root(line.canonical for line in lines)
    address = f"{str(request.base_url).rstrip('/')}{PATH}"
    return page(
        request,
        "receipt.html",
        lines=history_lines([line.entry for line in lines], names),
        has_older=has_older,
        groups=in_groups(root),
        last_checkpoint_at=last,
        address=address,
        # Behind the sign, which no browser sends to a server.
        qr=make_qr(f"{address}#receipt={root}"),
        roots_path=PATH,
        file_name=FILE_NAME,
    )


@get("/my/receipt.json", guards=[require_visitor])
async def copy_receipt(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """The file, each entry with the address of its proof. The page's script adds the proofs themselves."""
    lines, has_older, names = await _read(db, identity)
    base = str(request.base_url).rstrip("/")
    with without_readings():
        said = history_lines([line.entry for line in lines], names)
        entries = [
            {
                "service": line.entry.service,
                "entry_id": line.entry.entry_id,
                "occurred_at": line.entry.occurred_at,
                "sentence": words.sentence,
                "canonical": line.canonical,
                "proof_address": f"{base}{proofs_path(line.entry.service)}/{line.entry.entry_id}",
                "proof": None,
            }
            for line, words in zip(lines, said, strict=True)
        ]
    copy = {
        "municipality": identity.municipality,
        "as_of": now.astimezone(JST),
        "roots_address": f"{base}{PATH}/checkpoints.json",
        "receipt_root": receipt_root(line.canonical for line in lines),
        "has_older": has_older,
        "entries": entries,
    }
    return Response(
        msgspec.json.format(msgspec.json.encode(copy)),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{FILE_NAME}"'},
    )


async def _read(db: Database, identity: Identity) -> tuple[list[ReceiptLine], bool, Names]:
    async with db.begin(identity.municipality) as session:
        family = await list_persons(session, identity)
        subject_ref = await find_subject(session, identity) or next(iter(family), None)
        names = await procedure_names(session, identity.municipality)
        if subject_ref is None:
            return [], False, names
        lines, has_older = await list_receipt(session, identity.municipality, subject_ref, family=family)
    return lines, has_older, names
