"""A real worker between a real broker and a real store, fed with spoilt bytes: it is well and loses no good frame."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from evaluation.running import resident_bytes
from headwater.messages import Frame, decode, encode
from headwater.properties import publish_properties
from tests.cloud_worker.fleet import BOOT, TOPICS
from tests.fuzz.spoil import Pool, spoilt
from tests.fuzz.trees import messagepack
from tests.integration.test_worker import DONE_S, Device, Site, children_of
from tests.servers import eventually

GARBAGE, GOOD = 3000, 60
MOST_GROWTH_BYTES = 30_000_000
"""Frames, their batches and what is answered come and go; what is kept of each would be more than this."""


def spoilt_frames(device: Device, count: int) -> list[bytes]:
    """Return frames that the worker will refuse: spoilt, and none that is still one by chance."""
    samples = [encode(device.camera.frame(0, split)) for split in ("image", "device", device.camera.cuts[0])]
    pool, draw = Pool(samples, rebuilt=messagepack, most_bytes=4096), Random(7)
    made: list[bytes] = []
    while len(made) < count:
        payload = spoilt(draw.choice(samples), draw, pool)
        if not is_frame(payload):
            made.append(payload)
    return made


def is_frame(payload: bytes) -> bool:
    """Tell whether a payload can be read as a frame."""
    try:
        return decode(Frame, payload, 1_000_000) is not None
    except Exception:
        return False


def counted(words: str) -> dict[str, int]:
    """Return the counts in a worker's last line."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)\b", words)}


def test_garbage_between_good_frames_costs_none_of_them(site: Site) -> None:
    """Thousands of spoilt messages: each is counted, good frames are finished, memory stays flat."""
    worker, device = site.worker(), site.device(resend_s=5.0)
    payloads, seen = spoilt_frames(device, GARBAGE), list[int]()
    for number in range(GOOD):
        device.send(number)
        for place in range(number, GARBAGE, GOOD):
            device.publish(payloads[place], correlation=f"cam1-{BOOT}-{100_000 + place}".encode())
        assert eventually(lambda number=number: number in device.results, DONE_S), f"frame {number} of {GOOD}"
        (pid,) = children_of(worker.pid)
        seen.append(resident_bytes(pid))
    assert eventually(lambda: len(device.results) == GOOD + GARBAGE, DONE_S)
    refused = {number for number, result in device.results.items() if result.refused}
    assert refused == set(range(100_000, 100_000 + GARBAGE))
    assert Counter(record.sequence for record in site.records()) == Counter(range(GOOD))
    assert max(seen[GOOD // 2 :]) - max(seen[: GOOD // 3]) < MOST_GROWTH_BYTES, seen
    assert worker.stop() == 0
    counts = counted(worker.last_words())
    assert counts["refused"] == GARBAGE
    assert counts["received"] - counts["refused"] == counts["answered"]
    assert counts["refused"] == sum(count for name, count in counts.items() if name.startswith("refused_"))
    assert "refused_FailedFrame" not in counts


def test_a_text_that_paho_refuses_cuts_no_worker_off(site: Site) -> None:
    """A frame with U+FEFF in its properties is finished as any other; the worker's connection stands."""
    worker, device = site.worker(), site.device(resend_s=2.0)
    frame = device.camera.frame(1)
    properties = publish_properties(content_type="\ufeff", correlation=str(frame.id).encode(), traceparent="a\ufeffb")
    device.session.publish(TOPICS.of_device("cam1", "frame"), encode(frame), properties=properties)
    assert eventually(lambda: 1 in device.results, DONE_S)
    device.send(2)
    assert eventually(device.all_answered, DONE_S)
    log = (site.folder.parent / "w1.log").read_text()
    assert log.count(" connected ") == 1
    assert "disconnected" not in log
    assert worker.stop() == 0
