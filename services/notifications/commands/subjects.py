"""Data keys, and what each is bound to: a subject's is made at the first datum, and destroyed at erasure."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.crypto import SubjectVault
from shared.db import Prepared

ADDRESS = "address"
ACCESS = "access"

_KEY = Prepared("""
    SELECT wrapped_key FROM notifications.subject_key WHERE (municipality, subject_ref) = (:municipality, :subject_ref)
""")
_NEW_KEY = Prepared("""
    INSERT INTO notifications.subject_key (municipality, subject_ref, wrapped_key, made_at)
    VALUES (:municipality, :subject_ref, :wrapped_key, :now) ON CONFLICT DO NOTHING RETURNING wrapped_key
""")


def context_of(municipality: str, subject_ref: UUID) -> str:
    """What a subject's key is bound to."""
    return f"{municipality}/{subject_ref}"


def context_of_account(municipality: str, account_ref: str) -> str:
    """What the key of an account's address is bound to."""
    return f"{municipality}/account/{account_ref}"


def context_of_told(municipality: str, told_id: UUID) -> str:
    """What the key of what is written to an account is bound to."""
    return f"{municipality}/told/{told_id}"


def context_of_letter(municipality: str, letter_id: UUID) -> str:
    """What the key of a letter that is to be printed is bound to."""
    return f"{municipality}/letter/{letter_id}"


async def seal_for_subject(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    municipality: str,
    subject_ref: UUID,
    field: str,
    value: str,
    now: datetime,
) -> bytes:
    """Seal a value with the subject's key, which is made if there is none yet."""
    context = context_of(municipality, subject_ref)
    subject = {"municipality": municipality, "subject_ref": subject_ref}
    known = await _KEY.row(session, subject)
    if known is None:
        known = await _NEW_KEY.row(session, subject | {"wrapped_key": vault.new_key(context), "now": now})
    if known is None:  # somebody was quicker
        known = await _KEY.row(session, subject)
    return vault.seal(known.wrapped_key, context, field, value)
