"""The words of notes to the next helper: the phrases, and what to change in what was written."""


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


PHRASE_WORDS: dict[str, str] = {
    "stuck_photo": _("写真の送りかたで止まった"),
    "stuck_typing": _("文字の入力で止まった"),
    "stuck_reading": _("文字が小さくて読みにくかった"),
    "stuck_sign_in": _("本人確認のところで止まった"),
    "stuck_device": _("スマートフォンの調子がよくなかった"),
    "bring_identity": _("次は本人確認書類を持ってくる"),
    "bring_papers": _("次は役場からの書類を持ってくる"),
    "bring_own_phone": _("次は自分のスマートフォンを持ってくる"),
    "more_time": _("次はもっと時間をとる"),
    "went_to_counter": _("窓口で続けることにした"),
    "goes_alone": _("次はひとりでできそう"),
}
FOUND_WORDS: dict[str, str] = {
    "mail": _("メールアドレスが入っているようです。消してから、もう一度押してください。"),
    "personal_number": _("マイナンバーのような番号が入っています。消してから、もう一度押してください。"),
    "phone": _("電話番号のような数字が入っています。消してから、もう一度押してください。"),
    "postal_code": _("郵便番号のような数字が入っています。消してから、もう一度押してください。"),
    "birth_date": _("生年月日のようなことばが入っています。消してから、もう一度押してください。"),
    "address": _("住所のようなことばが入っています。消してから、もう一度押してください。"),
    "number": _("4けた以上の数字が入っています。消すか、ことばで書いてください。"),
}
