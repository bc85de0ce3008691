"""What contradicts itself in a pack whose files fit their schema, or names something that does not exist."""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import get_args

from shared.town_pack.checking_items import flaws_of_items
from shared.town_pack.checking_templates import flaws_of_templates
from shared.town_pack.items import ITEMS_FILE
from shared.town_pack.office import OfficeRule
from shared.town_pack.problems import Flaw, Place
from shared.town_pack.schema import (
    IN_PERSON_ITEMS,
    LIFE_EVENTS_FILE,
    OFFICE_FILE,
    PROCEDURES_FILE,
    TOWN_FILE,
    BookingRules,
    Item,
    LifeEvent,
    Opening,
    Procedure,
    TownPack,
)
from shared.town_pack.templates import TEMPLATES_FILE
from shared.town_pack.wording import texts_of

# From Okinotorishima to Cape Soya, and from Yonaguni to Minamitorishima.
JAPAN = {"latitude": (20, 46), "longitude": (122, 154)}

DAY_MIN = 24 * 60


def flaws_of(pack: TownPack) -> Iterator[Flaw]:
    """Everything that is wrong."""
    yield from _counters(pack)
    yield from _places(pack)
    yield from _openings(pack)
    yield from _two_rhythms(pack.opening)
    yield from _closures_and_walks(pack)
    for table, words in (("things", pack.things), ("deadlines", pack.deadlines), ("topics", pack.topics)):
        yield from _twice(TOWN_FILE, (((table, number, "code"), word.code) for number, word in enumerate(words)))
    yield from _channels(pack)
    yield from _frequent(pack)
    yield from _procedures(pack)
    codes = {procedure.code for procedure in pack.procedures}
    yield from _twice(
        LIFE_EVENTS_FILE, ((("events", number, "code"), event.code) for number, event in enumerate(pack.life_events))
    )
    for number, event in enumerate(pack.life_events):
        yield from _life_event(("events", number), event, codes)
    yield from _office(pack)
    yield from _items(pack, codes)
    yield from _twice(
        TEMPLATES_FILE, ((("templates", number, "kind"), each.kind) for number, each in enumerate(pack.templates))
    )
    yield from flaws_of_templates(pack)
    yield from _offices(pack)
    yield from _circles(pack)
    yield from _two_ways(pack)


def _counters(pack: TownPack) -> Iterator[Flaw]:
    # A venue is a counter of another kind: they share their codes.
    tables = (("counters", [each.code for each in pack.counters]), ("venues", [each.code for each in pack.venues]))
    yield from _twice(
        TOWN_FILE, (((table, number, "code"), code) for table, codes in tables for number, code in enumerate(codes))
    )
    for number, counter in enumerate(pack.counters):
        given = counter.staff_only_places + counter.kiosk_places
        if given > counter.places:
            what = f"{given} places for staff and kiosk, of {counter.places} in all"
            place = ("counters", number, "staff_only_places" if counter.staff_only_places else "kiosk_places")
            yield Flaw(TOWN_FILE, place, what, "lower these, or raise places")


def _places(pack: TownPack) -> Iterator[Flaw]:
    for number, venue in enumerate(pack.venues):
        if bool(venue.latitude) != bool(venue.longitude):
            missing = "longitude" if venue.latitude else "latitude"
            yield Flaw(
                TOWN_FILE, ("venues", number), "a place has both its degrees", f"add {missing}, or take both out"
            )
        for field, (lowest, highest) in JAPAN.items():
            said = getattr(venue, field)
            if said and not lowest <= Decimal(said) <= highest:
                what = f"{said} is nowhere in Japan"
                yield Flaw(TOWN_FILE, ("venues", number, field), what, f"write degrees from {lowest} to {highest}")


def _openings(pack: TownPack) -> Iterator[Flaw]:
    known = {counter.code for counter in pack.counters} | {venue.code for venue in pack.venues}
    for number, rule in enumerate(pack.opening):
        place: Place = ("opening", number)
        yield from _unknown(TOWN_FILE, (*place, "counters"), rule.counters, known, "counter or venue")
        for field in ("opens_at", "closes_at", "lunch_from", "lunch_to"):
            at = getattr(rule, field)
            if at is not None and (at.second or at.microsecond):
                yield Flaw(TOWN_FILE, (*place, field), f"{at} is no whole minute", "leave the seconds out, or write 00")
        if rule.opens_at >= rule.closes_at:
            yield Flaw(TOWN_FILE, (*place, "closes_at"), "closes before it opens", "write a later time")
        lunch_from, lunch_to = rule.lunch_from, rule.lunch_to
        if (lunch_from is None) != (lunch_to is None):
            missing = "lunch_from" if lunch_from is None else "lunch_to"
            yield Flaw(TOWN_FILE, place, "lunch needs both its times", f"add {missing}, or take out the other")
        if lunch_from is not None and lunch_to is not None and lunch_from >= lunch_to:
            yield Flaw(TOWN_FILE, (*place, "lunch_to"), "lunch ends before it begins", "write a later time")
        if rule.every_weeks > 1 and rule.first_week is None:
            what = f"nobody can tell which weeks are meant by every {rule.every_weeks}"
            yield Flaw(TOWN_FILE, (*place, "every_weeks"), what, "add first_week, any day of the first one")


def _two_rhythms(opening: Iterable[Opening]) -> Iterator[Flaw]:
    """A weekday of a counter comes round in one way, and all its weeks are counted from one week."""
    known: dict[tuple[str, int], object] = {}
    firsts: dict[str, date | None] = {}
    for number, rule in enumerate(opening):
        for counter, weekday in product(rule.counters, rule.weekdays):
            rhythm = (rule.every_weeks, rule.nth)
            if known.setdefault((counter, weekday), rhythm) != rhythm:
                what = f"weekday {weekday} of {counter} has two rhythms"
                yield Flaw(TOWN_FILE, ("opening", number), what, "give all its hours the same every_weeks and nth")
            if rule.every_weeks > 1 and firsts.setdefault(counter, rule.first_week) != rule.first_week:
                what = f"{counter} counts its weeks from two weeks"
                yield Flaw(TOWN_FILE, ("opening", number, "first_week"), what, f"write {firsts[counter]} here too")


def _closures_and_walks(pack: TownPack) -> Iterator[Flaw]:
    known = {counter.code for counter in pack.counters}
    for number, closure in enumerate(pack.closures):
        if closure.first_day > closure.last_day:
            place = ("closures", number, "last_day")
            yield Flaw(TOWN_FILE, place, "ends before it begins", "write a later day")
    for number, walk in enumerate(pack.walks):
        for field, codes in (("counters", walk.counters), ("others", walk.others)):
            yield from _unknown(TOWN_FILE, ("walks", number, field), codes, known, "counter")


def _channels(pack: TownPack) -> Iterator[Flaw]:
    """The town's words for channels, and the ways from its districts."""
    reasons = enumerate(pack.channels.reasons)
    yield from _twice(TOWN_FILE, ((("channels", "reasons", number, "reason"), each.reason) for number, each in reasons))
    known = {counter.code for counter in pack.counters} | {venue.code for venue in pack.venues}
    ways = []
    for number, travel in enumerate(pack.travels):
        place: Place = ("travels", number, "counters")
        yield from _unknown(TOWN_FILE, place, travel.counters, known, "counter or venue")
        ways += [(place, f"{travel.district} – {code}") for code in travel.counters]
    yield from _twice(TOWN_FILE, ways)


def _frequent(pack: TownPack) -> Iterator[Flaw]:
    # What others should not see over somebody's shoulder is never put before everybody.
    place: Place = ("town", "frequent")
    shown = {procedure.code: procedure.discreet for procedure in pack.procedures}
    yield from _twice(TOWN_FILE, ((place, code) for code in pack.town.frequent))
    yield from _unknown(TOWN_FILE, place, pack.town.frequent, set(shown), "procedure")
    for code in pack.town.frequent:
        if shown.get(code):
            yield Flaw(TOWN_FILE, place, f"{code} is discreet", "take it out here")


def _procedures(pack: TownPack) -> Iterator[Flaw]:
    yield from _twice(
        PROCEDURES_FILE, (((number, "code"), procedure.code) for number, procedure in enumerate(pack.procedures))
    )
    counters = {counter.code for counter in pack.counters}
    items = {*get_args(Item), *(item.code for item in pack.items.items)}
    things, deadlines = {thing.code for thing in pack.things}, {deadline.code for deadline in pack.deadlines}
    for number, procedure in enumerate(pack.procedures):
        for field, codes, known, what in (
            ("counters", procedure.counters, counters, "counter"),
            ("items", procedure.items, items, "item"),
            ("bring", procedure.bring, things, "thing to bring"),
            ("bring_online", procedure.bring_online, things, "thing to bring"),
            ("attach", procedure.attach, things, "thing to attach"),
            ("deadline", filter(None, [procedure.deadline]), deadlines, "deadline"),
        ):
            yield from _unknown(PROCEDURES_FILE, (number, field), codes, known, what)
        needed = [item for item in procedure.items if item in IN_PERSON_ITEMS]
        if procedure.online != "no" and needed:
            what = f"no form asks for {', '.join(needed)}, which it needs"
            yield Flaw(PROCEDURES_FILE, (number, "online"), what, "write no")
        yield from _unbookable((number,), procedure, pack.booking)
        yield from _uncounted((number,), procedure)


def _unbookable(place: Place, procedure: Procedure, town: BookingRules) -> Iterator[Flaw]:
    # Times are made as far ahead as the town says, and no further.
    if procedure.horizon_days is not None and procedure.horizon_days > town.horizon_days:
        what = f"more than the town's {town.horizon_days} days"
        yield Flaw(PROCEDURES_FILE, (*place, "horizon_days"), what, "write fewer, or raise booking.horizon_days")
    notice_min = town.notice_min if procedure.notice_min is None else procedure.notice_min
    is_its_own = procedure.notice_min is not None or procedure.horizon_days is not None
    if is_its_own and notice_min >= (procedure.horizon_days or town.horizon_days) * DAY_MIN:
        what = "as long as the horizon, so that nobody could book"
        yield Flaw(PROCEDURES_FILE, (*place, "notice_min"), what, "write fewer minutes")


def _uncounted(place: Place, procedure: Procedure) -> Iterator[Flaw]:
    # Nobody chooses a number without being told of what, and no second one takes no time at all.
    place = (*place, "quantity_max")
    if procedure.quantity_max > 1 and not (procedure.more_min and procedure.unit):
        yield Flaw(PROCEDURES_FILE, place, "above 1 it needs more_min and unit", "fill them in")
    if procedure.quantity_max == 1 and (procedure.more_min or procedure.unit):
        yield Flaw(PROCEDURES_FILE, place, "more_min and unit are for a number above 1", "leave them empty")


def _life_event(place: Place, event: LifeEvent, procedures: set[str]) -> Iterator[Flaw]:
    asked = [((*place, "questions", number, "code"), each.code) for number, each in enumerate(event.questions)]
    yield from _twice(LIFE_EVENTS_FILE, asked)
    steps = [((*place, "steps", number, "procedure"), each.procedure) for number, each in enumerate(event.steps)]
    yield from _twice(LIFE_EVENTS_FILE, steps)
    before: set[str] = set()
    for (where, code), step in zip(steps, event.steps, strict=True):
        yield from _unknown(LIFE_EVENTS_FILE, where, [code], procedures, "procedure")
        questions = {question.code for question in event.questions}
        yield from _unknown(LIFE_EVENTS_FILE, (*where[:-1], "when"), step.when, questions, "question")
        for late in sorted(set(step.after) - before):
            what = f"{code} comes before {late}, after which it is to come"
            yield Flaw(LIFE_EVENTS_FILE, (*where[:-1], "after"), what, f"put the step {late} above this one")
        before.add(code)


def _office(pack: TownPack) -> Iterator[Flaw]:
    rules = [(("procedures", number, "procedure"), rule) for number, rule in enumerate(pack.office.procedures)]
    yield from _twice(OFFICE_FILE, ((place, rule.procedure) for place, rule in rules))
    codes = {procedure.code for procedure in pack.procedures}
    for place, rule in rules:
        yield from _unknown(OFFICE_FILE, place, [rule.procedure], codes, "procedure")
        if rule.appeal_first and rule.appeal_to == "":
            what = f"{rule.procedure} needs an appeal before a court, and has none"
            advice = "write whom it goes to in appeal_to, or take appeal_first out"
            yield Flaw(OFFICE_FILE, (*place[:-1], "appeal_first"), what, advice)
        yield from _online_rule(pack, place[:-1], rule)
        checks = (((*place[:-1], "checks", number, "code"), check.code) for number, check in enumerate(rule.checks))
        yield from _twice(OFFICE_FILE, checks)


def _items(pack: TownPack, procedures: set[str]) -> Iterator[Flaw]:
    own, forms = pack.items.items, pack.items.forms
    yield from _twice(ITEMS_FILE, ((("items", number, "code"), item.code) for number, item in enumerate(own)))
    places = [(("forms", number, "procedure"), form.procedure) for number, form in enumerate(forms)]
    yield from _twice(ITEMS_FILE, places)
    for place, code in places:
        yield from _unknown(ITEMS_FILE, place, [code], procedures, "procedure")
    for number, form in enumerate(forms):
        headings = [(("forms", number, "groups", index, "ja"), group.ja) for index, group in enumerate(form.groups)]
        yield from _twice(ITEMS_FILE, headings)
    yield from flaws_of_items(pack)


def _online_rule(pack: TownPack, place: Place, rule: OfficeRule) -> Iterator[Flaw]:
    """How it is sent, and how it comes to its end: only what a procedure has online can have that."""
    yield from _unknown(OFFICE_FILE, (*place, "enclose"), rule.enclose, {thing.code for thing in pack.things}, "thing")
    line = next((line for line in pack.procedures if line.code == rule.procedure), None)
    if line is None:
        return
    if rule.identity_step and line.online == "no":
        yield Flaw(OFFICE_FILE, (*place, "identity_step"), f"{line.code} is not done online", "take identity_step out")
    if (rule.finish or rule.enclose) and line.online != "partial":
        what = f"{line.code} is not partly done online, so that nothing is left to do"
        yield Flaw(OFFICE_FILE, (*place, "finish" if rule.finish else "enclose"), what, "take it out")
    if "counter" in rule.finish and (line.counter == "no" or not line.counters):
        yield Flaw(OFFICE_FILE, (*place, "finish"), f"no counter does {line.code}", "write post only")


def _offices(pack: TownPack) -> Iterator[Flaw]:
    yield from _twice(
        TOWN_FILE, ((("offices", number, "name_ja"), each.name_ja) for number, each in enumerate(pack.offices))
    )
    known = {office.name_ja for office in pack.offices}
    if not known:
        # A town need not say how its offices are reached: its own phone number is told.
        return
    tables = (("counters", [each.office for each in pack.counters]), ("venues", [each.office for each in pack.venues]))
    for table, offices in tables:
        for number, office in enumerate(offices):
            yield from _unknown(TOWN_FILE, (table, number, "office"), [office], known, "office")
    for number, procedure in enumerate(pack.procedures):
        yield from _unknown(PROCEDURES_FILE, (number, "office"), [procedure.office], known, "office")
    yield from _unknown(TOWN_FILE, ("town", "registrar"), filter(None, [pack.town.registrar]), known, "office")


def _circles(pack: TownPack) -> Iterator[Flaw]:
    try:
        TopologicalSorter(pack.procedures_before()).prepare()
    except CycleError as error:
        what = f"the events contradict each other: {' after '.join(error.args[1])}"
        yield Flaw(LIFE_EVENTS_FILE, (), what, "take one of these out of an `after`")


def _two_ways(pack: TownPack) -> Iterator[Flaw]:
    known: dict[str, tuple[str, str]] = {}
    for said in texts_of(pack):
        first = known.setdefault(said.ja, (said.easy, said.en))
        if said.ja and first != (said.easy, said.en):
            ways = " / ".join(", ".join(filter(None, way)) for way in (first, (said.easy, said.en)))
            advice = "say the same in both places, or change the Japanese of one"
            yield Flaw(said.file, said.place, f"{said.ja} is said in two ways: {ways}", advice)


def _twice(file: str, codes: Iterable[tuple[Place, str]]) -> Iterator[Flaw]:
    known: set[str] = set()
    for place, code in codes:
        if code in known:
            yield Flaw(file, place, f"{code} is there twice", "take one out, or give it another code")
        known.add(code)


def _unknown(file: str, place: Place, codes: Iterable[str], known: set[str], what: str) -> Iterator[Flaw]:
    for code in dict.fromkeys(codes):
        if code not in known:
            there = ", ".join(sorted(known)) or "none"
            yield Flaw(file, place, f"no such {what}: {code}", f"mend the code; there are {there}")
