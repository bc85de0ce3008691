"""Quiet hours of one's own, stops, and what they change: edges of the hours, midnight in Japan, and usefulness."""

from datetime import datetime
from typing import Any, get_args
from uuid import uuid4

import httpx
import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from services.notifications.commands.rules import load_notice_rules
from services.notifications.domain.notices import (
    OF_ACCOUNTS,
    Kind,
    LookAgain,
    Newest,
    Send,
    Settle,
    Waiting,
    decide,
)
from services.notifications.domain.quiet_hours import TOWN_QUIET, Quiet, after_quiet, is_quiet
from services.notifications.domain.reminders import reminder_time, rule_for_before
from services.notifications.domain.stops import REQUIRED, STOPS, is_stopped
from shared.clock import JST
from shared.town_pack import NoticeRules, read_town_pack
from tests.conftest import TestDatabase
from tests.notifications.harness import TOWN, Notifications
from tests.notifications.test_reminders import PLANNED, SAMPLE_TOWN
from tests.notifications.wishing import open_wishes

LONG = Quiet(19, 10)


def at(hour: int, minute: int = 0, *, day: int = 24) -> datetime:
    """A moment of November in Japan."""
    return datetime(2026, 11, day, hour, minute, tzinfo=JST)


def waiting(kind: Kind, *, useful_until: datetime, quiet: Quiet = LONG, **changes: Any) -> Waiting:
    values: dict[str, Any] = {
        "kind": kind,
        "state": "pending",
        "sequence": 0,
        "created_at": at(18),
        "useful_until": useful_until,
        "keeps_quiet": False,
        "reach": "email",
        "in_flight": False,
        "has_words": True,
        "quiet": quiet,
    }
    return Waiting(**(values | changes))


def booked(starts_at: datetime | None) -> Newest:
    return Newest(state="booked", sequence=0, starts_at=starts_at)


def test_every_kind_that_a_resident_is_told_may_be_stopped_or_has_its_reason() -> None:
    stopped = [kind for stop in STOPS for kind in stop.kinds]
    required = [kind for each in REQUIRED for kind in each.kinds]
    assert sorted(stopped + required) == sorted(set(get_args(Kind)) - set(OF_ACCOUNTS))
    assert is_stopped("class_reminder", ("reminder",))
    assert not is_stopped("closure", ("reminder", "earlier_offer", "turn_near", "feedback"))


@pytest.mark.parametrize(
    ("moment", "quiet", "ends"),
    [
        (at(18, 59), LONG, None),
        (at(19), LONG, at(10, day=25)),
        (at(23, 59), LONG, at(10, day=25)),
        (at(0, day=25), LONG, at(10, day=25)),
        (at(9, 59, day=25), LONG, at(10, day=25)),
        (at(10, day=25), LONG, None),
        (at(20, 59), TOWN_QUIET, None),
        (at(21), TOWN_QUIET, at(8, day=25)),
        (at(0, day=25), TOWN_QUIET, at(8, day=25)),
        (at(8, day=25), TOWN_QUIET, None),
    ],
)
def test_the_edges_of_the_hours(moment: datetime, quiet: Quiet, ends: datetime | None) -> None:
    assert is_quiet(moment, quiet) == (ends is not None)
    assert after_quiet(moment, quiet) == (ends or moment)


@pytest.mark.parametrize(
    ("kind", "useful_until", "starts_at", "expected"),
    [
        # Who waits for it is answered.
        ("confirmation", at(20, day=25), at(15, day=27), Send()),
        ("contact_code", at(20, 15), None, Send()),
        ("turn_near", at(20, 20), at(20), Send()),
        # What the office tells of its own accord waits.
        ("application_completed", at(20, day=25), None, LookAgain(at(10, day=25))),
        ("closure", at(20, day=25), at(15, day=25), LookAgain(at(10, day=25))),
        # But not until it is too late to stay at home, or to answer.
        ("closure", at(20, day=25), at(10, 30, day=25), Send()),
        ("cancellation", at(20, day=25), at(9, day=25), Send()),
        ("class_offered", at(10, 59, day=25), None, Send()),
        ("class_offered", at(11, day=25), None, LookAgain(at(10, day=25))),
        # A reminder waits as long as it reminds of something.
        ("reminder", at(10, 1, day=25), at(10, 1, day=25), LookAgain(at(10, day=25))),
        ("reminder", at(10, day=25), at(10, day=25), Settle("superseded", "quiet_hours")),
    ],
)
def test_what_waits_for_the_end_of_ones_own_hours(
    kind: Kind, useful_until: datetime, starts_at: datetime | None, expected: object
) -> None:
    newest = Newest(state="booked", sequence=0, starts_at=starts_at, closure="asked" if kind == "closure" else "none")
    keeps_quiet = kind in ("reminder", "class_offered")
    notice = waiting(kind, useful_until=useful_until, keeps_quiet=keeps_quiet)
    assert decide(notice, newest, now=at(20)) == expected


def test_by_the_towns_hours_alone_all_is_as_before() -> None:
    notice = waiting("application_completed", useful_until=at(20, day=25), quiet=TOWN_QUIET)
    assert decide(notice, booked(None), now=at(23)) == Send()


def test_what_is_stopped_is_settled_but_never_in_somebody_elses_hands() -> None:
    notice = waiting("reminder", useful_until=at(20, day=25), is_stopped=True, reach=None)
    assert decide(notice, booked(at(15, day=25)), now=at(12)) == Settle("superseded", "stopped")
    assert decide(msgspec.structs.replace(notice, in_flight=True), booked(None), now=at(12)) != Send()


def test_a_reminder_is_planned_around_ones_own_hours() -> None:
    """Two hours before half past nine is in the night of who wants quiet until ten: they hear in the evening before."""
    rule = rule_for_before(120)
    planned = {
        quiet: reminder_time(rule, booked_at=at(9), starts_at=at(9, 30, day=27), quiet=quiet, now=at(9))
        for quiet in (TOWN_QUIET, LONG)
    }
    assert planned == {TOWN_QUIET: at(8, day=27).replace(hour=8), LONG: at(18, 45, day=26)}


async def test_a_change_of_the_hours_moves_what_is_planned(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    pack = msgspec.structs.replace(read_town_pack(SAMPLE_TOWN), notices=NoticeRules(reminders_before_min=(120,)))
    async with service.db.begin(TOWN) as session:
        await load_notice_rules(session, pack, now=service.now)
    contact = service.contact("email")
    await service.hear(contact, service.booked(contact, starts_at=at(9, 30, day=27)))
    [before] = await service.rows(PLANNED)
    assert before.due_at == at(8, day=27)
    wisher = await open_wishes(service, client, database, contact)
    await wisher.wish(quiet_from="19", quiet_to="10")
    [after] = await service.rows(PLANNED)
    assert after.due_at == at(18, 45, day=26)
    # Booked now, planned so from the beginning; and the rules of the town, loaded again, know it too.
    await service.hear(service.booked(contact, starts_at=at(9, 30, day=28), number="NNN2077"))
    async with service.db.begin(TOWN) as session:
        await load_notice_rules(session, pack, now=service.now)
    await service.settle()
    assert [row.due_at for row in await service.rows(PLANNED)] == [at(18, 45, day=26), at(18, 45, day=27)]
    await wisher.wish(stopped="reminder")
    assert [row.due_at for row in await service.rows(PLANNED)] == [at(8, day=27), at(8, day=28)]
    service.now = at(8, day=27)
    await service.settle()
    assert all("近づきました" not in sent.text for sent in service.sink.messages())
    [row] = await service.rows("SELECT state, reason FROM notice WHERE kind = 'reminder'")
    assert tuple(row) == ("superseded", "stopped")


async def test_what_the_office_tells_waits_for_the_morning_that_somebody_chose(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    service.now = at(12)
    contact = service.contact("email")
    sent = service.applied(contact)
    await service.hear(contact, sent)
    wisher = await open_wishes(service, client, database, contact)
    await wisher.wish(quiet_from="18", quiet_to="11")
    service.now = at(18)
    await service.hear(service.progressed(sent, "completed"))
    await service.settle()
    assert "手続きが終わりました" not in "".join(told.text for told in service.sink.messages())
    service.now = at(10, 59, day=25)
    await service.settle()
    assert "手続きが終わりました" not in "".join(told.text for told in service.sink.messages())
    service.now = at(11, day=25)
    await service.settle()
    assert "手続きが終わりました" in "".join(told.text for told in service.sink.messages())


@pytest.mark.parametrize(
    "wrong",
    [
        "quiet_from = 16, quiet_to = 8",
        "quiet_from = 21",
        "quiet_from = 22, quiet_to = 8",
        "quiet_from = 21, quiet_to = 13",
        "stopped = '{closure}'",
    ],
)
async def test_the_database_takes_no_wish_that_nobody_may_have(service: Notifications, wrong: str) -> None:
    await service.hear(service.contact("email"))
    with pytest.raises(IntegrityError):
        await service.rows(f"UPDATE contact_point SET {wrong} RETURNING 1")


async def test_the_page_takes_no_hours_that_nobody_may_choose(
    service: Notifications, client: httpx.AsyncClient, database: TestDatabase
) -> None:
    contact = service.contact("email", contact_ref=uuid4())
    await service.hear(contact)
    wisher = await open_wishes(service, client, database, contact)
    for wrong in ({"quiet_from": "9"}, {"quiet_to": "20"}, {"language": "fr"}, {"quiet_from": "x"}):
        await wisher.post("", status=400, **({"language": "ja", "quiet_from": "21", "quiet_to": "8"} | wrong))
