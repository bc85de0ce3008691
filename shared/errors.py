"""Expected outcomes that are not success. Everything else is a bug."""

from typing import Any


class Refusal(Exception):
    """The product says no, for a reason that a person can act on.

    `code` is looked up for the text that is shown (`shared/web/refusals.py`); `status` is the HTTP status;
    `details` are safe to show and to send as JSON: never personal data.
    """

    def __init__(self, code: str, status: int = 400, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.details = details


class Poison(Exception):
    """An event that can never be applied, however often it comes: it goes to the dead letters at once.

    `reason` is a code; it must hold no personal data.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
