"""Every refusal that booking can raise is asked for by a test: somebody has seen that it comes, and when."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.structure.test_refusals_have_words import RAISERS, raised_codes

# A refusal with its code inside.
BY_NAME = {"SlotTaken": "slot_taken"}


def named_codes(folder: Path) -> Iterator[str]:
    """Every word in a test's body, or in what it is parametrised with; not in what it says of itself."""
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = ast.get_docstring(node, clean=False)
                for each in ast.walk(node):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value != said:
                        yield from re.findall(r"[a-z_]+", each.value)


def raised_by_name(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
                yield BY_NAME[node.func.id]


def test_every_refusal_of_booking_is_asked_for_by_a_test(root_dir: Path) -> None:
    """Seen to fail with the test of a refusal taken away."""
    service = root_dir / "services" / "booking"
    raised = {code for code, _ in raised_codes(service, RAISERS)} | set(raised_by_name(service))
    assert len(raised) > 50
    assert raised - set(named_codes(root_dir / "tests" / "booking")) == set()
