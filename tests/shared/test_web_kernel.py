"""What every page of every service can rely on, on a small application made as the services make theirs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template
from litestar.routes import HTTPRoute
from prometheus_client import generate_latest
from sqlalchemy import event, text

from shared.db import Database, service_metadata
from shared.errors import Refusal
from shared.tokens import TOKEN_LIFETIME, Identity, sign_token
from shared.web import town as town_module
from shared.web.app import FORM_MAX_BYTES, ServiceRoutes
from shared.web.assets import load_manifest
from shared.web.cookies import cookie_name
from shared.web.forms import read_form
from shared.web.identity import PUBLIC, SESSION_COOKIE, find_identity, require_role, require_visitor
from shared.web.pages import page
from shared.web.refusals import REFUSALS
from shared.web.sessions import EndedSessions
from shared.web.town import Town
from tests.conftest import TestDatabase
from tests.logs import Logged
from tests.shared.conftest import START, TOWNS, MakeDb, TestClock

SITE = f"http://t{TOWNS[0]}.test"
SECRET = "hanako@example.jp"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


def make_key_pair() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


PRIVATE, PUBLIC_KEY = make_key_pair()


@get("/page", opt=PUBLIC)
async def get_page(request: Request[Any, Any, Any], town: NamedDependency[Town]) -> Template:
    identity = find_identity(request)
    return page(request, "page.html", said=f"{town.code}/{identity.ref if identity else 'nobody'}")


@get("/mine", guards=[require_visitor])
async def get_mine(identity: NamedDependency[Identity]) -> str:
    return identity.ref


@post("/mine", guards=[require_visitor])
async def post_mine(identity: NamedDependency[Identity]) -> str:
    return identity.ref


@get("/line", guards=[require_role("counter")])
async def get_line(identity: NamedDependency[Identity]) -> str:
    return identity.ref


@post("/form", opt=PUBLIC)
async def post_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    return await read_form(request)


@get("/a/{token:str}", opt=PUBLIC)
async def get_link(token: FromPath[str]) -> str:
    return str(len(token))


@get(["/refused", "/api/refused"], opt=PUBLIC)
async def get_refused() -> str:
    raise Refusal("pass_expired", 410, alternatives=["09:00"])


@get(["/crash", "/api/crash"], opt=PUBLIC)
async def get_crash() -> str:
    raise RuntimeError(SECRET)


@get("/crash/database", opt=PUBLIC)
async def get_crash_in_database(db: NamedDependency[Database]) -> str:
    async with db.begin(TOWNS[0]) as session:
        await session.execute(text("SELECT CAST(:typed AS integer)"), {"typed": SECRET})
    return ""


@get("/crash/template", opt=PUBLIC)
async def get_crash_in_template(request: Request[Any, Any, Any]) -> Template:
    return page(request, "absent.html")


@get("/slow", opt=PUBLIC)
async def get_slow() -> str:
    raise TimeoutError


@get("/for/{name:path}", guards=[require_visitor])
async def get_for(name: FromPath[str]) -> str:
    return name


@get("/quiet", opt=PUBLIC)
async def get_quiet() -> Response[str]:
    return Response("", headers={"referrer-policy": "no-referrer"})


@get("/now", opt=PUBLIC)
async def get_now(now: NamedDependency[datetime]) -> str:
    return now.isoformat()


HANDLERS = [
    get_page, get_mine, post_mine, get_line, post_form, get_link, get_refused, get_crash, get_crash_in_database,
    get_crash_in_template, get_slow, get_now, get_for, get_quiet,
]  # fmt: skip


class Site:
    """The small application, and a visitor's browser."""

    def __init__(
        self, db: Database, clock: TestClock, templates: Path, *, secure: bool = True, default: str | None = None
    ) -> None:
        self.db = db
        ended = EndedSessions(service_metadata(db.service))
        (templates / "page.html").write_text('{% extends "base.html" %}{% block content %}{{ said }}{% endblock %}')
        self.app = ServiceRoutes(service=db.service, handlers=HANDLERS, template_dirs=[templates]).create_app(
            db=db,
            token_public_keys=[PUBLIC_KEY],
            is_session_ended=ended.is_ended,
            clock=clock,
            default_municipality=default,
            secure=secure,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=SITE)
        self.get, self.post, self.request = self.client.get, self.client.post, self.client.request


def make_token(*, kind: Any = "guest", town: str = TOWNS[0], at: datetime = START, **values: Any) -> str:
    identity = Identity(municipality=town, kind=kind, ref="r-1", **({"session_id": "s-1"} | values))
    return sign_token(identity, PRIVATE, now=at)


def cookie(token: str) -> dict[str, str]:
    return {"cookie": f"theme=dark; {cookie_name(SESSION_COOKIE, secure=True)}={token}"}


STAFF: dict[str, Any] = {"kind": "staff", "roles": ("counter",), "office": "戸籍"}


@pytest_asyncio.fixture
async def site(make_db: MakeDb, clock: TestClock, tmp_path: Path, towns: tuple[str, ...]) -> AsyncIterator[Site]:
    made = Site(make_db("routing"), clock, tmp_path)
    async with made.client:
        yield made


@pytest_asyncio.fixture
async def dark_site(clock: TestClock, tmp_path: Path) -> AsyncIterator[Site]:
    """The same with a database that does not answer."""
    db = Database("postgresql://nobody:x@127.0.0.1:9/none", service="routing")
    made = Site(db, clock, tmp_path)
    async with made.client:
        yield made
    await db.dispose()


# --- towns -----------------------------------------------------------------------------------------------------------


async def test_the_host_says_which_town_it_is(site: Site) -> None:
    for code in TOWNS:
        for host in (f"t{code}.test", f"T{code}.TEST", f"t{code}.test:8443"):
            answer = await site.get("/page", headers={"host": host})
            assert (answer.status_code, f"{code}/nobody" in answer.text) == (200, True), host


async def test_an_unknown_host_has_no_pages(site: Site) -> None:
    for host in ("other.test", "", "143421", "t143421.test.evil.test", "x" * 300, "[::1]:80", ":"):
        for path in ("/page", "/no/such/page", "/mine"):
            answer = await site.get(path, headers={"host": host})
            assert answer.status_code == 404, host
            assert "ページが見つかりません" in answer.text


async def test_a_senseless_host_header_is_never_a_bug(site: Site, logged: Logged) -> None:
    name = f"t{TOWNS[0]}.test"
    for host in (f"{name}:abc", f"{name}:999999", "[", "\x00", "a b", "//", "山田"):
        for path in ("/page", "/mine", "/refused", "/no/such/page"):
            answer = await site.get(path, headers=[(b"host", host.encode())])
            assert answer.status_code in (200, 303, 400, 404, 410), host
    assert logged.of("bug") == []


async def test_unknown_hosts_do_not_ask_the_database_each_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(town_module, "MISS_INTERVAL_S", 3_600)
    await site.get("/page", headers={"host": "other.test"})
    begun: list[object] = []
    event.listen(site.db.engine.sync_engine, "begin", begun.append)
    for _ in range(20):
        assert (await site.get("/page", headers={"host": "other.test"})).status_code == 404
    assert len(begun) == 0


async def test_a_town_that_was_added_just_now_answers_soon(site: Site, database: Any) -> None:
    await site.get("/page")
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("INSERT INTO town.host VALUES ('new.test', :code)"), {"code": TOWNS[1]})
    answer = await site.get("/page", headers={"host": "new.test"})
    async with asyncio.timeout(60):
        while answer.status_code != 200:
            await asyncio.sleep(0.1)
            answer = await site.get("/page", headers={"host": "new.test"})
    assert TOWNS[1] in answer.text


async def test_only_make_run_has_a_default_town(make_db: MakeDb, clock: TestClock, tmp_path: Path, towns: Any) -> None:
    local = Site(make_db("routing"), clock, tmp_path, secure=False, default=TOWNS[1])
    async with local.client:
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert TOWNS[1] in (await local.get("/page", headers={"host": host})).text
        assert TOWNS[0] in (await local.get("/page")).text


# --- headers ---------------------------------------------------------------------------------------------------------

ANSWERS = [
    ("GET", "/page", 200), ("GET", "/no/such/page", 404), ("DELETE", "/page", 405), ("GET", "/crash", 500),
    ("GET", "/api/crash", 500), ("GET", "/mine", 303), ("GET", "/line", 303), ("GET", "/healthz", 200),
    ("GET", "/metrics", 404), ("GET", "/static/absent.css", 404), ("POST", "/mine", 307), ("GET", "/refused", 410),
    ("GET", "/crash/template", 500),
]  # fmt: skip


async def test_every_answer_carries_the_security_headers(site: Site) -> None:
    for method, path, status in ANSWERS:
        answer = await site.request(method, path, headers=SAME_ORIGIN)
        assert answer.status_code == status, path
        check_security(answer.headers)


def check_security(headers: httpx.Headers) -> None:
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert all("*" not in part and "http" not in part for part in policy.split())
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "max-age=31536000" in headers["strict-transport-security"]
    assert headers["cache-control"] == "no-store"
    assert len(headers["x-request-id"]) == 12


async def test_what_a_page_says_for_itself_stands(site: Site) -> None:
    answer = await site.get("/quiet")
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_no_dependency_is_given_a_task_of_its_own(site: Site) -> None:
    """Litestar starts tasks for those that are in a batch with others."""
    routes = [route for route in site.app.litestar.routes if isinstance(route, HTTPRoute)]
    batches = [model.dependency_batches for route in routes for _, model in route.route_handler_map.values()]
    assert any(batches)
    assert {len(batch) for each in batches for batch in each} == {1}


async def test_plain_http_on_one_machine_is_not_told_to_use_https(
    make_db: MakeDb, clock: TestClock, tmp_path: Path, towns: Any
) -> None:
    local = Site(make_db("routing"), clock, tmp_path, secure=False)
    async with local.client:
        assert "strict-transport-security" not in (await local.get("/page")).headers


async def test_static_files_are_named_by_their_content_compressed_and_kept_for_ever(site: Site) -> None:
    for name in load_manifest().values():
        packed = await site.get(f"/static/{name}", headers={"accept-encoding": "br, gzip"})
        plain = await site.get(f"/static/{name}", headers={"accept-encoding": "identity"})
        assert (packed.status_code, plain.status_code) == (200, 200)
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        for answer in (packed, plain):
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["vary"] == "accept-encoding"
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_static_files_need_no_town_and_leave_their_folder_never(site: Site, dark_site: Site) -> None:
    name = load_manifest()["app.css"]
    for each in (site, dark_site):
        answer = await each.get(f"/static/{name}", headers={"host": "other.test"})
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
    for path in ("manifest.json", "..%2fassets.py", "%2e%2e/assets.py", "app.css", name + ".gz", "x" * 300):
        assert (await site.get(f"/static/{path}")).status_code == 404


# --- where a form was sent from --------------------------------------------------------------------------------------


async def test_a_form_that_another_site_sent_with_our_cookie_is_refused(site: Site) -> None:
    sent_from: list[dict[str, str]] = [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": SITE},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": f"{SITE}.evil.test"},
        {"origin": f"http://t{TOWNS[1]}.test"},
        {},
    ]
    for headers in sent_from:
        answer = await site.post("/mine", headers=cookie(make_token()) | headers)
        assert answer.status_code == 403, headers
        assert "べつのサイト" in answer.text


async def test_a_form_of_our_own_is_taken(site: Site) -> None:
    for headers in (SAME_ORIGIN, {"origin": SITE}, {"sec-fetch-site": "none"}):
        answer = await site.post("/mine", headers=cookie(make_token()) | headers)
        assert (answer.status_code, answer.text) == (201, "r-1"), headers


async def test_a_program_without_cookies_may_post(site: Site) -> None:
    assert (await site.post("/form", data={"a": "b"})).json() == {"a": "b"}
    assert (await site.post("/form", data={"a": "b"}, headers={"origin": "https://evil.test"})).status_code == 403


# --- who is signed in ------------------------------------------------------------------------------------------------


async def test_a_live_token_says_who_it_is(site: Site) -> None:
    assert (await site.get("/mine", headers=cookie(make_token()))).text == "r-1"
    assert f"{TOWNS[0]}/r-1" in (await site.get("/page", headers=cookie(make_token()))).text


async def test_a_token_under_a_name_that_a_neighbours_site_may_set_is_none(site: Site) -> None:
    for name in (SESSION_COOKIE, f"__Secure-{SESSION_COOKIE}"):
        answer = await site.get("/page", headers={"cookie": f"{name}={make_token()}"})
        assert "nobody" in answer.text, name


async def test_without_a_live_token_the_browser_is_sent_for_one_and_comes_back(site: Site) -> None:
    other_private, _ = make_key_pair()
    guest = Identity(municipality=TOWNS[0], kind="guest", ref="r-1", session_id="s")
    carried: list[dict[str, str]] = [
        {},
        cookie(make_token(at=START - TOKEN_LIFETIME)),
        cookie("a.b.c"),
        cookie(make_token(town=TOWNS[1])),
        cookie(sign_token(guest, other_private, now=START)),
    ]
    for headers in carried:
        got = await site.get("/mine?day=2026-12-01&q=a%26b", headers=headers)
        assert got.status_code == 303
        assert httpx.URL(got.headers["location"]).path == "/session/renew"
        assert httpx.URL(got.headers["location"]).params["next"] == "/mine?day=2026-12-01&q=a%26b"
        posted = await site.post("/mine", headers=headers | SAME_ORIGIN, data={"name": "山田"})
        assert posted.status_code == 307, "the browser brings the form along, both ways"
        assert httpx.URL(posted.headers["location"]).params["next"] == "/mine"
        assert "nobody" in (await site.get("/page", headers=headers)).text


async def test_the_way_back_is_the_address_as_the_browser_sent_it(site: Site) -> None:
    answer = await site.get("/for/%E5%85%90%E7%AB%A5%3F%2F?q=%E6%89%8B", headers=SAME_ORIGIN)
    assert httpx.URL(answer.headers["location"]).params["next"] == "/for/%E5%85%90%E7%AB%A5%3F%2F?q=%E6%89%8B"


async def test_a_program_without_a_session_is_told_so(site: Site) -> None:
    for path in ("/mine", "/line"):
        answer = await site.get(path, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (401, "session_needed")


async def test_a_token_lives_until_its_last_second(site: Site, clock: TestClock) -> None:
    headers = cookie(make_token())
    clock.now = START + TOKEN_LIFETIME - timedelta(seconds=1)
    assert (await site.get("/mine", headers=headers)).status_code == 200
    clock.now = START + TOKEN_LIFETIME
    assert (await site.get("/mine", headers=headers)).status_code == 303


async def test_who_is_not_signed_in_as_staff_is_asked_to_sign_in(site: Site) -> None:
    for headers in ({}, cookie(make_token()), cookie(make_token(kind="resident", roles=("counter",)))):
        answer = await site.get("/line?day=1", headers=headers)
        assert answer.status_code == 303
        assert httpx.URL(answer.headers["location"]).path == "/sign-in"
        assert httpx.URL(answer.headers["location"]).params["next"] == "/line?day=1"


async def test_staff_need_the_role_of_a_page(site: Site) -> None:
    assert (await site.get("/line", headers=cookie(make_token(**STAFF)))).text == "r-1"
    refused = await site.get("/line", headers=cookie(make_token(kind="staff", roles=("manager",))))
    assert refused.status_code == 403
    assert "権限がありません" in refused.text


async def test_a_session_that_was_ended_counts_for_nothing_at_once(site: Site, make_db: MakeDb) -> None:
    headers = cookie(make_token(**STAFF))
    assert (await site.get("/line", headers=headers)).status_code == 200
    async with make_db("routing").begin(TOWNS[0]) as session:
        await session.execute(
            text("INSERT INTO routing.ended_session VALUES (:town, 's-1', :until)"),
            {"town": TOWNS[0], "until": START + TOKEN_LIFETIME},
        )
    for path in ("/line", "/mine"):
        assert (await site.get(path, headers=headers)).status_code == 303
    shown = (await site.get("/page", headers=headers)).text
    assert f"{TOWNS[0]}/nobody" in shown
    assert (await site.get("/line", headers=cookie(make_token(**STAFF, session_id="s-2")))).status_code == 200


# --- what is not success ---------------------------------------------------------------------------------------------


async def test_a_refusal_is_a_page_for_people_and_a_problem_for_programs(site: Site) -> None:
    shown = await site.get("/refused")
    assert shown.status_code == 410
    assert shown.headers["content-type"].startswith("text/html")
    assert REFUSALS["pass_expired"].title in shown.text
    for answer in (await site.get("/api/refused"), await site.get("/refused", headers={"accept": "application/json"})):
        assert answer.status_code == 410
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["status"], problem["code"], problem["type"]) == (410, "pass_expired", "/problems/pass_expired")
        assert problem["title"] == REFUSALS["pass_expired"].title
        assert problem["alternatives"] == ["09:00"]


async def test_a_bug_is_logged_once_and_neither_shown_nor_logged_with_its_values(site: Site, logged: Logged) -> None:
    for count, path in enumerate(("/crash", "/api/crash", "/crash/database", "/crash/template"), start=1):
        answer = await site.get(path)
        assert answer.status_code == 500
        assert "うまくいきませんでした" in answer.text
        assert SECRET not in answer.text
        assert "Error" not in answer.text
        *_, line = logged.of("bug")
        assert len(logged.of("bug")) == count
        assert line["level"] == "error"
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["at"]
    assert SECRET not in logged.text


async def test_what_a_person_can_tell_on_the_phone_leads_to_the_log(site: Site, logged: Logged) -> None:
    answer = await site.get("/crash")
    assert answer.headers["x-request-id"] in answer.text


async def test_without_its_database_a_page_says_to_try_again(dark_site: Site, logged: Logged) -> None:
    for path in ("/page", "/mine"):
        answer = await dark_site.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert REFUSALS["unavailable"].title in answer.text
    assert logged.of("bug") == []


PHONE_LINK = f'href="tel:0463{TOWNS[0]}"'


async def test_whoever_is_stuck_finds_the_towns_phone_number(site: Site) -> None:
    clerk = cookie(make_token(**STAFF | {"roles": ("manager",)}))
    for status, path, headers in (
        (410, "/refused", {}), (404, "/no/such/page", {}), (500, "/crash", {}), (500, "/crash/database", {}),
        (500, "/crash/template", {}), (503, "/slow", {}), (403, "/line", clerk), (404, "/static/x", {}),
    ):  # fmt: skip
        answer = await site.get(path, headers=headers)
        assert answer.status_code == status, path
        assert PHONE_LINK in answer.text, path
        assert f"電話で聞く：0463-{TOWNS[0]}" in answer.text
    assert PHONE_LINK in (await site.post("/page")).text
    assert "tel:" not in (await site.get("/page", headers={"host": "unknown.test"})).text
    assert "tel:" not in (await site.get("/api/refused")).text


async def test_the_phone_number_is_there_from_the_first_request_on(site: Site) -> None:
    async with site.app.parts.run():
        assert PHONE_LINK in (await site.get("/no/such/page")).text


async def test_a_service_starts_without_its_database(dark_site: Site, logged: Logged) -> None:
    async with dark_site.app.parts.run():
        assert (await dark_site.get("/healthz")).text == "ok"
        assert "tel:" not in (await dark_site.get("/no/such/page")).text
    assert logged.of("towns_unread")


async def test_a_town_without_a_phone_number_shows_none(site: Site, database: TestDatabase) -> None:
    async with database.admin_engine().begin() as connection:
        await connection.execute(text("UPDATE town.municipality SET phone = ''"))
    answer = await site.get("/refused")
    assert answer.status_code == 410
    assert "tel:" not in answer.text


async def test_the_phone_number_is_there_when_the_database_is_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    assert (await site.get("/page")).status_code == 200
    await site.db.dispose()
    gone = Database("postgresql://nobody:x@127.0.0.1:9/none", service="routing")
    monkeypatch.setattr(site.db, "engine", gone.engine)
    for interval in ("REFRESH_INTERVAL_S", "MISS_INTERVAL_S", "RETRY_INTERVAL_S"):
        monkeypatch.setattr(town_module, interval, -1.0)
    for path in ("/crash/database", "/refused", "/no/such/page"):
        assert PHONE_LINK in (await site.get(path)).text
    assert (await site.get("/crash/database")).status_code == 503
    assert logged.of("towns_unread")
    assert logged.of("bug") == []
    # A town that nobody has asked for yet is not known.
    assert (await site.get("/page", headers={"host": "new.test"})).status_code == 503
    await gone.dispose()


async def test_a_wait_that_ended_is_no_bug(site: Site, logged: Logged) -> None:
    assert (await site.get("/slow")).status_code == 503
    assert logged.of("bug") == []


# --- forms -----------------------------------------------------------------------------------------------------------


async def test_a_form_is_read_with_every_letter(site: Site) -> None:
    fields = {"name": "𠮷田 﨑子", "empty": "", "kana": "ﾖｼﾀﾞ", "json": '{"a": 1}', "number": "090", "flag": "true"}
    assert (await site.post("/form", data=fields)).json() == fields
    multipart = await site.post("/form", files={name: (None, value) for name, value in fields.items()})
    assert multipart.json() == fields
    assert (await site.post("/form", content=b"a=1&a=2", headers=FORM)).json() == {"a": "1 2"}


FORM = {"content-type": "application/x-www-form-urlencoded"}


MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
GARBAGE: list[tuple[bytes, dict[str, str]]] = [
    (b"name=\xff\xfe", FORM),
    (b"name=%FF%FE", FORM),
    (b"&&&===%%%", FORM),
    (b"\x00" * 100, FORM),
    (b"not a form", {"content-type": "multipart/form-data"}),
    (b"--x\r\nbroken", MULTIPART),
    (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--x--", MULTIPART),
    (b'{"a": ', {"content-type": "application/json"}),
    (b"a=b", {"content-type": "application/x-www-form-urlencoded; charset=klingon"}),
    (b"a=b", {"content-type": "x" * 300}),
    (b"a=b", {}),
    (b"&".join(b"f%d=1" % n for n in range(500)), FORM),
]


async def test_garbage_instead_of_a_form_is_never_a_bug(site: Site, logged: Logged) -> None:
    for content, headers in GARBAGE:
        answer = await site.post("/form", content=content, headers=headers)
        assert answer.status_code in (201, 400), content
    assert logged.of("bug") == []


async def test_files_are_not_taken(site: Site) -> None:
    assert (await site.post("/form", files={"a": ("a.txt", b"hello")})).status_code == 400


async def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(site: Site) -> None:
    big = b"a=" + b"x" * FORM_MAX_BYTES

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 4_096):
            yield big[start : start + 4_096]

    for content in (big, in_pieces()):
        answer = await site.post("/form", content=content, headers=FORM)
        assert answer.status_code == 413
        assert REFUSALS["too_large"].title in answer.text
    fits = b"a=" + b"x" * (FORM_MAX_BYTES - 2)
    assert (await site.post("/form", content=fits, headers=FORM)).status_code == 201


# --- operations ------------------------------------------------------------------------------------------------------


async def test_health_and_readiness_answer_machines_that_know_no_town(site: Site) -> None:
    for path, said in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = await site.get(path, headers={"host": "10.0.0.7:8000"})
        assert (answer.status_code, answer.text) == (200, said)


async def test_what_the_public_can_reach_has_no_metrics(site: Site) -> None:
    for path in ("/metrics", "/metrics/", "/booking/metrics", "/routing/metrics"):
        answer = await site.get(path)
        assert answer.status_code == 404
        assert "choudo_request" not in answer.text


async def test_without_its_database_a_service_is_alive_but_not_ready(dark_site: Site) -> None:
    assert (await dark_site.get("/healthz")).status_code == 200
    not_ready = await dark_site.get("/readyz")
    assert (not_ready.status_code, not_ready.text) == (503, "not ready")


async def test_a_log_line_has_the_routes_pattern_and_never_the_path(site: Site, logged: Logged) -> None:
    token = uuid4().hex
    await site.get(
        f"/a/{token}", params={"name": SECRET}, headers={"user-agent": SECRET, "referer": f"{SITE}/a/{token}"}
    )
    await site.get(f"/no/{token}")
    await site.post("/form", data={"name": SECRET})
    assert token not in logged.text
    assert SECRET not in logged.text
    lines = logged.of("request")
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/a/{token}", 200),
        ("GET", "unmatched", 404),
        ("POST", "/form", 201),
    ]
    assert all(line["ms"] >= 0 and len(line["request_id"]) == 12 for line in lines)


async def test_metrics_are_labelled_by_patterns_and_known_methods_only(site: Site) -> None:
    token = uuid4().hex
    await site.get(f"/a/{token}")
    await site.request(f"X{token.upper()}", "/page")
    shown = generate_latest().decode()
    assert 'route="/a/{token}"' in shown
    assert token not in shown.lower()


async def test_time_is_the_clocks(site: Site, clock: TestClock) -> None:
    clock.pass_time(days=3)
    assert (await site.get("/now")).text == clock.now.isoformat()
