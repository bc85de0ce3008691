"""The simulator of gateways: what it can be told to do, beside what `test_senders_conform.py` sees of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from deploy.local.gateways.behaviour import MAGIC, Mode, draw, magic_of
from deploy.local.gateways.receipts import in_manner
from deploy.local.sink import Sink

TOKEN = "gateway-token"
PATIENCE_S = 60.0
SMS = {"id": "143421:1", "to": "09012345678", "text": "x"}


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink(token=TOKEN) as running:
        yield running


@pytest.fixture
async def client(sink: Sink) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=sink.url, headers=headers, timeout=PATIENCE_S) as made:
        yield made


async def test_it_is_limited_and_lied_to_over_the_control_door(sink: Sink, client: httpx.AsyncClient) -> None:
    assert (await client.post("/limit", json={"channel": "sms", "per_s": 0.001})).status_code == 204
    assert [(await client.post("/sms", json=SMS)).status_code for _ in range(3)] == [200, 429, 429]
    assert (await client.post("/limit", json={"channel": "sms", "per_s": 0})).status_code == 204
    assert (await client.post("/behaviour", json={"channel": "sms", "mode": "lose"})).status_code == 204
    assert (await client.post("/sms", json=SMS | {"id": "143421:2"})).status_code == 200
    assert len((await client.get("/messages.json")).json()) == 1
    assert [sent["key"] for sent in (await client.get("/messages.json", params={"lost": True})).json()] == ["143421:2"]
    for bad in ({"channel": "fax", "mode": "ok"}, {"channel": "sms", "mode": "eat"}):
        assert (await client.post("/behaviour", json=bad)).status_code == 400


async def test_an_ending_goes_before_what_is_told(sink: Sink, client: httpx.AsyncClient) -> None:
    sink.behave("sms", "fail_5xx", times=1)
    refused = {"id": "1", "to": "09000779904", "text": "x"}
    assert (await client.post("/sms", json=refused)).status_code == 422
    assert (await client.post("/sms", json=SMS)).status_code == 503


def test_an_ending_is_one_of_a_number_or_of_a_mailbox() -> None:
    assert magic_of("09000779901") == MAGIC["779901"] == "fail_5xx"
    assert magic_of("hanako+bounce_hard@example.jp") == "bounce_hard"
    assert magic_of("U" + "0" * 26 + "779905") == "slow"
    for plain in (
        "09012345678",
        "hanako@example.jp",
        "hanako+town@example.jp",
        "fail_5xx@example.jp",
        "a+mixed@b.jp",
        "",
    ):
        assert magic_of(plain) is None


def test_a_seed_decides_by_chance_and_always_the_same() -> None:
    chances: dict[Mode, float] = {"fail_5xx": 0.25, "lose": 0.25}
    drawn = [draw(chances, f"7 {number}") for number in range(2_000)]
    assert drawn == [draw(chances, f"7 {number}") for number in range(2_000)]
    assert drawn != [draw(chances, f"8 {number}") for number in range(2_000)]
    for mode, share in (("ok", 0.5), ("fail_5xx", 0.25), ("lose", 0.25)):
        assert abs(drawn.count(mode) / 2_000 - share) < 0.05  # type: ignore[arg-type]


def test_receipts_come_in_every_manner() -> None:
    assert in_manner(["a", "d"], "ok") == ["a", "d"]
    assert in_manner(["a", "d"], "receipts_backwards") == ["d", "a"]
    assert in_manner(["a", "d"], "receipts_repeated") == ["a", "a", "a", "d", "d", "d"]


async def test_the_form_gateway_answers_in_its_own_words(sink: Sink, client: httpx.AsyncClient) -> None:
    form = {"user": "u", "pass": TOKEN, "to": "09012345678", "text": "x", "tag": "143421"}
    for changes, code in (
        ({}, "result=0"), ({"pass": "x"}, "result=201"), ({"to": "+819012345678"}, "result=102"),
        ({"text": ""}, "result=301"),
        ({"text": "a" * 403}, "result=302"),
    ):  # fmt: skip
        answer = await client.post("/sms-form", data=form | changes)
        assert answer.status_code == 200
        assert answer.text.startswith(code)
    assert len(sink.messages()) == 1


async def test_line_wants_its_retry_key_and_knows_it_again(sink: Sink, client: httpx.AsyncClient) -> None:
    push = {"to": "U1", "messages": [{"type": "text", "text": "x"}]}
    path, key = "/v2/bot/message/push", {"x-line-retry-key": "123e4567-e89b-12d3-a456-426614174000"}
    assert (await client.post(path, json=push)).status_code == 400
    assert (await client.post(path, json=push | {"messages": []}, headers=key)).status_code == 400
    first, second = [await client.post(path, json=push, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 409)
    assert second.headers["x-line-accepted-request-id"] == first.headers["x-line-request-id"]
    assert [sent.times for sent in sink.messages(channel="line")] == [2]
    assert "LINE" in (await client.get("/")).text
