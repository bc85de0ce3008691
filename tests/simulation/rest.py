"""The end of a seed: no more faults, and time passes until nothing waits any more."""

from datetime import timedelta

from shared.events.subscriptions import SERVICES
from tests.simulation.remembered import check, everything_has_arrived, ledgers_are_intact
from tests.simulation.world import World

ROUNDS_TO_REST = 60

_NEXT = f"""
    SELECT least({
    ", ".join(
        f"(SELECT min(next_publish_at) FROM {name}.delivery WHERE municipality = $1 AND acked_at IS NULL)"
        for name in SERVICES
    )
}, (SELECT min(greatest(due_at, leased_until)) FROM notifications.due
         WHERE municipality = $1 AND kind = 'send'))
"""


async def come_to_rest(world: World) -> None:
    """No more faults; time passes to whatever comes next, until nothing does."""
    world.transport.is_away = False
    world.sender.is_well = True
    for service in SERVICES:
        world.clock.step(service, timedelta())
    for worker in world.workers.values():
        await worker.look_at_broker(was_away=True)
    for _ in range(ROUNDS_TO_REST):
        await _turn_everything(world)
        await check(world)
        rows = await world.ask(_NEXT)
        if rows[0][0] is None:
            break
        world.clock.move(max(rows[0][0] - world.clock.now, timedelta(seconds=1)))
    for worker in world.workers.values():
        await worker.seal(everywhere=True)
    await _turn_everything(world)
    await everything_has_arrived(world)
    await ledgers_are_intact(world)
    world.checked = 0
    await check(world)


async def _turn_everything(world: World) -> None:
    for worker in world.workers.values():
        await worker.do_what_is_due()
        await worker.look_at_broker(was_away=False)
        await worker.publish()
    for worker in world.workers.values():
        await worker.take_all_events()
    await world.workers["notifications"].send()
    for worker in world.workers.values():
        await worker.send_receipts()
    for worker in world.workers.values():
        await worker.take_all_receipts()
