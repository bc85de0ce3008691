"""What people handed in (届け出たもの): an application, an entry to a draw or a class, a request for a helper.

Each has a number and moves from state to state; each state is told once. What it is, `commands/applications.py`,
`draws.py`, `classes.py`, `help_requests.py` and `switches.py` say.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.by_hand import take_back_overtaken
from services.notifications.commands.closings import NO_CONTACT
from services.notifications.commands.subjects import ACCESS, seal_for_subject
from services.notifications.commands.tasks import open_task
from services.notifications.domain.notices import (
    KEEPS_QUIET,
    TOLD_BY_STAFF_TOO,
    WAITING,
    Kind,
    Matter,
    due_kind,
    is_beside,
    useful_until,
)
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE
from shared.crypto import SealBroken
from shared.db import Prepared
from shared.errors import Poison
from shared.events.booking import ClassHint, SealedAccess
from shared.messaging.due import schedule
from shared.messaging.outbox import is_bulk

# With these it is at its end.
ENDED = ("completed", "refused", "withdrawn", "met", "unmet", "lost", "called_off")
DUE_FORGET = "forget_application"
# The last notice still carries the link; then nothing will need it.
FORGET_AFTER = timedelta(days=2)

_PROJECT = Prepared(f"""
    INSERT INTO {SERVICE}.application AS known (
        municipality, application_id, version, number, subject_ref, contact_ref, case_id, procedure, office, state,
        title, venue, starts_at, ends_at, until, classes)
    VALUES (:municipality, :application_id, :version, :number, :subject_ref, :contact_ref, :case_id, :procedure,
            :office, :state, :title, :venue, :starts_at, :ends_at, :until, CAST(:classes AS jsonb))
    ON CONFLICT (municipality, application_id) DO UPDATE
    SET (version, number, subject_ref, contact_ref, case_id, procedure, office, state, title, venue, starts_at,
         ends_at, until, classes)
      = (excluded.version, excluded.number, excluded.subject_ref, excluded.contact_ref, excluded.case_id,
         excluded.procedure, excluded.office, excluded.state, excluded.title, excluded.venue, excluded.starts_at,
         excluded.ends_at, excluded.until, excluded.classes)
    WHERE known.version < excluded.version
    RETURNING version
""")
_SUPERSEDE = Prepared(f"""
    UPDATE {SERVICE}.notice SET state = 'superseded', reason = 'overtaken', settled_at = :now
    WHERE (municipality, application_id) = (:municipality, :application_id)
      AND state = ANY (CAST(:waiting AS text[])) AND sequence < :version
""")
_ADD_NOTICE = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, application_id, occasion, sequence, appointment_version, contact_ref, reach,
        state, keeps_quiet, bulk, created_at, useful_until, settled_at)
    VALUES (:municipality, :notice_id, :kind, :application_id, :occasion, :version, :version, :contact_ref, :reach,
            :notice_state, :keeps_quiet, :bulk, :now, :useful_until, :settled_at)
    ON CONFLICT DO NOTHING RETURNING notice_id
""")
_KEEP_ACCESS = Prepared(f"""
    UPDATE {SERVICE}.application SET access_sealed = :kept, access_version = :version
    WHERE (municipality, application_id) = (:municipality, :application_id) AND access_version < :version
""")
_FORGET = Prepared(f"""
    UPDATE {SERVICE}.application SET access_sealed = NULL
    WHERE (municipality, application_id) = (:municipality, :application_id)
      AND (state = ANY (CAST(:ended AS text[])) OR ends_at < :now)
""")


class HandedIn(msgspec.Struct, frozen=True, kw_only=True):
    """The state that one has reached, and what is to be said of it."""

    municipality: str
    application_id: UUID
    version: int
    number: str
    subject_ref: UUID | None
    contact_ref: UUID | None
    case_id: UUID | None
    procedure: str = ""
    office: str = ""
    state: str
    title: str = ""
    venue: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    until: datetime | None = None
    classes: tuple[ClassHint, ...] = ()


async def take_over(session: AsyncSession, matter: HandedIn, *, now: datetime) -> bool:
    """Write the state unless a newer one is there; what waits and was overtaken is not told. Whether it was written."""
    values = msgspec.structs.asdict(matter) | {"classes": msgspec.json.encode(matter.classes).decode()}
    if await _PROJECT.row(session, values) is None:
        return False
    ours = {"municipality": matter.municipality, "application_id": matter.application_id, "version": matter.version}
    await _SUPERSEDE.row(session, ours | {"waiting": WAITING, "now": now})
    if matter.version > 1:
        about = Matter(application_id=matter.application_id)
        await take_back_overtaken(session, matter.municipality, about, now=now)
    if matter.state in ENDED:
        await _forget_at(session, matter, now + FORGET_AFTER)
    elif matter.ends_at is not None:
        await _forget_at(session, matter, matter.ends_at + FORGET_AFTER)
    return True


async def tell(session: AsyncSession, matter: HandedIn, kind: Kind, *, occasion: str, now: datetime) -> None:
    """Ask for a notice of it, once for each occasion. Who gave no contact has it on paper, or hears of it by staff."""
    is_slip, by_staff = matter.contact_ref is None, kind in TOLD_BY_STAFF_TOO
    notice_id, bulk = uuid4(), is_beside(kind, bulk=is_bulk(session))
    notice = {
        "municipality": matter.municipality,
        "notice_id": notice_id,
        "kind": kind,
        "application_id": matter.application_id,
        "occasion": occasion,
        "version": matter.version,
        "contact_ref": matter.contact_ref,
        "reach": "none" if is_slip else None,
        "notice_state": "pending" if not is_slip else "undeliverable" if by_staff else "printed_slip",
        "keeps_quiet": kind in KEEPS_QUIET,
        "bulk": bulk,
        "now": now,
        "useful_until": useful_until(kind, starts_at=matter.starts_at, offer_until=matter.until, now=now),
        "settled_at": now if is_slip else None,
    }
    if await _ADD_NOTICE.row(session, notice) is None:
        return
    if not is_slip:
        due, ref = due_kind(bulk=bulk), str(notice_id)
        await schedule(session, SERVICE, municipality=matter.municipality, kind=due, ref=ref, due_at=now)
    elif by_staff:
        await open_task(
            session,
            municipality=matter.municipality,
            notice_id=notice_id,
            kind=kind,
            matter=Matter(application_id=matter.application_id),
            number=matter.number,
            reason=NO_CONTACT,
            now=now,
        )


async def keep_access(
    session: AsyncSession, keys: Keys, matter: HandedIn, sealed: str | None, *, publisher: str, purpose: str,
    now: datetime,
) -> None:  # fmt: skip
    """Keep the link and the code that came sealed, also with an event that came late: it alone carries them.

    Raises:
        Poison: what is sealed cannot be opened.
    """
    if sealed is None or matter.subject_ref is None:
        return
    try:
        access = msgspec.msgpack.decode(keys.box.open_from(publisher, purpose, sealed), type=SealedAccess)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
    kept = await seal_for_subject(
        session,
        keys.vault,
        municipality=matter.municipality,
        subject_ref=matter.subject_ref,
        field=f"{ACCESS}/{matter.application_id}",
        value=msgspec.json.encode(access).decode(),
        now=now,
    )
    ours = {"municipality": matter.municipality, "application_id": matter.application_id, "version": matter.version}
    await _KEEP_ACCESS.row(session, ours | {"kept": kept})


async def forget_access_of(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: forget the link and the code of what is at its end, or over."""
    ours = {"municipality": municipality, "application_id": UUID(ref)}
    await _FORGET.row(session, ours | {"ended": ENDED, "now": now})


async def _forget_at(session: AsyncSession, matter: HandedIn, at: datetime) -> None:
    ref = str(matter.application_id)
    await schedule(session, SERVICE, municipality=matter.municipality, kind=DUE_FORGET, ref=ref, due_at=at)
