"""`/notices/systems`: which other systems of the town may have people told, by which keys, and what each is told."""

from datetime import date, datetime, time
from typing import Any, Literal
from uuid import UUID, uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifications.commands.system_webhooks import change_telling, roll_secret, set_address, tell_again
from services.notifications.commands.systems import (
    SystemTerms,
    change_terms,
    make_system_key,
    register_system,
    revoke_key,
    switch_system,
)
from services.notifications.domain.systems import (
    KINDS,
    NAME_MAX_LENGTH,
    PER_DAY,
    PER_MINUTE,
    RECIPIENTS,
    SMS_PARTS,
    begins_of,
)
from services.notifications.keys import Keys
from services.notifications.pages.system_wording import kind_names, limit_fields, message_name, recipient_names
from services.notifications.queries_of_systems import (
    DayUse,
    System,
    get_system,
    list_keys,
    list_systems,
    read_use,
)
from shared.clock import JST, jst_day
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other
from shared.web.refusals import REFUSALS
from shared.web.webhook_words import answer_name
from shared.webhooks.destinations import URL_MAX_LENGTH, Destinations
from shared.webhooks.tries import MESSAGES_KEPT, TEST
from shared.webhooks.views import DeliveryView, get_endpoint, list_deliveries

GUARDS = [require_role("manager")]
PATH = "/notices/systems"
ONE = f"{PATH}/{{system_id:str}}"
PRESSED_MAX_LENGTH = 100
KEY_ID_MAX_LENGTH = 20
# What is said beside the form for the address.
OF_ADDRESS = frozenset({"webhook_url_unfit", "webhook_url_inside"})
Req = Request[Any, Any, Any]
Telling = Literal["test", "pause", "resume", "delete"]
_TELLING: dict[str, Telling] = {"test": "test", "mute": "pause", "unmute": "resume", "untell": "delete"}


@get(PATH, guards=GUARDS)
async def get_systems_page(
    request: Req, db: NamedDependency[Database], identity: NamedDependency[Identity]
) -> Template:
    """The systems, and the form for another."""
    return await _list_page(request, db, identity, Form(_usual()))


@post(PATH, guards=GUARDS, status_code=200)
async def post_system(
    request: Req,
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """Registered. It can ask for nothing before it has a key."""
    form = Form(await read_form(request))
    terms = _read_terms(form)
    if not form.ok:
        return await _list_page(request, db, identity, form, status=422)
    async with db.begin(identity.municipality) as session:
        system_id = await register_system(session, identity, terms, _pressed(form), now=now)
    return see_other(f"{PATH}/{system_id}")


@get(ONE, guards=GUARDS)
async def get_system_page(
    request: Req,
    system_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """One system: its keys, what it may, how much it asked for today, and what it was told."""
    async with db.begin(identity.municipality) as session:
        return await _system_page(request, session, identity, _read_id(system_id), now=now)


@post(ONE, guards=GUARDS, status_code=200)
async def post_system_terms(
    request: Req,
    system_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """From now on it may ask for this."""
    wanted, form = _read_id(system_id), Form(await read_form(request))
    terms = _read_terms(form)
    async with db.begin(identity.municipality) as session:
        if not form.ok:
            return await _system_page(request, session, identity, wanted, form=form, now=now)
        await change_terms(session, identity, wanted, terms, now=now)
    return see_other(f"{PATH}/{wanted}")


@get(f"{ONE}/{{action:str}}", guards=GUARDS)
async def get_system_address(system_id: FromPath[str], action: FromPath[str]) -> Redirect:  # noqa: ARG001
    """Where a button's form is sent, opened as a page: by hand, or by the way back from signing in."""
    return see_other(f"{PATH}/{_read_id(system_id)}")


@post(f"{ONE}/{{action:str}}", guards=GUARDS, status_code=200)
async def post_system_action(
    request: Req,
    system_id: FromPath[str],
    action: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    destinations: NamedDependency[Destinations],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template | Redirect:
    """A new key, or secret, which is shown on the answer and never again; a key taken back; paused and resumed; where
    it is told, a test, and what it was told once more."""
    wanted, form = _read_id(system_id), Form(await read_form(request))
    shown: str | None = None
    async with db.begin(identity.municipality) as session:
        found = await get_system(session, identity.municipality, wanted)
        if action == "key":
            shown = await make_system_key(session, identity, wanted, _pressed(form), now=now)
        elif action == "revoke":
            await revoke_key(session, identity, wanted, form.value("key_id")[:KEY_ID_MAX_LENGTH], now=now)
        elif action in ("pause", "resume"):
            await switch_system(session, identity, wanted, "pause" if action == "pause" else "resume", now=now)
        elif action == "address":
            refused, shown = await _set_address(session, identity, wanted, form, keys, destinations, now=now)
            if not form.ok or refused is not None:
                return await _system_page(request, session, identity, wanted, address=form, refusal=refused, now=now)
        elif action == "roll":
            shown = await roll_secret(session, identity, wanted, keys.vault, now=now)
        elif action == "replay":
            await _replay(session, identity, wanted, form, now=now)
        elif action in _TELLING:
            await change_telling(session, identity, wanted, _TELLING[action], now=now)
        else:
            raise Refusal("not_found", 404)
    if shown is None:
        return see_other(f"{PATH}/{wanted}")
    href = f"{PATH}/{wanted}"
    return page(request, "system_secret.html", system=found.name_ja, secret=shown, is_key=action == "key", href=href)


async def _set_address(
    session: AsyncSession,
    identity: Identity,
    system_id: UUID,
    form: Form,
    keys: Keys,
    destinations: Destinations,
    *,
    now: datetime,
) -> tuple[Refusal | None, str | None]:
    url = form.text("url", max_length=URL_MAX_LENGTH)
    if not form.ok:
        return None, None
    try:
        return None, await set_address(session, identity, system_id, url, keys.vault, destinations, now=now)
    except Refusal as refusal:
        if refusal.code not in OF_ADDRESS:
            raise
        return refusal, None


async def _replay(session: AsyncSession, identity: Identity, system_id: UUID, form: Form, *, now: datetime) -> None:
    """One message, or what was told from the beginning of a day on."""
    only = form.value("delivery_id")
    earliest = now - MESSAGES_KEPT
    if only:
        wanted = parse_uuid(only, code="webhook_unknown")
        await tell_again(session, identity, system_id, since=earliest, only=wanted, now=now)
        return
    try:
        day = date.fromisoformat(form.value("since"))
    except ValueError as error:
        raise Refusal("form_unreadable", 400) from error
    since = max(datetime.combine(day, time(), JST), earliest)
    await tell_again(session, identity, system_id, since=since, now=now)


def _usual() -> dict[str, str]:
    return {
        "recipients": "number",
        "kinds": "town_notice",
        "per_minute": str(PER_MINUTE),
        "per_day": str(PER_DAY),
        "sms_parts_per_day": str(SMS_PARTS),
    }


def _of_system(system: System) -> dict[str, str]:
    return {
        "name": system.name_ja,
        "recipients": " ".join(system.recipients),
        "kinds": " ".join(system.kinds),
        "per_minute": str(system.per_minute),
        "per_day": str(system.per_day),
        "sms_parts_per_day": str(system.sms_parts_per_day),
    }


def _read_terms(form: Form) -> SystemTerms:
    """What was typed; of no use where the form has problems."""
    name = form.text("name", max_length=NAME_MAX_LENGTH)
    chosen = {field: _chosen(form, field, known) for field, known in (("recipients", RECIPIENTS), ("kinds", KINDS))}
    limits = {
        field.name: form.number(field.name, lowest=field.lowest, highest=field.highest) for field in limit_fields()
    }
    return SystemTerms(
        name_ja=name,
        recipients=chosen["recipients"],
        kinds=chosen["kinds"],
        **{field: int(value or 0) for field, value in limits.items()},
    )


def _chosen(form: Form, field: str, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = set(form.value(field).split())
    if not chosen or not chosen <= set(known):
        form.errors[field] = _("ひとつ以上選んでください。")
        return ()
    return tuple(each for each in known if each in chosen)


def _pressed(form: Form) -> str:
    return form.value("idempotency_key")[:PRESSED_MAX_LENGTH] or str(uuid4())


async def _list_page(request: Req, db: Database, identity: Identity, form: Form, *, status: int = 200) -> Template:
    async with db.begin(identity.municipality) as session:
        systems = await list_systems(session, identity.municipality)
    return page(
        request,
        "systems.html",
        status=status,
        systems=[{"href": f"{PATH}/{each.system_id}", "system": each} for each in systems],
        key=_pressed(form),
        **_form_words(form),
    )


async def _system_page(
    request: Req,
    session: AsyncSession,
    identity: Identity,
    system_id: UUID,
    *,
    form: Form | None = None,
    address: Form | None = None,
    refusal: Refusal | None = None,
    now: datetime,
) -> Template:
    town = identity.municipality
    system = await get_system(session, town, system_id)
    minute, day = begins_of("minute", now), begins_of("day", now)
    used = await read_use(session, town, system_id, minute=minute, day=day)
    keys = await list_keys(session, town, system_id)
    try:
        endpoint = await get_endpoint(session, town, system_id, now=now)
    except Refusal:
        endpoint = None
    deliveries = await list_deliveries(session, town, system_id) if endpoint else []
    words = REFUSALS[refusal.code] if refusal else None
    has_problem = refusal is not None or any(each is not None and not each.ok for each in (form, address))
    return page(
        request,
        "system.html",
        status=422 if has_problem else 200,
        system=system,
        href=f"{PATH}/{system_id}",
        recipients=[recipient_names()[each] for each in system.recipients],
        kinds=[kind_names()[each] for each in system.kinds],
        today=used.get("day", DayUse()),
        keys=keys,
        has_room=sum(each.revoked_at is None for each in keys) < 2,
        endpoint=endpoint,
        deliveries=[_shown(each) for each in deliveries],
        address=address or Form({"url": endpoint.url if endpoint else ""}),
        url_max=URL_MAX_LENGTH,
        today_is=jst_day(now).isoformat(),
        refused_title=translate(words.title) if words else None,
        refused_advice=translate(words.advice) if words else None,
        key=str(uuid4()),
        **_form_words(form or Form(_of_system(system))),
    )


def _form_words(form: Form) -> dict[str, Any]:
    return {
        "form": form,
        "recipient_options": [{"value": name, "label": label} for name, label in recipient_names().items()],
        "kind_options": [{"value": name, "label": label} for name, label in kind_names().items()],
        "limits": limit_fields(),
        "name_max": NAME_MAX_LENGTH,
    }


def _shown(delivery: DeliveryView) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "kind": message_name(delivery.kind),
        "told_at": delivery.told_at,
        "state": delivery.state,
        "tries": delivery.tries,
        "next_try_at": delivery.next_try_at,
        "answer": answer_name(delivery.answer),
        "is_test": delivery.kind == TEST,
    }


def _read_id(typed: str) -> UUID:
    return parse_uuid(typed, code="system_unknown")
