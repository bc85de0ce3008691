"""The editor's words: what records and fields are called, and what a change is, in Japanese. Only staff read them."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.routing.pages.channel_wording import ACCESS, PAYMENTS
from services.routing.pages.wording import CHANNEL_TITLES, ITEMS
from services.routing.queries.packs import UnderWay
from shared.town_pack.records import KINDS, Kind
from shared.web.i18n import gettext, translate


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


# What there is of each kind, and one of them.
KIND_NAMES: dict[str, tuple[str, str]] = {
    "procedure": (_("手続き"), _("手続き")),
    "event": (_("くらしのできごと"), _("くらしのできごと")),
    "question": (_("質問"), _("質問")),
    "step": (_("このできごとの手続き"), _("このできごとの手続き")),
    "counter": (_("窓口"), _("窓口")),
    "venue": (_("サポーターと会う場所"), _("サポーターと会う場所")),
    "opening": (_("受付時間"), _("受付時間のきまり")),
    "closure": (_("休みの日"), _("休みの日")),
    "walk": (_("窓口の間を歩く時間"), _("窓口の間を歩く時間")),
    "thing": (_("持ち物のことば"), _("持ち物のことば")),
    "deadline": (_("期限のことば"), _("期限のことば")),
    "name": (_("名前の言いかえ（課・場所・種類）"), _("名前の言いかえ")),
    "town": (_("町のこと"), _("町のこと")),
    "booking": (_("予約のきまり"), _("予約のきまり")),
    "notices": (_("お知らせのきまり"), _("お知らせのきまり")),
    "channels": (_("やり方のめやす"), _("やり方のめやす")),
    "queue": (_("窓口の順番のきまり"), _("窓口の順番のきまり")),
    "desk": (_("課と連絡先"), _("課")),
    "office": (_("課の仕事のきまり（すべての手続き）"), _("課の仕事のきまり（すべての手続き）")),
    "rule": (_("課の仕事のきまり（手続きごと）"), _("課の仕事のきまり（手続きごと）")),
    "check": (_("確かめること"), _("確かめること")),
}
# A field of every kind that has it, or of one kind (`kind.field`).
LABELS: dict[str, str] = {
    "access": _("設備"),
    "address_ja": _("役場の住所"),
    "after": _("先にする手続き"),
    "appeal_first": _("裁判の前に、審査請求がいる（審査請求前置）"),
    "appeal_to": _("審査請求をする相手"),
    "attach": _("いっしょに送ってもらう写真や書類"),
    "bring": _("窓口に持ってくるもの"),
    "bring_online": _("オンラインで手もとに用意するもの"),
    "booked_in_a_row": _("予約の方を続けて呼ぶ人数（0なら、いくらでも）"),
    "cancel_until_min": _("何分前まで取り消せるか"),
    "category": _("種類"),
    "closes_at": _("終わる時刻"),
    "code": _("コード"),
    "counter": _("窓口でできるか"),
    "counter_minutes": _("窓口でかかる時間（分）"),
    "counters": _("窓口"),
    "deadline": _("期限"),
    "discreet": _("人に見られたくない手続き"),
    "easy": _("やさしい日本語"),
    "en": _("英語"),
    "enclose": _("郵便に入れてもらうもの"),
    "every_weeks": _("何週間ごとか"),
    "fee_yen": _("手数料（円）"),
    "finish": _("オンラインのあと、どう終えるか（えらばなければ、どちらでも）"),
    "first_day": _("はじめの日"),
    "first_week": _("はじめの週（その週のどの日でもよい）"),
    "frequent": _("はじめのページに出す手続き"),
    "helper": _("スマホのサポーターとできるか"),
    "helper_extra_min": _("サポーターと始めるまでの時間（分）"),
    "hint_easy": _("質問の説明（やさしい日本語）"),
    "hint_en": _("質問の説明（英語）"),
    "hint_ja": _("質問の説明"),
    "hold_min": _("時間をおさえておく長さ（分）"),
    "holidays": _("祝日は休む"),
    "horizon_days": _("何日先まで予約できるか"),
    "hosts": _("サイトの名前（ホスト）"),
    "identity": _("本人確認のしかた"),
    "identity_step": _("オンラインで送る前の本人確認"),
    "intro_easy": _("説明（やさしい日本語）"),
    "intro_en": _("説明（英語）"),
    "intro_ja": _("説明"),
    "items": _("書いてもらうこと（この順）"),
    "ja": _("日本語"),
    "kana": _("読み（カタカナ）"),
    "kiosk_places": _("そのうち、発券機だけで出す数"),
    "last_ticket_min": _("窓口が閉まる何分前まで番号札を出すか"),
    "late": _("予約の時間におくれた方の順番"),
    "late_min": _("何分おくれたら、おくれた方とするか"),
    "last_day": _("終わりの日"),
    "lunch_from": _("昼休みのはじめ"),
    "lunch_to": _("昼休みの終わり"),
    "max_open_appointments": _("ひとりが持てる予約の数"),
    "mail": _("メールアドレス"),
    "minutes": _("歩く時間（分）"),
    "more_min": _("ひとつ増えるごとの時間（分）"),
    "name_easy": _("名前（やさしい日本語）"),
    "name_en": _("名前（英語）"),
    "name_ja": _("名前"),
    "name_kana": _("名前の読み（カタカナ）"),
    "name_plain_ja": _("名前（やさしい日本語）"),
    "note_easy": _("ひとこと（やさしい日本語）"),
    "note_en": _("ひとこと（英語）"),
    "note_ja": _("ひとこと"),
    "notice_min": _("何分前まで予約できるか"),
    "near_turn": _("あと何人になったらお知らせするか"),
    "nth": _("月の第何週か（えらばなければ毎週）"),
    "number": _("窓口の番号"),
    "office": _("担当の課"),
    "online": _("オンラインでできるか"),
    "online_base_min": _("オンラインのページを読む時間（分）"),
    "online_minutes": _("オンラインでかかる時間（分）"),
    "online_payment": _("オンラインの払い方"),
    "online_per_item_min": _("オンラインで1つ書くごとの時間（分）"),
    "opens_at": _("はじまる時刻"),
    "others": _("もう一方の窓口（えらばなければ、上の窓口どうし）"),
    "payment": _("払い方"),
    "phone": _("電話番号"),
    "preferred": _("優先の方の順番"),
    "promise_min": _("お待たせする時間のめやす（分）。こえると知らせます"),
    "place_ja": _("場所"),
    "places": _("同時に受けられる数"),
    "places_confirmed": _("設備・行き方・払い方は、町が確かめたもの"),
    "procedure": _("手続き"),
    "process_days": _("決めるまでの日数（開庁日）"),
    "public_url": _("お知らせにのせる住所（URL）"),
    "quantity_max": _("1回の予約でできる数"),
    "reason_ja": _("わけ"),
    "registrar": _("住民基本台帳の課（支援措置を登録する課）"),
    "reminders_before_min": _("何分前に思い出しのお知らせを送るか"),
    "retention_days": _("終わったあと、書かれたことをのこす日数"),
    "slot_min": _("1回の長さ（分）"),
    "source": _("もとになったもの"),
    "staff_only_places": _("そのうち、職員だけが使える数"),
    "text_easy": _("質問（やさしい日本語）"),
    "text_en": _("質問（英語）"),
    "text_ja": _("質問"),
    "travel_ja": _("行き方"),
    "trial_reminder_after_s": _("ためし用：予約の何秒後にお知らせを送るか"),
    "two_persons": _("受け付けた人とべつの人が終える"),
    "unit": _("数え方（人分、通など）"),
    "weekdays": _("曜日"),
    "when": _("「はい」のときだけ（えらばなければ、だれでも）"),
    "words": _("さがすときのことば"),
    "year_end": _("年末年始（12月29日から1月3日）は休む"),
}
HINTS: dict[str, str] = {
    "code": _("英字・数字・「-」「_」です。ほかのところからこのコードで呼ばれます。"),
    "procedure.online_minutes": _("書かなければ、「やり方のめやす」から計算します。"),
    "desk.name_ja": _("手続きや窓口の「担当の課」に書いてある名前と、同じにしてください。"),
    "procedure.source": _("「general」は、町がまだ確かめていない見本です。確かめたら、根拠を書いてください。"),
    "procedure.words": _("1行に1つずつ書いてください。"),
    "procedure.items": _("足りないときは、保存するとらんがふえます。"),
    "procedure.counters": _("ここに書いた窓口で、予約ができます。"),
    "procedure.name_plain_ja": _("ことばの間をあけて書きます。例：町に ひっこして きました"),
    "notices.reminders_before_min": _("1行に1つずつ、数字で書いてください。1440は1日前です。"),
    "town.frequent": _("6つまで、この順に出ます。えらばなければ、多く使われたものが出ます。"),
    "rule.identity_step": _("本人確認のしくみの名前です。システムの担当者に聞いてください。空なら、たずねません。"),
    "rule.appeal_to": _("空にして、「ここでは決めない」を外すと、審査請求の案内を出しません。"),
    "name.ja": _("課や場所や種類の名前を、そのまま書いてください。"),
}
WEEKDAYS = ("月", "火", "水", "木", "金", "土", "日")
CHOICES: dict[str, str] = {
    "yes": _("できる"),
    "partial": _("途中までできる"),
    "no": _("できない"),
    "counter": _("窓口に来る"),
    "post": _("郵便で送る"),
    "next": _("次に呼ぶ"),
    "last": _("列のいちばん後ろ"),
    "first": _("いちばん先"),
    "walk_in": _("予約のない方の中でいちばん先"),
    **{str(code): text for code, text in (*ACCESS.items(), *PAYMENTS.items())},
    **ITEMS,
}
DEEDS = {
    "begin": _("なおし始め"),
    "edit": _("なおした"),
    "back": _("前の版にもどした"),
    "merge": _("読みこまれたファイルに、変更を移した"),
}
ORDER_STATES = {
    "waiting": _("公開を待っています"),
    "published": _("公開しました"),
    "overtaken": _("公開しませんでした：先に、べつのファイルが読みこまれました"),
    "failed": _("公開できませんでした：システムの担当者に聞いてください"),
    "called_off": _("公開を取りやめました"),
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
    "hours": "opening",
}
_NOTHING = _("なし")
_SEPARATOR = _("、")
SHOWN_MAX = 200


def label_of(kind: Kind, field: str) -> str:
    """What a field is called."""
    known = LABELS.get(f"{kind.name}.{field}") or LABELS.get(field)
    return translate(known) if known else field


def hint_of(kind: Kind, field: str) -> str | None:
    """What is to be known of a field."""
    known = HINTS.get(f"{kind.name}.{field}") or HINTS.get(field)
    return translate(known) if known else None


def kind_name(kind: Kind, *, many: bool = False) -> str:
    """What a record of a kind, or all of them, are called."""
    return translate(KIND_NAMES[kind.name][0 if many else 1])


def choice_name(code: str) -> str:
    """What one of a few values is called."""
    return translate(CHOICES[code]) if code in CHOICES else code


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
        said = f"{show_value(move['before'])} → {show_value(move['after'])}"
        yield f"{label}：{said}" if label and change["kind"] != "town" else said


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
