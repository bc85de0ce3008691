"""The shape of a town pack: what each file may hold, with the limits of texts and the bounds of numbers."""

from collections.abc import Iterator
from datetime import date, time
from itertools import combinations, product
from typing import Annotated, Literal

import msgspec

from shared.town_pack.items import ITEMS_FILE, ItemsFile
from shared.town_pack.office import OfficeRules
from shared.town_pack.templates import TEMPLATES_FILE, Template

# The files of a pack. A town without life events, rules for offices, items or texts of its own has no file for them.
TOWN_FILE = "town.toml"
PROCEDURES_FILE = "procedures.csv"
LIFE_EVENTS_FILE = "life_events.toml"
OFFICE_FILE = "office.toml"
MAY_BE_MISSING = (LIFE_EVENTS_FILE, OFFICE_FILE, ITEMS_FILE, TEMPLATES_FILE)
FILE_MAX_BYTES = 1_000_000
FREQUENT_MAX = 6
# How long what was given for a procedure is kept after its end, where the town does not say.
RETENTION_DAYS = 365
# Columns of `procedures.csv` that a town need not have.
MAY_BE_EMPTY = ("retention_days", "notice_min", "horizon_days", "quantity_max", "more_min", "unit", "online_minutes")
QUANTITY_MAX = 20
# Of the things that a procedure has attached; files are counted for a case.
ATTACH_MAX = 5
QUESTIONS_MAX = 20
STEPS_MAX = 30
Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,20}$")]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Degrees as the town writes them: what is told to others is what it said, to the last digit. Empty: not told.
Degrees = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{2,3}\.[0-9]{3,8})?$")]
HorizonDays = Annotated[int, msgspec.Meta(ge=1, le=180)]
NoticeMin = Annotated[int, msgspec.Meta(ge=0, le=20_160)]
Possible = Literal["yes", "partial", "no"]
# How a fee can be paid; and what is there for those who need it: no steps, a sign-language interpreter, writing instead
# of speaking, an interpreter of another language.
Payment = Literal["cash", "credit", "ic_card", "code", "invoice"]
Access = Literal["step_free", "sign", "writing", "interpreter"]
# What a procedure needs to know. What a form asks for each is in `services/routing/domain/items.py`.
Item = Literal[
    "name", "kana", "birth_date", "sex", "address", "previous_address", "new_address", "phone", "household", "domicile",
    "child", "spouse", "witnesses", "deceased", "bank_account", "insurance", "employer", "doctor",
    "medical_certificate", "due_date", "tax_year", "copies_purpose", "seal_impression", "notice_number",
    "vehicle_number", "dog", "waste_items", "photos", "topic",
]  # fmt: skip
# No form asks for these yet: what needs them cannot be done online.
IN_PERSON_ITEMS: frozenset[Item] = frozenset({
    "domicile", "spouse", "witnesses", "deceased", "medical_certificate", "seal_impression", "notice_number",
    "vehicle_number",
})  # fmt: skip
# Things rather than words: no form has a field for them.
NOT_TYPED_ITEMS: frozenset[Item] = frozenset({"photos"})


class TownFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`code` is the 全国地方公共団体コード. `hosts` are the names under which the town's site answers.

    `frequent` are the procedures that most people need, for the front page; empty: what was begun most often.
    `registrar` is the office that keeps the residents' register (住民基本台帳) and says who is protected (支援措置);
    empty: only managers do. `travel_ja` says how to get to the counters, `online_payment` how a fee is paid for what is
    done online.
    """

    code: Code
    name_ja: str
    name_kana: str
    name_en: str
    phone: str
    address_ja: str
    hosts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    # The address in messages, such as https://choudo.town.example.jp; empty: the running site fills it in.
    public_url: str = ""
    frequent: Annotated[tuple[Code, ...], msgspec.Meta(max_length=FREQUENT_MAX)] = ()
    registrar: str = ""
    travel_ja: Annotated[str, msgspec.Meta(max_length=200)] = ""
    # A postal code of the town, for the example at the field where one is typed; empty: there is no example.
    postal_example: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{3}-[0-9]{4})?$")] = ""
    online_payment: tuple[Payment, ...] = ()
    # False: payment, access and travel are sample data, and the pages say so.
    places_confirmed: bool = True


class Counter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counter (窓口). A slot is as long as its longest procedure; `places` are the staff who serve at once."""

    code: Code
    number: str
    name_ja: str
    office: str
    place_ja: str
    slot_min: Annotated[int, msgspec.Meta(ge=5, le=240)]
    places: Annotated[int, msgspec.Meta(ge=1, le=50)]
    # Of these, how many only staff may give out.
    staff_only_places: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0
    # And how many are given out only at the ticket machine in the lobby, on the day itself.
    kiosk_places: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0
    # How a fee is paid here, and what is here for those who need it. Empty: people are told to ask by phone.
    payment: tuple[Payment, ...] = ()
    access: tuple[Access, ...] = ()


class Venue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where helpers meet residents (公民館 and the like). How many places a slot has, the helpers' shifts say.

    `office` is who looks after it: its appointments stand in that office's line.
    """

    code: Code
    name_ja: str
    place_ja: str
    office: str
    slot_min: Annotated[int, msgspec.Meta(ge=5, le=240)] = 60
    access: tuple[Access, ...] = ()
    travel_ja: Annotated[str, msgspec.Meta(max_length=200)] = ""
    # For maps, and the list of events that is open data: degrees of the town's own survey (JGD2011), such as "35.2991".
    latitude: Degrees = ""
    longitude: Degrees = ""


class Walk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long people walk: between any two of `counters`, or from each of them to each of the `others`."""

    counters: Annotated[tuple[Code, ...], msgspec.Meta(min_length=1)]
    minutes: Annotated[int, msgspec.Meta(ge=0, le=120)]
    others: tuple[Code, ...] = ()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The pairs of counters that this is about."""
        if not self.others:
            yield from combinations(self.counters, 2)
        yield from product(self.counters, self.others)


class Travel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long it takes from a district (地区) of the town to some counters or venues, in minutes, one way."""

    district: ShortText
    counters: Annotated[tuple[Code, ...], msgspec.Meta(min_length=1)]
    minutes: Annotated[int, msgspec.Meta(ge=0, le=240)]


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An opening rule. `weekdays` are ISO (1 Monday … 7 Sunday); times are Japan's.

    `counters` are codes, of counters or of venues. Every week; every n weeks, counted from the `first_week` (any day of
    it); or only on the `nth` of a month.
    """

    counters: tuple[Code, ...]
    weekdays: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...]
    opens_at: time
    closes_at: time
    lunch_from: time | None = None
    lunch_to: time | None = None
    every_weeks: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    nth: tuple[Annotated[int, msgspec.Meta(ge=1, le=5)], ...] = ()
    first_week: date | None = None


class Closure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days on which nobody is served, both included. National holidays come from a library."""

    first_day: date
    last_day: date
    reason_ja: str


class BookingRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The town's policy for booking. `year_end` closes 12/29–1/3, which no holiday library knows.

    `max_open_appointments` is how many appointments one person may have ahead of them at the same time.
    """

    horizon_days: HorizonDays = 45
    notice_min: NoticeMin = 60
    cancel_until_min: Annotated[int, msgspec.Meta(ge=0, le=20_160)] = 0
    hold_min: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    max_open_appointments: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 5
    holidays: bool = True
    year_end: bool = True


class QueueRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the line at the counters is ordered, and what the town promises to those who wait; in minutes.

    Whoever booked is called at their time, before those who walked in; who comes later than `late_min` after it is
    `next` after those whose time it is, or waits like somebody who walked in (`last`). After `booked_in_a_row` of them
    somebody who walked in is called all the same (0: never). Whoever is preferred (優先) is called `first` of all, or
    first of those who walked in (`walk_in`). `near_turn`: told when so many are before them. Tickets end
    `last_ticket_min` before the counter closes.
    """

    late_min: Annotated[int, msgspec.Meta(ge=0, le=240)] = 10
    late: Literal["next", "last"] = "next"
    booked_in_a_row: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    preferred: Literal["first", "walk_in"] = "first"
    near_turn: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    last_ticket_min: Annotated[int, msgspec.Meta(ge=0, le=240)] = 15
    promise_min: Annotated[int, msgspec.Meta(ge=1, le=240)] = 30


class NoticeRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When reminders go out: minutes before the appointment, and for trying it out, seconds after booking."""

    reminders_before_min: tuple[int, ...] = (1_440,)
    trial_reminder_after_s: int | None = None


class ChannelReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a channel is not possible, in the town's words, wherever that is the reason."""

    reason: Literal["in_person_by_law", "not_online", "no_counter", "not_with_helper", "no_venue"]
    ja: ShortText
    easy: ShortText
    en: ShortText


class ChannelRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the channels take, where a procedure does not say it: minutes to read an online form, and to fill in each of
    its items; and to sit down with a helper, before the procedure itself. `reasons` are the town's words for why a
    channel is not possible; where it has none, ours are said."""

    online_base_min: Annotated[int, msgspec.Meta(ge=0, le=120)] = 5
    online_per_item_min: Annotated[int, msgspec.Meta(ge=0, le=60)] = 1
    helper_extra_min: Annotated[int, msgspec.Meta(ge=0, le=120)] = 15
    reasons: tuple[ChannelReason, ...] = ()


class Office(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An office (課), by the name that procedures, counters, venues and accounts call it, and how to reach it."""

    name_ja: ShortText
    phone: Annotated[str, msgspec.Meta(pattern=r"^[0-9+() -]{3,32}$")]
    place_ja: Annotated[str, msgspec.Meta(max_length=200)] = ""
    mail: Annotated[str, msgspec.Meta(pattern=r"^$|^[^@\s]+@[^@\s]+$", max_length=254)] = ""


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A short text of the town in Japanese, やさしい日本語 and English, named by a code.

    What to bring and when to do it (`procedures.csv`), and what helpers explain beside the procedures.
    """

    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,40}$")]
    ja: ShortText
    easy: ShortText
    en: ShortText


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name of the town's data (an office, a counter, a place, a category) in やさしい日本語 and English."""

    ja: ShortText
    easy: str = ""
    en: str = ""


class Procedure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A procedure (手続き), one line of `procedures.csv`.

    `source` says where its facts are from: `general` for what is typical and not confirmed, and what begins with
    `in-person required by law` is why it cannot be done online.

    `bring` are the codes of the `things` to bring to the counter, `bring_online` of those to have at hand online;
    `deadline` is the code of one of the `deadlines`, or empty. So many `retention_days` after the end of a case, what
    was given in it is erased; empty: a year. `notice_min` and `horizon_days` are its own for booking; empty: those of
    the town. In one appointment as many as `quantity_max` of it are done (one for each of a family; empty: one): the
    first takes the `counter_minutes`, each more `more_min`, and they are counted in a `unit` (人分, 通). `attach` are
    the codes of the `things` that are attached as files (photo or PDF) to what is sent online. `online_minutes` are
    what its form takes; empty: estimated by the town's `channels`.
    """

    code: Code
    name_ja: str
    name_plain_ja: str
    name_en: str
    office: str
    online: Possible
    counter: Possible
    helper: Possible
    counter_minutes: Annotated[int, msgspec.Meta(ge=0, le=480)]
    fee_yen: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    # Ours (`Item`), or the town's own, which `items.toml` defines.
    items: tuple[str, ...]
    identity: str
    bring: tuple[str, ...]
    bring_online: tuple[str, ...]
    deadline: str
    source: str
    counters: tuple[str, ...]
    kana: str
    category: str
    words: tuple[str, ...]
    discreet: bool
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = RETENTION_DAYS
    notice_min: NoticeMin | None = None
    horizon_days: HorizonDays | None = None
    quantity_max: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)] = 1
    more_min: Annotated[int, msgspec.Meta(ge=0, le=240)] = 0
    unit: Annotated[str, msgspec.Meta(max_length=10)] = ""
    attach: Annotated[tuple[str, ...], msgspec.Meta(max_length=ATTACH_MAX)] = ()
    online_minutes: Annotated[int, msgspec.Meta(ge=1, le=480)] | None = None


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question of a life event, to be answered with yes or no. Texts that are not given are said in Japanese."""

    code: Code
    text_ja: str
    text_easy: str = ""
    text_en: str = ""
    hint_ja: str = ""
    hint_easy: str = ""
    hint_en: str = ""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One procedure of a life event: for everybody, or `when` one of these questions was answered with yes."""

    procedure: Code
    when: tuple[Code, ...] = ()
    after: tuple[Code, ...] = ()
    note_ja: str = ""
    note_easy: str = ""
    note_en: str = ""


class LifeEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A life event (引越し, 出生 …): procedures that come together, each after those that it depends on."""

    code: Code
    name_ja: str
    intro_ja: str
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=STEPS_MAX)]
    questions: Annotated[tuple[Question, ...], msgspec.Meta(max_length=QUESTIONS_MAX)] = ()
    name_easy: str = ""
    name_en: str = ""
    intro_easy: str = ""
    intro_en: str = ""


class LifeEventsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `life_events.toml` holds."""

    events: tuple[LifeEvent, ...] = ()


class TownFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `town.toml` holds."""

    town: TownFacts
    counters: tuple[Counter, ...]
    opening: tuple[Opening, ...]
    venues: tuple[Venue, ...] = ()
    closures: tuple[Closure, ...] = ()
    walks: tuple[Walk, ...] = ()
    travels: tuple[Travel, ...] = ()
    booking: BookingRules = BookingRules()
    notices: NoticeRules = NoticeRules()
    things: tuple[Words, ...] = ()
    deadlines: tuple[Words, ...] = ()
    topics: tuple[Words, ...] = ()
    names: tuple[Name, ...] = ()
    channels: ChannelRules = ChannelRules()
    queue: QueueRules = QueueRules()
    offices: tuple[Office, ...] = ()


class TownPack(msgspec.Struct, frozen=True, kw_only=True):
    """A checked pack."""

    town: TownFacts
    counters: tuple[Counter, ...]
    opening: tuple[Opening, ...]
    closures: tuple[Closure, ...]
    booking: BookingRules
    notices: NoticeRules
    procedures: tuple[Procedure, ...]
    life_events: tuple[LifeEvent, ...] = ()
    venues: tuple[Venue, ...] = ()
    things: tuple[Words, ...] = ()
    deadlines: tuple[Words, ...] = ()
    topics: tuple[Words, ...] = ()
    names: tuple[Name, ...] = ()
    walks: tuple[Walk, ...] = ()
    travels: tuple[Travel, ...] = ()
    office: OfficeRules = OfficeRules()
    items: ItemsFile = ItemsFile()
    templates: tuple[Template, ...] = ()
    channels: ChannelRules = ChannelRules()
    queue: QueueRules = QueueRules()
    offices: tuple[Office, ...] = ()

    def walk_minutes(self) -> dict[tuple[str, str], int]:
        """Minutes on foot by pairs of counters, each pair once; of two lines about the same pair, the first says it."""
        minutes: dict[tuple[str, str], int] = {}
        for walk in self.walks:
            for one, other in walk.pairs():
                if one != other:
                    minutes.setdefault((min(one, other), max(one, other)), walk.minutes)
        return minutes

    def procedures_before(self) -> dict[str, tuple[str, ...]]:
        """Which procedures come before one, in whatever life event."""
        before: dict[str, set[str]] = {}
        for event in self.life_events:
            for step in event.steps:
                before.setdefault(step.procedure, set()).update(step.after)
        return {code: tuple(sorted(first)) for code, first in before.items()}
