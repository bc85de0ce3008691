"""A case, as its pages need to know it."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import get_own_case, has_venue
from services.routing.commands.vault import list_sources
from services.routing.domain.applications import EDITABLE
from services.routing.domain.behalf import Behalf
from services.routing.domain.items import can_be_typed, typed_items
from services.routing.domain.switching import BY_OTHERS
from services.routing.queries.catalogue import procedure_names
from services.routing.queries.family import list_persons
from services.routing.queries.switching import Switch, find_last_switch
from services.routing.tables import application, procedure
from shared.tokens import Identity


class OnlineCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case and its procedure. `sent` is the 受付番号 once the office has the application: then the form is closed.

    `correcting`: its 受付番号 when it was sent before, and the office asks for another look.
    `behalf`: staff began it for somebody.
    """

    case_id: UUID
    procedure: str
    procedure_name: str
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
    # The last time that somebody else chose its channel for the person: they are told, and can undo it.
    switched: Switch | None = None
    # The names of the other procedures that are booked for the same visit.
    together: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The items that the form asks for."""
        return typed_items(self.items)


async def get_online_case(session: AsyncSession, identity: Identity, case_id: UUID) -> OnlineCase:
    """One's own case with what its pages need to know.

    Raises:
        Refusal: `case_unknown` (404).
    """
    case = await get_own_case(session, identity, case_id)
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
    return OnlineCase(
        person=persons.get(case.acting_for) if case.acting_for is not None else None,
        persons=tuple(persons.values()),
        may_choose=await may_choose_person(session, identity, case),
        switched=last if last is not None and last.said in BY_OTHERS else None,
        case_id=case_id,
        procedure=row.code,
        procedure_name=row.name_ja,
        items=tuple(row.items),
        channel=case.channel,
        behalf=case.behalf,
        online=row.online != "no" and can_be_typed(row.items) and case.state != "submitted",
        counter=row.counter != "no" and bool(row.counters),
        helper=row.helper != "no" and await has_venue(session, case.municipality),
        identity_code=row.identity,
        sent=sent.number if sent is not None and sent.state not in EDITABLE else None,
        correcting=sent.number if sent is not None and sent.state in EDITABLE else None,
        together=tuple(names[code][0] for code in case.together if code in names) if case.channel == "counter" else (),
    )


async def may_choose_person(session: AsyncSession, identity: Identity, case: Row[Any]) -> bool:
    """Whether it can still be said whose a case is: a resident's own, in which nothing was kept yet."""
    if identity.kind != "guest" or case.state != "opened" or case.behalf is not None:
        return False
    if case.subject_ref is None:
        return True
    # What was given to somebody of the family is theirs: it cannot become another's.
    return not await list_sources(session, case.municipality, case.subject_ref, case_id=case.case_id)


async def procedure_of(session: AsyncSession, case: Row[Any]) -> Row[Any]:
    """The procedure of a case, also when it is no longer offered."""
    query = select(procedure).where(procedure.c.municipality == case.municipality, procedure.c.code == case.procedure)
    return (await session.execute(query)).one()
