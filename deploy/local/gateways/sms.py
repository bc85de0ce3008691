"""Two SMS gateways: one that speaks JSON and knows our ids, and one of the older kind, with forms in Shift_JIS."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

import msgspec
from litestar.types import Receive, Scope, Send

from deploy.local.gateways.asgi import answer, break_off, read_request, talk_nonsense
from deploy.local.gateways.behaviour import Mode
from deploy.local.gateways.kept import Sent

if TYPE_CHECKING:
    from deploy.local.sink import Sink

SHIFT_JIS = "cp932"
FORM_MAX_BYTES = 402
NUMBER_LENGTH = 11
REFUSALS: Final[dict[Mode, tuple[HTTPStatus, str]]] = {
    "fail_5xx": (HTTPStatus.SERVICE_UNAVAILABLE, "busy"),
    "closing": (HTTPStatus.SERVICE_UNAVAILABLE, "closing"),
    "too_many": (HTTPStatus.TOO_MANY_REQUESTS, "rate"),
    "reject_permanent": (HTTPStatus.UNPROCESSABLE_ENTITY, "number"),
    "reject_text": (HTTPStatus.BAD_REQUEST, "text"),
}
# The older one answers 200 to all, and says in its text what it thinks.
FORM_REFUSALS: Final[dict[Mode, str]] = {
    "fail_5xx": "501", "closing": "503", "too_many": "502", "reject_permanent": "101", "reject_text": "301",
}  # fmt: skip
FORM_ACCOUNT, FORM_NUMBER, FORM_TEXT, FORM_LONG = "201", "102", "301", "302"


class SmsRequest(msgspec.Struct, frozen=True):
    """The first gateway's dialect."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    to: Annotated[str, msgspec.Meta(pattern=r"^[0-9+]{8,16}$")]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=660)]


async def serve_json(sink: "Sink", scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /sms`."""
    asked = await read_request(scope, receive)
    if asked.method != "POST":
        await answer(send, HTTPStatus.METHOD_NOT_ALLOWED, {"error": "post"})
        return
    if not sink.is_token(asked.headers.get("authorization", "")):
        await answer(send, HTTPStatus.UNAUTHORIZED, {"error": "token"})
        return
    try:
        request = msgspec.json.decode(asked.body, type=SmsRequest)
    except msgspec.DecodeError:
        await answer(send, HTTPStatus.BAD_REQUEST, {"error": "request"})
        return
    behaviour = sink.manners.treat("sms", request.to, request.id)
    with sink.manners.holding("sms"):
        if behaviour.mode in REFUSALS:
            status, error = REFUSALS[behaviour.mode]
            await answer(send, status, {"error": error})
            return
        if behaviour.mode == "garbage":
            await talk_nonsense(send)
            return
        if behaviour.mode == "slow":
            await sink.manners.be_slow(behaviour)
        if behaviour.mode == "drop_before_accept":
            await break_off(send)
            return
        sent = sink.accept_sms(request, is_lost=behaviour.mode in ("lose", "undelivered"))
        await sink.caller.tell_by_json(sent, behaviour.mode)
        if behaviour.mode == "slow_answer":
            await sink.manners.be_slow(behaviour)
        if behaviour.mode == "drop_after_accept":
            await break_off(send)
        elif behaviour.mode == "deny":
            await answer(send, HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "number"})
        else:
            await answer(send, HTTPStatus.OK, {"message_id": sent.message_id, "status": "accepted"})


async def serve_form(sink: "Sink", scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /sms-form`: it knows nobody's ids, so what comes twice is sent twice."""
    asked = await read_request(scope, receive)
    form = {name: found[0] for name, found in parse_qs(asked.body.decode("latin-1"), encoding=SHIFT_JIS).items()}
    to, text = form.get("to", ""), form.get("text", "")
    if not sink.is_token(f"Bearer {form.get('pass', '')}"):
        await _say(send, FORM_ACCOUNT, "認証エラー")
    elif not (to.isdecimal() and len(to) == NUMBER_LENGTH):
        await _say(send, FORM_NUMBER, "宛先エラー")
    elif not text or "\ufffd" in text:
        await _say(send, FORM_TEXT, "本文エラー")
    elif len(text.encode(SHIFT_JIS, errors="replace")) > FORM_MAX_BYTES:
        await _say(send, FORM_LONG, "本文が長すぎます")
    else:
        await _take_form(sink, form, send)


async def _take_form(sink: "Sink", form: dict[str, str], send: Send) -> None:
    behaviour = sink.manners.treat("form", form["to"], form["to"])
    with sink.manners.holding("form"):
        if behaviour.mode in FORM_REFUSALS:
            await _say(send, FORM_REFUSALS[behaviour.mode], "混雑しています")
            return
        if behaviour.mode == "garbage":
            await talk_nonsense(send)
            return
        if behaviour.mode == "slow":
            await sink.manners.be_slow(behaviour)
        if behaviour.mode == "drop_before_accept":
            await break_off(send)
            return
        sent: Sent = sink.kept.keep(
            "sms",
            uuid4().hex,
            lambda: {"to": form["to"], "text": form["text"]},
            is_lost=behaviour.mode in ("lose", "undelivered"),
        )
        await sink.caller.tell_by_form(sent, form.get("tag", ""), behaviour.mode)
        if behaviour.mode == "slow_answer":
            await sink.manners.be_slow(behaviour)
        if behaviour.mode == "drop_after_accept":
            await break_off(send)
        elif behaviour.mode == "deny":
            await _say(send, FORM_REFUSALS["reject_permanent"], "宛先エラー")
        else:
            await _say(send, "0", "受付", id=sent.message_id)


async def _say(send: Send, result: str, words: str, **more: str) -> None:
    line = urlencode({"result": result, **more, "msg": words}, encoding=SHIFT_JIS)
    await answer(send, HTTPStatus.OK, line.encode("ascii") + b"\r\n", "text/plain; charset=Shift_JIS")
