"""`/open-data/draws`: every draw's commitment, seed and result, for everybody to keep and draw again. No persons."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from services.booking.pages.draws import CACHED, read_draw_id
from services.booking.queries.draws import DrawView, get_draw, list_draws, list_result, list_sessions
from shared.clock import JST
from shared.db import Database
from shared.web.identity import PUBLIC
from shared.web.pages import DRAWS, page
from shared.web.spreadsheets import CSV_TYPE, write_csv
from shared.web.town import Town

PATH = "/open-data/draws"
# Pages have the reader's language and navigation.
PAGE_CACHED = {**CACHED, "vary": "Cookie"}
# As the towns' open data begins (自治体標準オープンデータセット).
COLUMNS = (
    "全国地方公共団体コード",
    "ID",
    "地方公共団体名",
    "抽選の名称",
    "手続きコード",
    "窓口コード",
    "申込開始日時",
    "申込終了日時",
    "席数",
    "申込数",
    "状態",
    "先に公開したしるし（SHA-256）",
    "もとの数（抽選後）",
    "申込全部のしるし（SHA-256）",
    "抽選日時",
    "取りやめ日時",
    "記録（JSON）",
)
RESULT_COLUMNS = (
    "順番",
    "抽選番号",
    "希望（回のID）",
    "決まった回のID",
    "決まった回の開始日時",
    "あとから決まった回のID",
)
# Of the files, which are Japanese as the other open data is.
STATES = {"announced": "公告", "drawn": "抽選済み", "called_off": "取りやめ"}

Req = Request[Any, Any, Any]


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A draw as the list tells it; `record` is where its whole record is, for `choudo draw replay`."""

    draw_id: UUID
    title_ja: str
    procedure: str
    counter: str
    opens_at: datetime
    closes_at: datetime
    seats: int
    entries: int
    state: str
    commitment: str
    seed: str | None
    entries_digest: str | None
    drawn_at: datetime | None
    called_off_at: datetime | None
    record: str


class PublishedDraws(msgspec.Struct, frozen=True, kw_only=True):
    """All of a town's."""

    municipality: str
    draws: tuple[Published, ...]


@get(PATH, opt=PUBLIC)
async def get_open_draws_page(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """What there is, what it proves, and how anybody draws again."""
    draws = await _all(db, town)
    shown = page(
        request,
        "draws_open_data.html",
        draws=[{"draw": each, "stage": each.stage(now), "record": _record_of(each)} for each in draws],
        path_of=PATH,
    )
    shown.headers.update(PAGE_CACHED)
    return shown


@get(f"{PATH}/draws.json", opt=PUBLIC)
async def get_open_draws_json(db: NamedDependency[Database], town: NamedDependency[Town]) -> Response[bytes]:
    """Every draw's commitment and seed."""
    draws = tuple(
        msgspec.convert(msgspec.to_builtins(each) | {"record": _record_of(each)}, Published)
        for each in await _all(db, town)
    )
    body = msgspec.json.format(msgspec.json.encode(PublishedDraws(municipality=town.code, draws=draws)))
    return Response(body, media_type="application/json", headers=CACHED)


@get(f"{PATH}/draws.csv", opt=PUBLIC)
async def get_open_draws_csv(db: NamedDependency[Database], town: NamedDependency[Town]) -> Response[bytes]:
    """The same as a table."""
    rows = [
        (
            town.code, each.draw_id, town.name_ja, each.title_ja, each.procedure, each.counter,
            _when(each.opens_at), _when(each.closes_at), each.seats, each.entries, STATES[each.state], each.commitment,
            each.seed or "", each.entries_digest or "", _when(each.drawn_at), _when(each.called_off_at),
            _record_of(each),
        )
        for each in await _all(db, town)
    ]  # fmt: skip
    return _table(COLUMNS, rows, f"{town.code}_draws.csv")


@get(f"{PATH}/{{draw_id:str}}/result.csv", opt=PUBLIC)
async def get_draw_result_csv(
    draw_id: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> Response[bytes]:
    """What was drawn, by ticket, in the order drawn; only headings before."""
    wanted = read_draw_id(draw_id)
    async with db.begin(town.code) as session:
        await get_draw(session, town.code, wanted)
        sessions = {each.session_id: each for each in await list_sessions(session, town.code, wanted)}
        result = await list_result(session, town.code, wanted)
    rows = [
        (
            line.rank,
            line.ticket,
            " ".join(map(str, line.preferences)),
            line.slot_id or "",
            _when(sessions[str(line.slot_id)].starts_at) if line.slot_id else "",
            line.passed_to or "",
        )
        for line in result
    ]
    return _table(RESULT_COLUMNS, rows, f"{town.code}_draw_{wanted}.csv")


async def _all(db: Database, town: Town) -> list[DrawView]:
    async with db.begin(town.code) as session:
        return await list_draws(session, town.code)


def _record_of(draw: DrawView) -> str:
    return f"{DRAWS}/{draw.draw_id}/record.json"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], name: str) -> Response[bytes]:
    named = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(write_csv(columns, rows), media_type=CSV_TYPE, headers=CACHED | named)


def _when(moment: datetime | None) -> str:
    return moment.astimezone(JST).isoformat(timespec="seconds") if moment else ""
