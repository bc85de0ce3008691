"""Notices made up, to see how a text would arrive: the usual case, and those in which it could go wrong."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, get_args
from uuid import UUID

from services.notifications.domain.notices import (
    APPLICATION_NOTICES,
    CASE_SWITCHED,
    DRAW_NOTICES,
    HELP_NOTICES,
    OF_ACCOUNTS,
    OF_CLASSES,
    OF_TOWN,
    SIGN_IN,
    TURN_NEAR,
    Kind,
)
from services.notifications.domain.words import OwnTexts
from services.notifications.orders import Order
from services.notifications.queries_of_templates import TownFacts
from shared.town_pack.checking_texts import WRITTEN_LENGTH
from shared.web.i18n import gettext as _

Case = Literal["usual", "longest", "discreet", "several", "helper"]
CASES: tuple[Case, ...] = get_args(Case)
# As long as the real ones, so that an SMS is counted as it will be.
NUMBER, LONG_NUMBER, CODE, LINK_TOKEN = "NNN1042", "K4M7RXAC", "123456", "MIHON" * 8 + "XYZ"
NOBODY = UUID(int=0)
AHEAD, LASTS, ANSWER_IN = timedelta(days=7), timedelta(minutes=30), timedelta(days=1)
SEVERAL = 3
_HANDED_IN = (
    *APPLICATION_NOTICES.values(), *DRAW_NOTICES.values(), *HELP_NOTICES.values(), *OF_CLASSES, CASE_SWITCHED,
)  # fmt: skip


def cases_of(kind: Kind) -> tuple[Case, ...]:
    """Which cases there are of a kind: only what is about a procedure can be discreet, or several at once."""
    if kind in (*OF_ACCOUNTS, *OF_CLASSES, *OF_TOWN):
        return CASES[:2]
    return CASES[:3] if kind in _HANDED_IN or kind == TURN_NEAR else CASES


def make_sample(
    kind: Kind, case: Case, language: str, facts: TownFacts, *, office: str = "", own: OwnTexts, now: datetime
) -> Order:
    """An order of the town's own names, to nobody."""
    procedure = _procedure(case, facts, office)
    counter = _pick(facts.counters, lambda each: f"{each.place_ja}{each.name_ja}", case)
    is_told, is_handed_in = kind in (*OF_ACCOUNTS, *OF_TOWN), kind in _HANDED_IN
    starts_at = (now + AHEAD).replace(hour=1, minute=0, second=0, microsecond=0)
    is_long = case == "longest"
    return Order(
        municipality=facts.town.municipality,
        notice_id=NOBODY,
        attempt_no=1,
        lease_token=NOBODY,
        tries=0,
        kind=kind,
        bulk=False,
        reach="email",
        created_at=now,
        useful_until=now + AHEAD,
        appointment_id=None if is_told or is_handed_in else NOBODY,
        application_id=NOBODY if is_handed_in else None,
        told_id=NOBODY if is_told else None,
        number="" if is_told else LONG_NUMBER if is_long or is_handed_in else NUMBER,
        sequence=0,
        starts_at=None if kind in (SIGN_IN, *OF_TOWN) or (is_handed_in and kind not in OF_CLASSES) else starts_at,
        ends_at=starts_at + LASTS,
        procedure_name=procedure.name_ja if procedure else None,
        discreet=case == "discreet",
        helper="asked" if case == "helper" else "none",
        offer_starts_at=starts_at - ANSWER_IN if kind == "earlier_offer" else None,
        offer_until=now + ANSWER_IN,
        together=SEVERAL if case == "several" else 1,
        turn_before=SEVERAL,
        turn_ticket="A-012",
        title=_written(_("スマートフォン教室"), is_long=is_long) if kind in OF_CLASSES else "",
        message_subject=_written(_("集まりのお知らせ"), is_long=is_long),
        message_body=_written(_("金曜日の午後に集まります。"), is_long=is_long),
        counter_number=counter.number if counter else None,
        counter_name=counter.name_ja if counter else None,
        place=counter.place_ja if counter else "",
        bring=tuple(procedure.bring) if procedure else (),
        fee_yen=procedure.fee_yen if procedure else 0,
        minutes=0,
        town_name=facts.town.name_ja,
        town_address=facts.town.address_ja,
        town_phone=facts.town.phone,
        public_url=facts.town.public_url,
        language=language,
        texts=facts.texts,
        own=own,
        address="",
        link_token=LINK_TOKEN,
        code=CODE,
    )


def _procedure(case: Case, facts: TownFacts, office: str) -> Any:
    """One of the office's, or of the town's where it has none that suits."""
    suits = [each for each in facts.procedures if each.discreet == (case == "discreet")]
    of_office = [each for each in suits if each.office == office]
    return _pick(of_office or suits, lambda each: each.name_ja, case)


def _pick(things: Iterable[Any], text_of: Any, case: Case) -> Any:
    choose = max if case == "longest" else min
    return choose(things, key=lambda each: len(text_of(each)), default=None)


def _written(text: str, *, is_long: bool) -> str:
    return (text * WRITTEN_LENGTH)[:WRITTEN_LENGTH] if is_long else text
