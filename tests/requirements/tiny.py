"""Wheels of a few bytes, and a build backend that makes one: a project that builds itself with nothing installed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any


def wheel(folder: Path, name: str, needs: str = "") -> Path:
    """Return a wheel of version 1.0 with one empty module, which may need another package."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path


def build_editable(wheel_directory: str, *_settings: Any) -> str:
    """Return the wheel that pip installs for `--editable .`. Source: PEP 660."""
    return wheel(Path(wheel_directory), "headwater").name
