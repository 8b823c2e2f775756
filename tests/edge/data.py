"""Where the pictures, clips and tracks lie that these tests share with other work."""

import os
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def shared(folder: str) -> Path:
    """Return a folder of the shared data; without it the test is skipped, except where CI is set."""
    path = DATA / folder
    if not path.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing, and CI is set")
        pytest.skip(f"{path} is missing")
    return path
