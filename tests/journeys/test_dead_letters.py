"""A dead letter on its whole way, with the real processes: the operator's page, routing's worker, booking's outbox."""

from tests.journeys.database import ask, wait_for
from tests.journeys.resident import Resident
from tests.stack import STAFF_PASSWORD, Stack, run_cli

LOGIN = "unyou"
# Something that booking has told routing, as if routing had refused it.
REFUSE = """
    WITH told AS (
        SELECT o.* FROM booking.outbox o JOIN booking.delivery d USING (municipality, event_id)
        WHERE d.consumer = 'routing' AND d.outcome = 'applied' LIMIT 1),
    at_booking AS (
        UPDATE booking.delivery d SET outcome = 'refused' FROM told
        WHERE (d.municipality, d.event_id, d.consumer) = (told.municipality, told.event_id, 'routing')),
    at_routing AS (
        UPDATE routing.inbox i SET outcome = 'refused' FROM told
        WHERE (i.municipality, i.event_id) = (told.municipality, told.event_id))
    INSERT INTO routing.dead_letter (municipality, event_id, publisher, type, payload, attempts, reason, died_at)
    SELECT municipality, event_id, 'booking', type, payload, 12, 'attempts', now() FROM told
    RETURNING event_id::text
"""
STATE = """
    SELECT (SELECT outcome FROM booking.delivery WHERE event_id = $1::text::uuid AND consumer = 'routing') AS told,
           (SELECT outcome FROM routing.inbox WHERE event_id = $1::text::uuid) AS heard,
           (SELECT count(*) FROM routing.dead_letter WHERE event_id = $1::text::uuid) AS letters
"""


def test_what_the_operator_replays_arrives_and_its_publisher_hears_of_it(stack: Stack) -> None:
    wait_for(
        lambda: bool(ask(stack, "SELECT 1 FROM booking.delivery WHERE consumer = 'routing' AND outcome = 'applied'"))
    )
    event_id = ask(stack, REFUSE)[0]["event_id"]
    run_cli(stack.environ, "account", "open", LOGIN, "--town", "143421", "--role", "operator")
    with Resident(stack.url) as operator:
        operator.get("/sign-in")
        operator.send("/sign-in", login=LOGIN, password=STAFF_PASSWORD)
        assert operator.path == "/routing/dead-letters", "where an operator's work is"
        assert f"/routing/dead-letters/{event_id}" in operator.page.text
        operator.get(f"/routing/dead-letters/{event_id}")
        operator.send("/replay")
        wait_for(lambda: tuple(ask(stack, STATE, event_id)[0]) == ("applied", "applied", 0))
        operator.get(f"/routing/dead-letters/{event_id}")
        assert operator.path == "/routing/dead-letters"
        assert "もう止まっていません" in operator.page.text
