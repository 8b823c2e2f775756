"""What was measured of a bundle's cut points, as its bundle.toml keeps it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.bundle import SHIPPED, Bundle
from models.evidence import Leak, Wire, joined_leaks, joined_wire
from models.manifest import parse_manifest, read_manifest
from models.manifest_text import manifest_text, rewrite_measured
from models.toml_table import BundleError

WIRE = Wire({"image": "jpeg:40", "block_5_add": "native+zstd"}, 0.5, 37)
LEAKS = (Leak("block_5_add", 0.42, 19.5, 0.9, 37), Leak("features", 0.12, 11.0, 0.6, 37))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A copy of the shipped bundle's manifest, beside its model."""
    for name in ("bundle.toml", "model.tflite"):
        shutil.copy(SHIPPED / "litter" / name, tmp_path / name)
    return tmp_path / "bundle.toml"


def test_what_was_measured_is_kept(manifest: Path) -> None:
    """Codecs and leaks come back as written, twice written as once, and nothing else of the file moves."""
    before = manifest.read_text()
    for _ in range(2):
        rewrite_measured(manifest, wire=WIRE)
        rewrite_measured(manifest, leaks=LEAKS)
    bundle = Bundle.load(manifest.parent)
    assert bundle.codecs == WIRE.codec
    assert bundle.leaks == LEAKS
    unmeasured = before.split("[wire]")[0].split("[[leak]]")[0].rstrip()
    assert manifest.read_text().startswith(unmeasured)
    again = parse_manifest(manifest_text(read_manifest(manifest)))
    assert (again.wire, again.leaks) == (WIRE, LEAKS)


def test_what_is_measured_later_joins_what_was() -> None:
    """Other splits keep their codecs, at the looser limits of both; what was measured again is replaced or gone."""
    later = Wire({"features": "native"}, 1.0, 20)
    assert joined_wire(WIRE, later, {"features"}) == Wire({**WIRE.codec, "features": "native"}, 1.0, 20)
    assert joined_wire(WIRE, later, {"features", "image"}).codec == {"block_5_add": "native+zstd", "features": "native"}
    assert joined_wire(WIRE, later, {"features", *WIRE.codec}) == later == joined_wire(None, later, {"features"})
    new = [Leak("block_0_project", 0.8, 20.0, 0.9, 37), Leak("features", 0.3, 12.0, 0.7, 90)]
    assert joined_leaks(LEAKS, new, ("block_0_project", "features")) == [*new, LEAKS[0]]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[wire]\nmax_loss = 0.5\npictures = 3\n[wire.codec]\nimage = "gif"', "wire.codec.image"),
        ('[wire]\nmax_loss = 0.5\npictures = 3\n[wire.codec]\nimage = "jpeg:101"', "jpeg:101"),
        ("[wire]\nmax_loss = 0.5\npictures = 0\n[wire.codec]", "wire.pictures"),
        ('[[leak]]\ncut = "a"\nssim = 0.1\npsnr_db = 9\nagreement = 0.5\npictures = 3\nmse = 1', "leak[0].mse"),
    ],
)
def test_a_wrong_measurement_is_named(manifest: Path, text: str, named: str) -> None:
    """A codec that does not exist, no pictures, and an unknown key are refused by name."""
    plain = manifest.read_text().split("[wire]")[0].split("[[leak]]")[0]
    with pytest.raises(BundleError) as caught:
        parse_manifest(f"{plain}\n{text}\n")
    assert named in str(caught.value)
