"""Requests and answers without a framework between us and the connection: a gateway has to be able to break off."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

BODY_MAX_BYTES = 1_000_000
GARBAGE = b"<html>proxy says hello</html>"


class Asked(msgspec.Struct, frozen=True):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(scope: Scope, receive: Receive) -> Asked:
    """The whole request, as far as it is of a size."""
    body = b""
    while True:
        message: Any = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > BODY_MAX_BYTES:
            break
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Asked(str(scope.get("method", "")), str(scope.get("path", "")), headers, body)


async def answer(
    send: Send, status: HTTPStatus, body: bytes | dict[str, Any], media_type: str = "", **headers: str
) -> None:
    """Answer, with JSON or whatever else it is."""
    if isinstance(body, dict):
        body, media_type = msgspec.json.encode(body), "application/json"
    named = {"content-type": media_type, "content-length": str(len(body))} | headers
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def break_off(send: Send) -> None:
    """Promise a body that never comes: the server closes the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})


async def talk_nonsense(send: Send) -> None:
    """Answer as something in between might."""
    await answer(send, HTTPStatus.OK, GARBAGE, "text/html")
