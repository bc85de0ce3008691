"""What everything that is done in `test_life_of_places.py` builds on: the town and its model, and whose turn it is."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from random import Random
from typing import Any, ClassVar, NamedTuple, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from services.booking.flow import Rush
from shared.errors import Refusal
from shared.tokens import Identity
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.life_model import Model
from tests.booking.life_opening import Codes
from tests.booking.life_town import EARLY, PROCEDURES, RULES, ask_who_won, start_again, work_off

TIMEOUT_S, SEED = 60, 0
A_MOMENT = timedelta(microseconds=1)
STAFF = Identity(municipality=TOWN, kind="staff", ref="staff", session_id="s", roles=("counter",))
WHO = ("a", "b", "staff")

indexes = st.integers(0, 5)
# Now and then what was never shown, or is not there any more.
slots = st.one_of(indexes, indexes, st.integers(6, 60))
behind = st.sampled_from((0, 0, 0, 0, 0, 1))
moments_beside = st.sampled_from((-A_MOMENT, timedelta(0), A_MOMENT))


class Dice(Random):
    """For `secrets`: who is lucky is the same in every run."""

    token_bytes = Random.randbytes


class Deed(NamedTuple):
    """What somebody may do next: how often beside others, when at all, and what is drawn for it."""

    name: str
    often: int
    when: Callable[[Any], object]
    drawn: dict[str, st.SearchStrategy[Any]]


DEEDS: list[Deed] = []
F = TypeVar("F", bound=Callable[..., None])


def deed(
    *, often: int = 2, when: Callable[[Any], object] = lambda _: True, **drawn: st.SearchStrategy[Any]
) -> Callable[[F], F]:
    """A rule of the machine. Not one of Hypothesis, which leaves out many of them for a whole example."""

    def add(work: F) -> F:
        DEEDS.append(Deed(work.__name__, often, when, drawn))
        return work

    return add


class Doing(RuleBasedStateMachine):
    """Doing something in the town and in its model; people arrive, and the worker works."""

    town: ClassVar[BookingTown]
    loop: ClassVar[asyncio.AbstractEventLoop]
    dice: ClassVar[Dice]

    def __init__(self) -> None:
        super().__init__()
        self.dice.seed(SEED)
        self.do(start_again(self.town))
        self.model = Model(EARLY, PROCEDURES, RULES)
        self.rush = Rush()
        self.visits: list[UUID] = []

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(TIMEOUT_S)

    def ask(self, refused: Codes, work: Coroutine[Any, Any, Any]) -> Any:
        """Do it, or hear one of these refusals: then None."""
        try:
            answer = self.do(work)
        except Refusal as refusal:
            answer, told = None, refusal.code
        else:
            told = "done"
        assert told in (refused or {"done"})
        return answer

    def run(self, work: Callable[..., Coroutine[Any, Any, Any]], *order: Any) -> Coroutine[Any, Any, Any]:
        """A command in its transaction, as pages and API run it."""
        return self.rush.run(self.town.db, TOWN, lambda session: work(session, *order, now=self.town.now))

    def some_visit(self) -> bool:
        return bool(self.visits)

    @deed(often=1, who=st.sampled_from(WHO), procedure=st.sampled_from(sorted(PROCEDURES)))
    def arrive(self, who: str, procedure: str) -> None:
        behalf = "phone" if who == "staff" else None
        visit_id = self.do(self.town.visit(who, procedure=procedure, behalf=behalf))
        self.visits.append(visit_id)
        self.model.arrive(visit_id, who, procedure, is_staff=who == "staff")

    @deed()
    def work(self) -> None:
        self.do(work_off(self.town))
        self.model.told = self.do(ask_who_won(self.town, self.model))
        self.model.work()
