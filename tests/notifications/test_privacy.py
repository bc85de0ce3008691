"""No personal data in logs: a full run, with things going wrong, and every line that was written searched."""

import asyncio
from datetime import timedelta

import pytest

from tests.logs import reading_the_log
from tests.notifications.harness import CODE, EMAIL, LINK_TOKEN, PHONE, START, Notifications


async def test_no_log_line_holds_an_address_a_link_or_a_code(
    service: Notifications, capfd: pytest.CaptureFixture[str]
) -> None:
    with reading_the_log("notifications", level="DEBUG") as logged:
        for reach, channel in (("email", "smtp"), ("sms", "sms")):
            for mode in ("ok", "fail_5xx", "drop_after_accept", "garbage", "reject_permanent"):
                service.sink.behave(channel, mode)  # type: ignore[arg-type]
                contact = service.contact(reach)  # type: ignore[arg-type]
                booked = service.booked(contact)
                await service.hear(contact, booked)
                await service.settle()
                await service.pass_time(seconds=40)
                await service.hear(service.changed(booked, START + timedelta(days=1)))
                await service.settle()
        await service.hear(service.contact(address="x" * 400))
        # An address that no mail can be written to: the error's text would quote it.
        broken = service.contact(address="hanako kakushi@@example.jp")
        await service.hear(broken, service.booked(broken))
        await service.settle()
        loop = asyncio.create_task(service.sending.run())
        await asyncio.sleep(0.3)
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    captured = capfd.readouterr()
    written = logged.text + captured.out + captured.err
    assert "notice_attempt" in written
    assert "notice_not_rendered" in written
    local, _, _ = EMAIL.partition("@")
    for secret in (EMAIL, local, PHONE, PHONE.removeprefix("+81"), LINK_TOKEN, CODE, "kakushi"):
        assert secret not in written, secret
