"""How often one address may try number and code, or ask for a ticket: kept in memory, beside the lock of each code.

The lock alone would let one address lock the codes of many strangers, one number after another. And numbers that nobody
has are locked here as the others are in the database, so that the lock does not tell which numbers there are.
"""

from datetime import datetime

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from services.booking.commands.access import FAILURES_MAX, LOCKED_FOR

PER_ADDRESS = parse("30 per 15 minutes")
# A town hall's own network is one address for everybody who waits there.
TICKETS_PER_ADDRESS = parse("60 per 15 minutes")
# So many of nobody's numbers are remembered; then the one that was tried longest ago is forgotten.
NOBODYS_MAX = 10_000


class CodeTries:
    """Counts tries. One per process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._nobodys: dict[tuple[str, str], tuple[int, datetime | None]] = {}

    def count(self, municipality: str, network: str) -> bool:
        """Count one try; False if there were too many."""
        return self._limiter.hit(PER_ADDRESS, "code", municipality, network)

    def count_ticket(self, municipality: str, network: str) -> bool:
        """Count one ticket that is asked for by phone; False if there were too many."""
        return self._limiter.hit(TICKETS_PER_ADDRESS, "ticket", municipality, network)

    def fail_nobodys(self, municipality: str, number: str, *, now: datetime) -> datetime | None:
        """Count a wrong try at a number that nobody has; until when it is locked, if it is. As `try_code` counts."""
        key = (municipality, number)
        failures, locked_until = self._nobodys.pop(key, (0, None))
        if locked_until is None or locked_until <= now:
            failures += 1
            locked_until = now + LOCKED_FOR if failures >= FAILURES_MAX else None
        self._nobodys[key] = (0 if locked_until else failures, locked_until)
        if len(self._nobodys) > NOBODYS_MAX:
            del self._nobodys[next(iter(self._nobodys))]
        return locked_until
