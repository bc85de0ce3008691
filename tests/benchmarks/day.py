"""Simulated days at nine counters: by how much the wait that is told at check-in is wrong."""

from services.booking.keys import Keys
from services.booking.settings import load_settings
from shared.db import Database
from shared.town_pack import QueueRules
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import House
from tests.booking.day_hall import PEOPLE, Hall

SEEDS = (1, 2, 3)
# Towns of their own: what they do is in nobody else's figures.
TOWNS = ("149991", "149992", "149993")


async def measure(house: House) -> list[Figure]:
    """The mean error over the days, beside the mean wait."""
    settings = load_settings(dict(house.environ))
    db = Database(settings.database_url, service="booking")
    days = []
    for seed, town in zip(SEEDS, TOWNS, strict=True):
        known = f"('{town}', '町', 'マチ', 'x')"
        await house.execute(f"INSERT INTO town.municipality VALUES {known} ON CONFLICT DO NOTHING")
        hall = Hall(db, Keys.from_settings(settings), town, seed=seed, rules=QueueRules(), people=PEOPLE)
        days.append(await hall.run())
    await db.dispose()
    told = sum(day.told.people for day in days)
    error = sum(day.told.mean_error_min * day.told.people for day in days) / told
    waited = sum(day.waited_min for day in days) / len(days)
    name = f"{PEOPLE} people a day at 9 counters, {len(SEEDS)} days: mean error of the wait told at check-in"
    return [make_figure("day", name, error, "min", "", reference=waited, reference_name="the mean wait")]
