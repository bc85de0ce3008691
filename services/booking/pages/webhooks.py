"""`/counter/webhooks`: which other systems of the town are told what happens, and whether they take it."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from services.booking.commands.keyed import KEY_MAX_LENGTH
from services.booking.commands.webhooks import (
    RegisterWebhook,
    SecretShown,
    change_webhook,
    register_webhook,
    roll_secret,
)
from services.booking.domain.webhooks import KINDS
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.refusals import REFUSALS
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.refusals import REFUSALS as COMMON_REFUSALS
from shared.web.town import Town
from shared.web.webhook_words import answer_name
from shared.webhooks.destinations import URL_MAX_LENGTH, Destinations
from shared.webhooks.endpoints import NAME_MAX_LENGTH
from shared.webhooks.tries import TEST
from shared.webhooks.views import DeliveryView, get_endpoint, list_deliveries, list_endpoints

GUARDS = [require_role("manager")]
PATH = "/counter/webhooks"
SHOWN_HERE = frozenset({"webhook_url_unfit", "webhook_url_inside", "webhook_kinds_missing", "too_many_webhooks"})

Action = Literal["test", "pause", "resume", "delete"]
ACTIONS: tuple[Action, ...] = get_args(Action)
ROLL = "roll"

Req = Request[Any, Any, Any]


@get(PATH, guards=GUARDS)
async def get_webhooks_page(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], town: NamedDependency[Town]
) -> Template:
    """The systems that are told, and the form for another."""
    return await _list_page(request, db, town, Form({}), now=now)


@post(PATH, guards=GUARDS, status_code=200)
async def post_webhook(
    request: Req,
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    destinations: NamedDependency[Destinations],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Registered: the secret is shown on the answer, and never again."""
    form = Form(await read_form(request))
    order = RegisterWebhook(
        name_ja=form.text("name", max_length=NAME_MAX_LENGTH),
        url=form.text("url", max_length=URL_MAX_LENGTH),
        # Unknown ones are refused with those that are missing.
        kinds=tuple(dict.fromkeys(form.value("kinds").split()[: len(KINDS) + 1])),
        key=form.value("idempotency_key")[:KEY_MAX_LENGTH] or str(uuid4()),
    )
    if not form.ok:
        return await _list_page(request, db, town, form, now=now, status=422)
    try:
        shown = await rush.run(
            db, town.code, lambda session: register_webhook(session, identity, order, keys, destinations, now=now)
        )
    except Refusal as refusal:
        if refusal.code not in SHOWN_HERE:
            raise
        return await _list_page(request, db, town, form, now=now, refusal=refusal, status=refusal.status)
    return _show_secret(request, shown, name=order.name_ja, is_new=True)


@get(f"{PATH}/{{endpoint_id:str}}", guards=GUARDS)
async def get_webhook_page(
    request: Req,
    endpoint_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template:
    """One system: how it is, and the newest messages."""
    wanted = _read_id(endpoint_id)
    async with db.begin(town.code) as session:
        found = await get_endpoint(session, town.code, wanted, now=now)
        deliveries = await list_deliveries(session, town.code, wanted)
    return page(
        request,
        "webhook.html",
        endpoint=found,
        kinds=[_kind_name(kind) for kind in found.kinds],
        href=f"{PATH}/{wanted}",
        deliveries=[_shown(each) for each in deliveries],
        key=str(uuid4()),
    )


@get(f"{PATH}/{{endpoint_id:str}}/{{action:str}}", guards=GUARDS)
async def get_webhook_address(endpoint_id: FromPath[str], action: FromPath[str]) -> Redirect:  # noqa: ARG001
    """Where a button's form is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(f"{PATH}/{_read_id(endpoint_id)}")


@post(f"{PATH}/{{endpoint_id:str}}/{{action:str}}", guards=GUARDS, status_code=200)
async def post_webhook_action(
    request: Req,
    endpoint_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    rush: NamedDependency[Rush],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Send a test, pause, go on, another secret (shown on the answer, and never again), or away with it."""
    wanted, fields = _read_id(endpoint_id), await read_form(request)
    if action == ROLL:
        key = fields.get("idempotency_key", "")[:KEY_MAX_LENGTH] or str(uuid4())
        shown = await rush.run(
            db, town.code, lambda session: roll_secret(session, identity, wanted, key, keys, now=now)
        )
        async with db.begin(town.code) as session:
            found = await get_endpoint(session, town.code, wanted, now=now)
        return _show_secret(request, shown, name=found.name_ja, is_new=False)
    asked = next((each for each in ACTIONS if each == action), None)
    if asked is None:
        raise Refusal("not_found", 404)
    await rush.run(db, town.code, lambda session: change_webhook(session, identity, wanted, asked, now=now))
    return see_other(PATH if asked == "delete" else f"{PATH}/{wanted}")


def _show_secret(request: Req, shown: SecretShown, *, name: str, is_new: bool) -> Template | Redirect:
    if shown.secret is None:
        return see_other(f"{PATH}/{shown.endpoint_id}")
    return page(
        request,
        "webhook_secret.html",
        system=name,
        secret=shown.secret,
        is_new=is_new,
        href=f"{PATH}/{shown.endpoint_id}",
    )


async def _list_page(
    request: Req,
    db: Database,
    town: Town,
    form: Form,
    *,
    now: datetime,
    refusal: Refusal | None = None,
    status: int = 200,
) -> Template:
    async with db.begin(town.code) as session:
        endpoints = await list_endpoints(session, town.code, now=now)
    text = (REFUSALS.get(refusal.code) or COMMON_REFUSALS[refusal.code]) if refusal else None
    return page(
        request,
        "webhooks.html",
        status=status,
        endpoints=[{"href": f"{PATH}/{each.endpoint_id}", "endpoint": each} for each in endpoints],
        form=form,
        kinds=[{"value": kind, "label": _kind_name(kind)} for kind in KINDS],
        chosen=form.value("kinds").split(),
        name_max=NAME_MAX_LENGTH,
        url_max=URL_MAX_LENGTH,
        key=form.value("idempotency_key")[:KEY_MAX_LENGTH] or str(uuid4()),
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _read_id(typed: str) -> UUID:
    return parse_uuid(typed, code="webhook_unknown")


def _kind_name(kind: str) -> str:
    names = {
        "appointment.booked": _("予約が入った"),
        "appointment.changed": _("予約が変わった"),
        "appointment.cancelled": _("予約が取り消された"),
        "appointment.checked_in": _("受付をした"),
        "appointment.called": _("よびだした"),
        "appointment.serving": _("対応を始めた"),
        "appointment.done": _("対応が終わった"),
        "appointment.no_show": _("来なかった（不在）"),
        "closing.made": _("臨時に休みにした"),
        "closing.reopened": _("臨時の休みを取りやめた"),
        "draw.drawn": _("抽選をした"),
        "draw.called_off": _("抽選を取りやめた"),
        TEST: _("試しの通知"),
    }
    return names.get(kind, kind)


def _shown(delivery: DeliveryView) -> dict[str, Any]:
    return {
        "kind": _kind_name(delivery.kind),
        "told_at": delivery.told_at,
        "state": delivery.state,
        "tries": delivery.tries,
        "next_try_at": delivery.next_try_at,
        "answer": answer_name(delivery.answer),
        "answered_at": delivery.answered_at,
    }
