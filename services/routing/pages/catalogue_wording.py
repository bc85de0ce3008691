"""The editor's words: what records and fields are called, and what a change is, in Japanese. Only staff read them."""

from services.routing.pages.channel_wording import ACCESS, PAYMENTS
from services.routing.pages.wording import ITEMS
from shared.town_pack.records import KINDS, Kind
from shared.town_pack.templates import CHANNEL_OF, Template, fill, names_for
from shared.web.i18n import gettext, translate
from shared.web.template_words import FILLED_IN, NOTICE_NAMES


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
    "travel": (_("地区から行く時間"), _("地区から行く時間")),
    "thing": (_("持ち物のことば"), _("持ち物のことば")),
    "deadline": (_("期限のことば"), _("期限のことば")),
    "topic": (_("サポーターが教えること"), _("サポーターが教えること")),
    "name": (_("名前の言いかえ（課・場所・種類）"), _("名前の言いかえ")),
    "town": (_("町のこと"), _("町のこと")),
    "booking": (_("予約のきまり"), _("予約のきまり")),
    "notices": (_("お知らせのきまり"), _("お知らせのきまり")),
    "channels": (_("やり方のめやす"), _("やり方のめやす")),
    "queue": (_("窓口の順番のきまり"), _("窓口の順番のきまり")),
    "reason": (_("できないわけの、町のことば"), _("できないわけ")),
    "desk": (_("課と連絡先"), _("課")),
    "office": (_("課の仕事のきまり（すべての手続き）"), _("課の仕事のきまり（すべての手続き）")),
    "rule": (_("課の仕事のきまり（手続きごと）"), _("課の仕事のきまり（手続きごと）")),
    "check": (_("確かめること"), _("確かめること")),
    "template": (_("町のことばで送るお知らせ"), _("お知らせの文")),
    "item": (_("町がきめた、書いてもらうこと"), _("書いてもらうこと")),
    "part": (_("この中の欄"), _("欄")),
    "choice": (_("欄の選択肢（「ひとつ選ぶ」のとき）"), _("選択肢")),
    "own": (_("くり返しの1回分の欄（「人」「もの」のとき）"), _("1回分の欄")),
    "own_choice": (_("1回分の欄の選択肢（「ひとつ選ぶ」のとき）"), _("選択肢")),
    "form": (_("申請の用紙（たずねる順とまとまり）"), _("申請の用紙")),
    "group": (_("用紙のまとまり"), _("まとまり")),
    "entry": (_("このまとまりでたずねること"), _("たずねること")),
}
# A field of every kind that has it, or of one kind (`kind.field`).
LABELS: dict[str, str] = {
    "travel.minutes": _("行く時間（分）"),
    "travel.counters": _("行き先"),
    "template.kind": _("どのお知らせか"),
    "subject_ja": _("メールの題"),
    "subject_easy": _("メールの題（やさしい日本語）"),
    "subject_en": _("メールの題（英語）"),
    "long_ja": _("メールの文"),
    "long_easy": _("メールの文（やさしい日本語）"),
    "long_en": _("メールの文（英語）"),
    "short_ja": _("SMSの文"),
    "short_easy": _("SMSの文（やさしい日本語）"),
    "short_en": _("SMSの文（英語）"),
    "part.name": _("欄の名前（英字）"),
    "own.name": _("欄の名前（英字）"),
    "group.ja": _("見出し"),
    "part.when": _("この欄をたずねるとき"),
    "entry.when": _("これをたずねるとき"),
    "part.hint_ja": _("説明"),
    "part.hint_easy": _("説明（やさしい日本語）"),
    "part.hint_en": _("説明（英語）"),
    "own.hint_ja": _("説明"),
    "own.hint_easy": _("説明（やさしい日本語）"),
    "own.hint_en": _("説明（英語）"),
    "access": _("設備"),
    "address_ja": _("役場の住所"),
    "after": _("先にする手続き"),
    "appeal_first": _("裁判の前に、審査請求がいる（審査請求前置）"),
    "appeal_to": _("審査請求をする相手"),
    "at_least": _("くり返しの少ないほう（回）"),
    "at_most": _("くり返しの多いほう（回）"),
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
    "district": _("地区の名前"),
    "easy": _("やさしい日本語"),
    "en": _("英語"),
    "enclose": _("郵便に入れてもらうもの"),
    "every_weeks": _("何週間ごとか"),
    "fee_yen": _("手数料（円）"),
    "finish": _("オンラインのあと、どう終えるか（えらばなければ、どちらでも）"),
    "first_day": _("はじめの日"),
    "first_week": _("はじめの週（その週のどの日でもよい）"),
    "frequent": _("はじめのページに出す手続き"),
    "from_days": _("日のはじめ（今日から何日あとか）"),
    "helper": _("スマホのサポーターとできるか"),
    "helper_extra_min": _("サポーターと始めるまでの時間（分）"),
    "highest": _("数の大きいほう"),
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
    "item": _("書いてもらうこと"),
    "items": _("書いてもらうこと（この順）"),
    "ja": _("日本語"),
    "kana": _("読み（カタカナ）"),
    "kind": _("欄の種類"),
    "kiosk_places": _("そのうち、発券機だけで出す数"),
    "last_ticket_min": _("窓口が閉まる何分前まで番号札を出すか"),
    "late": _("予約の時間におくれた方の順番"),
    "late_min": _("何分おくれたら、おくれた方とするか"),
    "last_day": _("終わりの日"),
    "length": _("長さ（文字の数。「数字」では、けたの数）"),
    "lowest": _("数の小さいほう"),
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
    "latitude": _("緯度（地図にのせるとき。35.2991 のように）"),
    "longitude": _("経度（139.2554 のように）"),
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
    "postal_example": _("郵便番号の例"),
    "procedure": _("手続き"),
    "process_days": _("決めるまでの日数（開庁日）"),
    "public_url": _("お知らせにのせる住所（URL）"),
    "quantity_max": _("1回の予約でできる数"),
    "reason_ja": _("わけ"),
    "reason": _("できないわけ"),
    "registrar": _("住民基本台帳の課（支援措置を登録する課）"),
    "reminders_before_min": _("何分前に思い出しのお知らせを送るか"),
    "required": _("かならず書いてもらう"),
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
    "until_days": _("日の終わり（今日から何日あとか）"),
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
    "town.postal_example": _("町の郵便番号を1つ、000-0000 の形で書きます。住所を書くところに、例として出ます。"),
    "travel.district": _("「名前の言いかえ」に、やさしい日本語と英語を書いてください。"),
    "town.frequent": _("6つまで、この順に出ます。えらばなければ、多く使われたものが出ます。"),
    "rule.identity_step": _("本人確認のしくみの名前です。システムの担当者に聞いてください。空なら、たずねません。"),
    "rule.appeal_to": _("空にして、「ここでは決めない」を外すと、審査請求の案内を出しません。"),
    "template.kind": _("書いたところだけ、この町のことばで送ります。空のところは、いつもの文のままです。"),
    "item.code": _("「town_」のあとに、英字と数字を15文字まで書きます。手続きの「書いてもらうこと」で選びます。"),
    "part.name": _("欄が2つ以上あるときに、英字と数字で書きます。あとで変えると、前に書かれたことが読めません。"),
    "part.kind": _("「人」「もの」は、何度もくり返してたずねます。1回分の欄は、保存したあとに足します。"),
    "part.length": _("書かなければ、種類で決まります。"),
    "part.from_days": _("前の日は「-」をつけます。例：-183は半年前"),
    "own.from_days": _("前の日は「-」をつけます。例：-183は半年前"),
    "part.lowest": _("種類が「数」のときだけ使います。"),
    "own.lowest": _("種類が「数」のときだけ使います。"),
    "part.at_least": _("種類が「人」「もの」のときだけ使います。"),
    "part.when": _("上の欄の答えで決まります。"),
    "entry.when": _("この用紙で、上にあることの答えで決まります。"),
    "entry.required": _("ほかの手続きでは書かなくてもよい欄を、ここでは書いてもらうとき、えらびます。"),
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
    "text": _("短い文"),
    "person": _("人の名前"),
    "long_text": _("長い文"),
    "day": _("日"),
    "postal_code": _("郵便番号"),
    "choice": _("ひとつ選ぶ"),
    "number": _("数"),
    "digits": _("数字（番号）"),
    "people": _("人（くり返し）"),
    "things": _("もの（くり返し）"),
    "in_person_by_law": _("法律で、窓口に来ることが決まっている"),
    "not_online": _("まだオンラインではできない"),
    "no_counter": _("窓口の予約ではあつかわない"),
    "not_with_helper": _("サポーターとはできない"),
    "no_venue": _("サポーターと会う場所がない"),
    **NOTICE_NAMES,
    **{str(code): text for code, text in (*ACCESS.items(), *PAYMENTS.items())},
    **ITEMS,
}
EXAMPLES = {"number": "K4M-7RXA", "code": "123456"}
ORDER_STATES = {
    "waiting": _("公開を待っています"),
    "published": _("公開しました"),
    "overtaken": _("公開しませんでした：先に、べつのファイルが読みこまれました"),
    "failed": _("公開できませんでした：システムの担当者に聞いてください"),
    "called_off": _("公開を取りやめました"),
}


def label_of(kind: Kind, field: str) -> str:
    """What a field is called."""
    known = LABELS.get(f"{kind.name}.{field}") or LABELS.get(field)
    return translate(known) if known else field


def hint_of(kind: Kind, field: str) -> str | None:
    """What is to be known of a field."""
    known = HINTS.get(f"{kind.name}.{field}") or HINTS.get(field)
    return translate(known) if known else None


def names_hint(kind: str, text: str) -> str:
    """What one of a message's texts may name, and what is put there."""
    known = ", ".join(f"{{{name}}}＝{translate(FILLED_IN[name])}" for name in names_for(kind, CHANNEL_OF[text]))
    return gettext("入れかわることば：%(names)s", names=known)


def message_examples(template: Template) -> list[dict[str, str]]:
    """Each text of a message as it could arrive, with something made up in the place of each name."""
    values = {name: EXAMPLES.get(name) or f"（{translate(said)}）" for name, said in FILLED_IN.items()}
    return [
        {
            "title": gettext("届く文の見本：%(text)s", text=label_of(KINDS["template"], f"{name}_{language}")),
            "text": fill(text, values) or text,
            "href": "",
        }
        for name, language, text in template.said()
    ]


def kind_name(kind: Kind, *, many: bool = False) -> str:
    """What a record of a kind, or all of them, are called."""
    return translate(KIND_NAMES[kind.name][0 if many else 1])


def choice_name(code: str) -> str:
    """What one of a few values is called."""
    return translate(CHOICES[code]) if code in CHOICES else code
