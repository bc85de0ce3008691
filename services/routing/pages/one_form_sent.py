"""What was sent with one form (手続一か所): a number for each procedure, on one page to look at and to print."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.form import PURPOSE_APPLY
from services.routing.commands.vault import Use, read_values, seen_again
from services.routing.domain.catalogue import Words
from services.routing.domain.items import in_order
from services.routing.keys import Keys
from services.routing.pages.application_wording import NEXT, STATE_LOOKS, STATES
from services.routing.pages.fees import fee_words
from services.routing.pages.file_wording import attached_name
from services.routing.pages.item_fields import show_value
from services.routing.pages.one_form import going_on_alone, read_plan
from services.routing.pages.one_form_wording import to_do, total_fee, use_words
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
        facts = await get_town(session, identity.municipality)
        values = await _sent_values(session, keys.vault, identity, sent, now=now)
        fees = {
            each.case_id: await fee_words(
                session,
                identity.municipality,
                fee_yen=each.fee_yen,
                items=each.items,
                counters=each.counters,
                values={item: values.get((item, version), "") for item, version in each.versions.items()},
            )
            for each in sent
        }
        rows = _sent_rows(sent, values, facts.things)
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
                "to_do": to_do(each.attached, each.versions, facts.things),
                "fee": fees[each.case_id].amount,
            }
            for each in sent
        ],
        fee_notes=list(dict.fromkeys(note for fee in fees.values() for note in fee.notes)),
        total=total_fee([fee.total_yen for fee in fees.values()]),
        submitted_at=max(each.submitted_at for each in sent),
        person=person,
        rows=rows,
        rest=rest,
        has_notices=any(each.has_notices for each in sent),
        notices_late=late,
        find_at=f"{request.base_url.netloc}/applications/find",
        phone=facts.phone,
    )


async def _sent_values(
    session: AsyncSession, vault: SubjectVault, identity: Identity, sent: tuple[SentWith, ...], *, now: datetime
) -> dict[tuple[str, int], str]:
    """What was sent, by item and version: each is opened once."""
    values: dict[tuple[str, int], str] = {}
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
    return values


def _sent_rows(
    sent: tuple[SentWith, ...], values: Mapping[tuple[str, int], str], things: Sequence[Words]
) -> list[dict[str, str]]:
    """What was sent, every value once, with the procedures that it went to."""
    uses: dict[tuple[str, int], list[str]] = {}
    for each in sent:
        for item, version in each.versions.items():
            uses.setdefault((item, version), []).append(each.procedure_name)
    order = in_order({item for item, _version in uses})
    return [
        {"term": attached_name(item, things), "text": f"{show_value(item, values[item, version])}\n{use_words(names)}"}
        for (item, version), names in sorted(uses.items(), key=lambda use: order.index(use[0][0]))
        if (item, version) in values
    ]
