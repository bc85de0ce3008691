"""Signing in without a password: how long a link, a code and a challenge last, how often they are tried, and sent."""

from datetime import timedelta
from typing import Literal

import msgspec

from services.routing.domain.handover import Reach

# Time enough to look for the message; a code that nobody used is soon over.
ASKING_LIFETIME = timedelta(minutes=10)
# Of six digits. The database refuses more.
CODE_TRIES_MAX = 5
# Nobody's phone rings all day, and nobody guesses at codes all day: so many are sent for one account in this time.
ASKINGS_MAX = 5
ASKINGS_WITHIN = timedelta(hours=1)
# An address that nobody proves may be a stranger's: after this time nothing is sent there any more.
UNPROVED_KEPT = timedelta(hours=24)
# Whoever asks gets the answer not before this, in seconds: it takes no longer for an address that somebody has.
ANSWER_AFTER_S = 0.4

# The phone asks for a finger, a face or a PIN meanwhile.
CHALLENGE_LIFETIME = timedelta(minutes=5)
PASSKEYS_MAX = 10
PASSKEY_NAME_MAX_LENGTH = 30
# What a phone answers: two keys, a signature, and the address of the page. With room for a certificate.
CREDENTIAL_MAX_LENGTH = 16_000

Purpose = Literal["sign_in", "prove"]
HIDDEN = "•"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is told things: a phone number in E.164, or a mail address, as the form cleans it."""

    reach: Reach
    value: str

    def __repr__(self) -> str:
        return f"Address({self.reach})"

    @property
    def hashed(self) -> str:
        """What the keyed hash is made of: mail is the same in capitals."""
        return self.value.lower()

    @property
    def hint(self) -> str:
        """By which its owner recognises it: the last two digits, or the first letter and the mail's host."""
        if self.reach == "sms":
            return f"{HIDDEN * 3}-{HIDDEN * 4}-{HIDDEN * 2}{self.value[-2:]}"
        local, _at, host = self.value.partition("@")
        return f"{local[:1]}{HIDDEN * 4}@{host}"
