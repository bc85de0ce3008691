"""An SMS gateway that speaks JSON and takes an id of ours, so that a repetition is recognised and not sent twice."""

from http import HTTPStatus

import msgspec

from services.notifications.domain.outcomes import Outcome
from services.notifications.senders.http import GARBAGE, REF_MAX_LENGTH, Answer, Question, is_success, refused
from services.notifications.senders.sender import Message
from services.notifications.senders.text_limit import UCS2_PARTS

SMS_GATEWAY = "sms_gateway"


class _Accepted(msgspec.Struct, frozen=True):
    message_id: str
    status: str


class SmsJson:
    """`{id, to, text}` with a bearer token; 409 is the same id again."""

    name = SMS_GATEWAY
    is_idempotent = True
    limit = UCS2_PARTS

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def ask(self, message: Message) -> Question:
        """The request for a message."""
        body = {"id": message.key, "to": message.to, "text": message.content.decode()}
        return Question(self._url, self._headers, msgspec.json.encode(body))

    def read(self, answer: Answer) -> Outcome:
        """What an answer says."""
        if answer.status == HTTPStatus.CONFLICT:
            return Outcome(kind="accepted", error_code="repeated")
        if not is_success(answer.status):
            return refused(answer.status)
        try:
            accepted = msgspec.json.decode(answer.content, type=_Accepted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return GARBAGE
        if accepted.status != "accepted":
            return Outcome(kind="permanent", error_code="not_accepted")
        return Outcome(kind="accepted", provider_ref=accepted.message_id[:REF_MAX_LENGTH])
