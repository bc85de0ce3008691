"""What must stay true of the code itself."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import CheckConstraint

from services.routing import tables
from services.routing.app import HANDLERS
from services.routing.domain import applications, catalogue, channels, office, options, situation, suggestion
from services.routing.pages import channel_wording
from services.routing.pages import situation as situation_page
from services.routing.pages.application_wording import NEXT, STATE_LOOKS, STATES, STEPS, TITLES
from services.routing.pages.office_wording import ACTIONS, FILTERS, OFFICE_STATES
from services.routing.pages.wording import APPOINTMENT_STATES, BRING, CASE_STATES, ITEMS
from shared import town_pack
from shared.events.booking import State
from shared.web.prefixes import service_for
from tests.routing.makers import make_pack

ROUTING = Path(__file__).resolve().parents[2] / "services" / "routing"


def calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every method call of a module, with the function that it stands in."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield function.name, node.func.attr


def test_values_are_opened_in_one_function_only() -> None:
    opened = {
        (path.relative_to(ROUTING).as_posix(), function)
        for path in ROUTING.rglob("*.py")
        # What cleans files opens pictures and documents, and knows no vault.
        if path.parent.name != "attachments"
        for function, method in calls(ast.parse(path.read_text("utf-8")))
        if method in ("open", "open_from")
    }
    # What staff typed themselves a moment ago, for themselves, is nobody's value of the vault.
    assert opened == {("commands/vault.py", "read_values"), ("pages/carried.py", "open_carried")}


def test_the_bytes_of_files_are_opened_in_one_module_only() -> None:
    """From their list, which is a value of the vault."""
    opening = {
        path.relative_to(ROUTING).as_posix()
        for path in ROUTING.rglob("*.py")
        if ".open_bytes(" in path.read_text("utf-8")
    }
    assert opening == {"commands/attachments.py"}
    assert not any("SubjectVault" in path.read_text("utf-8") for path in (ROUTING / "attachments").rglob("*.py"))


def test_sealed_values_are_selected_in_one_module_only() -> None:
    readers = {
        path.relative_to(ROUTING).as_posix()
        for path in ROUTING.rglob("*.py")
        if "row.sealed" in path.read_text("utf-8") or "draft.contact_sealed" in path.read_text("utf-8")
    }
    assert readers == {"commands/vault.py", "commands/attachments.py"}


def test_every_route_is_guarded_or_listed_as_public_and_ours() -> None:
    for handler in HANDLERS:
        assert isinstance(handler, HTTPRouteHandler)
        assert bool(handler.guards) != bool(handler.opt.get("public")), handler
        for path in handler.paths:
            assert service_for(path) == "routing", path


def test_there_are_words_for_every_code() -> None:
    assert set(options.Reason.__args__) - {"next_version"} <= set(channel_wording.REASONS)  # type: ignore[attr-defined]
    assert set(channels._THINGS.values()) == set(BRING)
    assert set(State.__args__) == set(APPOINTMENT_STATES)  # type: ignore[attr-defined]
    assert set(CASE_STATES) == {"opened", "told", "handed_over", "submitted"}
    for words in (STATES, OFFICE_STATES, STATE_LOOKS, TITLES, NEXT, STEPS):
        assert set(words) == set(applications.STATES)
    assert set(ACTIONS) == set(applications.ACTIONS)
    assert set(FILTERS) == set(office.VIEWS) >= {"open", *applications.CLOSED}
    assert {item for line in make_pack().procedures for item in line.items} <= set(ITEMS)
    coded: list[tuple[Any, Mapping[Any, str]]] = [
        (suggestion.Why, channel_wording.WHY),
        (options.Caution, channel_wording.CAUTIONS),
        (options.Doubt, channel_wording.DOUBTS),
        (options.Sure, channel_wording.SURE),
        (situation.Access, channel_wording.ACCESS),
        (catalogue.Payment, channel_wording.PAYMENTS),
        (situation.Until, situation_page.UNTIL_WORDS),
        (situation.PhoneUse, situation_page.PHONE_WORDS),
        (situation.Need, situation_page.NEED_WORDS),
    ]
    for literal, texts in coded:
        assert set(literal.__args__) == set(texts)


def test_the_pack_the_rules_and_the_database_know_the_same_codes() -> None:
    assert town_pack.Access == situation.Access
    assert town_pack.Payment == catalogue.Payment
    checks = {str(check.name): str(check.sqltext) for check in tables.situation.constraints
              if isinstance(check, CheckConstraint)}  # fmt: skip
    for name, codes in (("until", situation.UNTIL), ("phone", situation.PHONE_USES), ("needs", situation.NEEDS)):
        assert set(re.findall(r"'(\w+)'", checks[f"situation_{name}_check"])) == set(codes)
