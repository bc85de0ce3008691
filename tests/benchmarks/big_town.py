"""The sample town under another name, with room for tens of thousands at one counter."""

import re
import shutil
from uuid import UUID

import msgspec

from tests.benchmarks.house import House
from tests.benchmarks.statements import uuid_of
from tests.stack import SAMPLE_TOWN, run_cli

COUNTER, PROCEDURE = "7", "CHI02"
SLOT_KIND = 1
# As many as the database lets one slot have.
PLACES = 50

# Slots after hours, with ids that a script can make from a number.
_ADD_SLOTS = """
    INSERT INTO booking.slot (municipality, slot_id, counter, starts_at, ends_at, capacity)
    SELECT '{code}', ('{kind:08x}-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '{counter}',
           date_trunc('day', now()) + (3 + i / 60) * interval '1 day' + (600 + i % 60 * 5) * interval '1 minute',
           date_trunc('day', now()) + (3 + i / 60) * interval '1 day' + (605 + i % 60 * 5) * interval '1 minute',
           {places}
    FROM generate_series(0, {slots} - 1) AS i;
    INSERT INTO booking.place (municipality, slot_id, place_no, capacity, audience, changed_at)
    SELECT municipality, slot_id, place_no, {places}, 'public', now()
    FROM booking.slot, generate_series(1, {places}) AS place_no
    WHERE municipality = '{code}' AND slot_id::text LIKE '{kind:08x}-0000-4000-8000-%';
    ANALYZE;
"""


class BigTown(msgspec.Struct, frozen=True):
    """Its code and host name, and how many slots are added, each with `PLACES` places."""

    code: str
    host: str
    slot_count: int

    @property
    def slots(self) -> list[UUID]:
        """The slots that were added, in order of time."""
        return [uuid_of(SLOT_KIND, number) for number in range(self.slot_count)]

    async def open(self, house: House) -> None:
        """Load it into the running product, and add its slots."""
        folder = house.stack.logs / f"{self.code}-town"
        shutil.copytree(SAMPLE_TOWN, folder)
        text = (folder / "town.toml").read_text("utf-8")
        text = text.replace('code = "143421"', f'code = "{self.code}"')
        text = text.replace('hosts = ["ninomiya.localhost"]', f'hosts = ["{self.host}"]')
        # Nobody's trial reminder falls into a measurement.
        text = re.sub(r"(?m)^trial_reminder_after_s = \d+$", "trial_reminder_after_s = 7200", text)
        (folder / "town.toml").write_text(text, "utf-8")
        run_cli(house.environ, "town", "load", str(folder))
        added = _ADD_SLOTS.format(code=self.code, kind=SLOT_KIND, counter=COUNTER, places=PLACES, slots=self.slot_count)
        await house.execute(added)
        await house.settle()
        # A running front would know the new host only after half a minute.
        house.stack.stop("front")
        house.stack.start("front")
        house.stack.wait_until_ready()
