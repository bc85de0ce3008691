"""What booking needs from its environment."""

from collections.abc import Mapping
from typing import Annotated

from shared.settings import PREFIX, SHARED, MissingSettings, ServiceSettings, load
from shared.webhooks.destinations import Destinations, read_networks

SERVICE = "booking"


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Loaded once."""

    public_url: Annotated[str | None, SHARED] = None
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
    settings = load(Settings, environ, service=SERVICE)
    try:
        read_networks(settings.webhook_networks)
    except ValueError as error:
        raise MissingSettings(f"settings: {PREFIX}BOOKING_WEBHOOK_NETWORKS: {error}") from error
    return settings
