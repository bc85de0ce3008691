"""`choudo erase …`: a person's data goes, in all three services. Without --yes it only says what there is.

The person is a SUBJECT (a reference that says nothing of them), or whoever an application's or an appointment's number
leads to. Routing erases at once; booking and notifications when their workers hear of it.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from deploy.databases import list_towns, open_database, require_town, time_of
from services.booking.commands import erasure as booking
from services.notifications.commands import erasure as notifications
from services.routing.commands import erasure as routing
from services.routing.queries import erasure as asking
from shared.errors import Refusal
from shared.reference_number import APPLICATION_LENGTH, read_number, show_number

DONE, NOT_DONE, BAD_INPUT = 0, 1, 2
FIND_RISEN: dict[str, Callable[[AsyncSession, str], Awaitable[list[UUID]]]] = {
    "routing": routing.find_risen,
    "booking": booking.find_risen,
    "notifications": notifications.find_risen,
}
EVEN_IF_OPEN = "--even-if-open"


def add_erase(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("erase", help="a person's data goes, in all three services", description=__doc__)
    parser.add_argument("subject", nargs="?", type=UUID, metavar="SUBJECT")
    parser.add_argument("--town", help="a municipality's code; with --again, all towns without it")
    parser.add_argument("--application", metavar="N", help="instead of SUBJECT: whose application this number is")
    parser.add_argument("--appointment", metavar="N", help="instead of SUBJECT: whose appointment this number is")
    parser.add_argument("--again", action="store_true", help="whoever was erased and is back after older data was "
                        "restored, and erasures that the others have not answered")  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="do it; without it nothing is changed")
    parser.add_argument(EVEN_IF_OPEN, action="store_true", help="also while an application is in progress or an "
                        "appointment lies ahead, which is then cancelled")  # fmt: skip
    parser.set_defaults(action=None)


async def erase(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what was asked; return the exit status.

    Raises:
        Refusal: `no_such_town`.
    """
    if sum(map(bool, (given.subject, given.application, given.appointment, given.again))) != 1:
        print("erase: give SUBJECT, --application N, --appointment N, or --again", file=sys.stderr)
        return BAD_INPUT
    if given.again:
        await erase_again_in(given.town, environ, yes=given.yes)
        return DONE
    if not given.town:
        print("erase: give --town", file=sys.stderr)
        return BAD_INPUT
    return await _erase_one(given, environ)


async def _erase_one(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    subject_ref = await _find_subject(given, environ)
    if subject_ref is None or not await _show(given.town, subject_ref, environ):
        print("nobody's: no such number or subject, or erased already")
        return NOT_DONE
    async with open_database("routing", environ) as db:
        now = await time_of(db, environ)
        async with db.begin(given.town) as session:
            # What they gave for their family nobody could open any more.
            family = await asking.list_family(session, given.town, subject_ref)
            subjects = [*family, subject_ref]
            in_the_way = asking.all_in_the_way(
                [await asking.find_in_the_way(session, given.town, each, now=now) for each in subjects]
            )
        if family:
            print(f"with them: {len(family)} of their family, for whom they gave something")
        for matter in in_the_way.applications:
            print(f"in the way: application {show_number(matter.number)} is not closed")
        for matter in in_the_way.appointments:
            print(f"in the way: appointment {show_number(matter.number)} lies ahead")
        if in_the_way and not given.even_if_open:
            print(f"not erased; if it must be, add {EVEN_IF_OPEN}")
            return NOT_DONE
        if not given.yes:
            print("nothing was changed; add --yes to erase")
            return DONE
        try:
            async with db.begin(given.town) as session:
                numbers = [
                    await routing.erase_subject(
                        session, given.town, each, "operator", even_if_open=given.even_if_open, now=now
                    )
                    for each in subjects
                ]
        except Refusal as refusal:
            print(f"not erased: {refusal.code}")
            return NOT_DONE
    print(
        f"erased in routing, the others follow: /erasures/{numbers[-1]} says how far it is ({show_number(numbers[-1])})"
    )
    return DONE


async def _find_subject(given: argparse.Namespace, environ: Mapping[str, str]) -> UUID | None:
    async with open_database("routing", environ) as db:
        await require_town(db, given.town)
        if given.subject:
            subject_ref: UUID = given.subject
            return subject_ref
        if given.application:
            number = read_number(given.application, length=APPLICATION_LENGTH)
            async with db.begin(given.town) as session:
                return await asking.find_subject_of_application(session, given.town, number) if number else None
    number = read_number(given.appointment)
    async with open_database("booking", environ) as db, db.begin(given.town) as session:
        return await booking.find_subject_of_appointment(session, given.town, number) if number else None


async def _show(town: str, subject_ref: UUID, environ: Mapping[str, str]) -> bool:
    """Say how much there is in each service; whether there is anything."""
    print(f"subject {subject_ref} of {town}")
    counts: dict[str, dict[str, int]] = {}
    async with open_database("routing", environ) as db, db.begin(town) as session:
        counts["routing"] = await asking.count_subject(session, town, subject_ref)
    async with open_database("booking", environ) as db, db.begin(town) as session:
        counts["booking"] = await booking.count_subject(session, town, subject_ref)
    async with open_database("notifications", environ) as db, db.begin(town) as session:
        counts["notifications"] = await notifications.count_subject(session, town, subject_ref)
    for service, there in counts.items():
        print(f"{service}: " + ", ".join(f"{count} {what}" for what, count in there.items()))
    return any(count for there in counts.values() for count in there.values())


async def erase_again_in(town: str | None, environ: Mapping[str, str], *, yes: bool) -> None:
    """Say who was erased and is back, in one town or all; with `yes`, erase them again.

    Raises:
        Refusal: `no_such_town`.
    """
    for service, find_risen in FIND_RISEN.items():
        async with open_database(service, environ) as db:
            if town:
                await require_town(db, town)
            now = await time_of(db, environ)
            for code in [town] if town else await list_towns(db):
                async with db.begin(code) as session:
                    risen = await find_risen(session, code)
                    if yes:
                        await _again(session, service, code, risen, now=now)
                done = "erased again" if yes else "back, add --yes to erase them again"
                print(f"{service} {code}: {len(risen)} subjects {done}")


async def _again(session: AsyncSession, service: str, town: str, risen: list[UUID], *, now: datetime) -> None:
    if service == "routing":
        await routing.erase_risen(session, town, now=now)
        told = await routing.tell_unfinished(session, town, now=now)
        if told:
            print(f"routing {town}: {told} erasures are told again")
        return
    erase_subject = booking.erase_subject if service == "booking" else notifications.erase_subject
    for subject_ref in risen:
        await erase_subject(session, town, subject_ref, "operator", now=now)
