"""A case, as its pages need to know it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, has_venue
from services.routing.commands.vault import list_sources
from services.routing.domain.applications import EDITABLE
from services.routing.domain.behalf import Behalf
from services.routing.domain.items import attached_items, can_be_typed, typed_items
from services.routing.domain.switching import BY_OTHERS
from services.routing.domain.town_items import ProcedureForm, form_of
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.desk import find_confirmation
from services.routing.queries.family import list_persons
from services.routing.queries.meetings import is_beside
from services.routing.queries.one_form import find_one_form
from services.routing.queries.switching import Switch, find_last_switch
from services.routing.tables import application, procedure
from shared.tokens import Identity


class OnlineCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case and its procedure. `sent` is the 受付番号 once the office has the application: then the form is closed.

    `correcting`: its 受付番号 when it was sent before, and the office asks for another look.
    `behalf`: staff began it for somebody.
    """

    case_id: UUID
    # Raised by each change.
    version: int
    case_number: str
    procedure: str
    procedure_name: str
    office: str
    fee_yen: int
    counters: tuple[str, ...]
    items: tuple[str, ...]
    channel: str
    behalf: Behalf | None
    online: bool
    counter: bool
    helper: bool
    identity_code: str
    sent: str | None
    correcting: str | None
    # Whose it is: oneself (None), or somebody of the family by their number; who there is, and may be chosen still.
    person: int | None = None
    persons: tuple[int, ...] = ()
    may_choose: bool = False
    # The plan in whose form it is filled in with others.
    one_form: UUID | None = None
    # The last time that somebody else chose its channel for the person: they are told, and can undo it.
    switched: Switch | None = None
    # The names of the other procedures that are booked for the same visit.
    together: tuple[str, ...] = ()
    # What can be attached, by the keys of its items.
    attached: tuple[str, ...] = ()
    # It is done at a counter, and its form can be filled in before (先に書いておく): never a condition of anything.
    is_draft: bool = False
    # What was prepared was confirmed at the counter: then, until staff correct something.
    confirmed_at: datetime | None = None
    # The items that were given, or do not apply.
    settled: tuple[str, ...] = ()
    # Its person goes through it with a helper now.
    is_beside: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        """The items that the form asks for, in its order."""
        return self.form.in_order(typed_items(self.items))

    @property
    def check_page(self) -> str:
        """Where it is checked and sent: in one form with others, with them."""
        return f"/plans/{self.one_form}/check" if self.one_form else f"/cases/{self.case_id}/check"

    @property
    def form(self) -> ProcedureForm:
        """How the form asks."""
        return form_of(self.procedure)


async def get_online_case(session: AsyncSession, identity: Identity, case_id: UUID, *, now: datetime) -> OnlineCase:
    """One's own case with what its pages need to know.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id, now=now)
    row = await procedure_of(session, case)
    sent = (
        await session.execute(
            select(application.c.number, application.c.state).where(
                application.c.municipality == case.municipality, application.c.case_id == case_id
            )
        )
    ).one_or_none()
    persons = await list_persons(session, identity)
    last = await find_last_switch(session, case.municipality, case_id) if case.behalf is None else None
    names = await procedure_names(session, identity.municipality) if case.together else {}
    is_draft = case.channel == "counter" and sent is None and can_be_typed(row.items) and bool(typed_items(row.items))
    confirmation = await find_confirmation(session, case.municipality, case_id) if is_draft else None
    return OnlineCase(
        person=persons.get(case.acting_for) if case.acting_for is not None else None,
        persons=tuple(persons.values()),
        may_choose=await may_choose_person(session, identity, case),
        switched=last if last is not None and last.said in BY_OTHERS else None,
        case_id=case_id,
        version=case.version,
        case_number=case.number,
        procedure=row.code,
        procedure_name=row.name_ja,
        office=row.office,
        fee_yen=row.fee_yen,
        counters=tuple(row.counters),
        items=tuple(row.items),
        attached=attached_items(row.items, row.attach),
        channel=case.channel,
        behalf=case.behalf,
        online=row.online != "no" and can_be_typed(row.items) and case.state != "submitted",
        counter=row.counter != "no" and bool(row.counters),
        helper=row.helper != "no" and await has_venue(session, case.municipality),
        identity_code=row.identity,
        sent=sent.number if sent is not None and sent.state not in EDITABLE else None,
        correcting=sent.number if sent is not None and sent.state in EDITABLE else None,
        one_form=await find_one_form(session, identity, case),
        together=tuple(names[code][0] for code in case.together if code in names) if case.channel == "counter" else (),
        is_draft=is_draft,
        confirmed_at=confirmation.confirmed_at if confirmation is not None else None,
        settled=(*(case.items or ()), *case.not_asked),
        is_beside=await is_beside(session, case.municipality, case_id, now=now),
    )


async def may_choose_person(session: AsyncSession, identity: Identity, case: Row[Any]) -> bool:
    """Whether it can still be said whose a case is: a resident's own, where it was begun, with nothing typed yet."""
    is_own = identity.kind == "guest" and case.guest_ref == identity.ref
    if not is_own or case.state != "opened" or case.behalf is not None:
        return False
    if case.subject_ref is None:
        return True
    # What was given to somebody of the family is theirs: it cannot become another's.
    return not await list_sources(session, case.municipality, case.subject_ref, case_id=case.case_id)


async def procedure_of(session: AsyncSession, case: Row[Any]) -> Row[Any]:
    """The procedure of a case, also when it is no longer offered."""
    query = select(procedure).where(procedure.c.municipality == case.municipality, procedure.c.code == case.procedure)
    return (await session.execute(query)).one()
