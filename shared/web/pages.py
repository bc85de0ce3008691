"""Answers that are pages."""

from typing import Any

from litestar import MediaType, Request
from litestar.response import Redirect, Template

from shared.practice import is_practice
from shared.tokens import Identity
from shared.web.i18n import gettext as _
from shared.web.identity import MACHINE_ROLES
from shared.web.language import language_links
from shared.web.prefixes import service_for

# Routing's open data about the ledgers, for everybody to find.
LEDGER_ROOTS = "/open-data/ledger"
# Routing's figures of how the channels serve.
QUALITY = "/quality"
# Booking's draws, for everybody to read.
DRAWS = "/booking/draws"
# Booking's classes (教室), and one's own entry to one.
CLASSES = "/booking/classes"
CLASS_ENTRIES = f"{CLASSES}/entries"
# Routing's page about the practice town, for staff.
PRACTICE = "/office/practice"
# Routing's page of how somebody with an account is told things and signs in.
ACCOUNT = "/account"
TEXT_SIZES = ("normal", "large", "xlarge")


def page(request: Request[Any, Any, Any], name: str, *, status: int = 200, **context: Any) -> Template:
    """A page: the template's own values, and what every page has (`town`, `now`, `signed_in`, `path`, `nav`)."""
    state = request.scope["state"]
    token = state.get("token")
    signed_in = token.identity if token and not state.get("session_ended") else None
    text_size = request.cookies.get("text_size")
    town = state.get("town")
    practice = town is not None and is_practice(town.code)
    common = {
        "town": town,
        "practice": practice,
        "now": state["now"],
        "signed_in": signed_in,
        "path": request.scope["path"],
        "nav": _navigation(signed_in, request.scope["path"]),
        "footer_links": _footer(signed_in, practice=practice),
        "language_links": language_links(request.scope["path"]),
        "text_size": text_size if text_size in TEXT_SIZES else None,
        "request_id": state["request_id"],
    }
    return Template(template_name=name, context=common | context, status_code=status, media_type=MediaType.HTML)


def render(request: Request[Any, Any, Any], made: Template) -> str:
    """A page as text, for several who get the same."""
    engine = request.app.template_engine
    if engine is None or made.template_name is None:
        raise RuntimeError("a page is made from a template")
    text: str = engine.get_template(made.template_name).render(**made.create_template_context(request))
    return text


def see_other(path: str) -> Redirect:
    """After a form: the browser GETs another page, so that reloading does not post again."""
    return Redirect(path, status_code=303)


def _footer(identity: Identity | None, *, practice: bool) -> list[dict[str, object]]:
    # A practice town publishes nothing.
    public = [
        (QUALITY, _("手続きの使われ方と、よくしたこと")),
        (LEDGER_ROOTS, _("記録のまとめ番号の公開")),
    ]
    links = [(CLASSES, _("教室の一覧")), (DRAWS, _("抽選の一覧")), *([] if practice else public)]
    if identity is not None and identity.kind == "staff":
        links.append((PRACTICE, _("練習用の町")))
        links += [] if identity.roles == MACHINE_ROLES else [(ACCOUNT, _("連絡とログイン"))]
    return [{"href": href, "label": label} for href, label in links]


def _navigation(identity: Identity | None, path: str) -> list[dict[str, object]]:
    if identity is not None and identity.kind == "helper":
        items = [
            ("/helpers", _("予定"), "calendar"),
            ("/helpers/shifts", _("来られる時間"), "clock"),
            (ACCOUNT, _("連絡とログイン"), "user"),
        ]
    elif identity is not None and identity.kind == "staff":
        # What somebody may not open is not offered to them.
        pages = [
            ("/counter", _("今日の受付"), "counter", ("counter",)),
            ("/office", _("オンライン申請"), "online", ("back_office", "manager")),
            ("/helpers/roster", _("サポーター"), "helper", ("coordinator", "manager")),
            ("/helpers/classes", _("教室"), "calendar", ("coordinator", "manager")),
            ("/counter/today", _("窓口の今"), "user", ("coordinator", "manager")),
            ("/counter/opening", _("受付時間"), "clock", ("coordinator", "manager")),
            ("/counter/close", _("臨時の休み"), "close", ("manager",)),
            ("/notices", _("お知らせの記録"), "bell", ("counter", "coordinator", "manager")),
            ("/board/screens", _("よびだし表示"), "info", ("counter", "manager")),
            ("/kiosk", _("発券機"), "paper", ("kiosk",)),
            ("/office/watch", _("閲覧の点検"), "lock", ("privacy_officer",)),
            # Of the service that made this page: the others may be stopped.
            (f"/{service_for(path)}/dead-letters", _("止まっている連絡"), "warning", ("operator",)),
        ]
        items = [found[:3] for found in pages if any(identity.has_role(role) for role in found[3])]
    else:
        items = [
            ("/", _("さがす"), "search"),
            ("/booking/find", _("予約"), "calendar"),
            ("/my/history", _("情報の履歴"), "history"),
        ]
    return [{"href": href, "label": label, "icon": icon, "current": href == path} for href, label, icon in items]
