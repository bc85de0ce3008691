"""The page with what was sent, the gateways that speak HTTP, and the control door that tests steer them by."""

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import msgspec
from litestar import Litestar, MediaType, Response, asgi, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler, Receive, Scope, Send

from deploy.local.gateways.behaviour import Behaviour, Limit
from deploy.local.gateways.line import LineEvent, serve_push, serve_reply
from deploy.local.gateways.sms import serve_form, serve_json
from shared.web.templating import TOKYO

if TYPE_CHECKING:
    from deploy.local.sink import Sink

TEMPLATES = Path(__file__).parents[1] / "sink_templates"


def make_app(sink: "Sink") -> Litestar:
    """All of it on one port."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    @get("/", media_type=MediaType.HTML)
    async def get_page(to: FromQuery[str] = "", channel: FromQuery[str] = "") -> str:
        found = sink.messages(to=to or None, channel=channel or None)
        return environment.get_template("sink.html").render(messages=found, tokyo=TOKYO, to=to, channel=channel)

    @get("/messages.json")
    async def get_messages(
        to: FromQuery[str] = "", channel: FromQuery[str] = "", lost: FromQuery[bool] = False
    ) -> Response[bytes]:
        found = sink.messages(to=to or None, channel=channel or None, lost=lost)
        return Response(msgspec.json.encode(found), media_type=MediaType.JSON)

    @get("/messages/{number:int}/yoyaku.ics")
    async def get_calendar(number: FromPath[int]) -> Response[str]:
        for sent in sink.messages():
            if sent.number == number and sent.calendar:
                return Response(sent.calendar, media_type="text/calendar; charset=utf-8")
        return Response("", status_code=HTTPStatus.NOT_FOUND, media_type=MediaType.TEXT)

    @delete("/messages")
    async def delete_messages() -> None:
        sink.clear()

    @post("/behaviour", status_code=HTTPStatus.NO_CONTENT)
    async def post_behaviour(data: JSONBody[Behaviour]) -> None:
        sink.manners.behave(data)

    @post("/limit", status_code=HTTPStatus.NO_CONTENT)
    async def post_limit(data: JSONBody[Limit]) -> None:
        sink.manners.limit(data)

    @asgi("/sms", copy_scope=True)
    async def sms_gateway(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_json(sink, scope, receive, send)

    @asgi("/sms-form", copy_scope=True)
    async def sms_form(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_form(sink, scope, receive, send)

    return Litestar(
        [
            get_page,
            get_messages,
            get_calendar,
            delete_messages,
            post_behaviour,
            post_limit,
            sms_gateway,
            sms_form,
            *_line_doors(sink),
        ],
        openapi_config=None,
        logging_config=None,
    )


def _line_doors(sink: "Sink") -> list[ControllerRouterHandler]:
    """LINE's own, and what people do there."""

    @post("/line/events")
    async def post_line_event(data: JSONBody[LineEvent]) -> dict[str, int | None]:
        return {"status": await sink.caller.tell_of_line(data)}

    @asgi("/v2/bot/message/reply", copy_scope=True)
    async def line_reply(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_reply(sink, scope, receive, send)

    @asgi("/v2/bot/message/push", copy_scope=True)
    async def line_push(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_push(sink, scope, receive, send)

    return [post_line_event, line_reply, line_push]
