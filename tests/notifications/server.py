"""Notifications' web process for tests that need a real server: `uvicorn tests.notifications.server:app --factory`."""

import os

from services.notifications.app import create_app
from services.notifications.settings import load_settings
from shared.log import configure_logging
from shared.web.middleware import AroundRequest


def app() -> AroundRequest:
    configure_logging("notifications", level="ERROR")
    return create_app(load_settings(os.environ))
