"""A visit: what a resident brought with their pass, sealed, for as long as they choose and confirm a time."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.marks import mark_availability
from services.booking.domain.services import Service
from services.booking.keys import Keys, subject_context
from services.booking.queries.services import outlasts_slots
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import schedule
from shared.passes import Pass
from shared.tokens import Identity

VISIT_LIFETIME = timedelta(minutes=60)
END_VISIT = "end_visit"
NAME, KANA = "name", "kana"


class DraftItem(msgspec.Struct, frozen=True, kw_only=True):
    """One approved item with the approval that let it cross."""

    key: str
    value: str
    approval_id: UUID
    purpose: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The approved items of a visit. Sealed at rest with the subject's key."""

    items: tuple[DraftItem, ...] = ()

    def value(self, key: str) -> str | None:
        """An item's value, if it was approved."""
        return next((item.value for item in self.items if item.key == key), None)

    def without(self, keys: Collection[str]) -> "Draft":
        """The same without these items."""
        return Draft(items=tuple(item for item in self.items if item.key not in keys))


_KEY = text("""
    INSERT INTO subject_key (municipality, subject_ref, wrapped_key) VALUES (:municipality, :subject_ref, :wrapped_key)
    ON CONFLICT (municipality, subject_ref) DO NOTHING
""")
_READ_KEY = text(
    "SELECT wrapped_key FROM subject_key WHERE (municipality, subject_ref) = (:municipality, :subject_ref)"
)
_OPEN = text("""
    INSERT INTO visit (municipality, visit_id, pass_id, guest_ref, subject_ref, case_id, contact_ref, procedure, reach,
                       channel, language, behalf, from_step, draft_sealed, passed_at, arrived_at, expires_at)
    VALUES (:municipality, :visit_id, :pass_id, :guest_ref, :subject_ref, :case_id, :contact_ref, :procedure, :reach,
            :channel, :language, :behalf, :from_step, :draft_sealed, :passed_at, :now, :expires_at)
    ON CONFLICT (municipality, pass_id) DO NOTHING RETURNING visit_id
""")
_OPENED = text("SELECT visit_id, guest_ref FROM visit WHERE (municipality, pass_id) = (:municipality, :pass_id)")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('names/' || :municipality || :case_id, 0))")
_WITHDRAWN = text("""
    SELECT item FROM name_withdrawn
    WHERE municipality = :municipality AND case_id = :case_id AND withdrawn_at >= :issued_at LIMIT 10
""")
# A pass for the channel that the case has left.
_LEFT = text("""
    SELECT 1 FROM case_switched
    WHERE (municipality, case_id) = (:municipality, :case_id) AND switched_at >= :issued_at AND channel <> :channel
""")
# The places of several errands in the order of `commands/locking.py`.
_RELEASE = text("""
    WITH mine AS MATERIALIZED (
        SELECT p.slot_id, p.place_no FROM place p
        WHERE p.municipality = :municipality AND p.hold_id IS NOT NULL
          AND p.visit_id = ANY (ARRAY(SELECT CAST(:visit_id AS uuid) UNION ALL
                                      SELECT e.errand_id FROM visit_errand e
                                      WHERE (e.municipality, e.visit_id) = (:municipality, :visit_id)))
        ORDER BY p.slot_id, p.place_no FOR UPDATE)
    UPDATE place p SET hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL, changed_at = :now
    FROM mine, slot s
    WHERE p.municipality = :municipality AND (p.slot_id, p.place_no) = (mine.slot_id, mine.place_no)
      AND (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
    RETURNING s.counter
""")
_ERRAND = text("""
    INSERT INTO visit_errand (municipality, visit_id, errand_no, errand_id, procedure)
    VALUES (:municipality, :visit_id, :errand_no, :errand_id, :procedure)
""")
# A procedure that takes longer than a slot has as many as it needs.
_NEEDS_MORE = text("""
    UPDATE visit v SET services = CAST(:services AS jsonb), minutes = p.minutes FROM procedure p
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id)
      AND (p.municipality, p.code) = (v.municipality, v.procedure)
""")
_LOCK = text("""
    SELECT guest_ref, shown_at FROM visit WHERE (municipality, visit_id) = (:municipality, :visit_id) FOR UPDATE
""")
_SHOWN = text("UPDATE visit SET shown_at = :now WHERE (municipality, visit_id) = (:municipality, :visit_id)")
# What the person has since decided is in the newer pass: the drafts before it are forgotten, and book nothing.
_END_OLDER = text("""
    UPDATE visit SET draft_sealed = NULL, expires_at = least(expires_at, :now)
    WHERE municipality = :municipality AND case_id = :case_id AND guest_ref = :guest_ref AND visit_id <> :visit_id
      AND appointment_id IS NULL AND draft_sealed IS NOT NULL
    RETURNING visit_id
""")
# What they had chosen to do is still what they want.
_KEEP_SERVICES = text("""
    UPDATE visit v SET services = o.services, minutes = o.minutes FROM visit o
    WHERE (v.municipality, v.visit_id) = (:municipality, :visit_id) AND v.channel = 'counter'
      AND (o.municipality, o.visit_id) = (:municipality, :older) AND o.services IS NOT NULL
      AND o.procedure = v.procedure
      AND NOT EXISTS (SELECT 1 FROM visit_errand e
                      WHERE (e.municipality, e.visit_id) = (v.municipality, v.visit_id))
""")
_END = text("""
    UPDATE visit SET draft_sealed = NULL, code_sealed = NULL
    WHERE (municipality, visit_id) = (:municipality, :visit_id)
""")


async def arrive(
    session: AsyncSession, ticket: Pass, visitor: str, keys: Keys, *, staff: Identity | None = None, now: datetime
) -> UUID:
    """Open a pass once, into a sealed draft. The same browser gets the same visit again.

    Another pass of the same case ends the visits before it: what was approved then may have been declined since.

    Raises:
        Refusal: `pass_used` (409), another browser brings it; `pass_expired` (410), its case went on by another channel
            since, and another pass is made there.
    """
    if ticket.guest_ref != visitor:
        raise Refusal("pass_used", 409)
    wrapped_key = await _subject_key(session, ticket.municipality, ticket.subject_ref, keys)
    visit_id = uuid4()
    draft = Draft(
        items=tuple(
            DraftItem(key=item.key, value=item.value, approval_id=item.approval_id, purpose=item.purpose)
            for item in ticket.items
        )
    )
    # What was withdrawn while the pass was on its way is left out.
    await stay_alone(session, ticket.municipality, ticket.case_id)
    passed = {"municipality": ticket.municipality, "case_id": ticket.case_id, "issued_at": ticket.issued_at}
    if (await session.execute(_LEFT, passed | {"channel": ticket.channel})).one_or_none() is not None:
        raise Refusal("pass_expired", 410, case_id=str(ticket.case_id))
    draft = draft.without(list((await session.execute(_WITHDRAWN, passed)).scalars()))
    sealed = seal_draft(keys, ticket.municipality, ticket.subject_ref, visit_id, wrapped_key, draft)
    opened = await session.execute(
        _OPEN,
        {
            "municipality": ticket.municipality,
            "visit_id": visit_id,
            "pass_id": ticket.pass_id,
            "guest_ref": ticket.guest_ref,
            "subject_ref": ticket.subject_ref,
            "case_id": ticket.case_id,
            "contact_ref": ticket.contact_ref,
            "procedure": ticket.procedure,
            "reach": ticket.reach,
            "channel": ticket.channel,
            "language": ticket.language,
            "behalf": ticket.behalf,
            "from_step": ticket.from_step,
            "draft_sealed": sealed,
            "passed_at": ticket.issued_at,
            "now": now,
            "expires_at": now + VISIT_LIFETIME,
        },
    )
    if opened.one_or_none() is not None:
        await _note_errands(session, ticket, visit_id)
        await _note_length(session, ticket, visit_id)
        await schedule(
            session,
            "booking",
            municipality=ticket.municipality,
            kind=END_VISIT,
            ref=str(visit_id),
            due_at=now + VISIT_LIFETIME,
        )
        await _end_older(session, ticket, visit_id, now=now)
        await record_deed(session, staff, "arrive", visit_id, now=now)
        return visit_id
    known = (await session.execute(_OPENED, {"municipality": ticket.municipality, "pass_id": ticket.pass_id})).one()
    if known.guest_ref != visitor:
        raise Refusal("pass_used", 409)
    first: UUID = known.visit_id
    return first


async def _note_errands(session: AsyncSession, ticket: Pass, visit_id: UUID) -> None:
    """With several procedures, each is an errand of the visit; the one of the case is among them."""
    procedures = dict.fromkeys([ticket.procedure, *ticket.errands])
    if len(procedures) > 1:
        await session.execute(
            _ERRAND,
            [
                {
                    "municipality": ticket.municipality,
                    "visit_id": visit_id,
                    "errand_no": number,
                    "errand_id": uuid4(),
                    "procedure": procedure,
                }
                for number, procedure in enumerate(procedures, start=1)
            ],
        )


async def _note_length(session: AsyncSession, ticket: Pass, visit_id: UUID) -> None:
    if ticket.channel != "counter" or ticket.errands:
        return
    if await outlasts_slots(session, ticket.municipality, ticket.procedure):
        services = msgspec.json.encode([Service(ticket.procedure)]).decode()
        mine = {"municipality": ticket.municipality, "visit_id": visit_id}
        await session.execute(_NEEDS_MORE, mine | {"services": services})


async def _end_older(session: AsyncSession, ticket: Pass, visit_id: UUID, *, now: datetime) -> None:
    mine = {
        "municipality": ticket.municipality,
        "case_id": ticket.case_id,
        "guest_ref": ticket.guest_ref,
        "visit_id": visit_id,
        "now": now,
    }
    for older in (await session.execute(_END_OLDER, mine)).scalars().all():
        await session.execute(_KEEP_SERVICES, mine | {"older": older})
        held = {"municipality": ticket.municipality, "visit_id": older, "now": now}
        counters = (await session.execute(_RELEASE, held)).scalars().all()
        if counters:
            await mark_availability(session, ticket.municipality, counters, now=now)


async def release_hold(
    session: AsyncSession,
    municipality: str,
    visit_id: UUID,
    visitor: str,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> None:
    """Give back the place that a visit holds, or the places, if it holds any.

    Raises:
        Refusal: `visit_unknown` (404).
    """
    key = {"municipality": municipality, "visit_id": visit_id}
    row = (await session.execute(_LOCK, key)).one_or_none()
    if row is None or row.guest_ref != visitor:
        raise Refusal("visit_unknown", 404)
    counters = (await session.execute(_RELEASE, key | {"now": now})).scalars().all()
    if counters:
        await mark_availability(session, municipality, counters, now=now)
        await record_deed(session, staff, "release", visit_id, now=now)


async def note_shown(session: AsyncSession, municipality: str, visit_id: UUID, *, now: datetime) -> None:
    """A page shows the place that a visit holds. Whoever leaves an older page of it has not gone away."""
    await session.execute(_SHOWN, {"municipality": municipality, "visit_id": visit_id, "now": now})


async def leave_page(
    session: AsyncSession,
    municipality: str,
    visit_id: UUID,
    visitor: str,
    shown_at: datetime,
    *,
    staff: Identity | None = None,
    now: datetime,
) -> None:
    """The page that was made at `shown_at` was left. If none of the visit was shown since, its place is given back.

    Raises:
        Refusal: as `release_hold`.
    """
    row = (await session.execute(_LOCK, {"municipality": municipality, "visit_id": visit_id})).one_or_none()
    # Reading the page again asks for the new one before it leaves the old one.
    if row is None or row.shown_at == shown_at:
        await release_hold(session, municipality, visit_id, visitor, staff=staff, now=now)


async def on_end_visit_due(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due kind `end_visit`: the draft and the code are forgotten, and a hold that nobody confirmed is given back."""
    key = {"municipality": municipality, "visit_id": UUID(ref)}
    await session.execute(_LOCK, key)
    await session.execute(_END, key)
    counters = (await session.execute(_RELEASE, key | {"now": now})).scalars().all()
    if counters:
        await mark_availability(session, municipality, counters, now=now)


async def release_places(session: AsyncSession, municipality: str, visit_id: UUID, *, now: datetime) -> Sequence[str]:
    """Give back every place that a visit holds, under its row's lock; the counters are the caller's to mark."""
    held = {"municipality": municipality, "visit_id": visit_id, "now": now}
    return (await session.execute(_RELEASE, held)).scalars().all()


def open_draft(
    keys: Keys, municipality: str, subject_ref: UUID, visit_id: UUID, wrapped_key: bytes, sealed: bytes
) -> Draft:
    """What a visit brought. The only reader of a draft.

    Raises:
        SealBroken: it is not this visit's.
    """
    context = subject_context(municipality, subject_ref)
    return msgspec.json.decode(keys.vault.open(wrapped_key, context, f"draft/{visit_id}", sealed), type=Draft)


def seal_draft(
    keys: Keys, municipality: str, subject_ref: UUID, visit_id: UUID, wrapped_key: bytes, draft: Draft
) -> bytes:
    """A draft as it is kept, for this visit only."""
    context = subject_context(municipality, subject_ref)
    return keys.vault.seal(wrapped_key, context, f"draft/{visit_id}", msgspec.json.encode(draft).decode())


async def stay_alone(session: AsyncSession, municipality: str, case_id: UUID) -> None:
    """Until the transaction ends, nobody else brings a pass of this case, or withdraws what is in one."""
    await session.execute(_ALONE, {"municipality": municipality, "case_id": str(case_id)})


async def _subject_key(session: AsyncSession, municipality: str, subject_ref: UUID, keys: Keys) -> bytes:
    row = {"municipality": municipality, "subject_ref": subject_ref}
    context = subject_context(municipality, subject_ref)
    await session.execute(_KEY, row | {"wrapped_key": keys.vault.new_key(context)})
    return bytes((await session.execute(_READ_KEY, row)).scalar_one())
