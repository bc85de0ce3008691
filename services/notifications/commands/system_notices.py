"""What another system asks for: accepted once for each of its keys, and taken back while it waits.

A key, and how much a system may ask for, are the database's to guard (0034): what is looked at here before only says
why. All that was asked for at once is accepted in one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.by_hand import take_back_not_begun
from services.notifications.commands.telling import Content, Said, Telling, forget_told, seal_content, tell_all
from services.notifications.commands.telling_systems import tell_systems
from services.notifications.domain.asked import Mistake, NoticeAsked
from services.notifications.domain.notices import TOWN_NOTICE, due_kind
from services.notifications.domain.systems import TAKEN_BACK, TASKS_NEED, USEFUL_DEFAULT, begins_of, seconds_until_next
from services.notifications.keys import Keys
from services.notifications.newest_notice import newest_notice
from services.notifications.queries_of_systems import DayUse, System, read_use
from services.notifications.system_texts import Address, TownChecks, address_of, problems_of
from services.notifications.tables import SERVICE
from shared.crypto import SubjectVault
from shared.db import Prepared
from shared.errors import Refusal
from shared.messaging.due import unschedule
from shared.messaging.outbox import work_in_bulk

_KNOWN = Prepared(f"""
    SELECT idempotency_key, request_hash, told_id FROM {SERVICE}.api_notice
    WHERE (municipality, system_id) = (:municipality, :system_id)
      AND idempotency_key = ANY (CAST(:keys AS text[]))
""")
# Whose number it is. One that several had is the newest's.
_CONTACTS = Prepared(f"""
    SELECT DISTINCT ON (known.number) known.number, c.contact_ref, coalesce(c.chosen_language, c.language) AS language,
           EXISTS (SELECT 1 FROM {SERVICE}.contact_way w
                   WHERE (w.municipality, w.contact_ref, w.kind) = (c.municipality, c.contact_ref, 'sms')) AS has_sms
    FROM (
        SELECT number, contact_ref, booked_at AS since FROM {SERVICE}.appointment
        WHERE municipality = :municipality AND number = ANY (CAST(:numbers AS text[]))
        UNION ALL
        SELECT number, contact_ref, NULL FROM {SERVICE}.application
        WHERE municipality = :municipality AND number = ANY (CAST(:numbers AS text[]))) AS known
    JOIN {SERVICE}.contact_point c ON c.municipality = :municipality AND c.contact_ref = known.contact_ref
    ORDER BY known.number, known.since DESC NULLS LAST
""")
# In the order of their keys: two who ask for the same at once wait for each other, and never both.
_KEEP = Prepared(f"""
    INSERT INTO {SERVICE}.api_notice (
        municipality, told_id, system_id, idempotency_key, request_hash, reference, sms_parts, accepted_at)
    SELECT :municipality, new.told_id, :system_id, new.key, new.hash, new.reference, new.sms_parts, :now
    FROM unnest(CAST(:told_ids AS uuid[]), CAST(:keys AS text[]), CAST(:hashes AS bytea[]),
                CAST(:references AS text[]), CAST(:sms_parts AS int[]))
         AS new(told_id, key, hash, reference, sms_parts)
    ORDER BY new.key
""")
# What waits stays the newest: nothing of it is sent again meanwhile.
_LOCK = Prepared(f"""
    SELECT n.notice_id, n.state, n.reason, n.bulk FROM {SERVICE}.api_notice a CROSS JOIN {newest_notice("a")} AS newest
    JOIN {SERVICE}.notice n ON (n.municipality, n.notice_id) = (newest.municipality, newest.notice_id)
    WHERE (a.municipality, a.system_id, a.told_id) = (:municipality, :system_id, :told_id) FOR UPDATE OF n
""")
_TAKE_BACK = Prepared(f"""
    UPDATE {SERVICE}.notice SET (state, reason, settled_at) = ('superseded', :reason, :now)
    WHERE (municipality, notice_id) = (:municipality, :notice_id)
""")


class Asking(NamedTuple):
    """What is asked for under which key."""

    key: str
    asked: NoticeAsked


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """It will be told, or it will be said why not. The same for the same key, whatever became of it meanwhile."""

    id: UUID
    state: Literal["waiting"] = "waiting"

    @property
    def href(self) -> str:
        """Where it is read what became of it."""
        return f"/notifications/api/notices/{self.id}"


class NotAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Why not: `notice_unfit`, with everything that is wrong with it, or `key_reused`."""

    code: Literal["notice_unfit", "key_reused"]
    problems: tuple[Mistake, ...] = ()


Result = Accepted | NotAccepted


class _New(NamedTuple):
    key: str
    asked: NoticeAsked
    hashed: bytes
    # None: it names nobody that could be reached.
    address: Address | None

    @property
    def number(self) -> str | None:
        return self.address.value if self.address is not None and self.address.kind == "number" else None


async def accept_notices(
    session: AsyncSession,
    keys: Keys,
    system: System,
    askings: Sequence[Asking],
    checks: TownChecks,
    *,
    now: datetime,
) -> list[Result]:
    """Accept what can be, each once for its key; the results in the order in which it was asked for.

    Raises:
        Refusal: `system_paused` (403); `too_many_notices` (429), with `retry_after_s` and which `limit`: nothing of
            it is accepted then.
    """
    if system.state != "active":
        raise Refusal("system_paused", 403)
    # Nobody waits before a screen for these: they go beside what somebody does wait for.
    work_in_bulk(session)
    hashed = {each: _hash(keys, system, each) for each in askings}
    results = await _known(session, system, hashed)
    # The same key twice in one request is the same thing, or it is refused.
    new: dict[str, _New] = {}
    for asking, hash_of in hashed.items():
        if asking.key not in results and asking.key not in new:
            new[asking.key] = _New(asking.key, asking.asked, hash_of, address_of(asking.asked.recipient))
    wanted = await _contacts(session, system.municipality, new.values())
    fit: list[_New] = []
    for each in new.values():
        problems = problems_of(each.asked, each.address, system, checks, now=now)
        if not problems and each.number is not None and each.number not in wanted:
            problems = [Mistake("/recipient/number", "unknown", "nobody is known by this number, or how to reach them")]
        if problems:
            results[each.key] = (each.hashed, NotAccepted(code="notice_unfit", problems=tuple(problems)))
        else:
            fit.append(each)
    if fit:
        await _check_room(session, system, len(fit), now=now)
    made = [_say(keys.vault, system.municipality, each, wanted, checks, now=now) for each in fit]
    await tell_all(session, system.municipality, [said for said, _row in made], now=now)
    rows = [row for _said, row in made]
    if rows:
        await _keep(session, system, rows, now=now)
    results |= {row["keys"]: (row["hashes"], Accepted(id=row["told_ids"])) for row in rows}
    return [_result(results[each.key], hashed[each]) for each in askings]


def room_of(guard: str, *, now: datetime) -> Refusal | None:
    """What the database's guard of the limits says, for a system; None: it was not that guard."""
    _, found, limit = guard.partition("api_limit ")
    if not found:
        return None
    limit = limit.split()[0].strip("'\"")
    if limit == "paused":
        return Refusal("system_paused", 403)
    span: Literal["minute", "day"] = "minute" if limit == "minute" else "day"
    return Refusal("too_many_notices", 429, limit=limit, retry_after_s=seconds_until_next(span, now))


async def take_back(session: AsyncSession, system: System, told_id: UUID, *, now: datetime) -> None:
    """Do not send it after all. What was taken back already stays so.

    Raises:
        Refusal: `notice_unknown` (404), `notice_gone_out` (409): it is sent, or is just being sent. A letter is sent
            once it is to be printed, a call once somebody was reached.
    """
    town = system.municipality
    mine = {"municipality": town, "system_id": system.system_id, "told_id": told_id}
    found = await _LOCK.row(session, mine)
    if found is None:
        raise Refusal("notice_unknown", 404)
    if (found.state, found.reason) == ("superseded", TAKEN_BACK):
        return
    if found.state == "pending":
        await _TAKE_BACK.row(session, mine | {"notice_id": found.notice_id, "reason": TAKEN_BACK, "now": now})
        kind = due_kind(bulk=found.bulk)
        await unschedule(session, SERVICE, municipality=town, kind=kind, ref=str(found.notice_id))
        await tell_systems(session, town, [found.notice_id], now=now)
    elif not await take_back_not_begun(session, town, found.notice_id, TAKEN_BACK, now=now):
        raise Refusal("notice_gone_out", 409)
    await forget_told(session, town, str(told_id), now)


def _hash(keys: Keys, system: System, asking: Asking) -> bytes:
    return keys.request_hash(system.municipality, system.system_id, msgspec.json.encode(asking.asked))


def _result(known: tuple[bytes, Result], hashed: bytes) -> Result:
    kept, result = known
    return result if kept == hashed else NotAccepted(code="key_reused")


async def _known(
    session: AsyncSession, system: System, hashed: Mapping[Asking, bytes]
) -> dict[str, tuple[bytes, Result]]:
    """What was accepted before under one of these keys."""
    asked = {"municipality": system.municipality, "system_id": system.system_id, "keys": [each.key for each in hashed]}
    return {
        row.idempotency_key: (bytes(row.request_hash), Accepted(id=row.told_id))
        for row in await _KNOWN.rows(session, asked)
    }


async def _contacts(session: AsyncSession, municipality: str, new: Iterable[_New]) -> dict[str, Any]:
    numbers = list({each.number for each in new if each.number is not None})
    if not numbers:
        return {}
    rows = await _CONTACTS.rows(session, {"municipality": municipality, "numbers": numbers})
    return {row.number: row for row in rows}


async def _check_room(session: AsyncSession, system: System, count: int, *, now: datetime) -> None:
    """Say so before anything is written, where it is plain that there is no room."""
    minute, day = begins_of("minute", now), begins_of("day", now)
    used = await read_use(session, system.municipality, system.system_id, minute=minute, day=day)
    for span, most in (("minute", system.per_minute), ("day", system.per_day)):
        refusal = room_of(f"api_limit {span}", now=now)
        if refusal is not None and used.get(span, DayUse()).notices + count > most:
            raise refusal


def _say(
    vault: SubjectVault,
    municipality: str,
    new: _New,
    contacts: Mapping[str, Any],
    checks: TownChecks,
    *,
    now: datetime,
) -> tuple[Said, dict[str, Any]]:
    """What is told, and what is kept of it beside."""
    asked, address = new.asked, new.address
    assert address is not None  # it has no problems
    useful_until = asked.useful_until or now + USEFUL_DEFAULT
    told_id, reference = uuid4(), asked.reference
    telling = Telling(municipality=municipality, told_id=told_id, occurred_at=now, until=useful_until)
    if address.kind == "number":
        contact = contacts[address.value]
        language, by_sms, to = contact.language, contact.has_sms, None
        telling = msgspec.structs.replace(telling, contact_ref=contact.contact_ref)
    else:
        language, by_sms, to = asked.recipient.language or "ja", address.kind == "phone", address.value
        reach: Literal["sms", "email"] = "sms" if by_sms else "email"
        telling = msgspec.structs.replace(telling, reach=reach, language=language)
    words = asked.texts.best(language)
    content = Content(subject=words.subject.strip(), body=words.body.strip(), short=words.short.strip(), address=to)
    keep_for = useful_until + TASKS_NEED if asked.kind == TOWN_NOTICE else None
    said = Said(telling, asked.kind, seal_content(vault, telling, content), keep_for=keep_for)
    return said, {
        "told_ids": told_id,
        "keys": new.key,
        "hashes": new.hashed,
        "references": reference,
        # What it may cost: an SMS by an own way is one that may be needed.
        "sms_parts": checks.sms_parts(language, words) if by_sms else 0,
    }


async def _keep(session: AsyncSession, system: System, rows: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    await _KEEP.row(session, columns | {"municipality": system.municipality, "system_id": system.system_id, "now": now})
