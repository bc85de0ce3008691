"""Settings of this service, read once at start."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from shared.settings import SHARED, load


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`CHOUDO_NOTIFICATIONS_…`, and without the service's name what all services share."""

    database_url: str
    box_key: str
    master_key: str
    redis_url: Annotated[str, SHARED]
    token_public_key: Annotated[str, SHARED]
    box_public_keys: Annotated[str, SHARED]
    environment: Annotated[Literal["local", "production"], SHARED] = "production"
    # Only `make run` has a default town; elsewhere an unknown host is refused.
    default_municipality: Annotated[str | None, SHARED] = None
    # smtp://[user:password@]host[:port], or smtps:// for TLS from the first byte.
    smtp_url: Annotated[str, SHARED]
    # Empty: this installation sends no SMS, and staff are asked to call instead.
    sms_gateway_url: Annotated[str, SHARED] = ""
    sms_gateway_token: Annotated[str, SHARED] = ""
    # Empty: no-reply@ and the town's own host name.
    mail_from: str = ""
    metrics_address: Annotated[str | None, SHARED] = None


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from the environment.

    Raises:
        MissingSettings: with the full list of problems.
    """
    return load(Settings, environ, service="notifications")
