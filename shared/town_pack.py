"""A town pack: everything about a municipality that is data.

One folder: `town.toml`, `procedures.csv`, and if the town has any, `life_events.toml` and `office.toml`.

Routing loads the catalogue from it, booking the opening rules, notifications the reminder rules.
"""

import csv
import io
import tomllib
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from shared.town_office import OfficeRules

FILE_MAX_BYTES = 1_000_000
FREQUENT_MAX = 6
# How long what was given for a procedure is kept after its end, where the town does not say.
RETENTION_DAYS = 365
# Columns of `procedures.csv` that a town need not have.
MAY_BE_EMPTY = ("retention_days", "notice_min", "horizon_days", "quantity_max", "more_min", "unit")
DAY_MIN = 24 * 60
QUANTITY_MAX = 20
QUESTIONS_MAX = 20
STEPS_MAX = 30
Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,20}$")]
ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
HorizonDays = Annotated[int, msgspec.Meta(ge=1, le=180)]
NoticeMin = Annotated[int, msgspec.Meta(ge=0, le=20_160)]
Possible = Literal["yes", "partial", "no"]
T = TypeVar("T")


class BadTownPack(Exception):
    """The pack cannot be used; the message names the file, the place and what to do."""


class TownFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`code` is the 全国地方公共団体コード. `hosts` are the names under which the town's site answers.

    `frequent` are the procedures that most people need, for the front page; empty: what was begun most often.
    """

    code: Code
    name_ja: str
    name_kana: str
    name_en: str
    phone: str
    address_ja: str
    hosts: tuple[str, ...]
    # The address in messages, such as https://choudo.town.example.jp; empty: the running site fills it in.
    public_url: str = ""
    frequent: Annotated[tuple[Code, ...], msgspec.Meta(max_length=FREQUENT_MAX)] = ()


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


class Venue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where helpers meet residents (公民館 and the like). How many places a slot has, the helpers' shifts say.

    `office` is who looks after it: its appointments stand in that office's line.
    """

    code: Code
    name_ja: str
    place_ja: str
    office: str
    slot_min: Annotated[int, msgspec.Meta(ge=5, le=240)] = 60


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


class NoticeRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When reminders go out: minutes before the appointment, and for trying it out, seconds after booking."""

    reminders_before_min: tuple[int, ...] = (1_440,)
    trial_reminder_after_s: int | None = None


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A short text of the town in Japanese, やさしい日本語 and English, named by a code in `procedures.csv`."""

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
    """A procedure (手続き), one line of `procedures.csv`. `items` are the data items it needs, by key.

    `bring` are the codes of the `things` to bring to the counter, `bring_online` of those to have at hand online;
    `deadline` is the code of one of the `deadlines`, or empty. So many `retention_days` after the end of a case, what
    was given in it is erased; empty: a year. `notice_min` and `horizon_days` are its own for booking; empty: those of
    the town. In one appointment as many as `quantity_max` of it are done (one for each of a family; empty: one): the
    first takes the `counter_minutes`, each more `more_min`, and they are counted in a `unit` (人分, 通).
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


class _LifeEventsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    events: tuple[LifeEvent, ...] = ()


class _TownFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    town: TownFacts
    counters: tuple[Counter, ...]
    opening: tuple[Opening, ...]
    venues: tuple[Venue, ...] = ()
    closures: tuple[Closure, ...] = ()
    walks: tuple[Walk, ...] = ()
    booking: BookingRules = BookingRules()
    notices: NoticeRules = NoticeRules()
    things: tuple[Words, ...] = ()
    deadlines: tuple[Words, ...] = ()
    names: tuple[Name, ...] = ()


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
    names: tuple[Name, ...] = ()
    walks: tuple[Walk, ...] = ()
    office: OfficeRules = OfficeRules()

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


def read_town_pack(folder: Path) -> TownPack:
    """Read and check a pack.

    Raises:
        BadTownPack: a file is missing, does not fit its schema, contradicts itself, or names a counter, a thing to
            bring or a deadline that does not exist.
    """
    town = _read_town(folder / "town.toml")
    procedures = _read_procedures(folder / "procedures.csv")
    life_events = _read_life_events(folder / "life_events.toml")
    office = _read_office(folder / "office.toml", {procedure.code for procedure in procedures})
    # A venue is a counter of another kind: they share their codes.
    _refuse_twice(
        "town.toml, counter", [*(counter.code for counter in town.counters), *(venue.code for venue in town.venues)]
    )
    _refuse_twice("procedures.csv,", (procedure.code for procedure in procedures))
    _refuse_contradictions(town)
    known = {counter.code for counter in town.counters}
    venues = {venue.code for venue in town.venues}
    for rule in town.opening:
        _refuse_unknown("town.toml, opening", set(rule.counters) - known - venues)
    for walk in town.walks:
        _refuse_unknown("town.toml, walks", {*walk.counters, *walk.others} - known)
    _refuse_twice("town.toml, things", (thing.code for thing in town.things))
    _refuse_twice("town.toml, deadlines", (deadline.code for deadline in town.deadlines))
    things, deadlines = {thing.code for thing in town.things}, {deadline.code for deadline in town.deadlines}
    for procedure in procedures:
        where = f"procedures.csv, {procedure.code}"
        _refuse_unknown(where, set(procedure.counters) - known)
        _refuse_unknown(where, {*procedure.bring, *procedure.bring_online} - things, what="thing to bring")
        _refuse_unknown(where, set(filter(None, [procedure.deadline])) - deadlines, what="deadline")
        _refuse_unbookable(where, procedure, town.booking)
        _refuse_uncounted(where, procedure)
    _refuse_infrequent(town.town, procedures)
    _refuse_twice("life_events.toml, event", (event.code for event in life_events))
    for event in life_events:
        _refuse_impossible(event, {procedure.code for procedure in procedures})
    pack = TownPack(
        town=town.town,
        counters=town.counters,
        opening=town.opening,
        closures=town.closures,
        booking=town.booking,
        notices=town.notices,
        procedures=procedures,
        life_events=life_events,
        venues=town.venues,
        things=town.things,
        deadlines=town.deadlines,
        names=town.names,
        walks=town.walks,
        office=office,
    )
    _refuse_circles(pack)
    return pack


def _read_town(path: Path) -> _TownFile:
    return _read_toml(path, _TownFile)


def _read_life_events(path: Path) -> tuple[LifeEvent, ...]:
    return _read_toml(path, _LifeEventsFile).events if path.exists() else ()


def _read_office(path: Path, procedures: set[str]) -> OfficeRules:
    office = _read_toml(path, OfficeRules) if path.exists() else OfficeRules()
    _refuse_twice(f"{path.name}, procedure", (rule.procedure for rule in office.procedures))
    for rule in office.procedures:
        _refuse_unknown(path.name, {rule.procedure} - procedures, what="procedure")
        _refuse_twice(f"{path.name}, {rule.procedure}, check", (check.code for check in rule.checks))
    return office


def _read_toml(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.convert(tomllib.loads(_read(path)), kind)
    except tomllib.TOMLDecodeError as error:
        raise BadTownPack(f"{path.name}: {error}") from error
    except msgspec.ValidationError as error:
        raise BadTownPack(f"{path.name}: {error}") from error


def _read_procedures(path: Path) -> tuple[Procedure, ...]:
    procedures = []
    reader = csv.DictReader(io.StringIO(_read(path), newline=""))
    names = ("items", "bring", "bring_online", "counters", "words")
    for row in reader:
        lists = {name: tuple(filter(None, (row.get(name) or "").split("|"))) for name in names}
        for name in MAY_BE_EMPTY:
            if not row.get(name):
                row.pop(name, None)
        try:
            procedures.append(msgspec.convert(row | lists, Procedure, strict=False))
        except msgspec.ValidationError as error:
            raise BadTownPack(f"{path.name}, line {reader.line_num}: {error}") from error
    if not procedures:
        raise BadTownPack(f"{path.name}: no procedure in it")
    return tuple(procedures)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadTownPack(f"{path.name}: {error.strerror}") from error
    if len(raw) > FILE_MAX_BYTES:
        raise BadTownPack(f"{path.name}: larger than {FILE_MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTownPack(f"{path.name}: not UTF-8, byte {error.start}") from error


def _refuse_contradictions(town: _TownFile) -> None:
    for counter in town.counters:
        if counter.staff_only_places > counter.places:
            raise BadTownPack(f"town.toml, counter {counter.code}: more staff-only places than places")
        if counter.staff_only_places + counter.kiosk_places > counter.places:
            raise BadTownPack(f"town.toml, counter {counter.code}: more staff-only and kiosk places than places")
    for number, rule in enumerate(town.opening, start=1):
        where = f"town.toml, opening {number}"
        if rule.opens_at >= rule.closes_at:
            raise BadTownPack(f"{where}: closes before it opens")
        if (rule.lunch_from is None) != (rule.lunch_to is None):
            raise BadTownPack(f"{where}: lunch needs both its times")
        if rule.lunch_from is not None and rule.lunch_to is not None and rule.lunch_from >= rule.lunch_to:
            raise BadTownPack(f"{where}: lunch ends before it begins")
        if rule.every_weeks > 1 and rule.first_week is None:
            raise BadTownPack(f"{where}: every {rule.every_weeks} weeks needs a first_week")
    _refuse_two_rhythms(town.opening)
    for number, closure in enumerate(town.closures, start=1):
        if closure.first_day > closure.last_day:
            raise BadTownPack(f"town.toml, closure {number}: ends before it begins")


def _refuse_two_rhythms(opening: Sequence[Opening]) -> None:
    """A weekday of a counter comes round in one way, and all its weeks are counted from one week."""
    known: dict[tuple[str, int], object] = {}
    firsts: dict[str, date | None] = {}
    for number, rule in enumerate(opening, start=1):
        for counter, weekday in product(rule.counters, rule.weekdays):
            rhythm = (rule.every_weeks, rule.nth)
            if known.setdefault((counter, weekday), rhythm) != rhythm:
                raise BadTownPack(f"town.toml, opening {number}: weekday {weekday} of {counter} has two rhythms")
            if rule.every_weeks > 1 and firsts.setdefault(counter, rule.first_week) != rule.first_week:
                raise BadTownPack(f"town.toml, opening {number}: {counter} counts its weeks from two weeks")


def _refuse_unbookable(where: str, procedure: Procedure, town: BookingRules) -> None:
    # Times are made as far ahead as the town says, and no further.
    if procedure.horizon_days is not None and procedure.horizon_days > town.horizon_days:
        raise BadTownPack(f"{where}: horizon_days is more than the town's {town.horizon_days}")
    notice_min = town.notice_min if procedure.notice_min is None else procedure.notice_min
    is_its_own = procedure.notice_min is not None or procedure.horizon_days is not None
    if is_its_own and notice_min >= (procedure.horizon_days or town.horizon_days) * DAY_MIN:
        raise BadTownPack(f"{where}: notice_min is as long as the horizon, so that nobody could book")


def _refuse_uncounted(where: str, procedure: Procedure) -> None:
    # Nobody chooses a number without being told of what, and no second one takes no time at all.
    if procedure.quantity_max > 1 and not (procedure.more_min and procedure.unit):
        raise BadTownPack(f"{where}: with a quantity_max above 1 it needs more_min and unit")
    if procedure.quantity_max == 1 and (procedure.more_min or procedure.unit):
        raise BadTownPack(f"{where}: more_min and unit are for a quantity_max above 1")


def _refuse_impossible(event: LifeEvent, procedures: set[str]) -> None:
    where = f"life_events.toml, {event.code}"
    _refuse_twice(f"{where}, question", (question.code for question in event.questions))
    _refuse_twice(f"{where}, step", (step.procedure for step in event.steps))
    asked = {question.code for question in event.questions}
    before: set[str] = set()
    for step in event.steps:
        if step.procedure not in procedures:
            raise BadTownPack(f"{where}: no such procedure: {step.procedure}")
        if unknown := set(step.when) - asked:
            raise BadTownPack(f"{where}, {step.procedure}: no such question: {', '.join(sorted(unknown))}")
        if late := set(step.after) - before:
            raise BadTownPack(f"{where}, {step.procedure}: put it after {', '.join(sorted(late))}")
        before.add(step.procedure)


def _refuse_circles(pack: TownPack) -> None:
    try:
        TopologicalSorter(pack.procedures_before()).prepare()
    except CycleError as error:
        circle = " after ".join(error.args[1])
        raise BadTownPack(f"life_events.toml: the events contradict each other: {circle}") from error


def _refuse_infrequent(town: TownFacts, procedures: Iterable[Procedure]) -> None:
    # What others should not see over somebody's shoulder is never put before everybody.
    shown = {procedure.code: procedure.discreet for procedure in procedures}
    _refuse_twice("town.toml, frequent", town.frequent)
    for code in town.frequent:
        if code not in shown:
            raise BadTownPack(f"town.toml, frequent: no such procedure: {code}")
        if shown[code]:
            raise BadTownPack(f"town.toml, frequent: {code} is discreet, leave it out")


def _refuse_twice(where: str, codes: Iterable[str]) -> None:
    for code, count in Tally(codes).items():
        if count > 1:
            raise BadTownPack(f"{where} {code}: twice")


def _refuse_unknown(where: str, codes: set[str], *, what: str = "counter") -> None:
    if codes:
        raise BadTownPack(f"{where}: no such {what}: {', '.join(sorted(codes))}")
