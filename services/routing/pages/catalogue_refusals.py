"""What the editor of the town pack refuses, in words. Only managers read them."""

from shared.web.refusals import RefusalText


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


EDITOR_REFUSALS: dict[str, RefusalText] = {
    "draft_moved": RefusalText(
        _("ほかの人が、先に保存か公開をしました"),
        _("ページを開きなおして、いまのようすを見てください。"),
        "/office/catalogue",
    ),
    "draft_wrong": RefusalText(
        _("なおすところがあるので、まだ公開できません"),
        _("「手続きと窓口の編集」で、なおすところを見てください。"),
        "/office/catalogue",
    ),
    "nothing_to_publish": RefusalText(
        _("公開しているものと同じです"), _("なおしてから、公開してください。"), "/office/catalogue"
    ),
    "operators_only": RefusalText(
        _("サイトの住所は、ここでは変えられません"), _("システムの担当者に頼んでください。"), "/office/catalogue"
    ),
    "order_ended": RefusalText(
        _("公開は、もう終わったか、取りやめられています"), _("ページを開きなおしてください。"), "/office/catalogue"
    ),
    "pack_missing": RefusalText(
        _("町の設定ファイルが、まだ読みこまれていません"), _("システムの担当者に、はじめの読みこみを頼んでください。")
    ),
    "pack_too_large": RefusalText(
        _("長すぎて、保存できません"), _("文を短くするか、使わないものを消してください。"), "/office/catalogue"
    ),
    "pack_unreadable": RefusalText(
        _("いまの設定ファイルは、この版のシステムでは開けません"),
        _("システムの担当者に、ファイルを確かめてもらってください。"),
    ),
    "publication_waits": RefusalText(
        _("もう、公開を待っています"), _("少し待ってから、ページを読みなおしてください。"), "/office/catalogue/publish"
    ),
    "record_unknown": RefusalText(
        _("これは見つかりません"), _("一覧にもどって、もう一度選んでください。"), "/office/catalogue"
    ),
    "version_unknown": RefusalText(
        _("この版は見つかりません"), _("履歴のページで、もう一度選んでください。"), "/office/catalogue/history"
    ),
}
