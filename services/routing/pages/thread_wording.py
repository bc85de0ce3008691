"""The words of a case's thread: what happened, who did it, and what comes next."""

from collections.abc import Mapping

from services.routing.domain.catalogue import Counter
from services.routing.domain.thread import Entry
from services.routing.pages.application_wording import STEPS
from services.routing.pages.wording import CHANNEL_TITLES, REACHES, SWITCHED_BY, item_names, place_of
from shared.reference_number import show_number
from shared.web.i18n import translate
from shared.web.templating import jst_datetime
from shared.web.town_texts import town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


# By which way a notice went, beside those that are chosen at first.
WAYS = REACHES | {"line": _("LINE"), "letter": _("手紙"), "call": _("電話")}
HAPPENED: dict[str, str] = {
    "begun": _("手続きを始めました（%(channel)s）"),
    "switched": _("やり方を「%(channel)s」に変えました"),
    "closed": _("この手続きをやめました"),
    "left": _("長いあいだ動きがなかったので、とちゅうで終わったものとして数えました。つづけることはできます"),
    "given": _("%(count)s項目を入力しました（%(items)s）"),
    "reused": _("%(count)s項目を、前に書いたものから使いました（%(items)s）"),
    "handed_over": _("予約の係に、%(count)s項目をわたしました（%(items)s）"),
    "attached": _("写真や書類を%(count)s点、入れました"),
    "proven": _("オンラインの本人確認がすみました"),
    "opened_elsewhere": _("ほかの機械で、この手続きを開きました"),
    "desk_checked": _("窓口の係といっしょに、%(count)s項目を確かめました（%(items)s）"),
    "confirmed_on_tablet": _("内容がこれでよいことを、窓口のタブレットで確かめました（%(count)s項目）"),
    "confirmed_on_paper": _("内容がこれでよいことを、窓口の紙で確かめました（%(count)s項目）"),
    "submitted": _("申請を送りました"),
    "answered": _("なおして、もう一度送りました"),
    "withdrawn": _("申請を取り下げました"),
    "booked": _("予約をとりました：%(when)s、%(where)s（番号 %(number)s）"),
    "moved": _("予約を変えました：%(when)s、%(where)s（番号 %(number)s）"),
    "cancelled": _("予約を取り消しました（番号 %(number)s）"),
    "helper_found": _("サポーターが決まりました"),
    "helper_nobody": _("サポーターが見つかりませんでした"),
    "closure": _("予約の時間が、窓口の休みになりました（番号 %(number)s）"),
    "reopened": _("窓口の休みがなくなりました。予約はそのままです（番号 %(number)s）"),
    "arrived": _("受付をしました（番号 %(number)s）"),
    "called": _("お呼びしました（番号 %(number)s）"),
    "serving": _("手続きを始めました（番号 %(number)s）"),
    "done": _("予約の用事が終わりました（番号 %(number)s）"),
    "no_show": _("予約の時間に、お会いできませんでした（番号 %(number)s）"),
    "notice_sent": _("お知らせ「%(notice)s」を、%(way)sで送りました"),
    "notice_not_delivered": _("お知らせ「%(notice)s」は、%(way)sでとどきませんでした"),
    "notice_failed": _("お知らせ「%(notice)s」は、%(way)sで送れませんでした"),
    "notice_undeliverable": _("お知らせ「%(notice)s」は、送れませんでした"),
    "way_dead": _("連絡先（%(way)s）に、お知らせが届きませんでした"),
    "way_good": _("届かなかった連絡先（%(way)s）は、なおりました"),
    "feedback": _("ご意見を送りました"),
}
WHO: dict[str, str] = {
    "you": _("あなた"),
    "staff": _("役場の職員（あなたの代わりに）"),
    "office": _("%(office)sの係"),
    "place": _("%(office)sの窓口"),
    "helper": _("サポーター"),
    "town": _("役場"),
}
NOTICES: dict[str, str] = {
    "confirmation": _("予約の確認"),
    "change": _("予約の変更"),
    "cancellation": _("予約の取り消し"),
    "reminder": _("予約の前のお知らせ"),
    "helper_found": _("サポーターが決まったこと"),
    "closure": _("窓口の休み"),
    "reopened": _("休みの取りやめ"),
    "earlier_offer": _("早い時間があいたこと"),
    "turn_near": _("順番が近いこと"),
    "application_received": _("申請を受けとったこと"),
    "application_accepted": _("申請を受け付けたこと"),
    "application_correction": _("なおすことのお願い"),
    "application_visit": _("役場に来ることのお願い"),
    "application_completed": _("手続きが終わったこと"),
    "application_refused": _("申請について決まったこと"),
    "application_withdrawn": _("申請の取り下げ"),
    "help_open": _("サポーターをさがしていること"),
    "help_unmet": _("サポーターが見つからなかったこと"),
    "draw_won": _("抽選の当たり"),
    "draw_lost": _("抽選の結果"),
    "draw_called_off": _("抽選の取りやめ"),
}
OTHER_NOTICE = _("役場からのお知らせ")
# Where a case stands, on the list of all of them.
STANDINGS: dict[str, str] = {
    "open": _("とちゅうの手続きです"),
    "booked": _("予約があります"),
    "over": _("終わりました"),
    "closed": _("やめました"),
}


def entry_words(entry: Entry, counters: Mapping[str, Counter]) -> str:
    """One thing that happened, as a sentence."""
    if entry.kind in STEPS and entry.kind not in HAPPENED:
        return translate(STEPS[entry.kind]) % {"office": town_text(entry.office or "")}
    where = counters.get(entry.counter)
    return translate(HAPPENED[entry.kind]) % {
        "channel": translate(CHANNEL_TITLES.get(entry.channel, entry.channel)),
        "count": entry.count or len(entry.items),
        "items": item_names(entry.items),
        "when": jst_datetime(entry.starts_at) if entry.starts_at else "",
        "where": place_of(where) if where else "",
        "number": show_number(entry.number),
        "notice": translate(NOTICES.get(entry.notice, OTHER_NOTICE)),
        "way": translate(WAYS[entry.way]) if entry.way in WAYS else "",
    }


def who_words(entry: Entry) -> str:
    """Who did it; empty when nobody knows, or nobody did."""
    if entry.said:
        return translate(SWITCHED_BY[entry.said]) % {
            "office": town_text(entry.office) if entry.office else translate(WHO["town"])
        }
    if entry.who == "":
        return ""
    return translate(WHO[entry.who]) % {"office": town_text(entry.office or "")}
