"""Who can say who somebody is (本人確認): the providers of the settings, by name. A town pack names one of them.

`CHOUDO_ROUTING_IDENTITY_PROVIDERS` (or `…_FILE`) is a TOML text with a table for each:

    [card]
    profile = "digital-auth-app"
    client_id = "…"
    client_key = "-----BEGIN PRIVATE KEY-----…"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from shared.settings import MissingSettings

PROFILES_FILE = Path(__file__).with_name("identity_profiles.toml")
VARIABLE = "CHOUDO_ROUTING_IDENTITY_PROVIDERS"
# Signed with a key of the provider's: never "none", never with a secret that we share.
ALGORITHMS = frozenset({"ES256", "ES384", "RS256", "PS256"})

ClaimItem = Literal["name", "kana", "birth_date", "sex", "address"]
Host = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider (OpenID Connect). The endpoints that are empty are asked of the issuer.

    They are on its own host, or on one of `hosts` (with the port, where there is one).

    `client_secret` or `client_key` (a private key in PEM, for private_key_jwt) says who we are. `acr` are the levels
    of assurance that are enough; empty: whatever the provider says is only noted.
    """

    label: Text
    issuer: Text
    client_id: Text
    client_secret: str = msgspec.field(default="")
    client_key: str = msgspec.field(default="")
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    jwks_uri: str = ""
    hosts: tuple[Host, ...] = ()
    scope: str = "openid"
    acr_values: str = ""
    acr: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("ES256",)
    # What may be taken over into the form, if the person agrees: items, and what the provider calls them.
    claims: dict[ClaimItem, Text] = {}
    userinfo_endpoint: str = ""

    def __repr__(self) -> str:
        return f"Provider({self.issuer!r})"


def read_providers(text: str | None, *, is_local: bool) -> dict[str, Provider]:
    """The providers by name; none when nothing is set.

    Raises:
        MissingSettings: naming everything that is wrong. No secret is in it.
    """
    if not text:
        return {}
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MissingSettings(f"settings: {VARIABLE}: no TOML ({error})") from None
    profiles = tomllib.loads(PROFILES_FILE.read_text("utf-8"))
    found: dict[str, Provider] = {}
    problems: list[str] = []
    for name, table in tables.items():
        try:
            found[name] = _read_provider(table, profiles)
            problems.extend(f"{name}: {problem}" for problem in _problems(found[name], is_local=is_local))
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise MissingSettings(f"settings: {VARIABLE}: " + "; ".join(problems))
    return found


def _read_provider(table: Any, profiles: Mapping[str, Any]) -> Provider:
    if not isinstance(table, dict):
        raise ValueError("a table is wanted")  # noqa: TRY004  the caller names what is wrong in the settings
    named = dict(table)
    profile = named.pop("profile", None)
    if profile is not None and profile not in profiles:
        raise ValueError(f"no such profile; there are {', '.join(profiles)}")
    return msgspec.convert({**profiles.get(profile, {}), **named}, Provider)


def _problems(provider: Provider, *, is_local: bool) -> list[str]:
    problems = []
    if bool(provider.client_secret) == bool(provider.client_key):
        problems.append("client_secret or client_key, one of them")
    if not provider.algorithms or not set(provider.algorithms) <= ALGORITHMS:
        problems.append(f"algorithms of {', '.join(sorted(ALGORITHMS))}")
    if "openid" not in provider.scope.split():
        problems.append("scope without openid")
    addresses = (
        provider.issuer,
        provider.authorization_endpoint,
        provider.token_endpoint,
        provider.jwks_uri,
        provider.userinfo_endpoint,
    )
    schemes = {"https", "http"} if is_local else {"https"}
    if any(address and urlsplit(address).scheme not in schemes for address in addresses):
        problems.append("https addresses")
    return problems
