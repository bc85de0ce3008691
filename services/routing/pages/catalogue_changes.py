"""What was changed in a pack, as people read it: each thing, each field as it was and as it is, and whom it touches."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.routing.pages.catalogue_wording import choice_name, kind_name, label_of
from services.routing.pages.wording import CHANNEL_TITLES
from services.routing.queries.packs import UnderWay
from shared.town_pack.records import KINDS
from shared.web.i18n import gettext, translate


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


DEEDS = {
    "begin": _("なおし始め"),
    "edit": _("なおした"),
    "back": _("前の版にもどした"),
    "merge": _("読みこまれたファイルに、変更を移した"),
}
# As `difference.py` calls them.
_CHANGED = {
    "procedure": "procedure",
    "counter": "counter",
    "venue": "venue",
    "life event": "event",
    "thing to bring": "thing",
    "deadline": "deadline",
    "wording": "name",
    "office rule": "rule",
    "office": "desk",
    "closure": "closure",
    "walk": "walk",
    "words of a channel": "reason",
    "way from a district": "travel",
    "hours": "opening",
    "part of an item": "part",
    "choice of a part": "choice",
    "part of each": "own",
    "choice of each": "own_choice",
    "group of a form": "group",
    "item of a form": "entry",
    "item": "item",
    "form": "form",
    "template": "template",
}
_NOTHING = _("なし")
_SEPARATOR = _("、")
SHOWN_MAX = 200
# Fields whose values the town names itself.
AS_WRITTEN = {"code", "name", "required", "when"}


def describe_changes(changes: list[dict[str, Any]], under_way: UnderWay | None = None) -> list[dict[str, Any]]:
    """Changes as people read them: `what` changed, and `lines` of how; with what is under way, whom it touches."""
    return [
        {
            "what": _what(change),
            "lines": list(_lines(change)),
            "felt": list(_felt(change, under_way)) if under_way else [],
        }
        for change in changes
    ]


def _what(change: Mapping[str, Any]) -> str:
    if change["kind"] == "town":
        table, _dot, field = change["code"].partition(".")
        kind = KINDS[table]
        return f"{kind_name(kind)}：{label_of(kind, field)}"
    name = kind_name(KINDS[_CHANGED[change["kind"]]]) if change["kind"] in _CHANGED else change["kind"]
    return " ".join(filter(None, [name, change["name"], change["code"]]))


def _lines(change: Mapping[str, Any]) -> Iterator[str]:
    if change["is_gone"]:
        yield translate(_("なくなります"))
    elif change["what"] == "new":
        yield translate(_("新しくできます"))
    elif not change["moves"]:
        yield translate(_("ならぶ順が変わります"))
    kind = KINDS.get(_CHANGED.get(change["kind"], change["code"].partition(".")[0]))
    for move in change["moves"]:
        label = label_of(kind, move["field"]) if kind and move["field"] != "hours" else ""
        said = f"{show_field(move['field'], move['before'])} → {show_field(move['field'], move['after'])}"
        yield f"{label}：{said}" if label and change["kind"] != "town" else said


def show_field(field: str, value: object) -> str:
    """The value of a field in words; names and codes as they are, whatever they would be elsewhere."""
    if field not in AS_WRITTEN or not value:
        return show_value(value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    return translate(_SEPARATOR).join(
        translate(_SEPARATOR).join(map(str, each)) if isinstance(each, list) else str(each) for each in inner if each
    )


def show_value(value: object) -> str:
    """A value in words, short enough for a line."""
    match value:
        case None | "" | [] | {}:
            said = translate(_NOTHING)
        case bool():
            said = gettext("はい") if value else gettext("いいえ")
        case list():
            said = translate(_SEPARATOR).join(map(show_value, value))
        case dict():
            said = "（" + translate(_SEPARATOR).join(show_value(each) for each in value.values() if each) + "）"
        case _:
            said = choice_name(str(value))
    return said if len(said) <= SHOWN_MAX else f"{said[:SHOWN_MAX]}…"


def _felt(change: Mapping[str, Any], under_way: UnderWay) -> Iterator[str]:
    """Whom a change touches who is in the middle of something."""
    cases, ahead = under_way.cases.get(change["code"], 0), under_way.appointments.get(change["code"], 0)
    fields = {move["field"] for move in change["moves"]}
    if change["kind"] == "procedure" and cases:
        if change["is_gone"]:
            yield gettext("始まっている%(count)s件は、終わりまで続きます。新しくは始められません。", count=cases)
        for field, said in _FELT.items():
            if field in fields:
                yield translate(said) % {"count": cases}
        if fields & CHANNEL_TITLES.keys():
            yield gettext("始まっている%(count)s件は、選んだやり方のまま続けられます。", count=cases)
    if change["kind"] in ("counter", "venue", "hours") and ahead:
        if change["is_gone"]:
            yield gettext(
                "これからの予約が%(count)s件あります。予約はのこります。窓口のページで、移すか取り消してください。",
                count=ahead,
            )
        else:
            yield gettext("これからの予約%(count)s件は、そのままです。新しい時間は、あすから数えます。", count=ahead)


_FELT = {
    "items": _("始まっている%(count)s件：まだ送っていない人には、新しい項目をたずねます。送ったものは、そのままです。"),
    "office": _("始まっている%(count)s件：送られたものは、送った先の課のままです。"),
    "fee_yen": _("始まっている%(count)s件：新しい手数料が、これから出ます。"),
    "retention_days": _("始まっている%(count)s件：書かれたことは、新しい日数だけのこします。"),
}
