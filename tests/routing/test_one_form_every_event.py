"""Every life event of every town that we bring, with all of its online procedures in one form, over HTTP.

Generated from the towns' own packs: each question once, each procedure sent, and what each was sent with is its own.
"""

import re
from collections import Counter

import httpx
from sqlalchemy import text

from services.routing.domain.items import ITEM_PARTS, can_be_typed, field_of, typed_items
from services.routing.settings import Settings
from shared.db import Database
from shared.town_pack import LifeEvent, TownPack
from tests.routing.applying import SEE_OTHER
from tests.routing.conftest import Visitor
from tests.routing.filling_together import agree, send, tell
from tests.routing.makers import new_key
from tests.routing.test_every_procedure import database, pack, visitor  # noqa: F401  the towns' own packs
from tests.routing.test_items import typed_for


async def test_every_life_event_is_filled_in_as_one_form(
    visitor: Visitor,  # noqa: F811
    pack: TownPack,  # noqa: F811
    settings: Settings,
) -> None:
    items_of = {each.code: typed_items(each.items) for each in pack.procedures}
    online = {each.code for each in pack.procedures if each.online != "no" and can_be_typed(each.items)}
    db = Database(settings.database_url, service="routing", pool_size=2)
    done = 0
    for event in pack.life_events:
        codes = [step.procedure for step in event.steps if step.procedure in online]
        if codes:
            await fill_in_one_form(visitor, event, codes, items_of)
            done += 1
            async with db.begin(pack.town.code) as session:
                rows = await session.execute(text("SELECT procedure, items FROM application ORDER BY submitted_at"))
                sent = {row.procedure: set(row.items) for row in rows}
            assert {code: sent[code] for code in codes} == {code: set(items_of[code]) for code in codes}
    assert done >= len(pack.life_events) - 1
    async with db.begin(pack.town.code) as session:
        entries = await session.execute(text("SELECT items FROM ledger_entry WHERE entry_type = 'collected'"))
        collected = Counter(item for row in entries for item in row.items)
    # Of one person, over all of their life events: asked once.
    assert set(collected.values()) == {1}, collected
    await db.dispose()


async def fill_in_one_form(
    visitor: Visitor,  # noqa: F811
    event: LifeEvent,
    codes: list[str],
    items_of: dict[str, tuple[str, ...]],
) -> None:
    """From the questions to the receipts; whatever was given in an event before is agreed to."""
    yes = {question.code: "yes" for question in event.questions}
    made = await visitor.post(f"/life-events/{event.code}", yes | {"idempotency_key": new_key()})
    assert made.status_code == SEE_OTHER, (event.code, made.text)
    plan = made.headers["location"]
    assert (await visitor.post(f"{plan}/online", {"procedure": " ".join(codes)})).status_code == SEE_OTHER
    if (await visitor.get(f"{plan}/online")).headers["location"] == f"{plan}/reuse":
        await agree(visitor, plan, "yes")
    page = await visitor.get(f"{plan}/form")
    assert page.status_code == httpx.codes.OK, (event.code, page.headers)
    asked = list(dict.fromkeys(item for code in codes for item in items_of[code]))
    for item in asked:
        part = ITEM_PARTS[item][0]
        name = field_of(item, part) + ("_year" if part.kind == "day" else "")
        assert page.text.count(f'name="{name}"') == (len(part.choices) or 1), (event.code, item)
        assert page.text.count(f'id="g-{item}"') == 1
    fields = {name: typed for item in asked for name, typed in typed_for(item).items()}
    answer = await visitor.post(f"{plan}/form", fields)
    assert answer.status_code == SEE_OTHER, (event.code, re.findall(r'href="#f-\w+">([^<]+)', answer.text))
    if answer.headers["location"] == f"{plan}/reuse":
        await agree(visitor, plan, "yes")
    await tell(visitor, plan, reach="none")
    answer = await send(visitor, plan)
    assert answer.headers["location"] == f"{plan}/sent", event.code
    receipts = await visitor.get(f"{plan}/sent")
    assert receipts.text.count("確認コード</span>") == len(codes), event.code
