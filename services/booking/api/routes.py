"""All routes below `/booking/api`."""

from services.booking.api.appointments import (
    get_appointment,
    get_calendar,
    post_access,
    post_cancel,
    post_change,
)
from services.booking.api.cash import get_line_payments, post_line_finish
from services.booking.api.closings import get_closing, get_closings, post_closing, post_closing_preview, post_reopening
from services.booking.api.draw_staff import post_call_off_draw, post_draw
from services.booking.api.draws import (
    delete_entry,
    get_draws,
    get_entry,
    get_record,
    post_entry,
    post_entry_access,
    put_entry,
)
from services.booking.api.helpers import (
    delete_own_shift,
    get_own_calendar,
    get_own_requests,
    get_own_shifts,
    get_venues,
    post_own_answer,
    post_own_calendar,
    post_own_shift,
)
from services.booking.api.holds import delete_hold, get_visit_answer, post_appointment, post_hold, post_visit
from services.booking.api.kiosk import get_kiosk_now, get_kiosk_procedures, post_kiosk_ticket_now, post_kiosk_time
from services.booking.api.line import get_line_now
from services.booking.api.line_late import post_line_merge
from services.booking.api.line_staff import (
    get_line_today,
    post_line_check_in,
    post_line_next,
    post_line_step,
    post_line_walk_in,
)
from services.booking.api.moves import get_moves, post_move
from services.booking.api.offers import delete_offer, get_chain_offer, get_offer, post_offer
from services.booking.api.one_stop import get_chains, post_chain, post_chain_hold
from services.booking.api.opening import (
    delete_version,
    get_counters_open,
    get_opening,
    post_opening_preview,
    post_version,
)
from services.booking.api.roster import get_roster_requests, get_roster_shifts, post_reassignment
from services.booking.api.services import get_services, put_services
from services.booking.api.times import get_alternatives, get_days, get_earliest, get_free, get_slots
from services.booking.api.waitlist import delete_waiting, get_waiting, put_waiting
from services.booking.api.waits import get_waits
from services.booking.api.webhooks import (
    delete_webhook,
    get_webhook,
    get_webhooks,
    post_webhook_endpoint,
    post_webhook_secret,
    post_webhook_state,
    post_webhook_test,
)

API_ROUTES = [
    get_slots,
    get_days,
    get_free,
    get_earliest,
    get_alternatives,
    post_visit,
    get_visit_answer,
    get_services,
    put_services,
    post_hold,
    delete_hold,
    post_appointment,
    post_access,
    get_appointment,
    post_change,
    post_cancel,
    get_calendar,
    get_offer,
    post_offer,
    delete_offer,
    get_chain_offer,
    get_waiting,
    put_waiting,
    delete_waiting,
    get_chains,
    post_chain_hold,
    post_chain,
    get_moves,
    post_move,
    get_draws,
    get_record,
    post_entry,
    post_entry_access,
    get_entry,
    put_entry,
    delete_entry,
    post_draw,
    post_call_off_draw,
    get_line_now,
    get_waits,
    get_line_today,
    post_line_check_in,
    post_line_walk_in,
    post_line_next,
    post_line_step,
    post_line_finish,
    get_line_payments,
    post_line_merge,
    get_kiosk_procedures,
    get_kiosk_now,
    post_kiosk_ticket_now,
    post_kiosk_time,
    get_venues,
    get_own_shifts,
    post_own_shift,
    delete_own_shift,
    get_own_requests,
    post_own_answer,
    get_own_calendar,
    post_own_calendar,
    get_roster_shifts,
    get_roster_requests,
    post_reassignment,
    get_counters_open,
    get_opening,
    post_opening_preview,
    post_version,
    delete_version,
    get_closings,
    post_closing_preview,
    post_closing,
    get_closing,
    post_reopening,
    get_webhooks,
    post_webhook_endpoint,
    get_webhook,
    post_webhook_state,
    post_webhook_test,
    post_webhook_secret,
    delete_webhook,
]
