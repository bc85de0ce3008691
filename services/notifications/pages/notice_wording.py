"""How staff read of notices: what each kind is called, how far one has come, and what a provider said of it."""

import re
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Final

from services.notifications.domain.again import SENT_AGAIN
from services.notifications.domain.notices import Kind
from services.notifications.domain.words import Used
from services.notifications.pages.template_wording import LANGUAGE_NAMES, WHOSE
from services.notifications.queries_of_log import LoggedAttempt, LoggedNotice, Standing
from shared.web.i18n import gettext, translate


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


KIND_NAMES: Final[Mapping[Kind, str]] = {
    "confirmation": _("予約の確認"),
    "change": _("変更"),
    "cancellation": _("取り消し"),
    "reminder": _("前もってのお知らせ"),
    "helper_found": _("サポーターの決定"),
    "closure": _("臨時の休み"),
    "reopened": _("休みの取りやめ"),
    "earlier_offer": _("早い時間のお知らせ"),
    "draw_won": _("抽選の当たり"),
    "draw_lost": _("抽選の外れ"),
    "draw_called_off": _("抽選の取りやめ"),
    "application_received": _("申請を受けとった"),
    "application_accepted": _("申請を受け付けた"),
    "application_correction": _("申請をなおすお願い"),
    "application_visit": _("来ていただくお願い"),
    "application_completed": _("手続きの終わり"),
    "application_refused": _("認められないお知らせ"),
    "application_withdrawn": _("申請の取り下げ"),
    "case_switched": _("やり方の変更"),
    "turn_near": _("順番が近いお知らせ"),
    "help_open": _("サポーターさがし"),
    "help_unmet": _("サポーターが見つからない"),
    "class_entered": _("教室の席"),
    "class_waiting": _("教室の空き待ち"),
    "class_offered": _("教室の席の空き"),
    "class_lost": _("教室の抽選の外れ"),
    "class_called_off": _("教室の取りやめ"),
    "class_reminder": _("教室の前のお知らせ"),
    "class_proposed": _("教室のおすすめ"),
    "class_changed": _("教室の変更"),
    "helper_offer": _("サポーターへのお願い"),
    "helper_cover": _("かわりのサポーターさがし"),
    "helper_cancelled": _("サポーターの予定の取り消し"),
    "helper_changed": _("サポーターの予定の変更"),
    "helper_reminder": _("サポーターの予定の前のお知らせ"),
    "helper_message": _("サポーターへのれんらく"),
    "helper_placed": _("教室の担当"),
    "sign_in": _("ログインの番号"),
    "contact_changed": _("連絡先が変わったお知らせ（前の連絡先へ）"),
    "contact_code": _("連絡先を確かめる番号"),
    "contact_dead": _("届かない連絡先"),
    "town_news": _("町からのお知らせ"),
    "town_notice": _("町からの大切なお知らせ"),
}
WAY_NAMES: Final[Mapping[str, str]] = {
    "email": _("メール"),
    "sms": _("SMS"),
    "line": _("LINE"),
    "letter": _("手紙"),
    "call": _("電話"),
    "none": _("控え"),
    "": _("まだわかりません"),
}
# How far a notice has come, and the badge that says so.
STATES: Final[Mapping[str, tuple[str, str]]] = {
    "pending": (_("送る前"), "info"),
    "sending": (_("送っています"), "info"),
    "sent": (_("送りました"), "success"),
    "unknown": (_("届いたか確かめています"), "warning"),
    "failed": (_("送れませんでした"), "error"),
    "undeliverable": (_("届けられませんでした"), "error"),
    "superseded": (_("新しい内容に変わり、送りません"), ""),
    "printed_slip": (_("送りません（控えの方）"), ""),
}
# Whose will it was that it is not sent.
_BY_REASON: Final[Mapping[str, tuple[str, str]]] = {
    "stopped": (_("送りません（本人が止めています）"), ""),
    "called_off": (_("送りません（町が止めました）"), ""),
}
_PAGE_READER = (_("送りません（自分のページで見る方）"), "")
_SENT_AGAIN = (_("もう一度送ったので、これは終わりにしました"), "")
DELIVERIES: Final[Mapping[str, tuple[str, str]]] = {
    "delivered": (_("届きました"), "success"),
    "not_delivered": (_("相手に届きませんでした"), "error"),
}
STANDING_NAMES: Final[Mapping[Standing, str]] = {
    "waiting": _("送るところ、確かめているところ"),
    "sent": _("送りました"),
    "delivered": _("届きました"),
    "not_delivered": _("相手に届きませんでした"),
    "failed": _("送れませんでした"),
    "undeliverable": _("届けられませんでした"),
    "superseded": _("新しい内容に変わったか、本人が止めたもの"),
    "printed_slip": _("控えの方"),
}
# Why staff are asked to reach somebody, and what to do.
REASONS: Final[Mapping[str, str]] = {
    "rejected": _("あて先に届きません。電話などで連絡してください。"),
    "gave_up": _("何度も送りましたが、届きませんでした。電話などで連絡してください。"),
    "no_way": _("使える連絡先がありません。電話などで連絡してください。"),
    "contact_missing": _("連絡先がまだ届いていません。予約のページで確かめてください。"),
    "too_late": _("間に合う時間に送れませんでした。電話などで連絡してください。"),
    "not_delivered": _("相手の端末に届きませんでした。電話などで連絡してください。"),
    "no_contact": _("お知らせの届け先がわかりません。来られたときや電話のときに、ほかの時間を一緒に決めてください。"),
    "not_moved": _("ほかの時間がまだ決まっていません。電話などで連絡してください。"),
    "call_chosen": _("電話で知らせてほしいという方です。電話してください。"),
    "letter_returned": _("手紙が、宛先不明で戻ってきました。電話などで連絡してください。"),
    "letter_late": _("手紙では間に合いません。電話などで連絡してください。"),
    "letter_glyph": _("名前や住所に、印刷できない字があります。手書きで送るか、電話などで連絡してください。"),
    "letter_address": _("あて先が、封筒の窓に入りません。手書きで送るか、電話などで連絡してください。"),
    "letter_length": _("長すぎて、手紙にできません。電話などで連絡してください。"),
    "wrong_number": _("電話番号が、ほかの人のものでした。ほかに連絡先はありません。来られたときに、聞いてください。"),
    "no_answer": _("何度かけても、電話に出ません。ほかに連絡先はありません。時間をかえて、電話してください。"),
}
NEVER_SAID: Final = _("お知らせの受けとり方を、まだ決めていないサポーターです。お手元の名簿を見て、電話してください。")
# The same, short: to choose from.
REASON_NAMES: Final[Mapping[str, str]] = {
    "rejected": _("あて先に届かない"),
    "gave_up": _("何度送っても届かない"),
    "no_way": _("使える連絡先がない"),
    "contact_missing": _("連絡先が届いていない"),
    "too_late": _("間に合わなかった"),
    "not_delivered": _("相手の端末に届かない"),
    "no_contact": _("届け先がわからない"),
    "not_moved": _("ほかの時間が決まっていない"),
    "call_chosen": _("電話を選んだ人"),
    "letter_returned": _("手紙が戻ってきた"),
    "letter_late": _("手紙では間に合わない"),
    "letter_glyph": _("手紙に印刷できない字がある"),
    "letter_address": _("封筒の窓に入らない"),
    "letter_length": _("手紙には長すぎる"),
    "wrong_number": _("ほかの人の番号"),
    "no_answer": _("電話に出ない"),
}
# Why a notice was not sent, where its state does not say it.
ENDS: Final[Mapping[str, str]] = {
    "overtaken": _("あとで内容が変わったので、前の内容は送りません。"),
    "stopped": _("本人が、この種類のお知らせを止めています。"),
    "called_off": _("町が、送るのを止めました。"),
    "chosen": _("本人が、紙の控えを選んでいます。"),
    "begun": _("時間が始まっていたので、送りません。"),
    "quiet_hours": _("夜のあいだに時間が始まるので、送りません。"),
    "erased": _("この人の情報は消されました。"),
    SENT_AGAIN: _("届いたかわからないまま、職員がもう一度送りました。"),
}
OUTCOMES: Final[Mapping[str | None, tuple[str, str]]] = {
    None: (_("送っています"), "info"),
    "accepted": (_("事業者が受けとりました"), "success"),
    "temporary": (_("今は受けとれないと言われました"), "warning"),
    "permanent": (_("受けとれないと言われました"), "error"),
    "unknown": (_("受けとったかわかりません"), "warning"),
    "not_started": (_("まだ渡していません"), ""),
}
NO_ANSWER = _("事業者から返事がありません。")
_FULL = _("あて先が混んでいるか、受信箱がいっぱいです。")
# What providers said, by our code of it; what is not here is of a family.
ERRORS: Final[Mapping[str, str]] = {
    "connect": _("事業者につながりません。"),
    "no_answer": NO_ANSWER,
    "disconnected": _("とちゅうで回線が切れました。"),
    "garbage": _("事業者の返事が読めません。"),
    "lease_expired": _("送っている機械が止まりました。"),
    "no_time": _("送る時間がたりませんでした。次の回に送ります。"),
    "repeated": _("同じものを、前に受けとっていました。"),
    "charset": _("この事業者では書けない文字がありました。"),
    "no_provider": _("この送り方の事業者が、設定されていません。"),
    "not_accepted": _("事業者が受け付けませんでした。"),
    "address": _("アドレスの書き方が正しくありません。"),
    "smtp_utf8": _("相手のメールの仕組みが、このアドレスに対応していません。"),
    "smtp_421": _("相手のメールの仕組みが、休んでいます。"),
    "smtp_450": _FULL,
    "smtp_451": _FULL,
    "smtp_452": _FULL,
    "smtp_550": _("このメールアドレスはありません。"),
    "smtp_551": _("このメールアドレスはありません。"),
    "smtp_552": _("受信箱がいっぱいです。"),
    "smtp_553": _("このメールアドレスはありません。"),
    "bounced": _("このメールアドレスはなく、メールが戻ってきました。"),
    "bounced_soft": _("受信箱がいっぱいなどで、メールが戻ってきました。"),
    "http_401": _("事業者が、町の鍵を受け付けません。管理者に伝えてください。"),
    "http_403": _("事業者が、町の鍵を受け付けません。管理者に伝えてください。"),
    "http_404": _("事業者のあて先の設定がちがいます。管理者に伝えてください。"),
    "http_408": NO_ANSWER,
    "sms_number": _("この電話番号には送れません。"),
    "http_422": _("この文は送れないと言われました。"),
    "http_429": _("事業者が、少し待つように言っています。"),
    "form_101": _("この電話番号には送れません。"),
    "line_unreachable": _("LINEでは届きません。友だちではないか、ブロックされています。"),
    "line_unfollowed": _("LINEの友だちから外れました。"),
    "gave_up": _("何度も送りましたが、届きませんでした。"),
    "not_delivered": _("相手の端末に届きませんでした。"),
}
_FAMILIES: Final = (
    (re.compile(r"smtp_policy_\d+"), _("相手のメールの仕組みが、町からのメールを断りました。")),
    (re.compile(r"smtp_data_\d+"), _("相手のメールの仕組みが、内容を見て断りました。")),
    (re.compile(r"smtp_4\d\d"), _FULL),
    (re.compile(r"smtp_\w+"), _("相手のメールの仕組みが断りました。")),
    (re.compile(r"http_5\d\d"), _("事業者の仕組みが止まっています。")),
    (re.compile(r"(http|form)_\w+"), _("事業者が受け付けませんでした。")),
)
# Whether a provider takes messages.
HEALTHS: Final[Mapping[str, tuple[str, str]]] = {
    "closed": (_("動いています"), "success"),
    "half_open": (_("ためしに送っています"), "warning"),
    "open": (_("休ませています（続けて失敗したため）"), "error"),
}


def kind_name(kind: str) -> str:
    """What a notice of this kind is called."""
    return translate(KIND_NAMES[kind])  # type: ignore[index]  # as the database has it: one of the kinds


def way_name(way: str | None) -> str:
    """By which way."""
    return translate(WAY_NAMES[way or ""])


def state_of(line: LoggedNotice) -> tuple[str, str]:
    """How far it has come, in words, and the badge's kind."""
    said = DELIVERIES.get(line.delivery or "") or STATES[line.state]
    if line.state == "printed_slip" and line.is_of_account:
        said = _PAGE_READER
    said = _BY_REASON.get(line.reason or "", said)
    if line.reason == SENT_AGAIN and line.delivery != "delivered":
        said = _SENT_AGAIN
    return translate(said[0]), said[1]


def reason_words(reason: str, *, is_of_helper: bool) -> str:
    """Why somebody is to be reached by staff, and how."""
    if is_of_helper and reason == "contact_missing":
        return translate(NEVER_SAID)
    return translate(REASONS.get(reason, REASONS["gave_up"]))


def reason_name(reason: str) -> str:
    """The same in few words."""
    return translate(REASON_NAMES.get(reason, REASON_NAMES["gave_up"]))


def end_words(reason: str | None) -> str:
    """Why a notice ended as it did; nothing where there is nothing to say."""
    if reason is None:
        return ""
    said = ENDS.get(reason) or REASONS.get(reason)
    return translate(said) if said else error_words(reason)


def error_words(code: str | None) -> str:
    """What a provider said, for somebody who knows no codes."""
    if not code:
        return ""
    if known := ERRORS.get(code):
        return translate(known)
    return next((translate(said) for family, said in _FAMILIES if family.fullmatch(code)), "")


def attempt_way(each: LoggedAttempt) -> str:
    """By which way it went, and where that stands in the person's order; never its address."""
    if each.way is None:
        return gettext("今はない連絡先")
    name = way_name(each.way)
    if each.is_relay:
        name = gettext("%(way)s（家族や支援の方）", way=name)
    return gettext("%(place)s番目の連絡先：%(way)s", place=each.place, way=name) if each.place else name


def outcome_of(each: LoggedAttempt) -> tuple[str, str]:
    """What became of it, in words, and the badge's kind."""
    said = OUTCOMES[each.outcome]
    return translate(said[0]), said[1]


def words_of(used: Used) -> str:
    """Whose words they were, in which language and version."""
    whose, language = translate(WHOSE[used.whose]), translate(LANGUAGE_NAMES.get(used.language, used.language))
    if used.version:
        return gettext("%(whose)s　版%(version)s（%(language)s）", whose=whose, version=used.version, language=language)
    return gettext("%(whose)s（%(language)s）", whose=whose, language=language)


def health_of(state: str) -> tuple[str, str]:
    """Whether a provider works, in words, and the badge's kind."""
    said = HEALTHS[state]
    return translate(said[0]), said[1]


def span_words(span: timedelta) -> str:
    """How long, roughly: ``5秒``, ``12分``, ``3時間``, ``2日``."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return gettext("%(count)s秒", count=seconds)
    if seconds < 3600:
        return gettext("%(count)s分", count=seconds // 60)
    if seconds < 2 * 86400:
        return gettext("%(count)s時間", count=seconds // 3600)
    return gettext("%(count)s日", count=seconds // 86400)


# For templates: `say.kind_name(…)`.
SAY: Final = SimpleNamespace(
    kind_name=kind_name,
    way_name=way_name,
    state_of=state_of,
    reason_words=reason_words,
    reason_name=reason_name,
    end_words=end_words,
    error_words=error_words,
    attempt_way=attempt_way,
    outcome_of=outcome_of,
    words_of=words_of,
    health_of=health_of,
    span_words=span_words,
)
