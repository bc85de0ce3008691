"""Settings come from the environment, are read once at start, and name everything that is missing.

A variable `CHOUDO_X` may be given as `CHOUDO_X_FILE`, the path of a file that holds it (for secrets).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

PREFIX = "CHOUDO_"
SHARED = msgspec.Meta(extra={"shared": True})


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
