"""A dead letter on its whole way, with the real processes: the operator's page, routing's worker, booking's outbox."""

from uuid import uuid4

import pytest

from shared.events.subscriptions import SERVICES
from tests.journeys.database import ask, let_die, wait_for
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


@pytest.fixture(scope="module", autouse=True)
def account(stack: Stack) -> None:
    run_cli(stack.environ, "account", "open", LOGIN, "--town", "143421", "--role", "operator")


def test_what_the_operator_replays_arrives_and_its_publisher_hears_of_it(stack: Stack) -> None:
    wait_for(
        lambda: bool(ask(stack, "SELECT 1 FROM booking.delivery WHERE consumer = 'routing' AND outcome = 'applied'"))
    )
    event_id = ask(stack, REFUSE)[0]["event_id"]
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


@pytest.mark.parametrize("service", SERVICES)
def test_whose_session_ends_at_a_letter_is_back_at_it_after_signing_in_again(stack: Stack, service: str) -> None:
    """By reading on, and by pressing a button. Seen to lead to the list after a press."""
    event_id = uuid4()
    let_die(stack, service, event_id)
    letter = f"/{service}/dead-letters/{event_id}"
    with Resident(stack.url) as operator:
        operator.get(letter)
        assert operator.path == "/sign-in"
        operator.send("/sign-in", login=LOGIN, password=STAFF_PASSWORD)
        assert operator.path == letter
        for presses in (False, True):
            _end_session(operator)
            if presses:
                operator.send("/replay")
            else:
                operator.get(letter)
            assert operator.path == "/sign-in"
            operator.send("/sign-in", login=LOGIN, password=STAFF_PASSWORD)
            assert operator.path == letter
        assert "やり直しを頼みました" not in operator.page.text, "nothing is done by signing in"
        operator.send("/replay")
        assert operator.path == f"/{service}/dead-letters"


def _end_session(operator: Resident) -> None:
    """As the operator would in another window; until the service has heard of it."""
    with operator.beside() as window:
        window.get(operator.path)
        window.send("/sign-out")

    def is_ended() -> bool:
        with operator.beside() as again:
            again.get(operator.path)
            return again.path == "/sign-in"

    wait_for(is_ended)
