"""The words of the back office's own pages."""


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


# As the office calls them.
OFFICE_STATES: dict[str, str] = {
    "submitted": _("新しい申請"),
    "accepted": _("受け付け済み"),
    "correction_asked": _("なおし待ち"),
    "visit_asked": _("来庁待ち"),
    "completed": _("終わり"),
    "refused": _("不許可・却下"),
    "withdrawn": _("取り下げ"),
}
ACTIONS: dict[str, str] = {
    "accept": _("申請を受け付ける"),
    "complete": _("手続きを終える"),
    "ask_correction": _("なおすことをお願いする"),
    "ask_visit": _("来ていただくことをお願いする"),
    "refuse": _("認めないことを決める"),
}
# While the person is waited for, accepting means that the office was told what it asked for.
ACCEPT_AS_TOLD = _("直接うかがって受け付けた")
# A click writes one of these.
PHRASES = (
    _("もう一度、確かめてください。"),
    _("書類と合いません。書類のとおりに書いてください。"),
    _("足りないところがあります。"),
)
# For the office's list.
FILTERS: dict[str, str] = {
    "open": _("対応するもの"),
    "mine": _("自分の担当"),
    "unassigned": _("担当がいないもの"),
    "late": _("期限をすぎたもの"),
    "waiting": _("ご本人を待つもの"),
    "submitted": _("新しい申請"),
    "accepted": _("受け付けたもの"),
    "completed": _("終わったもの"),
    "refused": _("認めなかったもの"),
    "withdrawn": _("取り下げられたもの"),
}
