"""The words of going on by another channel, for whoever reads how a case went."""

from typing import Any

from services.routing.pages.wording import CHANNEL_TITLES, SWITCHED_BY
from services.routing.queries.switching import Switch
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.town_texts import town_text


def switch_lines(switches: list[Switch]) -> list[dict[str, Any]]:
    """How a case went on by other channels, in words, the newest first."""
    return [
        {
            "occurred_at": each.switched_at,
            "way": f"{translate(CHANNEL_TITLES[each.from_channel])} → {translate(CHANNEL_TITLES[each.to_channel])}",
            "text": translate(SWITCHED_BY[each.said])
            % {"office": town_text(each.office) if each.office else _("役場")},
        }
        for each in switches
    ]
