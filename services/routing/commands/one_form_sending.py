"""Sending one form (手続一か所): the contact said once, and an application for each procedure, all of them or none."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.about_you import AboutYou, find_known_reach, tell_about_you
from services.routing.commands.cases import get_own_case
from services.routing.commands.contact import update_case
from services.routing.commands.identity import find_proof, needed_provider
from services.routing.commands.offers import Undecided
from services.routing.commands.one_form import lock_members
from services.routing.commands.protection import is_protected
from services.routing.commands.submit import Checked, Incomplete, Sent, check_application, submit_application
from services.routing.domain.identity import Proof
from services.routing.keys import Keys
from services.routing.queries.one_form import Member, was_sent
from services.routing.queries.plans import Plan
from services.routing.tables import case_file
from shared.crypto import SubjectVault
from shared.tokens import Identity


class CheckedTogether(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent for one procedure; `checked` None: something has to be typed for it first.

    `provider` has to say first who sends it; `proof` is what it said of these very items.
    """

    member: Member
    checked: Checked | None
    provider: str = ""
    proof: Proof | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it can be sent as it is."""
        return self.checked is not None and (not self.provider or self.proof is not None)


class SentTogether(msgspec.Struct, frozen=True):
    """All of it is sent (or was already)."""


async def find_reach_of_all(
    session: AsyncSession, *, identity: Identity, members: tuple[Member, ...], now: datetime
) -> str | None:
    """How this person can be reached by a contact that every one of these cases knows: then its field may stay empty.

    Raises:
        Refusal: `case_unknown` (404).
    """
    known = {await find_known_reach(session, identity=identity, case_id=member.case_id, now=now) for member in members}
    return known.pop() if len(known) == 1 else None


async def tell_for_all(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    members: tuple[Member, ...],
    told: AboutYou,
    now: datetime,
) -> None:
    """Keep how the person wants to be told, for all: said once, collected once; each case has its own sealed draft.

    Raises:
        Refusal: as `tell_about_you`.
    """
    for number, member in enumerate(members):
        await tell_about_you(
            session,
            vault,
            identity=identity,
            case_id=member.case_id,
            told=told,
            said_before=number > 0,
            now=now,
        )


async def check_together(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, members: tuple[Member, ...], now: datetime
) -> tuple[CheckedTogether, ...] | Incomplete:
    """Show what would be sent, procedure by procedure, and offer the contact of each to notifications.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    shown: list[CheckedTogether] = []
    for member in members:
        checked = await check_application(session, vault, identity=identity, case_id=member.case_id, now=now)
        if isinstance(checked, Incomplete) and checked.page == "you":
            return checked
        if isinstance(checked, Incomplete):
            shown.append(CheckedTogether(member=member, checked=None))
            continue
        case = await get_own_case(session, identity, member.case_id, now=now)
        provider = await needed_provider(session, case)
        proof = await find_proof(session, case, provider, checked.versions, now=now) if provider else None
        shown.append(CheckedTogether(member=member, checked=checked, provider=provider, proof=proof))
    return tuple(shown)


async def submit_together(
    session: AsyncSession,
    keys: Keys,
    *,
    identity: Identity,
    made: Plan,
    submit_key: UUID,
    shown_items: Mapping[UUID, Mapping[str, int]],
    with_notices: bool,
    shown_contacts: Mapping[UUID, str],
    language: str,
    now: datetime,
) -> SentTogether | Undecided | Incomplete:
    """Send an application for each procedure of the form, all of them or none. Twice with one key is once.

    `shown_items` are the versions that the person saw, by case: what they did not see is not sent.

    Raises:
        Refusal: `plan_unknown` (404).
    """
    members = await lock_members(session, identity, made)
    if not members or await was_sent(session, identity, made, submit_key):
        return SentTogether()
    if {member.case_id for member in members} != set(shown_items):
        return Undecided(missing=(), is_stale=True)
    async with session.begin_nested() as all_of_them:
        for member in members:
            await _take_over_contact(session, identity, member.case_id, members, now=now)
            outcome = await submit_application(
                session,
                keys,
                identity=identity,
                case_id=member.case_id,
                submit_key=submit_key,
                shown_items=shown_items[member.case_id],
                with_notices=with_notices,
                shown_contact=shown_contacts.get(member.case_id),
                language=language,
                now=now,
            )
            if not isinstance(outcome, Sent):
                # What was written for the others is undone.
                await all_of_them.rollback()
                return outcome
    return SentTogether()


async def _take_over_contact(
    session: AsyncSession, identity: Identity, case_id: UUID, members: tuple[Member, ...], *, now: datetime
) -> None:
    """Notifications gets one address, with an approval of each case, not the same address again for each.

    A protected person's stays in its case.
    """
    case = await get_own_case(session, identity, case_id, now=now)
    if case.contact_sealed is None or await is_protected(session, case.municipality, case.subject_ref):
        return
    given = (
        await session.execute(
            select(case_file.c.contact_ref)
            .where(
                case_file.c.municipality == case.municipality,
                case_file.c.case_id.in_([member.case_id for member in members]),
                case_file.c.subject_ref == case.subject_ref,
                case_file.c.contact_commitment == case.contact_commitment,
                case_file.c.contact_approval_id.is_not(None),
            )
            .limit(1)
        )
    ).scalar_one_or_none()
    if given is not None:
        await session.execute(update_case(case).values(contact_sealed=None, contact_ref=given))
