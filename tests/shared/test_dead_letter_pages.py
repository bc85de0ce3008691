"""The operator's pages of dead letters, asked in all three services: what they say, and what they refuse."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from shared.events.subscriptions import SERVICES
from shared.messaging.dead_letters import PAGE
from shared.web.dead_letter_words import SERVICE_NAMES
from tests.conftest import TestDatabase
from tests.structure.asking import NOW, OTHER_TOWN, TOWN, Answer, Product, running_product

LOST = "booking.lost.v1"
LETTER = """
    INSERT INTO {0}.dead_letter
        (municipality, event_id, publisher, type, payload, sealed, sealed_gone_at, attempts, reason, died_at)
    VALUES (:town, :id, 'booking', :type, '{{}}', 'for-nobody', :gone, 3, :reason, :now)
"""


@pytest_asyncio.fixture
async def product(database: TestDatabase) -> AsyncIterator[Product]:
    async with running_product(database) as running:
        yield running


async def let_die(product: Product, service: str, *, town: str = TOWN, reason: str = "seal", **values: Any) -> UUID:
    event_id = uuid4()
    given = {"town": town, "id": event_id, "reason": reason, "gone": None, "now": NOW, "type": LOST} | values
    async with product.dbs[service].begin(town) as session:
        await session.execute(text(LETTER.format(service)), given)
    return event_id


async def rows(product: Product, service: str, query: str) -> list[Any]:
    async with product.dbs[service].begin(TOWN) as session:
        return list((await session.execute(text(query))).all())


async def ask(product: Product, service: str, path: str, **fields: str) -> Answer:
    """As the operator: a GET, or with fields a POST (`sent=` for a form without any)."""
    return await product.ask(
        service,
        "POST" if fields else "GET",
        f"/{service}/dead-letters{path}",
        cookie=product.cookie("operator"),
        body=urlencode(fields).encode(),
    )


@pytest.mark.parametrize("service", SERVICES)
async def test_each_service_shows_its_own_letters_and_leads_to_the_others(product: Product, service: str) -> None:
    mine = await let_die(product, service)
    others = await let_die(product, service, town=OTHER_TOWN)
    answer = await ask(product, service, "")
    assert answer.status == 200
    assert f"/{service}/dead-letters/{mine}" in answer.text
    assert str(others) not in answer.text
    for other in SERVICES:
        assert f'href="/{other}/dead-letters"' in answer.text
    letter = await ask(product, service, f"/{mine}")
    assert "封をした内容を開けませんでした" in letter.text
    assert "for-nobody" not in letter.text
    elsewhere = await ask(product, service, f"/{others}")
    assert (elsewhere.status, elsewhere.location) == (303, f"/{service}/dead-letters?told={others}")


async def test_a_replay_is_asked_for_once_and_told_as_it_is(product: Product) -> None:
    letter = await let_die(product, "routing")
    for _ in range(2):
        answer = await ask(product, "routing", f"/{letter}/replay", sent="")
        assert (answer.status, answer.location) == (303, f"/routing/dead-letters?told={letter}")
    assert len(await rows(product, "routing", "SELECT 1 FROM due WHERE kind = 'replay'")) == 1
    assert "やり直しを頼みました" in (await ask(product, "routing", f"?told={letter}")).text
    waiting = await ask(product, "routing", f"/{letter}")
    assert f"{letter}/replay" not in waiting.text, "it was asked for already"
    gone = await ask(product, "routing", f"/{uuid4()}/replay", sent="")
    assert (
        "この番号の連絡は、ここにはありません"
        in (await ask(product, "routing", gone.location.removeprefix("/routing/dead-letters"))).text
    )


async def test_a_letter_is_let_go_only_with_a_reason(product: Product) -> None:
    letter = await let_die(product, "booking")
    for fields in ({"sent": ""}, {"reason": "because"}, {"reason": ""}):
        answer = await ask(product, "booking", f"/{letter}/discard", **fields)
        assert (answer.status, answer.location) == (303, f"/booking/dead-letters/{letter}/discard?missing=1")
    assert "理由を選んでください" in (await ask(product, "booking", f"/{letter}/discard?missing=1")).text
    assert len(await rows(product, "booking", "SELECT 1 FROM dead_letter")) == 1
    for _ in range(2):
        answer = await ask(product, "booking", f"/{letter}/discard", reason="out_of_date")
        assert (answer.status, answer.location) == (303, f"/booking/dead-letters?told={letter}")
    assert await rows(product, "booking", "SELECT 1 FROM dead_letter") == []
    deeds = await rows(product, "booking", "SELECT actor_ref, action FROM audit WHERE action LIKE 'discard%'")
    assert [tuple(deed) for deed in deeds] == [("ref-of-operator", "discard_dead_letter_out_of_date")]


async def test_what_has_lost_what_was_sealed_in_it_is_not_replayed(product: Product) -> None:
    letter = await let_die(product, "notifications", gone=NOW)
    page = await ask(product, "notifications", f"/{letter}")
    assert "やり直せません" in page.text
    assert f"{letter}/replay" not in page.text
    answer = await ask(product, "notifications", f"/{letter}/replay", sent="")
    assert (answer.status, answer.location) == (303, f"/notifications/dead-letters/{letter}")
    assert await rows(product, "notifications", "SELECT 1 FROM due WHERE kind = 'replay'") == []


async def test_a_long_list_comes_in_pages(product: Product) -> None:
    letters = [await let_die(product, "routing", now=NOW - timedelta(minutes=age)) for age in range(PAGE + 1)]
    first = await ask(product, "routing", "")
    assert str(letters[PAGE - 1]) in first.text
    assert f"/{letters[PAGE]}" not in first.text
    older = first.text.partition('href="/routing/dead-letters?before=')[2].partition('"')[0]
    second = await ask(product, "routing", f"?before={older}")
    assert f"/{letters[PAGE]}" in second.text
    assert f"/{letters[0]}" not in second.text


@pytest.mark.parametrize(
    "query", ["?before=x", "?before=2026-11-24_x", "?before=_", "?told=x", "?told=%00", "?before=%FF"]
)
async def test_an_address_that_was_cut_short_shows_the_newest(product: Product, query: str) -> None:
    letter = await let_die(product, "routing")
    answer = await ask(product, "routing", query)
    assert answer.status == 200
    assert str(letter) in answer.text


async def test_a_letter_too_old_to_tell_is_replayed_only_when_somebody_has_made_sure(product: Product) -> None:
    """Seen to be replayed by the first press while nothing was asked."""
    letter = await let_die(product, "routing", reason="older_than_inbox")
    shown = await ask(product, "routing", f"/{letter}")
    assert "二度処理されるかもしれません" in shown.text
    assert f'href="/routing/dead-letters/{letter}/replay"' in shown.text
    assert "<form" not in shown.text.split("<main", 1)[1].split("</main", 1)[0]
    assert 'name="never_applied"' in (await ask(product, "routing", f"/{letter}/replay")).text
    for fields in ({"sent": ""}, {"never_applied": "perhaps"}):
        answer = await ask(product, "routing", f"/{letter}/replay", **fields)
        assert (answer.status, answer.location) == (303, f"/routing/dead-letters/{letter}/replay?missing=1")
    assert "しるしをつけてください" in (await ask(product, "routing", f"/{letter}/replay?missing=1")).text
    assert await rows(product, "routing", "SELECT 1 FROM due WHERE kind = 'replay'") == []
    answer = await ask(product, "routing", f"/{letter}/replay", never_applied="yes")
    assert (answer.status, answer.location) == (303, f"/routing/dead-letters?told={letter}")
    assert len(await rows(product, "routing", "SELECT 1 FROM due WHERE kind = 'replay'")) == 1


async def test_other_letters_are_not_asked_about_twice(product: Product) -> None:
    letter = await let_die(product, "routing")
    answer = await ask(product, "routing", f"/{letter}/replay")
    assert (answer.status, answer.location) == (303, f"/routing/dead-letters/{letter}")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_letter_says_what_it_tells_who_told_it_and_who_could_not_take_it(
    product: Product, service: str
) -> None:
    letter = await let_die(product, service, type="booking.appointment_booked.v1")
    for path in ("", f"/{letter}", f"/{letter}/discard"):
        shown = (await ask(product, service, path)).text.split("<main", 1)[1]
        assert "予約の確定" in shown, path
        assert "booking.appointment_booked.v1" in shown.replace("<wbr>", ""), path
        assert "予約・窓口" in shown, path
        assert SERVICE_NAMES[service] in shown, path
    assert "鍵" in (await ask(product, service, f"/{letter}")).text, "what to do next"
