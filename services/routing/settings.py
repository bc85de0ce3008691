"""What routing needs from its environment."""

from collections.abc import Mapping
from typing import Annotated

from shared.settings import SHARED, ServiceSettings, load

SERVICE = "routing"


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Loaded once. Routing alone signs tokens."""

    token_private_key: Annotated[str, SHARED]
    public_url: Annotated[str | None, SHARED] = None
    # What looks for viruses in attached files: `clamd://host:port`. Without it nothing does.
    scanner: Annotated[str | None, SHARED] = None
    # Who can say who sends an application (本人確認): TOML, as `identity_settings.py` says.
    identity_providers: str = ""


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the environment.

    Raises:
        MissingSettings: naming everything that is missing.
    """
    return load(Settings, environ, service=SERVICE)
