"""Garbage for every POST route of the three services, from somebody who may send there: a page in their language or a
problem in JSON, never a crash, never the inside of the program, never somebody else's garbage."""

import re
from collections.abc import AsyncIterator
from itertools import cycle
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec
import pytest_asyncio
from sqlalchemy import text

from services.notifications.commands.systems import make_system_key, register_system
from shared.web.i18n import LANGUAGE_COOKIE, LANGUAGES
from tests.conftest import TestDatabase
from tests.notifications.systems import MANAGER as SYSTEM_MANAGER
from tests.notifications.systems import TERMS
from tests.routing.applying import CHI02_FORM
from tests.stack import ROOT
from tests.structure.asking import FORM, GATEWAY_TOKEN, NOW, TOWN, Answer, Product, running_product
from tests.structure.conftest import Route
from tests.structure.who_may import GUEST, NOBODY, WHO_MAY
from tests.visitors import make_pass

MARK = "g4rbage"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Where the pages' Python and templates name a field of a form.
_FIELD = re.compile(r"""name="(\w+)"|(?:value|get|text|choice|date|email|phone|number)\(\s*"(\w+)\"""")
_HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')
_RADIO = re.compile(r'name="(\w+)"[^>]* value="yes"')
BODY_MAX = 65_536
# A way on (307: the form goes back where it came from), or a program's answer.
EXPECTED = {201, 204, 303, 307}
# Answered by a page, which is no refusal: what is right so far is kept, and the form comes back as it was typed; and a
# link and a code for another device, which are shown once.
ANSWERED_BY_A_PAGE = frozenset({"routing POST /cases/{case_id}/draft", "routing POST /cases/{case_id}/device"})

VALUES = {
    "nothing": "",
    "a NUL": f"{MARK}\x00",
    "a script": f"<script>{MARK}</script>",
    "SQL": f"{MARK}'; DROP TABLE visit; --",
    "signs without a place": f"{MARK}\u202e\ud7ff\ufffe👩‍👩‍👧‍👦",
    "a long number": "9" * 400,
    "a negative number": "-1",
    "digits of another script": "१२३",
    "a path": "../../etc/passwd",
    "a day that is none": "2026-02-30",
}
# What nobody types: with it right, the garbage is not refused at the door.
BROUGHT = {"version": "1", "idempotency_key": "6f1c2c1e-7c3e-4c0e-9d53-1d7a0f3f6a77", "procedure": "CHI02"}
PATHS = {
    "no uuid": "x",
    "a uuid that nobody has": str(uuid4()),
    "a NUL": "%00",
    "no UTF-8": "%FF%FE",
    "a script": quote(f"<script>{MARK}</script>"),
    "a way up": "..%2F..%2Fetc",
    "much too long": "x" * 5_000,
    "digits of another script": quote("१२३"),
}


class Bodies:
    """What is sent: by its name, the bytes and what they are said to be."""

    def __init__(self, names: list[str]) -> None:
        self.all: dict[str, tuple[bytes, str]] = {
            f"{what} in every field{but}": (urlencode(dict.fromkeys(names, value) | right).encode(), FORM)
            for but, right in (("", {}), (" but those that the page brings", BROUGHT))
            for what, value in VALUES.items()
        }
        twice = [(name, value) for name in names for value in (MARK, "1")][:200]
        self.all |= {
            "nothing at all": (b"", FORM),
            "every name twice": (urlencode(twice).encode(), FORM),
            "no UTF-8": (b"&".join(name.encode() + b"=%FF%FE\xff\xfe" for name in names), FORM),
            "too many fields": (urlencode([(f"{MARK}{number}", "") for number in range(500)]).encode(), FORM),
            "as much as is taken": (b"name=" + b"x" * (BODY_MAX - 10), FORM),
            "100 kB": (b"name=" + b"x" * 100_000, FORM),
            "JSON that ends too soon": (b'{"visit_id": ', "application/json"),
            "JSON that is a number": (b"1", "application/json"),
            "JSON as a form": (b"name=1", "application/json"),
            "a form in parts without a boundary": (b"--x\r\n\r\n", "multipart/form-data"),
            "a file": (
                b'--x\r\nContent-Disposition: form-data; name="name"; filename="a"\r\n\r\nMZ\r\n--x--\r\n',
                "multipart/form-data; boundary=x",
            ),
            "a form in parts that ends too soon": (b"--x\r\nContent-Dispos", "multipart/form-data; boundary=x"),
            "of no kind": (b"\x00\x01", ""),
            "of an unknown alphabet": (b"name=x", f"{FORM}; charset=klingon"),
        }


@pytest_asyncio.fixture
async def product(database: TestDatabase) -> AsyncIterator[Product]:
    async with running_product(database) as running:
        yield running


def fields_of_all_forms(product: Product) -> list[str]:
    """The names of every field that a page has or a handler reads."""
    files = [path for service in product.apps for path in (ROOT / "services" / service / "pages").rglob("*")]
    found = {name for path in files if path.suffix in (".py", ".html")
             for pair in _FIELD.findall(path.read_text("utf-8")) for name in pair if name}  # fmt: skip
    return sorted(found | set(CHI02_FORM) - {""})[:199]


def fitting(route: Route) -> str:
    """Somebody who may send there."""
    who = WHO_MAY[route.name]
    return next((role for role in (GUEST, "manager", "counter", *sorted(who)) if role in who), NOBODY)


async def key_of_system(product: Product) -> str:
    """Another system's, which may ask for everything."""
    async with product.dbs["notifications"].begin(TOWN) as session:
        system_id = await register_system(session, SYSTEM_MANAGER, TERMS, "one", now=NOW)
        key = await make_system_key(session, SYSTEM_MANAGER, system_id, "one", now=NOW)
    assert key is not None
    return key


def problems(answer: Answer, language: str, route: Route) -> list[str]:
    """What is wrong with an answer: no way on and no refusal, another language, or the program's inside."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    shown = answer.body.decode("utf-8", "replace")
    expected = EXPECTED | ({200} if route.name in ANSWERED_BY_A_PAGE else set())
    found = [] if answer.status in expected or 400 <= answer.status < 500 else [str(answer.status)]
    found += [word for word in ("Traceback", "sqlalchemy", f"<script>{MARK}") if word in shown]
    if kind == "text/html" and f'data-language="{language}"' not in shown:
        found.append(f"not in {language}")
    if kind != "text/html" and answer.status >= 400 and kind != "application/problem+json":
        found.append(f"a refusal as {kind or 'nothing'}")
    return found


async def own_things(product: Product) -> dict[str, str]:
    """What the guest has of everything that a path may name, so that the garbage goes as deep as it can."""
    cookie = product.cookie(GUEST)

    async def post(service: str, path: str, **fields: str) -> str:
        answer = await product.ask(service, "POST", path, cookie=cookie, body=urlencode(fields).encode())
        assert answer.status == 303, f"{path}: {answer.status} {answer.text[-600:]}"
        return answer.location

    async def fields_of(service: str, path: str) -> dict[str, str]:
        page = await product.ask(service, "GET", path, cookie=cookie)
        return dict(_HIDDEN.findall(page.text))

    async def visit() -> str:
        sealed = make_pass(product.environ, product.identity(GUEST), now=NOW)
        return (await post("booking", "/booking/arrive", **{"pass": sealed})).rpartition("/")[2]

    async def hold(of: str, number: int) -> None:
        await post("booking", f"/booking/visits/{of}/hold", slot=slots[number]["slot_id"], idempotency_key="k")

    questions = await product.ask("routing", "GET", "/life-events/move-in", cookie=cookie)
    answers = dict.fromkeys(_RADIO.findall(questions.text), "yes") | {"idempotency_key": str(uuid4())}
    plan_path = await post("routing", "/life-events/move-in", **answers)
    cases = []
    for _ in range(2):
        begun = {"procedure": "CHI02", "channel": "online", "idempotency_key": str(uuid4())}
        cases.append((await post("routing", "/cases", **begun)).rpartition("/")[0])
    await post("routing", f"{cases[0]}/form", **CHI02_FORM)
    await post("routing", f"{cases[0]}/you", reach="none")
    checked = await fields_of("routing", f"{cases[0]}/check")
    application = await post("routing", f"{cases[0]}/submit", **checked)
    found = await product.ask("booking", "GET", "/booking/api/slots?procedure=CHI02", cookie=cookie)
    slots = [slot for slot in msgspec.json.decode(found.body) if slot["free"]]
    booked, choosing = await visit(), await visit()
    await hold(booked, 0)
    appointment = await post("booking", f"/booking/visits/{booked}/book", idempotency_key="k")
    await hold(choosing, -1)
    ids = []
    for service, table in (("booking", "appointment"), ("routing", "application")):
        async with product.dbs[service].begin(TOWN) as session:
            ids.append(str((await session.execute(text(f"SELECT {table}_id FROM {service}.{table}"))).scalar_one()))
    return {
        "case_id": cases[1].rpartition("/")[2],
        "plan_id": plan_path.rpartition("/")[2],
        "visit_id": choosing,
        "routing number": application.rpartition("/")[2],
        "booking number": appointment.rpartition("/")[2],
        "appointment_id": ids[0],
        "application_id": ids[1],
        "counter action": "check-in",
        "office action": "ask-correction",
        "answer": "accept",
        "provider": "sms_gateway",
        "code": "move-in",
    }


def filled(route: Route, things: dict[str, str]) -> str:
    """The route's path with things that are there."""

    def thing(found: re.Match[str]) -> str:
        name = found[1]
        area = route.path.split("/")[1]
        choices = (things.get(name), things.get(f"{area} {name}"), things.get(f"{route.service} {name}"), str(uuid4()))
        return next(choice for choice in choices if choice)

    return _PLACEHOLDER.sub(thing, route.path)


async def test_garbage_is_answered_in_the_visitors_language_and_never_crashes(
    product: Product, routes: list[Route]
) -> None:
    """Seen to fail where `post_sign_in` leaves a NUL in the login: 500 from the database."""
    things = await own_things(product)
    bodies, key = Bodies(fields_of_all_forms(product)).all, await key_of_system(product)
    # Who signs out ends the session of everybody here.
    posts = sorted((route for route in routes if route.method == "POST"), key=lambda route: "sign-out" in route.path)
    languages, wrong = cycle(LANGUAGES), []
    for route in posts:
        paths = {"its own": filled(route, things)}
        if "{" in route.path:
            paths |= {what: _PLACEHOLDER.sub(bad, route.path) for what, bad in PATHS.items()}
        for where, path in paths.items():
            sent = bodies if where == "its own" else {"nothing at all": bodies["nothing at all"]}
            for what, (body, kind) in sent.items():
                language, who = next(languages), fitting(route)
                answer = await product.ask(
                    route.service,
                    "POST",
                    path,
                    cookie=f"{product.cookie(who)}; {LANGUAGE_COOKIE}={language}",
                    body=body,
                    content_type=kind,
                    headers={
                        "authorization": f"Bearer {GATEWAY_TOKEN if WHO_MAY[route.name] else key}",
                        "idempotency-key": MARK,
                    },
                )
                wrong += [
                    f"{route.name}, {what}, path {where}: {problem}" for problem in problems(answer, language, route)
                ]
    assert wrong == []
    somebody = product.cookie(GUEST, ref="somebody-else")
    for route in routes:
        if route.method == "GET" and GUEST in WHO_MAY[route.name]:
            answer = await product.ask(route.service, "GET", filled(route, things), cookie=somebody)
            assert answer.status < 500, route.name
            assert MARK.encode() not in answer.body, route.name
