"""Protected people (秘匿): over all doors of the running product, nobody reads where they are."""

import contextlib
import re
import time
from collections.abc import Iterator

from shared.events.subscriptions import SERVICES
from tests.journeys.database import ask, unacknowledged, wait_for
from tests.journeys.resident import Resident
from tests.routing.applying import CHI02_FORM
from tests.stack import HELPERS, STAFF_LOGIN, STAFF_PASSWORD, Stack, run_cli

OFFICE_LOGIN, OTHER_LOGIN = "kosodate-tantou", "zei-kachou"
GIVEN, KANA, MAIL = "𠮷﨑 かくれ", "ヨシザキ カクレ", "kakure@example.jp"
LINE, BANK, PHONE, CHILD = "神奈川県中郡二宮町かくれ谷7-7", "かくれ谷銀行", "090-8765-4321", "吉﨑 ちび"
FORM = CHI02_FORM | {
    "name": GIVEN,
    "address_line": LINE,
    "phone": PHONE,
    "bank_account_bank": BANK,
    "child_name": CHILD,
    "child_kana": "ヨシザキ チビ",
}
SECRETS = (LINE, "かくれ谷", BANK, PHONE, PHONE.replace("-", ""), "+819087654321", CHILD, "ヨシザキ チビ", MAIL)
# Nobody but staff who may know it reads such a word.
TELLING = ("秘匿", "支援措置", "protect")
DEADLINE_S = 60.0


@contextlib.contextmanager
def staff(stack: Stack, login: str) -> Iterator[Resident]:
    with Resident(stack.url) as desk:
        desk.get("/sign-in")
        desk.send("/sign-in", login=login, password=STAFF_PASSWORD)
        yield desk


def found_in(text: str, *more: str) -> list[str]:
    return [secret for secret in (*SECRETS, *more) if secret in text]


def apply_online(resident: Resident) -> tuple[str, str]:
    """Send an application; return its path and that of its case."""
    resident.get("/procedures/CHI02")
    resident.send("/cases", holding={"channel": "online"})
    if resident.path.endswith("/reuse"):
        resident.send("/reuse", None, all="no")
    case = resident.path.rpartition("/")[0]
    resident.send("/form", None, **FORM)
    resident.send("/you", reach="email", email=MAIL)
    resident.send("/submit", None, notices="yes")
    assert resident.path.startswith("/applications/"), resident.page.text
    return resident.path, case


def book_with_name(resident: Resident, channel: str) -> str:
    """Book by a channel, passing on name and contact; return the case's path."""
    resident.get("/procedures/CHI02")
    resident.send("/cases", holding={"channel": channel})
    case = resident.path.rpartition("/")[0]
    resident.send("/you", name=GIVEN, kana=KANA, reach="email", email=MAIL)
    resident.send("/handover", all="yes")
    resident.send("/booking/arrive")
    button, slot = next((name, value) for name, value in resident.form("/hold").buttons if value)
    resident.send("/hold", None, **{button: slot})
    resident.send("/book")
    assert resident.path.startswith("/booking/appointments/"), resident.page.text
    return case


def open_shifts_and_accept(stack: Stack, *, accept: bool) -> None:
    """Helpers who can come; with `accept`, whoever is asked says yes."""
    for login, _, _ in HELPERS:
        with staff(stack, login) as helper:
            if not accept:
                deadline = time.monotonic() + DEADLINE_S
                while 'action="/helpers/shifts"' not in helper.get("/helpers/shifts").text:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                for weekday in ("1", "2", "3", "4", "5"):
                    times = {"weekday": weekday, "from": "600", "to": "960", "venue": "KOMINKAN"}
                    helper.send("/helpers/shifts", None, **times)
            elif "/accept" in helper.get("/helpers").text:
                helper.send("/accept")


def pages_of(browser: Resident, paths: list[str]) -> dict[str, str]:
    return {path: browser.get(path).text for path in paths}


def test_nobody_reads_where_somebody_is_who_is_protected(stack: Stack) -> None:
    """Seen to fail with the rule taken out of `read_values`, and without forgetting names in booking."""
    for login, role, office in ((OFFICE_LOGIN, "back_office", "子育て"), (OTHER_LOGIN, "manager", "税")):
        run_cli(stack.environ, "account", "open", login, "--town", "143421", "--role", role, "--office", office)
    open_shifts_and_accept(stack, accept=False)
    with Resident(stack.url) as resident, Resident(stack.url) as stranger:
        application, case = apply_online(resident)
        code = re.search(r"確認コードは、?(\d{6})|slip__number\">(\d{6})<", resident.page.text)
        assert code, resident.page.text
        counter_case = book_with_name(resident, "counter")
        helper_case = book_with_name(resident, "helper")
        wait_for(lambda: unacknowledged(stack) == 0)
        open_shifts_and_accept(stack, accept=True)
        resident.get("/procedures/CHI03")
        resident.send("/cases", holding={"channel": "online"})
        assert found_in(resident.page.text), "before, it is offered"
        later_case = resident.path.rpartition("/")[0]

        with staff(stack, STAFF_LOGIN) as manager:
            (application_id,) = [row["id"] for row in ask(
                stack, "SELECT application_id AS id FROM routing.application WHERE case_id::text = $1",
                case.rpartition("/")[2])]  # fmt: skip
            path = f"/office/applications/{application_id}"
            assert found_in(manager.get(path).text)
            manager.get(f"/office{case}/protection")
            manager.send("/protection", checked="yes")
            assert "支援措置の方です" in manager.page.text
        wait_for(lambda: unacknowledged(stack) == 0)

        # The person's own device, which somebody at home may hold.
        cases = (case, counter_case, helper_case, later_case)
        own = [f"{each}/{step}" for each in cases for step in ("", "reuse", "form", "you", "check", "handover", "pass")]
        own += [application, "/my", "/my/history", "/my/history.json"]
        seen = {f"resident {path}": text for path, text in pages_of(resident, own).items()}
        resident.get("/procedures/CHI04")
        resident.send("/cases", holding={"channel": "online"})
        seen["resident, a new procedure"] = resident.page.text
        # Somebody with number and code, and somebody with nothing.
        stranger.get("/applications/find")
        number = application.rpartition("/")[2]
        stranger.send("/applications/find", number=number, code=code[1] or code[2])
        seen["stranger, opened"] = stranger.page.text
        strange = ["/board", "/board/now", "/booking", f"/office{case}/protection", f"/office{case}/fragment",
                   f"{case}/form", "/no-such-page"]  # fmt: skip
        seen |= {f"stranger {path}": text for path, text in pages_of(stranger, strange).items()}
        assert {door: found for door, text in seen.items() if (found := found_in(text))} == {}
        # The sign-in page names the address that was asked for, whoever's case it is.
        said = {door: text.replace("/protection", "").replace("%2Fprotection", "") for door, text in seen.items()}
        assert {door for door, text in said.items() for word in TELLING if word in text} == set()

        # Staff and helpers: neither the place, nor the name where people are called.
        fragments = [f"/office{each}/fragment" for each in cases]
        shown: dict[str, str] = {}
        with staff(stack, STAFF_LOGIN) as desk:
            shown |= {f"desk {each}": text for each, text in pages_of(desk, [
                "/counter", "/counter/line", "/notices", "/office", path, *fragments]).items()}  # fmt: skip
        with staff(stack, OTHER_LOGIN) as desk:
            shown |= {f"other office {each}": text for each, text in pages_of(desk, ["/office", path]).items()}
        for login, _, _ in HELPERS:
            with staff(stack, login) as desk:
                shown[f"helper {login}"] = desk.get("/helpers").text
        assert {door: found for door, text in shown.items() if (found := found_in(text))} == {}
        calling = [text for door, text in shown.items() if "counter" in door or "helper" in door]
        assert [found for text in calling if (found := found_in(text, KANA, GIVEN, "かくれ"))] == []

        # The office that decides, with a reason.
        with staff(stack, OFFICE_LOGIN) as deciding:
            assert found_in(deciding.get(path).text) == []
            deciding.send("/held-back", why="decide")
            assert set(found_in(deciding.page.text)) >= {LINE, BANK, PHONE, CHILD}
            assert found_in(deciding.get(path).text) == []
        wait_for(lambda: unacknowledged(stack) == 0)
        assert "子育ての職員が「" in resident.get("/my/history").text

    # What is sent, written or logged.
    logs = "".join(log.read_text("utf-8", errors="replace") for log in stack.logs.glob("*.log"))
    assert found_in(logs) == []
    for service in SERVICES:
        events = ask(stack, f"SELECT convert_from(payload, 'UTF8') AS told, sealed FROM {service}.outbox")
        assert all(row["sealed"] is None for row in events)
        told = "".join(row["told"] for row in events)
        assert [word for word in (*SECRETS, *TELLING) if word in told] == []
        for table in ask(stack, "SELECT tablename FROM pg_tables WHERE schemaname = $1", service):
            stored = ask(stack, f"SELECT string_agg(t::text, '') AS text FROM {service}.{table['tablename']} t")
            assert found_in(stored[0]["text"] or "", "かくれ") == [], f"{service}.{table['tablename']}"
