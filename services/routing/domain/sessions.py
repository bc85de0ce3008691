"""Sessions and signing in: how long they last, where they may lead, and how many tries there are."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.local_path import is_local_path

GUEST_LIFETIME = timedelta(days=30)
# A working day at the counter.
STAFF_LIFETIME = timedelta(hours=12)
# Whoever changes how they sign in has shown so lately who they are: a phone that lies about opens no other way in.
PROOF_LASTS = timedelta(minutes=15)

# From everywhere together (NIST SP 800-63B allows a hundred): no stranger locks a login with a few wrong passwords.
FAILURES_MAX = 100
# From one address.
TRIES_MAX = 10
LOCK_DURATION = timedelta(minutes=15)
LOGIN_MAX_LENGTH = 60
PASSWORD_MAX_LENGTH = 200
# NIST SP 800-63B asks for at least eight characters and forbids rules about their kinds.
PASSWORD_MIN_LENGTH = 8

# A form that waits, sealed, while whoever typed it signs in again: at four bytes a character it stays below what is
# opened (shared/crypto.py: SEALED_MAX_BYTES) and what a request may be (shared/web/app.py: FORM_MAX_BYTES).
CARRIED_FIELDS_MAX = 50
CARRIED_MAX_LENGTH = 5_000
# From closing time to the next morning, and a little more.
CARRIED_LIFETIME = timedelta(hours=24)
NEVER_CARRIED = "password"


def is_locked(locked_until: datetime | None, now: datetime) -> bool:
    """Whether an account takes no tries at the moment."""
    return locked_until is not None and now < locked_until


def after_failure(failures: int, now: datetime) -> datetime | None:
    """Until when an account is locked, after so many failures in a row."""
    return now + LOCK_DURATION if failures >= FAILURES_MAX else None


def safe_next(path: str | None, default: str = "/") -> str:
    """Where to go afterwards: only a path of this site, never another site, and never back to renewing."""
    if not path or not is_local_path(path) or path.split("?")[0].split("#")[0].startswith(("/session/", "/sign-out")):
        return default
    return path


def carry(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a form that can wait: all of them but passwords, or none when they are too many."""
    waiting = {name: value for name, value in fields.items() if NEVER_CARRIED not in name.lower()}
    length = sum(len(name) + len(value) for name, value in waiting.items())
    return waiting if len(waiting) <= CARRIED_FIELDS_MAX and length <= CARRIED_MAX_LENGTH else {}
