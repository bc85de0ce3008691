"""What the API does around accepting notices: its transaction, another try where a twin was quicker, and the checks of
a town, which are made once for each version of its catalogue."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.system_notices import Asking, Result, accept_notices, room_of
from services.notifications.keys import Keys
from services.notifications.queries_of_systems import System
from services.notifications.queries_of_templates import read_facts
from services.notifications.system_texts import TownChecks, make_checks
from services.notifications.tables import SERVICE
from shared.db import Database, Prepared, is_deadlock

TRIES = 3
_VERSION = Prepared(f"SELECT version FROM {SERVICE}.catalogue_town WHERE municipality = :municipality")


class KnownTowns:
    """What texts are checked with, town by town. One per process."""

    def __init__(self) -> None:
        self._checks: dict[str, TownChecks] = {}

    async def checks_of(self, session: AsyncSession, municipality: str, *, now: datetime) -> TownChecks:
        """Those of a town, made anew when its catalogue has changed.

        Raises:
            Refusal: `no_catalogue` (409).
        """
        row = await _VERSION.row(session, {"municipality": municipality})
        known = self._checks.get(municipality)
        if row is None or known is None or known.version != row.version:
            known = make_checks(await read_facts(session, municipality), now=now)
            self._checks[municipality] = known
        return known


async def accept(
    db: Database, keys: Keys, towns: KnownTowns, system: System, askings: Sequence[Asking], *, now: datetime
) -> list[Result]:
    """`accept_notices` in one transaction; again when somebody else just asked for the same.

    Raises:
        Refusal: as `accept_notices`.
    """
    for left in range(TRIES - 1, -1, -1):
        try:
            async with db.begin(system.municipality) as session:
                checks = await towns.checks_of(session, system.municipality, now=now)
                return await accept_notices(session, keys, system, askings, checks, now=now)
        except DBAPIError as error:
            refusal = room_of(str(error.orig), now=now)
            if refusal is not None:
                raise refusal from error
            if left == 0 or not (isinstance(error, IntegrityError) or is_deadlock(error)):
                raise
    raise AssertionError("every way out of the loop returns or raises")
