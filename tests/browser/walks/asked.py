"""What the walks share: the kinds of their fixtures, who signs in, and waiting for what one service tells another."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

UNKNOWN = "/no/such/page"
OPERATOR_LOGIN, OFFICER_LOGIN, OFFICE_LOGIN, KIOSK_LOGIN = "unyou", "kanri", "kosodate", "hakkenki"
TOLD_WITHIN, TRY_AGAIN_MS = 80, 250

NewPhone = Callable[..., Page]
ExpectStatus = Callable[..., None]


def wait_for_page(page: Page, path: str, words: str) -> None:
    """What one service tells another takes a moment."""
    for _ in range(TOLD_WITHIN):
        page.goto(path)
        if words in page.get_by_role("main").inner_text():
            return
        page.wait_for_timeout(TRY_AGAIN_MS)
    expect(page.get_by_role("main")).to_contain_text(words)
