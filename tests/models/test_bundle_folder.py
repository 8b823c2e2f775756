"""A bundle's folder written: all its files, read back, and one line where that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle import SHIPPED, BundleError
from models.bundle_folder import write_bundle
from models.manifest import Manifest, read_manifest

LITTER = SHIPPED / "litter"


@pytest.fixture
def content() -> bytes:
    return (LITTER / "model.tflite").read_bytes()


@pytest.fixture
def manifest() -> Manifest:
    return read_manifest(LITTER / "bundle.toml")


def test_a_folder_holds_what_was_given(content: bytes, manifest: Manifest, tmp_path: Path) -> None:
    """Model, manifest, card and further files are there, and the bundle that is returned is the written one."""
    bundle = write_bundle(
        tmp_path / "new" / "mine",
        content,
        replace(manifest, name="mine"),
        "# mine\n",
        comments={"exit1": ("Closed.",)},
        beside={"held_out.txt": "# none\n"},
    )
    files = sorted(path.name for path in bundle.folder.iterdir())
    assert (bundle.name, bundle.digest) == ("mine", manifest.digest)
    assert files == ["MODEL_CARD.md", "bundle.toml", "held_out.txt", "model.tflite"]
    assert "# Closed." in (bundle.folder / "bundle.toml").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_named(content: bytes, manifest: Manifest, tmp_path: Path) -> None:
    """Where a file lies in the way the error says where, what, and what to do."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BundleError, match=r"taken/mine cannot be written: .*; give another --output"):
        write_bundle(tmp_path / "taken" / "mine", content, manifest)


def test_a_manifest_of_another_model_is_not_left_unnoticed(content: bytes, manifest: Manifest, tmp_path: Path) -> None:
    """What was written is read back: a digest that is not the model's is an error."""
    with pytest.raises(BundleError, match="has SHA-256"):
        write_bundle(tmp_path / "mine", content, replace(manifest, digest="ab" * 32))
