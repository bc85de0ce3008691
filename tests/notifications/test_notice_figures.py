"""Figures of notices by day and way, and how the providers do, for managers."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from services.notifications.commands.provider_health import keep_health
from services.notifications.providers.provider import Health
from tests.conftest import TestDatabase
from tests.notifications.by_hand import CALL, book, task_of
from tests.notifications.harness import NOW, Notifications, sign_in
from tests.notifications.test_calls import MAIL
from tests.notifications.test_unreached import fail

FIGURES, PROVIDERS = "/notices/figures", "/notices/providers"


@pytest.fixture
def manager(service: Notifications, database: TestDatabase, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Who runs the office."""
    return sign_in(service, database, client, roles=("manager",))


async def health(service: Notifications, process: UUID, **facts: object) -> None:
    """What a process that sends says of its gateway."""
    said: dict[str, object] = {"provider": "sms_gateway", "way": "sms", "state": "closed", "since": NOW, "accepted": 7}
    async with service.db.begin_across_towns() as session:
        await keep_health(session, process, [Health(**said | facts)], now=service.now)  # type: ignore[arg-type]


async def test_each_day_and_way_is_counted_and_so_is_what_staff_did(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    by_mail = service.contact("email")
    await service.hear(by_mail, service.booked(by_mail), service.booked(None, number="NNN3001"))
    await fail(service, "NNN2001")
    await service.pass_time(minutes=12)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    manager = sign_in(service, database, client, roles=("manager",))
    await manager.post(f"/notices/tasks/{task.task_id}/done")
    [sent] = await service.rows("SELECT notice_id FROM notice WHERE state = 'sent' AND kind = 'confirmation'")
    await manager.post(f"/notices/n/{sent.notice_id}/again", data={"number": "0"})
    await service.settle()
    page = await manager.get(FIGURES)
    assert page.status_code == 200
    assert "12分" in page.text
    answer = await manager.get(f"{FIGURES}.csv?first=2026-11-24&last=2026-11-24")
    assert answer.headers["content-disposition"] == 'attachment; filename="notices-2026-11-24-2026-11-24.csv"'
    heads, *lines = answer.content.decode("utf-8-sig").splitlines()
    assert heads.startswith("日,送り方,作った数,送った,届いた")
    assert "2026-11-24,控え,1,0,0,0,0,0,0,0,0,0," in lines
    assert "2026-11-24,メール,2,2,0,0,0,0,1,0,0,0," in lines, lines
    assert any(line.startswith("2026-11-24,SMS,1,0,0,0,0,1,0,1,0,1,12") for line in lines), lines
    await service.pass_time(days=1)
    later = sign_in(service, database, client, roles=("manager",))
    assert "この期間のお知らせはありません" in (await later.get(f"{FIGURES}?first=2026-11-25&last=2026-11-25")).text


@pytest.mark.parametrize(
    "asked", ["first=x&last=y", "first=2026-11-24&last=2026-11-23", "first=2026-01-01&last=2026-11-24"]
)
async def test_what_is_no_span_of_days_says_so(manager: httpx.AsyncClient, asked: str) -> None:
    answer = await manager.get(f"{FIGURES}?{asked}")
    assert answer.status_code == 422
    assert "期間を確かめてください" in answer.text


async def test_providers_are_shown_in_words(service: Notifications, manager: httpx.AsyncClient) -> None:
    empty = (await manager.get(PROVIDERS)).text
    assert "まだ便りがありません" in empty
    first, second = uuid4(), uuid4()
    await health(service, first, took_p95_ms=180)
    since = NOW - timedelta(minutes=3)
    await health(service, second, state="open", temporary=5, last_error="http_503", last_error_at=since)
    contact = service.contact("sms")
    service.sink.behave("sms", "fail_5xx", times=1)
    await service.hear(contact, service.booked(contact))
    page = (await manager.get(PROVIDERS)).text
    for words in (
        "SMS：sms_gateway",
        "動いています",
        "休ませています（続けて失敗したため）",
        "180ミリ秒まで",
        "事業者の仕組みが止まっています。",
        "送る仕組み1",
        "送る仕組み2",
        'hx-trigger="every 5s"',
    ):
        assert words in page, words
    assert "<dd>1件</dd>" in page
    assert "仕組みが動いていません" not in page
    await service.settle()
    page = (await manager.get(PROVIDERS)).text
    assert "あとで送るもの：1件" in page


async def test_a_process_that_says_nothing_any_more_is_seen(service: Notifications, manager: httpx.AsyncClient) -> None:
    await health(service, uuid4())
    service.now += timedelta(minutes=3)
    page = (await manager.get(PROVIDERS)).text
    assert "お知らせを送る仕組みが動いていません" in page
    assert "今は送っていません" in page


@pytest.mark.parametrize("path", [FIGURES, f"{FIGURES}.csv", PROVIDERS])
async def test_they_are_for_managers(signed_in: httpx.AsyncClient, path: str) -> None:
    assert (await signed_in.get(path)).status_code == 403


async def test_nobody_was_reached_by_what_ended_by_itself(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    """A wrong number goes by the next way, and what is cancelled needs no call. Whoever chose a call is none whom
    nobody reaches.

    Seen to fail with every task that was ended counted: `連絡した` was three, and half of them after no minute.
    """
    manager = sign_in(service, database, client, roles=("manager",))
    await book(service, CALL, MAIL, number="NNN2001")
    wrong = await task_of(service)
    await manager.post(f"/notices/tasks/{wrong}/wrong-number")
    await service.settle()
    over = await book(service, CALL, number="NNN2002")
    await service.hear(service.cancelled(over))
    # They are to be called about that.
    await service.settle()
    await fail(service, "NNN2004")
    page = (await manager.get("/notices/unreached")).text
    assert "全部で1人です。ほかに、電話を選んだ人が1人います。" in page
    await service.pass_time(minutes=12)
    manager = sign_in(service, database, client, roles=("manager",))
    [task] = await service.rows("SELECT task_id FROM staff_task WHERE reason <> 'call_chosen' AND done_at IS NULL")
    await manager.post(f"/notices/tasks/{task.task_id}/done")
    page = (await manager.get(FIGURES)).text
    whole = dict(re.findall(r"<dt>([^<]+)</dt><dd>(?:<a [^>]+>)?([^<]+)", page))
    assert whole["職員が連絡する人"] == "1件"
    assert whole["電話を選んだ人"] == "3件"
    assert whole["連絡するまでの時間（半分の人）"] == "12分"
    assert (whole["今、連絡がつかない人"], whole["今、電話を選んだ人"]) == ("0人", "1人")
    heads, *lines = (await manager.get(f"{FIGURES}.csv")).content.decode("utf-8-sig").splitlines()
    assert heads.endswith("職員が連絡する人,電話を選んだ人,連絡した,連絡するまでの時間（分、半分の人）")
    counted = [line.split(",")[-4:-1] for line in lines]
    assert [sum(int(row[place]) for row in counted) for place in range(3)] == [1, 3, 1]
