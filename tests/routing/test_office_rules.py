"""How the town has its offices work: periods in working days, checks, reasons, and the file that says so."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.routing.domain.applications import pack_reasons, read_reasons
from services.routing.domain.office import Check, Rule, due_at, is_late
from services.routing.queries.office import due_from
from shared.town_pack import BadTownPack, read_town_pack
from shared.town_pack.office import Check as PackCheck
from shared.town_pack.office import OfficeRule, OfficeRules
from tests.routing.makers import NOW, PACK_DIR, make_pack

# --- by when ---


@pytest.mark.parametrize(
    ("began", "days", "due"),
    [
        # A Tuesday, and the day after a holiday's Monday.
        (datetime(2026, 11, 24, 0, 10, tzinfo=UTC), 1, datetime(2026, 11, 25, 8, 15, tzinfo=UTC)),
        # Friday to Monday.
        (datetime(2026, 11, 27, 3, 0, tzinfo=UTC), 1, datetime(2026, 11, 30, 8, 15, tzinfo=UTC)),
        # Over 勤労感謝の日.
        (datetime(2026, 11, 20, 3, 0, tzinfo=UTC), 1, datetime(2026, 11, 24, 8, 15, tzinfo=UTC)),
        # 12/28 is the last working day, 1/4 the first.
        (datetime(2026, 12, 28, 3, 0, tzinfo=UTC), 1, datetime(2027, 1, 4, 8, 15, tzinfo=UTC)),
        # Late on Monday evening is Monday in Japan, one minute before midnight; one later is Tuesday.
        (datetime(2026, 11, 30, 14, 59, tzinfo=UTC), 1, datetime(2026, 12, 1, 8, 15, tzinfo=UTC)),
        (datetime(2026, 11, 30, 15, 0, tzinfo=UTC), 1, datetime(2026, 12, 2, 8, 15, tzinfo=UTC)),
    ],
)
def test_the_period_counts_working_days(began: datetime, days: int, due: datetime) -> None:
    assert due_from(Rule(process_days=days), began) == due


def test_without_a_period_nothing_is_late_and_the_boundary_is_exact() -> None:
    assert due_at(NOW, Rule(), frozenset[date]()) is None
    assert not is_late("submitted", None, NOW)
    assert not is_late("submitted", NOW, NOW)
    assert is_late("accepted", NOW, NOW + timedelta(microseconds=1))
    # While the person is waited for, no time runs.
    for state in ("correction_asked", "visit_asked", "completed", "refused", "withdrawn"):
        assert not is_late(state, NOW, NOW + timedelta(days=9))


def test_reasons_come_back_as_they_were_and_old_texts_are_about_the_whole() -> None:
    assert read_reasons(pack_reasons({"": "", "name": "ちがいます"})) == {"name": "ちがいます"}
    for old in ("口座", '"口座"', "[1]", "{"):
        assert read_reasons(old) == {"": old}


def test_the_checks_that_are_left() -> None:
    rule = Rule(checks=(Check("a", "あ"), Check("b", "い")))
    assert [check.code for check in rule.open_checks({"a", "x"})] == ["b"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('[[procedures]]\nprocedure = "NONE"\n', "no such procedure: NONE"),
        ('[[procedures]]\nprocedure = "CHI02"\n[[procedures]]\nprocedure = "CHI02"\n', "CHI02 is there twice"),
        ("process_days = 0\n", "process_days"),
        ("appeal = 1\n", "appeal"),
        (
            '[[procedures]]\nprocedure = "CHI02"\nchecks = [{code="a", ja="あ"}, {code="a", ja="い"}]\n',
            "a is there twice",
        ),
        ('[[procedures]]\nprocedure = "CHI02"\nappeal_to = ""\nappeal_first = true\n', "CHI02 needs an appeal"),
        ('[[procedures]]\nprocedure = "RES02"\nidentity_step = "card"\n', "RES02 is not done online"),
        ('[[procedures]]\nprocedure = "CHI02"\nidentity_step = "A card"\n', "identity_step"),
        ('[[procedures]]\nprocedure = "CHI02"\nfinish = ["post"]\n', "CHI02 is not partly done online"),
        ('[[procedures]]\nprocedure = "RES01"\nenclose = ["made_up"]\n', "no such thing: made_up"),
        ('[[procedures]]\nprocedure = "RES01"\nfinish = ["pigeon"]\n', "finish"),
    ],
)
def test_a_wrong_office_file_says_what_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, written: str, said: str
) -> None:
    folder = tmp_path_factory.mktemp("pack")
    for name in ("town.toml", "procedures.csv"):
        (folder / name).write_bytes((PACK_DIR / name).read_bytes())
    (folder / "office.toml").write_text(written, "utf-8")
    with pytest.raises(BadTownPack, match=said):
        read_town_pack(folder)


def test_the_pack_says_how_offices_work() -> None:
    office = make_pack().office
    assert office == OfficeRules(
        process_days=10,
        procedures=(
            OfficeRule(
                "CHI03",
                process_days=5,
                two_persons=True,
                checks=(PackCheck("child", "お子さんが住民票にある"), PackCheck("insurance", "健康保険がわかる")),
            ),
            OfficeRule("RES01", appeal_to="神奈川県審査会", appeal_first=True),
            OfficeRule("ENV02", appeal_to=""),
        ),
    )
