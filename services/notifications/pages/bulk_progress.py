"""What became of a bulk notice that was sent, and the button that stops it."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.bulk import stop_bulk
from services.notifications.commands.by_hand import count_not_begun
from services.notifications.domain.bulk import STANDINGS, Standing
from services.notifications.pages.bulk_wording import (
    KIND_NAMES,
    STANDING_NAMES,
    STATE_NAMES,
    choice_of,
    say_audience,
    say_sen,
    title_of,
)
from services.notifications.pages.template_paths import MANAGER
from services.notifications.queries_of_bulk import Bulk, count_standings, read_bulk
from services.notifications.queries_of_templates import TownFacts
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid
from shared.web.i18n import translate
from shared.web.pages import page, see_other

PATH = "/notices/bulk"
Req = Request[Any, Any, Any]


async def progress_page(
    request: Req, session: AsyncSession, bulk: Bulk, facts: TownFacts, *, now: datetime
) -> Template:
    """How many were told, and how many not. It looks again by itself as long as anything waits."""
    counts = await _counts(session, facts.town.municipality, bulk)
    state, kind = STATE_NAMES[bulk.state]
    planned = bulk.estimate
    return page(
        request,
        "bulk_progress.html",
        path_of=PATH,
        here=f"{PATH}/{bulk.bulk_id}",
        title=title_of(bulk),
        what=translate(KIND_NAMES[choice_of(bulk.written.kind, bulk.written.reason)]),
        whom=say_audience(bulk.written.audience, facts),
        state=bulk.state,
        state_name=translate(state),
        state_kind=kind,
        bulk=bulk,
        is_waiting_to_start=bulk.gathered_at is None and bulk.state == "sending" and (bulk.starts_at or now) > now,
        is_live=bulk.counts is None and (bulk.state == "sending" or counts["waiting"] > 0),
        people=sum(counts.values()),
        was_sent=_was_sent(counts),
        was_not=sum(counts.values()) - _was_sent(counts) - counts["waiting"],
        counts=[{"name": translate(STANDING_NAMES[each]), "count": counts[each]} for each in STANDINGS if counts[each]],
        planned_people=planned.people if planned else 0,
        planned_cost=say_sen(planned.cost_sen) if planned else "",
        texts=[bulk.written.texts["ja"]],
    )


@get(f"{PATH}/{{bulk_id:str}}/stop", guards=MANAGER)
async def show_bulk_stop(
    request: Req, bulk_id: FromPath[str], db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template | Redirect:
    """Asked once more: what is not sent is not sent later either."""
    town = identity.municipality
    async with db.begin(town) as session:
        bulk = await read_bulk(session, town, parse_uuid(bulk_id))
        if bulk.state == "draft":
            raise Refusal("bulk_not_sent", 409)
        counts = await _counts(session, town, bulk)
        by_hand = await count_not_begun(session, town, bulk.bulk_id)
    if bulk.state != "sending":
        return see_other(f"{PATH}/{bulk.bulk_id}")
    return page(
        request,
        "bulk_stop.html",
        here=f"{PATH}/{bulk.bulk_id}",
        title=title_of(bulk),
        was_sent=_was_sent(counts) - by_hand,
        waiting=counts["waiting"] + by_hand,
        by_hand=by_hand,
        is_gathered=bulk.gathered_at is not None,
    )


@post(f"{PATH}/{{bulk_id:str}}/stop", guards=MANAGER)
async def post_bulk_stop(
    bulk_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Send no more of it."""
    found = parse_uuid(bulk_id)
    async with db.begin(identity.municipality) as session:
        await stop_bulk(session, identity, found, now=now)
    return see_other(f"{PATH}/{found}")


async def _counts(session: AsyncSession, municipality: str, bulk: Bulk) -> dict[Standing, int]:
    """As it is now; of those who are forgotten, as it was."""
    counts = (await count_standings(session, municipality, [bulk.bulk_id]))[bulk.bulk_id]
    return counts if sum(counts.values()) or not bulk.counts else bulk.counts


def _was_sent(counts: dict[Standing, int]) -> int:
    return counts["sent"] + counts["delivered"]
