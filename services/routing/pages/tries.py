"""How often one address, and one login, may do what costs something: kept in memory, beside an account's own limit."""

from datetime import datetime

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.routing.domain.applications import FAILURES_MAX as CODE_FAILURES_MAX
from services.routing.domain.applications import LOCKED_FOR
from services.routing.domain.sessions import FAILURES_MAX, LOCK_DURATION, TRIES_MAX
from services.routing.domain.sign_in import ASKINGS_MAX, ASKINGS_WITHIN
from shared.errors import Refusal

_LOCK_MINUTES = int(LOCK_DURATION.total_seconds()) // 60
# A whole town hall may share one address, and everybody in it signs in at half past eight.
PER_ADDRESS = parse(f"300 per {_LOCK_MINUTES} minutes")
# So many wrong passwords in a row for one login from one address; a right one starts the count anew.
PER_LOGIN_AND_ADDRESS = parse(f"{TRIES_MAX} per {_LOCK_MINUTES} minutes")
# As many as an account has in the database, so that an unknown login is refused like a known one.
PER_LOGIN = parse(f"{FAILURES_MAX} per {_LOCK_MINUTES} minutes")
# Phones of one carrier, and everybody on the town's wireless network, come from one address.
GUESTS_PER_ADDRESS = parse("300 per minute")
CASES_PER_ADDRESS = parse("300 per minute")
# Beside the lock of each application's code: one address cannot lock strangers' codes one after another.
CODES_PER_ADDRESS = parse("30 per 15 minutes")
# Each costs a processor for a second. One person sends ten or so, and tries again; a town hall may share an address.
FILES_PER_GUEST = parse("40 per 10 minutes")
FILES_PER_ADDRESS = parse("300 per 10 minutes")
# Leaving for who can say who somebody is, and coming back.
IDENTITY_PER_ADDRESS = parse("120 per 15 minutes")
# As many as are sent for one account (domain/sign_in.py), so that an address that nobody has is refused like another.
ASKINGS_PER_CONTACT = parse(f"{ASKINGS_MAX} per {int(ASKINGS_WITHIN.total_seconds())} seconds")
# All helpers of a class may be on the wireless network of one venue.
ASKINGS_PER_ADDRESS = parse("60 per 15 minutes")
PASSKEYS_PER_ADDRESS = parse("120 per 15 minutes")
# Numbers that nobody has are locked here as the others are in the database, so that the lock does not tell which there
# are. So many are remembered; then the one that was tried longest ago is forgotten.
NOBODYS_MAX = 10_000


class Tries:
    """Counts tries to sign in, and what visitors without a name begin."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._nobodys: dict[tuple[str, str], tuple[int, datetime | None]] = {}

    def count(self, municipality: str, address: str, login: str) -> None:
        """Count one try to sign in, before the password is looked at.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(PER_ADDRESS, "address", municipality, address)
        self._hit(PER_LOGIN_AND_ADDRESS, "login_and_address", municipality, login, address)
        self._hit(PER_LOGIN, "login", municipality, login)

    def forget(self, municipality: str, address: str, login: str) -> None:
        """The password was right: what this login's owner tried before does not count."""
        self._limiter.clear(PER_LOGIN_AND_ADDRESS, "login_and_address", municipality, login, address)
        self._limiter.clear(PER_LOGIN, "login", municipality, login)

    def count_guest(self, municipality: str, address: str) -> None:
        """Count one visitor who becomes a guest.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(GUESTS_PER_ADDRESS, "guest", municipality, address)

    def count_case(self, municipality: str, address: str) -> None:
        """Count one case that is begun.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(CASES_PER_ADDRESS, "case", municipality, address)

    def count_code(self, municipality: str, address: str) -> None:
        """Count one try at an application's number and code, for all numbers together.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(CODES_PER_ADDRESS, "code", municipality, address)

    def count_file(self, municipality: str, address: str, guest: str) -> None:
        """Count one file, before any of it is read.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(FILES_PER_ADDRESS, "file_address", municipality, address)
        self._hit(FILES_PER_GUEST, "file_guest", municipality, guest)

    def count_asking(self, municipality: str, address: str, contact: str) -> None:
        """Count one who wants a link sent to a contact (its hash), before anybody looks whose it is.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(ASKINGS_PER_ADDRESS, "asking_address", municipality, address)
        self._hit(ASKINGS_PER_CONTACT, "asking_contact", municipality, contact)

    def count_passkey(self, municipality: str, address: str) -> None:
        """Count one who wants to sign in by a passkey: each gets a challenge that is kept for a while.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(PASSKEYS_PER_ADDRESS, "passkey", municipality, address)

    def count_identity(self, municipality: str, address: str) -> None:
        """Count one step of an identity check (本人確認), on the way out or back.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        self._hit(IDENTITY_PER_ADDRESS, "identity", municipality, address)

    def fail_nobodys(self, municipality: str, number: str, *, now: datetime) -> datetime | None:
        """Count a wrong try at a number that nobody has; until when it is locked, if it is. As `try_code` counts."""
        key = (municipality, number)
        failures, locked_until = self._nobodys.pop(key, (0, None))
        if locked_until is None or locked_until <= now:
            failures += 1
            locked_until = now + LOCKED_FOR if failures >= CODE_FAILURES_MAX else None
        self._nobodys[key] = (0 if locked_until else failures, locked_until)
        if len(self._nobodys) > NOBODYS_MAX:
            del self._nobodys[next(iter(self._nobodys))]
        return locked_until

    def _hit(self, limit: RateLimitItem, *key: str) -> None:
        if not self._limiter.hit(limit, *key):
            raise Refusal("too_many_tries", 429)
