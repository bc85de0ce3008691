"""Everything secret that the processes need, generated once and kept in ``<data_dir>/secrets.json`` (0600).

There is no default secret: what is not in the environment is drawn at random. The processes themselves read only
environment variables (or files named by ``<VARIABLE>_FILE``), so that production may bring its own from anywhere.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.public import PrivateKey

from deploy.local.servers import write_private
from shared.events.subscriptions import SERVICES

DEFAULT_DATABASE: Final = "choudo"
# Paths of a superuser's URL that name no database of ours.
ADMINISTRATIVE_DATABASES: Final = ("", "postgres", "template1")
PASSWORD_BYTES: Final = 24
MASTER_KEY_BYTES: Final = 32
SAMPLE_STAFF_PASSWORD: Final = "sample.staff_password"  # noqa: S105  where it is kept, not what it is
SAMPLE_PASSWORD_BYTES: Final = 9


def load_environment(
    data_dir: Path, *, database_url: str, redis_url: str, environ: Mapping[str, str], database: str | None = None
) -> dict[str, str]:
    """The CHOUDO_* variables of all processes. A variable that is set in ``environ`` wins over the generated one.

    ``database_url`` is the provisioner's; the database is the one it names (``choudo`` if that is ``postgres``) unless
    ``database`` is given. The roles are named after the database, so that two installations can share a server.
    """
    kept = _kept(data_dir)
    database = database or database_name(database_url)
    made = {name: value for name, value in kept.items() if name.startswith("CHOUDO_")}
    made["CHOUDO_REDIS_URL"] = redis_url
    for service in SERVICES:
        prefix = f"CHOUDO_{service.upper()}"
        for variable, role in (("DATABASE_URL", app_role(database, service)),
                               ("OWNER_DATABASE_URL", owner_role(database, service))):  # fmt: skip
            made[f"{prefix}_{variable}"] = _role_url(database_url, role, kept[f"{service}.{variable}"], database)
    private_keys = {service: environ.get(f"CHOUDO_{service.upper()}_BOX_KEY") for service in SERVICES}
    made["CHOUDO_BOX_PUBLIC_KEYS"] = ",".join(
        f"{service}={_box_public_key(given or made[f'CHOUDO_{service.upper()}_BOX_KEY'])}"
        for service, given in private_keys.items()
    )
    if private_pem := environ.get("CHOUDO_TOKEN_PRIVATE_KEY"):
        made["CHOUDO_TOKEN_PUBLIC_KEY"] = _token_public_key(private_pem)
    given = {name: environ[name] for name in made if environ.get(name)}
    return made | given


def sample_staff_password(data_dir: Path) -> str:
    """The password of the staff account of ``make run``, drawn for this data folder. No running process has it."""
    return _kept(data_dir)[SAMPLE_STAFF_PASSWORD]


class MissingVariable(ValueError):
    """A variable is not set, or its file cannot be read; the message names it."""


def required(environ: Mapping[str, str], name: str) -> str:
    """A variable, or what is in the file that ``<name>_FILE`` names. Raises MissingVariable."""
    if value := environ.get(name):
        return value
    if path := environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise MissingVariable(f"{name}_FILE cannot be read: {error.strerror}") from error
    raise MissingVariable(f"{name} (or {name}_FILE) is not set")


def database_name(database_url: str) -> str:
    """The database that the provisioner's URL asks for."""
    name = urlsplit(database_url).path.lstrip("/")
    return DEFAULT_DATABASE if name in ADMINISTRATIVE_DATABASES else name


def app_role(database: str, service: str) -> str:
    """The role that a service works as."""
    return f"{database}_{service}"


def owner_role(database: str, service: str) -> str:
    """The role that owns a service's schema and runs its migrations."""
    return f"{database}_{service}_owner"


def _kept(data_dir: Path) -> dict[str, str]:
    """What was generated before, completed by what a newer version needs in addition."""
    path = data_dir / "secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: value for name, value in _generate().items() if name not in kept}
    if "CHOUDO_TOKEN_PRIVATE_KEY" in kept:
        missing.pop("CHOUDO_TOKEN_PUBLIC_KEY", None)
        kept["CHOUDO_TOKEN_PUBLIC_KEY"] = _token_public_key(kept["CHOUDO_TOKEN_PRIVATE_KEY"])
    if missing:
        kept |= missing
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, json.dumps(kept, indent=1, sort_keys=True).encode())
    return kept


def _generate() -> dict[str, str]:
    token_key = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = {
        "CHOUDO_TOKEN_PRIVATE_KEY": token_key.decode(),
        "CHOUDO_TOKEN_PUBLIC_KEY": _token_public_key(token_key.decode()),
        "CHOUDO_SMS_GATEWAY_TOKEN": secrets.token_urlsafe(PASSWORD_BYTES),
        SAMPLE_STAFF_PASSWORD: secrets.token_urlsafe(SAMPLE_PASSWORD_BYTES),
    }
    for service in SERVICES:
        prefix = f"CHOUDO_{service.upper()}"
        made[f"{service}.DATABASE_URL"] = secrets.token_urlsafe(PASSWORD_BYTES)
        made[f"{service}.OWNER_DATABASE_URL"] = secrets.token_urlsafe(PASSWORD_BYTES)
        made[f"{prefix}_BOX_KEY"] = base64.b64encode(bytes(PrivateKey.generate())).decode()
        made[f"{prefix}_MASTER_KEY"] = base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode()
    return made


def _token_public_key(private_pem: str) -> str:
    key = serialization.load_pem_private_key(private_pem.encode(), password=None)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def _box_public_key(private_keys: str) -> str:
    """The public half of the newest key: keys rotate by being listed, the first of them seals."""
    newest = private_keys.split(",")[0]
    return base64.b64encode(bytes(PrivateKey(base64.b64decode(newest)).public_key)).decode()


def _role_url(database_url: str, role: str, password: str, database: str) -> str:
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{quote(role, safe='')}:{quote(password, safe='')}@{host}"
    return urlunsplit(("postgresql", netloc, "/" + quote(database, safe=""), parts.query, ""))
