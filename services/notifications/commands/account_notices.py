"""What is told to accounts: to helpers of their visits, and to whoever wants to sign in without a password."""

from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.telling import Content, Sealed, Telling, keep_word, seal_content, tell
from services.notifications.domain.notices import CONTACT_CHANGED, HELPER_NOTICES, SIGN_IN, Reach
from services.notifications.keys import Keys
from shared.crypto import SealBroken
from shared.errors import Poison
from shared.events.booking import HelperTold, SealedMessage
from shared.events.routing import SealedSignIn, SignInAsked

Inside = TypeVar("Inside", bound=msgspec.Struct)


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody was told things before."""

    reach: Reach
    language: str
    address: str


async def follow_helper_told(session: AsyncSession, keys: Keys, event: HelperTold, *, now: datetime) -> None:
    """Tell a helper, once for each `told_id`. What is `over` is kept as a later word, and nothing is sent of it.

    Raises:
        Poison: what a coordinator wrote cannot be opened.
    """
    telling = Telling(
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
        await keep_word(session, telling)
        return
    sealed = Sealed()
    if event.matter == "message":
        message = _open(keys, "booking", "helper_message", event.sealed, SealedMessage)
        sealed = seal_content(keys.vault, telling, Content(subject=message.subject, body=message.body))
    await tell(session, telling, HELPER_NOTICES[event.matter], sealed, now=now)


async def follow_sign_in(session: AsyncSession, keys: Keys, event: SignInAsked, *, now: datetime) -> None:
    """Send whoever asked what opens the door, once for each `asked_id`; to prove a contact, the code alone.

    Raises:
        Poison: link and code cannot be opened.
    """
    opened = _open(keys, "routing", "sign_in", event.sealed, SealedSignIn)
    telling = Telling(
        municipality=event.municipality,
        told_id=event.asked_id,
        account_ref=event.account_ref,
        occurred_at=event.occurred_at,
        until=event.expires_at,
    )
    link_token = opened.link_token if event.purpose == "sign_in" else None
    sealed = seal_content(keys.vault, telling, Content(link_token=link_token, code=opened.code))
    await tell(session, telling, SIGN_IN, sealed, now=now)


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
    telling = Telling(
        municipality=municipality,
        account_ref=account_ref,
        occurred_at=at,
        reach=former.reach,
        language=former.language,
    )
    sealed = seal_content(keys.vault, telling, Content(address=former.address))
    await tell(session, telling, CONTACT_CHANGED, sealed, now=now)


def _open(keys: Keys, publisher: str, purpose: str, sealed: str | None, inside: type[Inside]) -> Inside:
    try:
        return msgspec.msgpack.decode(keys.box.open_from(publisher, purpose, sealed or ""), type=inside)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Poison("seal") from error
