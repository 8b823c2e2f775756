"""A bundle's folder written: the model, its manifest and its card, and what lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from models.bundle import MANIFEST_FILE, MODEL_FILE, Bundle, BundleError
from models.manifest import Manifest
from models.manifest_text import Comments, manifest_text

CARD_FILE: Final = "MODEL_CARD.md"


def write_bundle(
    folder: Path,
    content: bytes,
    manifest: Manifest,
    card: str | None = None,
    *,
    comments: Comments | None = None,
    beside: Mapping[str, str] | None = None,
) -> Bundle:
    """Return the bundle of this model written to its folder and read back, so that what is written loads.

    `comments` go into the manifest; `beside` are the texts of further files by their names.
    Raises: BundleError when the folder cannot be written, or would not be read back.
    """
    texts = {MANIFEST_FILE: manifest_text(manifest, comments), **(beside or {})}
    if card is not None:
        texts[CARD_FILE] = card
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL_FILE).write_bytes(content)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error.strerror or error}; give another --output") from error
    return Bundle.load(folder)
