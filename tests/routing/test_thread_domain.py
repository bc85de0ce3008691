"""The thread of a case: the same facts make the same thread, and its words are the words of what happened."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.routing.domain.applications import STATES
from services.routing.domain.thread import (
    ApplicationStep,
    AppointmentStep,
    CaseStep,
    ItemsUsed,
    Notice,
    find_standing,
    make_thread,
    may_close,
)
from tests.routing.makers import NOW

STEPS = ("booked", "checked_in", "called", "serving", "done", "no_show", "cancelled")


def make_step(version: int, state: str, **changes: Any) -> AppointmentStep:
    values: dict[str, Any] = {
        "number": "K4M7RXA", "version": version, "office": "子育て", "counter": "7", "starts_at": NOW, "state": state,
        "helper": "none", "closure": "none", "occurred_at": NOW + timedelta(minutes=version),
    }  # fmt: skip
    return AppointmentStep(**(values | changes))


def kinds(*steps: AppointmentStep) -> list[str]:
    """What happened, the first first."""
    return [entry.kind for entry in reversed(make_thread(appointment_steps=steps))]


def test_an_appointment_is_told_from_one_state_to_the_next() -> None:
    later = NOW + timedelta(days=1)
    assert kinds(
        make_step(1, "booked"),
        make_step(2, "booked", starts_at=later),
        make_step(3, "booked", starts_at=later, closure="asked"),
        make_step(4, "booked", starts_at=later),
        make_step(5, "checked_in", starts_at=later),
        make_step(6, "called", starts_at=later),
        make_step(7, "checked_in", starts_at=later),
        make_step(8, "called", starts_at=later),
        make_step(9, "serving", starts_at=later),
        make_step(10, "done", starts_at=later),
    ) == ["booked", "moved", "closure", "reopened", "arrived", "called", "called", "serving", "done"]


def test_what_moves_out_of_a_closing_moved_and_a_helper_is_found_or_not() -> None:
    later = NOW + timedelta(days=1)
    closed = make_step(2, "booked", closure="staff")
    assert kinds(make_step(1, "booked"), closed, make_step(3, "booked", starts_at=later)) == [
        "booked", "closure", "moved",
    ]  # fmt: skip
    asked = make_step(1, "booked", helper="asked")
    assert kinds(asked, make_step(2, "booked", helper="accepted")) == ["booked", "helper_found"]
    assert kinds(asked, make_step(2, "cancelled", helper="nobody")) == ["booked", "helper_nobody", "cancelled"]


def test_what_is_under_way_still_leaves_no_wrong_word() -> None:
    """Of five states the second and the fourth are not here yet."""
    assert kinds(make_step(1, "booked"), make_step(3, "called"), make_step(5, "done")) == ["booked", "called", "done"]
    assert kinds(make_step(4, "cancelled")) == ["cancelled"]


@st.composite
def facts(draw: st.DrawFn) -> dict[str, Any]:
    moments = st.integers(0, 5).map(lambda minutes: NOW + timedelta(minutes=minutes))
    versions = draw(st.lists(st.integers(1, 9), unique=True, max_size=6))
    return {
        "case_steps": [
            CaseStep(version=version, kind=draw(st.sampled_from(("begun", "switched", "closed"))), channel="counter",
                     actor_kind="guest", occurred_at=draw(moments))
            for version in versions
        ],
        "application_steps": [
            ApplicationStep(version=version, state=draw(st.sampled_from(STATES)), occurred_at=draw(moments),
                            actor_kind="guest", office="子育て")
            for version in draw(st.lists(st.integers(1, 9), unique=True, max_size=6))
        ],
        "appointment_steps": [
            make_step(version, draw(st.sampled_from(STEPS)), number=number, occurred_at=draw(moments))
            for number in ("A", "B")
            for version in draw(st.lists(st.integers(1, 9), unique=True, max_size=6))
        ],
        "notices": [
            Notice(kind=kind, way="email", state="sent", occurred_at=draw(moments))
            for kind in draw(st.lists(st.sampled_from(("confirmation", "change", "reminder")), max_size=4))
        ],
        "used": [
            ItemsUsed(kind="given", items=(item,), actor_kind="guest", office=None, occurred_at=draw(moments))
            for item in draw(st.lists(st.sampled_from(("name", "kana", "address")), max_size=4))
        ],
    }  # fmt: skip


@given(facts(), st.randoms(use_true_random=False))
def test_in_whatever_order_facts_came_the_thread_is_the_same(known: dict[str, Any], chance: Any) -> None:
    """Seen to fail where `make_thread` takes each list as it comes."""
    shuffled: dict[str, Any] = {name: chance.sample(each, len(each)) for name, each in known.items()}
    thread = make_thread(**known)
    assert make_thread(**shuffled) == thread
    assert [entry.at for entry in thread] == sorted((entry.at for entry in thread), reverse=True)
    assert all(msgspec.json.encode(entry) for entry in thread)


@pytest.mark.parametrize(
    ("case_state", "application", "appointments", "is_closed", "standing"),
    [
        ("opened", None, [], False, "open"),
        ("handed_over", None, [], True, "closed"),
        ("handed_over", None, ["booked"], False, "booked"),
        # A time that was chosen in another tab, after it was given up.
        ("handed_over", None, ["booked"], True, "booked"),
        ("handed_over", None, ["cancelled"], False, "over"),
        ("handed_over", None, ["cancelled", "booked"], False, "booked"),
        ("handed_over", None, ["done"], False, "over"),
        ("submitted", "submitted", [], False, "sent"),
        ("submitted", "correction_asked", [], False, "sent"),
        ("told", "visit_asked", [], False, "open"),
        ("told", "visit_asked", ["cancelled"], False, "open"),
        ("submitted", "completed", [], False, "over"),
        ("submitted", "withdrawn", [], False, "over"),
    ],
)
def test_where_a_case_stands(
    case_state: str, application: Any, appointments: list[str], is_closed: bool, standing: str
) -> None:
    found = find_standing(
        case_state=case_state, application_state=application, appointment_states=appointments, is_closed=is_closed
    )
    assert found == standing
    assert may_close(found, application, is_booked=False) == (standing == "open" and application is None)
    assert not may_close(found, application, is_booked=True)
