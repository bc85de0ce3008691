"""What other systems of the town ask for, over HTTP: accepted once, limited, taken back, and sent as people wish."""

import asyncio
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
import pytest_asyncio

from services.notifications.domain.systems import BATCH_MAX, KEYS_KEPT, NOTICES_KEPT, TASKS_NEED, USEFUL_MAX
from services.notifications.tables import metadata
from shared.events.routing import ContactGiven, SubjectErased
from shared.reference_number import make_number
from tests.notifications.harness import EMAIL, PHONE, TOWN, Notifications
from tests.notifications.systems import ROOT, TERMS, TEXTS, Library, asked, register

ADDRESS, MOBILE = "someone@example.jp", "090-8765-4321"
NOBODYS = make_number(lambda signs: signs[3])
ACCEPTED = "SELECT idempotency_key, told_id FROM api_notice ORDER BY seq"


@pytest_asyncio.fixture
async def library(service: Notifications, client: httpx.AsyncClient) -> Library:
    return await register(service, client)


async def number_of(service: Notifications, reach: Any = "sms") -> tuple[str, ContactGiven]:
    """Of an appointment of somebody who gave a contact, who has been told of it."""
    contact = service.contact(reach)
    booked = service.booked(contact, number=make_number(secrets.choice))
    await service.hear(contact, booked)
    await service.settle()
    service.sink.clear()
    return booked.number, contact


def problems(answer: httpx.Response) -> list[tuple[str, str]]:
    assert (answer.status_code, answer.json()["code"]) == (422, "notice_unfit"), answer.text
    return [(each["pointer"], each["code"]) for each in answer.json()["problems"]]


async def test_a_notice_to_an_address_is_accepted_sent_and_seen(library: Library, service: Notifications) -> None:
    answer = await library.ask("k1")
    assert answer.status_code == 202
    said = answer.json()
    assert said == {"id": said["id"], "state": "waiting", "links": {"self": f"{ROOT}/{said['id']}"}}
    assert (await library.look(said["id"]))["state"] == "waiting"
    await service.settle()
    [mail] = service.sink.messages(channel="email", to=ADDRESS)
    assert mail.subject == "【二宮町】本の返却のお願い"
    assert "返却日がきのうでした" in mail.text
    found = await library.look(said["id"])
    assert (found["state"], found["reference"], found["reason"]) == ("sent", "loan-1", None)
    [way] = found["ways"]
    assert (way["way"], way["outcome"]) == ("email", "accepted")
    assert ADDRESS not in str(found)


async def test_whoever_is_known_by_a_number_is_told_as_they_chose(library: Library, service: Notifications) -> None:
    number, contact = await number_of(service)
    await service.rows("UPDATE contact_point SET chosen_language = 'en' RETURNING 1")
    told = await library.accepted(recipient={"number": f" {number[:3]}-{number[3:]}".lower()})
    await service.settle()
    [sms] = service.sink.messages(channel="sms")
    assert "Return your books" in sms.text
    assert (await library.look(told))["ways"][0]["way"] == "sms"
    # What they do not want to be told, and how, is theirs to say.
    await service.rows("UPDATE contact_point SET stopped = ARRAY['town_news'] RETURNING 1")
    news = await library.accepted(recipient={"number": number}, kind="town_news")
    await service.rows("UPDATE contact_point SET wants_paper = true RETURNING 1")
    must = await library.accepted(recipient={"number": number})
    await service.settle()
    assert len(service.sink.messages()) == 1
    found = await library.look(news)
    assert (found["state"], found["reason"], found["ways"]) == ("stopped", "not_wanted", [])
    assert (await library.look(must))["reason"] == "no_address"
    assert await service.open_tasks() == ["no_contact"]
    assert str(contact.subject_ref) not in str(found)


async def test_by_night_it_waits_and_goes_beside_what_people_wait_for(library: Library, service: Notifications) -> None:
    service.now += timedelta(hours=12)
    told = await library.accepted()
    await service.settle()
    assert (await library.look(told))["state"] == "waiting"
    [row] = await service.rows("SELECT kind FROM due WHERE kind LIKE 'send%'")
    assert row.kind == "send_bulk"
    await service.pass_time(hours=10)
    assert (await library.look(told))["state"] == "sent"


async def test_the_same_key_is_the_same_notice_and_another_body_is_refused(
    library: Library, service: Notifications
) -> None:
    first = await library.ask("k1")
    await service.settle()
    again = await library.ask("k1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    other = await library.ask("k1", reference="loan-2")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    # By the batch's route it is the same key.
    batch = {"notices": [asked() | {"key": "k1"}, asked(reference="x") | {"key": "k1"}]}
    answer = await library.client.post(f"{ROOT}/batch", json=batch, headers=library.headers())
    same, reused = answer.json()["results"]
    assert (same["id"], reused["status"], reused["code"]) == (first.json()["id"], 422, "key_reused")
    assert len(await service.rows(ACCEPTED)) == 1
    assert len(service.sink.messages()) == 1
    without = {name: text for name, text in library.headers().items() if name != "idempotency-key"}
    assert (await library.client.post(ROOT, json=asked(), headers=without)).status_code == 400


async def test_a_race_of_the_same_key_makes_one(library: Library, service: Notifications) -> None:
    """Seen to fail with the unique key of `api_notice` dropped."""
    answers = await asyncio.gather(*(library.ask("k1") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await service.rows(ACCEPTED)) == 1
    assert len(await service.rows("SELECT 1 FROM told")) == 1
    await service.settle()
    assert len(service.sink.messages()) == 1


async def test_several_at_once_are_each_accepted_or_told_why_not(library: Library, service: Notifications) -> None:
    wrong = asked(texts={"ja": TEXTS["ja"] | {"subject": ""}})
    batch = {"notices": [asked() | {"key": "a"}, wrong | {"key": "b"}, asked() | {"key": "c"}]}
    answer = await library.client.post(f"{ROOT}/batch", json=batch, headers=library.headers())
    assert answer.status_code == 200, answer.text
    one, two, three = answer.json()["results"]
    assert [each["status"] for each in (one, two, three)] == [202, 422, 202]
    assert (two["key"], two["code"]) == ("b", "notice_unfit")
    assert two["problems"] == [{"pointer": "/texts/ja/subject", "code": "empty", "detail": "write something"}]
    again = await library.client.post(f"{ROOT}/batch", json=batch, headers=library.headers())
    assert again.json() == answer.json()
    many = {"notices": [asked() | {"key": f"k{number}"} for number in range(BATCH_MAX + 1)]}
    assert (await library.client.post(f"{ROOT}/batch", json=many, headers=library.headers())).status_code == 400


async def test_everything_that_is_wrong_is_said_at_once(library: Library) -> None:
    answer = await library.ask(
        texts={
            "ja": {
                "subject": "おくやみのお知らせ\r\nBcc: all@example.jp",
                "body": "くわしくは https://evil.example/ と\x00",
                "short": "x" * 201,
            },
            "ja-easy": TEXTS["ja"] | {"short": "児童手当。" * 50},
        },
        recipient={"phone": "0463-71-3311"},
        useful_until="2020-01-01T00:00:00+09:00",
        reference="090-1234-5678",
    )
    assert problems(answer) == [
        ("/recipient/phone", "unreadable"),
        ("/texts/ja/subject", "sign"),
        ("/texts/ja/subject", "link"),
        ("/texts/ja/subject", "telling"),
        ("/texts/ja/body", "sign"),
        ("/texts/ja/body", "link"),
        ("/texts/ja/short", "too_long"),
        ("/texts/ja/short", "sms_parts"),
        ("/texts/ja-easy/short", "too_long"),
        ("/texts/ja-easy/short", "sms_parts"),
        ("/useful_until", "out_of_range"),
        ("/reference", "personal"),
    ]
    # Nothing of what was sent comes back.
    for said in ("evil", "Bcc", "0463", "090-1234"):
        assert said not in answer.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipient": {}}, [("/recipient", "not_one")]),
        ({"recipient": {"email": ADDRESS, "phone": MOBILE}}, [("/recipient", "not_one")]),
        ({"recipient": {"email": "nobody"}}, [("/recipient/email", "unreadable")]),
        ({"recipient": {"number": "AAAAAAA"}}, [("/recipient/number", "unreadable")]),
        ({"recipient": {"number": NOBODYS}}, [("/recipient/number", "unknown")]),
        ({"recipient": {"number": NOBODYS, "language": "en"}}, [("/recipient/language", "not_allowed")]),
        ({"texts": {"ja": TEXTS["ja"] | {"body": "https://ninomiya.example.jp/p/CHI01"}}}, None),
        ({"texts": {"ja": TEXTS["ja"] | {"short": "生活保護のこと"}}}, [("/texts/ja/short", "telling")]),
        ({"texts": {"ja": TEXTS["ja"] | {"subject": "お墓の改葬"}}}, None),
        ({"reference": "a" * 101}, [("/reference", "unreadable")]),
        ({"reference": "番号"}, [("/reference", "unreadable")]),
        ({"reference": "someone@example.jp"}, [("/reference", "personal")]),
        # Twelve digits are a My Number by their check digit, however they are written.
        ({"reference": "123456789018"}, [("/reference", "personal")]),
        ({"reference": "no-1234-5678-9018"}, [("/reference", "personal")]),
        ({"reference": "123456789012"}, None),
        ({"reference": "0000012345"}, None),
        ({"reference": "+81-90-1234-5678"}, [("/reference", "personal")]),
    ],
)
async def test_what_is_asked_for_is_looked_at(
    library: Library, changes: dict[str, Any], expected: list[tuple[str, str]] | None
) -> None:
    answer = await library.ask(**changes)
    assert (answer.status_code == 202) if expected is None else (problems(answer) == expected), answer.text


async def test_how_long_it_may_be_of_use(library: Library, service: Notifications) -> None:
    for ahead, is_fit in (
        (timedelta(hours=1), True),
        (USEFUL_MAX, True),
        (USEFUL_MAX * 2, False),
        (timedelta(0), False),
    ):
        until = (service.now + ahead).isoformat()
        assert (await library.ask(useful_until=until)).status_code == (202 if is_fit else 422)


async def test_only_what_the_system_may_is_accepted(service: Notifications, client: httpx.AsyncClient) -> None:
    terms = msgspec.structs.replace(TERMS, recipients=("number",), kinds=("town_news",))
    library = await register(service, client, terms)
    assert problems(await library.ask()) == [("/recipient/email", "not_allowed"), ("/kind", "not_allowed")]


async def test_a_key_that_is_wrong_opens_nothing_and_says_nothing(library: Library, client: httpx.AsyncClient) -> None:
    other_town = library.key.replace(TOWN, "999999")
    misread = library.key[:-1] + ("y" if library.key.endswith("x") else "x")
    shown = (
        None, "", "Bearer", "Bearer x", library.key, f"Bearer {misread}", f"Bearer {other_town}",
        f"Basic {library.key}", "Bearer é",
    )  # fmt: skip
    said = set()
    for each in shown:
        headers = {} if each is None else {b"authorization": each.encode()}
        answer = await client.get(ROOT, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json"), each
        said.add(answer.content)
    assert len(said) == 1
    assert library.key.startswith(f"choudo_{TOWN}_")
    answers = [(await client.get(ROOT, headers={"authorization": "Bearer x"})).status_code for _ in range(30)]
    assert answers[-1] == 429
    # Whoever has a right one is not held up by them.
    assert (await client.get(ROOT, headers=library.headers())).status_code == 200


async def test_of_a_key_only_the_hash_is_kept(library: Library, service: Notifications) -> None:
    [row] = await service.rows("SELECT key_id, secret_hash::text AS hash, last_used_at FROM api_key")
    secret = library.key.rpartition("_")[2]
    assert secret[:-6] not in row.key_id + row.hash
    assert row.last_used_at is None
    await library.ask()
    [row] = await service.rows("SELECT last_used_at FROM api_key")
    assert row.last_used_at == service.now


async def test_another_system_sees_nothing_of_it(
    library: Library, service: Notifications, client: httpx.AsyncClient
) -> None:
    told = await library.accepted("k1")
    other = await register(service, client, pressed="two")
    for answer in (
        await client.get(f"{ROOT}/{told}", headers=other.headers()),
        await client.delete(f"{ROOT}/{told}", headers=other.headers()),
        await client.get(f"{ROOT}/{uuid4()}", headers=other.headers()),
        await client.get(f"{ROOT}/x", headers=other.headers()),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "notice_unknown")
    assert (await client.get(ROOT, headers=other.headers())).json() == {"notices": [], "next": None}
    # The key is the other's own.
    assert (await other.accepted("k1")) != told


async def test_what_was_asked_for_is_listed_page_by_page(library: Library) -> None:
    told = [await library.accepted(f"k{number}") for number in range(5)]
    seen: list[str] = []
    since: str | None = "0"
    while since is not None:
        answer = await library.client.get(ROOT, params={"since": since, "most": 2}, headers=library.headers())
        seen += [each["id"] for each in answer.json()["notices"]]
        since = answer.json()["next"]
    assert seen == told
    assert (await library.client.get(ROOT, params={"since": "x"}, headers=library.headers())).status_code == 400


async def test_what_waits_is_taken_back_and_what_went_out_is_not(library: Library, service: Notifications) -> None:
    told = await library.accepted(recipient={"phone": MOBILE, "language": "ja-easy"})
    for _ in range(2):
        assert (await library.client.delete(f"{ROOT}/{told}", headers=library.headers())).status_code == 204
    await service.settle()
    assert service.sink.messages() == []
    found = await library.look(told)
    assert (found["state"], found["reason"]) == ("stopped", "taken_back")
    assert await service.rows("SELECT 1 FROM told WHERE content_sealed IS NOT NULL") == []
    sent = await library.accepted()
    await service.settle()
    answer = await library.client.delete(f"{ROOT}/{sent}", headers=library.headers())
    assert (answer.status_code, answer.json()["code"]) == (409, "notice_gone_out")


async def test_a_limit_says_when_there_is_room_again(service: Notifications, client: httpx.AsyncClient) -> None:
    library = await register(service, client, msgspec.structs.replace(TERMS, per_minute=2, per_day=3))
    service.now += timedelta(seconds=20)
    first = await library.accepted("k1")
    await library.accepted("k2")
    answer = await library.ask("k3")
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (429, "too_many_notices", "minute")
    assert answer.headers["retry-after"] == "40"
    # What was accepted before is answered all the same.
    assert await library.accepted("k1") == first
    service.now += timedelta(seconds=40)
    await library.accepted("k3")
    answer = await library.ask("k4")
    assert answer.json()["limit"] == "day"
    assert int(answer.headers["retry-after"]) == (14 * 60 - 1) * 60
    service.now += timedelta(hours=14)
    await library.accepted("k4")


async def test_a_race_for_the_last_place_is_decided_by_the_database(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    """Of notices, and of the parts that the town pays for. Seen to fail with the trigger of `api_notice` dropped."""
    library = await register(service, client, msgspec.structs.replace(TERMS, per_minute=3))
    answers = await asyncio.gather(*(library.ask(f"k{number}") for number in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 5
    paid = await register(service, client, msgspec.structs.replace(TERMS, sms_parts_per_day=3), pressed="two")
    by_sms = {"recipient": {"phone": MOBILE}}
    answers = await asyncio.gather(*(paid.ask(f"k{number}", **by_sms) for number in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 5
    assert {answer.json().get("limit") for answer in answers} == {None, "sms_parts"}
    # A mail costs nothing.
    await paid.accepted()
    await service.settle()
    assert len(service.sink.messages(channel="sms")) == 3


async def test_parts_are_counted_as_they_are_sent(service: Notifications, client: httpx.AsyncClient) -> None:
    library = await register(service, client)
    for short in ("短い", "あ" * 70, ""):
        texts = {"ja": TEXTS["ja"] | {"short": short}}
        await library.accepted(recipient={"phone": MOBILE}, texts=texts)
    number, _contact = await number_of(service)
    await library.accepted(recipient={"number": number})
    counted = [row.sms_parts for row in await service.rows("SELECT sms_parts FROM api_notice ORDER BY seq")]
    assert counted == [1, 2, 1, 1]
    [row] = await service.rows("SELECT notices, sms_parts FROM api_use WHERE span = 'day'")
    assert (row.notices, row.sms_parts) == (4, 5)


async def test_nothing_of_a_paused_system_is_accepted(library: Library, service: Notifications) -> None:
    told = await library.accepted()
    await service.rows("UPDATE api_system SET state = 'paused' RETURNING 1")
    answer = await library.ask()
    assert (answer.status_code, answer.json()["code"]) == (403, "system_paused")
    assert (await library.look(told))["id"] == told


async def test_an_address_is_nowhere_but_sealed_and_forgotten_in_time(library: Library, service: Notifications) -> None:
    await library.accepted()
    await library.accepted(kind="town_news")
    await service.settle()
    assert len(metadata.tables) > 20
    for table in metadata.tables:
        held = "".join(row.held for row in await service.rows(f"SELECT t::text AS held FROM {table} t"))
        assert ADDRESS not in held, table
        assert ADDRESS.encode().hex() not in held, table
    await service.pass_time(hours=25)
    kept = await service.rows(
        "SELECT n.kind FROM told t JOIN notice n USING (told_id) WHERE t.content_sealed IS NOT NULL"
    )
    assert [row.kind for row in kept] == ["town_notice"]
    await service.pass_time(days=TASKS_NEED.days)
    assert await service.rows("SELECT 1 FROM told WHERE content_sealed IS NOT NULL") == []


async def test_keys_and_notices_are_forgotten_in_time(library: Library, service: Notifications) -> None:
    told = await library.accepted("k1")
    await service.settle()
    await service.pass_time(days=KEYS_KEPT.days, hours=2)
    [row] = await service.rows("SELECT idempotency_key, request_hash FROM api_notice")
    assert (row.idempotency_key, row.request_hash) == (None, None)
    assert await service.rows("SELECT 1 FROM api_use") == []
    assert (await library.look(told))["state"] == "sent"
    await service.pass_time(days=NOTICES_KEPT.days)
    assert await service.rows("SELECT 1 FROM api_notice") == []


async def test_of_an_erased_person_nothing_is_left(library: Library, service: Notifications) -> None:
    number, contact = await number_of(service)
    told = await library.accepted(recipient={"number": number})
    await service.settle()
    event = SubjectErased(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(uuid4()),
        aggregate_version=1,
        occurred_at=service.now,
        subject_ref=contact.subject_ref,
        erasure_id=uuid4(),
        reason="resident",
    )
    await service.hear(event)
    assert await service.rows("SELECT 1 FROM api_notice UNION ALL SELECT 1 FROM told") == []
    answer = await library.client.get(f"{ROOT}/{told}", headers=library.headers())
    assert answer.status_code == 404
    assert problems(await library.ask(recipient={"number": number})) == [("/recipient/number", "unknown")]


async def test_whom_nothing_reaches_staff_call(
    library: Library, service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    service.sink.behave("smtp", "reject_permanent")
    told = await library.accepted()
    await service.settle()
    assert (await library.look(told))["reason"] == "not_reached"
    assert await service.open_tasks() == ["rejected"]
    [task] = await service.rows("SELECT task_id FROM staff_task")
    page = await signed_in.post(f"/notices/tasks/{task.task_id}/contact", data={})
    assert ADDRESS in page.text
    number, _contact = await number_of(service, "email")
    service.sink.behave("smtp", "reject_permanent")
    await library.accepted(recipient={"number": number})
    await service.settle()
    [task] = await service.rows("SELECT task_id FROM staff_task ORDER BY opened_at DESC, task_id LIMIT 1")
    tasks = await service.rows("SELECT task_id FROM staff_task")
    pages = [await signed_in.post(f"/notices/tasks/{each.task_id}/contact", data={}) for each in tasks]
    assert any(EMAIL in each.text for each in pages)
    assert PHONE not in "".join(each.text for each in pages)
    assert isinstance(task.task_id, UUID)
