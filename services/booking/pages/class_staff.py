"""`/helpers/classes`: coordinators make classes, change them, publish them, close their entries and call them off."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_times import (
    MATERIALS_MAX_LENGTH,
    ROOM_MAX_LENGTH,
    remove_session,
    set_session,
    set_staff,
)
from services.booking.commands.classes import (
    TEXT_MAX_LENGTH,
    TITLE_MAX_LENGTH,
    change_class,
    close_class,
    make_class,
    publish_class,
)
from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.domain.classes import ROLES, StaffRole
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.pages.class_form import (
    LANGUAGES,
    empty_class,
    fill_class,
    mode_options,
    read_class,
    read_session,
    session_fields,
    times,
)
from services.booking.pages.classes import class_card, read_class_id
from services.booking.pages.visits import refusal_words
from services.booking.pages.wording import language_name
from services.booking.queries.classes import (
    SessionView,
    get_class,
    list_all_classes,
    list_helper_procedures,
    list_topics,
)
from services.booking.queries.helpers import list_roster, list_venues
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_name

GUARDS = [require_role("coordinator", "manager")]
PATH = "/helpers/classes"
HELPER_REF_MAX_LENGTH = 64
# Held so long ago: the lists of who came are still needed.
BACK = timedelta(days=60)
SHOWN_HERE = frozenset({
    "class_off", "class_unfit", "class_no_sessions", "class_window", "class_times", "class_staff_many",
    "helper_unknown", "helper_busy", "key_reused",
})  # fmt: skip
TOLD = frozenset({"made", "changed", "session", "removed", "staff", "published", "closed", "reopened", "called_off"})

Req = Request[Any, Any, Any]


@get(PATH, guards=GUARDS)
async def get_classes_staff_page(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """All classes, and the form for another."""
    return await _list_page(request, db, town, Form(empty_class(now=now)), now=now)


@post(PATH, guards=GUARDS)
async def post_class(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """A draft, to which times are added next."""
    form = Form(await read_form(request))
    order = read_class(form, now=now)
    if order is None:
        return await _list_page(request, db, town, form, now=now, status=422)
    key = form.value("idempotency_key")[:KEY_MAX_LENGTH] or str(uuid4())
    try:
        course_id = await rush.run(db, town.code, lambda session: make_class(session, identity, order, key, now=now))
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return await _list_page(request, db, town, form, now=now, refused=refusal.code, status=refusal.status)
    return see_other(f"{PATH}/{course_id}?told=made")


@get(f"{PATH}/{{course_id:str}}", guards=GUARDS)
async def get_class_staff_page(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    told: FromQuery[str] = "",
    refused: FromQuery[str] = "",
) -> Template:
    """One class, with everything that can be done to it."""
    return await _class_page(
        request, db, keys, town, identity, read_class_id(course_id), None, told=told, refused=refused, now=now
    )


@post(f"{PATH}/{{course_id:str}}", guards=GUARDS)
async def post_class_change(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """It says this from now on."""
    form, wanted = Form(await read_form(request)), read_class_id(course_id)
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, wanted, published=False)
    order = read_class(form, fixed=None if found.state == "draft" else found, now=now)
    if order is None:
        return await _class_page(request, db, keys, town, identity, wanted, form, now=now, status=422)

    async def change(session: AsyncSession) -> None:
        await change_class(session, identity, wanted, order, keys, now=now)

    return await do_deed(db, rush, town, wanted, change, "changed")


@get([f"{PATH}/{{course_id:str}}/{name}" for name in ("sessions", "staff", "publish", "close")], guards=GUARDS)
async def get_class_deed_address(course_id: FromPath[str]) -> Redirect:
    """Where forms are sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(f"{PATH}/{read_class_id(course_id)}")


@post(f"{PATH}/{{course_id:str}}/sessions", guards=GUARDS)
async def post_class_session(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Another session, another time for one, or one less."""
    form, wanted = Form(await read_form(request)), read_class_id(course_id)
    typed = form.value("session")
    session_id = parse_uuid(typed, code="class_unknown") if typed else None
    if form.value("deed") == "remove" and session_id is not None:
        gone = session_id

        async def remove(session: AsyncSession) -> None:
            await remove_session(session, identity, wanted, gone, keys, now=now)

        return await do_deed(db, rush, town, wanted, remove, "removed")
    order = read_session(form.values, now=now)
    if order is None:
        return see_other(f"{PATH}/{wanted}?refused=class_times#sessions")

    async def change(session: AsyncSession) -> None:
        await set_session(session, identity, wanted, session_id, order, keys, now=now)

    return await do_deed(db, rush, town, wanted, change, "session")


@post(f"{PATH}/{{course_id:str}}/staff", guards=GUARDS)
async def post_class_staff(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Who teaches, who assists, and who does not any more."""
    form, wanted = Form(await read_form(request)), read_class_id(course_id)
    session_id = parse_uuid(form.value("session"), code="class_unknown")
    helper_ref = form.value("helper")[:HELPER_REF_MAX_LENGTH]
    role: StaffRole | None = next((role for role in ROLES if role == form.value("role")), None)

    async def change(session: AsyncSession) -> None:
        await set_staff(session, identity, wanted, session_id, helper_ref, role, now=now)

    return await do_deed(db, rush, town, wanted, change, "staff")


@post(f"{PATH}/{{course_id:str}}/publish", guards=GUARDS)
async def post_class_publish(
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Everybody can read it, and enter."""
    wanted = read_class_id(course_id)

    async def publish(session: AsyncSession) -> None:
        await publish_class(session, identity, wanted, keys, now=now)

    return await do_deed(db, rush, town, wanted, publish, "published")


@post(f"{PATH}/{{course_id:str}}/close", guards=GUARDS)
async def post_class_close(
    request: Req,
    course_id: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Nobody enters any more, or people can again."""
    wanted, is_open = read_class_id(course_id), (await read_form(request)).get("deed") == "reopen"

    async def close(session: AsyncSession) -> None:
        await close_class(session, identity, wanted, is_open=is_open, now=now)

    return await do_deed(db, rush, town, wanted, close, "reopened" if is_open else "closed")


async def do_deed(db: Database, rush: Rush, town: Town, course_id: UUID, deed: Any, told: str) -> Redirect:
    """Do it, and back to the class: which says that it is done, or why not."""
    try:
        await rush.run(db, town.code, deed)
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return see_other(f"{PATH}/{course_id}?refused={refusal.code}")
    return see_other(f"{PATH}/{course_id}?told={told}")


async def _list_page(
    request: Req, db: Database, town: Town, form: Form, *, now: datetime, refused: str = "", status: int = 200
) -> Template:
    async with db.begin(town.code) as session:
        found = await list_all_classes(session, town.code, since=now - BACK)
        choices = await _choices(session, town)
    return page(
        request,
        "classes_staff.html",
        status=status,
        classes=[class_card(each, now=now) for each in found],
        form=form,
        **choices,
        **refusal_words(refused, SHOWN_HERE),
        key=str(uuid4()),
        base=PATH,
    )


async def _class_page(
    request: Req,
    db: Database,
    keys: Keys,
    town: Town,
    identity: Identity,
    course_id: UUID,
    form: Form | None,
    *,
    now: datetime,
    told: str = "",
    refused: str = "",
    status: int = 200,
) -> Template:
    async with db.begin(town.code) as session:
        found = await get_class(session, town.code, course_id, published=False)
        choices = await _choices(session, town)
        roster = await list_roster(session, town.code, keys)
        await record_deed(session, identity, "view-roster", "classes", now=now)
    names = {helper.helper_ref: helper.name or _("お名前なし") for helper in roster}
    return page(
        request,
        "class_staff.html",
        status=status,
        **class_card(found, now=now),
        form=form or Form(fill_class(found)),
        is_draft=found.state == "draft",
        is_changeable=found.state in ("draft", "open", "closed"),
        sessions=[_session(each, number, names, now=now) for number, each in enumerate(found.sessions, start=1)],
        new=session_fields(None, now=now),
        helpers=[
            {"value": helper.helper_ref, "label": names[helper.helper_ref]}
            for helper in roster
            if helper.standing == "active"
        ],
        roles=[{"value": "teacher", "label": _("先生")}, {"value": "assistant", "label": _("手伝い")}],
        room_max=ROOM_MAX_LENGTH,
        materials_max=MATERIALS_MAX_LENGTH,
        **choices,
        told=told if told in TOLD else "",
        **refusal_words(refused, SHOWN_HERE),
        base=f"{PATH}/{course_id}",
    )


def _session(each: SessionView, number: int, names: dict[str, str], *, now: datetime) -> dict[str, Any]:
    parts = {"teacher": _("先生"), "assistant": _("手伝い")}
    return {
        "session": each,
        "fields": session_fields(each, number=number, now=now),
        "staff": [
            {"ref": ref, "name": names.get(ref, _("お名前なし")), "part": parts[role]} for ref, role in each.staff
        ],
        "is_ahead": each.starts_at > now,
    }


async def _choices(session: AsyncSession, town: Town) -> dict[str, Any]:
    """What a class can be about, and where."""
    venues = await list_venues(session, town.code)
    topics = await list_topics(session, town.code)
    procedures = await list_helper_procedures(session, town.code)
    return {
        "venues": [{"value": each.code, "label": town_name(each.name_ja)} for each in venues],
        "topics": [{"value": code, "label": town_name(name)} for code, name in topics.items()],
        "procedures": [{"value": code, "label": town_name(name)} for code, name in procedures.items()],
        "languages": [{"value": code, "label": language_name(code)} for code in LANGUAGES],
        "modes": mode_options(),
        "times": times(),
        "title_max": TITLE_MAX_LENGTH,
        "text_max": TEXT_MAX_LENGTH,
    }
