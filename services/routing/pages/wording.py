"""Codes into plain Japanese. Every text is marked here for the catalogues, and translated when it is shown."""

from collections.abc import Iterable

import phonenumbers

from services.routing.commands.about_you import PURPOSE_CONTACT
from services.routing.commands.uses import PURPOSE_CALL, PURPOSE_CALL_BY_HELPER
from services.routing.domain.catalogue import Counter, Procedure, Town
from services.routing.domain.channels import IDENTITY_LATER, OWN_PHONE
from services.routing.domain.items import is_attached
from services.routing.domain.town_items import town_item_name
from services.routing.pages.catalogue_refusals import EDITOR_REFUSALS
from shared.web.i18n import SOURCE, current_language, translate, with_readings
from shared.web.places import place_label
from shared.web.refusals import RefusalText
from shared.web.town_texts import town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


REFUSALS: dict[str, RefusalText] = {
    "behalf_unsaid": RefusalText(
        _("だれのための入力か、わかりません"), _("「代わりに予約・申請をする」から、始めなおしてください。")
    ),
    "not_practice": RefusalText(_("ここは練習用の町ではありません"), _("ほんとうの町は、はじめからやりなおせません。")),
    "catalogue_missing": RefusalText(
        _("準備をしているところです"), _("手続きの一覧を読みこんでいます。少し待ってから、もう一度お試しください。")
    ),
    **EDITOR_REFUSALS,
    "procedure_unknown": RefusalText(
        _("この手続きは見つかりません"),
        _("番号がちがうか、受付が終わった手続きです。はじめのページからさがしてください。"),
    ),
    "case_unknown": RefusalText(
        _("この申しこみは見つかりません"),
        _("べつの端末で始めたか、時間がたちすぎています。お手数ですが、手続きをさがして、もう一度始めてください。"),
    ),
    "case_busy": RefusalText(
        _("先に、予約か申請を取りやめてください"),
        _("予約は予約のページで取り消し、申請は申請のページで取り下げられます。そのあとで、手続きをやめられます。"),
        "/my",
    ),
    "item_unknown": RefusalText(
        _("この項目は見つかりません"),
        _("この端末では、まだ入力されていません。「わたしが入力したこと」のページで確かめてください。"),
    ),
    "attachment_unknown": RefusalText(
        _("このファイルは見つかりません"), _("消されたか、番号がちがいます。前のページにもどって、確かめてください。")
    ),
    "attachment_too_many": RefusalText(
        _("ファイルが多すぎます"),
        _("入れられるのは、ぜんぶで10こまでです。いらないものを消すか、残りは窓口に持ってきてください。"),
    ),
    "attachment_too_large": RefusalText(
        _("ファイルが大きすぎます"),
        _("ひとつ10MBまでです。写真は、小さい大きさで送るか、撮りなおしてください。"),
    ),
    "attachment_empty": RefusalText(_("ファイルの中身がありません"), _("べつのファイルを選んでください。")),
    "attachment_type": RefusalText(
        _("このファイルは受けとれません"),
        _("写真（JPEG、PNG、WebP）かPDFだけ、入れられます。スマートフォンで撮った写真を選んでください。"),
    ),
    "attachment_too_many_pixels": RefusalText(
        _("写真が細かすぎます"), _("5000万画素までです。小さい大きさで撮りなおしてください。")
    ),
    "attachment_damaged": RefusalText(
        _("ファイルを開けませんでした"),
        _("とちゅうで切れているか、こわれています。もう一度選ぶか、撮りなおしてください。"),
    ),
    "attachment_locked": RefusalText(
        _("パスワードのあるPDFは受けとれません"), _("パスワードのないPDFにするか、紙を写真に撮って入れてください。")
    ),
    "attachment_too_many_pages": RefusalText(
        _("PDFのページが多すぎます"), _("50ページまでです。分けて入れるか、紙で窓口に持ってきてください。")
    ),
    "attachment_too_complex": RefusalText(
        _("このファイルは受けとれませんでした"),
        _("つくりが複雑で、安全に開けません。紙を写真に撮って入れるか、窓口に持ってきてください。"),
    ),
    "attachment_infected": RefusalText(
        _("ウイルスの心配があるため、受けとれませんでした"),
        _("ファイルは保存していません。べつのファイルにするか、紙で窓口に持ってきてください。"),
    ),
    "attachment_unscanned": RefusalText(
        _("いまは、ファイルを受けとれません"),
        _("ファイルを確かめるしくみが休んでいます。あとでもう一度お試しください。入力したことは残っています。"),
    ),
    "attachment_busy": RefusalText(
        _("ただいま混みあっています"),
        _("少し待ってから、もう一度ファイルを入れてください。入力したことは残っています。"),
    ),
    "life_event_unknown": RefusalText(
        _("このページは見つかりません"), _("はじめのページから、もう一度さがしてください。")
    ),
    "plan_unknown": RefusalText(
        _("この一覧は見つかりません"),
        _("べつの端末で作ったか、時間がたちすぎています。質問に答えると、もう一度作れます。"),
    ),
    "nothing_to_resume": RefusalText(
        _("まだ、ほかの機械で続けられません"),
        _("入力して「次へ進む」を押すと、保存されて、続けられるようになります。"),
    ),
    "resume_unknown": RefusalText(
        _("このリンクは使えません"),
        _("もう使ったか、7日がすぎたか、送り終わっています。始めた機械で、もう一度番号を出せます。"),
    ),
    "nothing_to_post": RefusalText(
        _("郵便で送るものは、ありません"), _("申請のページで、つぎにすることを確かめてください。")
    ),
    "identity_not_asked": RefusalText(
        _("この手続きに、オンラインの本人確認はありません"),
        _("そのまま送れます。「わたしの予約と手続き」から、続けてください。"),
    ),
    "channel_not_ready": RefusalText(
        _("この方法は、まだ始まっていません"), _("いまはほかの方法か、役場への電話でお手続きできます。")
    ),
    "channel_impossible": RefusalText(
        _("この手続きは、この方法ではできません"), _("手続きのページで、ほかの方法をごらんください。")
    ),
    "application_sent": RefusalText(
        _("この申請は、もう送られています"),
        _(
            "「わたしの予約と手続き」から、申請のようすを見てください。変えたいことがあるときは、役場に電話してください。"
        ),
    ),
    "case_closed": RefusalText(
        _("この申請は、もう終わっています"),
        _("やり方は変えられません。もう一度申しこむときは、手続きのページから始めると、前に入力したことを使えます。"),
    ),
    "case_done": RefusalText(
        _("この手続きは、窓口でもう終わっています"),
        _("やり方は変えられません。もう一度申しこむときは、手続きのページから始めると、前に入力したことを使えます。"),
    ),
    "case_at_counter": RefusalText(
        _("いま、窓口で受付をしています"), _("やり方を変えたいときは、窓口の係にお話しください。")
    ),
    "case_moved": RefusalText(_("ほかの人が先に変えました"), _("いまのやり方を見て、もう一度選んでください。")),
    "application_unknown": RefusalText(_("この申請は見つかりません"), _("一覧にもどって、もう一度選んでください。")),
    "application_moved": RefusalText(_("ほかの人が先に進めました"), _("いまのようすを見て、もう一度選んでください。")),
    "application_assigned": RefusalText(
        _("ほかの人が、先に担当を決めました"), _("いまの担当を見て、もう一度選んでください。")
    ),
    "assignee_unknown": RefusalText(_("この人は、この課の担当になれません"), _("一覧から、もう一度選んでください。")),
    "checks_open": RefusalText(
        _("まだ確かめていないことがあります"), _("「確かめること」をぜんぶすませてから、手続きを終えてください。")
    ),
    "desk_has_application": RefusalText(
        _("この案件は、オンラインで申請されています"), _("「オンライン申請」の一覧から、申請を開いてください。")
    ),
    "desk_moved": RefusalText(
        _("内容が変わったか、ほかの人が先に進めました"), _("いまの内容を見て、もう一度押してください。")
    ),
    "desk_unchecked": RefusalText(
        _("まだ確かめていない項目があります"),
        _("ぜんぶの項目に印をつけて保存してから、本人に確かめてもらってください。"),
    ),
    "desk_unconfirmed": RefusalText(
        _("まだ本人に確かめてもらっていません"), _("タブレットか紙で確かめてもらってから、もう一度開いてください。")
    ),
    "second_person_needed": RefusalText(
        _("この手続きは、受け付けた人とべつの人が終えます"), _("ほかの職員に、内容を確かめて終えてもらってください。")
    ),
    "visit_not_asked": RefusalText(
        _("この申請では、役場に来ていただくお願いはありません"),
        _("「わたしの予約と手続き」から、申請のようすを見てください。"),
        "/my",
    ),
    "application_closed": RefusalText(
        _("この申請は、もう取り下げられません"), _("手続きが終わっています。役場に電話でおたずねください。")
    ),
    "application_link_unknown": RefusalText(
        _("このリンクは使えません"),
        _("古いか、まちがっています。受付番号と確認コードで、申請を開いてください。"),
        "/applications/find",
        _("番号と確認コードで確かめる"),
    ),
    "not_registrar": RefusalText(
        _("この登録は、戸籍の担当の人がします"), _("戸籍の担当か、管理者の人に頼んでください。")
    ),
    "nothing_to_protect": RefusalText(
        _("まだ、なにも入力されていません"), _("この手続きでお名前などが入力されたあとに、登録してください。")
    ),
    "person_fixed": RefusalText(
        _("だれの分かは、もう変えられません"), _("ほかの方の分は、手続きをさがして、もう一度始めてください。")
    ),
    "person_unknown": RefusalText(_("だれの分か、わかりません"), _("前のページにもどって、もう一度選んでください。")),
    "too_many_persons": RefusalText(
        _("これより多くのご家族の分は、この端末で始められません"), _("窓口か電話でお手続きください。")
    ),
    "nothing_to_erase": RefusalText(
        _("消すものはありません"), _("手続きをするときは、はじめのページから始めてください。")
    ),
    "erasure_in_the_way": RefusalText(
        _("先に、すませることがあります"), _("とちゅうの申請と、これからの予約を、先に終わらせてください。"), "/my"
    ),
    "erasure_unknown": RefusalText(
        _("この控えの番号は見つかりません"), _("番号を確かめるか、役場に電話でおたずねください。")
    ),
    "other_office": RefusalText(_("ほかの課の申請です"), _("担当の課の人に聞いてください。")),
    "entry_unknown": RefusalText(
        _("この記録は見つかりません"), _("「わたしの情報のやりとり履歴」から、もう一度選んでください。")
    ),
    "inquiry_unknown": RefusalText(
        _("この問い合わせは見つかりません"),
        _("番号をたしかめて、もう一度お試しください。わからないときは、役場に電話してください。"),
    ),
    "inquiry_moved": RefusalText(
        _("この問い合わせは、先に進んでいます"), _("いまのようすを見て、もう一度選んでください。")
    ),
    "inquiries_many": RefusalText(
        _("返事を待っている問い合わせが、たくさんあります"), _("返事がきてから、つぎの問い合わせを送ってください。")
    ),
    "finding_unknown": RefusalText(
        _("これは、もう一覧にありません"), _("ほかの人が確かめたか、新しい記録がふえました。一覧を見なおしてください。")
    ),
    "feedback_early": RefusalText(
        _("ご意見は、手続きが終わってからうかがいます"), _("終わると、「わたしの予約と手続き」から送れます。"), "/my"
    ),
    "feedback_given": RefusalText(
        _("ご意見は、もう受けとっています"),
        _("ありがとうございました。ほかにお話があるときは、役場に電話してください。"),
    ),
    "feedback_late": RefusalText(
        _("このご意見は、もう書きなおせません"), _("送ってから1週間がすぎました。役場に電話でお話しください。")
    ),
    "feedback_answered": RefusalText(
        _("このご意見には、もうお返事が出ています"),
        _("お返事のあとは、書きなおせません。つづきは、役場に電話でお話しください。"),
    ),
    "feedback_unknown": RefusalText(
        _("このご意見は見つかりません"), _("ご本人が消したか、まちがった番号です。一覧にもどってください。")
    ),
    "feedback_moved": RefusalText(
        _("このご意見は、先に変わっています"), _("いまの内容を見て、もう一度送ってください。")
    ),
    "voice_unknown": RefusalText(_("これは、もうありません"), _("ページを読みなおしてください。")),
    "improvement_unknown": RefusalText(_("これは、もうありません"), _("ページを読みなおしてください。")),
    "contact_needed": RefusalText(
        _("連絡先がわかりません"), _("前のページにもどって、メールアドレスか電話番号を入力してください。")
    ),
    "account_incomplete": RefusalText(
        _("ログインIDとパスワードが必要です"), _("両方を入力して、もう一度お試しください。")
    ),
    "login_length": RefusalText(_("ログインIDが長すぎます"), _("60文字までにして、もう一度お試しください。")),
    "profile_incomplete": RefusalText(
        _("サポーターのお名前とことばが必要です"), _("呼び名と、話せることばを確かめて、もう一度お試しください。")
    ),
    "contact_taken": RefusalText(
        _("この連絡先は、ほかの人のログインに使われています"),
        _("べつの番号かアドレスを登録するか、パスキーを使ってください。"),
        "/account/contact",
        _("べつの連絡先にする"),
    ),
    "sign_in_link_unknown": RefusalText(
        _("このリンクは使えません"),
        _("もう使ったか、10分がすぎています。もう一度送ってもらってください。"),
        "/sign-in/link",
        _("もう一度送ってもらう"),
    ),
    "proof_old": RefusalText(
        _("ご本人か、もう一度確かめます"),
        _("ほかの人に、ログインのしかたを変えられないためです。確かめてから、もう一度お試しください。"),
        "/account/proof",
        _("確かめる"),
    ),
    "passkey_refused": RefusalText(
        _("パスキーを確かめられませんでした"),
        _("もう一度お試しになるか、パスワードか、携帯電話・メールに届くリンクでログインしてください。"),
        "/sign-in",
        _("ログインのページにもどる"),
    ),
    "passkeys_too_many": RefusalText(
        _("パスキーは、10こまでです"),
        _("使わないものを消してから、登録してください。"),
        "/account",
        _("連絡とログインのしかた"),
    ),
    "passkey_unknown": RefusalText(
        _("このパスキーは見つかりません"), _("もう消されています。"), "/account", _("連絡とログインのしかた")
    ),
    "account_unknown": RefusalText(_("このログインIDは見つかりません"), _("ログインIDを確かめてください。")),
    "password_length": RefusalText(
        _("パスワードの長さが合いません"), _("8文字から200文字までにして、もう一度お試しください。")
    ),
}

ITEMS: dict[str, str] = {
    "name": _("お名前"),
    "kana": _("お名前のよみがな"),
    "contact": _("連絡先"),
    "email": _("メールアドレス"),
    "phone": _("電話番号"),
    "address": _("住所"),
    "previous_address": _("前の住所"),
    "new_address": _("新しい住所"),
    "birth_date": _("生年月日"),
    "sex": _("性別"),
    "household": _("世帯"),
    "domicile": _("本籍"),
    "child": _("お子さん"),
    "spouse": _("結婚するお相手"),
    "witnesses": _("証人"),
    "deceased": _("亡くなった方"),
    "bank_account": _("口座"),
    "insurance": _("健康保険"),
    "employer": _("お勤め先"),
    "doctor": _("かかりつけ医"),
    "medical_certificate": _("診断書"),
    "due_date": _("出産予定日"),
    "tax_year": _("年度"),
    "copies_purpose": _("枚数と使いみち"),
    "seal_impression": _("印鑑"),
    "notice_number": _("通知書の番号"),
    "vehicle_number": _("標識番号"),
    "dog": _("犬"),
    "waste_items": _("ごみの品目"),
    "photos": _("写真"),
    "topic": _("相談したいこと"),
    "correction": _("なおしてほしいところ"),
    "visit": _("来ていただきたい理由"),
    "refusal": _("認められない理由"),
    "signature": _("サイン"),
    "feedback": _("手続きのあとのご意見"),
    "feedback_answer": _("ご意見への返事"),
    "inquiry": _("問い合わせ"),
    "inquiry_again": _("問い合わせ"),
    "inquiry_answer": _("問い合わせへの返事"),
    "inquiry_answer_again": _("問い合わせへの返事"),
}
OTHER_ITEM = _("そのほかの項目")
ATTACHED_ITEM = _("書類")

# Things rather than words (`channels.things_not_typed`): attached, or brought later; all else is the town's own data.
BRING: dict[str, str] = {
    "bankbook": _("振込先の通帳かキャッシュカード"),
    "insurance_certificate": _("資格確認書など、健康保険がわかるもの"),
    "seal": _("登録する印鑑"),
    "medical_certificate": _("診断書"),
    "vehicle_number": _("標識番号（ナンバー）がわかるもの"),
    "damage_photos": _("こわれたところの写真"),
}
OWN_PHONE_WORDS = _("ふだん使っているスマートフォン")
IDENTITY_LATER_WORDS = _("本人確認書類（受け付けたあとに、係が確かめます）")


CHANNEL_TITLES = {"online": _("オンライン"), "counter": _("役場の窓口"), "helper": _("スマホのサポーター")}
# Who said that a case goes on by another channel (`domain/switching.py`).
SWITCHED_BY = {
    "self": _("ご本人が変えました"),
    "phone": _("電話でご本人からうかがい、%(office)sの係が変えました"),
    "desk": _("窓口でご本人からうかがい、%(office)sの係が変えました"),
    "helper": _("ご本人からうかがい、サポーターが変えました"),
    "office": _("役場からのお願いで変わりました"),
    "came": _("窓口に来られたので変わりました"),
}

TARGETS = {
    "routing": _("手続きの受付（このサイト）"),
    "booking": _("窓口の予約"),
    "notifications": _("お知らせの係"),
}
LEGAL_BASIS = {
    "appi_69_1": _("個人情報保護法 第69条第1項（集めた目的の中で使うこと）"),
    "appi_69_2_1": _("個人情報保護法 第69条第2項第1号（ご本人の同意）"),
    "appi_69_2_2": _("個人情報保護法 第69条第2項第2号（役場の仕事に必要な範囲で使うこと）"),
}
# By the purpose that the offer and the ledger name: what is approved is what was shown.
HANDOVER_REASONS = {
    PURPOSE_CALL: _("窓口でお名前をお呼びするためです。"),
    PURPOSE_CALL_BY_HELPER: _("サポーターが、お名前をお呼びするためです。サポーターには、下のお名前だけを見せます。"),
    PURPOSE_CONTACT: _("予約の確認やお知らせを送るためです。"),
}
# As the ledgers say it, of all three services: kept in Japanese, translated when shown.
PURPOSES = (
    _("窓口の予約のため"),
    _("窓口でお名前をお呼びするため"),
    _("窓口でお呼びするため"),
    _("サポーターがお名前をお呼びするため"),
    _("サポーターといっしょに手続きを進めるため"),
    _("ご家族の手続きで、もう一度書かずにすむようにするため"),
    _("番号でお呼びするため"),
    _("申請の手続きをするため"),
    _("申請の内容を確かめるため"),
    _("申請のお知らせを送るため"),
    _("申請をなおしていただくため"),
    _("役場に来ていただくため"),
    _("申請を認められない理由をお知らせするため"),
    _("申請の内容を紙に印刷するため"),
    _("手続きを進める役場のシステムに入れるため"),
    _("本人に書類を送るため"),
    _("本人であることを確かめるため"),
    _("予約のお知らせを送るため"),
    _("町のお知らせを送るため"),
    _("教えていただいた連絡先へ、お知らせを送るため"),
    _("家族など、代わりに読む人へ、お知らせを送るため"),
    _("同じことを二度書かずにすむようにするため"),
    _("ご自分の情報を確かめるため"),
    _("ご自分の情報をなおすため"),
    _("問い合わせに答えるため"),
    _("ご意見を聞いて、手続きをよくするため"),
)
# What a no means: nothing else changes.
WITHOUT = {
    "booking": _("わたさないときは、番号でお呼びします。"),
    "notifications": _("わたさないときは、お知らせを送りません。予約のあとで、番号を書いた紙を印刷できます。"),
}
REACHES = {"email": _("メール"), "sms": _("SMS"), "none": _("紙の控え")}

CASE_STATES = {
    "opened": _("お名前と連絡のしかたを入力するところです"),
    "told": _("わたす情報を確かめるところです"),
    "handed_over": _("日にちと時間を選ぶところです"),
    "submitted": _("申請を送りました"),
}
ONLINE_CASE_STATES = CASE_STATES | {
    "opened": _("申請の内容を入力するところです"),
    "told": _("申請の内容を確かめるところです"),
}
APPOINTMENT_STATES = {
    "booked": _("予約済み"),
    "checked_in": _("受付済み"),
    "called": _("お呼びしています"),
    "serving": _("対応中"),
    "done": _("終わりました"),
    "no_show": _("来られませんでした"),
    "cancelled": _("取り消しました"),
}

HELPER_STATES = {
    "asked": _("サポーターにお願いしています"),
    "accepted": _("サポーターが決まりました"),
    "nobody": _("サポーターが見つかりませんでした"),
}
FAMILY_MEMBER = _("ご家族 %(number)s の情報")
_SEPARATOR = _("、")


def bring_words(codes: Iterable[str], town: Town) -> tuple[str, ...]:
    """What to bring, in the reader's language; what the town no longer has words for is left out."""
    words = {thing.code: town_text(thing.ja) for thing in town.things}
    words[OWN_PHONE] = translate(OWN_PHONE_WORDS)
    words[IDENTITY_LATER] = translate(IDENTITY_LATER_WORDS)
    return tuple(words[code] for code in codes if code in words)


def second_name(procedure: Procedure) -> str:
    """What stands below a procedure's name: the official one, or for a reader of that one, what it is about."""
    # やさしい日本語 has its words apart, Japanese has not.
    about = procedure.name_plain_ja.replace(" ", "")
    return about if current_language() is SOURCE else with_readings(procedure.name_ja)


def deadline_words(procedure: Procedure, town: Town) -> str | None:
    """Until when, in the reader's language; None when there is no deadline."""
    return next((town_text(words.ja) for words in town.deadlines if words.code == procedure.deadline), None)


def show_phone(number: str) -> str:
    """A Japanese number as people write it: ``090-1234-5678``."""
    national = phonenumbers.PhoneNumberFormat.NATIONAL
    return phonenumbers.format_number(phonenumbers.parse(number, "JP"), national)


def item_names(keys: Iterable[str]) -> str:
    """Names of items for a sentence, each once, in the order in which a form asks for them."""
    order = {key: index for index, key in enumerate(ITEMS)}
    listed = sorted(keys, key=lambda key: order.get(key, len(order)))
    return translate(_SEPARATOR).join(dict.fromkeys(map(item_name, listed)))


def item_name(key: str) -> str:
    """What an item is called: one of ours, or of the town's own in its words."""
    town_name = town_item_name(key)
    if town_name is not None:
        return town_text(town_name)
    return translate(ITEMS.get(key, ATTACHED_ITEM if is_attached(key) else OTHER_ITEM))


def place_of(counter: Counter) -> str:
    """Where to go: a counter by its place and number, a venue by its name and place."""
    number = "" if counter.is_venue else counter.number
    return place_label(counter.place_ja, number, counter.name_ja)


def appointment_state(state: str, helper: str) -> str:
    """What has become of an appointment, and of the helper who was asked for it."""
    if state == "cancelled" and helper == "nobody":
        return translate(HELPER_STATES["nobody"])
    if state == "booked" and helper in HELPER_STATES:
        return translate(HELPER_STATES[helper])
    return translate(APPOINTMENT_STATES[state])
