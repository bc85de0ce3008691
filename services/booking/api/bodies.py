"""What bodies and parameters of several routes have in common: their limits, as the schema tells them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from services.booking.domain.services import SERVICES_MAX
from services.booking.queries.slots import Channel
from shared.reference_number import APPOINTMENT_LENGTH

CODE_MAX_LENGTH = 20
# Of counters, venues and procedures.
CODE_SIGNS = f"[0-9A-Za-z_-]{{1,{CODE_MAX_LENGTH}}}"
CODE_PATTERN = f"^{CODE_SIGNS}$"
_SERVICE = f"{CODE_SIGNS}:[1-9][0-9]{{0,2}}"
SERVICES_PATTERN = f"^{_SERVICE}(,{_SERVICE}){{0,{SERVICES_MAX - 1}}}$"
VERSION_MAX = 1_000_000
TYPED_PATTERN = "^[ -~]{1,40}$"
# As long as an appointment's number: what is kept until it is sent can be no name.
TYPED_NUMBER_PATTERN = f"^([ ._-]{{0,4}}[0-9A-Za-z]){{{APPOINTMENT_LENGTH}}}[ ._-]{{0,4}}$"

Code = Annotated[str, msgspec.Meta(pattern=CODE_PATTERN, examples=["CHI02"])]
Version = Annotated[
    int, msgspec.Meta(ge=1, le=VERSION_MAX, description="The version that the client saw.", examples=[1])
]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
# A number and a code as somebody typed them.
Typed = Annotated[str, msgspec.Meta(pattern=TYPED_PATTERN)]
TypedNumber = Annotated[str, msgspec.Meta(pattern=TYPED_NUMBER_PATTERN)]

ProcedureCode = Annotated[str, QueryParameter(name="procedure", pattern=CODE_PATTERN, description="Its code.")]
CounterCode = Annotated[
    str | None,
    QueryParameter(name="counter", pattern=CODE_PATTERN, description="One counter or venue only; without it, all."),
]
SomeServices = Annotated[
    str | None,
    QueryParameter(
        name="services",
        pattern=SERVICES_PATTERN,
        description="All that is to be done in one appointment, `code:quantity` with commas between, the procedure "
        "first: only times that are free for so long. Without it, the procedure, once.",
    ),
]
OfOwnVisit = Annotated[
    UUID | None,
    QueryParameter(
        name="visit_id",
        description="A visit of the visitor's own, for this procedure and channel: times for what it chose, and what "
        "it holds counts as free. `services` is not looked at then.",
    ),
]
ByChannel = Annotated[Channel, QueryParameter(name="channel", description="At a counter, or with a helper at a venue.")]


def one_line(max_length: int) -> str:
    """The pattern of a text without control characters that begins with something to be seen."""
    return f"^[^\\x00-\\x20\\x7f-\\xa0\\u3000][^\\x00-\\x1f\\x7f-\\x9f]{{0,{max_length - 1}}}$"


class OfVisit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whatever the visit holds."""

    visit_id: UUID


class Numbered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number and a code as they were typed: in any case, with a dash or without."""

    number: Typed
    code: Typed
