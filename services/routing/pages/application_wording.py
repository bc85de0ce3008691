"""The words of online applications: states, what comes next, and the office's buttons."""


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


STATES: dict[str, str] = {
    "submitted": _("役場が確かめています"),
    "accepted": _("受け付けました"),
    "correction_asked": _("なおしてほしいところがあります"),
    "completed": _("手続きが終わりました"),
    "withdrawn": _("取り下げました"),
}
STATE_LOOKS = {
    "submitted": "info",
    "accepted": "info",
    "correction_asked": "warning",
    "completed": "success",
    "withdrawn": "",
}
# As the office calls them.
OFFICE_STATES: dict[str, str] = {
    "submitted": _("新しい申請"),
    "accepted": _("受け付け済み"),
    "correction_asked": _("なおし待ち"),
    "completed": _("終わり"),
    "withdrawn": _("取り下げ"),
}
# The heading of the resident's page.
TITLES: dict[str, str] = {
    "submitted": _("申請を送りました"),
    "accepted": _("役場が申請を受け付けました"),
    "correction_asked": _("なおしてほしいところがあります"),
    "completed": _("手続きが終わりました"),
    "withdrawn": _("申請を取り下げました"),
}
NEXT: dict[str, str] = {
    "submitted": _("役場の%(office)sの係が内容を確かめます。受け付けたら、このページでお知らせします。"),
    "accepted": _("%(office)sの係が手続きを進めています。終わったら、このページでお知らせします。"),
    "correction_asked": _("「なおしてほしいところ」を読んで、なおしてから、もう一度送ってください。"),
    "completed": _("することは、もうありません。この番号は、問い合わせのときに使えます。"),
    "withdrawn": _("もう一度申請するときは、手続きのページから始めてください。"),
}
STEPS: dict[str, str] = {
    "submitted": _("申請が送られました"),
    "accepted": _("%(office)sの係が受け付けました"),
    "correction_asked": _("%(office)sの係が、なおすことをお願いしました"),
    "completed": _("%(office)sの手続きが終わりました"),
    "withdrawn": _("申請が取り下げられました"),
}
ACTIONS: dict[str, str] = {
    "accept": _("申請を受け付ける"),
    "ask_correction": _("なおすことをお願いする"),
    "complete": _("手続きを終える"),
}
# While a correction is waited for, accepting means that the office was told what it asked for.
ACCEPT_AS_TOLD = _("直接うかがって受け付けた")
# For the office's list.
FILTERS: dict[str, str] = {
    "open": _("対応するもの"),
    "submitted": _("新しい申請"),
    "accepted": _("受け付けたもの"),
    "correction_asked": _("なおしを待つもの"),
    "completed": _("終わったもの"),
    "withdrawn": _("取り下げられたもの"),
}
