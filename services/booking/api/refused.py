"""With which status each refusal is answered, for the description of the API (`shared/web/openapi.py`)."""

# Of whoever comes with a visit.
VISIT = {"visit_unknown": 404, "visit_over": 410, "visit_booked": 409}
PROCEDURE = {"procedure_unknown": 404}
APPOINTMENT = {"appointment_unknown": 404}
# Why a slot cannot be had.
SLOT = {
    "slot_unknown": 404,
    "slot_unfit": 409,
    "slot_too_soon": 409,
    "slot_too_far": 409,
    "slot_closed": 409,
    "slot_taken": 409,
}
CHAIN = {name: status for name, status in SLOT.items() if name != "slot_unfit"} | {"chain_unfit": 409}
# Why several things cannot be done in one appointment.
SERVICES = {"services_unfit": 409, "services_too_long": 409, "services_with_helper": 409}
# Of one place, where more time may be needed than a slot has.
LONG_SLOT = SLOT | {"slot_too_short": 409, "services_unfit": 409}
BOOK = VISIT | {"hold_missing": 409, "hold_expired": 410, "too_many_appointments": 409, "subject_erased": 410}
# Why an appointment stays as it is.
CHANGE = APPOINTMENT | {
    "appointment_moved": 409,
    "appointment_cancelled": 409,
    "appointment_started": 409,
    "change_too_late": 409,
}
WAIT = {name: status for name, status in CHANGE.items() if name != "appointment_moved"} | {
    "waiting_unfit": 409,
    "waiting_window": 400,
}
CODE = {"code_wrong": 403, "code_locked": 429, "too_many_tries": 429}
DRAW = {"draw_unknown": 404}
ENTRY = DRAW | {"draw_entry_unknown": 404, "session_needed": 401}
WISHES = {"draw_wishes": 422, "draw_not_open": 409, "draw_closed": 409}
ENTER = WISHES | {"draw_other": 409, "draw_full": 409, "draw_entered": 409, "subject_erased": 410}
# Of somebody in today's line.
STEP = APPOINTMENT | {
    "other_office": 403,
    "line_moved": 409,
    "step_impossible": 409,
    "no_show_too_early": 409,
    "not_today": 409,
    "called_elsewhere": 409,
    "counter_closed_now": 409,
}
FINISH = STEP | {
    "delivered_unfit": 400,
    "receipt_unreadable": 400,
    "receipt_known": 409,
    "means_not_taken": 409,
}
CHECK_IN = APPOINTMENT | {
    "number_unreadable": 400,
    "arrival_cancelled": 409,
    "arrival_known": 409,
    "arrival_done": 409,
    "not_today": 409,
    "step_impossible": 409,
    "counter_closed_now": 409,
}
AT_COUNTER = {"procedure_unknown": 400}
WALK_IN = AT_COUNTER | {"counter_closed_now": 409}
KIOSK_TICKET = WALK_IN | {"kiosk_full": 409, "tickets_not_yet": 409, "tickets_over": 409}
KIOSK_BOOK = AT_COUNTER | SLOT | {"kiosk_full": 409}
ROSTER = {"roster_missing": 409}
SHIFT = ROSTER | {"shift_unfit": 422, "venue_unknown": 404, "shift_overlaps": 409, "too_many_shifts": 409}
REQUEST = {"request_unknown": 404, "request_over": 409}
WEBHOOK = {"webhook_unknown": 404}
COUNTER = {"counter_unknown": 404}
CALL_NEXT = COUNTER | {"other_office": 403, "nobody_waits": 409}
RULE = COUNTER | {"rule_unfit": 422, "rule_start_unfit": 422}
CLOSING = {"closing_unfit": 400, "closing_reason_missing": 400}
