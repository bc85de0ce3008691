"""No title of a page is broken in the middle of a word, on whichever phone."""

import os
import re
from html import escape

import pytest
from playwright.sync_api import sync_playwright

from shared.web.assets import BUILD_DIR, load_manifest
from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS
from tests.stack import ROOT

PLACES = ("services/*/pages/*.html", "shared/web/templates/*.html")
WIDTHS = (320, 344, 360, 375, 390, 412, 430)
# Where browsers take apart what belongs together.
BROKEN = re.compile(r"さが\|[さしすせそ]|[ァ-ヶー]\|[ァ-ヶー]|[一-龠]\|[一-龠]")
LINES = """() => [...document.querySelectorAll("h1")].map((title) => {
  const text = title.firstChild, range = document.createRange();
  let lines = "", last = null;
  for (let at = 0; at < text.length; at += 1) {
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    const { top } = range.getBoundingClientRect();
    lines += (last !== null && Math.abs(top - last) > 5 ? "|" : "") + text.data[at];
    last = top;
  }
  return lines;
})"""


def titles() -> list[str]:
    """Whatever stands in a first heading, as it is in Japanese."""
    found: set[str] = set()
    for place in PLACES:
        for path in ROOT.glob(place):
            for heading in re.findall(r"<h1[^>]*>(.*?)</h1>", path.read_text("utf-8"), re.DOTALL):
                found |= set(re.findall(r'_\("([^"]+)"', heading))
    return sorted(re.sub(r"%\(\w+\)s", "3", title) for title in found)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_title_ends_its_lines_between_words(width: int) -> None:
    """Seen to fail with `text-wrap: pretty`: 「サポーターを町にさが|してもらう」."""
    style = (BUILD_DIR / load_manifest()["app.css"]).read_text("utf-8")
    shown = "".join(f"<h1>{escape(title)}</h1>" for title in titles())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", CHROMIUM), args=CHROMIUM_FLAGS, headless=True
        )
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.set_content(
            f'<html lang="ja" data-language="ja"><style>{style}</style><main class="wrap wrap--narrow">{shown}</main>'
        )
        lines = page.evaluate(LINES)
        browser.close()
    assert any("|" in line for line in lines)
    assert [line for line in lines if BROKEN.search(line)] == []
