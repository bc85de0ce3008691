"""A closer look at a page: a finger, text twice as large, colours that the reader forces, the keyboard's focus."""

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import SHOTS, find_inaccessible, find_too_wide, picture, wait_until_there

EYES = Path(__file__).with_suffix(".js").read_text("utf-8")
# CSS pixels: a resident's finger, and a glove of staff (WCAG 2.5.5; 2.5.8 would be content with 24).
FINGER_PX, GLOVE_PX = 44, 48
# A small phone, a tablet held upright, a desk: for who looks at the pictures.
WIDTHS = (360, 768, 1280)


def look_closely(page: Page, name: str) -> list[str]:
    """What is wrong with the page as it stands, for any of these readers."""
    wait_until_there(page)
    page.evaluate(EYES)
    is_staff = page.locator("body.staff").count() > 0
    found = [
        *find_inaccessible(page),
        *find_too_wide(page),
        *page.evaluate(f"eyes.small({GLOVE_PX if is_staff else FINGER_PX})"),
        *_in_large_text(page, name),
        *_in_forced_colours(page),
    ]
    _take_pictures(page, name)
    return [f"{name} ({page.url}): {finding}" for finding in found]


def _in_large_text(page: Page, name: str) -> list[str]:
    usual = page.evaluate("document.documentElement.dataset.text")
    # The page's own largest, and what a reader may set: no media query sees it, so nothing makes room by itself.
    page.evaluate("document.documentElement.dataset.text = 'xlarge'")
    found = [f"text 特大: {finding}" for finding in find_too_wide(page) + page.evaluate("eyes.spilled()")]
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    found += [f"text 200 %: {finding}" for finding in find_too_wide(page) + page.evaluate("eyes.spilled()")]
    picture(page, f"{name}-200")
    page.evaluate(
        "usual => { document.documentElement.style.fontSize = ''; document.documentElement.dataset.text = usual }",
        usual,
    )
    return found


def _in_forced_colours(page: Page) -> list[str]:
    page.keyboard.press("Shift")  # from here on the browser takes us for somebody at a keyboard
    found: list[str] = page.evaluate("eyes.unseenFocus()")
    page.emulate_media(forced_colors="active")
    forced = page.evaluate("[...eyes.edgeless(), ...eyes.unmarked(), ...eyes.unseenFocus()]")
    page.emulate_media(forced_colors="none")
    return found + [f"forced colours: {finding}" for finding in forced]


def _take_pictures(page: Page, name: str) -> None:
    usual = page.viewport_size
    if SHOTS is None or usual is None:
        return
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": usual["height"]})
        picture(page, f"{name}-{width}")
    page.set_viewport_size(usual)
