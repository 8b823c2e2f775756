"""`headwater demo` as its users run it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from models.bundle import Bundle, predictions
from models.engine import Engine
from models.pictures import decode_to_fit, to_input
from tests.end_to_end.stream import SHARED, demo, figures, headwater, records
from tests.servers import StoreUnderTest, eventually, need

FRAMES = 28


def shared(folder: str) -> str:
    """Return a folder of shared pictures; skip where there is none, fail when CI is set."""
    path = SHARED / folder
    if not path.is_dir():
        assert not os.environ.get("CI"), f"{path} is missing, and CI is set"
        pytest.skip(f"no {path}")
    return str(path)


def splits() -> list[str]:
    """Return the picture, three cut points spread over the model, and the device."""
    offered = Bundle.load("litter").cut_points
    return ["image", offered[0], offered[len(offered) // 2], offered[-1], "device"]


@pytest.mark.timeout(300)
def test_street_pictures_all_finish_and_have_real_positions(valkey: StoreUnderTest) -> None:
    """28 frames of real photographs are captured and finished, none dropped, with the positions of their EXIF.

    Each is judged as the model judges the file by itself.
    """
    summary = demo("--source", shared("street"), "--frames", str(FRAMES), "--store", valkey.url)
    assert (summary["captured"], sum(summary["finished"].values())) == (FRAMES, FRAMES)
    assert (summary["dropped"], summary["in_flight"]) == ({}, 0)
    found = records(valkey.url)
    assert len(found) == FRAMES
    assert {record.position.source for record in found if record.position} == {"exif"}
    assert all(record.position is not None for record in found)
    judged = scores_without_a_stream(Path(shared("street")))
    assert all(record.predictions[0].scores == judged[record.name or ""] for record in found)


def scores_without_a_stream(folder: Path) -> dict[str, list[float]]:
    """Return what the shipped model says of each picture, read as training reads its pictures."""
    bundle = Bundle.load("litter")
    whole, wanted, found = Engine(bundle.model_path).whole(), bundle.input, {}
    for path in folder.glob("*.jpg"):
        small = decode_to_fit(path.read_bytes(), wanted.width, wanted.height)
        outputs = whole.run(to_input(small, whole.inputs[0], wanted.low, wanted.high, wanted.colour))
        found[path.name] = predictions(bundle, outputs, whole.outputs)[0].scores
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", ["street", "video"])
def test_every_split_predicts_the_same(valkey: StoreUnderTest, source: str) -> None:
    """Whatever the split, a lossless codec gives the same predictions for the same pictures, to the last bit."""
    answers = []
    for number, split in enumerate(splits()):
        fleet = f"fleet{number}"
        common = ["--store", valkey.url, "--fleet", fleet, "--rate", "50", "--codec", "auto"]
        summary = demo("--source", shared(source), "--frames", str(FRAMES), "--split", split, *common)
        by = "device" if split == "device" else "worker"
        assert summary["finished"][by] == FRAMES
        answers.append({r.sequence: (r.name, r.predictions) for r in records(valkey.url, fleet)})
    assert len(answers[0]) == FRAMES
    assert all(answer == answers[0] for answer in answers[1:])


@pytest.mark.timeout(180)
def test_built_in_photographs_walk_on_a_made_up_way(valkey: StoreUnderTest) -> None:
    """Without a source the photographs of pip packages stream, on two workers, and their positions say made-up."""
    need(package="skimage")
    summary = demo("--frames", "12", "--rate", "20", "--workers", "2", "--store", valkey.url)
    assert sum(summary["finished"].values()) == 12
    assert {record.position.source for record in records(valkey.url) if record.position} == {"made-up"}
    assert set(summary["stages_ms"]["total"]) == {"p50", "p95", "p99"}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process(number: signal.Signals, valkey: StoreUnderTest) -> None:
    """Ctrl-C and SIGTERM end the demo and all that it started, and it still prints its figures."""
    running = headwater("demo", "demo", "--json", "--no-visualizer", "--rate", "10", "--store", valkey.url)
    assert eventually(lambda: len(records(valkey.url)) > 3, 60)
    everyone = descendants(running.pid)
    assert len(everyone) >= 3
    running.signal(number)
    summary = figures(running, 60)
    assert summary["captured"] > 3
    assert summary["captured"] == sum(summary["finished"].values()) + summary["in_flight"]
    assert eventually(lambda: not [pid for pid in everyone if Path(f"/proc/{pid}").exists()], 10)


def test_a_wrong_split_is_one_clear_line() -> None:
    """A misspelt cut point ends the demo with status 2 and a line that names the nearest ones."""
    running = headwater("demo", "demo", "--no-visualizer", "--split", "block_5_ad", "--frames", "2")
    assert running.wait(60) == 2
    assert "block_5_add" in running.last_words()


def descendants(pid: int) -> list[int]:
    """Return the processes below one. Source: proc(5)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found
