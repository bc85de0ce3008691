"""Staff on somebody's behalf (代理入力): how that person came to them, and who of the staff may."""

from typing import Literal

Behalf = Literal["phone", "desk"]
BEHALF: tuple[Behalf, ...] = ("phone", "desk")
BEHALF_ROLES = ("counter", "back_office", "manager")

# The outcome of a ledger entry: nobody but staff saw the screen. It was said by phone, or at the desk.
SAID: dict[str | None, str] = {None: "done", "phone": "said_by_phone", "desk": "said_at_desk"}
