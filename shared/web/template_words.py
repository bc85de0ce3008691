"""A town's own messages in Japanese, for whoever edits them: their kinds, what they may name, and what is wrong."""

import re

from shared.town_pack.problems import Flaw
from shared.web.i18n import translate


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


NOTICE_NAMES: dict[str, str] = {
    "confirmation": _("予約ができた"),
    "change": _("予約が変わった"),
    "cancellation": _("予約を取り消した"),
    "reminder": _("予約が近づいた"),
    "helper_found": _("サポーターが決まった"),
    "closure": _("予約の時間が休みになった"),
    "reopened": _("休みを取りやめた"),
    "earlier_offer": _("早い時間があいた"),
    "application_received": _("申請を受けとった"),
    "application_accepted": _("申請を受け付けた"),
    "application_correction": _("申請をなおしてほしい"),
    "application_visit": _("申請のことで来てほしい"),
    "application_completed": _("申請の手続きが終わった"),
    "application_refused": _("申請について決まった（認められない）"),
    "application_withdrawn": _("申請を取り下げた"),
    "draw_won": _("抽選に当たった"),
    "draw_lost": _("抽選に外れた"),
    "draw_called_off": _("抽選が取りやめになった"),
    "case_switched": _("やり方が変わった"),
    "turn_near": _("順番が近づいた"),
    "help_open": _("サポーターをさがしている"),
    "help_unmet": _("サポーターが見つからなかった"),
    "class_entered": _("教室の席がとれた"),
    "class_waiting": _("教室の席があくのを待っている"),
    "class_offered": _("教室の席があいた"),
    "class_lost": _("教室の抽選に外れた"),
    "class_called_off": _("教室が取りやめになった"),
    "class_reminder": _("教室の日が近づいた"),
    "class_proposed": _("お願いに合う教室の席をとってある"),
    "class_changed": _("教室の日時か場所が変わった"),
    "helper_offer": _("サポーターへのお願い"),
    "helper_cover": _("かわりのサポーターをさがしている"),
    "helper_cancelled": _("サポーターの予定がなくなった"),
    "helper_changed": _("サポーターの予定の日時が変わった"),
    "helper_reminder": _("サポーターの予定が近づいた"),
    "helper_message": _("サポーターへのれんらく"),
    "helper_placed": _("教室の担当になった"),
    "sign_in": _("パスワードなしのログイン"),
    "contact_changed": _("連絡先が変わったお知らせ（前の連絡先へ）"),
}
# What a text may name, and what is put there.
FILLED_IN: dict[str, str] = {
    "town": _("町の名前"),
    "phone": _("町の電話番号"),
    "number": _("予約番号・受付番号"),
    "procedure": _("手続きの名前"),
    "site": _("このサイトのURL"),
    "when": _("日時"),
    "place": _("場所"),
    "address": _("役場の住所"),
    "things": _("持ちもの"),
    "link": _("その人のページへのリンク"),
    "find_link": _("番号と確認コードで開くページのURL"),
    "code": _("確認コード"),
    "offer_when": _("おさえてある、もっと早い日時"),
    "offer_until": _("いつまでおさえてあるか"),
    "feedback_link": _("ご意見を送るリンク"),
    "draws_link": _("抽選のページのURL"),
    "my_link": _("手続きの一覧のページのURL"),
    "ticket": _("番号札の番号"),
    "before": _("前にお待ちの人数"),
    "title": _("教室の名前"),
    "subject": _("れんらくの題名"),
    "message": _("れんらくの文"),
}
# What a check says (`shared/town_pack/checking_texts.py`), and what is said of it here: the groups of the one fill in
# the other.
TEMPLATE_FLAWS: tuple[tuple[str, str], ...] = (
    (r"nothing is said of .+", _("まだ、なにも書いてありません。文を書くか、消してください。")),
    (r".+ is said in another language and not in .+",
     _("この文は、ほかのことばでは書いてあります。日本語・やさしい日本語・英語の3つとも書いてください。")),
    (r"the .+ of .+ does not know (?P<name>\{.+\})",
     _("このお知らせでは「%(name)s」を使えません。使えることばは、上の説明を見てください。")),
    (r"a brace around no name", _("「{」と「}」は、入れかわることばだけに使います。")),
    (r"the message does not say (?P<name>\{.+\})", _("この文には「%(name)s」がいります。どこかに入れてください。")),
    (r"an SMS in up to (?P<n>\d+) parts, of at most (?P<most>\d+)",
     _("SMSが%(n)s通ぶんの長さになることがあります（%(most)s通まで）。短くしてください。")),
    (r"a line break, or a sign that is none, in .+", _("ここでは、改行や、見えない文字は使えません。")),
    (r"(?P<name>\{.+\}) may not stand in the .+: others read it",
     _("「%(name)s」は、件名・SMS・LINEには書けません。ほかの人に見えることがあるからです。消してください。")),
    (r"a link to another host: (?P<link>.+)",
     _("町のサイトでないところへのリンクです：%(link)s。{link} か {site} を使うか、消してください。")),
    (r"the .+ tells others what is discreet: (?P<word>.+)",
     _("「%(word)s」は、人に知られたくない手続きのことばです。件名・SMS・LINEには書かないでください。")),
    (r"(?P<n>\d+) letters in .+, of at most (?P<most>\d+)",
     _("%(n)s文字あります（%(most)s文字まで）。短くしてください。")),
)  # fmt: skip


def say_template_flaw(flaw: Flaw) -> str:
    """What is wrong with a text, in Japanese."""
    for pattern, said in TEMPLATE_FLAWS:
        if found := re.fullmatch(pattern, flaw.what):
            return translate(said) % found.groupdict()
    return flaw.what
