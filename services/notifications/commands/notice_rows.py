"""A notice whose turn it is, as the database knows it: what is decided on, and the order that comes of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Integer, Row, and_, case, cast, func, select

from services.notifications.commands.contacts import Reading
from services.notifications.commands.subjects import ACCESS, context_of
from services.notifications.commands.telling import Content, open_content
from services.notifications.domain.bulk import Words, is_at_any_hour, words_for
from services.notifications.domain.notices import CONTACT_CODE, Matter, Newest, Waiting
from services.notifications.domain.quiet_hours import quiet_of
from services.notifications.domain.stops import is_stopped
from services.notifications.domain.ways import FIRST_WAY, Way
from services.notifications.keys import Keys
from services.notifications.orders import Order
from services.notifications.queries import is_overtaken
from services.notifications.tables import (
    account_contact,
    application,
    appointment,
    bulk_notice,
    catalogue_counter,
    catalogue_procedure,
    catalogue_town,
    contact_point,
    notice,
    subject_key,
    told,
)
from shared.crypto import SealBroken
from shared.events.booking import ClassHint, SealedAccess
from shared.log import get_logger

log = get_logger(__name__)

OF_EITHER = ("number", "subject_ref", "case_id", "procedure", "office", "access_sealed")
TIMES = ("starts_at", "ends_at")


def select_notices(municipality: str, notice_ids: Sequence[UUID], *, locked: bool = True) -> Any:
    """Notices with the newest state of what they are about, the contact, and the words; `locked`, unless they are only
    looked at."""
    town = notice.c.municipality
    language = _first(
        contact_point.c.chosen_language, contact_point.c.language, told.c.language, account_contact.c.language
    )
    # Somebody who wants paper gets the code of a way that they add all the same.
    is_paper = and_(contact_point.c.wants_paper, notice.c.kind != CONTACT_CODE)
    joined = (
        notice.outerjoin(appointment, and_(appointment.c.municipality == town,
                                           appointment.c.appointment_id == notice.c.appointment_id))
        .outerjoin(application, and_(application.c.municipality == town,
                                     application.c.application_id == notice.c.application_id))
        .outerjoin(told, and_(told.c.municipality == town, told.c.told_id == notice.c.told_id))
        .outerjoin(bulk_notice, and_(bulk_notice.c.municipality == town, bulk_notice.c.bulk_id == told.c.bulk_id))
        .outerjoin(account_contact, and_(account_contact.c.municipality == town,
                                         account_contact.c.account_ref == notice.c.account_ref))
        .outerjoin(contact_point, and_(contact_point.c.municipality == town,
                                       contact_point.c.contact_ref == notice.c.contact_ref))
        .outerjoin(subject_key, and_(subject_key.c.municipality == town,
                                     subject_key.c.subject_ref == _of_either("subject_ref")))
        .outerjoin(catalogue_town, catalogue_town.c.municipality == town)
        .outerjoin(catalogue_procedure, and_(catalogue_procedure.c.municipality == town,
                                             catalogue_procedure.c.code == _of_either("procedure")))
        .outerjoin(catalogue_counter, and_(catalogue_counter.c.municipality == town,
                                           catalogue_counter.c.code == _first(
                                               appointment.c.counter, application.c.venue, told.c.venue)))
    )  # fmt: skip
    query = (
        select(
            notice,
            *(_of_either(name).label(name) for name in OF_EITHER),
            *(_first(*(table.c[name] for table in (appointment, application, told))).label(name) for name in TIMES),
            appointment.c.helper,
            appointment.c.closure,
            appointment.c.offer_starts_at,
            _first(appointment.c.offer_until, application.c.until, told.c.until).label("offer_until"),
            appointment.c.minutes.label("needed_min"),
            appointment.c.chain_id,
            _of_chain().label("chain_sequence"),
            _of_either("state").label("newest_state"),
            _first(appointment.c.sequence, application.c.version, cast(is_overtaken(), Integer)).label(
                "newest_sequence"
            ),
            case((is_paper, "none"), else_=_first(contact_point.c.reach, told.c.reach, account_contact.c.reach)).label(
                "contact_reach"
            ),
            told.c.reach.label("former_reach"),
            contact_point.c.quiet_from,
            contact_point.c.quiet_to,
            contact_point.c.stopped,
            contact_point.c.case_id.label("contact_case"),
            language.label("language"),
            subject_key.c.wrapped_key,
            application.c.title,
            application.c.classes,
            told.c.content_sealed,
            told.c.wrapped_key.label("told_key"),
            bulk_notice.c.state.label("bulk_state"),
            bulk_notice.c.reason.label("bulk_reason"),
            bulk_notice.c.texts.label("bulk_texts"),
            catalogue_town.c.name_ja.label("town_name"),
            catalogue_town.c.phone.label("town_phone"),
            catalogue_town.c.public_url,
            catalogue_town.c.address_ja.label("town_address"),
            catalogue_procedure.c.name_ja.label("procedure_name"),
            catalogue_procedure.c.discreet,
            catalogue_procedure.c.bring,
            catalogue_procedure.c.fee_yen,
            catalogue_procedure.c.minutes,
            catalogue_procedure.c.at_counter,
            catalogue_counter.c.number.label("counter_number"),
            catalogue_counter.c.name_ja.label("counter_name"),
            catalogue_counter.c.place_ja.label("place"),
        )
        .select_from(joined)
        .where(town == municipality, notice.c.notice_id.in_(notice_ids))
        .order_by(notice.c.notice_id)
        .limit(len(notice_ids))
    )
    return query.with_for_update(of=notice) if locked else query


def _of_either(name: str) -> Any:
    """A column of the appointment or of what was handed in, that a notice is about."""
    return _first(appointment.c[name], application.c[name])


def _of_chain() -> Any:
    """How often anything of an arrival has changed: each of its appointments counts its own changes only."""
    beside = appointment.alias("beside")
    changes = select(func.sum(beside.c.sequence)).where(
        beside.c.municipality == notice.c.municipality, beside.c.chain_id == appointment.c.chain_id
    )
    return case((appointment.c.chain_id.is_not(None), changes.scalar_subquery()), else_=0)


def _first(*columns: Any) -> Any:
    """Of the matters that a notice may be about, the column of the one that it is about."""
    return func.coalesce(*columns)


def waiting_of(row: Row[Any], *, in_flight: bool) -> Waiting:
    """What decisions need of the notice; `in_flight`: somebody is sending it at this moment."""
    return Waiting(
        kind=row.kind,
        state=row.state,
        sequence=row.sequence,
        created_at=row.created_at,
        useful_until=row.useful_until,
        keeps_quiet=row.keeps_quiet,
        reach=row.contact_reach,
        in_flight=in_flight,
        has_words=row.town_name is not None,
        is_stopped=is_stopped(row.kind, tuple(row.stopped or ())),
        quiet=quiet_of(row.quiet_from, row.quiet_to),
        is_called_off=row.bulk_state == "stopped",
        is_at_any_hour=is_at_any_hour(row.bulk_reason),
    )


def newest_of(row: Row[Any]) -> Newest:
    """What decisions need of its matter."""
    closure = row.closure or "none"
    return Newest(
        state=row.newest_state or "told",
        sequence=row.newest_sequence,
        starts_at=row.starts_at,
        closure=closure,
        offer_until=row.offer_until,
    )


def reading_of(row: Row[Any], way: Way) -> Reading:
    """Why the address of a contact's way is read."""
    return Reading(
        notice_id=row.notice_id,
        kind=row.kind,
        contact_ref=row.contact_ref,
        way_no=way.way_no,
        procedure=row.procedure,
        office=row.office,
        # What is told about the contact itself is for the case that it was given for.
        case_id=row.case_id or row.contact_case,
    )


def matter_of(row: Any) -> Matter:
    """What the notice is about."""
    return Matter(row.appointment_id, row.application_id, row.told_id)


def order_of(
    row: Row[Any], keys: Keys, municipality: str, attempt_no: int, was_dead: bool, way: Way | None, address: str
) -> Order:
    """Everything that the attempt needs, opened."""
    access, content = _open_access(row, keys, municipality), _open_content(row, keys, municipality)
    return Order(
        municipality=municipality,
        notice_id=row.notice_id,
        attempt_no=attempt_no,
        lease_token=uuid4(),
        tries=row.tries + was_dead,
        kind=row.kind,
        bulk=row.bulk,
        reach=way.kind if way else row.contact_reach,
        way_no=way.way_no if way else FIRST_WAY,
        created_at=row.created_at,
        useful_until=row.useful_until,
        appointment_id=row.appointment_id,
        application_id=row.application_id,
        told_id=row.told_id,
        case_id=row.case_id,
        number=row.number or "",
        sequence=row.newest_sequence,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        procedure_name=row.procedure_name,
        # What we know nothing of is not shown either.
        discreet=row.discreet is not False,
        helper=row.helper or "none",
        offer_starts_at=row.offer_starts_at,
        offer_until=row.offer_until,
        together=row.together,
        chain_id=row.chain_id,
        chain_sequence=row.chain_sequence or 0,
        together_until=row.together_until,
        turn_before=row.turn_before or 0,
        turn_ticket=row.turn_ticket or "",
        # A venue has no number: its name is part of the place.
        counter_number=row.counter_number,
        counter_name=row.counter_name,
        place=row.place or "",
        bring=tuple(row.bring or ()),
        # What more costs is on the appointment's page.
        fee_yen=0 if row.needed_min else row.fee_yen or 0,
        at_counter=row.at_counter is not False,
        minutes=row.needed_min or row.minutes or 0,
        town_name=row.town_name,
        town_address=row.town_address,
        town_phone=row.town_phone,
        public_url=row.public_url,
        language=row.language,
        address=address,
        link_token=access.link_token if access else content.link_token,
        code=access.code if access else content.code,
        wishes_token=_wishes_token(row, keys, municipality, way),
        asks_feedback="feedback" not in (row.stopped or ()),
        title=row.title or "",
        classes=msgspec.convert(row.classes or [], tuple[ClassHint, ...]),
        message_subject=content.subject,
        message_body=content.body,
        message_short=content.short,
    )


def _wishes_token(row: Row[Any], keys: Keys, municipality: str, way: Way | None) -> str | None:
    """What opens the person's wishes; not for somebody who reads it for them, nor by a way that nobody has proved."""
    if way is None or way.is_relay or row.kind == CONTACT_CODE:
        return None
    return keys.wishes_link(municipality, row.contact_ref, way.way_no)


def _open_access(row: Row[Any], keys: Keys, municipality: str) -> SealedAccess | None:
    if row.access_sealed is None or row.wrapped_key is None:
        return None
    context, field = context_of(municipality, row.subject_ref), f"{ACCESS}/{row.appointment_id or row.application_id}"
    try:
        opened = keys.vault.open(row.wrapped_key, context, field, bytes(row.access_sealed))
    except SealBroken:
        # The message goes out without link and code: number and telephone still help. But a broken seal is ours to see.
        log.error("access_unreadable", notice_id=str(row.notice_id))
        return None
    return msgspec.json.decode(opened, type=SealedAccess)


def former_address(row: Row[Any], keys: Keys, municipality: str) -> str | None:
    """Where it goes, if to an address that was theirs before; None when that is forgotten."""
    return _open_content(row, keys, municipality).address


def _open_content(row: Row[Any], keys: Keys, municipality: str) -> Content:
    if row.told_id is None:
        return Content()
    if row.bulk_texts is not None:
        # What is written to many stands once, and each reads it in their language.
        words = words_for(msgspec.convert(row.bulk_texts, dict[str, Words]), row.language)
        return Content(subject=words.subject, body=words.body, short=words.short)
    try:
        return open_content(keys.vault, municipality, row.told_id, row.content_sealed, row.told_key)
    except SealBroken:
        log.error("content_unreadable", notice_id=str(row.notice_id))
        return Content()
