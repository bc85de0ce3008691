"""A practice town tells no other system, and in a real town nobody is invented."""

from uuid import uuid4

import msgspec
import pytest

from services.booking.commands.practice import bring_visitor
from services.booking.commands.webhooks import RegisterWebhook, register_webhook
from shared.errors import Refusal
from shared.events.routing import PracticeVisitorSent
from shared.webhooks.destinations import Destinations
from tests.booking.conftest import TOWN, BookingTown
from tests.booking.webhook_receiver import MANAGER


async def test_no_system_is_told_of_a_practice_town(town: BookingTown) -> None:
    """Seen to fail without the check: the database refuses it, and the page has no words for that."""
    actor = msgspec.structs.replace(MANAGER, municipality=f"{TOWN}-r1")
    order = RegisterWebhook(
        name_ja="庁内", url="https://hooks.example.jp/in", kinds=("appointment.booked",), key=str(uuid4())
    )
    with pytest.raises(Refusal, match="practice_town"):
        async with town.db.begin(actor.municipality) as session:
            await register_webhook(session, actor, order, town.keys, Destinations(), now=town.now)


async def test_in_a_real_town_nobody_is_invented(town: BookingTown) -> None:
    event = PracticeVisitorSent(
        event_id=uuid4(), municipality=TOWN, aggregate_id=str(uuid4()), aggregate_version=1, occurred_at=town.now,
        sealed="whatever", guest_ref="somebody", number=0,
    )  # fmt: skip
    async with town.db.begin(TOWN) as session:
        await bring_visitor(session, town.keys, event, now=town.now)
