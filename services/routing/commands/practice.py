"""A practice town's day: invented people come by the same doors as everybody, and staff may begin anew.

Nothing here is another way to do something: each person is a visitor of this town, whose cases are opened, filled in
and handed over by the commands that the pages use.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from random import Random
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.about_you import AboutYou, tell_about_you
from services.routing.commands.accounts import HELPER, hash_password, tell_accounts
from services.routing.commands.cases import open_case
from services.routing.commands.form import save_form
from services.routing.commands.handover import Decided, decide_handover, preview_handover
from services.routing.commands.passes import make_pass
from services.routing.commands.sessions import start_guest_session
from services.routing.commands.submit import Checked, check_application, submit_application
from services.routing.domain.practice import KNOWN, PEOPLE, Person, invent_person
from services.routing.domain.town_items import set_town_items
from services.routing.keys import Keys
from services.routing.queries.town_items import read_town_items
from services.routing.tables import SERVICE, account, office_rule, outbox, procedure
from shared.audit import Operator, record_deed
from shared.errors import Refusal
from shared.events.routing import PracticeVisitorSent
from shared.messaging.due import Due, DueHandler, schedule, schedule_all
from shared.passes import BOOKING_ITEMS
from shared.practice import is_practice
from shared.tokens import Identity

# Kinds of `due`: a person is to come, the accounts are to be told of, staff want to begin anew (the publisher's).
DUE_PERSON, DUE_ACCOUNTS, DUE_RESET = "practice_person", "practice_accounts", "practice_reset"
LOGIN, HELPER_LOGIN = "renshu", "renshu-helper"
STAFF_ROLES = ("back_office", "coordinator", "counter", "manager")
ACCOUNTS_MAX = 200
LANGUAGE = "ja"

_ORDERED = text(f"SELECT 1 FROM {SERVICE}.due WHERE (municipality, kind, ref) = (:municipality, :kind, :municipality)")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it goes along from one practice town to the next, with its password's hash."""

    login: str
    password_hash: str
    roles: tuple[str, ...]
    office: str | None = None
    display_name: str | None = None
    languages: tuple[str, ...] = ()


async def order_reset(session: AsyncSession, *, identity: Identity, now: datetime) -> None:
    """Have a fresh practice town opened in this one's place. Ordered again, it is opened once.

    Raises:
        Refusal: `not_practice` (409): a real town does not begin anew.
    """
    town = identity.municipality
    if not is_practice(town):
        raise Refusal("not_practice", 409)
    if not await is_reset_ordered(session, town):
        await schedule(session, SERVICE, municipality=town, kind=DUE_RESET, ref=town, due_at=now, keep=True)
        await record_deed(session, identity, "reset_practice", town, now=now)


async def is_reset_ordered(session: AsyncSession, municipality: str) -> bool:
    """Whether a fresh town is being opened in this one's place."""
    asked = {"municipality": municipality, "kind": DUE_RESET}
    return (await session.execute(_ORDERED, asked)).one_or_none() is not None


async def first_accounts(password: str) -> list[Account]:
    """Who may sign in to the first practice town of a town: staff of every kind, and a helper."""
    hashed = await hash_password(password)
    return [
        Account(login=LOGIN, password_hash=hashed, roles=STAFF_ROLES),
        Account(login=HELPER_LOGIN, password_hash=hashed, roles=(HELPER,), display_name="練習", languages=(LANGUAGE,)),
    ]


async def list_accounts(session: AsyncSession, municipality: str) -> list[Account]:
    """The open accounts, to go along to the next practice town."""
    query = select(account).where(account.c.municipality == municipality, account.c.closed_at.is_(None))
    rows = (await session.execute(query.order_by(account.c.login).limit(ACCOUNTS_MAX))).all()
    return [msgspec.convert(row, Account, from_attributes=True) for row in rows]


async def open_day(session: AsyncSession, municipality: str, accounts: Sequence[Account], *, now: datetime) -> None:
    """Open these accounts, and have the people come. Done again, nothing changes.

    Raises:
        Refusal: `not_practice` (409).
    """
    if not is_practice(municipality):
        raise Refusal("not_practice", 409)
    added = 0
    for one in accounts:
        values = msgspec.structs.asdict(one) | {
            "municipality": municipality,
            "account_id": uuid4(),
            "roles": list(one.roles),
            "languages": list(one.languages),
            "failures": 0,
            "version": 1,
            "opened_at": now,
        }
        opened = insert(account).values(values).on_conflict_do_nothing(index_elements=["municipality", "login"])
        added += len((await session.execute(opened.returning(account.c.account_id))).all())
    if added:
        await record_deed(session, Operator(municipality), "open_practice", municipality, now=now)
        people = [Due(DUE_PERSON, str(number), now) for number in range(PEOPLE)]
        await schedule_all(session, SERVICE, municipality, [Due(DUE_ACCOUNTS, municipality, now), *people])


def practice_handlers(keys: Keys) -> Mapping[str, DueHandler]:
    """What is due in practice towns."""
    return {DUE_ACCOUNTS: partial(_on_accounts_due, keys), DUE_PERSON: partial(_on_person_due, keys)}


async def _on_accounts_due(keys: Keys, session: AsyncSession, municipality: str, _ref: str, now: datetime) -> None:
    await tell_accounts(session, municipality, keys.box, now=now)


async def _on_person_due(keys: Keys, session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    if is_practice(municipality):
        await bring_person(session, keys, municipality, int(ref), now=now)


async def bring_person(session: AsyncSession, keys: Keys, municipality: str, number: int, *, now: datetime) -> None:
    """The invented person of this number begins something, and does what a resident does until they can do no more.

    Whom the town has nothing for stays at home.
    """
    person = invent_person(number)
    set_town_items(await read_town_items(session, municipality))
    chosen = await _choose(session, municipality, person)
    if chosen is None:
        return
    visitor = (await start_guest_session(session, municipality=municipality, now=now)).identity
    case_id = await open_case(
        session,
        identity=visitor,
        procedure_code=chosen.code,
        channel=person.channel,
        idempotency_key=uuid5(UUID(int=0), f"{municipality}/{number}"),
        now=now,
    )
    if person.channel == "online":
        await _apply(session, keys, visitor, case_id, chosen, person, now)
    else:
        await _hand_over(session, keys, visitor, case_id, person, now)


async def _choose(session: AsyncSession, municipality: str, person: Person) -> Row[Any] | None:
    """What this person comes for. At counters, one after the other has somebody."""
    query = select(procedure).where(procedure.c.municipality == municipality, procedure.c.withdrawn_at.is_(None))
    rows = (await session.execute(query.order_by(procedure.c.position))).all()
    if person.channel == "counter":
        groups: dict[str, list[Row[Any]]] = {}
        for row in rows:
            if row.counter != "no" and row.counters:
                groups.setdefault(row.counters[0], []).append(row)
        fitting = list(groups.values())
        rows = fitting[person.number % len(fitting)] if fitting else []
    elif person.channel == "helper":
        rows = [row for row in rows if row.helper != "no"]
    else:
        asked = select(office_rule.c.procedure).where(
            office_rule.c.municipality == municipality, office_rule.c.identity_step != ""
        )
        proven = set((await session.execute(asked)).scalars())
        rows = [row for row in rows if row.online == "yes" and set(row.items) <= {*KNOWN} and row.code not in proven]
    return Random(f"{municipality}/{person.number}").choice(rows) if rows else None  # noqa: S311  who comes for what


async def _hand_over(
    session: AsyncSession, keys: Keys, visitor: Identity, case_id: UUID, person: Person, now: datetime
) -> None:
    """Up to the pass, which goes to booking as the visitor's browser would carry it."""
    given = {key: person.values[key] for key in BOOKING_ITEMS}
    told = AboutYou(items=given, reach="email", contact=person.mail)
    await tell_about_you(session, keys.vault, identity=visitor, case_id=case_id, told=told, now=now)
    shown = await preview_handover(session, keys.vault, identity=visitor, case_id=case_id, now=now)
    if shown is None:
        return
    decided = await decide_handover(
        session,
        keys,
        identity=visitor,
        case_id=case_id,
        answers={offer.item: "yes" for offer in shown.offers},
        shown={offer.item: offer.offer_id for offer in shown.offers},
        language=LANGUAGE,
        now=now,
    )
    if not isinstance(decided, Decided):
        return
    # What was decided at this very moment makes another pass at each call: there is one.
    handed = await make_pass(session, keys, identity=visitor, case_id=case_id, titles={}, language=LANGUAGE, now=now)
    if handed is None:
        return
    sent = PracticeVisitorSent(
        event_id=uuid4(),
        municipality=visitor.municipality,
        aggregate_id=str(case_id),
        aggregate_version=1,
        occurred_at=now,
        sealed=handed.sealed_pass,
        guest_ref=visitor.ref,
        number=person.number,
    )
    await outbox.publish(session, sent)


async def _apply(
    session: AsyncSession,
    keys: Keys,
    visitor: Identity,
    case_id: UUID,
    chosen: Row[Any],
    person: Person,
    now: datetime,
) -> None:
    values = {key: person.values[key] for key in chosen.items}
    await save_form(session, keys.vault, identity=visitor, case_id=case_id, values=values, now=now)
    told = AboutYou(items=None, reach="email", contact=person.mail)
    await tell_about_you(session, keys.vault, identity=visitor, case_id=case_id, told=told, now=now)
    checked = await check_application(session, keys.vault, identity=visitor, case_id=case_id, now=now)
    if not isinstance(checked, Checked):
        return
    await submit_application(
        session,
        keys,
        identity=visitor,
        case_id=case_id,
        submit_key=uuid4(),
        shown_items=checked.shown,
        with_notices=True,
        shown_contact=checked.contact.offer_id if checked.contact else None,
        language=LANGUAGE,
        now=now,
    )
