"""What the town, or another system, takes back: letters that nobody printed, and calls that nobody made."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from services.notifications.commands import bulk_spreading
from services.notifications.commands.ways import NewWay, add_way
from tests.notifications.bulk_writing import people, send, until_day
from tests.notifications.by_hand import CALL, LETTER, LETTERS, make_batch, print_batch
from tests.notifications.harness import TOWN, Notifications
from tests.notifications.systems import ROOT, register
from tests.notifications.test_system_again import have_sent_again
from tests.notifications.test_system_notices import number_of

MAIL = NewWay(kind="email", address="hanako.ninomiya@example.jp")
OF_BULK = "SELECT state, reason FROM notice WHERE kind IN ('town_news', 'town_notice') AND contact_ref IS NOT NULL"


async def told_by(service: Notifications, way: NewWay, *contacts: UUID) -> None:
    """From now on by this way alone."""
    for contact_ref in contacts:
        async with service.db.begin(TOWN) as session:
            await add_way(session, service.keys.vault, TOWN, contact_ref, way, now=service.now)
    await service.rows("DELETE FROM contact_way WHERE way_no = 1 RETURNING 1")


async def standings(service: Notifications) -> list[tuple[str, str | None]]:
    return sorted((row.state, row.reason) for row in await service.rows(OF_BULK))


async def waiting(service: Notifications) -> int:
    return len(await service.rows("SELECT 1 FROM letter WHERE taken_out_at IS NULL"))


@pytest.mark.parametrize("way", [LETTER, CALL], ids=["letters", "calls"])
async def test_what_is_stopped_is_neither_printed_nor_called(
    service: Notifications, desk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, way: NewWay
) -> None:
    """However many they are. Seen to fail: all were printed, or called, after the town had stopped it."""
    monkeypatch.setattr(bulk_spreading, "SPREAD_BATCH", 2)
    contacts = await people(service, 5)
    await told_by(service, way, *(each.contact_ref for each in contacts))
    here = await send(service, desk, kind="own_affairs", until_day=until_day(service, 20))
    await service.settle()
    assert await standings(service) == [("sent", None)] * 5
    if way is CALL:
        first, *_ = await service.rows("SELECT task_id FROM staff_task ORDER BY task_id")
        await desk.post(f"/notices/tasks/{first.task_id}/done")
    told = int(way is CALL)
    asked = (await desk.get(f"{here}/stop")).text
    assert f"{told}人には、もう送りました。まだ送っていない{5 - told}人には、送りません。" in asked
    assert "まだ印刷していない手紙と、まだ伝えていない電話は、取り消します。" in asked
    await desk.post(f"{here}/stop")
    await service.settle()
    assert await standings(service) == [("sent", None)] * told + [("superseded", "called_off")] * (5 - told)
    assert (await waiting(service), await service.open_tasks()) == (0, [])
    assert f"止めました。{told}人には送りました。{5 - told}人には送っていません。" in (await desk.get(here)).text


async def test_what_was_put_into_a_batch_and_is_stopped_is_not_printed(
    service: Notifications, desk: httpx.AsyncClient
) -> None:
    """Nor what was printed posted. Seen to fail: it was."""
    contacts = await people(service, 2)
    await told_by(service, LETTER, *(each.contact_ref for each in contacts))
    here = await send(service, desk, until_day=until_day(service, 20))
    await service.settle()
    batch = await make_batch(desk)
    assert len((await print_batch(desk, batch)).pages) == 2
    await desk.post(f"{here}/stop")
    assert (await desk.post(f"{batch}/posted")).headers["location"] == f"{batch}?done=taken-out"
    assert await standings(service) == [("superseded", "called_off")] * 2
    assert (await desk.post(LETTERS)).headers["location"] == f"{LETTERS}?done=none"


@pytest.mark.parametrize("way", [LETTER, CALL], ids=["letter", "call"])
@pytest.mark.parametrize("is_begun", [False, True], ids=["waits", "begun"])
async def test_a_system_takes_back_what_nobody_has_printed_or_called(
    service: Notifications, client: httpx.AsyncClient, desk: httpx.AsyncClient, way: NewWay, is_begun: bool
) -> None:
    """Seen to fail: 409, and then it was printed."""
    library = await register(service, client)
    number, contact = await number_of(service)
    await told_by(service, way, contact.contact_ref)
    until = (service.now + timedelta(days=6, hours=23)).isoformat()
    told = await library.accepted(recipient={"number": number}, useful_until=until)
    await service.settle()
    assert await standings(service) == [("sent", None)]
    if is_begun and way is LETTER:
        await make_batch(desk)
    elif is_begun:
        [task] = await service.rows("SELECT task_id FROM staff_task")
        await desk.post(f"/notices/tasks/{task.task_id}/done")
    answer = await library.client.delete(f"{ROOT}/{told}", headers=library.headers())
    assert answer.status_code == (409 if is_begun else 204), answer.text
    if not is_begun:
        assert await standings(service) == [("superseded", "taken_back")]
        assert (await waiting(service), await service.open_tasks()) == (0, [])
        assert (await library.look(told))["state"] == "stopped"


async def test_what_went_out_by_another_way_meanwhile_is_not_taken_back(
    service: Notifications, client: httpx.AsyncClient
) -> None:
    """The call still stands on the list, and staff had it sent again. Seen to fail: 204, of the call alone."""
    library = await register(service, client)
    number, contact = await number_of(service)
    await told_by(service, CALL, contact.contact_ref)
    until = (service.now + timedelta(days=6, hours=23)).isoformat()
    told = await library.accepted(recipient={"number": number}, useful_until=until)
    await service.settle()
    async with service.db.begin(TOWN) as session:
        await add_way(session, service.keys.vault, TOWN, contact.contact_ref, MAIL, now=service.now)
    await have_sent_again(service, told, way_no=3)
    await service.settle()
    answer = await library.client.delete(f"{ROOT}/{told}", headers=library.headers())
    assert answer.status_code == 409, answer.text
    assert len(await service.open_tasks()) == 1
