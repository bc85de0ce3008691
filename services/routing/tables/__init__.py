"""Routing's own schema, by what the tables are about, and what writes and reads through it."""

from services.routing.tables.applications import (
    application,
    application_check,
    application_link,
    application_step,
    office_look,
)
from services.routing.tables.cases import case_file, contact, item, offer, pass_issued, plan, reuse_stop, subject_key
from services.routing.tables.catalogue import catalogue, counter, life_event, office_rule, pack_version, procedure
from services.routing.tables.drafts import pack_draft, pack_order, pack_save
from services.routing.tables.inquiries import inquiry, inquiry_step
from services.routing.tables.order import NAME_SUBJECTS, audit, erased_subject, erasure, watch_check
from services.routing.tables.projections import appointment, availability, checkpoint, reuse
from services.routing.tables.protection import protection, refused_look
from services.routing.tables.quality import case_course, feedback, improvement, quality_count, quality_fact, voice
from services.routing.tables.schema import SERVICE, metadata
from services.routing.tables.sessions import account, session_person, session_table, situation
from shared.ledger.ledger import Ledger
from shared.messaging.outbox import Outbox
from shared.web.sessions import EndedSessions

__all__ = [
    "NAME_SUBJECTS",
    "SERVICE",
    "account",
    "application",
    "application_check",
    "application_link",
    "application_step",
    "appointment",
    "audit",
    "availability",
    "case_course",
    "case_file",
    "catalogue",
    "checkpoint",
    "contact",
    "counter",
    "ended_sessions",
    "erased_subject",
    "erasure",
    "feedback",
    "improvement",
    "inquiry",
    "inquiry_step",
    "item",
    "ledger",
    "life_event",
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
    "plan",
    "procedure",
    "protection",
    "quality_count",
    "quality_fact",
    "refused_look",
    "reuse",
    "reuse_stop",
    "session_person",
    "session_table",
    "situation",
    "subject_key",
    "voice",
    "watch_check",
]

outbox = Outbox(SERVICE, metadata)
ledger = Ledger(metadata, outbox)
ended_sessions = EndedSessions(metadata)
