"""What gets a drill's camera stuck, and how it is found that the device noticed."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

import pytest

from evaluation.drill_stuck import LIVELY, LOOK_EVERY_S, STUCK, Noticing, make_stuck, stuck_camera


def stuck_folder(folder: Path) -> list[Path]:
    """Return the pictures of a camera that gets stuck, in their order."""
    for number in range(3):
        (folder / f"{number}.ppm").write_bytes(bytes([number]))
    make_stuck(folder)
    return sorted(folder.iterdir())


def test_a_stuck_camera_shows_one_picture_for_long(tmp_path: Path) -> None:
    """First pictures that differ from the one before, then one and the same."""
    shown = [path.read_bytes() for path in stuck_folder(tmp_path)]
    assert len(shown) == LIVELY + STUCK
    assert all(one != other for one, other in itertools.pairwise(shown[:LIVELY]))
    assert set(shown[LIVELY:]) == {b"\x00"}


def test_its_address_plays_the_first_picture_to_the_last(tmp_path: Path) -> None:
    """By their names, in a folder of any name, at the pace that is asked for."""
    folder = tmp_path / "with a space"
    folder.mkdir()
    paths = stuck_folder(folder)
    kind, _, pipeline = stuck_camera(folder, 80.0).partition(":")
    words = shlex.split(pipeline)
    said = dict(word.split("=", 1) for word in words if "=" in word)
    assert (kind, words[0], words[-2:]) == ("gst", "multifilesrc", ["!", "pnmdec"])
    assert [said["location"] % int(said[end]) for end in ("start-index", "stop-index")] == [
        str(paths[0]),
        str(paths[-1]),
    ]
    assert said["caps"] == "image/x-portable-pixmap,framerate=80/1"


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ([[], ["stale camera: the source has given the same picture for 1 s, expected at most 1 s"], []], ""),
        ([[], ["the sender has not moved for 31 s"], []], "/health never said 'stale camera', expected after 1 s"),
        ([[], [], []], "the camera was stuck, and /health never said"),
    ],
)
def test_a_device_that_does_not_say_so_fails_the_drill(answers: list[list[str]], failure: str) -> None:
    """Once is enough; another reason is none."""
    said = iter(answers)
    noticing = Noticing(lambda: next(said))
    for look in range(len(answers)):
        noticing.look(100.0 + look * LOOK_EVERY_S)
    assert noticing.was_said is not bool(failure)
    assert failure in noticing.failure()
    assert bool(noticing.failure()) is bool(failure)


def test_a_device_is_asked_a_few_times_a_second() -> None:
    """However often the drill looks, and no more once it has said so."""
    asked: list[float] = []

    def reasons() -> list[str]:
        asked.append(now_s)
        return ["stale camera: …"] if now_s >= 2.0 else []

    noticing = Noticing(reasons)
    for now_s in (0.02 * look for look in range(200)):
        noticing.look(now_s)
    assert len(asked) == pytest.approx(2.0 / LOOK_EVERY_S + 1, abs=1)
    assert noticing.was_said
