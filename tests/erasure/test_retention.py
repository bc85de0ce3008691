"""What is given for a procedure is kept as long as the town says, to the second, and no longer."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from deploy.cli import main
from services.routing.commands.about_you import fill_form
from services.routing.commands.inquiries import ask
from services.routing.commands.retention import Retention, erase_due
from services.routing.commands.vault import keep_items
from services.routing.queries.retention import count_due
from shared.events.subscriptions import SERVICES
from shared.tokens import Identity
from tests.erasure.town import Town
from tests.routing.makers import KANA, NAME, TOWN

A_SECOND = timedelta(seconds=1)
DAYS = timedelta(days=365)


async def due(town: Town, at: datetime) -> int:
    async with town.at("routing") as session:
        return sum(line.cases for line in await count_due(session, TOWN, now=at))


async def erase(town: Town) -> int:
    return await erase_due(town.services["routing"].db, TOWN, now=town.now)


async def cases(town: Town) -> set[UUID]:
    return {row["case_id"] for row in await town.rows("SELECT case_id FROM routing.case_file")}


async def test_a_draft_is_due_a_year_after_it_was_last_touched_and_not_a_second_sooner(town: Town) -> None:
    await town.hand_over(await town.guest())
    touched = (await town.rows("SELECT updated_at FROM routing.case_file"))[0]["updated_at"]
    assert await due(town, touched + DAYS - A_SECOND) == 0
    assert await due(town, touched + DAYS) == 1


async def test_an_appointment_s_case_is_due_a_year_after_its_end(town: Town) -> None:
    guest = await town.guest()
    booked = await town.book(guest, await town.hand_over(guest))
    await town.deliver()
    assert await due(town, booked.ends_at + DAYS - A_SECOND) == 0
    assert await due(town, booked.ends_at + DAYS) == 1


@pytest.mark.parametrize("state", ["completed", "withdrawn"])
async def test_an_application_is_due_a_year_after_the_office_closed_it_and_never_before(town: Town, state: str) -> None:
    ticket = await town.hand_over(await town.guest())
    closed_at = town.now + timedelta(days=400)
    await sent(town, ticket.case_id, state="accepted", changed_at=closed_at)
    assert await due(town, closed_at + DAYS * 10) == 0
    await town.admin.execute("UPDATE routing.application SET state = $1, version = version + 1", state)
    assert await due(town, closed_at + DAYS - A_SECOND) == 0
    assert await due(town, closed_at + DAYS) == 1


async def test_each_procedure_has_its_own_days(town: Town) -> None:
    await town.hand_over(await town.guest())
    await town.admin.execute("UPDATE routing.procedure SET retention_days = 30 WHERE code = 'CHI02'")
    assert await due(town, town.now + timedelta(days=29)) == 0
    assert await due(town, town.now + timedelta(days=31)) == 1


async def test_with_the_last_case_the_person_is_erased(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    await town.deliver()
    town.now += DAYS + timedelta(days=30)
    assert await erase(town) == 1
    await town.deliver()
    assert await town.places_of(str(ticket.subject_ref)) <= {f"{service}.ledger_entry" for service in SERVICES}
    assert (await town.rows("SELECT reason FROM routing.erasure"))[0]["reason"] == "retention"
    assert await erase(town) == 0


async def test_what_a_case_that_stays_makes_use_of_stays(town: Town) -> None:
    guest = await town.guest()
    old = await town.hand_over(guest)
    await town.book(guest, old)
    await type_in(town, guest, old.subject_ref, old.case_id, {"birth_date": "1988-04-05"})
    await town.deliver()
    town.now += DAYS
    new = await town.hand_over(guest, contact=None)
    # The name is used in the new case; the birth date of the old one is not.
    town.now += timedelta(days=30)
    assert await erase(town) == 1
    await town.deliver()
    assert await cases(town) == {new.case_id}
    assert {row["key"] for row in await town.rows("SELECT key FROM routing.item")} == {"name", "kana"}
    # The contact, too, which notifications has.
    assert len(await town.rows("SELECT 1 FROM notifications.contact_way")) == 1
    appointment = (await town.rows("SELECT * FROM booking.appointment"))[0]
    assert [appointment[name] for name in ("subject_ref", "case_id", "name_sealed", "guest_ref")] == [None] * 4
    assert await town.rows("SELECT 1 FROM notifications.appointment") == []
    assert await town.rows("SELECT 1 FROM notifications.notice") == []
    # Their owner reads it: of routing and of booking, item by item.
    told = await town.rows("SELECT service, items FROM routing.reuse WHERE entry_type = 'erased' ORDER BY service")
    assert [(row["service"], row["items"]) for row in told] == [
        ("booking", ["kana", "name"]),
        ("routing", ["birth_date"]),
    ]
    assert await town.rows("SELECT 1 FROM routing.erasure") == []
    # The one that stays goes on.
    vault = town.services["routing"].keys.vault
    async with town.at("routing") as session:
        form = await fill_form(session, vault, identity=guest, case_id=new.case_id, now=town.now)
    assert form.items == {"name": NAME, "kana": KANA}


async def test_a_version_that_a_live_application_was_sent_with_stays(town: Town) -> None:
    guest = await town.guest()
    old = await town.hand_over(guest)
    await town.deliver()
    town.now += DAYS
    new = await town.hand_over(guest, contact=None)
    await type_in(town, guest, new.subject_ref, new.case_id, {"name": "べつの 名前"})
    await sent(town, new.case_id, state="accepted", changed_at=town.now, items='{"name": 1}')
    await town.admin.execute("UPDATE routing.case_file SET items = '{}' WHERE case_id = $1", new.case_id)
    town.now += timedelta(days=30)
    assert await erase(town) == 1
    left = await town.rows("SELECT key, version, case_id FROM routing.item ORDER BY key, version")
    assert [(row["key"], row["version"], row["case_id"]) for row in left] == [
        ("name", 1, old.case_id),
        ("name", 2, new.case_id),
    ]


async def test_a_contact_that_nobody_uses_any_more_goes_with_its_case(town: Town) -> None:
    guest = await town.guest()
    await town.hand_over(guest)
    await town.deliver()
    town.now += DAYS
    await town.hand_over(guest, reach="none", contact=None)
    town.now += timedelta(days=30)
    assert await erase(town) == 1
    await town.deliver()
    assert await town.rows("SELECT 1 FROM notifications.contact_point") == []
    told = await town.rows("SELECT items FROM routing.reuse WHERE entry_type = 'erased' AND service = 'notifications'")
    assert [row["items"] for row in told] == [["contact"]]


async def test_a_case_in_which_nobody_said_anything_just_goes(town: Town) -> None:
    ticket = await town.hand_over(await town.guest())
    await town.admin.execute(
        """UPDATE routing.case_file SET subject_ref = NULL, contact_ref = NULL WHERE case_id = $1""", ticket.case_id
    )
    town.now += DAYS * 2
    assert await erase(town) == 1
    assert await cases(town) == set()


async def test_the_loop_erases_what_is_due_but_not_right_after_a_step_of_the_clock(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.hand_over(await town.guest())
    town.now += DAYS * 2
    was_set = True
    monkeypatch.setattr("services.routing.commands.retention.was_set_within", lambda *_: was_set)

    async def run() -> None:
        loop = asyncio.create_task(Retention(town.services["routing"].db, town.clock).run())
        await asyncio.sleep(1)
        loop.cancel()

    await run()
    assert len(await cases(town)) == 1
    was_set = False
    await run()
    assert await cases(town) == set()


async def test_the_command_says_what_is_due_and_erases_it_when_told(
    town: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in town.environ.items():
        monkeypatch.setenv(name, value)

    async def now(*_: object) -> datetime:
        return town.now

    monkeypatch.setattr("deploy.retention.time_of", now)
    await town.hand_over(await town.guest())
    town.now += DAYS * 2
    assert await asyncio.to_thread(main, ["retention"]) == 0
    assert "CHI02 児童手当の申請: 1 cases of 1 people, kept 365 days" in capsys.readouterr().out
    assert len(await cases(town)) == 1
    assert await asyncio.to_thread(main, ["retention", TOWN, "--yes"]) == 0
    assert "1 cases erased" in capsys.readouterr().out
    assert await cases(town) == set()
    assert await asyncio.to_thread(main, ["retention", "nowhere"]) == 2


async def type_in(town: Town, guest: Identity, subject_ref: UUID, case_id: UUID, values: dict[str, str]) -> None:
    async with town.at("routing") as session:
        await keep_items(
            session,
            town.services["routing"].keys.vault,
            identity=guest,
            subject_ref=subject_ref,
            values=values,
            case_id=case_id,
            procedure="CHI02",
            purpose="x",
            usable={},
            now=town.now,
        )


async def sent(town: Town, case_id: UUID, *, state: str, changed_at: datetime, items: str = "{}") -> None:
    """An application of this case, as the office has it."""
    await town.admin.execute(
        """INSERT INTO routing.application (municipality, application_id, number, case_id, procedure, office,
               subject_ref, guest_ref, state, version, items, submit_key, submitted_at, changed_at)
           SELECT municipality, gen_random_uuid(), 'K4M7RXAC', case_id, procedure, 'x', subject_ref, guest_ref, $2, 1,
                  $3::jsonb, gen_random_uuid(), $4, $4
           FROM routing.case_file WHERE case_id = $1""",
        case_id,
        state,
        items,
        changed_at,
    )


async def test_whoever_waits_for_an_answer_is_not_erased_before_they_have_it(town: Town) -> None:
    """Seen to fail without the look at what was asked."""
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.book(guest, ticket)
    await town.deliver()
    entry_id = (await town.rows("SELECT entry_id FROM routing.reuse WHERE visibility = 'subject' LIMIT 1"))[0][0]
    vault = town.services["routing"].keys.vault
    async with town.at("routing") as session:
        await ask(
            session, vault, identity=guest, entry_id=entry_id, kind="unfamiliar", text="おぼえがない", now=town.now
        )
    town.now += DAYS + timedelta(days=30)
    assert await erase(town) == 0
    await town.admin.execute("UPDATE routing.inquiry SET state = 'answered', version = version + 1")
    assert await erase(town) == 1
