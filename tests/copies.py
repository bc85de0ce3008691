"""A copy of the checkout with something of the product changed in it: whether a test can fail is tried there."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = Path("shared/web/static/build")


@dataclass(frozen=True)
class Change:
    """In this file, `has` becomes `instead`, once."""

    path: str
    has: str
    instead: str


@contextmanager
def copy_with(changes: Sequence[Change]) -> Iterator[Path]:
    """The copy's folder, gone afterwards. Raises ValueError if something is not where it was."""
    with tempfile.TemporaryDirectory(prefix="choudo-guard-") as folder:
        copy = Path(folder)
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        if (ROOT / BUILT).is_dir():
            shutil.copytree(ROOT / BUILT, copy / BUILT)
        for change in changes:
            path = copy / change.path
            text = path.read_text("utf-8")
            if text.count(change.has) != 1:
                raise ValueError(f"{change.path} has not exactly once: {change.has}")
            path.write_text(text.replace(change.has, change.instead), "utf-8")
        yield copy
