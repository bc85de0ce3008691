"""Why the identity step (本人確認) did not come to its end, and what to do now."""

from services.routing.domain.identity import Problem
from shared.web.refusals import RefusalText


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


PROBLEM_WORDS: dict[Problem, RefusalText] = {
    "away": RefusalText(
        _("いまは、本人確認ができません"),
        _(
            "本人確認のサービスが動いていません。入力したことは残っています。時間をおいてお試しいただくか、窓口か郵便でどうぞ。"
        ),
    ),
    "declined": RefusalText(
        _("本人確認を、とちゅうでやめました"),
        _("まだなにも送っていません。入力したことは残っています。もう一度できますし、窓口や郵便でもできます。"),
    ),
    "unknown": RefusalText(
        _("この本人確認は見つかりません"),
        _("「わたしの予約と手続き」から、とちゅうの手続きを開いてください。入力したことは残っています。"),
    ),
    "late": RefusalText(
        _("時間が過ぎました"),
        _("本人確認は、始めてから15分のあいだにお願いします。入力したことは残っています。もう一度、始めてください。"),
    ),
    "elsewhere": RefusalText(
        _("この画面では、続けられません"),
        _("本人確認を始めたのと同じ端末の、同じブラウザーで続けてください。入力したことは、そちらに残っています。"),
    ),
    "used": RefusalText(
        _("この本人確認は、もう使われました"),
        _("同じ本人確認は、1回だけ使えます。入力したことは残っています。もう一度、始めてください。"),
    ),
    "failed": RefusalText(
        _("本人だと確かめられませんでした"),
        _("まだなにも送っていません。入力したことは残っています。もう一度お試しいただくか、窓口か郵便でどうぞ。"),
    ),
    "changed": RefusalText(
        _("もう一度、本人確認をお願いします"),
        _("前の本人確認のあとで、送る内容が変わったか、時間がたちました。送る内容ごとに確かめています。"),
    ),
}
