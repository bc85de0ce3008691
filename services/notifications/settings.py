"""What notifications needs from its environment."""

from collections.abc import Mapping
from typing import Annotated, Literal

from shared.settings import PREFIX, SHARED, MissingSettings, ServiceSettings, load
from shared.webhooks.destinations import Destinations, read_networks


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Loaded once."""

    # smtp://[user:password@]host[:port]; smtp+starttls:// insists on STARTTLS, smtps:// speaks TLS from the first byte.
    smtp_url: Annotated[str, SHARED]
    # Whom the mail server's certificate is trusted by (PEM), where the machine's own list does not name them.
    smtp_ca: str = ""
    # Empty: this installation sends no SMS, and staff are asked to call instead.
    sms_gateway_url: Annotated[str, SHARED] = ""
    sms_gateway_token: Annotated[str, SHARED] = ""
    # What the gateway speaks: `senders/sms_json.py` or `senders/sms_form.py`. Only the second asks for a user.
    sms_gateway_dialect: Annotated[Literal["json", "form"], SHARED] = "json"
    sms_gateway_user: Annotated[str, SHARED] = ""
    # TOML: further providers, and the limits of all of them (`providers/chosen.py`).
    providers: str = ""
    # Empty: no-reply@ and the town's own host name.
    mail_from: str = ""
    # A key (RSA, PEM) and its selector: mail is signed. Empty domain: the one that a mail is from.
    dkim_key: str = ""
    dkim_selector: str = ""
    dkim_domain: str = ""
    # The domain whose mail is brought to the door for bounces, or into a maildir. Empty: it comes back to the sender.
    bounce_domain: str = ""
    # Who shows it may bring bounces (`POST /notifications/api/bounces`); empty: nobody.
    bounce_token: str = ""
    line_url: str = "https://api.line.me"
    # TOML, a table for each town: `[143421]`, `token = "…"`, `secret = "…"`. Empty: nobody is reached by LINE.
    line_channels: str = ""
    # Networks of the town's own that webhooks may be sent to, separated by commas; otherwise only public addresses.
    webhook_networks: str = ""

    @property
    def webhook_destinations(self) -> Destinations:
        """Where webhooks may be sent."""
        return Destinations(https_only=not self.is_local, allowed=read_networks(self.webhook_networks))


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the environment.

    Raises:
        MissingSettings: naming everything that is missing.
    """
    settings = load(Settings, environ, service="notifications")
    try:
        read_networks(settings.webhook_networks)
    except ValueError as error:
        raise MissingSettings(f"settings: {PREFIX}NOTIFICATIONS_WEBHOOK_NETWORKS: {error}") from error
    return settings
