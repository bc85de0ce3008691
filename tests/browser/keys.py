"""Somebody who has only a keyboard: where they are is always seen, and it goes on in the order of the page."""

from playwright.sync_api import Locator, Page

STEPS_MAX = 120

_HERE = """() => {
  const here = document.activeElement;
  if (here === document.body) return null;
  const shown = here.closest(".option") || here;
  const style = getComputedStyle(shown);
  const box = shown.getBoundingClientRect();
  const all = [...document.querySelectorAll("*")];
  return {
    what: `${here.tagName} ${(here.textContent || here.value || here.name || "").trim().slice(0, 30)}`,
    order: all.indexOf(here),
    isMarked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    isOnScreen: box.bottom > 0 && box.top < innerHeight,
  };
}"""


class Keys:
    """A keyboard and no mouse."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def tab_to(self, target: Locator, *, back: bool = False) -> None:
        """Press Tab until the target has the focus. Raises AssertionError on a stop unseen or out of order."""
        last = None
        for _ in range(STEPS_MAX):
            if target.count() and target.first.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
            here = self.page.evaluate(_HERE)
            if here is None:  # once around
                last = None
                continue
            assert here["isMarked"], f"{self.page.url}: nobody sees that {here['what']} has the focus"
            assert here["isOnScreen"], f"{self.page.url}: {here['what']} has the focus off the screen"
            if last is not None:
                assert (here["order"] < last["order"]) == back, f"{self.page.url}: {last['what']} → {here['what']}"
            last = here
        raise AssertionError(f"{self.page.url}: no way by keyboard to {target}")

    def press(self, target: Locator, key: str = "Enter") -> None:
        """Go there and press it."""
        self.tab_to(target)
        self.page.keyboard.press(key)

    def write(self, target: Locator, text: str) -> None:
        """Go there and type over what it holds."""
        self.tab_to(target)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def choose(self, name: str, value: str) -> None:
        """Go to a group of radio buttons, which is one stop, and on to the one with this value by the arrow keys."""
        self.tab_to(self.page.locator(f"input[name={name}]:focus"))
        self.page.keyboard.press("Space")
        for _ in self.page.locator(f"input[name={name}]").all():
            if self.page.locator(f"input[name={name}][value={value}]:focus:checked").count():
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{self.page.url}: no arrow leads to {value}")

    def pick(self, select: Locator, value: str) -> None:
        """Go to a list and down to an option."""
        self.tab_to(select)
        for _ in range(STEPS_MAX):
            if select.input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{self.page.url}: no arrow leads to {value}")
