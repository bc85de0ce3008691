"""The way out of a practice town, which leads nowhere: everything is taken, and nothing leaves."""

from collections.abc import Sequence

from services.notifications.domain.outcomes import Outcome
from services.notifications.domain.providers import SIMULATED
from services.notifications.senders.sender import Message, Report
from services.notifications.senders.text_limit import UCS2_PARTS


class SimulatedSender:
    """Takes whatever it is given."""

    name = SIMULATED
    is_idempotent = True
    limit = UCS2_PARTS

    async def send_batch(self, messages: Sequence[Message], report: Report) -> None:
        """Report each message as accepted."""
        for message in messages:
            await report(message.key, Outcome(kind="accepted", provider_ref=SIMULATED))

    async def close(self) -> None:
        """Nothing is open."""
