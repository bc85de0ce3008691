"""The providers of the settings: what is wrong is named all at once, and no secret is in what is said."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.local.identity_provider import ACR, CLIENT_ID, IdentityProvider
from services.routing.identity_client import IdentityClient, NotProven
from services.routing.identity_settings import Provider, read_providers
from shared.settings import MissingSettings
from tests.routing.test_identity import answer_there

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SECRET = "do-not-tell"
BACK = "http://ninomiya.test/identity/callback"


def table(**fields: str) -> str:
    return "[card]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items())


def test_nothing_is_set_and_nobody_is_asked() -> None:
    assert read_providers("", is_local=False) == {}


def test_a_profile_says_what_is_particular_and_the_settings_who_we_are() -> None:
    text = table(profile='"digital-auth-app"', client_id='"town"', client_key=f'"{SECRET}"')
    [(name, provider)] = read_providers(text, is_local=False).items()
    assert (name, provider.client_id, provider.algorithms, provider.scope) == ("card", "town", ("ES256",), "openid")
    assert SECRET not in repr(provider)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[card", "no TOML"),
        ("card = 1", "a table is wanted"),
        (table(profile='"made-up"'), "no such profile"),
        (table(profile='"digital-auth-app"', client_secret=f'"{SECRET}"'), "client_id"),
        (table(profile='"digital-auth-app"', client_id='"x"'), "client_secret or client_key"),
        (
            table(profile='"digital-auth-app"', client_id='"x"', client_key=f'"{SECRET}"', client_secret='"y"'),
            "client_secret or client_key",
        ),
        (
            table(profile='"digital-auth-app"', client_id='"x"', client_key=f'"{SECRET}"', algorithms='["none"]'),
            "algorithms",
        ),
        (
            table(profile='"digital-auth-app"', client_id='"x"', client_key=f'"{SECRET}"', algorithms='["HS256"]'),
            "algorithms",
        ),
        (
            table(profile='"digital-auth-app"', client_id='"x"', client_key=f'"{SECRET}"', issuer='"http://x.example"'),
            "https",
        ),
        (
            table(profile='"digital-auth-app"', client_id='"x"', client_key=f'"{SECRET}"', scope='"name"'),
            "openid",
        ),
        (
            table(profile='"digital-auth-app"', client_id='"x"', client_key=f'"{SECRET}"', hosts='["a.example; x"]'),
            "hosts",
        ),
        (table(profile='"digital-auth-app"', client_id='"x"', client_kee=f'"{SECRET}"'), "client_kee"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(text: str, complaint: str) -> None:
    with pytest.raises(MissingSettings, match=complaint) as refused:
        read_providers(text, is_local=False)
    assert "CHOUDO_ROUTING_IDENTITY_PROVIDERS" in str(refused.value)
    assert SECRET not in str(refused.value)


async def test_a_client_with_a_key_signs_who_it_is() -> None:
    """As デジタル認証アプリ asks for (private_key_jwt). Another's key is nobody's."""
    key, another = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    async with IdentityProvider(secret="", clock=lambda: NOW, client_key=key.public_key()) as running:
        for mine, is_client in ((key, True), (another, False)):
            pem = mine.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode()
            provider = Provider(label="見本", issuer=running.issuer, client_id=CLIENT_ID, client_key=pem)
            client = IdentityClient(provider)
            departure = await client.depart(state="a", redirect_uri=BACK, now=NOW)
            asked = asked_of(departure.url)
            assert (asked["code_challenge_method"], asked["nonce"]) == ("S256", departure.nonce)
            code = asked_of(await answer_there(running, asked))["code"]
            arrival = client.arrive(
                code=code, nonce=departure.nonce, verifier=departure.verifier, redirect_uri=BACK, now=NOW
            )
            if is_client:
                assert (await arrival).acr == ACR
            else:
                with pytest.raises(NotProven, match="code"):
                    await arrival


async def test_a_level_that_is_not_enough_proves_nothing() -> None:
    async with IdentityProvider(secret=SECRET, clock=lambda: NOW) as running:
        for acr, is_enough in (((ACR,), True), (("higher",), False)):
            provider = Provider(
                label="見本", issuer=running.issuer, client_id=CLIENT_ID, client_secret=SECRET, acr=acr, acr_values="x"
            )
            client = IdentityClient(provider)
            departure = await client.depart(state="a", redirect_uri=BACK, now=NOW)
            asked = asked_of(departure.url)
            assert asked["acr_values"] == "x"
            code = asked_of(await answer_there(running, asked))["code"]
            arrival = client.arrive(
                code=code, nonce=departure.nonce, verifier=departure.verifier, redirect_uri=BACK, now=NOW
            )
            if is_enough:
                assert (await arrival).acr == ACR
            else:
                with pytest.raises(NotProven, match="acr"):
                    await arrival


def asked_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
