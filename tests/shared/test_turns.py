"""A test that is marked `alone` has the machine to itself, and soon, however many others there are."""

import threading
from pathlib import Path

from tests.turns import turn

PATIENCE_S = 60
MOMENT_S = 0.2


class Somebody:
    """Takes a turn, and keeps it until told to leave."""

    def __init__(self, folder: Path, *, alone: bool = False) -> None:
        self._entered, self._may_leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, alone), daemon=True)
        self._thread.start()

    def _run(self, folder: Path, alone: bool) -> None:
        with turn(folder, alone=alone):
            self._entered.set()
            self._may_leave.wait(PATIENCE_S)

    def is_in(self, within_s: float = PATIENCE_S) -> bool:
        return self._entered.wait(within_s)

    def leave(self) -> None:
        self._may_leave.set()
        self._thread.join(PATIENCE_S)


def test_usual_tests_run_beside_one_another(tmp_path: Path) -> None:
    both = [Somebody(tmp_path), Somebody(tmp_path)]
    assert all(one.is_in() for one in both)
    for one in both:
        one.leave()


def test_one_that_is_alone_waits_for_who_is_in_and_before_who_comes_later(tmp_path: Path) -> None:
    """Seen to fail without the gate (the later one is in first), and with a room that all share."""
    first = Somebody(tmp_path)
    assert first.is_in()
    alone = Somebody(tmp_path, alone=True)
    assert not alone.is_in(MOMENT_S)
    later = Somebody(tmp_path)
    assert not later.is_in(MOMENT_S)
    first.leave()
    assert alone.is_in()
    assert not later.is_in(MOMENT_S)
    alone.leave()
    assert later.is_in()
    later.leave()
