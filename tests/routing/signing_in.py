"""What the tests of signing in without a password share: accounts, and the messages that notifications would send."""

from typing import Any, TypeVar
from uuid import UUID

import httpx
import msgspec
from sqlalchemy import select

from services.routing.commands.accounts import Profile, open_staff_account
from services.routing.keys import Keys
from services.routing.tables import outbox
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.routing import SealedContact, SealedSignIn
from tests.conftest import TestDatabase
from tests.routing.conftest import Visitor
from tests.routing.makers import NOW, TOWN

T = TypeVar("T")

PASSWORD = "helper password"
LOGIN = "tanaka"
MAIL, PHONE_TYPED, PHONE_E164 = "tanaka@example.jp", "０９０−1111−2345", "+819011112345"
SEE_OTHER, UNPROCESSABLE = httpx.codes.SEE_OTHER, httpx.codes.UNPROCESSABLE_ENTITY


async def open_helper(
    db: Database, keys: Keys, login: str = LOGIN, *, town: str = TOWN, roles: tuple[str, ...] = ("helper",)
) -> UUID:
    async with db.begin(town) as session:
        return await open_staff_account(
            session, municipality=town, login=login, password=PASSWORD, roles=roles, office=None,
            profile=Profile(display_name="田中"), box=keys.box, now=NOW,
        )  # fmt: skip


async def sign_in(visitor: Visitor, login: str = LOGIN) -> None:
    answer = await visitor.post("/sign-in", {"login": login, "password": PASSWORD})
    assert answer.status_code == SEE_OTHER


class Post:
    """Notifications, as far as it opens what was sealed for it."""

    def __init__(self, database: TestDatabase, db: Database) -> None:
        environ = database.environ
        self._box = ServiceBox.from_settings(environ["CHOUDO_NOTIFICATIONS_BOX_KEY"], environ["CHOUDO_BOX_PUBLIC_KEYS"])
        self._db = db

    async def messages(self) -> list[SealedSignIn]:
        """The links and codes that were sent, the newest last."""
        rows = await self._sent("routing.sign_in_asked.v1")
        return [self._open("sign_in", row.sealed, SealedSignIn) for row in rows]

    async def addresses(self) -> list[str | None]:
        """The contact as it was told, one version after the other; None where it was forgotten."""
        rows = await self._sent("routing.account_contact_changed.v1")
        return [
            self._open("account_contact", row.sealed, SealedContact).address if row.sealed else None for row in rows
        ]

    async def told_former(self) -> list[bool]:
        """Whether the contact before is told, of each version."""
        rows = await self._sent("routing.account_contact_changed.v1")
        return [bool(msgspec.json.decode(bytes(row.payload)).get("tells_former")) for row in rows]

    async def _sent(self, kind: str) -> list[Any]:
        told = outbox.tables.outbox
        query = select(told).where(told.c.type == kind).order_by(told.c.aggregate_version, told.c.occurred_at)
        async with self._db.begin(TOWN) as session:
            return list((await session.execute(query)).all())

    def _open(self, purpose: str, sealed: str, kind: type[T]) -> T:
        return msgspec.msgpack.decode(self._box.open_from("routing", purpose, sealed), type=kind)


async def give_contact(visitor: Visitor, **fields: str) -> httpx.Response:
    return await visitor.post("/account/contact", {"reach": "email", "email": MAIL, "phone": "", **fields})


async def prove(visitor: Visitor, code: str) -> httpx.Response:
    return await visitor.post("/account/code", {"code": code})


async def with_contact(db: Database, keys: Keys, visitor: Visitor, post: Post) -> UUID:
    """A helper who has proved their mail address, and has left this browser again."""
    account_id = await open_helper(db, keys)
    await sign_in(visitor)
    await give_contact(visitor)
    assert (await prove(visitor, (await post.messages())[-1].code)).status_code == SEE_OTHER
    await visitor.post("/sign-out")
    return account_id
