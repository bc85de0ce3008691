"""Meetings with a helper: who comes is told with the appointment, the person's yes is kept, and notes to the next."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text

from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.erasure import erase_subject
from services.booking.commands.helper_notes import list_notes, list_notes_for_coordinator, write_note
from services.booking.commands.meetings import keep_agreement
from services.booking.commands.own_days import show_meeting
from services.booking.commands.tidying import tidy_up
from services.booking.domain.notes import NOTE_WRITTEN_WITHIN, NOTES_KEPT
from services.booking.keys import note_context
from shared.errors import Refusal
from shared.events.routing import MeetingAgreed
from shared.tokens import Identity
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.helpers_town import SATO, TANAKA, HelperTown, open_with_venues

BOSS = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=("coordinator",))
WORDS = "字を大きくすると読めた"


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """A town that is open, with one helper."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(TANAKA)
    return town


async def named(helpers: HelperTown, appointment_id: UUID) -> list[tuple[str, str | None]]:
    """Who comes, as each of the appointment's events tells it."""
    rows: list[Any] = await helpers.town.rows(
        "SELECT payload FROM booking.outbox WHERE aggregate_id = :id ORDER BY aggregate_version",
        id=str(appointment_id),
    )
    told = [msgspec.json.decode(bytes(row.payload)) for row in rows]
    return [(event["type"].split(".")[1], event.get("helper_ref")) for event in told]


async def version(helpers: HelperTown) -> int:
    [row] = await helpers.town.rows("SELECT version FROM booking.appointment")
    return row.version  # type: ignore[attr-defined, no-any-return]


async def test_who_comes_is_told_from_the_yes_to_the_end(helpers: HelperTown) -> None:
    """Seen to fail with the trigger `name_helper` dropped."""
    booked = await helpers.book()
    await helpers.answer(TANAKA, "accept")
    helpers.at(booked.starts_at)
    await helpers.answer(TANAKA, "came")
    assert await named(helpers, booked.appointment_id) == [
        ("appointment_booked", None),
        ("appointment_progressed", TANAKA),
        ("appointment_progressed", TANAKA),
    ]


async def test_moved_or_given_back_nobody_is_named_until_the_next_yes(helpers: HelperTown) -> None:
    await helpers.helper(SATO)
    booked = await helpers.book()
    first = next(ref for ref, state in (await helpers.states()).items() if state == "asked")
    await helpers.answer(first, "accept")
    await helpers.answer(first, "decline")
    second = SATO if first == TANAKA else TANAKA
    await helpers.answer(second, "accept")
    assert [ref for _, ref in await named(helpers, booked.appointment_id)] == [None, first, None, second]
    other = [slot for slot in await helpers.town.slots("HALL") if slot.free][-1].slot_id
    async with helpers.town.db.begin(TOWN) as session:
        order = ChangeAppointment(
            municipality=TOWN,
            appointment_id=booked.appointment_id,
            slot_id=other,
            version=await version(helpers),
            key=str(uuid4()),
        )
        await change_appointment(session, order, now=helpers.town.now)
    assert (await named(helpers, booked.appointment_id))[-1] == ("appointment_changed", None)


async def test_who_would_have_come_is_told_of_the_end(helpers: HelperTown) -> None:
    booked = await helpers.book()
    await helpers.answer(TANAKA, "accept")
    async with helpers.town.db.begin(TOWN) as session:
        order = CancelAppointment(
            municipality=TOWN, appointment_id=booked.appointment_id, version=await version(helpers), key=str(uuid4())
        )
        await cancel_appointment(session, order, now=helpers.town.now)
    assert (await named(helpers, booked.appointment_id))[-1] == ("appointment_cancelled", TANAKA)


async def sit(helpers: HelperTown) -> tuple[Any, UUID]:
    """Booked, accepted, and begun."""
    booked = await helpers.book()
    await helpers.answer(TANAKA, "accept")
    helpers.at(booked.starts_at)
    return booked, (await helpers.requests(TANAKA))[-1].assignment_id


def agreed(booked: Any, *, version: int, until: datetime, now: datetime, helper_ref: str = TANAKA) -> MeetingAgreed:
    return MeetingAgreed(
        event_id=uuid4(), municipality=TOWN, aggregate_id=str(booked.appointment_id), aggregate_version=version,
        occurred_at=now, appointment_id=booked.appointment_id, case_id=uuid4(), helper_ref=helper_ref,
        agreed_at=now, until=until,
    )  # fmt: skip


async def test_the_newest_word_of_the_person_stands(helpers: HelperTown) -> None:
    booked, mine = await sit(helpers)
    now = helpers.town.now
    over = agreed(booked, version=2, until=now, now=now)
    async with helpers.town.db.begin(TOWN) as session:
        assert (await show_meeting(session, helpers.identity(), helpers.town.keys, mine, now=now)).agreed_at is None
        for event in (agreed(booked, version=1, until=now + timedelta(hours=1), now=now), over, over):
            await keep_agreement(session, event, now=now)
        # Told late, and out of order.
        await keep_agreement(session, agreed(booked, version=1, until=now + timedelta(hours=1), now=now), now=now)
        meeting = await show_meeting(session, helpers.identity(), helpers.town.keys, mine, now=now)
    assert (meeting.agreed_at, meeting.agreed_until) == (now, now)


async def test_what_was_said_to_one_helper_is_not_said_to_who_comes_instead(helpers: HelperTown) -> None:
    booked, mine = await sit(helpers)
    now = helpers.town.now
    to_another = agreed(booked, version=1, until=now + timedelta(hours=1), now=now, helper_ref=SATO)
    async with helpers.town.db.begin(TOWN) as session:
        await keep_agreement(session, to_another, now=now)
        assert (await show_meeting(session, helpers.identity(), helpers.town.keys, mine, now=now)).agreed_at is None


async def test_a_note_is_sealed_by_a_key_of_its_own_and_goes_with_it(helpers: HelperTown) -> None:
    _, mine = await sit(helpers)
    keys, now = helpers.town.keys, helpers.town.now
    async with helpers.town.db.begin(TOWN) as session:
        await write_note(session, helpers.identity(), keys, mine, phrases=["stuck_photo", "x"], words=WORDS, now=now)
    [row] = await helpers.town.rows("SELECT * FROM booking.helper_note")
    assert row.phrases == ["stuck_photo"]  # type: ignore[attr-defined]
    context = note_context(TOWN, mine)
    assert keys.vault.open(row.wrapped_key, context, "note", row.text_sealed) == WORDS  # type: ignore[attr-defined]
    later = now + NOTES_KEPT + timedelta(seconds=1)
    async with helpers.town.db.begin(TOWN) as session:
        assert [note.words for note in await list_notes(session, TOWN, keys, mine, now=now)] == [WORDS]
        assert [note.words for note in await list_notes_for_coordinator(session, BOSS, keys, mine, now=now)] == [WORDS]
        assert await list_notes(session, TOWN, keys, mine, now=later) == []
        await tidy_up(session, TOWN, now=later)
    assert await helpers.town.rows("SELECT 1 FROM booking.helper_note") == []


async def test_an_empty_note_takes_it_back(helpers: HelperTown) -> None:
    _, mine = await sit(helpers)
    keys, now = helpers.town.keys, helpers.town.now
    async with helpers.town.db.begin(TOWN) as session:
        await write_note(session, helpers.identity(), keys, mine, phrases=["goes_alone"], words="", now=now)
        await write_note(session, helpers.identity(), keys, mine, phrases=[], words=" ", now=now)
        assert await list_notes(session, TOWN, keys, mine, now=now) == []


async def test_a_note_goes_with_its_person(helpers: HelperTown) -> None:
    _, mine = await sit(helpers)
    keys, now = helpers.town.keys, helpers.town.now
    [row] = await helpers.town.rows("SELECT subject_ref FROM booking.appointment")
    async with helpers.town.db.begin(TOWN) as session:
        await write_note(session, helpers.identity(), keys, mine, phrases=["more_time"], words=WORDS, now=now)
        await erase_subject(session, TOWN, row.subject_ref, "resident", now=now)  # type: ignore[attr-defined]
    assert await helpers.town.rows("SELECT 1 FROM booking.helper_note") == []


async def test_what_may_not_be_noted(helpers: HelperTown) -> None:
    _, mine = await sit(helpers)
    keys, begun = helpers.town.keys, helpers.town.now

    async def refused(code: str, actor: Identity, words: str = WORDS, *, at: datetime = begun) -> None:
        async with helpers.town.db.begin(TOWN) as session:
            with pytest.raises(Refusal, match=code):
                await write_note(session, actor, keys, mine, phrases=["more_time"], words=words, now=at)

    await refused("request_unknown", helpers.identity(SATO))
    await refused("not_begun", helpers.identity(), at=begun - timedelta(seconds=1))
    await refused("note_late", helpers.identity(), at=begun + NOTE_WRITTEN_WITHIN + timedelta(seconds=1))
    await refused("note_personal", helpers.identity(), "電話は090-1234-5678")
    await refused("note_personal", helpers.identity(), "あ" * 121)
    async with helpers.town.db.begin(TOWN) as session:
        with pytest.raises(Refusal, match="request_unknown"):
            await list_notes_for_coordinator(session, BOSS, keys, uuid4(), now=begun)
        with pytest.raises(Refusal, match="request_unknown"):
            await show_meeting(session, helpers.identity(SATO), keys, mine, now=begun)
        await session.execute(text("UPDATE assignment SET state = 'released'"))
        with pytest.raises(Refusal, match="request_unknown"):
            await show_meeting(session, helpers.identity(), keys, mine, now=begun)
