# ruff: noqa: F811 -- fixtures of editing.py
"""What stands in one another in a pack (items, their fields and choices, forms) is edited like everything else."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from services.routing.commands.catalogue import publish_catalogue
from shared.db import Database
from shared.town_pack import TownPack, read_files
from shared.town_pack.items import Condition
from shared.town_pack.merging import merge_packs
from shared.town_pack.reading import examine_files
from shared.town_pack.records import KINDS, add_record, change_record, find_record, path_in, remove_record
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
from tests.routing.makers import HOST, NOW, TOWN
from tests.shared.test_town_pack_records import PACKS

HOSHIMI = PACKS["deploy/towns/hoshimi"]
WORDS = {"v_ja": "ことば", "v_easy": "ことば", "v_en": "Words"}
FIRST_PART = {"v_parts_kind": "choice", "v_parts_ja": "ありますか", "v_parts_easy": "ありますか", "v_parts_en": "Any?"}


def at(kind: str, **query: str) -> str:
    return f"{PATH}/{kind}/edit?{urlencode(query)}"


async def pack_of(db: Database) -> TownPack:
    pack, _flaws = examine_files((await draft_of(db)).files)
    assert pack is not None
    return pack


async def add(manager: Visitor, kind: str, parent: str = "", **fields: str) -> str:
    answer = await save(manager, at(kind, new="1", parent=parent), **fields)
    assert answer.status_code == SEE_OTHER, answer.text
    return answer.headers["location"]


async def test_an_item_is_made_on_pages_with_all_that_stands_in_it(db: Database, manager: Visitor) -> None:
    assert "templates.toml" not in FILES
    assert "items.toml" not in FILES
    bare = await save(manager, at("item", new="1"), v_code="town_pet", **WORDS)
    assert bare.status_code == WRONG, "an item without a field asks for nothing"
    assert 'href="#f-v_parts_ja"' in bare.text
    await add(manager, "item", v_code="town_pet", **WORDS, **FIRST_PART)
    part = path_in("town_pet", "")
    assert "選択肢を、2つ以上足してください。" in (await manager.get(at("part", parent="town_pet"))).text
    named = await save(manager, at("part", parent="town_pet"), v_name="has")
    assert named.status_code == SEE_OTHER
    part = path_in("town_pet", "has")
    for code in ("yes", "no"):
        await add(manager, "choice", part, v_code=code, **WORDS | {"v_ja": f"選択肢{code}"})
    # What is asked of each dog, three lists deep; asked for only when there are any.
    many = {"v_name": "dogs", "v_kind": "things", "v_when_one_of": "/has/yes"}
    await add(manager, "part", "town_pet", **many, **WORDS)
    dogs = path_in("town_pet", "dogs")
    size = {"v_name": "size", "v_kind": "choice"}
    assert await add(manager, "own", dogs, **size, **WORDS) == at("own", key="size", parent=dogs)
    for code in ("big", "small"):
        await add(manager, "own_choice", path_in(dogs, "size"), v_code=code, **WORDS | {"v_ja": f"大きさ{code}"})
    [item] = (await pack_of(db)).items.items
    assert [part.name for part in item.parts] == ["has", "dogs"]
    assert item.parts[1].when == Condition(part="has", one_of=("yes",))
    assert [choice.code for choice in item.parts[1].each[0].choices] == ["big", "small"]
    # One step back, and on.
    await undo(manager, db)
    assert len((await pack_of(db)).items.items[0].parts[1].each[0].choices) == 1
    await undo(manager, db, "redo")
    history = (await manager.get(f"{PATH}/history")).text
    assert "選択肢 大きさsmall town_pet/dogs/size/small" in history
    # Up, out, and with all that it has in it.
    seen = (await draft_of(db)).content
    fields = {"key": "small", "parent": path_in(dogs, "size"), "seen": seen}
    assert (await manager.post(f"{PATH}/own_choice/edit", fields | {"deed": "raise"})).status_code == SEE_OTHER
    assert (await pack_of(db)).items.items[0].parts[1].each[0].choices[0].code == "small"
    assert (await save(manager, at("item", key="town_pet"), "remove")).status_code == SEE_OTHER
    assert (await pack_of(db)).items.items == ()


async def test_a_form_is_made_on_pages_and_seen_before_it_is_published(
    db: Database, manager: Visitor, visitor: Visitor, load: Loaded
) -> None:
    line = next(each for each in read_files(FILES).procedures if each.online != "no" and len(each.items) > 1)
    group = {"v_groups_ja": "はじめに", "v_groups_easy": "はじめに", "v_groups_en": "First"}
    first = {"v_groups_items_item": line.items[0]}
    none = await save(manager, at("form", new="1"), v_procedure=line.code, **group, v_groups_items_item="")
    assert none.status_code == WRONG, "a group asks for something"
    await add(manager, "form", v_procedure=line.code, **group, **first)
    assert "用紙にないもの" in (await manager.get(at("form", key=line.code))).text
    heading = path_in(line.code, "はじめに")
    for item in line.items[1:]:
        await add(manager, "entry", heading, v_item=item)
    assert "なおすところが" not in (await manager.get(PATH)).text
    [form] = (await pack_of(db)).items.forms
    assert [entry.item for _place, entry in form.entries()] == list(line.items)
    preview = await manager.get(f"{PATH}/preview/forms/{line.code}")
    assert preview.status_code == OK
    assert "はじめに" in preview.text
    assert "見本（まだ公開していません）" in preview.text
    assert 'method="post"' not in preview.text
    assert (await manager.get(f"{PATH}/preview/forms/NONE")).status_code == NOT_FOUND
    # Published, a case's form asks so.
    async with db.begin(TOWN) as session:
        await publish_catalogue(session, await pack_of(db), public_url=f"http://{HOST}", now=NOW)


async def test_a_condition_is_chosen_among_what_is_asked_above(db: Database, manager: Visitor, load: Loaded) -> None:
    await load(HOSHIMI)
    page = (await manager.get(at("part", key="foods", parent="town_snack"))).text
    assert '<option value="/allergy" selected>食物アレルギーがありますか</option>' in page
    assert "食物アレルギーがありますか：アレルギーがあります" in page
    assert "/epipen" not in page, "what comes after it decides nothing"
    first = (await manager.get(at("part", key="allergy", parent="town_snack"))).text
    assert "v_when" not in first
    late = at("entry", key="town_late", parent=path_in("gakudo", "クラブでの過ごし方"))
    assert "town_pickup/until" in (await manager.get(late)).text
    # Two questions at once are none; days and numbers that are none are told.
    two = await save(
        manager, late, v_when="town_pickup/until", v_when_one_of="town_pickup/until/six child/together/yes"
    )
    assert two.status_code == WRONG
    assert "えらんだ質問の答えだけに" in two.text
    day = await save(manager, late, v_when="child/birth_date", v_when_one_of="", v_when_from_day="きのう")
    assert day.status_code == WRONG
    assert "日は 2026-12-29 のように" in day.text
    right = await save(manager, late, v_when="child/birth_date", v_when_one_of="", v_when_from_day="2019-04-02")
    assert right.status_code == SEE_OTHER
    form = next(each for each in (await pack_of(db)).items.forms if each.procedure == "gakudo")
    when = next(entry.when for _place, entry in form.entries() if entry.item == "town_late")
    assert when is not None
    assert (when.item, when.part, str(when.from_day)) == ("child", "birth_date", "2019-04-02")
    assert (await save(manager, late, v_when="", v_when_from_day="")).status_code == SEE_OTHER
    form = next(each for each in (await pack_of(db)).items.forms if each.procedure == "gakudo")
    assert [entry.when for _place, entry in form.entries() if entry.item == "town_late"] == [None]


async def test_of_two_editors_of_one_choice_the_second_is_told(
    db: Database, manager: Visitor, new_visitor: Callable[..., Visitor], load: Loaded
) -> None:
    """Seen to fail without the comparison with what was seen; its last lines without a look for what is around."""
    await load(HOSHIMI)
    other = await sign_in(db, new_visitor(), roles=("manager",), office=None)
    path = at("own_choice", key="light", parent="town_snack/foods/strength")
    mine, theirs = filled(await manager.get(path)), filled(await other.get(path))
    assert (await send(other, path, theirs | {"v_en": ["Mild"]})).status_code == SEE_OTHER
    second = await send(manager, path, mine | {"v_easy": ["かるい"]})
    assert second.status_code == CONFLICT
    assert "英語：Mild, such as itching → Mild" in second.text
    assert (await send(manager, path, filled(second))).status_code == SEE_OTHER
    choice = (await pack_of(db)).items.items[0].parts[1].each[1].choices[0]
    assert (choice.en, choice.easy) == ("Mild", "かるい")
    # The item around it is gone: nothing is there any more to save it in.
    again = filled(await manager.get(path))
    new = at("own_choice", new="1", parent="town_snack/foods/strength")
    one_more = filled(await manager.get(new))
    assert (await save(other, at("item", key="town_snack"), "remove")).status_code == SEE_OTHER
    assert (await send(manager, path, again | {"v_en": ["Light"]})).status_code == NOT_FOUND
    more = {f"v_{name}": ["x"] for name in ("code", "ja", "easy", "en")}
    assert (await send(manager, new, one_more | more)).status_code == NOT_FOUND
    assert (await manager.get(new)).status_code == NOT_FOUND


@pytest.mark.parametrize("parent", ["town_snack/foods", "town_snack/none/strength", "a/b/c/d", "//", "%2F"])
async def test_nothing_stands_in_what_is_not_there(manager: Visitor, load: Loaded, parent: str) -> None:
    await load(HOSHIMI)
    assert (await manager.get(at("own_choice", key="light", parent=parent))).status_code == NOT_FOUND


def test_changes_deep_inside_are_taken_over_into_other_files() -> None:
    """Seen to fail with one parent only: what stood deeper was not looked at."""
    old = dict(HOSHIMI)
    pack = read_files(old)
    deep, choice = "town_snack/foods/strength", KINDS["own_choice"]
    mine = change_record(old, pack, choice, "light", {"en": "Mild"}, deep)
    mine = add_record(mine, read_files(mine), choice, {"code": "none", "ja": "な", "easy": "な", "en": "No"}, deep)
    mine = change_record(mine, read_files(mine), KINDS["template"], "reminder", {"subject_en": "[{town}] Soon"})
    theirs = change_record(old, pack, choice, "heavy", {"en": "Bad"}, deep)
    theirs = change_record(theirs, read_files(theirs), KINDS["part"], "epipen", {"en": "Injector?"}, "town_snack")
    files, conflicts = merge_packs(old, mine, theirs)
    assert conflicts == []
    merged = read_files(files)
    part = find_record(merged, KINDS["own"], "strength", "town_snack/foods")
    assert [(each.code, each.en) for each in part.choices] == [("light", "Mild"), ("heavy", "Bad"), ("none", "No")]
    assert find_record(merged, KINDS["part"], "epipen", "town_snack").en == "Injector?"
    assert merged.templates[0].subject_en == "[{town}] Soon"
    # What one took out and the other changed inside is told, and stays as the files have it.
    gone = remove_record(old, pack, KINDS["part"], "foods", "town_snack")
    files, conflicts = merge_packs(old, gone, theirs)
    assert [(each.kind, each.key, each.field) for each in conflicts] == [("part", "foods", "")]
    assert find_record(read_files(files), KINDS["part"], "foods", "town_snack") is not None


async def test_a_message_is_edited_with_what_it_may_name_and_seen_as_it_arrives(
    db: Database, manager: Visitor, load: Loaded
) -> None:
    await load(FILES)
    assert await add(manager, "template", v_kind="confirmation") == at("template", key="confirmation")
    page = (await manager.get(at("template", key="confirmation"))).text
    assert "まだ、なにも書いてありません" in page
    assert "{link}＝その人のページへのリンク" in page
    said = "{number} {when} {link}"
    texts = {f"v_short_{language}": said for language in ("ja", "easy", "en")}
    assert (await save(manager, at("template", key="confirmation"), **texts)).status_code == SEE_OTHER
    shown = (await manager.get(at("template", key="confirmation"))).text
    assert "K4M-7RXA （日時） （その人のページへのリンク）" in shown
    assert "なおすところ" not in (await manager.get(PATH)).text
    spoiled = await save(manager, at("template", key="confirmation"), v_short_en="{code} {numbre} {when} {link}")
    told = (await manager.get(spoiled.headers["location"])).text
    assert "「{code}」は、件名・SMS・LINEには書けません" in told
    assert "なおすところが" in (await manager.get(PATH)).text
    long = {f"v_long_{language}": "一行目\n{number} {when}\n{link}\n" for language in ("ja", "easy", "en")}
    assert (await save(manager, at("template", key="confirmation"), **texts, **long)).status_code == SEE_OTHER
    assert 'long_ja = """\n一行目\n{number} {when}\n{link}\n"""' in (await draft_of(db)).files["templates.toml"]
    await undo(manager, db)
    assert (await pack_of(db)).templates[0].long_ja == ""
