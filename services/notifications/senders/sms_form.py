"""An SMS gateway of the older kind: a form in Shift_JIS, counted in bytes, and an answer of its own in a line of text.

It takes no id of ours, and knows no repetition. What comes back with its receipts is a short tag, which names the
town, the notice and its way.
"""

from typing import Final
from urllib.parse import parse_qs, urlencode

from services.notifications.domain.outcomes import Outcome, OutcomeKind
from services.notifications.orders import tag_of
from services.notifications.senders.http import GARBAGE, REF_MAX_LENGTH, Answer, Question, is_success, refused
from services.notifications.senders.sender import Message
from services.notifications.senders.text_limit import SHIFT_JIS, TextLimit

SMS_FORM = "sms_form"
PART_BYTES, JOINED_PART_BYTES = 140, 134
ACCEPTED = "0"
# By the first digit of what it says beside 200: this message, our account, this text, and the gateway itself.
KINDS: Final[dict[str, OutcomeKind]] = {"1": "permanent", "2": "temporary", "3": "permanent", "5": "temporary"}
CODE_LENGTH = 3


class SmsForm:
    """`user`, `pass`, `to`, `text`, `tag`; the answer is `result=0&id=…`, also of what is refused."""

    name = SMS_FORM
    is_idempotent = False
    limit = TextLimit(charset="shift_jis", part_units=PART_BYTES, joined_part_units=JOINED_PART_BYTES)

    def __init__(self, url: str, user: str, token: str) -> None:
        self._url = url
        self._account = {"user": user, "pass": token}

    def ask(self, message: Message) -> Question | Outcome:
        """The request for a message, in the gateway's own characters."""
        form = self._account | {"to": message.to, "text": message.content.decode(), "tag": tag_of(message.key)}
        try:
            body = urlencode(form, encoding=SHIFT_JIS)
        except UnicodeEncodeError:
            # Rendering writes only what the gateway can: silently it would become a question mark.
            return Outcome(kind="permanent", error_code="charset")
        return Question(self._url, {"content-type": "application/x-www-form-urlencoded"}, body.encode("ascii"))

    def read(self, answer: Answer) -> Outcome:
        """What an answer says: by its text, since whatever it is comes as 200."""
        if not is_success(answer.status):
            return refused(answer.status)
        said = parse_qs(answer.content.decode(SHIFT_JIS, errors="replace").strip())
        result, ref = (said.get(name, [""])[0] for name in ("result", "id"))
        if result == ACCEPTED and ref:
            return Outcome(kind="accepted", provider_ref=ref[:REF_MAX_LENGTH])
        kind = KINDS.get(result[:1]) if result.isdecimal() and len(result) == CODE_LENGTH else None
        return Outcome(kind=kind, error_code=f"form_{result}") if kind else GARBAGE
