"""Three ways to train exits, compared on a small part of made-up pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.exit_training import read
from headwater.cli import main
from models.training.plans import plan_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two kinds of noise, under two of CIFAR-10's labels."""
    rng, labels = np.random.default_rng(0), plan_of("cifar-sem1").task.labels
    for part, count in (("train", 60), ("validation", 30), ("test", 30)):
        for number in range(count):
            folder = tmp_path / "pictures" / part / labels[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            picture = rng.integers(0, 128, (32, 32, 3), np.uint8) + np.uint8(100 * (number % 2))
            Image.fromarray(picture).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_ways_are_compared_on_one_network(pictures: Path, tmp_path: Path) -> None:
    """Each way gives a row; on a frozen network the end stays what it was, whoever taught the exit."""
    arguments = ["--data", str(pictures), "--network", "cifar-sem1", "--epochs", "1", "--exit-epochs", "1"]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "exit-training", *arguments, "--seeds", "1", "-o", str(tmp_path / "out")])
    assert ended.value.code == 0
    rows = list(csv.DictReader((tmp_path / "out" / "exit-training.csv").read_text().splitlines()))
    assert [row["way"] for row in rows] == ["joint", "separate", "distilled"]
    assert rows[1]["final_accuracy"] == rows[2]["final_accuracy"]
    assert all(0.0 <= float(row["left"]) <= 1.0 for row in rows)
    assert (tmp_path / "out" / "exit-training.svg").read_text().startswith("<?xml")


def test_a_limit_keeps_every_label(pictures: Path) -> None:
    """A few pictures of a part are drawn from all of it, not from its first folder."""
    parts = read(plan_of("cifar-sem1"), [pictures], 20)
    assert {part: len(found.pictures) for part, found in parts.items()} == {"train": 20, "validation": 20, "test": 20}
    assert all(5 <= int(found.targets["object"].sum()) <= 15 for found in parts.values())


def test_a_network_without_exits_is_refused(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which networks have exits."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "exit-training", "--data", str(pictures), "--network", "mnist"])
    assert ended.value.code == 2
    assert "has no exits" in capsys.readouterr().err
