"""The words for every refusal, looked up by code: what happened, and what to do next.

Services add theirs by handing a dictionary to their `ServiceRoutes`.
"""

import msgspec


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


class RefusalText(msgspec.Struct, frozen=True):
    """Shown as a page: a title, what the person can do now, and where (`href`, a button that says `link`) if it is the
    same for everybody."""

    title: str
    advice: str
    href: str = ""
    link: str = _("手続きのつづきへ")


# A person's open cases, from where each goes on.
MY_CASES = "/my"


REFUSALS: dict[str, RefusalText] = {
    "not_found": RefusalText(
        _("ページが見つかりません"), _("アドレスが変わったか、まちがっています。はじめのページからさがしてください。")
    ),
    "method_not_allowed": RefusalText(
        _("この操作はできません"), _("前のページにもどって、ボタンからやりなおしてください。")
    ),
    "form_unreadable": RefusalText(
        _("入力を読みとれませんでした"), _("前のページにもどって、もう一度送ってください。")
    ),
    "bad_request": RefusalText(_("入力を読みとれませんでした"), _("前のページにもどって、もう一度送ってください。")),
    "too_large": RefusalText(_("送られた文字が多すぎます"), _("前のページにもどって、短くして送ってください。")),
    "too_many_tries": RefusalText(_("回数が多すぎます"), _("しばらく待ってから、もう一度お試しください。")),
    "cross_site": RefusalText(
        _("べつのサイトから送られたため、受け付けませんでした"),
        _("このサイトのページを開いて、もう一度送ってください。"),
    ),
    "session_needed": RefusalText(
        _("あなたの利用を確かめられませんでした"), _("はじめのページを開いて、もう一度お試しください。")
    ),
    "role_missing": RefusalText(_("このページを見る権限がありません"), _("担当の人に聞いてください。")),
    "cookies_needed": RefusalText(
        _("クッキーが使えません"),
        _("ブラウザの設定でクッキーを使えるようにするか、電話または窓口でお申し込みください。"),
    ),
    "case_opening_invalid": RefusalText(
        _("このページからは、もう開けません"),
        _("時間がたちすぎています。予約のページを、もう一度開いてください。"),
        "/booking/find",
        _("番号と確認コードで確かめる"),
    ),
    "contact_opening_invalid": RefusalText(
        _("お知らせの受けとり方を開けませんでした"),
        _("予約や手続きのページにもどって、もう一度お試しください。"),
        MY_CASES,
        _("わたしの予約と手続き"),
    ),
    "contact_opening_late": RefusalText(
        _("お知らせの受けとり方を開けませんでした"),
        _("予約や手続きのページにもどって、もう一度お試しください。"),
        MY_CASES,
        _("わたしの予約と手続き"),
    ),
    "pass_invalid": RefusalText(
        _("引きつぎの情報を読みとれませんでした"), _("手続きのページにもどって、もう一度進んでください。"), MY_CASES
    ),
    "pass_expired": RefusalText(
        _("引きつぎの時間が切れました"),
        _("手続きのページにもどって、もう一度進んでください。入力した内容は残っています。"),
        MY_CASES,
    ),
    "pass_used": RefusalText(
        _("この引きつぎは、ほかの端末で使われました"),
        _("手続きのページにもどって、もう一度進んでください。"),
        MY_CASES,
    ),
    "subject_erased": RefusalText(
        _("入力された情報は、もう消されています"),
        _("手続きをするときは、はじめのページから、新しく始めてください。"),
    ),
    "letter_unknown": RefusalText(_("この連絡は、もう止まっていません"), _("一覧を開いて、確かめてください。")),
    "letter_sealed_gone": RefusalText(_("やり直せません"), _("一覧を開いて、確かめてください。")),
    "letter_may_repeat": RefusalText(_("確かめてから、やり直してください"), _("一覧を開いて、確かめてください。")),
    "entry_unknown": RefusalText(_("この記録は見つかりません"), _("記録の番号を、もう一度お確かめください。")),
    "entry_not_proved_yet": RefusalText(
        _("この記録の証明は、まだできていません"), _("記録は毎日、夜中にまとめます。あしたもう一度お試しください。")
    ),
    "checkpoint_unknown": RefusalText(
        _("この日のまとめは見つかりません"), _("まとめの一覧から、日をえらんでください。")
    ),
    "practice_town": RefusalText(
        _("練習用の町では、ほかのシステムに知らせません"), _("ほんとうの町のページで、登録してください。")
    ),
    "webhook_unknown": RefusalText(_("このシステムは登録されていません"), _("一覧にもどって、選びなおしてください。")),
    "webhook_url_unfit": RefusalText(
        _("送り先のURLを確かめてください"),
        _("https:// で始まるアドレスを入力してください。利用者名、パスワード、# から後は入れられません。"),
    ),
    "webhook_url_inside": RefusalText(
        _("このアドレスには送れません"),
        _("役場の中のネットワークに送るときは、システムの管理者に、送り先のネットワークの登録を頼んでください。"),
    ),
    "internal": RefusalText(
        _("こちらの都合で、うまくいきませんでした"),
        _("しばらくして、もう一度お試しください。急ぐときは役場に電話してください。"),
    ),
    "unavailable": RefusalText(_("ただいま混みあっています"), _("少し待ってから、もう一度お試しください。")),
}
