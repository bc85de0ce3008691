"""Texts that bring their own readings (`予約《よやく》`, `｜見本《みほん》`), without them."""

import re
from typing import Final

KANJI: Final = "\u3400-\u4dbf\u4e00-\u9fff々〇"
WRITTEN: Final = re.compile(rf"(?:｜([^｜《》]+)|([{KANJI}]+))《([^》]+)》")


def bare(text: str) -> str:
    """A text without the readings that it brings itself, for everything that is no page."""
    return WRITTEN.sub(lambda found: found[1] or found[2], text) if "《" in text else text
