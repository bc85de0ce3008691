"""When a request for help, or its visit, comes to nothing after all: who is found then, and what others hear of it."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.erasure import erase_subject
from services.booking.commands.help_requests import on_help_deadline_due
from services.booking.domain.matching import HelpWindow
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.help_town import NEXT_MONDAY, HelpTown, open_for_help, wish
from tests.booking.helpers_town import SATO, TANAKA
from tests.booking.webhook_receiver import register

LATER = HelpWindow(first_day=NEXT_MONDAY, last_day=NEXT_MONDAY)


@pytest_asyncio.fixture
async def helps(town_after: TownAfter) -> HelpTown:
    """A town that is open, with venues and no helper yet."""
    return HelpTown(await town_after(open_for_help))


@pytest.mark.parametrize("is_late", [False, True], ids=["before the deadline", "after it"])
async def test_whose_helper_does_not_come_after_all_is_met_by_a_coordinator(helps: HelpTown, is_late: bool) -> None:
    """Whoever accepted did so before the deadline, or after it; it is over when they say that they cannot come."""
    boss = helps.town.browser("boss", kind="staff", roles=("coordinator",))
    await helps.helper(TANAKA)
    request_id = await helps.ask(wanted=wish(window=LATER))
    await helps.match()
    start = helps.town.now
    if not is_late:
        await helps.answer(TANAKA, "accept")
    async with helps.town.db.begin(TOWN) as session:
        await session.execute(text("UPDATE help_request SET until = opened_at + interval '1 minute'"))
    helps.at(start + timedelta(minutes=2))
    await helps.deadline(request_id)
    if is_late:
        await helps.answer(TANAKA, "accept")
    assert await helps.state(request_id) == ("met", True)
    await helps.answer(TANAKA, "decline")
    assert await helps.state(request_id) == ("unmet", False)
    assert [each["state"] for each in await helps.facts("help_request_progressed")][-1] == "unmet", "they are told"
    await helps.helper(SATO)
    base = f"/helpers/requests/{request_id}"
    choice = re.search(rf'value="([0-9a-f-]+/{SATO})"', (await boss.get(base)).text)
    assert choice
    await boss.post(base, data={"choice": choice[1]})
    assert await helps.states() == {SATO: "asked", TANAKA: "declined"}
    await helps.answer(SATO, "accept")
    assert await helps.state(request_id) == ("met", True)
    assert len(await helps.facts("appointment_booked")) == 2, "they are told of the new one"


async def test_what_was_brought_is_forgotten_when_the_visit_begins(helps: HelpTown) -> None:
    await helps.helper()
    request_id = await helps.ask(wanted=wish(window=LATER))
    await helps.match()
    await helps.answer(TANAKA, "accept")
    starts_at = (await helps.town.rows("SELECT starts_at FROM booking.appointment"))[0].starts_at  # type: ignore[attr-defined]
    for moment, is_kept in ((None, True), (starts_at, False)):
        helps.at(moment or (await helps.request(request_id)).until)
        async with helps.town.db.begin(TOWN) as session:
            await on_help_deadline_due(session, TOWN, str(request_id), helps.town.now)
        assert ((await helps.request(request_id)).draft_sealed is not None) == is_kept


@pytest.mark.parametrize("answer", ["", "accept"], ids=["untold", "told"])
async def test_other_systems_hear_of_an_end_only_where_they_heard_of_a_beginning(helps: HelpTown, answer: str) -> None:
    """Seen to fail when an erasure tells of what nobody was told of."""
    await register(helps.town, "https://signage.example.jp/hook")
    subject = uuid4()
    await helps.helper()
    await helps.ask(subject_ref=subject)
    await helps.match()
    if answer:
        await helps.answer(TANAKA, answer)  # type: ignore[arg-type]
    async with helps.town.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, subject, "resident", now=helps.town.now)
    rows = await helps.town.rows("SELECT kind FROM booking.webhook_delivery ORDER BY version")
    told = [row.kind for row in rows]  # type: ignore[attr-defined]
    assert told == (["appointment.booked", "appointment.cancelled"] if answer else [])
