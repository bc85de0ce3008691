"""One form for a life event, where its procedures ask under conditions, take files, need a proof and cost something."""

from collections.abc import AsyncIterator, Callable

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from deploy.local.identity_provider import IdentityProvider
from services.routing.app import create_app
from services.routing.commands.catalogue import publish_catalogue
from services.routing.domain.items import Condition
from services.routing.domain.one_form import in_sections, join_forms
from services.routing.domain.town_items import FormGroup, FormItem, ProcedureForm
from services.routing.settings import Settings
from shared.db import Database
from shared.town_pack import TownPack
from shared.town_pack import items as pack_items
from shared.web.middleware import AroundRequest
from tests.routing.applying import SEE_OTHER, hidden
from tests.routing.attaching import attach, attached
from tests.routing.conftest import TestClock, Visitor
from tests.routing.files import make_picture
from tests.routing.filling_together import FORM, agree, begin, cases_of, numbers, send, submit_fields, tell
from tests.routing.makers import HOST, NAME, NOW, TOWN, make_pack
from tests.routing.test_devices import began, make_link
from tests.routing.test_identity import SECRET, prove, with_provider

NewVisitor = Callable[..., Visitor]
OK, UNPROCESSABLE = httpx.codes.OK, httpx.codes.UNPROCESSABLE_ENTITY
TOGETHER = pack_items.Condition(item="child", part="together", one_of=("yes",))
WHOLE = FORM | {"household_head": "吉田 太郎", "employer_name": "二宮製作所", "employer_hours": "平日"}
BOOK = "通帳"


def make_joined_pack(*, card: str = "", required: tuple[str, ...] = ("hours",)) -> TownPack:
    """児童手当 asks for the household if the child lives there, and takes files; 医療証 always asks for it."""
    pack = make_pack()
    changes: dict[str, dict[str, object]] = {
        "CHI02": {
            "items": ("name", "child", "household", "employer", "photos"),
            "attach": ("bankbook",),
        },
        "CHI03": {"items": ("name", "child", "household", "insurance")},
        "TAX01": {"items": ("name", "tax_year", "employer")},
        "ENV02": {"items": ("name",)},
    }
    lines = tuple(msgspec.structs.replace(each, **changes.get(each.code, {})) for each in pack.procedures)
    groups = (
        pack_items.FormGroup(
            ja="お子さん",
            easy="子ども",
            en="Child",
            items=(
                pack_items.FormItem(item="name"),
                pack_items.FormItem(item="child"),
                pack_items.FormItem(item="household", when=TOGETHER),
                pack_items.FormItem(item="employer", required=required),
            ),
        ),
    )
    items = pack_items.ItemsFile(forms=(pack_items.ProcedureForm(procedure="CHI02", groups=groups),))
    (event,) = pack.life_events
    steps = tuple(
        msgspec.structs.replace(event.steps[0], procedure=code, when=[], after=[])
        for code in ("RES02", "CHI02", "CHI03", "TAX01", "ENV02")
    )
    rules = [
        msgspec.structs.replace(rule, identity_step="") for rule in pack.office.procedures if rule.procedure != "CHI02"
    ]
    asked = msgspec.structs.replace(pack.office.procedures[0], procedure="CHI02", identity_step=card, checks=())
    return msgspec.structs.replace(
        pack,
        procedures=lines,
        items=items,
        life_events=(msgspec.structs.replace(event, questions=(), steps=steps),),
        office=msgspec.structs.replace(pack.office, procedures=(*rules, asked)),
    )


async def publish(db: Database, pack: TownPack) -> None:
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, pack, public_url=f"http://{HOST}", now=NOW)


@pytest_asyncio.fixture(autouse=True)
async def joined(db: Database) -> None:
    await publish(db, make_joined_pack())


async def sent_items(db: Database) -> dict[str, set[str]]:
    async with db.begin(TOWN) as session:
        rows = await session.execute(text("SELECT procedure, items FROM application"))
        return {row.procedure: set(row.items) for row in rows}


async def reach_check(visitor: Visitor, plan: str, **changes: str) -> httpx.Response:
    answer = await visitor.post(f"{plan}/form", WHOLE | changes)
    assert answer.status_code == SEE_OTHER, answer.text
    if (await visitor.get(f"{plan}/online")).headers["location"] == f"{plan}/reuse":
        await agree(visitor, plan, "yes")
    await tell(visitor, plan, reach="none")
    return await visitor.get(f"{plan}/check")


# --- forms as data ---


def test_what_depends_on_an_answer_stands_below_it_and_one_that_always_asks_shows_it() -> None:
    when = Condition(item="child", part="together", one_of=("yes",))
    asks = ProcedureForm(
        groups=(
            FormGroup(
                ja="",
                items=(FormItem(item="child"), FormItem(item="household", when=when, required=("members",))),
            ),
        )
    )
    items = ("name", "household", "child", "address")
    alone = join_forms([(asks, items)])
    assert alone.entry("household").conditions == (when,)
    assert in_sections(items, alone) == {
        "person": ("name",),
        "home": ("address",),
        "child": ("child", "household"),
    }
    both = join_forms([(asks, items), (ProcedureForm(), items)])
    assert both.entry("household").conditions == ()
    # Needed if one needs it.
    assert both.entry("household").required == ("members",)
    assert "household" in in_sections(items, both)["home"]


def test_two_procedures_that_let_two_items_wait_for_each_other_still_make_a_page() -> None:
    def form(first: str, second: str) -> ProcedureForm:
        when = Condition(item=first, part="", one_of=("x",))
        other = Condition(item="name", part="", one_of=("y",))
        return ProcedureForm(
            groups=(FormGroup(ja="", items=(FormItem(item=first, when=other), FormItem(item=second, when=when))),)
        )

    items = ("name", "sex", "insurance")
    joined = join_forms([(form("sex", "insurance"), items), (form("insurance", "sex"), items)])
    sections = in_sections(items, joined)
    assert sorted(item for listed in sections.values() for item in listed) == sorted(items)


async def test_what_applies_to_none_of_them_is_not_asked_kept_or_sent(visitor: Visitor, db: Database) -> None:
    plan = await begin(visitor, "CHI02", "TAX01")
    page = await visitor.get(f"{plan}/form")
    assert page.text.index('id="g-child"') < page.text.index('id="g-household"')
    assert 'data-when="child_together"' in page.text
    missing = await visitor.post(f"{plan}/form", WHOLE | {"household_head": "", "employer_hours": ""})
    assert missing.status_code == UNPROCESSABLE
    assert {"#f-household_head", "#f-employer_hours"} <= {part.split('"')[0] for part in missing.text.split('href="')}
    check = await reach_check(visitor, plan, child_together="no", household_head="🙂" * 900)
    assert check.status_code == OK, check.headers
    assert "世帯" not in check.text
    await send(visitor, plan)
    assert await sent_items(db) == {"CHI02": {"name", "child", "employer"}, "TAX01": {"name", "tax_year", "employer"}}
    async with db.begin(TOWN) as session:
        kept = await session.execute(text("SELECT count(*) FROM item WHERE key = 'household'"))
        assert kept.scalar_one() == 0


async def test_what_applies_to_one_is_kept_and_sent_for_that_one_alone(visitor: Visitor, db: Database) -> None:
    """Seen to fail where the first that asks keeps it: it is left out there, and nobody has it."""
    plan = await begin(visitor, "CHI02", "CHI03")
    check = await reach_check(visitor, plan, child_together="no")
    assert check.text.count("吉田 太郎") == 1
    await send(visitor, plan)
    assert await sent_items(db) == {
        "CHI02": {"name", "child", "employer"},
        "CHI03": {"name", "child", "household", "insurance"},
    }


async def test_an_answer_that_changes_asks_for_what_applies_by_it(visitor: Visitor, db: Database) -> None:
    plan = await begin(visitor, "CHI02", "TAX01")
    await reach_check(visitor, plan, child_together="no")
    again = await visitor.post(f"{plan}/form", WHOLE | {"household_head": ""})
    assert again.status_code == UNPROCESSABLE
    check = await reach_check(visitor, plan)
    assert "吉田 太郎" in check.text
    await send(visitor, plan)
    assert "household" in (await sent_items(db))["CHI02"]


# --- files ---


async def test_files_are_put_in_from_the_check_shown_there_and_sent(visitor: Visitor, db: Database) -> None:
    """Seen to fail where a case of the form had a check of its own to go to."""
    plan = await begin(visitor, "CHI02", "TAX01")
    check = await reach_check(visitor, plan)
    case = f"/cases/{(await cases_of(db))['CHI02']}"
    assert f'href="{case}/attachments"' in check.text
    assert "持ってくるか郵便で送る" in check.text
    for item in ("photos", "attached_bankbook"):
        assert (await attach(visitor, case, item=item)).status_code == SEE_OTHER
    page = await visitor.get(f"{case}/attachments")
    assert f'href="{plan}/check"' in page.text
    assert (await visitor.get(f"{case}/check")).headers["location"] == f"{plan}/check"
    check = await visitor.get(f"{plan}/check")
    assert "写真1まい" in check.text
    assert BOOK in check.text
    assert "持ってくるか郵便で送る" not in check.text
    await send(visitor, plan)
    assert (await sent_items(db))["CHI02"] >= {"photos", "attached_bankbook"}
    receipt = await visitor.get(f"{plan}/sent")
    assert (receipt.status_code, "写真1まい" in receipt.text) == (OK, True)
    data = await visitor.get("/my/data")
    assert data.text.count(f'href="{case}/attachments/') == 2
    link = data.text.split(f'href="{case}/attachments/')[1].split('"')[0]
    assert (await visitor.get(f"{case}/attachments/{link}")).headers["content-type"] == "image/jpeg"


async def test_a_file_that_was_exchanged_since_the_check_is_shown_first(visitor: Visitor, db: Database) -> None:
    """Seen to fail without the versions that were shown, in `submit_application`."""
    plan = await begin(visitor, "CHI02", "TAX01")
    await reach_check(visitor, plan)
    case = f"/cases/{(await cases_of(db))['CHI02']}"
    await attach(visitor, case)
    fields = await submit_fields(visitor, plan)
    (file,) = await attached(visitor, case)
    await attach(visitor, case, make_picture(color="blue"), replace=file.rpartition("/")[2])
    assert (await visitor.post(f"{plan}/submit", fields)).status_code == httpx.codes.CONFLICT
    assert await numbers(db) == {}


async def test_files_of_an_earlier_case_are_offered_to_the_form_by_their_names(visitor: Visitor, db: Database) -> None:
    """Seen to fail where the page left them out: they were open questions that no page asked."""
    first = await begin(visitor, "CHI02", "TAX01")
    await reach_check(visitor, first)
    await attach(visitor, f"/cases/{(await cases_of(db))['CHI02']}", item="attached_bankbook")
    await send(visitor, first)
    plan = await begin(visitor, "CHI02", "TAX01")
    offered = await visitor.get(f"{plan}/reuse")
    assert BOOK in offered.text
    answer = await agree(visitor, plan, "yes")
    assert answer.headers["location"] == f"{plan}/online"
    assert not (await visitor.get(f"{plan}/online")).headers["location"].endswith("/reuse")


# --- the fee ---


async def test_each_fee_and_the_sum_stand_on_the_check_and_on_the_receipt(visitor: Visitor) -> None:
    plan = await begin(visitor, "TAX01", "ENV02", "CHI03")
    check = await reach_check(visitor, plan)
    await send(visitor, plan)
    for page in (check, await visitor.get(f"{plan}/sent")):
        assert "手数料：300円" in page.text
        assert "手数料：500円" in page.text
        assert "手数料：手数料はかかりません。" in page.text
        assert "ぜんぶで 800円" in page.text


# --- another device ---


async def test_at_another_device_one_of_them_goes_on_by_itself(
    visitor: Visitor, new_visitor: NewVisitor, db: Database
) -> None:
    plan = await begin(visitor, "CHI02", "TAX01")
    await reach_check(visitor, plan)
    cases = await cases_of(db)
    case = f"/cases/{cases['CHI02']}"
    await attach(visitor, case)
    (file,) = await attached(visitor, case)
    link, _number, _code = await make_link(visitor, case)
    assert "ひとつの用紙に書いている、ほかの手続きは" in (await visitor.get(f"{case}/device")).text
    other = await began(new_visitor, case, link)
    # This case with its files, exchanged there too, and no other.
    assert (await other.get(file)).status_code == OK
    assert (await attach(other, case, replace=file.rpartition("/")[2])).status_code == SEE_OTHER
    assert (await other.get(f"{case}/check")).status_code == OK
    for path in (f"{plan}/check", f"/cases/{cases['TAX01']}/form", f"/cases/{cases['TAX01']}/attachments"):
        assert (await other.get(path)).status_code == httpx.codes.NOT_FOUND, path
    assert (await attach(other, f"/cases/{cases['TAX01']}")).status_code == httpx.codes.NOT_FOUND
    assert (await attach(new_visitor(), case)).status_code != SEE_OTHER
    page = await other.get(f"{case}/check")
    fields = {name: hidden(page, name) for name in ("idempotency_key", "shown")}
    assert (await other.post(f"{case}/submit", fields)).headers["location"].startswith("/applications/")
    # What is left is sent where it was begun.
    await visitor.get(f"{plan}/online")
    assert "CHI02" in await numbers(db)
    assert (await other.get(file)).status_code == httpx.codes.NOT_FOUND


# --- a town that asks for more meanwhile ---


async def test_what_the_town_needs_by_now_is_asked_for_before_anything_is_sent(visitor: Visitor, db: Database) -> None:
    """Seen to fail without the fresh look in `submit_application`: for five seconds it was sent without."""
    await publish(db, make_joined_pack(required=()))
    plan = await begin(visitor, "CHI02", "TAX01")
    check = await visitor.post(f"{plan}/form", WHOLE | {"employer_hours": ""})
    assert check.status_code == SEE_OTHER, check.text
    await agree(visitor, plan, "yes")
    await tell(visitor, plan, reach="none")
    fields = await submit_fields(visitor, plan)
    await publish(db, make_joined_pack())
    # This process has not read it yet.
    answer = await visitor.post(f"{plan}/submit", fields)
    assert answer.status_code == httpx.codes.CONFLICT, answer.headers
    assert "まだ書いていないことがあります" in answer.text
    assert await numbers(db) == {}


# --- the identity step ---


@pytest_asyncio.fixture
async def provider(clock: TestClock) -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider(secret=SECRET, clock=clock) as running:
        yield running


@pytest.fixture
def carded(settings: Settings, clock: TestClock, db: Database, provider: IdentityProvider) -> AroundRequest:
    """The application, in a town that asks for the identity step before 児童手当."""
    return create_app(with_provider(settings, provider.issuer), clock=clock, db=db)


async def test_all_wait_for_the_one_that_needs_a_proof_and_nothing_is_lost(
    carded: AroundRequest, provider: IdentityProvider, db: Database
) -> None:
    """Seen to fail without `is_proven` in `submit_application`: the database's guard stopped it with a 500."""
    await publish(db, make_joined_pack())
    visitor = Visitor(carded)
    await visitor.open_case("ENV02", "online")
    plan = await begin(visitor, "CHI02", "TAX01")
    await reach_check(visitor, plan)
    fields = await submit_fields(visitor, plan)
    await publish(db, make_joined_pack(card="card"))
    case = f"/cases/{(await cases_of(db))['CHI02']}"
    check = await visitor.get(f"{plan}/check")
    assert f'href="{case}/identity"' in check.text
    assert f'action="{plan}/submit"' not in check.text
    refused = await visitor.post(f"{plan}/submit", fields)
    assert refused.headers["location"] == f"{plan}/check"
    assert await numbers(db) == {}
    assert NAME in (await visitor.get(f"{plan}/check")).text
    # The proof is for what is attached, too: whatever is exchanged after it is proven anew.
    await attach(visitor, case)
    assert (await prove(visitor, provider, case)).headers["location"] == f"{plan}/check"
    fields = await submit_fields(visitor, plan)
    (file,) = await attached(visitor, case)
    await attach(visitor, case, make_picture(color="blue"), replace=file.rpartition("/")[2])
    check = await visitor.get(f"{plan}/check")
    assert f'href="{case}/identity"' in check.text
    assert (await visitor.post(f"{plan}/submit", fields)).status_code == httpx.codes.CONFLICT
    with pytest.raises(IntegrityError, match="nobody has said who sends this"):
        await send_behind_our_back(db, (await cases_of(db))["CHI02"])
    await prove(visitor, provider, case)
    assert "本人確認ができました" in (await visitor.get(f"{plan}/check")).text
    assert (await send(visitor, plan)).headers["location"] == f"{plan}/sent"
    assert "photos" in (await sent_items(db))["CHI02"]
    async with db.begin(TOWN) as session:
        proven = await session.execute(
            text("SELECT count(*) FROM identity_proof p JOIN application a USING (case_id) WHERE p.items = a.items")
        )
        assert proven.scalar_one() == 1
    await visitor.http.aclose()


async def send_behind_our_back(db: Database, case: object) -> None:
    """An application with the newest versions of everything, the file that was exchanged among it."""
    async with db.begin(TOWN) as session:
        await session.execute(
            text("""
                INSERT INTO application (municipality, application_id, number, case_id, procedure, office, subject_ref,
                    guest_ref, state, version, items, submit_key, submitted_at, changed_at, due_at, two_persons)
                SELECT c.municipality, gen_random_uuid(), '2345678923', c.case_id, c.procedure, '子育て', c.subject_ref,
                    c.guest_ref, 'submitted', 1, p.items || jsonb_build_object('photos', (
                        SELECT max(i.version) FROM item i WHERE i.subject_ref = c.subject_ref AND i.key = 'photos')),
                    gen_random_uuid(), p.proven_at, p.proven_at, NULL, false
                FROM case_file c JOIN identity_proof p USING (municipality, case_id) WHERE c.case_id = :case
            """),
            {"case": case},
        )
