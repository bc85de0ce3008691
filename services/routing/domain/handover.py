"""What may pass from a case to another service, and whether an offer still stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

Reach = Literal["email", "sms", "none"]
REACHES: tuple[Reach, ...] = ("email", "sms", "none")

CONTACT = "contact"

# Where an offered item would be used: handed over to another service, in the case's own online form, or in the form of
# somebody of the family.
Step = Literal["handover", "form", "family"]

# A preview that nobody answers within this time was closed: that is a decline.
OFFER_LIFETIME = timedelta(minutes=60)
EXPIRED = "expired"
# A yes to a value that had changed meanwhile: it is not used, and asked again.
STALE = "stale"
# A yes that the person took back on their own page, for all that has not been sent.
WITHDRAWN = "withdrawn"
# Made again within this time, a pass is the same pass: whoever goes back, or reloads, finds their visit in booking
# again, with the place that it holds. A visit lasts an hour from its arrival, so at least half of one is left.
SAME_PASS_TIME = timedelta(minutes=30)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One item, shown to the person, who may say yes or no to passing it on."""

    offer_id: str
    item: str
    state: Literal["offered", "previewed", "approved", "declined"]
    approval_id: str | None
    expires_at: datetime


class Decision(msgspec.Struct, frozen=True):
    """What the person answered about one offer."""

    offer: Offer
    approved: bool


def target_service(item: str, step: Step = "handover") -> str:
    """Who would get an item: a form is routing's own; handed over, the contact goes to notifications alone."""
    if step != "handover":
        return "routing"
    return "notifications" if item == CONTACT else "booking"


def read_answers(
    offers: Sequence[Offer], answers: Mapping[str, str], shown: Mapping[str, str], now: datetime
) -> tuple[list[Decision], list[str], bool]:
    """What was decided, which items have no answer yet, and whether what was shown is no longer what stands.

    `answers` and `shown` are by item: `yes` or `no`, and the reference of the offer that the person saw.
    """
    decisions, missing, is_stale = [], [], set(shown) - {offer.item for offer in offers} != set()
    for offer in offers:
        if shown.get(offer.item) != offer.offer_id or now >= offer.expires_at:
            is_stale = True
        elif answers.get(offer.item) in ("yes", "no"):
            decisions.append(Decision(offer, answers[offer.item] == "yes"))
        else:
            missing.append(offer.item)
    return decisions, missing, is_stale
