"""Bulk notices (まとめて送るお知らせ): drafted, tested, sent, and stopped. Whom each goes to: `bulk_spreading.py`."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.bulk_texts import flaws_of_words, marked, missing_in
from services.notifications.commands.accounts import read_account_contacts
from services.notifications.commands.bulk_spreading import DUE_CALL_OFF, DUE_GATHER, settle_called_off
from services.notifications.commands.telling import Content, Telling, seal_content, tell
from services.notifications.domain.bulk import (
    TEST_USEFUL,
    TESTS_MAX,
    Audience,
    Estimate,
    Language,
    PricedWay,
    Written,
    begins_at,
)
from services.notifications.domain.notices import TOWN_NEWS, Reach
from services.notifications.queries_of_bulk import Bulk, read_bulk
from services.notifications.queries_of_templates import TownFacts, read_facts
from services.notifications.tables import SERVICE, bulk_notice, way_price
from shared.audit import record_deed
from shared.crypto import SubjectVault
from shared.errors import Refusal
from shared.messaging.due import Due, schedule_all
from shared.tokens import Identity


class Recipient(NamedTuple):
    """Where a test goes: an address that is kept in the test's sealed content, and nowhere else."""

    reach: Reach
    address: str

    def __repr__(self) -> str:
        # Never what is open in it: a representation ends up in logs.
        return f"Recipient({self.reach})"


async def save_bulk(
    session: AsyncSession, identity: Identity, bulk_id: UUID, written: Written, *, seen: int, now: datetime
) -> None:
    """Keep what was written, whatever is still wrong with it. `seen`: the version before their eyes; 0: a new one.

    Raises:
        Refusal: `not_found` (404); `bulk_sent` (409), it is no draft any more; `bulk_moved` (409), somebody else wrote
            meanwhile.
    """
    columns = _columns(written) | {"saved_by": identity.ref, "saved_at": now}
    key = {"municipality": identity.municipality, "bulk_id": bulk_id}
    if seen == 0:
        first = key | columns | {"state": "draft", "version": 1}
        made = await session.execute(
            upsert(bulk_notice).values(first).on_conflict_do_nothing().returning(bulk_notice.c.version)
        )
        if made.one_or_none() is not None:
            await record_deed(session, identity, "bulk_saved", bulk_id, version=1, now=now)
            return
    bulk = await _draft(session, identity, bulk_id)
    if bulk.written == written:
        return
    if bulk.version != seen:
        raise Refusal("bulk_moved", 409)
    await _change(session, identity, bulk_id, columns | {"version": seen + 1})
    await record_deed(session, identity, "bulk_saved", bulk_id, version=seen + 1, now=now)


async def try_bulk(
    session: AsyncSession,
    vault: SubjectVault,
    identity: Identity,
    bulk_id: UUID,
    languages: Collection[Language],
    to: Recipient | None,
    *,
    now: datetime,
) -> None:
    """Send it to one address, marked as a test: to whoever presses, as they are told things themselves, or to `to`.

    It is sent as what may be missed, so that nobody is called because a test did not arrive.

    Raises:
        Refusal: `not_found` (404); `bulk_sent` (409); `bulk_flawed` (422), it cannot be sent like this;
            `bulk_no_own_contact` (409); `bulk_tests_too_many` (429).
    """
    bulk = await _draft(session, identity, bulk_id)
    await _refuse_flawed(session, identity.municipality, bulk, now=now)
    to = to or await _own_contact(session, vault, identity)
    tests = bulk.tests + len(languages)
    if tests > TESTS_MAX:
        raise Refusal("bulk_tests_too_many", 429, most=TESTS_MAX)
    until = now + TEST_USEFUL
    for language in languages:
        words = marked(bulk.written.texts[language], language)
        telling = Telling(
            municipality=identity.municipality,
            occurred_at=now,
            until=until,
            reach=to.reach,
            language=language,
        )
        content = Content(subject=words.subject, body=words.body, short=words.short, address=to.address)
        sealed = seal_content(vault, telling, content)
        await tell(session, telling, TOWN_NEWS, sealed, somebody_waits=True, now=now)
    await _change(session, identity, bulk_id, {"tested_version": bulk.version, "tests": tests})
    await record_deed(session, identity, "bulk_tested", bulk_id, version=bulk.version, now=now)


async def send_bulk(
    session: AsyncSession, identity: Identity, bulk_id: UUID, estimate: Estimate, *, seen: int, now: datetime
) -> None:
    """Have it sent. Nothing is counted or made here: it is accepted at once, and the rest is due. Twice is once.

    `estimate` is what they read of it.

    Raises:
        Refusal: `not_found` (404); `bulk_moved` (409); `bulk_flawed` (422); `bulk_untested` (409), nobody has seen it
            arrive as it is now; `bulk_nobody` (422).
    """
    bulk = await read_bulk(session, identity.municipality, bulk_id, lock=True)
    if bulk.version != seen:
        raise Refusal("bulk_moved", 409)
    if bulk.state != "draft":
        return
    await _refuse_flawed(session, identity.municipality, bulk, now=now)
    if not bulk.is_tested:
        raise Refusal("bulk_untested", 409)
    if not estimate.people:
        raise Refusal("bulk_nobody", 422)
    starts_at = begins_at(bulk.written.reason, now=now)
    sent = {"sent_by": identity.ref, "sent_at": now, "starts_at": starts_at}
    await _change(session, identity, bulk_id, sent | {"state": "sending", "estimate": msgspec.to_builtins(estimate)})
    await schedule_all(session, SERVICE, identity.municipality, [Due(DUE_GATHER, str(bulk_id), starts_at)])
    await record_deed(session, identity, "bulk_sent", bulk_id, version=bulk.version, now=now)


async def stop_bulk(session: AsyncSession, identity: Identity, bulk_id: UUID, *, now: datetime) -> None:
    """Send no more of it. What is on its way goes out. A second tap, or one that comes too late, changes nothing.

    From here on no sender begins with one of its notices (`domain/notices.py: decide`), however many there are to be
    settled.

    Raises:
        Refusal: `not_found` (404); `bulk_not_sent` (409), it is a draft.
    """
    bulk = await read_bulk(session, identity.municipality, bulk_id, lock=True)
    if bulk.state == "draft":
        raise Refusal("bulk_not_sent", 409)
    if bulk.state != "sending":
        return
    await _change(session, identity, bulk_id, {"state": "stopped", "stopped_by": identity.ref, "stopped_at": now})
    await settle_called_off(session, identity.municipality, bulk_id, now=now)
    await schedule_all(session, SERVICE, identity.municipality, [Due(DUE_CALL_OFF, str(bulk_id), now)])
    await record_deed(session, identity, "bulk_stopped", bulk_id, now=now)


async def set_prices(session: AsyncSession, identity: Identity, sen: Mapping[PricedWay, int], *, now: datetime) -> None:
    """Keep what a message costs from now on, by way; of a way that is not named, nothing is known any more."""
    prices = way_price.c
    of_town = prices.municipality == identity.municipality
    await session.execute(way_price.delete().where(of_town, prices.way.not_in(sen)))
    if sen:
        rows: list[dict[str, Any]] = [
            {"municipality": identity.municipality, "way": way, "price_sen": price, "set_by": identity.ref,
             "set_at": now}
            for way, price in sen.items()
        ]  # fmt: skip
        new = upsert(way_price).values(rows)
        await session.execute(
            new.on_conflict_do_update(
                index_elements=["municipality", "way"],
                set_={name: new.excluded[name] for name in ("price_sen", "set_by", "set_at")},
                where=prices.price_sen != new.excluded.price_sen,
            )
        )
    for way, price in sorted(sen.items()):
        await record_deed(session, identity, "way_price_set", way, version=price, now=now)


def flaws_of(written: Written, facts: TownFacts, *, now: datetime) -> bool:
    """Whether anything keeps it from being sent."""
    return bool(flaws_of_words(written.kind, written.texts, facts) or missing_in(written, now=now))


async def _draft(session: AsyncSession, identity: Identity, bulk_id: UUID) -> Bulk:
    bulk = await read_bulk(session, identity.municipality, bulk_id, lock=True)
    if bulk.state != "draft":
        raise Refusal("bulk_sent", 409)
    return bulk


async def _refuse_flawed(session: AsyncSession, municipality: str, bulk: Bulk, *, now: datetime) -> None:
    if flaws_of(bulk.written, await read_facts(session, municipality), now=now):
        raise Refusal("bulk_flawed", 422)


async def _own_contact(session: AsyncSession, vault: SubjectVault, identity: Identity) -> Recipient:
    contacts = await read_account_contacts(session, vault, identity.municipality, [identity.ref])
    if identity.ref not in contacts:
        raise Refusal("bulk_no_own_contact", 409)
    return Recipient(contacts[identity.ref].reach, contacts[identity.ref].address)


async def _change(session: AsyncSession, identity: Identity, bulk_id: UUID, values: dict[str, Any]) -> None:
    ours = (bulk_notice.c.municipality == identity.municipality, bulk_notice.c.bulk_id == bulk_id)
    await session.execute(update(bulk_notice).where(*ours).values(**values))


def _columns(written: Written) -> dict[str, Any]:
    """What is written, as its columns have it."""
    columns = {name: getattr(written, name) for name in Written.__struct_fields__}
    audience: Audience = written.audience
    return columns | {"audience": msgspec.to_builtins(audience), "texts": msgspec.to_builtins(written.texts)}
