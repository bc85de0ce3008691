"""The identity step (本人確認), with a real provider of ours over HTTP: what proves, what does not, what stays."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from deploy.local.identity_provider import ACR, CLIENT_ID, IdentityProvider, Mode
from services.routing.app import create_app
from services.routing.commands.catalogue import publish_catalogue
from services.routing.domain.identity import ATTEMPT_LIFETIME, PROOF_LIFETIME, Claim
from services.routing.pages.identity_claims import read_claims
from services.routing.settings import Settings
from shared.db import Database
from shared.web.middleware import AroundRequest
from tests.conftest import TestDatabase
from tests.routing.applying import CHI02_FORM, SEE_OTHER, fill_in, hidden, send, sign_in, submit_fields
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import HOST, NAME, NOW, TOWN, make_pack
from tests.routing.test_protection import set_protected

SECRET = "a secret of the test"
WHO = "somebody-of-the-test"


@pytest_asyncio.fixture
async def provider(clock: TestClock) -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider(secret=SECRET, clock=clock) as running:
        yield running


@pytest_asyncio.fixture
async def app(settings: Settings, clock: TestClock, db: Database, provider: IdentityProvider) -> AroundRequest:
    """The application, in a town that asks for the identity step before 児童手当 is sent online."""
    async with db.begin(TOWN) as session:
        pack = make_pack()
        rules = [
            msgspec.structs.replace(rule, identity_step="")
            for rule in pack.office.procedures
            if rule.procedure != "CHI02"
        ]
        asked = msgspec.structs.replace(pack.office.procedures[0], procedure="CHI02", identity_step="card", checks=())
        office = msgspec.structs.replace(pack.office, procedures=(*rules, asked))
        pack = msgspec.structs.replace(pack, office=office)
        await publish_catalogue(session, pack, public_url=f"http://{HOST}", now=NOW)
    return create_app(with_provider(settings, provider.issuer), clock=clock, db=db)


def with_provider(settings: Settings, issuer: str) -> Settings:
    table = f"""[card]
        label = "見本の本人確認"
        issuer = "{issuer}"
        client_id = "{CLIENT_ID}"
        client_secret = "{SECRET}"
    """
    return msgspec.structs.replace(settings, identity_providers=table)


def with_claims(settings: Settings, provider: IdentityProvider, **claims: str) -> Settings:
    """The same, with what may be taken over."""
    table = with_provider(settings, provider.issuer).identity_providers
    named = "".join(f'{item} = "{claim}"\n' for item, claim in claims.items())
    return msgspec.structs.replace(settings, identity_providers=f"{table}[card.claims]\n{named}")


async def leave(visitor: Visitor, case: str) -> dict[str, str]:
    """Press the button; the parameters with which the browser comes to the provider."""
    # A token lives for ten minutes: later on the browser is led over its renewal first.
    answer = await visitor.post(f"{case}/identity")
    while answer.status_code == httpx.codes.TEMPORARY_REDIRECT:
        answer = await visitor.post(answer.headers["location"])
    assert answer.status_code == SEE_OTHER, answer.text
    parts = urlsplit(answer.headers["location"])
    assert parts.path == "/authorize", answer.headers["location"]
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


async def answer_there(provider: IdentityProvider, asked: dict[str, str], answer: str = "yes") -> str:
    """Say who one is on the provider's own page; the path that the browser is sent back to."""
    fields = {name: asked[name] for name in ("redirect_uri", "state", "nonce", "code_challenge")}
    async with httpx.AsyncClient(base_url=provider.issuer, trust_env=False) as browser:
        page = await browser.get("/authorize", params=asked)
        assert "これは見本です" in page.text
        back = await browser.post("/authorize", data=fields | {"answer": answer, "who": WHO})
    parts = urlsplit(back.headers["location"])
    assert parts.netloc == HOST
    return f"{parts.path}?{parts.query}"


async def renewed(visitor: Visitor, path: str) -> httpx.Response:
    """Open a page with a token that may have run out: the browser is led over its renewal, and back."""
    answer = await visitor.get(path)
    while "/session/renew" in answer.headers.get("location", "") or answer.headers.get("location") == path:
        answer = await visitor.get(answer.headers["location"])
    return answer


async def prove(visitor: Visitor, provider: IdentityProvider, case: str) -> httpx.Response:
    return await renewed(visitor, await answer_there(provider, await leave(visitor, case)))


async def rows(db: Database, query: str) -> list[tuple[object, ...]]:
    async with db.begin(TOWN) as session:
        return [tuple(row) for row in await session.execute(text(query))]


async def test_whoever_proved_it_sends_and_no_claim_stays(
    visitor: Visitor, provider: IdentityProvider, db: Database, new_visitor: Callable[..., Visitor]
) -> None:
    case = await fill_in(visitor)
    page = await visitor.get(f"{case}/check")
    assert f'href="{case}/identity"' in page.text
    assert 'name="shown"' not in page.text
    page = await visitor.get(f"{case}/identity")
    assert "見本の本人確認" in page.text
    assert f"form-action 'self' {provider.issuer};" in page.headers["content-security-policy"]
    answer = await prove(visitor, provider, case)
    assert answer.headers["location"] == f"{case}/check"
    assert "本人確認ができました" in (await visitor.get(f"{case}/check")).text
    assert (await visitor.get(f"{case}/identity")).headers["location"] == f"{case}/check"
    answer = await send(visitor, case)
    assert answer.headers["location"].startswith("/applications/")
    kept = await rows(db, "SELECT p.*, a.nonce FROM routing.identity_proof p, routing.identity_attempt a")
    assert len(kept) == 1
    assert WHO not in repr(kept)
    assert NAME not in repr(kept)
    assert ACR in kept[0]
    office = new_visitor()
    await sign_in(db, office)
    number = answer.headers["location"].removeprefix("/applications/")
    found = await rows(db, f"SELECT application_id FROM routing.application WHERE number = '{number}'")
    page = await office.get(f"/office/applications/{found[0][0]}")
    assert "オンラインの本人確認" in page.text
    assert "オンラインの本人確認" in (await visitor.get(answer.headers["location"])).text


async def test_without_a_proof_nothing_is_sent(visitor: Visitor, db: Database, provider: IdentityProvider) -> None:
    """Seen to fail without the look in `submit_application`."""
    case = await fill_in(visitor)
    await prove(visitor, provider, case)
    fields = await submit_fields(visitor, case)
    async with db.begin(TOWN) as session:
        await session.execute(text("DELETE FROM routing.identity_proof"))
    answer = await visitor.post(f"{case}/submit", fields)
    assert answer.headers["location"] == f"{case}/identity"
    assert await rows(db, "SELECT 1 FROM routing.application") == []


async def test_the_database_lets_nothing_through_without_a_proof(
    visitor: Visitor, database: TestDatabase, db: Database, provider: IdentityProvider
) -> None:
    """Seen to fail without the trigger `guard_identity`: whoever writes, and whatever was proven for other content."""
    case = await fill_in(visitor)
    await prove(visitor, provider, case)
    number = (await send(visitor, case)).headers["location"].removeprefix("/applications/")
    wrong = (
        "DELETE FROM routing.identity_proof",
        """UPDATE routing.identity_proof SET items = items || '{"name": 2}'""",
        "UPDATE routing.identity_proof SET provider = 'another'",
        """UPDATE routing.identity_proof p SET proven_at = a.submitted_at - interval '2 h', expires_at = a.submitted_at
        FROM routing.application a""",
        "UPDATE routing.identity_proof p SET proven_at = a.submitted_at + interval '1 s' FROM routing.application a",
    )
    copy = """INSERT INTO routing.application (municipality, application_id, number, case_id, procedure, office,
            subject_ref, guest_ref, state, version, items, submit_key, submitted_at, changed_at)
        SELECT municipality, gen_random_uuid(), number, case_id, procedure, office, subject_ref, guest_ref,
            'submitted', 1, items, gen_random_uuid(), submitted_at, submitted_at FROM gone"""
    engine = database.admin_engine()
    for statement in (*wrong, None):
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TEMP TABLE gone AS SELECT * FROM routing.application"))
            if statement:
                await connection.execute(text(statement))
            await connection.execute(text("DELETE FROM routing.application_step"))
            await connection.execute(text("DELETE FROM routing.application_link"))
            await connection.execute(text("DELETE FROM routing.application"))
            if statement is None:
                await connection.execute(text(copy))
            else:
                with pytest.raises(IntegrityError, match="nobody has said who sends this"):
                    await connection.execute(text(copy))
            await connection.rollback()
    assert number


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("fail_500", "away"),
        ("garbage", "away"),
        ("too_long", "away"),
        ("wrong_nonce", "failed"),
        ("wrong_audience", "failed"),
        ("wrong_issuer", "failed"),
        ("expired", "failed"),
        ("from_the_future", "failed"),
        ("unknown_key", "failed"),
        ("unsigned", "failed"),
        ("shared_secret", "failed"),
        ("no_id_token", "failed"),
        ("no_subject", "failed"),
    ],
)
async def test_a_provider_that_misbehaves_proves_nothing_and_loses_nothing(
    visitor: Visitor,
    provider: IdentityProvider,
    db: Database,
    mode: Mode,
    problem: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    case = await fill_in(visitor)
    provider.behave(mode)
    answer = await prove(visitor, provider, case)
    assert answer.headers["location"] == f"{case}/identity?problem={problem}"
    page = await visitor.get(answer.headers["location"])
    assert "入力したことは残っています" in page.text
    assert "窓口" in page.text
    assert "郵便の送り先" in page.text
    assert await rows(db, "SELECT 1 FROM routing.identity_proof") == []
    assert NAME in (await visitor.get(f"{case}/check")).text
    assert WHO not in caplog.text
    # The next try is a new one.
    assert (await prove(visitor, provider, case)).headers["location"] == f"{case}/check"


async def test_a_key_that_was_changed_is_fetched_and_others_are_kept(
    visitor: Visitor, provider: IdentityProvider, clock: TestClock
) -> None:
    case = await fill_in(visitor)
    await prove(visitor, provider, case)
    clock.move(PROOF_LIFETIME)
    assert (await prove(visitor, provider, case)).headers["location"] == f"{case}/check"
    assert provider.asked.count("keys") == 1
    clock.move(PROOF_LIFETIME)
    provider.behave("key_rotated")
    assert (await prove(visitor, provider, case)).headers["location"] == f"{case}/check"
    assert provider.asked.count("keys") == 2


async def test_unknown_keys_do_not_make_us_ask_again_and_again(visitor: Visitor, provider: IdentityProvider) -> None:
    case = await fill_in(visitor)
    provider.behave("unknown_key", times=3)
    for _ in range(3):
        assert (await prove(visitor, provider, case)).headers["location"].endswith("problem=failed")
    assert provider.asked.count("keys") == 1


async def test_a_slow_provider_is_not_waited_for(
    visitor: Visitor, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.routing.identity_client.PROVIDER_TIMEOUT_S", 0.3)
    case = await fill_in(visitor)
    provider.behave("slow")
    assert (await prove(visitor, provider, case)).headers["location"] == f"{case}/identity?problem=away"


async def test_whoever_declines_goes_on_at_the_counter_with_everything(
    visitor: Visitor, provider: IdentityProvider
) -> None:
    case = await fill_in(visitor)
    answer = await visitor.get(await answer_there(provider, await leave(visitor, case), answer="no"))
    assert answer.headers["location"] == f"{case}/identity?problem=declined"
    assert 'value="counter"' in (await visitor.get(answer.headers["location"])).text
    answer = await visitor.post(f"{case}/channel", {"channel": "counter"})
    assert answer.headers["location"] == f"{case}/handover"
    assert NAME in (await visitor.get(f"{case}/you")).text


async def test_a_code_counts_once(visitor: Visitor, provider: IdentityProvider, db: Database) -> None:
    """Seen to fail without the row's `used_at`."""
    case = await fill_in(visitor)
    path = await answer_there(provider, await leave(visitor, case))
    assert (await visitor.get(path)).headers["location"] == f"{case}/check"
    assert (await visitor.get(path)).headers["location"] == f"{case}/identity?problem=used"
    assert len(await rows(db, "SELECT 1 FROM routing.identity_proof")) == 1
    assert provider.asked.count("token") == 1


async def test_nobody_else_uses_what_somebody_left_with(
    visitor: Visitor, provider: IdentityProvider, new_visitor: Callable[..., Visitor], db: Database
) -> None:
    """Seen to fail without the look at who left. The one who left still comes back."""
    case = await fill_in(visitor)
    path = await answer_there(provider, await leave(visitor, case))
    stranger = new_visitor()
    await stranger.open_case()
    answer = await stranger.get(path)
    assert answer.status_code == httpx.codes.CONFLICT
    assert "この画面では、続けられません" in answer.text
    assert case not in answer.text
    assert provider.asked.count("token") == 0
    assert await rows(db, "SELECT 1 FROM routing.identity_proof") == []
    assert (await visitor.get(path)).headers["location"] == f"{case}/check"


@pytest.mark.parametrize("query", ["", "?state=made-up&code=x", "?state=made-up&error=access_denied", "?code=x"])
async def test_a_state_that_nobody_left_with_leads_nowhere(
    visitor: Visitor, provider: IdentityProvider, query: str
) -> None:
    await fill_in(visitor)
    answer = await visitor.get(f"/identity/callback{query}")
    assert answer.status_code == httpx.codes.CONFLICT
    assert "この本人確認は見つかりません" in answer.text
    assert provider.asked == []


async def test_another_state_of_ones_own_brings_no_code_along(visitor: Visitor, provider: IdentityProvider) -> None:
    case = await fill_in(visitor)
    first, second = await leave(visitor, case), await leave(visitor, case)
    path = await answer_there(provider, first)
    mixed = path.replace(first["state"], second["state"])
    assert (await visitor.get(mixed)).headers["location"] == f"{case}/identity?problem=failed"


@pytest.mark.parametrize(("late", "to"), [(timedelta(0), "/identity?problem=late"), (timedelta(seconds=-1), "/check")])
async def test_coming_back_has_its_time(
    visitor: Visitor, provider: IdentityProvider, clock: TestClock, late: timedelta, to: str
) -> None:
    case = await fill_in(visitor)
    asked = await leave(visitor, case)
    clock.move(ATTEMPT_LIFETIME + late)
    answer = await renewed(visitor, await answer_there(provider, asked))
    assert answer.headers["location"] == f"{case}{to}"


async def test_what_was_proven_ends_with_its_time_and_with_another_content(
    visitor: Visitor, provider: IdentityProvider, clock: TestClock
) -> None:
    case = await fill_in(visitor)
    await prove(visitor, provider, case)
    await visitor.post(f"{case}/form", CHI02_FORM | {"child_name": "吉田 なつ"})
    page = await visitor.get(f"{case}/check")
    assert f'href="{case}/identity"' in page.text
    assert "送る内容が変わったか、時間がたちました" in (await visitor.get(f"{case}/identity")).text
    await prove(visitor, provider, case)
    assert "本人確認ができました" in (await visitor.get(f"{case}/check")).text
    clock.move(PROOF_LIFETIME)
    page = await renewed(visitor, f"{case}/check")
    assert f'href="{case}/identity"' in page.text


async def test_a_provider_that_is_away_is_said_before_anybody_leaves(
    settings: Settings, clock: TestClock, db: Database, app: AroundRequest
) -> None:
    away = create_app(with_provider(settings, "http://127.0.0.1:9"), clock=clock, db=db)
    visitor = Visitor(away)
    case = await fill_in(visitor)
    answer = await visitor.post(f"{case}/identity")
    assert answer.headers["location"] == f"{case}/identity?problem=away"
    assert "いまは、本人確認ができません" in (await visitor.get(answer.headers["location"])).text
    nobody = Visitor(create_app(settings, clock=clock, db=db))
    case = await fill_in(nobody)
    page = await nobody.get(f"{case}/identity")
    assert "いまは、本人確認ができません" in page.text
    assert "郵便の送り先" in page.text
    await visitor.http.aclose()
    await nobody.http.aclose()


async def test_people_are_sent_only_where_the_issuer_and_the_settings_say(
    settings: Settings, clock: TestClock, db: Database, app: AroundRequest, provider: IdentityProvider
) -> None:
    """An issuer whose pages are on another host. Seen to fail without `find_origin` on the page (the browser would stop
    the form), and without the look at `hosts` (the issuer would send people, and our secret, anywhere)."""
    async with IdentityProvider(secret=SECRET, clock=clock) as pages:
        provider.pages_at = pages.issuer
        table = with_provider(settings, provider.issuer).identity_providers
        unknown = Visitor(create_app(msgspec.structs.replace(settings, identity_providers=table), clock=clock, db=db))
        case = await fill_in(unknown)
        page = await unknown.get(f"{case}/identity")
        assert "form-action 'self';" in page.headers["content-security-policy"]
        answer = await unknown.post(f"{case}/identity")
        assert answer.headers["location"] == f"{case}/identity?problem=away"
        more = table + f'hosts = ["{urlsplit(pages.issuer).netloc}"]\n'
        visitor = Visitor(create_app(msgspec.structs.replace(settings, identity_providers=more), clock=clock, db=db))
        case = await fill_in(visitor)
        page = await visitor.get(f"{case}/identity")
        assert f"form-action 'self' {pages.issuer};" in page.headers["content-security-policy"]
        answer = await visitor.post(f"{case}/identity")
        assert answer.headers["location"].startswith(f"{pages.issuer}/authorize?")
        # Everything else is asked where it is, and the proof is the issuer's.
        assert pages.asked == []
    await unknown.http.aclose()
    await visitor.http.aclose()


async def test_staff_saw_whom_they_write_for_at_the_desk_and_nobody_on_the_phone(
    visitor: Visitor, db: Database
) -> None:
    await sign_in(db, visitor)
    case = await fill_in(visitor, behalf="desk")
    assert (await send(visitor, case)).headers["location"].startswith("/applications/")
    case = await fill_in(visitor, behalf="phone")
    assert f'href="{case}/identity"' in (await visitor.get(f"{case}/check")).text
    assert "電話では、本人確認ができません" in (await visitor.get(f"{case}/identity")).text
    assert (await visitor.post(f"{case}/identity")).headers["location"] == f"{case}/identity?problem=away"


async def test_a_procedure_that_asks_nobody_has_no_such_step(visitor: Visitor) -> None:
    case = await visitor.open_case("CHI03", channel="online")
    answer = await visitor.get(f"{case}/identity")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert "オンラインの本人確認はありません" in answer.text


async def test_what_the_provider_says_is_taken_over_with_a_yes_and_only_then(
    settings: Settings, clock: TestClock, db: Database, app: AroundRequest, provider: IdentityProvider
) -> None:
    claims = with_claims(settings, provider, name="name", kana="kana", birth_date="birthdate")
    visitor = Visitor(create_app(claims, clock=clock, db=db))
    provider.claims = {"name": "吉田　さき子", "birthdate": "19880406", "kana": "ヨシダ サキコ", "gender": "2"}
    case = await fill_in(visitor)
    page = await prove(visitor, provider, case)
    assert page.status_code == httpx.codes.OK, page.headers
    assert "吉田 さき子" in page.text
    assert "1988年4月6日" in page.text
    # No form of this procedure asks for kana.
    assert "take_kana" not in page.text
    assert await rows(db, "SELECT 1 FROM routing.item WHERE how = 'from_provider'") == []
    fields = {"sealed": hidden(page, "sealed"), "take_name": "yes", "take_birth_date": "no"}
    stranger = Visitor(visitor.http._transport.app)  # type: ignore[attr-defined]
    other = await fill_in(stranger)
    for path in (f"{case}/identity/take", f"{other}/identity/take"):
        answer = await stranger.post(path, fields)
        assert answer.status_code == httpx.codes.BAD_REQUEST
    answer = await visitor.post(f"{case}/identity/take", fields)
    assert answer.headers["location"] == f"{case}/check"
    page = await visitor.get(f"{case}/check")
    assert "吉田 さき子" in page.text
    assert "1988年4月5日" in page.text
    # What is sent now is what the same provider says: the proof holds.
    assert "本人確認ができました" in page.text
    assert await rows(db, "SELECT key FROM routing.item WHERE how = 'from_provider'") == [("name",)]
    told = await rows(
        db, "SELECT entry_type, items FROM routing.ledger_entry WHERE outcome = 'from_provider' ORDER BY entry_type"
    )
    assert told == [("corrected", ["name"]), ("declined", ["birth_date"]), ("offered", ["name", "birth_date"])]
    assert (await send(visitor, case)).headers["location"].startswith("/applications/")
    await visitor.http.aclose()
    await stranger.http.aclose()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        # As 基本4情報 have it: no postal code, and everything in wide letters. That of the form fits.
        ("神奈川県中郡二宮町二宮１２３番地　ハイツ梅２０１", "二宮123番地"),
        # As OpenID Connect has it.
        (
            {"postal_code": "259-0124", "region": "神奈川県", "locality": "中郡二宮町", "street_address": "山西5"},
            "山西5",
        ),
        ({"postal_code": "2590124", "formatted": "神奈川県中郡二宮町山西5"}, "山西5"),
        # Somewhere else, and nobody says its postal code.
        ("東京都千代田区千代田１", None),
        ({"postal_code": "25901", "formatted": "神奈川県中郡二宮町山西5"}, None),
        ({"formatted": ["x"]}, None),
        # What the form has.
        ("神奈川県中郡二宮町二宮９６１", None),
    ],
)
async def test_an_address_is_offered_where_its_postal_code_is_known(
    settings: Settings,
    clock: TestClock,
    db: Database,
    app: AroundRequest,
    provider: IdentityProvider,
    said: object,
    shown: str | None,
) -> None:
    visitor = Visitor(create_app(with_claims(settings, provider, address="address"), clock=clock, db=db))
    provider.claims = {"address": said}
    case = await fill_in(visitor)
    page = await prove(visitor, provider, case)
    if shown is None:
        assert page.headers["location"] == f"{case}/check"
    else:
        assert shown in page.text
        assert shown not in (await visitor.get(f"{case}/form")).text
        fields = {"sealed": hidden(page, "sealed"), "take_address": "yes"}
        assert (await visitor.post(f"{case}/identity/take", fields)).headers["location"] == f"{case}/check"
        page = await visitor.get(f"{case}/check")
        assert shown in page.text
        assert "本人確認ができました" in page.text
    await visitor.http.aclose()


async def test_a_protected_persons_address_is_on_no_page_of_claims(
    settings: Settings, clock: TestClock, db: Database, app: AroundRequest, provider: IdentityProvider
) -> None:
    """Seen to fail without the look at `is_protected` in `offer_claims`."""
    visitor = Visitor(create_app(with_claims(settings, provider, name="name", address="address"), clock=clock, db=db))
    provider.claims = {
        "name": "吉田 さき子",
        "address": {"postal_code": "2590124", "formatted": "神奈川県中郡二宮町山西5"},
    }
    case = await fill_in(visitor)
    await set_protected(db, case)
    # What was said of messages is gone with it.
    await visitor.post(f"{case}/you", {"reach": "none"})
    page = await prove(visitor, provider, case)
    assert "吉田 さき子" in page.text
    assert "山西" not in page.text
    await visitor.http.aclose()


@pytest.mark.parametrize(
    ("said", "value"), [("female", "female"), ("Male", "male"), ("1", "male"), ("2", "female"), ("9", None), ({}, None)]
)
def test_what_providers_call_a_sex_is_an_answer_of_the_form_or_none(said: Claim, value: str | None) -> None:
    assert read_claims({"sex": said}, NOW.date()) == ({"sex": value} if value else {})


async def test_what_is_the_same_is_not_asked_and_nothing_is_asked_for_without_claims(
    settings: Settings, clock: TestClock, db: Database, app: AroundRequest, provider: IdentityProvider
) -> None:
    provider.claims = {"name": NAME, "birthdate": "1988-04-05"}
    claims = with_claims(settings, provider, name="name", birth_date="birthdate")
    visitor = Visitor(create_app(claims, clock=clock, db=db))
    case = await fill_in(visitor)
    assert (await prove(visitor, provider, case)).headers["location"] == f"{case}/check"
    assert provider.asked.count("userinfo") == 1
    plain = Visitor(app)
    case = await fill_in(plain)
    assert (await prove(plain, provider, case)).headers["location"] == f"{case}/check"
    assert provider.asked.count("userinfo") == 1
    await visitor.http.aclose()
    await plain.http.aclose()
