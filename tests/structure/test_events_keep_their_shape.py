"""Events outlive their code: what was published before must be read the same. One sample a type, written once.

From the first release on, a sample is never changed: an event that needs another shape gets another version, and a
sample of its own.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.events.subscriptions import EVENT_TYPES

SAMPLES = Path(__file__).with_name("event_samples")
# People's data travels sealed or not at all. `name_ja` of a procedure or counter is the catalogue's, nobody's own.
FORBIDDEN = {"name", "kana", "address", "phone", "email", "mail", "tel", "note", "text", "comment", "birth_date", "sex"}
FORBIDDEN_PARTS = ("email", "phone", "address", "birth")
# The town hall's own number and place, which are printed on every page.
ALLOWED = {"town_phone", "town_address_ja"}


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_stored_event_is_read_and_written_as_it_was(name: str) -> None:
    path = SAMPLES / f"{name}.json"
    assert path.exists(), f"a new type of event: write {path.name} by hand, with every field filled in"
    sample = msgspec.json.decode(path.read_bytes())
    event = msgspec.json.decode(path.read_bytes(), type=EVENT_TYPES[name], strict=True)
    assert msgspec.json.decode(msgspec.json.encode(event)) == sample


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_sample_has_every_field_filled_in(name: str) -> None:
    sample = msgspec.json.decode((SAMPLES / f"{name}.json").read_bytes())
    fields = {field.encode_name for field in msgspec.structs.fields(EVENT_TYPES[name])}
    assert set(sample) == fields | {"type"}
    assert sample["type"] == name
    empty = {key for key, value in sample.items() if value in (None, "", [], {})}
    assert empty <= {"sealed"}


def test_no_sample_is_left_without_its_type() -> None:
    """A type that is no longer published may still lie in an outbox: keep it in the language until none does."""
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EVENT_TYPES)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_no_field_is_for_what_belongs_to_a_person(name: str) -> None:
    suspicious = {
        field
        for field in _field_names(msgspec.json.schema(EVENT_TYPES[name]))
        if field not in ALLOWED and (field in FORBIDDEN or any(part in field for part in FORBIDDEN_PARTS))
    }
    assert suspicious == set()


def _field_names(schema: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(schema, dict):
        found |= set(schema.get("properties", {}))
        for value in schema.values():
            found |= _field_names(value)
    elif isinstance(schema, list):
        for value in schema:
            found |= _field_names(value)
    return found
