"""LINE's push, as far as we use it: one text to one id, and a retry key by which a repetition is known."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

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
