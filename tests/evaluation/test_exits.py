"""What early exits do to accuracy and latency, measured on a small bundle and real files."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.exits import BANDWIDTH_BITS_PER_S, ROUND_TRIP_S, Stages, measure_stages, measured
from evaluation.exits_report import confusion, table
from headwater.cli import main
from models.answers import Answers, Place, outcome
from models.tasks import Task
from tests.edge.samples import exit_bundle

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:matplotlib")
STAGES = Stages("cut", (1.0, 3.0), 4.0, 3.5, 6.0, 34_500)


def test_the_link_of_the_document_is_bytes_over_bandwidth_and_a_round_trip() -> None:
    """34,500 B at 34.5 Mbit/s take 8 ms, and the way there and back 24.16 ms."""
    assert BANDWIDTH_BITS_PER_S == 34.5e6
    assert STAGES.link() == pytest.approx(8.0 + 1000 * ROUND_TRIP_S)


def test_a_mean_latency_weighs_where_pictures_leave() -> None:
    """Who leaves early pays the stages until there, who goes on pays all of them, the link and the tail."""
    late = 4.0 + STAGES.link() + 6.0
    assert STAGES.mean((0.2, 0.3, 0.5)) == pytest.approx(0.2 * 1.0 + 0.3 * 3.0 + 0.5 * late)
    assert STAGES.mean((0.0, 0.0, 1.0)) == pytest.approx(late)
    assert STAGES.plain() == pytest.approx(3.5 + STAGES.link() + 6.0)


def test_a_confusion_counts_what_was_said_where_pictures_left() -> None:
    """A picture that left early is judged by what the exit said, not by what the end would have said."""
    task = Task("kind", "classification", "kind", ("a", "b"))
    first = Place("exit1", {"kind": np.array([[0.1, 0.9], [0.5, 0.5]])}, 1)
    last = Place("end", {"kind": np.array([[0.9, 0.1], [0.9, 0.1]])}, 2)
    answers = Answers((first,), last, {"kind": np.zeros(2, int)})
    found = outcome(answers, {"exit1": {"kind": 0.85}}, "margin")
    assert confusion(answers, found, task).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    found = outcome(answers, {"exit1": {"kind": 0.7}}, "margin")
    assert confusion(answers, found, task)[0].tolist() == [0.5, 0.5]


def test_stages_are_measured_and_add_up(tmp_path: Path) -> None:
    """Each exit comes after the one before it and before the split; the bytes are those of the activation."""
    bundle = exit_bundle(tmp_path / "early", 0.5)
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8))
    found = measure_stages(bundle, bundle.cut_points[-1], pictures)
    assert 0 < found.exits[0] <= found.head
    assert found.tail > 0
    assert found.payload_bytes > 0


def test_the_documents_figures_stand_beside_ours(tmp_path: Path) -> None:
    """The table ends with what the thesis printed; what it does not say is left empty."""
    bundle = exit_bundle(tmp_path / "early", 0.5)
    scores = np.tile([0.8, 0.1, 0.1], (10, 1)).astype(np.float32)
    answers = Answers(
        (Place("exit1", {"litter": scores}, 1),), Place("end", {"litter": scores}, 2), {"litter": np.zeros(10, int)}
    )
    entries = table(measured(bundle, answers, Stages("cut", (1.0,), 2.0, 2.0, 1.0, 100)))
    assert [entry["setting"] for entry in entries][-1] == "thesis: exits, 0.6 / 0.8"
    assert entries[-1]["share exit1"] == 0.20
    assert entries[-1]["accuracy litter"] == ""
    assert entries[0]["latency to plain"] == 1.0


def test_the_command_writes_table_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`headwater evaluate exits` judges real files of a folder and leaves a CSV and three figures."""
    bundle = exit_bundle(tmp_path / "early", 0.5)
    rng = np.random.default_rng(0)
    for number in range(30):
        folder = tmp_path / "pictures" / "test" / bundle.tasks[0].labels[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "exits", str(bundle.folder), "--data", str(tmp_path / "pictures"), "-o", str(out)])
    assert ended.value.code == 0
    assert "mean latency" in capsys.readouterr().out
    rows = list(csv.DictReader((out / f"exits-{bundle.name}.csv").read_text().splitlines()))
    assert [row["pictures"] for row in rows[:3]] == ["30"] * 3
    assert sum(float(rows[1][name]) for name in rows[1] if name.startswith("share")) == pytest.approx(1.0, abs=1e-3)
    for figure in ("sureness", "paths", "confusion"):
        assert (out / f"exits-{bundle.name}-{figure}.svg").read_text().startswith("<?xml")


def test_a_picture_of_two_sources_counts_once(tmp_path: Path) -> None:
    """What lies in a second folder too is judged once, and what is new there is added."""
    bundle = exit_bundle(tmp_path / "early", 0.5)
    rng = np.random.default_rng(0)
    first, second = (tmp_path / name / "test" / bundle.tasks[0].labels[0] for name in ("first", "second"))
    first.mkdir(parents=True)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(first / f"{number}.png")
    shutil.copytree(first, second)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(second / "new.png")
    given = [argument for name in ("first", "second") for argument in ("--data", str(tmp_path / name))]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "exits", str(bundle.folder), *given, "-o", str(tmp_path / "out")])
    assert ended.value.code == 0
    rows = list(csv.DictReader((tmp_path / "out" / f"exits-{bundle.name}.csv").read_text().splitlines()))
    assert rows[0]["pictures"] == "13"


def test_a_split_before_an_exit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plain split is compared with all exits asked before it: a shallower one is one line, judged nothing."""
    bundle = exit_bundle(tmp_path / "early", 0.5)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "exits", str(bundle.folder), "--data", str(tmp_path), "--split", "image"])
    assert ended.value.code == 2
    assert "lies before an exit" in capsys.readouterr().err
