"""Other systems of the town (ほかのシステム): their keys, what they may ask for, and what each is told became of it."""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Literal, NamedTuple, get_args

from services.notifications.domain.notices import OF_TOWN, Kind, State
from services.notifications.domain.quiet_hours import JST

# How a recipient is named: by a reference number that is known here, or by an address.
RecipientKind = Literal["number", "email", "phone"]
RECIPIENTS: tuple[RecipientKind, ...] = get_args(RecipientKind)
KINDS: tuple[Kind, ...] = OF_TOWN
NAME_MAX_LENGTH = 40
SYSTEMS_MAX = 20
PER_MINUTE_MAX, PER_DAY_MAX, SMS_PARTS_MAX = 30_000, 500_000, 100_000
PER_MINUTE, PER_DAY, SMS_PARTS = 600, 10_000, 1_000
# Two keys live side by side, so that a new one can take the old one's place while both open.
KEY_PLACES = (1, 2)
# How often it is written down that a key was used.
USED_NOTED_EVERY = timedelta(minutes=1)

# Everything about a notice for a system, and the keys by which it may ask for it again.
NOTICES_KEPT, KEYS_KEPT = timedelta(days=90), timedelta(days=7)
USE_KEPT = timedelta(days=2)
# Staff who call whom nothing reached need what was to be told for so long after it was of use.
TASKS_NEED = timedelta(days=14)
USEFUL_DEFAULT, USEFUL_MAX, USEFUL_MIN = timedelta(hours=24), timedelta(days=7), timedelta(minutes=10)
REFERENCE_MAX_LENGTH = 100
BATCH_MAX = 100

# A key: what it is of, the town, by what it is found, its secret, and a sum over all of it, by which a program that
# looks for leaked keys knows one. Signs that no text of ours has by chance, and none that is cut by a double click.
_ALPHABET = "0123456789abcdefghijkmnpqrstuvwxyz"
KEY_PREFIX = "choudo"
KEY_ID_LENGTH, SECRET_LENGTH, SUM_LENGTH = 10, 32, 6
_KEY = re.compile(
    rf"{KEY_PREFIX}_([0-9A-Za-z-]{{1,20}})_([{_ALPHABET}]{{{KEY_ID_LENGTH}}})_"
    rf"([{_ALPHABET}]{{{SECRET_LENGTH}}})([{_ALPHABET}]{{{SUM_LENGTH}}})"
)

Span = Literal["minute", "day"]
_LASTS: dict[Span, timedelta] = {"minute": timedelta(minutes=1), "day": timedelta(days=1)}

# What becomes of a notice, as its system is told.
Outcome = Literal["waiting", "sent", "delivered", "not_delivered", "undeliverable", "stopped"]
WEBHOOKS: tuple[str, ...] = tuple(f"notice.{each}" for each in get_args(Outcome) if each != "waiting")
TAKEN_BACK = "taken_back"
# Why, as far as it is a system's to know; how somebody wishes to be told, and what a provider said, is not.
_REASONS = {
    TAKEN_BACK: TAKEN_BACK,
    "stopped": "not_wanted",
    "chosen": "paper_chosen",
    "no_contact": "no_address",
    "contact_missing": "no_address",
    "no_way": "no_address",
    "erased": "no_address",
    "too_late": "too_late",
}
_OTHER_REASON = "not_reached"


class ReadKey(NamedTuple):
    """A key as it was shown: of which town, by what it is found, and its secret."""

    municipality: str
    key_id: str
    secret: str


def make_key(municipality: str, key_id: str, secret: str) -> str:
    """The key as its system keeps it."""
    named = f"{KEY_PREFIX}_{municipality}_{key_id}_{secret}"
    return named + _sum_of(named)


def make_secret(choose: Callable[[str], str]) -> str:
    """The secret of a new key; `choose` picks one sign of an alphabet (`secrets.choice`)."""
    return "".join(choose(_ALPHABET) for _ in range(SECRET_LENGTH))


def key_id_of(number: int) -> str:
    """The name of a key, from a number that no other key has."""
    return _signs_of(number, KEY_ID_LENGTH)


def read_key(shown: str) -> ReadKey | None:
    """What a key says; None: it is none."""
    found = _KEY.fullmatch(shown)
    if found is None or _sum_of(shown[:-SUM_LENGTH]) != found[4]:
        return None
    return ReadKey(found[1], found[2], found[3])


def secret_hash(secret: str) -> bytes:
    """What is kept of a secret. 160 bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret(secret: str, kept: bytes) -> bool:
    """Whether it is the secret, in the same time whatever it is."""
    return hmac.compare_digest(secret_hash(secret), kept)


def outcome_of(state: State, delivery: str | None) -> Outcome:
    """What is told of a notice that is so."""
    if state == "sent":
        return "delivered" if delivery == "delivered" else "not_delivered" if delivery == "not_delivered" else "sent"
    if state == "superseded":
        return "stopped"
    return "undeliverable" if state in ("failed", "undeliverable", "printed_slip") else "waiting"


def reason_of(outcome: Outcome, reason: str | None) -> str | None:
    """Why nothing was sent, or did not arrive; None where there is nothing to be explained."""
    if outcome in ("waiting", "sent", "delivered"):
        return None
    return _REASONS.get(reason or "", _OTHER_REASON)


def begins_of(span: Span, now: datetime) -> datetime:
    """When the minute, or the day of Japan's, began in which somebody asks."""
    if span == "minute":
        return now.replace(second=0, microsecond=0)
    return now.astimezone(JST).replace(hour=0, minute=0, second=0, microsecond=0)


def seconds_until_next(span: Span, now: datetime) -> int:
    """After how many seconds a limit has room again."""
    return ceil((begins_of(span, now) + _LASTS[span] - now).total_seconds())


def _sum_of(named: str) -> str:
    return _signs_of(zlib.crc32(named.encode()), SUM_LENGTH)


def _signs_of(number: int, length: int) -> str:
    signs = ""
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        signs += _ALPHABET[rest]
    return signs
