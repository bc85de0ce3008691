"""How somebody wants to be told (お知らせの受けとり方): the page, its ways, and what a wish changes, over HTTP."""

from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from services.notifications.domain.proofs import ASKINGS_MAX, CODE_LIFETIME, CODE_TRIES_MAX
from services.notifications.domain.ways import WAYS_MAX
from services.notifications.keys import ACCESS_LIFETIME
from shared.events.routing import ContactGiven, SubjectErased
from tests.conftest import TestDatabase
from tests.notifications.harness import EMAIL, OTHER_TOWN, PHONE, TOWN, Notifications, sign_in
from tests.notifications.wishing import (
    OTHER_MAIL,
    OTHER_PHONE,
    WISHES,
    Wisher,
    link_in,
    newest,
    open_wishes,
    seal_opening,
)

ORDER = "SELECT way_no, kind, verified_at IS NOT NULL AS is_proved, state, is_relay FROM contact_way ORDER BY position"
ENTRIES = "SELECT entry_type, target_step, purpose, actor_kind FROM ledger_entry ORDER BY occurred_at"


@pytest_asyncio.fixture
async def contact(service: Notifications) -> ContactGiven:
    given = service.contact("email")
    await service.hear(given)
    return given


@pytest_asyncio.fixture
async def wisher(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase, contact: ContactGiven
) -> Wisher:
    return await open_wishes(service, client, database, contact)


async def order(service: Notifications) -> list[int]:
    return [row.way_no for row in await service.rows(ORDER)]


async def test_the_page_shows_the_ways_and_never_an_address(wisher: Wisher) -> None:
    shown = await wisher.get()
    assert "h****@example.jp" in shown
    for secret in (EMAIL, "hanako"):
        assert secret not in shown
    await wisher.add("sms")
    shown = await wisher.get()
    assert "080-****-4321" in shown
    for secret in ("8765", OTHER_PHONE):
        assert secret not in shown
    # What cannot be stopped is said with its reason.
    assert "法律で、役場からお知らせすることになっているためです。" in shown


async def test_a_way_is_used_when_its_code_was_typed_and_not_before(service: Notifications, wisher: Wisher) -> None:
    way_no = await wisher.add("sms")
    code = await wisher.read_code()
    [told] = service.sink.messages(channel="sms")
    assert told.to == "08087654321"
    await wisher.post(f"/ways/{way_no}/move", to="up")
    # First in order and not proved: the mail that was given is used.
    await service.hear(service.booked(wisher.contact))
    await service.settle()
    assert len(service.sink.messages(channel="sms")) == 1
    assert "予約ができました" in newest(service, "email").text
    # In full width, as some phones type it.
    await wisher.post(f"/ways/{way_no}/code", code=code.translate({ord("0") + n: 0xFF10 + n for n in range(10)}))
    await service.hear(service.booked(wisher.contact, number="NNN2077"))
    await service.settle()
    assert "NNN-2077" in newest(service, "sms").text
    entries = [tuple(row) for row in await service.rows(ENTRIES)]
    assert ("approved", "way_sms", "教えていただいた連絡先へ、お知らせを送るため", "resident") in entries
    # That the code went out is a use of the address too.
    assert any(entry[:2] == ("applied", "notice_contact_code") for entry in entries)


async def test_a_code_opens_once_not_long_and_not_after_too_many_tries(service: Notifications, wisher: Wisher) -> None:
    way_no = await wisher.add("sms")
    code = await wisher.read_code()
    wrong = "000000" if code != "000000" else "111111"
    answer = await wisher.post(f"/ways/{way_no}/code", status=422, code=wrong)
    assert "番号がちがいます" in answer.text
    await wisher.post(f"/ways/{way_no}/code", status=422, code="")
    for _ in range(CODE_TRIES_MAX - 1):
        answer = await wisher.post(f"/ways/{way_no}/code", status=422, code=wrong)
    assert "もう使えません" in answer.text
    assert "もう使えません" in (await wisher.post(f"/ways/{way_no}/code", status=422, code=code)).text
    await wisher.post(f"/ways/{way_no}/code", again="yes")
    service.now += CODE_LIFETIME
    late = await wisher.read_code()
    assert "もう使えません" in (await wisher.post(f"/ways/{way_no}/code", status=422, code=late)).text
    await wisher.post(f"/ways/{way_no}/code", again="yes")
    await wisher.prove(way_no)
    # The button was pressed twice.
    assert "done=proved" in (await wisher.post(f"/ways/{way_no}/code", code=code)).headers["location"]
    assert "確かめてあります" in await wisher.get(f"{WISHES}/ways/{way_no}/code")
    assert (await wisher.post(f"/ways/{way_no}/code", status=409, again="yes")).status_code == 409  # way_proved
    # Sent, and forgotten: neither the code nor what it is made of stays.
    service.now += CODE_LIFETIME
    await service.settle()
    assert await service.rows("SELECT 1 FROM told WHERE content_sealed IS NOT NULL") == []


async def test_an_earlier_code_that_still_waits_is_not_sent(service: Notifications, wisher: Wisher) -> None:
    way_no = await wisher.add("sms")
    service.now += timedelta(seconds=1)
    await wisher.post(f"/ways/{way_no}/code", again="yes")
    await wisher.prove(way_no)
    assert len(service.sink.messages(channel="sms")) == 1


async def test_nobodys_phone_rings_all_day(
    service: Notifications, wisher: Wisher, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    """Nor when the way is removed and added again: codes are counted by contact and by address (codes_too_many)."""
    for _ in range(ASKINGS_MAX):
        way_no = await wisher.add("sms")
        await wisher.post(f"/ways/{way_no}/remove")
    answer = await wisher.post("/ways/new", status=429, by="sms", phone=OTHER_PHONE)
    assert "番号を送る回数が多すぎます" in answer.text
    assert await order(service) == [1]
    service.now += timedelta(hours=1, seconds=1)
    client.cookies.clear()
    late = seal_opening(database, wisher.contact, expires_at=service.now + timedelta(minutes=1))
    await client.post("/notices/arrive", data={"opening": late})
    # No number is given twice.
    assert await wisher.add("sms") == ASKINGS_MAX + 2


async def test_an_address_is_counted_whoever_asks(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    for _ in range(ASKINGS_MAX):
        given = service.contact("email")
        await service.hear(given)
        await (await open_wishes(service, client, database, given)).add("sms")
    given = service.contact("email")
    await service.hear(given)
    another = await open_wishes(service, client, database, given)
    # The same number, as other people write it.
    await another.post("/ways/new", status=429, by="sms", phone="+81 80 8765 4321")


@pytest.mark.parametrize(
    "typed", ["06012345678", "070-1234-5678", "０８０－１２３４－５６７８", "+81 90 1234 5678", "090(1234)5678"]
)
async def test_every_mobile_number_in_any_notation(service: Notifications, wisher: Wisher, typed: str) -> None:
    await wisher.add("sms", phone=typed)
    await service.settle()
    [told] = service.sink.messages(channel="sms")
    assert told.to[:3] in ("060", "070", "080", "090")
    assert len(told.to) == 11


async def test_what_is_typed_wrong_is_said_at_its_field(wisher: Wisher) -> None:
    answer = await wisher.post("/ways/new", status=422, by="sms", phone="0463-71-3311")
    assert "060・070・080・090" in answer.text
    assert "0463-71-3311" in answer.text
    await wisher.post("/ways/new", status=422, by="email", email="taro..k.@docomo.ne.jp")
    await wisher.post("/ways/new", status=422, by="relay", kind="", phone="", email="")
    await wisher.post("/ways/new", status=422, by="letter", postal_code="12", street="", name="")
    await wisher.post("/ways/new", status=400, by="line")
    await wisher.post("/ways/new", status=422, by="email", email="a@example.jp\r\nBcc: b@example.jp")


async def test_a_relay_reads_everything_but_opens_no_wishes(service: Notifications, wisher: Wisher) -> None:
    assert "その人は、あなたの予約を見たり、変えたり、取り消したりできます" in await wisher.get(
        f"{WISHES}/ways/new?by=relay"
    )
    way_no = await wisher.add("relay", kind="email", email=OTHER_MAIL, phone="")
    await service.settle()
    code = await wisher.read_code("email")
    await wisher.post(f"/ways/{way_no}/code", code=code)
    await wisher.post(f"/ways/{way_no}/move", to="up")
    await service.hear(service.booked(wisher.contact))
    await service.settle()
    told = newest(service, "email")
    assert told.to == OTHER_MAIL
    assert "NNN-1042" in told.text
    assert "/notices/w/" not in told.text
    [purpose] = [row.purpose for row in await service.rows(ENTRIES) if row.entry_type == "approved"]
    assert purpose == "家族など、代わりに読む人へ、お知らせを送るため"


async def test_letter_and_call_need_no_code_and_are_done_by_staff(service: Notifications, wisher: Wisher) -> None:
    await wisher.add("letter", postal_code="259-0123", street="二宮町二宮961", name="二宮 花子")
    await wisher.add("call", phone="0463-71-3311")
    shown = await wisher.get()
    assert "〒259-0123 ****" in shown
    assert "046-****-3311" in shown
    assert "961" not in shown
    assert "二宮 花子" not in shown
    await wisher.post("/ways/1/remove")
    # It begins too soon for a letter.
    await service.hear(service.booked(wisher.contact))
    await service.settle()
    assert await service.open_tasks() == ["call_chosen"]


async def test_ways_change_places(service: Notifications, wisher: Wisher) -> None:
    second, third = await wisher.add("sms"), await wisher.add("email", email=OTHER_MAIL)
    await wisher.post(f"/ways/{third}/move", to="up")
    assert await order(service) == [1, third, second]
    await wisher.post("/ways/1/move", to="down")
    assert await order(service) == [third, 1, second]
    for end, to in ((third, "up"), (second, "down")):
        await wisher.post(f"/ways/{end}/move", to=to)
    assert await order(service) == [third, 1, second]
    await wisher.post("/ways/99/move", status=404, to="up")


async def test_a_contact_has_so_many_ways(wisher: Wisher) -> None:
    for number in range(WAYS_MAX - 1):
        await wisher.add("call", phone=f"0463-71-33{number:02}")
    await wisher.post("/ways/new", status=409, by="call", phone="0463-71-3399")  # ways_full
    assert "これでいっぱいです" in await wisher.get()


async def test_a_removed_way_is_destroyed_and_its_links_and_codes_open_nothing(
    service: Notifications, wisher: Wisher, client: httpx.AsyncClient
) -> None:
    await service.hear(service.booked(wisher.contact))
    await service.settle()
    link = link_in(newest(service, "email").text)
    opened = await client.get(link)
    assert (opened.status_code, opened.headers["location"]) == (303, WISHES)
    way_no = await wisher.add("sms")
    code = await wisher.read_code()
    await wisher.post(f"/ways/{way_no}/remove")
    await wisher.post(f"/ways/{way_no}/remove")
    other = await wisher.add("sms", phone="070-1111-2222")
    assert other != way_no
    await wisher.post(f"/ways/{way_no}/code", status=404, code=code)
    assert "番号がちがいます" in (await wisher.post(f"/ways/{other}/code", status=422, code=code)).text
    await wisher.post("/ways/1/remove")
    gone = await client.get(link)
    assert (gone.status_code, "このリンクでは、もう開けません" in gone.text) == (404, True)  # wishes_link_unknown
    assert [row.entry_type for row in await service.rows(ENTRIES)].count("erased") == 1


async def test_without_any_way_left_it_is_paper(service: Notifications, wisher: Wisher) -> None:
    await wisher.post("/ways/1/remove")
    await service.hear(service.booked(wisher.contact))
    await service.settle()
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "printed_slip"}, [])
    # Who gives one again wants to be told by it.
    await wisher.prove(await wisher.add("sms"))
    await service.hear(service.booked(wisher.contact, number="NNN2077"))
    await service.settle()
    assert "NNN-2077" in newest(service, "sms").text


async def test_paper_is_a_full_choice_and_can_be_taken_back(service: Notifications, wisher: Wisher) -> None:
    await wisher.post("/paper", by="paper")
    assert "いまは、どこにも送りません" in await wisher.get()
    booked = service.booked(wisher.contact)
    await service.hear(booked)
    await service.settle()
    assert service.sink.messages() == []
    await wisher.post("/paper", by="messages")
    await service.hear(service.cancelled(booked))
    await service.settle()
    assert len(service.sink.messages(channel="email")) == 1


async def test_the_language_chosen_here_outlives_another_approval(service: Notifications, wisher: Wisher) -> None:
    await wisher.wish(language="en")
    # Routing tells in which language the next case was read.
    again = service.contact("email", contact_ref=wisher.contact.contact_ref, subject_ref=wisher.contact.subject_ref,
                            version=2)  # fmt: skip
    await service.hear(again)
    await service.hear(service.booked(wisher.contact))
    await service.settle()
    assert "Your appointment" in newest(service, "email").text


async def test_what_is_stopped_is_not_sent_and_what_is_needed_is(service: Notifications, wisher: Wisher) -> None:
    await wisher.wish(stopped="reminder turn_near confirmation")
    booked = service.booked(wisher.contact)
    await service.hear(booked)
    await service.settle()
    assert len(service.sink.messages(channel="email")) == 1
    [row] = await service.rows("SELECT stopped FROM contact_point")
    assert row.stopped == ["reminder", "turn_near"]
    assert "checked" in (await wisher.get()).split('value="reminder"')[1][:20]


async def test_the_feedback_link_is_left_out_for_who_does_not_want_to_be_asked(
    service: Notifications, wisher: Wisher
) -> None:
    await wisher.wish(stopped="feedback")
    sent = service.applied(wisher.contact)
    await service.hear(sent)
    service.now += timedelta(minutes=1)
    await service.hear(service.progressed(sent, "completed"))
    await service.settle()
    told = newest(service, "email").text
    assert "手続きが終わりました" in told
    assert "/feedback" not in told


async def test_who_may_open_it(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase, contact: ContactGiven
) -> None:
    client.headers["origin"] = "http://ninomiya.example.jp"
    closed = await client.get(WISHES)
    assert (closed.status_code, "もう一度開いてください" in closed.text) == (410, True)  # wishes_closed
    # Too old: made again where it came from.
    late = seal_opening(database, contact, issuer="booking", expires_at=service.now)
    answer = await client.post("/notices/arrive", data={"opening": late})
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases/1/thread")
    # A page of somebody else's is none to go back to (contact_opening_late).
    elsewhere = seal_opening(database, contact, expires_at=service.now, back="https://evil.example/")
    assert (await client.post("/notices/arrive", data={"opening": elsewhere})).status_code == 410
    for wrong in ("", "x", seal_opening(database, contact, municipality=OTHER_TOWN)):
        answer = await client.post("/notices/arrive", data={"opening": wrong})
        assert answer.status_code == 410, wrong  # contact_opening_invalid
    nobodys = service.contact("email")
    answer = await client.post("/notices/arrive", data={"opening": seal_opening(database, nobodys)})
    assert (answer.status_code, "まだありません" in answer.text) == (404, True)  # wishes_unknown
    await open_wishes(service, client, database, contact)
    service.now += ACCESS_LIFETIME
    assert (await client.get(WISHES)).status_code == 410
    for garbage in ("x", "é", "A" * 36, "A" * 400):
        assert (await client.get(f"/notices/w/{garbage}")).status_code == 404


async def test_a_link_opens_in_its_own_town_alone(service: Notifications, contact: ContactGiven) -> None:
    token = service.keys.wishes_link(TOWN, contact.contact_ref, 1)
    assert service.keys.read_wishes_link(TOWN, token) == (contact.contact_ref, 1)
    assert service.keys.read_wishes_link(OTHER_TOWN, token) is None
    assert service.keys.read_wishes_link(TOWN, token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    cookie = service.keys.grant_access(TOWN, contact.contact_ref, now=service.now)
    assert service.keys.read_access(cookie, TOWN, now=service.now) == contact.contact_ref
    assert service.keys.read_access(cookie, OTHER_TOWN, now=service.now) is None


async def test_the_page_is_closed_on_a_shared_computer(wisher: Wisher, client: httpx.AsyncClient) -> None:
    answer = await wisher.post("/leave")
    assert "choudo_wishes" in answer.headers["set-cookie"]
    assert (await client.get(WISHES)).status_code == 410


async def test_whose_approval_was_taken_back_has_no_wishes(service: Notifications, wisher: Wisher) -> None:
    withdrawn = service.contact(
        "none", contact_ref=wisher.contact.contact_ref, subject_ref=wisher.contact.subject_ref, version=2
    )
    await service.hear(withdrawn)
    assert await service.rows(ORDER) == []
    await wisher.post("/ways/new", status=404, by="sms", phone=OTHER_PHONE)


async def test_what_is_erased_leaves_no_code_and_no_word_of_it(service: Notifications, wisher: Wisher) -> None:
    await wisher.add("sms")
    await wisher.read_code()
    await wisher.add("email", email=OTHER_MAIL)
    erased = SubjectErased(
        event_id=wisher.contact.event_id.__class__(int=1),
        municipality=TOWN,
        aggregate_id=str(wisher.contact.subject_ref),
        aggregate_version=1,
        occurred_at=service.now,
        subject_ref=wisher.contact.subject_ref,
        erasure_id=wisher.contact.event_id,
        reason="resident",
    )
    await service.hear(erased)
    await service.settle()
    for table in ("contact_point", "contact_way", "way_code", "told", "notice", "attempt"):
        assert await service.rows(f"SELECT 1 FROM {table}") == [], table
    assert service.sink.messages(channel="email") == []


async def test_the_log_shows_that_a_code_was_sent_and_not_which(
    service: Notifications, wisher: Wisher, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    await wisher.add("sms")
    code = await wisher.read_code()
    for roles, is_shown in ((("counter",), True), (("coordinator",), False)):
        shown = (await sign_in(service, database, client, roles=roles).get("/notices")).text
        assert ("連絡先を確かめる番号" in shown) == is_shown
        assert code not in shown
        assert PHONE not in shown
