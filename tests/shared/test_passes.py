"""The pass: opens for its service, purpose, town and time only."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from nacl.public import PrivateKey

from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.passes import PASS_LIFETIME, Pass, PassedItem, open_pass, seal_pass

NOW = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
KEYS = {name: PrivateKey.generate() for name in ("routing", "booking", "notifications")}
PUBLIC = {name: [key.public_key] for name, key in KEYS.items()}
BOXES = {name: ServiceBox([key], PUBLIC) for name, key in KEYS.items()}


def make_pass(municipality: str = "143421") -> Pass:
    return Pass(
        pass_id=uuid4(),
        municipality=municipality,
        guest_ref="g1",
        subject_ref=uuid4(),
        case_id=uuid4(),
        procedure="RES01",
        items=(PassedItem(key="name", value="𠮷田 﨑子", approval_id=uuid4()),),
        contact_ref=None,
        reach="none",
        issued_at=NOW,
        expires_at=NOW + PASS_LIFETIME,
    )


def refused(sealed: str, *, by: str = "booking", purpose: str = "book", town: str = "143421") -> str:
    with pytest.raises(Refusal) as raised:
        open_pass(BOXES[by], "routing", purpose, sealed, municipality=town, now=NOW)
    assert raised.value.status == 400
    return raised.value.code


def test_a_pass_opens_at_its_service_with_everything_in_it() -> None:
    ticket = make_pass()
    sealed = seal_pass(BOXES["routing"], "booking", "book", ticket)
    assert open_pass(BOXES["booking"], "routing", "book", sealed, municipality="143421", now=NOW) == ticket


def test_a_pass_expires_at_its_minute_and_not_before() -> None:
    sealed = seal_pass(BOXES["routing"], "booking", "book", make_pass())
    last = NOW + PASS_LIFETIME - timedelta(microseconds=1)
    opened = open_pass(BOXES["booking"], "routing", "book", sealed, municipality="143421", now=last)
    assert opened.guest_ref == "g1"
    with pytest.raises(Refusal) as raised:
        open_pass(BOXES["booking"], "routing", "book", sealed, municipality="143421", now=NOW + PASS_LIFETIME)
    assert (raised.value.code, raised.value.status) == ("pass_expired", 410)


def test_a_pass_of_another_town_is_invalid() -> None:
    assert refused(seal_pass(BOXES["routing"], "booking", "book", make_pass("999999"))) == "pass_invalid"


def test_an_expired_pass_of_another_town_does_not_say_that_it_expired() -> None:
    ticket = msgspec.structs.replace(make_pass("999999"), expires_at=NOW - timedelta(days=1))
    assert refused(seal_pass(BOXES["routing"], "booking", "book", ticket)) == "pass_invalid"


def test_a_pass_for_another_service_or_purpose_is_invalid() -> None:
    sealed = seal_pass(BOXES["routing"], "booking", "book", make_pass())
    assert refused(sealed, by="notifications") == "pass_invalid"
    assert refused(sealed, purpose="contact") == "pass_invalid"


def test_a_pass_that_somebody_else_sealed_is_invalid() -> None:
    assert refused(seal_pass(BOXES["notifications"], "booking", "book", make_pass())) == "pass_invalid"


def test_an_altered_or_senseless_pass_is_invalid() -> None:
    sealed = seal_pass(BOXES["routing"], "booking", "book", make_pass())
    half = len(sealed) // 2
    assert refused(sealed[:half] + ("A" if sealed[half] != "A" else "B") + sealed[half + 1 :]) == "pass_invalid"
    for garbage in ("", "x", sealed[:-8], sealed * 2, "あ" * 50, "=" * 80):
        assert refused(garbage) == "pass_invalid"


def test_a_seal_for_the_same_purpose_that_holds_no_pass_is_invalid() -> None:
    assert refused(BOXES["routing"].seal_for("booking", "pass:book", b"not a pass")) == "pass_invalid"
    assert refused(BOXES["routing"].seal_for("booking", "book", msgspec.msgpack.encode(make_pass()))) == "pass_invalid"
