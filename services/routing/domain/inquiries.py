"""An inquiry (問い合わせ) about one entry of somebody's history: its states, and until when staff must answer."""

from typing import Literal, get_args

Kind = Literal["unfamiliar", "correction"]
# 「おぼえがない」「なおしてほしい」
KINDS: tuple[Kind, ...] = get_args(Kind)
State = Literal["open", "answered", "asked_again", "answered_again", "closed"]
STATES: tuple[State, ...] = get_args(State)

# What may follow what; the database has the same list (migration 0013) and refuses everything else.
MOVES: dict[State, tuple[State, ...]] = {
    "open": ("answered",),
    "answered": ("closed", "asked_again"),
    "asked_again": ("answered_again",),
    "answered_again": ("closed",),
    "closed": (),
}
# The town hall's turn, and what its answer makes of it.
WAITING: tuple[State, ...] = ("open", "asked_again")
ANSWERS: dict[State, State] = {"open": "answered", "asked_again": "answered_again"}
# What was written on reaching a state, as an item of the vault.
TEXTS: dict[State, str] = {
    "open": "inquiry",
    "answered": "inquiry_answer",
    "asked_again": "inquiry_again",
    "answered_again": "inquiry_answer_again",
}
TEXT_MAX_LENGTH = 1_000
# The town's own rule. The law allows 30 days for a formal request for correction (個人情報保護法94条1項) and for one to
# stop a use (102条1項); this is neither: it is asking, and asking is answered sooner.
ANSWER_WORKING_DAYS = 7
# Of one person at a time.
WAITING_MAX = 20


def may_move(state: State, to: State) -> bool:
    """Whether an inquiry may go from one state to another."""
    return to in MOVES[state]
