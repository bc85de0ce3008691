"""Finding a procedure by whatever people call it."""

from pathlib import Path

import pytest

from services.routing.domain.catalogue import Procedure
from services.routing.domain.search import EXACT, PREFIX, normalise, search
from shared.town_pack import read_town_pack
from tests.routing.makers import make_pack, make_procedure

SAMPLE_TOWN = Path(__file__).resolve().parents[2] / "deploy" / "towns" / "ninomiya"


def to_procedures(pack: object) -> list[Procedure]:
    lines = pack.procedures  # type: ignore[attr-defined]
    return [Procedure(**{name: getattr(line, name) for name in Procedure.__struct_fields__}) for line in lines]


PROCEDURES = to_procedures(make_pack())


def find(query: str) -> list[str]:
    return [match.procedure.code for match in search(PROCEDURES, query)]


@pytest.mark.parametrize(
    "query",
    [
        "児童手当",
        "児童手当の申請",
        "じどうてあて",
        "ジドウテアテ",
        "ｼﾞﾄﾞｳﾃｱﾃ",
        "子どもの お金",
        "子供のお金",
        "こどものおかね"[:3],
        "Child allowance",
        "ＣＨＩＬＤ　ａｌｌｏｗａｎｃｅ",
        "chi02",
        "手当",
        "子育て",
        " 児童　手当 ",
        "児童手当をもらいたいです",
    ],
)
def test_the_child_allowance_is_found_by_any_word(query: str) -> None:
    assert "CHI02" in find(query)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("児童手当", "CHI02"),
        ("転入届", "RES02"),
        ("引っ越し", "RES02"),
        ("引越し", "RES02"),
        ("ひっこし", "RES02"),
        ("住民票", "RES01"),
        ("粗大ゴミ", "ENV02"),
        ("粗大ごみ", "ENV02"),
        ("お悔やみ", "FAM05"),
        ("スマートフォン", "DIG01"),
        ("赤ちゃんができたので児童手当", "CHI02"),
    ],
)
def test_the_best_match_comes_first(query: str, first: str) -> None:
    assert find(query)[0] == first


@pytest.mark.parametrize(
    "query", ["", "   ", "　", "・・・", "🙂", "\x00", "存在しない手続き", "zzz", "'; DROP TABLE", "%", "_"]
)
def test_nothing_sensible_finds_nothing(query: str) -> None:
    assert find(query) == []


def test_exact_comes_before_prefix_before_contains_before_words() -> None:
    exact, prefix = make_procedure(code="A", name_ja="手当"), make_procedure(code="B", name_ja="手当の届", words=())
    contains = make_procedure(code="C", name_ja="児童手当", words=())
    word = make_procedure(code="D", name_ja="別", words=("手当",))
    found = search([word, contains, prefix, exact], "手当")
    assert [match.procedure.code for match in found] == ["A", "B", "C", "D"]
    assert (found[0].rank, found[1].rank) == (EXACT, PREFIX)


def test_every_word_of_several_must_fit() -> None:
    assert find("子育て 医療") == ["CHI03"]
    assert find("子育て ありえない") == []


def test_half_width_and_hiragana_are_one_form() -> None:
    assert normalise("ｼﾞﾄﾞｳ ﾃｱﾃ") == normalise("じどうてあて") == normalise("ジドウ・テアテ")


@pytest.mark.parametrize("query", ["児童手当", "じどうてあて", "ｼﾞﾄﾞｳﾃｱﾃ", "子どもの お金", "子育て", "child allowance"])
def test_the_sample_town_finds_it_too(query: str) -> None:
    procedures = to_procedures(read_town_pack(SAMPLE_TOWN))
    assert len(procedures) == 35
    assert "CHI02" in [match.procedure.code for match in search(procedures, query)]


def test_an_endless_query_takes_no_time() -> None:
    assert search(PROCEDURES, "あ" * 1_000_000) == []
