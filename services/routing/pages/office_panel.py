"""An office's own work on an application: who does it, by when, what was gone through, and what it wrote."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.looking import Seen
from services.routing.domain.applications import CLOSED, WRITTEN
from services.routing.domain.office import Rule, is_late
from services.routing.pages.application_wording import WRITTEN_TITLES
from services.routing.pages.item_fields import reason_rows
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.office import find_visit, list_colleagues, list_ticked, logins_of
from services.routing.tables import case_file
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.i18n import translate


async def work_panel(
    session: AsyncSession, identity: Identity, row: Row[Any], rule: Rule, *, now: datetime
) -> dict[str, Any]:
    """The office's own side of an application: nothing of it is the person's."""
    is_open = row.state not in CLOSED
    ticked = await list_ticked(session, row.municipality, row.application_id, rule)
    doers = [row.assignee, row.accepted_by, row.completed_by, *(tick.ticked_by for tick in ticked.values())]
    logins = await logins_of(session, row.municipality, doers)
    colleagues = await list_colleagues(session, row.municipality, row.office) if is_open else []
    return {
        "is_open": is_open,
        "due_at": row.due_at if is_open else None,
        "is_late": is_late(row.state, row.due_at, now),
        "assignee": row.assignee or "",
        "assignee_name": logins.get(row.assignee, ""),
        "is_mine": row.assignee == identity.ref,
        "me": identity.ref,
        "colleagues": [
            {"value": "", "label": _("だれでもない")},
            *({"value": colleague.ref, "label": colleague.login} for colleague in colleagues),
        ],
        "checks": [
            {
                "code": check.code,
                "text": check.ja,
                "by": logins.get(ticked[check.code].ticked_by, "") if check.code in ticked else None,
                "at": ticked[check.code].ticked_at if check.code in ticked else None,
            }
            for check in rule.checks
        ],
        "two_persons": row.two_persons,
        "accepted_by": logins.get(row.accepted_by, "") if row.accepted_by else None,
        # Whoever accepted is not offered what the rule keeps for somebody else.
        "must_be_other": row.two_persons and row.state == "accepted" and row.accepted_by in (None, identity.ref),
        "wish": await _wish_of(session, row) if is_open else None,
        "ways": f"/office/cases/{row.case_id}/ways",
        "comes_at": await find_visit(session, row.municipality, row.case_id),
    }


async def _wish_of(session: AsyncSession, row: Row[Any]) -> str | None:
    """Where the person wants to go on, without having been asked: the office knows, and decides by its own time."""
    query = select(case_file.c.channel).where(
        case_file.c.municipality == row.municipality, case_file.c.case_id == row.case_id
    )
    channel = (await session.execute(query)).scalar_one()
    return translate(CHANNEL_TITLES[channel]) if channel != "online" and row.state != "visit_asked" else None


def written_parts(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """What the office wrote to the person, under the heading that they read it under."""
    values = {item.key: item.value for item in seen if item.key in WRITTEN.values()}
    return [
        {
            "title": translate(WRITTEN_TITLES[key]),
            "rows": reason_rows(value) if key == WRITTEN["correction_asked"] else [{"term": "", "text": value}],
        }
        for key, value in values.items()
    ]
