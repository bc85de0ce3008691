"""Before somebody changes how they sign in, they show once more who they are, and lose nothing of what they typed."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import httpx
import pytest

from services.routing.commands.account_contact import change_contact
from services.routing.commands.sessions import start_staff_session
from services.routing.domain.sessions import PROOF_LASTS
from services.routing.domain.sign_in import Address
from services.routing.keys import Keys
from shared.db import Database
from shared.errors import Refusal
from tests.conftest import TestDatabase
from tests.routing.authenticator import Phone
from tests.routing.conftest import TestClock, Visitor
from tests.routing.makers import HOST, NOW, TOWN
from tests.routing.signing_in import (
    LOGIN,
    MAIL,
    PASSWORD,
    PHONE_E164,
    PHONE_TYPED,
    SEE_OTHER,
    Post,
    give_contact,
    open_helper,
    sign_in,
    with_contact,
)
from tests.routing.test_passkeys import NEW, add, challenge, enter

NewVisitor = Callable[..., Visitor]
OTHER = "other@example.jp"
ASKED, WAITING = "ご本人か、もう一度確かめます", "入力したことは、残っています"


@pytest.fixture
def post(database: TestDatabase, db: Database) -> Post:
    return Post(database, db)


@pytest.fixture
def phone() -> Phone:
    return Phone(f"http://{HOST}", HOST)


def hidden(page: httpx.Response, action: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    form = page.text.partition(f'action="{action}"')[2].partition("</form>")[0]
    fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in fields}


async def leave_alone(visitor: Visitor, clock: TestClock) -> None:
    """The phone lies about; whoever takes it up goes on in the session that is open."""
    clock.move(PROOF_LASTS + timedelta(minutes=1))
    assert (await visitor.get("/session/renew?next=/account")).headers["location"] == "/account"


async def test_who_has_just_signed_in_is_not_asked(db: Database, keys: Keys, visitor: Visitor) -> None:
    await open_helper(db, keys)
    await sign_in(visitor)
    assert ASKED not in (await visitor.get("/account/contact")).text
    answer = await visitor.get("/account/proof?next=/account/contact")
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, "/account/contact")
    assert (await visitor.get("/account/proof?next=//evil.example")).headers["location"] == "/account"


async def test_whose_phone_lies_about_gets_no_other_contact_and_no_passkey(
    db: Database, keys: Keys, visitor: Visitor, post: Post, clock: TestClock
) -> None:
    """Seen to fail when a challenge is given however long ago they signed in, and when that is never too long ago."""
    await open_helper(db, keys)
    await sign_in(visitor)
    await leave_alone(visitor, clock)
    assert ASKED in (await visitor.get("/account/contact")).text
    assert ASKED in (await give_contact(visitor)).text
    answer = await visitor.post(NEW)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.FORBIDDEN, "proof_old")
    assert await post.addresses() == []
    assert "/account/proof?next=/account/passkeys" in (await visitor.get("/account")).text


async def test_no_door_leads_around_it(db: Database, keys: Keys) -> None:
    """Seen to fail when only the pages ask."""
    account_id = await open_helper(db, keys)
    async with db.begin(TOWN) as session:
        started = await start_staff_session(
            session, municipality=TOWN, account_id=account_id, roles=("helper",), office=None, now=NOW
        )
    with pytest.raises(Refusal, match="proof_old"):
        async with db.begin(TOWN) as session:
            await change_contact(
                session, keys, identity=started.identity, account_id=account_id,
                address=Address(reach="email", value=MAIL), language="ja", now=NOW + PROOF_LASTS,
            )  # fmt: skip


async def test_by_the_password_and_what_was_typed_is_there(
    db: Database, keys: Keys, visitor: Visitor, post: Post, clock: TestClock
) -> None:
    await open_helper(db, keys)
    await sign_in(visitor)
    await leave_alone(visitor, clock)
    page = await give_contact(visitor, reach="sms", phone=PHONE_TYPED, email="")
    assert WAITING in page.text
    assert PHONE_TYPED not in page.text, "sealed: whoever has the phone now is perhaps somebody else"
    fields = hidden(page, "/sign-in")
    assert fields["login"] == LOGIN
    wrong = await visitor.post("/sign-in", fields | {"password": "not this one"})
    assert hidden(wrong, "/sign-in")["carried"] == fields["carried"]
    again = await visitor.post("/sign-in", fields | {"password": PASSWORD})
    typed = hidden(again, "/account/contact")
    assert typed["phone"] == PHONE_TYPED
    answer = await visitor.post("/account/contact", typed)
    assert (answer.status_code, answer.headers["location"]) == (SEE_OTHER, "/account/code")
    assert await post.addresses() == [PHONE_E164]


async def test_by_a_code_to_the_contact_of_until_now(
    db: Database, keys: Keys, visitor: Visitor, post: Post, clock: TestClock
) -> None:
    await with_contact(db, keys, visitor, post)
    await sign_in(visitor)
    await leave_alone(visitor, clock)
    page = await give_contact(visitor, email=OTHER)
    assert "t••••@example.jp" in page.text
    asked = await visitor.post("/account/proof", hidden(page, "/account/proof"))
    assert "リンクは押さずに" in asked.text
    wrong = await visitor.post("/sign-in/code", hidden(asked, "/sign-in/code") | {"code": "000000"})
    fields = hidden(wrong, "/sign-in/code")
    again = await visitor.post("/sign-in/code", fields | {"code": (await post.messages())[-1].code})
    typed = hidden(again, "/account/contact")
    assert typed["email"] == OTHER
    assert (await visitor.post("/account/contact", typed)).status_code == SEE_OTHER
    assert await post.addresses() == [MAIL, OTHER]


async def test_by_a_passkey(
    db: Database, keys: Keys, visitor: Visitor, post: Post, phone: Phone, clock: TestClock
) -> None:
    await open_helper(db, keys)
    await sign_in(visitor)
    await add(visitor, phone)
    await leave_alone(visitor, clock)
    page = await give_contact(visitor)
    brought = hidden(page, "/sign-in/passkey")
    again = await enter(visitor, phone, next=brought["next"], carried=brought["carried"])
    assert hidden(again, "/account/contact")["email"] == MAIL
    assert (await enter(visitor, phone, next="/account/contact")).headers["location"] == "/account/contact"


async def test_the_name_of_a_passkey_comes_back(
    db: Database, keys: Keys, visitor: Visitor, phone: Phone, clock: TestClock
) -> None:
    """As `passkey.js` sends it when no challenge is given."""
    await open_helper(db, keys)
    await sign_in(visitor)
    await leave_alone(visitor, clock)
    page = await visitor.post("/account/passkeys", {"challenge": "", "credential": "", "name": "花の写真のスマホ"})
    again = await visitor.post("/sign-in", hidden(page, "/sign-in") | {"password": PASSWORD})
    there = await visitor.post("/account/passkeys", hidden(again, "/account/passkeys"))
    assert 'value="花の写真のスマホ"' in there.text
    assert (await challenge(visitor, NEW))["options"]
    assert (await add(visitor, phone)).status_code == SEE_OTHER


async def test_what_was_typed_goes_to_nobody_else(db: Database, keys: Keys, visitor: Visitor, clock: TestClock) -> None:
    for login in (LOGIN, "sato"):
        await open_helper(db, keys, login)
    await sign_in(visitor)
    await leave_alone(visitor, clock)
    fields = hidden(await give_contact(visitor, email=OTHER), "/sign-in")
    again = await visitor.post("/sign-in", fields | {"login": "sato", "password": PASSWORD})
    assert OTHER not in again.text
    assert "送らずに消しました" in again.text


async def test_a_code_is_sent_to_whom_one_is_sent_at_all(
    db: Database, keys: Keys, visitor: Visitor, post: Post, clock: TestClock
) -> None:
    await open_helper(db, keys)
    await sign_in(visitor)
    await give_contact(visitor)
    await leave_alone(visitor, clock)
    page = await visitor.get("/account/contact")
    assert 'action="/account/proof"' not in page.text, "they have not shown that they read what comes there"
    sent = len(await post.messages())
    assert (await visitor.post("/account/proof", {"next": "/account"})).status_code == httpx.codes.NOT_FOUND
    assert len(await post.messages()) == sent
