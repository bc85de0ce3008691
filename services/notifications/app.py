"""The web application of notifications."""

from pathlib import Path

from services.notifications.api.notices import (
    delete_notice,
    get_notice_view,
    post_notice,
    post_notices,
    post_replay,
)
from services.notifications.api.notices import get_notices as get_system_notices
from services.notifications.api.providers import post_bounce, post_line_events, post_receipts
from services.notifications.api.systems import KeyTries
from services.notifications.flow import KnownTowns
from services.notifications.keys import make_keys
from services.notifications.pages.bulk import post_bulk, post_bulk_new, show_bulk, show_bulk_list, show_bulk_new
from services.notifications.pages.bulk_check import (
    get_bulk_form_address,
    post_bulk_send,
    post_bulk_test,
    show_bulk_check,
)
from services.notifications.pages.bulk_prices import post_bulk_prices, show_bulk_prices
from services.notifications.pages.bulk_progress import post_bulk_stop, show_bulk_stop
from services.notifications.pages.figures import get_figures, get_figures_csv
from services.notifications.pages.letters import (
    get_letter_batch,
    get_letter_form_address,
    get_letters,
    post_letter_came_back,
    post_letter_print,
    post_letters,
    post_letters_posted,
)
from services.notifications.pages.line_link import get_line_link, post_line_link
from services.notifications.pages.new_ways import get_new_way, get_way_code, post_new_way, post_way_code
from services.notifications.pages.notice import get_again_address, get_notice, post_again
from services.notifications.pages.notices import get_notices
from services.notifications.pages.provider_health import get_providers
from services.notifications.pages.staff_refusals import STAFF_REFUSALS
from services.notifications.pages.systems import (
    get_system_address,
    get_system_page,
    get_systems_page,
    post_system,
    post_system_action,
    post_system_terms,
)
from services.notifications.pages.tasks import (
    get_task,
    get_task_form_address,
    post_task_unanswered,
    post_task_wrong_number,
)
from services.notifications.pages.template_history import (
    post_template_history,
    post_template_publish,
    show_template_history,
    show_template_publish,
)
from services.notifications.pages.template_preview import show_template_preview
from services.notifications.pages.templates import post_template, show_template, show_templates
from services.notifications.pages.told_person import get_person, post_person
from services.notifications.pages.unreached import (
    get_form_address,
    get_unreached,
    post_task_contact,
    post_task_done,
    post_task_undo,
)
from services.notifications.pages.wish_access import WISHES, CodeTries
from services.notifications.pages.wishes import (
    get_wish_form_address,
    get_wishes,
    get_wishes_link,
    post_arrive,
    post_leave,
    post_move,
    post_paper,
    post_remove,
    post_wishes,
)
from services.notifications.settings import Settings
from services.notifications.tables import SERVICE, ended_sessions
from shared.clock import Clock, utc_now
from shared.db import Database
from shared.web.app import ServiceRoutes
from shared.web.middleware import AroundRequest
from shared.web.refusals import MY_CASES, RefusalText

BULK = "/notices/bulk"
TEMPLATE_DIRS = [Path(__file__).with_name("pages")]


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


REFUSALS = {
    **STAFF_REFUSALS,
    "ways_full": RefusalText(
        _("これ以上は登録できません"),
        _("連絡先は%(most)sつまでです。使わないものを消してから、もう一度お試しください。"),
    ),
    "way_proved": RefusalText(
        _("この連絡先は、届くことを確かめてあります"),
        _("することはありません。"),
        WISHES,
        _("お知らせの受けとり方"),
    ),
    "codes_too_many": RefusalText(
        _("番号を送る回数が多すぎます"),
        _("1時間ほど待ってから、もう一度お試しください。お急ぎのときは、お電話ください。"),
        WISHES,
        _("お知らせの受けとり方"),
    ),
    "wishes_closed": RefusalText(
        _("お知らせの受けとり方を、もう一度開いてください"),
        _("お知らせのメールにあるリンクか、予約や手続きのページから開けます。開いたあと1時間で閉じます。"),
        MY_CASES,
        _("わたしの予約と手続き"),
    ),
    "wishes_unknown": RefusalText(
        _("お知らせの連絡先が、まだありません"),
        _(
            "たった今予約したときは、少し待ってから、もう一度開いてください。連絡先を使うのをやめたときは、何も送りません。"
        ),
        MY_CASES,
        _("わたしの予約と手続き"),
    ),
    "wishes_link_unknown": RefusalText(
        _("このリンクでは、もう開けません"),
        _("新しいお知らせのリンクか、予約や手続きのページから開いてください。"),
        MY_CASES,
        _("わたしの予約と手続き"),
    ),
    "receipt_token": RefusalText(_("受け付けませんでした"), _("このアドレスは、送信事業者のシステムだけが使います。")),
    "letters_unprinted": RefusalText(
        _("まだ印刷していません"), _("まとめた手紙のページで、開いて印刷してから、もう一度押してください。")
    ),
    "letter_not_posted": RefusalText(
        _("まだ発送していません"), _("まとめた手紙のページで、「発送しました」を押してから、もう一度押してください。")
    ),
    "no_catalogue": RefusalText(
        _("町のデータが、まだ読みこまれていません"), _("少し待ってから、もう一度開いてください。")
    ),
    "system_key": RefusalText(_("鍵を確かめられませんでした"), _("システムの鍵を確かめてください。")),
    "system_unknown": RefusalText(
        _("このシステムは登録されていません"),
        _("一覧にもどって、選びなおしてください。"),
        "/notices/systems",
        _("一覧にもどる"),
    ),
    "system_terms": RefusalText(
        _("決められない内容があります"),
        _("だれに何を送れるかと、送れる数を確かめてください。"),
        "/notices/systems",
        _("一覧にもどる"),
    ),
    "too_many_systems": RefusalText(
        _("登録できる数をこえています"),
        _("使っていないシステムの、名前とできることを変えて使ってください。"),
        "/notices/systems",
        _("一覧にもどる"),
    ),
    "too_many_keys": RefusalText(
        _("鍵は2つまでです"),
        _("使わない鍵を使えなくしてから、つくってください。"),
        "/notices/systems",
        _("一覧にもどる"),
    ),
    "system_paused": RefusalText(
        _("このシステムからの受付を止めています"), _("町の担当者に、再開してよいか聞いてください。")
    ),
    "too_many_notices": RefusalText(
        _("お知らせの数が、決められた数をこえます"), _("時間をおいて、もう一度送ってください。")
    ),
    "notice_unfit": RefusalText(
        _("お知らせに、なおすところがあります"), _("送る内容をなおしてから、新しい鍵で、もう一度送ってください。")
    ),
    "notice_unknown": RefusalText(
        _("このお知らせはありません"), _("番号を確かめてください。古いお知らせの記録は消してあります。")
    ),
    "notice_gone_out": RefusalText(
        _("もう送ったか、いま送っているところです"), _("取り消せません。必要なら、新しいお知らせを送ってください。")
    ),
    "key_reused": RefusalText(_("同じ操作の鍵が、ちがう内容に使われました"), _("新しい鍵で、もう一度送ってください。")),
    "key_unreadable": RefusalText(
        _("操作の鍵を読みとれませんでした"), _("1文字から100文字までの英数字と記号で送ってください。")
    ),
    "templates_moved": RefusalText(
        _("ほかの人が、先になおしました"), _("お知らせの文のページを開きなおして、もう一度確かめてください。")
    ),
    "bulk_moved": RefusalText(
        _("ほかの人が、先になおしました"),
        _("お知らせを開きなおして、もう一度確かめてください。まだ送っていません。"),
        BULK,
        _("まとめて送るお知らせ"),
    ),
    "bulk_sent": RefusalText(
        _("このお知らせは、もう送りはじめました"),
        _("文や送る人は、なおせません。まだ送っていない人の分は、止められます。"),
        BULK,
        _("まとめて送るお知らせ"),
    ),
    "bulk_not_sent": RefusalText(
        _("このお知らせは、まだ送っていません"),
        _("止めるものがありません。"),
        BULK,
        _("まとめて送るお知らせ"),
    ),
    "bulk_flawed": RefusalText(
        _("なおすところがあるので、送れません"),
        _("お知らせを開いて、なおしてください。書いたものはのこっています。"),
        BULK,
        _("まとめて送るお知らせ"),
    ),
    "bulk_untested": RefusalText(
        _("まだ試していません"),
        _("先に、いまの文を自分に送って試してください。おおぜいに送ったあとでは、なおせないからです。"),
        BULK,
        _("まとめて送るお知らせ"),
    ),
    "bulk_nobody": RefusalText(
        _("あてはまる人がいません"), _("送る人をなおしてください。"), BULK, _("まとめて送るお知らせ")
    ),
    "bulk_no_own_contact": RefusalText(
        _("あなたの連絡先が、まだありません"),
        _("「連絡とログイン」で連絡先を登録するか、試すときにあて先を入力してください。"),
        "/account",
        _("連絡とログイン"),
    ),
    "bulk_tests_too_many": RefusalText(
        _("試しに送れる回数をこえました"),
        _("試せるのは、ひとつのお知らせで%(most)s通までです。新しく書けば、また試せます。"),
        BULK,
        _("まとめて送るお知らせ"),
    ),
    "templates_flawed": RefusalText(
        _("なおすところがあるので、公開できません"), _("お知らせの文のページで、なおしてください。")
    ),
}


ROUTES = ServiceRoutes(
    service=SERVICE,
    handlers=[
        get_notices,
        get_notice,
        post_again,
        get_again_address,
        get_person,
        post_person,
        get_unreached,
        get_form_address,
        post_task_contact,
        post_task_done,
        post_task_undo,
        get_providers,
        get_figures,
        get_figures_csv,
        get_task,
        get_task_form_address,
        post_task_unanswered,
        post_task_wrong_number,
        get_letters,
        post_letters,
        get_letter_batch,
        get_letter_form_address,
        post_letter_print,
        post_letters_posted,
        post_letter_came_back,
        show_templates,
        show_template,
        post_template,
        show_template_preview,
        show_template_publish,
        post_template_publish,
        show_template_history,
        post_template_history,
        show_bulk_list,
        show_bulk_new,
        post_bulk_new,
        show_bulk_prices,
        post_bulk_prices,
        show_bulk,
        post_bulk,
        show_bulk_check,
        get_bulk_form_address,
        post_bulk_test,
        post_bulk_send,
        show_bulk_stop,
        post_bulk_stop,
        post_receipts,
        post_bounce,
        post_line_events,
        post_notice,
        post_notices,
        get_system_notices,
        get_notice_view,
        delete_notice,
        post_replay,
        get_systems_page,
        post_system,
        get_system_page,
        post_system_terms,
        get_system_address,
        post_system_action,
        post_arrive,
        get_wishes_link,
        get_wishes,
        post_wishes,
        post_paper,
        post_move,
        post_remove,
        post_leave,
        get_wish_form_address,
        get_new_way,
        post_new_way,
        get_way_code,
        post_way_code,
        get_line_link,
        post_line_link,
    ],
    template_dirs=TEMPLATE_DIRS,
    refusals=REFUSALS,
)


def create_app(settings: Settings, *, clock: Clock = utc_now, db: Database | None = None) -> AroundRequest:
    """The application, on its own database unless one is given."""
    return ROUTES.create_app(
        db=db or Database(settings.database_url, service=SERVICE, pool_size=settings.database_pool_size),
        token_public_keys=settings.token_public_keys,
        is_session_ended=ended_sessions.is_ended,
        asked={
            "settings": settings,
            "keys": make_keys(settings),
            "tries": CodeTries(),
            "key_tries": KeyTries(),
            "towns": KnownTowns(),
            "destinations": settings.webhook_destinations,
        },
        clock=clock,
        default_municipality=settings.default_municipality if settings.is_local else None,
        secure=not settings.is_local,
    )
