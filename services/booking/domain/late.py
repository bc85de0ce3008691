"""Steps that were pressed while a tablet had no network: from when they are believed to be."""

from datetime import datetime, timedelta

from shared.errors import Refusal

# A tablet's clock is corrected by what the server last said; it may still be ahead by the way of an answer.
AHEAD_MAX = timedelta(minutes=1)


def fit_moment(at: datetime, *, since: datetime, now: datetime) -> datetime:
    """When it was pressed, as it may be written down: not after now, and not before their last step (`since`).

    Raises:
        Refusal: `step_time_unfit` (409).
    """
    if at > now + AHEAD_MAX or at < since:
        raise Refusal("step_time_unfit", 409)
    return min(at, now)
