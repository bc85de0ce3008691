"""The time of a meeting with a helper has come: what would take a real hour is moved in the databases."""

from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from tests.browser.conftest import MORNING
from tests.journeys.database import ask, wait_for
from tests.stack import Stack

SINCE, FOR = timedelta(minutes=5), timedelta(hours=1)


def begin_meeting(stack: Stack, appointment: str) -> UUID:
    """The accepted appointment with this page has just begun, for both services; the helper's assignment."""
    number = urlsplit(appointment).path.split("/")[3]
    [mine] = ask(
        stack,
        """SELECT s.assignment_id, a.appointment_id FROM booking.assignment s
           JOIN booking.appointment a USING (municipality, appointment_id)
           WHERE a.number = $1 AND s.state = 'accepted'""",
        number,
    )

    def is_told() -> bool:
        told = "SELECT 1 FROM routing.appointment WHERE appointment_id = $1 AND helper_ref IS NOT NULL"
        return bool(ask(stack, told, mine["appointment_id"]))

    wait_for(is_told)
    for schema in ("booking", "routing"):
        ask(
            stack,
            f"UPDATE {schema}.appointment SET starts_at = $2, ends_at = $3 WHERE appointment_id = $1",
            mine["appointment_id"],
            MORNING - SINCE,
            MORNING - SINCE + FOR,
        )
    return UUID(str(mine["assignment_id"]))
