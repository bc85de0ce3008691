"""What a case's ledger entries say: by step, to whom an item goes, and what for."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from services.routing.commands.about_you import PURPOSE_CONTACT, PURPOSE_CONTACT_ONLINE, PURPOSE_PREFILL
from services.routing.commands.vault import STEP_FORM, Use
from services.routing.domain.behalf import SAID
from services.routing.domain.family import STEP_FAMILY
from services.routing.domain.handover import CONTACT
from services.routing.tables import SERVICE
from shared.events.ledger import EntryType

PURPOSE_CALL = "窓口でお名前をお呼びするため"
PURPOSE_CALL_BY_HELPER = "サポーターがお名前をお呼びするため"
PURPOSE_FAMILY = "ご家族の手続きで、もう一度書かずにすむようにするため"
PURPOSES = {"booking": PURPOSE_CALL, "notifications": PURPOSE_CONTACT, SERVICE: PURPOSE_PREFILL}
STEPS = {"booking": "book", "notifications": CONTACT, SERVICE: STEP_FORM}


def case_use(case: Row[Any], entry_type: EntryType, service: str, approval_id: UUID | None = None) -> Use:
    """What an entry about this case says of an item that goes to this service."""
    purpose = PURPOSES[service]
    if service == "notifications" and case.channel == "online":
        purpose = PURPOSE_CONTACT_ONLINE
    if service == "booking" and case.channel == "helper":
        purpose = PURPOSE_CALL_BY_HELPER
    # As `family.py` sees the case: the items of whoever acts, for somebody else's form.
    is_given = service == SERVICE and case.acting_for is not None and case.acting_for != case.subject_ref
    return Use(
        entry_type=entry_type,
        case_id=case.case_id,
        procedure=case.procedure,
        target_service=service,
        target_step=STEP_FAMILY if is_given else STEPS[service],
        purpose=PURPOSE_FAMILY if is_given else purpose,
        acting_for=case.acting_for,
        legal_basis="appi_69_2_1",
        explicit_request=entry_type == "approved",
        outcome=SAID[case.behalf],
        approval_id=approval_id,
    )
