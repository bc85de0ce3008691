"""What was sent to somebody who signs in without a password, whether or not the message has come."""

import base64
import hashlib
import secrets

from services.routing.keys import make_keys
from services.routing.settings import load_settings
from tests.journeys.database import ask
from tests.stack import Stack

# Whoever is signed in has been so for an hour.
LONG_AGO = "UPDATE routing.session SET created_at = created_at - interval '1 h' WHERE kind = 'helper'"
NEWEST = "SELECT municipality, asking_id FROM routing.sign_in_asking ORDER BY asked_at DESC, asking_id LIMIT 1"


def code_sent(stack: Stack) -> str:
    """The six digits of the newest message: they follow from what was asked, and the master key."""
    [row] = ask(stack, NEWEST)
    return make_keys(load_settings(stack.environ)).application_code(row["municipality"], row["asking_id"])


def link_sent(stack: Stack) -> str:
    """The path of the newest message's link. Only its hash is kept: here it gets another token."""
    [row] = ask(stack, NEWEST)
    token = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    ask(
        stack,
        "UPDATE routing.sign_in_asking SET link_hash = $1 WHERE asking_id = $2",
        hashlib.sha256(token.encode()).digest(),
        row["asking_id"],
    )
    return f"/sign-in/link/{token}"
