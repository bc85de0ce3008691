"""Which providers this installation has, as its settings say. `CHOUDO_NOTIFICATIONS_PROVIDERS` (or `…_FILE`) is TOML.

Each table is a provider; in the order of the tables they are asked. `smtp` and `sms_gateway` are those of the other
variables, named here if they have limits, or are not the first; the limits are of one worker process:

    [sms_gateway]
    per_second = 20
    burst = 40

    [second]
    way = "sms"
    url = "https://sms.example.jp/send"
    token = "…"
"""

import tomllib
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from services.notifications.domain.providers import CALL_LIST, PRINT_QUEUE, SIMULATED
from services.notifications.domain.ways import WayKind
from services.notifications.providers.bucket import TOKENS_MIN
from services.notifications.providers.line_channels import line_channels
from services.notifications.providers.provider import Limits, Provider
from services.notifications.providers.providers import Providers
from services.notifications.senders.dkim_signature import DkimKey
from services.notifications.senders.http import HttpSender
from services.notifications.senders.line import LINE, Line
from services.notifications.senders.sender import Sender
from services.notifications.senders.simulated import SimulatedSender
from services.notifications.senders.sms_form import SMS_FORM, SmsForm
from services.notifications.senders.sms_json import SMS_GATEWAY, SmsJson
from services.notifications.senders.smtp import SmtpSender
from services.notifications.senders.text_limit import TextLimit
from services.notifications.settings import Settings
from shared.clock import steady
from shared.settings import MissingSettings

VARIABLE = "CHOUDO_NOTIFICATIONS_PROVIDERS"
SMTP = "smtp"
# Those of the other variables, and what they carry.
_KNOWN: dict[str, WayKind] = {SMTP: "email", SMS_GATEWAY: "sms", SMS_FORM: "sms", LINE: "line"}
# By the hands of staff, without any settings; their senders are the sending loop's (`senders/by_hand.py`).
BY_HAND: dict[str, WayKind] = {PRINT_QUEUE: "letter", CALL_LIST: "call"}
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,30}$"

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider of the settings. No `per_second`: as fast as it can."""

    way: Literal["email", "sms"] | None = None
    url: str = ""
    # Of a gateway: what it speaks (`senders/sms_json.py`, `senders/sms_form.py`); only the second asks for a user.
    dialect: Literal["json", "form"] = "json"
    user: str = ""
    token: str = ""
    per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None
    burst: Annotated[int, msgspec.Meta(ge=TOKENS_MIN)] | None = None

    @property
    def limits(self) -> Limits | None:
        """What one process sends by it at most; a burst is one second's, if nothing else is said."""
        if self.per_second is None:
            return None
        return Limits(per_second=self.per_second, burst=self.burst or max(TOKENS_MIN, round(self.per_second)))

    def __repr__(self) -> str:
        # A URL of a mail server has its password in it.
        return f"_Table({self.way})"


def make_senders(settings: Settings) -> dict[str, Sender]:
    """The ways out, by the provider's name, and the one that leads nowhere.

    Raises:
        MissingSettings: naming what is wrong. No secret is in it.
    """
    senders: dict[str, Sender] = {SIMULATED: SimulatedSender()}
    for name, table in _tables(settings).items():
        senders[name] = _make_sender(table.way or _KNOWN[name], table, settings)
    return senders


def _make_sender(way: WayKind, table: _Table, settings: Settings) -> Sender:
    if way == "email":
        key = DkimKey(settings.dkim_key, settings.dkim_selector, settings.dkim_domain) if settings.dkim_key else None
        return SmtpSender(table.url, trusted=settings.smtp_ca, dkim_key=key)
    if way == "line":
        return HttpSender(Line(table.url, {town: each.token for town, each in line_channels(settings).items()}))
    is_form = table.dialect == "form"
    return HttpSender(SmsForm(table.url, table.user, table.token) if is_form else SmsJson(table.url, table.token))


def make_providers(settings: Settings, *, pace: Callable[[], float] = steady) -> Providers:
    """What is known of them, for both lanes of a process. Raises MissingSettings."""
    senders, tables = make_senders(settings), _tables(settings)
    by_hand = [Provider(name, way, is_idempotent=True, pace=pace) for name, way in BY_HAND.items()]
    by_wire = [
        Provider(
            name,
            table.way or _KNOWN[name],
            is_idempotent=senders[name].is_idempotent,
            pace=pace,
            text_limit=senders[name].limit,
            limits=table.limits,
        )
        for name, table in tables.items()
    ]
    return Providers([*by_wire, *by_hand])


def rates(settings: Settings) -> dict[WayKind, float | None]:
    """How many messages a second go by each way that this installation has, in one worker; None: as fast as it can."""
    found: dict[WayKind, float | None] = {}
    for name, table in _tables(settings).items():
        # Bulk takes the first of a way alone.
        found.setdefault(table.way or _KNOWN[name], table.per_second)
    return found


def sms_limit(settings: Settings) -> TextLimit:
    """How the first gateway counts an SMS; as most do, where there is none."""
    is_form = any(each.dialect == "form" for each in list(sms_gateways(settings).values())[:1])
    return SmsForm.limit if is_form else SmsJson.limit


class SmsGateway(msgspec.Struct, frozen=True):
    """Who brings receipts: in which dialect, and the token that it shows; empty: none that it could show."""

    dialect: Literal["json", "form"]
    token: str

    def __repr__(self) -> str:
        return f"SmsGateway({self.dialect})"


def sms_gateways(settings: Settings) -> dict[str, SmsGateway]:
    """The gateways, by the name under which their receipts come in."""
    return {
        name: SmsGateway(table.dialect, table.token)
        for name, table in _tables(settings).items()
        if (table.way or _KNOWN[name]) == "sms"
    }


def _tables(settings: Settings) -> dict[str, _Table]:
    """All providers in their order: those of the other variables first, unless they are named."""
    of_settings = {SMTP: _Table(url=settings.smtp_url)}
    if settings.sms_gateway_url:
        dialect = settings.sms_gateway_dialect
        of_settings[SMS_FORM if dialect == "form" else SMS_GATEWAY] = _Table(
            url=settings.sms_gateway_url,
            dialect=dialect,
            user=settings.sms_gateway_user,
            token=settings.sms_gateway_token,
        )
    if line_channels(settings):
        of_settings[LINE] = _Table(url=settings.line_url)
    try:
        told = msgspec.convert(tomllib.loads(settings.providers), dict[Name, _Table])
    except tomllib.TOMLDecodeError as error:
        raise MissingSettings(f"settings: {VARIABLE}: no TOML ({error})") from None
    except msgspec.ValidationError as error:
        raise MissingSettings(f"settings: {VARIABLE}: {error}") from None
    tables = {name: table for name, table in of_settings.items() if name not in told}
    for name, table in told.items():
        known = of_settings.get(name)
        if known is not None:
            of_limits = {"per_second": table.per_second, "burst": table.burst}
            tables[name] = msgspec.structs.replace(known, **of_limits)
        elif name in (*_KNOWN, *BY_HAND, SIMULATED) or table.way is None or not table.url:
            raise MissingSettings(f"settings: {VARIABLE}: {name}: way and url, and a name of its own")
        else:
            tables[name] = table
    return tables
