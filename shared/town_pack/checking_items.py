"""What contradicts itself in `items.toml`, or names something that does not exist."""

from collections.abc import Iterator, Mapping, Sequence

from shared.town_pack.items import (
    DIGITS_MAX,
    FIELDS_MAX,
    ITEMS_FILE,
    OUR_FIELDS,
    REPEATED,
    TEXT_MAX_LENGTH,
    VALUE_MAX_LENGTH,
    Condition,
    Field,
    ItemPart,
    ProcedureForm,
    SimplePart,
    TownItem,
    fields_of,
)
from shared.town_pack.problems import Flaw, Place
from shared.town_pack.schema import NOT_TYPED_ITEMS, Procedure, TownPack

NAME_MAX_LENGTH = 60
LONGEST = {"person": NAME_MAX_LENGTH, "kana": NAME_MAX_LENGTH, "digits": DIGITS_MAX}
DATE_FIELDS = 4
# Beside what was typed, JSON writes names, quotes and commas, and quotes within quotes.
WRITTEN_BESIDE = 12


def flaws_of_items(pack: TownPack) -> Iterator[Flaw]:
    """Everything that is wrong with the town's items and forms by themselves."""
    for number, item in enumerate(pack.items.items):
        yield from _parts(("items", number), item)
    fields = {**OUR_FIELDS} | {item.code: fields_of(item) for item in pack.items.items}
    procedures = {line.code: line for line in pack.procedures}
    for number, form in enumerate(pack.items.forms):
        if form.procedure in procedures:
            yield from _form(("forms", number), form, procedures[form.procedure], fields)
    sizes = {item.code: sum(map(_size, item.parts)) for item in pack.items.items}
    for number, line in enumerate(pack.procedures):
        count = sum(sizes.get(item, 0) for item in line.items)
        if count > FIELDS_MAX:
            what = f"{line.code} would ask for {count} fields of the town's own, of at most {FIELDS_MAX}"
            yield Flaw("procedures.csv", (number, "items"), what, "take an item out, or lower its at_most")


def _parts(place: Place, item: TownItem) -> Iterator[Flaw]:
    above: dict[str, Field] = {}
    for number, part in enumerate(item.parts):
        at: Place = (*place, "parts", number)
        yield from _name(at, part.name, above, is_alone=len(item.parts) == 1)
        yield from _part(at, part)
        yield from _repeated(at, part)
        if part.when is not None:
            if part.when.item:
                yield Flaw(ITEMS_FILE, (*at, "when"), "a part asks within its own item", "take `item` out of it")
            elif part.when.part == part.name or part.when.part not in above:
                yield from _not_above((*at, "when"), part.name or item.code, part.when.part, list(above))
            else:
                yield from _condition((*at, "when"), part.when, above[part.when.part])
        above[part.name] = fields_of(item)[part.name]
    longest = sum(map(_longest, item.parts))
    if longest > VALUE_MAX_LENGTH:
        what = f"{item.code} could be {longest} letters long, of at most {VALUE_MAX_LENGTH}"
        yield Flaw(ITEMS_FILE, place, what, "lower some length or at_most, or make two items of it")


def _name(place: Place, name: str, known: Mapping[str, Field], *, is_alone: bool) -> Iterator[Flaw]:
    if not name and not is_alone:
        yield Flaw(ITEMS_FILE, (*place, "name"), "one of several parts has no name", "give it one")
    elif name in known:
        yield Flaw(ITEMS_FILE, (*place, "name"), f"{name} is there twice", "give it another name")


def _part(place: Place, part: ItemPart | SimplePart) -> Iterator[Flaw]:
    codes = [choice.code for choice in part.choices]
    if part.kind == "choice" and len(codes) < 2:
        yield Flaw(ITEMS_FILE, place, "a choice between fewer than two", "write its choices")
    if part.kind != "choice" and codes:
        yield Flaw(ITEMS_FILE, (*place, "choices"), f"a {part.kind} has no choices", "take them out, or write choice")
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        yield Flaw(ITEMS_FILE, (*place, "choices"), f"{code} is there twice", "give it another code")
    for low, high in (("lowest", "highest"), ("from_days", "until_days")):
        if getattr(part, low) > getattr(part, high):
            yield Flaw(ITEMS_FILE, (*place, high), f"less than {low}", "write more")
    if part.kind == "digits" and part.length is None:
        yield Flaw(ITEMS_FILE, place, "digits without a length", "write how many there are, as length")
    most = LONGEST.get(part.kind, TEXT_MAX_LENGTH)
    if part.length is not None and part.length > most:
        yield Flaw(ITEMS_FILE, (*place, "length"), f"a {part.kind} has at most {most}", f"write {most} or less")


def _repeated(place: Place, part: ItemPart) -> Iterator[Flaw]:
    if part.kind not in REPEATED:
        if part.each:
            yield Flaw(ITEMS_FILE, (*place, "each"), f"a {part.kind} comes once", "write people or things as its kind")
        return
    if not part.each:
        yield Flaw(ITEMS_FILE, place, "nothing is asked of each", "write each, a list of parts")
    if part.at_least > part.at_most or part.at_most == 0:
        yield Flaw(ITEMS_FILE, (*place, "at_most"), "less than at_least, or none", "write more")
    known: dict[str, Field] = {}
    for number, own in enumerate(part.each):
        # A name each, also when there is one alone: a field is named by it.
        yield from _name((*place, "each", number), own.name, known, is_alone=False)
        yield from _part((*place, "each", number), own)
        known[own.name] = Field("text")


def _form(
    place: Place, form: ProcedureForm, procedure: Procedure, fields: Mapping[str, Mapping[str, Field]]
) -> Iterator[Flaw]:
    if procedure.online == "no":
        what = f"{form.procedure} cannot be done online, so it has no form"
        yield Flaw(ITEMS_FILE, (*place, "procedure"), what, "take the form out")
        return
    needed = [item for item in procedure.items if item not in NOT_TYPED_ITEMS]
    above: list[str] = []
    for inner, entry in form.entries():
        at: Place = (*place, *inner)
        if entry.item not in needed:
            what = f"{form.procedure} does not need {entry.item}"
            yield Flaw(ITEMS_FILE, at, what, "take it out, or add it to the procedure's items in procedures.csv")
            continue
        if entry.item in above:
            yield Flaw(ITEMS_FILE, at, f"{entry.item} is there twice", "take one out")
        known = fields.get(entry.item, {})
        for name in entry.required:
            if name not in known:
                there = ", ".join(known) or "none"
                yield Flaw(ITEMS_FILE, at, f"{entry.item} has no part {name}", f"mend the name; there are {there}")
        if entry.when is not None:
            yield from _condition_of_form(at, entry.item, entry.when, above, fields)
        above.append(entry.item)
    missing = [item for item in needed if item not in above]
    if missing:
        what = f"the form of {form.procedure} leaves out {', '.join(missing)}, which the procedure needs"
        yield Flaw(ITEMS_FILE, (*place, "groups"), what, "add it to a group")


def _condition_of_form(
    place: Place, item: str, when: Condition, above: Sequence[str], fields: Mapping[str, Mapping[str, Field]]
) -> Iterator[Flaw]:
    if when.item not in above:
        yield from _not_above(place, item, when.item, above)
        return
    field = fields.get(when.item, {}).get(when.part)
    if field is None:
        there = ", ".join(fields.get(when.item, {}))
        yield Flaw(ITEMS_FILE, place, f"{when.item} has no part {when.part!r}", f"mend the part; there are {there}")
        return
    yield from _condition(place, when, field)


def _not_above(place: Place, what: str, asked: str, above: Sequence[str]) -> Iterator[Flaw]:
    # Whoever reads from the top has always answered what decides; and so no two can wait for each other.
    there = ", ".join(above) or "nothing"
    advice = f"a condition looks back only: put {asked or 'it'} above, or ask for one of those above ({there})"
    yield Flaw(ITEMS_FILE, place, f"{what} depends on {asked!r}, which does not come before it", advice)


def _condition(place: Place, when: Condition, field: Field) -> Iterator[Flaw]:
    said = {
        "choice": bool(when.one_of),
        "number": when.lowest is not None or when.highest is not None,
        "day": when.from_day is not None or when.until_day is not None,
    }
    advice = {
        "choice": "write one_of, some of its choices",
        "number": "write lowest, highest or both",
        "day": "write from_day, until_day or both",
    }
    if field.kind not in said:
        what = "a condition asks for a choice, a number or a day"
        yield Flaw(ITEMS_FILE, place, what, "name another part")
        return
    if [kind for kind, is_said in said.items() if is_said] != [field.kind]:
        yield Flaw(ITEMS_FILE, place, f"nothing that fits a {field.kind}", f"{advice[field.kind]}, and nothing else")
        return
    for code in when.one_of:
        if code not in field.choices:
            there = ", ".join(field.choices)
            yield Flaw(ITEMS_FILE, place, f"no such choice: {code}", f"mend the code; there are {there}")


def _longest(part: ItemPart | SimplePart) -> int:
    beside = len(part.name) + WRITTEN_BESIDE
    if isinstance(part, ItemPart) and part.kind in REPEATED:
        return beside + part.at_most * sum(map(_longest, part.each))
    match part.kind:
        case "text":
            return beside + (part.length or 100)
        case "long_text":
            return beside + (part.length or TEXT_MAX_LENGTH)
        case _:
            return beside + LONGEST.get(part.kind, 20)


def _size(part: ItemPart | SimplePart) -> int:
    """How many fields of a form a part has."""
    if isinstance(part, ItemPart) and part.kind in REPEATED:
        return part.at_most * sum(map(_size, part.each))
    return DATE_FIELDS if part.kind == "day" else 1
