"""What a process would have written to its log, read instead of written."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import structlog

from shared.log import configure_logging


class Logged:
    """What the process would have written to its log, line by line."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """Everything, readable: on the stream, letters beyond ASCII are escaped."""
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in self.lines)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line: each must be JSON."""
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines if line["event"] == event]


@contextlib.contextmanager
def reading_the_log(service: str = "test", *, level: str = "INFO") -> Iterator[Logged]:
    """The log as processes configure it, read instead of written; afterwards as if it had never been configured."""
    root = logging.getLogger()
    handlers, before, stream = root.handlers[:], root.level, io.StringIO()
    configure_logging(service, level=level)
    # A logger that is kept on first use would write to this test's stream in every later test.
    structlog.configure(cache_logger_on_first_use=False)
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    try:
        yield Logged(stream)
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        structlog.reset_defaults()
