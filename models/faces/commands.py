"""The command `headwater models fetch face`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def face(*, from_: Annotated[Path | None, Parameter(name="--from")] = None) -> None:
    """Fetch the two networks of the face crop, once; what is there already is checked and kept.

    They are taken out of a wheel of mediapipe 0.10.18 (36 MB), which pip downloads from the index that it is set to.

    Example: headwater models fetch face

    Args:
        from_: that wheel as a file, on a machine without internet
    """
    from models.faces.fetch import WHEEL_BYTES, fetch, missing_files

    if from_ is None and missing_files():
        print(f"downloading {WHEEL_BYTES / 1e6:.0f} MB", file=sys.stderr, flush=True)
    for path in fetch(from_):
        print(f"{path} {path.stat().st_size:,} B")
