"""Letters: queued once, printed in batches by staff, posted, and come back."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from services.notifications.commands import letters as commands
from services.notifications.commands.erasure import erase_subject
from services.notifications.commands.letters import make_batch as batch_of
from services.notifications.commands.ways import NewWay
from services.notifications.domain.by_post import LETTERS_KEPT
from shared.errors import Refusal
from shared.tokens import Identity
from tests.conftest import TestDatabase
from tests.notifications.by_hand import LATER, LETTER, LETTERS, TO, book, came_back, make_batch, print_batch
from tests.notifications.harness import CODE, EMAIL, OTHER_TOWN, START, TOWN, Notifications, sign_in
from tests.notifications.test_letters_on_paper import read_text

MAIL = NewWay(kind="email", address=EMAIL)
STAFF = Identity(municipality=TOWN, kind="staff", ref="staff-1", session_id="s1", roles=("counter",))
ATTEMPTS = "SELECT way_no, provider, outcome, delivery FROM attempt ORDER BY started_at, way_no"


async def waiting(service: Notifications) -> int:
    query = "SELECT count(*) AS letters FROM letter WHERE batch_id IS NULL AND taken_out_at IS NULL"
    return int((await service.rows(query))[0].letters)


async def test_from_the_queue_to_the_letter_box_and_back(
    service: Notifications, database: TestDatabase, signed_in: httpx.AsyncClient
) -> None:
    """A notice becomes a letter; staff print and post it; it comes back, and goes by the next way at once."""
    await book(service, LETTER, MAIL)
    assert await service.states() == {"confirmation": "sent"}
    page = (await signed_in.get(LETTERS)).text
    assert "1通" in page
    batch = await make_batch(signed_in)
    with await print_batch(signed_in, batch) as pdf:
        said = read_text(pdf, 0)
    for words in (
        *TO.split("\n"),
        "様",
        "NNN-1042",
        "2026年（令和8年）12月15日（火）",
        CODE,
        "2026年（令和8年）11月24日（火）",
    ):
        assert words in said, (words, said)
    assert (await signed_in.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=posted"
    assert "発送したことを記録しました" in (await signed_in.get(f"{batch}?done=posted")).text
    # Days later: what it told of is still ahead.
    service.now += timedelta(days=6)
    sign_in(service, database, signed_in, roles=("counter",))
    assert (await came_back(service, signed_in, batch)).headers["location"] == f"{batch}?done=goes-on"
    await service.settle()
    [told] = [sent for sent in service.sink.messages(channel="email") if "NNN-1042" in sent.text]
    assert told.to == EMAIL
    states = {tuple(row) for row in await service.rows("SELECT way_no, state FROM contact_way")}
    assert states == {(2, "dead"), (3, "good")}
    assert [tuple(row) for row in await service.rows(ATTEMPTS)][:2] == [
        (2, "print_queue", "accepted", "not_delivered"), (3, "smtp", "accepted", None),
    ]  # fmt: skip
    assert await service.open_tasks() == []
    done = [row.action for row in await service.rows("SELECT action FROM audit ORDER BY occurred_at")]
    assert done == ["letters_batched", "letters_printed", "letters_posted", "letter_came_back"]


async def test_whoever_has_no_other_way_becomes_a_task_that_says_why(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER)
    batch = await make_batch(signed_in)
    await print_batch(signed_in, batch)
    await signed_in.post(f"{batch}/posted")
    for _ in range(2):
        # A second tap changes nothing.
        assert (await came_back(service, signed_in, batch)).headers["location"] == f"{batch}?done=came-back"
    assert await service.open_tasks() == ["letter_returned"]
    assert "手紙が、宛先不明で戻ってきました" in (await signed_in.get("/notices/unreached")).text


async def test_a_letter_that_would_be_too_late_goes_by_the_next_way(service: Notifications) -> None:
    await book(service, LETTER, MAIL, starts_at=START)
    assert [tuple(row) for row in await service.rows(ATTEMPTS)] == [(3, "smtp", "accepted", None)]
    assert await waiting(service) == 0


async def test_where_a_letter_alone_is_too_late_staff_are_asked(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER, starts_at=START)
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "undeliverable"}, ["letter_late"])
    assert "手紙では間に合いません" in (await signed_in.get("/notices/unreached")).text


async def test_a_name_that_cannot_be_printed_is_a_task_and_no_letter(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, NewWay(kind="letter", address="〒259-0123\n二宮961\n葛\U000e0100城 花"))
    assert (await service.states(), await service.open_tasks()) == ({"confirmation": "failed"}, ["letter_glyph"])
    assert await service.rows("SELECT 1 FROM letter") == []
    assert "印刷できない字があります" in (await signed_in.get("/notices/unreached")).text


async def test_what_is_written_is_sealed_with_a_key_of_its_own_and_forgotten_after_it_was_posted(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER)
    [row] = await service.rows("SELECT * FROM letter")
    assert "花子".encode() not in bytes(row.content_sealed)
    batch = await make_batch(signed_in)
    await print_batch(signed_in, batch)
    await signed_in.post(f"{batch}/posted")
    await service.pass_time(seconds=LETTERS_KEPT.total_seconds() - 1)
    assert (await service.rows("SELECT wrapped_key FROM letter"))[0].wrapped_key is not None
    await service.pass_time(seconds=2)
    [row] = await service.rows("SELECT content_sealed, wrapped_key FROM letter")
    assert tuple(row) == (None, None)


async def test_with_its_notice_a_letter_is_erased(service: Notifications) -> None:
    booked = await book(service, LETTER)
    async with service.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, booked.subject_ref, "resident", now=service.now)
    assert await service.rows("SELECT 1 FROM letter") == []


@pytest.mark.parametrize("what", ["changed", "cancelled", "stopped", "paper"])
async def test_what_was_overtaken_before_it_was_printed_is_taken_out(
    service: Notifications, signed_in: httpx.AsyncClient, what: str
) -> None:
    booked = await book(service, LETTER)
    assert await waiting(service) == 1
    if what == "changed":
        await service.hear(service.changed(booked, LATER + timedelta(days=1)))
    elif what == "cancelled":
        await service.hear(service.cancelled(booked))
    elif what == "paper":
        await service.rows("UPDATE contact_point SET wants_paper = true RETURNING 1")
    else:
        await service.rows("UPDATE notice SET kind = 'reminder' RETURNING 1")
        await service.rows("UPDATE contact_point SET stopped = ARRAY['reminder'] RETURNING 1")
    if what in ("changed", "cancelled"):
        # At once, and not only when somebody prints.
        assert await waiting(service) == 0
        assert (await service.states())["confirmation"] == "superseded"
    else:
        assert (await signed_in.post(LETTERS)).headers["location"] == f"{LETTERS}?done=none"
    [row] = await service.rows("SELECT taken_out_at, content_sealed FROM letter ORDER BY queued_at LIMIT 1")
    assert (row.taken_out_at, row.content_sealed) == (service.now, None)
    await service.settle()
    # The newer word is a letter of its own.
    assert await waiting(service) == (1 if what in ("changed", "cancelled") else 0)
    assert await service.open_tasks() == []


async def test_what_was_overtaken_after_it_was_printed_is_taken_out_of_the_pile_before_it_is_posted(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    booked = await book(service, LETTER)
    await book(service, LETTER, number="NNN2077")
    batch = await make_batch(signed_in)
    assert len((await print_batch(signed_in, batch)).pages) == 2
    await service.hear(service.changed(booked, LATER + timedelta(days=1)))
    assert (await signed_in.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=taken-out"
    assert "送りません。抜いてください" in (await signed_in.get(batch)).text
    assert len((await print_batch(signed_in, batch)).pages) == 1
    assert (await signed_in.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=posted"


async def test_a_letter_that_lay_until_it_was_too_late_goes_by_the_next_way(
    service: Notifications, database: TestDatabase, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER, MAIL)
    service.now = LATER - timedelta(days=2)
    sign_in(service, database, signed_in, roles=("counter",))
    assert (await signed_in.post(LETTERS)).headers["location"] == f"{LETTERS}?done=none"
    await service.settle()
    assert [sent.to for sent in service.sink.messages(channel="email")] == [EMAIL]
    # Late is no fault of the address.
    assert {row.state for row in await service.rows("SELECT state FROM contact_way")} == {"good"}


async def test_two_who_make_a_batch_at_once_have_no_letter_twice_and_lose_none(service: Notifications) -> None:
    """Each takes what the other has not locked, and the database lets none move from one batch to another.

    Seen to fail without the lock: the trigger refuses. Without both: four batches have letters of one another.
    """
    for number in range(12):
        await book(service, LETTER, number=f"NNN{number:04}")

    async def one() -> object:
        async with service.db.begin(TOWN) as session:
            batch = await batch_of(session, STAFF, most=5, now=service.now)
            await asyncio.sleep(0.05)
            return batch

    made = await asyncio.gather(*(one() for _ in range(4)))
    assert len({batch for batch in made if batch}) == 3
    rows = await service.rows("SELECT batch_id, count(*) AS letters FROM letter GROUP BY batch_id")
    assert sorted((row.batch_id is None, row.letters) for row in rows) == [(False, 2), (False, 5), (False, 5)]
    one_batch, *_others = [row.batch_id for row in rows]
    for other in (f"'{rows[1].batch_id}'", "NULL"):
        moved = f"UPDATE letter SET batch_id = {other}, position = position + 100 WHERE batch_id = :was RETURNING 1"
        with pytest.raises(DBAPIError, match="a letter stays in its batch"):
            await service.rows(moved, was=one_batch)


async def test_more_than_a_batch_are_several(service: Notifications, signed_in: httpx.AsyncClient) -> None:
    for number in range(3):
        service.now += timedelta(seconds=1)
        await book(service, LETTER, number=f"NNN{number:04}")
    batch = await make_batch(signed_in)
    page = (await signed_in.get(batch)).text
    assert [page.index(f"NNN-000{number}") for number in range(3)] == sorted(
        page.index(f"NNN-000{number}") for number in range(3)
    )
    assert "花子" not in page
    assert "3通" in page


async def test_what_was_not_printed_is_not_posted_and_what_was_not_posted_does_not_come_back(
    service: Notifications, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER)
    batch = await make_batch(signed_in)
    answer = await signed_in.post(f"{batch}/posted")
    assert (answer.status_code, "まだ印刷していません" in answer.text) == (409, True)  # letters_unprinted
    answer = await came_back(service, signed_in, batch)
    assert (answer.status_code, "まだ発送していません" in answer.text) == (409, True)  # letter_not_posted
    for path in ("print", "posted", f"{uuid4()}/came-back"):
        assert (await signed_in.get(f"{batch}/{path}")).headers["location"] == batch
        assert (await signed_in.post(f"{LETTERS}/{uuid4()}/{path}")).status_code == 404
    assert (await signed_in.get(f"{LETTERS}/{uuid4()}")).status_code == 404


async def test_another_towns_letters_are_not_there(
    service: Notifications, database: TestDatabase, signed_in: httpx.AsyncClient
) -> None:
    await book(service, LETTER)
    batch = await make_batch(signed_in)
    other = Identity(municipality=OTHER_TOWN, kind="staff", ref="staff-2", session_id="s2", roles=("counter",))
    async with service.db.begin(OTHER_TOWN) as session:
        assert await batch_of(session, other, now=service.now) is None
        with pytest.raises(Refusal, match="not_found"):
            await commands.post_batch(session, other, UUID(batch.split("/")[-1]), missing=0, now=service.now)


async def test_a_coordinator_prints_no_letters(
    service: Notifications, database: TestDatabase, client: httpx.AsyncClient
) -> None:
    sign_in(service, database, client, roles=("coordinator",))
    assert (await client.get(LETTERS)).status_code == 403
    assert (await client.post(LETTERS)).status_code == 403
