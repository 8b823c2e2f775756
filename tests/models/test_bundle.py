"""Bundles and their manifests: strict reading, clear errors, names and digests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from models import bundle as bundle_module
from models.bundle import SHIPPED, Bundle, BundleError, find_bundles
from models.graph import Graph
from models.manifest import MAX_MANIFEST_BYTES, parse_manifest
from tests.models import tflite_files as files

MODEL = b"stands for a model file"
DIGEST = hashlib.sha256(MODEL).hexdigest()
GOOD = f"""
format = 1
name = "street"
description = "Says what lies on a street."
digest = "{DIGEST}"
outputs = ["litter", "age"]
cut_points = ["block_1_add", "block_2_add"]

[input]
width = 160
height = 120
low = -1.0
high = 1

[[tasks]]
name = "litter"
kind = "classification"
output = "litter"
labels = ["clean", "dirty"]
positive = "dirty"

[[tasks]]
name = "age"
kind = "regression"
output = "age"
unit = "years"

[[exits]]
name = "exit1"
after = "block_1_add"
outputs = {{ litter = "exit1/litter" }}
rule = "entropy"
thresholds = {{ litter = 0.6 }}

[training]
data = "pictures"
licence = "none stated"

[[accuracy]]
task = "litter"
metric = "accuracy"
value = 0.9
low = 0.75
high = 0.97
pictures = 30
data = "held out"
"""


def write_bundle(folder: Path, manifest: str = GOOD, model: bytes = MODEL) -> Path:
    folder.mkdir(parents=True)
    (folder / "bundle.toml").write_text(manifest)
    (folder / "model.tflite").write_bytes(model)
    return folder


def test_a_manifest_says_everything(tmp_path: Path) -> None:
    """Input, tasks, outputs, exits, cut points and figures come back as written."""
    bundle = Bundle.load(write_bundle(tmp_path / "street"))
    assert (bundle.name, bundle.digest, bundle.model_path) == ("street", DIGEST, tmp_path / "street" / "model.tflite")
    assert (bundle.input.width, bundle.input.height, bundle.input.low, bundle.input.high) == (160, 120, -1.0, 1.0)
    assert bundle.input.colour == "RGB"
    litter, age = bundle.tasks
    assert (litter.labels, litter.positive, litter.scores) == (("clean", "dirty"), "dirty", "probabilities")
    assert (age.kind, age.unit, age.labels, age.positive) == ("regression", "years", (), None)
    assert bundle.outputs == ("litter", "age")
    assert bundle.cut_points == ("block_1_add", "block_2_add")
    assert bundle.exits[0].thresholds == {"litter": 0.6}
    assert bundle.exits[0].outputs == {"litter": "exit1/litter"}
    assert (bundle.accuracy[0].value, bundle.accuracy[0].low, bundle.accuracy[0].pictures) == (0.9, 0.75, 30)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "has format 2, this program reads 1"),
        ("format = 1", "", "format is missing, expected a whole number"),
        ('name = "street"', 'name = "Big Street"', "name is 'Big Street', expected lower-case"),
        (DIGEST, "abc", "digest is 'abc', expected the 64 hex digits"),
        ("width = 160", "widht = 160", "input.width is missing"),
        ("high = 1", "high = 1\nhihg = 2", "input.hihg is not known; did you mean high?"),
        ("width = 160", "width = 0", "input.width is 0, expected a whole number of 1 to 8192"),
        ("width = 160", "width = true", "input.width is True, expected a whole number"),
        ("high = 1", "high = -3", "input.high is -3.0, expected a number over low = -1.0"),
        ("high = 1", "high = nan", "input.high is nan, expected a number"),
        ("high = 1", 'high = 1\ncolour = "RBG"', "input.colour is 'RBG', expected one of RGB, BGR, grey"),
        ('labels = ["clean", "dirty"]', "", r"tasks\[0\].labels is missing"),
        ('["clean", "dirty"]', '["clean", "clean"]', "expected two or more different labels"),
        ("value = 0.9\n", "value = 97.3\n", "expected 0.75 to 0.97, its interval"),
        ("format = 1", "format = " + "1" * 5000, "is not TOML"),
        ("format = 1", "format = " + "[" * 100_000, "is not TOML"),
        ('unit = "years"', 'unit = "years"\nlabels = ["a", "b"]', "none: a regression has no labels"),
        ('["clean", "dirty"]', '["clean", 1]', "expected a list of texts"),
        ('positive = "dirty"', 'positive = "dirt"', "positive is 'dirt', expected one of clean, dirty"),
        ('output = "age"', 'output = "old"', r"tasks\[1\].output is 'old', expected one of litter, age"),
        ('name = "age"', 'name = "litter"', "tasks names 'litter' twice"),
        (
            'name = "exit1"',
            'name = "end"',
            r"exits\[0\].name is 'end', expected another name: that is the place behind",
        ),
        ('rule = "entropy"', 'rule = "luck"', r"exits\[0\].rule is 'luck', expected one of entropy"),
        ("{ litter = 0.6 }", "{ litre = 0.6 }", r"exits\[0\].thresholds.litre is not known; did you mean litter"),
        ('metric = "accuracy"', "", r"accuracy\[0\].metric is missing, expected text"),
        ("[training]", "[trainign]", "trainign is not known; did you mean training?"),
        ('data = "pictures"', "data = 5", "training.data is 5, expected text"),
        ("[[tasks]]", "[tasks", "is not TOML: .*line"),
        ('description = "Says', "description = 3 #", "description is 3, expected text"),
    ],
)
def test_a_wrong_manifest_gets_one_clear_line(old: str, new: str, message: str) -> None:
    """The error names the key, what it is and what is expected."""
    with pytest.raises(BundleError, match=message) as found:
        parse_manifest(GOOD.replace(old, new, 1))
    assert "\n" not in str(found.value)
    assert str(found.value).startswith("bundle.toml")


def test_another_model_file_is_refused(tmp_path: Path) -> None:
    """A model file whose SHA-256 is not the manifest's is never used."""
    folder = write_bundle(tmp_path / "street", model=b"another")
    with pytest.raises(BundleError, match=f"its bundle.toml says {DIGEST[:12]}"):
        Bundle.load(folder)


def test_sizes_are_checked_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A giant manifest or model file is refused by its size."""
    folder = write_bundle(tmp_path / "street")
    monkeypatch.setattr(bundle_module, "MAX_MODEL_BYTES", 10)
    with pytest.raises(BundleError, match=r"model.tflite has 23 B, expected at most 10"):
        Bundle.load(folder)
    (folder / "bundle.toml").write_text("#" * (MAX_MANIFEST_BYTES + 1))
    with pytest.raises(BundleError, match=r"bundle.toml has 262145 B, expected at most 262144"):
        Bundle.load(folder)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 give the same kind of error."""
    folder = write_bundle(tmp_path / "street")
    (folder / "bundle.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.load(folder)


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    """A folder with a manifest and no model says which file is missing."""
    folder = write_bundle(tmp_path / "street")
    (folder / "model.tflite").unlink()
    with pytest.raises(BundleError, match=r"model.tflite cannot be read: No such file"):
        Bundle.load(folder)


def test_a_name_is_looked_up_in_the_given_folders_first(tmp_path: Path) -> None:
    """A plain name is a bundle of the given folders; a path is a path."""
    write_bundle(tmp_path / "mine" / "street")
    assert Bundle.load("street", folders=[tmp_path / "mine"]).name == "street"
    assert Bundle.load(str(tmp_path / "mine" / "street")).name == "street"
    assert Bundle.load(tmp_path / "mine" / "street" / "bundle.toml").name == "street"


def test_an_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    """A misspelt name is answered with the nearest; a strange one with all of them."""
    write_bundle(tmp_path / "street")
    with pytest.raises(BundleError, match=r"called 'stret'; did you mean street?"):
        Bundle.load("stret", folders=[tmp_path])
    with pytest.raises(BundleError, match=r"there are: .*street"):
        Bundle.load("xyzzy", folders=[tmp_path])
    with pytest.raises(BundleError, match=r"is called .*gone.tflite"):
        Bundle.load(tmp_path / "gone.tflite")


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    """An empty folder is no bundle."""
    with pytest.raises(BundleError, match=r"holds no bundle.toml"):
        Bundle.load(tmp_path)


def test_the_value_range_can_be_given(tmp_path: Path) -> None:
    """Who knows better what pixels become may say so."""
    bundle = Bundle.load(write_bundle(tmp_path / "street"), value_range=(0.0, 255.0))
    assert (bundle.input.low, bundle.input.high) == (0.0, 255.0)


def test_bundles_are_found_by_digest(tmp_path: Path) -> None:
    """A worker finds the model of a frame by its digest, in a folder of bundles or a bundle's own folder."""
    folder = write_bundle(tmp_path / "all" / "street")
    for place in (tmp_path / "all", folder):
        assert find_bundles([place])[DIGEST].name == "street"
    with pytest.raises(BundleError, match="is no folder"):
        find_bundles([tmp_path / "gone"])


def test_bare_files_that_are_no_networks_for_pictures_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A part that was cut out beside its model, or a broken download, does not hide the model; each is named."""
    good = files.residual()
    (tmp_path / "model.tflite").write_bytes(good)
    (tmp_path / "tail.tflite").write_bytes(Graph.read(good).extract(["add"], None))
    (tmp_path / "broken.tflite").write_bytes(good[:100])
    assert [one.name for one in find_bundles([tmp_path]).values() if not one.folder.is_relative_to(SHIPPED)] == [
        "model"
    ]
    assert "tail.tflite" in caplog.text
    assert "broken.tflite" in caplog.text


def test_loading_needs_neither_litert_nor_tensorflow(tmp_path: Path) -> None:
    """The visualizer reads bundles where no LiteRT is installed."""
    folder = write_bundle(tmp_path / "street")
    code = (
        "import sys; from models.bundle import Bundle; Bundle.load(sys.argv[1]);"
        "print([m for m in ('tensorflow', 'keras', 'ai_edge_litert', 'tflite_runtime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
