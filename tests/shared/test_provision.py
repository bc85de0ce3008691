"""What the roles may and may not do, on a real server."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from deploy.local.servers import Servers
from deploy.provision import provision, scram_verifier
from shared.migrations import SERVICES
from tests.conftest import TestDatabase


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("other", SERVICES)
async def test_a_service_reads_its_own_schema_only(database: TestDatabase, service: str, other: str) -> None:
    async with database.owner_engine(other).begin() as connection:
        await connection.execute(text(f"CREATE TABLE {other}.probe (municipality text)"))
    query = text(f"SELECT count(*) FROM {other}.probe")
    for engine in (database.engine(service), database.owner_engine(service)):
        async with engine.connect() as connection:
            if service == other:
                assert (await connection.execute(query)).scalar_one() == 0
            else:
                with pytest.raises(ProgrammingError, match=f"permission denied for schema {other}"):
                    await connection.execute(query)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_application_role_owns_nothing_and_can_create_nothing(database: TestDatabase, service: str) -> None:
    engine = database.engine(service)
    async with engine.connect() as connection:
        owned = await connection.execute(
            text(
                "SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname = current_user"
                " UNION ALL SELECT n.nspname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner"
                " WHERE r.rolname = current_user LIMIT 10"
            )
        )
        assert owned.scalars().all() == []
    for statement in (
        f"CREATE TABLE {service}.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "CREATE SCHEMA mine",
        # Routing's previews write into copies that only their session sees (decision 54).
        *(["CREATE TEMPORARY TABLE mine (a int)"] if service != "routing" else []),
        "SET ROLE postgres",
        "INSERT INTO town.municipality VALUES ('x', 'x', 'x', 'x')",
    ):
        async with engine.connect() as connection:
            with pytest.raises(ProgrammingError, match="permission denied"):
                await connection.execute(text(statement))


async def test_the_application_role_writes_the_tables_of_its_owner(database: TestDatabase) -> None:
    async with database.owner_engine("booking").begin() as connection:
        await connection.execute(text("CREATE TABLE booking.probe (municipality text)"))
    async with database.engine("booking").begin() as connection:
        await connection.execute(text("INSERT INTO booking.probe VALUES ('143421')"))
        await connection.execute(text("DELETE FROM booking.probe"))
    async with database.engine("booking").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text("TRUNCATE booking.probe"))


async def test_every_role_reads_the_towns(database: TestDatabase) -> None:
    for service in SERVICES:
        for engine in (database.engine(service), database.owner_engine(service)):
            async with engine.connect() as connection:
                assert (await connection.execute(text("SELECT count(*) FROM town.host"))).scalar_one() == 0


async def test_an_owner_makes_exclusion_constraints_over_text(database: TestDatabase) -> None:
    """They need the operator classes of btree_gist, whose schema the owner may not use."""
    async with database.owner_engine("booking").begin() as connection:
        await connection.execute(
            text(
                "CREATE TABLE booking.probe (municipality text, during tstzrange,"
                " EXCLUDE USING gist (municipality WITH =, during WITH &&))"
            )
        )
    async with database.engine("booking").begin() as connection:
        await connection.execute(text("INSERT INTO booking.probe VALUES ('143421', tstzrange(now(), now()))"))


async def test_sessions_of_the_application_have_time_limits(database: TestDatabase) -> None:
    async with database.engine("routing").connect() as connection:
        for setting, value in (
            ("lock_timeout", "3s"),
            ("statement_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "15s"),
        ):
            assert (await connection.execute(text(f"SHOW {setting}"))).scalar_one() == value


async def test_a_wrong_password_is_refused(database: TestDatabase) -> None:
    url = database.environ["CHOUDO_BOOKING_DATABASE_URL"]
    head, _, tail = url.rpartition("@")
    wrong = f"{head.rpartition(':')[0]}:wrong@{tail}"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_provisioning_again_changes_nothing(database: TestDatabase, servers: Servers) -> None:
    async with database.owner_engine("booking").begin() as connection:
        await connection.execute(text("CREATE TABLE booking.kept (municipality text)"))
    await provision(servers.database_url, database.environ)
    async with database.engine("booking").connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM booking.kept"))).scalar_one() == 0


async def test_the_version_table_is_for_reading(database: TestDatabase) -> None:
    for service in SERVICES:
        async with database.engine(service).connect() as connection:
            query = text(f"SELECT count(*) FROM {service}.alembic_version")
            assert (await connection.execute(query)).scalar_one() == 1
            with pytest.raises(ProgrammingError, match="permission denied"):
                await connection.execute(text(f"DELETE FROM {service}.alembic_version"))


async def test_urls_that_name_several_databases_are_refused(database: TestDatabase, servers: Servers) -> None:
    url = database.environ["CHOUDO_BOOKING_DATABASE_URL"]
    with pytest.raises(ValueError, match="several databases"):
        await provision(servers.database_url, database.environ | {"CHOUDO_BOOKING_DATABASE_URL": url + "_other"})


def test_a_verifier_never_holds_the_password() -> None:
    verifier = scram_verifier("correct horse")
    assert verifier.startswith("SCRAM-SHA-256$4096:")
    assert "horse" not in verifier
    assert verifier != scram_verifier("correct horse")
