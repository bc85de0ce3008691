"""Dead letters in the operator's words: what each event tells, who told it, why it stopped and what to do next.

Tests look whether every event that anybody subscribes to, and every reason that the code can give, has its words.
"""

import msgspec

from shared.events.base import Event, event_type
from shared.events.booking import (
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentChanged,
    AppointmentProgressed,
    AvailabilityChanged,
    ClassEntryProgressed,
    DrawEntryProgressed,
    HelperTold,
    HelpRequestProgressed,
    SwitchWished,
    TurnNear,
)
from shared.events.booking import SubjectErasureDone as BookingErasureDone
from shared.events.ledger import CheckpointMade, ReuseRecorded
from shared.events.notifications import NoticeProgressed
from shared.events.notifications import SubjectErasureDone as NotificationsErasureDone
from shared.events.routing import (
    AccountContactChanged,
    AccountOpened,
    ApplicationProgressed,
    CaseErased,
    CaseSwitched,
    CataloguePublished,
    ContactGiven,
    MeetingAgreed,
    NameWithdrawn,
    PracticeVisitorSent,
    SessionEnded,
    SignInAsked,
    SubjectErased,
)
from shared.messaging.dead_letters import Letter
from shared.web.i18n import translate


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


class ReasonWords(msgspec.Struct, frozen=True):
    """Why a letter stopped: a sentence of what happened, and what to look at, when to replay and when to discard."""

    happened: str
    next_step: str


class LetterWords(ReasonWords, frozen=True):
    """What a page says of one letter."""

    kind: str
    publisher: str


SERVICE_NAMES: dict[str, str] = {
    "routing": _("手続き・申請"),
    "booking": _("予約・窓口"),
    "notifications": _("お知らせ"),
}

EVENT_NAMES: dict[type[Event], str] = {
    CataloguePublished: _("手続き一覧の公開"),
    ContactGiven: _("連絡先の登録"),
    NameWithdrawn: _("お名前でのお呼びだしの取りやめ"),
    CaseSwitched: _("手続きのやり方の変更"),
    SwitchWished: _("やり方を変える希望（サポーターから）"),
    SessionEnded: _("ログアウトなど、利用の終わり"),
    AccountOpened: _("職員・サポーターのアカウントの変更"),
    PracticeVisitorSent: _("練習用の町に来る、作りものの人"),
    ApplicationProgressed: _("オンライン申請の進みぐあい"),
    AppointmentBooked: _("予約の確定"),
    AppointmentChanged: _("予約の変更"),
    AppointmentCancelled: _("予約の取り消し"),
    AppointmentProgressed: _("当日の進みぐあい（受付・よびだしなど）"),
    AvailabilityChanged: _("窓口の空きの変化"),
    DrawEntryProgressed: _("抽選の結果（外れ・取りやめ）"),
    TurnNear: _("窓口の順番が近いこと"),
    AccountContactChanged: _("職員・サポーターへの連絡のしかた"),
    SignInAsked: _("パスワードなしのログイン"),
    HelperTold: _("サポーターへのお知らせ"),
    HelpRequestProgressed: _("サポーターさがしの進みぐあい"),
    ClassEntryProgressed: _("教室の申しこみの進みぐあい"),
    MeetingAgreed: _("サポーターといっしょに進める同意"),
    NoticeProgressed: _("お知らせを送った結果"),
    ReuseRecorded: _("情報のやりとりの記録"),
    CheckpointMade: _("記録の一日のまとめ番号"),
    SubjectErased: _("本人の情報の消去"),
    CaseErased: _("保存期間が過ぎた手続きの消去"),
    BookingErasureDone: _("予約での消去の完了"),
    NotificationsErasureDone: _("お知らせでの消去の完了"),
}
_NAMES = {event_type(kind): name for kind, name in EVENT_NAMES.items()}
UNKNOWN_EVENT = _("知らない種類の連絡")

_MEND_AND_REPLAY = _("受けとった側のログで、この連絡の番号のエラーを見て、原因をなおしてから、やり直してください。")
_BY_HAND = _("やり直しても同じです。担当の課に知らせて、必要なことを手ですませてから、捨ててください。")

REASONS: dict[str, ReasonWords] = {
    "attempts": ReasonWords(_("何度やっても、処理できませんでした。"), _MEND_AND_REPLAY),
    "unknown_type": ReasonWords(
        _("受けとった側のプログラムは、この種類の連絡を知りません。"),
        _("送った側と受けとった側の版を確かめ、古いほうを更新してから、やり直してください。"),
    ),
    "undecodable": ReasonWords(
        _("内容の形がちがい、読みとれませんでした。"),
        _(
            "送った側と受けとった側の版をそろえてから、やり直してください。それでも読めないものは、必要なことを手ですませてから、捨ててください。"
        ),
    ),
    "no_handler": ReasonWords(
        _("受けとった側のプログラムに、この種類の連絡を処理するところがありません。"),
        _("受けとった側の版と設定を確かめ、なおしてから、やり直してください。"),
    ),
    "seal": ReasonWords(
        _("封をした内容を開けませんでした。"),
        _("鍵（CHOUDO_*_BOX_KEY と CHOUDO_BOX_PUBLIC_KEYS）が合うか確かめ、期限までにやり直してください。"),
    ),
    "not_sealed": ReasonWords(_("あるはずの封をした内容がありません。"), _BY_HAND),
    "address_length": ReasonWords(_("封をした連絡先が、空か、長すぎます。"), _BY_HAND),
    "older_than_inbox": ReasonWords(
        _("とても古い連絡で、もう処理したかどうかわかりません。"),
        _("受けとった側の画面で、もう処理されているか確かめ、まだならやり直し、すんでいれば捨ててください。"),
    ),
    "sealed_gone": ReasonWords(
        _("やり直すまえに、封をした内容の期限が過ぎました。"),
        _("もうやり直せません。担当の課に知らせて、必要なことを手ですませてから、捨ててください。"),
    ),
    "broken_off": ReasonWords(
        _("やり直しの途中で、処理するプログラムが止まりました。"),
        _("受けとった側の worker が動いているか、なぜ止まったかをログで確かめてから、もう一度やり直してください。"),
    ),
}
FAILED = ReasonWords(_("処理の途中で、エラーになりました。"), _MEND_AND_REPLAY)


def letter_words(letter: Letter) -> LetterWords:
    """What to say of a letter, in the reader's language."""
    why = REASONS.get(letter.reason, FAILED)
    gone = letter.sealed_gone_at is not None
    return LetterWords(
        happened=translate(why.happened),
        next_step=translate(REASONS["sealed_gone"].next_step if gone else why.next_step),
        kind=translate(_NAMES.get(letter.type, UNKNOWN_EVENT)),
        publisher=service_name(letter.publisher),
    )


def service_name(service: str) -> str:
    """A service as its users call it, in the reader's language."""
    return translate(SERVICE_NAMES.get(service, service))
