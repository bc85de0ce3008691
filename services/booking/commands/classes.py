"""Making a class (教室), changing what it says, publishing it, and closing its entries."""

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.booking.commands.class_draws import CLASS_DRAW
from services.booking.commands.class_rows import lock_changeable
from services.booking.commands.class_times import CLASS_OVER, refuse_bad_window, tell_all, tell_staff
from services.booking.commands.help_returns import match_at
from services.booking.commands.keyed import do_once, request_hash
from services.booking.domain.classes import FEE_YEN_MAX, SEATS_MAX, Mode
from services.booking.domain.draw import SEED_BYTES, commitment_of
from services.booking.keys import Keys, draw_context
from shared.audit import record_deed
from shared.errors import Refusal
from shared.messaging.due import Due, schedule_all
from shared.tokens import Identity

TITLE_MAX_LENGTH = 60
TEXT_MAX_LENGTH = 1_000


class ClassOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a class is about, where it is, and how its seats are given out."""

    title_ja: str
    text_ja: str
    topics: tuple[str, ...]
    procedures: tuple[str, ...]
    venue: str
    seats: int
    mode: Mode
    closes_at: datetime
    language: str
    fee_yen: int


_KNOWN = text("""
    SELECT EXISTS (SELECT 1 FROM counter_rule r WHERE (r.municipality, r.counter) = (:municipality, :venue)
                     AND r.kind = 'venue')
       AND (SELECT count(*) FROM topic t
            WHERE t.municipality = :municipality AND t.code = ANY (CAST(:topics AS text[])))
           = cardinality(CAST(:topics AS text[]))
       AND (SELECT count(*) FROM procedure p WHERE p.municipality = :municipality AND p.with_helper
              AND p.code = ANY (CAST(:procedures AS text[]))) = cardinality(CAST(:procedures AS text[]))
""")
_MAKE = text("""
    INSERT INTO course (municipality, course_id, title_ja, text_ja, topics, procedures, venue, seats, mode, closes_at,
                        language, fee_yen, state, made_at, changed_at)
    VALUES (:municipality, :course_id, :title_ja, :text_ja, :topics, :procedures, :venue, :seats, :mode, :closes_at,
            :language, :fee_yen, 'draft', :now, :now)
""")
_CHANGE = text("""
    UPDATE course
    SET title_ja = :title_ja, text_ja = :text_ja, topics = :topics, procedures = :procedures, venue = :venue,
        seats = :seats, mode = :mode, closes_at = :closes_at, language = :language, fee_yen = :fee_yen,
        changed_at = :now
    WHERE (municipality, course_id) = (:municipality, :course_id)
""")
_PUBLISH = text("""
    UPDATE course
    SET state = 'open', published_at = :now, changed_at = :now, seed_commitment = :seed_commitment,
        seed_sealed = :seed_sealed, wrapped_key = :wrapped_key
    WHERE (municipality, course_id) = (:municipality, :course_id)
""")
_SEATS = text("""
    INSERT INTO course_seat (municipality, course_id, seat_no, seats)
    SELECT :municipality, :course_id, seat_no, :seats FROM generate_series(1, CAST(:seats AS integer)) AS seat_no
""")
_SET_STATE = text("""
    UPDATE course SET state = :state, changed_at = :now
    WHERE (municipality, course_id) = (:municipality, :course_id)
""")


async def make_class(
    session: AsyncSession, actor: Identity, order: ClassOrder, key: str | None, *, now: datetime
) -> UUID:
    """A draft, which nobody but coordinators sees. Ordered again with the same key, it is the one that was made.

    Raises:
        Refusal: `class_unfit` (422), `key_reused` (422).
    """

    async def make() -> UUID:
        await _refuse_unfit(session, actor.municipality, order)
        course_id = uuid4()
        await session.execute(_MAKE, _values(actor, course_id, order, now))
        await record_deed(session, actor, "class-make", course_id, now=now)
        return course_id

    hashed = request_hash("class-make", order)
    owner = f"staff:{actor.ref}"
    return await do_once(session, actor.municipality, owner, key, hashed, make, UUID, now=now)


async def change_class(
    session: AsyncSession, actor: Identity, course_id: UUID, order: ClassOrder, keys: Keys, *, now: datetime
) -> None:
    """Say it differently. Once published, seats and how they are given out stay as people have read them; who has
    entered, and who teaches, is told of another place.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409), `class_unfit` (422).
    """
    course = await lock_changeable(session, actor.municipality, course_id, now=now)
    if course.state != "draft":
        order = msgspec.structs.replace(order, seats=course.seats, mode=course.mode, closes_at=course.closes_at)
    await _refuse_unfit(session, actor.municipality, order)
    await session.execute(_CHANGE, _values(actor, course_id, order, now))
    await record_deed(session, actor, "class-change", course_id, now=now)
    if order.venue != course.venue and course.state != "draft":
        await tell_all(session, actor.municipality, course_id, keys, now=now)
        await tell_staff(session, actor.municipality, course_id, order.venue, "changed", now=now)


async def publish_class(session: AsyncSession, actor: Identity, course_id: UUID, keys: Keys, *, now: datetime) -> None:
    """From now on people can enter, and who teaches is told. Of a draw, the commitment to its seed is told with it.

    Raises:
        Refusal: `class_unknown` (404), `class_off`, `class_no_sessions` (409), `class_window` (422).
    """
    course = await lock_changeable(session, actor.municipality, course_id, now=now)
    if course.state != "draft":
        return
    if course.begins_at is None:
        raise Refusal("class_no_sessions", 409)
    refuse_bad_window(course.mode, closes_at=course.closes_at, begins_at=course.begins_at, opens_at=now, now=now)
    mine = {"municipality": actor.municipality, "course_id": course_id, "now": now}
    values: dict[str, Any] = {"seed_commitment": None, "seed_sealed": None, "wrapped_key": None}
    plans = [Due(CLASS_OVER, str(course_id), course.over_at)]
    if course.mode == "draw":
        seed = secrets.token_bytes(SEED_BYTES)
        context = draw_context(actor.municipality, course_id)
        wrapped_key = keys.vault.new_key(context)
        values = {
            "seed_commitment": bytes.fromhex(commitment_of(seed)),
            "seed_sealed": keys.vault.seal(wrapped_key, context, "seed", seed.hex()),
            "wrapped_key": wrapped_key,
        }
        plans.append(Due(CLASS_DRAW, str(course_id), course.closes_at))
    await session.execute(_PUBLISH, mine | values)
    await session.execute(_SEATS, mine | {"seats": course.seats})
    await schedule_all(session, "booking", actor.municipality, plans)
    await tell_staff(session, actor.municipality, course_id, course.venue, "placed", now=now)
    # Somebody may have asked for help with what it is about.
    await match_at(session, actor.municipality, now)
    await record_deed(session, actor, "class-publish", course_id, now=now)


async def close_class(
    session: AsyncSession, actor: Identity, course_id: UUID, *, is_open: bool = False, now: datetime
) -> None:
    """Nobody enters any more; or, with `is_open`, people can again. Whoever is in it stays, and seats are passed on.

    Raises:
        Refusal: `class_unknown` (404), `class_off` (409).
    """
    course = await lock_changeable(session, actor.municipality, course_id, now=now)
    state = "open" if is_open else "closed"
    if course.state in ("draft", state):
        return
    mine = {"municipality": actor.municipality, "course_id": course_id}
    await session.execute(_SET_STATE, mine | {"state": state, "now": now})
    await record_deed(session, actor, "class-reopen" if is_open else "class-close", course_id, now=now)


def _values(actor: Identity, course_id: UUID, order: ClassOrder, now: datetime) -> dict[str, Any]:
    values = msgspec.structs.asdict(order) | {"topics": list(order.topics), "procedures": list(order.procedures)}
    return values | {"municipality": actor.municipality, "course_id": course_id, "now": now}


async def _refuse_unfit(session: AsyncSession, municipality: str, order: ClassOrder) -> None:
    """A venue, topics and procedures of this town, and numbers within their limits."""
    codes = [order.venue, *order.topics, *order.procedures]
    if not (1 <= order.seats <= SEATS_MAX and 0 <= order.fee_yen <= FEE_YEN_MAX and all(map(str.isprintable, codes))):
        raise Refusal("class_unfit", 422)
    asked = {"municipality": municipality, "venue": order.venue}
    named = {"topics": sorted(set(order.topics)), "procedures": sorted(set(order.procedures))}
    if not (await session.execute(_KNOWN, asked | named)).scalar_one():
        raise Refusal("class_unfit", 422)
