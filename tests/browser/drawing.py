"""What a manager and a resident do of a draw, step by step."""

from playwright.sync_api import Page, expect

from tests.browser.residents import See, choose_counter, give_name, hand_over, not_looking

# After the morning on which the tests begin: closes the next day, gives out the Friday after.
MOMENTS = {"closes": ("11", "25", "17"), "first": ("11", "27", "8"), "until": ("11", "27", "18")}


def announce(tablet: Page, title: str, *, seen: See = not_looking) -> None:
    """For 児童手当, open at once."""
    tablet.goto("/counter/draws")
    seen(tablet, "draw-staff-empty")
    tablet.get_by_role("button", name="抽選を作る").click()
    expect(tablet.locator("[data-error-summary]")).to_be_visible()
    seen(tablet, "draw-staff-refused")
    tablet.locator("input[name=title]").fill(title)
    what = tablet.locator("select[name=what] option").filter(has_text="児童手当").first.get_attribute("value")
    tablet.locator("select[name=what]").select_option(what)
    tablet.locator("select[name=opens_hour]").select_option("now")
    for name, (month, day, hour) in MOMENTS.items():
        for part, typed in (("year", "2026"), ("month", month), ("day", day)):
            tablet.locator(f"input[name={name}_{part}]").fill(typed)
        tablet.locator(f"select[name={name}_hour]").select_option(hour)
    tablet.get_by_role("button", name="抽選を作る").click()
    expect(tablet.get_by_role("main")).to_contain_text("抽選を作りました")
    seen(tablet, "draw-staff")


def enter(phone: Page, *, seen: See = not_looking) -> tuple[str, str]:
    """From the procedure to the entry; its number and code."""
    choose_counter(phone, "CHI02")
    give_name(phone, name="二宮 花子", kana="", reach="none", contact="")
    hand_over(phone, answer="はい")
    seen(phone, "visit-draw")
    phone.get_by_role("link", name="抽選に申し込む").click()
    seen(phone, "draw-enter")
    phone.get_by_label("第2希望").select_option(index=2)
    phone.get_by_role("button", name="申し込む", exact=True).click()
    phone.wait_for_url("**/entries/*")
    expect(phone.get_by_role("main")).to_contain_text("申し込みができています")
    seen(phone, "draw-entry")
    number, code = phone.locator(".slip__number").all_inner_texts()
    return number.strip(), code.strip()
