"""The town's own texts as pages and messages say them: `town_text` is to the town's data what `_()` is to ours."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from shared.db import Database
from shared.log import describe, get_logger
from shared.town_texts import TownTexts, read_town_texts
from shared.web.i18n import SOURCE, current_language, with_readings

log = get_logger(__name__)

REFRESH_INTERVAL_S: Final = 30.0

_NEVER_READ: Final[tuple[float, TownTexts]] = (float("-inf"), {})
_current: ContextVar[TownTexts] = ContextVar("choudo_town_texts", default={})  # noqa: B039  never written to


def set_town_texts(texts: TownTexts) -> None:
    """Say the town's texts so for the rest of the current context: for middleware."""
    _current.set(texts)


@contextmanager
def use_town_texts(texts: TownTexts) -> Iterator[None]:
    """Say the town's texts so inside the block: for notices."""
    token = _current.set(texts)
    try:
        yield
    finally:
        _current.reset(token)


def town_text(ja: str) -> str:
    """A text of the town in the reader's language; in Japanese when the town has no words for it."""
    return with_readings(_say(ja))


def town_name(ja: str) -> str:
    """``Child allowance (児童手当の申請)``: with the official name, by which forms and signs at the town hall go."""
    said = _say(ja)
    if said == ja:
        return with_readings(ja)
    open_, close = ("（", "）") if current_language().html_lang == "ja" else (" (", ")")
    return f"{with_readings(said)}{open_}{with_readings(ja)}{close}"


def _say(ja: str) -> str:
    language, said = current_language(), _current.get().get(ja)
    if said is None or language is SOURCE:
        return ja
    return (said.easy if language.html_lang == "ja" else said.en) or ja


class TownTextDirectory:
    """The texts of the towns that were asked for, read again after half a minute."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._read: dict[str, tuple[float, TownTexts]] = {}
        self._reading = asyncio.Lock()

    async def find(self, municipality: str) -> TownTexts:
        """A town's texts; with the database away, those that were read before, or none: Japanese is no error."""
        if self._is_old(municipality) and not (municipality in self._read and self._reading.locked()):
            # As with the towns themselves: one reads for all who are waiting.
            async with self._reading:
                if self._is_old(municipality):
                    await self._read_again(municipality)
        return self.recall(municipality)

    def recall(self, municipality: str) -> TownTexts:
        """The texts as they were last read: asks nobody, so that an error page can."""
        return self._read.get(municipality, _NEVER_READ)[1]

    def _is_old(self, municipality: str) -> bool:
        read_at, _texts = self._read.get(municipality, _NEVER_READ)
        return time.monotonic() - read_at >= REFRESH_INTERVAL_S

    async def _read_again(self, municipality: str) -> None:
        texts = self.recall(municipality)
        try:
            async with self._db.begin(municipality) as session:
                texts = await read_town_texts(session, municipality)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page can be shown
            log.warning("town_texts_unread", **describe(error))
        self._read[municipality] = (time.monotonic(), texts)
