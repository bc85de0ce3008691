"""`/counter/webhooks`: what a manager registers, sees, tries and takes back, without JavaScript."""

import re

import httpx

from services.booking.domain.webhooks import KINDS
from services.booking.refusals import REFUSALS
from shared.web.refusals import REFUSALS as SHARED
from shared.webhooks.endpoints import ENDPOINTS_MAX
from tests.booking.conftest import HOST, OTHER_HOST, OTHER_TOWN, TOWN, BookingTown
from tests.booking.webhook_receiver import deliveries, receiving, register, sending
from tests.journeys.resident import read_forms

PAGE = "/counter/webhooks"
SECRET = re.compile(r"whsec_[0-9A-Za-z+/=]{44}")
TYPED = {
    "name": "1階の案内表示",
    "url": "https://display.example.jp/hook",
    "kinds": ["appointment.called", "closing.made"],
}


def manager(town: BookingTown, *, host: str = HOST, of: str = TOWN) -> httpx.AsyncClient:
    return town.browser("boss", host=host, kind="staff", roles=("manager",), town=of)


def key_of(page: httpx.Response, ending: str) -> dict[str, str]:
    """The form's own field, as the page brings it."""
    form = next(form for form in read_forms(page.text) if form.action.endswith(ending))
    return {"idempotency_key": form.fields["idempotency_key"]}


async def test_registered_seen_tried_paused_and_taken_back(town: BookingTown) -> None:
    async with manager(town) as browser, receiving() as receiver, sending(town) as loop:
        page = await browser.get(PAGE)
        assert "登録したシステムはありません" in page.text
        # As a developer's machine may: plain http, but not to itself.
        fields = TYPED | key_of(page, PAGE)
        made = await browser.post(PAGE, data=fields)
        assert made.status_code == 200
        [secret] = SECRET.findall(made.text)
        again = await browser.post(PAGE, data=fields)
        assert again.status_code == 303
        own = again.headers["location"]
        await town.rows("SELECT 1")
        async with town.database.owner_engine("booking").begin() as connection:
            await connection.exec_driver_sql(f"UPDATE booking.webhook_endpoint SET url = '{receiver.url}'")
        page = await browser.get(own)
        assert secret not in page.text
        assert "よびだした、臨時に休みにした" in page.text
        for action, says in (
            ("test", "これから送ります"),
            ("pause", "送るのを止めています"),
            ("resume", "送っています"),
        ):
            answer = await browser.post(f"{own}/{action}", data={})
            assert (answer.status_code, answer.headers["location"]) == (303, own)
            assert says in (await browser.get(own)).text
        receiver.mode = "503"
        await loop.run_once()
        page = await browser.get(own)
        assert "返事：503" in page.text
        assert "届きませんでした" in page.text
        rolled = await browser.post(f"{own}/roll", data=key_of(page, "/roll"))
        assert SECRET.findall(rolled.text) not in ([], [secret])
        assert "前の鍵は" in (await browser.get(own)).text
        assert (await browser.post(f"{own}/delete", data={})).headers["location"] == PAGE
        assert (await browser.get(own)).status_code == 404
    deeds = await town.rows("SELECT action FROM booking.audit WHERE actor_ref = 'boss' ORDER BY occurred_at, action")
    assert sorted(row.action for row in deeds) == [  # type: ignore[attr-defined]
        f"webhook-{action}" for action in ("delete", "pause", "register", "resume", "roll", "test")
    ]


async def test_what_cannot_be_registered_says_why_and_keeps_what_was_typed(town: BookingTown) -> None:
    async with manager(town) as browser:
        for wrong, says in (
            ({"name": ""}, "入力してください"),
            ({"url": "display.example.jp"}, SHARED["webhook_url_unfit"].title),
            ({"url": "http://127.0.0.1:5432/"}, SHARED["webhook_url_inside"].title),
            ({"url": "http://169.254.169.254/"}, SHARED["webhook_url_inside"].title),
            ({"kinds": []}, REFUSALS["webhook_kinds_missing"].title),
            ({"kinds": ["appointment.eaten"]}, REFUSALS["webhook_kinds_missing"].title),
        ):
            page = await browser.post(PAGE, data=TYPED | wrong)
            assert page.status_code == 422
            assert says in page.text
            typed = TYPED | wrong
            assert f'value="{typed["url"]}"' in page.text
        assert await town.rows("SELECT 1 FROM booking.webhook_endpoint") == []
        for number in range(ENDPOINTS_MAX):
            await register(town, f"https://display.example.jp/{number}", key=str(number))
        page = await browser.post(PAGE, data=TYPED)
        assert page.status_code == 409
        assert REFUSALS["too_many_webhooks"].title in page.text
    assert len(await town.rows("SELECT 1 FROM booking.webhook_endpoint")) == ENDPOINTS_MAX


async def test_another_towns_are_nowhere_to_be_found(town: BookingTown) -> None:
    shown = await register(town, "https://display.example.jp/")
    async with manager(town, host=OTHER_HOST, of=OTHER_TOWN) as stranger:
        assert "登録したシステムはありません" in (await stranger.get(PAGE)).text
        unknown = await stranger.get(f"{PAGE}/{shown.endpoint_id}")
        assert unknown.status_code == 404
        assert SHARED["webhook_unknown"].title in unknown.text
        for action in ("test", "pause", "resume", "roll", "delete"):
            assert (await stranger.post(f"{PAGE}/{shown.endpoint_id}/{action}", data={})).status_code == 404
    assert await deliveries(town) == []
    assert len(await town.rows("SELECT 1 FROM booking.webhook_endpoint")) == 1


async def test_every_kind_has_its_words(town: BookingTown) -> None:
    async with manager(town) as browser:
        page = (await browser.get(PAGE)).text
    for kind in KINDS:
        assert f'value="{kind}"' in page
        assert f">{kind}<" not in page
