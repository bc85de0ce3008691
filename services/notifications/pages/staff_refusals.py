"""What staff read when something of the delivery log is refused."""

from shared.web.refusals import RefusalText


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


LOG = "/notices"
_BACK = _("お知らせの記録")
STAFF_REFUSALS = {
    "again_never": RefusalText(
        _("番号のお知らせは、もう一度送れません"),
        _("番号は少しのあいだしか使えません。本人が、もう一度番号をもらってください。"),
        LOG,
        _BACK,
    ),
    "again_going": RefusalText(
        _("今、送っているところです"), _("終わるまで待ってから、もう一度確かめてください。"), LOG, _BACK
    ),
    "again_over": RefusalText(
        _("この内容は、もう変わりました"), _("新しい内容のお知らせを開いて、そちらを送ってください。"), LOG, _BACK
    ),
    "again_called_off": RefusalText(
        _("町が送るのを止めたお知らせです"), _("送らずに、必要なときは電話などで伝えてください。"), LOG, _BACK
    ),
    "again_stopped": RefusalText(
        _("本人が、この種類のお知らせを止めています"), _("送らずに、必要なときは電話などで伝えてください。"), LOG, _BACK
    ),
    "again_paper": RefusalText(
        _("メッセージを送らない方です"), _("紙の控えや電話を選んでいます。電話などで伝えてください。"), LOG, _BACK
    ),
    "again_late": RefusalText(
        _("このお知らせは、もう役に立ちません"),
        _("時間がすぎています。必要なときは、電話などで伝えてください。"),
        LOG,
        _BACK,
    ),
    "again_often": RefusalText(
        _("今日は、もう%(most)s回送りました"), _("電話など、ほかのやり方で伝えてください。"), LOG, _BACK
    ),
    "again_no_way": RefusalText(
        _("使える連絡先がありません"), _("電話などで伝えて、新しい連絡先を聞いてください。"), LOG, _BACK
    ),
}
