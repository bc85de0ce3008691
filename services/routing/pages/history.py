"""「わたしの情報のやりとり履歴」: who used which of the visitor's items, to read, to print and to keep."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.routing.domain.catalogue import is_code
from services.routing.pages.history_wording import HistoryLine, Names, history_lines
from services.routing.pages.inquiry_wording import KINDS, STATE_LOOKS, STATES
from services.routing.pages.wording import TARGETS, item_names
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.history import HISTORY_COPY_MAX, HISTORY_PAGE, SERVICES, History, list_history
from services.routing.queries.inquiries import Listed, list_own
from services.routing.queries.mine import find_subject
from shared.clock import JST, jst_day
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate, without_readings
from shared.web.identity import require_visitor
from shared.web.pages import page
from shared.web.town_texts import town_name, town_text

PAGES_MAX = 200
OFFICE_MAX_LENGTH = 60

Req = Request[Any, Any, Any]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to see of their history; None: all of it."""

    service: str | None
    office: str | None
    procedure: str | None

    @property
    def is_any(self) -> bool:
        """Whether anything was chosen at all."""
        return any(msgspec.structs.astuple(self))

    def address(self, path: str, page_number: int = 1) -> str:
        """The same choice elsewhere."""
        asked = {name: value for name, value in msgspec.structs.asdict(self).items() if value}
        query = urlencode(asked | ({"page": str(page_number)} if page_number > 1 else {}))
        return f"{path}?{query}" if query else path


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of a history: with the names of procedures, and all that the visitor asked about it."""

    history: History
    names: Names
    inquiries: tuple[Listed, ...] = ()


@get("/my/history", guards=[require_visitor])
async def show_history(request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]) -> Template:
    """Who reused which of the visitor's items, newest first, a page at a time."""
    chosen, number = _chosen(request), _page_number(request)
    read = await _read(db, identity, chosen, skip=(number - 1) * HISTORY_PAGE, limit=HISTORY_PAGE)
    history, names = read.history, read.names
    return page(
        request,
        "history.html",
        history=history,
        days=_by_day(history_lines(history.entries, names)),
        asking={entry.entry_id: _asking(entry.entry_id, read.inquiries) for entry in history.entries},
        inquiries=[_asked(line) for line in read.inquiries if line.state != "closed"],
        over=[_asked(line) for line in read.inquiries if line.state == "closed"],
        chosen=chosen,
        service_options=[{"value": name, "label": translate(TARGETS[name])} for name in SERVICES],
        office_options=[{"value": name, "label": town_text(name)} for name in history.offices],
        procedure_options=[{"value": code, "label": _procedure_name(code, names)} for code in history.procedures],
        newer=chosen.address("/my/history", number - 1) if number > 1 else None,
        older=chosen.address("/my/history", number + 1) if history.has_more else None,
        for_print=chosen.address("/my/history/print"),
        for_keeping=chosen.address("/my/history.json"),
    )


@get("/my/history/print", guards=[require_visitor])
async def print_history(request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]) -> Template:
    """All that was chosen on one sheet after the other, at most `HISTORY_COPY_MAX` entries."""
    chosen = _chosen(request)
    read = await _read(db, identity, chosen, skip=0, limit=HISTORY_COPY_MAX)
    history, names = read.history, read.names
    words = [translate(TARGETS[chosen.service]) if chosen.service else "", town_text(chosen.office or "")]
    words += [_procedure_name(chosen.procedure, names) if chosen.procedure else ""]
    return page(
        request,
        "history_print.html",
        history=history,
        days=_by_day(history_lines(history.entries, names)),
        chosen_words=[word for word in words if word],
        back=chosen.address("/my/history"),
    )


@get("/my/history.json", guards=[require_visitor])
async def copy_history(
    request: Req,
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    """The same as a file to keep: names of items, no values."""
    read = await _read(db, identity, _chosen(request), skip=0, limit=HISTORY_COPY_MAX)
    history, names = read.history, read.names
    with without_readings():
        entries = [
            {**msgspec.to_builtins(entry), "item_names": item_names(entry.items), "sentence": line.sentence}
            for entry, line in zip(history.entries, history_lines(history.entries, names), strict=True)
        ]
    copy = {
        "municipality": identity.municipality,
        "as_of": now.astimezone(JST),
        "first_at": history.first_at,
        "last_at": history.last_at,
        "total": history.total,
        "spared_items": history.spared_items,
        "not_yet_listed": history.pending,
        "entries": entries,
    }
    return Response(
        msgspec.json.format(msgspec.json.encode(copy)),
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="history.json"'},
    )


async def _read(db: Database, identity: Identity, chosen: Chosen, *, skip: int, limit: int) -> Read:
    async with db.begin(identity.municipality) as session:
        family = await list_persons(session, identity)
        subject_ref = await find_subject(session, identity) or next(iter(family), None)
        names = await procedure_names(session, identity.municipality)
        if subject_ref is None:
            return Read(history=History(), names=names)
        history = await list_history(
            session,
            identity.municipality,
            subject_ref,
            family=family,
            service=chosen.service,
            office=chosen.office,
            procedure=chosen.procedure,
            skip=skip,
            limit=limit,
        )
        inquiries = await list_own(session, identity.municipality, [subject_ref, *family])
    return Read(history=history, names=names, inquiries=tuple(inquiries))


def _asked(line: Listed) -> dict[str, Any]:
    return {
        "href": f"/my/inquiries/{line.number}",
        "number": line.number,
        "kind": translate(KINDS[line.kind]),
        "state": translate(STATES[line.state]),
        "look": STATE_LOOKS[line.state],
        "asked_at": line.asked_at,
    }


def _asking(entry_id: UUID, inquiries: Sequence[Listed]) -> dict[str, Any]:
    """What was asked about an entry, and what can be."""
    about = [line for line in inquiries if line.entry_id == entry_id and line.state != "closed"]
    asked = {line.kind for line in about}
    return {
        "asked": [_asked(line) for line in about],
        "kinds": [
            {"href": f"/my/history/{entry_id}/{kind}", "label": translate(KINDS[kind])}
            for kind in KINDS
            if kind not in asked
        ],
    }


def _by_day(lines: Sequence[HistoryLine]) -> list[tuple[date, list[HistoryLine]]]:
    """Newest first, as they come."""
    return [(day, list(group)) for day, group in groupby(lines, key=lambda line: jst_day(line.occurred_at))]


def _procedure_name(code: str, names: Names) -> str:
    return town_name(names[code][0]) if code in names else code


def _chosen(request: Req) -> Chosen:
    """The filters asked for; what is not one of ours is no filter."""
    service, procedure = request.query_params.get("service"), request.query_params.get("procedure", "")
    office = request.query_params.get("office", "")[:OFFICE_MAX_LENGTH].replace("\x00", "")
    return Chosen(
        service=service if service in SERVICES else None,
        office=office or None,
        procedure=procedure if is_code(procedure) else None,
    )


def _page_number(request: Req) -> int:
    text = request.query_params.get("page", "1")
    return min(max(int(text), 1), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) < 6 else 1
