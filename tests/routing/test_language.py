"""Choosing the language of the pages."""

import pytest

from shared.web.i18n import LANGUAGE_COOKIE
from tests.routing.conftest import Visitor

SEE_OTHER = 303


async def test_the_chosen_language_is_kept_and_leads_back(visitor: Visitor) -> None:
    front = await visitor.get("/search")
    assert 'href="/language?to=en&amp;next=%2Fsearch"' in front.text
    answer = await visitor.get("/language?to=en&next=/search")
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, "/search")
    assert 'lang="en"' in (await visitor.get("/search")).text.partition("<body")[0]


@pytest.mark.parametrize(
    ("asked", "kept", "led_to"),
    [
        ("to=xx&next=/my", "ja", "/my"),
        ("to=" + "e" * 3_000, "ja", "/"),
        ("to=ja-easy&next=//example.com", "ja-easy", "/"),
        ("to=en&next=https://example.com", "en", "/"),
        ("to=en&next=/%5Cexample.com", "en", "/"),
        ("", "ja", "/"),
    ],
)
async def test_an_unknown_language_is_japanese_and_no_way_leads_to_another_site(
    visitor: Visitor, asked: str, kept: str, led_to: str
) -> None:
    answer = await visitor.get(f"/language?{asked}")
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, led_to)
    assert answer.cookies[LANGUAGE_COOKIE] == kept
