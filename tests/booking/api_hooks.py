"""Loaded by schemathesis: half of the well-formed ids that it makes up become ids of things that are there.

Which half, the made-up value says, so that a run is the same each time. What is not well-formed stays as it is.
"""

import json
import os
from typing import Any
from uuid import UUID

import schemathesis

REAL: dict[str, str] = json.loads(os.environ["CHOUDO_TEST_REAL_IDS"])


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    return _made_real(path_parameters)


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    return _made_real(query)


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return _made_real(body) if isinstance(body, dict) else body


def _made_real(values: dict[str, Any] | None) -> dict[str, Any] | None:
    if not isinstance(values, dict):
        return values
    return {
        name: REAL[name] if name in REAL and isinstance(value, str) and _is_chosen(name, value) else value
        for name, value in values.items()
    }


def _is_chosen(name: str, value: str) -> bool:
    if name.endswith("_id"):
        try:
            return UUID(value).int % 2 == 0 and str(UUID(value)) == value
        except ValueError:
            return False
    # Plain words only: what has other signs is there to be refused.
    return value.isascii() and value.isalnum() and len(value) <= 20 and sum(value.encode()) % 2 == 0
