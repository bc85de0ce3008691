"""Settings of this service, read once at start."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from shared.settings import SHARED, load

SERVICE = "routing"
_PEM_END = "-----END PUBLIC KEY-----"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`CHOUDO_ROUTING_…` for its own, `CHOUDO_…` for what all services share."""

    database_url: str
    box_key: str
    master_key: str
    redis_url: Annotated[str, SHARED]
    token_private_key: Annotated[str, SHARED]
    token_public_key: Annotated[str, SHARED]
    box_public_keys: Annotated[str, SHARED]
    environment: Annotated[Literal["local", "production"], SHARED] = "production"
    # Only `make run` has a default town; elsewhere an unknown host is refused.
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
    """Read the settings from the environment.

    Raises:
        MissingSettings: with the full list of problems.
    """
    return load(Settings, environ, service=SERVICE)
