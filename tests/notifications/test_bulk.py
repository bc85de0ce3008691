"""Bulk notices: written and kept, checked, looked at, tested, sent to each person once, counted and forgotten."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.notifications.commands import bulk_spreading
from services.notifications.commands.bulk_spreading import gather, make_notices
from services.notifications.commands.erasure import erase_subject
from services.notifications.domain.bulk import KEPT, TESTS_MAX
from services.notifications.queries_of_bulk import find_bulk
from tests.conftest import TestDatabase
from tests.notifications.bulk_writing import (
    PATH,
    TO_BOOKED,
    WORDS,
    people,
    press,
    send,
    try_out,
    until_day,
    write,
)
from tests.notifications.harness import OTHER_TOWN, START, TOWN, Notifications, sign_in

# Those of a test go to an address that no contact has.
NOTICES = "SELECT count(*) AS many FROM notice WHERE kind = 'town_news' AND contact_ref IS NOT NULL"


def id_of(here: str) -> UUID:
    return UUID(here.rsplit("/", 1)[-1])


async def counts(service: Notifications, desk: httpx.AsyncClient, here: str) -> dict[str, int]:
    page = (await desk.get(here)).text
    rows = re.findall(r"<dt>([^<]+)</dt><dd><span class=\"number\">(\d+)人", page)
    return {name: int(count) for name, count in rows}


async def test_what_is_written_is_kept_with_its_faults_and_sent_when_it_has_none(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    await people(service, 2)
    bad = {"subject_ja": "おくやみの方へ", "body_en": "", "short_ja": "くわしくは https://example.com/ {phone}"}
    here = await write(service, desk, **(TO_BOOKED | bad | {"last_day": ""}))
    page = await desk.get(here)
    for said in (
        "なおすところが",
        "「おくやみ」は、人に知られたくない手続きのことば",
        "町のサイトでないところへのリンクです：https://example.com/",
        "このお知らせでは「{phone}」を使えません",
        "3つとも書いてください",
        "どの日から、どの日までの予約か",
    ):
        assert said in page.text
    assert "おくやみの方へ" in page.text, "and it is kept"
    assert (await desk.get(f"{here}/check")).headers["location"] == here
    assert "なおすところがあるので、送れません" in (await try_out(desk, here)).text
    assert (await desk.post(f"{here}/send", data={"seen": "1"})).status_code == 422, "bulk_flawed"
    form = WORDS | TO_BOOKED | {"seen": "1", "kind": "town_news", "until_day": until_day(service), "until_hour": "21"}
    assert (await desk.post(here, data=form)).headers["location"] == f"{here}/check"
    check = await desk.get(f"{here}/check")
    assert ">2人<" in check.text
    assert "試しに送ると、ここに送るボタンが出ます" in check.text
    deeds = [row.action for row in await service.rows("SELECT action FROM audit ORDER BY occurred_at")]
    assert deeds == ["bulk_saved", "bulk_saved"]


async def test_two_who_write_at_once_lose_nothing(service: Notifications, desk: httpx.AsyncClient) -> None:
    """`bulk_moved`: what the second typed is before them, and kept when they press once more."""
    here = await write(service, desk)
    form = {"kind": "town_news", "by": "everybody", "until_day": until_day(service), "until_hour": "21"} | WORDS
    assert (await desk.post(here, data=form | {"seen": "1", "subject_ja": "一人目"})).status_code == 303
    second = await desk.post(here, data=form | {"seen": "1", "subject_ja": "二人目"})
    assert second.status_code == 409
    assert "二人目" in second.text
    assert (await desk.post(here, data=form | {"seen": "2", "subject_ja": "二人目"})).status_code == 303
    # What was looked at before is not what would be sent.
    await try_out(desk, here)
    assert (await desk.post(f"{here}/send", data={"seen": "2"})).status_code == 409


async def test_it_is_looked_at_as_it_will_arrive_with_numbers_and_cost(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    await people(service, 3)
    await people(service, 2, "email")
    await people(service, 1, "none")
    dead, stopped, paper = await people(service, 3)
    for statement, contact in (
        ("UPDATE contact_way SET state = 'dead' WHERE contact_ref = :ref", dead),
        ("UPDATE contact_point SET stopped = '{town_news}' WHERE contact_ref = :ref", stopped),
        ("UPDATE contact_point SET wants_paper = true WHERE contact_ref = :ref", paper),
    ):
        async with service.db.begin(TOWN) as session:
            await session.execute(text(statement), {"ref": contact.contact_ref})
    here = await write(service, desk)
    check = (await desk.get(f"{here}/check")).text
    found = dict(re.findall(r"<dt>([^<]+)</dt><dd><span class=\"number\">(\d+)人", check))
    assert found == {
        "メール": "2",
        "SMS": "3",
        "紙か電話がよい人（メッセージは送りません）": "1",
        "連絡先を使わない人": "1",
        "町からのお知らせを止めている人": "1",
        "届かない連絡先しかない人": "1",
    }
    assert "料金を入れていない送り方がある" in check
    wrong = await desk.post(f"{PATH}/prices", data={"sms": "3.333", "line": "", "letter": "84"})
    assert wrong.status_code == 422
    assert "3.333" in wrong.text
    assert (await desk.post(f"{PATH}/prices", data={"sms": "３．３", "letter": "110"})).status_code == 303
    check = (await desk.get(f"{here}/check")).text
    assert "料金の見こみ：9.90円（2026年11月24日（火）に入れた料金で計算しました" in check
    assert "【二宮町】土曜日の朝9時に防災訓練をします。" in check
    assert "二宮町役場からのお知らせです。" in check
    english = (await desk.get(f"{here}/check", params={"language": "en"})).text
    assert "Earthquake drill on Saturday" in english
    # What must be told is told to all of them: by staff, where no message is.
    must = (await desk.get(f"{await write(service, desk, kind='own_affairs')}/check")).text
    assert "3人には、職員が連絡することになります" in must
    assert "町からのお知らせを止めている人" not in must


async def test_a_test_goes_to_oneself_or_to_an_address_that_is_kept_nowhere(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    here = await write(service, desk)
    assert (await try_out(desk, here, to="me")).status_code == 409, "bulk_no_own_contact"
    await service.hear(service.account("sms", "+819099998888", account_ref="staff-1"))
    # By night, too: they wait for it.
    service.now = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
    assert (await try_out(desk, here, to="me", test_languages="en")).status_code == 303
    assert (await try_out(desk, here, test_address="kacho＠example.jp")).status_code == 303
    assert (await try_out(desk, here, to="sms", test_address="0463-71-3311")).status_code == 422
    await service.settle()
    [sms] = service.sink.messages(channel="sms")
    assert (sms.to, sms.text) == ("09099998888", "[二宮町] [Test] Earthquake drill on Saturday at 9 am.")
    [mail] = service.sink.messages(channel="email")
    assert mail.to == "kacho@example.jp"
    assert "【試し】防災訓練のお知らせ" in str(mail.subject)
    assert "試せます" in (await desk.get(f"{here}/check")).text
    everything = await service.rows("SELECT to_jsonb(t)::text AS all FROM told t")
    assert all("example.jp" not in row.all for row in everything)
    await service.pass_time(hours=2)
    assert all(row.content_sealed is None for row in await service.rows("SELECT content_sealed FROM told"))
    assert await service.open_tasks() == []


async def test_nothing_is_sent_that_nobody_saw_arrive(service: Notifications, desk: httpx.AsyncClient) -> None:
    """The page refuses, and so does the database."""
    await people(service, 1)
    here = await write(service, desk)
    assert (await desk.post(f"{here}/send", data={"seen": "1"})).status_code == 409, "bulk_untested"
    await try_out(desk, here)
    form = WORDS | {"seen": "1", "kind": "town_news", "by": "everybody", "until_day": until_day(service),
                    "until_hour": "20"}  # fmt: skip
    await desk.post(here, data=form)
    assert "試したあとで、なおしました" in (await desk.get(f"{here}/check")).text
    assert (await desk.post(f"{here}/send", data={"seen": "2"})).status_code == 409
    with pytest.raises(DBAPIError, match="bulk_notice_tested_check"):
        await service.rows("""UPDATE bulk_notice SET state = 'sending', sent_by = 'x', sent_at = now(),
                              starts_at = now(), estimate = '{}' RETURNING 1""")
    async with service.db.begin(TOWN) as session:
        await session.execute(text("UPDATE bulk_notice SET tests = :most"), {"most": TESTS_MAX})
    assert (await try_out(desk, here)).status_code == 429, "bulk_tests_too_many"
    nobody = await write(service, desk, by="applications", procedure="CHI01")
    async with service.db.begin(TOWN) as session:
        await session.execute(text("UPDATE bulk_notice SET tests = 0"))
    await try_out(desk, nobody)
    assert (await desk.post(f"{nobody}/send", data={"seen": "1"})).status_code == 422, "bulk_nobody"
    assert (await desk.post(f"{nobody}/stop")).status_code == 409, "bulk_not_sent"
    assert (await desk.get(f"{PATH}/{uuid4()}")).status_code == 404


async def test_everybody_is_told_once_in_their_language(service: Notifications, desk: httpx.AsyncClient) -> None:
    """However many appointments and contacts they have."""
    once = service.contact("sms", "+819011112222")
    again = service.contact("email", subject_ref=once.subject_ref)
    reads_english = service.contact("sms", "+819033334444", language="en")
    other_day = service.contact("sms", "+819055556666")
    await service.hear(once, again, reads_english, other_day)
    for contact in (once, once, again, reads_english):
        await service.hear(service.booked(contact, number=f"N{uuid4().hex[:6]}"))
    await service.hear(service.booked(other_day, starts_at=START + timedelta(days=3)))
    await service.settle()
    here = await send(service, desk, **TO_BOOKED)
    # The answer came at once: nothing is made yet.
    assert [row.many for row in await service.rows(NOTICES)] == [0]
    await service.settle()
    told = sorted((sent.channel, sent.to, sent.text.splitlines()[0]) for sent in service.sink.messages())
    assert len(told) == 2
    assert ("sms", "09033334444", "[二宮町] Earthquake drill on Saturday at 9 am.") in told
    lanes = await service.rows("SELECT DISTINCT bulk FROM notice WHERE kind = 'town_news' AND contact_ref IS NOT NULL")
    assert [row.bulk for row in lanes] == [True]
    late = service.contact("sms", "+819077778888")
    await service.hear(late, service.booked(late, number="NNN9999"))
    await service.pass_time(minutes=2)
    assert not [sent for sent in service.sink.messages() if sent.to == "09077778888" and "防災" in sent.text]
    page = (await desk.get(here)).text
    assert "終わりました" in page
    assert "progress-live" not in page
    assert "防災訓練のお知らせ" in (await desk.get(PATH)).text


async def test_the_ledger_says_what_it_was_for(service: Notifications, desk: httpx.AsyncClient) -> None:
    [contact] = await people(service, 1)
    await send(service, desk)
    await service.settle()
    rows = await service.rows("""
        SELECT purpose, source_case, target_case, target_procedure FROM ledger_entry
        WHERE target_step = 'notice_town_news'""")
    assert [tuple(row) for row in rows] == [("町のお知らせを送るため", contact.case_id, contact.case_id, None)]


async def test_news_may_be_missed_and_what_must_be_told_is_told_by_staff(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    stops, paper = await people(service, 2)
    async with service.db.begin(TOWN) as session:
        for change, contact in (("stopped = '{town_news}'", stops), ("wants_paper = true", paper)):
            await session.execute(
                text(f"UPDATE contact_point SET {change} WHERE contact_ref = :ref"), {"ref": contact.contact_ref}
            )
    here = await send(service, desk)
    await service.settle()
    assert service.sink.messages() == []
    assert await service.open_tasks() == []
    assert await counts(service, desk, here) == {"送らない（控えの方）": 1, "送らない（本人が止めています）": 1}
    await send(service, desk, kind="own_affairs")
    await service.settle()
    assert [sent.to for sent in service.sink.messages()] == ["09000000000"]
    assert await service.open_tasks() == ["no_contact"]
    # By the number that staff know them by, and their number to call.
    [task] = await service.rows("SELECT number, task_id FROM staff_task")
    assert task.number == "NNN2001"
    shown = await desk.post(f"/notices/tasks/{task.task_id}/contact", headers={"hx-request": "true"})
    assert "090-0000-0001" in shown.text


async def test_at_night_it_waits_for_the_morning_unless_it_is_about_safety(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    """Also of whom wants quiet for longer: what is about safety wakes them."""
    [contact] = await people(service, 1)
    async with service.db.begin(TOWN) as session:
        await session.execute(text("UPDATE contact_point SET quiet_from = 17, quiet_to = 12"))
    service.now = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
    here = await send(service, desk)
    assert "夜なので、2026年11月25日（水）午前8時から送ります" in (await desk.get(here)).text
    await send(service, desk, kind="safety")
    await service.settle()
    assert len(service.sink.messages()) == 1
    await service.pass_time(hours=10, minutes=1)
    assert len(service.sink.messages()) == 1
    await service.pass_time(hours=4)
    assert len(service.sink.messages()) == 2
    assert contact


async def test_nothing_is_sent_after_its_end(service: Notifications, desk: httpx.AsyncClient) -> None:
    await people(service, 1)
    too_soon = await write(service, desk, until_day=until_day(service, 0), until_hour="10")
    assert "いつまで送ってよいか、選んでください" in (await desk.get(too_soon)).text
    here = await send(service, desk, until_day=until_day(service, 0), until_hour="12", kind="own_affairs")
    service.now += timedelta(hours=3)
    await service.settle()
    assert service.sink.messages() == []
    assert await service.open_tasks() == ["too_late"]
    assert await counts(service, desk, here) == {"届かなかった": 1}


async def test_a_batch_done_twice_makes_nothing_twice(
    service: Notifications, desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process dies between two batches, or two do the same. Seen to fail without the unique index of `told`, and
    without the unique key of `notice`."""
    monkeypatch.setattr(bulk_spreading, "SPREAD_BATCH", 2)
    await people(service, 5)
    here = await send(service, desk)
    for _again in range(2):
        async with service.db.begin(TOWN) as session:
            await gather(session, TOWN, str(id_of(here)), service.now)
    for _again in range(3):
        async with service.db.begin(TOWN) as session:
            await session.execute(text("UPDATE bulk_notice SET spread_to = NULL"))
            bulk = await find_bulk(session, TOWN, id_of(here), lock=True)
            assert bulk is not None
            await make_notices(session, TOWN, bulk, now=service.now)
    [row] = await service.rows(NOTICES)
    assert row.many == 2
    await service.settle()
    assert sorted(sent.to for sent in service.sink.messages()) == [f"090{nth:08}" for nth in range(5)]
    [told] = await service.rows("SELECT count(*) AS many FROM told WHERE bulk_id IS NOT NULL")
    assert told.many == 5


async def test_what_was_sent_stands_as_it_was_sent(service: Notifications, desk: httpx.AsyncClient) -> None:
    await people(service, 1)
    here = await send(service, desk)
    form = {"seen": "1", "kind": "town_news", "by": "everybody", "subject_ja": "べつ"}
    assert (await desk.post(here, data=form)).status_code == 409, "bulk_sent"
    assert (await press(desk, here)).headers["location"] == here, "twice is once"
    for change in ("texts = '{}'", "until = until + interval '1 day'", "state = 'draft'"):
        with pytest.raises((DBAPIError, IntegrityError)):
            await service.rows(f"UPDATE bulk_notice SET {change} RETURNING 1")
    deeds = [row.action for row in await service.rows("SELECT action FROM audit ORDER BY occurred_at, action")]
    assert sorted(deeds) == ["bulk_saved", "bulk_sent", "bulk_tested"]


async def test_who_is_erased_leaves_nothing_and_in_time_all_are_forgotten(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    gone, _stays = await people(service, 2)
    here = await send(service, desk)
    await service.settle()
    await service.pass_time(minutes=2)
    async with service.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, gone.subject_ref, "resident", now=service.now)
    [told] = await service.rows("SELECT count(*) AS many FROM told WHERE bulk_id IS NOT NULL")
    assert told.many == 1
    await service.pass_time(days=KEPT.days + 3)
    for table in ("told WHERE bulk_id IS NOT NULL", "notice WHERE kind = 'town_news' AND contact_ref IS NOT NULL"):
        [row] = await service.rows(f"SELECT count(*) AS many FROM {table}")
        assert row.many == 0
    assert await counts(service, desk, here) == {"送った（届いたかは、まだわかりません）": 2}


async def test_a_town_has_its_own(service: Notifications, database: TestDatabase, desk: httpx.AsyncClient) -> None:
    await people(service, 1)
    here = await write(service, desk)
    await service.hear(service.catalogue(municipality=OTHER_TOWN))
    desk.event_hooks = {}
    sign_in(service, database, desk, roles=("manager",), municipality=OTHER_TOWN)
    desk.base_url = httpx.URL("http://other.example.jp")
    desk.headers["origin"] = "http://other.example.jp"
    assert (await desk.get(here)).status_code == 404
    assert (await desk.post(f"{here}/send", data={"seen": "1"})).status_code == 404
