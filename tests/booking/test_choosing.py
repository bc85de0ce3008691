"""Who explains what a visit is about and speaks its language is asked before others, in turn and all at once."""

from typing import Any
from uuid import UUID

import pytest_asyncio

from services.booking.commands.covers import start_cover
from services.booking.queries.askable import find_skill
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_town import HelpTown, open_for_help, wish
from tests.booking.helpers_town import PHONE_HELP, SATO, SUZUKI, TANAKA
from tests.booking.test_helpers import COORDINATOR

MORI = "mori"


@pytest_asyncio.fixture
async def helps(town_after: TownAfter) -> HelpTown:
    """All are at the hall on Mondays: Sato explains LINE, Suzuki speaks English, Tanaka does both, Mori neither.

    By name and load alone, Mori would be asked first.
    """
    town = HelpTown(await town_after(open_for_help))
    for ref, languages, topics in (
        (MORI, ("ja",), []),
        (SATO, ("ja",), ["line"]),
        (SUZUKI, ("ja", "en"), []),
        (TANAKA, ("ja", "en"), ["line"]),
    ):
        await town.helper(ref, languages=languages)
        await town.change_helper(ref, topics=topics)
    return town


async def asked_now(helps: HelpTown) -> str:
    [row] = [each for each in await helps.requests() if each.state == "asked"]
    return str(row.helper_ref)


async def met(helps: HelpTown, ref: str, **changes: Any) -> UUID:
    """Somebody asked for help with LINE in English, and met this helper, who accepted."""
    request_id = await helps.ask(wanted=wish(topic="line", language="en", **changes))
    await helps.match()
    assert await asked_now(helps) == ref
    await helps.answer(ref, "accept")
    return UUID(str((await helps.request(request_id)).appointment_id))


async def test_a_visit_is_about_the_topic_that_was_asked_for_or_its_procedure(helps: HelpTown) -> None:
    appointment_id = await met(helps, TANAKA)
    booked = await helps.book()
    async with helps.town.db.begin(TOWN) as session:
        assert await find_skill(session, TOWN, booked.appointment_id) == PHONE_HELP
        assert await find_skill(session, TOWN, appointment_id) == "line"


async def test_one_after_the_other_who_suits_best_comes_first(helps: HelpTown) -> None:
    await met(helps, TANAKA)
    order: list[str] = []
    for ref in (TANAKA, None, None):
        await helps.answer(ref or order[-1], "decline")
        order.append(await asked_now(helps))
    # Who speaks it; then anybody, by how much they have and by name.
    assert order == [SUZUKI, MORI, SATO]


async def test_who_explains_it_is_asked_before_who_has_less_to_do(helps: HelpTown) -> None:
    """Seen to fail where the topic counts for nothing."""
    await helps.change_helper(SATO, topics=[PHONE_HELP])
    for guest in ("first", "second"):
        await helps.book(guest, slot=0)
    states = await helps.states()
    assert states == {SATO: "asked", MORI: "asked"}, "the second comes to who is free then"
    await helps.book("third", slot=1)
    assert [row.helper_ref for row in await helps.requests()].count(SATO) == 2


async def test_all_at_once_those_are_asked_whom_nobody_suits_better_than(helps: HelpTown) -> None:
    """Seen to fail where the topic counts for nothing: three were asked."""
    for ref, languages in (("english", ("en",)), ("explains", ("en",))):
        await helps.hear(helps.account(ref, languages=languages))
    await helps.change_helper("explains", topics=["line"])
    await met(helps, TANAKA)
    [request] = [each for each in await helps.requests() if each.state == "accepted"]
    async with helps.town.db.begin(TOWN) as session:
        assert await start_cover(session, COORDINATOR, request.assignment_id, now=helps.town.now) == 1
    rows = await helps.town.rows("SELECT helper_ref FROM booking.cover_ask")
    assert [row.helper_ref for row in rows] == ["explains"]  # type: ignore[attr-defined]
