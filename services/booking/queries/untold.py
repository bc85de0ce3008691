"""Which appointments their owners know nothing of: those of requests for help that no helper has accepted yet."""

# Of an appointment `{row}`.
UNTOLD = """EXISTS (
    SELECT FROM help_request u
    WHERE (u.municipality, u.appointment_id) = ({row}.municipality, {row}.appointment_id) AND u.state = 'open')"""
