"""For coordinators and managers: when counters and venues are open, what a change would do, and publishing it."""

from datetime import date, datetime, time
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.booking.api import examples
from services.booking.api.refused import COUNTER, RULE
from services.booking.commands.opening import PublishVersion, preview_version, publish_version, withdraw_version
from services.booking.domain.opening import (
    EVERY_WEEKS_MAX,
    HOURS_PER_DAY_MAX,
    PLACES_MAX,
    REASON_MAX_LENGTH,
    SLOT_MIN_MAX,
    SLOT_MIN_MIN,
    SPECIAL_DAYS_MAX,
    Hours,
    OpeningRule,
    SpecialDay,
    Version,
    WeekdayHours,
)
from services.booking.flow import Rush
from services.booking.queries.opening import Preview, VersionView, find_kind, highest_version, list_versions
from services.booking.queries.rules import Kind, list_counter_rules
from shared.clock import jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.documented import IdempotencyKey, documented, read_json
from shared.web.identity import require_role
from shared.web.town import Town

GUARDS = [require_role("coordinator", "manager")]
TAGS = ["opening rules (staff)"]
ROOT = "/booking/api/opening"
# Seconds as the answers have them, so that what was read can be sent back.
TIME_PATTERN = "^([01][0-9]|2[0-3]):[0-5][0-9](:00)?$"
VERSION_DIGITS_MAX = 9
EXAMPLE = {
    "valid_from": "2026-12-07",
    "rule": {
        "slot_min": 30,
        "places": 2,
        "staff_only_places": 0,
        "kiosk_places": 0,
        "week": [{"weekday": 1, "hours": [{"opens_at": "08:30", "closes_at": "17:00"}]}],
    },
}

Req = Request[Any, Any, Any]
TimeOfDay = Annotated[str, msgspec.Meta(pattern=TIME_PATTERN, description="In Japan.", examples=["08:30"])]
Nth = Annotated[int, msgspec.Meta(ge=1, le=5)]


class HoursBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open without a break from one time to another. Until 00:00 is until midnight."""

    opens_at: TimeOfDay
    closes_at: TimeOfDay


ManyHours = Annotated[list[HoursBody], msgspec.Meta(max_length=HOURS_PER_DAY_MAX)]


class WeekdayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hours of an ISO weekday (1 Monday … 7 Sunday): every week or every n weeks, or the nth of a month only."""

    weekday: Annotated[int, msgspec.Meta(ge=1, le=7)]
    hours: ManyHours
    every_weeks: Annotated[int, msgspec.Meta(ge=1, le=EVERY_WEEKS_MAX)] = 1
    nth: Annotated[list[Nth], msgspec.Meta(max_length=5)] = []


class SpecialDayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One day that is closed (no hours), or has hours of its own."""

    day: date
    hours: ManyHours = []
    reason_ja: Annotated[str, msgspec.Meta(pattern=f"^[^\\x00-\\x1f]{{1,{REASON_MAX_LENGTH}}}$")]


class RuleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule. `slot_min` in minutes; a venue has no places of its own (0): its helpers say how many."""

    slot_min: Annotated[int, msgspec.Meta(ge=SLOT_MIN_MIN, le=SLOT_MIN_MAX)]
    places: Annotated[int, msgspec.Meta(ge=0, le=PLACES_MAX)]
    staff_only_places: Annotated[int, msgspec.Meta(ge=0, le=PLACES_MAX)] = 0
    kiosk_places: Annotated[
        int, msgspec.Meta(ge=0, le=PLACES_MAX, description="Given out at the ticket machine in the lobby only.")
    ] = 0
    week: Annotated[list[WeekdayBody], msgspec.Meta(max_length=7)]
    first_week: date | None = None
    special_days: Annotated[list[SpecialDayBody], msgspec.Meta(max_length=SPECIAL_DAYS_MAX)] = []


class VersionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule, and the day from which it counts: tomorrow or later."""

    valid_from: date
    rule: RuleBody


class PublishBody(VersionBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As `VersionBody`; `seen` is the `highest` version that the client saw."""

    seen: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class CounterAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A counter or venue that has opening rules."""

    counter: str
    kind: Kind


class OpeningAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a counter or venue that are not withdrawn, the latest first. `highest` is for publishing."""

    counter: str
    kind: Kind
    highest: int
    versions: list[VersionView]


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The version that was made."""

    version: int


@get(
    ROOT,
    guards=GUARDS,
    tags=TAGS,
    opt=documented(returns=[CounterAnswer(counter=examples.COUNTER, kind="counter")]),
)
async def get_counters_open(
    db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> list[CounterAnswer]:
    """The counters and venues."""
    async with db.begin(town.code) as session:
        rules = await list_counter_rules(session, town.code, today=jst_day(now))
    return [CounterAnswer(counter=found.counter, kind=found.kind) for found in rules]


OPENING_EXAMPLE = OpeningAnswer(counter=examples.COUNTER, kind="counter", highest=1, versions=[examples.VERSION])


@get(
    f"{ROOT}/{{counter:str}}",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(returns=OPENING_EXAMPLE, refusals=COUNTER),
)
async def get_opening(
    counter: FromPath[str], db: NamedDependency[Database], town: NamedDependency[Town]
) -> OpeningAnswer:
    """The rules of a counter or venue."""
    known = _known(counter)
    async with db.begin(town.code) as session:
        kind = await find_kind(session, town.code, known)
        if kind is None:
            raise Refusal("counter_unknown", 404)
        return OpeningAnswer(
            counter=known,
            kind=kind,
            highest=await highest_version(session, town.code, known),
            versions=await list_versions(session, town.code, known),
        )


@post(
    f"{ROOT}/{{counter:str}}/preview",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(body=VersionBody, example=EXAMPLE, returns=examples.PREVIEW, refusals=RULE),
)
async def post_opening_preview(
    request: Req,
    counter: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    key: IdempotencyKey = None,  # noqa: ARG001 - nothing is kept
) -> Preview:
    """What a version would do.

    Slots that come and go, and the appointments in conflict, by number. Nothing is kept.
    """
    new = _version(await read_json(request, VersionBody))
    async with db.begin(town.code) as session:
        return await preview_version(session, town.code, _known(counter), new, now=now)


@post(
    f"{ROOT}/{{counter:str}}/versions",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(
        body=PublishBody,
        example=EXAMPLE | {"seen": 1},
        returns=Published(version=2),
        refusals=RULE | {"rules_moved": 409},
    ),
)
async def post_version(
    request: Req,
    counter: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
    key: IdempotencyKey = None,  # noqa: ARG001 - the same version of the same day is one version
) -> Published:
    """Publish a version.

    Whoever is in a slot stays in it. Sent again, it is the version that was made.
    """
    body = await read_json(request, PublishBody)
    order = PublishVersion(counter=_known(counter), new=_version(body), seen=body.seen)
    return Published(
        version=await rush.run(db, town.code, lambda session: publish_version(session, identity, order, now=now))
    )


@delete(
    f"{ROOT}/{{counter:str}}/versions/{{version:str}}",
    guards=GUARDS,
    tags=TAGS,
    opt=documented(refusals={"version_unknown": 404, "version_open": 409}),
)
async def delete_version(
    counter: FromPath[str],
    version: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> None:
    """Take a version back before its day has come."""
    if not (version.isascii() and version.isdigit()) or len(version) > VERSION_DIGITS_MAX:
        raise Refusal("version_unknown", 404)
    wanted, number = _known(counter), int(version)
    await rush.run(db, town.code, lambda session: withdraw_version(session, identity, wanted, number, now=now))


def _known(counter: str) -> str:
    """A code as a counter may have one.

    Raises:
        Refusal: `counter_unknown` (404).
    """
    if not counter.isprintable():
        raise Refusal("counter_unknown", 404)
    return counter


def _version(body: VersionBody) -> Version:
    return Version(
        valid_from=body.valid_from,
        rule=OpeningRule(
            slot_min=body.rule.slot_min,
            places=body.rule.places,
            staff_only_places=body.rule.staff_only_places,
            kiosk_places=body.rule.kiosk_places,
            week=tuple(
                WeekdayHours(
                    weekday=each.weekday,
                    hours=_hours(each.hours),
                    every_weeks=each.every_weeks,
                    nth=tuple(each.nth),
                )
                for each in body.rule.week
            ),
            first_week=body.rule.first_week,
            special_days=tuple(
                SpecialDay(day=each.day, hours=_hours(each.hours), reason_ja=each.reason_ja)
                for each in body.rule.special_days
            ),
        ),
    )


def _hours(spans: list[HoursBody]) -> tuple[Hours, ...]:
    return tuple(Hours(_time(span.opens_at), _time(span.closes_at)) for span in spans)


def _time(typed: str) -> time:
    # A pattern ends before a line feed, too.
    return time.fromisoformat(typed[:5])
