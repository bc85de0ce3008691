"""Who may import whom (HOUSE.md, Layout), checked by import-linter as `make lint` does."""

import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 120


def test_import_contracts_are_kept(root_dir: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [program, "--cache-dir", tmp_path], cwd=root_dir, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
