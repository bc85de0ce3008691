"""The delivery log over HTTP: looked through, one notice with all that was tried, one person; and by which indexes."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from services.notifications.commands.telling import Content, Telling, seal_content, tell
from services.notifications.commands.ways import NewWay, add_way
from services.notifications.domain.notices import Kind
from services.notifications.pages.notice_wording import ENDS, ERRORS, KIND_NAMES, REASONS, error_words, state_of
from services.notifications.queries_of_figures import SELECT_FIGURES
from services.notifications.queries_of_log import (
    STANDINGS,
    Filters,
    LoggedNotice,
    Mark,
    Person,
    select_log,
    select_of_person,
)
from services.notifications.queries_of_unreached import select_silent
from shared.clock import jst_day
from shared.events.routing import ContactGiven
from shared.reference_number import check_sign
from tests.conftest import TestDatabase
from tests.notifications.harness import (
    CODE,
    EMAIL,
    LINK_TOKEN,
    NOW,
    OTHER_TOWN,
    PHONE,
    TOWN,
    Notifications,
    sign_in,
)
from tests.notifications.test_web import BEARER, RECEIPTS

NUMBER, OTHER_NUMBER = "NNN1042", "NNN2077"
SECRETS = (EMAIL, EMAIL.split("@")[0], PHONE, PHONE.removeprefix("+81"), "090-1234-5678", LINK_TOKEN, CODE)
ROWS = 20_000


async def newest(service: Notifications, kind: Kind = "confirmation") -> UUID:
    """The id of the newest notice of a kind."""
    query = "SELECT notice_id FROM notice WHERE kind = :kind ORDER BY created_at DESC, notice_id DESC LIMIT 1"
    [row] = await service.rows(query, kind=kind)
    return UUID(str(row.notice_id))


async def told_by_town(service: Notifications, contact: ContactGiven | None, kind: Kind = "town_notice") -> UUID:
    """What the town tells a contact; without one, the address that stands in what it says."""
    telling = Telling(
        municipality=TOWN,
        contact_ref=contact.contact_ref if contact else None,
        occurred_at=service.now,
        reach=None if contact else "sms",
        language=None if contact else "ja",
    )
    content = Content(subject="断水", body="水が止まります。", address=None if contact else PHONE)
    async with service.db.begin(TOWN) as session:
        sealed = seal_content(service.keys.vault, telling, content)
        made = await tell(session, telling, kind, sealed, now=service.now)
    assert made is not None
    return made


async def test_the_log_is_looked_through_by_kind_way_state_and_day(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    service.sink.behave("sms", "reject_permanent")
    by_sms, by_mail = service.contact("sms"), service.contact("email")
    await service.hear(by_sms, service.booked(by_sms))
    await service.settle()
    await service.pass_time(days=1)
    await service.hear(by_mail, service.booked(by_mail, number=OTHER_NUMBER), service.booked(None, number="NNN3001"))
    await service.hear(service.applied(by_mail))
    await service.settle()
    staff, today = sign_in(service, database, client, roles=("counter",)), jst_day(service.now).isoformat()
    for asked, found in {
        "kind=confirmation": {"NNN-1042", "NNN-2077", "NNN-3001"},
        "kind=application_received": {"K4M7-RXAC"},
        "way=sms": {"NNN-1042"},
        "way=none": {"NNN-3001"},
        "standing=failed": {"NNN-1042"},
        "standing=printed_slip": {"NNN-3001"},
        "standing=sent&way=email&kind=confirmation": {"NNN-2077"},
        "standing=waiting": set(),
        "standing=delivered": set(),
        f"day={today}": {"NNN-2077", "NNN-3001", "K4M7-RXAC"},
        f"day={jst_day(NOW).isoformat()}": {"NNN-1042"},
        "kind=x&way=%00&standing=%E3&day=yesterday": {"NNN-1042", "NNN-2077", "NNN-3001", "K4M7-RXAC"},
    }.items():
        answer = await staff.get(f"/notices?{asked}")
        assert answer.status_code == 200
        shown = set(re.findall(r'"number">([A-Z0-9]+-[A-Z0-9]+)<', answer.text))
        assert shown == found, asked


async def test_what_is_looked_for_is_kept_on_older_pages_and_none_of_one_moment_is_lost(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    """Seen to fail with the page before ending at a moment: of 150 made at once, 50 were on no page."""
    await service.hear(*(service.booked(None, number=f"NNN{number:04}") for number in range(150)))
    await service.hear(service.applied(None))
    first = await signed_in.get("/notices?kind=confirmation&way=none")
    [href] = re.findall(r'href="(/notices\?before=[^"]+)"', first.text)
    assert "kind=confirmation" in href
    assert "way=none" in href
    older = await signed_in.get(href.replace("&amp;", "&"))
    pages = [set(re.findall(r"NNN-\d{4}", page.text)) for page in (first, older)]
    assert [len(page) for page in pages] == [100, 50]
    assert not pages[0] & pages[1]
    assert "K4M7" not in older.text
    assert 'href="/notices?kind=confirmation&amp;way=none"' in older.text


async def test_each_attempt_says_by_which_way_to_whom_and_what_came_of_it(
    service: Notifications, signed_in: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    service.sink.behave("sms", "reject_permanent")
    contact = service.contact("sms")
    await service.hear(contact)
    async with service.db.begin(TOWN) as session:
        way = NewWay(kind="email", address=EMAIL)
        await add_way(session, service.keys.vault, TOWN, contact.contact_ref, way, now=service.now)
    booked = service.booked(contact, starts_at=service.now + timedelta(hours=5))
    await service.hear(booked)
    await service.settle()
    page = (await signed_in.get(f"/notices/n/{await newest(service)}")).text
    for words in (
        "予約の確認",
        "NNN-1042",
        "1番目の連絡先：SMS",
        "2番目の連絡先：メール",
        "この電話番号には送れません。",
        "受けとれないと言われました",
        "事業者が受けとりました",
        "いつものことば（日本語）",
        "することはありません。",
        f"/counter#line-{booked.appointment_id}",
    ):
        assert words in page, words
    assert page.index("1番目の連絡先") < page.index("2番目の連絡先")
    told = {"id": f"{TOWN}:{await newest(service)}:2", "status": "delivered"}
    assert (await client.post(RECEIPTS, json=told, headers=BEARER)).status_code == 204
    assert "届きました" in (await signed_in.get(f"/notices/n/{await newest(service)}")).text


async def test_what_comes_next_is_said(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    service.sink.behave("smtp", "fail_5xx")
    contact = service.contact()
    await service.hear(contact, service.booked(contact))
    await service.settle()
    page = (await signed_in.get(f"/notices/n/{await newest(service)}")).text
    assert re.search(r"11月24日（火） 10:00に、もう一度送ります。", page), page
    service.sink.behave("smtp", "reject_permanent")
    await service.pass_time(seconds=10)
    [task] = await service.rows("SELECT task_id FROM staff_task")
    page = (await signed_in.get(f"/notices/n/{await newest(service)}")).text
    assert f"/notices/unreached#task-{task.task_id}" in page
    await signed_in.post(f"/notices/tasks/{task.task_id}/done")
    assert "職員が連絡しました" in (await signed_in.get(f"/notices/n/{await newest(service)}")).text


async def test_a_way_that_is_no_more_is_called_so(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    contact = service.contact("sms")
    await service.hear(contact, service.booked(contact))
    await service.settle()
    await service.rows("DELETE FROM contact_way RETURNING 1")
    assert "今はない連絡先" in (await signed_in.get(f"/notices/n/{await newest(service)}")).text


@pytest.mark.parametrize("by", ["appointment", "application", "notice"])
async def test_everything_one_person_was_told_is_found_by_any_of_their_numbers(
    service: Notifications, signed_in: httpx.AsyncClient, by: str
) -> None:
    subject = uuid4()
    contacts = [service.contact("email", subject_ref=subject), service.contact("sms", subject_ref=subject)]
    other = service.contact("email")
    number, application = checked("NNN234"), checked("K4M7RXA")
    await service.hear(
        *contacts,
        other,
        service.booked(contacts[0], number=number),
        service.applied(contacts[1], number=application),
        service.booked(other, number=OTHER_NUMBER),
    )
    await service.settle()
    await told_by_town(service, contacts[1])
    asked = {
        "appointment": {"number": f" {number[:3]}-{number[3:]} "},
        "application": {"number": application.lower()},
        "notice": {"notice": str(await newest(service, "town_notice"))},
    }[by]
    answer = await signed_in.post("/notices/person", data=asked)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for words in ("予約の確認", "申請を受けとった", "町からの大切なお知らせ"):
        assert words in answer.text, words
    assert "NNN-2077" not in answer.text
    [deed] = await service.rows("SELECT actor_ref, action, ref FROM audit")
    assert (deed.actor_ref, deed.action) == ("staff-1", "person_notices_viewed")
    assert number not in deed.ref
    assert application not in deed.ref


def checked(signs: str) -> str:
    """A number as it is given to people."""
    return signs + check_sign(signs)


async def test_a_number_that_is_nobody_s_or_none_says_so_and_is_no_deed(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    for typed, status in (("", 422), ("x", 422), ("あ" * 500, 422), (checked("NNN234"), 404)):
        answer = await signed_in.post("/notices/person", data={"number": typed})
        assert answer.status_code == status, typed
    for notice in (str(uuid4()), "x"):
        assert (await signed_in.post("/notices/person", data={"notice": notice})).status_code == 404
    assert (await signed_in.get("/notices/person")).status_code == 200
    assert await service.rows("SELECT 1 FROM audit") == []


async def test_a_person_s_long_list_goes_on(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    contact = service.contact("none")
    number = checked("NNN234")
    await service.hear(contact, service.booked(contact, number=number))
    for _ in range(100):
        await service.pass_time(seconds=1)
        await service.hear(service.booked(contact))
    first = await signed_in.post("/notices/person", data={"number": number})
    assert "NNN-1042" in first.text
    [mark] = re.findall(r'name="before" value="([^"]+)"', first.text)
    older = await signed_in.post("/notices/person", data={"number": number, "before": mark})
    assert len(re.findall(r"/notices/n/", older.text)) == 1


async def test_a_coordinator_sees_of_one_person_what_helpers_were_told(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    contact = service.contact("sms")
    number = checked("NNN234")
    await service.hear(contact, service.booked(contact, number=number))
    await service.hear(service.account(), service.helper_told())
    await service.settle()
    coordinator = sign_in(service, database, client, roles=("coordinator",))
    of_resident, of_helper = await newest(service), await newest(service, "helper_offer")
    assert (await coordinator.get(f"/notices/n/{of_resident}")).status_code == 404
    assert (await coordinator.post("/notices/person", data={"notice": str(of_resident)})).status_code == 404
    assert (await coordinator.post("/notices/person", data={"number": number})).status_code == 404
    assert (await coordinator.post(f"/notices/n/{of_resident}/again", data={"number": "0"})).status_code == 404
    shown = await coordinator.get(f"/notices/n/{of_helper}")
    assert "サポーターへのお願い" in shown.text
    assert "/helpers/people/tanaka" in shown.text
    listed = await coordinator.post("/notices/person", data={"notice": str(of_helper)})
    assert "サポーターへのお願い" in listed.text
    log = (await coordinator.get("/notices")).text
    assert "サポーターへのお願い" in log
    assert number not in log.replace("-", "")


async def test_no_notice_of_another_town_is_shown(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    other = service.contact("sms", municipality=OTHER_TOWN)
    await service.hear(service.catalogue(municipality=OTHER_TOWN), other, service.booked(other))
    await service.settle()
    [row] = await service.rows("SELECT notice_id FROM notice", municipality=OTHER_TOWN)
    for notice_id in (row.notice_id, uuid4(), "x"):
        assert (await signed_in.get(f"/notices/n/{notice_id}")).status_code == 404


async def test_no_page_of_the_log_shows_an_address(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    """Every page is gone through by its links and forms; only who asks for a task's contact sees one."""
    service.sink.behave("sms", "reject_permanent", times=4)
    subject = uuid4()
    contacts = [service.contact("sms", subject_ref=subject), service.contact("email", subject_ref=subject)]
    await service.hear(*contacts, *(service.booked(contact) for contact in contacts))
    await service.hear(service.account(), service.helper_told(), service.sign_in_asked())
    await service.settle()
    await told_by_town(service, None)
    await service.settle()
    staff = sign_in(service, database, client, roles=("manager",))
    seen: set[str] = set()
    waiting = ["/notices", "/notices/unreached", "/notices/figures", "/notices/figures.csv", "/notices/providers"]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.startswith("/notices") or path.startswith("/notices/templates"):
            continue
        seen.add(path)
        answer = await staff.get(path)
        assert answer.status_code == 200, path
        for secret in SECRETS:
            assert secret not in answer.text, (path, secret)
        waiting += [href.replace("&amp;", "&").split("#")[0] for href in re.findall(r'href="([^"]+)"', answer.text)]
    ones = [path for path in seen if path.startswith("/notices/n/")]
    assert len(ones) >= 5
    for path in ones:
        answer = await staff.post("/notices/person", data={"notice": path.rsplit("/", 1)[1]})
        assert answer.status_code == 200
        for secret in SECRETS:
            assert secret not in answer.text, (path, secret)


def test_every_kind_reason_and_error_has_words() -> None:
    line = LoggedNotice(
        notice_id=uuid4(), kind="confirmation", is_of_account=False, number="", reach=None, state="sent",
        delivery=None, reason=None, is_again=False, attempts=0, created_at=NOW, settled_at=None,
    )  # fmt: skip
    assert state_of(line) == ("送りました", "success")
    assert all((*KIND_NAMES.values(), *REASONS.values(), *ENDS.values(), *ERRORS.values()))
    for code in ("smtp_policy_550", "smtp_data_554", "smtp_454", "smtp_554", "http_503", "http_418", "form_999"):
        assert error_words(code), code
    assert error_words("never_heard_of") == ""


# --- a million rows ------------------------------------------------------------------------------------------------

_FILL = f"""
    INSERT INTO notifications.notice (
        municipality, notice_id, kind, appointment_id, occasion, sequence, appointment_version, contact_ref, reach,
        state, keeps_quiet, created_at, useful_until, settled_at, delivery)
    SELECT '{TOWN}', gen_random_uuid(), 'confirmation', gen_random_uuid(), 'once', 0, 1, gen_random_uuid(),
           CASE n % 3 WHEN 0 THEN 'sms' ELSE 'email' END, 'sent', false, now() - n * interval '1 minute', now(), now(),
           CASE n % 2 WHEN 0 THEN 'delivered' ELSE 'accepted' END
    FROM generate_series(1, {ROWS}) AS n
"""


async def plan_of(service: Notifications, statement: Any) -> str:
    """How PostgreSQL would do it."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy leaves it
    compiled = statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return "\n".join(row[0] for row in await service.rows(f"EXPLAIN {str(compiled).replace(':', chr(92) + ':')}"))


async def test_with_many_notices_every_look_is_by_an_index(service: Notifications, database: TestDatabase) -> None:
    """Seen to fail without the indexes of migration 0032: each look that finds little read all notices."""
    async with database.owner_engine("notifications").begin() as connection:
        await connection.execute(text(_FILL))
        await connection.execute(text("ANALYZE notifications.notice"))
    looks: dict[str, Any] = {
        "all": select_log(TOWN, Filters()),
        "older": select_log(TOWN, Filters(), before=Mark(NOW, uuid4())),
        "helpers": select_log(TOWN, Filters(), helpers_only=True),
        "kind": select_log(TOWN, Filters(kind="contact_dead")),
        "letters": select_log(TOWN, Filters(way="letter")),
        "day": select_log(TOWN, Filters(day=jst_day(NOW))),
        "person": select_of_person(TOWN, Person(contacts=(uuid4(),), appointments=(uuid4(),), applications=(uuid4(),))),
        "silent": select_silent(TOWN, now=NOW),
    } | {standing: select_log(TOWN, Filters(standing=standing)) for standing in STANDINGS}
    for name, statement in looks.items():
        plan = await plan_of(service, statement)
        assert "Seq Scan on notice" not in plan, f"{name}:\n{plan}"
    first = "now() - interval '1 hour'"
    figures = SELECT_FIGURES.replace(":municipality", f"'{TOWN}'").replace(":first", first).replace(":last", "now()")
    plan = "\n".join(row[0] for row in await service.rows(f"EXPLAIN {figures}"))
    assert "notice_created_idx" in plan, plan
