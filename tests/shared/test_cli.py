"""The operator's command line, as the production shape runs it: secrets in files, and the folders of the image."""

import asyncio
import re
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.cli import BAD_INPUT, INTACT, main
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
