"""bundle.toml written: it reads back, and a change leaves the rest of the file alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle import SHIPPED
from models.manifest import Accuracy, Exit, InputSpec, Manifest, parse_manifest, read_manifest
from models.manifest_text import manifest_text, rewrite_exits
from models.tasks import Task
from models.toml_table import BundleError

FULL = Manifest(
    name="faces",
    description='Says "how old", über alles.',
    digest="ab" * 32,
    input=InputSpec(128, 96, -1.0, 127 / 128, "BGR"),
    outputs=("gender", "age"),
    tasks=(
        Task("gender", "classification", "gender", ("male", "female"), scores="logits", temperature=1.7),
        Task("age", "regression", "age", unit="years"),
    ),
    exits=(
        Exit(
            "exit1", "block_5_add", {"gender": "exit1/gender"}, "entropy", {"gender": 0.6}, {"gender": 0.69}, leave=0.25
        ),
        Exit("exit2", "block_9_add", {"gender": "exit2/gender"}, "margin", {}, {}, {"gender": 0.8}),
    ),
    cut_points=("block_5_add", "block_9_add"),
    training={"seed": "0", "licence": "none\nstated"},
    accuracy=(Accuracy("age", "mean absolute error", 5.25, None, None, 100, "held out"),),
)


def test_a_written_manifest_reads_back() -> None:
    """Everything that a manifest says survives being written, quotes and line breaks too."""
    assert parse_manifest(manifest_text(FULL)) == FULL


def test_shipped_manifests_read_back() -> None:
    """The bundles that ship say the same after being written again."""
    for path in sorted(SHIPPED.glob("*/bundle.toml")):
        manifest = read_manifest(path)
        assert parse_manifest(manifest_text(manifest)) == manifest


def test_a_manifest_that_would_not_be_read_is_not_written() -> None:
    """The writer refuses what the reader would refuse."""
    wrong = Exit("exit1", "block_5_add", {"gender": "g"}, "entropy", {}, {}, {"gender": -1.0})
    with pytest.raises(BundleError, match=r"temperatures\.gender is -1"):
        manifest_text(Manifest(**{**vars(FULL), "exits": (wrong,)}))


def test_lines_for_a_person_stand_in_their_exit() -> None:
    """They change nothing, and a key among them holds for that exit once its mark is taken away."""
    text = manifest_text(FULL, {"exit2": ("Closed until you open it.", 'thresholds = { "gender" = 0.5 }')})
    assert parse_manifest(text) == FULL
    opened = parse_manifest(text.replace("# thresholds", "thresholds"))
    assert [found.thresholds for found in opened.exits] == [{"gender": 0.6}, {"gender": 0.5}]


def test_thresholds_change_and_comments_stay(tmp_path: Path) -> None:
    """A new rule replaces the old one of its exit; comments and other keys stay as they were."""
    path = tmp_path / "bundle.toml"
    path.write_text("# chosen with care\n" + manifest_text(FULL), encoding="utf-8")
    first = Exit("exit1", "block_5_add", {"gender": "exit1/gender"}, "margin", {"gender": 0.9}, {}, {"gender": 2.0})
    rewrite_exits(path, [first], {"gender": 1.25})
    found = read_manifest(path)
    assert path.read_text(encoding="utf-8").startswith("# chosen with care\n")
    assert found.exits[0] == first
    assert found.exits[1] == FULL.exits[1]
    assert found.tasks[0].temperature == 1.25
    assert found.tasks[1] == FULL.tasks[1]


def test_what_was_measured_with_other_thresholds_goes(tmp_path: Path) -> None:
    """An accuracy with exits holds for the thresholds beside it; new ones take it away, the same ones do not."""
    path, ends = tmp_path / "bundle.toml", Accuracy("gender", "accuracy", 0.9, None, None, 10, "held out")
    with_exits = replace(ends, metric="accuracy with exits")
    path.write_text(manifest_text(replace(FULL, accuracy=(with_exits, ends))), encoding="utf-8")
    rewrite_exits(path, FULL.exits, {})
    assert read_manifest(path).accuracy == (with_exits, ends)
    rewrite_exits(path, [replace(FULL.exits[0], thresholds={"gender": 0.5})], {})
    assert read_manifest(path).accuracy == (ends,)


def test_shares_that_leave_are_shares() -> None:
    """None over 1, below 0 or no number, and together at most all pictures."""
    text = manifest_text(FULL)
    for wrong in ("leave = 1.1", "leave = -0.1", 'leave = "all"'):
        with pytest.raises(BundleError, match=r"exits\[0\].leave"):
            parse_manifest(text.replace("leave = 0.25", wrong))
    both = replace(FULL, exits=(FULL.exits[0], replace(FULL.exits[1], leave=0.8)))
    with pytest.raises(BundleError, match=r"leave add up to 1\.05, expected at most 1"):
        parse_manifest(manifest_text(both))


def test_comments_beside_what_changes_stay_too(tmp_path: Path) -> None:
    """The value changes where it stands: order, comments and all other lines stay; a new key comes at the end."""
    path = tmp_path / "bundle.toml"
    lines = manifest_text(FULL).splitlines()
    first = lines.index("[[exits]]")
    noted = [f"{line}   # why {at}" if line and line[0] not in "[]" else line for at, line in enumerate(lines)]
    noted.insert(first + 3, "# in between")
    path.write_text("\n".join(noted) + "\n", encoding="utf-8")
    assert read_manifest(path) == FULL
    changed = replace(FULL.exits[0], thresholds={"gender": 0.5}, temperatures={"gender": 2.0})
    rewrite_exits(path, [changed, FULL.exits[1]], {"gender": 1.25})
    found = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in found if line not in noted] == [
        next(line for line in noted if "temperature = 1.7" in line).replace("1.7", "1.25"),
        next(line for line in noted if "thresholds = " in line).replace("0.6", "0.5"),
        "temperatures = {gender = 2.0}",
    ]
    assert len(found) == len(noted) + 1
    assert read_manifest(path).exits == (changed, FULL.exits[1])
