"""Booking's web process for tests that need a real server: `uvicorn tests.booking.server:app --factory`."""

import os

from services.booking.app import create_app
from services.booking.settings import load_settings
from shared.log import configure_logging
from shared.web.middleware import AroundRequest


def app() -> AroundRequest:
    configure_logging("booking", level="ERROR")
    return create_app(load_settings(os.environ))
