"""What somebody finds who has everything that is left, and tries every birth date of 130 years."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from services.routing.commands.vault import keep_items, subject_context
from shared.events.subscriptions import SERVICES
from tests.erasure.town import Town
from tests.routing.makers import TOWN

BIRTH_DATE = "1988-04-05"
YOUNGEST, YEARS = date(2026, 11, 24), 130


def birth_dates() -> Iterator[str]:
    days = YEARS * 365 + YEARS // 4
    return ((YOUNGEST - timedelta(days=back)).isoformat() for back in range(days))


async def left_keys(town: Town, subject_ref: UUID) -> list[bytes]:
    """Every data key of the subject that a table still has, for one who also stole the master keys."""
    found = []
    for service in SERVICES:
        for row in await town.rows(
            f"SELECT wrapped_key FROM {service}.subject_key WHERE subject_ref = $1", subject_ref
        ):
            for master in town.services[service].keys.vault._masters:
                try:
                    found.append(bytes(master.decrypt(row["wrapped_key"], aad=_context(subject_ref))))
                except CryptoError:
                    continue
    return found


async def commitments(town: Town, subject_ref: UUID) -> set[str]:
    """What the exports of all ledgers say of the subject's birth date."""
    said: set[str] = set()
    for service in SERVICES:
        rows = await town.rows(
            f"SELECT commitments ->> 'birth_date' AS said FROM {service}.ledger_entry WHERE subject_ref = $1",
            subject_ref,
        )
        said |= {row["said"] for row in rows if row["said"]}
    return said


def guess(said: set[str], keys: list[bytes], subject_ref: UUID) -> set[str]:
    """The birth dates that make one of these commitments: with each key, with what else is known, and with none."""
    tried = [*keys, str(subject_ref).encode(), subject_ref.bytes, _context(subject_ref), bytes(Aead.KEY_SIZE)]
    hits = set()
    for day in birth_dates():
        text = f"commitment/birth_date/{day}".encode()
        if any(hmac.digest(key, text, hashlib.sha256).hex() in said for key in tried):
            hits.add(day)
        if {hashlib.sha256(text).hexdigest(), hashlib.sha256(day.encode()).hexdigest()} & said:
            hits.add(day)
    return hits


async def test_trying_every_birth_date_finds_it_before_the_erasure_and_nothing_after(town: Town) -> None:
    guest = await town.guest()
    ticket = await town.hand_over(guest)
    await _tell_birth_date(town, guest, ticket.subject_ref, ticket.case_id)
    await town.deliver()
    subject_ref = ticket.subject_ref
    said = await commitments(town, subject_ref)
    assert said
    assert guess(said, await left_keys(town, subject_ref), subject_ref) == {BIRTH_DATE}

    await town.erase(subject_ref)
    await town.deliver()
    assert await commitments(town, subject_ref) == said
    assert await left_keys(town, subject_ref) == []
    assert guess(said, [], subject_ref) == set()


async def _tell_birth_date(town: Town, guest: Any, subject_ref: UUID, case_id: UUID) -> None:
    async with town.at("routing") as session:
        await keep_items(
            session,
            town.services["routing"].keys.vault,
            identity=guest,
            subject_ref=subject_ref,
            values={"birth_date": BIRTH_DATE},
            case_id=case_id,
            procedure="CHI02",
            purpose="x",
            now=town.now,
        )


def _context(subject_ref: UUID) -> bytes:
    return subject_context(TOWN, subject_ref).encode()
