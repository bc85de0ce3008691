"""What can be asked of an office's work on applications: its rules, its inbox, who works there. No values."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.domain.applications import AT_OFFICE, AT_PERSON, CLOSED, STATES, State
from services.routing.domain.office import COUNTED, VIEWS, Rule, View, due_at, head_of
from services.routing.queries.catalogue import get_town
from services.routing.queries.holidays import list_holidays
from services.routing.queries.mine import CLOSED_STATES
from services.routing.tables import account, application, application_check, appointment, case_file, office_rule
from shared.clock import jst_day
from shared.tokens import Identity
from shared.town_pack.office import CHECKS_MAX

PAGE = 50
STAFF_MAX = 200
# However many holidays come together: twice the working days, and some weeks.
SPAN_MORE = timedelta(days=60)
OPEN = tuple(state for state in STATES if state not in CLOSED)
ROLES = ("back_office", "manager")


class InInbox(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the inbox."""

    application_id: UUID
    number: str
    procedure: str
    office: str
    state: State
    submitted_at: datetime
    due_at: datetime | None
    assignee: str | None
    # Where its person wants to go on; it is sent online.
    wish: str | None


class Colleague(msgspec.Struct, frozen=True):
    """Somebody who can be asked to work on an application."""

    ref: str
    login: str


class Ticked(msgspec.Struct, frozen=True):
    """A check that somebody went through."""

    code: str
    ticked_by: str
    ticked_at: datetime


_WISH = (
    select(case_file.c.channel)
    .where(
        case_file.c.municipality == application.c.municipality,
        case_file.c.case_id == application.c.case_id,
        case_file.c.channel != "online",
        application.c.state.in_(OPEN),
    )
    .scalar_subquery()
    .label("wish")
)
_IN_INBOX = (*(application.c[name] for name in InInbox.__struct_fields__ if name != "wish"), _WISH)


async def get_rule(session: AsyncSession, municipality: str, procedure: str) -> Rule:
    """How the town has a procedure worked on; what no pack told yet is without periods and checks, and an appeal goes
    to the head of the town: only the town says that there is none.

    Raises:
        Refusal: `catalogue_missing` (503): no town pack was loaded yet.
    """
    query = select(office_rule).where(office_rule.c.municipality == municipality, office_rule.c.procedure == procedure)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return Rule(appeal_to=head_of((await get_town(session, municipality)).name_ja))
    found = {name: getattr(row, name) for name in Rule.__struct_fields__}
    return msgspec.convert(found, Rule)


def due_from(rule: Rule, began_at: datetime) -> datetime | None:
    """By when the office decides what came to it at `began_at`."""
    first = jst_day(began_at)
    span = timedelta(days=2 * (rule.process_days or 0)) + SPAN_MORE
    return due_at(began_at, rule, list_holidays(first, first + span))


async def list_inbox(
    session: AsyncSession, identity: Identity, *, office: str | None, view: View, now: datetime, skip: int = 0
) -> list[InInbox]:
    """A page of an office's applications (None: of all), and one more: what is due first comes first, of what is over
    the newest."""
    is_over = view in CLOSED
    order = (
        (application.c.changed_at.desc(), application.c.number)
        if is_over
        else (application.c.due_at.asc().nulls_last(), application.c.submitted_at, application.c.number)
    )
    rows = await session.execute(
        select(*_IN_INBOX)
        .where(_of(identity.municipality, office), _in_view(view, identity.ref, now))
        .order_by(*order)
        .offset(skip)
        .limit(PAGE + 1)
    )
    return [InInbox(**row._mapping) for row in rows]


async def count_inbox(
    session: AsyncSession, identity: Identity, *, office: str | None, now: datetime
) -> dict[str, int]:
    """How much there is in each view of what is not over."""
    columns = [func.count().filter(_in_view(view, identity.ref, now)).label(view) for view in COUNTED]
    query = select(*columns).where(_of(identity.municipality, office), application.c.state.in_(OPEN))
    return dict((await session.execute(query)).one()._mapping)


async def list_colleagues(session: AsyncSession, municipality: str, office: str) -> list[Colleague]:
    """Who of an office can work on its applications, and the staff of the whole town hall."""
    rows = await session.execute(
        select(account.c.account_id, account.c.login)
        .where(
            account.c.municipality == municipality,
            account.c.closed_at.is_(None),
            account.c.roles.overlap(list(ROLES)),
            or_(account.c.office == office, account.c.office.is_(None)),
        )
        .order_by(account.c.login)
        .limit(STAFF_MAX)
    )
    return [Colleague(ref=row.account_id.hex, login=row.login) for row in rows]


async def logins_of(session: AsyncSession, municipality: str, refs: Sequence[str | None]) -> dict[str, str]:
    """What colleagues call whoever has one of these accounts, closed ones too."""
    known = [UUID(ref) for ref in set(refs) if ref is not None]
    if not known:
        return {}
    rows = await session.execute(
        select(account.c.account_id, account.c.login)
        .where(account.c.municipality == municipality, account.c.account_id.in_(known))
        .limit(len(known))
    )
    return {row.account_id.hex: row.login for row in rows}


async def list_ticked(session: AsyncSession, municipality: str, application_id: UUID, rule: Rule) -> dict[str, Ticked]:
    """Which of the rule's checks were gone through, by their code."""
    rows = await session.execute(
        select(application_check.c.code, application_check.c.ticked_by, application_check.c.ticked_at)
        .where(
            application_check.c.municipality == municipality,
            application_check.c.application_id == application_id,
            application_check.c.code.in_([check.code for check in rule.checks]),
        )
        .limit(CHECKS_MAX)
    )
    return {row.code: Ticked(row.code, row.ticked_by, row.ticked_at) for row in rows}


async def find_visit(session: AsyncSession, municipality: str, case_id: UUID) -> datetime | None:
    """When somebody comes for a case, as booking last told it."""
    query = select(func.min(appointment.c.starts_at)).where(
        appointment.c.municipality == municipality,
        appointment.c.case_id == case_id,
        appointment.c.state.not_in(CLOSED_STATES),
    )
    starts_at: datetime | None = (await session.execute(query)).scalar_one()
    return starts_at


def _of(municipality: str, office: str | None) -> ColumnElement[bool]:
    town = application.c.municipality == municipality
    return town if office is None else and_(town, application.c.office == office)


def _in_view(view: View, ref: str, now: datetime) -> ColumnElement[bool]:
    assert view in VIEWS
    is_open = application.c.state.in_(OPEN)
    match view:
        case "open":
            return is_open
        case "mine":
            return and_(is_open, application.c.assignee == ref)
        case "unassigned":
            return and_(is_open, application.c.assignee.is_(None))
        case "late":
            return and_(application.c.state.in_(AT_OFFICE), application.c.due_at < now)
        case "waiting":
            return application.c.state.in_(AT_PERSON)
    return application.c.state == view
