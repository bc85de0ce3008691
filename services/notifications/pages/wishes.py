"""`/notices/mine` (お知らせの受けとり方): how somebody wants to be told. Addresses are never shown in full."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from services.notifications.commands.way_changes import move_way, remove_way
from services.notifications.commands.wishes import Wish, Wishes, change_wishes, choose_paper, read_wishes
from services.notifications.domain.proofs import PROVED_BY_CODE
from services.notifications.domain.quiet_hours import OWN_FROM, OWN_TO, Quiet
from services.notifications.domain.stops import REQUIRED, STOP_KEYS
from services.notifications.domain.ways import WAYS_MAX
from services.notifications.keys import Keys
from services.notifications.pages.wish_access import WISHES, contact_of, gone_wishes_cookie, wishes_cookie
from services.notifications.pages.wish_wording import DONE, LANGUAGE_NAMES, REASONS, STOP_NAMES, WAY_NAMES
from shared.crypto import SEALED_MAX_BYTES
from shared.db import Database
from shared.errors import Refusal
from shared.local_path import is_local_path
from shared.passes import open_contact_opening
from shared.web.forms import Form, read_form
from shared.web.i18n import translate
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

Req = Request[Any, Any, Any]


@post("/notices/arrive", opt=PUBLIC)
async def post_arrive(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """From a case or an appointment. What is too old is made again where it came from."""
    sealed = (await read_form(request)).get("opening", "")[: SEALED_MAX_BYTES + 1]
    try:
        opening = open_contact_opening(keys.box, sealed, municipality=town.code, now=now)
    except Refusal as refusal:
        back = str(refusal.details.get("back", ""))
        if refusal.code != "contact_opening_late" or not is_local_path(back):
            raise
        return see_other(back)
    async with db.begin(town.code) as session:
        # Its contact may be on its way.
        if await read_wishes(session, keys.vault, town.code, opening.contact_ref) is None:
            raise Refusal("wishes_unknown", 404)
    cookie = wishes_cookie(keys, town.code, opening.contact_ref, secure=secure, now=now)
    return Redirect(WISHES, status_code=303, cookies=[cookie])


@get("/notices/w/{token:str}", opt=PUBLIC)
async def get_wishes_link(
    token: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """The link of a message: exchanged for a cookie, and gone from the address at once."""
    opened = keys.read_wishes_link(town.code, token)
    if opened is None:
        raise Refusal("wishes_link_unknown", 404)
    contact_ref, way_no = opened
    async with db.begin(town.code) as session:
        wishes = await read_wishes(session, keys.vault, town.code, contact_ref)
    # A way that was removed opens nothing: its messages may be in somebody else's hands.
    if wishes is None or not any(way.way_no == way_no for way in wishes.ways):
        raise Refusal("wishes_link_unknown", 404)
    return Redirect(
        WISHES,
        status_code=303,
        cookies=[wishes_cookie(keys, town.code, contact_ref, secure=secure, now=now)],
        headers={"referrer-policy": "no-referrer"},
    )


@get("/notices/mine", opt=PUBLIC)
async def get_wishes(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    done: FromQuery[str] = "",
) -> Template:
    """The ways in their order, paper or a call, language, quiet hours, and what may be stopped and what not."""
    contact_ref = contact_of(request, keys, town, now=now)
    async with db.begin(town.code) as session:
        wishes = await read_wishes(session, keys.vault, town.code, contact_ref)
    if wishes is None:
        raise Refusal("wishes_unknown", 404)
    return page(request, "wishes.html", **_draw(wishes), done=translate(DONE[done]) if done in DONE else "")


@post("/notices/mine", opt=PUBLIC)
async def post_wishes(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Language, quiet hours and stops. What the page does not offer is as if it had not been sent."""
    contact_ref = contact_of(request, keys, town, now=now)
    form = Form(await read_form(request))
    language = form.choice("language", tuple(LANGUAGE_NAMES))
    start = form.choice("quiet_from", tuple(map(str, OWN_FROM)))
    end = form.choice("quiet_to", tuple(map(str, OWN_TO)))
    if not form.ok:
        raise Refusal("bad_request", 400)
    stopped = form.value("stopped").split()
    wish = Wish(
        language=language, quiet=Quiet(int(start), int(end)), stopped=tuple(key for key in STOP_KEYS if key in stopped)
    )
    async with db.begin(town.code) as session:
        await change_wishes(session, town.code, contact_ref, wish, now=now)
    return see_other(f"{WISHES}?done=saved")


@post("/notices/mine/paper", opt=PUBLIC)
async def post_paper(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Messages, or paper and calls."""
    contact_ref = contact_of(request, keys, town, now=now)
    wants_paper = (await read_form(request)).get("by") == "paper"
    async with db.begin(town.code) as session:
        await choose_paper(session, town.code, contact_ref, wants_paper=wants_paper)
    return see_other(f"{WISHES}?done={'paper' if wants_paper else 'messages'}")


@post("/notices/mine/ways/{way_no:int}/move", opt=PUBLIC)
async def post_move(
    request: Req,
    way_no: FromPath[int],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """One place up, or down."""
    contact_ref = contact_of(request, keys, town, now=now)
    is_up = (await read_form(request)).get("to") == "up"
    async with db.begin(town.code) as session:
        await move_way(session, town.code, contact_ref, way_no, up=is_up)
    return see_other(f"{WISHES}?done=moved#ways")


@post("/notices/mine/ways/{way_no:int}/remove", opt=PUBLIC)
async def post_remove(
    request: Req,
    way_no: FromPath[int],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """Never to this address again."""
    contact_ref = contact_of(request, keys, town, now=now)
    async with db.begin(town.code) as session:
        await remove_way(session, town.code, contact_ref, way_no, now=now)
    return see_other(f"{WISHES}?done=removed#ways")


@post("/notices/mine/leave", opt=PUBLIC)
async def post_leave(secure: NamedDependency[bool]) -> Redirect:
    """On a shared computer: the page does not stay open."""
    return Redirect("/", status_code=303, cookies=[gone_wishes_cookie(secure=secure)])


@get(
    [
        "/notices/arrive",
        "/notices/mine/paper",
        "/notices/mine/leave",
        "/notices/mine/ways/{way_no:int}/move",
        "/notices/mine/ways/{way_no:int}/remove",
    ],
    opt=PUBLIC,
)
async def get_wish_form_address() -> Redirect:
    """Where forms are sent, opened as a page."""
    return see_other(WISHES)


def _draw(wishes: Wishes) -> dict[str, Any]:
    return {
        "ways": wishes.ways,
        "way_names": {kind: translate(name) for kind, name in WAY_NAMES.items()},
        "proved_by_code": PROVED_BY_CODE,
        "wants_paper": wishes.wants_paper,
        "may_add": len(wishes.ways) < WAYS_MAX,
        "languages": [{"value": code, "label": name} for code, name in LANGUAGE_NAMES.items()],
        "language": wishes.language,
        "quiet": wishes.quiet,
        "from_hours": OWN_FROM,
        "to_hours": OWN_TO,
        "stops": [{"value": key, "label": translate(STOP_NAMES[key][0]), "hint": translate(STOP_NAMES[key][1])}
                  for key in STOP_KEYS],
        "stopped": wishes.stopped,
        "required": [
            {"term": translate(REASONS[each.reason][0]), "text": translate(REASONS[each.reason][1])}
            for each in REQUIRED
        ],
    }  # fmt: skip
