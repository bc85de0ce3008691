"""How often one address, and one login, may try to sign in: kept in memory, beside the limit of each account."""

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from shared.errors import Refusal

PER_ADDRESS = parse("60 per 15 minutes")
# As many as an account has in the database, so that an unknown login is refused like a known one.
PER_LOGIN = parse("10 per 15 minutes")


class Tries:
    """Counts tries to sign in."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, municipality: str, address: str, login: str) -> None:
        """Count one try.

        Raises:
            Refusal: `too_many_tries` (429).
        """
        if not self._limiter.hit(PER_ADDRESS, "address", municipality, address) or not self._limiter.hit(
            PER_LOGIN, "login", municipality, login
        ):
            raise Refusal("too_many_tries", 429)
