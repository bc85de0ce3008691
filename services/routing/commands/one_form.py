"""One form for a life event (手続一か所): cases of a plan that are filled in as one, each question once.

Each procedure has its own case, and each item one that asks for it: what is typed is kept there. The others are offered
it as what any earlier case holds is (`reuse.py`): shown, and used where the person says yes.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case
from services.routing.commands.family import choose_person
from services.routing.commands.form import apply_approved, changed_meanwhile, fill_items, save_form, saved_versions
from services.routing.commands.offers import ShownOffer
from services.routing.commands.online import may_choose_person
from services.routing.commands.plans import begin_steps
from services.routing.commands.reuse import decide_reuse, open_questions, preview_reuse, usable_sources
from services.routing.domain.applications import missing_items
from services.routing.domain.life_events import LifeEvent
from services.routing.domain.one_form import JoinedForm, askers, join_forms
from services.routing.domain.town_items import form_of
from services.routing.queries.family import list_persons
from services.routing.queries.one_form import Member, list_members
from services.routing.queries.plans import Plan, list_started
from services.routing.tables import case_file, plan
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.tokens import Identity

Page = Literal["reuse", "form", "you", "check"]


class FilledTogether(msgspec.Struct, frozen=True, kw_only=True):
    """What the form starts with. `reused` came from earlier cases; `can_reuse`: there is more that could.

    `versions` are those of the values: whoever saves says which they saw.
    """

    values: dict[str, str]
    reused: tuple[str, ...]
    can_reuse: bool
    versions: dict[str, int] = {}


class OfferedTogether(msgspec.Struct, frozen=True, kw_only=True):
    """One item, offered to several cases at once: an offer for each, and one answer."""

    item: str
    value: str | None
    offers: dict[UUID, ShownOffer]

    @property
    def answer(self) -> Literal["yes", "no", ""]:
        """What was answered before, where it was the same for all."""
        said = {offer.answer for offer in self.offers.values()}
        return said.pop() if len(said) == 1 else ""


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """Items without an answer, or what was shown no longer stands."""

    missing: tuple[str, ...]
    is_stale: bool


async def lock_members(session: AsyncSession, identity: Identity, made: Plan) -> tuple[Member, ...]:
    """The cases of a plan's form: whoever looks at it, changes or sends it does so alone.

    Raises:
        Refusal: `plan_unknown` (404), it is gone.
    """
    await _lock_plan(session, made, identity.municipality)
    return await list_members(session, identity, made, lock=True)


async def begin_one_form(
    session: AsyncSession,
    *,
    identity: Identity,
    made: Plan,
    event: LifeEvent,
    procedures: Collection[str],
    now: datetime,
) -> tuple[Member, ...]:
    """Begin these procedures of a plan online, as one form, with those that are in it already; return all of them.

    What was begun before joins as it stands, unless it goes on another way or was sent.

    Raises:
        Refusal: as `open_case`, `plan_unknown` (404).
    """
    before = await lock_members(session, identity, made)
    started = {case.procedure: case for case in await list_started(session, identity, made, event)}
    fresh = {code: "online" for code in procedures if code not in started}
    begun = await begin_steps(session, identity=identity, made=made, event=event, channels=fresh, now=now)
    known = [started[code].case_id for code in procedures if code in started]
    mine = (
        case_file.c.municipality == identity.municipality,
        case_file.c.case_id.in_([*begun.values(), *known]),
        case_file.c.channel == "online",
        case_file.c.state != "submitted",
    )
    await session.execute(
        update(case_file).where(*mine).values(plan_id=made.plan_id, updated_at=now, version=case_file.c.version + 1)
    )
    if before and before[0].acting_for is not None:
        # The form is somebody's of the family: so is what joins it, if nothing was said in it yet.
        await session.execute(
            update(case_file)
            .where(*mine, case_file.c.subject_ref.is_(None), case_file.c.state == "opened")
            .values(acting_for=before[0].acting_for, subject_ref=before[0].acting_for)
        )
    return await list_members(session, identity, made)


async def take_out(session: AsyncSession, *, identity: Identity, made: Plan, case_id: UUID, now: datetime) -> None:
    """One procedure goes on by itself, with everything that was given for it. Taken out before, nothing happens.

    Raises:
        Refusal: `plan_unknown` (404).
    """
    await _lock_plan(session, made, identity.municipality)
    await session.execute(
        update(case_file)
        .where(
            case_file.c.municipality == identity.municipality,
            case_file.c.guest_ref == identity.ref,
            case_file.c.plan_id == made.plan_id,
            case_file.c.case_id == case_id,
            case_file.c.state != "submitted",
        )
        .values(plan_id=None, updated_at=now, version=case_file.c.version + 1)
    )


async def may_choose_for_all(
    session: AsyncSession, identity: Identity, members: Collection[Member], *, now: datetime
) -> bool:
    """Whether it can still be said whose the form is."""
    cases = [await get_own_case(session, identity, member.case_id, now=now) for member in members]
    return all([await may_choose_person(session, identity, case) for case in cases])


async def choose_person_for_all(
    session: AsyncSession, *, identity: Identity, made: Plan, person: int | Literal["me", "new"], now: datetime
) -> None:
    """Say whose the form is, before anything is typed in it.

    Raises:
        Refusal: `plan_unknown` (404), and as `choose_person`.
    """
    members = await lock_members(session, identity, made)
    for member in members:
        await choose_person(session, identity=identity, case_id=member.case_id, person=person, now=now)
        if person == "new":
            # Whoever is new is one person for all of them.
            case = await get_own_case(session, identity, member.case_id, now=now)
            person = (await list_persons(session, identity))[case.acting_for]


async def fill_together(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    members: tuple[Member, ...],
    now: datetime,
) -> FilledTogether:
    """What the form starts with: each item from the case that asks for it.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    asked = asked_by(members)
    values: dict[str, str] = {}
    reused: list[str] = []
    versions: dict[str, int] = {}
    can_reuse = False
    for member in members:
        filled = await fill_items(
            session,
            vault,
            identity=identity,
            case_id=member.case_id,
            only=[item for item, case_id in asked.items() if case_id == member.case_id],
            now=now,
        )
        values |= filled.values
        reused += filled.reused
        versions |= filled.versions
        can_reuse = can_reuse or filled.can_reuse
    return FilledTogether(values=values, reused=tuple(reused), can_reuse=can_reuse, versions=versions)


async def changed_together(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    members: tuple[Member, ...],
    seen: Mapping[str, int],
    values: Mapping[str, str],
    now: datetime,
) -> tuple[str, ...]:
    """The items that were saved differently since the form was filled with the versions `seen` (`changed_meanwhile`).

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    changed: list[str] = []
    for case_id, own in _by_case(members, values).items():
        changed += await changed_meanwhile(
            session, vault, identity=identity, case_id=case_id, seen=seen, values=own, now=now
        )
    return tuple(changed)


async def saved_together(
    session: AsyncSession, *, identity: Identity, members: tuple[Member, ...], values: Collection[str], now: datetime
) -> dict[str, int]:
    """The versions of what was saved just now.

    Raises:
        Refusal: `case_unknown` (404).
    """
    versions: dict[str, int] = {}
    for member in members:
        versions |= await saved_versions(session, identity, member.case_id, now=now)
    return {item: version for item, version in versions.items() if item in values}


async def save_together(
    session: AsyncSession,
    vault: SubjectVault,
    *,
    identity: Identity,
    members: tuple[Member, ...],
    values: Mapping[str, str],
    now: datetime,
) -> None:
    """Keep checked values, each in the first case to which it applies by them. What the others were approved to use is
    used by them.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    for case_id, own in _by_case(members, values).items():
        await save_form(session, vault, identity=identity, case_id=case_id, values=own, beside=values, now=now)
    for member in members:
        await apply_approved(session, identity=identity, case_id=member.case_id, items=values, now=now)


async def preview_together(
    session: AsyncSession, vault: SubjectVault, *, identity: Identity, members: tuple[Member, ...], now: datetime
) -> tuple[OfferedTogether, ...]:
    """Offer what earlier cases hold, and what was typed in this form for one, to all of them that need it.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    by_item: dict[str, dict[UUID, ShownOffer]] = {}
    for member in members:
        offers = await preview_reuse(session, vault, identity=identity, case_id=member.case_id, now=now)
        for offer in offers:
            by_item.setdefault(offer.item, {})[member.case_id] = offer
    return tuple(
        OfferedTogether(item=item, value=next(iter(by_item[item].values())).value, offers=by_item[item])
        for item in offered_to(members)
        if item in by_item
    )


async def decide_together(
    session: AsyncSession,
    *,
    identity: Identity,
    members: tuple[Member, ...],
    answers: Mapping[str, str],
    shown: Mapping[UUID, Mapping[str, str]],
    now: datetime,
) -> Unanswered | None:
    """Write what was answered, item by item, for every case that it was shown for; None when all is answered.

    `shown` are the references of the offers that the person saw, by case and item.

    Raises:
        Refusal: `case_unknown` (404), `application_sent` (409).
    """
    missing: list[str] = []
    is_stale = bool(set(shown) - {member.case_id for member in members})
    for member in members:
        seen = shown.get(member.case_id, {})
        outcome = await decide_reuse(
            session, identity=identity, case_id=member.case_id, answers=answers, shown=seen, now=now
        )
        if outcome is not None:
            missing += outcome.missing
            is_stale = is_stale or outcome.is_stale
    return Unanswered(missing=tuple(dict.fromkeys(missing)), is_stale=is_stale) if missing or is_stale else None


async def next_page(session: AsyncSession, *, identity: Identity, members: tuple[Member, ...], now: datetime) -> Page:
    """Where the form goes on: a question about an item, something to be typed, the contact, or the check.

    What was declined for a procedure is asked on that one's own page: the check says so.
    """
    asked = asked_by(members)
    is_complete = True
    for member in members:
        case = await get_own_case(session, identity, member.case_id, lock=True, now=now)
        if await open_questions(session, identity, case, now):
            return "reuse"
        own = [item for item in member.applying if asked[item] == member.case_id]
        is_complete = is_complete and not missing_items(own, await usable_sources(session, case))
    if not is_complete:
        return "form"
    return "you" if any(member.reach is None for member in members) else "check"


def asked_by(members: tuple[Member, ...]) -> dict[str, UUID]:
    """The case that asks for each item, in the order of the form: the first to which it applies, as far as is known."""
    applying = askers({member.case_id: member.applying for member in members})
    return askers({member.case_id: member.needed for member in members}) | applying


def offered_to(members: tuple[Member, ...]) -> tuple[str, ...]:
    """What may be offered to the cases: the items of the form, and files."""
    return tuple(dict.fromkeys([*asked_by(members), *(item for member in members for item in member.attached)]))


def joined_form(members: tuple[Member, ...]) -> JoinedForm:
    """How the form asks: as all of its procedures do."""
    return join_forms([(form_of(member.procedure), member.needed) for member in members])


def _by_case(members: tuple[Member, ...], values: Mapping[str, str]) -> dict[UUID, dict[str, str]]:
    """Which of the values each case keeps: the first to which an item applies by them."""
    applying = {
        member.case_id: [
            item for item in member.needed if item not in form_of(member.procedure).not_asked(values, member.not_asked)
        ]
        for member in members
    }
    asked = askers(applying)
    return {
        member.case_id: {item: text for item, text in values.items() if asked.get(item) == member.case_id}
        for member in members
    }


async def _lock_plan(session: AsyncSession, made: Plan, municipality: str) -> None:
    query = select(plan.c.plan_id).where(plan.c.municipality == municipality, plan.c.plan_id == made.plan_id)
    if (await session.execute(query.with_for_update())).one_or_none() is None:
        raise Refusal("plan_unknown", 404)
