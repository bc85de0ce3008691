"""What is told that is about no appointment and nothing handed in: to an account, to a contact, or to an address.

What is told is one row (`told`), and its notice another. It stays as it was told; only a later word about the same
overtakes it (`commands/attempts.py` looks once more before sending). What is written in it is sealed with a key of its
own, and forgotten when it is of no more use.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.subjects import context_of_told
from services.notifications.domain.notices import (
    KEEPS_QUIET,
    TOWN_NOTICE,
    Kind,
    Reach,
    due_kind,
    is_beside,
    useful_until,
)
from services.notifications.tables import SERVICE
from shared.crypto import SubjectVault
from shared.db import Prepared
from shared.messaging.due import Due, schedule, schedule_all
from shared.messaging.outbox import is_bulk

CONTENT = "content"
DUE_FORGET_TOLD = "forget_told"
# What staff have not told anybody by then, they will not.
KEPT_FOR_STAFF = timedelta(days=30)
LOOK_AGAIN = timedelta(days=1)

# A list for each column: what is told to a hundred at once is as few statements as what is told to one.
_TELL = Prepared(f"""
    INSERT INTO {SERVICE}.told (
        municipality, told_id, account_ref, contact_ref, about, occurred_at, venue, starts_at, ends_at, until, reach,
        language, content_sealed, wrapped_key)
    SELECT :municipality, new.*
    FROM unnest(CAST(:told_id AS uuid[]), CAST(:account_ref AS text[]), CAST(:contact_ref AS uuid[]),
                CAST(:about AS uuid[]), CAST(:occurred_at AS timestamptz[]), CAST(:venue AS text[]),
                CAST(:starts_at AS timestamptz[]), CAST(:ends_at AS timestamptz[]), CAST(:until AS timestamptz[]),
                CAST(:reach AS text[]), CAST(:language AS text[]), CAST(:content_sealed AS bytea[]),
                CAST(:wrapped_key AS bytea[])) AS new
    ON CONFLICT DO NOTHING RETURNING told_id
""")
_ADD_NOTICES = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, told_id, account_ref, contact_ref, only_way, occasion, sequence,
        appointment_version, state, keeps_quiet, bulk, created_at, useful_until)
    SELECT :municipality, new.notice_id, new.kind, new.told_id, new.account_ref, new.contact_ref, new.only_way, 'once',
           0, 0, 'pending', new.keeps_quiet, new.bulk, :now, new.useful_until
    FROM unnest(CAST(:notice_id AS uuid[]), CAST(:kind AS text[]), CAST(:told_id AS uuid[]),
                CAST(:account_ref AS text[]), CAST(:contact_ref AS uuid[]), CAST(:only_way AS int[]),
                CAST(:keeps_quiet AS boolean[]), CAST(:bulk AS boolean[]), CAST(:useful_until AS timestamptz[]))
         AS new(notice_id, kind, told_id, account_ref, contact_ref, only_way, keeps_quiet, bulk, useful_until)
""")
# Whoever is to be told by staff is told the words, at an address that nobody else here may have.
_IS_STILL_TO_TELL = Prepared(f"""
    SELECT 1 FROM {SERVICE}.notice n LEFT JOIN {SERVICE}.staff_task t USING (municipality, notice_id)
    WHERE (n.municipality, n.told_id, n.kind) = (:municipality, :told_id, '{TOWN_NOTICE}')
      AND n.useful_until > :long_ago AND (n.settled_at IS NULL OR (t.task_id IS NOT NULL AND t.done_at IS NULL))
    LIMIT 1
""")
_FORGET = Prepared(f"""
    UPDATE {SERVICE}.told SET (content_sealed, wrapped_key) = (NULL, NULL)
    WHERE (municipality, told_id) = (:municipality, :told_id)
""")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in it: somebody's words, what opens the door, or the address that it goes to.

    `short` is what an SMS says of the words; empty: their subject.
    """

    subject: str = ""
    body: str = ""
    short: str = ""
    link_token: str | None = None
    code: str | None = None
    address: str | None = None


class Sealed(NamedTuple):
    """What is written in it, and the key of its own."""

    content_sealed: bytes | None = None
    wrapped_key: bytes | None = None


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """Whom, and about what: an account, a contact, or the address of the content, which goes by `reach`.

    `about`: a later word about the same to the same overtakes it. `until`: how long it is of use, where that is known.
    """

    municipality: str
    told_id: UUID = msgspec.field(default_factory=uuid4)
    account_ref: str | None = None
    contact_ref: UUID | None = None
    occurred_at: datetime
    about: UUID | None = None
    venue: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    until: datetime | None = None
    reach: Reach | None = None
    language: str | None = None


class Said(NamedTuple):
    """What is told: `only_way`: by this way of the contact and no other. `keep_for`: until when what is written in it
    is kept, if for longer than it is of use. `somebody_waits`: for it, before the page: it goes at any hour, and behind
    nothing. Without a kind nothing is sent of it."""

    telling: Telling
    kind: Kind | None = None
    sealed: Sealed = Sealed()
    only_way: int | None = None
    keep_for: datetime | None = None
    somebody_waits: bool = False


async def keep_word(session: AsyncSession, telling: Telling) -> None:
    """Keep that something is over: it overtakes what was told before about the same, and nothing is sent of it."""
    await _keep(session, telling.municipality, [Said(telling)])


def seal_content(vault: SubjectVault, telling: Telling, content: Content) -> Sealed:
    """Close what is written in it."""
    context = context_of_told(telling.municipality, telling.told_id)
    wrapped = vault.new_key(context)
    return Sealed(vault.seal(wrapped, context, CONTENT, msgspec.json.encode(content).decode()), wrapped)


async def tell(
    session: AsyncSession,
    telling: Telling,
    kind: Kind,
    sealed: Sealed = Sealed(),  # noqa: B008  it cannot be changed
    *,
    only_way: int | None = None,
    keep_for: datetime | None = None,
    somebody_waits: bool = False,
    now: datetime,
) -> UUID | None:
    """Tell it, once for each `told_id`. Returns the notice's id; None: it was told before.

    What the others mean, `Said` says.
    """
    told = await tell_all(
        session, telling.municipality, [Said(telling, kind, sealed, only_way, keep_for, somebody_waits)], now=now
    )
    return told.get(telling.told_id)


async def tell_all(
    session: AsyncSession, municipality: str, said: Sequence[Said], *, now: datetime
) -> dict[UUID, UUID]:
    """`tell` for many of one town; the notices by `told_id`, without those that were told before."""
    new = await _keep(session, municipality, said)
    notices: list[dict[str, Any]] = []
    plans: list[Due] = []
    for each in said:
        told_id, kind = each.telling.told_id, each.kind
        if told_id not in new or kind is None:
            continue
        telling = each.telling
        bulk = not each.somebody_waits and is_beside(kind, bulk=is_bulk(session))
        useful = useful_until(kind, starts_at=telling.starts_at, offer_until=telling.until, now=now)
        notice = {
            "notice_id": uuid4(),
            "kind": kind,
            "told_id": told_id,
            "account_ref": telling.account_ref,
            "contact_ref": telling.contact_ref,
            "only_way": each.only_way,
            "keeps_quiet": kind in KEEPS_QUIET and not each.somebody_waits,
            "bulk": bulk,
            "useful_until": useful,
        }
        notices.append(notice)
        plans.append(Due(due_kind(bulk=bulk), str(notice["notice_id"]), now))
        if each.sealed.wrapped_key is not None:
            plans.append(Due(DUE_FORGET_TOLD, str(told_id), each.keep_for or useful))
    if notices:
        await _ADD_NOTICES.row(session, _columns(notices) | {"municipality": municipality, "now": now})
    await schedule_all(session, SERVICE, municipality, plans)
    return {notice["told_id"]: notice["notice_id"] for notice in notices}


async def _keep(session: AsyncSession, municipality: str, said: Sequence[Said]) -> set[UUID]:
    """Keep what is told; which of it was not told before."""
    if not said:
        return set()
    rows = [msgspec.structs.asdict(each.telling) | each.sealed._asdict() for each in said]
    return {row.told_id for row in await _TELL.rows(session, _columns(rows) | {"municipality": municipality})}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: [row[name] for row in rows] for name in rows[0]}


async def forget_told(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:
    """Due handler: forget what was written in it. It is of no more use, and nothing sends it any more.

    What staff are still to tell somebody is kept for them a while longer.
    """
    about = {"municipality": municipality, "told_id": UUID(ref)}
    if await _IS_STILL_TO_TELL.row(session, about | {"long_ago": now - KEPT_FOR_STAFF}) is not None:
        again = now + LOOK_AGAIN
        await schedule(session, SERVICE, municipality=municipality, kind=DUE_FORGET_TOLD, ref=ref, due_at=again)
        return
    await _FORGET.row(session, about)


def open_content(
    vault: SubjectVault, municipality: str, told_id: UUID, sealed: bytes | None, wrapped_key: bytes | None
) -> Content:
    """What is written in it; nothing, where nothing is.

    Raises:
        SealBroken: it cannot be opened.
    """
    if sealed is None or wrapped_key is None:
        return Content()
    opened = vault.open(wrapped_key, context_of_told(municipality, told_id), CONTENT, sealed)
    return msgspec.json.decode(opened, type=Content)
