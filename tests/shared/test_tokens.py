"""Tokens that routing signs: every forgery is `BadToken`, expiry is told."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.tokens import TOKEN_LIFETIME, TOKEN_MAX_LENGTH, BadToken, Identity, sign_token, verify_token

NOW = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
STAFF = Identity(
    municipality="143421", kind="staff", ref="r1", session_id="s1", roles=("counter", "manager"), office="戸籍"
)


def make_keys() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


PRIVATE, PUBLIC = make_keys()


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_says_who_signed_in_and_until_when() -> None:
    token = verify_token(sign_token(STAFF, PRIVATE, now=NOW), (PUBLIC,))
    assert token.identity == STAFF
    assert token.expires_at == NOW + TOKEN_LIFETIME
    assert token.identity.has_role("counter")
    assert not token.identity.has_role("operator")


def test_an_expired_token_still_says_who_it_was() -> None:
    token = verify_token(sign_token(STAFF, PRIVATE, now=NOW), (PUBLIC,))
    assert not token.is_expired(NOW + TOKEN_LIFETIME - timedelta(seconds=1))
    assert token.is_expired(NOW + TOKEN_LIFETIME)
    assert token.identity.ref == "r1"


def test_a_signature_is_checked_once_and_what_is_no_token_is_not_remembered() -> None:
    text = sign_token(STAFF, PRIVATE, now=NOW)
    token = verify_token(text, (PUBLIC,))
    assert verify_token(text, (PUBLIC,)) is token
    assert token.is_expired(NOW + TOKEN_LIFETIME), "however often it was seen before"
    remembered = verify_token.cache_info().currsize
    for _ in range(2):
        with pytest.raises(BadToken):
            verify_token(text, (make_keys()[1],))
        with pytest.raises(BadToken):
            verify_token(f"{text[:-4]}AAAA", (PUBLIC,))
    assert verify_token.cache_info().currsize == remembered


def test_a_token_of_another_key_is_refused() -> None:
    other_private, other_public = make_keys()
    text = sign_token(STAFF, other_private, now=NOW)
    with pytest.raises(BadToken):
        verify_token(text, (PUBLIC,))
    assert verify_token(text, (PUBLIC, other_public)).identity == STAFF


def test_without_any_key_nobody_is_signed_in() -> None:
    with pytest.raises(BadToken):
        verify_token(sign_token(STAFF, PRIVATE, now=NOW), ())


def test_altered_claims_are_refused() -> None:
    head, _, signature = sign_token(STAFF, PRIVATE, now=NOW).split(".")
    claims = {"municipality": "143421", "kind": "staff", "ref": "r1", "session_id": "s1", "roles": ["operator"]}
    with pytest.raises(BadToken):
        verify_token(f"{head}.{segment(claims | {'exp': 2_000_000_000})}.{signature}", (PUBLIC,))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "ES256"])
def test_only_our_algorithm_counts(algorithm: str) -> None:
    _, claims, signature = sign_token(STAFF, PRIVATE, now=NOW).split(".")
    for tail in ("", signature):
        with pytest.raises(BadToken):
            verify_token(f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{claims}.{tail}", (PUBLIC,))


def test_our_public_key_is_no_shared_secret() -> None:
    """The classic confusion: an HMAC keyed with what everybody may know."""
    body = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment({'kind': 'staff', 'exp': 2_000_000_000})}"
    mac = hmac.new(PUBLIC.encode(), body.encode(), hashlib.sha256).digest()
    with pytest.raises(BadToken):
        verify_token(f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}", (PUBLIC,))


def test_a_long_text_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadToken, match="length"):
        verify_token("a" * (TOKEN_MAX_LENGTH + 1), (PUBLIC,))


@pytest.mark.parametrize("garbage", ["", "a", "a.b.c", "..", "山田", "a.b.c.d", "\x00.\x00.\x00"])
def test_garbage_is_refused(garbage: str) -> None:
    with pytest.raises(BadToken):
        verify_token(garbage, (PUBLIC,))


@pytest.mark.parametrize(
    "claims",
    [
        {"municipality": "143421", "kind": "guest", "ref": "r", "session_id": "s"},
        {"municipality": "143421", "kind": "king", "ref": "r", "session_id": "s", "exp": 2_000_000_000},
        {"municipality": "143421", "kind": "guest", "ref": 7, "session_id": "s", "exp": 2_000_000_000},
        {"kind": "guest", "ref": "r", "session_id": "s", "exp": 2_000_000_000},
        {"municipality": "143421", "kind": "guest", "ref": "r", "session_id": "s", "exp": "soon"},
        {"municipality": "143421", "kind": "guest", "ref": "r", "session_id": "s", "exp": 10**30},
    ],
)
def test_a_signed_text_of_another_shape_is_no_token(claims: dict[str, object]) -> None:
    with pytest.raises(BadToken):
        verify_token(jwt.encode(claims, PRIVATE, algorithm="EdDSA"), (PUBLIC,))
