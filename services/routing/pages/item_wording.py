"""The words of an item's parts: labels, hints and choices. Marked here for the catalogues, translated when shown."""

import msgspec


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


class PartWords(msgspec.Struct, frozen=True):
    """What a field says of itself. `autocomplete` lets the phone fill in what it knows."""

    label: str
    hint: str | None = None
    autocomplete: str = "off"


_POSTAL_CODE = PartWords(_("郵便番号"), _("7けたの数字です。"), "postal-code")
_LINE = PartWords(_("住所"), _("都道府県から、番地まで入力してください。"), "street-address")
_BUILDING = PartWords(_("建物の名前と部屋の番号"))
_PERSON_NAME = PartWords(_("この方のお名前"))
_PERSON_BIRTH_DATE = PartWords(_("この方の生年月日"))

PARTS: dict[tuple[str, str], PartWords] = {
    ("name", ""): PartWords(_("お名前"), _("申請する方のお名前です。"), "name"),
    ("kana", ""): PartWords(_("お名前のよみがな"), _("カタカナでも、ひらがなでもかまいません。")),
    ("birth_date", ""): PartWords(_("生年月日")),
    ("sex", ""): PartWords(_("性別")),
    ("address", "postal_code"): _POSTAL_CODE,
    ("address", "line"): _LINE,
    ("address", "building"): _BUILDING,
    ("previous_address", "postal_code"): _POSTAL_CODE,
    ("previous_address", "line"): _LINE,
    ("previous_address", "building"): _BUILDING,
    ("new_address", "day"): PartWords(_("ひっこす日"), _("ひっこす30日前から、ひっこした10日後まで申請できます。")),
    ("new_address", "postal_code"): _POSTAL_CODE,
    ("new_address", "line"): PartWords(_("新しい住所"), _("都道府県から、番地まで入力してください。")),
    ("new_address", "building"): _BUILDING,
    ("new_address", "members"): PartWords(_("いっしょにひっこす方"), _("いないときは、書かずに進んでください。")),
    ("new_address", "members.name"): _PERSON_NAME,
    ("new_address", "members.birth_date"): _PERSON_BIRTH_DATE,
    ("phone", ""): PartWords(_("電話番号"), _("昼間につながる番号です。家の電話でもかまいません。"), "tel"),
    ("household", "head"): PartWords(_("世帯主のお名前")),
    ("household", "members"): PartWords(
        _("いっしょに住んでいる方"), _("あなたのほかに、同じ世帯の方です。いないときは、書かずに進んでください。")
    ),
    ("household", "members.name"): _PERSON_NAME,
    ("household", "members.relation"): PartWords(_("続柄（あなたから見て）")),
    ("household", "members.birth_date"): _PERSON_BIRTH_DATE,
    ("copies_purpose", "copies"): PartWords(_("ほしい枚数"), _("数字だけで入力してください。")),
    ("copies_purpose", "purpose"): PartWords(_("使いみち"), _("例：勤め先に出す、学校に出す")),
    ("tax_year", ""): PartWords(_("年度"), _("西暦の数字だけで入力してください。例：令和8年度は 2026")),
    ("insurance", "kind"): PartWords(_("いまの健康保険")),
    ("insurance", "insurer"): PartWords(_("保険者の名前"), _("資格確認書などに書いてあります。番号はいりません。")),
    ("insurance", "since"): PartWords(_("保険が変わる日、変わった日")),
    ("bank_account", "bank"): PartWords(_("銀行などの名前"), _("例：ちょうど銀行、ゆうちょ銀行")),
    ("bank_account", "branch"): PartWords(_("支店の名前"), _("ゆうちょ銀行は、漢数字の店名です。例：〇二八")),
    ("bank_account", "kind"): PartWords(_("口座の種類")),
    ("bank_account", "number"): PartWords(_("口座番号"), _("7けたまでの数字です。暗証番号は入力しないでください。")),
    ("bank_account", "holder"): PartWords(_("口座の名義（カタカナ）"), _("通帳に書いてある名義です。")),
    ("child", "name"): PartWords(_("お子さんのお名前")),
    ("child", "kana"): PartWords(_("お子さんのよみがな")),
    ("child", "birth_date"): PartWords(_("お子さんの生年月日")),
    ("child", "together"): PartWords(_("いっしょに住んでいますか")),
    ("child", "others"): PartWords(
        _("ほかのお子さん"), _("高校生までの方を、みなさん書いてください。いないときは、書かずに進んでください。")
    ),
    ("child", "others.name"): PartWords(_("お子さんのお名前")),
    ("child", "others.kana"): PartWords(_("お子さんのよみがな")),
    ("child", "others.birth_date"): PartWords(_("お子さんの生年月日")),
    ("child", "others.together"): PartWords(_("いっしょに住んでいますか")),
    ("employer", "name"): PartWords(_("お勤め先の名前"), None, "organization"),
    ("employer", "phone"): PartWords(_("お勤め先の電話番号")),
    ("employer", "hours"): PartWords(
        _("働いている曜日と時間"), _("保護者がふたりのときは、ふたりとも書いてください。")
    ),
    ("doctor", "hospital"): PartWords(_("病院の名前")),
    ("doctor", "name"): PartWords(_("医師のお名前")),
    ("due_date", ""): PartWords(_("出産予定日")),
    ("dog", "name"): PartWords(_("犬の名前")),
    ("dog", "breed"): PartWords(_("犬の種類"), _("例：柴犬、ミックス")),
    ("dog", "sex"): PartWords(_("犬の性別")),
    ("dog", "color"): PartWords(_("毛の色")),
    ("dog", "birth_date"): PartWords(_("犬が生まれた日"), _("わからないときは、書かなくてもかまいません。")),
    ("dog", "vaccinated"): PartWords(_("狂犬病の注射をした日")),
    ("waste_items", ""): PartWords(_("出すものと数"), _("ひとつずつ行をかえて書いてください。例：ソファ 1つ")),
    ("topic", ""): PartWords(_("相談したいこと")),
}

CHOICES: dict[tuple[str, str, str], str] = {
    ("sex", "", "female"): _("女"),
    ("sex", "", "male"): _("男"),
    ("sex", "", "unsaid"): _("答えません"),
    ("household", "members.relation", "spouse"): _("夫または妻"),
    ("household", "members.relation", "child"): _("子"),
    ("household", "members.relation", "parent"): _("父または母"),
    ("household", "members.relation", "grandparent"): _("祖父または祖母"),
    ("household", "members.relation", "sibling"): _("きょうだい"),
    ("household", "members.relation", "other"): _("そのほか"),
    ("insurance", "kind", "national"): _("国民健康保険"),
    ("insurance", "kind", "work"): _("勤め先の健康保険"),
    ("insurance", "kind", "late_stage"): _("後期高齢者医療"),
    ("insurance", "kind", "other"): _("そのほか、わからない"),
    ("bank_account", "kind", "ordinary"): _("普通"),
    ("bank_account", "kind", "current"): _("当座"),
    ("bank_account", "kind", "savings"): _("貯蓄"),
    ("child", "together", "yes"): _("はい、いっしょに住んでいます"),
    ("child", "together", "no"): _("いいえ、べつに住んでいます"),
    ("child", "others.together", "yes"): _("はい、いっしょに住んでいます"),
    ("child", "others.together", "no"): _("いいえ、べつに住んでいます"),
    ("dog", "sex", "female"): _("めす"),
    ("dog", "sex", "male"): _("おす"),
}
