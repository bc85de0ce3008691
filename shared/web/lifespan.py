"""The beginning and the end of an application, as a server tells it (ASGI's lifespan protocol)."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from shared.log import describe, get_logger

log = get_logger(__name__)


async def live(running: AbstractAsyncContextManager[Any], receive: Any, send: Any) -> None:
    """Enter the context when the server starts, and leave it when it stops. What fails to start is told."""
    await receive()
    started = False
    try:
        async with running:
            started = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except Exception as error:  # noqa: BLE001 - whatever it is, the server hears of it
        log.error("application_failed", **describe(error))
        kind = "shutdown" if started else "startup"
        await send({"type": f"lifespan.{kind}.failed", "message": type(error).__name__})
        return
    await send({"type": "lifespan.shutdown.complete"})
