"""What the pages of bulk notices call things."""

from collections.abc import Mapping
from typing import Any

from services.notifications.bulk_texts import NEEDED, WHICH, Flaws
from services.notifications.domain.bulk import (
    BULK_LANGUAGES,
    PRICED_WAYS,
    SEN_PER_YEN,
    UNTIL_HOURS,
    Audience,
    Estimate,
    Standing,
)
from services.notifications.domain.notices import TOWN_NEWS, TOWN_NOTICE, Kind
from services.notifications.pages.template_wording import LANGUAGE_NAMES, say_flaws
from services.notifications.queries_of_bulk import Bulk
from services.notifications.queries_of_templates import TownFacts
from shared.web.i18n import gettext, translate
from shared.web.templating import jst_date


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


# As a form sends it: what may be missed, or what must be told with its reason.
KINDS: dict[str, tuple[Kind, str]] = {
    "town_news": (TOWN_NEWS, ""),
    "safety": (TOWN_NOTICE, "safety"),
    "own_affairs": (TOWN_NOTICE, "own_affairs"),
}
KIND_NAMES = {
    "town_news": _("お知らせ（読まなくてもこまらないもの）"),
    "safety": _("必ず伝えること（安全にかかわる）"),
    "own_affairs": _("必ず伝えること（その人の手続きや予約にかかわる）"),
}
KIND_HINTS = {
    "town_news": _("「町からのお知らせ」を止めている人には送りません。届かなくても、職員は電話しません。"),
    "safety": _(
        "止めることはできません。夜でもすぐに送ります。届かない人は「連絡がつかない人」に入り、職員が連絡します。"
    ),
    "own_affairs": _(
        "止めることはできません。夜は送らず、朝8時から送ります。届かない人は「連絡がつかない人」に入り、職員が連絡します。"
    ),
}
BY_NAMES = {
    "appointments": _("予約のある人"),
    "applications": _("申請の手続き中の人"),
    "everybody": _("連絡先のある人みんな"),
}
TEXT_NAMES = {"subject": _("件名"), "body": _("本文（メール・手紙）"), "short": _("SMS・LINEの文")}
WAY_NAMES = {
    "email": _("メール"),
    "sms": _("SMS"),
    "line": _("LINE"),
    "letter": _("手紙（職員が印刷して送ります）"),
    "call": _("電話（職員がかけます）"),
    "paper": _("紙か電話がよい人（メッセージは送りません）"),
    "none": _("連絡先を使わない人"),
    "stopped": _("町からのお知らせを止めている人"),
    "dead": _("届かない連絡先しかない人"),
}
# Of what must be told, these are told by staff.
BY_STAFF = ("paper", "none", "dead", "letter", "call")
PRICE_NAMES = {"sms": _("SMS 1通（70文字ごと）"), "letter": _("手紙 1通"), "line": _("LINE 1通")}
STANDING_NAMES: dict[Standing, str] = {
    "waiting": _("これから送る"),
    "sent": _("送った（届いたかは、まだわかりません）"),
    "delivered": _("届いた"),
    "failed": _("届かなかった"),
    "paper": _("送らない（控えの方）"),
    "unwanted": _("送らない（本人が止めています）"),
    "stopped": _("止めたので送らない"),
}
STATE_NAMES = {
    "draft": (_("下書き"), "warning"),
    "sending": (_("送っています"), "info"),
    "done": (_("終わりました"), "success"),
    "stopped": (_("止めました"), "error"),
}
MISSING = {
    "days": ("first_day", _("どの日から、どの日までの予約か、選んでください。")),
    "procedure": ("procedure", _("どの手続きか、選んでください。")),
    "until": ("until_day", _("いつまで送ってよいか、選んでください。送りはじめてから1時間あと、60日先までです。")),
}


def choice_of(kind: Kind, reason: str | None) -> str:
    """What a form has for a kind and its reason."""
    return reason or kind


def text_field_of(which: str, language: str) -> str:
    """A text's field in forms."""
    return f"{which}_{language}"


def text_title(which: str, language: str) -> str:
    """What one text is called."""
    name, said = translate(TEXT_NAMES[which]), translate(LANGUAGE_NAMES[language])
    return gettext("%(channel)s（%(language)s）", channel=name, language=said)


def say_missing(flaws: Flaws, missing: set[str]) -> dict[str, str]:
    """Everything that is wrong, by field in the order of the page."""
    said = {field: translate(why) for name, (field, why) in MISSING.items() if name in missing}
    for which in WHICH:
        for language in BULK_LANGUAGES:
            if wrong := flaws.get((which, language)):
                said[text_field_of(which, language)] = "\n".join(
                    [gettext("%(text)s：", text=text_title(which, language)), *say_flaws(wrong)]
                )
    return said


def options(names: Mapping[str, str], hints: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Names as a form offers them."""
    return [
        {"value": value, "label": translate(name)} | ({"hint": translate(hints[value])} if hints else {})
        for value, name in names.items()
    ]


def form_options(facts: TownFacts) -> dict[str, Any]:
    """What there is to choose from."""
    any_one = {"value": "", "label": gettext("どれでも")}
    return {
        "kinds": options(KIND_NAMES, KIND_HINTS),
        "bys": options(BY_NAMES),
        "offices": [any_one, *({"value": office, "label": office} for office in facts.offices)],
        "counters": [
            any_one,
            *({"value": each.code, "label": f"{each.number} {each.name_ja}".strip()} for each in facts.counters),
        ],
        "procedures": [any_one, *({"value": each.code, "label": each.name_ja} for each in facts.procedures)],
        "languages": options(LANGUAGE_NAMES),
        "hours": [{"value": str(hour), "label": gettext("%(hour)s時", hour=hour)} for hour in UNTIL_HOURS],
        "texts": [
            {
                "title": translate(LANGUAGE_NAMES[language]),
                "fields": [
                    {
                        "name": text_field_of(which, language),
                        "label": translate(TEXT_NAMES[which]),
                        "is_long": which != "subject",
                        "rows": 8 if which == "body" else 3,
                        "is_needed": which in NEEDED,
                    }
                    for which in WHICH
                ],
            }
            for language in BULK_LANGUAGES
        ],
    }


def say_audience(audience: Audience, facts: TownFacts) -> list[str]:
    """Whom it goes to, in words."""
    said = [translate(BY_NAMES[audience.by])]
    if audience.by == "appointments" and audience.first_day and audience.last_day:
        first, last = jst_date(audience.first_day), jst_date(audience.last_day)
        said.append(gettext("%(first)sから%(last)sまで", first=first, last=last))
    if audience.by != "everybody" and audience.procedure:
        names = {each.code: each.name_ja for each in facts.procedures}
        said.append(names.get(audience.procedure, audience.procedure))
    if audience.by == "appointments":
        counters = {each.code: f"{each.number} {each.name_ja}".strip() for each in facts.counters}
        said += [name for name in (audience.office, counters.get(audience.counter, audience.counter)) if name]
    said += [translate(LANGUAGE_NAMES[language]) for language in audience.languages]
    return said


def say_ways(kind: Kind, estimate: Estimate) -> list[dict[str, Any]]:
    """How many by which way, the most used first."""
    return [
        {
            "name": translate(WAY_NAMES[way]),
            "count": estimate.ways[way],
            "is_by_staff": kind == TOWN_NOTICE and way in BY_STAFF,
        }
        for way in WAY_NAMES
        if estimate.ways.get(way)
    ]


def say_sen(sen: int) -> str:
    """An amount in yen, with sen only where there are any."""
    yen, rest = divmod(sen, SEN_PER_YEN)
    return f"{yen:,}" + (f".{rest:02}" if rest else "")


def say_prices(sen: Mapping[str, int]) -> dict[str, str]:
    """What a form has for each price."""
    return {way: say_sen(sen[way]).replace(",", "") if way in sen else "" for way in PRICED_WAYS}


def title_of(bulk: Bulk) -> str:
    """By which staff know it: its Japanese subject."""
    words = bulk.written.texts.get("ja")
    return (words.subject if words else "") or gettext("（件名なし）")
