"""What early exits do to accuracy and latency, measured on a small bundle and real files."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.exits import OWN, PLAIN, TO_CLOUD, TO_EDGE_SITE, Stages, measure_stages, measured
from evaluation.exits_report import confusion, table
from headwater.cli import main
from models.answers import Answers, Place, outcome
from models.bundle import Bundle
from models.manifest_text import rewrite_exits
from models.tasks import Task
from tests.edge.samples import exit_bundle

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:matplotlib")
NO_EXIT, FIRST, BOTH = frozenset[str](), frozenset({"exit1"}), frozenset({"exit1", "exit2"})
STAGES = Stages("cut", {NO_EXIT: (3.5,), FIRST: (1.0, 3.7), BOTH: (1.0, 3.0, 4.0)}, 6.0, 34_500, 3_000)


def test_the_links_of_the_document_are_bytes_over_bandwidth_and_a_round_trip() -> None:
    """34,500 B at 34.5 Mbit/s take 8 ms, and the way there and back 24.16 ms; to the cloud it is near."""
    assert TO_EDGE_SITE.ms(34_500) == pytest.approx(8.0 + 24.16)
    assert TO_CLOUD.ms(1_356_000) == pytest.approx(8.0 + 6.636)


def test_a_mean_latency_weighs_where_pictures_leave() -> None:
    """Who leaves early pays the stages until there, who goes on the open ones, the link and the tail."""
    link = TO_EDGE_SITE.ms(34_500)
    shares = {"exit1": 0.2, "exit2": 0.3}
    late = 4.0 + link + 6.0
    assert STAGES.mean(shares, BOTH, TO_EDGE_SITE) == pytest.approx(0.2 * 1.0 + 0.3 * 3.0 + 0.5 * late)
    assert STAGES.mean({"exit1": 0.2, "exit2": 0.0}, FIRST, TO_EDGE_SITE) == pytest.approx(0.2 + 0.8 * (late - 0.3))
    nobody = dict.fromkeys(shares, 0.0)
    assert STAGES.mean(nobody, NO_EXIT, TO_EDGE_SITE) == pytest.approx(3.5 + link + 6.0)
    on_device = replace(STAGES, split="device", tail=0.0, payload_bytes=0.0)
    assert on_device.mean(nobody, NO_EXIT, TO_EDGE_SITE) == 3.5


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
    assert 0 < found.reached[FIRST][0] <= found.reached[FIRST][1]
    assert len(found.reached[NO_EXIT]) == 1
    assert found.tail > 0
    assert found.payload_bytes > 0
    assert found.picture_bytes > 0
    alone = measure_stages(bundle, "device", pictures)
    assert (alone.tail, alone.payload_bytes) == (0.0, 0.0)


def _faces() -> Bundle:
    """The shipped faces, exit 1 closed."""
    faces = Bundle.load("faces")
    first, second = faces.exits
    return replace(faces, exits=(replace(first, thresholds={}), second))


def test_the_documents_figures_stand_beside_ours() -> None:
    """For its tasks the table ends with what the thesis printed; what it does not say is left empty."""
    bundle = _faces()
    scores = {task: np.tile([0.8, 0.2], (10, 1)).astype(np.float32) for task in ("gender", "age-group")}
    places = tuple(Place(one.name, scores, 1, {"age": np.zeros(10)}) for one in bundle.exits)
    truth = {task: np.zeros(10, int) for task in scores}
    answers = Answers(places, Place("end", scores, 2, {"age": np.zeros(10)}), truth, {"age": np.zeros(10)})
    second = frozenset({"exit2"})
    stages = Stages("cut", {NO_EXIT: (2.0,), second: (1.5, 2.1), BOTH: (1.0, 1.6, 2.2)}, 1.0, 100, 3_000)
    entries = table(measured(bundle, answers, stages))
    assert [entry["setting"] for entry in entries][-1] == "thesis: exits, 0.6 / 0.8"
    assert entries[-1]["share exit1"] == 0.20
    assert (entries[-1]["edge site to plain"], entries[-1]["latency to plain"]) == (0.95, "")
    assert (entries[0]["latency to plain"], entries[0]["edge site to plain"]) == (1.0, 1.0)
    assert [entry["share exit1"] for entry in entries[:3]] == [0.0, 0.0, 1.0]
    assert entries[2]["mean ms"] == 1.0
    picture = TO_EDGE_SITE.ms(3_000)
    assert entries[0]["edge site ms"] == pytest.approx(picture + 2.0 + TO_CLOUD.ms(100) + 1.0, abs=0.01)


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
    assert [(row["setting"], row["pictures"]) for row in rows] == [(PLAIN, "30"), (OWN, "30")]
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


@pytest.mark.parametrize(
    ("split", "says"), [("image", "lies before an exit"), ("exit1/litter", "is no cut point"), ("nowhere", "is no cut")]
)
def test_a_wrong_split_is_refused(split: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plain split is compared with all exits asked before it: another is one line, judged nothing."""
    bundle = exit_bundle(tmp_path / "early", 0.5)
    assert says in _refusal([str(bundle.folder), "--data", str(tmp_path), "--split", split], capsys)


def test_exits_that_cannot_be_judged_together_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames that an exit gives up would be missing; what one rule says of another's thresholds would be wrong."""
    dropping = exit_bundle(tmp_path / "dropping", 0.5, drop=0.1)
    assert "has drop thresholds" in _refusal([str(dropping.folder), "--data", str(tmp_path)], capsys)
    folder = tmp_path / "faces"
    shutil.copytree(Bundle.load("faces").folder, folder)
    first, second = Bundle.load(folder).exits
    rewrite_exits(folder / "bundle.toml", [replace(first, rule="margin"), second], {})
    assert "decide by entropy and margin" in _refusal([str(folder), "--data", str(tmp_path)], capsys)


def _refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that the command ends with."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "exits", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said
