"""A real worker whose tails TensorFlow runs: whole batches in one call, the same labels, each frame once."""

from __future__ import annotations

from collections import Counter

import pytest

from models.bundle import Bundle
from tests.integration.test_worker import Device, Site
from tests.servers import eventually, need

READY_S, DONE_S = 180.0, 120.0
"""TensorFlow takes seconds to load, and to build a part at its first frame, on a busy machine many."""
BATCH, FRAMES = 4, 16
STEPS = 5 / 256
"""By how much the scores of a full-integer model may differ from LiteRT's."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def needed() -> None:
    """Leave the tests out where TensorFlow is missing."""
    need(package="tensorflow")


def assert_like_litert(site: Site, device: Device, count: int, within: float) -> None:
    """Every frame is answered and stored once, with LiteRT's label and nearly its scores."""
    assert eventually(device.all_answered, DONE_S), f"unanswered: {count - len(device.results)} of {count}"
    assert Counter(record.sequence for record in site.records()) == Counter(range(count))
    for sequence, result in device.results.items():
        assert result.refused is None
        for found, expected in zip(result.predictions, device.camera.expected(sequence), strict=True):
            assert (found.task, found.label) == (expected.task, expected.label)
            assert found.scores == pytest.approx(expected.scores, abs=within)


def test_a_batch_is_one_call_and_gives_litert_s_labels(site: Site) -> None:
    """Frames of one split that came together have one tail time; pictures and other cuts are finished beside them."""
    batches = ("--batch", str(BATCH), "--batch-wait-ms", "5000")
    worker = site.worker("--engine", "tensorflow", *batches, ready_s=READY_S)
    device = site.device(resend_s=60.0)
    for sequence in range(FRAMES):
        device.send(sequence)
    assert_like_litert(site, device, FRAMES, 1e-4)
    times = Counter(record.stages_ns["tail"] for record in site.records())
    assert set(times.values()) == {BATCH}, "a batch that was full was not run as a whole"
    for sequence, split in enumerate(["image", "device", *device.camera.cuts], FRAMES):
        device.send(sequence, split)
    assert_like_litert(site, device, FRAMES + 2 + len(device.camera.cuts), 1e-4)
    assert worker.stop() == 0
    assert "TensorFlow runs the tails" in (site.folder.parent / "w1.log").read_text()


def test_the_litter_model_s_labels_are_litert_s(site: Site) -> None:
    """The full-integer bundle that ships: activations, pictures, and a broken frame among them."""
    site.worker("--engine", "tensorflow", ready_s=READY_S)
    device = site.device(Bundle.load("litter"), resend_s=60.0)
    for sequence in range(8):
        device.send(sequence, "image" if sequence % 4 == 3 else device.camera.bundle.cut_points[1])
        if sequence == 4:
            device.publish(b"garbage")
    assert_like_litert(site, device, 8, STEPS)
    assert eventually(lambda: [dead.error for dead in device.deads] == ["Malformed"])
