"""Master keys rotate while people go on; afterwards the old one opens nothing and is not missed."""

import asyncio
import base64
import secrets

import pytest
from sqlalchemy import text

from deploy.cli import main
from deploy.keys import DONE, SOME_LEFT, WRAPPED, read_batch, rewrap_batch
from services.notifications.commands.contacts import Reading, read_addresses
from services.notifications.domain.ways import FIRST_WAY
from services.routing.commands.about_you import fill_form
from shared.crypto import SealBroken, SubjectVault
from shared.events.subscriptions import SERVICES
from shared.tokens import Identity
from tests.erasure.town import Town
from tests.routing.makers import EMAIL, KANA, NAME, TOWN
from tests.simulation.machines import Service

PEOPLE = 4


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def variable(service: str) -> str:
    return f"CHOUDO_{service.upper()}_MASTER_KEY"


@pytest.fixture
def new_keys() -> dict[str, str]:
    return {variable(service): new_key() for service in SERVICES}


async def restart(town: Town, keys: dict[str, str]) -> None:
    """All processes start anew, with these master keys."""
    for service in town.services.values():
        await service.db.dispose()
    town.environ = dict(town.environ) | keys
    town.services = {name: Service(name, town.environ) for name in SERVICES}


async def wrapped_keys(town: Town) -> set[bytes]:
    found = set()
    for service in SERVICES:
        found |= {row["wrapped_key"] for row in await town.rows(f"SELECT wrapped_key FROM {service}.subject_key")}
    return found


async def read_everything(town: Town, guest: Identity, case_id: object) -> None:
    """What a person gave opens in all three services."""
    routing, notifications = town.services["routing"].keys, town.services["notifications"].keys
    async with town.at("routing") as session:
        form = await fill_form(session, routing.vault, identity=guest, case_id=case_id, now=town.now)  # type: ignore[arg-type]
    assert form.items == {"name": NAME, "kana": KANA}
    contacts = await town.rows("SELECT contact_ref FROM notifications.contact_point WHERE case_id = $1", case_id)
    for contact in contacts:
        reading = Reading(
            notice_id=contact["contact_ref"],
            kind="confirmation",
            contact_ref=contact["contact_ref"],
            way_no=FIRST_WAY,
            procedure="CHI02",
            office="x",
            case_id=None,
        )
        async with town.at("notifications") as session:
            read = await read_addresses(session, notifications.vault, TOWN, [reading], now=town.now)
        assert list(read.values()) == [EMAIL]
    booking = town.services["booking"].keys
    for row in await town.rows(
        """SELECT a.*, k.wrapped_key FROM booking.appointment a
           JOIN booking.subject_key k USING (municipality, subject_ref) WHERE case_id = $1""",
        case_id,
    ):
        context = f"{TOWN}/{row['subject_ref']}"
        name = booking.vault.open(row["wrapped_key"], context, f"name/{row['appointment_id']}", row["name_sealed"])
        assert name == NAME


async def command(town: Town, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    for name, value in town.environ.items():
        monkeypatch.setenv(name, value)
    return await asyncio.to_thread(main, ["keys", *arguments])


async def test_keys_rotate_while_people_read_and_write_and_then_the_old_one_is_not_missed(
    town: Town, new_keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.keys.BATCH", 2)
    people = []
    for _ in range(PEOPLE):
        guest = await town.guest()
        ticket = await town.hand_over(guest)
        await town.book(guest, ticket)
        people.append((guest, ticket.case_id))
    await town.deliver()
    old_wrapped = await wrapped_keys(town)
    old = {name: town.environ[name] for name in new_keys}

    # 1. The new key is put first, and the processes are started again.
    await restart(town, {name: f"{new_keys[name]},{old[name]}" for name in new_keys})
    assert await command(town, monkeypatch, "status") == SOME_LEFT
    assert f"routing: 0 keys under the newest master key, {PEOPLE} under older ones" in capsys.readouterr().out
    is_over = asyncio.Event()

    async def go_on() -> int:
        rounds = 0
        while not is_over.is_set() or not rounds:
            for guest, case_id in tuple(people):
                await read_everything(town, guest, case_id)
            newcomer = await town.guest()
            ticket = await town.hand_over(newcomer)
            people.append((newcomer, ticket.case_id))
            rounds += 1
        return rounds

    # 2. They are wrapped anew while everybody goes on.
    going_on = asyncio.create_task(go_on())
    assert await command(town, monkeypatch, "rotate", "--service", "booking") == DONE
    assert await command(town, monkeypatch, "rotate") == DONE
    is_over.set()
    assert await going_on > 0
    await town.deliver()
    assert await command(town, monkeypatch, "status") == DONE
    assert not old_wrapped & await wrapped_keys(town)

    # 3. The old one is taken off the list.
    await restart(town, new_keys)
    for guest, case_id in people:
        await read_everything(town, guest, case_id)
    for service in SERVICES:
        gone = SubjectVault.from_settings(old[variable(service)])
        for row in await town.rows(f"SELECT * FROM {service}.subject_key"):
            with pytest.raises(SealBroken):
                gone.is_newest(row["wrapped_key"], f"{TOWN}/{row['subject_ref']}")


async def test_a_key_that_was_destroyed_or_wrapped_meanwhile_stays_so(town: Town) -> None:
    """Between reading and writing. Seen to fail without the comparison with what was read."""
    first, second = await town.hand_over(await town.guest()), await town.hand_over(await town.guest())
    wrapped = WRAPPED["routing"][0]
    vault = SubjectVault.from_settings(f"{new_key()},{town.environ[variable('routing')]}")
    async with town.at("routing") as session:
        rows = await read_batch(session, wrapped, TOWN, after=None)
    await town.admin.execute("DELETE FROM routing.subject_key WHERE subject_ref = $1", first.subject_ref)
    await town.admin.execute(
        "UPDATE routing.subject_key SET wrapped_key = '\\x01' WHERE subject_ref = $1", second.subject_ref
    )
    async with town.at("routing") as session:
        await rewrap_batch(session, vault, wrapped, TOWN, rows)
    left = await town.rows("SELECT subject_ref, wrapped_key FROM routing.subject_key")
    assert [(row["subject_ref"], row["wrapped_key"]) for row in left] == [(second.subject_ref, b"\x01")]


async def test_a_key_of_a_master_key_that_was_taken_off_too_soon_is_counted_and_left(
    town: Town, new_keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await town.hand_over(await town.guest())
    before = await wrapped_keys(town)
    await restart(town, new_keys)
    assert await command(town, monkeypatch, "rotate", "--service", "routing") == SOME_LEFT
    assert "1 under none of them" in capsys.readouterr().out
    assert await wrapped_keys(town) == before


async def test_every_table_with_wrapped_keys_is_rotated(town: Town) -> None:
    for service in SERVICES:
        async with town.at(service) as session:
            tables = await session.execute(
                text("""SELECT table_name FROM information_schema.columns
                        WHERE table_schema = :service AND column_name = 'wrapped_key'"""),
                {"service": service},
            )
            assert {wrapped.table for wrapped in WRAPPED[service]} == set(tables.scalars())
