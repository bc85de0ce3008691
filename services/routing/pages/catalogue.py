"""`/office/catalogue`: managers edit the town pack on pages. What is saved are the files' own texts, and nobody else
sees them until they are published."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.drafts import Misfit, edit_draft
from services.routing.pages.catalogue_changes import show_field
from services.routing.pages.catalogue_fields import (
    EMPTY_ROWS,
    UNSAID,
    input_name,
    make_first_inputs,
    make_inputs,
    read_first_inputs,
    read_inputs,
    usual_values,
)
from services.routing.pages.catalogue_options import record_title
from services.routing.pages.catalogue_problems import Told, tell_flaws
from services.routing.pages.catalogue_wording import ORDER_STATES, kind_name, label_of, message_examples
from services.routing.pages.figures import MANAGER
from services.routing.queries.drafts import Draft, find_content, find_draft, find_newest_order
from services.routing.queries.office import logins_of
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack import TownPack
from shared.town_pack.merging import merge_values
from shared.town_pack.reading import examine_files
from shared.town_pack.records import (
    KINDS,
    Kind,
    add_record,
    change_record,
    children_of,
    find_by_path,
    find_record,
    key_of,
    list_records,
    path_in,
    raise_record,
    remove_record,
    split_path,
    values_of,
)
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/office/catalogue"

Req = Request[Any, Any, Any]


class Moved(Exception):
    """Somebody else changed, or took out, the record that is being saved."""

    def __init__(self, values: Mapping[str, Any], lines: list[str], *, is_gone: bool) -> None:
        self.values, self.lines, self.is_gone = values, lines, is_gone
        super().__init__("moved")


class Taken(Exception):
    """Another record has this key already."""


@get(PATH, guards=MANAGER)
async def show_catalogue(request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]) -> Template:
    """What there is to edit, how the draft stands, what is wrong with it."""
    town = identity.municipality
    async with db.begin(town) as session:
        draft = await find_draft(session, town)
        order = await find_newest_order(session, town)
        logins = await logins_of(session, town, [order.ordered_by] if order else [])
    pack, problems = meaning_of(draft)
    return page(
        request,
        "catalogue.html",
        path_of=PATH,
        draft=draft,
        order=order,
        order_state=translate(ORDER_STATES[order.state]) if order else "",
        ordered_by=logins.get(order.ordered_by, "") if order else "",
        problems=[_problem(told) for told in problems],
        kinds=[
            {
                "name": kind_name(kind, many=True),
                "href": record_path(kind, "") if kind.is_single else f"{PATH}/{kind.name}",
                "count": None if kind.is_single else len(list_records(pack, kind)),
            }
            for kind in KINDS.values()
            if not kind.parent
        ],
    )


@get(f"{PATH}/{{kind:str}}", guards=MANAGER)
async def show_records(
    request: Req, kind: FromPath[str], db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """All records of a kind."""
    wanted = _kind(kind)
    if wanted.parent or wanted.is_single:
        raise Refusal("record_unknown", 404)
    async with db.begin(identity.municipality) as session:
        draft = await find_draft(session, identity.municipality)
    pack, problems = meaning_of(draft)
    return page(
        request,
        "catalogue_list.html",
        path_of=PATH,
        title=kind_name(wanted, many=True),
        add_label=_("%(kind)sを足す", kind=kind_name(wanted)),
        listed=_listed(wanted, pack, "", problems, draft),
    )


@get(f"{PATH}/{{kind:str}}/edit", guards=MANAGER)
async def show_record(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    identity: NamedDependency[Identity],
    key: FromQuery[str] = "",
    parent: FromQuery[str] = "",
    new: FromQuery[str] = "",
) -> Template:
    """A record to fill in: what is wrong with it stands at its fields."""
    wanted = _kind(kind)
    async with db.begin(identity.municipality) as session:
        draft = await find_draft(session, identity.municipality)
    pack, problems = meaning_of(draft)
    _require_parent(wanted, pack, parent)
    record = None if new else find_record(pack, wanted, key, parent)
    if record is None and not new:
        raise Refusal("record_unknown", 404)
    values = usual_values(wanted) if record is None else values_of(wanted, record)
    mine = [told for told in problems if (told.kind, told.key, told.parent) == (wanted.name, key, parent)]
    errors: dict[str, str] = {}
    for told in mine:
        errors.setdefault(input_name(told.field), told.said)
    return _record_page(request, wanted, draft, pack, problems, key, parent, values, errors, is_new=bool(new))


@post(f"{PATH}/{{kind:str}}/edit", guards=MANAGER)
async def post_record(
    request: Req,
    kind: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Save a record, take it out, or move it up. Of two who save the same one, the second is told of the first."""
    wanted = _kind(kind)
    form = Form(await read_form(request))
    key, parent, is_new = form.value("key"), form.value("parent"), bool(form.value("new"))
    deed = form.value("deed")
    town = identity.municipality
    async with db.begin(town) as session:
        draft = await find_draft(session, town)
        pack, problems = meaning_of(draft)
        seen = await _pack_seen(session, town, form.value("seen"), pack)
    _require_parent(wanted, seen, parent)
    before = None if is_new else find_record(seen, wanted, key, parent)
    if before is None and not is_new:
        raise Refusal("record_unknown", 404)
    old = usual_values(wanted) if before is None else values_of(wanted, before)
    if deed in ("remove", "raise") and before is not None and not wanted.is_single:
        values, errors = old, dict[str, str]()
    else:
        deed = "save"
        values, errors = read_inputs(wanted, form, old)
    # A list that may not be empty begins with one.
    first, wrong = read_first_inputs(wanted, form) if is_new else ({}, {})
    errors |= wrong
    if errors:
        return _record_page(
            request, wanted, draft, pack, problems, key, parent, values | first, errors,
            is_new=is_new, status=422, seen=form.value("seen"),
        )  # fmt: skip

    def edit(files: Mapping[str, str], current: TownPack) -> Mapping[str, str]:
        _require_parent(wanted, current, parent)
        if is_new:
            _refuse_taken(wanted, current, parent, values, None)
            return add_record(files, current, wanted, values | first, parent)
        at = _key_now(wanted, seen, current, key, parent)
        theirs = None if at is None else values_of(wanted, find_record(current, wanted, at, parent))
        if at is None or theirs is None:
            raise Moved(values, [], is_gone=True)
        if theirs != old:
            merged, _both = merge_values(old, values, theirs)
            lines = [_told_line(wanted, name, old, values, theirs) for name in old if theirs[name] != old[name]]
            raise Moved(merged, lines, is_gone=False)
        if deed == "remove":
            return remove_record(files, current, wanted, at, parent)
        if deed == "raise":
            return raise_record(files, current, wanted, at, parent)
        _refuse_taken(wanted, current, parent, values, at)
        return change_record(files, current, wanted, at, values, parent)

    try:
        async with db.begin(town) as session:
            saved = await edit_draft(session, identity=identity, edit=edit, now=now)
    except (Moved, Taken, Misfit) as error:
        async with db.begin(town) as session:
            draft = await find_draft(session, town)
        pack, problems = meaning_of(draft)
        _require_parent(wanted, pack, parent)
        return _told_page(request, wanted, draft, pack, problems, key, parent, values | first, error, is_new)
    return see_other(_after(wanted, saved, deed, values, key, parent))


def _told_page(
    request: Req,
    kind: Kind,
    draft: Draft,
    pack: TownPack,
    problems: list[Told],
    key: str,
    parent: str,
    values: Mapping[str, Any],
    error: Moved | Taken | Misfit,
    is_new: bool,
) -> Template:
    """Not saved, with the reason; what was filled in is still there."""
    if isinstance(error, Moved):
        return _record_page(
            request, kind, draft, pack, problems, key, parent, error.values, {},
            is_new=error.is_gone, status=409, moved=error,
        )  # fmt: skip
    is_taken = isinstance(error, Taken)
    said = _("これは、もう使われています。べつのものにしてください。") if is_taken else _("この書き方では入りません。")
    errors = {input_name(kind.key): said}
    return _record_page(
        request, kind, draft, pack, problems, key, parent, values, errors,
        is_new=is_new, status=422,
    )  # fmt: skip


def _record_page(
    request: Req,
    kind: Kind,
    draft: Draft,
    pack: TownPack,
    problems: list[Told],
    key: str,
    parent: str,
    values: Mapping[str, Any],
    errors: Mapping[str, str],
    *,
    is_new: bool,
    status: Literal[200, 409, 422] = 200,
    seen: str = "",
    moved: Moved | None = None,
) -> Template:
    inner = [] if is_new else children_of(kind)
    shown = find_record(pack, kind, key, parent)
    title = kind_name(kind)
    if shown is not None and not kind.is_single and not is_new:
        title = f"{title}：{record_title(kind, pack, shown, 0)}"
    return page(
        request,
        "catalogue_record.html",
        status=status,
        path_of=PATH,
        action=f"{PATH}/{kind.name}/edit",
        back=_around(kind, parent) or (PATH if kind.is_single else f"{PATH}/{kind.name}"),
        title=title,
        key=key,
        parent=parent,
        is_new=is_new,
        may_remove=not is_new and not kind.is_single,
        # Whoever was told what the others did goes on from there.
        seen=seen or draft.content,
        inputs=make_inputs(kind, pack, parent, values),
        empty_rows=EMPTY_ROWS,
        unsaid=UNSAID,
        errors={name: text for name, text in errors.items() if name != input_name("")},
        whole=errors.get(input_name(""), ""),
        moved=moved,
        looks=[] if is_new else _looks(kind, shown),
        first=make_first_inputs(kind, pack, values) if is_new else [],
        lists=[
            {"title": kind_name(each, many=True), "add_label": _("%(kind)sを足す", kind=kind_name(each)),
             **_listed(each, pack, path_in(parent, key), problems, draft)}
            for each in inner
        ],
    )  # fmt: skip


def _looks(kind: Kind, record: Any) -> list[dict[str, str]]:
    """What a record becomes for residents, where no page of theirs shows it: a message, or a form."""
    if kind.name == "template" and record is not None:
        return message_examples(record)
    if kind.name == "form" and record is not None:
        return [{"title": _("見本を見る"), "href": f"{PATH}/preview/forms/{record.procedure}", "text": ""}]
    return []


def meaning_of(draft: Draft) -> tuple[TownPack, list[Told]]:
    """A draft as a pack, and what is wrong with it.

    Raises:
        Refusal: `pack_unreadable` (409).
    """
    pack, flaws = examine_files(draft.files)
    if pack is None:
        raise Refusal("pack_unreadable", 409)
    return pack, tell_flaws(flaws, pack)


def record_path(kind: Kind, key: str, parent: str = "") -> str:
    """Where a record is edited."""
    query = urlencode({name: value for name, value in (("key", key), ("parent", parent)) if value})
    return f"{PATH}/{kind.name}/edit" + (f"?{query}" if query else "")


def _around(kind: Kind, parent: str) -> str:
    """Where the record is edited in which a record stands; empty: it stands in none."""
    if not kind.parent:
        return ""
    above = KINDS[kind.parent]
    outer, key = split_path(above, parent)
    return record_path(above, key, outer)


def _problem(told: Told) -> dict[str, str]:
    href = record_path(KINDS[told.kind], told.key, told.parent) if told.kind else ""
    anchor = f"#f-{input_name(told.field)}" if told.field else ""
    return {"title": told.title, "said": told.said, "href": f"{href}{anchor}" if href else ""}


def _listed(kind: Kind, pack: TownPack, parent: str, problems: list[Told], draft: Draft) -> dict[str, Any]:
    wrong = {(told.kind, told.key, told.parent) for told in problems}
    records = list_records(pack, kind, parent)
    lines = [
        {
            "title": record_title(kind, pack, record, number),
            "key": key,
            "shown_key": key if kind.key not in ("", "ja", "name") else "",
            "href": record_path(kind, key, parent),
            "is_wrong": (kind.name, key, parent) in wrong,
        }
        for number, record in enumerate(records)
        for key in [key_of(kind, record, number)]
    ]
    new = urlencode({"new": "1", **({"parent": parent} if parent else {})})
    return {
        "lines": lines,
        "add_href": f"{PATH}/{kind.name}/edit?{new}",
        "action": f"{PATH}/{kind.name}/edit",
        "parent": parent,
        "seen": draft.content,
    }


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise Refusal("record_unknown", 404)
    return KINDS[name]


def _require_parent(kind: Kind, pack: TownPack, parent: str) -> None:
    if kind.parent and find_by_path(pack, KINDS[kind.parent], parent) is None:
        raise Refusal("record_unknown", 404)


async def _pack_seen(session: AsyncSession, town: str, content: str, current: TownPack) -> TownPack:
    """What the editor saw when they began."""
    files = await find_content(session, town, content)
    pack = examine_files(files)[0] if files is not None else None
    return pack or current


def _key_now(kind: Kind, seen: TownPack, current: TownPack, key: str, parent: str) -> str | None:
    """How a record that somebody saw is found now. What nothing names is found by what it says."""
    if kind.key or kind.is_single:
        return key if find_record(current, kind, key, parent) is not None else None
    wanted = find_record(seen, kind, key, parent)
    found = (str(number) for number, each in enumerate(list_records(current, kind, parent)) if each == wanted)
    return next(found, None)


def _refuse_taken(kind: Kind, pack: TownPack, parent: str, values: Mapping[str, Any], at: str | None) -> None:
    if kind.key and values[kind.key] != at and find_record(pack, kind, values[kind.key], parent) is not None:
        raise Taken


def _told_line(
    kind: Kind, name: str, old: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> str:
    said = f"{label_of(kind, name)}：{show_field(name, old[name])} → {show_field(name, theirs[name])}"
    if mine[name] not in (old[name], theirs[name]):
        said += _("（あなたの入力：%(mine)s）", mine=show_field(name, mine[name]))
    return said


def _after(kind: Kind, saved: Draft, deed: str, values: Mapping[str, Any], key: str, parent: str) -> str:
    """Where to go on: to the record, if something is wrong with it; else to where it is listed."""
    if deed == "save":
        pack, problems = meaning_of(saved)
        now_at = str(values[kind.key]) if kind.key else key
        if any((told.kind, told.key, told.parent) == (kind.name, now_at, parent) for told in problems):
            return record_path(kind, now_at, parent)
        if children_of(kind) and find_record(pack, kind, now_at, parent) is not None:
            return record_path(kind, now_at, parent)
    if around := _around(kind, parent):
        return around
    return PATH if kind.is_single else f"{PATH}/{kind.name}"
