"""Events outlive their code: what was published before must be read the same, and what comes after, as far as it goes.

`samples/<type>/<date>.json` are the generations of everything that waits in an outbox, on a queue or in a dead letter:
events, what is sealed in them, and the messages that carry both, which are in flight while processes are replaced one
by one. The oldest stays for ever; the newest has every field filled in. Whoever adds a field adds a generation; what
cannot read those before it is another type, `….v2`.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.events.base import Event
from shared.events.booking import SealedAccess, SealedMessage, SealedTicket
from shared.events.routing import SealedAccount, SealedApplicationAccess, SealedContact, SealedSignIn
from shared.events.subscriptions import EVENT_TYPES
from shared.messaging.broker import Envelope, Receipt
from shared.messaging.consumer import genuine_envelope
from shared.messaging.receipts import genuine_receipts, stamped
from tests.shared.makers import make_stamps

SAMPLES = Path(__file__).with_name("samples")
SUMS = SAMPLES / "SHA256SUMS"
SHAPES: dict[str, type[msgspec.Struct]] = {
    **EVENT_TYPES,
    "message.envelope": Envelope,
    "message.receipt": Receipt,
    "sealed.access": SealedAccess,
    "sealed.account": SealedAccount,
    "sealed.application": SealedApplicationAccess,
    "sealed.contact": SealedContact,
    "sealed.message": SealedMessage,
    "sealed.sign_in": SealedSignIn,
    "sealed.ticket": SealedTicket,
}
GENERATIONS = sorted(path.relative_to(SAMPLES).as_posix() for path in SAMPLES.glob("*/*.json"))
# People's data travels sealed or not at all. `name_ja` of a procedure or counter is the catalogue's, nobody's own.
FORBIDDEN = {"name", "kana", "address", "phone", "email", "mail", "tel", "note", "text", "comment", "birth_date", "sex"}
FORBIDDEN_PARTS = ("email", "phone", "address", "birth")
# The town hall's own number and place, which are printed on every page.
ALLOWED = {"town_phone", "town_address_ja"}


def sample_of(generation: str) -> Any:
    return msgspec.json.decode((SAMPLES / generation).read_bytes())


def shape_of(generation: str) -> type[msgspec.Struct]:
    return SHAPES[generation.partition("/")[0]]


def newest(name: str) -> str:
    own = [generation for generation in GENERATIONS if generation.startswith(f"{name}/")]
    assert own, f"a new shape: write samples/{name}/<today>.json by hand, with every field filled in"
    return own[-1]


def is_kept(old: Any, new: Any) -> bool:
    """Whether everything of the one is in the other, which may say more."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and is_kept(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(is_kept, old, new))
    return bool(old == new)


def from_the_future(value: Any) -> Any:
    """The same as a newer version would tell it: with a field more in every structure."""
    if isinstance(value, dict):
        return {key: from_the_future(each) for key, each in value.items()} | {"added_later": {"deep": [1]}}
    return [from_the_future(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_is_read_and_nothing_of_it_is_lost(generation: str) -> None:
    """Seen to fail where `helper` of an appointment has no default: the first generation knows none."""
    read = msgspec.convert(sample_of(generation), shape_of(generation), strict=False)
    assert msgspec.json.decode((SAMPLES / generation).read_bytes(), type=shape_of(generation)) == read
    assert is_kept(sample_of(generation), msgspec.json.decode(msgspec.json.encode(read)))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_newest_generation_has_every_field_filled_in(name: str) -> None:
    sample = sample_of(newest(name))
    fields = {field.encode_name for field in msgspec.structs.fields(SHAPES[name])}
    if issubclass(SHAPES[name], Event):
        assert sample.pop("type") == name
    assert set(sample) == fields
    assert {key for key, value in sample.items() if value in (None, "", [], {})} <= {"sealed"}
    # Below the first level too: what today's code writes is exactly this.
    read = msgspec.json.decode((SAMPLES / newest(name)).read_bytes(), type=SHAPES[name])
    assert msgspec.json.decode(msgspec.json.encode(read)) == sample_of(newest(name))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_what_a_newer_version_adds_is_passed_over(name: str) -> None:
    """Seen to fail for a structure that forbids unknown fields."""
    sample = sample_of(newest(name))
    known = msgspec.convert(sample, SHAPES[name], strict=False)
    told = msgspec.json.encode(from_the_future(sample))
    assert msgspec.json.decode(told, type=SHAPES[name]) == known


def test_a_message_of_a_newer_version_is_as_genuine() -> None:
    """A stamp is of what was sent, not of what its reader understands of it.

    Seen to fail with a stamp of the structure that was read: everything in flight is refused during an update.
    """
    envelope = from_the_future(sample_of(newest("message.envelope")))
    stamp = make_stamps("booking").make("notifications", envelope)
    read = genuine_envelope("notifications", envelope, stamp, make_stamps("notifications"))
    assert read == msgspec.convert(sample_of(newest("message.envelope")), Envelope)
    receipts = [from_the_future(sample_of(newest("message.receipt")))]
    stamp = make_stamps("notifications").make("booking", stamped("booking", receipts))
    assert genuine_receipts("booking", receipts, stamp, make_stamps("booking")) == [
        msgspec.convert(sample_of(newest("message.receipt")), Receipt)
    ]


def test_no_generation_was_changed_or_dropped() -> None:
    """A new one gets its line (`sha256sum`); a line that goes, or changes, is seen by whoever reads the change."""
    sums = [f"{hashlib.sha256((SAMPLES / name).read_bytes()).hexdigest()}  {name}" for name in GENERATIONS]
    assert sums == SUMS.read_text("utf-8").splitlines()


def test_no_sample_is_left_without_its_type() -> None:
    """A type that is no longer published may still lie in an outbox: keep it in the language until none does."""
    assert {generation.partition("/")[0] for generation in GENERATIONS} == set(SHAPES)


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
