"""What people do in the town hall with their own phone, as the browser tests need it."""

from datetime import date

from playwright.sync_api import Page, expect

from services.booking.keys import Keys
from services.booking.settings import load_settings
from tests.stack import Stack

TOWN = "143421"


def door_path(stack: Stack, day: date) -> str:
    """What the QR code at the door says on this day."""
    return f"/booking/d/{Keys.from_settings(load_settings(stack.environ)).door_code(TOWN, day)}"


def take_ticket(phone: Page, stack: Stack, day: date, procedure: str = "CHI02") -> str:
    """Read the code, choose a procedure and take a ticket; its number."""
    phone.goto(door_path(stack, day))
    phone.goto(f"/booking/door/{procedure}")
    phone.get_by_role("button", name="番号札をとる").click()
    phone.wait_for_url("**/booking/tickets/*")
    number = phone.locator(".slip__number")
    expect(number).to_be_visible()
    return number.inner_text()
