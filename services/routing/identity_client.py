"""The conversation with a provider of the identity step: OpenID Connect's code flow with PKCE, and a strict reading of
the ID token. Nothing of a person is kept here, and nothing of what a provider sends is logged.
"""

import asyncio
import contextlib
import hmac
import json
import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import jwt
import msgspec
from authlib.deprecate import AuthlibDeprecationWarning

from services.routing.domain.identity import ACR_MAX_LENGTH, CLAIM_MAX_LENGTH, Claim, Proven
from services.routing.identity_settings import Provider
from shared.log import get_logger

with warnings.catch_warnings():
    # It would rather have httpx2, which nothing else here uses.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.httpx_client import AsyncOAuth2Client

# All of a conversation with a provider: somebody waits in front of the page.
PROVIDER_TIMEOUT_S = 10.0
ANSWER_MAX_BYTES = 100_000
KEYS_MAX = 20
KEPT_FOR = timedelta(hours=1)
# A token with a key that we do not know makes us ask for the keys again, and no flood of them more often than this.
KEYS_AGAIN_AFTER = timedelta(seconds=30)
# How far the provider's clock may be from ours.
LEEWAY = timedelta(seconds=60)
ASSERTION_LIFETIME = timedelta(minutes=2)
SUBJECT_MAX_LENGTH = 500
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

log = get_logger(__name__)


class ProviderAway(Exception):
    """The provider does not answer, or makes no sense. Nothing was proven; it may be tried again."""


class NotProven(Exception):
    """What the provider said does not hold. The text says which check failed, and nothing of the person."""


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Where a browser is sent, and what has to be known when it comes back."""

    url: str
    nonce: str
    verifier: str


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""


@dataclass(slots=True)
class _Kept:
    """What is remembered of a provider."""

    metadata: _Metadata | None = None
    metadata_at: datetime | None = None
    keys: dict[str, jwt.PyJWK] | None = None
    keys_at: datetime | None = None


class IdentityClient:
    """Talks to one provider."""

    def __init__(self, provider: Provider, *, transport: Callable[[], httpx.AsyncBaseTransport] | None = None) -> None:
        self.provider = provider
        self._transport = transport or httpx.AsyncHTTPTransport
        self._kept = _Kept()

    async def depart(self, *, state: str, redirect_uri: str, now: datetime) -> Departure:
        """Where the person goes to say who they are.

        Raises:
            ProviderAway: its addresses could not be asked.
        """
        async with self._conversation(redirect_uri) as client:
            metadata = await self._metadata(client, now)
            nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
            more = {"acr_values": self.provider.acr_values} if self.provider.acr_values else {}
            url, _ = client.create_authorization_url(
                metadata.authorization_endpoint, state=state, code_verifier=verifier, nonce=nonce, **more
            )
        return Departure(url=url, nonce=nonce, verifier=verifier)

    async def find_origin(self, *, now: datetime) -> str:
        """Where people are sent, as a page that sends them there has to say it: scheme and host.

        Raises:
            ProviderAway: its addresses could not be asked.
        """
        async with self._conversation("") as client:
            address = urlsplit((await self._metadata(client, now)).authorization_endpoint)
        return f"{address.scheme}://{address.netloc}"

    async def arrive(self, *, code: str, nonce: str, verifier: str, redirect_uri: str, now: datetime) -> Proven:
        """Exchange the code for an ID token, and check that.

        Raises:
            ProviderAway: no answer, or none that makes sense.
            NotProven: the code or the token does not hold.
        """
        async with self._conversation(redirect_uri) as client:
            metadata = await self._metadata(client, now)
            try:
                token = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    **self._who_we_are(metadata, now),
                )
            except OAuthError as error:
                raise NotProven("code") from error
            except ValueError as error:
                # No JSON, says the library.
                raise ProviderAway("answer") from error
            id_token = token.get("id_token") if isinstance(token, dict) else None
            if not isinstance(id_token, str):
                raise NotProven("no_id_token")
            key = await self._key_of(client, metadata, id_token, now)
            proven, said = self._read(id_token, key, metadata, nonce, now)
            if self.provider.claims and metadata.userinfo_endpoint:
                said = await self._ask_more(client, metadata, token, proven)
        return msgspec.structs.replace(proven, claims=self._claims(said))

    async def _ask_more(self, client: Any, metadata: _Metadata, token: Any, proven: Proven) -> dict[str, Any]:
        """What the provider says of the same person, beside the ID token."""
        # By ourselves: the library would look at its own clock first.
        access = token.get("access_token")
        if not isinstance(access, str):
            raise NotProven("no_access_token")
        headers = {"authorization": f"Bearer {access}"}
        said: dict[str, Any] = await _fetch(client, metadata.userinfo_endpoint, dict[str, Any], headers=headers)
        if said.get("sub") != proven.subject:
            raise NotProven("userinfo")
        return said

    def _claims(self, said: Mapping[str, Any]) -> dict[str, Claim]:
        found: dict[str, Claim] = {}
        for item, claim in self.provider.claims.items():
            value = said.get(claim)
            if isinstance(value, dict):
                found[item] = {str(name): part for name, part in value.items() if _is_text(part)}
            elif _is_text(value):
                found[item] = value
        return found

    def _who_we_are(self, metadata: _Metadata, now: datetime) -> dict[str, str]:
        """private_key_jwt (RFC 7523), where there is a key; else the library sends the secret."""
        if not self.provider.client_key:
            return {}
        claims = {
            "iss": self.provider.client_id,
            "sub": self.provider.client_id,
            "aud": metadata.token_endpoint,
            "jti": uuid4().hex,
            "iat": int(now.timestamp()),
            "exp": int((now + ASSERTION_LIFETIME).timestamp()),
        }
        signed = jwt.encode(claims, self.provider.client_key, algorithm=self.provider.algorithms[0])
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

    @contextlib.asynccontextmanager
    async def _conversation(self, redirect_uri: str) -> AsyncIterator[Any]:
        """The client for one conversation, which takes no longer than it may; whatever breaks it off is one error."""
        client = AsyncOAuth2Client(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret or None,
            token_endpoint_auth_method="none" if self.provider.client_key else "client_secret_basic",
            scope=self.provider.scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            transport=_Bounded(self._transport()),
            timeout=PROVIDER_TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
        )
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S), client:
                yield client
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, json.JSONDecodeError) as error:
            log.warning("identity_provider_away", reason=type(error).__name__)
            raise ProviderAway(type(error).__name__) from error

    async def _metadata(self, client: Any, now: datetime) -> _Metadata:
        provider, kept = self.provider, self._kept
        if provider.authorization_endpoint and provider.token_endpoint and provider.jwks_uri:
            return _Metadata(
                provider.issuer,
                provider.authorization_endpoint,
                provider.token_endpoint,
                provider.jwks_uri,
                provider.userinfo_endpoint,
            )
        if kept.metadata is None or kept.metadata_at is None or now - kept.metadata_at > KEPT_FOR:
            address = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await _fetch(client, address, _Metadata)
            told = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint)
            if found.issuer != provider.issuer or not all(self._may_be_at(each) for each in told if each):
                raise ProviderAway("metadata")
            kept.metadata, kept.metadata_at = found, now
        return kept.metadata

    def _may_be_at(self, address: str) -> bool:
        """Whether an address that the issuer names is one of its own: our secret, and people, are sent there."""
        there, issuer = urlsplit(address), urlsplit(self.provider.issuer)
        return there.scheme == issuer.scheme and there.netloc in {issuer.netloc, *self.provider.hosts}

    async def _key_of(self, client: Any, metadata: _Metadata, id_token: str, now: datetime) -> jwt.PyJWK:
        """The provider's key that a token names. A name that is new makes us look once more: keys are changed."""
        try:
            header = jwt.get_unverified_header(id_token)
        except jwt.PyJWTError as error:
            raise NotProven("token") from error
        name = header.get("kid", "")
        kept = self._kept
        age = now - kept.keys_at if kept.keys_at is not None else None
        is_known = kept.keys is not None and name in kept.keys
        if age is None or age > KEPT_FOR or (not is_known and age > KEYS_AGAIN_AFTER):
            kept.keys, kept.keys_at = await self._fetch_keys(client, metadata), now
        key = (kept.keys or {}).get(name)
        if key is None:
            raise NotProven("key")
        return key

    async def _fetch_keys(self, client: Any, metadata: _Metadata) -> dict[str, jwt.PyJWK]:
        found = await _fetch(client, metadata.jwks_uri, dict[str, Any])
        listed = found.get("keys")
        if not isinstance(listed, list) or len(listed) > KEYS_MAX:
            raise ProviderAway("keys")
        keys = {}
        for each in listed:
            try:
                key = jwt.PyJWK(each)
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
                # Of a kind that we do not read: another one of them may do.
                continue
            if each.get("use", "sig") == "sig" and key.key_id:
                keys[key.key_id] = key
        return keys

    def _read(
        self, id_token: str, key: jwt.PyJWK, metadata: _Metadata, nonce: str, now: datetime
    ) -> tuple[Proven, dict[str, Any]]:
        provider = self.provider
        try:
            # Times are compared below, with our own clock.
            claims = jwt.decode(
                id_token,
                key,
                algorithms=list(provider.algorithms),
                audience=provider.client_id,
                issuer=metadata.issuer,
                options={
                    "require": ["iss", "aud", "exp", "iat", "sub", "nonce"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotProven(type(error).__name__) from error
        try:
            is_old = datetime.fromtimestamp(claims["exp"], now.tzinfo) <= now - LEEWAY
            is_early = datetime.fromtimestamp(claims["iat"], now.tzinfo) > now + LEEWAY
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise NotProven("times") from error
        if is_old or is_early:
            raise NotProven("times")
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise NotProven("nonce")
        if claims.get("azp", provider.client_id) != provider.client_id:
            raise NotProven("azp")
        acr, subject = claims.get("acr", ""), claims["sub"]
        if not isinstance(acr, str) or len(acr) > ACR_MAX_LENGTH or (provider.acr and acr not in provider.acr):
            raise NotProven("acr")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX_LENGTH:
            raise NotProven("sub")
        return Proven(issuer=metadata.issuer, subject=subject, acr=acr), claims


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= CLAIM_MAX_LENGTH


class _Bounded(httpx.AsyncBaseTransport):
    """Reads no more of an answer than it may have."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # A packed answer could be as long as it likes.
        request.headers["accept-encoding"] = "identity"
        answer = await self._inner.handle_async_request(request)
        body = b""
        try:
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            async for part in _parts(answer.stream):
                body += part
                if len(body) > ANSWER_MAX_BYTES:
                    raise httpx.DecodingError("too long", request=request)
        finally:
            await answer.aclose()
        if "content-encoding" in answer.headers:
            raise httpx.DecodingError("packed", request=request)
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise httpx.RemoteProtocolError("away", request=request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _parts(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    async for part in stream:
        yield part


async def _fetch(client: Any, address: str, kind: Any, *, headers: Mapping[str, str] | None = None) -> Any:
    answer = await client.request("GET", address, withhold_token=True, headers=headers)
    if answer.status_code != httpx.codes.OK:
        raise ProviderAway(f"{answer.status_code}")
    return msgspec.json.decode(answer.content, type=kind)
