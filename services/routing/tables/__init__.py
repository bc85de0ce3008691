"""Routing's own schema, by what the tables are about, and what writes and reads through it."""

from services.routing.tables.applications import (
    application,
    application_check,
    application_link,
    application_step,
    office_look,
)
from services.routing.tables.attachments import attachment, attachment_chunk, attachment_use
from services.routing.tables.cases import (
    case_file,
    case_switch,
    contact,
    item,
    offer,
    pass_issued,
    plan,
    reuse_stop,
    subject_key,
)
from services.routing.tables.catalogue import (
    catalogue,
    counter,
    life_event,
    office_rule,
    pack_version,
    procedure,
    procedure_form,
    town_item,
)
from services.routing.tables.desk import desk_check, desk_confirmation
from services.routing.tables.devices import case_device
from services.routing.tables.drafts import pack_draft, pack_order, pack_save
from services.routing.tables.identity import identity_attempt, identity_proof
from services.routing.tables.inquiries import inquiry, inquiry_step
from services.routing.tables.meetings import meeting
from services.routing.tables.order import NAME_SUBJECTS, audit, erased_subject, erasure, watch_check
from services.routing.tables.projections import appointment, availability, checkpoint, reuse
from services.routing.tables.protection import protection, refused_look
from services.routing.tables.quality import case_course, feedback, improvement, quality_count, quality_fact, voice
from services.routing.tables.schema import SERVICE, metadata
from services.routing.tables.sessions import account, session_person, session_table, situation
from services.routing.tables.sign_in import account_contact, passkey, passkey_challenge, sign_in_asking
from services.routing.tables.thread import appointment_step, case_notice, case_step
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from shared.web.sessions import EndedSessions

__all__ = [
    "NAME_SUBJECTS",
    "SERVICE",
    "account",
    "account_contact",
    "application",
    "application_check",
    "application_link",
    "application_step",
    "appointment",
    "appointment_step",
    "attachment",
    "attachment_chunk",
    "attachment_use",
    "audit",
    "availability",
    "case_course",
    "case_device",
    "case_file",
    "case_notice",
    "case_step",
    "case_switch",
    "catalogue",
    "checkpoint",
    "contact",
    "counter",
    "desk_check",
    "desk_confirmation",
    "ended_sessions",
    "erased_subject",
    "erasure",
    "feedback",
    "identity_attempt",
    "identity_proof",
    "improvement",
    "inquiry",
    "inquiry_step",
    "item",
    "ledger",
    "life_event",
    "meeting",
    "metadata",
    "offer",
    "office_look",
    "office_rule",
    "outbox",
    "pack_draft",
    "pack_order",
    "pack_save",
    "pack_version",
    "pass_issued",
    "passkey",
    "passkey_challenge",
    "plan",
    "procedure",
    "procedure_form",
    "protection",
    "quality_count",
    "quality_fact",
    "refused_look",
    "reuse",
    "reuse_stop",
    "session_person",
    "session_table",
    "sign_in_asking",
    "situation",
    "subject_key",
    "town_item",
    "voice",
    "watch_check",
]

outbox = Outbox(SERVICE, metadata)
ledger = Ledger(metadata, outbox)
ended_sessions = EndedSessions(metadata)
