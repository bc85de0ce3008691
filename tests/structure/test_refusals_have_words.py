"""Every refusal that the code can raise has its words: without them a person reads that their input was unreadable."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from services.booking.refusals import REFUSALS as BOOKING
from services.notifications.app import REFUSALS as NOTIFICATIONS
from services.routing.pages.wording import REFUSALS as ROUTING
from shared.web.errors import STATUS_CODES
from shared.web.refusals import REFUSALS

OWN = {"routing": ROUTING, "booking": BOOKING, "notifications": NOTIFICATIONS}
# Calls that raise a refusal, and where its code is given: by position or by this name.
Raisers = Mapping[str, tuple[int | None, str]]
RAISERS: Raisers = {"Refusal": (0, "code"), "parse_uuid": (None, "code")}


def raised_codes(folder: Path, raisers: Raisers = RAISERS) -> Iterator[tuple[str, str]]:
    """Each code that is raised below a folder, with its place. Raises when a code is not a plain text."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name not in raisers:
                continue
            position, keyword = raisers[name]
            given = [each.value for each in node.keywords if each.arg == keyword]
            if position is not None:
                given += node.args[position : position + 1]
            for value in given:
                for code in _texts(value, constants):
                    yield code, f"{path.name}:{node.lineno}"


def _texts(value: ast.expr, constants: Mapping[str, object]) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body, constants)
        yield from _texts(value.orelse, constants)
    elif isinstance(value, ast.Name) and isinstance(constants.get(value.id), str):
        yield str(constants[value.id])


@pytest.mark.parametrize("service", sorted(OWN))
def test_every_refusal_of_a_service_has_words(root_dir: Path, service: str) -> None:
    raised = dict(raised_codes(root_dir / "services" / service))
    known = REFUSALS.keys() | OWN[service].keys()
    assert {code: place for code, place in raised.items() if code not in known} == {}


def test_every_refusal_of_the_shared_packages_has_words(root_dir: Path) -> None:
    raised = dict(raised_codes(root_dir / "shared"))
    assert len(raised) > 5
    assert {code: place for code, place in raised.items() if code not in REFUSALS} == {}


def test_every_code_of_litestars_own_answers_has_words() -> None:

    assert {*STATUS_CODES.values(), "bad_request", "internal", "unavailable"} <= REFUSALS.keys()


@pytest.mark.parametrize("service", sorted(OWN))
def test_words_are_a_title_and_what_to_do_next(service: str) -> None:
    for code, words in (REFUSALS | dict(OWN[service])).items():
        assert words.title, code
        assert not words.title.endswith("。"), f"{code}: a title is no sentence"
        assert words.advice.endswith("。"), f"{code}: says what can be done"
