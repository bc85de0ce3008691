"""Plans: what follows from the answers to a life event's questions, and beginning it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.cases import open_case
from services.routing.domain.behalf import Behalf
from services.routing.domain.life_events import LifeEvent, steps_for
from services.routing.queries.plans import Plan, case_key, together_key
from services.routing.tables import plan
from shared.audit import record_deed
from shared.passes import ERRANDS_MAX
from shared.tokens import Identity


async def make_plan(
    session: AsyncSession,
    *,
    identity: Identity,
    event: LifeEvent,
    yes: Collection[str],
    idempotency_key: UUID,
    now: datetime,
) -> UUID:
    """Keep which procedures follow from the answers, and return the plan; the same key again gives the same plan.

    The answers themselves are kept nowhere.
    """
    made: UUID | None = (
        await session.execute(
            insert(plan)
            .values(
                municipality=identity.municipality,
                plan_id=uuid4(),
                event=event.code,
                guest_ref=identity.ref,
                procedures=[step.procedure for step in steps_for(event, yes)],
                idempotency_key=idempotency_key,
                created_at=now,
            )
            .on_conflict_do_nothing(index_elements=["municipality", "guest_ref", "idempotency_key"])
            .returning(plan.c.plan_id)
        )
    ).scalar_one_or_none()
    if made is not None:
        await record_deed(session, identity, "make_plan", made, now=now)
        return made
    known: UUID = (
        await session.execute(
            select(plan.c.plan_id).where(
                plan.c.municipality == identity.municipality,
                plan.c.guest_ref == identity.ref,
                plan.c.idempotency_key == idempotency_key,
            )
        )
    ).scalar_one()
    return known


async def begin_steps(
    session: AsyncSession,
    *,
    identity: Identity,
    made: Plan,
    event: LifeEvent,
    channels: Mapping[str, str],
    now: datetime,
) -> dict[str, UUID]:
    """Begin procedures of a plan, each by the channel given for it; return their cases, in the plan's order.

    Begun again, a procedure is the case that it was. What the plan does not hold is left out.

    Raises:
        Refusal: as `open_case`.
    """
    return {
        step.procedure: await open_case(
            session,
            identity=identity,
            procedure_code=step.procedure,
            channel=channels[step.procedure],
            idempotency_key=case_key(made.plan_id, step.procedure),
            now=now,
        )
        for step in event.steps
        if step.procedure in made.procedures and step.procedure in channels
    }


async def begin_together(
    session: AsyncSession,
    *,
    identity: Identity,
    made: Plan,
    event: LifeEvent,
    procedures: Collection[str],
    behalf: Behalf | None = None,
    now: datetime,
) -> UUID:
    """Begin one case for several procedures of a plan, to be booked for one visit; return it.

    It is the case of the first of them, in the plan's order. Begun again, it is the case that it was.

    Raises:
        Refusal: as `open_case`.
    """
    codes = [step.procedure for step in event.steps if step.procedure in made.procedures]
    first, *others = [code for code in codes if code in procedures][:ERRANDS_MAX]
    return await open_case(
        session,
        identity=identity,
        procedure_code=first,
        channel="counter",
        idempotency_key=together_key(made.plan_id, (first, *others)),
        behalf=behalf,
        together=others,
        plan_id=made.plan_id,
        now=now,
    )
