"""The words of online applications: states, what comes next, and the office's buttons."""

from services.routing.domain.office import head_of
from shared.web.i18n import translate
from shared.web.town_texts import town_text


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


STATES: dict[str, str] = {
    "submitted": _("役場が確かめています"),
    "accepted": _("受け付けました"),
    "correction_asked": _("なおしてほしいところがあります"),
    "visit_asked": _("役場に来ていただきたいことがあります"),
    "completed": _("手続きが終わりました"),
    "refused": _("認められませんでした"),
    "withdrawn": _("取り下げました"),
}
STATE_LOOKS = {
    "submitted": "info",
    "accepted": "info",
    "correction_asked": "warning",
    "visit_asked": "warning",
    "completed": "success",
    "refused": "error",
    "withdrawn": "",
}
# The heading of the resident's page.
TITLES: dict[str, str] = {
    "submitted": _("申請を送りました"),
    "accepted": _("役場が申請を受け付けました"),
    "correction_asked": _("なおしてほしいところがあります"),
    "visit_asked": _("役場に来ていただきたいことがあります"),
    "completed": _("手続きが終わりました"),
    "refused": _("申請は認められませんでした"),
    "withdrawn": _("申請を取り下げました"),
}
NEXT: dict[str, str] = {
    "submitted": _("役場の%(office)sの係が内容を確かめます。受け付けたら、このページでお知らせします。"),
    "accepted": _("%(office)sの係が手続きを進めています。終わったら、このページでお知らせします。"),
    "correction_asked": _("「なおしてほしいところ」を読んで、なおしてから、もう一度送ってください。"),
    "visit_asked": _(
        "「来ていただきたい理由」を読んで、来る日と時間を予約してください。申請したことは、もう一度書かなくてだいじょうぶです。"
    ),
    "completed": _("することは、もうありません。この番号は、問い合わせのときに使えます。"),
    "refused": _(
        "理由と、決定に不服があるときにできることを、このページに書いてあります。わからないことは、%(office)sの係におたずねください。"
    ),
    "withdrawn": _("もう一度申請するときは、手続きのページから始めてください。"),
}
# Of a procedure that no counter does, no time can be booked.
COME_BY = _(
    "「来ていただきたい理由」を読んで、役場に来ていただくか、お電話ください。申請したことは、もう一度書かなくてだいじょうぶです。"
)
STEPS: dict[str, str] = {
    "submitted": _("申請が送られました"),
    "accepted": _("%(office)sの係が受け付けました"),
    "correction_asked": _("%(office)sの係が、なおすことをお願いしました"),
    "visit_asked": _("%(office)sの係が、役場に来ることをお願いしました"),
    "completed": _("%(office)sの手続きが終わりました"),
    "refused": _("%(office)sの係が、認められないことを決めました"),
    "withdrawn": _("申請が取り下げられました"),
}
# What the office writes, as the person reads it above the text.
WRITTEN_TITLES: dict[str, str] = {
    "correction": _("なおしてほしいところ"),
    "visit": _("来ていただきたい理由"),
    "refusal": _("認められない理由"),
}
WHOLE = _("申請の全体")
# 教示, as the ministry's samples word it (行政不服審査法82条1項、行政事件訴訟法46条1項).
APPEAL = _(
    "この決定に不服があるときは、この決定があったことを知った日の翌日から起算して3か月以内に、%(to)sに対して審査請求をすることができます。ただし、この決定の日の翌日から起算して1年を経過すると、審査請求をすることができなくなります。"
)
SUIT = _(
    "この決定の取消しの訴えは、この決定があったことを知った日の翌日から起算して6か月以内に、%(town)sを被告として（%(head)sが代表者です）、裁判所に提起することができます。ただし、この決定の日の翌日から起算して1年を経過すると、提起することができなくなります。審査請求をしたときは、その裁決があったことを知った日の翌日から起算して6か月以内に提起することができます。"
)
SUIT_AFTER_APPEAL = _(
    "この決定の取消しの訴えは、原則として、審査請求に対する裁決を経た後でなければ提起することができません。裁決があったことを知った日の翌日から起算して6か月以内に、%(town)sを被告として（%(head)sが代表者です）、裁判所に提起することができます。"
)
NO_APPEAL = _("この決定は、審査請求のできる処分ではありません。わからないことは、役場に電話でおたずねください。")


def appeal_words(to: str, *, is_first: bool, town: str) -> tuple[str, ...]:
    """What may be done against a refusal. `to`: who decides the appeal; `is_first`: before a court is asked."""
    if not to:
        return (translate(NO_APPEAL),)
    said = {"to": town_text(to), "town": town_text(town), "head": town_text(head_of(town))}
    return (translate(APPEAL) % said, translate(SUIT_AFTER_APPEAL if is_first else SUIT) % said)
