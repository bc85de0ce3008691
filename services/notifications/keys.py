"""The two keys of this service: for what others seal for us, and for what we keep."""

from dataclasses import dataclass

from services.notifications.settings import Settings
from shared.crypto import ServiceBox, SubjectVault


@dataclass(frozen=True, slots=True)
class Keys:
    """`box` opens what routing and booking sealed for us; `vault` seals what we keep, per subject."""

    box: ServiceBox
    vault: SubjectVault


def make_keys(settings: Settings) -> Keys:
    """The keys, from the settings."""
    return Keys(
        box=ServiceBox.from_settings(settings.box_key, settings.box_public_keys),
        vault=SubjectVault.from_settings(settings.master_key),
    )
