"""A made-up provider of the identity step (本人確認) for `make run` and tests: a real OpenID Connect server of ours.

    python -m deploy.local.identity_provider

Anybody may be anybody here, and its page says so. It misbehaves on demand (`POST /behaviour`), so that tests see what
the product does about it. It is in no production: what it says proves nothing.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlencode

import jinja2
import jwt
import msgspec
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.params import JSONBody
from litestar.response import Redirect

from deploy.secrets import MissingVariable, required
from shared.clock import clock_from, utc_now

HOST = "127.0.0.1"
CLIENT_ID = "choudo-sample"
ALGORITHM = "ES256"
ACR = "sample"
CODE_LIFETIME = timedelta(minutes=1)
TOKEN_LIFETIME = timedelta(minutes=5)
STOP_TIMEOUT_S = 5.0
SLOW_S = 30.0
KEPT = 1_000

Mode = Literal[
    "ok", "slow", "fail_500", "garbage", "too_long", "wrong_nonce", "wrong_audience", "wrong_issuer", "expired",
    "from_the_future", "key_rotated", "unknown_key", "unsigned", "shared_secret", "no_id_token", "no_subject",
]  # fmt: skip
MODES: tuple[Mode, ...] = get_args(Mode)


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How it treats whoever asks for a token next, `times` times; then all is well again."""

    mode: Mode
    times: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 1
    slow_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = SLOW_S


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a code stands for."""

    redirect_uri: str
    nonce: str
    challenge: str
    subject: str
    at: datetime


class _Key(msgspec.Struct, frozen=True):
    name: str
    private: Any


class IdentityProvider:
    """The server on an event loop: `async with IdentityProvider(secret="…") as provider: …`. Port 0: any free one."""

    def __init__(
        self, *, secret: str, port: int = 0, clock: Callable[[], datetime] = utc_now, client_key: Any = None
    ) -> None:
        """`client_key`: the public key of our client, who then signs who it is (private_key_jwt) and has no secret."""
        self._secret = secret
        self._client_key = client_key
        self._assertions: set[str] = set()
        self._access: dict[str, str] = {}
        self.claims: dict[str, Any] = {}
        """What it says of everybody, to who asks with an access token."""
        self.pages_at = ""
        """Where people are sent; empty: to itself."""
        self._wanted_port = port
        self.clock = clock
        self.port = 0
        self._codes: dict[str, _Asked] = {}
        self._behaviour = Behaviour(mode="ok")
        self._left = 0
        self._released = asyncio.Event()
        self._keys = [_new_key()]
        self.asked: list[str] = []
        """The addresses that were asked for, in order."""

    @property
    def issuer(self) -> str:
        """Its name, and where it is."""
        return f"http://{HOST}:{self.port}"

    def behave(self, mode: Mode, *, times: int = 1, slow_s: float = SLOW_S) -> None:
        """Treat the next `times` who ask for a token in this way."""
        self._behaviour, self._left = Behaviour(mode=mode, times=times, slow_s=slow_s), times
        self._released.clear()

    def next_mode(self) -> Behaviour:
        """How to treat who has just come; counts it."""
        if self._left <= 0:
            return Behaviour(mode="ok")
        self._left -= 1
        return self._behaviour

    async def be_slow(self, behaviour: Behaviour) -> None:
        """Take the time that was asked for, or until it stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._released.wait(), behaviour.slow_s)

    def give_code(self, *, redirect_uri: str, nonce: str, challenge: str, subject: str) -> str:
        """A code for somebody who said who they are."""
        code = secrets.token_urlsafe(16)
        if len(self._codes) >= KEPT:
            self._codes.pop(next(iter(self._codes)))
        self._codes[code] = _Asked(
            redirect_uri=redirect_uri, nonce=nonce, challenge=challenge, subject=subject, at=self.clock()
        )
        return code

    def take_code(self, fields: dict[str, str]) -> _Asked | None:
        """What a code stands for, once, for whoever has the verifier and came by the same way."""
        asked = self._codes.pop(fields.get("code", ""), None)
        if asked is None or self.clock() - asked.at > CODE_LIFETIME:
            return None
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        same_way = asked.redirect_uri == fields.get("redirect_uri")
        return asked if same_way and hmac.compare_digest(challenge, asked.challenge) else None

    def is_client(self, header: str, fields: dict[str, str]) -> bool:
        """Whether our client asks."""
        if self._client_key is not None:
            return not header and self._is_signed(fields.get("client_assertion", ""))
        expected = base64.b64encode(f"{CLIENT_ID}:{self._secret}".encode()).decode()
        return hmac.compare_digest(header.encode(), f"Basic {expected}".encode())

    def _is_signed(self, assertion: str) -> bool:
        """RFC 7523: signed by our client, for this address, not yet over, and never seen before."""
        try:
            claims = jwt.decode(
                assertion,
                self._client_key,
                algorithms=[ALGORITHM],
                audience=f"{self.issuer}/token",
                issuer=CLIENT_ID,
                subject=CLIENT_ID,
                options={"require": ["exp", "jti", "sub"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return False
        is_new = claims["jti"] not in self._assertions
        self._assertions.add(claims["jti"])
        return is_new and claims["exp"] > self.clock().timestamp()

    def give_access(self, subject: str) -> str:
        """An access token."""
        token = secrets.token_urlsafe(16)
        self._access[token] = subject
        return token

    def who_has(self, header: str) -> str | None:
        """Whom an access token stands for, once."""
        return self._access.pop(header.removeprefix("Bearer "), None)

    def key_set(self) -> dict[str, Any]:
        """The public keys (JWKS)."""
        return {"keys": [_public(key) for key in self._keys]}

    def make_token(self, asked: _Asked, mode: Mode) -> str:
        """The ID token, as right as it is to be."""
        now = self.clock()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": asked.subject,
            "nonce": asked.nonce,
            "iat": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFETIME).timestamp()),
            "acr": ACR,
        }
        match mode:
            case "wrong_nonce":
                claims["nonce"] = "another"
            case "wrong_audience":
                claims["aud"] = "somebody-else"
            case "wrong_issuer":
                claims["iss"] = "http://elsewhere.example"
            case "expired":
                claims |= {"iat": claims["iat"] - 7_200, "exp": claims["exp"] - 7_200}
            case "from_the_future":
                claims |= {"iat": claims["iat"] + 7_200, "exp": claims["exp"] + 7_200}
            case "no_subject":
                del claims["sub"]
            case "key_rotated":
                self._keys = [_new_key()]
            case "unsigned":
                return jwt.encode(claims, "", algorithm="none", headers={"kid": self._keys[0].name})
            case "shared_secret":
                # Signed with what everybody knows: the public key as if it were a secret (RFC 8725 2.1).
                known = base64.b64encode(repr(_public(self._keys[0])).encode()).decode()
                return jwt.encode(claims, known, algorithm="HS256", headers={"kid": self._keys[0].name})
        key = _new_key() if mode == "unknown_key" else self._keys[0]
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.name})

    async def __aenter__(self) -> Self:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self._wanted_port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            make_app(self), lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._http = _Server(config)
        self._serving = asyncio.create_task(self._http.serve(sockets=[listener]))
        while not self._http.started:
            if self._serving.done():
                self._serving.result()
                raise RuntimeError("the identity provider did not start")
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._http.should_exit = True
        await asyncio.wait_for(self._serving, STOP_TIMEOUT_S)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def make_app(provider: IdentityProvider) -> Litestar:
    """The provider's pages, and what tests steer it by."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("sink_templates")), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    @get("/.well-known/openid-configuration")
    async def get_metadata() -> dict[str, Any]:
        provider.asked.append("metadata")
        return {
            "issuer": provider.issuer,
            "authorization_endpoint": f"{provider.pages_at or provider.issuer}/authorize",
            "token_endpoint": f"{provider.issuer}/token",
            "jwks_uri": f"{provider.issuer}/keys",
            "userinfo_endpoint": f"{provider.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    @get("/userinfo")
    async def get_userinfo(request: Request[Any, Any, Any]) -> Response[bytes]:
        provider.asked.append("userinfo")
        subject = provider.who_has(request.headers.get("authorization", ""))
        if subject is None:
            return _answer(401, b'{"error": "invalid_token"}')
        return _answer(200, msgspec.json.encode({"sub": subject, **provider.claims}))

    @get("/keys")
    async def get_keys() -> dict[str, Any]:
        provider.asked.append("keys")
        return provider.key_set()

    @get("/authorize", media_type=MediaType.HTML)
    async def get_authorize(request: Request[Any, Any, Any]) -> Response[str]:
        asked = dict(request.query_params)
        if (
            asked.get("client_id") != CLIENT_ID
            or asked.get("response_type") != "code"
            or asked.get("code_challenge_method") != "S256"
            or "openid" not in str(asked.get("scope", "")).split()
        ):
            return Response("bad request", status_code=400, media_type=MediaType.TEXT)
        return Response(environment.get_template("identity.html").render(asked=asked), media_type=MediaType.HTML)

    @post("/authorize")
    async def post_authorize(request: Request[Any, Any, Any]) -> Redirect:
        fields = {name: str(value) for name, value in (await request.form()).items()}
        back = {"state": fields.get("state", "")}
        if fields.get("answer") == "no":
            back["error"] = "access_denied"
        else:
            back["code"] = provider.give_code(
                redirect_uri=fields.get("redirect_uri", ""),
                nonce=fields.get("nonce", ""),
                challenge=fields.get("code_challenge", ""),
                subject=fields.get("who", "sample"),
            )
        return Redirect(f"{fields.get('redirect_uri', '')}?{urlencode(back)}", status_code=303)

    @post("/token", status_code=200)
    async def post_token(request: Request[Any, Any, Any]) -> Response[bytes]:
        provider.asked.append("token")
        fields = {name: str(value) for name, value in (await request.form()).items()}
        return await _give_token(provider, fields, request.headers.get("authorization", ""))

    @post("/behaviour", status_code=204)
    async def post_behaviour(data: JSONBody[Behaviour]) -> None:
        provider.behave(data.mode, times=data.times, slow_s=data.slow_s)

    return Litestar(
        [get_metadata, get_userinfo, get_keys, get_authorize, post_authorize, post_token, post_behaviour],
        openapi_config=None,
        logging_config=None,
    )


async def _give_token(provider: IdentityProvider, fields: dict[str, str], who: str) -> Response[bytes]:
    behaviour = provider.next_mode()
    match behaviour.mode:
        case "slow":
            await provider.be_slow(behaviour)
        case "fail_500":
            return _answer(500, b'{"error": "server_error"}')
        case "garbage":
            return _answer(200, b"<html>proxy says hello</html>")
        case "too_long":
            return _answer(200, b'{"id_token": "' + b"x" * 1_000_000 + b'"}')
    if not provider.is_client(who, fields):
        return _answer(401, b'{"error": "invalid_client"}')
    asked = provider.take_code(fields)
    if asked is None:
        return _answer(400, b'{"error": "invalid_grant"}')
    token: dict[str, Any] = {
        "access_token": provider.give_access(asked.subject),
        "token_type": "Bearer",
        "expires_in": 60,
    }
    if behaviour.mode != "no_id_token":
        token["id_token"] = provider.make_token(asked, behaviour.mode)
    return _answer(200, msgspec.json.encode(token))


def _answer(status: int, body: bytes) -> Response[bytes]:
    return Response(body, status_code=status, media_type=MediaType.JSON)


def _new_key() -> _Key:
    return _Key(secrets.token_hex(4), ec.generate_private_key(ec.SECP256R1()))


def _public(key: _Key) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(jwt.algorithms.ECAlgorithm.to_jwk(key.private.public_key()))
    return found | {"kid": key.name, "use": "sig", "alg": ALGORITHM}


async def _run() -> None:
    provider = IdentityProvider(
        secret=required(os.environ, "CHOUDO_LOCAL_IDENTITY_SECRET"),
        port=int(required(os.environ, "CHOUDO_LOCAL_IDENTITY_PORT")),
        clock=clock_from(os.environ),
    )
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    async with provider:
        print(f"identity provider (見本): {provider.issuer}", flush=True)
        await done.wait()


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    try:
        asyncio.run(_run())
    except MissingVariable as error:
        print(f"missing in the environment: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
