"""Staff on somebody's behalf: by phone or at the desk, one person after another, and who else may not."""

import re
from collections.abc import Callable
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text

from services.routing.commands.cases import open_case
from services.routing.consumers import on_reuse_recorded
from services.routing.domain.behalf import BEHALF_ROLES
from services.routing.pages.history_wording import history_line
from services.routing.pages.tries import CASES_PER_ADDRESS
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.history import list_history
from services.routing.tables import audit, case_file
from shared.db import Database
from shared.errors import Refusal
from shared.roles import ROLES
from shared.tokens import Identity
from tests.routing.applying import apply, fill_in, hidden, sign_in
from tests.routing.conftest import Visitor
from tests.routing.makers import EMAIL, KANA, NAME, NOW, TOWN, new_key
from tests.routing.test_consumers import make_reuse
from tests.routing.test_plans import make_plan

NewVisitor = Callable[..., Visitor]
SEE_OTHER, OK = httpx.codes.SEE_OTHER, httpx.codes.OK
BANNERS = {"phone": "代わりに入力しています（電話）", "desk": "代わりに入力しています（窓口）"}
OTHERS = sorted(set(ROLES) - set(BEHALF_ROLES))


async def answer_aloud(staff: Visitor, case: str, **answers: str) -> httpx.Response:
    """Answer each offer of the handover page as the person said."""
    page = (await staff.get(f"{case}/handover")).text
    offers = dict(re.findall(r'name="offer_(\w+)" value="([^"]+)"', page))
    said = {f"pass_{item}": answers.get(item, "yes") for item in offers}
    return await staff.post(f"{case}/handover", {f"offer_{item}": ref for item, ref in offers.items()} | said)


async def subject_of(db: Database, case: str) -> UUID:
    async with db.begin(TOWN) as session:
        query = select(case_file.c.subject_ref).where(case_file.c.case_id == UUID(case.rpartition("/")[2]))
        return UUID(str((await session.execute(query)).scalar_one()))


async def sentences(db: Database, subject_ref: UUID) -> str:
    """A person's history, once every entry of our ledger has come round."""
    fields = ("entry_id", "entry_type", "actor_kind", "office", "target_service", "target_step", "purpose",
              "legal_basis", "outcome", "visibility", "occurred_at")  # fmt: skip
    async with db.begin(TOWN) as session:
        query = text("SELECT * FROM routing.ledger_entry WHERE subject_ref = :subject")
        for row in (await session.execute(query, {"subject": subject_ref})).all():
            facts = {name: getattr(row, name) for name in fields}
            event = make_reuse(subject_ref, **facts, items=tuple(row.items), service="routing")
            await on_reuse_recorded(session, event, now=NOW)
        history = await list_history(session, TOWN, subject_ref)
        names = await procedure_names(session, TOWN)
    return "\n".join(history_line(entry, names).sentence for entry in history.entries)


@pytest.mark.parametrize("role", BEHALF_ROLES)
async def test_staff_find_a_procedure_and_say_how_the_person_came(db: Database, visitor: Visitor, role: str) -> None:
    staff = await sign_in(db, visitor, roles=(role,), office="総合")
    found = await staff.get("/office/behalf", params={"q": "子供のお金"})
    assert 'href="/office/behalf/CHI02"' in found.text
    assert "みつかりませんでした" in (await staff.get("/office/behalf", params={"q": "ぬぬぬ"})).text
    asked = await staff.get("/office/behalf/CHI02")
    assert asked.text.count('type="radio"') == len(("phone", "desk", "online", "counter", "helper"))
    case = await staff.open_case(behalf="phone")
    assert BANNERS["phone"] in (await staff.get(f"{case}/you")).text
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(case_file.c.behalf))).scalars().all() == ["phone"]
        deeds = (await session.execute(select(audit.c.action, audit.c.office))).all()
    assert ("open_case", "総合") in [tuple(deed) for deed in deeds]


@pytest.mark.parametrize("role", OTHERS)
async def test_others_who_are_signed_in_begin_nothing_for_anybody(
    db: Database, new_visitor: NewVisitor, role: str
) -> None:
    who = Identity(municipality=TOWN, kind="staff", ref="r", session_id="s", roles=(role,), office="総合")
    with pytest.raises(Refusal, match="role_missing"):
        async with db.begin(TOWN) as session:
            await open_case(
                session, identity=who, procedure_code="CHI02", channel="counter", idempotency_key=uuid4(),
                behalf="desk", now=NOW,
            )  # fmt: skip
    if role == "helper":
        return
    other = await sign_in(db, new_visitor(), roles=(role,))
    fields = {"behalf": "phone", "channel": "counter", "idempotency_key": new_key()}
    for answer in (
        await other.get("/office/behalf"),
        await other.get("/office/behalf/CHI02"),
        await other.post("/office/behalf/CHI02", fields),
    ):
        assert answer.status_code == httpx.codes.FORBIDDEN
    led = await other.post("/cases", {"procedure": "CHI02", "channel": "counter", "idempotency_key": new_key()})
    assert led.headers["location"] == "/office/behalf/CHI02?channel=counter"


async def test_a_resident_is_led_to_sign_in_and_staff_from_the_residents_page_to_theirs(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    assert (await visitor.get("/office/behalf")).headers["location"].startswith("/sign-in")
    staff = await sign_in(db, new_visitor(), roles=("counter",))
    led = await staff.post("/cases", {"procedure": "CHI02", "channel": "online", "idempotency_key": new_key()})
    page = await staff.get(led.headers["location"])
    assert re.search(r'name="channel" value="online" checked', page.text)
    who = Identity(municipality=TOWN, kind="staff", ref="r", session_id="s", roles=("counter",))
    with pytest.raises(Refusal, match="behalf_unsaid"):
        async with db.begin(TOWN) as session:
            await open_case(
                session, identity=who, procedure_code="CHI02", channel="counter", idempotency_key=uuid4(), now=NOW
            )


@pytest.mark.parametrize(
    ("code", "fields", "said", "kept"),
    [
        ("CHI02", {"channel": "counter"}, "電話か、窓口かを選んでください。", "counter"),
        ("CHI02", {"behalf": "phone"}, "やり方を選んでください。", "phone"),
        ("CHI02", {"behalf": "\x00", "channel": "fax"}, "やり方を選んでください。", ""),
        ("RES02", {"behalf": "desk", "channel": "online"}, "この方法では", "desk"),
        ("NOPE", {"behalf": "desk", "channel": "counter"}, "この手続きは見つかりませ", ""),
        ("あ", {"behalf": "desk", "channel": "counter"}, "この手続きは見つかりませ", ""),
    ],
)
async def test_what_cannot_be_begun_is_said_in_place_with_what_was_chosen(
    db: Database, visitor: Visitor, code: str, fields: dict[str, str], said: str, kept: str
) -> None:
    staff = await sign_in(db, visitor, roles=("counter",))
    answer = await staff.post(f"/office/behalf/{code}", fields | {"idempotency_key": new_key()})
    assert answer.status_code == SEE_OTHER
    page = await staff.get(answer.headers["location"])
    assert page.status_code == OK
    assert said in page.text
    assert not kept or re.search(rf'value="{kept}" checked', page.text)
    assert (await staff.get(f"/office/behalf/{code}", params={"refused": said, "behalf": said})).status_code in (
        OK,
        303,
    )
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(case_file))).all() == []


async def test_sent_twice_it_is_one_case(db: Database, visitor: Visitor) -> None:
    staff = await sign_in(db, visitor, roles=("counter",))
    fields = {"behalf": "desk", "channel": "counter", "idempotency_key": new_key()}
    assert len({(await staff.post("/office/behalf/CHI02", fields)).headers["location"] for _ in range(2)}) == 1


async def test_two_persons_in_a_row_know_nothing_of_one_another(db: Database, visitor: Visitor) -> None:
    """Seen to fail with staff as one subject (`mint_subject` and `_guests_subject` without their guard)."""
    staff = await sign_in(db, visitor, roles=("counter",))
    first = await staff.open_case(behalf="desk")
    await staff.tell(first, name=NAME, kana=KANA, reach="email", email=EMAIL)
    await answer_aloud(staff, first)
    online = await fill_in(staff, behalf="phone", reach="email", name="二宮 次郎")
    for channel in ("counter", "online"):
        case = await staff.open_case(channel=channel, behalf="phone")
        assert (await staff.get(f"{case}/reuse")).headers["location"].startswith(case)
        page = (await staff.get(f"{case}/{'form' if channel == 'online' else 'you'}")).text
        assert not re.search(r'type="(text|email|tel)"[^>]* value="[^"]+"', page)
        assert "autocomplete" in page
        assert set(re.findall(r'autocomplete="(\w+)', page)) == {"off"}
        for of_others in (NAME, KANA, EMAIL, "次郎", "前に教えていただいた"):
            assert of_others not in page
    subjects = [await subject_of(db, path) for path in (first, online)]
    assert len(set(subjects)) == len(subjects)
    assert "お名前のよみがな" in await sentences(db, subjects[0])
    assert "お名前のよみがな" not in await sentences(db, subjects[1])
    assert "まだ記録はありません" in (await staff.get("/my/history")).text


@pytest.mark.parametrize(("behalf", "how"), [("phone", "電話で"), ("desk", "窓口で")])
async def test_what_was_said_to_staff_stands_so_in_the_history(
    db: Database, visitor: Visitor, behalf: str, how: str
) -> None:
    staff = await sign_in(db, visitor, roles=("counter",), office="総合")
    case = await staff.open_case(behalf=behalf)
    await staff.tell(case, name=NAME, kana=KANA, reach="email", email=EMAIL)
    shown = (await staff.get(f"{case}/handover")).text
    assert "本人に読み上げて、答えを押してください" in shown
    answer = await answer_aloud(staff, case, kana="no")
    assert answer.headers["location"] == f"{case}/pass"
    assert BANNERS[behalf] in (await staff.get(f"{case}/pass")).text
    told = await sentences(db, await subject_of(db, case))
    for sentence in (
        f"総合の職員が、{how}うかがった「お名前、お名前のよみがな」を入力しました。",
        f"総合の職員が{how}おたずねしました。",
        f"総合の職員が{how}お伝えしました。",
        f"あなたが{how}認めたので、総合の職員が「お名前」を窓口の予約へわたすことを記録しました。",
        f"あなたが{how}断ったので、総合の職員が「お名前のよみがな」を窓口の予約へわたさないことを記録しました。",
    ):
        assert sentence in told, told
    assert "画面でお見せしました" not in told
    async with db.begin(TOWN) as session:
        deeds = set((await session.execute(select(audit.c.action).where(audit.c.office == "総合"))).scalars())
    assert deeds >= {"open_case", "tell_about_you", "view_handover", "decide_handover", "make_pass"}


async def test_an_application_on_behalf_is_sent_and_leads_to_the_next_person(db: Database, visitor: Visitor) -> None:
    staff = await sign_in(db, visitor, roles=("back_office",))
    case = await fill_in(staff, behalf="phone", reach="none")
    assert "本人に読み上げて" in (await staff.get(f"{case}/check")).text
    number = await apply(staff, behalf="phone", reach="none")
    page = (await staff.get(f"/applications/{number}")).text
    assert "本人に読み上げてください" in page
    assert 'href="/office/behalf"' in page
    assert re.search(r"<strong class=\"slip__number\">\d{6}</strong>", page)
    assert BANNERS["phone"] not in page


async def test_staff_begin_a_plans_procedures_for_somebody_too(db: Database, visitor: Visitor) -> None:
    staff = await sign_in(db, visitor, roles=("counter",))
    path = await make_plan(staff)
    led = await staff.post(f"{path}/begin", {"procedure": "CHI02"})
    assert (led.status_code, led.headers["location"]) == (SEE_OTHER, "/office/behalf/CHI02")
    async with db.begin(TOWN) as session:
        assert (await session.execute(select(case_file))).all() == []


@pytest.mark.parametrize("behalf", ["phone", "desk"])
async def test_staff_begin_several_procedures_for_one_visit_of_somebody(
    db: Database, visitor: Visitor, behalf: str
) -> None:
    staff = await sign_in(db, visitor, roles=("counter",), office="総合")
    assert 'href="/life-events/move-in"' in (await staff.get("/office/behalf")).text
    path = await make_plan(staff)
    chosen = {"procedure": "CHI02 RES02"}
    unsaid = await staff.post(f"{path}/together", chosen)
    assert unsaid.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "電話か、窓口かを選んでください。" in unsaid.text
    begun = await staff.post(f"{path}/together", chosen | {"behalf": behalf})
    case = begun.headers["location"]
    page = (await staff.get(f"{case}/you")).text
    assert BANNERS[behalf] in page
    assert "いっしょに予約する手続き：児童手当の申請" in page
    async with db.begin(TOWN) as session:
        row = (await session.execute(select(case_file.c.behalf, case_file.c.together))).one()
    assert (row.behalf, list(row.together)) == (behalf, ["CHI02"])


async def test_a_full_hall_does_not_keep_staff_from_beginning(db: Database, visitor: Visitor) -> None:
    """Seen to fail with `count_case` for staff, too: one address serves the town hall and everybody in it."""
    staff = await sign_in(db, visitor, roles=("counter",))
    resident = Visitor(visitor.http._transport.app)  # type: ignore[attr-defined]
    tried = [await resident.post("/cases", {"procedure": "NOPE"}) for _ in range(CASES_PER_ADDRESS.amount + 1)]
    assert tried[-1].status_code == httpx.codes.TOO_MANY_REQUESTS
    await staff.open_case(behalf="desk")
    await resident.http.aclose()


async def test_the_key_of_the_form_is_fresh_for_the_next_person(db: Database, visitor: Visitor) -> None:
    staff = await sign_in(db, visitor, roles=("counter",))
    keys = {hidden(await staff.get("/office/behalf/CHI02"), "idempotency_key") for _ in range(2)}
    assert len(keys) == len(("first", "second"))
