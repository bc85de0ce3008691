"""An application's own page, and the ways to it without an account: the link of a message, or number and code."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Template
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.access import open_link, try_code
from services.routing.commands.attachments import open_files
from services.routing.commands.cases import get_own_case
from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.identity import proof_of_sent
from services.routing.commands.progress import withdraw_application
from services.routing.commands.vault import Use, read_values, seen_again
from services.routing.domain.applications import AT_OFFICE, CLOSED, DECIDED, EDITABLE, WRITTEN, may_move
from services.routing.domain.items import in_order
from services.routing.domain.switching import BY_OTHERS
from services.routing.keys import Keys
from services.routing.pages.application_access import Opened, access_cookie, ask_for_code, open_application
from services.routing.pages.application_wording import (
    COME_BY,
    NEXT,
    STATE_LOOKS,
    STATES,
    STEPS,
    TITLES,
    WRITTEN_TITLES,
    appeal_words,
)
from services.routing.pages.fees import FeeWords, fee_words
from services.routing.pages.file_wording import attached_name, file_rows
from services.routing.pages.finishing import find_finish
from services.routing.pages.item_fields import reason_rows, show_value
from services.routing.pages.switch_wording import switch_lines
from services.routing.pages.tries import Tries
from services.routing.queries.applications import Step, find_application, list_steps
from services.routing.queries.case_numbers import find_case_number
from services.routing.queries.catalogue import get_town, has_counter, procedure_names
from services.routing.queries.mine import find_live_appointment
from services.routing.queries.quality import is_done
from services.routing.queries.switching import list_switches
from services.routing.tables import SERVICE, outbox, procedure
from shared.audit import record_deed
from shared.db import Database
from shared.errors import Refusal
from shared.reference_number import TYPED_MAX_LENGTH
from shared.web.addresses import network_of_visitor
from shared.web.forms import Form, read_form
from shared.web.i18n import gettext as _
from shared.web.i18n import translate
from shared.web.identity import PUBLIC
from shared.web.pages import page, see_other
from shared.web.town import Town
from shared.web.town_texts import town_text

STEP_APPLICATION = "application"

Req = Request[Any, Any, Any]


@get("/applications/{number:str}", opt=PUBLIC)
async def show_application(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Template | Redirect:
    """The number, where the application stands, what comes next, and what was sent."""
    async with db.begin(town.code) as session:
        opened = await open_application(request, session, number, keys, town, now=now)
        if opened is None:
            return ask_for_code(number)
        return await _application_page(request, session, keys, opened, now=now)


@post("/applications/{number:str}/withdraw", opt=PUBLIC)
async def post_withdraw(
    request: Req,
    number: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
) -> Redirect:
    """The person takes the application back."""
    async with db.begin(town.code) as session:
        opened = await open_application(request, session, number, keys, town, now=now)
        if opened is None:
            return ask_for_code(number)
        await withdraw_application(
            session, keys, identity=opened.identity, application_id=opened.row.application_id, now=now
        )
    return see_other(f"/applications/{opened.row.number}")


@get("/a/{token:str}", opt=PUBLIC)
async def get_link(
    token: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """The link of a message: exchanged for a cookie, and gone from the address at once."""
    async with db.begin(town.code) as session:
        found = await open_link(session, town.code, token, now=now)
    if found.outcome != "open":
        raise Refusal("application_link_unknown", 404)
    return Redirect(
        f"/applications/{found.number}",
        status_code=303,
        cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
    )


@get("/a/{token:str}/feedback", opt=PUBLIC)
async def get_feedback_link(
    token: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
) -> Redirect:
    """The same, on to where one says how it went."""
    async with db.begin(town.code) as session:
        found = await open_link(session, town.code, token, now=now)
        row = await find_application(session, town.code, found.number or "")
    if row is None:
        raise Refusal("application_link_unknown", 404)
    return Redirect(
        f"/cases/{row.case_id}/feedback",
        status_code=303,
        cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
    )


@get("/applications/find", opt=PUBLIC)
async def show_find(
    request: Req, number: Annotated[str, QueryParameter(name="number", max_length=TYPED_MAX_LENGTH)] = ""
) -> Template:
    """Number and code, please."""
    return page(request, "find_application.html", form=Form({"number": number}), outcome=None, locked_until=None)


@post("/applications/find", opt=PUBLIC)
async def post_find(
    request: Req,
    db: NamedDependency[Database],
    keys: NamedDependency[Keys],
    now: NamedDependency[datetime],
    town: NamedDependency[Town],
    secure: NamedDependency[bool],
    tries: NamedDependency[Tries],
) -> Template | Redirect:
    """Opens the application, or says how often one may still try."""
    form = Form(await read_form(request))
    for field, missing in (
        ("number", _("受付番号を入力してください。")),
        ("code", _("確認コードを入力してください。")),
    ):
        if not form.value(field).strip():
            form.errors[field] = missing
    if not form.ok:
        return page(request, "find_application.html", status=422, form=form, outcome="empty", locked_until=None)
    tries.count_code(town.code, network_of_visitor(request))
    # What a wrong code costs is committed, therefore the outcome is no exception.
    async with db.begin(town.code) as session:
        found = await try_code(session, keys, town.code, form.value("number"), form.value("code"), now=now)
    if found.outcome == "open":
        return Redirect(
            f"/applications/{found.number}",
            status_code=303,
            cookies=[access_cookie(keys, town.code, found, secure=secure, now=now)],
        )
    locked_until = found.locked_until
    if found.nobodys is not None:
        locked_until = tries.fail_nobodys(town.code, found.nobodys, now=now)
    status, outcome = (429, "locked") if locked_until else (422, "wrong")
    return page(
        request,
        "find_application.html",
        status=status,
        form=form,
        outcome=outcome,
        locked_until=locked_until,
    )


async def _application_page(
    request: Req, session: AsyncSession, keys: Keys, opened: Opened, *, now: datetime
) -> Template:
    row = opened.row
    if opened.is_owner:
        await record_deed(session, opened.identity, "view_application", row.number, now=now)
    steps = await list_steps(session, row.municipality, row.application_id)
    names = await procedure_names(session, row.municipality)
    facts = await get_town(session, row.municipality)
    values, written = await _read(session, keys, opened, steps, now=now)
    files = await open_files(session, keys.vault, row.municipality, row.subject_ref, values)
    is_asked = row.state == "visit_asked"
    by_counter = is_asked and await has_counter(session, row.municipality, row.procedure)
    next_words = COME_BY if is_asked and not by_counter else NEXT[row.state]
    visit = await find_live_appointment(session, row.municipality, row.case_id, now=now) if opened.is_owner else None
    case = await get_own_case(session, opened.identity, row.case_id, now=now) if opened.is_owner else None
    switches = await list_switches(session, row.municipality, row.case_id) if case is not None else []
    return page(
        request,
        "application.html",
        number=row.number,
        state=row.state,
        look=STATE_LOOKS[row.state],
        title=translate(TITLES[row.state]),
        next=translate(next_words) % {"office": town_text(row.office)},
        procedure_name=names[row.procedure][0] if row.procedure in names else row.procedure,
        submitted_at=row.submitted_at,
        proof=await proof_of_sent(session, row.municipality, row.case_id, row.items),
        steps=step_lines(steps),
        rows=[
            {"term": attached_name(item, facts.things), "text": show_value(item, values[item])}
            for item in in_order(row.items)
            if item in values
        ],
        attached=file_rows(files, f"/cases/{row.case_id}/attachments"),
        written_title=translate(WRITTEN_TITLES[WRITTEN[row.state]]) if row.state in WRITTEN else None,
        written=written,
        code=keys.application_code(row.municipality, row.application_id) if opened.is_owner else None,
        can_correct=opened.is_owner and row.state in EDITABLE,
        must_correct=row.state == "correction_asked",
        must_come=is_asked,
        by_counter=by_counter,
        can_come=opened.is_owner and by_counter,
        visit=visit,
        # The way that the person has chosen since, without being asked.
        wish=case.channel if case is not None and row.state not in CLOSED and not is_asked else "online",
        may_switch=opened.is_owner and row.state not in CLOSED,
        switching={
            "case_id": row.case_id,
            "switched": next((each for each in switches[:1] if each.said in BY_OTHERS), None),
        },
        switches=switch_lines(switches),
        due_at=row.due_at if row.state in AT_OFFICE else None,
        appeal=appeal_words(row.appeal_to, is_first=row.appeal_first, town=facts.name_ja)
        if row.state == "refused"
        else (),
        decided_at=row.changed_at,
        finish=await find_finish(session, row),
        is_owner=opened.is_owner,
        fee=await _fee(session, row, values),
        can_withdraw=may_move(row.state, "withdrawn"),
        case_id=row.case_id,
        case_number=await find_case_number(session, row.municipality, row.case_id),
        may_say=opened.identity.kind in ("guest", "resident")
        and row.state in DECIDED
        and await is_done(session, row.municipality, row.case_id),
        has_notices=row.contact_ref is not None,
        given_to_staff=case.behalf if case is not None else None,
        find_at=f"{request.base_url.netloc}/applications/find",
        notices_late=row.contact_ref is not None
        and await outbox.is_late(session, row.municipality, "notifications", now=now),
        phone=facts.phone,
    )


async def _fee(session: AsyncSession, row: Any, values: Mapping[str, str]) -> FeeWords:
    """What it costs, for whoever is here; how many copies is known to its owner."""
    query = select(procedure).where(procedure.c.municipality == row.municipality, procedure.c.code == row.procedure)
    known = (await session.execute(query)).one()
    return await fee_words(
        session,
        row.municipality,
        fee_yen=known.fee_yen,
        items=tuple(row.items),
        counters=tuple(known.counters),
        values=values,
    )


async def _read(
    session: AsyncSession, keys: Keys, opened: Opened, steps: list[Step], *, now: datetime
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What was sent (for its owner), and what the office wrote with the state that it is in."""
    row = opened.row
    versions: dict[str, int] = dict(row.items) if opened.is_owner else {}
    key = WRITTEN.get(row.state, "")
    if steps and steps[0].reason_version is not None:
        versions[key] = steps[0].reason_version
    if not versions:
        return {}, []
    use = Use(
        entry_type="previewed",
        case_id=row.case_id,
        procedure=row.procedure,
        target_service=SERVICE,
        target_step=STEP_APPLICATION,
        purpose=PURPOSE_APPLY,
        outcome="own_application",
        visibility="internal",
    )
    if opened.is_owner:
        # Staff who applied for somebody own this page too; what they look at is told all the same.
        use = seen_again(opened.identity, use)
    read = await read_values(
        session,
        keys.vault,
        identity=opened.identity,
        subject_ref=row.subject_ref,
        keys=tuple(versions),
        use=use,
        versions=versions,
        now=now,
    )
    values = {key: value.value for key, value in read.items()}
    text = values.pop(key, None)
    if text is None:
        return values, []
    return values, reason_rows(text) if key == WRITTEN["correction_asked"] else [{"item": "", "term": "", "text": text}]


def step_lines(steps: list[Step]) -> list[dict[str, Any]]:
    """The history of states in words, the newest first."""
    return [
        {
            "occurred_at": step.occurred_at,
            "text": translate(STEPS[step.state]) % {"office": town_text(step.office) if step.office else _("役場")},
            "state": translate(STATES[step.state]),
        }
        for step in steps
    ]
