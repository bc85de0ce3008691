"""How every service shows an appointment's number (予約番号), which booking makes, and names it to calendars."""

from urllib.parse import urlsplit
from uuid import UUID


def show_number(number: str) -> str:
    """As people see it and read it aloud: ``K4M-7RXA``."""
    return f"{number[:3]}-{number[3:]}"


def host_of(public_url: str) -> str:
    """The town's host name, for identifiers in mail and calendars; of an address (URL) or a host name."""
    parts = urlsplit(public_url if "://" in public_url else f"//{public_url}")
    return parts.hostname or "localhost"


def calendar_uid(appointment_id: UUID, public_url: str) -> str:
    """The appointment's UID in every calendar file, so that a mail's and a page's are one entry, not two."""
    return f"{appointment_id}@{host_of(public_url)}"
