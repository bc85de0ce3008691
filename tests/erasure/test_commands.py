"""The operator erases: found by a number, seen before it is done, and written down."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from deploy.cli import main
from deploy.erase import BAD_INPUT, DONE, NOT_DONE
from tests.erasure.town import Town
from tests.routing.makers import TOWN


@pytest.fixture
def at_the_terminal(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's environment, at the town's time."""
    for name, value in town.environ.items():
        monkeypatch.setenv(name, value)


async def run(town: Town, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("deploy.erase.time_of", lambda *_: _now(town))
    return await asyncio.to_thread(main, ["erase", *arguments])


async def _now(town: Town) -> object:
    return town.now


@pytest.mark.usefixtures("at_the_terminal")
async def test_an_operator_finds_whom_a_number_leads_to_looks_and_erases(
    town: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guest = await town.guest()
    booked = await town.book(guest, ticket := await town.hand_over(guest))
    await town.deliver()
    whom = ("--appointment", booked.number, "--town", TOWN)
    assert await run(town, monkeypatch, *whom, "--yes") == NOT_DONE
    assert "lies ahead" in capsys.readouterr().out
    town.now += timedelta(days=14)
    assert await run(town, monkeypatch, *whom) == DONE
    said = capsys.readouterr().out
    assert f"subject {ticket.subject_ref}" in said
    assert "routing: 2 items, 1 cases" in said
    assert "booking: 1 visits, 1 appointments, 0 draw_entries, 0 class_entries, 0 help_requests" in said
    assert "notifications: 1 contacts" in said
    assert await town.rows("SELECT 1 FROM routing.item") != []

    assert await run(town, monkeypatch, *whom, "--yes") == DONE
    await town.deliver()
    assert await town.rows("SELECT 1 FROM routing.item") == []
    deeds = await town.rows("SELECT actor_kind FROM routing.audit WHERE action = 'erase_subject'")
    assert [deed["actor_kind"] for deed in deeds] == ["operator"]
    assert await run(town, monkeypatch, *whom, "--yes") == NOT_DONE
    assert await run(town, monkeypatch, str(ticket.subject_ref), "--town", TOWN, "--yes") == NOT_DONE


@pytest.mark.usefixtures("at_the_terminal")
async def test_what_is_open_is_erased_only_when_it_must_be(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = await town.guest()
    await town.book(guest, ticket := await town.hand_over(guest))
    await town.deliver()
    assert await run(town, monkeypatch, str(ticket.subject_ref), "--town", TOWN, "--yes", "--even-if-open") == DONE
    await town.deliver()
    assert [row["state"] for row in await town.rows("SELECT state FROM booking.appointment")] == ["cancelled"]


@pytest.mark.usefixtures("at_the_terminal")
async def test_what_the_others_never_heard_is_told_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await town.deliver()
    await town.erase(ticket.subject_ref)
    # An operator discarded the letters.
    await town.admin.execute("DELETE FROM routing.delivery")
    await town.deliver()
    assert (await town.rows("SELECT finished_at FROM routing.erasure"))[0]["finished_at"] is None
    assert await run(town, monkeypatch, "--again", "--yes") == DONE
    await town.deliver()
    assert (await town.rows("SELECT finished_at FROM routing.erasure"))[0]["finished_at"] is not None


@pytest.mark.usefixtures("at_the_terminal")
async def test_bad_input_is_refused(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await run(town, monkeypatch) == BAD_INPUT
    assert await run(town, monkeypatch, str(uuid4())) == BAD_INPUT
    assert await run(town, monkeypatch, str(uuid4()), "--again", "--town", TOWN) == BAD_INPUT
    assert await run(town, monkeypatch, str(uuid4()), "--town", "nowhere") == BAD_INPUT
    assert await run(town, monkeypatch, str(uuid4()), "--town", TOWN) == NOT_DONE
    assert await run(town, monkeypatch, "--application", "K4M7RXA", "--town", TOWN) == NOT_DONE
