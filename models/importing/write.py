"""The folder of an imported bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from models.bundle import MANIFEST_FILE, MODEL_FILE, Bundle
from models.importing.card import card
from models.importing.request import Imported, Request
from models.importing.wishes import ImportFailed
from models.manifest_text import manifest_text


def check_folder(folder: Path) -> None:
    """Raise ImportFailed unless the folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ImportFailed(f"{folder} is there and not empty, expected a new folder; give another with -o")


def write_folder(request: Request, done: Imported, model: Path) -> None:
    """Write model, manifest and card, and read them back. Raises: ImportFailed when that cannot be done."""
    try:
        done.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, done.folder / MODEL_FILE)
        (done.folder / MANIFEST_FILE).write_text(manifest_text(done.manifest), encoding="utf-8")
        (done.folder / "MODEL_CARD.md").write_text(card(request, done), encoding="utf-8")
    except OSError as error:
        raise ImportFailed(f"{done.folder} cannot be written: {error.strerror or error}; give another -o") from error
    Bundle.load(done.folder)
