"""What the town's account at LINE answers to a code that somebody sent."""

from services.notifications.commands.line_linking import Said
from shared.web.i18n import translate, use_language


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when said."""
    return message


_REPLIES: dict[Said, str] = {
    "linked": _("ありがとうございます。LINEをつなぎました。これからは、お知らせをLINEにも送ります。"),
    "wrong": _("この番号は使えません。「お知らせの受けとり方」のページで番号を確かめて、もう一度送ってください。"),
    "too_many": _("番号のまちがいが続きました。1時間ほど待ってから、もう一度送ってください。"),
    "full": _(
        "連絡先がいっぱいで、LINEをつなげませんでした。「お知らせの受けとり方」のページで、使わないものを消してください。"
    ),
}


def line_reply(said: Said, language: str | None) -> str | None:
    """The words, in the person's language where we know who it is; None: it was said before."""
    if said not in _REPLIES:
        return None
    with use_language(language):
        return translate(_REPLIES[said])
