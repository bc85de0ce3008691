"""The pass: how a person's approved items cross from one service to another, carried by their own browser.

Sealed for one service and purpose, short-lived, single-use (the opener remembers `pass_id`), by POST, never in a URL.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.crypto import SealBroken, ServiceBox
from shared.errors import Refusal

PASS_LIFETIME = timedelta(minutes=15)
# An appointment's page stays open as long as its cookie.
CASE_OPENING_LIFETIME = timedelta(hours=12)
OPENS_CASE = "open_case"
OPENS_CONTACT = "open_contact"
# Whose pages lead to a person's wishes of their notices.
CONTACT_ISSUERS = ("routing", "booking")
# So many procedures are done in one visit.
ERRANDS_MAX = 10
# What a purpose declares that it uses, in the order in which it is shown. No pass carries anything else.
BOOKING_ITEMS = ("name", "kana")
DECLARED_ITEMS: dict[str, tuple[str, ...]] = {"book": BOOKING_ITEMS}


class PassedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One approved item: its key (as in the catalogue), its value, and the approval that lets it cross."""

    key: str
    value: str
    approval_id: UUID
    # What it was approved for: whoever uses it says so in their ledger.
    purpose: str = ""


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """What is handed over, for what, and until when. `guest_ref` is the visitor who may carry it.

    `channel` says what is to be booked: a counter's time or a helper's. `language` is the one that the person reads.
    `behalf`: staff carry it for somebody who asked by phone, or who stands at the desk.
    `errands` are procedures to be done in the same visit, beside `procedure`.
    """

    pass_id: UUID
    municipality: str
    guest_ref: str
    subject_ref: UUID
    case_id: UUID
    procedure: str
    items: tuple[PassedItem, ...]
    contact_ref: UUID | None
    reach: str
    channel: Literal["counter", "helper"] = "counter"
    language: str = "ja"
    behalf: Literal["phone", "desk"] | None = None
    # Which page of the online form was open when they left it for somebody, or how far it had come: `form:` and what a
    # part of the form is called, or a code. Empty: they did not come from there.
    from_step: str = ""
    errands: Annotated[tuple[str, ...], msgspec.Meta(max_length=ERRANDS_MAX - 1)] = ()
    issued_at: datetime
    expires_at: datetime


def seal_pass(box: ServiceBox, to: str, purpose: str, ticket: Pass) -> str:
    """Seal a pass for one service and one purpose, with nothing but what that purpose declares.

    Raises:
        ValueError: it carries something else.
    """
    if not _is_declared(ticket, purpose):
        raise ValueError("a pass carries what its purpose does not declare")
    return box.seal_for(to, f"pass:{purpose}", msgspec.msgpack.encode(ticket))


def open_pass(box: ServiceBox, issuer: str, purpose: str, sealed: str, *, municipality: str, now: datetime) -> Pass:
    """Open a pass that `issuer` sealed for us.

    Raises:
        Refusal: `pass_invalid` (400), `pass_expired` (410, with `case_id`: where another one is made). That it was used
            before is for the opener to tell.
    """
    try:
        ticket = msgspec.msgpack.decode(box.open_from(issuer, f"pass:{purpose}", sealed), type=Pass)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Refusal("pass_invalid", 400) from error
    if ticket.municipality != municipality or not _is_declared(ticket, purpose):
        raise Refusal("pass_invalid", 400)
    if now >= ticket.expires_at:
        raise Refusal("pass_expired", 410, case_id=str(ticket.case_id))
    return ticket


def _is_declared(ticket: Pass, purpose: str) -> bool:
    return {item.key for item in ticket.items} <= set(DECLARED_ITEMS.get(purpose, ()))


class CaseOpening(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever may see an appointment may see the thread of its case, at routing. No data of a person."""

    municipality: str
    case_id: UUID
    expires_at: datetime


def seal_case_opening(box: ServiceBox, opening: CaseOpening) -> str:
    """Seal it for routing; it goes by POST, from the appointment's page."""
    return box.seal_for("routing", OPENS_CASE, msgspec.msgpack.encode(opening))


def open_case_opening(box: ServiceBox, sealed: str, *, municipality: str, now: datetime) -> CaseOpening:
    """Open what booking sealed.

    Raises:
        Refusal: `case_opening_invalid` (410): it is none, of another town, or too old.
    """
    try:
        opening = msgspec.msgpack.decode(box.open_from("booking", OPENS_CASE, sealed), type=CaseOpening)
    except (SealBroken, msgspec.DecodeError) as error:
        raise Refusal("case_opening_invalid", 410) from error
    if opening.municipality != municipality or now >= opening.expires_at:
        raise Refusal("case_opening_invalid", 410)
    return opening


class ContactOpening(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever may see a case or an appointment may say how its notices are to come, at notifications. No data of a
    person. `back` is the page that it comes from, where another one is made.
    """

    municipality: str
    contact_ref: UUID
    back: str
    expires_at: datetime


def seal_contact_opening(box: ServiceBox, opening: ContactOpening) -> str:
    """Seal it for notifications; it goes by POST."""
    return box.seal_for("notifications", OPENS_CONTACT, msgspec.msgpack.encode(opening))


def open_contact_opening(box: ServiceBox, sealed: str, *, municipality: str, now: datetime) -> ContactOpening:
    """Open what routing or booking sealed.

    Raises:
        Refusal: `contact_opening_invalid` (410): it is none, or of another town; `contact_opening_late` (410, with
            `back`): it was made too long ago.
    """
    for issuer in CONTACT_ISSUERS:
        with suppress(SealBroken, msgspec.DecodeError):
            body = box.open_from(issuer, OPENS_CONTACT, sealed)
            opening = msgspec.msgpack.decode(body, type=ContactOpening)
            break
    else:
        raise Refusal("contact_opening_invalid", 410)
    if opening.municipality != municipality:
        raise Refusal("contact_opening_invalid", 410)
    if now >= opening.expires_at:
        raise Refusal("contact_opening_late", 410, back=opening.back)
    return opening
