"""What is no longer needed does not stay."""

from datetime import timedelta

from sqlalchemy import func, select, text

from services.routing.commands import tidying
from services.routing.commands.sessions import start_guest_session
from services.routing.domain.sessions import GUEST_LIFETIME
from services.routing.keys import Keys
from services.routing.tables import offer, pass_issued, session_table
from services.routing.worker import DUE_HANDLERS
from shared.db import Database
from shared.messaging.due import DueLoop
from tests.routing.makers import NOW, TOWN
from tests.routing.test_handover import begin, hand_over, preview, tell


async def test_old_sessions_passes_and_offers_are_removed(db: Database, keys: Keys) -> None:
    async with db.begin(TOWN) as session:
        guest = (await start_guest_session(session, municipality=TOWN, now=NOW)).identity
    answered, closed = await begin(db, guest), await begin(db, guest)
    for case_id in (answered, closed):
        await tell(db, keys, guest, case_id, reach="none", contact=None)
    await hand_over(db, keys, guest, answered)
    await preview(db, keys, guest, closed)
    late = NOW + GUEST_LIFETIME + tidying.SESSIONS_KEPT + timedelta(hours=2)
    async with db.begin(TOWN) as session:
        await start_guest_session(session, municipality=TOWN, now=late)

    async def run(at: timedelta) -> list[int]:
        await DueLoop(db, DUE_HANDLERS, lambda: late + at).run_once()
        async with db.begin(TOWN) as session:
            return [
                (await session.execute(select(func.count()).select_from(table))).scalar_one()
                for table in (session_table, pass_issued, offer)
            ]

    # The first round may come before the unanswered preview is declined: until then it stays.
    await run(timedelta(0))
    assert await run(tidying.EVERY) == [1, 0, 0]
    async with db.begin(TOWN) as session:
        due = (
            await session.execute(text("SELECT DISTINCT due_at FROM routing.due WHERE kind = 'tidy_up'"))
        ).scalar_one()
    # Each town's next round.
    assert due == late + tidying.EVERY * 2
