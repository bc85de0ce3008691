"""`/office/catalogue/history` and `/publish`: who changed what, back and on again, and the way to the residents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.drafts import (
    call_off_publication,
    merge_draft,
    order_publication,
    step_back_or_on,
    take_version,
)
from services.routing.pages.catalogue import PATH, meaning_of
from services.routing.pages.catalogue_changes import DEEDS, describe_changes, show_field
from services.routing.pages.catalogue_wording import ORDER_STATES, label_of
from services.routing.pages.figures import MANAGER
from services.routing.queries.drafts import Draft, find_draft, find_newest_order, list_saves
from services.routing.queries.office import logins_of
from services.routing.queries.packs import count_under_way, find_pack, list_packs
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.town_pack.difference import changes_between
from shared.town_pack.merging import Conflict
from shared.town_pack.reading import examine_files
from shared.town_pack.records import KINDS
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.pages import page, see_other

HISTORY_PATH, PUBLISH_PATH = f"{PATH}/history", f"{PATH}/publish"
NUMBER_MAX_LENGTH = 9

Req = Request[Any, Any, Any]


@get(HISTORY_PATH, guards=MANAGER)
async def show_catalogue_history(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """Every save, and the versions that were published."""
    async with db.begin(identity.municipality) as session:
        return await _history_page(request, session, identity.municipality, [])


@post(HISTORY_PATH, guards=MANAGER)
async def post_catalogue_history(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Template | Redirect:
    """Undo, do again, go back to a published version, or take what was changed over into files that were loaded."""
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        match form.value("deed"):
            case "undo" | "redo" as direction:
                seen = _number(form.value("seen"))
                await step_back_or_on(session, identity=identity, seen=seen, direction=_way(direction), now=now)
            case "back":
                await take_version(session, identity=identity, version=_number(form.value("version")), now=now)
            case "merge":
                conflicts = await merge_draft(session, identity=identity, now=now)
                if conflicts:
                    return await _history_page(request, session, identity.municipality, conflicts)
            case _:
                raise Refusal("form_unreadable", 400)
    return see_other(HISTORY_PATH)


@get(PUBLISH_PATH, guards=MANAGER)
async def show_publish(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """What would change for residents, whom it touches, and the button."""
    town = identity.municipality
    async with db.begin(town) as session:
        draft = await find_draft(session, town)
        under_way = await count_under_way(session, town, now=now)
        order = await find_newest_order(session, town)
    pack, problems = meaning_of(draft)
    published, _flaws = examine_files(draft.newest.files)
    changes = list(changes_between(published, pack)) if published is not None else []
    is_waiting = order is not None and order.state == "waiting"
    return page(
        request,
        "catalogue_publish.html",
        path_of=PATH,
        draft=draft,
        order=order,
        order_state=translate(ORDER_STATES[order.state]) if order else "",
        is_waiting=is_waiting,
        problems=len(problems),
        changes=describe_changes(msgspec.to_builtins(changes), under_way),
        may_publish=draft.is_changed and not draft.is_overtaken and not problems and not is_waiting,
    )


@post(PUBLISH_PATH, guards=MANAGER)
async def post_publish(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Redirect:
    """Have it published, or take that back. It is loaded by the operator's command, as files are."""
    form = Form(await read_form(request))
    async with db.begin(identity.municipality) as session:
        if form.value("deed") == "call_off":
            await call_off_publication(session, identity=identity, now=now)
        else:
            seen, base = _number(form.value("seen")), _number(form.value("base"))
            await order_publication(session, identity=identity, seen=seen, base=base, now=now)
    return see_other(PUBLISH_PATH)


async def _history_page(request: Req, session: AsyncSession, town: str, conflicts: Sequence[Conflict]) -> Template:
    draft = await find_draft(session, town)
    saves = await list_saves(session, town)
    versions = await list_packs(session, town)
    logins = await logins_of(session, town, [save.saved_by for save in saves])
    return page(
        request,
        "catalogue_history.html",
        path_of=PATH,
        action=HISTORY_PATH,
        draft=draft,
        conflicts=[_conflict(each) for each in conflicts],
        meanwhile=await _meanwhile(session, town, draft),
        saves=[
            {
                "save": save.save,
                "at": save.saved_at,
                "by": logins.get(save.saved_by, _("わからない人")),
                "deed": translate(DEEDS[save.deed]),
                "changes": describe_changes(save.changes),
                "is_current": save.save == draft.save,
            }
            for save in saves
        ],
        versions=[
            {"version": version, "at": loaded_at, "is_newest": version == draft.newest.version}
            for version, loaded_at in versions
        ],
    )


async def _meanwhile(session: AsyncSession, town: str, draft: Draft) -> list[dict[str, Any]]:
    """What was loaded while the draft stood."""
    if not draft.is_overtaken:
        return []
    begun_from = await find_pack(session, town, draft.base)
    packs = [examine_files(found.files)[0] for found in (begun_from, draft.newest) if found is not None]
    if len(packs) < 2 or packs[0] is None or packs[1] is None:
        return []
    return describe_changes(msgspec.to_builtins(list(changes_between(packs[0], packs[1]))))


def _conflict(conflict: Conflict) -> str:
    kind = KINDS[conflict.kind]
    if not conflict.field:
        return _("%(key)s：片方で消され、もう片方で変えられました。ファイルのとおりにしました。", key=conflict.key)
    label = f"{conflict.key} {label_of(kind, conflict.field)}"
    theirs, mine = show_field(conflict.field, conflict.theirs), show_field(conflict.field, conflict.mine)
    return _("%(label)s：ファイルは「%(theirs)s」、ここでの変更は「%(mine)s」。ここでの変更をのこしました。",
             label=label, theirs=theirs, mine=mine)  # fmt: skip


def _way(direction: str) -> Literal["undo", "redo"]:
    return "undo" if direction == "undo" else "redo"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > NUMBER_MAX_LENGTH:
        raise Refusal("form_unreadable", 400)
    return int(text)
