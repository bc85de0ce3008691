"""`choudo ledger verify`: what residents are shown is what the ledgers say, and what is not so is named."""

from collections.abc import Callable

import msgspec
from sqlalchemy import text

from deploy.ledger_projection import compare_projection
from shared.db import Database
from shared.events.ledger import ReuseRecorded
from tests.routing.applying import apply
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, TOWN
from tests.routing.test_consumers import hear
from tests.routing.test_erase_pages import erase_fields
from tests.routing.test_history import subject_of


async def come_round(db: Database) -> None:
    """Everything that was told reaches the projection."""
    query = "SELECT payload FROM outbox WHERE type = 'ledger.reuse_recorded.v1'"
    async with db.begin(TOWN) as session:
        payloads = (await session.execute(text(query))).scalars().all()
    await hear(db, *(msgspec.json.decode(payload, type=ReuseRecorded) for payload in payloads))


async def test_what_is_missing_or_altered_on_the_residents_page_is_found(
    db: Database, visitor: Visitor, new_visitor: Callable[..., Visitor]
) -> None:
    await apply(visitor)
    waiting = await compare_projection(db, db, TOWN, now=NOW)
    assert waiting.entries == waiting.missing > 3
    await come_round(db)
    assert await subject_of(db) is not None
    whole = await compare_projection(db, db, TOWN, now=NOW)
    assert (whole.entries, whole.missing, whole.altered) == (waiting.entries, 0, [])
    async with db.begin(TOWN) as session:
        changed = "UPDATE reuse SET canonical = replace(canonical, 'appi', 'xxxx') WHERE entry_type = 'approved'"
        await session.execute(text(changed))
        await session.execute(text("DELETE FROM reuse WHERE entry_type = 'offered'"))
    found = await compare_projection(db, db, TOWN, now=NOW)
    assert found.missing > 0
    assert found.altered
    assert str(found.altered[0]) in str(found)


async def test_of_an_erased_person_no_page_is_missed(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case()
    await visitor.tell(case, name="二宮 花子", reach="none")
    assert (await compare_projection(db, db, TOWN, now=NOW)).entries > 0
    await visitor.post("/my/erase", await erase_fields(visitor))
    assert (await compare_projection(db, db, TOWN, now=NOW)).entries == 0
