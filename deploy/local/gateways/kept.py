"""What arrived: kept for a page and for tests, and over a restart."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import msgspec

KEPT = 500
STORE_FILE = "messages.jsonl"

Way = Literal["email", "sms", "line"]


class Sent(msgspec.Struct, kw_only=True):
    """One message that came. `key` is the gateway's id of ours, or the Message-ID; `times` how often it came."""

    number: int
    at: datetime
    channel: Way
    to: str
    text: str
    key: str
    times: int = 1
    subject: str | None = None
    calendar: str | None = None
    # The headers of a mail, for tests; empty for SMS.
    headers: dict[str, str] = {}
    message_id: str = ""
    # Where a mail comes back to.
    mail_from: str = ""
    # It was accepted, and never delivered.
    is_lost: bool = False


class Kept:
    """The newest messages, in a folder too if there is one."""

    def __init__(self, folder: Path | None, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._clock = clock
        self._messages: deque[Sent] = deque(maxlen=KEPT)
        self._known: dict[tuple[str, str], Sent] = {}
        self._next_number = 1

    def messages(self, *, to: str | None = None, channel: str | None = None, lost: bool = False) -> list[Sent]:
        """What arrived, newest first, or what was lost. A phone number is found in either notation."""
        return [
            sent
            for sent in reversed(self._messages)
            if sent.is_lost == lost
            and (channel is None or sent.channel == channel)
            and (to is None or _plain(sent.to) == _plain(to))
        ]

    def find(self, channel: Way, key: str) -> Sent | None:
        """The message with this key, if it came before."""
        return self._known.get((channel, key))

    def keep(self, channel: Way, key: str, read: Callable[[], dict[str, Any]], *, is_lost: bool = False) -> Sent:
        """Keep a message; one whose key is known is the same one again."""
        known = self.find(channel, key)
        if known is not None:
            known.times += 1
            known.is_lost = known.is_lost and is_lost
            self._store(known)
            return known
        sent = Sent(
            number=self._next_number,
            at=self._clock(),
            channel=channel,
            key=key,
            message_id=uuid4().hex,
            is_lost=is_lost,
            **read(),
        )
        self._next_number += 1
        if len(self._messages) == KEPT:
            self._known.pop((self._messages[0].channel, self._messages[0].key), None)
        self._messages.append(sent)
        self._known[channel, key] = sent
        self._store(sent)
        return sent

    def clear(self) -> None:
        """Forget all messages, on disk too."""
        self._messages.clear()
        self._known.clear()
        if self._folder is not None:
            (self._folder / STORE_FILE).unlink(missing_ok=True)

    def read_store(self) -> None:
        """Find again what was kept before a restart."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / STORE_FILE
        if not path.exists():
            return
        # A message that came again is there again: the last line of each says how often.
        known: dict[int, Sent] = {}
        for line in path.read_bytes().splitlines():
            # The last line may be half written.
            with suppress(msgspec.DecodeError):
                sent = msgspec.json.decode(line, type=Sent)
                known[sent.number] = sent
        self._messages.extend(known.values())
        self._known = {(sent.channel, sent.key): sent for sent in self._messages}
        self._next_number = max((sent.number for sent in self._messages), default=0) + 1
        path.unlink()
        for sent in self._messages:
            self._store(sent)

    def _store(self, sent: Sent) -> None:
        if self._folder is None:
            return
        # Only for its owner: it holds what residents were sent.
        file = os.open(self._folder / STORE_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(file, "ab") as output:
            output.write(msgspec.json.encode(sent) + b"\n")


def _plain(address: str) -> str:
    return "0" + address.removeprefix("+81") if address.startswith("+81") else address.strip().lower()
