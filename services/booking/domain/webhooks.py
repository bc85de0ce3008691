"""What of booking other systems of the town can be told (ほかのシステムへの通知)."""

from collections.abc import Callable

# What can be told.
KINDS = (
    "appointment.booked",
    "appointment.changed",
    "appointment.cancelled",
    "appointment.checked_in",
    "appointment.called",
    "appointment.serving",
    "appointment.done",
    "appointment.no_show",
    "closing.made",
    "closing.reopened",
    "draw.drawn",
    "draw.called_off",
)
BLINDED_LENGTH = 32
_OF_APPOINTMENTS = "appointment."


def about_of(kind: str, about: str, commit: Callable[[str, str], str]) -> str:
    """By which id a receiver knows what it is told of.

    Two systems that put their messages together cannot tell that an appointment is the same, and neither knows it by
    the id that our pages use.
    """
    return commit("appointment", about)[:BLINDED_LENGTH] if kind.startswith(_OF_APPOINTMENTS) else about
