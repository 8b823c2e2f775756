"""A profile is measured by a process of its own, kept, and believed only where it can be."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge.profile import VERSION, Measuring, Order, Profile, measure, profile_path, read_profile
from headwater.errors import HeadwaterError
from models.bundle import Bundle
from planning.ways import Way
from tests.edge.samples import bundle_folder

pytestmark = pytest.mark.timeout(400)

PICTURES = [np.full((24, 32, 3), value, np.uint8) for value in (0, 128, 255)]


def order(folder: Path) -> Order:
    """Return what the tests have measured."""
    return Order(str(folder), 1, ("auto", "jpeg:90"))


def result_of(measuring: Measuring) -> Profile:
    """Return what a measuring process gives, however little of a busy machine it gets."""
    ends_s = time.monotonic() + 300
    while (found := measuring.result()) is None:
        assert time.monotonic() < ends_s
        time.sleep(0.05)
    return found


def test_a_process_of_its_own_measures_every_way(tmp_path: Path) -> None:
    """It names the ways that a rehearsal here names, and the file it leaves reads the same."""
    folder = bundle_folder(tmp_path / "tiny")
    path = tmp_path / "cache" / "profile.json"
    found = result_of(Measuring(order(folder), PICTURES, path))
    here = measure(order(folder), PICTURES)
    assert [way.name for way in found.ways] == [way.name for way in here.ways]
    assert read_profile(path) == found
    assert [file.name for file in path.parent.iterdir()] == ["profile.json"]


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    """A bundle that is not there, as the process said it."""
    with pytest.raises(HeadwaterError, match=r"ended with status 1: .*none"):
        result_of(Measuring(order(tmp_path / "none"), PICTURES, tmp_path / "profile.json"))


def test_a_profile_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file where the cache should be: one warning, and the profile."""
    (tmp_path / "cache").write_text("")
    measuring = Measuring(order(bundle_folder(tmp_path / "tiny")), PICTURES, tmp_path / "cache" / "profile.json")
    assert result_of(measuring).ways
    assert "the next start measures again" in caplog.text


def test_a_process_that_is_stopped_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a process nor pictures."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    measuring = Measuring(order(bundle_folder(tmp_path / "tiny")), PICTURES, tmp_path / "profile.json")
    pid = measuring._process.pid
    measuring.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff",
        b"{}",
        msgspec.json.encode(Profile(VERSION + 1, (Way("device", "none", 1, 0.1, 500, finishes=True),), None)),
        msgspec.json.encode(Profile(VERSION, (), None)),
    ],
)
def test_what_is_no_profile_is_measured_anew(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, broken, of another version or without the device's own way is none."""
    if content is not None:
        (tmp_path / "profile.json").write_bytes(content)
    assert read_profile(tmp_path / "profile.json") is None


def test_a_profile_is_of_one_model_measured_in_one_way(tmp_path: Path) -> None:
    """Other threads, codecs or crops, or a manifest that says something else, have a file of their own."""
    folder = bundle_folder(tmp_path / "tiny")
    bundle, asked = Bundle.load(str(folder)), order(folder)
    first = profile_path(tmp_path, bundle, asked)
    assert profile_path(tmp_path, bundle, asked) == first
    others = [replace(asked, threads=2), replace(asked, codecs=("auto",)), replace(asked, crop="centre")]
    found = {profile_path(tmp_path, bundle, one) for one in others}
    with (folder / "bundle.toml").open("a") as manifest:
        manifest.write("# calibrated\n")
    assert len({first, *found, profile_path(tmp_path, bundle, asked)}) == 5
