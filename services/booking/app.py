"""The web application of booking: routes and wiring."""

from pathlib import Path

from services.booking.api.routes import API_ROUTES
from services.booking.flow import Rush
from services.booking.keys import Keys
from services.booking.live import LineWatch
from services.booking.pages.access import get_booking_root, get_find_page, get_forget, get_link, post_find_page
from services.booking.pages.alarms import get_alarm_address, get_alarms, post_alarm_seen
from services.booking.pages.appointments import get_appointment_page, get_qr, get_slip_page
from services.booking.pages.arriving import post_arrive, post_arrive_time
from services.booking.pages.away import (
    get_away,
    get_away_address,
    post_away,
    post_come,
    post_pause,
    post_remove_away,
    post_resume,
    post_visits,
)
from services.booking.pages.board import get_board, get_board_events, get_board_now
from services.booking.pages.calendar_file import get_calendar_file
from services.booking.pages.cash import get_cash, get_cash_csv
from services.booking.pages.changes import get_cancel_page, get_change_page, post_cancel_page, post_change_page
from services.booking.pages.class_ends import get_class_call_off_page, post_class_call_off
from services.booking.pages.class_entries import (
    get_class_enter_page,
    get_class_entry_page,
    post_class_enter_page,
    post_class_entry_page,
)
from services.booking.pages.class_roll import get_class_materials, get_class_roll, post_class_roll
from services.booking.pages.class_staff import (
    get_class_deed_address,
    get_class_staff_page,
    get_classes_staff_page,
    post_class,
    post_class_change,
    post_class_close,
    post_class_publish,
    post_class_session,
    post_class_staff,
)
from services.booking.pages.classes import (
    get_class_calendar,
    get_class_page,
    get_class_poster,
    get_class_record,
    get_classes_page,
)
from services.booking.pages.classes_open_data import get_events_csv, get_events_json, get_events_page
from services.booking.pages.closings import (
    get_close_page,
    get_close_preview,
    get_closing_page,
    get_reopen_address,
    post_close,
    post_reopen,
)
from services.booking.pages.counter import (
    get_counter,
    get_events,
    get_form_address,
    get_line,
    get_ticket,
    post_action,
    post_check_in,
    post_next,
    post_walk_in,
)
from services.booking.pages.covers import get_cover_answer_address, post_cover_answer
from services.booking.pages.door import (
    get_door,
    get_door_code,
    get_door_procedure,
    get_poster,
    post_own_check_in,
    post_phone_ticket,
)
from services.booking.pages.draw_entries import (
    get_enter_page,
    get_entry_page,
    get_find_entry_page,
    post_enter_page,
    post_entry_page,
    post_find_entry_page,
)
from services.booking.pages.draw_staff import (
    get_call_off_page,
    get_draw_staff_page,
    post_call_off,
    post_draw_staff_page,
)
from services.booking.pages.draws import get_draw_page, get_draw_record, get_draws_page
from services.booking.pages.draws_open_data import (
    get_draw_result_csv,
    get_open_draws_csv,
    get_open_draws_json,
    get_open_draws_page,
)
from services.booking.pages.feed import (
    get_end_feed_address,
    get_feed,
    get_feed_page,
    post_end_feed,
    post_feed_page,
)
from services.booking.pages.finish import get_finish, post_finish
from services.booking.pages.gaps import get_gap, post_gap
from services.booking.pages.help_classes import post_request_class
from services.booking.pages.help_requests import get_ask_page, get_request_page, post_ask_page, post_request_page
from services.booking.pages.help_staff import get_help_staff_page, post_help_staff_class, post_help_staff_page
from services.booking.pages.helper_calendar import get_month, get_week
from services.booking.pages.helper_figures import get_helper_figures, get_helper_figures_csv
from services.booking.pages.helper_messages import (
    get_messages,
    get_preview_address,
    post_message,
    post_message_preview,
)
from services.booking.pages.helpers import get_answer_address, get_cannot_come, get_helpers, post_answer
from services.booking.pages.hours import get_certificate, get_hours
from services.booking.pages.insurance import get_insurance, get_insurance_csv, get_insurance_xlsx
from services.booking.pages.kiosk import (
    get_kiosk,
    get_kiosk_address,
    get_kiosk_procedure,
    get_kiosk_slip,
    get_kiosk_ticket,
    post_kiosk_appointment,
    post_kiosk_ticket,
)
from services.booking.pages.meetings import (
    get_meeting,
    get_meeting_address,
    get_notes,
    post_attended,
    post_meeting_switch,
    post_note,
)
from services.booking.pages.moves import get_move_page, post_move_page
from services.booking.pages.now import get_now_page, get_waits_csv
from services.booking.pages.offline import get_manifest, get_offline_page, get_worker
from services.booking.pages.one_stop import (
    get_chain_confirm_page,
    get_chains_page,
    post_book_chain_page,
    post_chain_page,
)
from services.booking.pages.people import (
    get_people,
    get_person,
    get_standing_address,
    post_record,
    post_standing,
)
from services.booking.pages.person_days import get_days_address, get_remove_day, post_day, post_remove_day
from services.booking.pages.phone_ticket import get_phone_ticket, post_phone_ticket_action
from services.booking.pages.profile import get_profile, post_profile
from services.booking.pages.reports import get_report_csv, get_report_xlsx, get_reports
from services.booking.pages.roster import (
    get_cover_address,
    get_reassign_address,
    get_roster,
    post_reassign,
    post_start_cover,
)
from services.booking.pages.rules import (
    get_rule_address,
    get_rule_page,
    get_rules_page,
    post_rule,
    post_rule_preview,
    post_rule_withdrawal,
)
from services.booking.pages.screens import get_screens
from services.booking.pages.services import post_services_page
from services.booking.pages.shifts import get_remove_shift_page, get_shifts, post_remove_shift, post_shift
from services.booking.pages.streams import Streams
from services.booking.pages.today import (
    get_today,
    get_today_address,
    get_today_events,
    get_today_now,
    post_close_counter,
    post_move_staff,
    post_move_waiting,
    post_open_counter,
)
from services.booking.pages.transfers import get_transfer, post_transfer
from services.booking.pages.tries import CodeTries
from services.booking.pages.visits import (
    get_confirm_page,
    get_visit_page,
    post_book_page,
    post_hold_page,
    post_release_page,
)
from services.booking.pages.waitlist import get_earlier_page, post_earlier_page
from services.booking.pages.webhooks import (
    get_webhook_address,
    get_webhook_page,
    get_webhooks_page,
    post_webhook,
    post_webhook_action,
)
from services.booking.refusals import REFUSALS
from services.booking.settings import SERVICE, Settings
from services.booking.tables import ended_sessions
from shared.clock import Clock, utc_now
from shared.db import Database
from shared.shared_reads import SharedReads
from shared.web.app import ServiceRoutes
from shared.web.middleware import AroundRequest

HANDLERS = [
    *API_ROUTES,
    post_arrive,
    post_arrive_time,
    get_visit_page,
    post_services_page,
    post_hold_page,
    get_confirm_page,
    post_book_page,
    post_release_page,
    get_chains_page,
    post_chain_page,
    get_chain_confirm_page,
    post_book_chain_page,
    get_ask_page,
    post_ask_page,
    get_request_page,
    post_request_page,
    post_request_class,
    get_booking_root,
    get_appointment_page,
    get_slip_page,
    get_qr,
    get_calendar_file,
    get_change_page,
    post_change_page,
    get_cancel_page,
    post_cancel_page,
    get_move_page,
    post_move_page,
    get_earlier_page,
    post_earlier_page,
    get_link,
    get_find_page,
    post_find_page,
    get_forget,
    get_board,
    get_board_now,
    get_board_events,
    get_screens,
    get_now_page,
    get_waits_csv,
    get_door,
    get_door_code,
    get_door_procedure,
    get_poster,
    post_phone_ticket,
    get_phone_ticket,
    post_phone_ticket_action,
    post_own_check_in,
    get_form_address,
    get_counter,
    get_line,
    get_events,
    get_worker,
    get_manifest,
    get_offline_page,
    post_check_in,
    post_walk_in,
    get_ticket,
    get_transfer,
    post_transfer,
    post_action,
    get_finish,
    post_finish,
    get_cash,
    get_cash_csv,
    post_next,
    get_kiosk,
    get_kiosk_procedure,
    get_kiosk_address,
    post_kiosk_ticket,
    post_kiosk_appointment,
    get_kiosk_ticket,
    get_kiosk_slip,
    get_draws_page,
    get_draw_page,
    get_draw_record,
    get_open_draws_page,
    get_open_draws_json,
    get_open_draws_csv,
    get_draw_result_csv,
    get_enter_page,
    post_enter_page,
    get_find_entry_page,
    post_find_entry_page,
    get_entry_page,
    post_entry_page,
    get_draw_staff_page,
    post_draw_staff_page,
    get_call_off_page,
    post_call_off,
    get_classes_page,
    get_class_page,
    get_class_calendar,
    get_class_poster,
    get_class_record,
    get_class_enter_page,
    post_class_enter_page,
    get_class_entry_page,
    post_class_entry_page,
    get_events_page,
    get_events_csv,
    get_events_json,
    get_classes_staff_page,
    post_class,
    get_class_materials,
    get_class_staff_page,
    post_class_change,
    get_class_deed_address,
    post_class_session,
    post_class_staff,
    post_class_publish,
    post_class_close,
    get_class_call_off_page,
    post_class_call_off,
    get_class_roll,
    post_class_roll,
    get_helpers,
    get_cannot_come,
    get_week,
    get_month,
    get_away,
    post_away,
    get_away_address,
    post_come,
    post_remove_away,
    post_visits,
    post_pause,
    post_resume,
    get_profile,
    post_profile,
    get_hours,
    get_certificate,
    get_answer_address,
    post_answer,
    get_meeting,
    get_meeting_address,
    post_attended,
    post_meeting_switch,
    post_note,
    get_notes,
    get_shifts,
    get_remove_shift_page,
    post_shift,
    post_remove_shift,
    get_feed_page,
    post_feed_page,
    get_end_feed_address,
    post_end_feed,
    get_feed,
    get_roster,
    get_reassign_address,
    post_reassign,
    get_cover_address,
    post_start_cover,
    get_gap,
    post_gap,
    get_days_address,
    post_day,
    get_remove_day,
    post_remove_day,
    get_cover_answer_address,
    post_cover_answer,
    get_people,
    get_person,
    post_record,
    get_standing_address,
    post_standing,
    get_messages,
    get_preview_address,
    post_message_preview,
    post_message,
    get_insurance,
    get_insurance_csv,
    get_insurance_xlsx,
    get_helper_figures,
    get_helper_figures_csv,
    get_help_staff_page,
    post_help_staff_page,
    post_help_staff_class,
    get_rules_page,
    get_rule_page,
    get_rule_address,
    post_rule_preview,
    post_rule,
    post_rule_withdrawal,
    get_alarms,
    get_alarm_address,
    post_alarm_seen,
    get_reports,
    get_report_csv,
    get_report_xlsx,
    get_today,
    get_today_now,
    get_today_events,
    get_today_address,
    post_close_counter,
    post_open_counter,
    post_move_staff,
    post_move_waiting,
    get_close_page,
    get_close_preview,
    post_close,
    get_closing_page,
    get_reopen_address,
    post_reopen,
    get_webhooks_page,
    post_webhook,
    get_webhook_page,
    get_webhook_address,
    post_webhook_action,
]


ROUTES = ServiceRoutes(
    service=SERVICE, handlers=HANDLERS, template_dirs=[Path(__file__).with_name("pages")], refusals=REFUSALS
)


def create_app(settings: Settings, *, clock: Clock = utc_now, db: Database | None = None) -> AroundRequest:
    """The application, on its own database unless one is given."""
    database = db or Database(settings.database_url, service=SERVICE, pool_size=settings.database_pool_size)
    watch = LineWatch(database, clock)
    return ROUTES.create_app(
        db=database,
        token_public_keys=settings.token_public_keys,
        is_session_ended=ended_sessions.is_ended,
        asked={
            "keys": Keys.from_settings(settings),
            "rush": Rush(),
            "destinations": settings.webhook_destinations,
            "reads": SharedReads(),
            "tries": CodeTries(),
            "streams": Streams(),
            "watch": watch,
            "clock": clock,
            "is_ended": ended_sessions.is_ended,
        },
        clock=clock,
        default_municipality=settings.default_municipality if settings.is_local else None,
        secure=not settings.is_local,
        on_shutdown=watch.stop,
    )
