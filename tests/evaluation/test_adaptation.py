"""What a drill shows: when the split moved, and how it stands against every fixed one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluation.adaptation import DRILLS, Move, Run, Seen, hindsight_s, move, phase_s, predicted_best, verdict
from evaluation.adaptation_commands import adaptation
from evaluation.adaptation_report import draw, lines, rows
from headwater.errors import SettingsError
from planning.ways import Way

DRILL = DRILLS[0]


def run(split: str, first_ms: float, second_ms: Sequence[tuple[str, float]], *, dropped: int = 0) -> Run:
    """Return a drill of two phases of 10 s with a frame every second."""
    before = [Seen(second, first_ms / 1e3, "image") for second in range(10)]
    after = [Seen(10 + number, ms / 1e3, way) for number, (way, ms) in enumerate(second_ms)]
    frames = (*before, *after)
    return Run(DRILL, split, 10.0, frames, len(frames), len(frames) - dropped, dropped)


AUTO = run("auto", 50, [("image", 200)] * 3 + [("device", 100)] * 7)
PICTURE = run("image", 50, [("image", 190)] * 10)
DEVICE = run("device", 90, [("device", 100)] * 10)


def test_the_move_is_counted_from_the_change() -> None:
    """Three frames went the old way; the fourth, three seconds after the change, the new one."""
    assert move(AUTO) == Move(3.0, 3, "device")
    assert move(PICTURE) is None


def test_a_probe_is_no_move() -> None:
    """One frame that goes another way and comes back has moved nothing."""
    probed = run("auto", 50, [("image", 200), ("device", 100), *[("image", 200)] * 8])
    assert move(probed) is None


def test_hindsight_takes_the_best_of_each_phase() -> None:
    """Pictures first, the device then; auto pays for the frames until it moved."""
    assert hindsight_s([[PICTURE], [DEVICE]]) == pytest.approx(0.075)
    found = verdict({"auto": [AUTO], "image": [PICTURE], "device": [DEVICE]})
    assert (found.best_fixed, found.best_fixed_s) == ("device", pytest.approx(0.095))
    assert found.auto_s == pytest.approx(0.090)
    assert found.over_hindsight == pytest.approx(0.2)


def test_a_phase_is_predicted_at_its_share_of_a_core() -> None:
    """A profile holds the processor's time: on a whole core the late cut would be faster, at half of one it is not."""
    picture = Way("image", "png", 0, 0.0, 500, payload_bytes=1_000, tail_s=0.1, shows_picture=True)
    early = Way("early", "native", 1, 0.005, 500, payload_bytes=1_000, tail_s=0.020)
    late = Way("late", "native", 2, 0.020, 500, payload_bytes=1_000, tail_s=0.003)
    device = Way("device", "none", 3, 0.1, 500, finishes=True)
    assert {phase.share for phase in DRILL.phases} == {0.5}
    assert predicted_best([picture, early, late, device], DRILL, 3) == ["device", "image png", "early native"]


def test_every_round_must_move() -> None:
    """Means are over all rounds; one round that stayed where it was is a miss."""
    found = verdict({"auto": [AUTO, PICTURE], "device": [DEVICE, DEVICE]})
    assert found.moves == (Move(3.0, 3, "device"), None)
    assert found.auto_s == pytest.approx(0.105)
    assert "3 frames; it never moved (aim: 5 s or 10 frames: MISSED)" in lines(found)[0]


def test_a_round_without_frames_is_no_success() -> None:
    """Each round counts the same; a split that was never measured is beaten by nobody."""
    silent = run("device", 90, [])
    assert phase_s([DEVICE, silent], 1) == pytest.approx(0.1)
    found = verdict({"auto": [AUTO], "device": [silent]})
    assert "MISSED" in lines(found)[1]
    assert "MISSED" in lines(found)[2]
    assert rows([[silent]])[1]["mean_ms"] is None


def test_what_is_missed_is_called_so() -> None:
    """Each aim stands beside its figure."""
    text = "\n".join(lines(verdict({"auto": [AUTO], "image": [PICTURE], "device": [DEVICE]})))
    assert "moved to device after 3.0 s, 3 frames (aim: 5 s or 10 frames: met)" in text
    assert "+20.0% against the best of each phase in hindsight, 75.0 ms (aim: +10 %: MISSED)" in text
    assert "the best fixed split, device: 95.0 ms (aim: below it: met); frames lost: 0" in text
    lost = run("auto", 50, [("image", 200)] * 10, dropped=2)
    text = "\n".join(lines(verdict({"auto": [lost], "device": [DEVICE]})))
    assert "it never moved (aim: 5 s or 10 frames: MISSED)" in text
    assert "frames lost: 2" in text


def test_table_and_plot(tmp_path: Path) -> None:
    """A row per split and phase, with the ways that frames went; the plot names every split."""
    runs = {"auto": [AUTO, PICTURE], "image": [PICTURE], "device": [DEVICE]}
    found = rows(list(runs.values()))
    assert [(row["split"], row["phase"], row["frames"], row["mean_ms"]) for row in found[:3]] == [
        ("auto", 1, 20, 50.0), ("auto", 2, 20, 160.0), ("image", 1, 10, 50.0),
    ]  # fmt: skip
    assert found[1]["ways"] == "image 13; device 7"
    assert found[1]["rounds_mean_ms"] == [130.0, 190.0]
    draw(tmp_path / "x.svg", {DRILL: runs})
    labels = ("auto: image", "auto: device", "always image", "always device")
    assert [label for label in labels if f">{label}<" not in (tmp_path / "x.svg").read_text()] == []


def test_a_drill_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(SettingsError, match="expected some of link falls, processor falls"):
        adaptation(drills="rain", output=tmp_path)
