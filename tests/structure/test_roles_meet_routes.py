"""Each route of the three services is asked by each kind of person, and opens for those of `who_may.py` alone."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import quote

import pytest
import pytest_asyncio
from sqlalchemy import text

from shared.roles import ROLES
from shared.web.prefixes import service_for
from tests.conftest import TestDatabase
from tests.structure.asking import NOW, OTHER_TOWN, SESSION, TOWN, Answer, Product, running_product
from tests.structure.conftest import Route
from tests.structure.who_may import ANYBODY, EVERYBODY, EVERYWHERE, NOBODY, WHO_MAY

_PLACEHOLDER = re.compile(r"\{\w+\}")
RENEW, SIGN_IN = "/session/renew", "/sign-in"


@pytest_asyncio.fixture
async def product(database: TestDatabase) -> AsyncIterator[Product]:
    async with running_product(database) as running:
        yield running


async def ask(product: Product, route: Route, cookie: str) -> Answer:
    """Ask a route about a thing that does not exist: who may not is told so before anybody looks for it."""
    path = _PLACEHOLDER.sub("x", route.path)
    return await product.ask(route.service, route.method, path, cookie=cookie)


def is_refused(answer: Answer, route: Route) -> bool:
    """Whether the door stayed shut: 403, 401 for programs, or on to the way in and back to this very route."""
    back = f"next={quote(_PLACEHOLDER.sub('x', route.path), safe='')}"
    to_the_way_in = answer.location in (f"{RENEW}?{back}", f"{SIGN_IN}?{back}")
    return answer.status in (401, 403) or (answer.status in (303, 307) and to_the_way_in)


def test_every_route_stands_in_the_table_and_the_table_has_no_others(routes: list[Route]) -> None:
    assert {route.name for route in routes} == set(WHO_MAY)


def test_a_route_says_that_it_is_public_exactly_when_anybody_may(routes: list[Route]) -> None:
    for route in routes:
        assert (route.handler.opt.get("public") is True) == (WHO_MAY[route.name] == ANYBODY), route.name


async def test_each_route_opens_for_those_who_may_and_nobody_else(product: Product, routes: list[Route]) -> None:
    """Seen to fail with the guard of `/office` widened, and that of `/counter/line` taken away."""
    wrong = []
    for who in EVERYBODY:
        cookie = product.cookie(None if who == NOBODY else who)
        for route in routes:
            answer = await ask(product, route, cookie)
            assert answer.status < 500, f"{route.name} for {who}: {answer.status}"
            if is_refused(answer, route) == (who in WHO_MAY[route.name]):
                wrong.append(f"{route.name} for {who}: {answer.status} {answer.location}")
    assert wrong == []


@pytest.mark.parametrize("gone", ["ended", "run out", "of another town"])
async def test_a_token_that_is_none_any_more_opens_nothing(product: Product, routes: list[Route], gone: str) -> None:
    """A role that was withdrawn ends the session (`tests/routing/test_accounts.py`), and every service honours it.

    Seen to fail for "ended" without the question to `is_session_ended`.
    """
    if gone == "ended":
        for service, db in product.dbs.items():
            async with db.begin(TOWN) as session:
                ended = f"INSERT INTO {service}.ended_session VALUES (:town, :session, :until)"
                values = {"town": TOWN, "session": SESSION, "until": NOW + timedelta(minutes=10)}
                await session.execute(text(ended), values)
    for role in ROLES:
        cookie = product.cookie(
            role,
            now=NOW - timedelta(hours=1) if gone == "run out" else NOW,
            municipality=OTHER_TOWN if gone == "of another town" else TOWN,
        )
        for route in routes:
            if WHO_MAY[route.name] != ANYBODY:
                assert is_refused(await ask(product, route, cookie), route), f"{route.name} for {role}"


def test_every_service_tells_its_health(routes: list[Route]) -> None:
    for service in ("routing", "booking", "notifications"):
        found = {f"{route.method} {route.path}" for route in routes if route.service == service}
        assert found >= set(EVERYWHERE)


def test_every_route_is_reached_under_its_services_prefix(routes: list[Route]) -> None:
    lost = [
        route.name
        for route in routes
        if f"{route.method} {route.path}" not in EVERYWHERE and service_for(route.path) != route.service
    ]
    assert lost == []


def test_json_lives_under_each_services_api(routes: list[Route]) -> None:
    for route in routes:
        if "/api" in route.path:
            assert route.path.startswith(f"/{route.service}/api/"), route.name
