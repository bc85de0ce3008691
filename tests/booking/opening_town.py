"""Versions of a counter's rule in the small town of these tests: published, looked at, counted."""

from datetime import date, time, timedelta

from services.booking.commands.opening import PublishVersion, preview_version, publish_version, withdraw_version
from services.booking.domain.opening import Hours, OpeningRule, Version, WeekdayHours
from services.booking.queries.opening import Preview, highest_version
from shared.clock import jst_day
from shared.tokens import Identity
from tests.booking.conftest import TOWN, BookingTown

MANAGER = Identity(municipality=TOWN, kind="staff", ref="boss", session_id="s-boss", roles=("manager",))
TUESDAY, WEDNESDAY = date(2026, 6, 2), date(2026, 6, 3)
# What the pack of these tests has for counter 7.
PACK_HOURS = (Hours(time(8, 30), time(17, 15)),)


def make_rule(
    *, slot_min: int = 30, places: int = 2, staff_only: int = 0, kiosk: int = 0,
    hours: tuple[Hours, ...] = PACK_HOURS,
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5), **changes: object,
) -> OpeningRule:  # fmt: skip
    """The pack's rule for counter 7, with changes."""
    week = tuple(WeekdayHours(weekday=day, hours=hours) for day in weekdays)
    values: dict[str, object] = {
        "slot_min": slot_min, "places": places, "staff_only_places": staff_only, "kiosk_places": kiosk, "week": week,
    }  # fmt: skip
    return OpeningRule(**{**values, **changes})  # type: ignore[arg-type]


async def publish(
    town: BookingTown, rule: OpeningRule, valid_from: date | None = None, *, counter: str = "7", seen: int | None = None
) -> int:
    """As staff who have just looked at the page do it; from tomorrow unless a day is given."""
    new = Version(valid_from=valid_from or jst_day(town.now) + timedelta(days=1), rule=rule)
    async with town.db.begin(TOWN) as session:
        last = await highest_version(session, TOWN, counter) if seen is None else seen
        return await publish_version(
            session, MANAGER, PublishVersion(counter=counter, new=new, seen=last), now=town.now
        )


async def withdraw(town: BookingTown, version: int, *, counter: str = "7") -> None:
    async with town.db.begin(TOWN) as session:
        await withdraw_version(session, MANAGER, counter, version, now=town.now)


async def preview(town: BookingTown, rule: OpeningRule, valid_from: date, *, counter: str = "7") -> Preview:
    async with town.db.begin(TOWN) as session:
        return await preview_version(session, TOWN, counter, Version(valid_from=valid_from, rule=rule), now=town.now)


async def all_slots(town: BookingTown, counter: str = "7", *, code: str = TOWN) -> list:  # type: ignore[type-arg]
    """Every slot of a counter with what shows that its rows were written: their places, and PostgreSQL's own marks."""
    return await town.rows(
        """SELECT s.slot_id, s.starts_at, s.ends_at, s.capacity, s.withdrawn, s.xmin::text AS written,
                  (SELECT array_agg(p.place_no || p.audience || p.xmin::text ORDER BY p.place_no)
                   FROM booking.place p WHERE (p.municipality, p.slot_id) = (s.municipality, s.slot_id)) AS places
           FROM booking.slot s WHERE s.municipality = :code AND s.counter = :counter ORDER BY s.starts_at""",
        code=code,
        counter=counter,
    )
