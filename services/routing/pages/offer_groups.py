"""What would be handed over, as a page shows it: each item with its value, by who would get it and what for."""

from collections.abc import Mapping
from typing import Any

from services.routing.commands.handover import Preview
from services.routing.commands.offers import ShownOffer
from services.routing.domain.handover import CONTACT
from services.routing.pages.wording import HANDOVER_REASONS, ITEMS, REACHES, TARGETS, WITHOUT, show_phone
from shared.web.i18n import gettext as _
from shared.web.i18n import translate


def group_offers(preview: Preview, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The offers of a preview with what was answered to them, by their target."""
    by_target: dict[str, list[dict[str, str]]] = {}
    purposes = {offer.target: offer.purpose for offer in preview.offers}
    for offer in preview.offers:
        by_target.setdefault(offer.target, []).append(
            {
                "item": offer.item,
                "offer_id": offer.offer_id,
                "term": translate(ITEMS[offer.item]),
                "text": _offered_value(offer, preview.reach),
                "answer": answers.get(offer.item, ""),
            }
        )
    return [
        {
            "target": target,
            "target_name": translate(TARGETS[target]),
            # An item's purpose is its target's.
            "reason": translate(HANDOVER_REASONS[purposes[target]]),
            "without": translate(WITHOUT[target]),
            "offers": offers,
        }
        for target, offers in by_target.items()
    ]


def _offered_value(offer: ShownOffer, reach: str) -> str:
    if offer.value is None:
        return _("前に教えていただいた連絡先（%(reach)s）", reach=translate(REACHES[reach]))
    return show_phone(offer.value) if offer.item == CONTACT and reach == "sms" else offer.value
