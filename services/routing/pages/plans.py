"""Life events: a few questions, the procedures that apply, and one or several of them begun from there."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.plans import begin_steps, begin_together, make_plan
from services.routing.commands.sessions import NewSession, start_guest_session
from services.routing.commands.situation import find_situation
from services.routing.domain.behalf import BEHALF, BEHALF_ROLES
from services.routing.domain.catalogue import Procedure
from services.routing.domain.channels import Comparison, compare_channels
from services.routing.domain.life_events import LifeEvent, Question, Step, questions_to_ask, why
from services.routing.keys import Keys
from services.routing.pages.behalf_path import behalf_path
from services.routing.pages.cases import known_visitor
from services.routing.pages.channel_wording import channel_cards
from services.routing.pages.cookies import give_session
from services.routing.pages.finding import unknown_event_page
from services.routing.pages.one_form import is_online
from services.routing.pages.tries import Tries
from services.routing.pages.wording import CASE_STATES, CHANNEL_TITLES, deadline_words, second_name
from services.routing.queries.catalogue import get_town, list_availability, list_counters, list_procedures
from services.routing.queries.catalogues import Catalogues
from services.routing.queries.one_form import Member, list_members
from services.routing.queries.plans import Plan, StartedCase, get_life_event, get_own_plan, list_started
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, parse_uuid, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import PUBLIC, require_visitor
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

YES, NO = "yes", "no"


@get("/life-events/{code:str}", opt=PUBLIC)
async def show_life_event(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    catalogues: NamedDependency[Catalogues],
) -> Template:
    """The first questions."""
    try:
        async with db.begin(town.code) as session:
            return await life_event_page(request, session, town, code, catalogues)
    except Refusal as refusal:
        if refusal.code != "life_event_unknown":
            raise
        return await unknown_event_page(request, db, town, catalogues, now=now)


async def life_event_page(
    request: Request[Any, Any, Any], session: AsyncSession, town: Town, code: str, catalogues: Catalogues
) -> Template:
    """The first questions of a life event that the session's catalogue has.

    Raises:
        Refusal: `life_event_unknown` (404), `catalogue_missing` (503).
    """
    event = await get_life_event(session, town.code, code)
    offered = await _offered(session, town, catalogues)
    return _questions_page(request, event, questions_to_ask(event, {}, offered), Form({}), {})


@post("/life-events/{code:str}", opt=PUBLIC)
async def post_life_event(
    request: Request[Any, Any, Any],
    code: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    keys: NamedDependency[Keys],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
    catalogues: NamedDependency[Catalogues],
) -> Template | Redirect:
    """Ask on while something is not decided, the answers so far on the page; then keep what follows from all of them.

    They are kept nowhere and stand in no address. Somebody new becomes a guest here.
    """
    form = Form(await read_form(request))
    identity = known_visitor(request)
    started: NewSession | None = None
    async with db.begin(town.code) as session:
        event = await get_life_event(session, town.code, code)
        offered = await _offered(session, town, catalogues)
        answers = {
            question.code: form.value(question.code) == YES
            for question in event.questions
            if form.value(question.code) in (YES, NO)
        }
        if to_ask := questions_to_ask(event, answers, offered):
            return _ask_on(request, event, to_ask, form, answers, offered)
        if identity is None:
            tries.count_guest(town.code, network_of_visitor(request))
            started = await start_guest_session(session, municipality=town.code, now=now)
            identity = started.identity
        plan_id = await make_plan(
            session,
            identity=identity,
            event=event,
            yes=[question for question, is_yes in answers.items() if is_yes],
            idempotency_key=parse_uuid(form.value("idempotency_key"), code="form_unreadable", status=400),
            now=now,
        )
    response = see_other(f"/plans/{plan_id}")
    if started is not None:
        give_session(response, started, keys, now=now, secure=secure)
    return response


@get("/plans/{plan_id:str}", guards=[require_visitor])
async def show_plan(
    request: Request[Any, Any, Any],
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
) -> Template:
    """The procedures that apply, what was begun of them, and the rest to begin."""
    none_online = "online" in request.query_params
    return await _plan_page(request, plan_id, db, town, identity, now=now, none_online=none_online)


@get("/plans/{plan_id:str}/begin", guards=[require_visitor])
async def get_begin_address(plan_id: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page: advice may have stood there."""
    return see_other(f"/plans/{quote(plan_id)}")


@post("/plans/{plan_id:str}/begin", guards=[require_visitor])
async def post_begin(
    request: Request[Any, Any, Any],
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Begin the chosen ones, each in the way that is suggested for it. The way can be changed at any step."""
    chosen = set((await read_form(request)).get("procedure", "").split())
    if identity.kind != "guest" and chosen:
        # As one begins a case: for somebody else, one after another.
        return see_other(behalf_path(min(chosen)))
    async with db.begin(town.code) as session:
        made, event = await _read_plan(session, identity, plan_id)
        channels = {
            procedure.code: comparison.suggested
            for _step, procedure, comparison in await _compare(session, identity, made, event, now)
            if procedure.code in chosen and comparison.suggested is not None
        }
        for _number in channels:
            tries.count_case(town.code, network_of_visitor(request))
        begun = await begin_steps(session, identity=identity, made=made, event=event, channels=channels, now=now)
    if not begun:
        return await _plan_page(request, plan_id, db, town, identity, now=now, nothing_chosen=True)
    if len(begun) == 1:
        return see_other(f"/cases/{next(iter(begun.values()))}")
    return see_other(f"/plans/{made.plan_id}")


@get("/plans/{plan_id:str}/together", guards=[require_visitor])
async def get_together_address(plan_id: FromPath[str]) -> Redirect:
    """Where the form is sent, opened as a page."""
    return see_other(f"/plans/{quote(plan_id)}")


@post("/plans/{plan_id:str}/together", guards=[require_visitor])
async def post_together(
    request: Request[Any, Any, Any],
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    town: NamedDependency[Town],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Begin the chosen ones that are done at counters as one case, to be booked for one visit."""
    fields = await read_form(request)
    chosen = set(fields.get("procedure", "").split())
    is_guest = identity.kind == "guest"
    # As one begins a case: for somebody else, staff say how that person came to them.
    behalf = None if is_guest else next((way for way in BEHALF if way == fields.get("behalf")), None)
    if not is_guest and behalf is None:
        return await _plan_page(request, plan_id, db, town, identity, now=now, unsaid=True)
    async with db.begin(town.code) as session:
        made, event = await _read_plan(session, identity, plan_id)
        together = [
            procedure.code
            for _step, procedure, comparison in await _compare(session, identity, made, event, now)
            if procedure.code in chosen and _is_at_counter(comparison)
        ]
        case_id = None
        if len(together) > 1:
            if is_guest:
                tries.count_case(town.code, network_of_visitor(request))
            case_id = await begin_together(
                session, identity=identity, made=made, event=event, procedures=together, behalf=behalf, now=now
            )
    if case_id is None:
        return await _plan_page(request, plan_id, db, town, identity, now=now, too_few=True)
    return see_other(f"/cases/{case_id}")


def _is_at_counter(comparison: Comparison) -> bool:
    option = comparison.option("counter")
    return option.ready and option.possible != "no"


async def _read_plan(session: AsyncSession, identity: Identity, plan_id: str) -> tuple[Plan, LifeEvent]:
    made = await get_own_plan(session, identity, parse_uuid(plan_id, code="plan_unknown"))
    return made, await get_life_event(session, identity.municipality, made.event)


async def _compare(
    session: AsyncSession, identity: Identity, made: Plan, event: LifeEvent, now: datetime
) -> list[tuple[Step, Procedure, Comparison]]:
    """The steps of a plan that the town still offers, each with its channels compared for who asks."""
    municipality = identity.municipality
    situation = await find_situation(session, identity, now)
    offered = {procedure.code: procedure for procedure in await list_procedures(session, municipality)}
    counters = await list_counters(session, municipality)
    availability = await list_availability(session, municipality, list(counters))
    rules = (await get_town(session, municipality)).channels
    return [
        (
            step,
            offered[step.procedure],
            compare_channels(offered[step.procedure], counters, availability, now, situation=situation, rules=rules),
        )
        for step in event.steps
        if step.procedure in made.procedures and step.procedure in offered
    ]


async def _offered(session: AsyncSession, town: Town, catalogues: Catalogues) -> frozenset[str]:
    return frozenset((await catalogues.read(session, town.code)).by_code)


def _ask_on(
    request: Request[Any, Any, Any],
    event: LifeEvent,
    to_ask: Sequence[Question],
    form: Form,
    answers: Mapping[str, bool],
    offered: Collection[str],
) -> Template:
    """The page that was sent once more, if something on it was left out; else the next questions."""
    # The first ones everybody has seen.
    shown = {*form.value("asked").split(), *(question.code for question in questions_to_ask(event, {}, offered))}
    form.errors = {
        question.code: _("「はい」か「いいえ」を選んでください。") for question in to_ask if question.code in shown
    }
    if not form.ok:
        asked = form.value("asked").split()
        to_ask = [question for question in event.questions if question.code in asked or question in to_ask]
    codes = [question.code for question in to_ask]
    return _questions_page(
        request, event, to_ask, form, {code: is_yes for code, is_yes in answers.items() if code not in codes}
    )


def _questions_page(
    request: Request[Any, Any, Any],
    event: LifeEvent,
    to_ask: Sequence[Question],
    form: Form,
    answered: Mapping[str, bool],
) -> Template:
    return page(
        request,
        "life_event.html",
        status=422 if form.errors else 200,
        code=event.code,
        title=town_text(event.name.ja),
        intro=town_text(event.intro.ja),
        questions=[
            {
                "code": question.code,
                "text": town_text(question.text.ja),
                "hint": town_text(question.hint.ja) if question.hint else None,
            }
            for question in to_ask
        ],
        answered=[
            {
                "code": question.code,
                "text": town_text(question.text.ja),
                "value": YES if answered[question.code] else NO,
                "answer": _("はい") if answered[question.code] else _("いいえ"),
            }
            for question in event.questions
            if question.code in answered
        ],
        values=form.values,
        errors=form.errors,
        unanswered={question.code: town_text(question.text.ja) for question in to_ask if question.code in form.errors},
        idempotency_key=uuid4(),
    )


def _reason(event: LifeEvent, step: Step) -> str:
    """Why a procedure applies. Which of several questions was answered yes is not known any more."""
    asked = [town_text(question.text.ja) for question in why(event, step)]
    if not asked:
        return _("このできごとがあった方は、みなさん必要です。")
    if len(asked) == 1:
        return _("「%(question)s」に「はい」と答えたからです。", question=asked[0])
    return _("「%(questions)s」のどれかに「はい」と答えたからです。", questions="」「".join(asked))


async def _plan_page(
    request: Request[Any, Any, Any],
    plan_id: str,
    db: Database,
    town: Town,
    identity: Identity,
    *,
    now: datetime,
    nothing_chosen: bool = False,
    too_few: bool = False,
    unsaid: bool = False,
    none_online: bool = False,
) -> Template:
    async with db.begin(town.code) as session:
        made, event = await _read_plan(session, identity, plan_id)
        facts = await get_town(session, town.code)
        compared = await _compare(session, identity, made, event, now)
        begun = {case.procedure: case for case in await list_started(session, identity, made, event)}
        members = await list_members(session, identity, made)
    steps = []
    for number, (step, procedure, comparison) in enumerate(compared, start=1):
        cards = channel_cards(procedure, comparison, facts, now)
        best = next((card for card in cards if card.suggested), None)
        steps.append(
            {
                "number": number,
                "code": procedure.code,
                "name": town_text(procedure.name_ja),
                "second_name": second_name(procedure),
                "reason": _reason(event, step),
                "deadline": deadline_words(procedure, facts),
                "note": town_text(step.note.ja) if step.note else None,
                "after": [town_text(other.name_ja) for _s, other, _c in compared if other.code in step.after],
                "way": best,
                "at_counter": _is_at_counter(comparison),
                "begun": _begun(begun.get(procedure.code)),
            }
        )
    return page(
        request,
        "plan.html",
        status=422 if nothing_chosen or too_few or unsaid else 200,
        plan_id=made.plan_id,
        code=event.code,
        title=town_text(event.name.ja),
        steps=steps,
        facts=facts,
        nothing_chosen=nothing_chosen,
        too_few=too_few,
        for_others=identity.kind != "guest",
        errors={"behalf": _("電話か、窓口かを選んでください。")} if unsaid else {},
        can_book_together=(identity.kind == "guest" or any(identity.has_role(role) for role in BEHALF_ROLES))
        and len([step for step in steps if step["begun"] is None and step["at_counter"]]) > 1,
        none_online=none_online,
        one_form=_one_form(identity, compared, begun, members),
        can_begin=any(step["begun"] is None and step["way"] is not None for step in steps),
    )


def _one_form(
    identity: Identity,
    compared: Sequence[tuple[Step, Procedure, Comparison]],
    begun: Mapping[str, StartedCase],
    members: Sequence[Member],
) -> dict[str, Any]:
    """What is in the plan's one form, and what could be: several that are begun, or that can be."""
    inside = {member.procedure for member in members}
    begun_online = [case.procedure for case in begun.values() if case.channel == "online" and case.state != "submitted"]
    fresh = [
        procedure.code
        for _step, procedure, _comparison in compared
        if procedure.code not in begun and is_online(procedure.online, procedure.items)
    ]
    outside = [code for code in begun_online if code not in inside]
    is_guest = identity.kind == "guest"
    return {
        "count": len(members),
        "can_begin": is_guest and bool(fresh) and len(fresh) + len(inside) > 1,
        "joinable": outside if is_guest and len(outside) + len(inside) > 1 else [],
    }


def _begun(case: StartedCase | None) -> dict[str, str] | None:
    if case is None:
        return None
    return {
        "href": f"/cases/{case.case_id}",
        "way": translate(CHANNEL_TITLES[case.channel]),
        "state": translate(CASE_STATES[case.state]),
    }
