"""All routes below `/booking/api`."""

from services.booking.api.appointments import (
    get_appointment,
    get_calendar,
    post_access,
    post_cancel,
    post_change,
)
from services.booking.api.closings import get_closing, get_closings, post_closing, post_closing_preview, post_reopening
from services.booking.api.draws import (
    delete_entry,
    get_draws,
    get_entry,
    get_record,
    post_call_off_draw,
    post_entry,
    post_entry_access,
    put_entry,
)
from services.booking.api.holds import delete_hold, get_visit_answer, post_appointment, post_hold, post_visit
from services.booking.api.line import get_line_now
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
from services.booking.api.services import get_services, put_services
from services.booking.api.times import get_alternatives, get_days, get_earliest, get_free, get_slots
from services.booking.api.waitlist import delete_waiting, get_waiting, put_waiting

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
    post_call_off_draw,
    get_line_now,
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
]
