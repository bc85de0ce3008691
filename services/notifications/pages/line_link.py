"""`/notices/mine/line`: the code that is sent to the town's account at LINE, and whether it came."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import segno
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.notifications.commands.line_linking import ask_line_code, show_line_code
from services.notifications.domain.line_codes import LINE_CODE_LENGTH
from services.notifications.domain.proofs import CODE_LIFETIME
from services.notifications.keys import Keys
from services.notifications.pages.wish_access import WISHES, CodeTries, contact_of
from services.notifications.providers.line_channels import LineChannel, line_channels
from services.notifications.settings import Settings
from shared.db import Database
from shared.errors import Refusal
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town

LINE_PAGE = f"{WISHES}/line"
# Opens the town's account, with what is to be sent in the line to write in.
OPENS_LINE = "https://line.me/R/oaMessage/{account}/?{text}"
QR_SCALE, QR_BORDER, PAPER = 8, 2, "#fff"

Req = Request[Any, Any, Any]


@get(LINE_PAGE, opt=PUBLIC)
async def get_line_link(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    settings: NamedDependency[Settings],
) -> Template:
    """How it goes; then the code, and that it came."""
    channel = _channel_of(settings, town)
    contact_ref = contact_of(request, keys, town, now=now)
    async with db.begin(town.code) as session:
        shown = await show_line_code(session, keys, town.code, contact_ref, now=now)
    half = LINE_CODE_LENGTH // 2
    opens = OPENS_LINE.format(account=quote(channel.account), text=shown.code) if shown and channel.account else ""
    return page(
        request,
        "line_link.html",
        code=f"{shown.code[:half]} {shown.code[half:]}" if shown else "",
        is_linked=shown is not None and shown.is_linked,
        account=channel.account,
        opens=opens,
        qr=segno.make(opens, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER)
        if opens
        else "",
        minutes=int(CODE_LIFETIME.total_seconds()) // 60,
    )


@post(LINE_PAGE, opt=PUBLIC)
async def post_line_link(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    settings: NamedDependency[Settings],
    tries: NamedDependency[CodeTries],
) -> Redirect:
    """A code, please; or another one."""
    _channel_of(settings, town)
    contact_ref = contact_of(request, keys, town, now=now)
    tries.count(request, town.code)
    async with db.begin(town.code) as session:
        await ask_line_code(session, keys, town.code, contact_ref, now=now)
    return see_other(LINE_PAGE)


def _channel_of(settings: Settings, town: Town) -> LineChannel:
    channel = line_channels(settings).get(town.code)
    if channel is None:
        raise Refusal("not_found", 404)
    return channel
