"""Which providers this installation sends by, as its settings say."""

import tomllib

import msgspec

from services.notifications.commands.attempts import SIMULATED
from services.notifications.senders.dkim_signature import DkimKey
from services.notifications.senders.http import HttpSender
from services.notifications.senders.line import LINE, Line
from services.notifications.senders.sender import Sender
from services.notifications.senders.simulated import SimulatedSender
from services.notifications.senders.sms_form import SMS_FORM, SmsForm
from services.notifications.senders.sms_json import SMS_GATEWAY, SmsJson
from services.notifications.senders.smtp import SmtpSender
from services.notifications.settings import Settings


class LineChannel(msgspec.Struct, frozen=True):
    """A town's official account: the token to push with, the secret that its webhooks are signed with."""

    token: str
    secret: str

    def __repr__(self) -> str:
        return "LineChannel()"


def make_senders(settings: Settings) -> dict[str, Sender]:
    """The ways out, by how a person is reached, and the one that leads nowhere.

    Raises:
        ValueError: a setting makes no sense.
    """
    dkim_key = DkimKey(settings.dkim_key, settings.dkim_selector, settings.dkim_domain) if settings.dkim_key else None
    senders: dict[str, Sender] = {
        "email": SmtpSender(settings.smtp_url, ca_file=settings.smtp_ca_file, dkim_key=dkim_key),
        SIMULATED: SimulatedSender(),
    }
    if settings.sms_gateway_url:
        url, token = settings.sms_gateway_url, settings.sms_gateway_token
        is_form = settings.sms_gateway_dialect == "form"
        senders["sms"] = HttpSender(SmsForm(url, settings.sms_gateway_user, token) if is_form else SmsJson(url, token))
    if channels := line_channels(settings):
        tokens = {town: channel.token for town, channel in channels.items()}
        senders[LINE] = HttpSender(Line(settings.line_url, tokens))
    return senders


def sms_provider(settings: Settings) -> str:
    """The name of the gateway that this installation has, as receipts call it."""
    return SMS_FORM if settings.sms_gateway_dialect == "form" else SMS_GATEWAY


def line_channels(settings: Settings) -> dict[str, LineChannel]:
    """The towns' accounts at LINE. Raises ValueError if the setting is none."""
    try:
        return msgspec.convert(tomllib.loads(settings.line_channels), dict[str, LineChannel])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError("CHOUDO_NOTIFICATIONS_LINE_CHANNELS: a table for each town, with token and secret") from error
