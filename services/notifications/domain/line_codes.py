"""Linking LINE (LINEをつなぐ): by the code that it sends to the town's account, an account at LINE is known."""

import re
import unicodedata

# Sent from one's own telephone, or typed from another screen; nobody who guesses has many tries (`LINE_TRIES_MAX`).
LINE_CODE_LENGTH = 8
# Of one account at LINE within `domain/proofs.py: ASKINGS_WITHIN`.
LINE_TRIES_MAX = 5
_CODE = re.compile(rf"[0-9]{{{LINE_CODE_LENGTH}}}")
_BETWEEN = re.compile(r"[\s.ー−─━-]")


def read_line_code(text: str) -> str | None:
    """The code, if what somebody wrote is one and nothing else; None: it is not for us to read."""
    bare = _BETWEEN.sub("", unicodedata.normalize("NFKC", text[: LINE_CODE_LENGTH * 4]))
    return bare if len(text) <= LINE_CODE_LENGTH * 4 and _CODE.fullmatch(bare) else None
