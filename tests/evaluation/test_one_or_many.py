"""One exit or many: the counting, the tables, and the command on small networks."""

from __future__ import annotations

import csv
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.one_or_many import Asked, row
from evaluation.one_or_many_plots import plot_threshold, plot_thresholds, their_marks
from evaluation.one_or_many_verdict import verdict
from headwater.cli import main
from tests.edge.samples import bundle_folder

pytestmark = pytest.mark.timeout(600)  # one process makes all files of the shelf, with TensorFlow


def asked(kind: str = "SEM", place: int = 1) -> Asked:
    """Four pictures: two are sure of themselves at the exit, one of them wrongly."""
    return Asked(
        network="x",
        kind=kind,
        seed="0",
        exit=place,
        entropy=np.array([0.1, 0.2, 0.6, 0.9]),
        exit_right=np.array([True, False, False, False]),
        final_right=np.array([True, True, True, False]),
        head_ms=1.0,
        tail_ms=2.0,
    )


def test_each_picture_is_judged_where_it_ends() -> None:
    """Edge accuracy is of those that leave, cloud accuracy of the others, overall of all; latency is their mean."""
    found = row(asked(), 0.3)
    assert (found.pictures, found.exited) == (4, 2)
    assert (found.edge_accuracy, found.cloud_accuracy, found.overall_accuracy) == (50.0, 50.0, 50.0)
    assert (found.edge_ms, found.cloud_ms, found.overall_ms) == (1.0, 3.0, 2.0)


def test_an_empty_side_has_no_accuracy() -> None:
    """Where nothing or everything leaves, the accuracy of nobody is not a number; the threshold itself stays."""
    assert row(asked(), 0.1).edge_accuracy is None
    assert row(asked(), 1.0).cloud_accuracy is None
    assert row(asked(), 0.1).overall_accuracy == 75.0


def test_one_seed_counts_beyond_two_standard_errors() -> None:
    """Of 4 pictures one more right is chance, of 400 a hundred more are not; that it is one seed is said."""
    worse = replace(asked("MEM"), final_right=np.array([True, True, False, False]))
    few = [row(one, 0.3) for one in (asked(), worse)]
    many = [replace(found, pictures=400, exited=200) for found in few]
    assert "of 1 places one exit is better at 0, many at 0, within chance" in verdict(few)[1]
    chance = "within chance (two standard errors of so many pictures) are"
    assert verdict(many) == [
        f"T = 0.3, one seed, pictures that leave early: of 1 places one exit is better at 0, many at 0, {chance} 1 (1)",
        f"T = 0.3, one seed, % right overall: of 1 places one exit is better at 1 (1), many at 0, {chance} 0",
        "T = 0.3, one seed, ms a picture: not compared, the times of one run have no spread; "
        "give the bundles of more seeds",
    ]


def test_several_seeds_count_beyond_their_spread() -> None:
    """A better mean is no win where the seeds differ about as much; fewer milliseconds are better."""
    figures = {
        ("SEM", 1): (90.0, 91.0, 92.0), ("MEM", 1): (88.5, 89.0, 89.5),
        ("SEM", 2): (90.5, 91.0, 91.5), ("MEM", 2): (87.5, 88.0, 88.5),
        ("SEM", 3): (80.5, 81.0, 81.5), ("MEM", 3): (87.5, 88.0, 88.5),
    }  # fmt: skip
    rows = [
        replace(row(asked(kind, place), 0.3), pictures=10**4, seed=str(seed), overall_accuracy=value, overall_ms=value)
        for (kind, place), values in figures.items()
        for seed, value in enumerate(values)
    ]
    _, accuracy, ms = verdict(rows)
    assert accuracy.startswith(
        "T = 0.3, 3 seeds, % right overall: of 3 places one exit is better at 1 (2), many at 1 (3)"
    )
    assert ms.endswith("better at 1 (3), many at 1 (2), within chance or the spread of the seeds are 1 (1)")


def test_networks_of_unlike_many_seeds_are_compared() -> None:
    """How many seeds there are is said from the fewest to the most; times want two of every network."""
    once = [row(asked("SEM", 1), 0.3), row(asked("MEM", 1), 0.3)]
    left, _, ms = verdict([*once, replace(once[1], seed="1")])
    assert left.startswith("T = 0.3, 1 to 2 seeds, pictures that leave early")
    assert "not compared" in ms


def test_equal_networks_are_not_told_apart() -> None:
    """Seeds of one and the same distribution give no winner, wherever they happen to lie apart."""
    rng, one = np.random.default_rng(1), replace(row(asked(), 0.3), pictures=10**4)
    rows = [
        replace(one, kind=kind, exit=place, seed=seed, overall_accuracy=rng.normal(90, 0.3))
        for kind in ("SEM", "MEM")
        for seed in "012"
        for place in range(1, 9)
    ]
    assert "better at 0, many at 0" in verdict(rows)[1]


def test_seeds_that_agree_are_drawn(tmp_path: Path) -> None:
    """The mean of three equal figures may round to just below or above them; that is no negative bar."""
    one = replace(row(asked(), 0.3), overall_ms=0.173, edge_ms=0.003)
    assert statistics.fmean([0.173] * 3) < 0.173
    assert statistics.fmean([0.003] * 3) > 0.003
    rows = [replace(one, kind=kind, seed=seed) for kind in ("SEM", "MEM") for seed in "012"]
    plot_threshold(tmp_path / "one.svg", rows)
    plot_thresholds(tmp_path / "two.svg", rows)


def test_the_command_writes_tables_and_plots(shelf: tuple[Path, dict], tmp_path: Path) -> None:
    """Every network that is there gives a line for each exit and threshold, with the document's figures beside it."""
    folder, _ = shelf
    arguments = ["--data", str(folder / "objects"), "--bundles", str(folder), "--output", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "one-or-many", *arguments])
    assert ended.value.code == 0
    with (tmp_path / "one-or-many.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(line["network"], line["exit"]) for line in rows[:8]] == [("cifar-mem-fp32", str(n)) for n in range(1, 9)]
    assert len(rows) == 4 * 8
    second = next(line for line in rows if line["exit"] == "2" and line["threshold"] == "0.3")
    assert second["papers_003_overall_accuracy"] == "84.31"
    assert second["pictures"] == "60"
    assert float(second["cloud_ms"]) > float(second["edge_ms"]) > 0
    with (tmp_path / "one-or-many-epochs.csv").open(newline="") as file:
        epochs = list(csv.DictReader(file))
    assert {line["answer"] for line in epochs} == {"final", *(f"exit{n}" for n in range(1, 9))}
    assert {int(line["epoch"]) for line in epochs} == set(range(1, 1 + max(int(line["epoch"]) for line in epochs)))
    assert all(0 <= float(line["accuracy"]) <= 100 and int(line["pictures"]) > 0 for line in epochs)
    for name in ("one-or-many", "one-or-many-thresholds", "one-or-many-exits", "one-or-many-epochs"):
        assert (tmp_path / f"{name}.svg").stat().st_size > 5000


def test_the_plots_show_what_the_documents_do(tmp_path: Path) -> None:
    """Edge, cloud and overall of accuracy and latency; who leaves as a share, so that --limit changes no scale."""
    rows = [row(asked(kind, place), 0.3) for kind in ("SEM", "MEM") for place in range(1, 9)]
    plot_threshold(tmp_path / "one.svg", rows)
    plot_thresholds(tmp_path / "two.svg", rows)
    for name in ("one", "two"):
        text = (tmp_path / f"{name}.svg").read_text()
        assert all(found in text for found in ("(edge)", "(cloud)", "% right overall", "ms a picture overall"))
    assert all(
        f"{kind}, {stage}" in (tmp_path / "one.svg").read_text()
        for kind in ("SEM", "MEM")
        for stage in ("edge", "cloud")
    )
    assert their_marks("exited") == {("SEM", 8): pytest.approx(91.39)}
    assert their_marks("edge_accuracy") == {("SEM", 1): 87.2, ("SEM", 8): 95.24}
    assert their_marks("overall_ms") == {}


def test_broken_epochs_are_named_before_anything_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of epochs is read first, so that a broken one costs no hours of asking."""
    folder = bundle_folder(tmp_path / "cifar-sem1-fp32")
    (folder / "epochs.csv").write_text("epoch,answer,accuracy,pictures\n1,final,0.5\n")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "one-or-many", "--data", str(tmp_path / "none"), "--bundles", str(tmp_path)])
    assert ended.value.code == 2
    assert "epochs.csv is broken" in " ".join(capsys.readouterr().err.split())


def test_missing_networks_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any of the networks the command says how to train one."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "one-or-many", "--data", "x", "--bundles", str(tmp_path)])
    assert ended.value.code == 2
    assert "no bundle such as cifar-sem1-fp32" in capsys.readouterr().err
