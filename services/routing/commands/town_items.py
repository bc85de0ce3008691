"""A town's items and forms, from how its pack says them to how the rules see them."""

from typing import Final

import msgspec

from services.routing.domain.items import (
    LINE_MAX_LENGTH,
    NAME_MAX_LENGTH,
    NOTE_MAX_LENGTH,
    SHORT_MAX_LENGTH,
    Condition,
    Part,
)
from services.routing.domain.town_items import FormGroup, FormItem, ProcedureForm, TownItem, TownItems
from shared.town_pack.items import Condition as PackCondition
from shared.town_pack.items import ItemPart, ItemsFile, SimplePart
from shared.town_pack.items import ProcedureForm as PackForm

# How long a text may be where the town does not say.
LENGTHS: Final = {
    "person": NAME_MAX_LENGTH,
    "kana": NAME_MAX_LENGTH,
    "long_text": NOTE_MAX_LENGTH,
    "phone": SHORT_MAX_LENGTH,
}


def town_items_of(pack: ItemsFile) -> TownItems:
    """What a checked pack defines, in Japanese: `shared/town_texts.py` has the other languages."""
    return TownItems(
        items={
            item.code: TownItem(code=item.code, ja=item.ja, parts=tuple(map(_part, item.parts))) for item in pack.items
        },
        forms={form.procedure: _form(form) for form in pack.forms},
    )


def _part(part: ItemPart | SimplePart) -> Part:
    made = Part(
        kind=part.kind,
        name=part.name,
        required=part.required,
        length=part.length or LENGTHS.get(part.kind, LINE_MAX_LENGTH),
        choices=tuple(choice.code for choice in part.choices),
        lowest=part.lowest,
        highest=part.highest,
        from_days=part.from_days,
        until_days=part.until_days,
        label=part.ja,
        hint=part.hint_ja,
        choice_words=tuple(choice.ja for choice in part.choices),
    )
    if isinstance(part, SimplePart):
        return made
    return msgspec.structs.replace(
        made,
        # Of what is repeated, the town says how many there are at least.
        required=part.required and not part.each,
        each=tuple(map(_part, part.each)),
        at_least=part.at_least,
        at_most=part.at_most,
        when=_condition(part.when),
    )


def _form(form: PackForm) -> ProcedureForm:
    return ProcedureForm(
        groups=tuple(
            FormGroup(
                ja=group.ja,
                items=tuple(
                    FormItem(item=entry.item, required=entry.required, when=_condition(entry.when))
                    for entry in group.items
                ),
            )
            for group in form.groups
        )
    )


def _condition(when: PackCondition | None) -> Condition | None:
    return Condition(**{name: getattr(when, name) for name in when.__struct_fields__}) if when is not None else None
