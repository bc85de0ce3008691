"""What a JSON route says of itself for the description of the API, beside its types; and reading what it was sent."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import ValidationException
from litestar.params import HeaderParameter, ParameterKwarg

from shared.errors import Refusal

T = TypeVar("T")

# As `commands/keyed.py` keeps them, and as a header can carry them.
KEY_MAX_LENGTH = 100
KEY_PATTERN = f"^[!-~]{{1,{KEY_MAX_LENGTH}}}$"
KEY_HEADER = "Idempotency-Key"
_KEY_MEANING = (
    "Any text of the client's, new for each thing that it wants done. Sent again with the same request, it is the same "
    "answer and nothing happens twice."
)
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name=KEY_HEADER,
        pattern=KEY_PATTERN,
        description=f"{_KEY_MEANING} Without it the request itself is the key: what is sent twice is done once.",
    ),
]
# Where the same request may be meant twice.
NeededIdempotencyKey = Annotated[
    str, HeaderParameter(name=KEY_HEADER, pattern=KEY_PATTERN, description=f"{_KEY_MEANING} Needed here.")
]

_OPT = "documented"
# msgspec says where in the body: names that the schema knows, and numbers of items. Nothing that was sent.
_AT = re.compile(r" - at `\$\.?(?:\[\.\.\.\])?(.*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")


class Documented(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the description of a route. `refusals` are codes and their status; `answer` the media type.

    `details` are what a refusal brings along, by its code.

    `example` is a body, `returns` an answer. `knows_owner`: it is public, and opens what is the visitor's own.
    """

    body: Any = None
    example: Any = None
    returns: Any = None
    refusals: Mapping[str, int] = {}
    details: Mapping[str, Mapping[str, Any]] = {}
    headers: Mapping[str, str] = {}
    answer: str = "application/json"
    knows_owner: bool = False


def documented(
    *,
    body: Any = None,
    example: Any = None,
    returns: Any = None,
    refusals: Mapping[str, int] | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
    answer: str = "application/json",
    knows_owner: bool = False,
) -> dict[str, Any]:
    """For a handler's `opt`."""
    said = Documented(
        body=body,
        example=example,
        returns=returns,
        refusals=refusals or {},
        details=details or {},
        headers=headers or {},
        answer=answer,
        knows_owner=knows_owner,
    )
    return {_OPT: said}


def documented_of(opt: Mapping[str, Any]) -> Documented:
    """What a handler's `opt` says; nothing if it says nothing."""
    said: Documented = opt.get(_OPT) or Documented()
    return said


async def read_json(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body, exactly as its schema says: a number is no text that looks like one.

    Raises:
        Refusal: `bad_request` (400), with the names of the `fields` that are wrong.
    """
    body = await request.body()
    try:
        return msgspec.convert(_with_whole_numbers(msgspec.json.decode(body)), kind)
    except msgspec.ValidationError as error:
        raise Refusal("bad_request", 400, fields=_fields_of_body(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("bad_request", 400) from error


def wrong_parameters(request: Request[Any, Any, Any], error: Exception) -> list[str]:
    """The names of the parameters that Litestar could not read, as a client writes them."""
    if not isinstance(error, ValidationException) or not isinstance(error.extra, list):
        return []
    known = request.route_handler.parsed_fn_signature.parameters
    names = []
    for found in error.extra:
        parameter = known.get(found.get("key", ""))
        if parameter is not None:
            given = parameter.kwarg_definition
            names.append((given.name if isinstance(given, ParameterKwarg) else None) or parameter.name)
    return names


def _with_whole_numbers(value: Any) -> Any:
    """JSON has one kind of number, and its schemas take 1.0 for 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(each) for name, each in value.items()}
    return value


def _fields_of_body(said: str) -> list[str]:
    at, missing = _AT.search(said), _MISSING.search(said)
    path = [at[1]] if at and at[1] else []
    return [".".join(path + ([missing[1]] if missing else []))] if path or missing else []
