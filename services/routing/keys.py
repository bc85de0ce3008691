"""The keys of this service: for sealing to others, for what we keep, and for signing tokens."""

from dataclasses import dataclass, field

from services.routing.settings import Settings
from shared.crypto import ServiceBox, SubjectVault


@dataclass(frozen=True, slots=True)
class Keys:
    """`box` seals for booking and notifications; `vault` seals what we keep, per subject; only we sign tokens."""

    box: ServiceBox
    vault: SubjectVault
    token_private_key: str = field(repr=False)


def make_keys(settings: Settings) -> Keys:
    """The keys, from the settings."""
    return Keys(
        box=ServiceBox.from_settings(settings.box_key, settings.box_public_keys),
        vault=SubjectVault.from_settings(settings.master_key),
        token_private_key=settings.token_private_key,
    )
