"""What happens to machines and messages by themselves: rounds of the loops, disorder, death, and time."""

from datetime import datetime, time, timedelta

import redis

from shared.clock import JST
from shared.events.subscriptions import SERVICES
from tests.simulation.machines import Worker
from tests.simulation.world import World, action

TAKEN_AT_ONCE = 8
LENGTHS = {"seconds": 8, "minutes": 6, "hour": 2, "hours": 2, "morning": 1, "midnight": 1}
CONSUMER = (
    "consumer.received",
    "consumer.counted",
    "consumer.claimed",
    "consumer.applied",
    "consumer.committed",
    "transaction.written",
    "transaction.committed",
)


@action(12, dies_at=("relay.claimed", "relay.published", "transaction.written", "transaction.committed"))
async def a_relay_publishes(world: World) -> str | None:
    """What is due goes onto its queue, if there is one."""
    worker = _any(world)
    try:
        count = await worker.publish()
    except redis.ConnectionError:
        return f"{worker.name} finds no broker"
    return f"{worker.name} publishes {count}" if count else None


@action(18, dies_at=CONSUMER)
async def events_arrive(world: World) -> str | None:
    """Some of what waits for a service, in some order, some of it again."""
    having = _with_events(world)
    if having is None:
        return None
    worker, queue = having
    labels = []
    for _ in range(world.rng.randint(1, TAKEN_AT_ONCE)):
        if world.transport.queues[queue]:
            parcel = world.transport.take(queue, world.rng)
            labels.append(parcel.label)
            await worker.take_event(parcel, queue)
    return f"{worker.name} hears {', '.join(labels)}"


@action(5, dies_at=("consumer.applied",), deaths=0.75, passes=1)
async def an_event_takes_long(world: World) -> str | None:
    """While its handler is at work, receipts of the same worker go out."""
    having = _with_events(world)
    if having is None:
        return None
    worker, queue = having
    parcel = world.transport.take(queue, world.rng)
    worker.is_slow = True
    try:
        await worker.take_event(parcel, queue)
    finally:
        worker.is_slow = False
    return f"{worker.name} hears {parcel.label}"


@action(2, dies_at=())
async def a_queue_is_turned_round(world: World) -> str | None:
    """What came last goes first."""
    queues = [queue for queue, waiting in world.transport.queues.items() if len(waiting) > 1]
    if not queues:
        return None
    queue = world.rng.choice(queues)
    world.transport.queues[queue].reverse()
    return queue


@action(2, dies_at=())
async def one_event_arrives_twice_at_once(world: World) -> str | None:
    """Two threads of one worker have the same message in hand."""
    having = _with_events(world)
    if having is None:
        return None
    worker, queue = having
    parcel = world.transport.take(queue, world.rng)
    await worker.take_twice(parcel, queue)
    return f"{worker.name} hears twice {parcel.label}"


@action(6, dies_at=("receipts.collected", "receipts.sent"))
async def receipts_go_out(world: World) -> str | None:
    """A consumer's answers to what it has heard."""
    worker = _any(world)
    return f"{worker.name} answers" if await worker.send_receipts() else None


@action(6, dies_at=("receipts.received", "receipts.settled", "transaction.written", "transaction.committed"))
async def receipts_arrive(world: World) -> str | None:
    """A publisher hears what became of its events."""
    having = [worker for worker in world.workers.values() if world.transport.queues[worker.receipts]]
    if not having:
        return None
    worker = world.rng.choice(having)
    parcel = world.transport.take(worker.receipts, world.rng)
    await worker.take_receipts(parcel)
    return f"{worker.name} hears {parcel.label}"


@action(6, dies_at=("due.claimed", "transaction.written", "transaction.committed"))
async def what_is_due_is_done(world: World) -> str | None:
    """A round of a due loop."""
    worker = _any(world)
    count = await worker.do_what_is_due()
    return f"{worker.name} does {count} due" if count else None


@action(4, dies_at=("sealer.linked", "transaction.written", "transaction.committed"))
async def a_ledger_is_sealed(world: World) -> str | None:
    """A round of a sealer."""
    worker = _any(world)
    sealed = await worker.seal(everywhere=world.rng.random() < 0.5)
    return f"{worker.name} seals {sealed}" if sealed else None


@action(1, dies_at=())
async def two_sealers_are_at_work(world: World) -> str | None:
    """In two worker processes of a service, on the same entries."""
    worker = _any(world)
    sealed = await worker.seal_twice()
    return f"{worker.name} seals {sealed}" if sealed else None


@action(8, dies_at=("sending.begun", "sending.reported", "transaction.written", "transaction.committed"))
async def notices_are_sent(world: World) -> str | None:
    """A round of sending."""
    world.sender.history.clear()
    count = await world.workers["notifications"].send()
    if not count:
        return None
    return f"{count} notices have their turn: {', '.join(world.sender.history)}"


@action(1, dies_at=())
async def a_message_is_lost(world: World) -> str | None:
    """One that nobody took."""
    queues = [queue for queue, waiting in world.transport.queues.items() if waiting]
    if not queues:
        return None
    waiting = world.transport.queues[world.rng.choice(queues)]
    return f"lost: {waiting.pop(world.rng.randrange(len(waiting))).label}"


@action(0.7, dies_at=())
async def the_broker_is_wiped(world: World) -> str | None:
    """As by FLUSHALL, or a restart without persistence."""
    return f"{world.transport.wipe()} messages gone"


@action(2, dies_at=())
async def the_broker_goes_or_comes_back(world: World) -> str | None:
    """Nobody reaches it; or everybody does again, and says so to their relay."""
    if not world.transport.is_away and world.rng.random() < 0.7:
        return None
    world.transport.is_away = not world.transport.is_away
    if world.transport.is_away:
        return "away"
    for worker in world.workers.values():
        await worker.look_at_broker(was_away=True)
    return "back"


@action(2)
async def a_relay_looks_at_the_broker(world: World) -> str | None:
    """Which queues are drained, and whether it was wiped."""
    worker = _any(world)
    try:
        await worker.look_at_broker(was_away=False)
    except redis.ConnectionError:
        return f"{worker.name} finds no broker"
    return f"{worker.name} looks"


@action(1.5, dies_at=())
async def a_worker_is_killed(world: World) -> str | None:
    """With nothing in hand but receipts that it has not sent."""
    worker = _any(world)
    worker.start()
    return worker.name


@action(7, dies_at=())
async def time_passes(world: World) -> str | None:
    """Seconds, minutes, hours; to the next morning, or just past midnight."""
    rng = world.rng
    length = rng.choices(list(LENGTHS), weights=list(LENGTHS.values()))[0]
    match length:
        case "seconds":
            by = timedelta(seconds=rng.randint(1, 60))
        case "minutes":
            by = timedelta(minutes=rng.randint(1, 15))
        case "hour":
            by = timedelta(minutes=rng.randint(40, 80))
        case "hours":
            by = timedelta(hours=rng.randint(2, 4))
        case "morning":
            by = _until(world.clock.now, time(8, 30))
        case _:
            by = _until(world.clock.now, time(0, 6))
    world.clock.move(by)
    return length


@action(1, dies_at=())
async def a_clock_is_set_wrong_or_right(world: World) -> str | None:
    """One service's, by an hour."""
    service = world.rng.choice(SERVICES)
    hours = world.rng.choice((-1, 1)) if world.clock.is_right(service) else 0
    world.clock.step(service, timedelta(hours=hours))
    for resident in world.residents:
        # What they were told of was by another clock.
        resident.held_until = resident.again = None
    return f"{service} {hours:+}"


def _any(world: World) -> Worker:
    return world.workers[world.rng.choice(SERVICES)]


def _with_events(world: World) -> tuple[Worker, str] | None:
    """A worker for which events wait, and one of its queues."""
    having = [
        (worker, queue) for worker in world.workers.values() for queue in worker.events if world.transport.queues[queue]
    ]
    return world.rng.choice(having) if having else None


def _until(now: datetime, at: time) -> timedelta:
    local = now.astimezone(JST)
    then = datetime.combine(local.date(), at, JST)
    return (then if then > local else then + timedelta(days=1)) - now
