"""Sealing between services and at rest: what must open, and above all what must not."""

import base64
import os

import pytest
from nacl.public import PrivateKey

from shared.crypto import (
    SEALED_MAX_BYTES,
    SealBroken,
    ServiceBox,
    SubjectVault,
    new_code,
    new_link_token,
    token_hash,
)

ROUTING, BOOKING, NOTIFICATIONS, STRANGER = (PrivateKey.generate() for _ in range(4))
PUBLIC = {
    "routing": [ROUTING.public_key],
    "booking": [BOOKING.public_key],
    "notifications": [NOTIFICATIONS.public_key],
}
CONTEXT = "143421/6f1c"


def make_box(*own: PrivateKey) -> ServiceBox:
    return ServiceBox(own, PUBLIC)


def make_vault() -> SubjectVault:
    return SubjectVault([os.urandom(32)])


def altered(text: str, position: int) -> str:
    return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]


def test_what_is_sealed_for_a_service_opens_there() -> None:
    sealed = make_box(ROUTING).seal_for("booking", "visit", "山田 花子".encode())
    assert make_box(BOOKING).open_from("routing", "visit", sealed).decode() == "山田 花子"
    assert "山田" not in sealed


def test_a_seal_for_another_purpose_is_refused() -> None:
    sealed = make_box(ROUTING).seal_for("booking", "visit", b"x")
    with pytest.raises(SealBroken, match="purpose"):
        make_box(BOOKING).open_from("routing", "contact", sealed)


def test_a_seal_opens_for_its_reader_only() -> None:
    sealed = make_box(ROUTING).seal_for("booking", "visit", b"x")
    with pytest.raises(SealBroken):
        make_box(NOTIFICATIONS).open_from("routing", "visit", sealed)


def test_a_seal_of_another_sender_is_refused() -> None:
    for sender in (NOTIFICATIONS, STRANGER):
        sealed = make_box(sender).seal_for("booking", "visit", b"x")
        with pytest.raises(SealBroken):
            make_box(BOOKING).open_from("routing", "visit", sealed)
    with pytest.raises(SealBroken):
        make_box(BOOKING).open_from("nobody", "visit", make_box(ROUTING).seal_for("booking", "visit", b"x"))


def test_a_seal_of_our_own_sent_back_to_us_is_not_the_others() -> None:
    """A box has one secret for both directions: without the sender inside, a reflected text would open."""
    sealed = make_box(BOOKING).seal_for("routing", "visit", b"x")
    with pytest.raises(SealBroken):
        make_box(BOOKING).open_from("routing", "visit", sealed)


def test_an_altered_seal_is_refused_wherever_it_was_altered() -> None:
    sealed = make_box(ROUTING).seal_for("booking", "visit", b"a body of some length")
    for position in range(0, len(sealed) - 4, 3):
        with pytest.raises(SealBroken):
            make_box(BOOKING).open_from("routing", "visit", altered(sealed, position))


@pytest.mark.parametrize(
    "garbage", ["", "x", "AAAA", "%%%%", "山田", "A" * 32, "A" * 44, "A" * (SEALED_MAX_BYTES + 4), "AAAA\nAAAA"]
)
def test_garbage_is_a_broken_seal_and_not_a_bug(garbage: str) -> None:
    with pytest.raises(SealBroken):
        make_box(BOOKING).open_from("routing", "visit", garbage)


def test_keys_of_both_sides_rotate_by_being_listed() -> None:
    new_routing, new_booking = PrivateKey.generate(), PrivateKey.generate()
    old = make_box(ROUTING).seal_for("booking", "visit", b"old")
    rotated = {"routing": [new_routing.public_key, ROUTING.public_key], "booking": [new_booking.public_key]}
    receiver = ServiceBox([new_booking, BOOKING], rotated)
    assert receiver.open_from("routing", "visit", old) == b"old"
    new = ServiceBox([new_routing, ROUTING], rotated).seal_for("booking", "visit", b"new")
    assert receiver.open_from("routing", "visit", new) == b"new"
    with pytest.raises(SealBroken):
        ServiceBox([new_booking], rotated).open_from("routing", "visit", old)


def test_a_box_is_made_from_settings() -> None:
    def to_text(key: object) -> str:
        return base64.b64encode(bytes(key)).decode()  # type: ignore[call-overload]

    publics = ",".join(f"{name}={to_text(keys[0])}" for name, keys in PUBLIC.items())
    sender = ServiceBox.from_settings(to_text(ROUTING), publics)
    receiver = ServiceBox.from_settings(f"{to_text(STRANGER)},{to_text(BOOKING)}", publics)
    assert receiver.open_from("routing", "visit", sender.seal_for("booking", "visit", b"x")) == b"x"


def test_a_value_at_rest_opens_with_its_key_context_and_field_only() -> None:
    vault = make_vault()
    key = vault.new_key(CONTEXT)
    sealed = vault.seal(key, CONTEXT, "name", "山田 花子")
    assert vault.open(key, CONTEXT, "name", sealed) == "山田 花子"
    assert "山田".encode() not in sealed
    with pytest.raises(SealBroken):
        vault.open(key, CONTEXT, "kana", sealed)
    with pytest.raises(SealBroken):
        vault.open(key, "143421/other", "name", sealed)
    with pytest.raises(SealBroken):
        vault.open(vault.new_key(CONTEXT), CONTEXT, "name", sealed)
    with pytest.raises(SealBroken):
        make_vault().open(key, CONTEXT, "name", sealed)


@pytest.mark.parametrize("garbage", [b"", b"x", b"x" * 24, b"x" * 100])
def test_a_damaged_value_or_key_at_rest_is_a_broken_seal(garbage: bytes) -> None:
    vault = make_vault()
    key = vault.new_key(CONTEXT)
    with pytest.raises(SealBroken):
        vault.open(key, CONTEXT, "name", garbage)
    with pytest.raises(SealBroken):
        vault.open(garbage, CONTEXT, "name", vault.seal(key, CONTEXT, "name", "x"))


def test_master_keys_rotate_by_being_listed() -> None:
    old, new = os.urandom(32), os.urandom(32)
    key = SubjectVault([old]).new_key(CONTEXT)
    sealed = SubjectVault([old]).seal(key, CONTEXT, "name", "x")
    assert SubjectVault([new, old]).open(key, CONTEXT, "name", sealed) == "x"
    with pytest.raises(SealBroken):
        SubjectVault([new]).open(key, CONTEXT, "name", sealed)
    newer_key = SubjectVault([new, old]).new_key(CONTEXT)
    assert SubjectVault([new]).open(newer_key, CONTEXT, "n", SubjectVault([new]).seal(newer_key, CONTEXT, "n", "x"))


def test_a_vault_is_made_from_settings() -> None:
    keys = [base64.b64encode(os.urandom(32)).decode() for _ in range(2)]
    key = SubjectVault.from_settings(keys[1]).new_key(CONTEXT)
    vault = SubjectVault.from_settings(",".join(keys))
    assert vault.open(key, CONTEXT, "name", vault.seal(key, CONTEXT, "name", "")) == ""


def test_a_commitment_repeats_for_one_subject_and_says_nothing_across_subjects() -> None:
    vault = make_vault()
    one, other = vault.new_key(CONTEXT), vault.new_key("143421/other")
    commitment = vault.commitment(one, CONTEXT, "name", "山田")
    assert commitment == vault.commitment(one, CONTEXT, "name", "山田")
    different = {
        vault.commitment(one, CONTEXT, "name", "川田"),
        vault.commitment(one, CONTEXT, "kana", "山田"),
        vault.commitment(other, "143421/other", "name", "山田"),
    }
    assert len(different) == 3
    assert commitment not in different


def test_codes_have_their_digits_and_link_tokens_are_unguessable() -> None:
    assert all(len(new_code(6)) == 6 and new_code(6).isdecimal() for _ in range(50))
    assert len({new_code(8) for _ in range(50)}) > 45
    assert len(new_link_token()) >= 43
    assert token_hash("a") != token_hash("b")
    assert len(token_hash("a")) == 32
