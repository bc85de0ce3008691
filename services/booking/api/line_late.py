"""For staff's tablets: what was pressed while there was no network, merged when there is one again."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency

from services.booking.api import examples
from services.booking.api.bodies import Moment, TypedNumber, Version
from services.booking.api.line_staff import GUARDS, ROOT, STANDS_EXAMPLE, TAGS, Stands, show_stands
from services.booking.commands.late_steps import LateStep, merge_step
from services.booking.domain.line import State
from services.booking.flow import Rush
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.documented import KEY_PATTERN, documented, read_json
from shared.web.i18n import translate, without_readings
from shared.web.refusals import REFUSALS as COMMON_REFUSALS

BATCH_MAX = 100

Req = Request[Any, Any, Any]


class PostLateStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step as it was pressed: `appointment_id` with `version_seen`, or a check-in by `number`."""

    key: Annotated[str, msgspec.Meta(pattern=KEY_PATTERN, description="New for each press, and kept when sent again.")]
    action: Literal["check-in", "call", "start", "done", "no-show"]
    at: Annotated[Moment, msgspec.Meta(description="When it was pressed: today, and not before their last step.")]
    appointment_id: UUID | None = None
    version_seen: Version | None = None
    number: TypedNumber | None = None


class PostMerge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tablet kept, in the order in which it was pressed."""

    steps: Annotated[tuple[PostLateStep, ...], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step. What was refused says why, in a code and in words, and where the person stands."""

    key: str
    is_merged: bool
    stands: Stands | None = None
    reason: str | None = None
    title: str | None = None
    advice: str | None = None
    state: State | None = None


STEP_EXAMPLE = {
    "key": "3f1c",
    "action": "call",
    "at": examples.STARTS_AT,
    "appointment_id": examples.ID,
    "version_seen": 2,
}


@post(
    f"{ROOT}/merge",
    guards=GUARDS,
    tags=TAGS,
    status_code=200,
    opt=documented(
        body=PostMerge,
        example={"steps": [STEP_EXAMPLE]},
        returns=[Merged(key="3f1c", is_merged=True, stands=STANDS_EXAMPLE)],
    ),
)
async def post_line_merge(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> list[Merged]:
    """Take the steps that were pressed without network, one by one, each once under its key, with its own time.

    The answer has one entry for each, in their order. Once a step with somebody is refused, so are the later ones with
    them (`step_before_refused`): they were pressed as if it had been taken.
    """
    given = (await read_json(request, PostMerge)).steps
    answers: list[Merged] = []
    refused: set[UUID] = set()
    for each in given:
        late = msgspec.convert(each, LateStep, from_attributes=True)
        if late.appointment_id in refused:
            merged = _refused(late, Refusal("step_before_refused", 409))
        else:
            merged = await _merge(db, rush, identity, late, now=now)
        if late.appointment_id is not None and not merged.is_merged:
            refused.add(late.appointment_id)
        answers.append(merged)
    return answers


async def _merge(db: Database, rush: Rush, identity: Identity, late: LateStep, *, now: datetime) -> Merged:
    try:
        moved = await rush.run(db, identity.municipality, lambda session: merge_step(session, identity, late, now=now))
    except Refusal as refusal:
        return _refused(late, refusal)
    return Merged(key=late.key, is_merged=True, stands=show_stands(moved))


def _refused(late: LateStep, refusal: Refusal) -> Merged:
    text = REFUSALS.get(refusal.code) or COMMON_REFUSALS[refusal.code]
    with without_readings():
        title, advice = translate(text.title), translate(text.advice)
    return Merged(
        key=late.key,
        is_merged=False,
        reason=refusal.code,
        title=title,
        advice=advice,
        state=refusal.details.get("state"),
    )
