"""Who is signed in: short-lived tokens that routing alone signs (Ed25519) and every service can verify."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

import jwt
import msgspec

TOKEN_LIFETIME = timedelta(minutes=10)
TOKEN_MAX_LENGTH = 2_048
ALGORITHM = "EdDSA"
# A visitor sends the same token with every request for ten minutes, and a signature takes a tenth of a millisecond.
VERIFIED_TOKENS_MAX = 4_096

Kind = Literal["guest", "resident", "staff", "helper"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever makes a request. `ref` is random and says nothing about the person; a guest's ref owns their holds."""

    municipality: str
    kind: Kind
    ref: str
    session_id: str
    roles: tuple[str, ...] = ()
    office: str | None = None

    def has_role(self, role: str) -> bool:
        """Whether the signed-in person may act in this role."""
        return role in self.roles


class Token(msgspec.Struct, frozen=True):
    """A verified token. It may be expired: then it says who it was, and the session must be renewed."""

    identity: Identity
    expires_at: datetime

    def is_expired(self, now: datetime) -> bool:
        """Whether the token is past its ten minutes."""
        return now >= self.expires_at


class BadToken(Exception):
    """Not a token of ours."""


def sign_token(identity: Identity, private_key: str, *, now: datetime) -> str:
    """Sign an identity for `TOKEN_LIFETIME`; `private_key` is an Ed25519 key in PEM. Only routing has it."""
    claims = msgspec.to_builtins(identity) | {"exp": int((now + TOKEN_LIFETIME).timestamp())}
    return jwt.encode(claims, private_key, algorithm=ALGORITHM)


@lru_cache(maxsize=VERIFIED_TOKENS_MAX)
def verify_token(text: str, public_keys: tuple[str, ...]) -> Token:
    """Check the signature, once: what a token says never changes. Whether it has expired, and whether its session was
    ended, is left to the caller, who asks at every request. What is no token is not remembered.

    Raises:
        BadToken: too long, altered, of another key or of another shape.
    """
    if len(text) > TOKEN_MAX_LENGTH:
        raise BadToken("length")
    for key in public_keys:
        try:
            claims = jwt.decode(text, key, algorithms=[ALGORITHM], options={"verify_exp": False, "require": ["exp"]})
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError as error:
            raise BadToken("shape") from error
        try:
            return Token(msgspec.convert(claims, Identity), datetime.fromtimestamp(int(claims["exp"]), UTC))
        except (msgspec.ValidationError, ValueError, TypeError, OverflowError, OSError) as error:
            raise BadToken("claims") from error
    raise BadToken("signature")
