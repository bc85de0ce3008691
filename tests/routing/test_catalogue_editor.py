# ruff: noqa: F811 -- fixtures of editing.py
"""`/office/catalogue`: what managers fill in is what the files say; seen by nobody before it is published."""

import ast
import asyncio
import inspect
import re
from collections.abc import Callable

import httpx
import msgspec
import pytest
from sqlalchemy import select, text

from services.routing.commands.catalogue import publish_catalogue
from services.routing.pages.catalogue_fields import NOT_HERE, look_of, usual_values
from services.routing.pages.catalogue_preview import preview
from services.routing.pages.catalogue_problems import is_known
from services.routing.pages.catalogue_wording import KIND_NAMES, LABELS
from services.routing.queries.packs import find_pack
from services.routing.tables import catalogue
from shared.db import Database
from shared.town_pack import checking, checking_items, checking_templates, checking_texts, read_files
from shared.town_pack.problems import Flaw
from shared.town_pack.reading import examine_files
from shared.town_pack.records import KINDS, fields_of, find_record, values_of
from shared.web.town import Town
from tests.routing.applying import sign_in
from tests.routing.conftest import Visitor
from tests.routing.editing import (
    CONFLICT,
    FILES,
    NOT_FOUND,
    OK,
    PATH,
    SEE_OTHER,
    WRONG,
    Loaded,
    draft_of,
    filled,
    load,  # noqa: F401  a fixture
    manager,  # noqa: F401  a fixture
    save,
    send,
    undo,
)
from tests.routing.makers import HOST, NOW, TOWN, make_pack
from tests.shared.test_town_pack_records import PACKS, records

# What residents' pages are made of, and what others are told.
SHOWN = ("procedure", "catalogue", "life_event", "counter", "office_rule", "outbox")

# Files that the small pack of the tests does without.
OPTIONAL = ("items.toml", "templates.toml")
CHECKS = (checking, checking_items, checking_templates, checking_texts)


def test_every_field_of_the_schema_has_an_input_and_words() -> None:
    """A new field without an editor is told here, and so is a kind of record."""
    assert KINDS.keys() == KIND_NAMES.keys()
    for kind in KINDS.values():
        usual_values(kind)
        for field in fields_of(kind):
            assert look_of(kind, field)
            assert LABELS.get(f"{kind.name}.{field.name}") or LABELS.get(field.name), f"{kind.name}.{field.name}"


def test_every_check_of_a_pack_has_words_here() -> None:
    """What checks can say is looked up by its own text: a new check without Japanese words is told here."""
    tree = ast.parse("\n".join(map(inspect.getsource, CHECKS)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Flaw":
            scope = next(
                each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and node in ast.walk(each)
            )
            texts = {
                line.targets[0].id: line.value
                for line in ast.walk(scope)
                if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
            }
            said = node.args[2]
            said = texts[said.id] if isinstance(said, ast.Name) else said
            sample = eval_text(said)
            assert is_known(Flaw("", (), sample, "")), sample


def eval_text(node: ast.expr) -> str:
    """A text as it may be, with a 1 for everything that is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values)
    assert isinstance(node, ast.Constant)
    return str(node.value)


@pytest.mark.parametrize("folder", ["deploy/towns/ninomiya", "deploy/towns/hoshimi"])
async def test_every_form_sent_untouched_changes_nothing(
    db: Database, manager: Visitor, load: Loaded, folder: str
) -> None:
    await load(PACKS[folder])
    for kind, key, parent, _record in records(read_files(PACKS[folder])):
        path = f"{PATH}/{kind.name}/edit"
        page = await manager.get(path, params={"key": key, "parent": parent})
        answer = await send(manager, path, filled(page))
        assert answer.status_code == SEE_OTHER, (kind.name, key, answer.text)
        assert not (await draft_of(db)).is_changed, (kind.name, key)


CHANGES = {
    "yes_no": "no", "number": "7", "time": "10:10", "date": "2027-01-05", "text": "ちがうこと", "lines": "31",
    "long_text": "ちがうこと",
}  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        ("tests/routing/pack", [kind.name for kind in KINDS.values() if kind.file not in OPTIONAL]),
        ("deploy/towns/hoshimi", [kind.name for kind in KINDS.values() if kind.file in OPTIONAL]),
    ],
)
async def test_every_field_that_is_filled_in_is_what_the_files_say(
    db: Database, manager: Visitor, load: Loaded, folder: str, kinds: list[str]
) -> None:
    """Each field by itself, from the page into the file: only that one is different afterwards."""
    await load(PACKS[folder])
    pack = read_files(PACKS[folder])
    done: set[tuple[str, str]] = set()
    wanted = [found for found in records(pack) if found[0].name in kinds]
    for kind, key, parent, record in wanted:
        page = await manager.get(f"{PATH}/{kind.name}/edit", params={"key": key, "parent": parent})
        for field in fields_of(kind):
            look = look_of(kind, field)
            name, old = f"v_{field.name}", getattr(record, field.name)
            if (kind.name, field.name) in NOT_HERE | done or field.name == kind.key:
                continue
            fields = filled(page) | {"deed": ["save"]}
            if f'name="{name}' not in page.text:
                # Nothing can be chosen here.
                continue
            options = re.findall(rf'name="{name}(?:_1|_one_of)?"[^>]*value="([^"]+)"', page.text)
            if look in ("choice", "ordered"):
                at = re.search(rf'<select[^>]*name="{name}(?:_1)?"[^>]*>(.*?)</select>', page.text, re.DOTALL)
                options = re.findall(r'value="([^"]+)"', at[1]) if at else []
            if look == "choices":
                fields[name] = [each for each in options if each not in fields.get(name, [])][:1] or options[:1]
            elif look == "condition":
                fields[name] = [] if old else [""]
                fields[f"{name}_one_of"] = options[:1] if not old else []
            elif look == "ordered":
                fields[f"{name}_1"] = [next(each for each in options if [each] not in fields.values())]
            elif look == "choice":
                fields[name] = [next(each for each in [*options, ""] if [each] != fields[name])]
            else:
                few = {"every_weeks": "3", "identity_step": "sample", "postal_example": "123-4567"}.get(
                    field.name, CHANGES[look]
                )
                fields[name] = ["yes" if look == "yes_no" and not old else few]
                fields.pop(f"{name}_unsaid", None)
            answer = await manager.post(f"{PATH}/{kind.name}/edit", fields)  # type: ignore[arg-type]
            assert answer.status_code == SEE_OTHER, (kind.name, field.name, answer.text)
            read, _flaws = examine_files((await draft_of(db)).files)
            assert read is not None
            became = values_of(kind, find_record(read, kind, key, parent))
            different = [each for each in became if became[each] != values_of(kind, record)[each]]
            assert different in ([field.name], []), (kind.name, field.name, different)
            if different:
                done.add((kind.name, field.name))
                await undo(manager, db)
            assert not (await draft_of(db)).is_changed
    everything = {(kind.name, field.name) for kind, *_ in wanted for field in fields_of(kind)}
    assert everything - done - NOT_HERE - {(kind.name, kind.key) for kind in KINDS.values()} == set()


async def test_a_change_is_told_undone_and_done_again(db: Database, manager: Visitor) -> None:
    answer = await save(manager, f"{PATH}/procedure/edit?key=RES01", v_fee_yen="350")
    assert answer.status_code == SEE_OTHER
    changed = FILES["procedures.csv"].replace("yes,yes,10,300,name|birth", "yes,yes,10,350,name|birth")
    assert dict((await draft_of(db)).files) == FILES | {"procedures.csv": changed}
    history = await manager.get(f"{PATH}/history")
    assert "手続き 住民票の写し RES01" in history.text
    assert "手数料（円）：300 → 350" in history.text
    await undo(manager, db)
    assert not (await draft_of(db)).is_changed
    again = await manager.post(f"{PATH}/history", {"deed": "undo", "seen": "99"})
    assert again.status_code == CONFLICT, "draft_moved"
    await undo(manager, db, "redo")
    assert (await draft_of(db)).files["procedures.csv"] == changed
    # Back to what was published, and that can be undone, too.
    assert (await manager.post(f"{PATH}/history", {"deed": "back", "version": "1"})).status_code == SEE_OTHER
    assert not (await draft_of(db)).is_changed
    await undo(manager, db)
    assert (await draft_of(db)).files["procedures.csv"] == changed
    assert (await manager.post(f"{PATH}/history", {"deed": "back", "version": "9"})).status_code == NOT_FOUND
    assert (await manager.post(f"{PATH}/history", {"deed": "x"})).status_code == httpx.codes.BAD_REQUEST


async def test_what_does_not_fit_is_not_saved_and_said_at_its_field(db: Database, manager: Visitor) -> None:
    answer = await save(manager, f"{PATH}/procedure/edit?key=RES01", v_fee_yen="たくさん", v_name_ja="のこる名前")
    assert answer.status_code == WRONG
    assert "0から1000000までの数字で入力してください。" in answer.text
    assert 'href="#f-v_fee_yen"' in answer.text
    assert 'value="たくさん"' in answer.text
    assert 'value="のこる名前"' in answer.text
    assert not (await draft_of(db)).is_changed
    taken = await save(manager, f"{PATH}/procedure/edit?key=RES01", v_code="RES02")
    assert taken.status_code == WRONG
    assert "もう使われています" in taken.text


async def test_what_contradicts_itself_is_saved_told_at_its_field_and_not_published(
    db: Database, manager: Visitor
) -> None:
    answer = await save(manager, f"{PATH}/opening/edit?key=0", v_closes_at="07:00")
    assert answer.headers["location"] == f"{PATH}/opening/edit?key=0"
    page = await manager.get(answer.headers["location"])
    assert re.search(r'id="f-v_closes_at-error".*?終わる時刻が、はじまる時刻より前です。', page.text, re.DOTALL)
    home = await manager.get(PATH)
    assert "なおすところが1か所あります" in home.text
    assert f'href="{PATH}/opening/edit?key=0#f-v_closes_at"' in home.text
    assert (await manager.get(f"{PATH}/preview")).status_code == CONFLICT
    seen = (await draft_of(db)).save
    order = await manager.post(f"{PATH}/publish", {"deed": "publish", "seen": str(seen), "base": "1"})
    assert order.status_code == WRONG, "draft_wrong"
    assert "町の人に公開する" not in (await manager.get(f"{PATH}/publish")).text


async def test_of_two_editors_the_second_is_told_and_loses_nothing(
    db: Database, manager: Visitor, new_visitor: Callable[..., Visitor]
) -> None:
    """Seen to fail without the comparison with what was seen: the first one's change was overwritten."""
    other = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    path = f"{PATH}/procedure/edit?key=RES01"
    mine, theirs = filled(await manager.get(path)), filled(await other.get(path))
    first = await send(other, path, theirs | {"v_fee_yen": ["400"], "v_kana": ["カナ"]})
    assert first.status_code == SEE_OTHER
    second = await send(manager, path, mine | {"v_counter_minutes": ["25"], "v_kana": ["べつ"]})
    assert second.status_code == CONFLICT
    assert "手数料（円）：300 → 400" in second.text
    assert "読み（カタカナ）：ジュウミンヒョウノウツシ → カナ（あなたの入力：べつ）" in second.text
    both = filled(second)
    assert (both["v_fee_yen"], both["v_counter_minutes"], both["v_kana"]) == (["400"], ["25"], ["べつ"])
    assert (await send(manager, path, both)).status_code == SEE_OTHER
    pack, _ = examine_files((await draft_of(db)).files)
    assert pack is not None
    line = pack.procedures[0]
    assert (line.fee_yen, line.counter_minutes, line.kana) == (400, 25, "べつ")
    # Another record is nobody's conflict; one that was taken out is told.
    counter = filled(await manager.get(f"{PATH}/counter/edit?key=9"))
    assert (await save(other, f"{PATH}/thing/edit?key=bankbook", v_en="Bank book")).status_code == SEE_OTHER
    assert (await send(manager, f"{PATH}/counter/edit", counter | {"v_places": ["3"]})).status_code == SEE_OTHER
    counter = filled(await manager.get(f"{PATH}/counter/edit?key=9"))
    assert (await save(other, f"{PATH}/counter/edit?key=9", "remove")).status_code == SEE_OTHER
    gone = await send(manager, f"{PATH}/counter/edit", counter | {"v_places": ["4"]})
    assert gone.status_code == CONFLICT
    assert "ほかの人が、先に消しました" in gone.text
    assert (await send(manager, f"{PATH}/counter/edit", filled(gone))).status_code == SEE_OTHER
    assert 'code = "9"' in (await draft_of(db)).files["town.toml"]


async def test_two_saves_at_once_are_both_kept(
    db: Database, manager: Visitor, new_visitor: Callable[..., Visitor]
) -> None:
    """Seen to fail without the lock: one of them was lost."""
    other = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    await asyncio.gather(
        *(
            save(who, f"{PATH}/procedure/edit?key={code}", v_fee_yen=fee)
            for who, code, fee in ((manager, "RES01", "311"), (other, "TAX01", "322"), (manager, "CHI02", "333"))
        )
    )
    pack, _ = examine_files((await draft_of(db)).files)
    assert pack is not None
    assert {line.fee_yen for line in pack.procedures} >= {311, 322, 333}


async def test_records_are_added_moved_and_taken_out(db: Database, manager: Visitor) -> None:
    new = f"{PATH}/event/edit?new=1"
    bare = await save(manager, new, v_code="birth", v_name_ja="出生", v_intro_ja="生まれたとき", v_steps_procedure="")
    assert bare.status_code == WRONG
    added = await save(
        manager, new, v_code="birth", v_name_ja="出生", v_intro_ja="生まれたとき", v_steps_procedure="CHI02"
    )
    assert added.headers["location"] == f"{PATH}/event/edit?key=birth"
    step = await save(manager, f"{PATH}/step/edit?new=1&parent=birth", v_procedure="CHI03", v_after=["CHI02"])
    assert step.status_code == SEE_OTHER
    question = await save(manager, f"{PATH}/question/edit?new=1&parent=birth", v_code="many", v_text_ja="2人目ですか")
    assert question.headers["location"] == f"{PATH}/event/edit?key=birth"
    page = await manager.get(f"{PATH}/event/edit?key=birth")
    assert [*re.findall(r'href="/office/catalogue/(\w+)/edit\?key=(\w+)&amp;parent=birth"', page.text)] == [
        ("question", "many"), ("step", "CHI02"), ("step", "CHI03"),
    ]  # fmt: skip
    wrong_way = await manager.post(
        f"{PATH}/step/edit", {"key": "CHI03", "parent": "birth", "deed": "raise", "seen": (await draft_of(db)).content}
    )
    assert wrong_way.status_code == SEE_OTHER
    assert "ならべかえてください" in (await manager.get(PATH)).text
    assert (await save(manager, f"{PATH}/event/edit?key=birth", "remove")).status_code == SEE_OTHER
    assert examine_files((await draft_of(db)).files)[0] == read_files(FILES)
    for nowhere in ("/none", "/step", "/town", "/none/edit?key=x", "/counter/edit?key=x", "/step/edit?new=1&parent=x"):
        assert (await manager.get(PATH + nowhere)).status_code == NOT_FOUND, nowhere


async def test_a_preview_shows_the_draft_and_the_site_does_not(
    db: Database, manager: Visitor, visitor: Visitor
) -> None:
    """Nothing of it stays: seen to fail when the transaction of a preview is not undone."""
    await save(manager, f"{PATH}/procedure/edit?key=RES01", v_name_ja="新しい住民票", v_fee_yen="777")
    await save(manager, f"{PATH}/event/edit?key=move-in", v_name_ja="お引っ越し")
    before = await everything(db)
    preview = f"{PATH}/preview"
    for path, said in (
        ("", "新しい住民票"),
        ("/search?q=住民票", "新しい住民票"),
        ("/procedures/RES01", "777円"),
        ("/life-events/move-in", "お引っ越し"),
    ):
        page = await manager.get(preview + path)
        assert page.status_code == OK
        assert said in page.text
        assert "見本（まだ公開していません）" in page.text
        public = await visitor.get(path or "/")
        assert said not in public.text
        links = re.findall(r'<a\b[^>]*href="(/[^"]*)"', page.text)
        assert all(link.startswith((preview, PATH, "/language?")) for link in links), links
        assert 'method="post"' not in page.text
        assert not re.search(r'<button class="button[^>]*type="submit"(?![^>]*disabled)[^>]*>', page.text) or path in (
            "", "/search?q=住民票",
        )  # fmt: skip
    assert (await manager.get(f"{preview}/procedures/NONE")).status_code == NOT_FOUND
    assert (await manager.get(f"{preview}/life-events/none")).status_code == NOT_FOUND
    english = await manager.get(f"{preview}/procedures/CHI02", headers={"cookie": ""})
    assert english.status_code != OK, "without the manager's session there is none"
    assert await everything(db) == before


async def everything(db: Database) -> list[str]:
    async with db.begin(TOWN) as session:
        found = await session.execute(
            text(" UNION ALL ".join(f"SELECT CAST(t.* AS text) FROM {table} t" for table in SHOWN))
        )
        return sorted(found.scalars())


async def test_the_office_and_the_minutes_are_what_the_pack_says(
    db: Database, manager: Visitor, visitor: Visitor
) -> None:
    await save(manager, f"{PATH}/channels/edit", v_online_base_min="31", v_online_per_item_min="0")
    names = {line.office for line in read_files(FILES).procedures}
    for name in sorted(names):
        saved = await save(manager, f"{PATH}/desk/edit?new=1", v_name_ja=name, v_phone="0463-71-9999", v_mail="")
        assert saved.status_code == SEE_OTHER
    pack = read_files((await draft_of(db)).files)
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, pack, public_url=f"http://{HOST}", now=NOW)
    page = await visitor.get("/procedures/CHI02")
    assert "わからないときは：子育て（電話 0463-71-9999）" in page.text
    assert "31分" in page.text


async def test_nobody_waits_for_a_preview_and_a_preview_for_nobody(db: Database, manager: Visitor) -> None:
    """Seen to fail without `cover_catalogue`: each waited for the other's rows until the time of a lock was over."""
    await save(manager, f"{PATH}/procedure/edit?key=RES01", v_name_ja="新しい住民票")
    pack = make_pack()
    anew = msgspec.structs.replace(pack, town=msgspec.structs.replace(pack.town, phone="0463-00-0000"))
    # A publication that is not finished.
    async with db.begin(TOWN) as publishing:
        await publish_catalogue(publishing, anew, public_url=f"http://{HOST}", now=NOW)
        page = await manager.get(f"{PATH}/preview")
        assert "新しい住民票" in page.text
    # A preview that is not finished.
    told = select(catalogue.c.town_phone)
    async with preview(db, Town(TOWN, pack.town.name_ja), pack, NOW) as (session, _catalogues):
        async with db.begin(TOWN) as publishing:
            again = msgspec.structs.replace(pack, town=msgspec.structs.replace(pack.town, phone="0463-00-0001"))
            await publish_catalogue(publishing, again, public_url=f"http://{HOST}", now=NOW)
        assert (await session.execute(told)).scalar_one() == pack.town.phone
    async with db.begin(TOWN) as session:
        assert (await session.execute(told)).scalar_one() == "0463-00-0001"


async def test_only_managers_edit_and_preview(
    db: Database, manager: Visitor, visitor: Visitor, new_visitor: Callable[..., Visitor]
) -> None:
    staff = await sign_in(db, new_visitor())
    for who in (visitor, staff):
        for path in ("", "/procedure", "/procedure/edit?key=RES01", "/history", "/publish", "/preview",
                     "/preview/search", "/preview/procedures/RES01", "/preview/life-events/move-in",
                     "/preview/forms/RES01"):  # fmt: skip
            assert (await who.get(PATH + path)).status_code != OK, path
    for path in ("/procedure/edit", "/history", "/publish"):
        assert (await staff.post(PATH + path, {"deed": "undo"})).status_code == httpx.codes.FORBIDDEN
    assert "/office/catalogue" not in (await staff.get("/office")).text
    assert "/office/catalogue" in (await manager.get("/office")).text


async def test_files_that_are_loaded_meanwhile_are_told_and_merged(
    db: Database, manager: Visitor, load: Loaded
) -> None:
    await save(manager, f"{PATH}/procedure/edit?key=RES01", v_fee_yen="350", v_kana="カナ")
    await save(
        manager, f"{PATH}/closure/edit?new=1", v_first_day="2027-01-04", v_last_day="2027-01-05", v_reason_ja="点検"
    )
    meanwhile = dict(FILES)
    meanwhile["procedures.csv"] = (
        FILES["procedures.csv"]
        .replace(",10,300,name|birth", ",12,300,name|birth")
        .replace("ジュウミンヒョウノウツシ", "ジュウミンヒョウ")
    )
    meanwhile["town.toml"] = FILES["town.toml"].replace('name_ja = "証明"', 'name_ja = "証明の窓口"') + "# The last.\n"
    await load(meanwhile)
    assert "べつのファイルが読みこまれました（版2）" in (await manager.get(PATH)).text
    assert "名前：証明 → 証明の窓口" in (await manager.get(f"{PATH}/history")).text
    order = {"deed": "publish", "seen": str((await draft_of(db)).save), "base": "1"}
    assert (await manager.post(f"{PATH}/publish", order)).status_code == CONFLICT, "draft_moved"
    told = await manager.post(f"{PATH}/history", {"deed": "merge"})
    assert "RES01 読み（カタカナ）：ファイルは「ジュウミンヒョウ」、ここでの変更は「カナ」" in told.text
    draft = await draft_of(db)
    pack = read_files(draft.files)
    line = pack.procedures[0]
    assert (line.fee_yen, line.counter_minutes, line.kana) == (350, 12, "カナ")
    assert pack.counters[0].name_ja == "証明の窓口"
    assert [closure.reason_ja for closure in pack.closures] == ["点検"]
    assert "# The last." in draft.files["town.toml"]
    assert (draft.base, draft.is_overtaken) == (2, False)


async def test_an_order_waits_for_the_publisher_and_can_be_called_off(db: Database, manager: Visitor) -> None:
    order = {"deed": "publish", "seen": "0", "base": "1"}
    assert (await manager.post(f"{PATH}/publish", order)).status_code == CONFLICT, "nothing_to_publish"
    await save(manager, f"{PATH}/procedure/edit?key=RES01", v_fee_yen="350")
    page = await manager.get(f"{PATH}/publish")
    assert "手数料（円）：300 → 350" in page.text
    order = {name: re.findall(rf'name="{name}" value="(\d+)"', page.text)[0] for name in ("seen", "base")}
    assert (await manager.post(f"{PATH}/publish", order)).status_code == SEE_OTHER
    again = await manager.post(f"{PATH}/publish", order)
    assert again.status_code == CONFLICT, "publication_waits"
    assert "公開を待っています" in (await manager.get(f"{PATH}/publish")).text
    assert (await manager.post(f"{PATH}/publish", {"deed": "call_off"})).status_code == SEE_OTHER
    assert "公開を取りやめました" in (await manager.get(PATH)).text
    await save(manager, f"{PATH}/procedure/edit?key=RES01", v_fee_yen="360")
    assert (await manager.post(f"{PATH}/publish", order)).status_code == CONFLICT, "draft_moved"
    async with db.begin(TOWN) as session:
        deeds = (await session.execute(text("SELECT action FROM audit ORDER BY occurred_at, action"))).scalars()
        assert {"pack_edit", "order_publication", "call_off_publication"} <= set(deeds)


async def test_without_files_there_is_nothing_to_edit(db: Database, new_visitor: Callable[..., Visitor]) -> None:
    manager = await sign_in(db, new_visitor(HOST), roles=("manager",), office=None)
    async with db.begin(TOWN) as session:
        assert await find_pack(session, TOWN) is None
    answer = await manager.get(PATH)
    assert answer.status_code == CONFLICT, "pack_missing"
    assert "町の設定ファイルが、まだ読みこまれていません" in answer.text
