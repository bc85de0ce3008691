"""What a part of an item is called, in our words or the town's, and the sentence about when it is asked for."""

from typing import Any

from services.routing.domain.items import Condition, Part, field_of, parts_of
from services.routing.domain.town_items import postal_example
from services.routing.pages.item_wording import CHOICES, PARTS
from services.routing.pages.wording import item_name
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.templating import jst_date
from shared.web.town_texts import town_text


def part_label(item: str, part: Part, within: str = "") -> str:
    """What a field is called. `within`: the part that it is repeated in, with a dot."""
    if part.label:
        return town_text(part.label)
    words = PARTS.get((item, within + part.name))
    return translate(words.label) if words else item_name(item)


def part_hint(item: str, part: Part, within: str = "") -> str | None:
    """What helps to fill a field in, if anything does."""
    if part.hint:
        return town_text(part.hint)
    words = PARTS.get((item, within + part.name))
    if words is None or not words.hint:
        return None
    example = postal_example() if part.kind == "postal_code" else ""
    return translate(words.hint) + (_("例：%(code)s", code=example) if example else "")


def choice_name(item: str, part: Part, choice: str, within: str = "") -> str:
    """A choice in words; one that there is no longer as it was kept."""
    if choice in part.choices and part.choice_words:
        return town_text(part.choice_words[part.choices.index(choice)])
    return translate(CHOICES.get((item, within + part.name, choice), choice))


def show_when(when: Condition, item: str) -> dict[str, Any] | None:
    """The field that decides, what it has to hold, and the sentence that says so to people; None if there is none."""
    item = when.item or item
    part = next((part for part in parts_of(item) if part.name == when.part), None)
    if part is None:
        return None
    question, answer = part_label(item, part), _answer(when, item, part)
    return {
        "field": field_of(item, part),
        "one_of": " ".join(when.one_of),
        "lowest": when.lowest if when.from_day is None else when.from_day.isoformat(),
        "highest": when.highest if when.until_day is None else when.until_day.isoformat(),
        "text": _("「%(question)s」が「%(answer)s」のときだけ、書いてください。", question=question, answer=answer),
        "case": _("「%(question)s」が「%(answer)s」のとき", question=question, answer=answer),
    }


def _answer(when: Condition, item: str, part: Part) -> str:
    if when.one_of:
        return _("」か「").join(choice_name(item, part, choice) for choice in when.one_of)
    lowest, highest = (
        (jst_date(day, weekday=False) if day is not None else "" for day in (when.from_day, when.until_day))
        if part.kind == "day"
        else ("" if number is None else str(number) for number in (when.lowest, when.highest))
    )
    if lowest and highest:
        return _("%(lowest)sから%(highest)sまで", lowest=lowest, highest=highest)
    if lowest:
        return _("%(day)sからあと", day=lowest) if part.kind == "day" else _("%(number)s以上", number=lowest)
    return _("%(limit)sまで", limit=highest)
