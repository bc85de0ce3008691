"""Production as it is: HTTPS, Caddy, three web processes apart, their workers. What only goes wrong there."""

import re
import time
from uuid import uuid4

import httpx
import pytest

from shared.reference_number import show_number
from tests.journeys.proxy import STRANGE_HOST, Proxy, needs_caddy
from tests.journeys.resident import Resident
from tests.stack import STAFF_LOGIN, STAFF_PASSWORD, START_TIMEOUT_S, Stack

pytestmark = needs_caddy
TOKEN = "a-token-that-nobody-may-read-in-a-log-12345"


@pytest.fixture
def stack(stack_and_proxy: tuple[Stack, Proxy]) -> Stack:
    return stack_and_proxy[0]


def test_the_main_journey_goes_through(stack: Stack, proxy: Proxy) -> None:
    with Resident(proxy.local_url, proxy.transport()) as resident:
        number = resident.book(name="二宮 花子", reach="email", contact="proxied@example.jp")
        assert show_number(number) in resident.page.text
        message = stack.wait_for_messages(1, to="proxied@example.jp", channel="email")[-1]
        assert "書かずにすんだ項目" in resident.get("/my/history").text
    link = re.search(rf"{re.escape(proxy.url)}(/booking/a/(\S+))", message["text"])
    assert link is not None, message["text"]
    with Resident(proxy.local_url, proxy.transport()) as somebody_else:
        assert show_number(number) in somebody_else.get(link[1]).text
        assert "/booking/a/" not in somebody_else.path
    assert link[2] not in proxy.log


def test_answers_are_packed_safe_and_as_the_services_gave_them(proxy: Proxy) -> None:
    with proxy.client() as client:
        page = client.get("/")
        assert page.headers["content-encoding"] in ("gzip", "zstd")
        assert "max-age" in page.headers["strict-transport-security"]
        assert "server" not in page.headers
        style = re.search(r'href="(/static/app\.[0-9a-f]+\.css)"', page.text)
        assert style is not None
        file = client.get(style[1])
        assert (file.status_code, file.headers["content-encoding"]) == (200, "gzip")
        assert "immutable" in file.headers["cache-control"]
        begun = {"procedure": "CHI02", "channel": "counter", "idempotency_key": str(uuid4())}
        assert client.post("/cases", data=begun).status_code == 303
        assert {cookie.secure for cookie in client.cookies.jar} == {True}
    plain = httpx.get(f"http://127.0.0.1:{proxy.http_port}/my?x=1", headers={"host": "ninomiya.localhost"})
    assert plain.status_code == 308
    assert plain.headers["location"].startswith("https://ninomiya.localhost")


def test_the_host_says_which_town_it_is_and_the_insides_are_nobodys(proxy: Proxy) -> None:
    with proxy.client(STRANGE_HOST) as stranger:
        for path in ("/", "/booking/find", "/notices"):
            assert stranger.get(path).status_code == 404
    with proxy.client() as client:
        assert "二宮町" in client.get("/").text
        for path in ("/readyz", "/booking/readyz", "/notifications/readyz", "/readyz/"):
            answer = client.get(path)
            assert (answer.status_code, answer.text) == (404, ""), path
        # The metrics have a listener of their own.
        for path in ("/metrics", "/booking/metrics", "/metrics/"):
            assert client.get(path).status_code == 404, path
        assert client.get("/booking/healthz").status_code == 200


def test_a_visitors_address_is_what_the_proxy_saw_and_not_what_the_visitor_says(proxy: Proxy) -> None:
    """Seen to fail without `CHOUDO_PROXY_ADDRESS`: everybody is the proxy, and one locks out the town."""
    wrong = {"number": "AAA-AAAA", "code": "000000"}
    with proxy.client(address="127.0.0.2") as guesser:
        answers = [
            guesser.post("/booking/find", data=wrong, headers={"x-forwarded-for": f"10.0.0.{number}"}).headers[
                "location"
            ]
            for number in range(31)
        ]
    assert "refused=too_many" in answers[-1]
    with proxy.client(address="127.0.0.3") as neighbour:
        told = neighbour.post("/booking/find", data=wrong | {"number": "BBB-BBBB"}).headers["location"]
        assert "refused=wrong" in told


def test_the_line_tells_tablets_at_once_what_changed(proxy: Proxy) -> None:
    with proxy.client() as tablet, proxy.client() as reception:
        for client in (tablet, reception):
            signed_in = client.post("/sign-in", data={"login": STAFF_LOGIN, "password": STAFF_PASSWORD})
            assert signed_in.status_code in (200, 303), signed_in.text
        with tablet.stream("GET", "/counter/events", headers={"accept": "text/event-stream"}) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            # Whatever packs may wait for more to pack.
            assert "content-encoding" not in stream.headers
            lines = stream.iter_lines()
            assert "here" in next(lines)
            reception.post("/counter/walk-ins", data={"procedure": "CHI02", "idempotency_key": "proxied"})
            assert "event: line" in lines


def test_with_one_service_stopped_its_pages_say_so_and_the_others_go_on(stack: Stack, proxy: Proxy) -> None:
    with proxy.client() as client:
        stack.stop("booking-web")
        try:
            for path in ("/booking/find", f"/booking/a/{TOKEN}", "/counter", "/board"):
                answer = client.get(path, headers={"referer": f"{proxy.url}/booking/a/{TOKEN}"})
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "30"), path
                assert "ただいま、このページは使えません" in answer.text
                assert "役場に電話" in answer.text
                assert ("refresh" in answer.headers) == (path == "/board")
            problem = client.get("/booking/api/slots?procedure=CHI02")
            assert (problem.status_code, problem.json()["code"]) == (503, "unavailable")
            assert problem.headers["content-type"] == "application/problem+json"
            assert client.get("/procedures/CHI02").status_code == 200
            assert client.get("/notices").status_code in (200, 303)
        finally:
            stack.start("booking-web")
        stack.stop("routing-web")
        try:
            assert client.get("/my").status_code == 503
            style = re.search(r'href="(/static/app\.[0-9a-f]+\.css)"', _when_up(client, "/booking/find").text)
            assert style is not None
            assert client.get(style[1]).status_code == 200
        finally:
            stack.start("routing-web")
        assert _when_up(client, "/").status_code == 200
    assert TOKEN not in proxy.log
    assert '"status":502' in proxy.log


def _when_up(client: httpx.Client, path: str) -> httpx.Response:
    """The proxy tries again with every request."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while (answer := client.get(path)).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer
