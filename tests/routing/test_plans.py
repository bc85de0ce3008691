"""Life events: questions, the procedures that apply, and beginning one or several of them."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from services.routing.commands.catalogue import publish_catalogue
from services.routing.domain.life_events import LifeEvent, Question, Step, Words, questions_to_ask, steps_for, why
from services.routing.tables import case_file, plan
from shared.crypto import ServiceBox
from shared.db import Database
from shared.passes import open_pass
from shared.town_pack import BadTownPack, read_town_pack
from tests.conftest import TestDatabase
from tests.routing.applying import hidden
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, OTHER_HOST, PACK_DIR, TOWN, make_pack, new_key

NewVisitor = Callable[..., Visitor]
SEE_OTHER, UNPROCESSABLE, NOT_FOUND = 303, 422, 404


async def make_plan(visitor: Visitor, *, children: str = "yes") -> str:
    """Answer the questions; return the plan's path."""
    fields = {"children": children, "idempotency_key": new_key()}
    answer = await visitor.post("/life-events/move-in", fields)
    assert answer.status_code == SEE_OTHER, answer.text
    return answer.headers["location"]


async def count(db: Database, table: object) -> int:
    async with db.begin(TOWN) as session:
        return int((await session.execute(select(func.count()).select_from(table))).scalar_one())  # type: ignore[arg-type]


def test_a_step_is_for_whoever_said_yes_to_one_of_its_questions_and_without_any_for_everybody() -> None:
    steps = (Step(procedure="A"), Step(procedure="B", when=("x", "y")), Step(procedure="C", when=("z",)))
    event = LifeEvent(code="e", name=Words(ja="出来事"), intro=Words(ja="説明"), questions=(), steps=steps)
    assert [step.procedure for step in steps_for(event, [])] == ["A"]
    assert [step.procedure for step in steps_for(event, ["y"])] == ["A", "B"]
    assert [step.procedure for step in steps_for(event, ["x", "z", "unasked"])] == ["A", "B", "C"]


def make_event(*steps: Step, questions: str = "abc") -> LifeEvent:
    asked = tuple(Question(code=code, text=Words(ja=f"{code}ですか")) for code in questions)
    return LifeEvent(code="e", name=Words(ja="出来事"), intro=Words(ja="説明"), questions=asked, steps=steps)


def ask(event: LifeEvent, answers: dict[str, bool], offered: str = "PQR") -> str:
    return "".join(question.code for question in questions_to_ask(event, answers, offered))


def test_only_what_a_procedure_depends_on_and_is_not_decided_is_asked() -> None:
    event = make_event(Step(procedure="P", when=("a",)), Step(procedure="Q", when=("b", "a")), Step(procedure="R"))
    # `b` decides nothing that `a` may not decide by itself; nothing depends on `c`.
    assert ask(event, {}) == "a"
    assert ask(event, {"a": True}) == ""
    assert ask(event, {"a": False}) == "b"
    assert ask(event, {"a": False, "b": False}) == ""
    assert ask(event, {"b": True}) == "a"
    # What is no longer offered needs no answer.
    assert ask(event, {}, offered="R") == ""
    assert ask(event, {}, offered="QR") == "a"
    assert [question.code for question in why(event, event.steps[1])] == ["a", "b"]
    assert why(event, event.steps[2]) == ()


@given(
    st.lists(st.sets(st.sampled_from("abcd"), max_size=3), max_size=5),
    st.dictionaries(st.sampled_from("abcd"), st.booleans(), min_size=4),
)
def test_asked_round_by_round_the_same_applies_as_if_everything_were_asked(
    whens: list[set[str]], truth: dict[str, bool]
) -> None:
    steps = [Step(procedure=f"P{number}", when=tuple(sorted(when))) for number, when in enumerate(whens)]
    event = make_event(*steps, questions="abcd")
    offered = [step.procedure for step in steps]
    answers: dict[str, bool] = {}
    rounds = 0
    while to_ask := questions_to_ask(event, answers, offered):
        assert not {question.code for question in to_ask} & answers.keys()
        answers |= {question.code: truth[question.code] for question in to_ask}
        rounds += 1
    assert rounds <= len(event.questions)
    assert steps_for(event, [code for code, yes in answers.items() if yes]) == steps_for(
        event, [code for code, yes in truth.items() if yes]
    )


async def test_a_second_question_is_asked_only_when_it_is_needed_and_the_answers_are_kept_on_the_page_alone(
    visitor: Visitor, db: Database
) -> None:
    pack = make_pack()
    (event,) = pack.life_events
    questions = [
        msgspec.structs.replace(event.questions[0], code=code, text_ja=f"{code}ですか") for code in ("first", "second")
    ]
    steps = [msgspec.structs.replace(step, when=["first", "second"] if step.when else []) for step in event.steps]
    changed = msgspec.structs.replace(event, questions=tuple(questions), steps=tuple(steps))
    async with db.begin(TOWN) as session:
        await publish_catalogue(
            session, msgspec.structs.replace(pack, life_events=(changed,)), public_url="http://x", now=NOW
        )
    shown = await visitor.get("/life-events/move-in")
    assert ("firstですか" in shown.text, "secondですか" in shown.text) == (True, False)
    key = new_key()
    asked_on = await visitor.post("/life-events/move-in", {"asked": "first", "first": "no", "idempotency_key": key})
    assert asked_on.status_code == httpx.codes.OK
    assert "firstですか：いいえ" in asked_on.text
    assert hidden(asked_on, "first") == "no"
    assert hidden(asked_on, "asked") == "second"
    assert "set-cookie" not in asked_on.headers
    assert await count(db, plan) == 0
    forgotten = await visitor.post(
        "/life-events/move-in", {"asked": "second", "first": "no", "idempotency_key": new_key()}
    )
    assert forgotten.status_code == UNPROCESSABLE
    assert hidden(forgotten, "first") == "no"
    done = await visitor.post(
        "/life-events/move-in", {"asked": "second", "first": "no", "second": "yes", "idempotency_key": new_key()}
    )
    assert done.status_code == SEE_OTHER
    page = await visitor.get(done.headers["location"])
    assert "「firstですか」「secondですか」のどれかに「はい」と答えたからです。" in page.text


async def test_a_plan_says_why_each_procedure_applies_and_until_when(visitor: Visitor) -> None:
    page = await visitor.get(await make_plan(visitor))
    assert page.text.count("「お子さんはいますか」に「はい」と答えたからです。") == 1
    assert page.text.count("このできごとがあった方は、みなさん必要です。") == 2
    assert "いつまで：" in page.text


async def test_the_front_page_leads_to_the_questions_and_they_to_the_procedures_that_apply(visitor: Visitor) -> None:
    front = await visitor.get("/")
    assert "/life-events/move-in" in front.text
    questions = await visitor.get("/life-events/move-in")
    assert "お子さんはいますか" in questions.text
    with_children = await visitor.get(await make_plan(visitor))
    assert "あなたに必要な手続きは、3つです" in with_children.text
    order = [with_children.text.index(name) for name in ("転入届</h2>", "児童手当の申請</h2>", "課税証明書</h2>")]
    assert order == sorted(order)
    assert "「転入届」のあとにします。" in with_children.text
    without = await visitor.get(await make_plan(visitor, children="no"))
    assert "児童手当の申請" not in without.text


async def test_answers_stand_in_no_address_and_everything_has_to_be_answered(visitor: Visitor, db: Database) -> None:
    answer = await visitor.post("/life-events/move-in", {"idempotency_key": new_key()})
    assert answer.status_code == UNPROCESSABLE
    assert "「はい」か「いいえ」を選んでください。" in answer.text
    # The summary names the question, not only what to press.
    named = re.search('<li><a href="#f-children">(.*?)</a></li>', answer.text)
    assert named
    assert named[1].endswith("いますか")
    assert await count(db, plan) == 0
    path = await make_plan(visitor)
    assert re.fullmatch(r"/plans/[0-9a-f-]{36}", path)


@pytest.mark.parametrize("typed", ["\x00", "🙂", "yes'; DROP TABLE routing.plan", "はい" * 500, "YES"])
async def test_garbage_for_an_answer_is_asked_again(visitor: Visitor, db: Database, typed: str) -> None:
    fields = {"children": typed, "idempotency_key": new_key()}
    assert (await visitor.post("/life-events/move-in", fields)).status_code == UNPROCESSABLE
    assert await count(db, plan) == 0


async def test_a_double_tap_makes_one_plan(visitor: Visitor, db: Database) -> None:
    await make_plan(visitor)
    fields = {"children": "no", "idempotency_key": new_key()}
    paths = {(await visitor.post("/life-events/move-in", fields)).headers["location"] for _ in range(3)}
    assert len(paths) == 1
    assert await count(db, plan) == 2


async def test_several_are_begun_at_once_and_again_they_are_the_same_cases(visitor: Visitor, db: Database) -> None:
    path = await make_plan(visitor)
    for _ in range(2):
        answer = await visitor.post(f"{path}/begin", {"procedure": "RES02 CHI02"})
        assert answer.headers["location"] == path
    assert await count(db, case_file) == 2
    shown = await visitor.get(path)
    assert shown.text.count("はじめました") == 2
    assert len(re.findall(r'href="/cases/[0-9a-f-]{36}"', shown.text)) == 2
    assert (await visitor.get("/my")).text.count("まとめてさがした手続き") == 1


async def test_one_alone_leads_straight_into_it(visitor: Visitor) -> None:
    path = await make_plan(visitor)
    answer = await visitor.post(f"{path}/begin", {"procedure": "TAX01"})
    assert re.fullmatch(r"/cases/[0-9a-f-]{36}", answer.headers["location"])
    onward = await visitor.get(answer.headers["location"])
    assert onward.status_code == SEE_OTHER


@pytest.mark.parametrize("chosen", ["", "ZZZ99", "\x00", "児童手当 " * 40])
async def test_nothing_that_applies_is_told_and_begins_nothing(visitor: Visitor, db: Database, chosen: str) -> None:
    path = await make_plan(visitor, children="no")
    answer = await visitor.post(f"{path}/begin", {"procedure": chosen})
    assert answer.status_code == UNPROCESSABLE
    assert "ひとつ以上選んでください" in answer.text
    # Offered by the town, but not for this person.
    assert (await visitor.post(f"{path}/begin", {"procedure": "CHI02"})).status_code == UNPROCESSABLE
    assert await count(db, case_file) == 0


async def test_a_plan_is_its_makers_alone(visitor: Visitor, new_visitor: NewVisitor) -> None:
    path = await make_plan(visitor)
    stranger = new_visitor(client="127.0.0.2")
    await make_plan(stranger)
    assert (await stranger.get(path)).status_code == NOT_FOUND
    assert (await stranger.post(f"{path}/begin", {"procedure": "RES02"})).status_code == NOT_FOUND
    neighbour = new_visitor(OTHER_HOST, client="127.0.0.3")
    await make_plan(neighbour)
    assert (await neighbour.get(path)).status_code == NOT_FOUND


@pytest.mark.parametrize("path", ["/life-events/none", "/life-events/%00", "/life-events/" + "x" * 300])
async def test_an_unknown_event_is_not_found(visitor: Visitor, path: str) -> None:
    answer = await visitor.get(path)
    assert answer.status_code == NOT_FOUND
    assert httpx.URL(path).path


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('procedure = "CHI02"\nwhen = ["dogs"]', "no such question: dogs"),
        ('procedure = "CHI02"\nafter = ["TAX01"]', "put the step TAX01 above this one"),
        ('procedure = "NONE1"', "no such procedure: NONE1"),
        ('procedure = "RES02"', "RES02 is there twice"),
    ],
)
def test_a_pack_that_contradicts_itself_is_told_so(tmp_path: Path, line: str, complaint: str) -> None:
    for name in ("town.toml", "procedures.csv", "life_events.toml"):
        (tmp_path / name).write_text((PACK_DIR / name).read_text("utf-8"), "utf-8")
    events = (tmp_path / "life_events.toml").read_text("utf-8")
    (tmp_path / "life_events.toml").write_text(
        events.replace('procedure = "CHI02"\nwhen = ["children"]\nafter = ["RES02"]', line), "utf-8"
    )
    with pytest.raises(BadTownPack, match=complaint):
        read_town_pack(tmp_path)


async def test_what_is_done_at_counters_is_booked_for_one_visit(
    visitor: Visitor, db: Database, database: TestDatabase
) -> None:
    path = await make_plan(visitor)
    assert "窓口でまとめて予約する" in (await visitor.get(path)).text
    answers = [await visitor.post(f"{path}/together", {"procedure": "CHI02 RES02"}) for _ in range(2)]
    case = answers[0].headers["location"]
    assert {answer.headers["location"] for answer in answers} == {case}
    assert await count(db, case_file) == 1
    # The first of them, in the plan's order, is the case; the others come along, and are said on every page.
    assert "いっしょに予約する手続き：児童手当の申請" in (await visitor.get(f"{case}/you")).text
    await visitor.tell(case)
    shown = await visitor.get(f"{case}/handover")
    assert "転入届" in shown.text
    assert "いっしょに予約する手続き：児童手当の申請" in shown.text
    await visitor.post(f"{case}/handover", {"all": "yes"})
    carried = await visitor.get(f"{case}/pass")
    box = ServiceBox.from_settings(
        database.environ["CHOUDO_BOOKING_BOX_KEY"], database.environ["CHOUDO_BOX_PUBLIC_KEYS"]
    )
    ticket = open_pass(box, "routing", "book", hidden(carried, "pass"), municipality=TOWN, now=NOW)
    assert (ticket.procedure, ticket.errands) == ("RES02", ("CHI02",))
    plan_page = (await visitor.get(path)).text
    assert plan_page.count("はじめました") == 2


@pytest.mark.parametrize("chosen", ["", "RES02", "ZZZ99 RES02", "\x00"])
async def test_one_alone_is_not_booked_together(visitor: Visitor, db: Database, chosen: str) -> None:
    path = await make_plan(visitor)
    answer = await visitor.post(f"{path}/together", {"procedure": chosen})
    assert answer.status_code == UNPROCESSABLE
    assert "2つ以上選んでください" in answer.text
    assert await count(db, case_file) == 0
    assert (await visitor.get(f"{path}/together")).headers["location"] == path
