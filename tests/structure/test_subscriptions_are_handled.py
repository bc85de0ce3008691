"""Whoever is named as a subscriber has a handler, and whoever has a handler is named."""

import inspect

import pytest

from services.booking import consumers as booking
from services.booking.keys import Keys
from services.booking.settings import load_settings as load_booking_settings
from services.notifications import consumers as notifications
from services.notifications.keys import make_keys
from services.notifications.settings import load_settings
from services.routing import consumers as routing
from shared.events import booking as booking_events
from shared.events import ledger as ledger_events
from shared.events import notifications as notifications_events
from shared.events import routing as routing_events
from shared.events.base import Event, event_type
from shared.events.subscriptions import EVENT_TYPES, SEALED_FOR, SERVICES, SUBSCRIPTIONS
from shared.messaging.consumer import Handlers


@pytest.fixture(scope="module")
def handlers(environ: dict[str, str]) -> dict[str, Handlers]:
    """What each worker hears. They are made with and without keys."""
    return {
        "routing": routing.make_handlers(),
        "booking": booking.make_handlers(Keys.from_settings(load_booking_settings(environ))),
        "notifications": notifications.make_handlers(make_keys(load_settings(environ))),
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_handles_what_it_subscribes_to_and_nothing_else(handlers: dict[str, Handlers], service: str) -> None:
    subscribed = {event_type(kind) for kind, consumers in SUBSCRIPTIONS.items() if service in consumers}
    assert {event_type(kind) for kind in handlers[service]} == subscribed


def test_every_handler_can_be_awaited_with_a_session_an_event_and_the_time(handlers: dict[str, Handlers]) -> None:
    for service, kinds in handlers.items():
        for kind, handler in kinds.items():
            where = f"{service}: {event_type(kind)}"
            assert inspect.iscoroutinefunction(handler), where
            parameters = inspect.signature(handler).parameters
            assert list(parameters) == ["session", "event", "now"], where
            assert parameters["now"].kind is inspect.Parameter.KEYWORD_ONLY, where


def test_every_event_that_is_defined_is_on_the_page_of_subscriptions() -> None:
    defined = {
        kind
        for module in (booking_events, ledger_events, notifications_events, routing_events)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Event)
        and kind is not Event
        and not kind.__name__.startswith("_")
    }
    assert defined == set(SUBSCRIPTIONS)


def test_types_are_named_after_their_publisher_with_a_version() -> None:
    for name in EVENT_TYPES:
        publisher, fact, version = name.split(".")
        assert publisher in (*SERVICES, "ledger")
        assert fact.islower()
        assert version[0] == "v"
        assert version[1:].isdigit()
    assert len(EVENT_TYPES) == len(SUBSCRIPTIONS), "two types with one name"


def test_what_is_sealed_is_sealed_for_a_subscriber() -> None:
    for kind, reader in SEALED_FOR.items():
        assert reader in SUBSCRIPTIONS[kind]
