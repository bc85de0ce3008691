"""What every page of a case that is done online says: where it goes on, what it costs, and which versions were seen."""

from collections.abc import Mapping

from litestar.response import Redirect
from sqlalchemy.ext.asyncio import AsyncSession

from services.routing.commands.online import OnlineCase
from services.routing.domain.channels import READY_CHANNELS
from services.routing.pages.fees import FeeWords, fee_words
from services.routing.queries.switching import Booked
from shared.tokens import Identity
from shared.web.pages import see_other

# Of the versions that a form brings back.
SHOWN_MAX_LENGTH = 1_000


def elsewhere_of(online: OnlineCase, *, sending: bool = False) -> Redirect | None:
    """A case that was sent has its own page; one that goes on another way is there.

    What is written before coming to a counter has the same form; it is brought, and not sent.
    """
    if online.sent is not None:
        return see_other(f"/applications/{online.sent}")
    if online.is_draft and not sending:
        return see_other(f"/cases/{online.case_id}/prepared") if online.confirmed_at is not None else None
    # Whoever goes on at the counter with what was sent may be asked to correct it all the same.
    is_here = online.channel == "online" or online.correcting is not None
    return None if is_here else see_other(f"/cases/{online.case_id}/handover")


async def fee_of(session: AsyncSession, identity: Identity, online: OnlineCase, values: Mapping[str, str]) -> FeeWords:
    return await fee_words(
        session,
        identity.municipality,
        fee_yen=online.fee_yen,
        items=online.needed,
        counters=online.counters,
        values=values,
    )


def ways_of(online: OnlineCase) -> dict[str, bool]:
    """Which other ways this case can take now."""
    return {
        "counter": online.counter and not online.is_draft and "counter" in READY_CHANNELS,
        "helper": online.helper and not online.is_draft and "helper" in READY_CHANNELS,
    }


def stays_booked(online: OnlineCase, booked: list[Booked]) -> bool:
    """Whether more than this procedure was booked: then nothing is cancelled but by the person."""
    return bool(online.together) or any(not each.is_alone for each in booked)


def write_versions(versions: Mapping[str, int]) -> str:
    """The versions that a page shows, for its form to bring back."""
    return ".".join(f"{key}:{version}" for key, version in versions.items())


def read_versions(text: str) -> dict[str, int]:
    """The versions that a page showed, as it wrote them; whatever else is there matches none."""
    pairs = [part.partition(":") for part in text[:SHOWN_MAX_LENGTH].split(".")]
    return {key: int(version) for key, _colon, version in pairs if version.isascii() and version.isdecimal()}
