"""The town hall as those see it who run it: the counters now, an alarm, and the reports."""

from playwright.sync_api import Page, expect

from tests.browser.helping import sign_in
from tests.browser.residents import See
from tests.browser.walks.asked import NewPhone
from tests.journeys.database import ask
from tests.stack import COORDINATOR_LOGIN, Stack

TOWN = "143421"
# Whoever waits at the counter of the procedure that is chosen has done so for longer than any town promises.
LATE = """
    UPDATE booking.appointment SET queued_at = queued_at - interval '5 h', starts_at = starts_at - interval '5 h'
    WHERE state = 'checked_in' RETURNING counter, day, procedure
"""
ALARM = """
    INSERT INTO booking.wait_alarm (municipality, alarm_id, counter, day, promise_min, raised_at)
    VALUES ($1, gen_random_uuid(), $2, $3, 30, now())
    ON CONFLICT (municipality, counter) WHERE over_at IS NULL DO NOTHING
"""
# People of the weeks before, each waiting for another time.
BEFORE = """
    INSERT INTO booking.appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office, starts_at,
         ends_at, day, reach, booked_at, changed_at)
    SELECT $1, gen_random_uuid(), 'H' || n, 'walk_in', 'done', 4, 0, 'CHI02', $2, 'office', at, at, at::date, 'none',
           at, at
    FROM (SELECT n, $3::date - n % 40 - 1 + interval '1 h' AS at
          FROM generate_series(1, 400) AS n) AS days
"""
STEPS = """
    INSERT INTO booking.line_step (municipality, appointment_id, version, action, day, counter, office, from_state,
                                   to_state, at, recorded_at, actor_ref, before)
    SELECT a.municipality, a.appointment_id, step.version, 'call', a.day, a.counter, a.office, step.from_state,
           step.to_state, a.starts_at + step.after, a.starts_at, 'x',
           jsonb_build_object('counter', a.counter, 'queued_at', a.starts_at,
                              'called_at', a.starts_at + interval '20 min',
                              'serving_at', a.starts_at + interval '21 min')
    FROM booking.appointment a CROSS JOIN LATERAL (VALUES
        (2, 'checked_in', 'called', abs(hashtext(a.number)) % 2400 * interval '1 s'),
        (3, 'called', 'serving', interval '21 min'), (4, 'serving', 'done', interval '30 min')
    ) AS step(version, from_state, to_state, after)
    WHERE a.municipality = $1 AND a.number LIKE 'H%'
"""


def test_the_hall_as_those_see_it_who_run_it(tablet: Page, new_tablet: NewPhone, stack: Stack, see: See) -> None:
    boss = sign_in(new_tablet(), COORDINATOR_LOGIN, "/helpers/roster")
    boss.goto("/counter/today")
    see(boss, "today")
    boss.goto("/counter/reports?first=2020-01-01&last=2020-01-07")
    see(boss, "reports-empty")
    tablet.goto("/counter")
    tablet.get_by_label("手続き").select_option("CHI02")
    tablet.get_by_role("button", name="番号札を出す").click()
    tablet.wait_for_url("**/counter/tickets/**")
    late = next(each for each in ask(stack, LATE) if each["procedure"] == "CHI02")
    counter, day = late["counter"], late["day"]
    ask(stack, ALARM, TOWN, counter, day)
    tablet.goto("/counter")
    expect(tablet.locator(".alarm")).to_contain_text("約束の30分をこえて")
    see(tablet, "counter-alarm")
    boss.goto("/counter/today")
    expect(boss.locator(f"#now-{counter}")).to_contain_text("分より長くお待ちの方がいます")
    see(boss, "today-late")
    tablet.get_by_role("button", name="確かめた").click()
    expect(tablet.locator(".alarm--seen")).to_contain_text("職員が確かめました")
    see(tablet, "counter-alarm-seen")
    # Two touches: from here, to there.
    boss.locator(f"#give-{counter}").click()
    expect(boss.get_by_role("main")).to_contain_text("どこへ移しますか")
    see(boss, "today-moving")
    boss.get_by_role("button", name="ここへ移す").first.click()
    expect(boss.get_by_role("main")).to_contain_text("担当の人数を変えました")
    boss.locator(f"#close-{counter}").click()
    expect(boss.get_by_role("main")).to_contain_text("を閉めました。")
    see(boss, "today-closed")
    boss.locator(f"#open-{counter}").click()
    expect(boss.get_by_role("main")).to_contain_text("を開けました。")
    # It follows by itself what is done at the tablets.
    before = boss.locator(f"#now-{counter} dd").first.inner_text()
    tablet.goto("/counter")
    tablet.get_by_label("手続き").select_option("CHI02")
    tablet.get_by_role("button", name="番号札を出す").click()
    expect(boss.locator(f"#now-{counter} dd").first).not_to_have_text(before)
    ask(stack, BEFORE, TOWN, counter, day)
    ask(stack, STEPS, TOWN)
    for by in ("day", "counter", "procedure", "came_by"):
        boss.goto(f"/counter/reports?by={by}")
        if by == "day":
            boss.get_by_role("link", name="28日").click()
    see(boss, "reports-came-by")
    boss.goto("/counter/reports")
    see(boss, "reports")
