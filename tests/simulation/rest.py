"""The end of a seed: no more faults, and time passes until nothing waits any more."""

from datetime import timedelta

from shared.events.subscriptions import SERVICES
from shared.messaging.relay import LONGEST_RETRY
from tests.simulation.remembered import check, everything_has_arrived, ledgers_are_intact, list_waiting
from tests.simulation.world import World

ROUNDS_TO_REST = 60
# However often it had been tried before, nothing waits longer than that for its next time (`relay.LONGEST_RETRY`).
ARRIVED_WITHIN = LONGEST_RETRY + timedelta(minutes=1)

_NEXT = f"""
    SELECT least({
    ", ".join(
        f"(SELECT min(next_publish_at) FROM {name}.delivery WHERE municipality = $1 AND acked_at IS NULL)"
        for name in SERVICES
    )
}, (SELECT min(greatest(due_at, leased_until)) FROM notifications.due
         WHERE municipality = $1 AND kind IN ('send', 'send_bulk')))
"""


async def come_to_rest(world: World) -> None:
    """No more faults; time passes to whatever comes next, until nothing does. Providers get well last."""
    world.transport.is_away = False
    world.sender.history.clear()
    for service in SERVICES:
        world.clock.step(service, timedelta())
    for worker in world.workers.values():
        await worker.look_at_broker(was_away=True)
    healed_at, waiting = world.clock.now, await list_waiting(world)
    for _ in range(ROUNDS_TO_REST):
        if world.clock.now - healed_at > ARRIVED_WITHIN:
            late = waiting & await list_waiting(world)
            world.expect(not late, f"nothing_waits_for_long: {len(late)} deliveries")
        await _turn_everything(world)
        await check(world)
        world.sender.is_well = True
        rows = await world.ask(_NEXT)
        if rows[0][0] is None:
            break
        world.clock.move(max(rows[0][0] - world.clock.now, timedelta(seconds=1)))
    for worker in world.workers.values():
        await worker.seal(everywhere=True)
        made = await worker.close_day(world.code)
        world.expect(made, f"one_checkpoint_a_day: {worker.name}")
    await _turn_everything(world)
    world.history.append(f"at rest {world.clock}: {', '.join(world.sender.history)}")
    await everything_has_arrived(world)
    await ledgers_are_intact(world)
    world.checked = 0
    await check(world)


async def _turn_everything(world: World) -> None:
    # What was answered too early is believed before it comes again.
    for worker in world.workers.values():
        await worker.take_all_receipts()
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
