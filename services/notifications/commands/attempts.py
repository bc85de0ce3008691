"""Attempts at sending: begun and ended in transactions of their own, with none open while the provider is called."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.accounts import read_account_contacts
from services.notifications.commands.choosing import choose_providers
from services.notifications.commands.contacts import read_addresses
from services.notifications.commands.dead_attempts import close_dead
from services.notifications.commands.notice_rows import (
    former_address,
    matter_of,
    newest_of,
    order_of,
    reading_of,
    select_notices,
    waiting_of,
)
from services.notifications.commands.own_texts import read_own_texts
from services.notifications.commands.receipts import go_on_if_sent
from services.notifications.commands.tasks import open_task
from services.notifications.commands.telling_systems import tell_systems
from services.notifications.commands.told import STATES, notice_progressed
from services.notifications.commands.ways import mark_dead
from services.notifications.commands.ways_left import list_ways_left
from services.notifications.domain.notices import (
    MAY_BE_MISSED,
    OF_TOWN,
    SEND,
    SEND_BULK,
    Decision,
    Leave,
    LookAgain,
    Send,
    Settle,
    decide,
    due_kind,
)
from services.notifications.domain.outcomes import LETTER_LATE, Outcome, task_reason
from services.notifications.domain.retries import TRIES_MAX, Facts, Step, next_step
from services.notifications.domain.ways import Way
from services.notifications.keys import Keys
from services.notifications.orders import Order, tag_of
from services.notifications.own_words import words_used
from services.notifications.providers.providers import Providers
from services.notifications.senders.sender import NOT_STARTED
from services.notifications.tables import SERVICE, notice, outbox
from shared.db import Prepared
from shared.events.notifications import NoticeProgressed
from shared.log import get_logger
from shared.messaging.due import NEVER, Due, schedule_all
from shared.town_texts import SOURCE_LANGUAGE, read_town_texts

log = get_logger(__name__)

# A worker that dies is taken for dead so long after it began. A batch is made to end sooner: its last message starts
# within START_WITHIN_S and takes TIMEOUT_S (see `senders`); the rest is for the database, before and after.
LEASE = timedelta(seconds=30)

_DONE_WITH = Prepared(f"""
    DELETE FROM {SERVICE}.due WHERE municipality = :municipality
      AND kind = ANY (CAST(:kinds AS text[])) AND ref = ANY (CAST(:refs AS text[]))
""")
_CLOSE = Prepared(f"""
    UPDATE {SERVICE}.attempt a
    SET outcome = told.outcome, finished_at = :now, provider_ref = told.provider_ref, error_code = told.error_code
    FROM unnest(CAST(:notices AS uuid[]), CAST(:leases AS uuid[]), CAST(:outcomes AS text[]),
                CAST(:refs AS text[]), CAST(:errors AS text[]))
         AS told(notice_id, lease_token, outcome, provider_ref, error_code)
    WHERE a.municipality = :municipality AND (a.notice_id, a.lease_token) = (told.notice_id, told.lease_token)
      AND a.outcome IS NULL
    RETURNING a.notice_id, a.delivery
""")
_MOVE = Prepared(f"""
    UPDATE {SERVICE}.notice n
    SET state = told.state, tries = told.tries, reason = told.reason,
        settled_at = CASE WHEN told.state IN ('sent', 'failed', 'undeliverable') THEN CAST(:now AS timestamptz) END,
        delivery = CASE WHEN told.state = 'sent' THEN coalesce(n.delivery, 'accepted') ELSE n.delivery END
    FROM unnest(CAST(:notices AS uuid[]), CAST(:states AS text[]), CAST(:tries AS int[]), CAST(:reasons AS text[]))
         AS told(notice_id, state, tries, reason)
    WHERE n.municipality = :municipality AND n.notice_id = told.notice_id AND n.state = 'sending'
""")
# In the order of whoever begins attempts, or records a receipt: the notice before its attempts.
_LOCK = Prepared(f"""
    SELECT notice_id FROM {SERVICE}.notice
    WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[])) ORDER BY notice_id FOR UPDATE
""")
_MADE = Prepared(f"""
    SELECT notice_id, max(attempt_no) AS last_no, max(leased_until) FILTER (WHERE outcome IS NULL) AS open_until
    FROM {SERVICE}.attempt WHERE municipality = :municipality AND notice_id = ANY (CAST(:notices AS uuid[]))
    GROUP BY notice_id
""")
# Each notice's attempt, and its state.
_BEGIN = Prepared(f"""
    WITH begun AS (
        INSERT INTO {SERVICE}.attempt (
            municipality, leased_until, started_at, notice_id, attempt_no, lease_token, provider, way_no, tag,
            words)
        SELECT :municipality, :leased_until, :now, notice_id, attempt_no, lease_token, provider, way_no, tag,
               CAST(words AS jsonb)
        FROM unnest(CAST(:notices AS uuid[]), CAST(:numbers AS int[]), CAST(:leases AS uuid[]),
                    CAST(:providers AS text[]), CAST(:ways AS int[]), CAST(:tags AS text[]),
                    CAST(:words AS text[]))
             AS new(notice_id, attempt_no, lease_token, provider, way_no, tag, words))
    UPDATE {SERVICE}.notice n SET state = 'sending', reach = new.reach
    FROM unnest(CAST(:notices AS uuid[]), CAST(:reaches AS text[])) AS new(notice_id, reach)
    WHERE n.municipality = :municipality AND n.notice_id = new.notice_id
""")


class Result(msgspec.Struct, frozen=True):
    """What became of an order."""

    order: Order
    outcome: Outcome


async def begin_attempts(
    session: AsyncSession,
    keys: Keys,
    municipality: str,
    notice_ids: Sequence[UUID],
    providers: Providers,
    *,
    now: datetime,
    takes_over: bool = True,
) -> list[Order]:
    """Decide on notices whose turn it is, and begin an attempt at each that is to be sent now.

    Who takes it is written down with it: it must be known even if nobody lives to tell what became of it.
    An attempt whose lease has run out is taken for dead only if this `takes_over`.
    The addresses are read here, with their ledger entries. The caller commits before calling any provider.
    """
    rows: Sequence[Row[Any]] = (await session.execute(select_notices(municipality, notice_ids))).all()
    attempts = await _attempts_of(session, municipality, notice_ids)
    lapsed = now if takes_over else NEVER
    dead = [row.notice_id for row in rows if _is_dead(attempts.get(row.notice_id), lapsed)]
    gone = set(notice_ids) - {row.notice_id for row in rows}
    settled = await close_dead(session, municipality, dead, now=now)
    of_town = {row.notice_id for row in rows if row.kind in OF_TOWN}
    rows = [row for row in rows if row.notice_id not in settled]

    ways, late = await list_ways_left(session, municipality, rows, now=now)
    decisions: list[tuple[Row[Any], Decision]] = []
    for row in rows:
        tries = row.tries + (row.notice_id in dead)
        in_flight = _is_in_flight(attempts.get(row.notice_id), lapsed)
        decision = decide(waiting_of(row, in_flight=in_flight), newest_of(row), now=now)
        if isinstance(decision, Send) and tries >= TRIES_MAX:
            decision = Settle("undeliverable", "gave_up", task=True)
        if isinstance(decision, Send) and row.notice_id in ways and not ways[row.notice_id]:
            decision = Settle("undeliverable", LETTER_LATE if row.notice_id in late else "no_way", task=True)
        decisions.append((row, decision))

    going = {
        row.notice_id: (row, ways[row.notice_id][0] if ways.get(row.notice_id) else None)
        for row, decision in decisions
        if isinstance(decision, Send)
    }
    retried = [notice_id for notice_id in going if notice_id in attempts]
    choice = await choose_providers(session, municipality, providers, list(going.values()), retried, now=now)
    decisions = [(row, choice.put_off.get(row.notice_id, decision)) for row, decision in decisions]
    to_send = [row for row, decision in decisions if isinstance(decision, Send)]
    addresses = await _addresses_of(session, keys, municipality, to_send, ways, now=now)
    # Japanese is the source of the town's texts.
    is_translated = any(row.language not in (None, SOURCE_LANGUAGE) for row in rows)
    texts = await read_town_texts(session, municipality) if is_translated else {}
    own = await read_own_texts(session, municipality, {row.kind for row in to_send})
    orders, plans = [], []
    finished = [str(notice_id) for notice_id in gone]
    for row, decision in decisions:
        match decision:
            case Send() if row.notice_id in addresses:
                last = attempts.get(row.notice_id)
                number = last.last_no + 1 if last else 1
                was_dead, address = row.notice_id in dead, addresses[row.notice_id]
                left = ways.get(row.notice_id, [])
                order = order_of(row, keys, municipality, number, was_dead, left[0] if left else None, address)
                by = choice.taken[row.notice_id]
                orders.append(
                    msgspec.structs.replace(
                        order,
                        texts=texts,
                        own=own.of(row),
                        has_next=len(left) > 1,
                        provider=by.provider,
                        tried=by.tried,
                    )
                )
            case Send():
                # The turn that it took at its provider is another one's.
                taken = choice.taken[row.notice_id].provider
                providers.hear(taken, NOT_STARTED, bulk=row.bulk, took_s=0.0, now=now)
                await _settle(session, municipality, row, Settle("undeliverable", "erased"), now=now)
                finished.append(str(row.notice_id))
            case LookAgain(at):
                plans.append(Due(due_kind(bulk=row.bulk), str(row.notice_id), at))
            case Settle():
                await _settle(session, municipality, row, decision, now=now)
                finished.append(str(row.notice_id))
            case Leave() if row.state != "sending":
                finished.append(str(row.notice_id))
    ended = {row.notice_id for row in rows if str(row.notice_id) in finished} | settled
    await tell_systems(session, municipality, of_town & ended, now=now)
    await _write_begun(session, orders, providers, now=now)
    await schedule_all(session, SERVICE, municipality, plans)
    if finished:
        await _DONE_WITH.row(session, {"municipality": municipality, "kinds": [SEND, SEND_BULK], "refs": finished})
    return orders


async def end_attempts(
    session: AsyncSession,
    municipality: str,
    results: Sequence[Result],
    providers: Providers,
    *,
    now: datetime,
    chance: Callable[[], float],
) -> None:
    """Record what became of the attempts, and plan the next ones. An attempt that was taken over stays as it is.

    `chance` gives random numbers from 0 to 1, for the jitter of retries.
    """
    told = {
        "municipality": municipality,
        "now": now,
        "notices": [result.order.notice_id for result in results],
        "leases": [result.order.lease_token for result in results],
        "outcomes": [result.outcome.kind for result in results],
        "refs": [result.outcome.provider_ref for result in results],
        "errors": [result.outcome.error_code for result in results],
    }
    await _LOCK.rows(session, {"municipality": municipality, "notices": told["notices"]})
    ours = {row.notice_id: row.delivery for row in await _CLOSE.rows(session, told)}
    moves: list[tuple[UUID, str, int, str | None]] = []
    finished: list[str] = []
    plans: list[Due] = []
    told_of: list[NoticeProgressed] = []
    for result in results:
        order = result.order
        if order.notice_id not in ours:
            continue
        step = _step(_as_told(result, ours[order.notice_id]), providers, now=now, chance=chance())
        moves.append((order.notice_id, step.state, step.tries, step.reason))
        if step.again_at is not None:
            plans.append(Due(due_kind(bulk=order.bulk), str(order.notice_id), step.again_at))
            continue
        finished.append(str(order.notice_id))
        told_of += notice_progressed(
            municipality=municipality,
            notice_id=order.notice_id,
            case_id=order.case_id,
            kind=order.kind,
            reach=order.reach,
            state=STATES.get(step.state),
            now=now,
        )
        if step.state != "sent" and order.kind not in MAY_BE_MISSED:
            await open_task(
                session,
                municipality=municipality,
                notice_id=order.notice_id,
                kind=order.kind,
                matter=order.matter,
                number=order.number,
                reason=task_reason(step.reason, "rejected" if step.state == "failed" else "gave_up"),
                now=now,
            )
    outcomes = [(each.order.notice_id, each.order.way_no, each.outcome.error_code) for each in results]
    await mark_dead(session, municipality, [each for each in outcomes if each[0] in ours], now=now)
    if moves:
        notices, states, tries_of, reasons = (list(column) for column in zip(*moves, strict=True))
        moved = {"notices": notices, "states": states, "tries": tries_of, "reasons": reasons}
        await _MOVE.row(session, {"municipality": municipality, "now": now} | moved)
    await outbox.publish(session, *told_of)
    await schedule_all(session, SERVICE, municipality, plans)
    if finished:
        await _DONE_WITH.row(session, {"municipality": municipality, "kinds": [SEND, SEND_BULK], "refs": finished})
    for notice_id, delivery in ours.items():
        if delivery == "not_delivered":
            # Its receipt was quicker than its answer.
            await go_on_if_sent(session, municipality, notice_id, now=now)
    of_town = [each.order.notice_id for each in results if each.order.kind in OF_TOWN and each.order.notice_id in ours]
    await tell_systems(session, municipality, of_town, now=now)


def _as_told(result: Result, delivery: str | None) -> Result:
    """The result, unless a receipt that came before it knows better: what has arrived was accepted."""
    if delivery != "delivered":
        return result
    return Result(result.order, Outcome(kind="accepted", provider_ref=result.outcome.provider_ref))


def _step(result: Result, providers: Providers, *, now: datetime, chance: float) -> Step:
    order = result.order
    facts = Facts(
        tries=order.tries,
        unknown=sum(each.unknown for each in order.tried),
        useful_until=order.useful_until,
        has_next_way=order.has_next,
        has_other_provider=providers.has_other(order.provider, order.reach, order.tried, bulk=order.bulk),
        may_ask_again=providers.may_ask_again(order.provider),
    )
    return next_step(result.outcome, facts, now=now, chance=chance)


class _Attempts(msgspec.Struct, frozen=True):
    last_no: int
    open_until: datetime | None


async def _attempts_of(session: AsyncSession, municipality: str, notice_ids: Sequence[UUID]) -> dict[UUID, _Attempts]:
    rows = await _MADE.rows(session, {"municipality": municipality, "notices": notice_ids})
    return {row.notice_id: _Attempts(row.last_no, row.open_until) for row in rows}


async def _addresses_of(
    session: AsyncSession,
    keys: Keys,
    municipality: str,
    rows: Sequence[Row[Any]],
    ways: Mapping[UUID, Sequence[Way]],
    *,
    now: datetime,
) -> dict[UUID, str]:
    """Where these notices go, by notice. What of a resident is read for it, they are told by the ledger."""
    addresses: dict[UUID, str] = {}
    if readings := [reading_of(row, ways[row.notice_id][0]) for row in rows if row.notice_id in ways]:
        addresses |= await read_addresses(session, keys.vault, municipality, readings, now=now)
    of_accounts = [row for row in rows if row.account_ref is not None and row.former_reach is None]
    if of_accounts:
        refs = {row.account_ref for row in of_accounts}
        contacts = await read_account_contacts(session, keys.vault, municipality, refs)
        addresses |= {
            row.notice_id: contacts[row.account_ref].address for row in of_accounts if row.account_ref in contacts
        }
    for row in rows:
        if row.former_reach is not None and (address := former_address(row, keys, municipality)):
            addresses[row.notice_id] = address
    return addresses


def _is_in_flight(known: _Attempts | None, lapsed: datetime) -> bool:
    return known is not None and known.open_until is not None and known.open_until > lapsed


def _is_dead(known: _Attempts | None, lapsed: datetime) -> bool:
    return known is not None and known.open_until is not None and known.open_until <= lapsed


async def _settle(session: AsyncSession, municipality: str, row: Row[Any], decision: Settle, *, now: datetime) -> None:
    await session.execute(
        update(notice)
        .where(notice.c.municipality == municipality, notice.c.notice_id == row.notice_id)
        .values(state=decision.state, reason=decision.reason, settled_at=now, reach=row.contact_reach)
    )
    told = notice_progressed(
        municipality=municipality,
        notice_id=row.notice_id,
        case_id=row.case_id,
        kind=row.kind,
        reach=row.contact_reach,
        state=STATES.get(decision.state),
        now=now,
    )
    await outbox.publish(session, *told)
    if decision.task and row.kind not in MAY_BE_MISSED:
        await open_task(
            session,
            municipality=municipality,
            notice_id=row.notice_id,
            kind=row.kind,
            matter=matter_of(row),
            number=row.number or "",
            reason=decision.reason,
            now=now,
        )


async def _write_begun(session: AsyncSession, orders: Sequence[Order], providers: Providers, *, now: datetime) -> None:
    if not orders:
        return
    begun = {
        "municipality": orders[0].municipality,
        "now": now,
        "leased_until": now + LEASE,
        "notices": [order.notice_id for order in orders],
        "numbers": [order.attempt_no for order in orders],
        "leases": [order.lease_token for order in orders],
        "providers": [order.provider for order in orders],
        "reaches": [order.reach for order in orders],
        "ways": [order.way_no for order in orders],
        "tags": [tag_of(order.key) if order.reach == "sms" else None for order in orders],
        "words": [
            msgspec.json.encode(words_used(order, providers.text_limit(order.provider))).decode() for order in orders
        ],
    }
    await _BEGIN.row(session, begun)
