"""Files that spreadsheets open: names are never formulas, numbers stay numbers."""

import pytest

from shared.web.spreadsheets import as_text, write_csv


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "＝1", "＋1", "－1", "＠1"])
def test_no_name_is_a_formula(name: str) -> None:
    """Seen to fail where cells are written as they are."""
    table = write_csv(["a", "b"], [(name, -1)]).decode("utf-8-sig")
    assert table.splitlines()[1] == f"'{name},-1"


def test_a_file_has_its_mark_and_texts_stay_texts() -> None:
    assert write_csv(["名"], [("窓口",)]) == "\ufeff名\r\n窓口\r\n".encode()
    assert [as_text(each) for each in ("0012", "1-2", "")] == ["'0012", "'1-2", ""]
