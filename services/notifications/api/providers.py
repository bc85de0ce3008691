"""What providers call, in their own tongues: receipts, bounces, who follows."""

import base64
import hmac
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.notifications.commands.bounces import record_bounce
from services.notifications.commands.line import record_follow
from services.notifications.commands.line_linking import Linking, link_line
from services.notifications.commands.receipts import DeliveryReceipt, record_by_ref, record_receipt
from services.notifications.domain.line_codes import read_line_code
from services.notifications.domain.receipts import is_secret, is_signed, read_form, read_form_receipt
from services.notifications.keys import Keys
from services.notifications.line_words import line_reply
from services.notifications.orders import read_key
from services.notifications.providers.chosen import sms_gateways
from services.notifications.providers.line_channels import line_channels
from services.notifications.senders.line import reply
from services.notifications.settings import Settings
from shared.db import Database, again_after_deadlock
from shared.errors import Refusal
from shared.log import get_logger
from shared.web.identity import PUBLIC

log = get_logger(__name__)

RECEIPTS_MAX = 100
SIGNATURE_HEADER = "x-signature"
LINE_SIGNATURE_HEADER = "x-line-signature"


class _Source(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    user_id: str = ""


class _LineMessage(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""


class _LineEvent(msgspec.Struct, frozen=True, rename="camel"):
    """What of LINE's events is of use. Of what people write to the account only a code is read here."""

    type: str
    timestamp: int = 0
    source: _Source = _Source()
    message: _LineMessage = _LineMessage()
    reply_token: str = ""

    @property
    def told_at(self) -> datetime:
        """When it happened. Raises ValueError, OverflowError or OSError if that is no time."""
        return datetime.fromtimestamp(self.timestamp / 1000, UTC)

    @property
    def code(self) -> str | None:
        """The code that somebody sent by themselves, and not in a group."""
        is_text = self.type == "message" and self.message.type == "text" and self.source.type == "user"
        return read_line_code(self.message.text) if is_text and self.source.user_id else None


class _LineEvents(msgspec.Struct, frozen=True):
    events: list[_LineEvent]


# Public as far as people's tokens go: the gateway shows its own, or signs.
@post("/notifications/api/receipts/{provider:str}", opt=PUBLIC, status_code=204)
async def post_receipts(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    settings: NamedDependency[Settings],
) -> None:
    """One receipt or a list of them. Gateways repeat and reorder them: what is known already changes nothing.

    Raises:
        Refusal: `not_found` (404) provider, `receipt_token` (401), `bad_request` (400).
    """
    gateway = sms_gateways(settings).get(provider)
    if gateway is None:
        raise Refusal("not_found", 404)
    body = await request.body()
    if gateway.dialect == "form":
        await _record_form(provider, body, request.headers.get("authorization", ""), db, gateway.token, now=now)
        return
    secret, signature = gateway.token, request.headers.get(SIGNATURE_HEADER)
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    is_theirs = (
        is_secret(shown, secret) if signature is None else is_signed(body, signature, secret, now_s=now.timestamp())
    )
    if not is_theirs:
        raise Refusal("receipt_token", 401)
    for receipt in _read(body):
        try:
            # The key that we gave names the town: a gateway knows one address to call, not one for each town.
            municipality, notice_id, way_no = read_key(receipt.id)
        except ValueError as error:
            raise Refusal("bad_request", 400) from error
        async with db.begin(municipality) as session:
            if not await record_receipt(session, municipality, notice_id, receipt.status, way_no=way_no, now=now):
                # Notices are written down before anything is sent: it will not become known later either.
                log.warning("receipt_of_unknown_notice", provider=provider)


async def _record_form(provider: str, body: bytes, shown: str, db: Database, token: str, *, now: datetime) -> None:
    """A receipt in a form, with the gateway's own id, which we may not have written down yet."""
    try:
        form = read_form(body)
        if not is_secret(form.get("pass", shown.removeprefix("Bearer ")), token):
            raise Refusal("receipt_token", 401)
        receipt = read_form_receipt(form)
    except ValueError as error:
        raise Refusal("bad_request", 400) from error
    if receipt.status is None:
        # A word that is new to us: it says nothing, and the gateway shall not repeat it for ever.
        log.warning("receipt_of_unknown_status", provider=provider)
        return
    async with db.begin(receipt.municipality) as session:
        about = (receipt.municipality, provider, receipt.ref, receipt.status)
        await record_by_ref(session, *about, tag=receipt.tag, now=now)


# Whoever brings them shows a token: a mail server, or what it hands its mail to.
@post("/notifications/api/bounces", opt=PUBLIC, status_code=204)
async def post_bounce(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    settings: NamedDependency[Settings],
) -> None:
    """One mail as it came, that says what became of one of ours. What it does not say anything of is taken too.

    Raises:
        Refusal: `not_found` (404) where none are brought, `receipt_token` (401), `bad_request` (400).
    """
    if not settings.bounce_token:
        raise Refusal("not_found", 404)
    if not is_secret(request.headers.get("authorization", "").removeprefix("Bearer "), settings.bounce_token):
        raise Refusal("receipt_token", 401)
    try:
        bounce = await record_bounce(db, await request.body(), now=now)
    except ValueError as error:
        raise Refusal("bad_request", 400) from error
    log.info("bounce", kind=bounce.kind if bounce else None)


# LINE signs with the secret of the town's account.
@post("/notifications/api/line/{municipality:str}", opt=PUBLIC, status_code=200)
async def post_line_events(
    request: Request[Any, Any, Any],
    municipality: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    settings: NamedDependency[Settings],
) -> Response[None]:
    """What LINE tells of a town's account: who follows and who has left, and who sends the code of a page.

    Raises:
        Refusal: `not_found` (404) town without an account, `receipt_token` (401), `bad_request` (400).
    """
    channel = line_channels(settings).get(municipality)
    if channel is None:
        raise Refusal("not_found", 404)
    body = await request.body()
    signature = base64.b64encode(hmac.digest(channel.secret.encode(), body, "sha256")).decode()
    if not is_secret(request.headers.get(LINE_SIGNATURE_HEADER, ""), signature):
        raise Refusal("receipt_token", 401)
    try:
        told = msgspec.json.decode(body, type=_LineEvents).events
        follows = [
            (event.source.user_id, event.type == "follow", event.told_at)
            for event in told
            if event.type in ("follow", "unfollow") and event.source.user_id
        ]
        codes = [(event, code, event.told_at) for event in told if (code := event.code) is not None]
    except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
        raise Refusal("bad_request", 400) from error
    if len(follows) + len(codes) > RECEIPTS_MAX:
        raise Refusal("too_large", 413)

    async def note() -> None:
        async with db.begin(municipality) as session:
            for user_id, does_follow, told_at in follows:
                await record_follow(session, municipality, user_id, follows=does_follow, told_at=told_at, now=now)

    async def link(user_id: str, code: str, told_at: datetime) -> Linking:
        async with db.begin(municipality) as session:
            return await link_line(session, keys, municipality, user_id, code, told_at=told_at, now=now)

    # Whoever leaves is noted before their contacts, which whoever links has locked before.
    await again_after_deadlock(note)
    replies = []
    for event, code, told_at in codes:
        linking = await again_after_deadlock(partial(link, event.source.user_id, code, told_at))
        if event.reply_token and (text := line_reply(linking.said, linking.language)):
            replies.append((event.reply_token, text))

    async def answer() -> None:
        for reply_token, text in replies:
            await reply(settings.line_url, channel.token, reply_token, text)

    # LINE wants its answer soon, and waits for nobody else's.
    return Response(None, background=BackgroundTask(answer) if replies else None)


def _read(body: bytes) -> list[DeliveryReceipt]:
    try:
        told = msgspec.json.decode(body, type=DeliveryReceipt | list[DeliveryReceipt])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal("bad_request", 400) from error
    receipts = told if isinstance(told, list) else [told]
    if len(receipts) > RECEIPTS_MAX:
        raise Refusal("too_large", 413)
    return receipts
