"""What notifications needs from its environment."""

from collections.abc import Mapping
from typing import Annotated

from shared.settings import SHARED, ServiceSettings, load


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Loaded once."""

    # smtp://[user:password@]host[:port], or smtps:// for TLS from the first byte.
    smtp_url: Annotated[str, SHARED]
    # Empty: this installation sends no SMS, and staff are asked to call instead.
    sms_gateway_url: Annotated[str, SHARED] = ""
    sms_gateway_token: Annotated[str, SHARED] = ""
    # TOML: further providers, and the limits of all of them (`providers/chosen.py`).
    providers: str = ""
    # Empty: no-reply@ and the town's own host name.
    mail_from: str = ""


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the environment.

    Raises:
        MissingSettings: naming everything that is missing.
    """
    return load(Settings, environ, service="notifications")
