"""What was sent with one form (手続一か所): a number for each procedure, on one page to look at and to print."""

from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.vault import Use, read_values, seen_again
from services.routing.domain.items import in_order, typed_items
from services.routing.keys import Keys
from services.routing.pages.application_wording import NEXT, STATE_LOOKS, STATES
from services.routing.pages.item_fields import item_name, show_value
from services.routing.pages.one_form import going_on_alone, read_plan
from services.routing.pages.one_form_wording import to_do, use_words
from services.routing.queries.catalogue import get_town
from services.routing.queries.family import list_persons
from services.routing.queries.one_form import SentWith, list_sent
from services.routing.tables import SERVICE, outbox
from shared.crypto import SubjectVault
from shared.db import Database
from shared.tokens import Identity
from shared.web.i18n import translate
from shared.web.identity import require_visitor
from shared.web.pages import page, see_other
from shared.web.town_texts import town_text

STEP_RECEIPTS = "receipts"


@get("/plans/{plan_id:str}/sent", guards=[require_visitor])
async def show_sent(
    request: Request[Any, Any, Any],
    plan_id: FromPath[str],
    db: NamedDependency[Database],
    now: NamedDependency[datetime],
    identity: NamedDependency[Identity],
    keys: NamedDependency[Keys],
) -> Template | Redirect:
    """Each procedure's number and what comes next, and what was sent: one page to look at and to print."""
    async with db.begin(identity.municipality) as session:
        made = await read_plan(session, identity, plan_id)
        sent = await list_sent(session, identity, made)
        if not sent:
            return see_other(f"/plans/{made.plan_id}")
        rows = await _sent_rows(session, keys.vault, identity, sent, now=now)
        facts = await get_town(session, identity.municipality)
        late = any(each.has_notices for each in sent) and await outbox.is_late(
            session, identity.municipality, "notifications", now=now
        )
        person = (await list_persons(session, identity)).get(sent[0].subject_ref)
        rest = await going_on_alone(session, identity, made, ())
    return page(
        request,
        "one_form_sent.html",
        plan_id=made.plan_id,
        sent=[
            {
                "number": each.number,
                "code": keys.application_code(identity.municipality, each.application_id),
                "name": each.procedure_name,
                "state": translate(STATES[each.state]),
                "look": STATE_LOOKS[each.state],
                "next": translate(NEXT[each.state]) % {"office": town_text(each.office)},
                "to_do": to_do(each.items),
            }
            for each in sent
        ],
        submitted_at=max(each.submitted_at for each in sent),
        person=person,
        rows=rows,
        rest=rest,
        has_notices=any(each.has_notices for each in sent),
        notices_late=late,
        find_at=f"{request.base_url.netloc}/applications/find",
        phone=facts.phone,
    )


async def _sent_rows(
    session: AsyncSession, vault: SubjectVault, identity: Identity, sent: tuple[SentWith, ...], *, now: datetime
) -> list[dict[str, str]]:
    """What was sent, every value once, with the procedures that it went to."""
    values: dict[tuple[str, int], str] = {}
    uses: dict[tuple[str, int], list[str]] = {}
    for each in sent:
        use = Use(
            entry_type="previewed",
            case_id=each.case_id,
            procedure=each.procedure,
            target_service=SERVICE,
            target_step=STEP_RECEIPTS,
            purpose=PURPOSE_APPLY,
            outcome="own_application",
            visibility="internal",
        )
        fresh = {item: version for item, version in each.versions.items() if (item, version) not in values}
        read = await read_values(
            session,
            vault,
            identity=identity,
            subject_ref=each.subject_ref,
            keys=tuple(fresh),
            use=seen_again(identity, use),
            versions=fresh,
            now=now,
        )
        values |= {(item, fresh[item]): value.value for item, value in read.items()}
        for item, version in each.versions.items():
            uses.setdefault((item, version), []).append(each.procedure_name)
    order = in_order(typed_items(item for item, _version in uses))
    return [
        {"term": item_name(item), "text": f"{show_value(item, values[item, version])}\n{use_words(names)}"}
        for (item, version), names in sorted(uses.items(), key=lambda use: order.index(use[0][0]))
        if (item, version) in values
    ]
