"""LINE: a push to who follows the town's official account. Each town has one of its own, with a token and a secret."""

from collections.abc import Mapping
from http import HTTPStatus
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import msgspec

from services.notifications.domain.outcomes import LINE_UNREACHABLE, Outcome
from services.notifications.orders import town_of
from services.notifications.senders.http import GARBAGE, REF_MAX_LENGTH, Answer, Question, is_success, refused
from services.notifications.senders.sender import Message
from services.notifications.senders.text_limit import TextLimit
from shared.log import get_logger

log = get_logger(__name__)

LINE = "line"
TEXT_UNITS = 5_000
PUSH_PATH, REPLY_PATH = "/v2/bot/message/push", "/v2/bot/message/reply"
REPLY_TIMEOUT_S = 5.0
RETRY_KEY = "X-Line-Retry-Key"
ACCEPTED_REQUEST, REQUEST = "x-line-accepted-request-id", "x-line-request-id"
# How LINE says that it was not this account's friend, or is it no longer.
NO_FRIEND = "Failed to send messages"


class _Said(msgspec.Struct, frozen=True):
    message: str = ""


class Line:
    """A push of one text. The retry key is made of the message's key: the same for every attempt, for 24 hours."""

    name = LINE
    is_idempotent = True
    limit = TextLimit(part_units=TEXT_UNITS, joined_part_units=TEXT_UNITS, parts_max=1)

    def __init__(self, base_url: str, tokens: Mapping[str, str]) -> None:
        self._url = base_url.rstrip("/") + PUSH_PATH
        self._tokens = tokens

    def ask(self, message: Message) -> Question | Outcome:
        """The request for a message, as the account of its town."""
        token = self._tokens.get(town_of(message.key))
        if token is None:
            return Outcome(kind="permanent", error_code="no_provider")
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            RETRY_KEY: str(uuid5(NAMESPACE_URL, message.key)),
        }
        body = {"to": message.to, "messages": [{"type": "text", "text": message.content.decode()}]}
        return Question(self._url, headers, msgspec.json.encode(body))

    def read(self, answer: Answer) -> Outcome:
        """What an answer says. 200 is no promise: who has blocked the account gets nothing, and no error is told."""
        if answer.status == HTTPStatus.CONFLICT:
            return Outcome(kind="accepted", provider_ref=_ref(answer, ACCEPTED_REQUEST), error_code="repeated")
        try:
            said = msgspec.json.decode(answer.content, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return GARBAGE if is_success(answer.status) else refused(answer.status)
        if is_success(answer.status):
            return Outcome(kind="accepted", provider_ref=_ref(answer, REQUEST))
        if said.message.startswith(NO_FRIEND):
            return Outcome(kind="permanent", error_code=LINE_UNREACHABLE)
        return refused(answer.status)


async def reply(base_url: str, token: str, reply_token: str, text: str) -> None:
    """Answer what somebody wrote to the account, once and soon, as LINE lets us. Nobody waits for it, and nothing of it
    is tried again."""
    body = {"replyToken": reply_token, "messages": [{"type": "text", "text": text}]}
    timeout = aiohttp.ClientTimeout(total=REPLY_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as client,
            client.post(
                base_url.rstrip("/") + REPLY_PATH, json=body, headers={"authorization": f"Bearer {token}"}
            ) as answer,
        ):
            if not is_success(answer.status):
                log.warning("line_reply_refused", status=answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("line_reply_failed", error=type(error).__name__)


def _ref(answer: Answer, header: str) -> str | None:
    return answer.headers.get(header, "")[:REF_MAX_LENGTH] or None
