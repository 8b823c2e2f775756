"""The device's crop: which one the settings and the bundle ask for, and its cuts as a network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headwater.errors import SettingsError
from headwater.messages import MAX_BOXES, MAX_PREDICTIONS, Box
from models.bundle import Bundle
from models.crop import MAX_FACES, Crop, CropError, Cut, Region, open_crop
from models.pictures import InputTensor, to_input


def crop_of(bundle: Bundle, name: str | None, region: str | None, max_faces: int | None = None) -> Crop:
    """Return the crop of this name, or the one that the bundle was trained with.

    Without `max_faces`, which only `face` asks for, there are at most 8, or as many as a message holds.

    Raises: SettingsError for a wrong region or number of faces. CropError for what is missing.
    """
    chosen, answers = name or bundle.input.crop, len(bundle.tasks) or len(bundle.outputs)
    most = min(MAX_BOXES, MAX_PREDICTIONS // answers)
    if most < 1:
        raise SettingsError(
            f"bundle: {bundle.name} gives {answers} predictions for a picture, expected at most {MAX_PREDICTIONS}, "
            "which a message holds; leave some out of its bundle.toml"
        )
    faces = min(MAX_FACES, most) if max_faces is None else max_faces
    if chosen == "face" and not 1 <= faces <= most:
        raise SettingsError(
            f"max-faces: got {faces}, expected 1 to {most}: a message holds {MAX_PREDICTIONS} predictions, "
            f"{bundle.name} gives {answers} for each face"
        )
    return open_crop(chosen, region=region_of(region), max_faces=faces)


def region_of(text: str | None) -> Region | None:
    """Return the region written as LEFT,TOP,WIDTH,HEIGHT in shares of the picture. Raises: SettingsError."""
    if text is None:
        return None
    try:
        left, top, width, height = (float(number) for number in text.split(","))
        return Region(left, top, width, height)
    except ValueError as error:
        raise SettingsError(
            f"region: got {text!r}, expected LEFT,TOP,WIDTH,HEIGHT, four shares of the picture such as 0.25,0.5,0.5,0.5"
        ) from error
    except CropError as error:
        raise SettingsError(str(error)) from error


def as_rows(cuts: Sequence[Cut], spec: InputTensor, bundle: Bundle) -> np.ndarray:
    """Return cuts as the input of the bundle's network, a row for each."""
    wanted = bundle.input
    rows = [to_input(cut.pixels, spec, wanted.low, wanted.high, wanted.colour) for cut in cuts]
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def as_column(cuts: Sequence[Cut]) -> np.ndarray:
    """Return cuts as one picture, one below the other."""
    return cuts[0].pixels if len(cuts) == 1 else np.concatenate([cut.pixels for cut in cuts])


def boxes_of(cuts: Sequence[Cut]) -> tuple[Box, ...]:
    """Return the boxes of cuts as they travel; none for a picture that is not cut into parts."""
    return tuple(Box(*cut.box) for cut in cuts if cut.box is not None)
