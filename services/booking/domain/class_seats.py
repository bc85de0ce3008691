"""Which class (教室) fits a request for help, how well and why; and who is offered a seat, beside who meets a helper.

A helper for oneself comes first: a seat is offered where no helper is left, where it leaves one for somebody who cannot
come to a class, or to whoever wishes a class. The number of people who are met is the greatest there is.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from services.booking.domain.matching import (
    LANGUAGE_OF_ALL,
    REASONS,
    WORTH,
    WORTH_MOST,
    Candidate,
    FreePlace,
    HelpWanted,
    Match,
    OtherWay,
    Reason,
    cost_of_wait,
    match_all,
)
from services.booking.domain.shifts import week_time

# Dearer than any helper, however much that one has to do; not to be met is dearer still (`UNMET`).
IN_CLASS = 10_000


class OpenClass(msgspec.Struct, frozen=True, kw_only=True):
    """A class with seats that nobody waits for. `teaches`: topics and procedures; `signs`: at each of its times
    somebody who helps there signs; `times`: when its sessions begin and end, in order.
    """

    course_id: str
    venue: str
    teaches: frozenset[str]
    language: str
    signs: bool
    times: tuple[tuple[datetime, datetime], ...]
    seats: int


class SeatOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be offered a seat in which class, and why in this one."""

    request_id: str
    course_id: str
    reasons: tuple[Reason, ...]


def fits(request: HelpWanted, course: OpenClass) -> bool:
    """Whether a class is about what is asked for, and they can come and follow it.

    It begins on one of their days; of a series the other times may be later, but never at another part of the day. Who
    needs another language, or sign language, needs it there, too; a class in a language of others is for nobody else.
    """
    times = [week_time(starts_at, ends_at) for starts_at, ends_at in course.times]
    if not times or not request.window.admits(times[0]):
        return False
    window = msgspec.structs.replace(request.window, last_day=max(request.window.last_day, times[-1].day))
    is_spoken = course.language == request.language or (
        request.language_need != "needed" and course.language == LANGUAGE_OF_ALL
    )
    return (
        request.skill in course.teaches
        and all(window.admits(time) for time in times)
        and is_spoken
        and (request.sign_need != "needed" or course.signs)
        and (not request.only_there or not request.venues or course.venue in request.venues)
    )


def why_class(request: HelpWanted, course: OpenClass) -> tuple[Reason, ...]:
    """What speaks for a class, in the words that speak for a helper."""
    speaks: dict[Reason, bool] = {
        "skill": request.skill in course.teaches,
        "language": request.language_need != "none" and request.language == course.language,
        "sign": request.sign_need != "none" and course.signs,
        "venue": course.venue in request.venues,
    }
    return tuple(reason for reason in REASONS if speaks.get(reason))


def cost_of_class(request: HelpWanted, course: OpenClass) -> int:
    """What a seat there counts against it: the sooner, and the more speaks for it, the less."""
    begins = week_time(*course.times[0])
    missing = WORTH_MOST - sum(WORTH[reason] for reason in why_class(request, course))
    return IN_CLASS + missing + cost_of_wait(request, begins.day)


def rank_classes(request: HelpWanted, classes: Sequence[OpenClass]) -> list[OpenClass]:
    """The classes that fit a request, the best first."""
    fitting = [course for course in classes if fits(request, course)]
    return sorted(fitting, key=lambda each: (cost_of_class(request, each), each.times[0], each.course_id))


def match_with_classes(
    requests: Sequence[HelpWanted],
    helpers: Sequence[Candidate],
    places: Sequence[FreePlace],
    classes: Sequence[OpenClass],
) -> tuple[list[Match], list[SeatOffer]]:
    """Who is asked for which request; and who is offered a seat in a class."""
    known = {course.course_id: course for course in classes}
    ways = [
        OtherWay(
            code=course.course_id,
            seats=course.seats,
            costs={
                each.request_id: cost_of_class(each, course)
                for each in requests
                if each.in_class != "no" and course.course_id not in each.known_classes and fits(each, course)
            },
        )
        for course in classes
    ]
    matched, seated = match_all(requests, helpers, places, [way for way in ways if way.costs])
    offers = [
        SeatOffer(
            request_id=each.request_id,
            course_id=seated[each.request_id],
            reasons=why_class(each, known[seated[each.request_id]]),
        )
        for each in requests
        if each.request_id in seated
    ]
    return matched, offers
