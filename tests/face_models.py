"""The two networks of the face crop, for tests that find real faces: fetched once, then in the user's cache."""

from __future__ import annotations

import os
from functools import cache

import pytest

from models.crop import CropError
from models.faces.fetch import fetch
from tests.servers import need


@cache
def _why_not() -> str:
    try:
        fetch()
    except CropError as error:
        return str(error)
    return ""


def need_face_models() -> None:
    """Have mediapipe and both files; without them skip the test, or fail it when CI is set."""
    need(package="mediapipe")
    if _why_not():
        if os.environ.get("CI"):
            pytest.fail(f"{_why_not()}; and CI is set", pytrace=False)
        pytest.skip(_why_not())
