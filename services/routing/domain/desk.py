"""The desk (書かない窓口): how a person says that what was prepared is right, and their signature as a drawing."""

import re
from typing import Literal

How = Literal["tablet", "paper"]

# The step of the ledger's entry that the person said so, and its outcome: by what.
STEP_CONFIRM = "desk_confirm"
CONFIRMED: dict[str, str] = {"tablet": "confirmed_on_tablet", "paper": "confirmed_on_paper"}

# An item like others, of one confirmation: lines on a field of this size, as a path of an SVG.
SIGNATURE = "signature"
SIGNATURE_WIDTH, SIGNATURE_HEIGHT = 600, 200
SIGNATURE_MAX_LENGTH = 12_000
_PATH = re.compile(r"(?:M\d{1,3} \d{1,3}(?:L\d{1,3} \d{1,3})+)+", re.ASCII)


def read_signature(drawn: str) -> str:
    """The drawing, if it is one; empty when nothing was drawn, or something else was sent."""
    return drawn if len(drawn) <= SIGNATURE_MAX_LENGTH and _PATH.fullmatch(drawn) else ""
