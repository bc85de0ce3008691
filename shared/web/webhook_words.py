"""What became of a message to another system of the town, in words."""

from shared.web.i18n import gettext as _


def answer_name(answer: str | None) -> str:
    """What the receiver said, or why it said nothing."""
    if answer is None:
        return _("まだ送っていません")
    known = {
        "inside": _("送ってはいけないネットワークのアドレスでした"),
        "connect": _("つながりませんでした"),
        "tls": _("相手の証明書を確かめられませんでした"),
        "timeout": _("時間内に返事がありませんでした"),
        "no_answer": _("返事の前に切れました"),
    }
    return known.get(answer) or _("返事：%(status)s", status=answer.removeprefix("http_"))
