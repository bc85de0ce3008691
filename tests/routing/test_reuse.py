"""Nothing is asked twice: earlier items in a form, by approval; and going another way with what was given."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
from sqlalchemy import text

from services.routing.commands.offers import expire_offers
from services.routing.consumers import on_appointment
from services.routing.domain.handover import OFFER_LIFETIME
from shared.db import Database
from shared.events.booking import AppointmentBooked, AppointmentCancelled
from tests.conftest import TestDatabase
from tests.routing.applying import (
    ADDRESS,
    CHI02_FORM,
    CHI03_REST,
    SEE_OTHER,
    apply,
    fill_in,
    hidden,
    reuse,
    send,
    sign_in,
    submit_fields,
)
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import NAME, NOW, TOWN, new_key
from tests.routing.test_handover import entries
from tests.routing.test_helpers import open_venue
from tests.routing.test_pages import GARBAGE, answer_offers

NewVisitor = Callable[..., Visitor]
CHILD = {key: value for key, value in CHI02_FORM.items() if key.startswith("child")}


async def types_of(db: Database, *kinds: str) -> list[tuple[str, list[str]]]:
    return [(kind, items) for kind, target, items in await entries(db) if kind in kinds and target == "routing"]


async def test_items_are_offered_shown_approved_and_only_then_filled_in(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    before = await visitor.get(f"{case}/form")
    assert f'value="{NAME}"' not in before.text, "nothing is filled in before it was approved"
    assert f"{case}/reuse" in before.text
    shown = await visitor.get(f"{case}/reuse")
    assert NAME in shown.text
    assert "insurance" not in shown.text, "what no earlier case holds is not offered"
    assert (await reuse(visitor, case, phone="no")).headers["location"] == f"{case}/form"
    form = await visitor.get(f"{case}/form")
    assert f'value="{NAME}"' in form.text
    assert "090-1234-5678" not in form.text
    typed = {"name": NAME, "phone": "0463-71-3311"} | ADDRESS | CHILD | CHI03_REST
    for _ in range(2):
        assert (await visitor.post(f"{case}/form", typed)).headers["location"] == f"{case}/check"
    assert await types_of(db, "offered", "approved", "declined", "applied") == [
        ("applied", ["address", "child", "name"]),
        ("approved", ["address", "child", "name"]),
        ("declined", ["phone"]),
        ("offered", ["address", "child", "name", "phone"]),
    ]
    async with db.begin(TOWN) as session:
        rows = (
            await session.execute(
                text(
                    "SELECT entry_type, correlation, source_case FROM ledger_entry"
                    " WHERE entry_type IN ('approved', 'applied') AND target_step = 'form'"
                )
            )
        ).all()
    assert len({row.correlation for row in rows}) == 1, "applied cites the approval"
    assert all(row.source_case is not None for row in rows)


async def test_what_is_decided_and_given_twice_at_once_is_written_once(db: Database, visitor: Visitor) -> None:
    """Seen to fail with the case not locked meanwhile: each of the four tells the ledger the same."""
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    page = await visitor.get(f"{case}/reuse")
    items = dict.fromkeys(re.findall(r'name="offer_(\w+)"', page.text))
    fields = {f"offer_{item}": hidden(page, f"offer_{item}") for item in items}
    said = fields | {f"use_{item}": "no" if item == "phone" else "yes" for item in items}
    answers = await asyncio.gather(*(visitor.post(f"{case}/reuse", said) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {SEE_OTHER}
    typed = {"name": NAME, "phone": "0463-71-3311"} | ADDRESS | CHILD | CHI03_REST
    given = await asyncio.gather(*(visitor.post(f"{case}/form", typed) for _ in range(4)))
    assert {answer.headers["location"] for answer in given} == {f"{case}/check"}
    assert await types_of(db, "offered", "approved", "declined", "applied") == [
        ("applied", ["address", "child", "name"]),
        ("approved", ["address", "child", "name"]),
        ("declined", ["phone"]),
        ("offered", ["address", "child", "name", "phone"]),
    ]


async def test_all_or_nothing_by_one_button(visitor: Visitor) -> None:
    await apply(visitor)
    for answer, is_filled in (("yes", True), ("no", False)):
        case = await visitor.open_case("CHI03", channel="online")
        page = await visitor.get(f"{case}/reuse")
        items = set(re.findall(r'name="offer_(\w+)"', page.text))
        fields = {f"offer_{item}": hidden(page, f"offer_{item}") for item in items}
        assert (await visitor.post(f"{case}/reuse", fields | {"all": answer})).status_code == SEE_OTHER
        assert (f'value="{NAME}"' in (await visitor.get(f"{case}/form")).text) is is_filled


async def test_what_is_typed_again_after_a_no_is_not_counted_as_spared(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case, name="no", address="no", phone="no", child="no")
    await visitor.post(f"{case}/form", CHI02_FORM | CHI03_REST)
    assert await types_of(db, "applied") == []


async def test_no_answer_is_no_consent_and_a_closed_preview_is_a_decline(
    db: Database, clock: TestClock, visitor: Visitor
) -> None:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    missing = await reuse(visitor, case, name="", phone="maybe")
    assert missing.status_code == 422
    assert set(re.findall(r'href="#f-use_(\w+)"', missing.text)) == {"name", "phone"}
    async with db.begin(TOWN) as session:
        await expire_offers(session, TOWN, case.rsplit("/", 1)[-1], NOW + OFFER_LIFETIME)
    assert await types_of(db, "declined") == [("declined", ["address", "child", "name", "phone"])]
    clock.move(OFFER_LIFETIME + timedelta(minutes=1))
    await visitor.get("/session/renew?next=/")
    stale = await visitor.post(f"{case}/reuse", {"all": "yes", "offer_name": new_key()})
    assert stale.status_code == 409
    assert f'value="{NAME}"' not in (await visitor.get(f"{case}/form")).text


async def test_a_value_that_changed_after_the_yes_is_asked_again(visitor: Visitor) -> None:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case)
    await apply(visitor, name="別の 名前")
    form = await visitor.get(f"{case}/form")
    assert f'value="{NAME}"' not in form.text
    assert "別の 名前" not in form.text
    assert "child_name" in form.text


async def test_what_was_typed_here_stays_when_another_case_says_otherwise(
    db: Database, clock: TestClock, visitor: Visitor
) -> None:
    case = await fill_in(visitor, reach="none")
    old = await submit_fields(visitor, case)
    await apply(visitor, name="別の 名前", reach="none")
    for path in ("form", "check"):
        page = await visitor.get(f"{case}/{path}")
        assert NAME in page.text
        assert "別の 名前" not in page.text
    assert (await visitor.get(f"{case}/reuse")).headers["location"] == f"{case}/form"
    # Kept again as it was, it is no correction of anything.
    await visitor.post(f"{case}/form", CHI02_FORM)
    assert await types_of(db, "corrected") == [("corrected", ["name"])]
    sent = await visitor.post(f"{case}/submit", old)
    assert sent.status_code == SEE_OTHER, sent.text
    page = await visitor.get(sent.headers["location"])
    assert NAME in page.text


async def test_what_was_approved_is_asked_again_once_the_approval_is_gone(db: Database, visitor: Visitor) -> None:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case)
    await visitor.post(f"{case}/form", CHI02_FORM | CHI03_REST)
    assert (await visitor.get(f"{case}/check")).headers["location"] == f"{case}/you"
    async with db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM offer"))
    assert (await visitor.get(f"{case}/check")).headers["location"] == f"{case}/form"
    assert f'value="{NAME}"' not in (await visitor.get(f"{case}/form")).text


async def test_an_old_check_page_sends_nothing_that_it_did_not_show(visitor: Visitor) -> None:
    case = await fill_in(visitor, reach="none")
    old = await submit_fields(visitor, case)
    await visitor.post(f"{case}/form", CHI02_FORM | {"name": "別の 名前"})
    for shown in (old["shown"], "", "name:²", "name:" + "9" * 5_000):
        answer = await visitor.post(f"{case}/submit", old | {"shown": shown})
        assert answer.status_code == 409
        assert "もう一度確かめて" in answer.text
        assert "別の 名前" in answer.text
    assert (await send(visitor, case)).status_code == SEE_OTHER


async def test_what_was_sent_stays_as_it_was_sent(visitor: Visitor) -> None:
    number = await apply(visitor)
    await apply(visitor, name="別の 名前")
    page = await visitor.get(f"/applications/{number}")
    assert NAME in page.text
    assert "別の 名前" not in page.text


async def test_halfway_to_the_counter_and_back(database: TestDatabase, visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    half = CHI02_FORM | {"phone": "🙂", "child_name": "", "child_kana": ""}
    answer = await visitor.post(f"{case}/channel", half | {"channel": "counter"})
    assert answer.headers["location"] == f"{case}/switched?unsaved=phone.child"
    told = await visitor.get(answer.headers["location"])
    assert "電話番号" in told.text
    assert "お子さん" in told.text
    assert (await visitor.get(f"{case}/handover")).headers["location"] == f"{case}/you"
    you = await visitor.get(f"{case}/you")
    assert f'value="{NAME}"' in you.text
    # What is written before coming has the same form.
    assert 'value="259-0123"' in (await visitor.get(f"{case}/form")).text
    await visitor.tell(case, name=NAME, reach="none")
    handover = await visitor.get(f"{case}/handover")
    assert "オンラインで続ける" in handover.text
    back = await visitor.post(f"{case}/channel", {"channel": "online"})
    assert back.headers["location"] == f"{case}/reuse"
    form = await visitor.get(f"{case}/form")
    for kept in (NAME, "259-0123", "0012345", "1988"):
        assert f'value="{kept}"' in form.text, kept
    await visitor.post(f"{case}/form", CHI02_FORM)
    # How to be reached was said at the counter's form: it is not asked again.
    check = await visitor.get(f"{case}/check")
    assert check.status_code == httpx.codes.OK
    assert (await visitor.post(f"{case}/channel", {"channel": "counter"})).headers["location"] == f"{case}/handover"
    assert (await answer_offers(visitor, case)).status_code in (httpx.codes.OK, SEE_OTHER)


async def test_from_the_check_page_to_the_counter_with_everything(visitor: Visitor) -> None:
    case = await fill_in(visitor)
    answer = await visitor.post(f"{case}/channel", {"channel": "counter"})
    assert answer.headers["location"] == f"{case}/handover"
    handover = await visitor.get(f"{case}/handover")
    assert NAME in handover.text


async def test_an_old_preview_hands_nothing_over_once_the_case_is_online_or_sent(
    db: Database, visitor: Visitor
) -> None:
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME)
    page = await visitor.get(f"{case}/handover")
    old = {"all": "yes", "offer_name": hidden(page, "offer_name")}
    assert (await visitor.post(f"{case}/channel", {"channel": "online"})).status_code == SEE_OTHER

    async def refused(leads_to: str) -> None:
        assert (await visitor.post(f"{case}/handover", old)).headers["location"] == leads_to
        assert (await visitor.get(f"{case}/handover")).headers["location"] == leads_to
        assert (await visitor.get(f"{case}/pass")).headers["location"] == f"{case}/handover"

    await refused(case)
    await visitor.post(f"{case}/form", CHI02_FORM)
    sent = await send(visitor, case)
    assert sent.status_code == SEE_OTHER, sent.text
    await refused(sent.headers["location"])
    async with db.begin(TOWN) as session:
        state = (await session.execute(text("SELECT state FROM case_file"))).scalar_one()
        passes = (await session.execute(text("SELECT count(*) FROM pass_issued"))).scalar_one()
    assert (state, passes) == ("submitted", 0)


async def test_a_way_that_is_not_open_shows_the_form_again_with_everything(db: Database, visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    assert "サポーターといっしょに続ける" not in (await visitor.get(f"{case}/form")).text, "no venue, no helper"
    half = CHI02_FORM | {"phone": "🙂", "child_name": "", "child_kana": ""}
    answer = await visitor.post(f"{case}/channel", half | {"channel": "helper"})
    assert answer.status_code == 409
    for part in ("この手続きは、この方法ではできません", f'value="{NAME}"', 'value="🙂"', 'href="#f-phone"'):
        assert part in answer.text, part
    assert f'value="{NAME}"' in (await visitor.get(f"{case}/form")).text
    # From the check page, which has no fields, the form is filled with what was kept.
    await visitor.post(f"{case}/form", CHI02_FORM)
    again = await visitor.post(f"{case}/channel", {"channel": "helper"})
    assert again.status_code == 409
    assert 'value="0012345"' in again.text
    await open_venue(db)
    assert "サポーターといっしょに続ける" in (await visitor.get(f"{case}/form")).text
    moved = await visitor.post(f"{case}/channel", CHI02_FORM | {"channel": "helper"})
    assert moved.headers["location"] == f"{case}/handover"
    you = await visitor.get(f"{case}/you")
    assert "サポーターがお呼びするとき" in you.text
    assert "窓口でお呼びするとき" not in you.text


async def test_what_was_booked_stays_until_it_is_sent_and_the_page_says_so_before(
    db: Database, visitor: Visitor
) -> None:
    """Seen to fail while sending cancelled what was booked in another window meanwhile, unsaid."""
    counter, online = await visitor.open_case(), await fill_in(visitor, reach="none")
    unsaid = await submit_fields(visitor, online)
    for case in (counter, online):
        await book(db, case, state="booked", version=1)
    assert (await visitor.post(f"{counter}/channel", {"channel": "online"})).headers[
        "location"
    ] == f"{counter}/switched"
    told = await visitor.get(f"{counter}/switched")
    assert "まだそのままです" in told.text
    assert "フォームへ進む" in told.text
    again = await visitor.post(f"{online}/submit", unsaid)
    assert again.status_code == 409
    assert "申請すると取り消します" in again.text
    fields = await submit_fields(visitor, online) | {"cancels": "24-0317"}
    assert "/applications/" in (await visitor.post(f"{online}/submit", fields)).headers["location"]
    async with db.begin(TOWN) as session:
        query = text("SELECT payload FROM outbox WHERE type = 'routing.case_switched.v1' ORDER BY occurred_at")
        payloads = (await session.execute(query)).scalars().all()
    settled = [event for event in map(msgspec.json.decode, payloads) if event["is_settled"]]
    assert [event["case_id"] for event in settled] == [online.rsplit("/", 1)[-1]]


async def book(db: Database, case: str, *, state: str, version: int) -> None:
    """What booking tells of a case's appointment."""
    case_id = UUID(case.rsplit("/", 1)[-1])
    event: dict[str, Any] = {
        "event_id": uuid4(), "municipality": TOWN, "aggregate_id": "a", "aggregate_version": version,
        "occurred_at": NOW, "appointment_id": case_id, "number": "24-0317", "subject_ref": None, "contact_ref": None,
        "case_id": case_id, "procedure": "CHI02", "office": "子育て", "counter": "7",
        "starts_at": NOW, "ends_at": NOW + timedelta(minutes=30), "state": state, "sequence": 0,
    }  # fmt: skip
    kind = AppointmentBooked if state == "booked" else AppointmentCancelled
    async with db.begin(TOWN) as session:
        await on_appointment(session, kind(**event), now=NOW)


async def test_unknown_channels_and_names_of_items_are_only_text(visitor: Visitor) -> None:
    case = await visitor.open_case(channel="online")
    for garbage in GARBAGE:
        assert (await visitor.post(f"{case}/channel", {"channel": garbage})).status_code == 409
        page = await visitor.get(f"{case}/switched", params={"unsaved": garbage})
        assert page.status_code == httpx.codes.OK
        assert "<script>alert" not in page.text


# --- beside the line at the counter ---


async def test_staff_see_what_was_given_and_the_person_reads_it_once_a_day(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor, reach="none")
    await visitor.post(f"{case}/channel", {"channel": "counter"})
    path = f"/office{case}/fragment"
    staff = await sign_in(db, new_visitor(), roles=("counter",))
    page = await staff.get(path)
    assert "<h1>" in page.text
    for _ in range(2):
        piece = await staff.get(path, headers={"hx-request": "true"})
        assert "<h1>" not in piece.text
        for part in (NAME, "口座番号：0012345", "入力：児童手当の申請"):
            assert part in piece.text, part
    assert len([entry for entry in await entries(db) if entry[0] == "staff_viewed"]) == 1
    async with db.begin(TOWN) as session:
        looks = await session.execute(text("SELECT count(*) FROM audit WHERE action = 'view_counter'"))
    assert looks.scalar_one() == 3


async def test_a_name_of_an_earlier_case_is_seen_at_the_counter_that_it_was_handed_to(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    await apply(visitor)
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME)
    staff = await sign_in(db, new_visitor(), roles=("counter",))
    assert NAME not in (await staff.get(f"/office{case}/fragment")).text
    await answer_offers(visitor, case)
    assert NAME in (await staff.get(f"/office{case}/fragment")).text


async def test_another_offices_staff_and_residents_see_no_fragment(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    case = await fill_in(visitor)
    path = f"/office{case}/fragment"
    assert (await (await sign_in(db, new_visitor(), roles=("counter",), office="税")).get(path)).status_code == 403
    assert (await (await sign_in(db, new_visitor(), roles=("coordinator",))).get(path)).status_code == 403
    assert "/sign-in" in (await visitor.get(path)).headers["location"]
    staff = await sign_in(db, new_visitor(), roles=("counter",), office=None)
    assert (await staff.get(path)).status_code == httpx.codes.OK
    for bad in ("/office/cases/nonsense/fragment", f"/office/cases/{new_key()}/fragment"):
        assert (await staff.get(bad)).status_code == 404
    empty = await visitor.open_case()
    assert "入力された内容はありません" in (await staff.get(f"/office{empty}/fragment")).text


async def test_each_persons_items_stay_their_own(visitor: Visitor, new_visitor: NewVisitor) -> None:
    await apply(visitor)
    other = new_visitor()
    case = await other.open_case("CHI03", channel="online")
    assert (await other.get(f"{case}/reuse")).headers["location"] == f"{case}/form"
    assert (await send(visitor, await fill_in(visitor))).status_code == SEE_OTHER
