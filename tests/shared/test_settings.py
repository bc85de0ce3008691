"""Settings: read once, every problem named at once."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from shared.crypto import Secret
from shared.settings import SHARED, MissingSettings, load


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a service's settings look like."""

    database_url: str
    box_key: Secret
    redis_url: Annotated[str, SHARED]
    token_public_key: Annotated[Secret, SHARED]
    default_municipality: Annotated[str | None, SHARED] = None
    port: int = 8_000


COMPLETE = {
    "CHOUDO_BOOKING_DATABASE_URL": "postgresql://db",
    "CHOUDO_BOOKING_BOX_KEY": "k",
    "CHOUDO_REDIS_URL": "redis://r",
    "CHOUDO_TOKEN_PUBLIC_KEY": "pem",
}


def test_a_field_is_read_from_its_services_variable_and_a_shared_one_from_everybodys() -> None:
    settings = load(Settings, COMPLETE | {"CHOUDO_DEFAULT_MUNICIPALITY": "143421"}, service="booking")
    assert settings == Settings(
        database_url="postgresql://db",
        box_key="k",
        redis_url="redis://r",
        token_public_key="pem",
        default_municipality="143421",
    )


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(MissingSettings) as raised:
        load(Settings, {}, service="booking")
    for name in COMPLETE:
        assert f"{name}: missing" in str(raised.value)
    assert "DEFAULT_MUNICIPALITY" not in str(raised.value)


def test_a_variable_of_another_service_does_not_count() -> None:
    wrong = {name.replace("_BOOKING_", "_ROUTING_"): value for name, value in COMPLETE.items()}
    with pytest.raises(MissingSettings, match="CHOUDO_BOOKING_DATABASE_URL: missing"):
        load(Settings, wrong, service="booking")


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("from the file\n")
    environ = {name: value for name, value in COMPLETE.items() if name != "CHOUDO_BOOKING_BOX_KEY"}
    settings = load(Settings, environ | {"CHOUDO_BOOKING_BOX_KEY_FILE": str(secret)}, service="booking")
    assert settings.box_key == "from the file"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    environ = {"CHOUDO_BOOKING_BOX_KEY_FILE": str(tmp_path / "absent"), "CHOUDO_REDIS_URL_FILE": str(binary)}
    with pytest.raises(MissingSettings) as raised:
        load(Settings, environ, service="booking")
    assert "CHOUDO_BOOKING_BOX_KEY_FILE: No such file" in str(raised.value)
    assert "CHOUDO_REDIS_URL_FILE: not UTF-8" in str(raised.value)
    assert "CHOUDO_BOOKING_DATABASE_URL: missing" in str(raised.value)


@pytest.mark.parametrize("name", ["CHOUDO_BOOKING_BOX_KEY", "CHOUDO_TOKEN_PUBLIC_KEY"])
def test_an_empty_secret_is_refused(name: str) -> None:
    with pytest.raises(MissingSettings, match=name):
        load(Settings, COMPLETE | {name: ""}, service="booking")


def test_a_value_of_the_wrong_kind_is_named_and_not_quoted() -> None:
    with pytest.raises(MissingSettings) as raised:
        load(Settings, COMPLETE | {"CHOUDO_BOOKING_PORT": "hunter2"}, service="booking")
    assert "CHOUDO_BOOKING_PORT" in str(raised.value)
    assert "hunter2" not in str(raised.value)
