"""Log lines are JSON, and nothing that a person typed is in them, whoever logs."""

import asyncio
import gc
import logging

from shared.log import describe, get_logger
from tests.logs import Logged

SECRET = "山田花子 hanako@example.jp"


def fail() -> None:
    raise ValueError(SECRET)


def test_a_line_is_json_with_its_service_level_and_time(logged: Logged) -> None:
    get_logger("here").info("case_opened", case_id="c1")
    (line,) = logged.lines
    assert {name: line[name] for name in ("event", "level", "service", "case_id")} == {
        "event": "case_opened",
        "level": "info",
        "service": "test",
        "case_id": "c1",
    }
    assert line["timestamp"].endswith("Z")


def test_the_text_of_an_exception_is_never_written_by_us_or_by_a_library(logged: Logged) -> None:
    try:
        fail()
    except ValueError as error:
        get_logger("here").exception("ours")
        logging.getLogger("some.library").exception("theirs")
        get_logger("here").error("described", **describe(error))
    assert "山田" not in logged.text
    assert "hanako" not in logged.text
    for event in ("ours", "theirs", "described"):
        (line,) = logged.of(event)
        assert line["error"] == "ValueError"
        assert line["at"][-1].endswith(" fail")


async def test_a_task_that_nobody_waited_for_tells_no_secret(logged: Logged) -> None:
    async def fail_later() -> None:
        fail()

    task = asyncio.create_task(fail_later())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert "ValueError" in logged.text
    assert "山田" not in logged.text


def test_access_lines_of_the_server_are_not_written(logged: Logged) -> None:
    logging.getLogger("uvicorn.access").info("GET /booking/a/secret-token")
    assert logged.text == ""


def test_what_a_library_was_working_on_when_it_failed_is_not_written(logged: Logged) -> None:
    """dramatiq's worker names the whole message in such a line."""
    try:
        fail()
    except ValueError:
        logging.getLogger("dramatiq.worker").exception("Failed to process message %s.", {"sealed": SECRET})
    assert [line["event"] for line in logged.lines] == ["Failed to process message %s."]
    assert "hanako" not in logged.text
