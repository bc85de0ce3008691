"""A bulk notice as a manager writes it: through the same forms."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import httpx

from services.notifications.commands.subjects import ADDRESS, context_of
from shared.clock import JST
from shared.db import Prepared
from tests.notifications.harness import START, TOWN, Notifications

PATH = "/notices/bulk"
DAY = START.astimezone(JST).date().isoformat()
WORDS = {
    "subject_ja": "防災訓練のお知らせ",
    "body_ja": "土曜日の朝9時から、防災訓練をします。\n\n家で身を守ってください。",
    "short_ja": "土曜日の朝9時に防災訓練をします。",
    "subject_ja-easy": "地震の練習",
    "body_ja-easy": "土曜日の朝9時に、地震の練習をします。",
    "short_ja-easy": "土曜日の朝9時に、地震の練習をします。",
    "subject_en": "Earthquake drill",
    "body_en": "There will be an earthquake drill on Saturday at 9 am.",
    "short_en": "Earthquake drill on Saturday at 9 am.",
}
TO_BOOKED = {"by": "appointments", "first_day": DAY, "last_day": DAY}
TO_ALL = {"by": "everybody"}
CHUNK = 1_000
_NEW = "unnest(CAST(:subjects AS uuid[]), CAST(:keys AS bytea[]), CAST(:addresses AS bytea[])) AS new (ref, key, way)"
MANY = (
    Prepared(f"""
        INSERT INTO subject_key (municipality, subject_ref, wrapped_key, made_at)
        SELECT :town, new.ref, new.key, CAST(:now AS timestamptz) FROM {_NEW}"""),
    Prepared(f"""
        INSERT INTO contact_point (municipality, contact_ref, version, subject_ref, reach, language, approval_id,
                                   case_id, given_at)
        SELECT municipality, new.ref, version, new.ref, reach, language, approval_id, case_id, given_at
        FROM contact_point, {_NEW} WHERE contact_ref = CAST(:ref AS uuid)"""),
    Prepared(f"""
        INSERT INTO contact_way (municipality, contact_ref, way_no, position, kind, address_sealed, verified_at)
        SELECT :town, new.ref, 1, 1, 'sms', new.way, CAST(:now AS timestamptz) FROM {_NEW}"""),
)


def until_day(service: Notifications, days: int = 2) -> str:
    return (service.now + timedelta(days=days)).astimezone(JST).date().isoformat()


def fields(page: httpx.Response) -> dict[str, str]:
    """What the form of a draft would send, untouched."""
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    return {name: unescape(value) for name, value in hidden}


async def write(service: Notifications, manager: httpx.AsyncClient, **typed: str) -> str:
    """A draft; where it is."""
    form = {"bulk_id": str(uuid4()), "seen": "0", "kind": "town_news", "until_day": until_day(service)}
    form |= {"until_hour": "21"} | TO_ALL | WORDS | typed
    answer = await manager.post(f"{PATH}/new", data=form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removesuffix("/check")


async def try_out(manager: httpx.AsyncClient, here: str, **typed: str) -> httpx.Response:
    form = {"to": "email", "test_address": "kacho@example.jp", "test_languages": "ja"}
    return await manager.post(f"{here}/test", data=form | typed)


async def press(manager: httpx.AsyncClient, here: str) -> httpx.Response:
    page = await manager.get(f"{here}/check")
    seen = re.findall(r'name="seen" value="(\d+)"', page.text)
    return await manager.post(f"{here}/send", data={"seen": seen[-1] if seen else "1"})


async def send(service: Notifications, manager: httpx.AsyncClient, **typed: str) -> str:
    """Written, tested and sent; where it is. The test has arrived, and the sink is empty."""
    here = await write(service, manager, **typed)
    assert (await try_out(manager, here)).status_code == 303
    await service.settle()
    service.sink.clear()
    answer = await press(manager, here)
    assert (answer.status_code, answer.headers.get("location")) == (303, here), answer.text
    return here


async def people(service: Notifications, count: int, reach: Any = "sms", **booking: Any) -> list[Any]:
    """So many people, each with an appointment and a contact of their own."""
    contacts = [service.contact(reach, f"+8190{nth:08}" if reach == "sms" else None) for nth in range(count)]
    for nth, contact in enumerate(contacts):
        await service.hear(contact, service.booked(contact, number=f"NNN{2000 + nth}", **booking))
    await service.settle()
    service.sink.clear()
    return contacts


async def make_many(service: Notifications, count: int) -> None:
    """So many people who have a contact by SMS, made in the database alone."""
    contact = service.contact("sms")
    await service.hear(contact)
    # A subject is locked for each: of not too many in one transaction.
    for first in range(0, count, CHUNK):
        rows: dict[str, list[Any]] = {"subjects": [], "keys": [], "addresses": []}
        for nth in range(first, min(count, first + CHUNK)):
            subject_ref = uuid4()
            context = context_of(TOWN, subject_ref)
            key = service.keys.vault.new_key(context)
            address = service.keys.vault.seal(key, context, ADDRESS, f"+8180{nth:08}")
            for column, value in zip(rows.values(), (subject_ref, key, address), strict=True):
                column.append(value)
        async with service.db.begin(TOWN) as session:
            for statement in MANY:
                await statement.row(session, rows | {"ref": contact.contact_ref, "town": TOWN, "now": service.now})
