"""Letters to which something happens between two steps: they are neither lost, nor sent where nobody wants them."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.notifications.commands import by_hand
from services.notifications.commands import letters as commands
from services.notifications.commands.erasure import erase_subject
from services.notifications.commands.letters import queue_letter
from services.notifications.commands.way_changes import remove_way
from services.notifications.commands.ways import NewWay
from services.notifications.domain.by_post import LETTERS_KEPT
from services.notifications.letters.letter import Letter, Written
from tests.conftest import TestDatabase
from tests.notifications.by_hand import LATER, LETTER, LETTERS, TO, book, make_batch, print_batch
from tests.notifications.harness import EMAIL, TOWN, Notifications
from tests.notifications.test_letters import waiting

MAIL = NewWay(kind="email", address=EMAIL)


async def remove_letter_way(service: Notifications, booked: Any) -> None:
    """Their owner removes the address that letters go to."""
    async with service.db.begin(TOWN) as session:
        await remove_way(session, TOWN, booked.contact_ref, 2, now=service.now)


async def erase(service: Notifications, booked: Any) -> None:
    async with service.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, booked.subject_ref, "resident", now=service.now)


def mails(service: Notifications) -> list[str]:
    return [sent.to for sent in service.sink.messages(channel="email") if "NNN-1042" in sent.text]


# --- what is just being sent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["sending", "unknown", "pending"])
async def test_a_letter_whose_sender_has_not_written_down_its_answer_waits_for_it(
    service: Notifications, signed_in: httpx.AsyncClient, state: str
) -> None:
    """It is in the queue, and nobody knows yet that it is. Seen to fail: it was taken out, and then `sent`."""
    await book(service, LETTER)
    await service.rows("UPDATE notice SET state = :state RETURNING 1", state=state)
    assert (await signed_in.post(LETTERS)).headers["location"] == f"{LETTERS}?done=none"
    assert await waiting(service) == 1
    await service.rows("UPDATE notice SET state = 'sent' RETURNING 1")
    await make_batch(signed_in)
    [row] = await service.rows("SELECT taken_out_at, position FROM letter")
    assert tuple(row) == (None, 1)


async def test_what_came_to_nothing_is_not_printed(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await book(service, LETTER)
    await service.rows("UPDATE notice SET state = 'undeliverable' RETURNING 1")
    assert (await signed_in.post(LETTERS)).headers["location"] == f"{LETTERS}?done=none"
    assert await waiting(service) == 0


async def test_a_letter_that_was_taken_out_is_not_said_to_be_queued(service: Notifications) -> None:
    """Seen to fail: its attempt was accepted, and nobody would have printed it."""
    await book(service, LETTER)
    [row] = await service.rows("UPDATE letter SET taken_out_at = queued_at RETURNING notice_id, way_no")
    written = Written(title="", text="", sender="", sender_address="", sender_phone="", number="", language="ja")
    key = f"{TOWN}:{row.notice_id}:{row.way_no}"
    async with service.db.begin(TOWN) as session:
        letter = Letter(to=TO, written=written)
        assert await queue_letter(session, service.keys.vault, key, letter, now=service.now) is None


# --- an address that is not theirs any more -----------------------------------------------------------------------


async def test_of_an_address_that_its_owner_removed_no_letter_waits(service: Notifications) -> None:
    """At once, and it goes by the next way. Seen to fail: it was printed and posted there."""
    booked = await book(service, LETTER, MAIL)
    await remove_letter_way(service, booked)
    [row] = await service.rows("SELECT taken_out_at, content_sealed, wrapped_key FROM letter")
    assert tuple(row) == (service.now, None, None)
    await service.settle()
    assert mails(service) == [EMAIL]
    assert await service.open_tasks() == []


async def test_who_removes_their_last_address_gets_no_letter_there(service: Notifications) -> None:
    """As with everything that waits: they want paper at the counter by now."""
    booked = await book(service, LETTER)
    await remove_letter_way(service, booked)
    assert await waiting(service) == 0
    assert (await service.states())["confirmation"] == "superseded"


async def test_who_takes_back_that_they_want_to_be_told_gets_no_letter(service: Notifications) -> None:
    booked = await book(service, LETTER)
    again = service.contact("none", contact_ref=booked.contact_ref, subject_ref=booked.subject_ref, version=2)
    await service.hear(again)
    assert await waiting(service) == 0
    [row] = await service.rows("SELECT wrapped_key FROM letter")
    assert row.wrapped_key is None


async def test_where_an_address_has_turned_out_to_be_dead_nothing_is_printed(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER, MAIL)
    await service.rows("UPDATE contact_way SET state = 'dead' WHERE way_no = 2 RETURNING 1")
    assert (await signed_in.post(LETTERS)).headers["location"] == f"{LETTERS}?done=none"
    await service.settle()
    assert mails(service) == [EMAIL]


async def test_who_has_a_dead_address_alone_is_a_task(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    await book(service, LETTER)
    await service.rows("UPDATE contact_way SET state = 'dead' WHERE way_no = 2 RETURNING 1")
    await signed_in.post(LETTERS)
    assert await service.open_tasks() == ["not_delivered"]
    [row] = await service.rows("SELECT notice_id, reason FROM notice")
    assert row.reason == "way_gone"
    for path in ("/notices", f"/notices/n/{row.notice_id}", "/notices/unreached"):
        assert (await signed_in.get(path)).status_code == 200


async def test_a_printed_letter_whose_address_was_removed_is_taken_out_of_the_pile(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    booked = await book(service, LETTER, MAIL)
    batch = await make_batch(signed_in)
    await print_batch(signed_in, batch)
    await remove_letter_way(service, booked)
    assert (await signed_in.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=taken-out"
    await service.settle()
    assert mails(service) == [EMAIL]


# --- somebody is erased -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["print", "posted"])
async def test_a_notice_that_goes_while_its_batch_is_looked_at_is_skipped(
    service: Notifications, signed_in: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Between two statements of ours. Seen to fail: 500."""
    booked = await book(service, LETTER)
    await book(service, LETTER, number="NNN2077")
    batch = await make_batch(signed_in)
    await print_batch(signed_in, batch)
    read = by_hand.read_newest

    async def read_later(*args: Any) -> Any:
        await erase(service, booked)
        return await read(*args)

    monkeypatch.setattr(commands, "read_newest", read_later)
    if step == "print":
        assert len((await print_batch(signed_in, batch)).pages) == 1
    else:
        assert (await signed_in.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=taken-out"


@pytest.mark.parametrize("which", [1, 2])
async def test_whose_letter_was_printed_and_who_is_erased_then_has_their_sheet_named(
    service: Notifications, signed_in: httpx.AsyncClient, which: int
) -> None:
    """The first or the last of the pile. Seen to fail: the page knew nothing of it, and both were posted."""
    booked = [await book(service, LETTER, number=number) for number in ("NNN1042", "NNN2077")]
    batch = await make_batch(signed_in)
    await print_batch(signed_in, batch)
    numbers = [row.number for row in await service.rows(
        "SELECT a.number FROM letter JOIN notice USING (notice_id) JOIN appointment a USING (appointment_id) "
        "ORDER BY position")]  # fmt: skip
    gone = next(each for each in booked if each.number == numbers[which - 1])
    await erase(service, gone)
    # Pressed on a page that was open before.
    assert (await signed_in.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=taken-out"
    page = (await signed_in.get(batch)).text
    assert f"{which}枚目の手紙を抜いてください" in page
    assert 'name="missing" value="1"' in page
    answer = await signed_in.post(f"{batch}/posted", data={"missing": "1"})
    assert answer.headers["location"] == f"{batch}?done=posted"
    assert (await signed_in.post(f"{batch}/posted", data={"missing": "x"})).status_code == 400


# --- what nobody marks as posted ----------------------------------------------------------------------------------


async def test_what_was_printed_and_never_marked_as_posted_is_forgotten(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    """Seen to fail: it was kept as long as its notice, a year."""
    await book(service, LETTER)
    batch = await make_batch(signed_in)
    await print_batch(signed_in, batch)
    await service.pass_time(seconds=LETTERS_KEPT.total_seconds() - 1)
    assert (await service.rows("SELECT wrapped_key FROM letter"))[0].wrapped_key is not None
    await service.pass_time(seconds=2)
    [row] = await service.rows("SELECT content_sealed, wrapped_key, taken_out_at FROM letter")
    assert tuple(row) == (None, None, None)
    # Whoever posted it says so, late.
    assert (await service.states())["confirmation"] == "sent"


async def test_what_nobody_printed_before_it_is_forgotten_goes_by_the_next_way(
    service: Notifications, database: TestDatabase, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER, MAIL, starts_at=LATER + timedelta(days=10))
    await make_batch(signed_in)
    await service.pass_time(seconds=LETTERS_KEPT.total_seconds() + 1)
    [row] = await service.rows("SELECT wrapped_key, taken_out_at IS NULL AS stays FROM letter")
    assert tuple(row) == (None, False)
    assert mails(service) == [EMAIL]
