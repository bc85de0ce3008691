"""The words of the page with the wishes."""

from services.notifications.domain.stops import StopKey
from services.notifications.domain.ways import WayKind
from shared.web.i18n import LANGUAGES


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


WAY_NAMES: dict[WayKind, str] = {
    "sms": _("携帯電話のSMS"),
    "email": _("メール"),
    "line": _("LINE"),
    "letter": _("手紙"),
    "call": _("職員からの電話"),
}
# Each as its readers call it.
LANGUAGE_NAMES = {language.code: language.name for language in LANGUAGES.values()}
# What may be stopped, and what it means to stop it.
STOP_NAMES: dict[StopKey, tuple[str, str]] = {
    "reminder": (_("予約の前のお知らせ"), _("予約の日を、ご自分でおぼえておいてください。")),
    "earlier_offer": (_("早い時間があいたお知らせ"), _("今の予約は、そのままです。")),
    "turn_near": (_("順番が近いお知らせ"), _("役場の画面と、予約のページで見られます。")),
    "town_news": (_("町からのお知らせ"), _("町の広報やウェブサイトで見られます。")),
    "feedback": (_("手続きのあとで、ご意見を聞くこと"), _("終わったことのお知らせだけが届きます。")),
}
# What is told all the same, and why.
REASONS: dict[str, tuple[str, str]] = {
    "law": (
        _("申請のお知らせ（受け付け、なおすお願い、結果）"),
        _("法律で、役場からお知らせすることになっているためです。"),
    ),
    "place": (
        _("予約、抽選、教室、サポーターのお知らせ（確認、変更、取り消し、休み）"),
        _("知らないと、来てもできないことや、席がなくなることがあるためです。"),
    ),
    "town": (
        _("町からの大切なお知らせ"),
        _("あなたの手続きや安全のために、お伝えしなければならないためです。"),
    ),
    "ways": (
        _("連絡先を確かめる番号、届かない連絡先のお知らせ"),
        _("お知らせが、ほんとうに届くようにするためです。"),
    ),
}
DONE: dict[str, str] = {
    "saved": _("保存しました。これからのお知らせは、このとおりにします。"),
    "moved": _("順番を変えました。"),
    "removed": _("連絡先を消しました。"),
    "proved": _("届くことを確かめました。これからは、ここにも送ります。"),
    "added": _("連絡先を加えました。"),
    "paper": _("これからは、メッセージを送りません。紙か電話でお知らせします。"),
    "messages": _("これからは、下の連絡先にお知らせします。"),
}
