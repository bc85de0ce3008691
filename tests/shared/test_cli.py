"""The operator's command line, as the production shape runs it: secrets in files, and the folders of the image."""

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from deploy.cli import BAD_INPUT, INTACT, main
from deploy.dead_letters import DONE, NOT_ALL
from shared.migrations import SERVICES
from tests.conftest import TestDatabase

SAMPLE_TOWN = "deploy/towns/ninomiya"
URLS = ("DATABASE_URL", *(f"CHOUDO_{service.upper()}_DATABASE_URL" for service in SERVICES))


@pytest.fixture
def in_files(database: TestDatabase, tmp_path: Path, root_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of compose's operator: every URL in a file, and CHOUDO_PUBLIC_URL empty."""
    monkeypatch.chdir(root_dir)
    for name in URLS:
        monkeypatch.delenv(name, raising=False)
        value = database.admin_url if name == "DATABASE_URL" else database.environ[name]
        (tmp_path / name).write_text(f"{value}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    monkeypatch.setenv("CHOUDO_PUBLIC_URL", "")
    return tmp_path


def test_every_command_reads_its_secrets_from_files(
    in_files: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["town", "load", SAMPLE_TOWN]) == INTACT
    assert main(["account", "open", "chief", "--town", "143421", "--role", "manager"]) == INTACT
    assert main(["ledger", "verify"]) == INTACT
    said = capsys.readouterr().out
    assert "catalogue version 1" in said
    assert re.search(r"account chief: password \S{12}, roles manager", said)
    assert "notifications 143421: 0 entries intact" in said


async def test_an_empty_public_url_is_none(in_files: Path, database: TestDatabase) -> None:
    assert await asyncio.to_thread(main, ["town", "load", SAMPLE_TOWN]) == INTACT
    async with database.owner_engine("routing").connect() as connection:
        published = text("SELECT convert_from(payload, 'UTF8')::json->>'town_host' FROM routing.outbox")
        assert str((await connection.execute(published)).scalar_one()).startswith("https://")


def test_a_missing_variable_is_named(
    in_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHOUDO_BOOKING_DATABASE_URL_FILE")
    assert main(["town", "load", SAMPLE_TOWN]) == BAD_INPUT
    assert "CHOUDO_BOOKING_DATABASE_URL" in capsys.readouterr().err
    (in_files / "DATABASE_URL").unlink()
    assert main(["town", "load", SAMPLE_TOWN]) == BAD_INPUT
    assert "DATABASE_URL_FILE cannot be read" in capsys.readouterr().err


def test_compose_gives_the_operator_what_the_commands_need(root_dir: Path) -> None:
    operator = (root_dir / "docker-compose.yml").read_text("utf-8").split("\n  operator:\n")[1].split("\n\n")[0]
    for name in URLS:
        assert f"      - {name}\n" in operator
        assert f"      {name}_FILE: /run/secrets/{name}" in operator


def test_dead_letters_are_listed_shown_replayed_and_discarded(
    in_files: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["dead-letters", *arguments])
        told = capsys.readouterr()
        return status, told.out + told.err

    payload = b'{"aggregate_id":"7","aggregate_version":2}'

    async def let_die() -> None:
        for service, kind, event_id in (
            ("routing", "a", 1),
            ("routing", "b", 2),
            ("booking", "a", 1),
            ("booking", "a", 3),
            ("routing", "c", 4),
        ):
            async with database.admin_engine().begin() as connection:
                letter = f"""INSERT INTO {service}.dead_letter
                    (municipality, event_id, publisher, type, payload, sealed, attempts, reason, died_at)
                    VALUES ('143421', :id, 'booking', :kind, :payload, 'to-nobody', 1, :reason, now())"""
                reason = "older_than_inbox" if kind == "c" else "unknown_type"
                values = {"id": UUID(int=event_id), "kind": kind, "payload": payload, "reason": reason}
                await connection.execute(text(letter), values)

    assert run("list") == (DONE, "0 events are dead letters\n")
    asyncio.run(let_die())
    first, second, third, old = (str(UUID(int=event_id)) for event_id in (1, 2, 3, 4))
    status, told = run("list")
    assert (status, told.count("\n")) == (NOT_ALL, 6)
    assert f"{second} routing 143421 b unknown_type, 1 attempts" in told
    assert run("list", "--service", "booking", "--type", "b") == (DONE, "0 events are dead letters\n")
    status, told = run("show", first, "--service", "routing")
    assert status == DONE
    assert "about: 7 version 2\n" in told
    assert "fields: aggregate_id, aggregate_version\nsealed: yes, until 20" in told
    assert "to-nobody" not in told
    assert run("show", str(UUID(int=9))) == (NOT_ALL, f"{UUID(int=9)}: no such dead letter\n")

    said = "asked for; `show` tells in a few seconds what came of it"
    asked = f"{first} routing 143421: {said}\n{first} booking 143421: {said}\n"
    assert run("replay", first) == (DONE, asked)
    assert "waits for its replay: yes" in run("show", first)[1]
    assert "twice: no" in run("show", second)[1]
    status, told = run("replay", second, old)
    assert (status, told.count("\n")) == (NOT_ALL, 2)
    assert f"{old} routing 143421: letter_may_repeat: a replay may do it twice" in told
    assert "add --never-applied" in told
    assert "twice: yes\nwaits for its replay: no" in run("show", old)[1]
    assert run("replay", "--never-applied", old) == (DONE, f"{old} routing 143421: {said}\n")
    status, told = run("discard", "--reason", "never_valid", "--all", "--type", "a", "--service", "booking")
    assert (status, told.count("discarded, never_valid")) == (DONE, 2)
    assert run("discard", "--reason", "out_of_date", third, second) == (
        NOT_ALL,
        f"{second} routing 143421: discarded, out_of_date\n{third}: no such dead letter\n",
    )
    for wrong in (
        ["replay"],
        ["replay", "--all"],
        ["replay", first, "--all", "--type", "a"],
        ["replay", "--type", "a"],
    ):
        assert run(*wrong) == (BAD_INPUT, "dead-letters: give IDs, or --all together with --type\n")
    for wrong in (["discard", first], ["discard", first, "--reason", "花子"], ["replay", "no-id"], ["forget", first]):
        with pytest.raises(SystemExit) as stopped:
            main(["dead-letters", *wrong])
        assert stopped.value.code == BAD_INPUT
