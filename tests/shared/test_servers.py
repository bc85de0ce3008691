"""The embedded servers: as root and as an ordinary user, twice, and after the launcher was killed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from deploy.local.servers import NOBODY, ServerError, embedded_servers, free_port
from tests.conftest import TestDatabase

GONE_TIMEOUT_S = 60.0
COMMAND = (sys.executable, "-m", "deploy.local.servers")


# What an ordinary user may do, except that the checkout may be in a folder that only root can read.
AS_ORDINARY_USER = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"),
)
KINDS = ("as you are", "root without name spaces", "ordinary user")


@contextmanager
def launcher(data_dir: Path, root_dir: Path, kind: str = "as you are") -> "Iterator[subprocess.Popen[str]]":
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    prefix: tuple[str, ...] = ()
    if kind == "ordinary user":
        os.chown(data_dir, NOBODY, NOBODY)
        prefix = AS_ORDINARY_USER
    elif kind == "root without name spaces":
        environ["PATH"] = f"{closed_name_spaces(data_dir)}:{environ['PATH']}"
    process = subprocess.Popen(
        [*prefix, *COMMAND, str(data_dir)],
        cwd=root_dir,
        env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def closed_name_spaces(folder: Path) -> Path:
    """A folder for the front of PATH, with an unshare that answers as in most containers."""
    blocked = folder / "bin"
    blocked.mkdir(exist_ok=True)
    (blocked / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (blocked / "unshare").chmod(0o755)
    return blocked


def urls(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    answer: dict[str, str] = json.loads(process.stdout.readline())
    return answer


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def wait_until_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while (left := living(processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


async def write(where: dict[str, str], number: int) -> None:
    connection = await asyncpg.connect(where["database_url"])
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
    await connection.execute("INSERT INTO kept VALUES ($1)", number)
    await connection.close()
    with redis.Redis.from_url(where["redis_url"], decode_responses=True) as client:
        client.rpush("kept", number)


async def read(where: dict[str, str]) -> tuple[list[int], list[str]]:
    connection = await asyncpg.connect(where["database_url"])
    rows = await connection.fetch("SELECT number FROM kept ORDER BY number")
    await connection.close()
    with redis.Redis.from_url(where["redis_url"], decode_responses=True) as client:
        return [row["number"] for row in rows], client.lrange("kept", 0, -1)


async def until_on_disk(where: dict[str, str]) -> None:
    """Wait until nothing that was written waits for the disk any more (appendfsync everysec)."""
    with redis.Redis.from_url(where["redis_url"]) as client:
        async with asyncio.timeout(GONE_TIMEOUT_S):
            while any(client.info("persistence")[name] for name in ("aof_buffer_length", "aof_pending_bio_fsync")):
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", KINDS)
async def test_killing_the_launcher_leaves_no_process_and_loses_no_data(
    tmp_path: Path, root_dir: Path, kind: str
) -> None:
    """Seen to fail without PR_SET_PDEATHSIG: both servers stayed."""
    if kind != "as you are" and os.geteuid() != 0:
        pytest.skip("only root can become somebody else; the other tests ran as you")
    with launcher(tmp_path, root_dir, kind) as process:
        where = urls(process)
        await write(where, 1)
        servers = psutil.Process(process.pid).children(recursive=True)
        assert {"postgres", "valkey-server"} <= {server.name() for server in servers}
        owners = {server.uids().real for server in servers if server.name() == "postgres"}
        assert owners == {os.geteuid() if kind == "as you are" else NOBODY}
        await until_on_disk(where)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # The next one starts while the last may still be ending.
        with launcher(tmp_path, root_dir, kind) as second:
            where = urls(second)
            assert wait_until_gone(servers) == []
            assert await read(where) == ([1], ["1"])


async def test_a_second_start_finds_the_data_and_a_stale_pid_file_is_no_obstacle(tmp_path: Path) -> None:
    with embedded_servers(tmp_path, environ={}) as servers:
        where = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        await write(where, 1)
    (cluster,) = tmp_path.glob("postgres-*")
    # As after a crash of the machine: the number has gone to another process of the same user meanwhile.
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n1\n1\n\n127.0.0.1\n\nready\n")
    with embedded_servers(tmp_path, environ={}) as servers:
        where = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        assert await read(where) == ([1], ["1"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity for PostgreSQL")
async def test_root_without_name_spaces_and_in_a_folder_only_root_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{closed_name_spaces(tmp_path)}:{os.environ['PATH']}")
    data_dir = tmp_path / "closed" / "data"
    data_dir.parent.mkdir(mode=0o700)
    with embedded_servers(data_dir, environ={}) as servers:
        await write({"database_url": servers.database_url, "redis_url": servers.redis_url}, 1)
        postgres = [child for child in psutil.Process().children() if f"{data_dir}/postgres-" in child.cwd()]
        assert {child.uids().real for child in postgres} == {NOBODY}
    monkeypatch.undo()
    # With name spaces again, the same data is taken over.
    with embedded_servers(data_dir, environ={}) as servers:
        assert await read({"database_url": servers.database_url, "redis_url": servers.redis_url}) == ([1], ["1"])


async def test_two_checkouts_run_side_by_side_and_one_folder_only_once(tmp_path: Path) -> None:
    with embedded_servers(tmp_path / "a", environ={}) as first, embedded_servers(tmp_path / "b", environ={}) as second:
        assert first.database_url != second.database_url
        with pytest.raises(ServerError, match="running already"), embedded_servers(tmp_path / "a", environ={}):
            pass


def test_given_servers_are_used(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://a:b@db/choudo", "REDIS_URL": "redis://queue/0"}
    with embedded_servers(tmp_path / "data", environ=given) as servers:
        assert (servers.database_url, servers.redis_url) == (given["DATABASE_URL"], given["REDIS_URL"])
    assert not (tmp_path / "data").exists()


async def test_nobody_gets_in_without_a_password_and_secrets_are_private(tmp_path: Path) -> None:
    with embedded_servers(tmp_path, environ={}, durable=False) as servers:
        head, _, tail = servers.database_url.rpartition("@")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"{head.rpartition(':')[0]}:wrong@{tail}")
        with (
            redis.Redis.from_url("redis://" + servers.redis_url.rpartition("@")[2]) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
    secret = [tmp_path / "servers.json", tmp_path / "redis" / "redis.conf"]
    assert [oct(path.stat().st_mode & 0o777) for path in secret] == ["0o600", "0o600"]
    assert not list(tmp_path.glob("postgres.new*"))


async def test_the_queue_survives_in_the_append_only_file(tmp_path: Path) -> None:
    with embedded_servers(tmp_path, environ={}) as servers, redis.Redis.from_url(servers.redis_url) as client:
        answer = {name: client.config_get(name)[name] for name in ("appendonly", "maxmemory-policy")}
        assert {_text(name): _text(value) for name, value in answer.items()} == {
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
        }


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


async def test_a_test_database_is_empty_of_others(database: TestDatabase) -> None:
    with redis.Redis.from_url(database.environ["CHOUDO_REDIS_URL"]) as client:
        assert client.dbsize() == 0


def test_a_port_that_was_given_is_given_to_no_other_process_and_a_server_may_listen_on_it() -> None:
    """Seen to fail without the connection on it."""
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    socket.create_server(("127.0.0.1", port)).close()
