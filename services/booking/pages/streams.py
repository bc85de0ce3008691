"""How many public streams are open: one process keeps only so many, and one address not all of them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

OPEN_MAX = 400
# A town hall's own network looks like one address: its boards, and everybody who waits there.
OPEN_PER_NETWORK_MAX = 150


class Streams:
    """Counts what is open. One per process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def is_full(self, network: str) -> bool:
        """Whether another would be too many."""
        return self._open.total() >= OPEN_MAX or self._open[network] >= OPEN_PER_NETWORK_MAX

    @contextmanager
    def counted(self, network: str) -> Iterator[None]:
        """While one is open."""
        self._open[network] += 1
        try:
            yield
        finally:
            self._open[network] -= 1
            if self._open[network] <= 0:
                del self._open[network]
