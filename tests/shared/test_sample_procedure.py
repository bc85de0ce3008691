"""The sample procedure of `make run`: the sample town's pack takes it, and says that it is one."""

from pathlib import Path

from deploy.local.identity_provider import CLIENT_ID
from deploy.local.run import CLIENT_ID as KNOWN_AS
from deploy.local.run import ROOT, SAMPLE_TOWN
from deploy.local.sample_procedure import CODE, PROVIDER, with_sample
from shared.town_pack import read_town_pack


def test_the_sample_town_takes_one_procedure_more(tmp_path: Path) -> None:
    own = read_town_pack(ROOT / SAMPLE_TOWN)
    pack = read_town_pack(with_sample(ROOT / SAMPLE_TOWN, tmp_path / "town"))
    # Once more, as at the next start.
    assert read_town_pack(with_sample(ROOT / SAMPLE_TOWN, tmp_path / "town")) == pack
    [added] = [line for line in pack.procedures if line.code not in {known.code for known in own.procedures}]
    assert (added.code, added.name_ja[:4]) == (CODE, "【見本】")
    assert [rule.identity_step for rule in pack.office.procedures if rule.procedure == CODE] == [PROVIDER]
    assert [rule for rule in own.office.procedures if rule.identity_step] == []
    assert KNOWN_AS == CLIENT_ID


def test_a_pack_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    assert with_sample(tmp_path, tmp_path / "town") == tmp_path
