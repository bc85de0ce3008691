"""Open data about the ledgers: what each came to, day by day, for everybody to read, to keep and to hang out."""

from datetime import date
from typing import Any

import msgspec
import segno
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from services.routing.pages.wording import TARGETS
from services.routing.queries.proofs import list_checkpoints, list_day, list_days
from shared.clock import JST, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.ledger.checkpoints import Checkpoint
from shared.ledger.export import Roots
from shared.web.i18n import translate
from shared.web.identity import PUBLIC
from shared.web.pages import page
from shared.web.spreadsheets import CSV_TYPE, write_csv
from shared.web.town import Town

PATH = "/open-data/ledger"
# A new day comes once a day; who looks a few minutes later sees it.
CACHED = {"cache-control": "public, max-age=300"}
# Pages have the reader's language and navigation.
PAGE_CACHED = {**CACHED, "vary": "Cookie"}
GROUP = 8
QR_SCALE, QR_BORDER = 6, 2
PAPER = "#fff"
# As the towns' open data begins (自治体標準オープンデータセット).
COLUMNS = (
    "全国地方公共団体コード",
    "ID",
    "地方公共団体名",
    "対象日",
    "サービス",
    "サービス名",
    "記録件数",
    "ルートハッシュ（SHA-256）",
    "作成日時",
)
# Of the files, which are Japanese as the other open data is.
SERVICE_NAMES = {"routing": "手続きの受付", "booking": "窓口の予約", "notifications": "お知らせの係"}

Req = Request[Any, Any, Any]


@get(PATH, opt=PUBLIC)
async def show_ledger_roots(
    request: Req, db: NamedDependency[Database], town: NamedDependency[Town], before: FromQuery[str] = ""
) -> Template:
    """The roots, newest first, and what they can and cannot prove."""
    async with db.begin(town.code) as session:
        days, has_older = await list_days(session, town.code, before=_day_or_none(before))
    shown = page(
        request,
        "open_data.html",
        days=[{"day": day, "roots": [_shown(each) for each in roots]} for day, roots in days],
        older=f"{PATH}?before={days[-1][0].isoformat()}" if has_older else None,
        is_first=not before,
        path_of=PATH,
    )
    shown.headers.update(PAGE_CACHED)
    return shown


@get(f"{PATH}/checkpoints.json", opt=PUBLIC)
async def get_ledger_roots_json(db: NamedDependency[Database], town: NamedDependency[Town]) -> Response[bytes]:
    """All of them: what `choudo ledger verify --roots` reads."""
    roots = Roots(municipality=town.code, checkpoints=tuple(await _all(db, town)))
    body = msgspec.json.format(msgspec.json.encode(roots))
    return Response(body, media_type="application/json", headers=CACHED)


@get(f"{PATH}/checkpoints.csv", opt=PUBLIC)
async def get_ledger_roots_csv(db: NamedDependency[Database], town: NamedDependency[Town]) -> Response[bytes]:
    """The same as a table."""
    rows = []
    for each in await _all(db, town):
        made_at = each.made_at.astimezone(JST).isoformat(timespec="seconds")
        name, day = SERVICE_NAMES[each.service], each.day.isoformat()
        whose = (town.code, f"{each.service}-{day}", town.name_ja)
        rows.append((*whose, day, each.service, name, each.tree_size, each.root, made_at))
    named = {"content-disposition": f'attachment; filename="{town.code}_ledger_checkpoints.csv"'}
    return Response(write_csv(COLUMNS, rows), media_type=CSV_TYPE, headers=CACHED | named)


@get(f"{PATH}/{{day:str}}", opt=PUBLIC)
async def show_ledger_notice(
    request: Req, day: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Template:
    """One day's roots, to be printed and hung out."""
    asked = _day_or_none(day)
    if asked is None:
        raise Refusal("checkpoint_unknown", 404)
    async with db.begin(town.code) as session:
        roots = await list_day(session, town.code, asked)
    if not roots:
        raise Refusal("checkpoint_unknown", 404)
    address = f"{str(request.base_url).rstrip('/')}{PATH}/{asked.isoformat()}"
    shown = page(
        request,
        "ledger_notice.html",
        day=asked,
        roots=[_shown(each) for each in roots],
        address=address,
        qr=make_qr(address),
    )
    shown.headers.update(PAGE_CACHED)
    return shown


def make_qr(content: str) -> str:
    """A QR code as the address of a picture."""
    return str(segno.make(content, error="m", micro=False).svg_data_uri(scale=QR_SCALE, border=QR_BORDER, light=PAPER))


def in_groups(root: str) -> list[str]:
    """A hash as it is read aloud and compared."""
    return [root[start : start + GROUP] for start in range(0, len(root), GROUP)]


def _shown(each: Checkpoint) -> dict[str, Any]:
    return {
        "service": translate(TARGETS[each.service]),
        "tree_size": each.tree_size,
        "groups": in_groups(each.root),
        "root": each.root,
        "made_at": each.made_at,
        "is_late": jst_day(each.made_at).toordinal() > each.day.toordinal() + 1,
    }


async def _all(db: Database, town: Town) -> list[Checkpoint]:
    async with db.begin(town.code) as session:
        return await list_checkpoints(session, town.code)


def _day_or_none(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
