"""The folder of an imported bundle."""

from __future__ import annotations

from pathlib import Path

from models.bundle_folder import write_bundle
from models.importing.card import card
from models.importing.request import Imported, Request
from models.importing.wishes import ImportFailed


def check_folder(folder: Path) -> None:
    """Raise ImportFailed unless the folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ImportFailed(f"{folder} is there and not empty, expected a new folder; give another with -o")


def write_folder(request: Request, done: Imported, model: Path) -> None:
    """Write model, manifest and card, and read them back. Raises: BundleError when that cannot be done."""
    write_bundle(done.folder, model.read_bytes(), done.manifest, card(request, done))
