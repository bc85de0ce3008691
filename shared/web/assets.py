"""Static files: taken from packages and from ``static/src``, named by their content, listed in a manifest.

``python -m shared.web.assets`` writes ``static/build/``. Nothing of a package is copied into the repository, and
nothing is fetched at run time. A file's name changes with its content, so it may be cached for ever; a ``.gz`` lies
beside each one for a server or proxy that sends files as they are.

The design tokens and our own style sheet become one file: one request less on a slow phone, and only the tokens in use
are shipped.
"""

import gzip
import hashlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

ROOT_DIR = Path(__file__).resolve().parents[2]
PACKAGES_DIR = ROOT_DIR / "node_modules"
WEB_DIR = Path(__file__).resolve().parent
SOURCE_DIR = WEB_DIR / "static" / "src"
ICON_DIR = WEB_DIR / "icons"
BUILD_DIR = WEB_DIR / "static" / "build"
MANIFEST = "manifest.json"
URL_PREFIX = "/static/"
HASH_LEN = 12

TOKENS = Path("@digital-go-jp/design-tokens/dist/tokens.css")
HTMX = Path("htmx.org/dist/htmx.min.js")
QR = Path("qr")
QR_IMPORT = "'./index.js'"
# What letters are printed in; it is in no manifest, and served to nobody.
LETTER_FONT = Path("@expo-google-fonts/noto-sans-jp/400Regular/NotoSansJP_400Regular.ttf")
TOKENS_NOTICE = "/*! Design tokens: @digital-go-jp/design-tokens, (c) Digital Agency, MIT License */\n"
HTMX_NOTICE = "/*! htmx.org, (c) Big Sky Software, BSD-0-Clause */\n"

_TOKEN = re.compile(r"^\s*(--[a-z0-9-]+):\s*(.+?);\s*$", re.MULTILINE)
_USE = re.compile(r"var\(\s*(--[a-z0-9-]+)")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SVG = "http://www.w3.org/2000/svg"


class AssetsMissingError(RuntimeError):
    """The static files were not built, or lack what a template asks for. An operator's error, never a user's."""


def build(*, packages_dir: Path = PACKAGES_DIR, build_dir: Path = BUILD_DIR) -> dict[str, str]:
    """Write every asset under its hashed name, and the manifest last; remove what an earlier build left.

    Returns the manifest: logical name → file name. Raises AssetsMissingError when the npm packages are not installed.
    """
    css = (SOURCE_DIR / "app.css").read_text(encoding="utf-8")
    assets = {
        "app.css": TOKENS_NOTICE + select_tokens(_read_package(packages_dir, TOKENS), css) + squeeze_css(css),
        "app.js": (SOURCE_DIR / "app.js").read_text(encoding="utf-8"),
        "alarm.js": (SOURCE_DIR / "alarm.js").read_text(encoding="utf-8"),
        "calls.js": (SOURCE_DIR / "calls.js").read_text(encoding="utf-8"),
        "form.js": (SOURCE_DIR / "form.js").read_text(encoding="utf-8"),
        "passkey.js": (SOURCE_DIR / "passkey.js").read_text(encoding="utf-8"),
        "receipt.js": (SOURCE_DIR / "receipt.js").read_text(encoding="utf-8"),
        "signature.js": (SOURCE_DIR / "signature.js").read_text(encoding="utf-8"),
        "counter.js": (SOURCE_DIR / "counter.js").read_text(encoding="utf-8"),
        "counter-worker.js": (SOURCE_DIR / "counter-worker.js").read_text(encoding="utf-8"),
        "line.js": (SOURCE_DIR / "line.js").read_text(encoding="utf-8"),
        "scan.js": (SOURCE_DIR / "scan.js").read_text(encoding="utf-8"),
        **_qr_reader(packages_dir),
        "htmx.js": HTMX_NOTICE + _read_package(packages_dir, HTMX),
        "icons.svg": make_sprite(ICON_DIR),
        "favicon.svg": (SOURCE_DIR / "favicon.svg").read_text(encoding="utf-8"),
    }
    pictures = {path.name: path.read_bytes() for path in sorted(SOURCE_DIR.glob("*.png"))}
    build_dir.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, str] = {}
    for name, content in ({name: text.encode() for name, text in assets.items()} | pictures).items():
        manifest[name] = _file_name(name, content)
        _write(build_dir / manifest[name], content)
        # A fixed time in the gzip header: the same source gives the same bytes.
        _write(build_dir / f"{manifest[name]}.gz", gzip.compress(content, compresslevel=9, mtime=0))
    _write(build_dir / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True).encode())
    _write(build_dir / LETTER_FONT.name, _read_bytes(packages_dir, LETTER_FONT))
    keep = {LETTER_FONT.name, MANIFEST, *manifest.values(), *(f"{file}.gz" for file in manifest.values())}
    for path in build_dir.iterdir():
        if path.name not in keep:
            path.unlink()
    load_manifest.cache_clear()
    return manifest


def select_tokens(tokens_css: str, css: str) -> str:
    """The ``:root`` rule with only those tokens that the style sheet uses, directly or through another token."""
    values = dict(_TOKEN.findall(tokens_css))
    wanted: set[str] = set()
    queue = [name for name in _USE.findall(_COMMENT.sub("", css)) if name in values]
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue.extend(used for used in _USE.findall(values[name]) if used in values)
    return ":root{" + "".join(f"{name}:{value};" for name, value in values.items() if name in wanted) + "}\n"


def squeeze_css(css: str) -> str:
    """Drop comments, indentation and empty lines: safe without a parser; gzip does the rest."""
    lines = (line.strip() for line in _COMMENT.sub("", css).splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def make_sprite(folder: Path) -> str:
    """One SVG of ``<symbol>``s, each named after its file; templates draw ``<use href="…#name">``."""
    ElementTree.register_namespace("", _SVG)
    sprite = ElementTree.Element(f"{{{_SVG}}}svg")
    for path in sorted(folder.glob("*.svg")):
        drawing = ElementTree.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 our own files, at build time
        symbol = ElementTree.SubElement(sprite, f"{{{_SVG}}}symbol", {**drawing.attrib, "id": path.stem})
        symbol.extend(drawing)
    return ElementTree.tostring(sprite, encoding="unicode")


@cache
def load_manifest(build_dir: Path = BUILD_DIR) -> dict[str, str]:
    """Logical name → file name. Raises AssetsMissingError when nothing was built."""
    try:
        text = (build_dir / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AssetsMissingError(
            "The static files are not built. Run: npm ci && python -m shared.web.assets  (make run does both)"
        ) from None
    manifest: dict[str, str] = json.loads(text)
    return manifest


def asset(name: str) -> str:
    """The URL of a built file, as in ``asset("app.css")``. Raises AssetsMissingError, saying what to run."""
    manifest = load_manifest()
    if name not in manifest:
        raise AssetsMissingError(f"No static file is called {name!r}. There are: {', '.join(sorted(manifest))}.")
    return URL_PREFIX + manifest[name]


def letter_font(build_dir: Path = BUILD_DIR) -> Path:
    """The font of letters. Raises AssetsMissingError, saying what to run."""
    path = build_dir / LETTER_FONT.name
    if not path.exists():
        raise AssetsMissingError(f"There is no {path.name}. Run: npm ci && python -m shared.web.assets")
    return path


def _qr_reader(packages_dir: Path) -> dict[str, str]:
    """The reader of QR codes: a module that imports the other by its hashed name."""
    index = _read_package(packages_dir, QR / "index.js")
    decode = _read_package(packages_dir, QR / "decode.js")
    named = _file_name("qr-index.js", index.encode())
    return {"qr-index.js": index, "qr-decode.js": decode.replace(QR_IMPORT, f"'./{named}'")}


def _file_name(name: str, content: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:HASH_LEN]}.{suffix}"


def _read_package(packages_dir: Path, path: Path) -> str:
    return _read_bytes(packages_dir, path).decode()


def _read_bytes(packages_dir: Path, path: Path) -> bytes:
    try:
        return (packages_dir / path).read_bytes()
    except FileNotFoundError:
        raise AssetsMissingError(f"The npm package with {path} is not installed. Run: npm ci") from None


def _write(path: Path, content: bytes) -> None:
    # Renamed into place, so that a server running beside the build never reads half a file.
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)


if __name__ == "__main__":
    for name, file in build().items():
        size = (BUILD_DIR / f"{file}.gz").stat().st_size
        sys.stdout.write(f"{name:12} {file:32} {size / 1000:6.1f} kB compressed\n")
