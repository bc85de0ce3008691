"""Who may go which way: every route of the three services. The tests ask each route as each of these people."""

from shared.roles import ROLES

NOBODY, GUEST = "nobody", "guest"
EVERYBODY = (NOBODY, GUEST, *ROLES)

Who = frozenset[str]


def only(*roles: str) -> Who:
    """Who has signed in, with one of these roles."""
    return frozenset(roles)


ANYBODY: Who = frozenset(EVERYBODY)
# Whoever has a token: a guest's is given without asking. A machine in the lobby opens its own pages only.
VISITORS: Who = ANYBODY - {NOBODY, "kiosk"}

COUNTER = only("counter")
OFFICE = only("back_office", "manager")
MANAGER = only("manager")
OFFICE_AND_COUNTER = only("counter", "back_office", "manager")
PRACTISE = only("counter", "back_office", "coordinator", "manager")
KIOSK = only("kiosk")
HELPER = only("helper")
ROSTER = only("coordinator", "manager")
NOTICES = only("counter", "manager")
OPERATOR = only("operator")
PRIVACY = only("privacy_officer")
SERVICES = ("routing", "booking", "notifications")

# Served by each service.
EVERYWHERE = ("GET /healthz", "GET /readyz", "GET /static/{name}")
SCHEMA = ("schema", "schema/openapi.json")
# Of each service, below its own name: what stopped on the way to it.
DEAD_LETTERS = (
    ("GET", "dead-letters"),
    ("GET", "dead-letters/{event_id}"),
    ("GET", "dead-letters/{event_id}/replay"),
    ("POST", "dead-letters/{event_id}/replay"),
    ("GET", "dead-letters/{event_id}/discard"),
    ("POST", "dead-letters/{event_id}/discard"),
)

WHO_MAY: dict[str, Who] = {
    # --- routing: what ---
    # The front door: what can be done and how.
    "routing GET /": ANYBODY,
    "routing GET /search": ANYBODY,
    "routing GET /p/{code}": ANYBODY,
    "routing GET /e/{code}": ANYBODY,
    "routing GET /procedures/{code}": ANYBODY,
    "routing GET /procedures/{code}/situation": ANYBODY,
    "routing GET /routing/api/procedures": ANYBODY,
    "routing GET /life-events/{code}": ANYBODY,
    "routing GET /language": ANYBODY,
    # Mint the guest's token if there is none.
    "routing POST /life-events/{code}": ANYBODY,
    "routing POST /procedures/{code}/situation": ANYBODY,
    "routing POST /cases": ANYBODY,
    # Opened by the guest who sent it, or by a cookie for this application alone: from the link, or number and code.
    "routing GET /a/{token}": ANYBODY,
    "routing GET /a/{token}/feedback": ANYBODY,
    "routing GET /applications/find": ANYBODY,
    "routing POST /applications/find": ANYBODY,
    "routing GET /applications/{number}": ANYBODY,
    "routing GET /applications/{number}/cover": ANYBODY,
    "routing POST /applications/{number}/withdraw": ANYBODY,
    # Where tokens come from; nobody can have one before.
    "routing GET /session/renew": ANYBODY,
    "routing POST /session/renew": ANYBODY,
    "routing GET /sign-in": ANYBODY,
    "routing POST /sign-in": ANYBODY,
    "routing POST /sign-out": ANYBODY,
    # One's own cases, which each checks: staff have those that they began for somebody.
    "routing GET /cases/{case_id}": VISITORS,
    "routing GET /cases/{case_id}/you": VISITORS,
    "routing POST /cases/{case_id}/you": VISITORS,
    "routing GET /cases/{case_id}/handover": VISITORS,
    "routing POST /cases/{case_id}/handover": VISITORS,
    "routing GET /cases/{case_id}/pass": VISITORS,
    "routing GET /cases/{case_id}/device": VISITORS,
    "routing POST /cases/{case_id}/device": VISITORS,
    "routing GET /cases/{case_id}/device/end": VISITORS,
    "routing POST /cases/{case_id}/device/end": VISITORS,
    # Whoever has a link, or number and code, opens one case: as a guest of their own.
    "routing GET /resume": ANYBODY,
    "routing POST /resume": VISITORS,
    "routing GET /resume/{token}": ANYBODY,
    "routing POST /resume/{token}": VISITORS,
    "routing GET /cases/{case_id}/identity": VISITORS,
    "routing POST /cases/{case_id}/identity": VISITORS,
    "routing GET /cases/{case_id}/identity/take": VISITORS,
    "routing POST /cases/{case_id}/identity/take": VISITORS,
    "routing GET /identity/callback": VISITORS,
    "routing GET /cases/{case_id}/ways": VISITORS,
    "routing GET /cases/{case_id}/reuse": VISITORS,
    "routing POST /cases/{case_id}/reuse": VISITORS,
    # Whose it is: staff have said so before, and are led on.
    "routing GET /cases/{case_id}/person": VISITORS,
    "routing POST /cases/{case_id}/person": VISITORS,
    "routing GET /cases/{case_id}/family": VISITORS,
    "routing POST /cases/{case_id}/family": VISITORS,
    "routing GET /cases/{case_id}/form": VISITORS,
    "routing POST /cases/{case_id}/form": VISITORS,
    # Files of one's own case, which each checks.
    "routing GET /cases/{case_id}/attachments": VISITORS,
    "routing POST /cases/{case_id}/attachments": VISITORS,
    "routing GET /cases/{case_id}/attachments/{file_id}": VISITORS,
    "routing POST /cases/{case_id}/attachments/{file_id}/remove": VISITORS,
    "routing GET /cases/{case_id}/attachments/{file_id}/remove": VISITORS,
    "routing GET /cases/{case_id}/check": VISITORS,
    "routing POST /cases/{case_id}/submit": VISITORS,
    "routing POST /cases/{case_id}/channel": VISITORS,
    "routing POST /cases/{case_id}/fields": VISITORS,
    "routing POST /cases/{case_id}/draft": VISITORS,
    # Where forms are sent, opened as a page: leads to the case.
    "routing GET /cases/{case_id}/channel": VISITORS,
    "routing GET /cases/{case_id}/submit": VISITORS,
    "routing GET /cases/{case_id}/fields": VISITORS,
    "routing GET /cases/{case_id}/draft": VISITORS,
    "routing GET /cases/{case_id}/switched": VISITORS,
    "routing GET /cases/{case_id}/prepared": VISITORS,
    "routing GET /cases/{case_id}/sheet": VISITORS,
    # Nobody's: to fill in by hand.
    "routing GET /procedures/{code}/sheet": ANYBODY,
    # What was prepared, gone through at the counter by the offices that deal with it, which each checks.
    "routing GET /office/find": OFFICE_AND_COUNTER,
    "routing POST /office/find": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/desk": OFFICE_AND_COUNTER,
    "routing POST /office/cases/{case_id}/desk": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/desk/items/{item}": OFFICE_AND_COUNTER,
    "routing POST /office/cases/{case_id}/desk/items/{item}": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/confirm": OFFICE_AND_COUNTER,
    "routing POST /office/cases/{case_id}/confirm": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/confirmed": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/desk/print": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/desk/export.json": OFFICE,
    "routing GET /office/confirmed-case.schema.json": OFFICE,
    "routing POST /cases/{case_id}/visit": VISITORS,
    "routing GET /cases/{case_id}/visit": VISITORS,
    "routing GET /plans/{plan_id}": VISITORS,
    "routing GET /plans/{plan_id}/begin": VISITORS,
    "routing POST /plans/{plan_id}/begin": VISITORS,
    "routing GET /plans/{plan_id}/together": VISITORS,
    "routing POST /plans/{plan_id}/together": VISITORS,
    # One form for several: of one's own plan, which each checks; staff are led to somebody's cases one by one.
    "routing POST /plans/{plan_id}/online": VISITORS,
    "routing GET /plans/{plan_id}/online": VISITORS,
    "routing GET /plans/{plan_id}/form": VISITORS,
    "routing POST /plans/{plan_id}/form": VISITORS,
    "routing POST /plans/{plan_id}/fields": VISITORS,
    "routing POST /plans/{plan_id}/person": VISITORS,
    "routing POST /plans/{plan_id}/take-out": VISITORS,
    "routing GET /plans/{plan_id}/reuse": VISITORS,
    "routing POST /plans/{plan_id}/reuse": VISITORS,
    "routing GET /plans/{plan_id}/you": VISITORS,
    "routing POST /plans/{plan_id}/you": VISITORS,
    "routing GET /plans/{plan_id}/check": VISITORS,
    "routing POST /plans/{plan_id}/submit": VISITORS,
    "routing GET /plans/{plan_id}/sent": VISITORS,
    # Where forms are sent, opened as a page: leads to the form.
    "routing GET /plans/{plan_id}/fields": VISITORS,
    "routing GET /plans/{plan_id}/person": VISITORS,
    "routing GET /plans/{plan_id}/take-out": VISITORS,
    "routing GET /plans/{plan_id}/submit": VISITORS,
    "routing GET /my": VISITORS,
    "routing GET /my/print": VISITORS,
    "routing GET /office/figures": MANAGER,
    "routing GET /office/figures.csv": MANAGER,
    "routing GET /my/data": VISITORS,
    "routing GET /my/data.json": VISITORS,
    "routing GET /my/data/{key}": VISITORS,
    "routing POST /my/data/{key}": VISITORS,
    "routing POST /my/data/{key}/stop": VISITORS,
    "routing POST /my/data/{key}/allow": VISITORS,
    "routing GET /my/data/{key}/stop": VISITORS,
    "routing GET /my/data/{key}/allow": VISITORS,
    "routing GET /my/history": VISITORS,
    "routing GET /my/history/print": VISITORS,
    "routing GET /my/history.json": VISITORS,
    "routing GET /my/receipt": VISITORS,
    "routing GET /my/receipt.json": VISITORS,
    # What each ledger came to, day by day: for everybody to keep.
    "routing GET /open-data/ledger": ANYBODY,
    "routing GET /open-data/ledger/checkpoints.json": ANYBODY,
    "routing GET /open-data/ledger/checkpoints.csv": ANYBODY,
    "routing GET /open-data/ledger/{day}": ANYBODY,
    # How the channels serve: counts, and no small ones.
    "routing GET /quality": ANYBODY,
    "routing GET /open-data/quality": ANYBODY,
    "routing GET /open-data/quality/figures.json": ANYBODY,
    "routing GET /open-data/quality/figures.csv": ANYBODY,
    # Of one's own case, which each checks.
    # As the thread: whoever has opened the case by a link may say once how it went.
    "routing GET /cases/{case_id}/feedback": ANYBODY,
    "routing POST /cases/{case_id}/feedback": ANYBODY,
    # The case's own guest or staff, or whoever opened its application or its appointment, by a cookie for it alone.
    "routing GET /cases/{case_id}/thread": ANYBODY,
    "routing GET /cases/{case_id}/print": ANYBODY,
    "routing POST /cases/open": ANYBODY,
    "routing GET /cases/{case_id}/close": VISITORS,
    "routing POST /cases/{case_id}/close": VISITORS,
    "routing GET /my/erase": VISITORS,
    "routing POST /my/erase": VISITORS,
    # With the receipt's number: it says how far an erasure is, and of nobody that it was theirs.
    "routing GET /erasures/{number}": ANYBODY,
    # About an entry of one's own history, which each checks.
    "routing GET /my/history/{entry_id}/{kind}": VISITORS,
    "routing POST /my/history/{entry_id}/{kind}": VISITORS,
    "routing GET /my/inquiries/{number}": VISITORS,
    "routing GET /my/inquiries/{number}/{action}": VISITORS,
    "routing POST /my/inquiries/{number}/{action}": VISITORS,
    # The back office, each for the applications of its own office; a manager for all.
    "routing GET /office": OFFICE,
    "routing GET /office/applications/{application_id}": OFFICE,
    "routing GET /office/applications/{application_id}/{action}": OFFICE,
    "routing GET /office/applications/{application_id}/attachments/{file_id}": OFFICE,
    "routing POST /office/applications/{application_id}/{action}": OFFICE,
    # What is held back of a protected person: the office that decides. Which of these people may say so, each checks.
    "routing GET /office/applications/{application_id}/held-back": OFFICE,
    "routing POST /office/applications/{application_id}/held-back": OFFICE,
    "routing GET /office/applications/{application_id}/assign": OFFICE,
    "routing POST /office/applications/{application_id}/assign": OFFICE,
    "routing GET /office/applications/{application_id}/checks": OFFICE,
    "routing POST /office/applications/{application_id}/checks": OFFICE,
    "routing GET /office/applications/{application_id}/print": OFFICE,
    "routing GET /office/applications/{application_id}/export.json": OFFICE,
    "routing GET /office/application.schema.json": OFFICE,
    "routing GET /office/protection": OFFICE,
    "routing POST /office/protection": OFFICE,
    "routing GET /office/cases/{case_id}/protection": OFFICE,
    "routing POST /office/cases/{case_id}/protection": OFFICE,
    # The inquiries of its own office; a manager those of all.
    "routing GET /office/inquiries": OFFICE,
    "routing GET /office/inquiries/{number}": OFFICE,
    "routing GET /office/inquiries/{number}/answer": OFFICE,
    "routing POST /office/inquiries/{number}/answer": OFFICE,
    # What people said of the procedures of its own office; a manager, of all.
    "routing GET /office/feedback": OFFICE,
    "routing GET /office/feedback/{case_id}": OFFICE,
    "routing GET /office/feedback/{case_id}/{action}": OFFICE,
    "routing POST /office/feedback/{case_id}/{action}": OFFICE,
    "routing GET /office/catalogue": MANAGER,
    "routing GET /office/catalogue/{kind}": MANAGER,
    "routing GET /office/catalogue/{kind}/edit": MANAGER,
    "routing POST /office/catalogue/{kind}/edit": MANAGER,
    "routing GET /office/catalogue/history": MANAGER,
    "routing POST /office/catalogue/history": MANAGER,
    "routing GET /office/catalogue/publish": MANAGER,
    "routing POST /office/catalogue/publish": MANAGER,
    # The way to the practice town; in it, to begin anew.
    "routing GET /office/practice": PRACTISE,
    "routing POST /office/practice": PRACTISE,
    # The draft as residents will see it: nobody else may.
    "routing GET /office/catalogue/preview": MANAGER,
    "routing GET /office/catalogue/preview/search": MANAGER,
    "routing GET /office/catalogue/preview/procedures/{code}": MANAGER,
    "routing GET /office/catalogue/preview/life-events/{code}": MANAGER,
    "routing GET /office/quality": MANAGER,
    "routing POST /office/quality": MANAGER,
    # What its own office read and used; a manager, all of them.
    "routing GET /office/uses": OFFICE,
    # Who of the staff reads more than their work asks for.
    "routing GET /office/watch": PRIVACY,
    "routing POST /office/watch": PRIVACY,
    # For somebody on the phone or at the desk.
    "routing GET /office/behalf": OFFICE_AND_COUNTER,
    "routing GET /office/behalf/{code}": OFFICE_AND_COUNTER,
    "routing POST /office/behalf/{code}": OFFICE_AND_COUNTER,
    # What was given, beside the tablet's line.
    "routing GET /office/cases/{case_id}/fragment": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/ways": OFFICE_AND_COUNTER,
    "routing GET /office/cases/{case_id}/channel": OFFICE_AND_COUNTER,
    "routing POST /office/cases/{case_id}/channel": OFFICE_AND_COUNTER,
    # --- booking: when and where ---
    # Free times say nothing of anybody.
    "booking GET /booking": ANYBODY,
    "booking GET /booking/api/slots": ANYBODY,
    "booking GET /booking/api/slots/{slot_id}/alternatives": ANYBODY,
    "booking GET /booking/api/days": ANYBODY,
    "booking GET /booking/api/free": ANYBODY,
    "booking GET /booking/api/earliest": ANYBODY,
    "booking GET /booking/api/line": ANYBODY,
    "booking GET /booking/api/draws": ANYBODY,
    "booking GET /booking/api/draws/{draw_id}/record": ANYBODY,
    "booking GET /booking/language": ANYBODY,
    # Numbers only, for a screen in the hall.
    "booking GET /board": ANYBODY,
    "booking GET /board/now": ANYBODY,
    # Opened by number and code, or by the link; afterwards by a cookie for this appointment alone, which each checks.
    "booking GET /booking/find": ANYBODY,
    "booking POST /booking/find": ANYBODY,
    "booking GET /booking/a/{token}": ANYBODY,
    "booking GET /booking/appointments/{number}": ANYBODY,
    "booking GET /booking/appointments/{number}/slip": ANYBODY,
    "booking GET /booking/appointments/{number}/qr.svg": ANYBODY,
    "booking GET /booking/appointments/{number}/calendar.ics": ANYBODY,
    "booking GET /booking/appointments/{number}/change": ANYBODY,
    "booking POST /booking/appointments/{number}/change": ANYBODY,
    "booking GET /booking/appointments/{number}/cancel": ANYBODY,
    "booking POST /booking/appointments/{number}/cancel": ANYBODY,
    "booking GET /booking/appointments/{number}/move": ANYBODY,
    "booking POST /booking/appointments/{number}/move": ANYBODY,
    "booking GET /booking/appointments/{number}/earlier": ANYBODY,
    "booking POST /booking/appointments/{number}/earlier": ANYBODY,
    "booking GET /booking/api/appointments/{number}": ANYBODY,
    "booking GET /booking/api/appointments/{number}/calendar.ics": ANYBODY,
    "booking GET /booking/api/appointments/{number}/offer": ANYBODY,
    "booking POST /booking/api/appointments/{number}/offer": ANYBODY,
    "booking DELETE /booking/api/appointments/{number}/offer": ANYBODY,
    "booking GET /booking/api/appointments/{number}/chain-offer": ANYBODY,
    "booking GET /booking/api/appointments/{number}/waiting": ANYBODY,
    "booking PUT /booking/api/appointments/{number}/waiting": ANYBODY,
    "booking DELETE /booking/api/appointments/{number}/waiting": ANYBODY,
    "booking GET /booking/api/appointments/{number}/moves": ANYBODY,
    "booking POST /booking/api/appointments/{number}/move": ANYBODY,
    "booking POST /booking/api/appointments/{number}/change": ANYBODY,
    "booking POST /booking/api/appointments/{number}/cancel": ANYBODY,
    "booking POST /booking/api/access": ANYBODY,
    "booking POST /booking/api/draws/{draw_id}/access": ANYBODY,
    "booking GET /booking/api/draws/{draw_id}/entries/{number}": ANYBODY,
    "booking PUT /booking/api/draws/{draw_id}/entries/{number}": ANYBODY,
    "booking DELETE /booking/api/draws/{draw_id}/entries/{number}": ANYBODY,
    # Draws and their records name nobody; an entry is opened as an appointment is.
    "booking GET /booking/draws": ANYBODY,
    "booking GET /booking/draws/{draw_id}": ANYBODY,
    "booking GET /booking/draws/{draw_id}/record.json": ANYBODY,
    "booking GET /booking/draws/{draw_id}/entry": ANYBODY,
    "booking GET /open-data/draws": ANYBODY,
    "booking GET /open-data/draws/draws.json": ANYBODY,
    "booking GET /open-data/draws/draws.csv": ANYBODY,
    "booking GET /open-data/draws/{draw_id}/result.csv": ANYBODY,
    "booking POST /booking/draws/{draw_id}/entry": ANYBODY,
    "booking GET /booking/draws/{draw_id}/entries/{number}": ANYBODY,
    "booking POST /booking/draws/{draw_id}/entries/{number}": ANYBODY,
    # Forgets those cookies; who has none loses nothing.
    "booking GET /booking/forget": ANYBODY,
    # A calendar program has no session: the address is the secret, and tells times and venues only.
    "booking GET /helpers/calendar/{token}": ANYBODY,
    # From the pass to the appointment, each in their own visit.
    "booking POST /booking/arrive": VISITORS,
    "booking GET /booking/visits/{visit_id}": VISITORS,
    "booking POST /booking/visits/{visit_id}/services": VISITORS,
    "booking POST /booking/visits/{visit_id}/hold": VISITORS,
    "booking GET /booking/visits/{visit_id}/confirm": VISITORS,
    "booking POST /booking/visits/{visit_id}/book": VISITORS,
    "booking POST /booking/visits/{visit_id}/release": VISITORS,
    "booking GET /booking/visits/{visit_id}/draws/{draw_id}": VISITORS,
    "booking POST /booking/visits/{visit_id}/draws/{draw_id}": VISITORS,
    "booking GET /booking/visits/{visit_id}/chains": VISITORS,
    "booking POST /booking/visits/{visit_id}/chains": VISITORS,
    "booking GET /booking/visits/{visit_id}/chains/confirm": VISITORS,
    "booking POST /booking/visits/{visit_id}/chains/book": VISITORS,
    "booking POST /booking/api/visits": VISITORS,
    "booking GET /booking/api/visits/{visit_id}": VISITORS,
    "booking DELETE /booking/api/visits/{visit_id}/hold": VISITORS,
    "booking GET /booking/api/visits/{visit_id}/services": VISITORS,
    "booking PUT /booking/api/visits/{visit_id}/services": VISITORS,
    "booking GET /booking/api/visits/{visit_id}/chains": VISITORS,
    "booking POST /booking/api/chains/holds": VISITORS,
    "booking POST /booking/api/chains": VISITORS,
    "booking POST /booking/api/draws/{draw_id}/entries": VISITORS,
    "booking POST /booking/api/holds": VISITORS,
    "booking POST /booking/api/appointments": VISITORS,
    # The line of the day.
    "booking GET /counter": COUNTER,
    "booking GET /counter/line": COUNTER,
    "booking GET /counter/events": COUNTER,
    "booking GET /counter/check-in": COUNTER,
    "booking POST /counter/check-in": COUNTER,
    "booking GET /counter/walk-ins": COUNTER,
    "booking POST /counter/walk-ins": COUNTER,
    "booking GET /counter/tickets/{appointment_id}": COUNTER,
    "booking GET /counter/{appointment_id}/{action}": COUNTER,
    "booking POST /counter/{appointment_id}/{action}": COUNTER,
    "booking GET /counter/{appointment_id}/finish": COUNTER,
    "booking POST /counter/{appointment_id}/finish": COUNTER,
    "booking POST /booking/api/line/{appointment_id}/finish": COUNTER,
    "booking GET /booking/api/line/payments": COUNTER,
    "booking GET /counter/cash": COUNTER,
    "booking GET /counter/cash.csv": COUNTER,
    # The ticket machine in the lobby: nothing else is open to it, and it is open to nobody else.
    "booking GET /kiosk": KIOSK,
    "booking GET /kiosk/procedures/{code}": KIOSK,
    "booking GET /kiosk/tickets": KIOSK,
    "booking POST /kiosk/tickets": KIOSK,
    "booking GET /kiosk/tickets/{appointment_id}": KIOSK,
    "booking GET /kiosk/appointments": KIOSK,
    "booking POST /kiosk/appointments": KIOSK,
    "booking GET /kiosk/appointments/{appointment_id}": KIOSK,
    # When counters and venues are open: looked at before it is published.
    "booking GET /counter/opening": ROSTER,
    "booking GET /counter/opening/{counter}": ROSTER,
    "booking GET /counter/opening/{counter}/preview": ROSTER,
    "booking GET /counter/opening/{counter}/publish": ROSTER,
    "booking GET /counter/opening/{counter}/withdraw": ROSTER,
    "booking POST /counter/opening/{counter}/preview": ROSTER,
    "booking POST /counter/opening/{counter}/publish": ROSTER,
    "booking POST /counter/opening/{counter}/withdraw": ROSTER,
    "booking GET /booking/api/opening": ROSTER,
    "booking GET /booking/api/opening/{counter}": ROSTER,
    "booking POST /booking/api/opening/{counter}/preview": ROSTER,
    "booking POST /booking/api/opening/{counter}/versions": ROSTER,
    "booking DELETE /booking/api/opening/{counter}/versions/{version}": ROSTER,
    # Nobody is served for a time: whom it concerns is shown by number, and asked to move.
    "booking GET /counter/close": MANAGER,
    "booking GET /counter/close/preview": MANAGER,
    "booking POST /counter/close": MANAGER,
    "booking GET /counter/close/{closing_id}": MANAGER,
    "booking GET /counter/close/{closing_id}/reopen": MANAGER,
    "booking POST /counter/close/{closing_id}/reopen": MANAGER,
    "booking GET /counter/webhooks": MANAGER,
    "booking POST /counter/webhooks": MANAGER,
    "booking GET /counter/webhooks/{endpoint_id}": MANAGER,
    "booking GET /counter/webhooks/{endpoint_id}/{action}": MANAGER,
    "booking POST /counter/webhooks/{endpoint_id}/{action}": MANAGER,
    "booking POST /booking/api/draws": MANAGER,
    "booking POST /booking/api/draws/{draw_id}/call-off": MANAGER,
    "booking GET /booking/api/webhooks": MANAGER,
    "booking POST /booking/api/webhooks": MANAGER,
    "booking GET /booking/api/webhooks/{endpoint_id}": MANAGER,
    "booking DELETE /booking/api/webhooks/{endpoint_id}": MANAGER,
    "booking POST /booking/api/webhooks/{endpoint_id}/state": MANAGER,
    "booking POST /booking/api/webhooks/{endpoint_id}/test": MANAGER,
    "booking POST /booking/api/webhooks/{endpoint_id}/secret": MANAGER,
    "booking GET /booking/api/closings": MANAGER,
    "booking POST /booking/api/closings/preview": MANAGER,
    "booking POST /booking/api/closings": MANAGER,
    "booking GET /booking/api/closings/{closing_id}": MANAGER,
    "booking POST /booking/api/closings/{closing_id}/reopen": MANAGER,
    "booking GET /counter/draws": MANAGER,
    "booking POST /counter/draws": MANAGER,
    "booking GET /counter/draws/{draw_id}/call-off": MANAGER,
    "booking POST /counter/draws/{draw_id}/call-off": MANAGER,
    # The same in JSON, by numbers and tickets: no name is opened.
    "booking GET /booking/api/line/today": COUNTER,
    "booking POST /booking/api/line/check-in": COUNTER,
    "booking POST /booking/api/line/walk-ins": COUNTER,
    "booking POST /booking/api/line/{appointment_id}/step": COUNTER,
    "booking GET /booking/api/kiosk/procedures": KIOSK,
    "booking GET /booking/api/kiosk/procedures/{procedure}": KIOSK,
    "booking POST /booking/api/kiosk/tickets": KIOSK,
    "booking POST /booking/api/kiosk/appointments": KIOSK,
    "booking GET /booking/api/helpers/venues": HELPER,
    "booking GET /booking/api/helpers/shifts": HELPER,
    "booking POST /booking/api/helpers/shifts": HELPER,
    "booking DELETE /booking/api/helpers/shifts/{shift_id}": HELPER,
    "booking GET /booking/api/helpers/requests": HELPER,
    "booking POST /booking/api/helpers/requests/{assignment_id}/answer": HELPER,
    "booking GET /booking/api/helpers/calendar": HELPER,
    "booking POST /booking/api/helpers/calendar": HELPER,
    "booking GET /booking/api/roster/shifts": ROSTER,
    "booking GET /booking/api/roster/requests": ROSTER,
    "booking POST /booking/api/roster/requests/{assignment_id}/reassign": ROSTER,
    # A helper's own times and requests; who helps and who is missing.
    "booking GET /helpers": HELPER,
    "booking GET /helpers/requests/{assignment_id}/{answer}": HELPER,
    "booking POST /helpers/requests/{assignment_id}/{answer}": HELPER,
    "booking POST /helpers/requests/{assignment_id}/switch": HELPER,
    "booking GET /helpers/calendar": HELPER,
    "booking POST /helpers/calendar": HELPER,
    "booking GET /helpers/shifts": HELPER,
    "booking POST /helpers/shifts": HELPER,
    "booking GET /helpers/shifts/{shift_id}/remove": HELPER,
    "booking POST /helpers/shifts/{shift_id}/remove": HELPER,
    "booking GET /helpers/roster": ROSTER,
    "booking GET /helpers/roster/{assignment_id}/reassign": ROSTER,
    "booking POST /helpers/roster/{assignment_id}/reassign": ROSTER,
    # --- notifications: how to reach ---
    "notifications GET /notifications/language": ANYBODY,
    # The SMS gateway, with a secret of its own: without it 401, which a test of the service sees.
    "notifications POST /notifications/api/receipts/{provider}": ANYBODY,
    "notifications GET /notices": NOTICES,
    "notifications GET /notices/tasks/{task_id}/contact": NOTICES,
    "notifications POST /notices/tasks/{task_id}/contact": NOTICES,
    "notifications GET /notices/tasks/{task_id}/done": NOTICES,
    "notifications POST /notices/tasks/{task_id}/done": NOTICES,
    "notifications GET /notices/tasks/{task_id}/undo": NOTICES,
    "notifications POST /notices/tasks/{task_id}/undo": NOTICES,
    # --- health, as the proxy reaches it ---
    "booking GET /booking/healthz": ANYBODY,
    "booking GET /booking/readyz": ANYBODY,
    "notifications GET /notifications/healthz": ANYBODY,
    "notifications GET /notifications/readyz": ANYBODY,
}
WHO_MAY |= {f"{service} {way}": ANYBODY for service in SERVICES for way in EVERYWHERE}
# What programs read of the JSON; routing answers for the whole site.
WHO_MAY |= {f"{service} GET /{service}/{path}": ANYBODY for service in SERVICES for path in SCHEMA}
WHO_MAY |= {f"routing GET /{path}": ANYBODY for path in SCHEMA}
# Hashes only, of entries whose random ids one must know.
WHO_MAY |= {
    f"{service} {method} /{service}/api/ledger/{path}": ANYBODY
    for service in SERVICES
    for method, path in (("GET", "proofs/{entry_id}"), ("POST", "proofs"), ("GET", "consistency"))
}
WHO_MAY |= {f"{service} {method} /{service}/{path}": OPERATOR for service in SERVICES for method, path in DEAD_LETTERS}
