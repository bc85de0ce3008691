"""What makes `/counter` readable without network: the worker of the browser, what is installed, and an empty page.

Nothing here knows anybody. The line itself is kept by the page that showed it (static/src/counter.js).
"""

import hashlib
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.response import Template

from shared.tokens import Identity
from shared.web.assets import BUILD_DIR, asset, load_manifest
from shared.web.i18n import gettext as _
from shared.web.identity import PUBLIC
from shared.web.pages import page

SCOPE = "/counter"
EMPTY_PAGE = f"{SCOPE}/offline"
# What the empty page is made of.
FILES = ("app.css", "app.js", "htmx.js", "counter.js", "icons.svg", "favicon.svg")
ICONS = {"icon-192.png": "192x192", "icon-512.png": "512x512"}
OWNER_DIGITS = 16

Req = Request[Any, Any, Any]


@get(f"{SCOPE}/worker.js", opt=PUBLIC)
async def get_worker() -> Response[str]:
    """The worker, with what it keeps: another one whenever that changes, so that browsers take the new files."""
    files = [EMPTY_PAGE, *(asset(name) for name in FILES)]
    said = f"const FILES = {msgspec.json.encode(files).decode()};\n"
    source = (BUILD_DIR / load_manifest()["counter-worker.js"]).read_text("utf-8")
    headers = {"cache-control": "no-cache", "service-worker-allowed": SCOPE}
    return Response(said + source, media_type="text/javascript", headers=headers)


@get(f"{SCOPE}/app.webmanifest", opt=PUBLIC)
async def get_manifest() -> Response[bytes]:
    """What the tablet's home screen shows, and opens."""
    manifest = {
        "name": _("今日の受付"),
        "short_name": _("受付"),
        "lang": "ja",
        "start_url": SCOPE,
        "scope": SCOPE,
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#006173",
        "icons": [
            {"src": asset(name), "sizes": size, "type": "image/png", "purpose": "any"} for name, size in ICONS.items()
        ],
    }
    headers = {"cache-control": "no-cache"}
    return Response(msgspec.json.encode(manifest), media_type="application/manifest+json", headers=headers)


@get(EMPTY_PAGE, opt=PUBLIC)
async def get_offline_page(request: Req) -> Template:
    """What the worker shows in place of a page of the counter; its script fills in the line that the tablet kept."""
    return page(request, "offline.html")


def owner_of(identity: Identity) -> str:
    """Whose copy and whose kept steps those of a tablet are: the same at each sign-in, and nobody's name."""
    told = msgspec.json.encode((identity.municipality, identity.kind, identity.ref))
    return hashlib.sha256(told).hexdigest()[:OWNER_DIGITS]
