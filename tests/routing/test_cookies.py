"""Cookies in production, over HTTPS: nobody but this very host can set one, and none is left behind."""

import re
from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from services.routing.app import create_app
from services.routing.settings import Settings
from shared.db import Database
from shared.tokens import TOKEN_LIFETIME
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import HOST

SEE_OTHER = 303
NAMES = {"__Host-choudo_token", "__Host-choudo_session"}


@pytest_asyncio.fixture
async def visitor(settings: Settings, clock: TestClock, db: Database) -> AsyncIterator[Visitor]:
    """A browser of the site as production serves it."""
    production = msgspec.structs.replace(settings, environment="production", default_municipality=None)
    browser = Visitor(create_app(production, clock=clock, db=db))
    browser.http.base_url = f"https://{HOST}"
    yield browser
    await browser.http.aclose()


def attributes(cookie: str) -> set[str]:
    return {part.strip().lower() for part in cookie.split(";")[1:]}


async def test_names_and_attributes_are_those_that_browsers_take_from_this_host_alone(
    visitor: Visitor, clock: TestClock
) -> None:
    """RFC 6265bis: `__Host-` asks for Secure and Path=/ and forbids Domain. Seen to fail with the plain names."""
    probe = (await visitor.get("/session/renew?next=/my")).headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in probe] == ["__Host-choudo_probe"]
    answer = await visitor.get("/session/renew?next=/my&probe=1")
    given = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in given} == NAMES | {"__Host-choudo_probe"}
    for cookie in (*probe, *given):
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= attributes(cookie), cookie
        assert not re.search("domain", cookie, re.IGNORECASE), cookie
    assert set(visitor.http.cookies) == NAMES
    case = await visitor.open_case()
    clock.move(TOKEN_LIFETIME)
    renewed = await visitor.get(f"/session/renew?next={case}/you")
    assert renewed.headers["location"] == f"{case}/you"
    assert (await visitor.get(f"{case}/you")).status_code == 200


async def test_what_a_neighbours_site_plants_is_nobodys_session(visitor: Visitor) -> None:
    """A page of another host under the town's domain gives its own session, to hear what is typed next."""
    await visitor.open_case()
    theirs = {name.removeprefix("__Host-"): value for name, value in visitor.http.cookies.items()}
    visitor.http.cookies.clear()
    for prefix in ("", "__Secure-"):
        for name, value in theirs.items():
            visitor.http.cookies.set(prefix + name, value)
        answer = await visitor.get("/session/renew?next=/my")
        assert answer.headers["location"].endswith("probe=1"), "a browser that brought nothing of ours"
        visitor.http.cookies.clear()


async def test_signing_out_takes_them_back_the_way_that_browsers_heed(visitor: Visitor) -> None:
    """A cookie with such a name is dropped only by one that is Secure with Path=/, too."""
    await visitor.open_case()
    answer = await visitor.post("/sign-out")
    assert answer.status_code == SEE_OTHER
    gone = answer.headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in gone} == NAMES
    for cookie in gone:
        assert {"max-age=0", "secure", "path=/"} <= attributes(cookie), cookie
    assert dict(visitor.http.cookies) == {}
