"""A gallery of every part of a page, for looking at them: nothing of it is shipped.

    python -m tests.shared.web_gallery /tmp/gallery

serves the pages with the product's own security headers, takes screenshots at phone and tablet size, in large text,
forced colours and for paper, and prints what axe finds and whether anything scrolls sideways. `render` alone is used by
the tests.
"""

import contextlib
import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import segno
from playwright.sync_api import Browser, Page, sync_playwright

from shared.web.assets import BUILD_DIR, PACKAGES_DIR, URL_PREFIX, build
from shared.web.templating import make_environment
from shared.web.town import Town

PAGES_DIR = Path(__file__).with_name("web_gallery_pages")
PAGES = ("choose", "form", "booking", "staff", "error")
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
CHROMIUM = "/usr/bin/chromium-headless-shell"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, SMALL_PHONE, PORTRAIT, LANDSCAPE = (360, 740), (320, 640), (820, 1180), (1180, 820)
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MORNING = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
STREAM_EVENTS = 30
PAPER_WIDTH, PAPER_HEIGHT = 680, 1000  # A4 less its margins
STATES = ("closed", "plenty", "open", "few", "full")


def make_item(number: str, state: str, label: str, action: str, **more: object) -> dict[str, object]:
    ident = number.replace("-", "")
    return {
        "id": ident,
        "number": number,
        "time": "9:30",
        "state": state,
        "state_label": label,
        "title": "児童手当の申請",
        "note": "ニノミヤ タロウ さま・車いす",
        "badges": [{"label": "予約"}],
        "primary": {"id": "next", "label": action, "url": "#", "key": "k"},
        "others": [
            {"id": "park", "label": "あとにまわす", "url": "#", "key": "k"},
            {"id": "absent", "label": "いない", "url": "#", "key": "k", "danger": True},
        ],
        **more,
    }


def context(now: datetime) -> dict[str, object]:
    return {
        "town": Town("143421", "二宮町"),
        "practice": False,
        "nav": [
            {"href": "/choose", "label": "手続きをさがす", "icon": "search", "current": True},
            {"href": "/booking", "label": "わたしの予約", "icon": "calendar"},
            {"href": "/form", "label": "わたしの情報", "icon": "history"},
        ],
        "language_links": [
            {"href": "#ja", "name": "日本語", "html_lang": "ja", "current": True},
            {"href": "#en", "name": "English", "html_lang": "en"},
        ],
        "footer_links": [
            {"href": "#a", "label": "個人情報のとりあつかい"},
            {"href": "#b", "label": "使いやすさについて"},
        ],
        "day": MORNING,
        "days": [{"day": date(2026, 11, 24) + timedelta(n), "state": STATES[n % len(STATES)]} for n in range(21)],
        "now": now,
        "until": now + timedelta(minutes=4, seconds=30),
        "errors": {
            "kana": "ふりがなを 書いてください。",
            "birthday": "生まれた日を 書いてください。",
            "agree": "わたしてよければ、しるしを つけてください。",
        },
        "reach_options": [
            {"value": "mail", "label": "メール", "hint": "前の日にも お知らせします", "icon": "mail"},
            {"value": "sms", "label": "携帯電話のSMS", "icon": "message"},
            {
                "value": "slip",
                "label": "どちらも つかわない",
                "hint": "番号の紙を 印刷して わたします",
                "icon": "paper",
            },
        ],
        "qr": segno.make("24-0317", micro=False).svg_data_uri(scale=8),
        "items": [
            make_item("24-0317", "serving", "対応中", "完了", note="ニノミヤ タロウ さま・車いす"),
            make_item("24-0318", "called", "呼出", "対応をはじめる"),
            make_item("24-0320", "arrived", "受付", "呼ぶ", badges=[{"label": "当日", "kind": "info"}]),
            make_item("24-0321", "booked", "これから", "受付する"),
            make_item("24-0322", "absent", "不在", "もう一度 呼ぶ"),
            make_item("24-0310", "done", "完了", "もどす", others=[]),
        ],
        "title": "ページが見つかりません",
        "advice": "アドレスが変わったか、まちがっています。はじめのページからさがしてください。",
        "ref_code": "7K3-92M",
    }


def render(page: str, *, now: datetime, **more: object) -> str:
    """One page of the gallery as HTML."""
    return make_environment(PAGES_DIR).get_template(f"{page}.html").render(**context(now), **more)


class Handler(http.server.BaseHTTPRequestHandler):
    lines = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/gallery/events":
            self.stream()
        elif path == "/gallery/line":
            Handler.lines += 1
            html = render("staff", now=datetime.now(UTC))
            start, end = html.index('<ol class="line">'), html.index("</ol>", html.index('<ol class="line">')) + 5
            self.answer(html[start:end].replace("24-0321", f"24-0321 ({Handler.lines})").encode(), "text/html")
        elif path.startswith(URL_PREFIX):
            file = BUILD_DIR / path.removeprefix(URL_PREFIX)
            self.answer(file.read_bytes(), TYPES[file.suffix])
        elif path.strip("/") in PAGES:
            self.answer(render(path.strip("/"), now=datetime.now(UTC)).encode(), "text/html")
        else:
            self.answer(b"", "text/plain", 404)

    def do_POST(self) -> None:
        self.do_GET()

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(STREAM_EVENTS):
                self.wfile.write(b"event: line\ndata: 1\n\n")
                self.wfile.flush()
                time.sleep(1)

    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Security-Policy", CSP)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        pass


@contextlib.contextmanager
def serve() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def look(page: Page, name: str, out: Path) -> None:
    page.wait_for_timeout(250)
    width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    if width[0] > width[1]:
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
            ".slice(0, 6).map(e => e.tagName + '.' + e.className)"
        )
        print(f"SIDEWAYS {name}: {width} {wide}")
    page.screenshot(path=out / f"{name}.png", full_page=True)


def check(page: Page, name: str) -> None:
    # Evaluated by the debugger, which the page's CSP does not bind.
    page.evaluate((PACKAGES_DIR / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, {runOnly: ['wcag2a','wcag2aa','wcag21aa','wcag22aa','best-practice']})")
    for found in result["violations"]:
        print(f"AXE {name}: {found['id']}: {found['help']} {json.dumps([n['html'][:160] for n in found['nodes'][:3]])}")


def tour(browser: Browser, base: str, out: Path) -> None:
    views = {"phone": PHONE, "portrait": PORTRAIT, "landscape": LANDSCAPE, "phone200": SMALL_PHONE}
    for view, (width, height) in views.items():
        page = browser.new_page(viewport={"width": width, "height": height}, locale="ja-JP")
        page.on("console", lambda message: print("CONSOLE", message.type, message.text))
        page.on("pageerror", lambda error: print("PAGEERROR", error))
        for name in PAGES:
            page.goto(f"{base}/{name}")
            if view == "phone200":
                page.evaluate("document.documentElement.style.fontSize = '200%'")
            look(page, f"{name}-{view}", out)
            if view in {"phone", "portrait"}:
                check(page, f"{name}-{view}")
        page.close()
    page = browser.new_page(viewport={"width": 360, "height": 740}, forced_colors="active")
    page.goto(f"{base}/form")
    look(page, "form-forced", out)
    page.emulate_media(media="print", forced_colors="none")
    page.set_viewport_size({"width": PAPER_WIDTH, "height": PAPER_HEIGHT})
    page.goto(f"{base}/booking")
    look(page, "booking-print", out)
    page.pdf(path=out / "booking.pdf", format="A4")
    page.close()


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    build()
    with serve() as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            tour(browser, base, out)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
