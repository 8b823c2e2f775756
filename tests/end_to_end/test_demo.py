"""`headwater demo` as its users run it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from headwater.children import start
from headwater.messages import Box
from models.bundle import Bundle, predictions
from models.engine import Engine
from models.pictures import decode_to_fit, to_input
from models.samples import read_samples
from tests.edge.samples import exit_bundle
from tests.end_to_end.stream import SHARED, demo, figures, headwater, records
from tests.face_models import need_face_models
from tests.servers import StoreUnderTest, eventually, need

FRAMES = 28
PARTS = ("broker", "store", "worker")


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
    whole, wanted, found = Engine(bundle.model_path, outputs=bundle.finals).whole(), bundle.input, {}
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
@pytest.mark.parametrize(("threshold", "by"), [(99.0, "device"), (0.0, "worker")])
def test_frames_leave_at_an_exit_or_go_on(valkey: StoreUnderTest, tmp_path: Path, threshold: float, by: str) -> None:
    """With an exit before the split every frame leaves there, or none does, by its threshold; the counts say where."""
    bundle = exit_bundle(tmp_path / "early", threshold)
    common = ["--frames", "12", "--rate", "20", "--store", valkey.url]
    summary = demo("--bundle", str(bundle.folder), "--split", "conv_b", *common)
    assert summary["finished"][by] == 12
    assert summary["exits"] == ({"exit1": 12} if by == "device" else {})
    found = records(valkey.url)
    assert {(record.finished_by, record.exit) for record in found} == {(by, "exit1" if by == "device" else None)}


@pytest.mark.timeout(180)
def test_faces_are_cut_and_pictures_without_one_are_counted(valkey: StoreUnderTest) -> None:
    """Of the built-in photographs one shows a face: it is finished with its box, the other five are no_face."""
    need(package="skimage")
    need_face_models()
    summary = demo("--crop", "face", "--frames", "12", "--rate", "20", "--store", valkey.url)
    assert (sum(summary["finished"].values()), summary["dropped"], summary["in_flight"]) == (2, {"no_face": 10}, 0)
    found = records(valkey.url)
    assert {record.name for record in found} == {"astronaut.png"}
    boxes = {prediction.box for record in found for prediction in record.predictions}
    (box,) = boxes
    assert isinstance(box, Box)
    assert abs(box.x + box.width / 2 - 225) < 5
    assert abs(box.y + box.height / 2 - 124) < 5


@pytest.mark.timeout(180)
def test_faces_leave_early_or_go_on_and_every_one_is_counted(valkey: StoreUnderTest, tmp_path: Path) -> None:
    """The shipped faces model answers real faces on the device or in the cloud; the counts of its exits add up."""
    need_face_models()
    tasks = Bundle.load("faces").tasks
    archive = Path(shared("faces")) / "utkface_200px.tar"
    for sample in [one for one in read_samples(archive, tasks) if one.part == "test"][:40]:
        (tmp_path / Path(sample.name).name).write_bytes(sample.read())
    common = ["--source", str(tmp_path), "--frames", "40", "--rate", "20", "--store", valkey.url]
    summary = demo("--bundle", "faces", "--split", "block_9_add", *common)
    finished = summary["finished"]
    assert finished["device"] + finished["worker"] + sum(summary["dropped"].values()) == 40
    assert sum(summary["exits"].values()) == finished["device"]
    assert min(finished.values()) > 0
    assert summary["exits"].keys() <= {"exit1", "exit2"}
    found = records(valkey.url)
    assert {record.exit for record in found} == {None, *summary["exits"]}
    assert {tuple(p.task for p in record.predictions) for record in found} == {tuple(task.name for task in tasks)}


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
def test_ctrl_c_leaves_no_process(
    number: signal.Signals, valkey: StoreUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and SIGTERM end the demo and all that it started, and it still prints its figures."""
    running = headwater("demo", "demo", "--json", "--no-visualizer", "--rate", "10", "--store", valkey.url)
    said: list[str] = []
    assert eventually(lambda: said.append(capsys.readouterr().err) or "The stream runs" in "".join(said), 60)
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


@pytest.mark.timeout(180)
@pytest.mark.parametrize("part", ["worker", "broker", "store"])
def test_the_end_of_a_part_ends_the_demo(part: str) -> None:
    """Without its only worker, its broker or its store the demo ends with status 2, names it and leaves no process."""
    running = headwater("demo", "demo", "--no-visualizer", "--rate", "10", "--frames", "1000")
    running.wait_for_line("The stream runs", 60)
    everyone = descendants(running.pid)
    os.kill(commands(running.pid)[part], signal.SIGKILL)
    assert running.wait(60) == 2
    name = "worker-1" if part == "worker" else part
    assert running.last_words().startswith(f"headwater: error: {name} ended with status -9 while the stream ran")
    assert eventually(lambda: not [pid for pid in everyone if Path(f"/proc/{pid}").exists()], 10)


@pytest.mark.timeout(180)
def test_one_of_two_workers_may_end(capsys: pytest.CaptureFixture[str]) -> None:
    """The other one finishes every frame, and the demo says once that one is gone."""
    running = headwater("demo", "demo", "--no-visualizer", "--workers", "2", "--rate", "10", "--frames", "40")
    running.wait_for_line("The stream runs", 60)
    os.kill(commands(running.pid)["worker"], signal.SIGKILL)
    assert running.wait_for_line("40 captured", 90).startswith("40 captured, 0 finished on the device, 40 by workers")
    assert running.wait(30) == 0
    assert capsys.readouterr().err.count("the stream goes on, workers left: 1") == 1


@pytest.mark.timeout(180)
def test_production_settings_leave_the_demo_alone(tmp_path: Path) -> None:
    """Neither the settings file of the folder nor variables meant for devices and workers change the demo."""
    (tmp_path / "headwater.toml").write_text('[edge]\nca-file = "/no/ca.pem"\n[worker]\nbroker = "mqtts://h"\n')
    variables = {"HEADWATER_CA_FILE": "/no/ca.pem", "HEADWATER_BATCH": "0", "HEADWATER_USERNAME": "cam1"}
    command = [sys.executable, "-m", "headwater", "demo", "--json", "--no-visualizer", "--frames", "3"]
    running = start("demo", command, env=variables, folder=tmp_path)
    assert sum(figures(running, 90)["finished"].values()) == 3


def commands(pid: int) -> dict[str, int]:
    """Return the `headwater` commands below a process, by name. Source: proc(5)."""
    found: dict[str, int] = {}
    for below in descendants(pid):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{below}/cmdline").read_bytes().decode().split("\0")
            after_module = words[words.index("headwater") + 1 :] if "headwater" in words else []
            found |= {word: below for word in after_module[:1] if word in PARTS}
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes below one. Source: proc(5)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # that thread has ended
            for child in task.read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
