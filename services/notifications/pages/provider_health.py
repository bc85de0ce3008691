"""`/notices/providers`: how the providers do, and how much waits to be sent, for whoever runs the town's site."""

from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Template

from services.notifications.domain.notices import SEND, SEND_BULK
from services.notifications.pages.notice_wording import SAY
from services.notifications.pages.notices import LOG, MANAGER
from services.notifications.providers.told import AT_LEAST_EVERY_S
from services.notifications.queries import list_provider_health
from services.notifications.queries_of_figures import read_lanes
from shared.db import Database
from shared.web.pages import page
from shared.web.town import Town

PROVIDERS = f"{LOG}/providers"
# A process tells at least each minute; whose word is older has stopped, or cannot write.
SILENT_AFTER = timedelta(seconds=2 * AT_LEAST_EVERY_S)

Req = Request[Any, Any, Any]


@get(PROVIDERS, guards=MANAGER)
async def get_providers(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """Each provider, as each process that sends sees it, and what of this town waits in each lane."""
    async with db.begin(town.code) as session:
        healths = await list_provider_health(session)
        lanes = await read_lanes(session, town.code, now=now)
    processes = {each: number for number, each in enumerate(sorted({each.process for each in healths}), start=1)}
    heard = max((each.written_at for each in healths), default=None)
    return page(
        request,
        "notice_providers.html",
        log=LOG,
        action=PROVIDERS,
        providers=[(name, list(seen)) for name, seen in groupby(healths, key=lambda each: each.provider)],
        processes=processes,
        silent_after=SILENT_AFTER,
        heard=heard,
        is_sending=heard is not None and now - heard <= SILENT_AFTER,
        urgent=lanes[SEND],
        bulk=lanes[SEND_BULK],
        say=SAY,
    )
