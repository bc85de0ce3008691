"""Structured logs: one JSON object a line, event names and ids only. Personal data has no place in them."""

import contextlib
import logging
import sys
import traceback
from typing import Any, TextIO

import msgspec
import structlog

LOGGED_FRAMES = 6


def configure_logging(service: str, *, level: str = "INFO") -> None:
    """Send our logs and the libraries' as JSON to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, event: {"service": service, **event},
    ]
    rendered: list[structlog.typing.Processor] = [_describe_exception, structlog.processors.JSONRenderer(_encode)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _unfill],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    # Ours go straight to the stream: by way of the standard library a request's line takes several times as long.
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Stream(handler),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Access lines are ours (they know which paths hold tokens); the server's would print them raw.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("httpx").setLevel("WARNING")


class _Stream:
    """Where structlog's finished lines go: the stream of the libraries' handler."""

    def __init__(self, handler: "logging.StreamHandler[TextIO]") -> None:
        self._handler = handler

    def msg(self, line: str) -> None:
        # As the standard library's handlers: where nobody can read the line any more, what it tells goes on.
        with contextlib.suppress(OSError, ValueError):
            self._handler.stream.write(line + "\n")
            self._handler.flush()

    debug = info = warning = error = critical = exception = msg


def _encode(event: structlog.typing.EventDict, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("case_opened", case_id=…)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _unfill(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library that reports an exception fills its sentence with what failed: keep the sentence, not the filling."""
    if event.get("exc_info"):
        event["event"] = str(event["_record"].msg).partition("\n")[0]
    return event


def _describe_exception(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Instead of a traceback, whose last line is the error's message: libraries log exceptions too."""
    info = event.pop("exc_info", None)
    if info:
        error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else sys.exc_info()[1]
        if error is not None:
            event.update(describe(error))
    return event


def describe(error: BaseException) -> dict[str, object]:
    """What may be logged of an error: its kind, PostgreSQL's code, where. Its message never: it may quote somebody."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename][-LOGGED_FRAMES:]
    return {
        "error": type(error).__name__,
        "sqlstate": getattr(getattr(error, "orig", None), "sqlstate", None),
        "at": [
            f"{frame.filename.rsplit('/site-packages/')[-1]}:{frame.lineno} {frame.name}"
            for frame in [*ours, *frames[-1:]]
        ],
    }
