"""An operator reads what every event tells, and what to do about every reason why one stopped."""

from pathlib import Path

from shared.errors import Poison
from shared.events.base import event_type
from shared.events.subscriptions import SERVICES, SUBSCRIPTIONS
from shared.messaging.dead_letters import OLDER_THAN_INBOX
from shared.messaging.replay import BROKEN_OFF, SEALED_GONE
from shared.web.dead_letter_words import EVENT_NAMES, FAILED, REASONS, SERVICE_NAMES
from tests.structure.test_refusals_have_words import raised_codes

# Given by the consumer and by replays, not by a `Poison`.
OTHERS = {"attempts", OLDER_THAN_INBOX, BROKEN_OFF, SEALED_GONE}


def test_every_event_that_anybody_hears_has_its_name_and_no_two_the_same() -> None:
    assert EVENT_NAMES.keys() == SUBSCRIPTIONS.keys()
    assert len(set(EVENT_NAMES.values())) == len(EVENT_NAMES)
    assert SERVICE_NAMES.keys() == set(SERVICES)


def test_every_reason_says_what_happened_and_what_to_do_next(root_dir: Path) -> None:
    raised = {
        code
        for folder in ("services", "shared")
        for code, _ in raised_codes(root_dir / folder, {Poison.__name__: (0, "reason")})
    }
    assert len(raised) > len(OTHERS)
    assert REASONS.keys() == raised | OTHERS
    for words in (*REASONS.values(), FAILED):
        assert words.happened.endswith("。")
        assert words.next_step.endswith("。")
        assert "捨て" in words.next_step or "やり直" in words.next_step


def test_the_runbook_has_every_reason_and_every_event(root_dir: Path) -> None:
    runbook = (root_dir / "docs" / "operations.md").read_text("utf-8")
    reasons, effects = runbook.split("### Did it have its effect?")
    assert {reason for reason in REASONS if f"`{reason}`" not in reasons} == set()
    names = {event_type(kind).split(".")[1] for kind in SUBSCRIPTIONS}
    appointments = {"appointment_changed", "appointment_cancelled", "appointment_progressed"}
    assert {name for name in names - appointments if f"`{name}`" not in effects} == set()
    assert "`appointment_*`" in effects
