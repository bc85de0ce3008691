"""What the pages about other systems call things."""

from typing import NamedTuple

from services.notifications.domain.systems import PER_DAY_MAX, PER_MINUTE_MAX, SMS_PARTS_MAX
from shared.web.i18n import gettext as _
from shared.webhooks.tries import TEST


class LimitField(NamedTuple):
    """The field of a limit: what it says, and what may be typed."""

    name: str
    label: str
    lowest: int
    highest: int
    hint: str | None = None


def recipient_names() -> dict[str, str]:
    """How a system names whom it has told."""
    return {
        "number": _("予約番号や受付番号（本人が決めた受けとり方で届きます）"),
        "email": _("メールアドレス"),
        "phone": _("携帯電話の番号（SMS）"),
    }


def kind_names() -> dict[str, str]:
    """What a system has told."""
    return {
        "town_notice": _("かならず伝えるお知らせ（届かないときは、職員が連絡します）"),
        "town_news": _("町の便り（受けとらないことも選べます）"),
    }


def limit_fields() -> list[LimitField]:
    """The limits of a system."""
    return [
        LimitField("per_minute", _("1分に何件まで"), 1, PER_MINUTE_MAX),
        LimitField("per_day", _("1日に何件まで"), 1, PER_DAY_MAX),
        LimitField(
            "sms_parts_per_day",
            _("1日にSMSを何通分まで"),
            0,
            SMS_PARTS_MAX,
            _("町が料金を払います。長いSMSは、2通分や3通分です。"),
        ),
    ]


def message_name(kind: str) -> str:
    """What a system is told."""
    names = {
        "notice.sent": _("送った"),
        "notice.delivered": _("届いた"),
        "notice.not_delivered": _("届かなかった"),
        "notice.undeliverable": _("送れなかった"),
        "notice.stopped": _("送るのをやめた"),
        TEST: _("試しの通知"),
    }
    return names.get(kind, kind)
