"""What booking needs from its environment."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from shared.settings import SHARED, load

SERVICE = "booking"
_PEM_END = "-----END PUBLIC KEY-----"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Loaded once. `CHOUDO_BOOKING_…` for its own, `CHOUDO_…` for what all services share."""

    database_url: str
    box_key: str
    master_key: str
    redis_url: Annotated[str, SHARED]
    token_public_key: Annotated[str, SHARED]
    box_public_keys: Annotated[str, SHARED]
    environment: Annotated[Literal["local", "production"], SHARED] = "production"
    default_municipality: Annotated[str | None, SHARED] = None
    public_url: Annotated[str | None, SHARED] = None
    metrics_address: Annotated[str | None, SHARED] = None

    @property
    def is_local(self) -> bool:
        """Whether this is `make run` or a test: plain HTTP on one machine, and a town for any host."""
        return self.environment == "local"

    @property
    def token_public_keys(self) -> list[str]:
        """The public keys (PEM) whose tokens are accepted; several while they rotate."""
        return [part.strip() + "\n" + _PEM_END + "\n" for part in self.token_public_key.split(_PEM_END) if part.strip()]


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the environment.

    Raises:
        MissingSettings: naming everything that is missing.
    """
    return load(Settings, environ, service=SERVICE)
