"""Which provider takes each notice that is to be sent now, or when it asks again."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.domain.notices import LookAgain, Settle
from services.notifications.domain.providers import SIMULATED, Tried, held_by
from services.notifications.domain.retries import RECEIPT_WAIT, UNKNOWN_MAX
from services.notifications.domain.ways import FIRST_WAY, Way
from services.notifications.providers.providers import Busy, Providers
from services.notifications.tables import SERVICE
from shared.db import Prepared
from shared.practice import is_practice

_TRIED = Prepared(f"""
    SELECT notice_id, way_no, provider,
           count(*) FILTER (WHERE outcome = 'temporary') AS temporary,
           count(*) FILTER (WHERE outcome = 'unknown') AS unknown,
           max(started_at) FILTER (WHERE outcome = 'unknown') AS unknown_since
    FROM {SERVICE}.attempt WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))
    GROUP BY notice_id, way_no, provider
""")


class Taken(NamedTuple):
    """Who takes it, and how those did who were asked before."""

    provider: str
    tried: tuple[Tried, ...] = ()


class Choice(NamedTuple):
    """By notice: who takes it; or when it asks again, or that it is for staff now."""

    taken: dict[UUID, Taken]
    put_off: dict[UUID, LookAgain | Settle]


class _History(NamedTuple):
    tried: list[Tried]
    unknown_since: datetime | None


async def choose_providers(
    session: AsyncSession,
    municipality: str,
    providers: Providers,
    going: Sequence[tuple[Row[Any], Way | None]],
    retried: Collection[UUID],
    *,
    now: datetime,
) -> Choice:
    """For each of these notices and the way that it goes. Nothing of a practice town leaves.

    What a provider may have accepted that knows no repetitions waits for its receipt first, and staff are asked when it
    has happened twice.
    """
    if is_practice(municipality):
        return Choice({row.notice_id: Taken(SIMULATED) for row, _ in going}, {})
    histories = await _histories(session, municipality, retried) if retried else {}
    choice = Choice({}, {})
    for row, way in going:
        kind, way_no = (way.kind, way.way_no) if way else (row.contact_reach, FIRST_WAY)
        history = histories.get((row.notice_id, way_no), _History([], None))
        held = held_by(history.tried)
        if held is not None and history.unknown_since is not None and not providers.may_ask_again(held):
            if sum(each.unknown for each in history.tried) >= UNKNOWN_MAX:
                choice.put_off[row.notice_id] = Settle("undeliverable", "gave_up", task=True)
                continue
            if now < (receipt_by := history.unknown_since + RECEIPT_WAIT):
                choice.put_off[row.notice_id] = LookAgain(receipt_by)
                continue
        asked = providers.choose(kind, history.tried, bulk=row.bulk)
        if isinstance(asked, Busy):
            # Not later than it is of use: then it is for staff.
            choice.put_off[row.notice_id] = LookAgain(min(now + timedelta(seconds=asked.wait_s), row.useful_until))
        else:
            choice.taken[row.notice_id] = Taken(asked.name, tuple(history.tried))
    return choice


async def _histories(
    session: AsyncSession, municipality: str, notice_ids: Collection[UUID]
) -> dict[tuple[UUID, int], _History]:
    """How the attempts at these notices ended, by notice and way."""
    tried: dict[tuple[UUID, int], list[Tried]] = defaultdict(list)
    since: dict[tuple[UUID, int], datetime] = {}
    for row in await _TRIED.rows(session, {"municipality": municipality, "notices": list(notice_ids)}):
        key = row.notice_id, row.way_no
        tried[key].append(Tried(provider=row.provider, temporary=row.temporary, unknown=row.unknown))
        if row.unknown_since is not None:
            since[key] = max(row.unknown_since, since.get(key, row.unknown_since))
    return {key: _History(each, since.get(key)) for key, each in tried.items()}
