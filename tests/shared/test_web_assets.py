"""The build of the static files."""

import gzip
import json
import re
from pathlib import Path

import pytest

from shared.web import assets
from shared.web.assets import (
    ROOT_DIR,
    SOURCE_DIR,
    AssetsMissingError,
    asset,
    build,
    load_manifest,
    select_tokens,
    squeeze_css,
)

FIRST_VIEW_MAX_BYTES = 100_000
TOKENS = ":root {\n  --a: #fff;\n  --b: var(--c);\n  --c: 1rem;\n  --unused: 2rem;\n}\n"

needs_packages = pytest.mark.skipif(
    not (assets.PACKAGES_DIR / assets.HTMX).exists(), reason="the npm packages are not installed: npm ci"
)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    build(build_dir=tmp_path)
    return tmp_path


@needs_packages
def test_every_file_is_named_after_its_content_and_has_a_compressed_twin(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    assert set(manifest) == {
        "alarm.js", "app.css", "app.js", "calls.js", "form.js", "line.js", "receipt.js", "scan.js", "signature.js",
        "counter.js", "counter-worker.js", "qr-decode.js", "qr-index.js", "htmx.js", "icons.svg", "favicon.svg",
        "icon-192.png", "icon-512.png", "passkey.js",
    }  # fmt: skip
    for name, file in manifest.items():
        stem, suffix = name.split(".")
        assert re.fullmatch(rf"{stem}\.[0-9a-f]{{12}}\.{suffix}", file)
        assert gzip.decompress((built / f"{file}.gz").read_bytes()) == (built / file).read_bytes()


@needs_packages
def test_the_same_source_gives_the_same_names_and_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert build(build_dir=one) == build(build_dir=two)
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


@needs_packages
def test_what_an_earlier_build_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "app.000000000000.css").write_text("old")
    build(build_dir=tmp_path)
    assert not (tmp_path / "app.000000000000.css").exists()


@needs_packages
def test_the_first_view_stays_light(built: Path) -> None:
    # What only staff's tablet loads, and the camera's reader, are not in anybody's first view.
    seen = [path for path in built.glob("*.gz") if not path.name.startswith(("counter", "icon-", "qr-", "scan."))]
    assert sum(path.stat().st_size for path in seen) < FIRST_VIEW_MAX_BYTES / 2


@needs_packages
def test_the_style_sheet_uses_no_name_that_nobody_defines(built: Path) -> None:
    css = (built / load_manifest(built)["app.css"]).read_text()
    defined = set(re.findall(r"(--[a-z0-9-]+)\s*:", css))
    assert set(re.findall(r"var\(\s*(--[a-z0-9-]+)", css)) <= defined


@needs_packages
def test_nothing_asks_another_machine_for_anything(built: Path) -> None:
    for name in ("app.css", "app.js", "icons.svg"):
        text = (built / load_manifest(built)[name]).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
        assert "http" not in text
        assert "@import" not in text


def test_only_the_tokens_in_use_are_shipped_with_those_they_stand_on() -> None:
    assert select_tokens(TOKENS, ".x { color: var(--b); top: var(--own); } /* var(--unused) */") == (
        ":root{--b:var(--c);--c:1rem;}\n"
    )


def test_squeezing_keeps_every_rule() -> None:
    assert squeeze_css("/* why */\n.a {\n  color: red; /* x */\n}\n\n") == ".a {\ncolor: red;\n}\n"


def test_a_missing_build_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissingError, match=r"shared\.web\.assets"):
        load_manifest(tmp_path / "nothing")


def test_missing_packages_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissingError, match="npm ci"):
        build(packages_dir=tmp_path, build_dir=tmp_path / "build")


def test_an_unknown_name_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "load_manifest", lambda: {"app.css": "app.0.css"})
    assert asset("app.css") == "/static/app.0.css"
    with pytest.raises(AssetsMissingError, match=r"app\.css"):
        asset("app.scss")


def test_the_lock_file_carries_no_download_addresses() -> None:
    lock = json.loads((ROOT_DIR / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())


def test_icons_take_the_colour_of_their_text_and_no_inline_style() -> None:
    sprite = assets.make_sprite(assets.ICON_DIR)
    assert 'id="counter"' in sprite
    assert "style=" not in sprite
    for path in assets.ICON_DIR.glob("*.svg"):
        assert "currentColor" in path.read_text(), path.name


def test_nothing_stays_highlighted_after_a_tap() -> None:
    css = (SOURCE_DIR / "app.css").read_text("utf-8").partition("*/")[2]
    hovers = [line.strip() for line in css.splitlines() if ":hover" in line]
    assert len(hovers) > 5
    assert [line for line in hovers if not line.startswith("@media (hover: hover) { ")] == []
