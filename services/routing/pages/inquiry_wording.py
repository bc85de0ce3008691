"""The words of inquiries (問い合わせ): what is asked, how it stands, and what each step was."""


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


KINDS: dict[str, str] = {
    "unfamiliar": _("おぼえがない"),
    "correction": _("なおしてほしい"),
}
# The heading of the page on which it is asked, and what the field is called.
ASK_TITLES: dict[str, str] = {
    "unfamiliar": _("おぼえがない記録について聞く"),
    "correction": _("なおしてほしいことを伝える"),
}
ASK_FIELDS: dict[str, str] = {
    "unfamiliar": _("気になること"),
    "correction": _("なにを、どうなおしてほしいですか"),
}
ASK_HINTS: dict[str, str] = {
    "unfamiliar": _("書かずに送ることもできます。マイナンバーや暗証番号は書かないでください。"),
    "correction": _("マイナンバーや暗証番号は書かないでください。"),
}
STATES: dict[str, str] = {
    "open": _("返事を待っています"),
    "answered": _("返事がきました"),
    "asked_again": _("返事を待っています"),
    "answered_again": _("返事がきました"),
    "closed": _("終わりました"),
}
STATE_LOOKS = {"open": "info", "answered": "success", "asked_again": "info", "answered_again": "success", "closed": ""}
STEPS: dict[str, str] = {
    "open": _("あなたが問い合わせました"),
    "answered": _("%(office)sの係が答えました"),
    "asked_again": _("あなたが、もう一度聞きました"),
    "answered_again": _("%(office)sの係が、もう一度答えました"),
    "closed": _("あなたが問い合わせを終えました"),
}
