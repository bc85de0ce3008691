"""Protected people (秘匿): what of theirs is held back, from whom, and who opens it all the same.

Whoever fled from violence asks the town for it (住民基本台帳事務における支援措置, 総務省). Their own device is no
exception: somebody at home may hold it.
"""

from collections.abc import Iterable
from typing import Literal

from services.routing.domain.handover import CONTACT
from services.routing.domain.inquiries import TEXTS as INQUIRY_TEXTS
from services.routing.domain.quality import FEEDBACK_TEXTS

# What tells nothing of where somebody lives, works, learns, banks, is treated, or can be met. Everything else is held
# back, free texts too, and every item that comes until somebody says otherwise: `address`, `previous_address`,
# `new_address`, `phone` and `household` say it outright; `employer`, `child`, `doctor`, `insurance` (the insurer is
# often the employer's) and `bank_account` (by its branch) lead there; `correction`, `topic` and the other texts may.
TELLS_NO_PLACE = frozenset({"name", "kana", "birth_date", "sex", "due_date", "tax_year"})
# What was written to an office to be read there, and its answer: it fills in no form, and goes nowhere else.
WRITTEN_TO_BE_READ = frozenset(INQUIRY_TEXTS.values()) | frozenset(FEEDBACK_TEXTS)

# Why the office that decides an application looks at what is held back. Its person reads this as the purpose.
Reason = Literal["decide", "write_to", "check_identity"]
REASONS: tuple[Reason, ...] = ("decide", "write_to", "check_identity")

# What opens something in spite of it: such a look, or the contact going where its owner has just sent it.
Despite = Literal["deciding_office", "own_wish"]

# The outcome of a `refused` entry: no approval and no rule covers this use. It stands for more than one reason (a value
# that changed after its approval), because entries are published: nobody shall tell from one who is protected.
NOT_COVERED = "not_covered"


def may_open(item: str, target_service: str, despite: Despite | None = None) -> bool:
    """Whether a protected person's item may be opened for this use. At a counter they are called by number."""
    if despite == "deciding_office":
        return target_service == "routing"
    if despite == "own_wish":
        return item == CONTACT and target_service == "notifications"
    return item in TELLS_NO_PLACE | WRITTEN_TO_BE_READ and target_service == "routing"


def may_look(*, own_office: str | None, deciding_office: str) -> bool:
    """Whether the back office may look at what is held back: the one that decides, and nobody above or beside it."""
    return own_office == deciding_office


def may_protect(*, own_office: str | None, registrar: str | None, roles: Iterable[str]) -> bool:
    """Whether somebody may say that a person is protected: managers, and the back office of the residents' register.

    Nobody can say so of themselves: whoever is asked must have checked who they are, and that the measure was granted.
    """
    return "manager" in roles or ("back_office" in roles and own_office is not None and own_office == registrar)
