"""What an answer looks like, for the description of the API: of a town as the sample town is, and of nobody."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from services.booking.commands.appointments import Booked
from services.booking.commands.changes import Changed
from services.booking.commands.closings import Closed
from services.booking.commands.holds import Hold
from services.booking.commands.moving import Moved
from services.booking.commands.offers import Offer
from services.booking.domain.calendar import SlotTime
from services.booking.domain.draw import FORMAT
from services.booking.domain.draw_record import Record, Session
from services.booking.domain.one_stop import Part
from services.booking.domain.opening import Hours, OpeningRule, WeekdayHours
from services.booking.domain.services import Service
from services.booking.queries.closings import Affected, ClosingView, Displaced
from services.booking.queries.opening import Conflict, Preview, VersionView
from services.booking.queries.slots import Alternative, OpenSlot
from services.booking.queries.visits import HeldSlot

ID = UUID("8d1f7f0e-6a3b-4c58-9f2d-0a4c5b6e7f81")
OTHER_ID = UUID("3b9a5d1c-0f44-4f6e-8f0b-5c1f0a2d9e77")
# Accounts, as routing names them.
HELPER, OTHER_HELPER = "5f0c9b7e2d8a4e6c9a41d3b7f2086ec5", "c27a81d4e9f0436bb58d1a6e3f907c42"
PROCEDURE, FIRST_PROCEDURE, COUNTER, FIRST_COUNTER = "CHI02", "RES02", "7", "3"
NUMBER, OTHER_NUMBER, TICKET, CODE = "K4M7RXA", "W9FTC3N", "K4M7RX", "123456"
NOW = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
DAY = date(2026, 12, 7)
STARTS_AT = datetime(2026, 12, 7, 0, 30, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
ENDS_AT = STARTS_AT + HALF_HOUR

# Two of it, in the time of two slots.
SERVICES, SERVICES_MIN = (Service(PROCEDURE, 2),), 50
SLOT = OpenSlot(slot_id=ID, counter=COUNTER, starts_at=STARTS_AT, ends_at=ENDS_AT, free=2)
ALTERNATIVE = Alternative(slot_id=OTHER_ID, starts_at=ENDS_AT, counter=COUNTER, where="same_counter")
# What whoever lost a place is told.
LOST = {"slot_taken": {"alternatives": [ALTERNATIVE]}}
HELD = HeldSlot(
    slot_id=ID, counter=COUNTER, starts_at=STARTS_AT, ends_at=ENDS_AT, held_until=NOW + timedelta(minutes=10)
)
HOLD = Hold(
    hold_id=OTHER_ID,
    visit_id=ID,
    slot_id=ID,
    counter=COUNTER,
    starts_at=STARTS_AT,
    ends_at=ENDS_AT,
    held_until=HELD.held_until,
)
BOOKED = Booked(
    appointment_id=ID, number=NUMBER, procedure=PROCEDURE, counter=COUNTER, starts_at=STARTS_AT, ends_at=ENDS_AT
)
CHANGED = Changed(appointment_id=ID, number=NUMBER, version=2)
OFFER = Offer(
    offer_id=ID,
    slot_id=OTHER_ID,
    place_no=1,
    counter=COUNTER,
    starts_at=ENDS_AT,
    ends_at=ENDS_AT + HALF_HOUR,
    until=NOW + timedelta(days=1),
    cause="closing",
)
PARTS = (
    Part(
        procedure=FIRST_PROCEDURE,
        slot_id=ID,
        counter=FIRST_COUNTER,
        starts_at=STARTS_AT,
        ends_at=ENDS_AT,
        done_at=STARTS_AT + timedelta(minutes=20),
    ),
    Part(
        procedure=PROCEDURE,
        slot_id=OTHER_ID,
        counter=COUNTER,
        starts_at=ENDS_AT,
        ends_at=ENDS_AT + HALF_HOUR,
        done_at=ENDS_AT + HALF_HOUR,
    ),
)
MOVED = Moved(numbers=(NUMBER, OTHER_NUMBER))
RECORD = Record(
    format=FORMAT,
    municipality="143421",
    draw_id=ID,
    title_ja="スマホ教室",
    opens_at=NOW,
    closes_at=NOW + timedelta(days=3),
    commitment="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    sessions=(Session(session_id=str(ID), counter=COUNTER, starts_at=STARTS_AT, ends_at=ENDS_AT, seats=2),),
)
VERSION = VersionView(
    version=1,
    valid_from=DAY,
    rule=OpeningRule(
        slot_min=30,
        places=2,
        staff_only_places=0,
        kiosk_places=0,
        week=(WeekdayHours(weekday=1, hours=(Hours(time(8, 30), time(17, 0)),)),),
    ),
    origin="staff",
    published_at=NOW,
)
PREVIEW = Preview(
    first=DAY,
    last=DAY + timedelta(days=30),
    appearing=(),
    disappearing=(SlotTime(STARTS_AT, ENDS_AT),),
    resized=(),
    conflicts=(Conflict(number=NUMBER, starts_at=STARTS_AT, procedure=PROCEDURE),),
)
CLOSED = Closed(closing_id=ID)
CLOSING = ClosingView(
    closing_id=ID,
    counter=COUNTER,
    starts_at=STARTS_AT,
    ends_at=ENDS_AT,
    first_until=ENDS_AT,
    reason="weather",
    note_ja=None,
    closed_at=NOW,
    reopened_at=None,
)
AFFECTED = Affected(number=NUMBER, starts_at=STARTS_AT, counter=COUNTER, reach="sms")
DISPLACED = Displaced(
    number=NUMBER,
    starts_at=STARTS_AT,
    counter=COUNTER,
    reach="sms",
    closure="asked",
    offer_starts_at=ENDS_AT,
    offer_until=OFFER.until,
)
