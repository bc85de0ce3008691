"""Invariants that need a memory, or a program beside SQL."""

from shared.ledger.verify import verify
from tests.simulation.invariants import PROJECTIONS, all_at_once
from tests.simulation.world import Broken, World

ALL_AT_ONCE = all_at_once()
_WRITTEN = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint WHERE $1::text IS NOT NULL"
_HELD = "SELECT visit_id FROM booking.place WHERE municipality = $1 AND visit_id = ANY ($2) AND hold_id IS NOT NULL"

_VERSIONS = " UNION ALL ".join(
    f"SELECT '{table}', {key}::text, version FROM {table} WHERE municipality = $1" for table, key, *_ in PROJECTIONS
)


async def check(world: World) -> None:
    """Every invariant, unless nothing was written since the last time."""
    written = (await world.ask(_WRITTEN))[0][0]
    if written == world.checked and not world.broken:
        return
    since, world.checked = world.checked, written
    await versions_never_go_back(world)
    await a_hold_is_kept(world)
    world.broken += [f"{row['name']}: {row['detail']}" for row in await world.ask(ALL_AT_ONCE, since)]
    world.broken += world.sender.complaints
    if world.broken:
        raise Broken("; ".join(world.broken))


async def a_hold_is_kept(world: World) -> None:
    """§5: "Free → held until t": what somebody holds, nobody takes from them before."""
    now = world.now("booking")
    holding = {one.visit_id: one for one in world.residents if one.held_until is not None and now < one.held_until}
    if holding:
        kept = {row["visit_id"] for row in await world.ask(_HELD, list(holding))}
        for visit_id, resident in holding.items():
            world.expect(visit_id in kept, f"a_hold_is_kept: {resident.label} lost theirs")


async def versions_never_go_back(world: World) -> None:
    """§3: "a projection applies higher versions and ignores lower ones"."""
    for table, key, version in await world.ask(_VERSIONS):
        before = world.versions.get((table, key), 0)
        world.expect(version >= before, f"versions_never_go_back: {table} from {before} to {version}")
        world.versions[table, key] = version


async def ledgers_are_intact(world: World) -> None:
    """§4: "`verify` … names the first broken entry": there is none."""
    for name, service in world.services.items():
        verdict = await verify(service.db, world.code)
        world.expect(verdict.intact, f"ledgers_are_intact: {name} {verdict.broken_reason} at {verdict.broken_seq}")


async def list_waiting(world: World) -> set[tuple[str, str]]:
    """The deliveries, by event and consumer, that nobody has given a receipt for."""
    waiting: set[tuple[str, str]] = set()
    for name in world.services:
        rows = await world.ask(
            f"SELECT event_id::text, consumer FROM {name}.delivery WHERE municipality = $1 AND acked_at IS NULL"
        )
        waiting |= {(row[0], row[1]) for row in rows}
    return waiting


async def everything_has_arrived(world: World) -> None:
    """At rest, effects are commits: nothing waits, nothing is lost, and every projection says what its owner does."""
    waiting = await list_waiting(world)
    world.expect(not waiting, f"everything_has_arrived: {len(waiting)} deliveries wait")
    for name in world.services:
        dead = await world.ask(f"SELECT type, reason FROM {name}.dead_letter WHERE municipality = $1")
        world.expect(not dead, f"everything_has_arrived: {name} has dead letters {[tuple(row) for row in dead]}")
        open_ = await world.ask(
            f"""SELECT count(*) FROM {name}.ledger_entry e
                LEFT JOIN {name}.ledger_chain c USING (municipality, entry_id)
                WHERE e.municipality = $1 AND c.seq IS NULL"""
        )
        world.expect(not open_[0][0], f"everything_has_arrived: {open_[0][0]} entries of {name} are unchained")
    for table, key, owner_table, owner, _ in PROJECTIONS:
        of = owner if "(" in owner else f"owner.{owner}"
        behind = await world.ask(
            f"""SELECT count(*) FROM {table} p JOIN {owner_table} owner
                ON owner.municipality = p.municipality AND {of} = p.{key}
                WHERE p.municipality = $1 AND p.version <> owner.version"""
        )
        world.expect(not behind[0][0], f"everything_has_arrived: {table} is behind")
    missing = await world.ask(_MISSING)
    world.expect(not missing[0][0], f"everything_has_arrived: {missing[0][0]} rows of projections are missing")
    untold = await world.ask(_UNTOLD)
    world.expect(not untold[0][0], f"everything_has_arrived: {untold[0][0]} checkpoints are published otherwise")
    open_ = await world.ask(
        # A helper who has not said how they are told may still do so: what they are told waits a while for it.
        """SELECT kind, state FROM notifications.notice n WHERE municipality = $1
           AND state IN ('pending', 'sending', 'unknown')
           AND (account_ref IS NULL OR EXISTS (
               SELECT FROM notifications.account_contact c
               WHERE (c.municipality, c.account_ref) = (n.municipality, n.account_ref)))"""
    )
    world.expect(not open_, f"everything_has_arrived: notices wait {[tuple(row) for row in open_]}")


_UNTOLD = """
    SELECT count(*) FROM (
        SELECT 'routing' AS service, * FROM routing.ledger_checkpoint WHERE municipality = $1
        UNION ALL SELECT 'booking', * FROM booking.ledger_checkpoint WHERE municipality = $1
        UNION ALL SELECT 'notifications', * FROM notifications.ledger_checkpoint WHERE municipality = $1) AS own
    LEFT JOIN routing.checkpoint told USING (municipality, service, day)
    WHERE (told.tree_size, told.root, told.made_at) IS DISTINCT FROM (own.tree_size, own.root, own.made_at)
"""
_MISSING = """
    SELECT (SELECT count(*) FROM booking.appointment a
            LEFT JOIN routing.appointment r USING (municipality, appointment_id)
            LEFT JOIN notifications.appointment n USING (municipality, appointment_id)
            WHERE a.municipality = $1 AND (r.version IS NULL OR n.version IS NULL))
         + (SELECT count(*) FROM routing.application a
            LEFT JOIN notifications.application n USING (municipality, application_id)
            WHERE a.municipality = $1 AND n.version IS NULL)
         + (SELECT count(*) FROM routing.contact a
            LEFT JOIN notifications.contact_point n USING (municipality, contact_ref)
            WHERE a.municipality = $1 AND n.version IS NULL)
         + (SELECT count(*) FROM (
                SELECT entry_id FROM routing.ledger_entry WHERE municipality = $1
                UNION ALL SELECT entry_id FROM booking.ledger_entry WHERE municipality = $1
                UNION ALL SELECT entry_id FROM notifications.ledger_entry WHERE municipality = $1) AS e
            LEFT JOIN routing.reuse r ON r.municipality = $1 AND r.entry_id = e.entry_id WHERE r.entry_id IS NULL)
"""
