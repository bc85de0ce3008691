"""`/office/watch`: the privacy officer (個人情報保護管理者) sees unusual reading, and notes what was looked into."""

from datetime import datetime, timedelta
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from services.routing.commands.watching import Watched, check_finding, watch
from services.routing.domain.town_days import CLOSES, OPENS
from services.routing.domain.watching import (
    MANY_PEOPLE,
    MANY_PEOPLE_WITHIN,
    ONE_PERSON_LOOKS,
    ONE_PERSON_WITHIN,
    WATCHED,
    Finding,
)
from services.routing.pages.wording import REFUSALS
from services.routing.queries.catalogue import procedure_names
from shared.db import Database
from shared.errors import Refusal
from shared.tokens import Identity
from shared.web.forms import parse_uuid, read_form
from shared.web.i18n import translate
from shared.web.identity import require_role
from shared.web.pages import page, see_other

PRIVACY = [require_role("privacy_officer")]

Req = Request[Any, Any, Any]


def _(message: str) -> str:
    """Marks a text for the catalogues."""
    return message


RULE_TITLES: dict[str, str] = {
    "one_person": _("同じ人を、何度も見ています"),
    "many_people": _("短い時間に、おおぜいの人を見ています"),
    "out_of_hours": _("開庁時間の外に見ています"),
}
RULE_NUMBERS: dict[str, str] = {
    "one_person": _("1人の情報を%(looks)s回"),
    "many_people": _("%(people)s人の情報を%(looks)s回"),
    "out_of_hours": _("%(people)s人の情報を%(looks)s回"),
}
RULE_LIMITS: dict[str, str] = {
    "one_person": _("同じ職員が、同じ人の情報を、%(days)s日のあいだに%(limit)s回以上見たとき。"),
    "many_people": _(
        "同じ職員が、%(minutes)s分のあいだに、%(limit)s人以上の情報を見たとき。"
        "窓口の「今日の受付」の一覧は、数えません。"
    ),
    "out_of_hours": _("職員が、%(opens)sから%(closes)sまでのほか、土日、祝日、12月29日から1月3日までに見たとき。"),
}

LIMITS: dict[str, dict[str, object]] = {
    "one_person": {"days": ONE_PERSON_WITHIN.days, "limit": ONE_PERSON_LOOKS},
    "many_people": {"minutes": MANY_PEOPLE_WITHIN // timedelta(minutes=1), "limit": MANY_PEOPLE},
    "out_of_hours": {"opens": f"{OPENS.hour}:{OPENS:%M}", "closes": f"{CLOSES.hour}:{CLOSES:%M}"},
}


@get("/office/watch", guards=PRIVACY)
async def show_watch(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Template:
    """What the rules find in the last 30 days, and what was looked into. Opening this is audited."""
    return await _watch_page(request, db, identity, now=now)


@post("/office/watch", guards=PRIVACY)
async def post_watch(
    request: Req, db: NamedDependency[Database], now: NamedDependency[datetime], identity: NamedDependency[Identity]
) -> Template | Redirect:
    """A finding was looked into."""
    fields = await read_form(request)
    try:
        finding_id = parse_uuid(fields.get("finding", ""), code="finding_unknown")
        async with db.begin(identity.municipality) as session:
            await check_finding(session, identity, finding_id, now=now)
    except Refusal as refusal:
        if refusal.code != "finding_unknown":
            raise
        return await _watch_page(request, db, identity, now=now, refusal=refusal)
    return see_other("/office/watch")


async def _watch_page(
    request: Req, db: Database, identity: Identity, *, now: datetime, refusal: Refusal | None = None
) -> Template:
    async with db.begin(identity.municipality) as session:
        watched = await watch(session, identity, now=now)
        names = await procedure_names(session, identity.municipality)
    text = REFUSALS[refusal.code] if refusal else None
    return page(
        request,
        "watch.html",
        status=refusal.status if refusal else 200,
        since=now - WATCHED,
        findings=[_shown(finding, watched, names) for finding in watched.open],
        checks=[
            {
                "rule": translate(RULE_TITLES[check.rule]),
                "who": watched.logins.get(check.actor_ref, check.actor_ref),
                "looks": check.looks,
                "last_at": check.last_at,
                "checked_at": check.checked_at,
                "checked_by": watched.logins.get(check.checked_by, check.checked_by),
            }
            for check in watched.checks
        ],
        limits=[
            {"title": translate(RULE_TITLES[rule]), "text": translate(words) % LIMITS[rule]}
            for rule, words in RULE_LIMITS.items()
        ],
        is_cut=watched.is_cut,
        refused_title=translate(text.title) if text else None,
        refused_advice=translate(text.advice) if text else None,
    )


def _shown(finding: Finding, watched: Watched, names: dict[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        "finding_id": finding.finding_id,
        "title": translate(RULE_TITLES[finding.rule]),
        "numbers": translate(RULE_NUMBERS[finding.rule]) % {"looks": finding.looks, "people": finding.people},
        "who": watched.logins.get(finding.actor_ref, finding.actor_ref),
        "is_helper": finding.actor_kind == "helper",
        "first_at": finding.first_at,
        "last_at": finding.last_at,
        "offices": "、".join(finding.offices),
        "procedures": "、".join(names[code][0] if code in names else code for code in finding.procedures),
    }
