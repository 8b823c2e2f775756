"""The shelf's small networks for tests, written by a process of their own so that pytest's stays free of TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXPORT = Path(__file__).with_name("shelf_export.py")
TIMEOUT_S = 550


def make_shelf(folder: Path) -> dict[str, Any]:
    """Write them into the folder and return what Keras told about them."""
    done = subprocess.run(
        [sys.executable, EXPORT, folder],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = next(line for line in done.stdout.splitlines() if line.startswith("told:"))
    found: dict[str, Any] = json.loads(told.removeprefix("told:"))
    return found
