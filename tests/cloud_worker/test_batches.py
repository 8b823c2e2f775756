"""An engine that gains from it runs the frames of one model and split in one call; none suffers for another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cloud_worker.hand import SUSPECT, key_of
from cloud_worker.library import Runnable, Spec, open_bundle
from headwater.codec import Codec, encode_tensor
from headwater.messages import Activation, Box, Finished
from models.bundle import Bundle
from models.errors import RunError
from tests.cloud_worker.fleet import Bench, Camera, Clock, Delivery, deliver, make_bundle
from tests.models import tflite_files


class Together:
    """LiteRT's part, as one of an engine that gains from many rows; it keeps how many it was given at each call."""

    def __init__(self, part: Runnable, rows_at_once: int) -> None:
        self.part, self.rows_at_once = part, rows_at_once
        self.calls: list[int] = []
        self.fails_from = 1_000
        self.bad_row: float | None = None

    @property
    def inputs(self) -> Sequence[Spec]:
        return self.part.inputs

    @property
    def outputs(self) -> Sequence[Spec]:
        return self.part.outputs

    def run(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        """Return what LiteRT gives; from `fails_from` rows on, or with a row that has the bad number, it fails."""
        self.calls.append(len(arrays[0]))
        if len(arrays[0]) >= self.fails_from:
            raise RunError("the part", "out of memory", "lower --batch", "TensorFlow")
        outputs = self.part.run(*arrays)
        if self.bad_row is None:
            return outputs
        bad = np.any(arrays[0].reshape(len(arrays[0]), -1) == self.bad_row, axis=1)
        return [np.where(bad[:, None], np.nan, output).astype(output.dtype) for output in outputs]


class Engine:
    """Parts that take many rows at once, by split."""

    def __init__(self, bundle: Bundle, rows_at_once: int) -> None:
        self._runner, self._rows_at_once = open_bundle(bundle, 1), rows_at_once
        self.parts: dict[str, Together] = {}

    def whole(self) -> Together:
        """Return the whole model."""
        return self.tail("image")

    def tail(self, split: str) -> Together:
        """Return the part behind a split."""
        if split not in self.parts:
            self.parts[split] = Together(self._runner.tail(split), self._rows_at_once)
        return self.parts[split]


class Site:
    """A worker of paper whose engine takes so many rows at once."""

    def __init__(self, folder: Path, rows_at_once: int, clock: Clock | None = None) -> None:
        self.engines: dict[str, Engine] = {}
        self._rows_at_once = rows_at_once
        self.bench = Bench(folder, clock=clock, opened=self.opened)

    def opened(self, bundle: Bundle) -> Engine:
        """Return the engine of a bundle, and keep it to be looked at."""
        self.engines[bundle.name] = Engine(bundle, self._rows_at_once)
        return self.engines[bundle.name]

    def calls(self, split: str, bundle: str = "tiny") -> list[int]:
        """Return how many rows each call of a part was given."""
        return self.engines[bundle].parts[split].calls


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return Camera(make_bundle(tmp_path))


def faces(camera: Camera, sequence: int, count: int) -> Delivery:
    """Return an activation of some faces of one picture, those of the numbers from `sequence` on."""
    inputs = np.concatenate([camera.input(sequence + number) for number in range(count)])
    (values,) = camera.engine.head(camera.cuts[0]).run(inputs)
    boxes = tuple(Box(number, 5, 20, 30) for number in range(count))
    body = Activation(encode_tensor(values, Codec.named("auto", values.dtype.name)), boxes)
    return camera.delivery(sequence, body=body)


def test_frames_of_one_split_are_one_call(tmp_path: Path, camera: Camera) -> None:
    """Each gets its own answer, in the order of arrival, and the time of the call as its tail."""
    site = Site(tmp_path, 8)
    site.bench.finish(*(camera.delivery(n) for n in range(5)))
    assert site.calls(camera.cuts[0]) == [5]
    assert [result.predictions for result in site.bench.replies.results] == [camera.expected(n) for n in range(5)]
    assert [result.id.sequence for result in site.bench.replies.results] == list(range(5))
    stages = [result.stages_ns for result in site.bench.replies.results]
    assert len({each["tail"] for each in stages}) == 1
    assert all(list(each) == ["inbox", "batch", "decode", "tail", "store"] for each in stages)
    assert site.bench.replies.order == ["result"] * 5 + ["ack"] * 5


def test_each_model_split_and_tensor_has_a_call_of_its_own(tmp_path: Path, camera: Camera) -> None:
    """Pictures, activations at two cuts, another model and what the device finished come mixed."""
    other = Camera(make_bundle(tmp_path, "other", tflite_files.exits_behind({}, softmax=True)), "cam2")
    site = Site(tmp_path, 8)
    splits = [camera.cuts[0], "image", "device", camera.cuts[1]]
    mixed = [camera.delivery(n, splits[n % 4]) for n in range(8)]
    site.bench.finish(*mixed[:5], other.delivery(9), *mixed[5:])
    assert [site.calls(split) for split in (camera.cuts[0], "image", camera.cuts[1])] == [[2], [2], [2]]
    assert site.calls(other.cuts[0], "other") == [1]
    found = {(result.id.device, result.id.sequence): result.predictions for result in site.bench.replies.results}
    assert found == {("cam1", n): camera.expected(n) for n in range(8)} | {("cam2", 9): other.expected(9)}


def test_no_call_has_more_rows_than_the_engine_takes(tmp_path: Path, camera: Camera) -> None:
    """Seven frames in calls of three; a frame of more faces than that is a call of its own."""
    site = Site(tmp_path, 3)
    site.bench.finish(*(camera.delivery(n) for n in range(7)))
    assert site.calls(camera.cuts[0]) == [3, 3, 1]
    site.bench.finish(faces(camera, 10, 4), faces(camera, 20, 4))
    assert site.calls(camera.cuts[0])[3:] == [4, 4]


def test_frames_of_several_faces_share_a_call(tmp_path: Path, camera: Camera) -> None:
    """Every face of every frame is answered with its own box."""
    site = Site(tmp_path, 8)
    site.bench.finish(faces(camera, 10, 2), faces(camera, 20, 2), faces(camera, 30, 3))
    assert site.calls(camera.cuts[0]) == [4, 3]
    for result, count in zip(site.bench.replies.results, (2, 2, 3), strict=True):
        first = result.id.sequence
        assert [found.scores for found in result.predictions] == [
            found.scores for number in range(count) for found in camera.expected(first + number)
        ]
        assert [found.box for found in result.predictions] == [Box(n, 5, 20, 30) for n in range(count)]


def test_litert_runs_frame_by_frame(tmp_path: Path, camera: Camera) -> None:
    """One row at once: as many calls as frames."""
    site = Site(tmp_path, 1)
    site.bench.finish(*(camera.delivery(n) for n in range(4)))
    assert site.calls(camera.cuts[0]) == [1, 1, 1, 1]
    assert open_bundle(camera.bundle, 1).whole().rows_at_once == 1


def test_a_call_that_fails_is_repeated_frame_by_frame(tmp_path: Path, camera: Camera) -> None:
    """A GPU without room for the batch: all are finished, one after the other."""
    site = Site(tmp_path, 8)
    site.bench.finish(camera.delivery(0))
    site.engines["tiny"].parts[camera.cuts[0]].fails_from = 2
    site.bench.finish(*(camera.delivery(n) for n in range(1, 4)))
    assert site.calls(camera.cuts[0]) == [1, 3, 1, 1, 1]
    assert [result.predictions for result in site.bench.replies.results] == [camera.expected(n) for n in range(4)]
    assert site.bench.counters["refused"] == 0


def test_frames_of_a_call_at_which_a_process_ended_run_one_by_one(tmp_path: Path, camera: Camera) -> None:
    """Any of them may be the one: the next time it is alone in hand, and the others have their answers."""
    site = Site(tmp_path, 8)
    batch = [camera.delivery(n, sent_ns=9) for n in range(3)]
    site.bench.progress.hand.strike({key_of(batch[1].message): SUSPECT})
    site.bench.finish(*batch)
    assert site.calls(camera.cuts[0]) == [1, 1, 1]
    assert [result.predictions for result in site.bench.replies.results] == [camera.expected(n) for n in range(3)]


def test_a_faulty_frame_does_not_spoil_the_others(tmp_path: Path, camera: Camera) -> None:
    """One that cannot be decoded never gets into the call; one whose answer is no number is refused alone."""
    site = Site(tmp_path, 8)
    site.bench.finish(camera.delivery(0))
    (values,) = camera.engine.head(camera.cuts[0]).run(camera.input(2))
    values[0, 0, 0, 0] = 123.0
    site.engines["tiny"].parts[camera.cuts[0]].bad_row = 123.0
    poison = camera.delivery(2, body=Activation(encode_tensor(values, Codec("native", "zstd"))))
    site.bench.finish(camera.delivery(1), deliver(b"garbage"), poison, camera.delivery(3))
    assert site.calls(camera.cuts[0]) == [1, 3, 1, 1, 1]
    results = {result.id.sequence: result for result in site.bench.replies.results}
    assert {n: results[n].predictions for n in (0, 1, 3)} == {n: camera.expected(n) for n in (0, 1, 3)}
    assert "NaN" in (results[2].refused or "")
    assert [record.sequence for record in site.bench.store.records] == [0, 1, 3]
    counts = site.bench.counters
    assert (counts["refused_Malformed"], counts["refused_UnfitFrame"], counts["answered"]) == (1, 1, 3)


def test_slow_calls_are_answered_one_by_one(tmp_path: Path, camera: Camera) -> None:
    """What one call finished does not wait for the next one."""
    site = Site(tmp_path, 2, Clock(step_ns=15_000_000))
    site.bench.finish(*(camera.delivery(n) for n in range(4)))
    assert site.bench.replies.order == ["result", "result", "ack", "ack"] * 2


def test_finished_frames_need_no_call(tmp_path: Path, camera: Camera) -> None:
    """What devices computed to the end is recorded, many at once too."""
    site = Site(tmp_path, 8)
    site.bench.finish(*(camera.delivery(n, "device", body=Finished(camera.expected(n))) for n in range(3)))
    assert site.engines == {}
    assert [result.predictions for result in site.bench.replies.results] == [camera.expected(n) for n in range(3)]


def test_a_part_that_cannot_be_built_is_refused_with_the_reason(
    tmp_path: Path, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full GPU is not said to be a wrong split: reason and remedy reach the device as they are."""

    def refuse(*_: object) -> Together:
        raise RunError("the part", "out of memory", "lower --batch", "TensorFlow")

    monkeypatch.setattr(Engine, "tail", refuse)
    site = Site(tmp_path, 8)
    site.bench.finish(camera.delivery(0), camera.delivery(1, "image"))
    refusals = [result.refused for result in site.bench.replies.results]
    assert refusals == ["TensorFlow cannot run the part: out of memory; lower --batch"] * 2
    assert site.bench.counters["refused_RunError"] == 2
