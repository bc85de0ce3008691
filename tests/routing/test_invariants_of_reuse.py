"""What holds of every reuse, whatever somebody does: asked first, for the same thing, and never asked to type again.

The database's guards are tested as the application's own role, with the application's checks out of the way.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.routing.domain.items import ITEM_PARTS, field_of, typed_items
from services.routing.pages.wording import HANDOVER_REASONS, PURPOSES
from shared.db import Database
from shared.passes import BOOKING_ITEMS
from tests.conftest import TestDatabase
from tests.routing.applying import CHI02_FORM, SEE_OTHER, apply, hidden, reuse, send
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import KANA, NAME, TOWN, make_pack
from tests.routing.test_handover import open_as_booking
from tests.routing.test_helpers import open_venue
from tests.routing.test_pages import answer_offers

# One for all processes: it stands in the names of tests.
NOBODYS = "6e9f7a52-5f0c-4c0b-9d0a-3f7f4d1c2a0e"
NewVisitor = Callable[..., Visitor]
OK = httpx.codes.OK
# Every item of these procedures, as people type it.
ANSWERS = CHI02_FORM | {
    "insurance_kind": "national",
    "insurance_insurer": "二宮町",
    "household_head": "吉田 はじめ",
    "household_members": "",
    "copies_purpose_copies": "2",
    "copies_purpose_purpose": "学校に出す",
    "tax_year": "2026",
    "waste_items": "ソファ 1つ",
}
ONLINE = ("CHI02", "CHI03", "RES01", "TAX01", "ENV02")
ITEMS_OF = {each.code: typed_items(each.items) for each in make_pack().procedures}
MANY = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    # A visitor of their own in each: nothing of the one before is theirs.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def fields_of(item: str) -> dict[str, str]:
    """What is typed into an item's fields."""
    names = [field_of(item, part) for part in ITEM_PARTS[item]]
    return {key: value for key, value in ANSWERS.items() if any(key == name or key.startswith(f"{name}_era") or
            key in (f"{name}_year", f"{name}_month", f"{name}_day") for name in names)}  # fmt: skip


def is_filled(page: httpx.Response, item: str) -> bool:
    """Whether the form has the item already, in all of its fields that are lines of text."""
    lines = [
        field_of(item, part) for part in ITEM_PARTS[item] if part.kind in ("text", "person", "kana", "phone", "digits")
    ]
    lines += [f"{field_of(item, part)}_year" for part in ITEM_PARTS[item] if part.kind == "day"]
    wanted = [name for name in lines if fields_of(item).get(name)]
    if not wanted:
        return f">\n{next(iter(fields_of(item).values()))}</textarea>" in page.text or _has_number(page, item)
    found = [re.search(rf'name="{name}"[^>]*value="([^"]+)"', page.text) is not None for name in wanted]
    assert len(set(found)) == 1, f"half of {item} is filled in"
    return found[0]


def _has_number(page: httpx.Response, item: str) -> bool:
    names = [field_of(item, part) for part in ITEM_PARTS[item] if part.kind == "number"]
    return any(re.search(rf'name="{name}"[^>]*value="\d+"', page.text) for name in names)


async def approve_everything(visitor: Visitor, case: str) -> None:
    page = await visitor.get(f"{case}/reuse")
    if page.status_code == OK:
        offered = {
            f"offer_{item}": hidden(page, f"offer_{item}") for item in re.findall(r'name="offer_(\w+)"', page.text)
        }
        assert (await visitor.post(f"{case}/reuse", offered | {"all": "yes"})).status_code == SEE_OTHER


async def entries_of(db: Database, *kinds: str) -> list[Any]:
    async with db.begin(TOWN) as session:
        query = text("SELECT * FROM ledger_entry WHERE entry_type = ANY(:kinds) ORDER BY occurred_at, entry_id")
        return list((await session.execute(query, {"kinds": list(kinds)})).all())


async def assert_every_use_was_approved(db: Database) -> None:
    """The invariant itself, over the whole ledger."""
    yes = {
        (row.correlation, row.target_case, item, row.commitments[item], row.purpose, row.legal_basis)
        for row in await entries_of(db, "approved")
        for item in row.items
        if row.visibility == "subject"
    }
    for row in await entries_of(db, "applied"):
        if row.legal_basis == "appi_69_1":
            assert (row.target_step, set(row.items) <= set(BOOKING_ITEMS)) == ("you", True)
            continue
        for item in row.items:
            cited = (row.correlation, row.target_case, item, row.commitments[item], row.purpose, row.legal_basis)
            assert cited in yes
            assert item in ITEMS_OF[row.target_procedure]


# --- asked to type once ---


@MANY
@given(
    steps=st.lists(st.tuples(st.sampled_from(ONLINE), st.sampled_from(("online", "counter"))), min_size=2, max_size=5)
)
@example(steps=[(code, "online") for code in (*ONLINE, *ONLINE)])
@example(steps=[("CHI03", "counter"), ("CHI02", "online"), ("RES01", "counter"), ("RES01", "online")])
async def test_with_every_reuse_approved_each_field_is_typed_once(
    db: Database, new_visitor: NewVisitor, steps: list[tuple[str, str]]
) -> None:
    """Seen to fail with reuse that looks at the newest case only."""
    visitor, typed, case = new_visitor(), Counter[str](), ""
    for procedure, channel in steps:
        case = await visitor.open_case(procedure, channel=channel)
        if channel == "counter":
            page = await visitor.get(f"{case}/you")
            for item, value in (("name", NAME), ("kana", KANA)):
                typed[item] += f'value="{value}"' not in page.text
            await visitor.tell(case, name=NAME, kana=KANA)
            await answer_offers(visitor, case)
            continue
        await approve_everything(visitor, case)
        page = await visitor.get(f"{case}/form")
        fields: dict[str, str] = {}
        for item in ITEMS_OF[procedure]:
            typed[item] += not is_filled(page, item)
            fields |= fields_of(item)
        assert (await visitor.post(f"{case}/form", fields)).headers["location"] == f"{case}/check"
        await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
        assert (await send(visitor, case)).status_code == SEE_OTHER
    assert set(typed.values()) <= {0, 1}, typed
    # And so says the ledger: each item was collected once, and nothing was corrected.
    async with db.begin(TOWN) as session:
        subject = await session.execute(
            text("SELECT subject_ref FROM case_file WHERE case_id = :case"), {"case": UUID(case.rsplit("/", 1)[-1])}
        )
    mine = subject.scalar_one()
    collected = Counter(
        item for row in await entries_of(db, "collected") if row.subject_ref == mine for item in row.items
    )
    assert set(collected.values()) == {1}, collected
    assert [row for row in await entries_of(db, "corrected") if row.subject_ref == mine] == []
    await assert_every_use_was_approved(db)


# --- used is what was approved ---


@MANY
@given(answers=st.fixed_dictionaries({item: st.booleans() for item in ("name", "address", "phone", "child")}))
async def test_what_is_reused_is_what_was_approved_and_declared(
    db: Database, new_visitor: NewVisitor, answers: dict[str, bool]
) -> None:
    visitor = new_visitor()
    await apply(visitor, reach="none")
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case, **{item: "yes" if is_yes else "no" for item, is_yes in answers.items()})
    page = await visitor.get(f"{case}/form")
    assert {item for item in answers if is_filled(page, item)} == {item for item, is_yes in answers.items() if is_yes}
    fields = {key: value for item in ITEMS_OF["CHI03"] for key, value in fields_of(item).items()}
    assert (await visitor.post(f"{case}/form", fields)).headers["location"] == f"{case}/check"
    applied = [row for row in await entries_of(db, "applied") if str(row.target_case) in case]
    assert {item for row in applied for item in row.items} == {item for item, is_yes in answers.items() if is_yes}
    await assert_every_use_was_approved(db)
    # The outcome is the same, whatever was answered.
    await visitor.post(f"{case}/you", {"reach": "none", "email": "", "phone": ""})
    sent = await send(visitor, case)
    async with db.begin(TOWN) as session:
        row = (
            await session.execute(
                text("SELECT state, version, office, items FROM application WHERE number = :n"),
                {"n": sent.headers["location"].rsplit("/", 1)[-1]},
            )
        ).one()
    assert (row.state, row.version, row.office, set(row.items)) == ("submitted", 1, "子育て", set(ITEMS_OF["CHI03"]))


@MANY
@given(answers=st.fixed_dictionaries({item: st.booleans() for item in (*BOOKING_ITEMS, "contact")}))
async def test_a_pass_has_what_was_approved_and_declared(
    database: TestDatabase, new_visitor: NewVisitor, answers: dict[str, bool]
) -> None:
    visitor = new_visitor()
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME, kana=KANA, reach="email", email="a@example.jp")
    await answer_offers(visitor, case, **{item: "yes" if is_yes else "no" for item, is_yes in answers.items()})
    ticket = open_as_booking(database, hidden(await visitor.get(f"{case}/pass"), "pass"))
    assert [item.key for item in ticket.items] == [item for item in BOOKING_ITEMS if answers[item]]
    assert {item.purpose for item in ticket.items} <= {"窓口でお名前をお呼びするため"}
    assert (ticket.contact_ref is not None) is answers["contact"]


# --- the same wording ---


def test_every_purpose_that_is_approved_has_the_sentence_that_is_shown() -> None:
    assert set(HANDOVER_REASONS) <= set(PURPOSES)
    for purpose, sentence in HANDOVER_REASONS.items():
        # 「…ため」 and 「…ためです。」, but for a comma and for what is said beside it.
        shown = sentence.replace("、", "").replace("予約の確認やお知らせ", "予約のお知らせ")
        assert shown.startswith(f"{purpose}です。")


async def test_a_yes_for_one_purpose_is_none_for_another(
    db: Database, database: TestDatabase, visitor: Visitor
) -> None:
    """Seen to fail without `is_same_use`: who was to be called at a counter was told to a helper."""
    await open_venue(db)
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME, kana=KANA)
    await answer_offers(visitor, case)
    assert open_as_booking(database, hidden(await visitor.get(f"{case}/pass"), "pass")).items
    await visitor.post(f"{case}/channel", {"channel": "helper"})
    asked = await visitor.get(f"{case}/handover")
    assert "サポーターが、お名前をお呼びするためです" in asked.text
    assert "checked" not in asked.text
    assert (await visitor.get(f"{case}/pass")).headers["location"] == f"{case}/handover"
    await answer_offers(visitor, case, kana="no")
    ticket = open_as_booking(database, hidden(await visitor.get(f"{case}/pass"), "pass"))
    assert [(item.key, item.purpose) for item in ticket.items] == [("name", "サポーターがお名前をお呼びするため")]
    purposes = {row.purpose for row in await entries_of(db, "approved") if "name" in row.items}
    assert purposes == {"窓口でお名前をお呼びするため", "サポーターがお名前をお呼びするため"}
    await assert_every_use_was_approved(db)


async def test_a_name_declined_after_it_was_passed_is_withdrawn_from_booking_once(
    db: Database, visitor: Visitor, clock: TestClock
) -> None:
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME, kana=KANA)
    # Before anything was passed on, there is nothing to withdraw.
    for answers in ({"kana": "no"}, {}, {"name": "no"}, {"name": "no"}):
        clock.move(timedelta(minutes=1))
        await answer_offers(visitor, case, **answers)
        await visitor.get(f"{case}/pass")
    async with db.begin(TOWN) as session:
        told = await session.execute(
            text("SELECT convert_from(payload, 'UTF8') AS told FROM outbox WHERE type = 'routing.name_withdrawn.v1'")
        )
    assert [re.findall(r'"items":(\[[^]]*\])', row.told) for row in told] == [['["name"]']]


# --- the database's own word ---


async def refuse(db: Database, statement: str, values: Mapping[str, Any] | None = None) -> str:
    """The guard that refused a statement of the application's role."""
    with pytest.raises(IntegrityError) as raised:
        async with db.begin(TOWN) as session:
            await session.execute(text(statement), values or {})
    return str(raised.value.orig)


COPY = """
    INSERT INTO ledger_entry SELECT (jsonb_populate_record(e, jsonb_build_object('entry_id', gen_random_uuid())
        || CAST(:changes AS jsonb))).* FROM ledger_entry e WHERE e.entry_type = 'applied' LIMIT 1
"""


async def applied_once(visitor: Visitor) -> str:
    await apply(visitor)
    case = await visitor.open_case("CHI03", channel="online")
    await reuse(visitor, case, phone="no")
    fields = {key: value for item in ITEMS_OF["CHI03"] for key, value in fields_of(item).items()}
    await visitor.post(f"{case}/form", fields)
    return case


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ('{"items": ["name", "phone"]}', "no approval"),
        ('{"items": ["bank_account"]}', "no approval"),
        ('{"purpose": "宣伝のため"}', "no approval"),
        ('{"target_service": "booking"}', "no approval"),
        (f'{{"target_case": "{NOBODYS}"}}', "no approval"),
        (f'{{"correlation": "{NOBODYS}"}}', "no approval"),
        ('{"correlation": null}', "no approval"),
        ('{"commitments": {"name": "x", "address": "x", "child": "x"}}', "no approval"),
        ('{"entry_type": "approved", "items": ["phone"]}', "no approval"),
        ('{"legal_basis": "appi_69_1"}', "no law"),
        ('{"legal_basis": "appi_69_2_2"}', "no law"),
        ('{"legal_basis": "appi_69_1", "target_step": "you"}', "no law"),
        ('{"legal_basis": "appi_69_1", "target_step": "you", "items": ["name"], "entry_type": "approved"}', "no law"),
    ],
)
async def test_the_database_takes_no_entry_of_a_use_that_was_not_approved(
    db: Database, visitor: Visitor, changes: str, guard: str
) -> None:
    """Each seen to be written without the trigger `guard_reuse`."""
    await applied_once(visitor)
    assert guard in await refuse(db, COPY, {"changes": changes})
    for allowed in ("{}", '{"legal_basis": "appi_69_1", "target_step": "you", "items": ["name"]}'):
        async with db.begin(TOWN) as session:
            await session.execute(text(COPY), {"changes": allowed})


async def test_a_yes_that_became_a_no_is_no_approval_for_the_database(db: Database, visitor: Visitor) -> None:
    case = await applied_once(visitor)
    await reuse(visitor, case, name="no", address="no", child="no", phone="no")
    assert "no approval" in await refuse(db, COPY, {"changes": "{}"})


@pytest.mark.parametrize(
    ("statement", "guard"),
    [
        ("UPDATE offer SET item = 'address' WHERE item = 'name'", "does not change"),
        ("UPDATE offer SET commitment = 'x'", "does not change"),
        ("UPDATE offer SET purpose = 'x'", "does not change"),
        ("UPDATE offer SET legal_basis = 'appi_69_1'", "does not change"),
        ("UPDATE offer SET expires_at = expires_at + interval '1 day'", "does not change"),
        ("UPDATE offer SET state = 'approved'", "decided_in_time"),
        ("UPDATE offer SET state = 'approved', decided_at = expires_at, approval_id = offer_id", "decided_in_time"),
        ("UPDATE offer SET applied_at = offered_at", "decided_in_time"),
        ("UPDATE offer SET approval_id = offer_id", "decided_in_time"),
        (("INSERT INTO offer SELECT (jsonb_populate_record(o, jsonb_build_object('offer_id', gen_random_uuid(),"
         " 'state', 'approved', 'decided_at', o.offered_at, 'approval_id', gen_random_uuid()))).* FROM offer o"),
         "begins unanswered"),
    ],
)  # fmt: skip
async def test_the_database_keeps_an_offer_as_it_was_shown_and_answered(
    db: Database, visitor: Visitor, statement: str, guard: str
) -> None:
    """Each seen to pass without its guard: the trigger `guard_offer`, or the check."""
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME, kana=KANA)
    await visitor.get(f"{case}/handover")
    assert guard in await refuse(db, statement)


@pytest.mark.parametrize(
    ("items", "guard"),
    [(["name", "kana"], "not approved"), (["kana"], "not approved"), (["contact"], "not approved"),
     (["address"], "pass_issued_declared"), ([], None), (["name"], None)],
)  # fmt: skip
async def test_the_database_lets_a_pass_carry_what_is_approved_and_declared(
    db: Database, visitor: Visitor, items: list[str], guard: str | None
) -> None:
    """Seen to pass without the trigger `guard_pass`, and the check."""
    case = await visitor.open_case()
    await visitor.tell(case, name=NAME, kana=KANA)
    await answer_offers(visitor, case, kana="no")
    await visitor.get(f"{case}/pass")
    statement = "UPDATE pass_issued SET items = :items"
    if guard is not None:
        # A check speaks before a trigger that looks at other rows may; either refuses.
        refused = await refuse(db, statement, {"items": items})
        assert guard in refused or "not approved" in refused
        return
    async with db.begin(TOWN) as session:
        await session.execute(text(statement), {"items": items})
