"""Settings come from the environment, are read once at start, and name everything that is missing.

A variable `CHOUDO_X` may be given as `CHOUDO_X_FILE`, the path of a file that holds it (for secrets).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from shared.db import POOL_SIZE, POOL_SIZE_MAX, POOL_SIZE_MIN

T = TypeVar("T", bound=msgspec.Struct)

PREFIX = "CHOUDO_"
SHARED = msgspec.Meta(extra={"shared": True})
_PEM_END = "-----END PUBLIC KEY-----"


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs: `CHOUDO_<SERVICE>_…` for its own, `CHOUDO_…` for what all of them share."""

    database_url: str
    box_key: str
    master_key: str
    redis_url: Annotated[str, SHARED]
    token_public_key: Annotated[str, SHARED]
    box_public_keys: Annotated[str, SHARED]
    environment: Annotated[Literal["local", "production"], SHARED] = "production"
    # Only `make run` has a default town; elsewhere an unknown host is refused.
    default_municipality: Annotated[str | None, SHARED] = None
    metrics_address: Annotated[str | None, SHARED] = None
    # Of one process. Those of all processes together stay below the server's `max_connections`.
    database_pool_size: Annotated[int, msgspec.Meta(ge=POOL_SIZE_MIN, le=POOL_SIZE_MAX)] = POOL_SIZE

    @property
    def is_local(self) -> bool:
        """Whether this is `make run` or a test: plain HTTP on one machine, and a town for any host."""
        return self.environment == "local"

    @property
    def token_public_keys(self) -> list[str]:
        """The public keys (PEM) whose tokens are accepted; several while they rotate."""
        return [part.strip() + "\n" + _PEM_END + "\n" for part in self.token_public_key.split(_PEM_END) if part.strip()]


class MissingSettings(Exception):
    """One or more variables are missing or unreadable; the message names every one."""


def load(kind: type[T], environ: Mapping[str, str], *, service: str | None = None) -> T:
    """Read a frozen Struct from the environment.

    A field `database_url` of service `booking` is read from `CHOUDO_BOOKING_DATABASE_URL`. A field that all services
    share, marked `Annotated[..., SHARED]`, has no service in its name: `CHOUDO_REDIS_URL`.

    Raises:
        MissingSettings: with the full list of problems.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = variable_name(field, service)
        raw = _read(environ, name, problems)
        if raw is not None:
            try:
                values[field.name] = msgspec.convert(raw, field.type, strict=False)
            except msgspec.ValidationError as error:
                problems.append(f"{name}: {error}")
        elif field.required and not any(problem.startswith(f"{name}_FILE:") for problem in problems):
            problems.append(f"{name}: missing")
    if problems:
        raise MissingSettings("settings: " + "; ".join(problems))
    return kind(**values)


def variable_name(field: msgspec.structs.FieldInfo, service: str | None) -> str:
    """The environment variable that a field is read from."""
    info = msgspec.inspect.type_info(field.type)
    shared = isinstance(info, msgspec.inspect.Metadata) and bool((info.extra or {}).get("shared"))
    owner = "" if shared or service is None else f"{service.upper()}_"
    return f"{PREFIX}{owner}{field.name.upper()}"


def _read(environ: Mapping[str, str], name: str, problems: list[str]) -> str | None:
    if name in environ:
        return environ[name]
    path = environ.get(f"{name}_FILE")
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        problems.append(f"{name}_FILE: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{name}_FILE: not UTF-8")
    return None
