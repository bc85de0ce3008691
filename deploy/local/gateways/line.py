"""LINE, as far as we use it: a push of one text to one id, with a retry key by which a repetition is known; what people
do at the account, told as LINE does; and answers to that."""

import base64
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from litestar.types import Receive, Scope, Send

from deploy.local.gateways.asgi import answer, break_off, read_request, talk_nonsense
from deploy.local.gateways.behaviour import Mode

if TYPE_CHECKING:
    from deploy.local.sink import Sink

UUID_PATTERN = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
REFUSALS: Final[dict[Mode, tuple[HTTPStatus, str]]] = {
    "fail_5xx": (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error"),
    "closing": (HTTPStatus.SERVICE_UNAVAILABLE, "Closing"),
    "too_many": (HTTPStatus.TOO_MANY_REQUESTS, "The API rate limit has been exceeded. Try again later."),
    "reject_permanent": (HTTPStatus.BAD_REQUEST, "Failed to send messages"),
    "reject_text": (HTTPStatus.BAD_REQUEST, "The request body has 1 error(s)"),
}


class _Text(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=5_000)]


class _Push(msgspec.Struct, frozen=True):
    to: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    messages: Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=5)]


class _RetryKey(msgspec.Struct, frozen=True):
    key: Annotated[str, msgspec.Meta(pattern=UUID_PATTERN)]


class _Reply(msgspec.Struct, frozen=True, rename="camel"):
    reply_token: str
    messages: Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=5)]


class LineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody does at the town's account: follows it, leaves it, or writes to it."""

    kind: Literal["follow", "unfollow", "message"]
    user_id: str
    text: str = ""


def event_body(event: LineEvent, reply_token: str, *, at_ms: int) -> bytes:
    """As LINE tells it."""
    told: dict[str, Any] = {
        "type": event.kind,
        "timestamp": at_ms,
        "source": {"type": "user", "userId": event.user_id},
        "webhookEventId": reply_token,
        "deliveryContext": {"isRedelivery": False},
    }
    if event.kind != "unfollow":
        told["replyToken"] = reply_token
    if event.kind == "message":
        told["message"] = {"type": "text", "id": "1", "text": event.text}
    return msgspec.json.encode({"destination": "Utown", "events": [told]})


def line_signature(body: bytes, secret: str) -> str:
    """What LINE signs an event with."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


async def serve_reply(sink: "Sink", scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /v2/bot/message/reply`: once for each event, to whoever it is of."""
    asked = await read_request(scope, receive)
    if not sink.is_token(asked.headers.get("authorization", "")):
        await answer(send, HTTPStatus.UNAUTHORIZED, {"message": "Authentication failed"})
        return
    try:
        told = msgspec.json.decode(asked.body, type=_Reply)
    except msgspec.DecodeError:
        await answer(send, HTTPStatus.BAD_REQUEST, {"message": "The request body has 1 error(s)"})
        return
    to = sink.caller.reply_tokens.pop(told.reply_token, None)
    if to is None:
        await answer(send, HTTPStatus.BAD_REQUEST, {"message": "Invalid reply token"})
        return
    text = "\n".join(message.text for message in told.messages)
    sink.kept.keep("line", told.reply_token, lambda: {"to": to, "text": text})
    await answer(send, HTTPStatus.OK, {"sentMessages": []})


async def serve_push(sink: "Sink", scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /v2/bot/message/push`. 200 is no promise: to who has blocked the account, nothing arrives."""
    asked = await read_request(scope, receive)
    if not sink.is_token(asked.headers.get("authorization", "")):
        await answer(send, HTTPStatus.UNAUTHORIZED, {"message": "Authentication failed"})
        return
    try:
        push = msgspec.json.decode(asked.body, type=_Push)
        retry_key = msgspec.convert({"key": asked.headers.get("x-line-retry-key")}, type=_RetryKey).key
    except msgspec.ValidationError:
        await answer(send, HTTPStatus.BAD_REQUEST, {"message": "The request body has 1 error(s)"})
        return
    known = sink.kept.find("line", retry_key)
    behaviour = sink.manners.treat("line", push.to, retry_key)
    with sink.manners.holding("line"):
        if behaviour.mode in REFUSALS:
            status, words = REFUSALS[behaviour.mode]
            await answer(send, status, {"message": words})
            return
        if behaviour.mode == "garbage":
            await talk_nonsense(send)
            return
        if behaviour.mode == "slow":
            await sink.manners.be_slow(behaviour)
        if behaviour.mode == "drop_before_accept":
            await break_off(send)
            return
        text = "\n".join(message.text for message in push.messages)
        sent = sink.kept.keep(
            "line", retry_key, lambda: {"to": push.to, "text": text}, is_lost=behaviour.mode in ("lose", "undelivered")
        )
        if behaviour.mode == "slow_answer":
            await sink.manners.be_slow(behaviour)
        if behaviour.mode == "drop_after_accept":
            await break_off(send)
        elif behaviour.mode == "deny":
            await answer(send, *REFUSALS["reject_permanent"][:1], {"message": REFUSALS["reject_permanent"][1]})
        elif known is not None:
            said = {"message": "The retry key is already accepted"}
            await answer(send, HTTPStatus.CONFLICT, said, x_line_accepted_request_id=sent.message_id)
        else:
            said_ids = {"sentMessages": [{"id": sent.message_id}]}
            await answer(send, HTTPStatus.OK, said_ids, x_line_request_id=sent.message_id)
