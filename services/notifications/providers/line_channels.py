"""The towns' official accounts at LINE, as the settings say."""

import tomllib
from typing import Annotated

import msgspec

from services.notifications.settings import Settings


class LineChannel(msgspec.Struct, frozen=True):
    """A town's official account: the token to push with, the secret that its webhooks are signed with, and its name
    at LINE (`@…`), by which a page leads there."""

    token: str
    secret: str
    account: Annotated[str, msgspec.Meta(pattern=r"^(@[0-9a-z._-]{1,30})?$")] = ""

    def __repr__(self) -> str:
        return "LineChannel()"


def line_channels(settings: Settings) -> dict[str, LineChannel]:
    """The accounts, by town. Raises ValueError if the setting is none."""
    try:
        return msgspec.convert(tomllib.loads(settings.line_channels), dict[str, LineChannel])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError("CHOUDO_NOTIFICATIONS_LINE_CHANNELS: a table for each town, with token and secret") from error
