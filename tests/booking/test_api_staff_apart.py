"""Who may not do what staff, helpers and machines do in JSON: those of another town, and those of another role."""

from typing import Any

import pytest

from tests.booking import draws_town
from tests.booking.conftest import CHILD, OTHER_HOST, OTHER_TOWN, TOWN, BookingTown
from tests.booking.helpers_town import SUZUKI, TANAKA, HelperTown
from tests.booking.test_api import manager, problem
from tests.booking.test_api_staff import DRAWS, HELPERS, KIOSK, LINE, ROSTER, SYSTEM, WEBHOOKS, once, own

# Each route that names something, or lists; what is sent; and what somebody of another town is answered: a status with
# the refusal's code or, for lists, with nothing in them.
THERE = [
    ("manager", "GET", WEBHOOKS, None, (200, [])),
    ("manager", "GET", f"{WEBHOOKS}/{{endpoint}}", None, (404, "webhook_unknown")),
    ("manager", "POST", f"{WEBHOOKS}/{{endpoint}}/state", {"state": "paused"}, (404, "webhook_unknown")),
    ("manager", "POST", f"{WEBHOOKS}/{{endpoint}}/test", None, (404, "webhook_unknown")),
    ("manager", "POST", f"{WEBHOOKS}/{{endpoint}}/secret", None, (404, "webhook_unknown")),
    ("manager", "DELETE", f"{WEBHOOKS}/{{endpoint}}", None, (204, None)),
    ("manager", "POST", f"{DRAWS}/{{draw}}/call-off", None, (404, "draw_unknown")),
    ("counter", "GET", f"{LINE}/today", None, (200, [])),
    ("counter", "POST", f"{LINE}/check-in", {"number": "{number}"}, (404, "appointment_unknown")),
    (
        "counter",
        "POST",
        f"{LINE}/{{appointment}}/step",
        {"action": "check-in", "version": 1},
        (404, "appointment_unknown"),
    ),
    ("kiosk", "POST", f"{KIOSK}/appointments", {"procedure": CHILD, "slot_id": "{slot}"}, (404, "slot_unknown")),
    ("helper", "GET", f"{HELPERS}/shifts", None, (200, [])),
    ("helper", "DELETE", f"{HELPERS}/shifts/{{shift}}", None, (204, None)),
    ("helper", "GET", f"{HELPERS}/requests", None, (200, [])),
    ("helper", "POST", f"{HELPERS}/requests/{{request}}/answer", {"answer": "decline"}, (404, "request_unknown")),
    ("helper", "GET", f"{HELPERS}/calendar", None, (200, {"made_at": None})),
    ("coordinator", "GET", f"{ROSTER}/shifts", None, (200, [])),
    ("coordinator", "GET", f"{ROSTER}/requests", None, (200, [])),
    (
        "coordinator",
        "POST",
        f"{ROSTER}/requests/{{request}}/reassign",
        {"helper_ref": SUZUKI},
        (404, "request_unknown"),
    ),
]
# Each new route, and who may.
ROUTES = [
    *((("manager",), method, path) for role, method, path, _, _ in THERE if role == "manager"),
    (("manager",), "POST", WEBHOOKS),
    (("manager",), "POST", DRAWS),
    *((("counter",), method, path) for role, method, path, _, _ in THERE if role == "counter"),
    (("counter",), "POST", f"{LINE}/walk-ins"),
    (("kiosk",), "GET", f"{KIOSK}/procedures"),
    (("kiosk",), "GET", f"{KIOSK}/procedures/{CHILD}"),
    (("kiosk",), "POST", f"{KIOSK}/tickets"),
    (("kiosk",), "POST", f"{KIOSK}/appointments"),
    *((("helper",), method, path) for role, method, path, _, _ in THERE if role == "helper"),
    (("helper",), "GET", f"{HELPERS}/venues"),
    (("helper",), "POST", f"{HELPERS}/shifts"),
    (("helper",), "POST", f"{HELPERS}/calendar"),
    *((("coordinator", "manager"), method, path) for role, method, path, _, _ in THERE if role == "coordinator"),
]
ROLES = ("manager", "counter", "kiosk", "helper", "coordinator", "nobody")
STATES = """
    SELECT (SELECT string_agg(state, ',') FROM booking.webhook_endpoint) AS systems,
           (SELECT count(*) FROM booking.webhook_delivery) AS messages,
           (SELECT string_agg(state, ',') FROM booking.draw) AS draws,
           (SELECT string_agg(state, ',' ORDER BY appointment_id) FROM booking.appointment) AS appointments,
           (SELECT count(*) FROM booking.helper_shift WHERE municipality = :town) AS shifts,
           (SELECT string_agg(helper_ref || state, ',') FROM booking.assignment) AS requests
"""


async def make_everything(town: BookingTown) -> dict[str, str]:
    """Both towns are open and have the same helpers; all the rest is one town's. What there is to name."""
    helpers = HelperTown(town)
    for code in (TOWN, OTHER_TOWN):
        await helpers.open(code)
        await helpers.hear(helpers.account(TANAKA, code=code))
        await helpers.hear(helpers.account(SUZUKI, code=code))
    shift = await helpers.shift()
    booked = await town.booked()
    await helpers.book("other")
    async with manager(town) as browser:
        made = await browser.post(WEBHOOKS, json=SYSTEM, headers=once())
    async with own(helpers) as browser:
        await browser.post(f"{HELPERS}/calendar", headers=once())
    draw = await draws_town.announce(town)
    [request] = await town.rows("SELECT assignment_id FROM booking.assignment")
    free = await town.slots()
    return {
        "endpoint": made.json()["endpoint_id"],
        "draw": str(draw),
        "number": booked.number,
        "appointment": str(booked.appointment_id),
        "slot": str(free[-1].slot_id),
        "shift": str(shift),
        "request": str(request.assignment_id),  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize(("role", "method", "path", "body", "why"), THERE)
async def test_nobody_finds_what_is_another_towns(
    bare_town: BookingTown, role: str, method: str, path: str, body: dict[str, Any] | None, why: tuple[int, Any]
) -> None:
    """Seen to fail, each of them, where the same is asked in the town itself."""
    names = await make_everything(bare_town)
    before = await bare_town.rows(STATES, town=TOWN)
    sent = body and {name: names.get(str(value)[1:-1], value) for name, value in body.items()}
    kind = "helper" if role == "helper" else "staff"
    async with bare_town.browser(TANAKA, kind=kind, roles=(role,), town=OTHER_TOWN, host=OTHER_HOST) as browser:
        headers = {} if method == "GET" else once()
        answer = await browser.request(method, path.format(**names), json=sent, headers=headers)
    if isinstance(why[1], str):
        assert problem(answer) == why
    else:
        assert (answer.status_code, answer.json() if answer.content else None) == why
    assert await bare_town.rows(STATES, town=TOWN) == before


async def test_each_does_what_their_role_may_and_nothing_else(town: BookingTown) -> None:
    """Seen to fail, route by route, without its guard."""
    names = dict.fromkeys(
        ("endpoint", "draw", "appointment", "shift", "request"), "8d1f7f0e-6a3b-4c58-9f2d-0a4c5b6e7f81"
    )
    for role in ROLES:
        kind = "helper" if role == "helper" else "staff"
        async with town.browser("me", kind=kind, roles=(role,)) as browser:
            for allowed, method, path in ROUTES:
                answer = await browser.request(method, path.format(**names), headers=once())
                refused = answer.status_code == 403 and problem(answer) == (403, "role_missing")
                assert refused == (role not in allowed), (role, method, path, answer.text)
