"""What is told to accounts: to helpers of their visits, and to whoever wants to sign in without a password.

What is told is one row (`told`), and its notice another. It stays as it was told; only a later word about the same
overtakes it (`commands/attempts.py` looks once more before sending).
"""

from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.subjects import context_of_told
from services.notifications.domain.notices import (
    CONTACT_CHANGED,
    HELPER_NOTICES,
    KEEPS_QUIET,
    SIGN_IN,
    Kind,
    Reach,
    due_kind,
    is_beside,
    useful_until,
)
from services.notifications.keys import Keys
from services.notifications.tables import SERVICE
from shared.crypto import SealBroken, SubjectVault
from shared.db import Prepared
from shared.errors import Poison
from shared.events.booking import HelperTold, SealedMessage
from shared.events.routing import SealedSignIn, SignInAsked
from shared.messaging.due import Due, schedule_all
from shared.messaging.outbox import is_bulk

Inside = TypeVar("Inside", bound=msgspec.Struct)
CONTENT = "content"
DUE_FORGET_TOLD = "forget_told"

_TELL = Prepared(f"""
    INSERT INTO {SERVICE}.told (
        municipality, told_id, account_ref, about, occurred_at, venue, starts_at, ends_at, until, reach, language,
        content_sealed, wrapped_key)
    VALUES (:municipality, :told_id, :account_ref, :about, :occurred_at, :venue, :starts_at, :ends_at, :until, :reach,
            :language, :content_sealed, :wrapped_key)
    ON CONFLICT DO NOTHING RETURNING told_id
""")
_ADD_NOTICE = Prepared(f"""
    INSERT INTO {SERVICE}.notice (
        municipality, notice_id, kind, told_id, account_ref, occasion, sequence, appointment_version, state,
        keeps_quiet, bulk, created_at, useful_until)
    VALUES (:municipality, :notice_id, :kind, :told_id, :account_ref, 'once', 0, 0, 'pending', :keeps_quiet, :bulk,
            :now, :useful_until)
""")
_FORGET = Prepared(f"""
    UPDATE {SERVICE}.told SET (content_sealed, wrapped_key) = (NULL, NULL)
    WHERE (municipality, told_id) = (:municipality, :told_id)
""")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in it: a coordinator's words, what opens the door, or an address that was theirs before."""

    subject: str = ""
    body: str = ""
    link_token: str | None = None
    code: str | None = None
    address: str | None = None


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody was told things before."""

    reach: Reach
    language: str
    address: str


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    municipality: str
    told_id: UUID
    account_ref: str
    occurred_at: datetime
    about: UUID | None = None
    venue: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    until: datetime | None = None
    reach: Reach | None = None
    language: str | None = None


async def follow_helper_told(session: AsyncSession, keys: Keys, event: HelperTold, *, now: datetime) -> None:
    """Tell a helper, once for each `told_id`. What is `over` is kept as a later word, and nothing is sent of it.

    Raises:
        Poison: what a coordinator wrote cannot be opened.
    """
    told = _Told(
        municipality=event.municipality,
        told_id=event.told_id,
        account_ref=event.helper_ref,
        occurred_at=event.occurred_at,
        # Who told it before there was `about` says of which assignment.
        about=event.about or event.assignment_id,
        venue=event.venue,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        until=event.answer_by,
    )
    if event.matter == "over":
        await _TELL.row(session, msgspec.structs.asdict(told) | {"content_sealed": None, "wrapped_key": None})
        return
    content = None
    if event.matter == "message":
        message = _open(keys, "booking", "helper_message", event.sealed, SealedMessage)
        content = Content(subject=message.subject, body=message.body)
    await _tell(session, keys, told, HELPER_NOTICES[event.matter], content, now=now)


async def follow_sign_in(session: AsyncSession, keys: Keys, event: SignInAsked, *, now: datetime) -> None:
    """Send whoever asked what opens the door, once for each `asked_id`; to prove a contact, the code alone.

    Raises:
        Poison: link and code cannot be opened.
    """
    opened = _open(keys, "routing", "sign_in", event.sealed, SealedSignIn)
    told = _Told(
        municipality=event.municipality,
        told_id=event.asked_id,
        account_ref=event.account_ref,
        occurred_at=event.occurred_at,
        until=event.expires_at,
    )
    link_token = opened.link_token if event.purpose == "sign_in" else None
    await _tell(session, keys, told, SIGN_IN, Content(link_token=link_token, code=opened.code), now=now)


async def tell_former(
    session: AsyncSession,
    keys: Keys,
    municipality: str,
    account_ref: str,
    former: Former,
    *,
    at: datetime,
    now: datetime,
) -> None:
    """Tell the address before that it is another one now: if that was not its owner, they hear of it there alone."""
    told = _Told(
        municipality=municipality,
        told_id=uuid4(),
        account_ref=account_ref,
        occurred_at=at,
        reach=former.reach,
        language=former.language,
    )
    await _tell(session, keys, told, CONTACT_CHANGED, Content(address=former.address), now=now)


async def forget_told(session: AsyncSession, municipality: str, ref: str, now: datetime) -> None:  # noqa: ARG001  the shape of all due handlers
    """Due handler: forget what was written in it. It is of no more use, and nothing sends it any more."""
    await _FORGET.row(session, {"municipality": municipality, "told_id": UUID(ref)})


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


async def _tell(
    session: AsyncSession, keys: Keys, told: _Told, kind: Kind, content: Content | None, *, now: datetime
) -> None:
    sealed, wrapped = None, None
    if content is not None:
        context = context_of_told(told.municipality, told.told_id)
        wrapped = keys.vault.new_key(context)
        sealed = keys.vault.seal(wrapped, context, CONTENT, msgspec.json.encode(content).decode())
    values = msgspec.structs.asdict(told)
    if await _TELL.row(session, values | {"content_sealed": sealed, "wrapped_key": wrapped}) is None:
        return
    notice_id, bulk = uuid4(), is_beside(kind, bulk=is_bulk(session))
    useful = useful_until(kind, starts_at=told.starts_at, offer_until=told.until, now=now)
    notice = {
        "notice_id": notice_id,
        "kind": kind,
        "keeps_quiet": kind in KEEPS_QUIET,
        "bulk": bulk,
        "now": now,
        "useful_until": useful,
    }
    await _ADD_NOTICE.row(session, values | notice)
    plans = [Due(due_kind(bulk=bulk), str(notice_id), now)]
    if content is not None:
        plans.append(Due(DUE_FORGET_TOLD, str(told.told_id), useful))
    await schedule_all(session, SERVICE, told.municipality, plans)


def _open(keys: Keys, publisher: str, purpose: str, sealed: str | None, inside: type[Inside]) -> Inside:
    try:
        return msgspec.msgpack.decode(keys.box.open_from(publisher, purpose, sealed or ""), type=inside)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
