"""Finding a procedure by whatever people call it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.routing.domain.catalogue import Procedure
from services.routing.domain.likeness import count_mistakes
from services.routing.domain.search import EXACT, LIKE, PLAIN_PART, PREFIX, SOUNDS, WORD, SearchIndex, search
from services.routing.domain.spelling import TEXT_MAX_LENGTH, normalise, romaji, stem
from tests.routing.makers import make_pack, make_procedure
from tests.routing.searching import codes_of, index_of_sample_town, to_procedures

INDEX = SearchIndex(to_procedures(make_pack().procedures))
SAMPLE = index_of_sample_town()
# Whatever people, and programs, put into a field: with what is in words of ours more often than by chance.
PIECES = st.sampled_from(
    ["引", "っ", "越", "し", "ー", "ﾞ", "ﾊ", "é", "ſ", "ﬁ", "㍿", "が", "゙", "ᄒ", "ᅡ", "한", "の", "保健証", "子", "ども"]
)
TEXTS = st.text() | st.lists(PIECES | st.characters(), max_size=40).map("".join)


def find(query: str) -> list[str]:
    return codes_of(INDEX, query)


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


def test_official_names_come_first_then_plain_ones_then_everyday_words_then_what_is_like_them() -> None:
    changes = {"kana": "ベツ", "name_plain_ja": "別", "words": ()}
    exact = make_procedure(code="A", **changes | {"name_ja": "手当"})
    prefix = make_procedure(code="B", **changes | {"name_ja": "手当の届"})
    contains = make_procedure(code="C", **changes | {"name_ja": "児童手当"})
    plain = make_procedure(code="D", **changes | {"name_ja": "別", "name_plain_ja": "子どもの 手当"})
    word = make_procedure(code="E", **changes | {"name_ja": "別", "words": ("手当",)})
    part = make_procedure(code="F", **changes | {"name_ja": "別", "words": ("出産手当",)})
    index = SearchIndex([part, word, plain, contains, prefix, exact])
    found = search(index, "手当")
    assert [match.procedure.code for match in found] == ["A", "B", "C", "D", "E", "F"]
    assert [match.rank for match in found] == sorted(match.rank for match in found)
    assert (found[0].rank, found[1].rank, found[3].rank, found[4].rank) == (EXACT, PREFIX, PLAIN_PART, WORD)
    assert found[4].by == "手当"


def test_among_equals_what_people_need_most_comes_first_then_the_towns_order() -> None:
    same = [make_procedure(code=code, name_ja=f"手当の{code}") for code in ("A", "B", "C")]
    index = SearchIndex(same)
    assert codes_of(index, "手当の") == ["A", "B", "C"]
    assert codes_of(index, "手当の", ["C", "gone"]) == ["C", "A", "B"]
    # Never before what fits better.
    assert codes_of(index, "手当のb", ["C"])[0] == "B"


def test_every_word_of_several_must_fit() -> None:
    assert find("子育て 医療") == ["CHI03"]
    assert find("子育て ありえない") == []


def test_a_sentence_finds_what_explains_most_of_it_first() -> None:
    assert find("子どもの医療費と手当を知りたい")[0] == "CHI03"


@pytest.mark.parametrize(
    "same",
    [
        ("じどうてあて", "ｼﾞﾄﾞｳ ﾃｱﾃ", "ジドウ・テアテ", "シ゛ト゛ウテアテ", "じどう　てあて"),
        ("ひつこし", "引っ越し", "引越し", "引越", "ひっこし", "ヒッコシ", "引っこし"),
        ("へるぱ", "ヘルパー", "ﾍﾙﾊﾟｰ", "へるぱー"),
        ("てつずき", "てつづき", "てつつ゛き"),
        ("転学", "轉學"),
        ("juminhyo", "jūminhyō", "ＪＵＭＩＮＨＹＯ", "Jumin-hyo"),
        ("75歳", "７５歳", "75 歳"),
    ],
)  # fmt: skip
def test_what_sounds_or_means_the_same_is_one_form(same: tuple[str, ...]) -> None:
    assert {normalise(text) for text in same} == {same[0]}


@pytest.mark.parametrize(
    ("root", "forms"),
    [
        (
            "ひつこ",
            "引っ越し 引っ越す 引っ越した 引っ越します 引っ越しました 引っ越したい 引っ越してきました 引っ越すとき",
        ),
        ("うまれ", "生まれた 生まれました 生まれる 産まれて うまれたので"),
        ("なくな", "亡くなった 亡くなりました 亡くなる なくなって"),
        ("捨て", "捨てる 捨てた 捨てたい 捨てます 捨てている"),
        ("払え", "払えない 払えません 払えなかった"),
    ],
)
def test_the_forms_of_a_verb_have_one_stem(root: str, forms: str) -> None:
    assert {stem(normalise(form)) for form in forms.split()} == {root}


@pytest.mark.parametrize(
    ("kana", "typed"),
    [
        ("ジュウミンヒョウ", "juuminhyou juminhyo jyuminhyo jūminhyō zyuminhyo"),
        ("テンニュウトドケ", "tennyuutodoke tennyutodoke tenn'yuutodoke"),
        ("シュッショウ", "shusshou syussyo shussho"),
        ("ハンコ", "hanko HANKO"),
        ("インカン", "inkan"),
        ("ジドウテアテ", "jidoteate zidouteate jidou-teate"),
    ],
)
def test_japanese_in_latin_letters_is_read_however_it_is_spelled(kana: str, typed: str) -> None:
    assert {romaji(spelling) for spelling in typed.split()} == {romaji(kana)}


@pytest.mark.parametrize(
    ("typed", "meant", "mistakes"),
    [
        ("じどうてあて", "じどうてあて", 0),
        ("じどうてやて", "じどうてあて", 1),
        ("じどてあて", "じどうてあて", 1),
        ("じどううてあて", "じどうてあて", 1),
        ("じうどてあて", "じどうてあて", 1),
        ("じどうて", "じどうてあて", 0),
        ("あいうえおか", "じどうてあて", 3),
    ],
)
def test_mistakes_are_counted(typed: str, meant: str, mistakes: int) -> None:
    assert count_mistakes(typed, meant, most=2) == mistakes


def test_what_is_like_something_is_found_only_where_nothing_else_is() -> None:
    assert [match.rank for match in search(SAMPLE, "じどうてやて")] == [LIKE]
    assert all(match.rank < LIKE for match in search(SAMPLE, "じどうてあて"))
    assert [match.rank for match in search(SAMPLE, "jido teate")] == [SOUNDS]
    # Three signs with a mistake in them are another word.
    assert search(SAMPLE, "こせも") == []


def test_what_is_least_unlike_is_near() -> None:
    assert SAMPLE.near("住民標")[0].code == "RES01"
    assert {procedure.code for procedure in SAMPLE.near("RES2")} <= {"RES01", "RES02", "RES03", "RES04"}
    assert SAMPLE.near("ありえない言葉") == []
    assert SAMPLE.near("") == []


@pytest.mark.parametrize("query", ["児童手当", "じどうてあて", "ｼﾞﾄﾞｳﾃｱﾃ", "子どもの お金", "子育て", "child allowance"])
def test_the_sample_town_finds_it_too(query: str) -> None:
    assert len(SAMPLE.procedures) == 35
    assert "CHI02" in codes_of(SAMPLE, query)


def test_an_endless_query_takes_no_time() -> None:
    assert find("あ" * 1_000_000) == []


@given(TEXTS)
@example("引引越し越し")
@example("㍿" * 60)
@example("引越し" * 40)
def test_a_form_is_its_own_form(text: str) -> None:
    form = normalise(text)
    assert normalise(form) == form
    assert len(form) <= TEXT_MAX_LENGTH


@given(TEXTS)
def test_nothing_that_can_be_typed_is_too_much(text: str) -> None:
    found = search(SAMPLE, text)
    codes = [match.procedure.code for match in found]
    assert len(set(codes)) == len(codes)
    assert [match.rank for match in found] == sorted(match.rank for match in found)
    assert len(SAMPLE.near(text)) <= 3
    assert search(SearchIndex([]), text) == []


@given(st.lists(TEXTS.filter(normalise), min_size=1, max_size=6), st.data())
def test_who_types_the_official_name_gets_it_first(names: list[str], data: st.DataObject) -> None:
    index = SearchIndex(
        [
            make_procedure(code=f"PROC{number}X", name_ja=name, kana="ベツ", words=(*names, "手当"))
            for number, name in enumerate(names)
        ]
    )
    wanted = data.draw(st.sampled_from(names))
    frequent = data.draw(st.permutations([procedure.code for procedure in index.procedures]))
    first = search(index, wanted, frequent)[0]
    assert normalise(first.procedure.name_ja) == normalise(wanted)


@pytest.mark.parametrize("procedure", SAMPLE.procedures, ids=lambda procedure: procedure.code)
def test_every_name_of_the_sample_town_finds_its_procedure_first(procedure: Procedure) -> None:
    for name in (procedure.name_ja, procedure.kana, procedure.code, procedure.name_plain_ja, procedure.name_en):
        everything_else = [other.code for other in SAMPLE.procedures if other is not procedure]
        assert codes_of(SAMPLE, name, everything_else)[0] == procedure.code
