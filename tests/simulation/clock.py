"""Time: one town's time that only the driver moves, and each service's own clock, which may be wrong."""

from datetime import datetime, timedelta

from shared.clock import JST, Clock
from shared.events.subscriptions import SERVICES


class SimulatedClock:
    """The true time, and how far each service's clock is off."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._off = dict.fromkeys(SERVICES, timedelta())

    def of(self, service: str) -> Clock:
        """The clock that a service reads."""
        return lambda: self.now + self._off[service]

    def move(self, by: timedelta) -> None:
        """Time passes."""
        assert by >= timedelta()
        self.now += by

    def step(self, service: str, off: timedelta) -> None:
        """Somebody sets a service's clock wrong, or (0) right."""
        self._off[service] = off

    def is_right(self, service: str) -> bool:
        """Whether a service's clock tells the true time."""
        return not self._off[service]

    def __str__(self) -> str:
        return f"{self.now.astimezone(JST):%m-%d %H:%M:%S}"
