"""An SMS gateway that speaks JSON and takes an id of ours, so that a repetition is recognised and not sent twice."""

from http import HTTPStatus

import msgspec

from services.notifications.domain.outcomes import NO_NUMBER, Outcome
from services.notifications.senders.http import GARBAGE, REF_MAX_LENGTH, Answer, Question, is_success, refused
from services.notifications.senders.sender import Message
from services.notifications.senders.text_limit import UCS2_PARTS

SMS_GATEWAY = "sms_gateway"


# How it says that there is no such number, or that it is no mobile's. What else it refuses with 422 (our text, our
# sender) is of this message, and says nothing of the number.
OF_NUMBER = frozenset({"number", "not_mobile"})


class _Refused(msgspec.Struct, frozen=True):
    error: str = ""


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
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and _error(answer) in OF_NUMBER:
            return Outcome(kind="permanent", error_code=NO_NUMBER)
        if not is_success(answer.status):
            return refused(answer.status)
        try:
            accepted = msgspec.json.decode(answer.content, type=_Accepted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return GARBAGE
        if accepted.status != "accepted":
            return Outcome(kind="permanent", error_code="not_accepted")
        return Outcome(kind="accepted", provider_ref=accepted.message_id[:REF_MAX_LENGTH])


def _error(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.content, type=_Refused).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
