"""What the services say of their JSON: every route, nothing that is not there, and nothing from elsewhere."""

import re
from typing import Any, get_args, get_origin

import httpx
import msgspec
import pytest
from litestar import Litestar, Response

from services.booking.refusals import REFUSALS as BOOKING
from services.notifications.app import REFUSALS as NOTIFICATIONS
from services.routing.pages.wording import REFUSALS as ROUTING
from shared.web.documented import KEY_HEADER, documented_of
from shared.web.openapi import make_document
from shared.web.refusals import REFUSALS
from tests.booking.conftest import BookingTown
from tests.structure.conftest import Route, apps, environ, routes

__all__ = ["apps", "environ", "routes"]

# The words of the others' refusals.
OWN = {"routing": ROUTING, "notifications": NOTIFICATIONS}
WRITES = ("post", "put", "patch")


@pytest.fixture(scope="module")
def described(apps: dict[str, Litestar]) -> dict[str, Any]:
    return make_document(apps["booking"], "booking", REFUSALS | BOOKING, secure=False)


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, found) for path, item in described["paths"].items() for method, found in item.items()]


# Each thing in the body brings a key of its own.
KEYED_WITHIN = {"/booking/api/line/merge"}


def test_every_route_of_the_api_is_described_and_no_page(described: dict[str, Any], routes: list[Route]) -> None:
    there = {
        (route.path, route.method.lower())
        for route in routes
        if route.service == "booking" and route.path.startswith("/booking/api/")
    }
    assert {(path, method) for path, method, _ in operations(described)} == there
    assert len(there) > 40


def test_every_operation_has_words_an_own_name_and_examples(described: dict[str, Any]) -> None:
    names = [found["operationId"] for _, _, found in operations(described)]
    assert len(set(names)) == len(names)
    for path, method, found in operations(described):
        assert found["summary"], path
        assert found["tags"] != ["other"], path
        assert re.fullmatch(r"[ -~\n…]+", found["description"]), f"{path}: in English"
        answer = next(found["responses"][status] for status in found["responses"] if status.startswith("2"))
        if "application/json" in answer.get("content", {}) and "/ledger/" not in path:
            assert "example" in answer["content"]["application/json"], f"{method} {path}"
        if "requestBody" in found and "/ledger/" not in path:
            assert "example" in found["requestBody"]["content"]["application/json"], f"{method} {path}"


def test_an_example_of_an_answer_is_one(apps: dict[str, Litestar], routes: list[Route]) -> None:
    """What the types say of an example, its bytes do too."""
    seen = 0
    for route in routes:
        example = documented_of(route.handler.opt).returns
        if example is not None:
            kind = route.answer
            [kind] = get_args(kind) if get_origin(kind) is Response else [kind]
            assert msgspec.json.decode(msgspec.json.encode(example), type=kind) == example, route.name
            seen += 1
    assert seen > 30


def test_every_write_takes_a_key_or_is_none_twice(described: dict[str, Any]) -> None:
    for path, method, found in operations(described):
        if method in WRITES and "/ledger/" not in path:
            headers = {each["name"] for each in found["parameters"] if each["in"] == "header"}
            assert headers == (set() if path in KEYED_WITHIN else {KEY_HEADER}), f"{method} {path}"


def test_what_is_refused_is_told_with_its_words(described: dict[str, Any]) -> None:
    hold = described["paths"]["/booking/api/holds"]["post"]["responses"]
    assert set(hold["409"]["content"]) == {"application/problem+json"}
    assert hold["409"]["content"]["application/problem+json"]["examples"]["slot_taken"]["value"]["title"].isascii()
    lost = hold["409"]["content"]["application/problem+json"]["examples"]["slot_taken"]["value"]
    assert lost["alternatives"][0]["where"] == "same_counter"
    for path, _, found in operations(described):
        assert any(status.startswith("2") for status in found["responses"]), path


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    known = described["components"]["schemas"]
    found = set(re.findall(r"#/components/schemas/([^'\"]+)", str(described)))
    assert found
    assert found <= set(known)


def test_times_say_that_they_are_times(described: dict[str, Any]) -> None:
    hold = described["components"]["schemas"]["Hold"]["properties"]
    assert {hold[name]["format"] for name in ("starts_at", "ends_at", "held_until")} == {"date-time"}


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_has_the_name_that_this_process_gives_it(apps: dict[str, Litestar], secure: bool) -> None:
    described = make_document(apps["booking"], "booking", REFUSALS | BOOKING, secure=secure)
    name = described["components"]["securitySchemes"]["visitor"]["name"]
    assert name.startswith("__Host-") == secure


async def test_it_is_served_to_everybody(town: BookingTown) -> None:
    async with town.browser(None) as browser:
        answers: list[httpx.Response] = [await browser.get(f"/booking/schema{end}") for end in ("", "/openapi.json")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["openapi"] == "3.1.0"


@pytest.mark.parametrize("service", OWN)
def test_the_other_services_describe_theirs(apps: dict[str, Litestar], service: str) -> None:
    described = make_document(apps[service], service, REFUSALS | OWN[service], secure=True)
    assert described["paths"]
