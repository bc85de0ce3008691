"""Loaded by schemathesis: most of the well-formed ids that it makes up become ids of things that are there.

Which, the made-up value says, so that a run is the same each time. What is not well-formed stays as it is.
"""

import json
import os
from typing import Any
from uuid import UUID

import schemathesis

# By name; where a noun of the path has its own, by both.
REAL: dict[str, str] = json.loads(os.environ["CHOUDO_TEST_REAL_IDS"])
NOUNS = ("call-off", "draws", "chains")
# A list of ids.
WISHES = "preferences"
# A list of procedures, each with how many of it.
SERVICES = "services"
# One of so many stays unknown.
UNKNOWN_OF = 6
WORD_MAX_LENGTH = 20


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    return _made_real(context, path_parameters)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    return _made_real(context, query)


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return _made_real(context, body)


def _made_real(context: Any, values: Any) -> Any:
    return _real_within(next((noun for noun in NOUNS if f"/{noun}" in context.operation.path), ""), values)


def _real_within(noun: str, values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {name: _real(noun, name, value) for name, value in values.items()}


def _real(noun: str, name: str, value: Any) -> Any:
    if name == WISHES and isinstance(value, list):
        return [_real(noun, name, each) for each in value]
    if name == SERVICES and isinstance(value, list):
        return [_real_within(noun, each) for each in value]
    if not isinstance(value, str) or not _is_chosen(name, value):
        return value
    return REAL.get(f"{noun} {name}", REAL.get(name, value))


def _is_chosen(name: str, value: str) -> bool:
    if name.endswith("_id") or name == WISHES:
        try:
            return str(UUID(value)) == value and UUID(value).int % UNKNOWN_OF != 0
        except ValueError:
            return False
    # Plain words only: what has other signs is there to be refused.
    return (
        value.isascii() and value.isalnum() and len(value) <= WORD_MAX_LENGTH and sum(value.encode()) % UNKNOWN_OF != 0
    )
