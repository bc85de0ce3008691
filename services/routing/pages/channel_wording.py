"""The comparison in words: what each channel costs, why one is suggested, and what does not fit one's answers."""

from datetime import datetime

import msgspec

from services.routing.domain.catalogue import Payment, Procedure, Town
from services.routing.domain.channels import Comparison
from services.routing.domain.options import Caution, ChannelOption, Doubt, Sure
from services.routing.domain.situation import Access
from services.routing.domain.suggestion import Why
from services.routing.pages.wording import CHANNEL_TITLES, bring_words, item_names, place_of
from shared.web.i18n import translate
from shared.web.templating import duration, jst_datetime, jst_time, to_day, yen
from shared.web.town_texts import town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


ONLY_MONEY = _("お金のほかは、なにもいりません")
CHANNEL_ACTIONS = {
    "online": _("オンラインで申しこむ"),
    "counter": _("窓口の日にちと時間を選ぶ"),
    "helper": _("サポーターの日時を選ぶ"),
}

REASONS: dict[str, str] = {
    "possible": _("この方法で手続きできます。"),
    "partly": _("申請はできますが、あとで窓口に来ていただくことがあります。"),
    "in_person_by_law": _("法律で、窓口に来ていただくことが決まっています。"),
    "not_online": _("この手続きは、まだオンラインではできません。"),
    "no_counter": _("この手続きは、窓口の予約ではあつかっていません。"),
    "not_with_helper": _("この手続きは、サポーターといっしょにはできません。"),
    "no_venue": _("サポーターと会える場所が、まだありません。"),
}
HELPER_POSSIBLE = _("町のサポーターが、スマートフォンの使い方をいっしょに練習しながら進めます。")
COUNTER_POSSIBLE = _("係の者がお話をうかがいながら、いっしょに進めます。")
NEXT_VERSION = {
    "helper": _("サポーターの予約は、次の版で始まります。いまは窓口の予約か、電話（%(phone)s）をご利用ください。"),
}
NEXT_VERSION_PHONE_ONLY = _("この方法は、次の版で始まります。いまは電話（%(phone)s）でおたずねください。")

WHY: dict[Why, str] = {
    "need_step_free": _("階段を使わずに行けます。"),
    "need_sign": _("手話通訳があります。"),
    "need_writing": _("書いて話せます。"),
    "need_interpreter": _("ほかのことばの通訳があります。"),
    "need_stay_home": _("出かけずにできます。"),
    "no_phone_needed": _("スマートフォンもパソコンもいりません。"),
    "with_practice": _("使い方を教わりながらできます。"),
    "own_phone": _("ご自分のスマートフォンやパソコンでできます。"),
    "in_time": _("ご希望の日までに、間に合います。"),
    "earliest": _("いちばん早くできます。"),
    "only_one_ready": _("いま、このサイトから申しこめる方法です。"),
    "whole_procedure": _("これだけで手続きが終わります。"),
    "short": _("短い時間で終わります。"),
    "nothing_to_bring": _("持ちものがいりません。"),
    "together": _("わからないことを、その場で聞けます。"),
}
# Online nobody goes anywhere, and nobody has to be spoken to.
WHY_ONLINE: dict[Why, str] = {
    "need_step_free": _("出かけずにできます。"),
    "need_sign": _("話さずにできます。"),
    "need_writing": _("話さずにできます。"),
}
CAUTIONS: dict[Caution, str] = {
    "late": _("ご希望の日までに、空きがありません。"),
    "time_unknown": _("ご希望の日までに空きがあるか、まだわかりません。次のページで確かめてください。"),
    "needs_phone": _("スマートフォンかパソコンがいります。"),
    "by_yourself": _("ご自分で操作します。"),
    "go_out": _("出かける必要があります。"),
    "go_out_later": _("あとで、窓口に出かけることがあります。"),
    "ask_step_free": _("階段を使わずに行けるか、役場に電話でおたずねください。"),
    "ask_sign": _("手話通訳がつくか、役場に電話でおたずねください。"),
    "ask_writing": _("書いて話せるか、役場に電話でおたずねください。"),
    "ask_interpreter": _("ほかのことばの通訳がつくか、役場に電話でおたずねください。"),
    "some_step_free": _("階段がある場所もあります。場所を選ぶときに、お確かめください。"),
    "some_sign": _("手話通訳がない場所もあります。場所を選ぶときに、お確かめください。"),
    "some_writing": _("書いて話せない場所もあります。場所を選ぶときに、お確かめください。"),
    "some_interpreter": _("ほかのことばの通訳がない場所もあります。場所を選ぶときに、お確かめください。"),
    "site_languages": _("このサイトのことばは、日本語・やさしい日本語・英語です。"),
}
ACCESS: dict[Access, str] = {
    "step_free": _("階段を使わずに行けます"),
    "sign": _("手話通訳があります"),
    "writing": _("書いて話せます"),
    "interpreter": _("ほかのことばの通訳があります"),
}
PAYMENTS: dict[Payment, str] = {
    "cash": _("現金"),
    "credit": _("クレジットカード"),
    "ic_card": _("交通系のICカードなど"),
    "code": _("スマートフォンのコード決済"),
    "invoice": _("納付書（あとで払う紙）"),
}
PAID_BY = _("払い方：%(ways)s")
PAYMENT_TOLD_LATER = _("払い方は、受け付けたあとにお知らせします。")
PAYMENT_TO_ASK = _("払い方は、役場におたずねください。")
FROM_HOME = _("家から行く時間のめやす：%(way)s")
FROM_HOME_VARIES = _("家から行く時間のめやす：%(least)sから%(most)s（地区でちがいます）")
WITHOUT_TRAVEL = _("行き帰りの時間は、ふくみません。")
SURE: dict[Sure, str] = {
    "sure": _("確かです"),
    "roughly": _("めやすです"),
    "ask": _("次のページで確かめてください"),
}
DOUBTS: dict[Doubt, str] = {
    "minutes_estimated": _("かかる時間は、めやすです。"),
    "times_old": _("空きのお知らせが、しばらく届いていません。変わっていることがあります。"),
    "times_missing": _("空きのお知らせが、まだ届いていません。"),
    "unconfirmed": _("町がまだ確かめていないことがあります。"),
}
_SEPARATOR = _("、")


class ChannelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as the page shows it: texts only."""

    channel: str
    title: str
    possible: bool
    ready: bool
    suggested: bool
    reason: str
    earliest: str | None
    as_of: str | None
    duration_text: str | None
    place: str | None
    fee: str | None
    bring: tuple[str, ...]
    why: tuple[str, ...]
    cautions: tuple[str, ...]
    travel: str | None
    # How long the way is, and from each district where it differs.
    way: str | None
    districts: tuple[str, ...]
    without_travel: str | None
    access: tuple[str, ...]
    payment: str | None
    reused: str | None
    sure: str | None
    doubts: tuple[str, ...]
    action: str


def channel_cards(procedure: Procedure, comparison: Comparison, town: Town, now: datetime) -> list[ChannelCard]:
    """The three channels in words. The suggested one comes first: on a phone, what is first is what is seen."""
    counter_is_ready = comparison.option("counter").ready
    return [
        _card(option, procedure, comparison, town, now, counter_is_ready=counter_is_ready)
        for option in sorted(comparison.options, key=lambda option: option.channel != comparison.suggested)
    ]


def _card(
    option: ChannelOption,
    procedure: Procedure,
    comparison: Comparison,
    town: Town,
    now: datetime,
    *,
    counter_is_ready: bool,
) -> ChannelCard:
    is_suggested = option.channel == comparison.suggested
    is_possible = option.possible != "no"
    is_somewhere = is_possible and option.channel != "online"
    return ChannelCard(
        channel=option.channel,
        title=translate(CHANNEL_TITLES[option.channel]),
        possible=is_possible,
        ready=option.ready,
        suggested=is_suggested,
        reason=_channel_reason(option, town, counter_is_ready=counter_is_ready),
        earliest=_earliest(option, now),
        as_of=_as_of(option, now),
        duration_text=_minutes(option),
        place=_place(option),
        fee=yen(procedure.fee_yen) if is_possible else None,
        bring=bring_words(option.bring, town) or _only_money(procedure),
        why=_why(option, comparison) if is_suggested else (),
        cautions=tuple(translate(CAUTIONS[code]) for code in option.cautions),
        travel=town_text(option.counter.travel_ja) if option.counter and option.counter.travel_ja else None,
        way=_way(option) if is_somewhere else None,
        districts=_districts(option) if is_somewhere else (),
        without_travel=translate(WITHOUT_TRAVEL) if is_somewhere else None,
        access=tuple(translate(ACCESS[code]) for code in option.access),
        payment=_payment(option) if is_possible and procedure.fee_yen else None,
        reused=item_names(option.reused) if option.reused else None,
        sure=translate(SURE[option.sure]) if is_possible else None,
        doubts=tuple(translate(DOUBTS[code]) for code in option.doubts),
        action=translate(CHANNEL_ACTIONS[option.channel]),
    )


def _why(option: ChannelOption, comparison: Comparison) -> tuple[str, ...]:
    """Each reason once, however many answers led to it."""
    words = WHY | WHY_ONLINE if option.channel == "online" else WHY
    return tuple(dict.fromkeys(translate(words[code]) for code in comparison.why))


def _payment(option: ChannelOption) -> str:
    if not option.payment:
        return translate(PAYMENT_TOLD_LATER if option.channel == "online" else PAYMENT_TO_ASK)
    ways = translate(_SEPARATOR).join(translate(PAYMENTS[way]) for way in option.payment)
    return translate(PAID_BY) % {"ways": ways}


def _only_money(procedure: Procedure) -> tuple[str, ...]:
    return (translate(ONLY_MONEY),) if procedure.fee_yen else ()


def _channel_reason(option: ChannelOption, town: Town, *, counter_is_ready: bool) -> str:
    if option.reason == "next_version":
        text = NEXT_VERSION.get(option.channel) if counter_is_ready else None
        return translate(text or NEXT_VERSION_PHONE_ONLY) % {"phone": town.phone}
    if option.reason == "possible" and option.channel == "counter":
        return translate(COUNTER_POSSIBLE)
    if option.reason == "possible" and option.channel == "helper":
        return translate(HELPER_POSSIBLE)
    if own := town.channels.reasons.get(option.reason):
        return town_text(own)
    return translate(REASONS[option.reason])


def _earliest(option: ChannelOption, now: datetime) -> str | None:
    if option.earliest == "at" and option.earliest_at is not None:
        if to_day(option.earliest_at) == to_day(now):
            return translate(_("今日 %(time)s")) % {"time": jst_time(option.earliest_at)}
        return jst_datetime(option.earliest_at, year=to_day(option.earliest_at).year != to_day(now).year)
    texts = {
        "any_time": _("いつでも（24時間）"),
        "next_version": _("次の版から"),
        "full": _("いまは空きがありません"),
        "unknown": _("次のページで空きを確かめます"),
    }
    return translate(texts[option.earliest]) if option.earliest in texts else None


def _as_of(option: ChannelOption, now: datetime) -> str | None:
    if option.earliest not in ("at", "full") or option.as_of is None:
        return None
    is_today = to_day(option.as_of) == to_day(now)
    when = jst_time(option.as_of) if is_today else jst_datetime(option.as_of, year=False)
    return translate(_("%(when)s現在の空きです。")) % {"when": when}


def _way(option: ChannelOption) -> str | None:
    """The way from home, which is nobody's business: how long it is from the nearest district, and the farthest."""
    minutes = [way.minutes for way in option.counter.travels] if option.counter else []
    if not minutes:
        return None
    least, most = duration(min(minutes)), duration(max(minutes))
    if least == most:
        return translate(FROM_HOME) % {"way": least}
    return translate(FROM_HOME_VARIES) % {"least": least, "most": most}


def _districts(option: ChannelOption) -> tuple[str, ...]:
    ways = option.counter.travels if option.counter else ()
    if len({way.minutes for way in ways}) < 2:
        return ()
    return tuple(f"{town_text(way.district)} {duration(way.minutes)}" for way in ways)


def _minutes(option: ChannelOption) -> str | None:
    if option.minutes is None:
        return None
    text = duration(option.minutes)
    return (
        translate(_("およそ%(duration)s（めやす）")) % {"duration": text}
        if "minutes_estimated" in option.doubts
        else text
    )


def _place(option: ChannelOption) -> str | None:
    if option.possible == "no":
        return None
    if option.channel == "online":
        return translate(_("家など、どこでも"))
    if option.channel == "helper":
        return place_of(option.counter) if option.counter else translate(_("公民館など、町の施設"))
    return place_of(option.counter) if option.counter else None
