"""What booking needs from its environment."""

from collections.abc import Mapping
from typing import Annotated

from shared.settings import SHARED, ServiceSettings, load

SERVICE = "booking"


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Loaded once."""

    public_url: Annotated[str | None, SHARED] = None


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the environment.

    Raises:
        MissingSettings: naming everything that is missing.
    """
    return load(Settings, environ, service=SERVICE)
