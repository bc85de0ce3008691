"""A case that goes on at another device (ほかの機械で続ける): a link and a code for one, once, and what it may see.

The other device is a guest of its own, who has this case and nothing else of the person: no other case, no item that
only another case has, no contact of another. It ends when the case is sent, by the person, or with its time.
"""

import secrets
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import ColumnElement, Row, and_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.access import LINK_MAX_LENGTH
from services.routing.commands.cases import get_own_case
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.vault import Use, list_sources, write_use
from services.routing.domain.applications import LOCKED_FOR
from services.routing.domain.devices import (
    CODE_FAILURES_MAX,
    DEVICE_LIFETIME,
    DEVICE_NUMBER_LENGTH,
    OTHER_DEVICE,
)
from services.routing.keys import Keys
from services.routing.tables import SERVICE, case_device, case_file
from shared.crypto import new_link_token, token_hash
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.reference_number import make_number, read_code, read_number
from shared.tokens import Identity

NUMBER_TRIES = 5
DUE_DEVICE = "device_ended"
DEVICES_MAX = 20


class NewDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown once: the link's token is not kept. `number` and `code` are typed where nothing is scanned."""

    token: str
    number: str
    code: str
    expires_at: datetime

    def __repr__(self) -> str:
        return "NewDevice()"


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a number and code. Not raised, because the count of failures must be committed."""

    outcome: Literal["open", "wrong", "locked"]
    device_id: UUID | None = None
    locked_until: datetime | None = None
    # A number that nobody has: its tries are counted elsewhere, so that it looks like any other.
    nobodys: str | None = None


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a link waits, and how many devices have the case beside the one that it was begun with."""

    waiting: bool
    opened: int


async def make_device(
    session: AsyncSession, keys: Keys, *, identity: Identity, case_id: UUID, now: datetime
) -> NewDevice:
    """Make a link and a code for one other device. A link that was made before and not used is over.

    Raises:
        Refusal: `case_unknown` (404), `nothing_to_resume` (409): only what was kept can go on elsewhere, and only a
            resident's own case.
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    if not may_go_on(identity, case):
        raise Refusal("nothing_to_resume", 409)
    await session.execute(
        update(case_device).where(_of_case(case), case_device.c.opened_at.is_(None), _live()).values(ended_at=now)
    )
    token, device_id = new_link_token(), uuid4()
    for _ in range(NUMBER_TRIES):
        number = make_number(secrets.choice, length=DEVICE_NUMBER_LENGTH)
        made = await session.execute(
            insert(case_device)
            .values(
                municipality=case.municipality,
                device_id=device_id,
                case_id=case_id,
                number=number,
                link_hash=token_hash(token),
                made_at=now,
                expires_at=now + DEVICE_LIFETIME,
            )
            .on_conflict_do_nothing(index_elements=["municipality", "number"])
            .returning(case_device.c.device_id)
        )
        if made.one_or_none() is not None:
            until = now + DEVICE_LIFETIME
            await schedule(
                session, SERVICE, municipality=case.municipality, kind=DUE_DEVICE, ref=str(device_id), due_at=until
            )
            code = keys.application_code(case.municipality, device_id)
            return NewDevice(token=token, number=number, code=code, expires_at=until)
    raise RuntimeError("no free number")


def may_go_on(identity: Identity, case: Row[Any]) -> bool:
    """Whether a case can go on at another device: a resident's own, from where it was begun, with something kept."""
    return (
        identity.kind == "guest"
        and case.guest_ref == identity.ref
        and case.behalf is None
        and case.acting_for is None
        and case.state != "submitted"
        and bool(case.items)
    )


async def find_link(session: AsyncSession, municipality: str, token: str, *, now: datetime) -> UUID | None:
    """Which device a link is for, while it may be opened. Looking does not use it up: messengers look, too."""
    if len(token) > LINK_MAX_LENGTH:
        return None
    query = select(case_device.c.device_id).where(
        case_device.c.municipality == municipality, case_device.c.link_hash == token_hash(token), _waiting(now)
    )
    found: UUID | None = (await session.execute(query)).scalar_one_or_none()
    return found


async def try_device_code(
    session: AsyncSession, keys: Keys, municipality: str, typed_number: str, typed_code: str, *, now: datetime
) -> Tried:
    """Check a number and a code as typed. Five wrong codes lock the code for 15 minutes."""
    number, code = read_number(typed_number, length=DEVICE_NUMBER_LENGTH), read_code(typed_code)
    if number is None or code is None:
        return Tried(outcome="wrong")
    mine = (case_device.c.municipality == municipality, case_device.c.number == number)
    case_id = (await session.execute(select(case_device.c.case_id).where(*mine, _waiting(now)))).scalar_one_or_none()
    # The case first, as everywhere: whoever makes, ends or opens a device holds it before they write the device's row.
    await session.execute(
        select(case_file.c.case_id)
        .where(case_file.c.municipality == municipality, case_file.c.case_id == case_id)
        .with_for_update()
    )
    # Locked, so that tries sent at once are counted one by one.
    row = (await session.execute(select(case_device).where(*mine, _waiting(now)).with_for_update())).one_or_none()
    if row is None:
        return Tried(outcome="wrong", nobodys=number)
    if row.locked_until is not None and row.locked_until > now:
        return Tried(outcome="locked", locked_until=row.locked_until)
    if keys.is_application_code(municipality, row.device_id, code):
        return Tried(outcome="open", device_id=row.device_id)
    failures = row.code_failures + 1
    locked_until = now + LOCKED_FOR if failures >= CODE_FAILURES_MAX else None
    await session.execute(
        update(case_device)
        .where(*mine)
        .values(code_failures=0 if locked_until else failures, locked_until=locked_until)
    )
    return Tried(outcome="locked" if locked_until else "wrong", locked_until=locked_until)


async def open_device(session: AsyncSession, *, identity: Identity, device_id: UUID, now: datetime) -> UUID:
    """Let the visitor's browser have the case from now on: the link is used up. The case's id.

    Raises:
        Refusal: `resume_unknown` (404): used, over, or the case was sent meanwhile. `role_missing` (403): staff.
    """
    if identity.kind != "guest":
        raise Refusal("role_missing", 403)
    mine = (case_device.c.municipality == identity.municipality, case_device.c.device_id == device_id)
    row = (await session.execute(select(case_device).where(*mine, _waiting(now)))).one_or_none()
    if row is None:
        raise Refusal("resume_unknown", 404)
    case_id: UUID = row.case_id
    case = (
        await session.execute(
            select(case_file)
            .where(case_file.c.municipality == identity.municipality, case_file.c.case_id == case_id)
            .with_for_update()
        )
    ).one()
    if case.guest_ref == identity.ref:
        # At the device that it was begun with: nothing has to be opened, and the link is still good elsewhere.
        return case_id
    # Of two devices at once the second finds it used: the case's lock is held.
    used = await session.execute(
        update(case_device)
        .where(*mine, _waiting(now))
        .values(guest_ref=identity.ref, opened_at=now)
        .returning(case_device.c.device_id)
    )
    if used.one_or_none() is None or case.state == "submitted" or case.subject_ref is None:
        raise Refusal("resume_unknown", 404)
    kept = {
        source.key: source.commitment
        for source in await list_sources(session, case.municipality, case.subject_ref, case_id=case.case_id)
    }
    if kept:
        use = Use(
            entry_type="previewed",
            case_id=case.case_id,
            procedure=case.procedure,
            target_service=SERVICE,
            target_step=OTHER_DEVICE,
            purpose=PURPOSE_APPLY,
            explicit_request=True,
            outcome=OTHER_DEVICE,
        )
        await write_use(session, identity, case.subject_ref, use, kept, now=now)
    return case_id


async def end_devices(session: AsyncSession, *, identity: Identity, case_id: UUID, now: datetime) -> None:
    """Take back every link and every device of a case. Only where it was begun.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, lock=True, now=now)
    if case.guest_ref != identity.ref:
        raise Refusal("case_unknown", 404)
    await forget_devices(session, case, now=now)


async def forget_devices(session: AsyncSession, case: Row[Any], *, now: datetime) -> None:
    """The case was sent, or taken back: no other device has it any more."""
    await session.execute(update(case_device).where(_of_case(case), _live()).values(ended_at=now))


async def end_device(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: the time is over, also of a device that has the case."""
    await session.execute(
        update(case_device)
        .where(case_device.c.municipality == municipality, case_device.c.device_id == UUID(ref), _live())
        .values(ended_at=now)
    )


async def count_devices(session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime) -> Devices:
    """What was made of a case for other devices."""
    rows = await session.execute(
        select(case_device.c.opened_at)
        .where(
            case_device.c.municipality == identity.municipality,
            case_device.c.case_id == case_id,
            _live(),
            case_device.c.expires_at > now,
        )
        .limit(DEVICES_MAX)
    )
    opened = [row.opened_at for row in rows]
    return Devices(waiting=None in opened, opened=len([each for each in opened if each is not None]))


def _of_case(case: Row[Any]) -> ColumnElement[bool]:
    return and_(case_device.c.municipality == case.municipality, case_device.c.case_id == case.case_id)


def _live() -> ColumnElement[bool]:
    return case_device.c.ended_at.is_(None)


def _waiting(now: datetime) -> ColumnElement[bool]:
    return and_(_live(), case_device.c.opened_at.is_(None), case_device.c.expires_at > now)
