"""Routing's web application."""

from pathlib import Path

from services.routing import api
from services.routing.attachments.receiving import Receiving
from services.routing.attachments.scanning import make_scanner
from services.routing.domain.town_items import set_town_items
from services.routing.identity_client import IdentityClient
from services.routing.identity_settings import read_providers
from services.routing.keys import make_keys
from services.routing.pages import (
    applications,
    attachments,
    behalf,
    cases,
    devices,
    erase,
    family,
    feedback,
    figures,
    finding,
    finishing,
    front,
    history,
    identity,
    identity_claims,
    inquiries,
    mine,
    office,
    office_attachments,
    office_feedback,
    office_inbox,
    office_inquiries,
    office_papers,
    office_quality,
    office_uses,
    office_work,
    online,
    open_data,
    own_data,
    plans,
    protection,
    quality,
    quality_data,
    receipt,
    sessions,
    situation,
    visits,
    watching,
)
from services.routing.pages.tries import Tries
from services.routing.pages.wording import REFUSALS
from services.routing.queries.catalogues import Catalogues
from services.routing.queries.town_items import TownItemDirectory
from services.routing.settings import SERVICE, Settings
from services.routing.tables import ended_sessions
from shared.clock import Clock, utc_now
from shared.db import Database
from shared.web.app import ServiceRoutes
from shared.web.middleware import AroundRequest

PAGES_DIR = Path(__file__).with_name("pages")

HANDLERS = (
    front.show_front,
    front.show_procedure,
    situation.get_situation_address,
    situation.post_situation,
    finding.show_search,
    finding.get_procedure_address,
    finding.get_life_event_address,
    plans.show_life_event,
    plans.post_life_event,
    plans.show_plan,
    plans.get_begin_address,
    plans.post_begin,
    plans.get_together_address,
    plans.post_together,
    cases.post_case,
    cases.show_case,
    cases.show_you,
    cases.post_you,
    cases.show_handover,
    cases.post_handover,
    cases.show_pass,
    family.get_person_address,
    family.post_person,
    family.show_family,
    family.post_family,
    online.show_reuse,
    online.post_reuse,
    online.show_form,
    online.post_form,
    online.post_fields,
    online.post_draft,
    online.get_form_address,
    online.post_channel,
    online.show_switched,
    attachments.show_attachments,
    attachments.post_attachment,
    attachments.get_file,
    attachments.post_remove,
    attachments.get_remove_address,
    online.show_check,
    online.post_submit,
    devices.show_device,
    devices.post_device,
    devices.post_device_end,
    devices.get_device_end_address,
    devices.show_resume,
    devices.post_resume,
    devices.show_resume_link,
    devices.post_resume_link,
    identity.show_identity,
    identity.post_identity,
    identity.get_return,
    identity_claims.post_take,
    identity_claims.get_take_address,
    applications.show_application,
    applications.post_withdraw,
    applications.show_find,
    applications.post_find,
    applications.get_link,
    finishing.show_cover,
    behalf.show_behalf,
    behalf.show_behalf_begin,
    behalf.post_behalf,
    office_inbox.show_office,
    office.show_office_application,
    office.get_action_address,
    office.post_office_action,
    office.post_held_back,
    office_work.post_assign,
    office_work.post_checks,
    office_attachments.get_office_file,
    office_papers.show_print,
    office_papers.get_export,
    office_papers.get_schema,
    visits.post_visit,
    visits.get_visit_address,
    office.show_fragment,
    protection.show_find_protection,
    protection.post_find_protection,
    protection.show_protection,
    protection.post_protection,
    office_inquiries.show_inquiries,
    office_inquiries.show_office_inquiry,
    office_inquiries.get_answer_address,
    office_inquiries.post_answer,
    office_uses.show_uses,
    watching.show_watch,
    watching.post_watch,
    sessions.renew_get,
    sessions.renew_post,
    sessions.show_sign_in,
    sessions.post_sign_in,
    sessions.post_sign_out,
    mine.show_my,
    history.show_history,
    history.print_history,
    history.copy_history,
    inquiries.show_ask,
    inquiries.post_ask,
    inquiries.show_inquiry,
    inquiries.get_inquiry_address,
    inquiries.post_inquiry,
    figures.show_figures,
    figures.copy_figures,
    own_data.show_data,
    own_data.copy_data,
    own_data.show_item,
    own_data.post_item,
    own_data.post_stop,
    own_data.post_allow,
    own_data.get_button_address,
    receipt.show_receipt,
    receipt.copy_receipt,
    open_data.show_ledger_roots,
    open_data.get_ledger_roots_json,
    open_data.get_ledger_roots_csv,
    open_data.show_ledger_notice,
    feedback.show_feedback,
    feedback.post_feedback,
    office_feedback.show_feedback_list,
    office_feedback.show_office_feedback,
    office_feedback.get_feedback_address,
    office_feedback.post_feedback_action,
    office_quality.show_office_quality,
    office_quality.post_improvement,
    quality.show_quality,
    quality_data.show_quality_data,
    quality_data.get_quality_json,
    quality_data.get_quality_csv,
    erase.show_erase,
    erase.post_erase,
    erase.show_erasure,
    api.get_procedures,
)


ROUTES = ServiceRoutes(service=SERVICE, handlers=HANDLERS, template_dirs=[PAGES_DIR], refusals=REFUSALS)


def create_app(settings: Settings, *, clock: Clock = utc_now, db: Database | None = None) -> AroundRequest:
    """The ASGI application. It closes the database when it shuts down."""
    opened = db or Database(settings.database_url, service=SERVICE, pool_size=settings.database_pool_size)
    town_items = TownItemDirectory(opened)

    async def enter_town(municipality: str) -> None:
        set_town_items(await town_items.find(municipality))

    providers = read_providers(settings.identity_providers, is_local=settings.is_local)
    return ROUTES.create_app(
        db=opened,
        enter_town=enter_town,
        token_public_keys=settings.token_public_keys,
        is_session_ended=ended_sessions.is_ended,
        asked={
            "keys": make_keys(settings),
            "tries": Tries(),
            "receiving": Receiving(make_scanner(settings.scanner)),
            "identity_clients": {name: IdentityClient(provider) for name, provider in providers.items()},
            "catalogues": Catalogues(),
        },
        clock=clock,
        default_municipality=settings.default_municipality if settings.is_local else None,
        secure=not settings.is_local,
    )
