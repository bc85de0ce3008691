"""Draws as open data: what anybody saves, and draws again; and nobody in it."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

from deploy.cli import main
from tests.booking.conftest import OTHER_HOST, TOWN, BookingTown
from tests.booking.draws_town import SEATS, announce, close, enter

PATH = "/open-data/draws"


def read_table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


async def test_everybody_saves_the_draws_and_draws_again(town: BookingTown, tmp_path: Path) -> None:
    draw_id = await announce(town, title_ja="=年末の特別相談")
    for number in range(SEATS + 1):
        await enter(town, draw_id, f"guest-{number}")
    persons: list[Any] = await town.rows("SELECT guest_ref, subject_ref, case_id, contact_ref FROM booking.draw_entry")
    async with town.browser(None) as anybody:
        before = (await anybody.get(f"{PATH}/draws.json")).json()
        assert before["municipality"] == TOWN
        [told] = before["draws"]
        assert (told["state"], told["seed"], told["entries"]) == ("announced", None, SEATS + 1)
        assert read_table((await anybody.get(f"{PATH}/{draw_id}/result.csv")).content) == []
        await close(town)
        [drawn] = (await anybody.get(f"{PATH}/draws.json")).json()["draws"]
        assert (drawn["state"], drawn["commitment"]) == ("drawn", told["commitment"])
        file = tmp_path / "record.json"
        file.write_bytes((await anybody.get(drawn["record"])).content)
        [row] = read_table((await anybody.get(f"{PATH}/draws.csv")).content)
        assert row["先に公開したしるし（SHA-256）"] == told["commitment"]
        assert row["もとの数（抽選後）"] == drawn["seed"]
        assert row["抽選の名称"] == "'=年末の特別相談"
        result = read_table((await anybody.get(f"{PATH}/{draw_id}/result.csv")).content)
        assert [int(line["順番"]) for line in result] == list(range(1, SEATS + 2))
        assert [bool(line["決まった回のID"]) for line in result] == [True] * SEATS + [False]
        page = await anybody.get(PATH)
        for shown in (told["commitment"], drawn["seed"], drawn["record"], f"{PATH}/{draw_id}/result.csv"):
            assert shown in page.text
        pages = [page.text, (await anybody.get(f"{PATH}/draws.csv")).text, str(result)]
        for known in {str(value) for person in persons for value in person}:
            assert not [text for text in pages if known in text], known
    assert await asyncio.to_thread(main, ["draw", "replay", str(file), "--commitment", told["commitment"]]) == 0
    async with town.browser(None, host=OTHER_HOST) as elsewhere:
        assert (await elsewhere.get(f"{PATH}/draws.json")).json()["draws"] == []
        assert (await elsewhere.get(f"{PATH}/{draw_id}/result.csv")).status_code == 404
