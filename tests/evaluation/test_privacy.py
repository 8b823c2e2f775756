"""What an activation gives away: figures of known pictures, and a decoder that does learn."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation import privacy as privacy_module
from evaluation.commands import PrivacySettings, privacy
from evaluation.privacy import KNOWS_NOTHING, Activations, measure, psnr_db, ssim
from evaluation.rebuilding import Recipe, decoder, similarity
from models.bundle import Bundle
from models.engine import Engine
from models.errors import ModelError
from models.parts import chosen_samples, seen
from models.pictures import decode_picture
from tests.edge.samples import bundle_folder, tiny_bundle
from tests.evaluation.pictures import gradient, write_labelled


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small float classifier of 8 x 8 pictures."""
    return tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def data(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with something to rebuild."""
    return write_labelled(tmp_path_factory.mktemp("data"), bundle, 120)


def test_the_measures_of_known_pictures() -> None:
    """The same picture is 1.0 and 100 dB; a constant difference of ten gives the PSNR that the formula says."""
    picture = gradient(np.random.default_rng(1), 32)
    assert (ssim(picture, picture), psnr_db(picture, picture)) == (1.0, 100.0)
    grey = np.full((16, 16, 3), 100, np.uint8)
    assert psnr_db(grey, grey + 10) == pytest.approx(20 * math.log10(255 / 10))
    assert ssim(picture, picture[::-1]) < 0.9


def test_the_trained_similarity_is_that_of_the_report() -> None:
    """What the decoder is trained to raise is what scikit-image measures, up to the border of the windows."""
    rng = np.random.default_rng(2)
    one = gradient(rng, 48)
    other = np.clip(one + rng.normal(0, 25, one.shape), 0, 255).astype(np.uint8)
    ours = float(similarity(*(p[None].astype(np.float32) / 255 for p in (one, other))))
    assert ours == pytest.approx(ssim(one, other), abs=0.03)


def test_more_is_rebuilt_from_the_first_cut_than_from_the_last(bundle: Bundle, data: Path) -> None:
    """A decoder behind the first convolution beats one behind the pooling, which has six numbers."""
    train, judged = chosen_samples(bundle, data, "train"), chosen_samples(bundle, data, "test")
    originals, rows = measure(bundle, train, judged, ["conv_a", "pool"], Recipe(epochs=25, batch=8), shown=3)
    blank, first, last = rows
    assert [row.cut for row in rows] == [KNOWS_NOTHING, "conv_a", "pool"]
    assert first.ssim > last.ssim + 0.1
    assert first.psnr_db > max(last.psnr_db, blank.psnr_db) + 1
    assert originals.shape == first.rebuilt.shape == (3, 8, 8, 3)
    assert first.leak().cut == "conv_a"
    assert first.leak().ssim == pytest.approx(first.ssim, abs=1e-4)


def test_nothing_is_judged_that_was_learnt(bundle: Bundle, data: Path) -> None:
    """A picture in both parts is refused before anything is trained."""
    train, judged = chosen_samples(bundle, data, "all"), chosen_samples(bundle, data, "test")
    with pytest.raises(ModelError, match="trained on and judged"):
        measure(bundle, train, judged, ["conv_a"], Recipe())


def test_large_activations_are_computed_when_asked_for(
    bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept or computed anew, a batch holds the same numbers."""
    pixels = np.stack([seen(bundle, sample) for sample in chosen_samples(bundle, data, "test")])
    head, rows = Engine(bundle.model_path).head("add"), np.array([2, 0, 5])
    kept = Activations(bundle, head, pixels).batch(rows)
    monkeypatch.setattr(privacy_module, "MAX_ACTIVATION_BYTES", 0)
    anew = Activations(bundle, head, pixels).batch(rows)
    assert all(np.array_equal(one, other) for one, other in zip(kept, anew, strict=True))


@pytest.mark.parametrize("shape", [(80, 80, 16), (5, 5, 160), (20, 15, 8), (1280,), (160, 120, 3)])
def test_a_decoder_gives_a_picture_of_the_size_asked_for(shape: tuple[int, ...]) -> None:
    """Whatever the activation's shape, a vector or as large as the picture."""
    assert decoder(shape, (160, 120), 16).output_shape == (None, 160, 120, 3)


def test_the_command_writes_grid_table_and_leaks(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row of the grid per cut point below the originals and the mean; the bundle keeps a leak per cut point."""
    folder = bundle_folder(tmp_path / "mine")
    asked = PrivacySettings(
        data=data,
        cuts="conv_a,pool",
        epochs=1,
        copies=1,
        width=8,
        pictures=2,
        train_limit=20,
        output=tmp_path / "out",
        write=True,
    )
    privacy(str(folder), settings=asked)
    table = list(csv.DictReader((tmp_path / "out/privacy-tiny.csv").read_text().splitlines()))
    assert [row["cut"] for row in table] == [KNOWS_NOTHING, "conv_a", "pool"]
    grid = decode_picture((tmp_path / "out/privacy-tiny.png").read_bytes())
    assert grid.shape[0] == 4 * 8 + 3 * 4
    leaks = Bundle.load(folder).leaks
    assert [(leak.cut, f"{leak.ssim}") for leak in leaks] == [(row["cut"], row["ssim"]) for row in table[1:]]
    assert "mean picture" in capsys.readouterr().out
    privacy(str(folder), settings=replace(asked, cuts="add", output=None))
    assert [leak.cut for leak in Bundle.load(folder).leaks] == ["conv_a", "add", "pool"]
