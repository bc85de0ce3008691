"""The sending loop: claims notices that are due across towns, and takes batches of them to their providers.

A due row and an attempt are both leased. No transaction is open while a provider is called.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from services.notifications.commands.attempts import LEASE, Result, begin_attempts, end_attempts
from services.notifications.commands.line import without_unfollowed
from services.notifications.domain.notices import due_kind
from services.notifications.domain.outcomes import Outcome
from services.notifications.keys import Keys
from services.notifications.letters.letter import CannotBePrinted
from services.notifications.metrics import ATTEMPTS, DISPATCH_SECONDS
from services.notifications.orders import Order
from services.notifications.providers.providers import Providers
from services.notifications.rendering import TextTooLong, render
from services.notifications.senders.sender import NOT_STARTED, Message, Sender
from shared.clock import Clock
from shared.db import Database, Prepared
from shared.faults import pass_step
from shared.log import describe, get_logger
from shared.messaging.due import DueRows
from shared.practice import is_practice
from shared.timekeeping import NOTICED_WITHIN_S, may_differ, may_outlive, was_set_within

log = get_logger(__name__)

POLL_INTERVAL_S = 0.2
FAILED_PAUSE_S = 1.0
BATCH = 64
# Of one lane. However few the messages of each batch are that a provider holds up, others find room beside them.
IN_HAND_MAX = 256
STOP_WITHIN_S = 10.0
# Their leases run from the first of them on.
ONE_BY_ONE_WITHIN_S = 5.0


class SendingLoop:
    """Sends the notices of one lane: those that somebody waits for, or those in bulk.

    Each lane has batches and senders of its own (by the provider's name), so that neither waits for the other; what is
    known of the providers both share. Several loops of a lane may run: a due row is leased to one of them. After a step
    of the clock none claims until all have noticed, and none takes over until every lease of the time before has run
    out: an attempt whose worker lives is not taken for dead.
    """

    def __init__(
        self,
        db: Database,
        keys: Keys,
        senders: Mapping[str, Sender],
        providers: Providers,
        clock: Clock,
        *,
        bulk: bool = False,
        mail_from: str = "",
        bounce_domain: str = "",
    ) -> None:
        self._db = db
        self._keys = keys
        self._senders = senders
        self._providers = providers
        self._clock = clock
        self._render = partial(render, mail_from=mail_from, bounce_domain=bounce_domain)
        self._kind = due_kind(bulk=bulk)
        self._rows = DueRows(db, [self._kind], clock, lease=LEASE, batch=BATCH)
        self._are_times_right = True
        # What has another time for a reason is given it again when it is looked at.
        self._set_right = Prepared(f"""
            UPDATE {db.service}.due SET due_at = :now, leased_until = NULL
            WHERE kind = :kind AND due_at > :now
        """)

    async def run(self) -> None:
        """Send until cancelled; then let the batches in hand come to their end."""
        batches: dict[asyncio.Task[None], int] = {}
        try:
            while True:
                if sum(batches.values()) + BATCH > IN_HAND_MAX:
                    await asyncio.wait(batches, return_when=asyncio.FIRST_COMPLETED)
                batches = {batch: count for batch, count in batches.items() if not batch.done()}
                try:
                    claimed = await self._claim_due()
                except Exception as error:  # noqa: BLE001 - the database is away: the rows stay due
                    log.warning("sending_loop_failed", **describe(error))
                    await asyncio.sleep(FAILED_PAUSE_S)
                    continue
                count = sum(map(len, claimed.values()))
                if claimed:
                    batches[asyncio.create_task(self._send_all(claimed))] = count
                if count < BATCH:
                    await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            if batches:
                await asyncio.wait(batches, timeout=STOP_WITHIN_S)
            for batch in batches:
                batch.cancel()
            for sender in self._senders.values():
                await sender.close()

    async def run_once(self) -> int:
        """Claim one batch and send it; return how many notices had their turn."""
        claimed = await self._claim_due()
        await self._send_all(claimed)
        return sum(map(len, claimed.values()))

    async def _claim_due(self) -> dict[str, list[UUID]]:
        claimed: dict[str, list[UUID]] = defaultdict(list)
        now = self._clock()
        # Noticed even if nothing is due: that may be why.
        if was_set_within(self._clock, NOTICED_WITHIN_S):
            self._are_times_right = False
        if may_differ(self._clock):
            return claimed
        if not self._are_times_right:
            await self._set_times_right(now)
        if not await self._rows.are_there():
            return claimed
        for row in await self._rows.claim(now, takes_over=self._takes_over()):
            claimed[row.municipality].append(UUID(row.ref))
        pass_step("sending.claimed")
        return claimed

    def _takes_over(self) -> bool:
        return not may_outlive(self._clock, LEASE.total_seconds())

    async def _set_times_right(self, now: datetime) -> None:
        """Look at all that was put off: by a clock that was ahead, it may have been put off for long."""
        async with self._db.begin_across_towns() as session:
            await self._set_right.row(session, {"kind": self._kind, "now": now})
        self._are_times_right = True

    async def _send_all(self, claimed: Mapping[str, Sequence[UUID]]) -> None:
        orders: list[Order] = []
        for municipality, notice_ids in claimed.items():
            begun = await self._begin(municipality, notice_ids)
            orders += begun if begun is not None else await self._begin_one_by_one(municipality, notice_ids)
        await _Dispatch(self._db, self._senders, self._providers, self._clock, self._render).send(orders)

    async def _begin(self, municipality: str, notice_ids: Sequence[UUID]) -> list[Order] | None:
        """The orders, or None when it could not be done: their leases run out, and they have another turn."""
        try:
            async with self._db.begin(municipality) as session:
                now = self._clock()
                orders = await begin_attempts(
                    session,
                    self._keys,
                    municipality,
                    notice_ids,
                    self._providers,
                    now=now,
                    takes_over=self._takes_over(),
                )
                orders = await without_unfollowed(session, municipality, orders, self._providers, now=now)
                pass_step("sending.decided")
                return orders
        except Exception as error:  # noqa: BLE001 - whatever it is, the loop goes on
            log.error("attempts_not_begun", notice_id=str(notice_ids[0]), count=len(notice_ids), **describe(error))
            return None

    async def _begin_one_by_one(self, municipality: str, notice_ids: Sequence[UUID]) -> list[Order]:
        """After a batch failed: the one bad notice among them holds up nobody else."""
        orders: list[Order] = []
        stop_at = asyncio.get_running_loop().time() + ONE_BY_ONE_WITHIN_S
        for notice_id in notice_ids if len(notice_ids) > 1 else ():
            # Rather the database is away than each of them bad.
            if asyncio.get_running_loop().time() >= stop_at:
                break
            orders += await self._begin(municipality, [notice_id]) or []
        return orders


class _Dispatch:
    """One batch on its way."""

    def __init__(
        self,
        db: Database,
        senders: Mapping[str, Sender],
        providers: Providers,
        clock: Clock,
        render: Callable[..., Message],
    ) -> None:
        self._db = db
        self._senders = senders
        self._providers = providers
        self._clock = clock
        self._render = render
        self._handed_over_at = 0.0
        self._orders: dict[str, Order] = {}
        self._results: list[Result] = []
        self._writing = asyncio.Lock()

    async def send(self, orders: Sequence[Order]) -> None:
        """Render the orders, hand them to their senders, and write down what became of each."""
        messages: dict[str, list[Message]] = defaultdict(list)
        now = self._clock()
        for order in orders:
            self._orders[order.key] = order
            if order.provider not in self._senders:
                # A way that this installation does not serve: staff are asked.
                await self._refuse(order.key, "no_provider")
                continue
            message = await self._rendered(order)
            if message is not None:
                messages[order.provider].append(message)
            if order.attempt_no == 1 and not is_practice(order.municipality):
                DISPATCH_SECONDS.labels(order.kind).observe(max(0.0, (now - order.created_at).total_seconds()))
        pass_step("sending.begun")
        self._handed_over_at = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._hand_over(provider, batch) for provider, batch in messages.items()))

    async def _rendered(self, order: Order) -> Message | None:
        try:
            return self._render(order, limit=self._senders[order.provider].limit)
        except TextTooLong:
            await self._refuse(order.key, "too_long")
            return None
        except CannotBePrinted as error:
            await self._refuse(order.key, error.code)
            return None
        except Exception as error:  # noqa: BLE001 - one notice's bug must not hold up the others
            log.error("notice_not_rendered", notice_id=str(order.notice_id), **describe(error))
            await self._refuse(order.key, "rendering")
            return None

    async def _hand_over(self, provider: str, messages: Sequence[Message]) -> None:
        pass_step("sending.calling")
        try:
            await self._senders[provider].send_batch(messages, self._hear)
        except Exception as error:  # noqa: BLE001 - a sender's bug: their leases run out
            log.error("sender_failed", provider=provider, **describe(error))

    async def _hear(self, key: str, outcome: Outcome) -> None:
        """What a provider says."""
        self._learn(key, outcome)
        await self._report(key, outcome)

    async def _refuse(self, key: str, code: str) -> None:
        """It is no provider's doing: none was asked."""
        self._learn(key, NOT_STARTED)
        await self._report(key, Outcome(kind="permanent", error_code=code))

    def _learn(self, key: str, outcome: Outcome) -> None:
        order, took_s = self._orders[key], asyncio.get_running_loop().time() - self._handed_over_at
        self._providers.hear(order.provider, outcome, bulk=order.bulk, took_s=took_s, now=self._clock())

    async def _report(self, key: str, outcome: Outcome) -> None:
        pass_step("sending.reported")
        order = self._orders[key]
        if not is_practice(order.municipality):
            ATTEMPTS.labels(order.reach, order.kind, outcome.kind).inc()
        log.info(
            "notice_attempt",
            municipality=order.municipality,
            notice_id=str(order.notice_id),
            attempt=order.attempt_no,
            channel=order.reach,
            provider=order.provider,
            outcome=outcome.kind,
            code=outcome.error_code,
        )
        self._results.append(Result(order, outcome))
        # One writer at a time: whoever comes next writes down everything that has come in meanwhile.
        async with self._writing:
            results, self._results = self._results, []
            if results:
                await self._write(results, self._clock())

    async def _write(self, results: Sequence[Result], now: datetime) -> None:
        by_town: dict[str, list[Result]] = defaultdict(list)
        for result in results:
            by_town[result.order.municipality].append(result)
        for municipality, group in by_town.items():
            try:
                async with self._db.begin(municipality) as session:
                    await end_attempts(session, municipality, group, self._providers, now=now, chance=random.random)
                    pass_step("sending.written")
                pass_step("sending.ended")
            except Exception as error:  # noqa: BLE001 - unknown what became of them: their leases run out
                log.error("attempts_not_ended", count=len(group), **describe(error))
