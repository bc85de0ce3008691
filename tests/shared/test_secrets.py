"""Secrets are made once, kept private, and fit together."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.public import PrivateKey

from deploy.compose_secrets import write_secrets
from deploy.secrets import database_name, load_environment
from shared.crypto import ServiceBox
from shared.migrations import SERVICES

ADMIN_URL = "postgresql://postgres:admin@127.0.0.1:5432/postgres"
REDIS_URL = "redis://:secret@127.0.0.1:6379/0"


def load(folder: Path, environ: dict[str, str] | None = None, database_url: str = ADMIN_URL) -> dict[str, str]:
    return load_environment(folder, database_url=database_url, redis_url=REDIS_URL, environ=environ or {})


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = load(folder)
    assert load(folder) == first
    assert load(tmp_path / "other") != first
    assert oct((folder / "secrets.json").stat().st_mode & 0o777) == "0o600"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_a_variable_that_is_set_wins(tmp_path: Path) -> None:
    own = "postgresql://me:mine@elsewhere/booking"
    assert load(tmp_path, {"CHOUDO_BOOKING_DATABASE_URL": own})["CHOUDO_BOOKING_DATABASE_URL"] == own


def test_public_keys_follow_private_keys_that_are_set(tmp_path: Path) -> None:
    box = PrivateKey.generate()
    token = Ed25519PrivateKey.generate()
    pem = token.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    given = {"CHOUDO_BOOKING_BOX_KEY": base64.b64encode(bytes(box)).decode(), "CHOUDO_TOKEN_PRIVATE_KEY": pem}
    environ = load(tmp_path, given)
    assert f"booking={base64.b64encode(bytes(box.public_key)).decode()}" in environ["CHOUDO_BOX_PUBLIC_KEYS"].split(",")
    public = serialization.load_pem_public_key(environ["CHOUDO_TOKEN_PUBLIC_KEY"].encode())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(token.sign(b"text"), b"text")


def test_services_can_seal_for_one_another(tmp_path: Path) -> None:
    environ = load(tmp_path)
    boxes = {
        service: ServiceBox.from_settings(
            environ[f"CHOUDO_{service.upper()}_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"]
        )
        for service in SERVICES
    }
    sealed = boxes["routing"].seal_for("booking", "test", b"text")
    assert boxes["booking"].open_from("routing", "test", sealed) == b"text"


def test_roles_are_named_after_the_database_so_that_two_installations_share_a_server(tmp_path: Path) -> None:
    assert "//choudo_booking:" in load(tmp_path)["CHOUDO_BOOKING_DATABASE_URL"]
    other = load(tmp_path, database_url="postgresql://postgres:admin@127.0.0.1:5432/second")
    assert "//second_booking_owner:" in other["CHOUDO_BOOKING_OWNER_DATABASE_URL"]
    assert other["CHOUDO_BOOKING_OWNER_DATABASE_URL"].endswith("@127.0.0.1:5432/second")
    assert [database_name(f"postgresql://a@b/{name}") for name in ("", "postgres", "own")] == [
        "choudo",
        "choudo",
        "own",
    ]


def test_the_files_for_compose_are_private_and_stay_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "compose"
    first = {path.name: path.read_text() for path in write_secrets(folder)}
    assert {path.name: path.read_text() for path in write_secrets(folder)} == first
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert first["CHOUDO_BOOKING_DATABASE_URL"].endswith("@postgres:5432/choudo")
    # What the gateway gave stays; what was broken is made whole.
    for name in ("CHOUDO_SMS_GATEWAY_TOKEN", "CHOUDO_REDIS_URL"):
        (folder / name).write_text("from elsewhere")
    again = {path.name: path.read_text() for path in write_secrets(folder)}
    assert again == first | {"CHOUDO_SMS_GATEWAY_TOKEN": "from elsewhere"}
